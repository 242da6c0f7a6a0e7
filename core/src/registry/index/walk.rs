//! Visiting every entry while the index changes.
//!
//! The walk goes through the buckets that were there when it began. One that has not been split since, and
//! is not being split, has all of its entries in its own chain. Such chains are *noted*, a few at a time: which of
//! their lanes are taken, what is in them, and the slots to which that leads, which are fetched meanwhile. Then
//! each lane is visited, when the next entry is asked for:
//!
//! ```text
//! note ──no bucket was added meanwhile──► visit lane by lane: what was noted is still there ──► report it
//!   │                                                    │
//!   └──one was added, or a chain is divided              └──something else ──no bucket was added──► look again
//!                      ▼                                                                  │
//!               the whole family ◄──────without what was reported of it──────── one was added
//! ```
//!
//! Otherwise a bucket is visited together with those that were split off from it since: a *family*, parents before
//! children, so that nothing is missed while it moves. What is seen twice for the same reason is
//! reported once. An entry keeps its position in the chain when it moves, so one that is found where one was
//! reported while the chain was undivided is the same, or was not there throughout.
//!
//! # Why it holds
//! * **What was there throughout is noted, or its family is gathered.** All lanes of a batch are loaded between
//!   two looks at the number of buckets; if it is the same, no split began in between, and nothing was moving.
//! * **What is reported is there when it is reported**: slot, lane and sequence are read as in a look-up, but
//!   that the lane was read for the first time when it was noted.
//! * **A lane that has the word it had when it was noted has not been moved out of.** Entries that move away never
//!   come back, and neither do their words. So who finds that word need not ask whether there are more buckets.
//! * **A lane that has another word** was freed, replaced, or moved out of; if no bucket was added, not the last.
//!   Otherwise what is left of the batch is given up, and the family of that lane is gathered.

use super::find::is_unchanged;
use super::{BUCKET_LANES, Bucket, Found, Index, Lane, Size, Slots, load, look, meta, parent};
use crate::sync::{AtomicUsize, Ordering};
use alloc::vec::Vec;
use core::ops::Range;

/// Lanes in a batch at most: those of a group of buckets that are half full, or of half a group.
const BATCH: usize = 48;

/// Positions of a chain that a mask has bits for.
const POSITIONS: usize = u64::BITS as usize;

/// Visits the entries that were there throughout exactly once, of others some, and of a key that
/// changes hands possibly both registrations.
pub(in crate::registry) struct Walk<'i, S: Slots> {
    index: &'i Index,
    slots: S,
    /// How many buckets there were.
    size: Size,
    /// How many there were when the batch was noted.
    known: Size,
    /// The first bucket that is neither in the batch nor visited.
    root: usize,
    /// The first bucket of the batch.
    first: usize,
    /// Which lane of the batch is the next to be visited.
    at: usize,
    /// The batch: lanes that were taken, as many as lead to a slot.
    lanes: [&'i AtomicUsize; BATCH],
    /// What was in them.
    words: [Lane; BATCH],
    /// Where that led.
    noted: [Option<S::Slot>; BATCH],
    /// Where in the chain of a family an entry was reported, a bit for each position.
    reported: u64,
    /// What was found of a family and is still to be reported.
    family: Vec<Found<S::Seen>>,
}

impl<'i, S: Slots> Walk<'i, S> {
    #[inline]
    pub(in crate::registry) fn next(
        &mut self,
        same: impl Fn(&S::Seen, &S::Seen) -> bool,
    ) -> Option<Found<S::Seen>> {
        loop {
            if let Some(&Some(slot)) = self.noted.get(self.at) {
                let (lane, word) = (self.lanes[self.at], self.words[self.at]);
                let (sequence, seen) = self.slots.read(slot);
                if let Some(seen) = seen
                    && is_unchanged(lane, word, slot, sequence, self.slots)
                    && self.slots.confirm(&seen)
                {
                    self.at += 1;
                    let lane = word.settled();
                    return Some(Found { lane, seen });
                }
                // In memory of its own: what is found above would else go through memory, too.
                let mut found = None;
                self.visit_anyway(&same, &mut found);
                if found.is_some() {
                    return found;
                }
            } else if let Some(found) = self.family.pop() {
                return Some(found);
            } else if self.root == self.size.buckets() {
                return None;
            } else if !self.note() {
                self.reported = 0;
                self.gather(&same);
            }
        }
    }

    /// Visits a lane in which there is something else than was noted.
    #[cold]
    #[inline(never)]
    fn visit_anyway(
        &mut self,
        same: &impl Fn(&S::Seen, &S::Seen) -> bool,
        found: &mut Option<Found<S::Seen>>,
    ) {
        let seen = look(self.lanes[self.at], Lane::is_taken, self.slots);
        // If so, what was there may have moved, and this have taken its lane since.
        if self.has_grown() {
            return self.divide(same);
        }
        self.at += 1;
        *found = seen;
    }

    /// Whether a split of any bucket may have begun since the batch was noted, judged after lanes were loaded.
    #[inline]
    fn has_grown(&self) -> bool {
        // Relaxed: the lanes were loaded with Acquire; whoever moved an entry out of one, or used it after
        // that, had seen the size grow [I3].
        self.index.size.load(Ordering::Relaxed) != self.known.0
    }

