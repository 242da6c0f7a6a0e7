//! Models of an end and of who is told: `std/src/process/{child,table}.rs` and `std/src/monitor.rs`.

use crate::monitor::Inbox;
use crate::process::{self, ExitReason};
use crate::{HOUR, born, model};
use loom_tests::thread;

const ABANDONED: ExitReason = ExitReason::Abandoned { after: HOUR };

/// Nobody is alive, and nothing is watched or queued.
fn at_rest(inbox: &Inbox) {
    assert_eq!(process::alive(), 0);
    let at_rest = "Inbox { watching: 0, queued: 0 }";
    assert_eq!(format!("{inbox:?}"), at_rest);
}

/// A child is monitored while it ends: its end is told once, with its reason.
#[test]
fn a_monitor_against_an_end() {
    model(|| {
        let child = born(1);
        let dying = child.clone();
        let end = thread::spawn(move || assert!(dying.end(ExitReason::Normal)));
        let inbox = Inbox::new();
        let monitor = inbox.monitor(&child);
        end.join().expect("no panic");
        let down = inbox.try_recv().expect("it is over");
        assert_eq!((down.monitor, &down.child), (monitor, &child));
        assert!(matches!(down.reason, ExitReason::Normal));
        at_rest(&inbox);
    });
}

/// Whoever waits for the news of an end is woken by it, and finds the child out of the table.
#[test]
fn a_wait_for_an_end() {
    model(|| {
        let child = born(1);
        let inbox = Inbox::new();
        let monitor = inbox.monitor(&child);
        let dying = child.clone();
        let end = thread::spawn(move || assert!(dying.end(ExitReason::Normal)));
        let down = inbox.recv_timeout(HOUR).expect("it ends");
        assert_eq!(down.monitor, monitor);
        assert!(!child.is_alive());
        assert_eq!(process::find(child.pid()), None);
        end.join().expect("no panic");
        at_rest(&inbox);
    });
}

/// A monitor is taken back while the child ends, by who may have been told before: nothing comes afterwards, and it is
/// either told or taken back.
#[test]
fn a_monitor_taken_back_against_an_end() {
    model(|| {
        let child = born(1);
        let inbox = Inbox::new();
        let monitor = inbox.monitor(&child);
        let dying = child.clone();
        let end = thread::spawn(move || assert!(dying.end(ExitReason::Normal)));
        let was_told = inbox.try_recv().is_some();
        let was_taken_back = inbox.demonitor(monitor);
        assert!(was_told != was_taken_back);
        assert!(inbox.try_recv().is_none());
        end.join().expect("no panic");
        at_rest(&inbox);
        assert!(!inbox.demonitor(monitor));
    });
}

/// A child ends while it is abandoned: it has ended in one way, and that is told once.
#[test]
fn an_end_against_an_abandonment() {
    model(|| {
        let child = born(1);
        let inbox = Inbox::new();
        let monitor = inbox.monitor(&child);
        let dying = child.clone();
        let end = thread::spawn(move || dying.end(ExitReason::Normal));
        let was_abandoned = child.end(ABANDONED);
        let ended = end.join().expect("no panic");
        assert!(ended != was_abandoned, "there is one end");
        let down = inbox.try_recv().expect("it is over");
        assert_eq!(down.monitor, monitor);
        for reason in [Some(down.reason), child.exit_reason()] {
            match reason {
                Some(ExitReason::Normal) => assert!(ended),
                Some(ExitReason::Abandoned { .. }) => assert!(was_abandoned),
                other => panic!("{other:?}"),
            }
        }
        at_rest(&inbox);
    });
}

/// A child is monitored by its identity while it ends and its successor takes the same slot: it is answered for the one
/// that was meant, and the successor is not watched.
#[test]
fn a_monitor_by_identity_against_a_restart() {
    model(|| {
        let first = born(1);
        let pid = first.pid();
        let restart = thread::spawn(move || {
            assert!(first.end(ExitReason::Normal));
            born(2)
        });
        let inbox = Inbox::new();
        let monitor = inbox.monitor_pid(pid);
        let second = restart.join().expect("no panic");
        assert_eq!(second.pid().slot(), pid.slot(), "or this shows nothing");
        let down = inbox.try_recv().expect("the first is over");
        assert_eq!((down.monitor, down.child.pid()), (monitor, pid));
        assert!(matches!(down.reason, ExitReason::Normal | ExitReason::Gone));
        assert!(second.end(ExitReason::Shutdown));
        assert!(inbox.try_recv().is_none());
        at_rest(&inbox);
    });
}
