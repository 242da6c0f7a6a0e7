//! Handlers, sinks and destructors that use telemetry themselves: nobody waits for himself, is called for what he said, or
//! is still running when he is detached.

use bedplate::telemetry::{
    self, Batch, Detached, Event, EventName, FlushError, Limits, OwnedEvent, Pattern, Probe,
};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const FOR_EVER: Duration = Duration::from_secs(1_000_000);
const LIMITS: Limits = Limits {
    age: FOR_EVER,
    ..Limits::DEFAULT
};

static TURN: Mutex<()> = Mutex::new(());

/// A flush closes every batch there is, so the tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flush() {
    telemetry::flush(PATIENCE).expect("handlers return");
}

/// Does something when it is dropped.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// It was once answered while the sink was running.
#[test]
fn a_detached_sink_has_run_and_is_gone() {
    let _turn = turn();
    let (enter, entered) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let returned = Arc::new(AtomicBool::new(false));
    let dropped = Arc::new(AtomicBool::new(false));
    let (is_returned, is_dropped) = (returned.clone(), dropped.clone());
    let guard = AtEnd(move || is_dropped.store(true, Ordering::Relaxed));
    telemetry::handler("back slow")
        .to(EventName::new("back.slow"))
        .attach_batched(LIMITS, move |_: &Batch<'_>| {
            let _owned = &guard;
            enter.send(()).unwrap();
            wait.recv().unwrap();
            is_returned.store(true, Ordering::Relaxed);
        })
        .unwrap();
    telemetry::emit!("back.slow", { n: 1_u64 });
    assert_eq!(
        telemetry::detach_within("back slow", Duration::from_millis(10)),
        Ok(Detached::StillRunning)
    );
    entered.recv_timeout(PATIENCE).unwrap();
    assert!(!returned.load(Ordering::Relaxed));
    go_on.send(()).unwrap();
    flush();
    assert!(returned.load(Ordering::Relaxed) && dropped.load(Ordering::Relaxed));

    // The same without a limit: whoever lets it go on does so while it is being waited for.
    let (enter, entered) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let dropped = Arc::new(AtomicBool::new(false));
    let is_dropped = dropped.clone();
    let guard = AtEnd(move || is_dropped.store(true, Ordering::Relaxed));
    telemetry::handler("back slow")
        .to(EventName::new("back.slow"))
        .attach_batched(LIMITS, move |_: &Batch<'_>| {
            let _owned = &guard;
            enter.send(()).unwrap();
            wait.recv().unwrap();
        })
        .unwrap();
    telemetry::emit!("back.slow", { n: 1_u64 });
    let letting = std::thread::spawn(move || {
        entered.recv_timeout(PATIENCE).unwrap();
        go_on.send(()).unwrap();
    });
    assert_eq!(telemetry::detach("back slow"), Ok(Detached::Silent));
    assert!(dropped.load(Ordering::Relaxed));
    letting.join().unwrap();
}

/// One that waits for itself would do so as long as its patience lasts.
#[test]
fn a_destructor_on_the_telling_thread_does_not_wait_for_itself() {
    let _turn = turn();
    let (send, answers) = mpsc::channel();
    let guard = AtEnd(move || {
        let flushed = telemetry::flush(PATIENCE);
        let detached = telemetry::detach("back other");
        send.send((flushed, detached)).unwrap();
    });
    telemetry::attach(
        "back other",
        EventName::new("back.other"),
        |_: &Event<'_>| {},
    )
    .unwrap();
    telemetry::handler("back flush")
        .to(EventName::new("back.flush"))
        .attach_batched(LIMITS, move |_: &Batch<'_>| {
            let _owned = &guard;
        })
        .unwrap();
    assert_eq!(telemetry::detach("back flush"), Ok(Detached::Silent));
    assert_eq!(
        answers.recv_timeout(PATIENCE),
        Ok((Err(FlushError::WithinHandler), Ok(Detached::FromWithin)))
    );
}

/// Two destructors that panic once met, and aborted the process.
#[test]
fn what_is_dropped_together_may_all_panic() {
    let _turn = turn();
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let touchy = || {
        AtEnd(|| {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            panic!("on purpose");
        })
    };
    for id in ["back first", "back second"] {
        let (handler, filter) = (touchy(), touchy());
        telemetry::handler(id)
            .to(EventName::new("back.touchy"))
            .filter(move |_| {
                let _owned = &filter;
                true
            })
            .attach(move |_: &Event<'_>| {
                let _owned = &handler;
            })
            .unwrap();
    }
    telemetry::attach("back both", EventName::new("back.both"), |_: &Event<'_>| {
        for id in ["back first", "back second"] {
            assert_eq!(telemetry::detach(id), Ok(Detached::FromWithin));
        }
        assert_eq!(
            DROPPED.load(Ordering::Relaxed),
            0,
            "not in the middle of this"
        );
    })
    .unwrap();
    telemetry::emit!("back.both");
    assert_eq!(DROPPED.load(Ordering::Relaxed), 4);
    telemetry::detach("back both").unwrap();
}

