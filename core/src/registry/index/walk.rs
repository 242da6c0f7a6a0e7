//! Visiting every entry while the index changes.
//!
//! The walk goes through the buckets that were there when it began. One that has not been split since, and
//! is not being split, has all of its entries in its own chain:
//!
//! ```text
//! begin ──quiet──► lane by lane, noting where an entry was ──end of the chain──► still quiet ──► next
//!    │                                                              │
//!    └──not quiet──► the whole family ◄──────without those──────────┘ not quiet any more
//! ```
//!
//! Otherwise it is visited together with those that were split off from it since: a *family*, parents before
//! children, so that nothing is missed while it moves. What is seen twice for the same reason is
//! reported once. An entry keeps its position in the chain when it moves, so one that is found where one was
//! reported is the same, or was not there throughout.

use super::{
    BUCKET_LANES, Bucket, Found, Index, Lane, Meta, Size, Slots, load, look, meta, parent,
};
use crate::sync::Ordering;
use alloc::vec::Vec;
use core::ops::Range;

#[expect(clippy::cast_possible_truncation, reason = "a few")]
const LANES: u32 = BUCKET_LANES as u32;

/// Visits the entries that were there throughout exactly once, of others some, and of a key that
/// changes hands possibly both registrations.
pub(in crate::registry) struct Walk<'i, T> {
    index: &'i Index,
    /// How many buckets there were.
    size: Size,
    /// The bucket whose family is visited, or else the next one.
    root: usize,
    /// The part of its chain that is visited lane by lane.
    bucket: Option<&'i Bucket>,
    /// Its head, and what that knew of itself when the visit began.
    head: &'i Bucket,
    before: Meta,
    /// Its lanes that were taken and are still to be visited, a bit for each.
    taken: u64,
    /// The position of its first lane.
    position: u32,
    /// Where in the chain an entry was reported, a bit for each position.
    reported: u64,
    /// What was found and is still to be reported.
    family: Vec<Found<T>>,
}

impl<'i, T> Walk<'i, T> {
    #[inline]
    pub(in crate::registry) fn next(
        &mut self,
        slots: impl Slots<Seen = T>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Option<Found<T>> {
        loop {
            while let Some(bucket) = self.bucket
                && let Some(lane) = bucket.lanes.get(self.taken.trailing_zeros() as usize)
            {
                let lowest = self.taken & self.taken.wrapping_neg();
                self.taken ^= lowest;
                if let Some(found) = look(lane, Lane::is_taken, slots) {
                    self.reported |= lowest << self.position;
                    return Some(found);
                }
            }
            if let Some(found) = self.family.pop() {
                return Some(found);
            }
            if !self.go_on(slots, &same) {
                return None;
            }
        }
    }

    /// Goes on to other lanes or entries; whether there may be any.
    #[inline]
    fn go_on(&mut self, slots: impl Slots<Seen = T>, same: &impl Fn(&T, &T) -> bool) -> bool {
        if let Some(bucket) = self.bucket.take() {
            match self.index.next(bucket) {
                Some(next) if self.position + 2 * LANES <= u64::BITS => {
                    self.visit(next, self.position + LANES);
                    return true;
                }
                rest => self.finish(rest, slots, same),
            }
            self.root += 1;
        }
        if self.root == self.size.buckets() {
            return !self.family.is_empty();
        }
        self.head = self.index.bucket(self.root);
        self.before = meta(self.head);
        self.reported = 0;
        if self.before.is_quiet_at(self.size.level_of(self.root)) {
            self.visit(self.head, 0);
        } else {
            self.gather(slots, same);
            self.root += 1;
        }
        true
    }

    #[inline]
    fn visit(&mut self, bucket: &'i Bucket, position: u32) {
        self.bucket = Some(bucket);
        self.position = position;
        let mut taken = 0;
        for lane in bucket.lanes.iter().rev() {
            taken = 2 * taken + u64::from(load(lane).is_taken());
        }
        self.taken = taken;
    }

    /// Finds what is left of a family that was visited up to `rest`.
    #[inline]
    fn finish(
        &mut self,
        rest: Option<&'i Bucket>,
        slots: impl Slots<Seen = T>,
        same: &impl Fn(&T, &T) -> bool,
    ) {
        if let Some(rest) = rest {
            // Too long for its positions to be noted.
            let there = self.index.lanes(rest);
            self.family
                .extend(there.filter_map(|lane| look(lane, Lane::is_taken, slots)));
        }
        // Relaxed: the lanes were loaded with Acquire; whoever moved an entry out of them had begun the
        // split before [I3].
        let now = Meta(self.head.meta.load(Ordering::Relaxed));
        if !now.is_same_split(self.before) {
            self.family.clear();
            self.gather(slots, same);
        }
    }

    /// Finds all of a family but what was reported.
    #[cold]
    fn gather(&mut self, slots: impl Slots<Seen = T>, same: &impl Fn(&T, &T) -> bool) {
        let (root, head) = (self.root, self.head);
        if !meta(head).is_ready() {
            self.gather_chain(self.index.bucket(parent(root)), slots, same);
        }
        self.gather_chain(head, slots, same);
        let mut known = self.size;
        loop {
            // If an entry was missed because it moved, there are more buckets now [I3].
            let size = self.index.size();
            if size == known {
                return;
            }
            self.gather_children(root, known.buckets()..size.buckets(), slots, same);
            known = size;
        }
    }

    /// Of the buckets in `range`, those split off from `bucket`, directly or not.
    fn gather_children(
        &mut self,
        bucket: usize,
        range: Range<usize>,
        slots: impl Slots<Seen = T>,
        same: &impl Fn(&T, &T) -> bool,
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
                self.gather_chain(self.index.bucket(child), slots, same);
            }
            self.gather_children(child, range.clone(), slots, same);
        }
    }

    fn gather_chain(
        &mut self,
        head: &Bucket,
        slots: impl Slots<Seen = T>,
        same: &impl Fn(&T, &T) -> bool,
    ) {
        let first = self.family.is_empty();
        let (size, root, reported) = (self.size, self.root, self.reported);
        let of_family = |word: Lane| word.is_taken() && word.place().bucket(size) == root;
        for (position, lane) in self.index.lanes(head).enumerate() {
            if position < u64::BITS as usize && reported >> position & 1 == 1 {
                continue;
            }
            if let Some(found) = look(lane, of_family, slots) {
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
    pub(in crate::registry) fn walk<T>(&self) -> Walk<'_, T> {
        let head = self.bucket(0);
        Walk {
            index: self,
            size: self.size(),
            root: 0,
            bucket: None,
            head,
            before: meta(head),
            taken: 0,
            position: 0,
            reported: 0,
            family: Vec::new(),
        }
    }
}
