//! `dashmap`: shards of hashbrown, a lock each.

use crate::registry::keys::Key;
use crate::registry::subject::{Hasher, Held, Session, Subject};
use dashmap::mapref::entry::Entry;

pub struct DashMap<K: Key>(dashmap::DashMap<K, Held, Hasher>);

impl<K: Key> Subject<K> for DashMap<K> {
    const NAME: &'static str = "dashmap";
    type Session<'s> = &'s Self;

    fn new(_: usize) -> Self {
        Self(dashmap::DashMap::with_hasher(Hasher::default()))
    }

    fn session(&self) -> &Self {
        self
    }
}

impl<K: Key> Session<K> for &DashMap<K> {
    fn find(&mut self, key: &K::Borrowed) -> Option<u64> {
        self.0.get(key).map(|held| held.owner)
    }

    fn insert(&mut self, key: &K::Borrowed, value: u64) -> bool {
        match self.0.entry(K::own(key)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(Held::new(value));
                true
            }
        }
    }

    fn remove(&mut self, key: &K::Borrowed) -> bool {
        self.0.remove(key).is_some()
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        for held in &self.0 {
            visit(held.owner);
        }
    }
}
