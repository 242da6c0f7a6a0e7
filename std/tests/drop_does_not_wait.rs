//! Dropping a supervisor asks its children to stop, and returns.

use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Supervisor};
use core::time::Duration;
use std::sync::{Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn for_its_children() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let slow = ChildSpec::worker("slow", move |me| {
        while !me.stop().wait(PATIENCE) {}
        // It takes until the owner has done something that it can only do after the drop.
        held.lock().unwrap().recv_timeout(PATIENCE).unwrap();
    });
    let first = ChildSpec::worker("first", |me| while !me.stop().wait(PATIENCE) {});
    let supervisor = Supervisor::builder("app")
        .child(first)
        .child(slow)
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let inbox = Inbox::new();
    for child in handle.children() {
        inbox.monitor(&child.child.unwrap());
    }
    drop(supervisor);
    release.send(()).unwrap();
    for id in ["slow", "first"] {
        let down = inbox.recv_timeout(PATIENCE).unwrap();
        assert_eq!(down.child.id(), id);
        assert!(matches!(down.reason, ExitReason::Shutdown));
    }
}

#[test]
fn f71_not_even_while_unwinding() {
    let (inbox, ids) = (Inbox::new(), ["a", "b"]);
    let result = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        let mut builder = Supervisor::builder("app");
        for id in ids {
            builder = builder.child(ChildSpec::worker(
                id,
                |me| while !me.stop().wait(PATIENCE) {},
            ));
        }
        let supervisor = builder.start().unwrap();
        for child in supervisor.handle().children() {
            inbox.monitor(&child.child.unwrap());
        }
        panic!("its owner panics");
    }));
    assert!(result.is_err());
    for id in ["b", "a"] {
        assert_eq!(inbox.recv_timeout(PATIENCE).unwrap().child.id(), id);
    }
}

#[test]
fn f72_a_dropped_handle_stops_nothing() {
    let child = ChildSpec::worker("child", |me| while !me.stop().wait(PATIENCE) {});
    let supervisor = Supervisor::builder("app").child(child).start().unwrap();
    drop(supervisor.handle().clone());
    drop(supervisor.handle());
    assert!(supervisor.handle().child("child").unwrap().is_alive());
}
