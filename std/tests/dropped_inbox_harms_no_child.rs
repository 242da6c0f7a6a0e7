//! An inbox that is dropped while a child delivers to it leaves the child nothing to drop.

mod alone;

use alone::alone;
use bedplate::monitor::Inbox;
use bedplate::supervisor::{ChildSpec, Restart, Supervisor};
use core::fmt;
use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};

const PATIENCE: Duration = Duration::from_secs(30);

/// Only the thread that owned the inbox may drop it.
#[derive(Debug)]
struct Mine(ThreadId, Arc<AtomicBool>);

impl Drop for Mine {
    fn drop(&mut self) {
        if thread::current().id() != self.0 {
            // Relaxed: a flag that is read after the thread's end was seen.
            self.1.store(true, Ordering::Relaxed);
            panic!("destructor of an error");
        }
    }
}

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mine")
    }
}

impl core::error::Error for Mine {}

/// The inbox holds the error of `failing`, and `busy` delivers to it while it is dropped.
fn round() {
    let elsewhere = Arc::new(AtomicBool::new(false));
    let (fail, wait) = mpsc::channel::<()>();
    let (wait, owner, seen) = (Mutex::new(wait), thread::current().id(), elsewhere.clone());
    let failing = ChildSpec::worker("failing", move |_| -> Result<(), Mine> {
        wait.lock().unwrap().recv().unwrap_err();
        Err(Mine(owner, seen.clone()))
    });
    let (end, wait) = mpsc::channel::<()>();
    let (wait, (runs, run)) = (Mutex::new(wait), mpsc::channel());
    let busy = ChildSpec::worker("busy", move |me| {
        runs.send(me.number()).unwrap();
        if me.number() == 1 {
            wait.lock().unwrap().recv().unwrap_err();
            return;
        }
        while !me.stop().wait(PATIENCE) {}
    });
    let supervisor = Supervisor::builder("app")
        .child(failing.restart(Restart::Temporary))
        .child(busy)
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let inbox = Inbox::new();
    inbox.monitor(&handle.child("failing").unwrap());
    let first = handle.child("busy").unwrap();
    for _ in 0..20_000 {
        inbox.monitor(&first);
    }
    drop(fail);
    // Its entry is forgotten and its thread has let go: the `Down` has the error alone.
    while handle.count().specs > 1 || bedplate::process::threads() > 1 {
        thread::yield_now();
    }
    thread::sleep(Duration::from_millis(5));
    assert_eq!(run.recv_timeout(PATIENCE), Ok(1));
    drop(end);
    while first.is_alive() {
        core::hint::spin_loop();
    }
    drop(inbox);
    assert_eq!(run.recv_timeout(PATIENCE), Ok(2), "the supervisor was told");
    // Relaxed: the thread that would have set it has told its supervisor since.
    assert!(!elsewhere.load(Ordering::Relaxed));
    assert_eq!(supervisor.shutdown().clean, ["busy"]);
}

#[test]
fn nor_its_supervisor() {
    alone("nor_its_supervisor", || (0..40).for_each(|_| round()));
}
