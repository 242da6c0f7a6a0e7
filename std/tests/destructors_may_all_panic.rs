//! However many of a user's values panic when they are dropped, each does so alone: the process
//! lives.

mod alone;

use alone::alone;
use bedplate::monitor::Inbox;
use bedplate::supervisor::{ChildSpec, Restart, Supervisor};
use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("a destructor");
    }
}

impl fmt::Display for Explosive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("explosive")
    }
}

impl core::error::Error for Explosive {}

fn capturing(id: &str) -> ChildSpec {
    let capture = Explosive;
    ChildSpec::worker(id, move |me| {
        let _all_of_it = &capture;
        while !me.stop().wait(PATIENCE) {}
    })
}

fn failing(id: &str) -> ChildSpec {
    ChildSpec::worker(id, |me| -> Result<(), Explosive> {
        while !me.stop().wait(PATIENCE) {}
        Err(Explosive)
    })
}

#[test]
fn captures_of_several_bodies() {
    alone("captures_of_several_bodies", || {
        let supervisor = Supervisor::builder("app")
            .child(capturing("a"))
            .child(capturing("b"))
            .child(capturing("c"))
            .start()
            .unwrap();
        assert_eq!(supervisor.shutdown().clean, ["c", "b", "a"]);
    });
}

#[test]
fn callbacks_that_were_not_called() {
    alone("callbacks_that_were_not_called", || {
        // Guards that outlive the body they were made in.
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keeping = Arc::clone(&kept);
        let spec = ChildSpec::worker("child", move |me| {
            for _ in 0..2 {
                let capture = Explosive;
                let guard = me.stop().on_stop(move || {
                    let _all_of_it = &capture;
                });
                keeping.lock().unwrap().push(guard);
            }
        });
        let supervisor = Supervisor::builder("app")
            .child(spec.restart(Restart::Temporary))
            .start()
            .unwrap();
        while supervisor.handle().count().specs > 0 {
            std::thread::yield_now();
        }
        assert_eq!(supervisor.shutdown().clean.len(), 0);
        assert_eq!(kept.lock().unwrap().len(), 2);
    });
}

#[test]
fn errors_in_a_report_that_nobody_takes() {
    alone("errors_in_a_report_that_nobody_takes", || {
        let supervisor = Supervisor::builder("app")
            .child(failing("a"))
            .child(failing("b"))
            .start()
            .unwrap();
        let handle = supervisor.handle();
        drop(supervisor);
        // The last thread that knows the supervisor drops what it knew.
        while bedplate::process::threads() > 0 || handle.count().specs > 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(50));
    });
}

#[test]
fn errors_in_an_inbox() {
    alone("errors_in_an_inbox", || {
        let supervisor = Supervisor::builder("app")
            .child(failing("a"))
            .child(failing("b"))
            .start()
            .unwrap();
        let (inbox, handle) = (Inbox::new(), supervisor.handle());
        for child in handle.children() {
            inbox.monitor(&child.child.unwrap());
        }
        drop(supervisor);
        while bedplate::process::threads() > 0 || handle.count().specs > 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_millis(50));
        drop(inbox);
    });
}
