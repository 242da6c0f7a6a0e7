//! What an owner adds and replaces: registering, taking over, updating.

use super::{LARGEST_BLOCK, Owner};
use crate::registry::epoch::{Entry, Guard};
use crate::registry::index::{Found, LONGEST, Lane, Refused, Spot};
use crate::registry::look::Probe;
use crate::registry::offer::Offer;
use crate::registry::slab::Seen;
use crate::registry::{Key, NotHeld, RegisterError, Registration, Stored};
use core::hash::BuildHasher;

impl<K: Key, V: Stored, S: BuildHasher> Owner<K, V, S> {
    /// Registers `key` with `value`.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] if somebody, this owner included, holds the key, and
    /// [`RegisterError::Full`] if the registry's limit is reached; both give key and value back and
    /// leave nothing behind.
    pub fn register(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Registration, RegisterError<K, V>> {
        match self.insert(guard, Offer::new(key), Offer::new(value)) {
            Ok(lane) => Ok(self.registration(lane)),
            Err((key, value, Some(found))) => Err(RegisterError::AlreadyRegistered {
                holder: guard.entry(found).owner(),
                key: key.take_back(),
                value: value.take_back(),
            }),
            Err((key, value, None)) => Err(self.full(key, value)),
        }
    }

    /// The entry of `key`: the one somebody holds, or else this owner's, registered with `value` in
    /// the same step. [`Entry::registration`] and [`Entry::owner`] tell which.
    ///
    /// # Errors
    /// [`RegisterError::Full`] if nobody holds the key and the registry's limit is reached.
    pub fn get_or_register<'g>(
        &mut self,
        guard: &'g Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Entry<'g, K, V>, RegisterError<K, V>> {
        match self.insert(guard, Offer::new(key), Offer::new(value)) {
            Ok(lane) => {
                let seen = self.shared.slab.read(lane.slot());
                Ok(guard.entry(Found { lane, seen }))
            }
            Err((_, _, Some(found))) => Ok(guard.entry(found)),
            Err((key, value, None)) => Err(self.full(key, value)),
        }
    }

    /// Registers `key` with `value`, whoever holds it now; returns what was there. One step: a reader
    /// finds the old registration or the new one.
    ///
    /// The former owner keeps the rest of what it holds, and nothing it does reaches this
    /// registration.
    ///
    /// # Errors
    /// [`RegisterError::Full`] if nobody holds the key and the registry's limit is reached.
    pub fn take_over<'g>(
        &mut self,
        guard: &'g Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Option<Entry<'g, K, V>>, RegisterError<K, V>> {
        let (mut key, mut value) = (Offer::new(key), Offer::new(value));
        loop {
            let there = match self.insert(guard, key, value) {
                Ok(_) => return Ok(None),
                Err((key, value, None)) => return Err(self.full(key, value)),
                Err((refused_key, refused_value, Some(found))) => {
                    (key, value) = (refused_key, refused_value);
                    found.lane
                }
            };
            // Without a slot nothing could be told apart from a registry that is full.
            let Some(slot) = self.slot() else {
                return Err(self.full(key, value));
            };
            self.prepare(slot, &key, &value);
            if !self.shared.index.replace(there, slot) {
                self.put_back(slot); // It has just been given up.
                continue;
            }
            key.accepted();
            value.accepted();
            // Nobody uses the replaced slot again before this.
            let seen = self.shared.slab.read(there.slot());
            let before = guard.entry(Found { lane: there, seen });
            if let Some(position) = self.position(there) {
                self.forget(position);
                self.shared.slab.leave(there.slot());
            }
            if self.shared.slab.took_over(there.slot()) {
                self.retire(Some(&guard.pin), there.slot(), true);
                self.shared.slab.free(there.slot());
            }
            self.hold(guard, Lane::taken(there.place(), slot));
            return Ok(Some(before));
        }
    }

    /// Replaces the value of `key` by what `f` makes of it; the registration stays the same. `f` is
    /// called only if this owner holds the key.
    ///
    /// # Errors
    /// [`NotHeld`] if it does not, or if somebody takes the key over meanwhile.
    pub fn update(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        key: &K::Borrowed,
        f: impl FnOnce(&V::Borrowed) -> V,
    ) -> Result<(), NotHeld> {
        self.checked(guard);
        let entry = guard.lookup(key).ok_or(NotHeld)?;
        let old = entry.lane();
        let position = self.position(old).ok_or(NotHeld)?;
        let value = Offer::new(f(entry.value()));
        let Some(slot) = self.slot() else {
            return Err(NotHeld);
        };
        let slab = &self.shared.slab;
        // The key goes along as it is: what its words own has one owner, the entry.
        let key = slab.read(old.slot()).key;
        slab.write(slot, self.pid, key, *value.words());
        slab.set_number(slot, slab.number(old.slot()));
        slab.set_position(slot, position);
        if !self.shared.index.replace(old, slot) {
            self.put_back(slot);
            return Err(NotHeld);
        }
        value.accepted();
        self.held[position] = Lane::taken(old.place(), slot);
        self.retire(Some(&guard.pin), old.slot(), false);
        self.put_back(old.slot());
        Ok(())
    }

    fn insert(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        key: Offer<K>,
        value: Offer<V>,
    ) -> Result<Lane, NotInserted<K, V>> {
        self.checked(guard);
        if V::MAY_OWN {
            guard.epoch();
        }
        let place = self.shared.place(key.seen());
        if K::MAY_OWN && key.inline_words().is_none() {
            guard.epoch();
        }
        // A registry that is full refuses what is there for being there.
        if self.shared.limit < usize::MAX {
            let mut probe = Probe::of(&self.shared.slab, &key);
            if let Some(found) = self.shared.index.find(place, &mut probe) {
                return Err((key, value, Some(found)));
            }
        }
        let Some(slot) = self.slot() else {
            return Err((key, value, None));
        };
        if !self.shared.count(self.number) {
            self.put_back(slot);
            return Err((key, value, None));
        }
        self.prepare(slot, &key, &value);
        // If a key's `Eq` panics, the slot and the count are given back, and key and value are dropped.
        let undo = Undo { owner: self, slot };
        let shared = &undo.owner.shared;
        let mut probe = Probe::of(&shared.slab, &key);
        let inserted = shared.index.insert(place, slot, &mut probe);
        let full = match inserted {
            Ok(full) => full,
            Err(Refused::Present(found)) => {
                drop(undo);
                return Err((key, value, Some(found)));
            }
            Err(Refused::Crowded) => {
                drop(undo);
                return Err((key, value, None));
            }
        };
        core::mem::forget(undo);
        key.accepted();
        value.accepted();
        let lane = Lane::taken(place, slot);
        self.hold(guard, lane);
        if full {
            self.shared.index.grow(self.shared.len());
        }
        Ok(lane)
    }

    /// Writes a slot that is in no lane.
    fn prepare(&mut self, slot: Spot, key: &Offer<K>, value: &Offer<V>) {
        if self.numbers.is_empty() {
            self.numbers = self.shared.numbers(self.block);
            self.block = (2 * self.block).min(LARGEST_BLOCK);
        }
        let slab = &self.shared.slab;
        slab.write(slot, self.pid, *key.words(), *value.words());
        slab.set_number(slot, self.numbers.start);
        self.numbers.start += 1;
    }

    fn full(&self, key: Offer<K>, value: Offer<V>) -> RegisterError<K, V> {
        RegisterError::Full {
            limit: self.shared.limit.min(LONGEST),
            key: key.take_back(),
            value: value.take_back(),
        }
    }
}

type NotInserted<K, V> = (Offer<K>, Offer<V>, Option<Found<Seen<K, V>>>);

/// Gives a slot back in which nothing was registered after all.
struct Undo<'o, K: Key, V: Stored, S: BuildHasher> {
    owner: &'o mut Owner<K, V, S>,
    slot: Spot,
}

impl<K: Key, V: Stored, S: BuildHasher> Drop for Undo<'_, K, V, S> {
    fn drop(&mut self) {
        self.owner.shared.discount(self.owner.number, 1);
        self.owner.put_back(self.slot);
    }
}
