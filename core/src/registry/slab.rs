//! The slots that entries lie in: memory that is used again and again and stays while the registry does.
//!
//! ```text
//! slot    ┌──────────┬───────┬──────────────┬─────────────┐    u64 keys and values: half a cache line,
//!         │ sequence │ owner │ key …        │ value …     │    text and u64: one
//!         └──────────┴───────┴──────────────┴─────────────┘
//! beside  [ position │ number ]                                 what only the owner needs
//! used    ▓▓▓▓░▓▓▓▓▓░░ …                                         a bit for each slot,
//! full    ▓░ …                                                   one for each full word of those,
//!         ░                                                      and one for each full word of these
//! ```
//!
//! A slot belongs to whoever set its bit, who alone writes it, and only while no lane of the index refers
//! to it. Readers notice a write by the sequence:
//!
//! ```text
//! sequence   ┌──────────────────────────┬────────────┬────────────┬─────────┬──────┬────────────┬─────────┬─────────┐
//!            │ how often it was written │ called off │ by several │ claimed │ left │ taken over │ pending │ writing │
//!            └──────────────────────────┴────────────┴────────────┴─────────┴──────┴────────────┴─────────┴─────────┘
//! ```
//!
//! *Taken over* is set by whoever replaced it in the index, when done with it, and *left* by the
//! owner when it finds that out: the second of the two gives the slot back. So an owner's slot is never
//! used by another while the owner still counts it among its own.
//!
//! *Claimed* is for whoever means to replace *this* registration and no later one. A lane's word says
//! which slot it leads to, not how often that was written; so an owner that gave a name up and took it
//! again could not be told from one that kept it. Whoever claims is pinned; sets the mark, if the
//! sequence is still what was seen; exchanges the lane for itself, and looks at the sequence again; from
//! then on, the lane has this word only as long as this registration lasts. For whoever takes a lane away
//! sees the mark, and a slot with the mark is used again only when all who were pinned then are gone. Who has
//! claimed it *alone* and replaced it takes the mark back: nobody else has the lane's word to compare with.
//!
//! *Pending* and *called off* are for entries that are registered together, all or none: see [`pending`].
//!
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | S1 | sequence odd, fence Release, words, sequence even, Release | sequence Acquire, words, fence Acquire, sequence | words of one write |
//! | S2 | a bit is cleared, Release | a bit is set, Acquire | the slot's former use is over |
//! | S3 | `taken over` or `left`, AcqRel | the other, AcqRel | the other's use is over |
//! | S4 | `claimed`, then a lane exchanged for itself, AcqRel | a lane is exchanged, AcqRel, then `claimed` | the slot is not used again too early |

mod pending;

pub(super) use pending::Batch;

use super::index::{LONGEST, Sequence, Spot, Steps, fetch};
use super::stored::sealed::{Cells, Stored, Words};
use super::stored::{LONG, join, split};
use crate::id::Pid;
use crate::sync::zeroed::Zeroed;
use crate::sync::{AtomicU32, AtomicUsize, FIRST_STEP, Ordering, fence, overwrite};

const WRITING: usize = Sequence::WRITING;
const PENDING: usize = Sequence::PENDING;
const TAKEN_OVER: usize = 4;
const LEFT: usize = 8;
const CLAIMED: usize = 16;
const BY_SEVERAL: usize = 32;
const CALLED_OFF: usize = 64;
const WRITTEN: usize = 128;

const WORD: usize = usize::BITS as usize;

pub(super) type CellsOf<T> = <<T as Stored>::Words as Words>::Cells;

/// The position, and both halves of the number.
type Beside = [AtomicU32; 3];

/// More than any number of a slot, so than any position.
const _: () = assert!(LONGEST < u32::MAX as usize);

#[repr(C)]
pub(super) struct Slot<K: Stored, V: Stored> {
    sequence: AtomicUsize,
    owner: [AtomicUsize; LONG],
    key: CellsOf<K>,
    value: CellsOf<V>,
}

// SAFETY: atomics all of it; padding is never read.
unsafe impl<K: Stored, V: Stored> Zeroed for Slot<K, V> {
    fn zeroed() -> Self {
        Self {
            sequence: AtomicUsize::zeroed(),
            owner: Zeroed::zeroed(),
            key: Cells::zeroed(),
            value: Cells::zeroed(),
        }
    }
}

impl<K: Stored, V: Stored> Slot<K, V> {
    #[inline]
    fn sequence(&self) -> Sequence {
        // Acquire: the words are at least as new; pairs with Release in `write` [S1].
        Sequence(self.sequence.load(Ordering::Acquire))
    }

