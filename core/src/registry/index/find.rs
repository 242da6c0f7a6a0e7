//! How an entry is found. See [`index`](super).

use super::{Bucket, Index, Lane, Place, Spot, load, meta, parent};
use crate::sync::{AtomicUsize, Ordering, fence};

/// How the index looks at the caller's slots.
pub(in crate::registry) trait Slots: Copy {
    /// What is seen of an entry that matches.
    type Seen;

    /// A slot that was looked up.
    type Slot: Copy;

    /// Looks a slot up.
    fn slot(self, spot: Spot) -> Self::Slot;

    /// Has a slot fetched that is soon to be read.
    #[inline]
    fn fetch(self, slot: Self::Slot) {
        let _ = slot;
    }

    /// Reads a slot: its sequence, Acquire, before everything else, and what is seen if it matches. What
    /// is read is used only if neither the slot nor the lane changed meanwhile.
    fn read(self, slot: Self::Slot) -> (Sequence, Option<Self::Seen>);

    /// The sequence again, Relaxed.
    fn sequence(self, slot: Self::Slot) -> Sequence;

    /// Whether it really matches, where that can only be told of what was validly seen.
    fn confirm(self, seen: &Self::Seen) -> bool {
        let _ = seen;
        true
    }

    /// What to make of an entry that is pending. The answer is used only if the entry was pending in its lane
    /// before and after it was given.
    fn pending(self, spot: Spot) -> Pending {
        let _ = spot;
        Pending::Absent
    }
}

/// What to make of an entry that is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) enum Pending {
    /// It does not count.
    Absent,
    /// It counts, if it is confirmed.
    Present,
    /// It is found, as pending, without being confirmed: what it owns may be gone.
    InTheWay,
}

/// How often a slot was written, and marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) struct Sequence(pub(in crate::registry) usize);

impl Sequence {
    /// It is being written.
    pub(in crate::registry) const WRITING: usize = 1;
    /// Whether its entry counts is said elsewhere.
    pub(in crate::registry) const PENDING: usize = 2;

    /// Whether what was read is an entry that counts: one test of two bits.
    pub(in crate::registry) const fn is_stable(self) -> bool {
        self.0 & (Self::WRITING | Self::PENDING) == 0
    }

    pub(in crate::registry) const fn is_pending(self) -> bool {
        self.0 & (Self::WRITING | Self::PENDING) == Self::PENDING
    }
}

/// An entry that was found.
#[derive(Clone, Copy)]
pub(in crate::registry) struct Found<T> {
    pub(in crate::registry) lane: Lane,
    pub(in crate::registry) seen: T,
}

impl Index {
    /// The entry at `place` that matches.
    ///
    /// Nearly all that are looked for are in the first bucket of their chain, undisturbed: that is told
    /// here, with as little as will do, and everything else elsewhere.
    #[inline(always)]
    pub(in crate::registry) fn find<S: Slots>(
        &self,
        place: Place,
        slots: S,
    ) -> Option<Found<S::Seen>> {
        let size = self.size();
        let head = self.bucket_or_parent(place, size);
        // Before the lanes: what was in the parent is here, or is looked for there.
        let is_ready = meta(head).is_ready();
        let mut bucket = head;
        loop {
            if let Some((_, lane)) = bucket.lane_at(place) {
                let word = load(lane);
                let slot = slots.slot(word.slot());
                let (sequence, seen) = slots.read(slot);
                // The lane may have been freed since it was found. What matches is at this place, whatever else is nearly
                // there.
                if let Some(seen) = seen
                    && word.is_taken()
                    && is_unchanged(lane, word, slot, sequence, slots)
                    && slots.confirm(&seen)
                {
                    let lane = word.settled();
                    return Some(Found { lane, seen });
                }
                break;
            }
            match self.next(bucket) {
                Some(next) => bucket = next,
                // Relaxed: as in `is_still`.
                None if is_ready && self.size.load(Ordering::Relaxed) == size.0 => return None,
                None => break,
            }
        }
        // In memory of its own, and of a copy: what is found above, and what it is looked for with, would else go through
        // memory, too.
        let mut found = None;
        self.find_anyway(place, &{ slots }, &mut found);
        found
    }

