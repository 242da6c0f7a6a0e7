//! The cases of `:telemetry`'s own test suite, by number (T1 to T20), each with an event of its own. Where ours
//! promises more, the test asks for more.

use bedplate::telemetry::{
    self, AttachReason, BadName, Detached, Event, EventName, FailurePolicy, Listed, Measurement,
    OwnedEvent, OwnedValue, Pattern, Probe,
};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Arc, Barrier, Mutex, mpsc};

/// How often something was called.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn handler(&self) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
        let calls = self.clone();
        move |_| {
            calls.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn failures_of(probe: &Probe, handler: &str) -> Vec<OwnedEvent> {
    let of = |event: &OwnedEvent| event.get("handler").is_some_and(|it| it == handler);
    probe.take().into_iter().filter(of).collect()
}

const FAILED: EventName<'static> = EventName::new("bedplate.telemetry.handler.failed");

#[test]
fn t1_malformed_names_are_refused() {
    assert_eq!(EventName::parse("").unwrap_err(), BadName::Empty);
    assert_eq!(
        EventName::parse("t1..a").unwrap_err(),
        BadName::EmptySegment
    );
    for text in ["t1.a b", "t1.\"a\"", "t1,a", "t1.ä"] {
        let error = EventName::parse(text).unwrap_err();
        assert!(matches!(error, BadName::BadByte { .. }), "{text}: {error}");
    }
    // Nor is a handler attached to nothing.
    let refused = telemetry::attach_many("t1", &[], |_: &Event<'_>| ()).unwrap_err();
    assert_eq!(refused.reason, AttachReason::NoPattern);
}

#[test]
fn t2_an_id_in_use_is_refused_and_the_first_stays() {
    const NAME: EventName<'static> = EventName::new("t2.event");
    let (first, second) = (Calls::default(), Calls::default());
    telemetry::attach("t2", NAME, first.handler()).unwrap();
    let refused = telemetry::attach("t2", NAME, second.handler()).unwrap_err();
    assert_eq!(refused.reason, AttachReason::AlreadyAttached);
    telemetry::emit!("t2.event");
    assert_eq!((first.count(), second.count()), (1, 0));

    // What was refused came back, and can be attached elsewhere.
    telemetry::attach("t2 again", NAME, refused.handler).unwrap();
    telemetry::emit!("t2.event");
    assert_eq!((first.count(), second.count()), (2, 1));
    telemetry::detach("t2").unwrap();
    telemetry::detach("t2 again").unwrap();
    assert!(telemetry::detach("t2").is_err());
}

#[test]
fn t4_handlers_are_listed_by_prefix() {
    let name = EventName::new("t4.a.b");
    telemetry::attach("t4", name, |_: &Event<'_>| ()).unwrap();
    telemetry::attach(
        "t4 under",
        Pattern::under(EventName::new("t4.a")),
        |_: &Event<'_>| (),
    )
    .unwrap();
    let listed = |prefix: Option<&str>| -> Vec<(String, String)> {
        let prefix = prefix.map(EventName::new);
        let ours = |listed: &Listed| listed.id.starts_with("t4");
        let all = telemetry::list(prefix.as_ref()).into_iter().filter(ours);
        all.map(|listed| (listed.id, listed.pattern)).collect()
    };
    let exact = ("t4".to_owned(), "t4.a.b".to_owned());
    let under = ("t4 under".to_owned(), "t4.a.*".to_owned());
    for prefix in [Some("t4.a"), Some("t4"), None] {
        assert_eq!(listed(prefix), [exact.clone(), under.clone()], "{prefix:?}");
    }
    assert_eq!(listed(Some("t4.a.b")), [exact]);
    for prefix in ["t4.a.b.c", "t4.b", "t"] {
        assert_eq!(listed(Some(prefix)), [], "{prefix:?}");
    }
    telemetry::detach("t4").unwrap();
    telemetry::detach("t4 under").unwrap();
    assert_eq!(listed(None), []);
}

#[test]
fn t5_a_handler_that_fails_is_told_of_and_dealt_with_by_its_policy() {
    const NAME: EventName<'static> = EventName::new("t5.event");
    let probe = Probe::of_this_thread(FAILED).unwrap();
    let attach = |id: &str, policy| {
        telemetry::handler(id)
            .to(NAME)
            .on_failure(policy)
            .attach(|_: &Event<'_>| -> () { panic!("broken on purpose") })
            .unwrap();
    };
    attach("t5 detach", FailurePolicy::Detach);
    attach("t5 strikes", FailurePolicy::strikes(3, Duration::MAX));
    attach("t5 keep", FailurePolicy::Keep);
    let behind = Calls::default();
    telemetry::attach("t5 behind", NAME, behind.handler()).unwrap();

    for emission in 1..=4 {
        telemetry::emit!("t5.event");
        assert_eq!(behind.count(), emission, "neither caller nor others notice");
    }
    let failures: Vec<_> = probe
        .take()
        .into_iter()
        .filter(|event| event.get("event").is_some_and(|it| it == "t5.event"))
        .map(|event| {
            assert_eq!(event.name, FAILED.as_str());
            assert!(event.get("kind").is_some_and(|it| it == "panic"));
            assert!(
                event
                    .get("reason")
                    .is_some_and(|it| it == "broken on purpose")
            );
            let place = event.get("place").map(ToString::to_string).unwrap();
            assert!(place.contains("telemetry_conformance.rs"), "{place}");
            assert!(event.get("backtrace").is_some());
            let id = event.get("handler").map(ToString::to_string).unwrap();
            let number = event.measurement("failures").unwrap().as_f64();
            (
                id,
                number,
                event.get("detached") == Some(&OwnedValue::Bool(true)),
            )
        })
        .collect();
    let told = |id: &str, number: f64, detached| (id.to_owned(), number, detached);
    assert_eq!(
        failures,
        [
            told("t5 detach", 1.0, true),
            told("t5 strikes", 1.0, false),
            told("t5 keep", 1.0, false),
            told("t5 strikes", 2.0, false),
            told("t5 keep", 2.0, false),
            told("t5 strikes", 3.0, true),
            told("t5 keep", 3.0, false),
            told("t5 keep", 4.0, false),
        ]
    );
    assert!(telemetry::detach("t5 detach").is_err(), "it is gone");
    assert!(telemetry::detach("t5 strikes").is_err(), "it is gone");
    telemetry::detach("t5 keep").unwrap();
    telemetry::detach("t5 behind").unwrap();
}

#[test]
fn t5_an_error_is_a_failure_too() {
    let probe = Probe::of_this_thread(FAILED).unwrap();
    telemetry::handler("t5 error")
        .to(EventName::new("t5.error"))
        .on_failure(FailurePolicy::Detach)
        .attach(|_: &Event<'_>| Err::<(), _>("disk full"))
        .unwrap();
    telemetry::emit!("t5.error");
    let failures = failures_of(&probe, "t5 error");
    assert_eq!(failures.len(), 1);
    assert!(failures[0].get("kind").is_some_and(|it| it == "error"));
    assert!(
        failures[0]
            .get("reason")
            .is_some_and(|it| it == "disk full")
    );
    assert_eq!(failures[0].get("place"), Some(&OwnedValue::Nothing));
}

#[test]
fn t5_a_handler_of_failures_that_fails_is_not_told_of() {
    telemetry::handler("t5 of failures")
        .to(FAILED)
        .on_failure(FailurePolicy::Keep)
        .filter(|event| {
            event
                .get("handler")
                .is_some_and(|it| it.as_str() == Some("t5 fails"))
        })
        .attach(|_: &Event<'_>| Err::<(), _>("me too"))
        .unwrap();
    telemetry::handler("t5 fails")
        .to(EventName::new("t5.recursion"))
        .on_failure(FailurePolicy::Keep)
        .attach(|_: &Event<'_>| Err::<(), _>("first"))
        .unwrap();
    let before = telemetry::stats().failures;
    telemetry::emit!("t5.recursion");
    assert!(
        telemetry::stats().failures >= before + 2,
        "both are counted"
    );
    telemetry::detach("t5 of failures").unwrap();
    telemetry::detach("t5 fails").unwrap();
}

#[test]
fn t7_a_detached_handler_is_not_called() {
    let calls = Calls::default();
    telemetry::attach("t7", EventName::new("t7.event"), calls.handler()).unwrap();
    telemetry::emit!("t7.event");
    assert_eq!(telemetry::detach("t7"), Ok(Detached::Silent));
    telemetry::emit!("t7.event");
    assert_eq!(calls.count(), 1);
}

/// Stricter: no call begins after `detach` has returned, and none that began is still running.
#[test]
fn t7_detach_is_a_barrier_for_all_threads() {
    const ROUNDS: usize = 100;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    telemetry::emit!("t7.barrier");
                }
            });
        }
        for _ in 0..ROUNDS {
            let running = Arc::new(AtomicBool::new(false));
            let detached = Arc::new(AtomicBool::new(false));
            let (inside, after) = (running.clone(), detached.clone());
            telemetry::attach(
                "t7 barrier",
                EventName::new("t7.barrier"),
                move |_: &Event<'_>| {
                    assert!(
                        !after.load(Ordering::Acquire),
                        "called after detach returned"
                    );
                    inside.store(true, Ordering::Release);
                },
            )
            .unwrap();
            while !running.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            assert_eq!(telemetry::detach("t7 barrier"), Ok(Detached::Silent));
            // What it captured is gone: these are the last.
            assert_eq!(
                (Arc::strong_count(&running), Arc::strong_count(&detached)),
                (1, 1)
            );
            detached.store(true, Ordering::Release);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Stricter: `detach` waits for a call that has begun, unless it is asked to wait no longer than so long.
#[test]
fn t7_detach_waits_for_a_call_that_has_begun() {
    const NAME: EventName<'static> = EventName::new("t7.waits");
    let (begun, began) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    telemetry::attach("t7 waits", NAME, move |_: &Event<'_>| {
        begun.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
    })
    .unwrap();
    // Another handler that does not end holds up nobody.
    let hang = Arc::new(Barrier::new(2));
    let theirs = hang.clone();
    telemetry::attach("t7 hangs", NAME, move |_: &Event<'_>| {
        theirs.wait();
    })
    .unwrap();
    let emitting = std::thread::spawn(|| telemetry::emit!("t7.waits"));
    began.recv().unwrap();
    assert_eq!(
        telemetry::detach_within("t7 waits", Duration::from_millis(5)),
        Ok(Detached::StillRunning)
    );
    assert!(
        telemetry::detach("t7 waits").is_err(),
        "it is detached all the same"
    );
    go.send(()).unwrap();

    // Now the thread is in the second.
    let calls = Calls::default();
    telemetry::attach("t7 third", NAME, calls.handler()).unwrap();
    assert_eq!(telemetry::detach("t7 third"), Ok(Detached::Silent));
    hang.wait();
    emitting.join().unwrap();
    assert_eq!(telemetry::detach("t7 hangs"), Ok(Detached::Silent));
    assert_eq!(calls.count(), 0);
}

/// Stricter: also a handler may detach, itself or another, and attach.
#[test]
fn t7_detach_from_within_a_handler() {
    const NAME: EventName<'static> = EventName::new("t7.within");
    let held = Arc::new(());
    let captured = held.clone();
    let (answer, answers) = mpsc::channel();
    let later = Calls::default();
    let (behind, attached) = (later.handler(), Calls::default());
    let new = Mutex::new(Some(attached.handler()));
    telemetry::attach("t7 self", NAME, move |_: &Event<'_>| {
        let _captured = &captured;
        answer.send(telemetry::detach("t7 self")).unwrap();
        answer.send(telemetry::detach("t7 later")).unwrap();
        if let Some(new) = new.lock().unwrap().take() {
            telemetry::attach("t7 new", NAME, new).unwrap();
        }
        telemetry::emit!("t7.within");
    })
    .unwrap();
    telemetry::attach("t7 later", NAME, behind).unwrap();
    telemetry::emit!("t7.within");
    let answers: Vec<_> = answers.try_iter().collect();
    assert_eq!(
        answers,
        [Ok(Detached::FromWithin), Ok(Detached::FromWithin)]
    );
    assert_eq!(later.count(), 0, "it was not reached");
    assert_eq!(attached.count(), 1, "by the inner event, which began later");
    assert_eq!(Arc::strong_count(&held), 1, "what it captured is dropped");
    telemetry::detach("t7 new").unwrap();
}

#[test]
fn t8_an_event_is_not_those_below_it() {
    let calls = Calls::default();
    telemetry::attach("t8", EventName::new("t8.a.b"), calls.handler()).unwrap();
    telemetry::emit!("t8.a");
    telemetry::emit!("t8.a.b.c");
    assert_eq!(calls.count(), 0);
    telemetry::emit!("t8.a.b");
    assert_eq!(calls.count(), 1);
    telemetry::detach("t8").unwrap();

    // One that asks for a prefix gets all three, and no others.
    let under = Calls::default();
    telemetry::attach(
        "t8",
        Pattern::under(EventName::new("t8.a")),
        under.handler(),
    )
    .unwrap();
    telemetry::emit!("t8.a");
    telemetry::emit!("t8.a.b");
    telemetry::emit!("t8.a.b.c");
    telemetry::emit!("t8");
    telemetry::emit!("t8.ab");
    assert_eq!(under.count(), 3);
    telemetry::detach("t8").unwrap();
}

const THREE: [Pattern<'static>; 3] = [
    Pattern::exactly(EventName::new("t10.one")),
    Pattern::exactly(EventName::new("t10.two")),
    Pattern::exactly(EventName::new("t10.three")),
];

#[test]
fn t10_a_handler_of_three_events_is_called_for_each() {
    let calls = Calls::default();
    telemetry::attach_many("t10", &THREE, calls.handler()).unwrap();
    telemetry::emit!("t10.one");
    telemetry::emit!("t10.two");
    telemetry::emit!("t10.three");
    assert_eq!(calls.count(), 3);
    telemetry::detach("t10").unwrap();
}

#[test]
fn t10_an_event_that_several_patterns_match_is_told_once() {
    let calls = Calls::default();
    let name = EventName::new("t10.overlap");
    let patterns = [
        Pattern::exactly(name),
        Pattern::under(name),
        Pattern::EVERYTHING,
    ];
    telemetry::handler("t10 overlap")
        .to_many(&patterns)
        .filter(|event| event.name().as_str() == "t10.overlap")
        .attach(calls.handler())
        .unwrap();
    telemetry::emit!("t10.overlap");
    assert_eq!(calls.count(), 1);
    telemetry::detach("t10 overlap").unwrap();
}

#[test]
fn t11_a_handler_that_fails_at_one_event_is_detached_from_all() {
    let patterns =
        ["t11.one", "t11.two", "t11.three"].map(|it| Pattern::exactly(EventName::new(it)));
    telemetry::handler("t11")
        .to_many(&patterns)
        .on_failure(FailurePolicy::Detach)
        .attach(|_: &Event<'_>| Err::<(), _>("no"))
        .unwrap();
    assert_eq!(telemetry::list(Some(&EventName::new("t11"))).len(), 3);
    telemetry::emit!("t11.two");
    assert_eq!(telemetry::list(Some(&EventName::new("t11"))), []);
}

#[test]
fn t13_a_number_by_itself_is_called_value() {
    let probe = Probe::of_this_thread(EventName::new("t13.event")).unwrap();
    telemetry::emit!("t13.event", 7_u64);
    telemetry::emit!("t13.event", 0.5, { unit: "s" });
    let events = probe.take();
    assert_eq!(
        events[0].measurements,
        [("value", Measurement::Unsigned(7))]
    );
    assert_eq!(events[1].measurements, [("value", Measurement::Float(0.5))]);
    assert!(events[1].get("unit").is_some_and(|it| it == "s"));
}

#[test]
fn t14_without_metadata_there_is_none() {
    let probe = Probe::of_this_thread(EventName::new("t14.event")).unwrap();
    telemetry::emit!("t14.event", { count: 1_u64 });
    telemetry::emit!("t14.event");
    let events = probe.take();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event.metadata.is_empty()));
    assert!(events[1].measurements.is_empty());
}

