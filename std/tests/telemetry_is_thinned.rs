//! Handlers that are given some of their events: what they are not given is counted and told, on time, and nothing else.

use bedplate::telemetry::{
    self, Always, Event, EventName, Never, OwnedEvent, Pattern, Probe, Random,
};
use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

fn suppressed_of(probe: &Probe, handler: &str) -> Vec<OwnedEvent> {
    let of_it = |event: &OwnedEvent| event.get("handler").is_some_and(|it| it == handler);
    probe.take().into_iter().filter(of_it).collect()
}

fn probe() -> Probe {
    Probe::of_all_threads(EventName::new("bedplate.telemetry.suppressed")).unwrap()
}

/// E4, through a handler: of ten threads at once exactly one event passes.
#[test]
fn e4_one_of_ten_threads_passes() {
    let told = probe();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    telemetry::handler("thin threads")
        .to(EventName::new("thin.threads"))
        .once_per(FOR_EVER)
        .attach(move |_: &Event<'_>| {
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| telemetry::emit!("thin.threads"));
        }
    });
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let thinned = telemetry::thinned("thin threads").unwrap();
    assert_eq!(
        (thinned.passed, thinned.suppressed, thinned.evicted),
        (1, 9, 0)
    );
    telemetry::detach("thin threads").unwrap();
    let told = suppressed_of(&told, "thin threads");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].measurement("count"), Some(9_u64.into()));
    assert!(told[0].get("event").is_some_and(|it| it == "thin.threads"));
    assert_eq!(telemetry::thinned("thin threads"), None);
}

/// Nothing else happens that could close the window.
#[test]
fn a_window_that_is_over_is_told_on_time() {
    let (send, told) = mpsc::channel();
    let send = Mutex::new(send);
    telemetry::attach(
        "thin watcher",
        EventName::new("bedplate.telemetry.suppressed"),
        move |event: &Event<'_>| {
            if event.get("handler").and_then(telemetry::Value::as_str) == Some("thin time") {
                send.lock().unwrap().send(OwnedEvent::from(event)).unwrap();
            }
        },
    )
    .unwrap();
    telemetry::handler("thin time")
        .to(Pattern::under(EventName::new("thin.time")))
        .once_per(Duration::from_millis(30))
        .attach(|_: &Event<'_>| {})
        .unwrap();
    let mut expected = 0;
    for round in 0..3 {
        if round == 2 {
            // Until whoever tells has gone to sleep.
            std::thread::sleep(Duration::from_millis(300));
        }
        telemetry::emit!("thin.time.one");
        telemetry::emit!("thin.time.one");
        if round == 0 {
            // Its window suppresses nothing.
            telemetry::emit!("thin.time.other");
        }
        // If this thread was suspended for that long, the second has opened a window of its own.
        let suppressed = telemetry::thinned("thin time").unwrap().suppressed;
        if suppressed > expected {
            expected = suppressed;
            let event = told.recv_timeout(PATIENCE).unwrap();
            assert_eq!(event.measurement("count"), Some(1_u64.into()));
            assert!(event.get("event").is_some_and(|it| it == "thin.time.one"));
        }
    }
    assert!(expected > 0, "suspended all the time");
    telemetry::detach("thin time").unwrap();
    telemetry::detach("thin watcher").unwrap();
    assert!(told.try_recv().is_err(), "the others suppressed nothing");
}

#[test]
fn keys_are_what_the_user_says() {
    let given = Arc::new(Mutex::new(Vec::new()));
    let noted = given.clone();
    telemetry::handler("thin keys")
        .to(EventName::new("thin.keys"))
        .once_per_key(FOR_EVER, |event| {
            event
                .get("key")
                .and_then(telemetry::Value::as_u64)
                .unwrap_or(0)
        })
        .attach(move |event: &Event<'_>| {
            let number = event.measurement("n").map(telemetry::Measurement::as_f64);
            noted.lock().unwrap().push(number);
        })
        .unwrap();
    for (n, key) in [(1.0, 7_u64), (2.0, 8), (3.0, 7), (4.0, 8), (5.0, 9)] {
        telemetry::emit!("thin.keys", { n: n }, { key: key });
    }
    assert_eq!(*given.lock().unwrap(), [Some(1.0), Some(2.0), Some(5.0)]);
    telemetry::detach("thin keys").unwrap();
}

