//! `flurry`: Java's `ConcurrentHashMap`, with a guard per operation.

use crate::registry::keys::Key;
use crate::registry::subject::{Hasher, Held, Session, Subject};

pub struct Flurry<K: Key>(flurry::HashMap<K, Held, Hasher>);

impl<K: Key> Subject<K> for Flurry<K> {
    const NAME: &'static str = "flurry";
    type Session<'s> = &'s Self;

    fn new(_: usize) -> Self {
        Self(flurry::HashMap::with_hasher(Hasher::default()))
    }

    fn session(&self) -> &Self {
        self
    }
}

impl<K: Key> Session<K> for &Flurry<K> {
    fn find(&mut self, key: &K::Borrowed) -> Option<u64> {
        self.0.pin().get(key).map(|held| held.owner)
    }

    fn insert(&mut self, key: &K::Borrowed, value: u64) -> bool {
        let held = Held::new(value);
        self.0.pin().try_insert(K::own(key), held).is_ok()
    }

    fn remove(&mut self, key: &K::Borrowed) -> bool {
        self.0.pin().remove(key).is_some()
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        for (_, held) in &self.0.pin() {
            visit(held.owner);
        }
    }

    fn tidy(&mut self) {
        self.0.guard().flush();
    }
}
