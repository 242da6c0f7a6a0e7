//! `scc::HashIndex`: as `scc::HashMap`, but readers take no lock.

use crate::registry::keys::Key;
use crate::registry::subject::{Hasher, Held, Session, Subject};

pub struct SccHashIndex<K: Key>(scc::HashIndex<K, Held, Hasher>);

impl<K: Key> Subject<K> for SccHashIndex<K> {
    const NAME: &'static str = "scc::HashIndex";
    type Session<'s> = &'s Self;

    fn new(_: usize) -> Self {
        Self(scc::HashIndex::with_hasher(Hasher::default()))
    }

    fn session(&self) -> &Self {
        self
    }
}

impl<K: Key> Session<K> for &SccHashIndex<K> {
    fn find(&mut self, key: &K::Borrowed) -> Option<u64> {
        self.0.peek_with(key, |_, held| held.owner)
    }

    fn insert(&mut self, key: &K::Borrowed, value: u64) -> bool {
        self.0.insert_sync(K::own(key), Held::new(value)).is_ok()
    }

    fn remove(&mut self, key: &K::Borrowed) -> bool {
        self.0.remove_sync(key)
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        let guard = scc::Guard::new();
        for (_, held) in self.0.iter(&guard) {
            visit(held.owner);
        }
    }
}