/// Beyond its room it lets pass too much, counted, and suppresses nothing falsely.
#[test]
fn more_keys_than_have_room() {
    const KEYS: u64 = 1_000;
    let told = probe();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    telemetry::handler("thin room")
        .to(EventName::new("thin.room"))
        .once_per_key(FOR_EVER, |event| {
            event
                .get("key")
                .and_then(telemetry::Value::as_u64)
                .unwrap_or(0)
        })
        .attach(move |_: &Event<'_>| {
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    for key in 0..KEYS {
        for _ in 0..3 {
            telemetry::emit!("thin.room", {}, { key: key });
        }
    }
    let thinned = telemetry::thinned("thin room").unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), KEYS);
    assert_eq!((thinned.passed, thinned.suppressed), (KEYS, 2 * KEYS));
    assert!(thinned.evicted >= KEYS - 256);
    telemetry::detach("thin room").unwrap();
    let told = suppressed_of(&told, "thin room");
    let sum: f64 = told
        .iter()
        .map(|event| event.measurement("count").unwrap().as_f64())
        .sum();
    assert_eq!((told.len() as u64, sum), (KEYS, 2.0 * KEYS as f64));
}

/// E20: only what is sampled reaches the handler, with its weight, and both are counted.
#[test]
fn e20_samples_are_marked_and_counted() {
    let weights = Arc::new(Mutex::new(Vec::new()));
    let noted = weights.clone();
    telemetry::handler("thin sample")
        .to(EventName::new("thin.sample"))
        .sampled(Random::new(0.5, 7))
        .attach(move |event: &Event<'_>| noted.lock().unwrap().push(event.weight()))
        .unwrap();
    let all = Probe::of_this_thread(EventName::new("thin.sample")).unwrap();
    for _ in 0..1_000 {
        telemetry::emit!("thin.sample");
    }
    let thinned = telemetry::thinned("thin sample").unwrap();
    let weights = weights.lock().unwrap();
    assert_eq!(thinned.kept, weights.len() as u64);
    assert_eq!(thinned.kept + thinned.left, 1_000);
    assert!((400..=600).contains(&thinned.kept), "{thinned:?}");
    assert!(weights.iter().all(|&weight| weight == 2.0));
    let unthinned = all.take();
    assert_eq!(unthinned.len(), 1_000);
    assert!(unthinned.iter().all(|event| event.weight == 1.0));
    telemetry::detach("thin sample").unwrap();
}

#[test]
fn all_and_none() {
    for (id, expected) in [("thin all", 5), ("thin none", 0)] {
        let calls = Arc::new(AtomicU64::new(0));
        let counted = calls.clone();
        let builder = telemetry::handler(id).to(EventName::new("thin.ends"));
        let builder = match expected {
            0 => builder.sampled(Never),
            _ => builder.sampled(Always),
        };
        builder
            .attach(move |_: &Event<'_>| {
                counted.fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
        for _ in 0..5 {
            telemetry::emit!("thin.ends");
        }
        assert_eq!(calls.load(Ordering::Relaxed), expected);
        telemetry::detach(id).unwrap();
    }
}

fn unreachable_handler() {
    panic!("not reached")
}

/// A sampler that panics fails as its handler does, and leaves it attached.
#[test]
fn a_sampler_that_panics_is_a_failure() {
    struct Broken;
    impl telemetry::Sampler for Broken {
        fn sample(&mut self, _: bedplate::clock::Instant, _: u128) -> telemetry::Choice {
            panic!("on purpose")
        }
    }
    let failed =
        Probe::of_this_thread(EventName::new("bedplate.telemetry.handler.failed")).unwrap();
    telemetry::handler("thin broken")
        .to(EventName::new("thin.broken"))
        .sampled(Broken)
        .on_failure(telemetry::FailurePolicy::Keep)
        .attach(|_: &Event<'_>| unreachable_handler())
        .unwrap();
    for _ in 0..2 {
        telemetry::emit!("thin.broken");
    }
    let of_it = |event: &OwnedEvent| event.get("handler").is_some_and(|it| it == "thin broken");
    let failed: Vec<_> = failed.take().into_iter().filter(of_it).collect();
    assert_eq!(failed.len(), 2);
    assert!(failed[0].get("reason").is_some_and(|it| it == "on purpose"));
    telemetry::detach("thin broken").unwrap();
}

/// Panics when it is dropped.
struct Touchy;

impl Drop for Touchy {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

impl telemetry::Sampler for Touchy {
    fn sample(&mut self, _: bedplate::clock::Instant, _: u128) -> telemetry::Choice {
        telemetry::Choice::KEEP
    }
}

/// Two destructors that panic once met, and aborted the process: when it was detached, and when it was refused.
#[test]
fn sampler_key_and_filter_may_all_panic_when_they_are_dropped() {
    let touchy = |id: &'static str| {
        let (key, filter) = (Touchy, Touchy);
        telemetry::handler(id)
            .to(EventName::new("thin.touchy"))
            .filter(move |_| {
                let _owned = &filter;
                true
            })
            .sampled(Touchy)
            .once_per_key(FOR_EVER, move |_| {
                let _owned = &key;
                7
            })
            .attach(|_: &Event<'_>| {})
    };
    touchy("thin touchy").unwrap();
    assert!(touchy("thin touchy").is_err(), "it is attached");
    assert_eq!(
        telemetry::detach("thin touchy"),
        Ok(telemetry::Detached::Silent)
    );
}

/// What a handler captured is gone when it is detached, also while its summary is being told: the telling thread once
/// dropped it later, and died of a destructor that panicked.
#[test]
fn a_key_is_gone_when_its_handler_is_detached() {
    struct Key(Arc<AtomicU64>);
    impl Drop for Key {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (enter, entered) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let (enter, wait) = (Mutex::new(enter), Mutex::new(wait));
    telemetry::attach(
        "thin slow",
        EventName::new("bedplate.telemetry.suppressed"),
        move |event: &Event<'_>| {
            if event.get("handler").and_then(telemetry::Value::as_str) == Some("thin key") {
                enter.lock().unwrap().send(()).unwrap();
                wait.lock().unwrap().recv().unwrap();
            }
        },
    )
    .unwrap();
    let dropped = Arc::new(AtomicU64::new(0));
    let key = Key(dropped.clone());
    telemetry::handler("thin key")
        .to(EventName::new("thin.key"))
        .once_per_key(Duration::from_millis(20), move |_| {
            let _owned = &key;
            7
        })
        .attach(|_: &Event<'_>| {})
        .unwrap();
    while telemetry::thinned("thin key").unwrap().suppressed == 0 {
        telemetry::emit!("thin.key");
    }
    entered.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        telemetry::detach("thin key"),
        Ok(telemetry::Detached::Silent)
    );
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    go_on.send(()).unwrap();
    telemetry::flush(PATIENCE).unwrap();
    telemetry::detach("thin slow").unwrap();
}

/// It once waited for itself: its counts were read under its own lock.
#[test]
fn a_sampler_may_ask_what_is_attached() {
    struct Curious;
    impl telemetry::Sampler for Curious {
        fn sample(&mut self, _: bedplate::clock::Instant, _: u128) -> telemetry::Choice {
            assert!(telemetry::thinned("thin curious").is_some());
            assert!(!telemetry::list(None).is_empty());
            telemetry::Choice::KEEP
        }
    }
    telemetry::handler("thin curious")
        .to(EventName::new("thin.curious"))
        .sampled(Curious)
        .attach(|_: &Event<'_>| {})
        .unwrap();
    telemetry::emit!("thin.curious");
    assert_eq!(telemetry::thinned("thin curious").unwrap().kept, 1);
    telemetry::detach("thin curious").unwrap();
}

/// Handlers of everything once saw windows over what was told of windows, and told of those, without end.
#[test]
fn summaries_have_no_windows() {
    let given = Arc::new(AtomicU64::new(0));
    for id in ["thin all 1", "thin all 2"] {
        let counted = given.clone();
        telemetry::handler(id)
            .to(EventName::new("bedplate.telemetry.suppressed"))
            .once_per(FOR_EVER)
            .attach(move |event: &Event<'_>| {
                let of_it = event.get("handler").and_then(telemetry::Value::as_str);
                if of_it == Some("thin told") {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .unwrap();
    }
    for _ in 0..3 {
        telemetry::handler("thin told")
            .to(EventName::new("thin.told"))
            .once_per(FOR_EVER)
            .attach(|_: &Event<'_>| {})
            .unwrap();
        telemetry::emit!("thin.told");
        telemetry::emit!("thin.told");
        telemetry::detach("thin told").unwrap();
    }
    assert_eq!(given.load(Ordering::Relaxed), 2 * 3);
    for id in ["thin all 1", "thin all 2"] {
        assert_eq!(telemetry::thinned(id).unwrap().suppressed, 0);
        telemetry::detach(id).unwrap();
    }
}
