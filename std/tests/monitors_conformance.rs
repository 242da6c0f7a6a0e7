//! Monitors, by the numbers of the conformance cases and of the project's list of failure cases.

use bedplate::monitor::{Inbox, MonitorRef};
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildRef, ChildSpec, Incarnation, Restart, Supervisor};
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(120);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

/// A supervisor of one child, and that.
fn one() -> (Supervisor, ChildRef) {
    let child = ChildSpec::worker("child", obedient).restart(Restart::Temporary);
    let supervisor = Supervisor::builder("app").child(child).start().unwrap();
    let child = supervisor.handle().child("child").unwrap();
    (supervisor, child)
}

/// The same when the child has ended.
fn one_that_is_over() -> (Supervisor, ChildRef) {
    let (supervisor, child) = one();
    supervisor.handle().terminate("child").unwrap();
    (supervisor, child)
}

/// Nothing is watched, and nothing has come.
fn is_empty(inbox: &Inbox) -> bool {
    format!("{inbox:?}") == "Inbox { watching: 0, queued: 0 }"
}

#[test]
fn p7_f84_a_live_child_is_watched_and_of_a_dead_one_it_is_told_at_once() {
    let (supervisor, live) = one();
    let inbox = Inbox::new();
    let monitor = inbox.monitor(&live);
    assert!(inbox.try_recv().is_none());
    let _report = supervisor.shutdown();
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert_eq!((down.monitor, &down.child), (monitor, &live));

    let (_supervisor, dead) = one_that_is_over();
    let monitor = inbox.monitor(&dead);
    let down = inbox.try_recv().expect("it is there already");
    assert_eq!(down.monitor, monitor);
    assert!(matches!(down.reason, ExitReason::Shutdown), "it is kept");

    let pid = dead.pid();
    inbox.monitor_pid(pid);
    let down = inbox.try_recv().expect("it is there already");
    assert!(
        matches!(down.reason, ExitReason::Gone),
        "nobody has kept it"
    );
    assert!(is_empty(&inbox));
}

#[test]
fn p8_f87_what_is_not_there_cannot_be_taken_back() {
    let (supervisor, child) = one();
    let (inbox, other) = (Inbox::new(), Inbox::new());
    let monitor = inbox.monitor(&child);
    assert!(!other.demonitor(monitor), "it is another one's");
    assert!(inbox.demonitor(monitor));
    assert!(!inbox.demonitor(monitor), "it was taken back");
    let received = inbox.monitor(&child);
    let _report = supervisor.shutdown();
    inbox.recv_timeout(PATIENCE).unwrap();
    assert!(!inbox.demonitor(received), "it was received");
    assert!(inbox.try_recv().is_none() && is_empty(&inbox));
}

#[test]
fn p10_f88_monitors_of_an_inbox_go_with_it() {
    const MANY: usize = 100_000;

    let (supervisor, child) = one();
    let (inbox, other) = (Inbox::new(), Inbox::new());
    for _ in 0..MANY {
        inbox.monitor(&child);
    }
    let kept = other.monitor(&child);
    assert_eq!(
        format!("{inbox:?}"),
        format!("Inbox {{ watching: {MANY}, queued: 0 }}")
    );
    drop(inbox);
    let _report = supervisor.shutdown();
    assert_eq!(other.recv_timeout(PATIENCE).unwrap().monitor, kept);
    assert!(other.try_recv().is_none());
}

#[test]
fn p11_monitors_that_come_and_go_leave_nothing() {
    const THREADS: usize = 10;
    const ROUNDS: usize = 1_000;

    let (supervisor, child) = one();
    let inbox = Inbox::new();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    let monitor = inbox.monitor(&child);
                    assert!(inbox.demonitor(monitor));
                }
            });
        }
    });
    assert!(is_empty(&inbox));
    let _report = supervisor.shutdown();
    assert!(inbox.try_recv().is_none());
}

#[test]
fn f86_each_of_two_monitors_is_answered() {
    let (supervisor, child) = one();
    let inbox = Inbox::new();
    let expected = BTreeSet::from([(); 2].map(|()| inbox.monitor(&child)));
    assert_eq!(expected.len(), 2);
    let _report = supervisor.shutdown();
    let told: BTreeSet<MonitorRef> = [(); 2]
        .map(|()| inbox.recv_timeout(PATIENCE).unwrap().monitor)
        .into();
    assert_eq!(told, expected);
    assert!(is_empty(&inbox));
}

#[test]
fn f89_a_death_reaches_ten_thousand_who_watch() {
    const MANY: usize = 10_000;

    let (supervisor, child) = one();
    let inboxes: Vec<Inbox> = (0..MANY).map(|_| Inbox::new()).collect();
    for inbox in &inboxes {
        inbox.monitor(&child);
    }
    let _report = supervisor.shutdown();
    for inbox in &inboxes {
        assert!(inbox.recv_timeout(PATIENCE).unwrap().reason.is_clean());
    }
}

#[test]
fn f92_children_may_watch_themselves_and_each_other() {
    let (tell, told) = mpsc::channel::<Inbox>();
    let inboxes = Mutex::new(Some(tell));
    let alone = ChildSpec::worker("alone", move |me| {
        let inbox = Inbox::new();
        inbox.monitor(me.me());
        let inboxes = inboxes.lock().unwrap().take().unwrap();
        inboxes.send(inbox).unwrap();
        obedient(me);
    });
    let pair = |id: &'static str, other: &'static str| {
        ChildSpec::worker(id, move |me| {
            let inbox = Inbox::new();
            while !me.stop().is_stopped() {
                if let Some(child) = me.supervisor().child(other) {
                    inbox.monitor(&child);
                    break;
                }
                std::thread::yield_now();
            }
            obedient(me);
        })
    };
    let supervisor = Supervisor::builder("app")
        .child(alone)
        .child(pair("a", "b"))
        .child(pair("b", "a"))
        .start()
        .unwrap();
    let inbox = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["b", "a", "alone"]);
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert_eq!(down.child.id(), "alone");
}
