//! `scc::HashMap`: buckets of 32 entries, a lock each.

use crate::registry::keys::Key;
use crate::registry::subject::{Hasher, Held, Session, Subject};

pub struct SccHashMap<K: Key>(scc::HashMap<K, Held, Hasher>);

impl<K: Key> Subject<K> for SccHashMap<K> {
    const NAME: &'static str = "scc::HashMap";
    type Session<'s> = &'s Self;

    fn new(_: usize) -> Self {
        Self(scc::HashMap::with_hasher(Hasher::default()))
    }

    fn session(&self) -> &Self {
        self
    }
}

impl<K: Key> Session<K> for &SccHashMap<K> {
    fn find(&mut self, key: &K::Borrowed) -> Option<u64> {
        self.0.read_sync(key, |_, held| held.owner)
    }

    fn insert(&mut self, key: &K::Borrowed, value: u64) -> bool {
        self.0.insert_sync(K::own(key), Held::new(value)).is_ok()
    }

    fn remove(&mut self, key: &K::Borrowed) -> bool {
        self.0.remove_sync(key).is_some()
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        self.0.iter_sync(|_, held| {
            visit(held.owner);
            true
        });
    }
}
