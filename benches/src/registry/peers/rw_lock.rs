//! `parking_lot::RwLock` around hashbrown: what one writes without looking for a library.

use super::hashbrown::insert;
use crate::registry::keys::Key;
use crate::registry::subject::{Hasher, Held, Kind, Session, Subject};
use hashbrown::HashMap;
use parking_lot::RwLock;

pub struct ReadWriteLock<K>(RwLock<HashMap<K, Held, Hasher>>);

impl<K: Key> Subject<K> for ReadWriteLock<K> {
    const NAME: &'static str = "RwLock<hashbrown>";
    const KIND: Kind = Kind::Special;
    type Session<'s> = &'s Self;

    fn new(_: usize) -> Self {
        Self(RwLock::default())
    }

    fn session(&self) -> &Self {
        self
    }
}

impl<K: Key> Session<K> for &ReadWriteLock<K> {
    fn find(&mut self, key: &K::Borrowed) -> Option<u64> {
        self.0.read().get(key).map(|held| held.owner)
    }

    fn insert(&mut self, key: &K::Borrowed, value: u64) -> bool {
        insert(&mut self.0.write(), key, value)
    }

    fn remove(&mut self, key: &K::Borrowed) -> bool {
        self.0.write().remove(key).is_some()
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        for held in self.0.read().values() {
            visit(held.owner);
        }
    }
}
