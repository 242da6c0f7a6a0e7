//! `leapfrog::LeapMap`: keys and values are plain words in the table itself, and there is nothing to
//! reclaim. It holds one word for each key.

use crate::registry::subject::{Hasher, Held, Kind, Session, Subject};
use leapfrog::Value as _;

pub struct Leapfrog(leapfrog::LeapMap<u64, u64, Hasher>);

impl Subject<u64> for Leapfrog {
    const NAME: &'static str = "leapfrog";
    const KIND: Kind = Kind::Special;
    type Session<'s> = &'s Self;

    fn new(_: usize) -> Self {
        // The capacity its own `new` begins with.
        let map = leapfrog::LeapMap::with_capacity_and_hasher(8, Hasher::default());
        Self(map)
    }

    fn session(&self) -> &Self {
        self
    }
}

impl Session<u64> for &Leapfrog {
    /// Version 0.3.3 failed the checks with two writers in two of the four runs in which they were
    /// made; why was not found out.
    const IS_EXEMPT: bool = true;

    fn find(&mut self, key: &u64) -> Option<u64> {
        self.0.get(key).and_then(|mut held| held.value())
    }

    fn insert(&mut self, key: &u64, value: u64) -> bool {
        // Not `try_insert`: after a removal that inserts nothing (issue 19 of leapfrog).
        let before = self.0.insert(*key, Held::new(value).owner);
        before.is_none_or(|owner| owner.is_null())
    }

    fn remove(&mut self, key: &u64) -> bool {
        self.0.remove(key).is_some()
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        for mut held in self.0.iter() {
            if let Some(owner) = held.value() {
                visit(owner);
            }
        }
    }
}
