//! Every monitor is answered once: early, late, twice, in a race; and never after `demonitor`.

use bedplate::monitor::{Inbox, MonitorRef};
use bedplate::process::{self, ExitReason};
use bedplate::supervisor::{ChildSpec, Restart, Supervisor};
use core::time::Duration;
use std::sync::{Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(30);

/// A temporary child that ends when told to, or when the sender is dropped.
fn ends_when_told(id: &str) -> (ChildSpec, mpsc::Sender<()>) {
    let (end, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let spec = ChildSpec::worker(id, move |_| {
        let _told = wait.lock().unwrap().recv();
    });
    (spec.restart(Restart::Temporary), end)
}

#[test]
fn before_and_after_the_end() {
    let (spec, end) = ends_when_told("child");
    let supervisor = Supervisor::builder("app").child(spec).start().unwrap();
    let child = supervisor.handle().child("child").unwrap();
    assert_eq!(process::find(child.pid()), Some(child.clone()));

    let inbox = Inbox::new();
    let early = [inbox.monitor(&child), inbox.monitor_pid(child.pid())];
    assert!(inbox.try_recv().is_none());
    end.send(()).unwrap();
    for monitor in early {
        let down = inbox.recv_timeout(PATIENCE).unwrap();
        assert_eq!(down.monitor, monitor);
        assert_eq!(down.child, child);
        assert!(matches!(down.reason, ExitReason::Normal));
    }
    assert!(!child.is_alive());
    assert_eq!(process::find(child.pid()), None);

    let late = inbox.monitor(&child);
    let down = inbox
        .try_recv()
        .expect("it is there when `monitor` returns");
    assert_eq!(down.monitor, late);
    assert!(matches!(down.reason, ExitReason::Normal));

    let too_late = inbox.monitor_pid(child.pid());
    let down = inbox.try_recv().unwrap();
    assert_eq!(down.monitor, too_late);
    assert!(matches!(down.reason, ExitReason::Gone));
    assert!(inbox.try_recv().is_none());
}

#[test]
fn never_after_demonitor() {
    let (spec, end) = ends_when_told("child");
    let supervisor = Supervisor::builder("app").child(spec).start().unwrap();
    let child = supervisor.handle().child("child").unwrap();
    let (inbox, witness) = (Inbox::new(), Inbox::new());

    let taken_back = inbox.monitor(&child);
    assert!(inbox.demonitor(taken_back));
    assert!(!inbox.demonitor(taken_back));
    let queued = inbox.monitor(&child);
    witness.monitor(&child);
    assert!(!witness.demonitor(queued), "it belongs to another inbox");
    end.send(()).unwrap();
    witness.recv_timeout(PATIENCE).unwrap();

    // Monitors are answered in their order, so this one is queued.
    assert!(inbox.demonitor(queued));
    assert!(inbox.try_recv().is_none());
    let received = inbox.monitor(&child);
    assert!(inbox.try_recv().is_some());
    assert!(!inbox.demonitor(received));
}

#[test]
fn f83_when_monitors_race_with_the_end() {
    for round in 0..200 {
        let (spec, end) = ends_when_told("child");
        let supervisor = Supervisor::builder("app").child(spec).start().unwrap();
        let child = supervisor.handle().child("child").unwrap();
        let inbox = Inbox::new();
        let (kept, taken_back) = std::thread::scope(|scope| {
            let keeper = scope.spawn(|| (0..20).map(|_| inbox.monitor(&child)).collect::<Vec<_>>());
            let taker = scope.spawn(|| {
                let pairs = (0..20).map(|_| inbox.monitor(&child));
                pairs
                    .filter(|&monitor| inbox.demonitor(monitor))
                    .collect::<Vec<_>>()
            });
            if round % 2 == 0 {
                end.send(()).unwrap();
            } else {
                drop(end);
            }
            (keeper.join().unwrap(), taker.join().unwrap())
        });
        // Nobody has received in the meantime, so each could still be taken back.
        assert_eq!(taken_back.len(), 20);
        let mut answered = Vec::<MonitorRef>::new();
        for _ in &kept {
            let down = inbox.recv_timeout(PATIENCE).unwrap();
            answered.push(down.monitor);
        }
        answered.sort_unstable();
        assert_eq!(answered, kept);
        assert!(inbox.try_recv().is_none());
    }
}

#[test]
fn also_to_many_watchers_and_past_dropped_inboxes() {
    let (spec, end) = ends_when_told("child");
    let supervisor = Supervisor::builder("app").child(spec).start().unwrap();
    let child = supervisor.handle().child("child").unwrap();
    let inboxes = (0..100).map(|_| Inbox::new()).collect::<Vec<_>>();
    for inbox in &inboxes {
        inbox.monitor(&child);
        let dropped = Inbox::new();
        dropped.monitor(&child);
    }
    end.send(()).unwrap();
    for inbox in &inboxes {
        assert!(inbox.recv_timeout(PATIENCE).is_some());
        assert!(inbox.try_recv().is_none());
    }
}

#[test]
fn f85_for_each_incarnation_its_own() {
    let inbox = Inbox::new();
    let (runs, seen) = mpsc::channel();
    let crashing = ChildSpec::worker("crashing", move |me| -> () {
        let (go, wait) = mpsc::channel::<()>();
        runs.send((me.me().clone(), go)).unwrap();
        wait.recv().unwrap();
        panic!("crash {}", me.number());
    });
    let supervisor = Supervisor::builder("app").child(crashing).start().unwrap();
    for number in 1..=3 {
        let (child, go) = seen.recv_timeout(PATIENCE).unwrap();
        assert_eq!(child.incarnation(), number);
        let monitor = inbox.monitor(&child);
        go.send(()).unwrap();
        let down = inbox.recv_timeout(PATIENCE).unwrap();
        assert_eq!((down.monitor, down.child), (monitor, child));
        let ExitReason::Panicked(report) = down.reason else {
            panic!("{}", down.reason)
        };
        assert_eq!(report.message, format!("crash {number}"));
    }
    // The fourth waits for `go`, whose sender goes with the queue: it crashes and is not restarted.
    drop(seen);
    assert!(matches!(supervisor.wait(), ExitReason::GaveUp(_)));
}

#[test]
fn whoever_was_woken_for_nothing_is_woken_again() {
    const RECEIVERS: usize = 4;
    let inbox = Inbox::new();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..RECEIVERS {
            let (inbox, tell) = (&inbox, tell.clone());
            // For longer than somebody waits below that it be told.
            scope.spawn(move || tell.send(inbox.recv_timeout(PATIENCE * 2).is_some()));
        }
        for _ in 0..RECEIVERS {
            // Each end wakes all, and is for one of them; the others go to sleep again.
            std::thread::sleep(Duration::from_millis(20));
            let (spec, end) = ends_when_told("one");
            let supervisor = Supervisor::builder("app").child(spec).start().unwrap();
            inbox.monitor(&supervisor.handle().child("one").unwrap());
            drop(end);
            assert_eq!(told.recv_timeout(PATIENCE), Ok(true));
        }
    });
}
