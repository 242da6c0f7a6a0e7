//! Panics in a user's code that groups call: nobody is left in them by whoever is gone.

#![cfg(feature = "alloc")]

use bedplate_core::id::Pid;
use bedplate_core::registry::groups::EpochGroups;
use std::hash::RandomState;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

fn panics<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(f()))).is_err()
}

/// Destructors must not panic. One that does keeps nobody in a group.
struct Explosive(Arc<AtomicBool>);

impl Drop for Explosive {
    fn drop(&mut self) {
        if self.0.swap(false, Ordering::Relaxed) {
            panic!("dropped");
        }
    }
}

#[test]
fn a_destructor_that_panics_leaves_nobody_in_a_group_when_a_member_goes() {
    let explosive = Arc::new(AtomicBool::new(false));
    let value = || Box::new(Explosive(Arc::clone(&explosive)));
    let groups = EpochGroups::<u64, Box<Explosive>, _>::with_hasher(RandomState::new());
    let handle = groups.handle();
    let mut panicked = 0;
    for _ in 0..100 {
        let (mut first, mut second) = (groups.member(pid(1)), groups.member(pid(2)));
        first.join(&handle.pin(), 100, value()).expect("room");
        for key in 0..4 {
            second.join(&handle.pin(), key, value()).expect("room");
        }
        {
            let guard = handle.pin();
            assert_eq!(guard.count(&100), 1);
            drop(first);
        }
        handle.pin().flush();
        explosive.store(true, Ordering::Relaxed);
        panicked += usize::from(panics(|| drop(second)));
        explosive.store(false, Ordering::Relaxed);
        assert_eq!((groups.len(), handle.pin().iter().count()), (0, 0));
        assert_eq!(handle.pin().groups().count(), 0);
    }
    assert!(panicked > 0, "it never came to that");
}
