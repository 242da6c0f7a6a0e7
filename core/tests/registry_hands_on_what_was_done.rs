//! Whoever finds a name gone has seen what its holder did before it gave the name up. ThreadSanitizer tells whether that is so.
#![cfg(feature = "alloc")]

use bedplate_core::id::Pid;
use bedplate_core::registry::EpochRegistry;
use core::cell::UnsafeCell;
use core::num::NonZeroU32;
use std::hash::RandomState;
use std::thread;

/// Written by who holds the name, and read by who finds it gone.
struct HandedOn(UnsafeCell<u64>);

// SAFETY: never written and read at once, which is what is tested.
unsafe impl Sync for HandedOn {}

#[test]
fn who_misses_a_name_has_seen_what_its_holder_did() {
    for round in 1..=50 {
        let registry = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
        let mut owner = registry.owner(Pid::new(1, NonZeroU32::MIN));
        let handle = registry.handle();
        owner.register(&handle.pin(), 7, 7).expect("free");
        let data = HandedOn(UnsafeCell::new(0));
        thread::scope(|scope| {
            let (registry, data) = (&registry, &data);
            let reading = scope.spawn(move || {
                let handle = registry.handle();
                while handle.pin().whereis(&7).is_some() {
                    thread::yield_now();
                }
                // SAFETY: whoever wrote gave up the name afterwards, and writes no more.
                unsafe { *data.0.get() }
            });
            // SAFETY: nobody reads before the name is given up.
            unsafe { *data.0.get() = round };
            assert!(owner.unregister(&handle.pin(), &7));
            assert_eq!(reading.join().expect("no panic"), round);
        });
    }
}
