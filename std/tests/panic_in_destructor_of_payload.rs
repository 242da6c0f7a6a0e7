//! Whatever a panic carries, it ends in the child: the process lives and the child is restarted.

use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Supervisor};
use core::time::Duration;
use std::panic::panic_any;
use std::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(30);

struct Explosive(u32);

impl Drop for Explosive {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Explosive(self.0 - 1));
        }
    }
}

#[test]
fn f19_does_not_end_the_process() {
    let (runs, seen) = mpsc::channel();
    let explosive = ChildSpec::worker("explosive", move |me| {
        let (go, wait) = mpsc::channel::<()>();
        runs.send((me.me().clone(), go)).unwrap();
        if me.number() == 1 {
            wait.recv().unwrap();
            panic_any(Explosive(3));
        }
        while !me.stop().wait(PATIENCE) {}
    });
    let supervisor = Supervisor::builder("app").child(explosive).start().unwrap();
    let inbox = Inbox::new();
    let (first, go) = seen.recv_timeout(PATIENCE).unwrap();
    inbox.monitor(&first);
    go.send(()).unwrap();
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    let ExitReason::Panicked(report) = down.reason else {
        panic!("{}", down.reason)
    };
    assert_eq!(report.message, "non-text payload");
    assert!(report.location.is_some());
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap().0.incarnation(), 2);
    assert!(inbox.try_recv().is_none());
    assert_eq!(supervisor.shutdown().clean, ["explosive"]);
}

#[test]
fn nor_does_the_destructor_of_what_the_body_captured() {
    let capture = Explosive(2);
    let worker = ChildSpec::worker("worker", move |me| {
        let _all_of_it: &Explosive = &capture;
        while !me.stop().wait(PATIENCE) {}
    });
    let supervisor = Supervisor::builder("app").child(worker).start().unwrap();
    assert_eq!(supervisor.shutdown().clean, ["worker"]);
}