/// A handler that recorded what it handles was once called for it again, on and on.
#[test]
fn a_handler_is_not_called_for_what_it_records() {
    let _turn = turn();
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let before = telemetry::stats().left_out;
    telemetry::attach(
        "back record",
        EventName::new("back.record"),
        |_: &Event<'_>| {
            CALLS.fetch_add(1, Ordering::Relaxed);
            telemetry::record!("back.record", { n: 1_u64 });
            telemetry::record!("back.record.more", { n: 2_u64 });
        },
    )
    .unwrap();
    let more = Probe::of_all_threads(EventName::new("back.record.more")).unwrap();
    for calls in 1..=3 {
        telemetry::record!("back.record", { n: 0_u64 });
        flush();
        flush();
        assert_eq!(CALLS.load(Ordering::Relaxed), calls);
    }
    telemetry::emit!("back.record", { n: 0_u64 });
    flush();
    assert_eq!(CALLS.load(Ordering::Relaxed), 4);
    assert_eq!(telemetry::stats().left_out - before, 4);
    assert_eq!(more.take().len(), 4);
    telemetry::detach("back record").unwrap();
}

/// Nor a sink: one that fails and collects everything would be told of its failures, and fail for it, on and on.
#[test]
fn a_sink_is_not_given_what_it_says() {
    let _turn = turn();
    let (send, batches) = mpsc::channel();
    let limits = Limits {
        attempts: 1,
        ..LIMITS
    };
    telemetry::handler("back sink")
        .to(Pattern::under(EventName::new("back.sink")))
        .to(Pattern::under(EventName::new("bedplate.telemetry")))
        .attach_batched(limits, move |batch: &Batch<'_>| -> Result<(), &str> {
            telemetry::emit!("back.sink.again", { n: 1_u64 });
            telemetry::record!("back.sink.again", { n: 2_u64 });
            let names = batch.iter().map(|event: &OwnedEvent| event.name.clone());
            send.send(names.collect::<Vec<_>>()).unwrap();
            Err("no connection")
        })
        .unwrap();
    let failed = Probe::of_all_threads(EventName::new("bedplate.telemetry.batch.failed")).unwrap();
    telemetry::emit!("back.sink", { n: 0_u64 });
    flush();
    flush();
    telemetry::detach("back sink").unwrap();
    let given: Vec<_> = batches.iter().flatten().collect();
    assert_eq!(given, ["back.sink"]);
    assert_eq!(failed.take().len(), 1);
}

/// The time of what is recorded after a rest was once that of before.
#[test]
fn time_does_not_stand_still_while_nothing_is_recorded() {
    let _turn = turn();
    let probe = Probe::of_all_threads(EventName::new("back.tick")).unwrap();
    let mut rested = false;
    for _ in 0..20 {
        telemetry::record!("back.tick", { n: 0_u64 });
        flush();
        // Until whoever tells has gone to sleep.
        std::thread::sleep(Duration::from_millis(300));
        let _earlier = probe.take();
        let before = bedplate::clock::now();
        telemetry::record!("back.tick", { n: 1_u64 });
        telemetry::record!("back.tick", { n: 2_u64 });
        flush();
        let times: Vec<_> = probe.take().iter().map(|event| event.time).collect();
        assert_eq!(times.len(), 2);
        // Its own time is exact if it had to wake somebody.
        if times[0] >= before {
            assert!(times[1] >= before, "{times:?} {before:?}");
            rested = true;
            break;
        }
    }
    assert!(rested, "somebody has kept it awake all the time");
}

/// It once lay about until somebody edited what is attached.
#[test]
fn a_sink_that_detaches_itself_is_dropped() {
    let _turn = turn();
    let (send, dropped) = mpsc::channel();
    let guard = AtEnd(move || send.send(()).unwrap());
    let limits = Limits { items: 1, ..LIMITS };
    telemetry::handler("back itself")
        .to(EventName::new("back.itself"))
        .attach_batched(limits, move |_: &Batch<'_>| {
            let _owned = &guard;
            assert_eq!(telemetry::detach("back itself"), Ok(Detached::FromWithin));
        })
        .unwrap();
    telemetry::emit!("back.itself", { n: 1_u64 });
    dropped.recv_timeout(PATIENCE).unwrap();
}

/// The first attachment of a process, while its thread unwinds, once changed the panic hook, which aborts. Others may have
/// come before in this process; then this shows less.
#[test]
fn a_destructor_may_attach_while_its_thread_unwinds() {
    struct Attaches;
    impl Drop for Attaches {
        fn drop(&mut self) {
            let name = EventName::new("back.unwinding");
            telemetry::attach("back unwinding", name, |_: &Event<'_>| {}).unwrap();
        }
    }
    let panicked = std::panic::catch_unwind(|| {
        let _attaches = Attaches;
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    telemetry::detach("back unwinding").unwrap();
}