    #[cold]
    #[inline(never)]
    fn find_anyway<S: Slots>(&self, place: Place, slots: &S, found: &mut Option<Found<S::Seen>>) {
        *found = self.find_thoroughly(place, *slots);
    }

    #[inline]
    fn find_thoroughly<S: Slots>(&self, place: Place, slots: S) -> Option<Found<S::Seen>> {
        self.in_chain(place, |head| self.find_in_chain(head, place, slots))
    }

    /// What `look` finds in the chain of a place; `None` if there was nothing at some moment, wherever what belongs there was.
    #[inline]
    pub(super) fn in_chain<'i, T>(
        &'i self,
        place: Place,
        mut look: impl FnMut(&'i Bucket) -> Option<T>,
    ) -> Option<T> {
        loop {
            let number = place.bucket(self.size());
            let head = self.bucket(number);
            // Before its own lanes: what was in the parent is here, or is looked for there.
            if !meta(head).is_ready()
                && let Some(found) = look(self.bucket(parent(number)))
            {
                return Some(found);
            }
            if let Some(found) = look(head) {
                return Some(found);
            }
            if self.is_still(number, place) {
                return None;
            }
        }
    }

    fn find_in_chain<S: Slots>(
        &self,
        head: &Bucket,
        place: Place,
        slots: S,
    ) -> Option<Found<S::Seen>> {
        self.lanes(head)
            .find_map(|lane| look(lane, |word| word.is_at(place), slots))
    }
}

/// The entry in a lane, if its word is one that is looked for and it matches.
#[inline]
pub(super) fn look<S: Slots>(
    lane: &AtomicUsize,
    is_looked_for: impl Fn(Lane) -> bool,
    slots: S,
) -> Option<Found<S::Seen>> {
    loop {
        let word = load(lane);
        if !is_looked_for(word) {
            return None;
        }
        let slot = slots.slot(word.slot());
        let (sequence, seen) = slots.read(slot);
        if !is_unchanged(lane, word, slot, sequence, slots) {
            match of_pending(lane, word, slot, sequence, slots) {
                None => continue,
                Some(Pending::Present) => {}
                Some(Pending::Absent) => return None,
                Some(Pending::InTheWay) => {
                    let (lane, seen) = (word.settled(), seen?);
                    return Some(Found { lane, seen });
                }
            }
        }
        let seen = seen.filter(|seen| slots.confirm(seen))?;
        let lane = word.settled();
        return Some(Found { lane, seen });
    }
}

/// What to make of what was read of a slot, if the entry was pending in the lane all the while.
#[cold]
#[inline(never)]
fn of_pending<S: Slots>(
    lane: &AtomicUsize,
    word: Lane,
    slot: S::Slot,
    sequence: Sequence,
    slots: S,
) -> Option<Pending> {
    if !sequence.is_pending() {
        return None;
    }
    // Before lane and sequence are looked at again.
    let pending = slots.pending(word.slot());
    is_same(lane, word, slot, sequence, slots).then_some(pending)
}

/// Whether what was read of a slot was in the lane all the while, and counts.
#[inline(always)]
pub(super) fn is_unchanged<S: Slots>(
    lane: &AtomicUsize,
    word: Lane,
    slot: S::Slot,
    sequence: Sequence,
    slots: S,
) -> bool {
    sequence.is_stable() && is_same(lane, word, slot, sequence, slots)
}

/// Whether what was read of a slot was in the lane all the while.
#[inline(always)]
fn is_same<S: Slots>(
    lane: &AtomicUsize,
    word: Lane,
    slot: S::Slot,
    sequence: Sequence,
    slots: S,
) -> bool {
    // Acquire: what follows is loaded after what was read of the slot; pairs with the Release
    // fence of whoever writes a slot.
    fence(Ordering::Acquire);
    // Acquire, once more: the word may have come back since the slot was read, with a later registration,
    // whose sequence is then seen below; pairs with Release of whoever took the lane [I2].
    load(lane) == word && slots.sequence(slot) == sequence
}
