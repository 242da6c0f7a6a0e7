//! Children are stopped from the last to the first, each asked only after the one behind it ended.

use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Stop, Supervisor};
use core::time::Duration;
use std::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn one_at_a_time() {
    let (events, seen) = mpsc::channel();
    let mut builder = Supervisor::builder("app");
    for id in ["a", "b", "c", "d", "e"] {
        let events = events.clone();
        builder = builder.child(ChildSpec::worker(id, move |me| {
            events.send(("started", id)).unwrap();
            let on_stop = {
                let events = events.clone();
                me.stop()
                    .on_stop(move || events.send(("asked", id)).unwrap())
            };
            while !me.stop().wait(PATIENCE) {}
            drop(on_stop);
            events.send(("ends", id)).unwrap();
        }));
    }
    drop(events);
    let supervisor = builder.start().unwrap();
    for _ in 0..5 {
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap().0, "started");
    }
    let report = supervisor.shutdown();
    assert_eq!(report.clean, ["e", "d", "c", "b", "a"]);
    assert!(report.failed.is_empty() && report.abandoned.is_empty());
    let events = seen
        .iter()
        .filter(|event| event.0 == "ends")
        .map(|event| event.1);
    assert_eq!(events.collect::<Vec<_>>(), ["e", "d", "c", "b", "a"]);
}

#[test]
fn and_whoever_fails_then_is_reported_but_not_restarted() {
    let (runs, seen) = mpsc::channel();
    let failing = ChildSpec::worker("failing", move |me| -> Result<(), &str> {
        runs.send(()).unwrap();
        while !me.stop().wait(PATIENCE) {}
        Err("could not save")
    });
    let supervisor = Supervisor::builder("app")
        .child(failing.stop(Stop::Forever))
        .start()
        .unwrap();
    seen.recv_timeout(PATIENCE).unwrap();
    let report = supervisor.shutdown();
    assert!(report.clean.is_empty());
    assert_eq!(report.failed[0].0, "failing");
    assert!(matches!(report.failed[0].1, ExitReason::Failed(_)));
    assert_eq!(seen.iter().count(), 0);
}

#[test]
fn also_when_a_handle_asks() {
    let patient = ChildSpec::worker("patient", |me| while !me.stop().wait(PATIENCE) {});
    let supervisor = Supervisor::builder("app").child(patient).start().unwrap();
    let handle = supervisor.handle();
    handle.request_stop();
    handle.request_stop();
    assert!(matches!(supervisor.wait(), ExitReason::Shutdown));
    assert!(handle.children().is_empty());
    assert_eq!(handle.count().active, 0);
}
