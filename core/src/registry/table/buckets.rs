//! The short cuts into the list: buckets, their sentinels, and the segments the buckets lie in.
//!
//! A bucket's cell goes once from null to its sentinel, a segment's slot once from null to its array,
//! and neither is freed before the table: whoever sees one may use it for ever [R2].

use super::{Atomic, Found, Guard, Node, Owned, Shared, Table, deref};
use crate::sync::Ordering;
use alloc::boxed::Box;

/// Buckets of an empty table; a power of two.
pub(super) const INITIAL_BUCKETS: usize = 2;

/// Entries to a bucket before their number is doubled.
const LOAD: usize = 2;

/// Segment `s` holds the buckets `2^s .. 2^(s+1)`, segment 0 also bucket 0.
pub(super) const SEGMENTS: usize = usize::BITS as usize - 4;

/// An array of buckets.
pub(super) struct Segment<K, V> {
    pub(super) buckets: Box<[Atomic<Node<K, V>>]>,
}

impl<K, V> Table<K, V> {
    /// The sentinel of the bucket `hash` falls into, made if it is not there yet.
    pub(super) fn sentinel<'g>(&'g self, hash: usize, guard: &'g Guard) -> &'g Node<K, V> {
        // Relaxed: an old, smaller number leads to an ancestor's sentinel, which is also right.
        let buckets = self.buckets.load(Ordering::Relaxed);
        self.sentinel_of_bucket(hash & (buckets - 1), guard)
    }

    fn sentinel_of_bucket<'g>(&'g self, bucket: usize, guard: &'g Guard) -> &'g Node<K, V> {
        let cell = self.cell(bucket, guard);
        // Acquire: the sentinel is initialised; pairs with Release below [R2].
        if let Some(sentinel) = deref(cell.load(Ordering::Acquire, guard)) {
            return sentinel;
        }
        let sentinel = if bucket == 0 {
            // The head of the list. Release: publish it; pairs with Acquire above [R2].
            // Acquire on failure: somebody else's is initialised [R2].
            match cell.compare_exchange(
                Shared::null(),
                Owned::new(Node {
                    order: 0,
                    next: Atomic::null(),
                    content: None,
                }),
                Ordering::Release,
                Ordering::Acquire,
                guard,
            ) {
                Ok(made) => made,
                Err(failed) => failed.current,
            }
        } else {
            let made = self.insert_sentinel(bucket, guard);
            // Release: publish the sentinel; pairs with Acquire above [R2]. Every thread finds the
            // same one in the list, so storing it twice is storing it once.
            cell.store(made, Ordering::Release);
            made
        };
        match deref(sentinel) {
            Some(sentinel) => sentinel,
            None => unreachable!("a bucket's cell never goes back to null"),
        }
    }

    /// The one sentinel of `bucket` in the list, inserted if need be.
    fn insert_sentinel<'g>(&'g self, bucket: usize, guard: &'g Guard) -> Shared<'g, Node<K, V>> {
        let start = self.sentinel_of_bucket(parent(bucket), guard);
        let order = bucket.reverse_bits();
        let mut node = Owned::new(Node {
            order,
            next: Atomic::null(),
            content: None,
        });
        loop {
            // No entry has this order, so the search ends behind a sentinel of it, if there is one.
            let Found::Absent(gap) = self.search(start, order - 1, guard, |_| false) else {
                unreachable!("nothing matches")
            };
            if deref(gap.current).is_some_and(|next| next.order == order) {
                return gap.current;
            }
            // Relaxed: nobody else sees the node yet.
            node.next.store(gap.current, Ordering::Relaxed);
            // Release: publish the node; pairs with Acquire where a link is loaded [R1].
            // Relaxed on failure: the search starts again and loads afresh.
            match gap.link.compare_exchange(
                gap.current,
                node,
                Ordering::Release,
                Ordering::Relaxed,
                guard,
            ) {
                Ok(made) => return made,
                Err(failed) => node = failed.new,
            }
        }
    }

    /// The sentinel of the nearest bucket at or above `hash`'s that has one; `None` in a table that
    /// never had an entry. Writes nothing.
    pub(super) fn nearest_sentinel<'g>(
        &'g self,
        hash: usize,
        guard: &'g Guard,
    ) -> Option<&'g Node<K, V>> {
        // Relaxed: as in `sentinel`.
        let mut bucket = hash & (self.buckets.load(Ordering::Relaxed) - 1);
        loop {
            let (segment, offset) = segment_of(bucket);
            // Acquire: the array is initialised; pairs with Release in `cell` [R2].
            if let Some(segment) = deref(self.segments[segment].load(Ordering::Acquire, guard)) {
                // Acquire: the sentinel is initialised; pairs with Release where it is set [R2].
                let sentinel = segment.buckets[offset].load(Ordering::Acquire, guard);
                if let Some(sentinel) = deref(sentinel) {
                    return Some(sentinel);
                }
            }
            if bucket == 0 {
                return None;
            }
            bucket = parent(bucket);
        }
    }

    /// The cell of `bucket`, its segment made if it is not there yet.
    fn cell<'g>(&'g self, bucket: usize, guard: &'g Guard) -> &'g Atomic<Node<K, V>> {
        let (index, offset) = segment_of(bucket);
        let slot = &self.segments[index];
        // Acquire: the array is initialised; pairs with Release below [R2].
        let mut segment = slot.load(Ordering::Acquire, guard);
        if segment.is_null() {
            let size = 1 << index.max(1);
            let buckets = (0..size).map(|_| Atomic::null()).collect();
            // Release: publish the array; pairs with Acquire above [R2].
            // Acquire on failure: somebody else's is initialised [R2].
            segment = match slot.compare_exchange(
                Shared::null(),
                Owned::new(Segment { buckets }),
                Ordering::Release,
                Ordering::Acquire,
                guard,
            ) {
                Ok(made) => made,
                Err(failed) => failed.current,
            };
        }
        match deref(segment) {
            Some(segment) => &segment.buckets[offset],
            None => unreachable!("made above"),
        }
    }

    pub(super) fn grow_if_crowded(&self, len: usize) {
        // Relaxed: a number; see `sentinel`.
        let buckets = self.buckets.load(Ordering::Relaxed);
        if len / LOAD > buckets && buckets.trailing_zeros() as usize + 1 < SEGMENTS {
            // Relaxed: as above. If it fails, somebody else doubled it.
            let _ = self.buckets.compare_exchange(
                buckets,
                buckets * 2,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }
}

/// The bucket whose run contained `bucket`'s before that was split off: without the highest bit.
const fn parent(bucket: usize) -> usize {
    bucket & !(1 << bucket.ilog2())
}

/// The segment of a bucket and its index therein.
const fn segment_of(bucket: usize) -> (usize, usize) {
    if bucket < 2 {
        return (0, bucket);
    }
    let segment = bucket.ilog2() as usize;
    (segment, bucket - (1 << segment))
}
