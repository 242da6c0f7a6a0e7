//! Events that are recorded and told later: in order, all of them or counted, also when threads end, hang and are
//! many. The counts are the process's, so the tests take turns.

use bedplate::supervisor::{ChildSpec, Supervisor};
use bedplate::telemetry::{
    self, Event, EventName, FlushError, Measurement, OwnedEvent, Pattern, Probe, RecordSite,
    Recorded,
};
use core::time::Duration;
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flush() {
    telemetry::flush(PATIENCE).expect("handlers return");
}

/// Everything is accounted for, and nothing is waiting. What became of events since then.
fn settled(before: Recorded) -> Recorded {
    let now = telemetry::recorded();
    assert_eq!(
        now.pushed,
        now.delivered + now.overwritten + now.rejected + now.busy,
        "{now:?}"
    );
    assert_eq!(now.waiting, 0);
    let mut since = now;
    since.pushed -= before.pushed;
    since.delivered -= before.delivered;
    since.overwritten -= before.overwritten;
    since.rejected -= before.rejected;
    since.busy -= before.busy;
    since
}

fn value(event: &OwnedEvent) -> u64 {
    match event.measurement("value") {
        Some(Measurement::Unsigned(value)) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn events_of_a_thread_are_told_in_order_with_what_was_recorded() {
    let _turn = turn();
    let before = telemetry::recorded();
    let probe = Probe::of_all_threads(EventName::new("records.order")).unwrap();
    for value in 0..100_u64 {
        telemetry::record!("records.order", { value: value }, { key: 7_u8 });
    }
    flush();
    let events = probe.take();
    assert_eq!(
        events.iter().map(value).collect::<Vec<_>>(),
        (0..100).collect::<Vec<_>>()
    );
    for event in &events {
        assert_eq!(
            event.get("key").map(ToString::to_string).as_deref(),
            Some("7")
        );
    }
    assert_eq!(settled(before).delivered, 100);
}

#[test]
fn an_exact_time_is_that_of_the_call() {
    static SITE: RecordSite = RecordSite::new("records.time", "value", None).with_exact_time();
    let _turn = turn();
    let probe = Probe::of_all_threads(EventName::new("records.time")).unwrap();
    let mut between = Vec::new();
    for value in 0..10_u64 {
        let before = bedplate::clock::now();
        SITE.record(value, 0);
        between.push(before..=bedplate::clock::now());
    }
    flush();
    let events = probe.take();
    assert_eq!(events.len(), 10);
    for (event, between) in events.iter().zip(&between) {
        assert!(between.contains(&event.time), "{event:?} {between:?}");
    }
}

#[test]
fn nothing_is_stored_that_nobody_wants() {
    let _turn = turn();
    let before = telemetry::recorded();
    telemetry::record!("records.unwanted", { value: 1_u64 });
    assert_eq!(telemetry::recorded().pushed, before.pushed);
}

#[test]
fn a_thread_that_ends_leaves_nothing_untold() {
    let _turn = turn();
    let probe = Probe::of_all_threads(EventName::new("records.death")).unwrap();
    for round in 0..20_u64 {
        std::thread::spawn(move || {
            telemetry::record!("records.death", { value: round });
        })
        .join()
        .unwrap();
    }
    // Nobody flushes.
    let began = Instant::now();
    let mut events = Vec::new();
    while events.len() < 20 {
        assert!(began.elapsed() < PATIENCE, "{events:?}");
        std::thread::yield_now();
        events.extend(probe.take());
    }
    // In an order that is promised for each thread only.
    let mut values: Vec<_> = events.iter().map(value).collect();
    values.sort_unstable();
    assert_eq!(values, (0..20).collect::<Vec<_>>());
}

#[test]
fn what_children_recorded_is_told_when_their_supervisor_is_shut_down() {
    let _turn = turn();
    let probe = Probe::of_all_threads(EventName::new("records.shutdown")).unwrap();
    let child = |number: u64| {
        ChildSpec::worker(format!("child {number}"), move |me| {
            telemetry::record!("records.shutdown", { value: number });
            while !me.stop().wait(Duration::from_secs(3_600)) {}
            telemetry::record!("records.shutdown", { value: 10 + number });
        })
    };
    let supervisor = Supervisor::builder("app")
        .child(child(1))
        .child(child(2))
        .start()
        .unwrap();
    let report = supervisor.shutdown();
    assert_eq!(report.clean.len(), 2);
    let mut values: Vec<_> = probe.take().iter().map(value).collect();
    values.sort_unstable();
    assert_eq!(values, [1, 2, 11, 12]);
}

/// Four threads record faster than is told: what is lost is told of in its place, and nothing is unaccounted for.
#[test]
fn losses_are_counted_exactly() {
    const EACH: u64 = 100_000;
    let _turn = turn();
    let before = telemetry::recorded();
    let told = Arc::new(Mutex::new((vec![None; 4], 0_u64)));
    let theirs = told.clone();
    telemetry::attach(
        "records.flood",
        EventName::new("records.flood"),
        move |event: &Event<'_>| {
            let mut told = theirs.lock().unwrap();
            let thread = event.get("thread").unwrap().as_u64().unwrap();
            let Some(Measurement::Unsigned(value)) = event.measurement("value") else {
                panic!("{event}");
            };
            let last = &mut told.0[usize::try_from(thread).unwrap()];
            assert!(last.is_none_or(|last| last < value), "in order");
            *last = Some(value);
            told.1 += 1;
        },
    )
    .unwrap();
    let untold = telemetry::stats();
    let lost = Probe::of_all_threads(EventName::new("bedplate.telemetry.lost")).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            scope.spawn(move || {
                for value in 0..EACH {
                    telemetry::record!("records.flood", { value: value }, { thread: thread });
                }
            });
        }
    });
    flush();
    telemetry::detach("records.flood").unwrap();
    let since = settled(before);
    let told = told.lock().unwrap();
    assert_eq!(since.pushed as u64, 4 * EACH);
    assert_eq!(since.delivered as u64, told.1);
    assert!(since.delivered > 0, "{since:?}");
    let losses = lost.take();
    let count = |event: &OwnedEvent| event.measurement("count").unwrap().as_f64();
    let counted: f64 = losses.iter().map(count).sum();
    assert_eq!(
        (since.overwritten + since.busy) as f64,
        counted,
        "{since:?}, {untold:?}, {:?}, {} missed, {:?}",
        telemetry::stats(),
        lost.missed(),
        losses
            .iter()
            .map(|it| (it.get("shard"), count(it)))
            .collect::<Vec<_>>()
    );
    // The newest of each thread is never lost.
    assert_eq!(told.0, [Some(EACH - 1); 4]);
    assert_eq!(telemetry::stats(), untold);
}

