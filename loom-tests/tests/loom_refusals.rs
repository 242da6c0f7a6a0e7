//! Models of registrations that are refused: they leave nothing behind, and nobody sees them.

use bedplate_core::id::Pid;
use bedplate_core::registry::EpochRegistry;
use core::hash::BuildHasherDefault;
use core::num::NonZeroU32;
use loom_tests::subject::Halves;
use loom_tests::{check, thread, with_room};

type Names = EpochRegistry<u8, u8, BuildHasherDefault<Halves>>;

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// One entry is allowed, which is given up while another process tries to register: if that is refused, there is
/// room for a registration that comes afterwards.
#[test]
fn a_refused_registration_takes_no_room() {
    check(|| {
        let registry = with_room(|| Names::with_limit_and_hasher(1, BuildHasherDefault::default()));
        let handle = registry.handle();
        let mut first = registry.owner(pid(1));
        assert!(first.register(&handle.pin(), 1, 1).is_ok());
        let trying = thread::spawn({
            let registry = registry.clone();
            move || {
                let handle = registry.handle();
                let mut second = registry.owner(pid(2));
                let registered = second.register(&handle.pin(), 2, 2).is_ok();
                (second, registered)
            }
        });
        assert!(first.unregister(&handle.pin(), &1));
        let again = first.register(&handle.pin(), 3, 3).is_ok();
        assert!(registry.len() <= 1, "never more than the limit");
        let (second, registered) = trying.join().expect("no panic");
        assert!(
            again != registered,
            "there was room for one: {again}, {registered}"
        );
        assert_eq!(registry.len(), 1);
        drop((first, second, handle));
        assert!(registry.is_empty());
    });
}

/// [I2] A registration that is refused has been written into a slot by then, in which the same key was before,
/// and will be again, in the same lane. Nobody finds what was refused.
#[test]
fn what_was_refused_is_never_seen() {
    check(|| {
        let registry = with_room(|| Names::with_hasher(BuildHasherDefault::default()));
        let handle = registry.handle();
        let (mut first, mut second) = (registry.owner(pid(1)), registry.owner(pid(2)));
        assert!(first.register(&handle.pin(), 7, 1).is_ok());
        let looking = thread::spawn({
            let registry = registry.clone();
            move || {
                let handle = registry.handle();
                handle.pin().lookup(&7).map(|entry| *entry.value())
            }
        });
        let guard = handle.pin();
        assert!(first.unregister(&guard, &7));
        assert!(second.register(&guard, 7, 2).is_ok());
        assert!(first.register(&guard, 7, 3).is_err(), "the other has it");
        assert!(second.unregister(&guard, &7));
        assert!(first.register(&guard, 7, 4).is_ok());
        drop(guard);
        let seen = looking.join().expect("no panic");
        assert_ne!(seen, Some(3), "it was refused");
        assert_eq!(handle.pin().lookup(&7).map(|entry| *entry.value()), Some(4));
        drop((first, second, handle));
        assert!(registry.is_empty());
    });
}
