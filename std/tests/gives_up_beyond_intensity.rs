//! One restart more than allowed ends the supervisor, after an orderly stop of everybody else.

use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Incarnation, StartError, Supervisor};
use core::error::Error as _;
use core::time::Duration;
use std::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

fn sibling(id: &str, ended: &mpsc::Sender<String>) -> ChildSpec {
    let (id, ended) = (id.to_owned(), ended.clone());
    ChildSpec::worker(id.clone(), move |me: &Incarnation| {
        while !me.stop().wait(PATIENCE) {}
        ended.send(id.clone()).unwrap();
    })
}

#[test]
fn with_the_child_and_its_last_reason() {
    let (starts, seen) = mpsc::channel();
    let (ended, order) = mpsc::channel();
    let crashing = ChildSpec::worker("crashing", move |me| -> Result<(), String> {
        starts.send(me.number()).unwrap();
        Err(format!("attempt {}", me.number()))
    });
    let supervisor = Supervisor::builder("app")
        .limit(2, HOUR)
        .child(sibling("first", &ended))
        .child(sibling("second", &ended))
        .child(crashing)
        .start()
        .unwrap();
    let ExitReason::GaveUp(why) = supervisor.wait() else {
        panic!("it did not give up")
    };
    assert_eq!(why.child, "crashing");
    assert_eq!(why.restarts, 2);
    assert_eq!(why.within, HOUR);
    assert_eq!(why.last.to_string(), "failed: attempt 3");
    assert_eq!(why.source().unwrap().to_string(), "attempt 3");
    assert_eq!(seen.iter().collect::<Vec<_>>(), [1, 2, 3]);
    drop(ended);
    assert_eq!(order.iter().collect::<Vec<_>>(), ["second", "first"]);
}

#[test]
fn so_it_does_beyond_so_many_in_all() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (starts, seen) = mpsc::channel();
    let crashing = ChildSpec::worker("crashing", move |me| -> Result<(), &str> {
        starts.send(me.number()).unwrap();
        // Until the supervisor has started.
        wait.lock().unwrap().recv().unwrap_err();
        Err("always")
    });
    // The window alone would let it go on for ever.
    let limited = || Supervisor::builder("app").limit(128, Duration::from_nanos(1));
    let supervisor = limited().limit_total(200).child(crashing).start().unwrap();
    let handle = supervisor.handle();
    handle.reconfigure(limited().limit_total(150)).unwrap();
    drop(go);
    let ExitReason::GaveUp(why) = supervisor.wait() else {
        panic!("it did not give up")
    };
    assert_eq!((why.restarts, why.within), (150, Duration::MAX));
    let said = "more than 150 restarts in all; at last, crashing failed: always";
    assert_eq!(why.to_string(), said);
    assert_eq!(seen.iter().count(), 151);
}

#[test]
fn an_intensity_of_zero_allows_none() {
    let once = ChildSpec::worker("once", |_| ());
    match Supervisor::builder("app")
        .limit(0, HOUR)
        .child(once)
        .start()
    {
        Ok(supervisor) => assert!(matches!(supervisor.wait(), ExitReason::GaveUp(_))),
        // It may end before the start is complete.
        Err(StartError::GaveUp(why)) => assert_eq!(why.child, "once"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_report_of_a_late_shutdown_still_tells() {
    let (ended, _order) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let crashing = ChildSpec::worker("crashing", move |_| -> () {
        wait.lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .recv()
            .unwrap();
        panic!("it had to come to this");
    });
    let supervisor = Supervisor::builder("app")
        .limit(0, HOUR)
        .child(sibling("other", &ended))
        .child(crashing)
        .start()
        .unwrap();
    let inbox = bedplate::monitor::Inbox::new();
    inbox.monitor(&supervisor.handle().child("other").unwrap());
    go.send(()).unwrap();
    assert!(inbox.recv_timeout(PATIENCE).unwrap().reason.is_clean());
    let report = supervisor.shutdown();
    assert_eq!(report.clean, ["other"]);
    assert_eq!(report.failed.len(), 1);
    assert_eq!(report.failed[0].0, "crashing");
    let ExitReason::GaveUp(why) = &report.failed[0].1 else {
        panic!("{report}")
    };
    assert!(matches!(why.last, ExitReason::Panicked(_)));
}
