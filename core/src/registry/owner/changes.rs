//! What an owner adds and replaces: registering, taking over, updating, giving away.

use super::{LARGEST_BLOCK, Owner};
use crate::registry::epoch::{Entry, Guard, Shared};
use crate::registry::index::{Found, LONGEST, Lane, Refused, Spot};
use crate::registry::look::Rival;
use crate::registry::offer::Offer;
use crate::registry::slab::Seen;
use crate::registry::watch::{Reason, Telling, ToTell};
use crate::registry::{GiveAwayError, Key, RegisterError, Registration, Stored, UpdateError};
use core::hash::BuildHasher;

impl<K: Key, V: Stored, S: BuildHasher> Owner<K, V, S> {
    /// Registers `key` with `value`.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] if somebody, this owner included, holds the key,
    /// [`RegisterError::Full`] if the registry's limit is reached, and [`RegisterError::TooManyCollisions`] if
    /// there is no room for another key of this hash; all give key and value back and leave nothing behind.
    pub fn register(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Registration, RegisterError<K, V>> {
        match self.insert(guard, Offer::new(key), Offer::new(value)) {
            Ok(lane) => Ok(self.registration(lane)),
            Err((key, value, Why::Present(found))) => Err(RegisterError::AlreadyRegistered {
                holder: guard.entry(found).owner(),
                key: key.take_back(),
                value: value.take_back(),
            }),
            Err((key, value, Why::NoRoom(none))) => Err(self.no_room(none, key, value)),
        }
    }

    /// The entry of `key`: the one somebody holds, or else this owner's, registered with `value` in
    /// the same step. [`Entry::registration`] and [`Entry::owner`] tell which.
    ///
    /// # Errors
    /// [`RegisterError::Full`] or [`RegisterError::TooManyCollisions`] if nobody holds the key and there is no
    /// room for it.
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
            Err((_, _, Why::Present(found))) => Ok(guard.entry(found)),
            Err((key, value, Why::NoRoom(none))) => Err(self.no_room(none, key, value)),
        }
    }

    /// Registers `key` with `value`, whoever holds it now; returns what was there. One step: a reader
    /// finds the old registration or the new one.
    ///
    /// The former owner keeps the rest of what it holds, and nothing it does reaches this
    /// registration.
    ///
    /// # Errors
    /// [`RegisterError::Full`] or [`RegisterError::TooManyCollisions`] if nobody holds the key and there is no
    /// room for it.
    pub fn take_over<'g>(
        &mut self,
        guard: &'g Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Option<Entry<'g, K, V>>, RegisterError<K, V>> {
        self.take(guard, key, value, None)
    }

    /// As [`take_over`](Self::take_over), if `condition` holds for the entry that is there: so a name may be
    /// taken from a process that is known to be dead and from no other. What is replaced is the very
    /// registration, with the very value, that `condition` was called with last; it is called again if that
    /// changed before it could be replaced, and not at all if nobody holds the key.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] if the condition does not hold, and [`RegisterError::Full`] or
    /// [`RegisterError::TooManyCollisions`] if nobody holds the key and there is no room for it; all give key and
    /// value back and leave everything as it was.
    ///
    /// ```
    /// use bedplate_core::id::PidAllocator;
    /// use bedplate_core::registry::EpochRegistry;
    /// use std::hash::RandomState;
    ///
    /// let registry = EpochRegistry::<&str, u32, _>::with_hasher(RandomState::new());
    /// let mut pids = PidAllocator::new(10);
    /// let handle = registry.handle();
    /// let (mut old, mut new) = (registry.owner(pids.allocate()?), registry.owner(pids.allocate()?));
    ///
    /// old.register(&handle.pin(), "leader", 7)?;                            // the term it is elected for
    /// let guard = handle.pin();
    /// assert!(new.take_over_if(&guard, "leader", 8, |held| *held.value() < 7).is_err());
    /// assert!(new.take_over_if(&guard, "leader", 8, |held| *held.value() < 8)?.is_some());
    /// assert_eq!(guard.whereis("leader"), Some(new.pid()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_over_if<'g>(
        &mut self,
        guard: &'g Guard<'_, K, V, S>,
        key: K,
        value: V,
        mut condition: impl FnMut(Entry<'_, K, V>) -> bool,
    ) -> Result<Option<Entry<'g, K, V>>, RegisterError<K, V>> {
        self.take(guard, key, value, Some(&mut condition))
    }

    fn take<'g>(
        &mut self,
        guard: &'g Guard<'_, K, V, S>,
        key: K,
        value: V,
        mut condition: Condition<'_, K, V>,
    ) -> Result<Option<Entry<'g, K, V>>, RegisterError<K, V>> {
        guard.epoch(); // before anything is read
        let (mut key, mut value) = (Offer::new(key), Offer::new(value));
        loop {
            let found = match self.insert(guard, key, value) {
                Ok(_) => return Ok(None),
                Err((key, value, Why::NoRoom(none))) => {
                    return Err(self.no_room(none, key, value));
                }
                Err((refused_key, refused_value, Why::Present(found))) => {
                    (key, value) = (refused_key, refused_value);
                    found
                }
            };
            let there = found.lane;
            if let Some(condition) = &mut condition {
                let entry = guard.entry(found);
                if !condition(entry) {
                    return Err(RegisterError::AlreadyRegistered {
                        holder: entry.owner(),
                        key: key.take_back(),
                        value: value.take_back(),
                    });
                }
            }
            // Without that, the lane could come to hold another key of the same place, in the same slot.
            if !self.claim(found) {
                continue; // It has just changed.
            }
            // Without a slot nothing could be told apart from a registry that is full.
            let Some(slot) = self.slot() else {
                return Err(self.no_room(NoRoom::Full, key, value));
            };
            self.prepare(slot, &key, &value);
            let new = Lane::taken(there.place(), slot);
            let from = guard.entry(found).owner();
            let undo = Undo::of_replacement(self, slot);
            let replaced = undo
                .owner
                .replace(guard, there, new, Reason::TakenOver { from });
            let Ok(told) = replaced else {
                continue; // It has just been given up.
            };
            core::mem::forget(undo);
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
                if self.shared.slab.is_claimed(there.slot()) {
                    self.shared.free_later(guard.epoch(), there.slot());
                } else {
                    self.shared.slab.free(there.slot());
                }
            }
            self.hold(new);
            self.shared.tell(told);
            return Ok(Some(before));
        }
    }

    /// Makes sure that a lane keeps its word no longer than the registration that was found. One is pinned
    /// since before it was found. Returns whether it was still there.
    fn claim(&self, found: Found<Seen<K, V>>) -> bool {
        let Shared { slab, index, .. } = &*self.shared;
        let slot = found.lane.slot();
        slab.claim(slot, found.seen.sequence)
            // Whoever exchanges the lane afterwards sees the mark [S4].
            && index.confirm(found.lane)
            && slab.is_still(slot, found.seen.sequence)
    }

    /// Replaces the value of `key` by what `f` makes of it; the registration stays the same. `f` is
    /// called only if this owner holds the key.
    ///
    /// # Errors
    /// [`UpdateError::NotHeld`] if it does not, or if somebody takes the key over meanwhile, and
    /// [`UpdateError::Full`] if the registry has as many places for entries as it may; with the new value, if it
    /// was made.
    pub fn update(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        key: &K::Borrowed,
        f: impl FnOnce(&V::Borrowed) -> V,
    ) -> Result<(), UpdateError<V>> {
        self.checked(guard);
        let not_held = UpdateError::NotHeld { value: None };
        let Some(entry) = guard.lookup(key) else {
            return Err(not_held);
        };
        let old = entry.lane();
        let Some(position) = self.position(old) else {
            return Err(not_held);
        };
        let value = Offer::new(f(entry.value()));
        let Some(slot) = self.slot() else {
            let (limit, value) = (LONGEST, value.take_back());
            return Err(UpdateError::Full { limit, value });
        };
        let slab = &self.shared.slab;
        // The key goes along as it is: what its words own has one owner, the entry.
        let key = slab.read(old.slot()).key;
        slab.write(slot, self.pid, key, *value.words());
        slab.set_number(slot, slab.number(old.slot()));
        slab.set_position(slot, position);
        let new = Lane::taken(old.place(), slot);
        let undo = Undo::of_replacement(self, slot);
        let replaced = undo.owner.replace(guard, old, new, Reason::Updated);
        let Ok(told) = replaced else {
            drop(undo);
            let value = Some(value.take_back());
            return Err(UpdateError::NotHeld { value });
        };
        core::mem::forget(undo);
        value.accepted();
        self.held[position] = new;
        self.retire(Some(&guard.pin), old.slot(), false);
        self.use_again(guard, old.slot());
        self.shared.tell(told);
        Ok(())
    }

    /// Hands the registration of `key` on to another owner, with the value it has. One step: a reader
    /// finds it with the old owner or with the new one. It is a new registration, which is returned;
    /// the old one is over.
    ///
    /// # Errors
    /// [`GiveAwayError::NotHeld`] if this owner does not hold the key, or somebody takes it over meanwhile, and
    /// [`GiveAwayError::Full`] if the registry has as many places for entries as it may.
    ///
    /// # Panics
    /// If the other owner is one of another registry.
    ///
    /// ```
    /// use bedplate_core::id::PidAllocator;
    /// use bedplate_core::registry::EpochRegistry;
    /// use std::hash::RandomState;
    ///
    /// let registry = EpochRegistry::<&str, u32, _>::with_hasher(RandomState::new());
    /// let mut pids = PidAllocator::new(10);
    /// let handle = registry.handle();
    /// let (mut old, mut new) = (registry.owner(pids.allocate()?), registry.owner(pids.allocate()?));
    ///
    /// old.register(&handle.pin(), "leader", 1)?;
    /// let registration = old.give_away(&handle.pin(), "leader", &mut new)?;
    /// assert_eq!(handle.pin().whereis("leader"), Some(new.pid()));
    /// assert!(old.give_away(&handle.pin(), "leader", &mut new).is_err());           // it has it no more
    /// assert!(new.release(&handle.pin(), registration));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn give_away(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        key: &K::Borrowed,
        to: &mut Self,
    ) -> Result<Registration, GiveAwayError> {
        self.checked(guard);
        to.checked(guard);
        let old = guard.find(key).ok_or(GiveAwayError::NotHeld)?.lane;
        let position = self.position(old).ok_or(GiveAwayError::NotHeld)?;
        to.make_room(guard);
        let slot = to.slot().ok_or(GiveAwayError::Full { limit: LONGEST })?;
        // Key and value go along as they are: what their words own has one owner, the entry.
        let Seen { key, value, .. } = self.shared.slab.read(old.slot());
        to.write(slot, key, value);
        let new = Lane::taken(old.place(), slot);
        let reason = Reason::GivenAway { from: self.pid };
        let undo = Undo::of_replacement(to, slot);
        let replaced = undo.owner.replace(guard, old, new, reason);
        let told = replaced.map_err(|Gone| GiveAwayError::NotHeld)?;
        core::mem::forget(undo);
        to.hold(new);
        self.forget(position);
        self.use_again(guard, old.slot());
        self.shared.tell(told);
        Ok(to.registration(new))
    }

    /// Puts a slot of one's own, which has been written, in the place of an entry.
    #[inline]
    fn replace(
        &self,
        guard: &Guard<'_, K, V, S>,
        old: Lane,
        new: Lane,
        reason: Reason,
    ) -> Result<ToTell<K, V>, Gone> {
        let Shared { index, watch, .. } = &*self.shared;
        let Some(watch) = watch else {
            let replaced = index.replace(old, new.slot(), &mut ());
            return if replaced { Ok(None) } else { Err(Gone) };
        };
        let draft = self.draft(reason, new);
        let pin = &guard.pin;
        let replaced = self
            .shared
            .watched(watch, pin, draft, Telling::All, |ticket| {
                let replaced = index.replace(old, new.slot(), ticket);
                replaced.then_some(()).ok_or(Gone)
            });
        replaced.map(|((), told)| told)
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
        if K::MAY_OWN && !key.is_inline() {
            guard.epoch();
        }
        loop {
            // A registry that is full refuses what is there for being there.
            if self.shared.entries.limit() < usize::MAX {
                let rival = Rival::of(&self.shared.slab, &key, None);
                if let Some(found) = self.shared.index.find(place, rival) {
                    if found.seen.sequence.is_pending() {
                        // Nobody is called off for the sake of who is refused all the same.
                        if self.shared.entries.sum() >= self.shared.entries.limit() {
                            return Err((key, value, Why::NoRoom(NoRoom::Full)));
                        }
                        self.clear_the_way(guard, &found);
                        continue;
                    }
                    return Err((key, value, Why::Present(found)));
                }
            }
            self.make_room(guard);
            let Some(slot) = self.slot() else {
                return Err((key, value, Why::NoRoom(NoRoom::Full)));
            };
            if !self.shared.entries.add(self.number) {
                self.put_back(slot);
                return Err((key, value, Why::NoRoom(NoRoom::Full)));
            }
            self.prepare(slot, &key, &value);
            // If a key's `Eq` panics, the slot and the count are given back, and key and value are dropped.
            let undo = Undo {
                owner: self,
                slot,
                counted: 1,
            };
            let shared = &undo.owner.shared;
            let lane = Lane::taken(place, slot);
            let rival = Rival::of(&shared.slab, &key, None);
            let inserted = match &shared.watch {
                None => {
                    let inserted = shared.index.insert(place, slot, rival, &mut ());
                    inserted.map(|full| (full, None))
                }
                Some(watch) => {
                    let draft = undo.owner.draft(Reason::Registered, lane);
                    let pin = &guard.pin;
                    shared.watched(watch, pin, draft, Telling::All, |ticket| {
                        shared.index.insert(place, slot, rival, ticket)
                    })
                }
            };
            let (full, told) = match inserted {
                Ok(inserted) => inserted,
                Err(Refused::Present(found)) => {
                    drop(undo);
                    if found.seen.sequence.is_pending() {
                        self.clear_the_way(guard, &found);
                        continue;
                    }
                    return Err((key, value, Why::Present(found)));
                }
                Err(Refused::Crowded) => {
                    drop(undo);
                    return Err((key, value, Why::NoRoom(NoRoom::Crowded)));
                }
            };
            core::mem::forget(undo);
            key.accepted();
            value.accepted();
            self.hold(lane);
            if full {
                self.shared.index.grow(self.shared.entries.sum());
            }
            self.shared.tell(told);
            return Ok(lane);
        }
    }

    /// Writes a slot that is in no lane, for a registration of its own.
    fn prepare(&mut self, slot: Spot, key: &Offer<K>, value: &Offer<V>) {
        self.write(slot, *key.words(), *value.words());
    }

    fn write(&mut self, slot: Spot, key: K::Words, value: V::Words) {
        let number = self.next_number();
        let slab = &self.shared.slab;
        slab.write(slot, self.pid, key, value);
        slab.set_number(slot, number);
    }

    /// A number for a registration.
    pub(super) fn next_number(&mut self) -> u64 {
        if self.numbers.is_empty() {
            self.numbers = self.shared.numbers(self.block);
            self.block = (2 * self.block).min(LARGEST_BLOCK);
        }
        let number = self.numbers.start;
        self.numbers.start += 1;
        number
    }

    fn no_room(&self, why: NoRoom, key: Offer<K>, value: Offer<V>) -> RegisterError<K, V> {
        let (key, value) = (key.take_back(), value.take_back());
        let limit = self.shared.entries.limit().min(LONGEST);
        match why {
            NoRoom::Full => RegisterError::Full { limit, key, value },
            NoRoom::Crowded => RegisterError::TooManyCollisions { key, value },
        }
    }
}

