//! Visiting every entry while the index changes.
//!
//! The walk goes through the buckets that were there when it began, each together with those that were
//! split off from it since: a *family*, parents before children, so that nothing is missed while it
//! moves. What is seen twice for the same reason is reported once.

use super::{Bucket, Found, Index, Lane, Size, Slots, look, meta, parent};
use alloc::vec::Vec;

/// Visits the entries that were there throughout exactly once, of others some, and of a key that
/// changes hands possibly both registrations.
pub(in crate::registry) struct Walk<'i, T> {
    index: &'i Index,
    /// How many buckets there were.
    size: Size,
    next: usize,
    family: Vec<Found<T>>,
}

impl<T> Walk<'_, T> {
    pub(in crate::registry) fn next(
        &mut self,
        slots: impl Slots<Seen = T>,
        same: impl Fn(&T, &T) -> bool,
    ) -> Option<Found<T>> {
        while self.family.is_empty() {
            if self.next == self.size.buckets() {
                return None;
            }
            self.gather(self.next, slots, &same);
            self.next += 1;
        }
        self.family.pop()
    }

    fn gather(&mut self, root: usize, slots: impl Slots<Seen = T>, same: &impl Fn(&T, &T) -> bool) {
        let head = self.index.bucket(root);
        if !meta(head).is_ready() {
            self.gather_chain(self.index.bucket(parent(root)), root, slots, same);
        }
        self.gather_chain(head, root, slots, same);
        let mut known = self.size;
        loop {
            // If an entry was missed because it moved, there are more buckets now [I3].
            let size = self.index.size();
            if size == known {
                return;
            }
            self.gather_children(root, root, known.buckets()..size.buckets(), slots, same);
            known = size;
        }
    }

    /// Of the buckets in `range`, those split off from `bucket`, directly or not.
    fn gather_children(
        &mut self,
        bucket: usize,
        root: usize,
        range: core::ops::Range<usize>,
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
                self.gather_chain(self.index.bucket(child), root, slots, same);
            }
            self.gather_children(child, root, range.clone(), slots, same);
        }
    }

    fn gather_chain(
        &mut self,
        head: &Bucket,
        root: usize,
        slots: impl Slots<Seen = T>,
        same: &impl Fn(&T, &T) -> bool,
    ) {
        let first = self.family.is_empty();
        let size = self.size;
        let of_family = |word: Lane| word.is_taken() && word.place().bucket(size) == root;
        for lane in self.index.lanes(head) {
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
        Walk {
            index: self,
            size: self.size(),
            next: 0,
            family: Vec::new(),
        }
    }
}
