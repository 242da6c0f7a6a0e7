//! One load from an array: what a lookup would cost if the key said where its entry is.

use crate::registry::subject::{Held, Kind, Session, Subject};
use parking_lot::{Mutex, MutexGuard};

/// The lock is taken once a session and plays no part in what is measured.
pub struct Array(Mutex<Vec<Held>>);

impl Subject<u64> for Array {
    const NAME: &'static str = "floor: array";
    const KIND: Kind = Kind::ReadOnlyFloor;
    type Session<'s> = MutexGuard<'s, Vec<Held>>;

    fn new(n: usize) -> Self {
        // A power of two, or finding the place would cost a division.
        Self(Mutex::new(vec![Held::new(0); n.next_power_of_two()]))
    }

    fn session(&self) -> Self::Session<'_> {
        self.0.lock()
    }
}

impl Session<u64> for MutexGuard<'_, Vec<Held>> {
    fn find(&mut self, key: &u64) -> Option<u64> {
        let place = place(key, self.len());
        Some(self[place].owner)
    }

    fn insert(&mut self, key: &u64, value: u64) -> bool {
        let place = place(key, self.len());
        self[place] = Held::new(value);
        true
    }

    fn remove(&mut self, _: &u64) -> bool {
        unreachable!("it is only read")
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        for held in self.iter() {
            visit(held.owner);
        }
    }
}

fn place(key: &u64, length: usize) -> usize {
    *key as usize & (length - 1)
}
