//! A child that ends is started again as its specification says, and nobody else is disturbed.

use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, ChildState, Incarnation, Restart, Supervisor};
use core::time::Duration;
use std::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(30);

fn until_stopped(incarnation: &Incarnation) {
    while !incarnation.stop().wait(PATIENCE) {}
}

#[test]
fn f18_after_a_panic_with_a_full_report() {
    let (runs, seen) = mpsc::channel();
    let worker = ChildSpec::worker("worker", move |me| {
        runs.send((
            me.number(),
            me.restarts(),
            me.me().clone(),
            me.last_exit().cloned(),
        ))
        .unwrap();
        if me.number() == 1 {
            panic!("out of {}", "order");
        }
        until_stopped(me);
    });
    let supervisor = Supervisor::builder("restart")
        .child(worker)
        .start()
        .unwrap();

    let (number, restarts, first, last_exit) = seen.recv_timeout(PATIENCE).unwrap();
    assert_eq!((number, restarts), (1, 0));
    assert!(last_exit.is_none());
    let (number, restarts, second, last_exit) = seen.recv_timeout(PATIENCE).unwrap();
    assert_eq!((number, restarts), (2, 1));
    let Some(ExitReason::Panicked(report)) = last_exit else {
        panic!("{last_exit:?}")
    };
    assert_eq!(report.message, "out of order");
    assert!(
        report
            .location
            .as_ref()
            .unwrap()
            .contains("crashed_child_is_restarted.rs")
    );
    assert_eq!(report.thread, "restart/worker");

    assert_ne!(first, second);
    assert_eq!(first.path(), second.path());
    assert!(!first.is_alive() && second.is_alive());
    assert!(matches!(first.exit_reason(), Some(ExitReason::Panicked(_))));
    assert_eq!(supervisor.handle().child("worker"), Some(second));
    assert_eq!(supervisor.shutdown().clean, ["worker"]);
}

#[test]
fn after_an_error_while_its_sibling_goes_on() {
    let (runs, seen) = mpsc::channel();
    let failing = ChildSpec::worker("failing", move |me| -> Result<(), String> {
        runs.send(me.number()).unwrap();
        if me.number() < 3 {
            return Err("no luck".to_owned());
        }
        until_stopped(me);
        Ok(())
    });
    let supervisor = Supervisor::builder("app")
        .child(ChildSpec::worker("steady", until_stopped))
        .child(failing)
        .start()
        .unwrap();
    let steady = supervisor.handle().child("steady").unwrap();
    for number in 1..=3 {
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(number));
    }
    assert_eq!(supervisor.handle().child("steady"), Some(steady));
    let children = supervisor.handle().children();
    assert_eq!(
        children.iter().map(|child| &*child.id).collect::<Vec<_>>(),
        ["steady", "failing"]
    );
    assert_eq!(children[0].incarnation, 1);
    assert_eq!(children[1].incarnation, 3);
    let last_exit = children[1].last_exit.as_ref().unwrap();
    assert_eq!(last_exit.to_string(), "failed: no luck");
    assert_eq!(supervisor.shutdown().clean, ["failing", "steady"]);
}

#[test]
fn permanent_always_transient_after_failure_temporary_never() {
    for (restart, fails, starts) in [
        (Restart::Permanent, false, 2),
        (Restart::Permanent, true, 2),
        (Restart::Transient, false, 1),
        (Restart::Transient, true, 2),
        (Restart::Temporary, false, 1),
        (Restart::Temporary, true, 1),
    ] {
        let (runs, seen) = mpsc::channel();
        let (go, wait) = mpsc::sync_channel::<()>(0);
        let wait = std::sync::Mutex::new(wait);
        let child = ChildSpec::worker("child", move |me| -> Result<(), &str> {
            runs.send(me.me().clone()).unwrap();
            if me.number() > 1 {
                until_stopped(me);
                return Ok(());
            }
            wait.lock().unwrap().recv().unwrap();
            if fails { Err("as told") } else { Ok(()) }
        });
        let supervisor = Supervisor::builder("app")
            .child(child.restart(restart))
            .start()
            .unwrap();
        let inbox = Inbox::new();
        inbox.monitor(&seen.recv_timeout(PATIENCE).unwrap());
        go.send(()).unwrap();
        assert!(inbox.recv_timeout(PATIENCE).is_some());
        if starts == 2 {
            assert_eq!(seen.recv_timeout(PATIENCE).unwrap().incarnation(), 2);
        }
        // Stopping is ordered after whatever the exit led to.
        let handle = supervisor.handle();
        if starts == 1 {
            let stopped = || match restart {
                Restart::Temporary => handle.count().specs == 0,
                _ => handle.children()[0].state == ChildState::Stopped,
            };
            wait_until(stopped);
            assert_eq!(handle.child("child"), None);
        }
        drop(supervisor.shutdown());
        assert!(seen.try_recv().is_err(), "{restart:?}, fails: {fails}");
    }
}

/// The machine is stepped after the `Down`, so its state follows shortly.
fn wait_until(condition: impl Fn() -> bool) {
    let give_up = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < give_up, "waited in vain");
        std::thread::yield_now();
    }
}