    /// Notes the next batch. Returns whether there is one: otherwise the next bucket is to be gathered.
    #[inline(never)]
    fn note(&mut self) -> bool {
        self.at = BATCH; // Until there is one.
        let (index, size, first, known) = (self.index, self.size, self.root, self.index.size());
        let level = size.level_of(first);
        if known.level_of(first) != level {
            return false;
        }
        let end = size.level_end(first).min(known.level_end(first));
        let (mut root, mut at) = (first, 0);
        for head in index.run(first).iter().take(end - first) {
            if !meta(head).is_quiet_at(level) {
                break;
            }
            let Some(next) = self.note_chain(head, at) else {
                break;
            };
            at = next;
            root += 1;
        }
        self.known = known;
        if root == first {
            return false;
        }
        let slots = self.slots;
        let batch = self.lanes.iter().zip(&mut self.words).zip(&mut self.noted);
        for ((lane, word), noted) in batch.take(at) {
            let now = load(lane);
            // One that was freed since it was found taken: it never is again as if it had not been used.
            *word = if now.is_taken() { now } else { Lane::PRISTINE };
            let slot = slots.slot(now.slot());
            slots.fetch(slot);
            *noted = Some(slot);
        }
        if let Some(noted) = self.noted.get_mut(at) {
            *noted = None;
        }
        if self.has_grown() {
            return false;
        }
        (self.first, self.root, self.at) = (first, root, 0);
        true
    }

    /// Notes the lanes of a chain that are taken, from `at` on in the batch. Returns where they end, if there is
    /// room for all.
    #[inline(always)]
    fn note_chain(&mut self, head: &'i Bucket, mut at: usize) -> Option<usize> {
        let mut bucket = head;
        let mut position = 0;
        loop {
            let room = self
                .lanes
                .get_mut(at..)?
                .first_chunk_mut::<BUCKET_LANES>()?;
            let mut taken = 0;
            // Without a branch for each, which nobody can predict.
            for lane in &bucket.lanes {
                room[taken] = lane;
                taken += usize::from(load(lane).is_taken());
            }
            at += taken;
            position += BUCKET_LANES;
            match self.index.next(bucket) {
                None => return Some(at),
                Some(_) if position + BUCKET_LANES > POSITIONS => return None,
                Some(next) => bucket = next,
            }
        }
    }

    /// Gives up the batch from the lane on that was to be visited, and gathers what is left of the family in
    /// whose chain that is.
    fn divide(&mut self, same: &impl Fn(&S::Seen, &S::Seen) -> bool) {
        let (index, lane, visited) = (self.index, self.lanes[self.at], &self.lanes[..self.at]);
        let is = |one: &AtomicUsize, other: &AtomicUsize| core::ptr::eq(one, other);
        self.reported = 0;
        for root in self.first..self.root {
            let mut lanes = index.lanes(index.bucket(root));
            if lanes.any(|other| is(lane, other)) {
                self.root = root;
                break;
            }
        }
        let lanes = index.lanes(index.bucket(self.root)).take(POSITIONS);
        for (position, other) in lanes.enumerate() {
            if visited.iter().any(|one| is(one, other)) {
                self.reported |= 1 << position;
            }
        }
        self.at = BATCH;
        self.gather(same);
    }

    /// Finds all of a family but what was reported.
    #[cold]
    fn gather(&mut self, same: &impl Fn(&S::Seen, &S::Seen) -> bool) {
        let root = self.root;
        let head = self.index.bucket(root);
        if !meta(head).is_ready() {
            self.gather_chain(self.index.bucket(parent(root)), same);
        }
        self.gather_chain(head, same);
        let mut known = self.size;
        loop {
            // If an entry was missed because it moved, there are more buckets now [I3].
            let size = self.index.size();
            if size == known {
                self.root += 1;
                return;
            }
            self.gather_children(root, known.buckets()..size.buckets(), same);
            known = size;
        }
    }

    /// Of the buckets in `range`, those split off from `bucket`, directly or not.
    fn gather_children(
        &mut self,
        bucket: usize,
        range: Range<usize>,
        same: &impl Fn(&S::Seen, &S::Seen) -> bool,
    ) {
        let first = bucket.checked_ilog2().map_or(0, |top| top + 1);
        for level in first..usize::BITS {
            let child = bucket | 1 << level;
            if child >= range.end {
                return;
            }
            if child < self.size.buckets() {
                continue; // a root of its own
            }
            if range.contains(&child) {
                self.gather_chain(self.index.bucket(child), same);
            }
            self.gather_children(child, range.clone(), same);
        }
    }

    fn gather_chain(&mut self, head: &Bucket, same: &impl Fn(&S::Seen, &S::Seen) -> bool) {
        let first = self.family.is_empty();
        let (size, root, reported) = (self.size, self.root, self.reported);
        let of_family = |word: Lane| word.is_taken() && word.place().bucket(size) == root;
        for (position, lane) in self.index.lanes(head).enumerate() {
            if position < POSITIONS && reported >> position & 1 == 1 {
                continue;
            }
            if let Some(found) = look(lane, of_family, self.slots) {
                let known = !first
                    && self.family.iter().any(|other| {
                        other.lane.place() == found.lane.place() && same(&other.seen, &found.seen)
                    });
                if !known {
                    self.family.push(found);
                }
            }
        }
    }
}

impl Index {
    /// Begins a walk.
    pub(in crate::registry) fn walk<S: Slots>(&self, slots: S) -> Walk<'_, S> {
        let size = self.size();
        Walk {
            index: self,
            slots,
            size,
            known: size,
            root: 0,
            first: 0,
            at: BATCH,
            lanes: [&self.bucket(0).lanes[0]; BATCH],
            words: [Lane::PRISTINE; BATCH],
            noted: [None; BATCH],
            reported: 0,
            family: Vec::new(),
        }
    }
}
