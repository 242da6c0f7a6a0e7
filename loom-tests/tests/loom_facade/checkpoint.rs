//! Models of what an incarnation saves when it ends: `std/src/checkpoint/slot.rs` and `std/src/process/{child,fence}.rs`.

#[path = "../../../std/src/checkpoint/error.rs"]
mod error;
#[path = "../../../std/src/checkpoint/slot.rs"]
mod slot;

use error::{ForgetError, OpenError, SaveError};

use crate::process::ExitReason;
use crate::registry::{Names, Registered, Registry, register};
use crate::supervisor::ChildRef;
use crate::{HOUR, born, clock, model};
use alloc::sync::Arc;
use bedplate_core::checkpoint::CrashLimit;
use loom_tests::thread;
use slot::Slot;

const ABANDONED: ExitReason = ExitReason::Abandoned { after: HOUR };

fn empty() -> Arc<Slot<u8>> {
    Arc::new(Slot::new(CrashLimit::USUAL))
}

/// Opens `slot` for `child` and saves this, if it may.
fn save(slot: &Slot<u8>, child: &ChildRef, value: u8) -> bool {
    let opened = slot.open(child);
    opened.is_ok_and(|(claim, _)| slot.save(&claim, value).is_ok())
}

fn latest(slot: &Slot<u8>) -> Option<u8> {
    slot.latest().map(|value| *value)
}

/// An incarnation saves while it is abandoned: when that is done, what has been saved stands, and the next one goes on from
/// there.
#[test]
fn a_save_against_an_abandonment() {
    model(|| {
        let (child, slot) = (born(1), empty());
        let (claim, _) = slot.open(&child).expect("nobody has it");
        let (shut_out, theirs) = (child.clone(), slot.clone());
        let abandonment = thread::spawn(move || {
            assert!(shut_out.end(ABANDONED));
            let seen = latest(&theirs);
            assert_eq!(theirs.info().holder, None);
            let heir = born(2);
            let (claim, fell) = theirs.open(&heir).expect("nobody else is alive");
            assert!(fell.is_none());
            let restored = theirs.restore(&claim, clock::now());
            assert_eq!(restored.map(|value| *value), seen);
            (seen, heir, claim)
        });
        let first = slot.save(&claim, 1).is_ok();
        let second = slot.save(&claim, 2).is_ok();
        assert!(first || !second, "over for good");
        let (seen, heir, theirs) = abandonment.join().expect("no panic");
        assert_eq!(latest(&slot), seen);
        let saved = u8::from(first) + u8::from(second);
        assert_eq!(seen.unwrap_or(0), saved, "what is saved is seen");
        assert!(slot.save(&theirs, 3).is_ok());
        assert!(slot.save(&claim, 4).is_err());
        assert!(!save(&slot, &child, 4));
        assert_eq!(latest(&slot), Some(3));
        assert!(heir.end(ExitReason::Normal));
    });
}

/// A later incarnation comes although the one before is not over yet, and both save: the later one's stands.
#[test]
fn a_save_against_a_replacement() {
    model(|| {
        let (first, second, slot) = (born(1), born(2), empty());
        let (own, theirs) = (first.clone(), slot.clone());
        let body = thread::spawn(move || {
            save(&theirs, &own, 1);
            save(&theirs, &own, 2)
        });
        assert!(save(&slot, &second, 3));
        let both = body.join().expect("no panic");
        assert_eq!(latest(&slot), Some(3));
        assert!(!save(&slot, &first, 4));
        let info = slot.info();
        assert_eq!(info.holder, Some(second.pid()));
        assert_eq!(
            info.version,
            Some(if both {
                3
            } else {
                info.older.map_or(1, |it| it + 1)
            })
        );
        assert!(first.end(ExitReason::Normal));
        assert!(second.end(ExitReason::Normal));
    });
}

/// An incarnation saves while it is abandoned: whoever finds its name free sees what was saved last, before it is told of
/// the end.
#[test]
fn a_save_against_who_takes_the_name() {
    model(|| {
        let (child, slot, names): (_, _, Names) = (born(1), empty(), Registry::new());
        assert_eq!(register(child.holdings(), &names, "a"), Registered::Yes);
        let (own, theirs) = (child.clone(), slot.clone());
        let body = thread::spawn(move || save(&theirs, &own, 1));
        let shut_out = child.clone();
        let abandonment = thread::spawn(move || assert!(shut_out.end(ABANDONED)));
        let heir = born(2);
        let seen =
            (register(heir.holdings(), &names, "a") == Registered::Yes).then(|| latest(&slot));
        let saved = body.join().expect("no panic");
        abandonment.join().expect("no panic");
        let expected = saved.then_some(1);
        assert_eq!(latest(&slot), expected);
        assert!(seen.is_none_or(|seen| seen == expected));
        assert!(heir.end(ExitReason::Normal));
        assert_eq!(names.holder("a"), None);
    });
}
