//! What a map has to be able to do to be measured as a registry.

use super::keys::{Key, World};
use foldhash::fast::FixedState;
use std::hint::black_box;

/// The hasher of all contenders.
pub type Hasher = FixedState;

/// How many names an owner of the many in a filled registry has.
pub const NAMES_OF_AN_OWNER: usize = 100;

/// What is held for a key: as much as a registry holds, who and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub owner: u64,
    pub value: u64,
}

impl Held {
    pub const fn new(value: u64) -> Self {
        Self {
            owner: value | 1 << 32,
            value,
        }
    }
}

/// What sort of contender this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is being made.
    Ours,
    /// A map for any keys, which several threads read and write at once: the rivals proper.
    General,
    /// One that gives something up: readers or writers wait for everybody, or keys are plain data.
    Special,
    /// What no concurrent map can be faster than; for one thread.
    Floor,
    /// A floor that is only read.
    ReadOnlyFloor,
}

/// A concurrent map from keys to [`Held`].
pub trait Subject<K: Key>: Sync {
    const NAME: &'static str;
    const KIND: Kind = Kind::General;

    /// What the same lookups under a guard that is held over 64 of them are called, where there is
    /// such a thing.
    const UNDER_ONE_GUARD: Option<&'static str> = None;

    /// What a thread uses it by.
    type Session<'s>: Session<K>
    where
        Self: 's;

    /// An empty one, without a hint how large it will become; `n` is for floors only.
    fn new(n: usize) -> Self;

    fn session(&self) -> Self::Session<'_>;
}

/// One thread's use of a [`Subject`].
pub trait Session<K: Key> {
    /// Whether it has failed the checks, so that nothing is asserted of it.
    const IS_EXEMPT: bool = false;

    /// The owner of `key`.
    fn find(&mut self, key: &K::Borrowed) -> Option<u64>;

    /// How many of the keys are there, looked up under one guard.
    fn find_under_one_guard(&mut self, keys: &[K::Item]) -> usize {
        find_each::<K, _>(self, keys)
    }

    /// Registers `key` unless it is taken; whether it was not.
    fn insert(&mut self, key: &K::Borrowed, value: u64) -> bool;

    /// Unregisters `key`; whether it was there.
    fn remove(&mut self, key: &K::Borrowed) -> bool;

    /// Visits the owners of all entries.
    fn list(&mut self, visit: impl FnMut(u64))
    where
        Self: Sized;

    /// Says that what was inserted so far is to stay.
    fn settle(&mut self) {}

    /// Finishes what is left to later calls, where it can be asked to: growth, and freeing.
    fn tidy(&mut self) {}
}

/// How many of the keys are there, looked up one by one.
pub fn find_each<K: Key, S: Session<K> + ?Sized>(session: &mut S, keys: &[K::Item]) -> usize {
    count_found::<K>(keys, |key| session.find(key))
}

/// How many of the keys `find` finds the owner of.
#[inline]
pub fn count_found<K: Key>(
    keys: &[K::Item],
    mut find: impl FnMut(&K::Borrowed) -> Option<u64>,
) -> usize {
    let mut found = 0;
    let mut owners = 0;
    for key in keys {
        if let Some(owner) = find(K::of(key)) {
            found += 1;
            owners ^= owner;
        }
    }
    black_box(owners);
    found
}

/// Asserts that a map did what it should.
pub fn expect<K: Key, S: Session<K>>(_: &S, done: bool) {
    assert!(done || S::IS_EXEMPT, "a map is not what it should be");
}

/// Fills an empty one, and leaves it as it is long after.
pub fn fill_and_tidy<K: Key, S: Session<K>>(mut session: S, world: &World<K>) {
    fill(&mut session, world);
    session.tidy();
}

/// Fills an empty one.
pub fn fill<K: Key, S: Session<K>>(session: &mut S, world: &World<K>) {
    for (number, keys) in world.present.chunks(NAMES_OF_AN_OWNER).enumerate() {
        for key in keys {
            let inserted = session.insert(K::of(key), number as u64);
            expect(session, inserted);
        }
        session.settle();
    }
}