/// There is no other form that a table of handlers could be changed into: each edit makes a new one, and those
/// attached before are in it.
#[test]
fn t16_handlers_outlast_edits_of_the_table() {
    let calls = Calls::default();
    telemetry::attach("t16", EventName::new("t16.event"), calls.handler()).unwrap();
    for round in 1..=50 {
        let id = format!("t16 {round}");
        telemetry::attach(&id, EventName::new("t16.other"), |_: &Event<'_>| ()).unwrap();
        telemetry::emit!("t16.event");
        assert_eq!(calls.count(), round);
    }
    for round in 1..=50 {
        telemetry::detach(&format!("t16 {round}")).unwrap();
    }
    telemetry::emit!("t16.event");
    assert_eq!(calls.count(), 51);
    telemetry::detach("t16").unwrap();
}

/// Closures are compiled, and none is slower than a function: there is nothing to warn of, and nothing is told.
#[test]
fn t17_a_closure_is_as_good_as_a_function() {
    fn function(_: &Event<'_>) {}
    let probe =
        Probe::of_this_thread(Pattern::under(EventName::new("bedplate.telemetry"))).unwrap();
    let local = 17;
    telemetry::attach(
        "t17 closure",
        EventName::new("t17.event"),
        move |_: &Event<'_>| {
            assert_eq!(local, 17);
        },
    )
    .unwrap();
    telemetry::attach("t17 function", EventName::new("t17.event"), function).unwrap();
    telemetry::emit!("t17.event");
    assert_eq!(probe.take(), []);
    telemetry::detach("t17 closure").unwrap();
    telemetry::detach("t17 function").unwrap();
}

#[test]
fn t19_a_span_has_its_own_measurements_and_those_added() {
    let probe = Probe::of_this_thread(Pattern::under(EventName::new("t19.work"))).unwrap();
    let result = telemetry::span!("t19.work", { table: "orders" }, |span| {
        span.measure("rows", 3_u64);
        "done"
    });
    assert_eq!(result, "done");
    let events = probe.take();
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["t19.work.start", "t19.work.stop"]);
    let (start, stop) = (&events[0], &events[1]);
    assert!(start.measurement("monotonic_time").is_some());
    assert!(stop.measurement("monotonic_time").is_some());
    assert!(matches!(
        stop.measurement("duration"),
        Some(Measurement::Duration(_))
    ));
    assert_eq!(stop.measurement("rows"), Some(Measurement::Unsigned(3)));
    for event in &events {
        assert!(event.get("table").is_some_and(|it| it == "orders"));
    }
}

