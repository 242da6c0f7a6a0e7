//! The name of a child is free before anybody can learn that the child has ended, and comes back
//! with its next incarnation.

use bedplate::monitor::Inbox;
use bedplate::registry::{self, NameError};
use bedplate::supervisor::{ChildSpec, Restart, StartError, Supervisor};
use std::sync::mpsc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// R56, stricter: not found no later than the moment its death is observable.
#[test]
fn f90_whoever_saw_the_end_finds_the_name_free() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let child = ChildSpec::worker("one", move |_| {
        wait.lock().unwrap().recv().unwrap();
    })
    .restart(Restart::Temporary)
    .register("before-death/one");
    let supervisor = Supervisor::builder("sup").child(child).start().unwrap();
    let found = registry::whereis("before-death/one").expect("registered before its body starts");
    let inbox = Inbox::new();
    let _ = inbox.monitor(&found);
    go.send(()).unwrap();
    let down = inbox.recv_timeout(LONG).expect("it ends");
    assert_eq!(down.child, found);
    assert!(registry::whereis("before-death/one").is_none());
    assert!(!found.is_alive());
    let _ = supervisor.shutdown();
}

/// S62: the registered names come back to new owners, each time a crashed child is started again.
#[test]
fn a_restarted_child_never_meets_its_own_stale_name() {
    const RESTARTS: u64 = 100;
    let (report, reports) = mpsc::channel();
    let child = ChildSpec::worker("again", move |incarnation| {
        assert_eq!(
            registry::whereis("stale/again").as_ref(),
            Some(incarnation.me())
        );
        if incarnation.restarts() < RESTARTS {
            panic!("once more");
        }
        report.send(incarnation.restarts()).unwrap();
        while !incarnation.stop().wait(LONG) {}
    })
    .register("stale/again");
    let supervisor = Supervisor::builder("sup")
        .limit(128, LONG * 10)
        .child(child)
        .start()
        .unwrap();
    assert_eq!(reports.recv_timeout(LONG), Ok(RESTARTS));
    let _ = supervisor.shutdown();
    assert!(registry::whereis("stale/again").is_none());
}

/// A taken name refuses the second child, and says by whom; the first is untouched.
#[test]
fn a_taken_name_is_a_start_error() {
    let worker = |id: &str| {
        ChildSpec::worker(id, |incarnation| while !incarnation.stop().wait(LONG) {})
            .register("taken/name")
    };
    let first = Supervisor::builder("first")
        .child(worker("a"))
        .start()
        .unwrap();
    let holder = registry::whereis("taken/name").unwrap();
    let refused = Supervisor::builder("second")
        .child(worker("b"))
        .start()
        .unwrap_err();
    let StartError::Child { id, error } = &refused else {
        panic!("{refused}")
    };
    assert_eq!(id, "b");
    assert!(
        matches!(&**error, StartError::Name { name, error: NameError::Taken { holder: by } }
            if name == "taken/name" && *by == holder.pid()),
        "{refused}"
    );
    assert_eq!(registry::whereis("taken/name"), Some(holder));
    let _ = first.shutdown();
}

/// A running incarnation may hold several names, gives up single ones, and loses all when it ends.
#[test]
fn an_incarnation_may_hold_several_names() {
    let (report, reports) = mpsc::channel();
    let child = ChildSpec::worker("many", move |incarnation| {
        assert_eq!(incarnation.register("several/a"), Ok(()));
        assert_eq!(incarnation.register("several/b"), Ok(()));
        let me = incarnation.me().pid();
        assert_eq!(
            incarnation.register("several/a"),
            Err(NameError::Taken { holder: me })
        );
        assert_eq!(incarnation.register(""), Err(NameError::BadName));
        assert_eq!(incarnation.register("a\0b"), Err(NameError::BadName));
        assert_eq!(
            incarnation.register(&"x".repeat(256)),
            Err(NameError::BadName)
        );
        assert!(incarnation.unregister("several/a"));
        assert!(!incarnation.unregister("several/a"));
        report.send(()).unwrap();
        while !incarnation.stop().wait(LONG) {}
    });
    let supervisor = Supervisor::builder("sup").child(child).start().unwrap();
    reports.recv_timeout(LONG).unwrap();
    assert!(registry::whereis("several/a").is_none());
    let names = registry::registered();
    assert!(
        names
            .iter()
            .any(|(name, child)| &**name == "several/b" && child.id() == "many")
    );
    let _ = supervisor.shutdown();
    assert!(registry::whereis("several/b").is_none());
}