/// There are more threads than rings: those without one share.
#[test]
fn threads_beyond_the_rings_share_one() {
    const THREADS: u64 = 150;
    let _turn = turn();
    let before = telemetry::recorded();
    let probe = Probe::of_all_threads(EventName::new("records.many")).unwrap();
    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let barrier = &barrier;
            scope.spawn(move || {
                for _ in 0..3 {
                    telemetry::record!("records.many", { value: thread });
                }
                // Nobody gives a ring back before all have one, or none.
                barrier.wait();
            });
        }
    });
    flush();
    let mut values: Vec<_> = probe.take().iter().map(value).collect();
    values.sort_unstable();
    let expected: Vec<_> = (0..THREADS).flat_map(|thread| [thread; 3]).collect();
    assert_eq!(values, expected);
    assert_eq!(settled(before).delivered as u64, 3 * THREADS);
}

#[test]
fn a_handler_may_record_and_may_not_flush() {
    let _turn = turn();
    let probe = Probe::of_all_threads(Pattern::under(EventName::new("records.within"))).unwrap();
    let (answer, answers) = mpsc::channel();
    telemetry::attach(
        "records.within",
        EventName::new("records.within.first"),
        move |_: &Event<'_>| {
            telemetry::record!("records.within.second", { value: 2_u64 });
            answer.send(telemetry::flush(PATIENCE)).unwrap();
        },
    )
    .unwrap();
    telemetry::record!("records.within.first", { value: 1_u64 });
    flush();
    assert_eq!(
        answers.try_iter().collect::<Vec<_>>(),
        [Err(FlushError::WithinHandler)]
    );
    // Recorded while the first was told, so perhaps not in the same round.
    flush();
    assert_eq!(probe.take().iter().map(value).collect::<Vec<_>>(), [1, 2]);
    telemetry::detach("records.within").unwrap();
}

#[test]
fn who_waits_for_a_handler_that_hangs_waits_no_longer_than_he_wants() {
    let _turn = turn();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    telemetry::attach(
        "records.hang",
        EventName::new("records.hang"),
        move |_: &Event<'_>| {
            let _gone = wait.lock().unwrap().recv();
        },
    )
    .unwrap();
    telemetry::record!("records.hang", { value: 1_u64 });
    assert_eq!(
        telemetry::flush(Duration::from_millis(5)),
        Err(FlushError::TimedOut)
    );
    go.send(()).unwrap();
    flush();
    telemetry::detach("records.hang").unwrap();
}

#[test]
fn a_handler_that_panics_does_not_stop_the_telling() {
    let _turn = turn();
    let before = telemetry::stats().failures;
    let probe = Probe::of_all_threads(EventName::new("records.panic")).unwrap();
    telemetry::attach(
        "records.panic",
        EventName::new("records.panic"),
        |_: &Event<'_>| -> () { panic!("broken on purpose") },
    )
    .unwrap();
    for value in 0..5_u64 {
        telemetry::record!("records.panic", { value: value });
    }
    flush();
    assert_eq!(probe.take().len(), 5);
    assert_eq!(
        telemetry::stats().failures,
        before + 3,
        "then it is detached"
    );
    assert!(telemetry::detach("records.panic").is_err());
}