/// What was to be replaced is not there any more.
struct Gone;

/// Whether what is there may be taken over; without one, whatever it is.
type Condition<'c, K, V> = Option<&'c mut dyn FnMut(Entry<'_, K, V>) -> bool>;

type NotInserted<K, V> = (Offer<K>, Offer<V>, Why<K, V>);

enum Why<K: Stored, V: Stored> {
    Present(Found<Seen<K, V>>),
    NoRoom(NoRoom),
}

#[derive(Clone, Copy)]
enum NoRoom {
    /// There are as many entries, or slots, as there may be.
    Full,
    /// There are too many of the same hash.
    Crowded,
}

/// Gives a slot back in which nothing was registered after all.
struct Undo<'o, K: Key, V: Stored, S: BuildHasher> {
    owner: &'o mut Owner<K, V, S>,
    slot: Spot,
    /// How many entries were counted for it.
    counted: usize,
}

impl<'o, K: Key, V: Stored, S: BuildHasher> Undo<'o, K, V, S> {
    /// Of a slot that is to replace another one, which is counted already.
    const fn of_replacement(owner: &'o mut Owner<K, V, S>, slot: Spot) -> Self {
        Self {
            owner,
            slot,
            counted: 0,
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> Drop for Undo<'_, K, V, S> {
    fn drop(&mut self) {
        let Self {
            owner,
            slot,
            counted,
        } = self;
        if *counted > 0 {
            owner.shared.entries.subtract(owner.number, *counted);
        }
        owner.put_back(*slot);
    }
}
