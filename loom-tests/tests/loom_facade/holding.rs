//! Models of what an incarnation holds when it ends: `std/src/registry/holdings.rs` and `std/src/process/child.rs`.

use crate::monitor::Inbox;
use crate::process::ExitReason;
use crate::registry::{Names, Registered, Registry, register};
use crate::{HOUR, born, model};
use loom_tests::thread;

const ABANDONED: ExitReason = ExitReason::Abandoned { after: HOUR };

/// An incarnation registers while it is abandoned: when that is done it holds nothing, and never will.
#[test]
fn a_registration_against_an_abandonment() {
    model(|| {
        let child = born(1);
        let names: Names = Registry::new();
        let (own, theirs) = (child.clone(), names.clone());
        let body = thread::spawn(move || {
            let first = register(own.holdings(), &theirs, "a");
            let second = register(own.holdings(), &theirs, "b");
            assert!(
                first == Registered::Yes || second == Registered::Over,
                "over for good"
            );
            second
        });
        assert!(child.end(ABANDONED));
        assert_eq!(names.holder("a"), None);
        assert_eq!(names.holder("b"), None);
        body.join().expect("no panic");
        assert_eq!(names.holder("a"), None);
        assert_eq!(names.holder("b"), None);
        assert_eq!(register(child.holdings(), &names, "a"), Registered::Over);
    });
}

/// An incarnation ends while it is abandoned, each of which frees what it holds: who is told of the end may take the name
/// at once, and keeps it.
#[test]
fn who_is_told_of_an_end_takes_the_name() {
    model(|| {
        let child = born(1);
        let names: Names = Registry::new();
        assert_eq!(register(child.holdings(), &names, "a"), Registered::Yes);
        let inbox = Inbox::new();
        inbox.monitor(&child);
        let (dying, shut_out) = (child.clone(), child);
        let end = thread::spawn(move || dying.end(ExitReason::Normal));
        let abandonment = thread::spawn(move || shut_out.end(ABANDONED));
        assert!(inbox.recv_timeout(HOUR).is_some());
        let heir = born(2);
        assert_eq!(register(heir.holdings(), &names, "a"), Registered::Yes);
        end.join().expect("no panic");
        abandonment.join().expect("no panic");
        assert_eq!(names.holder("a"), Some(heir.pid()));
        assert!(heir.end(ExitReason::Shutdown));
        assert_eq!(names.holder("a"), None);
    });
}