#[test]
fn t20_a_span_that_panics_is_told_of_and_the_panic_goes_on() {
    let probe = Probe::of_this_thread(Pattern::under(EventName::new("t20.work"))).unwrap();
    let panic = std::panic::catch_unwind(
        || telemetry::span!("t20.work", { table: "orders" }, |_| panic!("broken on purpose")),
    )
    .unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"broken on purpose"));
    let events = probe.take();
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["t20.work.start", "t20.work.exception"]);
    let exception = &events[1];
    assert!(exception.measurement("duration").is_some());
    assert!(exception.get("kind").is_some_and(|it| it == "panic"));
    assert!(
        exception
            .get("reason")
            .is_some_and(|it| it == "broken on purpose")
    );
    assert!(exception.get("table").is_some_and(|it| it == "orders"));
}

/// The prefix is part of the literal: a name is checked when it is compiled.
#[test]
fn e11_a_prefix_has_a_start_and_a_stop_with_its_duration() {
    macro_rules! query {
        ($name:literal, $body:expr) => {
            telemetry::span!(concat!("e11.repository.", $name), { table: "orders" }, $body)
        };
    }
    let probe = Probe::of_this_thread(Pattern::under(EventName::new("e11.repository"))).unwrap();
    assert_eq!(query!("find", |_| 7), 7);
    let events = probe.take();
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        ["e11.repository.find.start", "e11.repository.find.stop"]
    );
    let times = [0, 1].map(|at: usize| match events[at].measurement("monotonic_time") {
        Some(Measurement::Duration(time)) => time,
        other => panic!("{other:?}"),
    });
    let duration = Measurement::Duration(times[1] - times[0]);
    assert_eq!(events[1].measurement("duration"), Some(duration));
}

#[test]
fn e13_an_event_under_a_condition() {
    let probe = Probe::of_this_thread(EventName::new("e13.conditional")).unwrap();
    for condition in [true, false] {
        if condition {
            telemetry::emit!("e13.conditional", 1_u64);
        }
    }
    assert_eq!(probe.take().len(), 1);
}

/// There is nothing to start: whoever comes first starts it, and whoever comes at the same time finds it.
#[test]
fn e14_what_runs_already_is_not_started_again() {
    let probe = Probe::of_all_threads(EventName::new("e14.first")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..10_u32 {
            scope.spawn(move || telemetry::record!("e14.first", { n: 1_u64 }, { thread: thread }));
        }
    });
    telemetry::flush(std::time::Duration::from_secs(60)).unwrap();
    assert_eq!(probe.take().len(), 10);
    #[cfg(target_os = "linux")]
    {
        let names = std::fs::read_dir("/proc/self/task").unwrap();
        let telling = names
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok())
            .filter(|name| name.starts_with("bedplate-teleme"))
            .count();
        assert_eq!(telling, 1);
    }
}
