//! What is taken over is the key that was asked for.
#![cfg(feature = "alloc")]

use bedplate_core::id::Pid;
use bedplate_core::registry::EpochRegistry;
use std::cell::RefCell;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::num::NonZeroU32;

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// One hash for all.
#[derive(Default)]
struct Constant;

impl Hasher for Constant {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}

type Hashed = BuildHasherDefault<Constant>;

thread_local! {
    /// Done once, when a key is compared.
    static MEANWHILE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A key during whose comparison something else happens, as it may on another thread.
#[derive(Debug)]
struct Slow(u32);

impl PartialEq for Slow {
    fn eq(&self, other: &Self) -> bool {
        let equal = self.0 == other.0;
        if equal && let Some(meanwhile) = MEANWHILE.take() {
            meanwhile();
        }
        equal
    }
}

impl Eq for Slow {}

impl Hash for Slow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Between finding the key and replacing it, its holder gives it up and registers another one with the same
/// hash, which may come to lie in the same slot and lane.
#[test]
fn a_take_over_replaces_no_other_key_of_the_same_hash() {
    type Names = EpochRegistry<Box<Slow>, u32, Hashed>;
    let registry = Names::with_hasher(Hashed::default());
    let handle = registry.handle();
    let mut holder = registry.owner(pid(1));
    // So that the lane that is given up is the next one to be taken.
    holder
        .register(&handle.pin(), Box::new(Slow(1)), 1)
        .expect("free");
    for fill in 100..105 {
        holder
            .register(&handle.pin(), Box::new(Slow(fill)), fill)
            .expect("free");
    }
    let (tell, told) = std::sync::mpsc::channel();
    let theirs = registry.clone();
    MEANWHILE.set(Some(Box::new(move || {
        let handle = theirs.handle();
        assert!(holder.unregister(&handle.pin(), &Slow(1)));
        for key in 2..4 {
            holder
                .register(&handle.pin(), Box::new(Slow(key)), key)
                .expect("free");
        }
        tell.send(holder).expect("somebody waits");
    })));
    let mut other = registry.owner(pid(2));
    let guard = handle.pin();
    let before = other
        .take_over(&guard, Box::new(Slow(1)), 11)
        .expect("room")
        .map(|entry| entry.key().0);
    let holder = told.recv().expect("it happened");
    assert!(before.is_none_or(|key| key == 1), "took over {before:?}");
    assert_eq!(guard.whereis(&Slow(1)), Some(other.pid()));
    for key in 2..4 {
        assert_eq!(guard.whereis(&Slow(key)), Some(holder.pid()), "{key}");
    }
}

/// Who claims a slot alone, and replaces it, takes the mark back: the slot is used again at once, though somebody
/// is pinned all the while.
#[test]
fn a_reader_that_stalls_holds_no_slot_of_a_name_that_is_taken_over() {
    let registry = EpochRegistry::<u32, u32, Hashed>::with_hasher(Hashed::default());
    let (stalling, handle) = (registry.handle(), registry.handle());
    let stalled = stalling.pin();
    stalled.flush(); // It has pinned.
    let mut owners = [registry.owner(pid(1)), registry.owner(pid(2))];
    let mut take = |round: u32| {
        let taker = &mut owners[round as usize % 2];
        taker.take_over(&handle.pin(), 7, round).expect("room");
    };
    (0..10).for_each(&mut take);
    let before = registry.memory().entries_bytes;
    (10..10_000).for_each(&mut take);
    assert_eq!(registry.memory().entries_bytes, before);
    drop((owners, stalled));
    assert!(registry.is_empty());
}
