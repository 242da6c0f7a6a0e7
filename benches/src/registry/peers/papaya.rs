//! `papaya::HashMap`: open addressing, each entry in a box of its own. The reference.

use crate::registry::keys::Key;
use crate::registry::subject::{Hasher, Held, Session, Subject, count_found};
use papaya::Guard as _;

pub struct Papaya<K>(papaya::HashMap<K, Held, Hasher>);

impl<K: Key> Subject<K> for Papaya<K> {
    const NAME: &'static str = "papaya";
    const UNDER_ONE_GUARD: Option<&'static str> = Some("papaya guard over 64");
    type Session<'s> = &'s Self;

    fn new(_: usize) -> Self {
        Self(papaya::HashMap::with_hasher(Hasher::default()))
    }

    fn session(&self) -> &Self {
        self
    }
}

impl<K: Key> Session<K> for &Papaya<K> {
    fn find(&mut self, key: &K::Borrowed) -> Option<u64> {
        self.0.pin().get(key).map(|held| held.owner)
    }

    fn find_under_one_guard(&mut self, keys: &[K::Item]) -> usize {
        let map = self.0.pin();
        count_found::<K>(keys, |key| map.get(key).map(|held| held.owner))
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
        // It grows with the writes that follow; whoever lists it finishes that at once.
        self.list(|_| ());
        // The tables it has outgrown otherwise stay, and would count as its memory.
        self.0.guard().flush();
    }
}
