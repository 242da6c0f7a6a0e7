//! `hashbrown` without any synchronisation, for one thread: the floor.

use crate::registry::keys::Key;
use crate::registry::subject::{Hasher, Held, Kind, Session, Subject};
use hashbrown::hash_map::Entry;
use parking_lot::{Mutex, MutexGuard};

/// The lock is taken once a session and plays no part in what is measured.
pub struct Hashbrown<K>(Mutex<hashbrown::HashMap<K, Held, Hasher>>);

impl<K: Key> Subject<K> for Hashbrown<K> {
    const NAME: &'static str = "floor: hashbrown";
    const KIND: Kind = Kind::Floor;
    type Session<'s> = MutexGuard<'s, hashbrown::HashMap<K, Held, Hasher>>;

    fn new(_: usize) -> Self {
        Self(Mutex::default())
    }

    fn session(&self) -> Self::Session<'_> {
        self.0.lock()
    }
}

impl<K: Key> Session<K> for MutexGuard<'_, hashbrown::HashMap<K, Held, Hasher>> {
    fn find(&mut self, key: &K::Borrowed) -> Option<u64> {
        self.get(key).map(|held| held.owner)
    }

    fn insert(&mut self, key: &K::Borrowed, value: u64) -> bool {
        insert(self, key, value)
    }

    fn remove(&mut self, key: &K::Borrowed) -> bool {
        hashbrown::HashMap::remove(self, key).is_some()
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        for held in self.values() {
            visit(held.owner);
        }
    }
}

/// Inserts unless the key is taken.
pub fn insert<K: Key>(
    map: &mut hashbrown::HashMap<K, Held, Hasher>,
    key: &K::Borrowed,
    value: u64,
) -> bool {
    match map.entry(K::own(key)) {
        Entry::Occupied(_) => false,
        Entry::Vacant(place) => {
            place.insert(Held::new(value));
            true
        }
    }
}
