//! The registry, used as its documentation says: a handle for each thread, a guard for each call.

use crate::registry::keys::Key;
use crate::registry::subject::{Hasher, Kind, Session, Subject, count_found};
use bedplate_core::id::Pid;
use bedplate_core::registry::{EpochRegistry, Handle, Owner};
use parking_lot::Mutex;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Bedplate<K: Key> {
    pub registry: EpochRegistry<K, u64, Hasher>,
    owners: AtomicU32,
    /// Those whose registrations are to stay.
    settled: Mutex<Vec<Owner<K, u64, Hasher>>>,
}

pub struct Using<'s, K: Key> {
    subject: &'s Bedplate<K>,
    handle: Handle<K, u64, Hasher>,
    owner: Owner<K, u64, Hasher>,
}

/// The process in one of the slots.
pub const fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

impl<K: Key> Bedplate<K> {
    fn owner(&self) -> Owner<K, u64, Hasher> {
        // Relaxed: only distinctness matters.
        let slot = self.owners.fetch_add(1, Ordering::Relaxed);
        self.registry.owner(pid(slot))
    }
}

impl<K: Key> Subject<K> for Bedplate<K> {
    const NAME: &'static str = "bedplate per call";
    const KIND: Kind = Kind::Ours;
    const UNDER_ONE_GUARD: Option<&'static str> = Some("bedplate guard over 64");
    type Session<'s> = Using<'s, K>;

    fn new(_: usize) -> Self {
        Self {
            registry: EpochRegistry::with_hasher(Hasher::default()),
            owners: AtomicU32::new(0),
            settled: Mutex::default(),
        }
    }

    fn session(&self) -> Using<'_, K> {
        Using {
            subject: self,
            handle: self.registry.handle(),
            owner: self.owner(),
        }
    }
}

impl<K: Key> Session<K> for Using<'_, K> {
    fn find(&mut self, key: &K::Borrowed) -> Option<u64> {
        self.handle.pin().whereis(key).map(Pid::to_bits)
    }

    fn find_under_one_guard(&mut self, keys: &[K::Item]) -> usize {
        let guard = self.handle.pin();
        count_found::<K>(keys, |key| guard.whereis(key).map(Pid::to_bits))
    }

    fn insert(&mut self, key: &K::Borrowed, value: u64) -> bool {
        let guard = self.handle.pin();
        self.owner.register(&guard, K::own(key), value).is_ok()
    }

    fn remove(&mut self, key: &K::Borrowed) -> bool {
        self.owner.unregister(&self.handle.pin(), key)
    }

    fn list(&mut self, mut visit: impl FnMut(u64)) {
        for entry in &self.handle.pin() {
            visit(entry.owner().to_bits());
        }
    }

    fn settle(&mut self) {
        let owner = std::mem::replace(&mut self.owner, self.subject.owner());
        self.subject.settled.lock().push(owner);
    }

    fn tidy(&mut self) {
        // An epoch must pass twice before what was removed in it can be freed.
        for _ in 0..4 {
            self.handle.pin().flush();
        }
    }
}
