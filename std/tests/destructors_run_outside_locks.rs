//! Destructors of users' values run where they may do what they like: outside every lock, contained,
//! and before the end is known that they belong to.

use bedplate::monitor::Inbox;
use bedplate::supervisor::{ChildSpec, Restart, Stop, SupRef, Supervisor};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `body`, which would hang if the promise were broken.
fn in_time(body: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        body();
        done.send(()).ok();
    });
    is_done
        .recv_timeout(PATIENCE)
        .expect("neither panicked nor hung");
}

/// Asks the supervisor for its counts when it is dropped, and may panic.
struct Curious {
    supervisor: Arc<OnceLock<SupRef>>,
    dropped: Arc<AtomicBool>,
    panics: bool,
}

impl Drop for Curious {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.get() {
            let _ = supervisor.count();
        }
        // Release: pairs with Acquire in the test.
        self.dropped.store(true, Ordering::Release);
        assert!(!self.panics, "the destructor of a callback's capture");
    }
}

/// A callback whose guard outlives its body once was dropped under the supervisor's lock, after the
/// `Down`.
#[test]
fn a_callback_does_not_outlive_its_incarnation() {
    for panics in [false, true] {
        in_time(move || {
            let supervisor = Arc::new(OnceLock::new());
            let dropped = Arc::new(AtomicBool::new(false));
            let (go, wait) = mpsc::channel::<()>();
            let (started, starts) = mpsc::channel();
            let (theirs, their_drop) = (supervisor.clone(), dropped.clone());
            let wait = Mutex::new(wait);
            let kept = Mutex::new(Vec::new());
            let child = ChildSpec::worker("child", move |me| {
                started.send(me.number()).unwrap();
                if me.number() == 1 {
                    let curious = Curious {
                        supervisor: theirs.clone(),
                        dropped: their_drop.clone(),
                        panics,
                    };
                    let guard = me.stop().on_stop(move || drop(curious));
                    kept.lock().unwrap().push(guard);
                    wait.lock().unwrap().recv().unwrap();
                } else {
                    while !me.stop().wait(PATIENCE) {}
                }
            })
            .stop(Stop::Forever);
            let running = Supervisor::builder("app").child(child).start().unwrap();
            supervisor.set(running.handle()).unwrap();
            assert_eq!(starts.recv_timeout(PATIENCE), Ok(1));
            let inbox = Inbox::new();
            inbox.monitor(&running.handle().child("child").unwrap());
            go.send(()).unwrap();
            inbox.recv_timeout(PATIENCE).expect("it ends");
            // Acquire: pairs with Release in the destructor.
            assert!(
                dropped.load(Ordering::Acquire),
                "its values are gone when its end is known"
            );
            assert_eq!(starts.recv_timeout(PATIENCE), Ok(2));
            assert_eq!(running.shutdown().clean, ["child"]);
        });
    }
}

/// An error whose destructor panics.
#[derive(Debug)]
struct Touchy;

impl fmt::Display for Touchy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("do not drop")
    }
}

impl core::error::Error for Touchy {}

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(thread::panicking(), "the destructor of an error");
    }
}

/// Whoever delivers to an inbox may be its last owner, and of what is queued in it. That once cost a
/// child its supervisor.
#[test]
fn an_inbox_dropped_during_delivery_takes_nobody_along() {
    in_time(|| {
        for _ in 0..60 {
            let (go, wait) = mpsc::channel::<()>();
            let wait = Mutex::new(wait);
            let (started, starts) = mpsc::channel();
            let a = ChildSpec::worker("a", |_| Err::<(), _>(Touchy)).restart(Restart::Temporary);
            let b = ChildSpec::worker("b", move |me| {
                started.send(me.number()).unwrap();
                if me.number() == 1 {
                    wait.lock().unwrap().recv().unwrap();
                } else {
                    while !me.stop().wait(PATIENCE) {}
                }
            });
            let supervisor = Supervisor::builder("app")
                .child(b)
                .child(a)
                .start()
                .unwrap();
            assert_eq!(starts.recv_timeout(PATIENCE), Ok(1));
            let inbox = Inbox::new();
            if let Some(a) = supervisor.handle().child("a") {
                inbox.monitor(&a);
                // This may be the last to hold the error.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(a)));
            }
            let b = supervisor.handle().child("b").unwrap();
            for _ in 0..500 {
                inbox.monitor(&b);
            }
            go.send(()).unwrap();
            // While b delivers; and what it leaves here may panic here.
            let dropping = thread::spawn(move || drop(inbox));
            assert_eq!(starts.recv_timeout(PATIENCE), Ok(2), "b is restarted");
            let _ = dropping.join();
            // The report may be the last to hold the error.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(supervisor.shutdown())));
        }
    });
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        assert!(thread::panicking(), "the destructor of a capture");
    }
}

/// Of two that panic one after the other, the second once aborted the process.
#[test]
fn every_child_may_have_a_capture_that_panics_when_dropped() {
    in_time(|| {
        let mut builder = Supervisor::builder("app");
        for number in 0..4 {
            let capture = PanicsOnDrop;
            builder = builder.child(ChildSpec::worker(format!("child-{number}"), move |me| {
                let _ = &capture;
                while !me.stop().wait(PATIENCE) {}
            }));
        }
        let supervisor = builder.start().unwrap();
        assert_eq!(supervisor.shutdown().clean.len(), 4);
    });
}

/// A capture that owns a supervisor and shuts it down when it is dropped, which is when that very
/// supervisor ends.
#[test]
fn a_capture_may_wait_for_the_supervisor_it_belongs_to() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);

    struct Owns(Arc<Mutex<Option<Supervisor>>>);
    impl Drop for Owns {
        fn drop(&mut self) {
            let owned = self.0.lock().unwrap().take();
            if let Some(supervisor) = owned {
                let _ = supervisor.shutdown();
                ENDED.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    in_time(|| {
        let slot = Arc::new(Mutex::new(None));
        let capture = Owns(slot.clone());
        let child = ChildSpec::worker("child", move |me| {
            let _ = &capture;
            while !me.stop().wait(PATIENCE) {}
        });
        let supervisor = Supervisor::builder("app").child(child).start().unwrap();
        let handle = supervisor.handle();
        *slot.lock().unwrap() = Some(supervisor);
        drop(slot);
        let inbox = Inbox::new();
        inbox.monitor(&handle.child("child").unwrap());
        handle.request_stop();
        inbox.recv_timeout(PATIENCE).expect("it ends");
        while ENDED.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
    });
}
