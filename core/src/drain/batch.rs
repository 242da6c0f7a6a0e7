//! What a sink is given.

use super::{Aggregates, Held, Item};
use core::fmt;
use heapless::Deque;

/// Items that leave together, in the order in which they were added.
pub struct Batch<'d, T, const N: usize> {
    pub(super) items: &'d Deque<Held<T>, N>,
    /// How many of them, from the front.
    pub(super) length: usize,
    pub(super) number: u64,
    pub(super) closed: Closed,
    pub(super) attempt: u32,
}

/// Why a batch was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Closed {
    /// It had as many items as a batch may have.
    Items,
    /// It had as many bytes as a batch may have.
    Bytes,
    /// Its first item had waited long enough.
    Age,
    /// [`Drain::flush`](super::Drain::flush).
    Flush,
    /// [`Drain::shutdown`](super::Drain::shutdown).
    Shutdown,
}

impl<T, const N: usize> Batch<'_, T, N> {
    /// The items, the first that was added first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().take(self.length).map(|held| &held.item)
    }

    /// How many they are; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no batch is empty")]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// The batches before it, whether they were taken or given up: no two batches of a drain have the same.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Why it was closed.
    #[must_use]
    pub const fn closed(&self) -> Closed {
        self.closed
    }

    /// The how manieth offer of this batch it is; the first is one.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The items summed up by key, for at most `K` keys: O(items).
    #[must_use]
    pub fn aggregates<const K: usize>(&self) -> Aggregates<K>
    where
        T: Item,
    {
        let mut aggregates = Aggregates::new();
        for item in self.iter() {
            aggregates.add(item.key(), item.value());
        }
        aggregates
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Batch<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("number", &self.number)
            .field("closed", &self.closed)
            .field("attempt", &self.attempt)
            .field("items", &self.length)
            .finish_non_exhaustive()
    }
}
