//! What an owner gives up, one by one or all at once when it goes.

use super::Owner;
use crate::registry::epoch::{Entry, Guard, Shared};
use crate::registry::index::{Lane, Sequence, Slots, Spot};
use crate::registry::slab::{Seen, Slab, Vacated};
use crate::registry::stored::sealed;
use crate::registry::tally::Retired;
use crate::registry::watch::{Reason, Telling, ToTell};
use crate::registry::{Key, Registration, Stored};
use crate::sync::epoch::LazyPin;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;

/// Of how many registrations memory is fetched at a time while all are released.
const AHEAD: usize = 8;

impl<K: Key, V: Stored, S: BuildHasher> Owner<K, V, S> {
    /// Gives up `key`. Returns whether this owner held it; another's registration is not touched.
    pub fn unregister(&mut self, guard: &Guard<'_, K, V, S>, key: &K::Borrowed) -> bool {
        self.checked(guard);
        let found = guard.find_owner(key);
        let mine = found.and_then(|found| self.position(found.lane));
        mine.is_some_and(|position| self.let_go(guard, position))
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
                position.is_some_and(|position| self.let_go(guard, position))
            })
            .count()
    }

    /// Gives up one registration. Returns whether this owner still held it; a later registration of
    /// the same key is not touched, and neither is any for a registration in another registry.
    pub fn release(&mut self, guard: &Guard<'_, K, V, S>, registration: Registration) -> bool {
        self.checked(guard);
        if registration.registry != self.shared.slab.address() {
            return false;
        }
        let numbered = Numbered {
            slab: &self.shared.slab,
            number: registration.serial.number,
        };
        let found = self.shared.index.find(registration.place, numbered);
        let mine = found.and_then(|found| self.position(found.lane));
        mine.is_some_and(|position| self.let_go(guard, position))
    }

    /// Gives up the registration held at `position`; whether nobody had taken it over.
    pub(super) fn let_go(&mut self, guard: &Guard<'_, K, V, S>, position: usize) -> bool {
        let lane = self.held[position];
        let pin = Some(&guard.pin);
        let withdrawn = self.withdraw(pin, lane, Reason::Unregistered, Telling::All);
        self.forget(position);
        if withdrawn.removed {
            self.shared.entries.subtract(self.number, 1);
        }
        if withdrawn.is_free {
            self.use_again(guard, lane.slot());
        }
        self.shared.tell(withdrawn.told);
        withdrawn.removed
    }

    /// Takes a registration of one's own out of the index, which must not be counted among one's own afterwards.
    /// There is a pin if changes are watched, or anything is owned.
    ///
    /// It may call a user's code: destructors, where it pins, and `clone`, for the feed. If that panics, nothing
    /// has been done.
    #[inline]
    fn withdraw(
        &self,
        pin: Option<&LazyPin<'_>>,
        lane: Lane,
        reason: Reason,
        telling: Telling,
    ) -> Withdrawn<K, V> {
        if let Some(pin) = pin
            && self.shared.slab.owns(lane.slot())
        {
            pin.guard();
        }
        let (slab, slot) = (&self.shared.slab, lane.slot());
        let Shared { index, watch, .. } = &*self.shared;
        let sequence = slab.written(slot);
        let (removed, told) = match (watch, pin) {
            (Some(watch), Some(pin)) => {
                let draft = self.draft(reason, lane);
                let removed = self.shared.watched(watch, pin, draft, telling, |ticket| {
                    let removed = index.remove(lane, sequence, ticket);
                    removed.then_some(()).ok_or(())
                });
                removed.map_or((false, None), |((), told)| (true, told))
            }
            _ => (index.remove(lane, sequence, &mut ()), None),
        };
        // Otherwise whoever took it over gives the slot back, if not done with it yet.
        let is_free = removed || slab.leave(slot);
        if is_free {
            self.retire(pin, slot, true);
        }
        Withdrawn {
            removed,
            is_free,
            told,
        }
    }

    /// Has the memory fetched of a registration that is soon to be released.
    #[inline]
    fn fetch(&self, position: usize) {
        if let Some(&lane) = self.held.get(position) {
            self.shared.index.fetch(lane.place());
            self.shared.slab.fetch(lane.slot());
        }
    }

    /// Drops what a slot owns, once nobody can see it. The slot is in no lane. There is a pin if there is
    /// anything owned.
    pub(super) fn retire(&self, pin: Option<&LazyPin<'_>>, slot: Spot, with_key: bool) {
        if let Some(pin) = pin
            && self.shared.slab.owns(slot)
        {
            let Seen { key, value, .. } = self.shared.slab.read(slot);
            if with_key && <K as sealed::Stored>::words_own(&key) {
                retire::<K>(pin, key, &self.shared.retired);
            }
            if <V as sealed::Stored>::words_own(&value) {
                retire::<V>(pin, value, &self.shared.retired);
            }
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> Drop for Owner<K, V, S> {
    fn drop(&mut self) {
        let slab = &self.shared.slab;
        let owns = |lane: &Lane| (K::MAY_OWN || V::MAY_OWN) && slab.owns(lane.slot());
        let something = self.shared.watch.is_some() || self.held.iter().any(owns);
        // Something of its own to pin, since the thread may have no handle (any more).
        let local = something.then(|| self.shared.collector.register());
        let pin = local.as_ref().map(LazyPin::new);
        let mut rest = Rest {
            claimed: Vec::new(),
            vacated: Vacated::default(),
            gone: 0,
            pin: pin.as_ref(),
            owner: self,
        };
        rest.release(Telling::All);
    }
}

/// Goes on where a user's code that panicked left off: an audit, a `clone`, or a destructor.
struct Rest<'r, K: Key, V: Stored, S: BuildHasher> {
    owner: &'r mut Owner<K, V, S>,
    pin: Option<&'r LazyPin<'r>>,
    /// How many entries are gone and still counted.
    gone: usize,
    /// Slots to be given back soon.
    vacated: Vacated,
    /// Slots to be given back later, when all who are pinned now are gone.
    claimed: Vec<Spot>,
}

impl<K: Key, V: Stored, S: BuildHasher> Rest<'_, K, V, S> {
    /// Releases all registrations.
    fn release(&mut self, telling: Telling) {
        let owner = &mut *self.owner;
        for position in owner.held.len().saturating_sub(AHEAD)..owner.held.len() {
            owner.fetch(position);
        }
        while let Some(&lane) = owner.held.last() {
            // They lie anywhere, and each would be waited for.
            if let Some(position) = owner.held.len().checked_sub(1 + AHEAD) {
                owner.fetch(position);
            }
            let withdrawn = owner.withdraw(self.pin, lane, Reason::OwnerDied, telling);
            owner.held.pop();
            self.gone += usize::from(withdrawn.removed);
            if withdrawn.is_free {
                if owner.shared.slab.is_claimed(lane.slot()) {
                    self.claimed.push(lane.slot());
                } else {
                    let Shared { slab, .. } = &*owner.shared;
                    slab.free_soon(lane.slot(), &mut self.vacated);
                }
            }
            if withdrawn.told.is_some() {
                owner
                    .shared
                    .entries
                    .subtract(owner.number, core::mem::take(&mut self.gone));
                owner.shared.tell(withdrawn.told);
            }
        }
        let gone = core::mem::take(&mut self.gone);
        if gone > 0 {
            owner.shared.entries.subtract(owner.number, gone);
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> Drop for Rest<'_, K, V, S> {
    fn drop(&mut self) {
        self.release(Telling::Loss);
        let shared = &self.owner.shared;
        for slot in self.owner.spare.drain(..) {
            shared.slab.free_soon(slot, &mut self.vacated);
        }
        shared.slab.free_now(&mut self.vacated);
        if !self.claimed.is_empty() {
            let local = shared.collector.register();
            let pin = local.pin();
            for slot in self.claimed.drain(..) {
                shared.free_later(&pin, slot);
            }
            pin.flush();
        }
        if let Some(pin) = self.pin {
            pin.guard().flush();
        }
    }
}

/// What came of withdrawing a registration.
struct Withdrawn<K: Stored, V: Stored> {
    /// It was there; nobody had taken it over.
    removed: bool,
    /// Its slot may be used again, or given back.
    is_free: bool,
    told: ToTell<K, V>,
}

/// Drops what words own, once nobody can see it.
pub(in crate::registry) fn retire<T: Stored>(
    pin: &LazyPin<'_>,
    words: T::Words,
    retired: &Arc<Retired>,
) {
    retire_with::<T>(pin, words, 0, retired);
}

/// As [`retire`], of what owns so many bytes beyond those that are known to the words.
pub(in crate::registry) fn retire_with<T: Stored>(
    pin: &LazyPin<'_>,
    words: T::Words,
    beyond: usize,
    retired: &Arc<Retired>,
) {
    // First, since destructors that run now may panic.
    let pin = pin.guard();
    let bytes = T::bytes_owned(&words) + beyond;
    retired.add(bytes);
    let retired = Arc::clone(retired);
    let free = move || {
        // Before the thing is dropped, since a destructor may panic.
        retired.subtract(bytes);
        // SAFETY: of an entry that is in no lane any more, taken once, by whoever gives its slot back.
        drop(unsafe { T::from_words(words) });
    };
    // SAFETY: the closure may run on any thread (keys and values are `Send` wherever a registry is
    // shared), and only uses what it owns.
    unsafe { pin.defer_unchecked(free) };
}

/// Looks for a registration by its number.
struct Numbered<'s, K: Stored, V: Stored> {
    slab: &'s Slab<K, V>,
    number: u64,
}

impl<K: Stored, V: Stored> Clone for Numbered<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Stored, V: Stored> Copy for Numbered<'_, K, V> {}

impl<K: Stored, V: Stored> Slots for Numbered<'_, K, V> {
    type Seen = ();
    type Slot = Spot;

    fn slot(self, spot: Spot) -> Spot {
        spot
    }

    fn read(self, slot: Spot) -> (Sequence, Option<()>) {
        let sequence = self.slab.read(slot).sequence;
        let matches = self.slab.number(slot) == self.number;
        (sequence, matches.then_some(()))
    }

    fn sequence(self, slot: Spot) -> Sequence {
        self.slab.sequence(slot)
    }
}
