//! Events in batches: closed by number, by age without another event, by flush and by detachment; offered again when
//! a sink fails, and told of when they are given up.

use bedplate::telemetry::{self, Batch, Closed, EventName, Limits, OwnedEvent, Probe};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

static TURN: Mutex<()> = Mutex::new(());

/// A flush closes every batch there is, so the tests take turns.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn flush() {
    telemetry::flush(PATIENCE).expect("handlers return");
}

/// Attaches a sink that sends what it gets.
fn batches(id: &str, name: EventName<'_>, limits: Limits) -> mpsc::Receiver<(Closed, Vec<u64>)> {
    let (send, receive) = mpsc::channel();
    telemetry::handler(id)
        .to(name)
        .attach_batched(limits, move |batch: &Batch<'_>| {
            send.send((batch.closed(), batch.iter().map(number).collect()))
        })
        .unwrap();
    receive
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of these tests are small and whole"
)]
fn number(event: &OwnedEvent) -> u64 {
    event.measurement("n").unwrap().as_f64() as u64
}

#[test]
fn a_batch_is_closed_by_number_and_keeps_the_order() {
    let _turn = turn();
    let limits = Limits {
        items: 4,
        age: FOR_EVER,
        ..Limits::DEFAULT
    };
    let batches = batches("batch number", EventName::new("batch.number"), limits);
    for n in 0..8_u64 {
        telemetry::emit!("batch.number", { n: n });
    }
    assert_eq!(
        batches.recv_timeout(PATIENCE),
        Ok((Closed::Items, vec![0, 1, 2, 3]))
    );
    assert_eq!(
        batches.recv_timeout(PATIENCE),
        Ok((Closed::Items, vec![4, 5, 6, 7]))
    );
    telemetry::detach("batch number").unwrap();
}

/// Nothing else happens that could close it.
#[test]
fn a_batch_is_closed_by_age() {
    let _turn = turn();
    let limits = Limits {
        age: Duration::from_millis(30),
        ..Limits::DEFAULT
    };
    let batches = batches("batch age", EventName::new("batch.age"), limits);
    telemetry::emit!("batch.age", { n: 7_u64 });
    assert_eq!(batches.recv_timeout(PATIENCE), Ok((Closed::Age, vec![7])));
    telemetry::detach("batch age").unwrap();
}

/// Also what was recorded just before.
#[test]
fn a_batch_is_closed_by_flush_and_by_detachment() {
    let _turn = turn();
    let limits = Limits {
        age: FOR_EVER,
        ..Limits::DEFAULT
    };
    let batches = batches("batch flush", EventName::new("batch.flush"), limits);
    telemetry::emit!("batch.flush", { n: 1_u64 });
    telemetry::record!("batch.flush", { n: 2_u64 });
    flush();
    assert_eq!(batches.try_recv(), Ok((Closed::Flush, vec![1, 2])));

    telemetry::emit!("batch.flush", { n: 3_u64 });
    telemetry::detach("batch flush").unwrap();
    assert_eq!(
        batches.recv_timeout(PATIENCE),
        Ok((Closed::Shutdown, vec![3]))
    );
    // The sink is dropped behind the last.
    assert_eq!(
        batches.recv_timeout(PATIENCE),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
}

#[test]
fn ten_threads_at_once_lose_and_double_nothing() {
    const EACH: u64 = 200;
    let _turn = turn();
    let limits = Limits {
        items: 64,
        age: Duration::from_millis(1),
        ..Limits::DEFAULT
    };
    let batches = batches("batch threads", EventName::new("batch.threads"), limits);
    let refused = telemetry::stats().refused;
    std::thread::scope(|scope| {
        for thread in 0..10 {
            scope.spawn(move || {
                for n in 0..EACH {
                    telemetry::emit!("batch.threads", { n: thread * EACH + n });
                    if n % 50 == 0 {
                        flush();
                    }
                }
            });
        }
    });
    flush();
    telemetry::detach("batch threads").unwrap();
    let mut all: Vec<_> = batches.iter().flat_map(|(_, numbers)| numbers).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(
        all.len() as u64 + (telemetry::stats().refused - refused),
        10 * EACH
    );
}

#[test]
fn a_batch_that_is_not_taken_is_offered_again_and_then_told_as_lost() {
    let _turn = turn();
    let lost = Probe::of_all_threads(EventName::new("bedplate.telemetry.lost")).unwrap();
    let failed = Probe::of_all_threads(EventName::new("bedplate.telemetry.batch.failed")).unwrap();
    let (send, attempts) = mpsc::channel();
    let limits = Limits {
        items: 3,
        age: FOR_EVER,
        attempts: 2,
        retry_after: Duration::ZERO,
        ..Limits::DEFAULT
    };
    telemetry::handler("batch fails")
        .to(EventName::new("batch.fails"))
        .attach_batched(limits, move |batch: &Batch<'_>| -> Result<(), &str> {
            send.send((batch.number(), batch.attempt(), batch.len()))
                .unwrap();
            match batch.attempt() {
                1 => Err("no connection"),
                _ => panic!("broken on purpose"),
            }
        })
        .unwrap();
    for n in 0..3_u64 {
        telemetry::emit!("batch.fails", { n: n });
    }
    assert_eq!(attempts.recv_timeout(PATIENCE), Ok((0, 1, 3)));
    assert_eq!(attempts.recv_timeout(PATIENCE), Ok((0, 2, 3)));
    flush();
    telemetry::detach("batch fails").unwrap();
    let of_this = |event: &OwnedEvent| event.get("handler").is_some_and(|it| it == "batch fails");
    let failed: Vec<_> = failed.take().into_iter().filter(of_this).collect();
    let reasons: Vec<_> = failed
        .iter()
        .map(|event| event.get("reason").unwrap().to_string())
        .collect();
    assert_eq!(reasons, ["no connection", "broken on purpose"]);
    let lost: Vec<_> = lost.take().into_iter().filter(of_this).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].measurement("count"), Some(3_u64.into()));
}

/// It comes back with the reason.
#[test]
fn a_sink_that_is_refused_comes_back() {
    let _turn = turn();
    let limits = Limits::DEFAULT;
    let _first = batches("batch twice", EventName::new("batch.twice"), limits);
    let held = Arc::new(());
    let captured = held.clone();
    let refused = telemetry::handler("batch twice")
        .to(EventName::new("batch.twice"))
        .attach_batched(limits, move |_: &Batch<'_>| {
            let _captured = &captured;
        })
        .unwrap_err();
    assert_eq!(refused.reason, telemetry::AttachReason::AlreadyAttached);
    assert_eq!(Arc::strong_count(&held), 2);
    drop(refused.handler);
    assert_eq!(Arc::strong_count(&held), 1);
    telemetry::detach("batch twice").unwrap();
}
