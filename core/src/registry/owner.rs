//! The owner of registrations in an [`EpochRegistry`](super::EpochRegistry): everything that changes
//! one goes through it.
//!
//! An owner knows the lanes of its own registrations, and their slots know where it counts them, so that
//! releasing all takes time according to how many *it* has, and releasing one none to speak of. It is
//! borrowed mutably for every change, so none of its changes can meet another of its own, nor its drop.
//!
//! Slots are used again by their owner, without a word to anybody; a few are kept for that. A slot that
//! somebody else has replaced stays this owner's until it finds out (see [`slab`](super::slab)), so a
//! lane that refers to a slot of one's own is one's own registration, and no other.

use super::epoch::{Entry, Guard, Retired, Shared};
use super::index::{Found, LONGEST, Lane, Refused, Sequence, Slots, Spot};
use super::look::Probe;
use super::offer::Offer;
use super::slab::{Seen, Slab};
use super::stored::sealed;
use super::{Key, NotHeld, RegisterError, Registration, Serial, Stored};
use crate::id::Pid;
use crate::sync::Ordering;
use crate::sync::epoch::LazyPin;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;
use core::ops::Range;

/// The right to hold registrations. Dropping it releases them all: when `drop` returns, none of
/// them can be found. That takes O(own registrations), however many others there are.
///
/// An owner may be sent to, and dropped on, another thread than the one that made it. All its
/// operations are lock-free.
///
/// # Panics
/// Every operation that takes a guard panics if that is one of another registry.
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
/// old.update(&handle.pin(), "leader", |term| term + 1)?;
/// assert!(new.update(&handle.pin(), "leader", |term| term + 1).is_err());   // not its own
///
/// let guard = handle.pin();
/// let before = new.take_over(&guard, "leader", 3)?.expect("somebody had it");
/// assert_eq!((before.owner(), *before.value()), (old.pid(), 2));
/// drop(old);                                                                // spares the new one
/// assert_eq!(guard.whereis("leader"), Some(new.pid()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Owner<K: Key, V: Stored, S: BuildHasher> {
    shared: Arc<Shared<K, V, S>>,
    pid: Pid,
    /// Which owner of this registry, for spreading.
    number: usize,
    /// The lanes of the registrations held, and of some that others have taken over since: these are
    /// forgotten when there is no room for another.
    held: Vec<Lane>,
    /// Slots to register in.
    spare: Vec<Spot>,
    /// Numbers for registrations, taken in larger and larger blocks.
    numbers: Range<u64>,
    block: usize,
}

/// As many slots are kept at most for later registrations.
const MOST_SPARE: usize = 32;

/// As many numbers are taken at a time at most.
const LARGEST_BLOCK: usize = 256;

impl<K: Key, V: Stored, S: BuildHasher> Owner<K, V, S> {
    pub(super) const fn new(shared: Arc<Shared<K, V, S>>, pid: Pid, number: usize) -> Self {
        Self {
            shared,
            pid,
            number,
            held: Vec::new(),
            spare: Vec::new(),
            numbers: 0..0,
            block: 1,
        }
    }