    /// Everything, behind its sequence.
    #[inline]
    fn seen(&self, sequence: Sequence) -> Seen<K, V> {
        Seen {
            sequence,
            owner: self.owner(),
            key: self.key.load(),
            value: self.value.load(),
        }
    }

    #[inline]
    fn owner(&self) -> u64 {
        // Relaxed: valid only if the sequence does not change [S1].
        join(core::array::from_fn(|at| {
            self.owner[at].load(Ordering::Relaxed)
        }))
    }
}

/// What was read of a slot.
pub(super) struct Seen<K: Stored, V: Stored> {
    pub(super) sequence: Sequence,
    pub(super) owner: u64,
    pub(super) key: K::Words,
    pub(super) value: V::Words,
}

impl<K: Stored, V: Stored> Clone for Seen<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Stored, V: Stored> Copy for Seen<K, V> {}

/// Slots that are not used any more, and not given back yet: all of one word.
#[derive(Default)]
pub(super) struct Vacated {
    word: usize,
    bits: usize,
}

pub(super) struct Slab<K: Stored, V: Stored> {
    slots: Steps<Slot<K, V>>,
    beside: Steps<Beside>,
    used: Steps<AtomicUsize>,
    full: Steps<AtomicUsize>,
    /// One bit for each word of `full`.
    full_words: Steps<AtomicUsize>,
    /// How many words of `used` are in use.
    words: AtomicUsize,
}

impl<K: Stored, V: Stored> Slab<K, V> {
    pub(super) fn new() -> Self {
        Self {
            slots: Steps::new(),
            beside: Steps::new(),
            used: Steps::new(),
            full: Steps::new(),
            full_words: Steps::new(),
            words: AtomicUsize::new(0),
        }
    }

