//! A child that does not stop in time is shut out: one `Down`, no second life, nobody waits.

use bedplate::monitor::Inbox;
use bedplate::process::{self, ExitReason};
use bedplate::supervisor::{ChildSpec, Ready, Restart, Stop, Supervisor};
use core::time::Duration;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_millis(20);

#[test]
fn f76_f78_and_its_late_end_is_nobodys_news() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (ended, seen) = mpsc::channel();
    let deaf = ChildSpec::worker("deaf", move |_| {
        held.lock().unwrap().recv().unwrap_err();
        ended.send(()).unwrap();
    });
    let polite = ChildSpec::worker("polite", |me| while !me.stop().wait(PATIENCE) {});
    let supervisor = Supervisor::builder("app")
        .child(polite)
        .child(deaf.stop(Stop::Within(LIMIT)))
        .start()
        .unwrap();
    let inbox = Inbox::new();
    let child = supervisor.handle().child("deaf").unwrap();
    inbox.monitor(&child);

    let report = supervisor.shutdown();
    assert_eq!(report.abandoned, ["deaf"]);
    assert_eq!(report.clean, ["polite"]);
    assert!(report.took >= LIMIT);
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(
        down.reason,
        ExitReason::Abandoned { after: LIMIT }
    ));
    assert!(!child.is_alive());
    assert_eq!(process::find(child.pid()), None);

    drop(release);
    seen.recv_timeout(PATIENCE).unwrap();
    assert!(
        seen.recv_timeout(PATIENCE).is_err(),
        "the body is gone, and its captures with it"
    );
    assert!(inbox.try_recv().is_none());
    assert!(matches!(
        child.exit_reason(),
        Some(ExitReason::Abandoned { .. })
    ));
}

#[test]
fn even_if_nobody_waits_for_the_supervisor() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let deaf = ChildSpec::worker("deaf", move |_| {
        held.lock().unwrap().recv().unwrap_err();
    });
    let supervisor = Supervisor::builder("app")
        .child(deaf.stop(Stop::Within(LIMIT)))
        .start()
        .unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("deaf").unwrap());
    drop(supervisor);
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(down.reason, ExitReason::Abandoned { .. }));
    drop(release);
}

#[test]
fn even_if_the_callback_that_should_end_it_hangs() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(Some(held));
    let (ready, is_ready) = mpsc::channel();
    let hanging = ChildSpec::worker("hanging", move |me| -> () {
        let held = held.lock().unwrap().take().unwrap();
        let _guard = me.stop().on_stop(move || {
            held.recv().unwrap_err();
        });
        ready.send(()).unwrap();
        loop {
            std::thread::park();
        }
    });
    let supervisor = Supervisor::builder("app")
        .child(hanging.stop(Stop::Within(LIMIT)))
        .start()
        .unwrap();
    is_ready.recv_timeout(PATIENCE).unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("hanging").unwrap());
    let stopper = std::thread::spawn(move || supervisor.shutdown());
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(down.reason, ExitReason::Abandoned { .. }));
    drop(release);
    assert_eq!(stopper.join().unwrap().abandoned, ["hanging"]);
}

#[test]
fn even_after_a_sibling_whose_capture_hangs_when_dropped() {
    struct Hangs(Mutex<mpsc::Receiver<()>>);
    impl Drop for Hangs {
        fn drop(&mut self) {
            self.0.lock().unwrap().recv().unwrap_err();
        }
    }
    let (release, held) = mpsc::channel::<()>();
    let deaf = |held: mpsc::Receiver<()>| {
        let held = Mutex::new(held);
        let spec = ChildSpec::worker("deaf", move |_| {
            held.lock().unwrap().recv().unwrap_err();
        });
        spec.stop(Stop::Within(LIMIT))
    };
    let hangs = Hangs(Mutex::new(held));
    let quick = ChildSpec::worker("quick", move |_| {
        let _all_of_it = &hangs;
    });
    let (release_deaf, held) = mpsc::channel::<()>();
    let supervisor = Supervisor::builder("one")
        .child(deaf(held))
        .child(quick.restart(Restart::Transient))
        .start()
        .unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("deaf").unwrap());
    drop(supervisor);
    inbox.recv_timeout(PATIENCE).unwrap();

    // The deadlines of other supervisors are watched all the same.
    let (_release, held) = mpsc::channel::<()>();
    let other = Supervisor::builder("two")
        .child(deaf(held))
        .start()
        .unwrap();
    inbox.monitor(&other.handle().child("deaf").unwrap());
    drop(other);
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(down.reason, ExitReason::Abandoned { .. }));
    drop((release, release_deaf));
}

#[test]
fn f81_and_counts_no_more_also_if_it_declines_while_the_next_one_starts() {
    let (begun, begins) = mpsc::channel();
    let child = ChildSpec::worker("undecided", move |_| {
        let (release, held) = mpsc::channel::<()>();
        begun.send(release).unwrap();
        held.recv().unwrap_err();
        ExitReason::Declined
    });
    let ready = Ready::Signalled { within: PATIENCE };
    let child = child.ready(ready).stop(Stop::Within(LIMIT));
    let supervisor = Supervisor::builder("app").max_abandoned(1).start().unwrap();
    let handle = supervisor.handle();
    let own = handle.clone();
    let starter = thread::spawn(move || own.start_child(child).map(drop));
    let first = begins.recv_timeout(PATIENCE).unwrap();
    handle.terminate("undecided").unwrap();
    assert!(starter.join().unwrap().is_err());
    let own = handle.clone();
    let starter = thread::spawn(move || own.restart("undecided").map(drop));
    let second = begins.recv_timeout(PATIENCE).unwrap();
    assert_eq!(handle.count().abandoned, 1);
    drop(first);
    let began = Instant::now();
    while handle.count().abandoned > 0 {
        assert!(began.elapsed() < 4 * PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
    // It is the only one now, and not one too many.
    handle.terminate("undecided").unwrap();
    assert!(starter.join().unwrap().is_err());
    let count = handle.count();
    assert_eq!((count.specs, count.abandoned), (1, 1));
    drop(second);
}
