//! No code of a user runs under a supervisor's lock: its handles answer in callbacks, in bodies and
//! in destructors, whatever is going on.

use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Restart, Stop, SupRef, Supervisor};
use core::fmt;
use core::time::Duration;
use std::sync::{Mutex, OnceLock, mpsc};

const PATIENCE: Duration = Duration::from_secs(30);

static HANDLE: OnceLock<SupRef> = OnceLock::new();
static ASKED: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// Asks the supervisor about its children, and notes that it got an answer.
fn ask(whence: &'static str) {
    if let Some(handle) = HANDLE.get() {
        let (children, counts) = (handle.children(), handle.count());
        assert!(children.len() <= 3 && counts.specs <= 3);
        ASKED.lock().unwrap().push(whence);
    }
}

/// An error, and a value that is captured: both ask when they are dropped.
#[derive(Debug)]
struct AsksWhenDropped(&'static str);

impl Drop for AsksWhenDropped {
    fn drop(&mut self) {
        ask(self.0);
    }
}

impl fmt::Display for AsksWhenDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for AsksWhenDropped {}

#[test]
fn because_no_code_of_a_user_runs_under_the_lock() {
    let (ready, is_ready) = mpsc::channel();
    let patient = ChildSpec::worker("patient", {
        let (capture, ready) = (AsksWhenDropped("capture"), ready.clone());
        move |me| {
            let _all_of_it = &capture;
            let (called, was_called) = mpsc::channel();
            let _guard = me.stop().on_stop(move || {
                ask("callback");
                called.send(()).unwrap();
            });
            ready.send("patient").unwrap();
            was_called.recv_timeout(PATIENCE).unwrap();
            ask("body");
        }
    });
    let failing = ChildSpec::worker("failing", {
        let ready = ready.clone();
        move |me| {
            while HANDLE.get().is_none() {
                std::thread::yield_now();
            }
            if me.number() <= 3 {
                return Err(AsksWhenDropped("error"));
            }
            ready.send("failing").unwrap();
            while !me.stop().wait(PATIENCE) {}
            Ok(())
        }
    });
    let temporary = ChildSpec::worker("temporary", {
        let capture = AsksWhenDropped("forgotten");
        move |_| -> () {
            let _all_of_it = &capture;
            while HANDLE.get().is_none() {
                std::thread::yield_now();
            }
            std::panic::panic_any(AsksWhenDropped("payload"));
        }
    });
    let supervisor = Supervisor::builder("app")
        .child(patient.stop(Stop::Forever))
        .child(failing)
        .child(temporary.restart(Restart::Temporary))
        .start()
        .unwrap();
    let handle = HANDLE.get_or_init(|| supervisor.handle());
    for _ in 0..2 {
        is_ready.recv_timeout(PATIENCE).unwrap();
    }
    handle.request_stop();
    assert!(matches!(supervisor.wait(), ExitReason::Shutdown));
    let asked = ASKED.lock().unwrap();
    for whence in [
        "callback",
        "body",
        "capture",
        "error",
        "payload",
        "forgotten",
    ] {
        assert!(asked.contains(&whence), "{whence} is not among {asked:?}");
    }
}
