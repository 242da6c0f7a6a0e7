//! `left-right` with two hashbrown maps, one of which is read while the other is written. Every write
//! is published at once, since a name must be there when registering it returns.

use super::hashbrown::insert;
use crate::registry::keys::Key;
use crate::registry::subject::{Hasher, Held, Kind, Session, Subject};
use hashbrown::HashMap;
use left_right::{Absorb, ReadHandle, ReadHandleFactory, WriteHandle};
use parking_lot::Mutex;

pub struct LeftRight<K: Key> {
    writer: Mutex<WriteHandle<Map<K>, Change<K>>>,
    readers: ReadHandleFactory<Map<K>>,
}

pub struct Using<'s, K: Key> {
    subject: &'s LeftRight<K>,
    reader: ReadHandle<Map<K>>,
}

#[derive(Clone)]
pub struct Map<K>(HashMap<K, Held, Hasher>);

pub enum Change<K> {
    Insert(K, u64),
    Remove(K),
}

impl<K: Key> Absorb<Change<K>> for Map<K> {
    fn absorb_first(&mut self, change: &mut Change<K>, _: &Self) {
        match change {
            Change::Insert(key, value) => {
                insert(&mut self.0, (*key).borrow(), *value);
            }
            Change::Remove(key) => {
                self.0.remove((*key).borrow());
            }
        }
    }

    fn absorb_second(&mut self, change: Change<K>, _: &Self) {
        match change {
            Change::Insert(key, value) => {
                self.0.insert(key, Held::new(value));
            }
            Change::Remove(key) => {
                self.0.remove(key.borrow());
            }
        }
    }

    fn sync_with(&mut self, first: &Self) {
        self.0.clone_from(&first.0);
    }
}

impl<K: Key> LeftRight<K> {
    /// Makes a change if the key is or is not there.
    fn change(&self, key: &K::Borrowed, present: bool, change: Change<K>) -> bool {
        let mut writer = self.writer.lock();
        let is_present = writer.enter().is_some_and(|map| map.0.contains_key(key));
        if is_present == present {
            writer.append(change).publish();
        }
        is_present == present
    }
}

impl<K: Key> Subject<K> for LeftRight<K> {
    const NAME: &'static str = "left-right";
    const KIND: Kind = Kind::Special;
    type Session<'s> = Using<'s, K>;

    fn new(_: usize) -> Self {
        let (mut writer, reader) = left_right::new_from_empty(Map(HashMap::default()));
        // From here on a write is applied to both maps rather than by copying one.
        writer.publish();
        Self {
            writer: Mutex::new(writer),
            readers: reader.factory(),
        }
    }

    fn session(&self) -> Using<'_, K> {
        Using {
            subject: self,
            reader: self.readers.handle(),
        }
    }
}

impl<K: Key> Session<K> for Using<'_, K> {
    fn find(&mut self, key: &K::Borrowed) -> Option<u64> {
        self.reader.enter()?.0.get(key).map(|held| held.owner)
    }

    fn insert(&mut self, key: &K::Borrowed, value: u64) -> bool {
        let change = Change::Insert(K::own(key), value);
        self.subject.change(key, false, change)
    }

    fn remove(&mut self, key: &K::Borrowed) -> bool {
        let change = Change::Remove(K::own(key));
        self.subject.change(key, true, change)
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        if let Some(map) = self.reader.enter() {
            for held in map.0.values() {
                visit(held.owner);
            }
        }
    }
}