    /// Where it is, which tells one registry from another.
    pub(super) fn address(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    pub(super) const fn slot_size() -> usize {
        size_of::<Slot<K, V>>() + size_of::<Beside>()
    }

    /// How many slots there is memory for, in whole words of bits.
    pub(super) fn capacity(&self) -> usize {
        // Relaxed: a count.
        self.words.load(Ordering::Relaxed) * WORD
    }

    /// Hands up to `most` slots to `take`; none if there are as many as there may be. Owners of different
    /// numbers get slots apart from each other where there are any, so that they do not write to the
    /// same cache lines.
    pub(super) fn allocate(&self, most: usize, owner: usize, mut take: impl FnMut(Spot)) {
        let most = most.min(WORD);
        loop {
            // Relaxed: a number; the words are reached through `ensure`.
            let words = self.words.load(Ordering::Relaxed);
            let Some(word) = self.vacant(words, owner) else {
                if words >= LONGEST / WORD {
                    return;
                }
                // As many as the first steps have, at first.
                let next = (words + 1).max(FIRST_STEP / WORD);
                for word in words..next {
                    self.slots.ensure(word * WORD + WORD - 1);
                    self.beside.ensure(word * WORD + WORD - 1);
                    self.used.ensure(word);
                    self.full.ensure(word / WORD);
                    self.full_words.ensure(word / WORD / WORD);
                }
                // Release: the steps are there; their own loads are Acquire [I1].
                // Relaxed on failure: somebody else added them.
                let _ =
                    self.words
                        .compare_exchange(words, next, Ordering::Release, Ordering::Relaxed);
                continue;
            };
            let used = self.used.ensure(word);
            // Relaxed: taken by the exchange below.
            let before = used.load(Ordering::Relaxed);
            let mut taken = 0;
            let mut left = !before;
            for _ in 0..most {
                let lowest = left & left.wrapping_neg();
                taken |= lowest;
                left &= !lowest;
            }
            if taken == 0 {
                self.mark_full(word);
                continue;
            }
            // Acquire: the slots' former use is over; pairs with Release in `free` [S2].
            // Relaxed on failure: it is read afresh.
            let exchanged =
                used.compare_exchange(before, before | taken, Ordering::Acquire, Ordering::Relaxed);
            if exchanged.is_err() {
                continue;
            }
            if left == 0 {
                self.mark_full(word);
            }
            while taken != 0 {
                let bit = taken.trailing_zeros() as usize;
                taken &= taken - 1;
                // A step can lack here only if the number of words grew before its steps did.
                self.slots.ensure(word * WORD + bit);
                self.beside.ensure(word * WORD + bit);
                take(Spot::of(word * WORD + bit));
            }
            return;
        }
    }

    /// Gives a slot back, which no lane refers to.
    pub(super) fn free(&self, slot: Spot) {
        let mut vacated = Vacated::default();
        self.free_soon(slot, &mut vacated);
        self.free_now(&mut vacated);
    }

    /// Gives a slot back together with others that share its word, by [`free_now`](Self::free_now) at the latest.
    #[inline]
    pub(super) fn free_soon(&self, slot: Spot, vacated: &mut Vacated) {
        let number = slot.number();
        let (word, bit) = (number / WORD, 1 << (number % WORD));
        if vacated.word != word {
            self.free_now(vacated);
            vacated.word = word;
        }
        vacated.bits |= bit;
    }

    /// Gives back what was to be given back soon.
    pub(super) fn free_now(&self, vacated: &mut Vacated) {
        let Vacated { word, bits } = core::mem::take(vacated);
        if bits == 0 {
            return;
        }
        // Release: these uses of the slots are over; pairs with Acquire in `allocate` [S2].
        let before = self.used.ensure(word).fetch_and(!bits, Ordering::Release);
        if before == usize::MAX {
            self.mark_vacant(word);
        }
    }

    /// A word of `used` that is not known to be full.
    fn vacant(&self, words: usize, owner: usize) -> Option<usize> {
        for top in 0..words.div_ceil(WORD * WORD) {
            // Relaxed, here and below: hints.
            let mut groups = !self.full_words.get(top)?.load(Ordering::Relaxed);
            while groups != 0 {
                let group = top * WORD + groups.trailing_zeros() as usize;
                groups &= groups - 1;
                if group * WORD >= words {
                    break;
                }
                let vacant = !self.full.get(group)?.load(Ordering::Relaxed);
                // Relaxed: as above. Only words that are in use.
                let vacant = match words - group * WORD {
                    some if some < WORD => vacant & ((1 << some) - 1),
                    _ => vacant,
                };
                if vacant != 0 {
                    // The first at or behind the owner's, or else the first of all.
                    let behind = vacant & (usize::MAX << (owner % WORD));
                    let word = if behind == 0 { vacant } else { behind };
                    return Some(group * WORD + word.trailing_zeros() as usize);
                }
            }
        }
        None
    }

    fn mark_full(&self, word: usize) {
        let (group, bit) = (word / WORD, 1 << (word % WORD));
        // Acquire and Release, here and in `mark_vacant`: of two who change one bit, the second sees
        // what the first saw before; pairs with itself [S2].
        let before = self.full.ensure(group).fetch_or(bit, Ordering::AcqRel);
        if before | bit == usize::MAX {
            let (top, bit) = (group / WORD, 1 << (group % WORD));
            // AcqRel: as above [S2].
            self.full_words.ensure(top).fetch_or(bit, Ordering::AcqRel);
            // Relaxed: ordered by the exchange [S2].
            if self.full.ensure(group).load(Ordering::Relaxed) != usize::MAX {
                // AcqRel: as above [S2].
                self.full_words
                    .ensure(top)
                    .fetch_and(!bit, Ordering::AcqRel);
            }
        }
        // Relaxed: ordered by the exchange [S2].
        if self.used.ensure(word).load(Ordering::Relaxed) != usize::MAX {
            self.mark_vacant(word);
        }
    }

    fn mark_vacant(&self, word: usize) {
        let (group, bit) = (word / WORD, 1 << (word % WORD));
        // AcqRel: as in `mark_full` [S2].
        let before = self.full.ensure(group).fetch_and(!bit, Ordering::AcqRel);
        if before == usize::MAX {
            let (top, bit) = (group / WORD, 1 << (group % WORD));
            // AcqRel: as in `mark_full` [S2].
            self.full_words
                .ensure(top)
                .fetch_and(!bit, Ordering::AcqRel);
        }
    }

    /// Writes a slot of one's own that is in no lane.
    pub(super) fn write(&self, slot: Spot, owner: Pid, key: K::Words, value: V::Words) {
        Self::write_with(self.slot(slot), owner, key, value, 0, || ());
    }

    /// As [`write`](Self::write), so that it ends with these marks; `more` is written with the rest.
    #[inline]
    fn write_with(
        slot: &Slot<K, V>,
        owner: Pid,
        key: K::Words,
        value: V::Words,
        marks: usize,
        more: impl FnOnce(),
    ) {
        // Relaxed: only the owner writes.
        let before = slot.sequence.load(Ordering::Relaxed) & !(WRITTEN - 1);
        // Release: whoever sees this sees the lane that was freed before; pairs with Acquire in
        // `read` [I3].
        // Somebody may be about to claim what was there.
        overwrite(&slot.sequence, before | WRITING, Ordering::Release);
        // Release: whoever sees a word below sees the store above; pairs with the Acquire fence of
        // whoever reads [S1].
        fence(Ordering::Release);
        for (cell, word) in slot.owner.iter().zip(split(owner.to_bits())) {
            // Relaxed: between the two stores of the sequence [S1].
            cell.store(word, Ordering::Relaxed);
        }
        slot.key.store(key);
        slot.value.store(value);
        more();
        let after = before.wrapping_add(WRITTEN) | marks;
        // Release: pairs with Acquire in `read` [S1].
        slot.sequence.store(after, Ordering::Release);
    }

    /// Everything in a slot; valid if its sequence is the same, and even, afterwards.
    #[inline]
    pub(super) fn read(&self, slot: Spot) -> Seen<K, V> {
        Self::read_slot(self.slot(slot))
    }

    /// As [`read`](Self::read), of a slot that was looked up.
    #[inline]
    pub(super) fn read_slot(slot: &Slot<K, V>) -> Seen<K, V> {
        slot.seen(slot.sequence())
    }

    /// Whether an entry of one's own owns anything.
    #[inline]
    pub(super) fn owns(&self, slot: Spot) -> bool {
        let slot = self.slot(slot);
        K::cells_own(&slot.key) || V::cells_own(&slot.value)
    }

    /// As [`read`](Self::read), if it has the right key.
    #[inline]
    pub(super) fn read_if(
        slot: &Slot<K, V>,
        is_it: impl FnOnce(&CellsOf<K>) -> bool,
    ) -> (Sequence, Option<Seen<K, V>>) {
        let sequence = slot.sequence(); // before the words
        (sequence, is_it(&slot.key).then(|| slot.seen(sequence)))
    }

    /// As [`read_if`](Self::read_if), and no more than whose it is.
    #[inline(always)]
    pub(super) fn read_owner(
        slot: &Slot<K, V>,
        is_it: impl FnOnce(&CellsOf<K>) -> bool,
    ) -> (Sequence, Option<u64>) {
        let sequence = slot.sequence(); // before the words
        (sequence, is_it(&slot.key).then(|| slot.owner()))
    }

    /// The sequence of a slot, after an Acquire fence or of one's own.
    #[inline]
    pub(super) fn sequence(&self, slot: Spot) -> Sequence {
        Self::sequence_of(self.slot(slot))
    }

    /// As [`sequence`](Self::sequence), of a slot that was looked up.
    #[inline]
    pub(super) fn sequence_of(slot: &Slot<K, V>) -> Sequence {
        // Relaxed: after a fence [S1].
        Sequence(slot.sequence.load(Ordering::Relaxed))
    }

    /// How often one's own slot has been written.
    pub(super) fn written(&self, slot: Spot) -> usize {
        self.sequence(slot).0 / WRITTEN
    }

    /// Whether one's own slot was replaced in the index, and whoever did is done with it.
    pub(super) fn is_taken_over(&self, slot: Spot) -> bool {
        self.sequence(slot).0 & TAKEN_OVER != 0
    }

    /// Says that one has replaced a slot, which one had claimed, and is done with it. Returns whether it is to
    /// be given back.
    pub(super) fn took_over(&self, slot: Spot) -> bool {
        let sequence = &self.slot(slot).sequence;
        // Relaxed: the exchange orders.
        let mut before = sequence.load(Ordering::Relaxed);
        loop {
            let alone = if before & BY_SEVERAL == 0 { CLAIMED } else { 0 };
            // AcqRel: the owner's use is over, if it left; pairs with `leave` [S3].
            // Relaxed on failure: it is tried again.
            let told = sequence.compare_exchange_weak(
                before,
                before & !alone | TAKEN_OVER,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            match told {
                Ok(_) => return before & LEFT != 0,
                Err(now) => before = now,
            }
        }
    }

    /// Says that one's own slot was replaced and is not counted any more. Returns whether it is to be
    /// given back.
    pub(super) fn leave(&self, slot: Spot) -> bool {
        // AcqRel: the other's use is over, if it is done; pairs with `took_over` [S3].
        let before = self.slot(slot).sequence.fetch_or(LEFT, Ordering::AcqRel);
        before & TAKEN_OVER != 0
    }

    /// Marks a slot as claimed, once more if it is, unless it has been written since its sequence was `seen`, or
    /// left its lane. Returns whether it is marked.
    pub(super) fn claim(&self, slot: Spot, seen: Sequence) -> bool {
        let sequence = &self.slot(slot).sequence;
        let unclaimed = seen.0 & !(CLAIMED | BY_SEVERAL);
        let (by_one, by_several) = (unclaimed | CLAIMED, unclaimed | CLAIMED | BY_SEVERAL);
        let mut from = unclaimed;
        loop {
            let to = if from == unclaimed {
                by_one
            } else {
                by_several
            };
            // Relaxed: it is the exchange of the lane, which follows, that hands it on [S4].
            let marked = sequence.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
            match marked {
                Ok(_) => return true,
                Err(now) if now == by_several => return true,
                Err(now) if now == by_one && from == unclaimed => from = by_one,
                Err(_) => return false,
            }
        }
    }

    /// Whether a slot that one has claimed has not been written since, nor left its lane.
    pub(super) fn is_still(&self, slot: Spot, seen: Sequence) -> bool {
        // After the exchange of its lane [S4].
        let changed = self.sequence(slot).0 ^ seen.0;
        changed & !(CLAIMED | BY_SEVERAL) == 0
    }

    /// Whether a slot that was taken out of its lane must not be used again before everybody who is pinned
    /// has gone.
    pub(super) fn is_claimed(&self, slot: Spot) -> bool {
        self.sequence(slot).0 & CLAIMED != 0
    }

    /// Whether there is such a slot, in use or not.
    pub(super) fn has(&self, slot: Spot) -> bool {
        self.beside.at(slot).is_some()
    }

    /// Where the owner counts it.
    pub(super) fn position(&self, slot: Spot) -> usize {
        // Relaxed: of one's own slot; of another's, any number will do.
        self.beside(slot)[0].load(Ordering::Relaxed) as usize
    }

    pub(super) fn set_position(&self, slot: Spot, position: usize) {
        debug_assert!(position <= LONGEST, "there are no more slots");
        #[expect(clippy::cast_possible_truncation, reason = "see `LONGEST`")]
        let position = position as u32;
        // Relaxed: as in `position`.
        self.beside(slot)[0].store(position, Ordering::Relaxed);
    }

    /// Which registration it holds.
    pub(super) fn number(&self, slot: Spot) -> u64 {
        let [_, low, high] = self.beside(slot);
        // Relaxed, both: valid if the sequence does not change [S1].
        let low = u64::from(low.load(Ordering::Relaxed));
        low | u64::from(high.load(Ordering::Relaxed)) << 32
    }

    /// The number of the registration of which `seen` was read, if the slot has not been written since.
    pub(super) fn number_of(&self, slot: Spot, seen: &Seen<K, V>) -> Option<u64> {
        let number = self.number(slot);
        // Acquire: the number was loaded before; pairs with the Release fence in `write` [S1].
        fence(Ordering::Acquire);
        let now = self.sequence(slot).0;
        let is_same = now & WRITING == 0 && now / WRITTEN == seen.sequence.0 / WRITTEN;
        is_same.then_some(number)
    }

    /// Of a slot that is being prepared, in no lane.
    pub(super) fn set_number(&self, slot: Spot, number: u64) {
        let [_, low, high] = self.beside(slot);
        #[expect(clippy::cast_possible_truncation, reason = "half by half")]
        let halves = [number as u32, (number >> 32) as u32];
        // Relaxed, both: published by the lane [I2].
        low.store(halves[0], Ordering::Relaxed);
        high.store(halves[1], Ordering::Relaxed);
    }

    /// Fetches a slot, to have its memory at hand.
    #[inline]
    pub(super) fn fetch(&self, slot: Spot) {
        Self::fetch_slot(self.slot(slot));
    }

    /// As [`fetch`](Self::fetch), of a slot that was looked up.
    #[inline]
    pub(super) fn fetch_slot(slot: &Slot<K, V>) {
        fetch(slot, |slot| Self::sequence_of(slot).0);
    }

    #[inline]
    pub(super) fn slot(&self, slot: Spot) -> &Slot<K, V> {
        match self.slots.at(slot) {
            Some(slot) => slot,
            None => unreachable!("allocated before anybody could name it"),
        }
    }

    /// As if all slots were in use.
    #[cfg(test)]
    pub(super) fn use_up(&self) {
        self.words.store(LONGEST / WORD, Ordering::Relaxed); // Relaxed, here and below: one thread.
        let full_words = self.full_words.ensure(0);
        full_words.store(usize::MAX, Ordering::Relaxed);
    }

    fn beside(&self, slot: Spot) -> &Beside {
        match self.beside.at(slot) {
            Some(beside) => beside,
            None => unreachable!("allocated before anybody could name it"),
        }
    }
}