    /// In whose name the registrations are held.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// The registrations held, in no useful order. O(1) for each.
    pub fn entries<'g>(
        &'g self,
        guard: &'g Guard<'_, K, V, S>,
    ) -> impl Iterator<Item = Entry<'g, K, V>> {
        self.checked(guard);
        if K::MAY_OWN || V::MAY_OWN {
            guard.epoch();
        }
        // A slot is not used again before this owner has left it, so nothing can change while it is read.
        let there = |lane: &&Lane| self.shared.index.contains(**lane);
        self.held.iter().filter(there).map(|&lane| {
            let seen = self.shared.slab.read(lane.slot());
            guard.entry(Found { lane, seen })
        })
    }

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

    /// Gives up `key`. Returns whether this owner held it; another's registration is not touched.
    pub fn unregister(&mut self, guard: &Guard<'_, K, V, S>, key: &K::Borrowed) -> bool {
        self.checked(guard);
        let found = guard.find(key);
        let mine = found.and_then(|found| self.position(found.lane));
        mine.is_some_and(|position| self.let_go(Some(&guard.pin), position))
    }

    /// Gives up the registrations for which `condition` holds, and returns how many those were. O(own
    /// registrations).
    pub fn unregister_if(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        mut condition: impl FnMut(Entry<'_, K, V>) -> bool,
    ) -> usize {
        let given_up: Vec<_> = self
            .entries(guard)
            .filter(|&entry| condition(entry))
            .map(|entry| entry.lane())
            .collect();
        given_up
            .into_iter()
            .filter(|&lane| {
                let position = self.position(lane);
                position.is_some_and(|position| self.let_go(Some(&guard.pin), position))
            })
            .count()
    }

    /// Gives up one registration. Returns whether this owner still held it; a later registration of
    /// the same key is not touched.
    pub fn release(&mut self, guard: &Guard<'_, K, V, S>, registration: Registration) -> bool {
        self.checked(guard);
        let mut numbered = Numbered {
            slab: &self.shared.slab,
            number: registration.serial.number,
        };
        let found = self.shared.index.find(registration.place, &mut numbered);
        let mine = found.and_then(|found| self.position(found.lane));
        mine.is_some_and(|position| self.let_go(Some(&guard.pin), position))
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

    /// The registration in a slot of one's own.
    fn registration(&self, lane: Lane) -> Registration {
        Registration {
            owner: self.pid,
            serial: Serial {
                owner: 0,
                number: self.shared.slab.number(lane.slot()),
            },
            place: lane.place(),
        }
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

    /// Notes a registration just made.
    fn hold(&mut self, guard: &Guard<'_, K, V, S>, lane: Lane) {
        if self.held.len() == self.held.capacity() {
            // Before there is more room, what others took over is forgotten.
            for position in (0..self.held.len()).rev() {
                if self.shared.slab.is_taken_over(self.held[position].slot()) {
                    self.let_go(Some(&guard.pin), position);
                }
            }
        }
        self.shared.slab.set_position(lane.slot(), self.held.len());
        self.held.push(lane);
    }

    /// Where a registration is held, if it is this owner's.
    fn position(&self, lane: Lane) -> Option<usize> {
        let position = self.shared.slab.position(lane.slot());
        (self.held.get(position) == Some(&lane)).then_some(position)
    }

    fn forget(&mut self, position: usize) {
        self.held.swap_remove(position);
        if let Some(moved) = self.held.get(position) {
            self.shared.slab.set_position(moved.slot(), position);
        }
    }

    /// Gives up the registration held at `position`; whether nobody had taken it over.
    fn let_go(&mut self, pin: Option<&LazyPin<'_>>, position: usize) -> bool {
        let lane = self.held[position];
        self.forget(position);
        let Withdrawn { removed, is_free } = self.withdraw(pin, lane);
        if removed {
            self.shared.discount(self.number, 1);
        }
        if is_free {
            self.put_back(lane.slot());
        }
        removed
    }

    /// Takes a registration of one's own, which is not counted any more, out of the index.
    fn withdraw(&self, pin: Option<&LazyPin<'_>>, lane: Lane) -> Withdrawn {
        let (slab, slot) = (&self.shared.slab, lane.slot());
        let removed = self.shared.index.remove(lane, slab.written(slot));
        // Otherwise whoever took it over gives the slot back, if not done with it yet.
        let is_free = removed || slab.leave(slot);
        if is_free {
            self.retire(pin, slot, true);
        }
        Withdrawn { removed, is_free }
    }

    /// Drops what a slot owns, once nobody can see it. The slot is in no lane. There is a pin if there is
    /// anything owned.
    fn retire(&self, pin: Option<&LazyPin<'_>>, slot: Spot, with_key: bool) {
        if !K::MAY_OWN && !V::MAY_OWN {
            return;
        }
        let Seen { key, value, .. } = self.shared.slab.read(slot);
        if let Some(pin) = pin {
            if with_key && <K as sealed::Stored>::words_own(&key) {
                retire::<K>(pin, key, &self.shared.retired);
            }
            if <V as sealed::Stored>::words_own(&value) {
                retire::<V>(pin, value, &self.shared.retired);
            }
        }
    }

    /// A slot to register in; `None` if there are as many as there may be.
    fn slot(&mut self) -> Option<Spot> {
        if let Some(slot) = self.spare.pop() {
            return Some(slot);
        }
        let most = (self.held.len() / 8 + 1).min(MOST_SPARE);
        let spare = &mut self.spare;
        self.shared
            .slab
            .allocate(most, self.number, |slot| spare.push(slot));
        // The first comes first, so that they lie in memory in the order of their use.
        self.spare.reverse();
        self.spare.pop()
    }

    fn put_back(&mut self, slot: Spot) {
        if self.spare.len() < MOST_SPARE {
            self.spare.push(slot);
        } else {
            self.shared.slab.free(slot);
        }
    }

    fn full(&self, key: Offer<K>, value: Offer<V>) -> RegisterError<K, V> {
        RegisterError::Full {
            limit: self.shared.limit.min(LONGEST),
            key: key.take_back(),
            value: value.take_back(),
        }
    }

    /// Panics if the guard is another registry's.
    fn checked(&self, guard: &Guard<'_, K, V, S>) {
        assert!(
            Arc::ptr_eq(&self.shared, guard.shared),
            "a guard was used with the owner of another registry"
        );
    }
}

/// What came of withdrawing a registration.
struct Withdrawn {
    /// It was there; nobody had taken it over.
    removed: bool,
    /// Its slot may be used again, or given back.
    is_free: bool,
}

type NotInserted<K, V> = (Offer<K>, Offer<V>, Option<Found<Seen<K, V>>>);

/// Drops what words own, once nobody can see it.
pub(super) fn retire<T: Stored>(pin: &LazyPin<'_>, words: T::Words, retired: &Arc<Retired>) {
    retire_with::<T>(pin, words, 0, retired);
}

/// As [`retire`], of what owns so many bytes beyond those that are known to the words.
pub(super) fn retire_with<T: Stored>(
    pin: &LazyPin<'_>,
    words: T::Words,
    beyond: usize,
    retired: &Arc<Retired>,
) {
    let bytes = T::bytes_owned(&words) + beyond;
    // Relaxed, here and below: counts.
    retired.things.fetch_add(1, Ordering::Relaxed);
    retired.bytes.fetch_add(bytes, Ordering::Relaxed);
    let retired = Arc::clone(retired);
    let free = move || {
        // Before the thing is dropped, since a destructor may panic.
        retired.things.fetch_sub(1, Ordering::Relaxed);
        retired.bytes.fetch_sub(bytes, Ordering::Relaxed);
        // SAFETY: of an entry that is in no lane any more, taken once, by whoever gives its slot back.
        drop(unsafe { T::from_words(words) });
    };
    // SAFETY: the closure may run on any thread (keys and values are `Send` wherever a registry is
    // shared), and only uses what it owns.
    unsafe { pin.guard().defer_unchecked(free) };
}

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

/// Looks for a registration by its number.
struct Numbered<'s, K: Stored, V: Stored> {
    slab: &'s Slab<K, V>,
    number: u64,
}

impl<K: Stored, V: Stored> Slots for Numbered<'_, K, V> {
    type Seen = ();
    type Slot = Spot;

    fn slot(&self, spot: Spot) -> Spot {
        spot
    }

    fn read(&mut self, slot: Spot) -> (Sequence, Option<()>) {
        let sequence = self.slab.read(slot).sequence;
        let matches = self.slab.number(slot) == self.number;
        (sequence, matches.then_some(()))
    }

    fn sequence(&self, slot: Spot) -> Sequence {
        self.slab.sequence(slot)
    }
}

impl<K: Key, V: Stored, S: BuildHasher> Drop for Owner<K, V, S> {
    fn drop(&mut self) {
        let owns = |lane: &Lane| {
            let Seen { key, value, .. } = self.shared.slab.read(lane.slot());
            <K as sealed::Stored>::words_own(&key) || <V as sealed::Stored>::words_own(&value)
        };
        let something = (K::MAY_OWN || V::MAY_OWN) && self.held.iter().any(owns);
        // Something of its own to pin, since the thread may have no handle (any more).
        let local = something.then(|| self.shared.collector.register());
        let pin = local.as_ref().map(LazyPin::new);
        let mut gone = 0;
        for lane in core::mem::take(&mut self.held) {
            let Withdrawn { removed, is_free } = self.withdraw(pin.as_ref(), lane);
            gone += usize::from(removed);
            if is_free {
                self.shared.slab.free(lane.slot());
            }
        }
        if gone > 0 {
            self.shared.discount(self.number, gone);
        }
        for slot in self.spare.drain(..) {
            self.shared.slab.free(slot);
        }
        if let Some(pin) = pin {
            pin.guard().flush();
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> fmt::Debug for Owner<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}
