//! How many there are of something, counted by many at once; and how much of it waits to be freed.

use crate::sync::{AtomicUsize, COUNTERS, Ordering};

/// A number that is the sum of several counters, or, with a limit, of one that never exceeds it.
pub(super) struct Tally {
    limit: usize,
    /// Each wraps around; with a limit only the first is used.
    counters: [Counter; COUNTERS],
}

#[repr(align(64))]
struct Counter(AtomicUsize);

impl Tally {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            counters: core::array::from_fn(|_| Counter(AtomicUsize::new(0))),
        }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn sum(&self) -> usize {
        self.counters
            .iter()
            .fold(0, |sum: usize, Counter(counter)| {
                // Relaxed: a count.
                sum.wrapping_add(counter.load(Ordering::Relaxed))
            })
    }

    /// Counts one more, unless there are as many as there may be. Those who count under different
    /// numbers do not disturb each other, if there is no limit.
    pub(super) fn add(&self, number: usize) -> bool {
        self.add_many(number, 1)
    }

    /// As [`add`](Self::add), so many more at once, or none.
    #[inline]
    pub(super) fn add_many(&self, number: usize, more: usize) -> bool {
        let counter = self.counter(number);
        if self.limit == usize::MAX {
            counter.fetch_add(more, Ordering::Relaxed); // Relaxed: a count.
            return true;
        }
        // Relaxed, here and below: a count.
        let mut before = counter.load(Ordering::Relaxed);
        // Counted only if there is room: who is refused must not take it from others, not even for a moment.
        while more <= self.limit.saturating_sub(before) {
            let counted = counter.compare_exchange_weak(
                before,
                before + more,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match counted {
                Ok(_) => return true,
                Err(now) => before = now,
            }
        }
        false
    }

    pub(super) fn subtract(&self, number: usize, fewer: usize) {
        // Relaxed: a count.
        self.counter(number).fetch_sub(fewer, Ordering::Relaxed);
    }

    const fn counter(&self, number: usize) -> &AtomicUsize {
        let counter = if self.limit < usize::MAX {
            0
        } else {
            number % COUNTERS
        };
        &self.counters[counter].0
    }
}

/// What waits to be freed.
pub(super) struct Retired {
    things: AtomicUsize,
    bytes: AtomicUsize,
}

impl Retired {
    pub(super) fn new() -> Self {
        Self {
            things: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    pub(super) fn things(&self) -> usize {
        // Relaxed, here and below: counts.
        self.things.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Something more waits.
    pub(super) fn add(&self, bytes: usize) {
        self.things.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It is about to be freed.
    pub(super) fn subtract(&self, bytes: usize) {
        self.things.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
