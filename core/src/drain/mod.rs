//! Batches: what was collected goes out when there is enough of it, or when it has waited long enough.
//!
//! A [`Drain`] is the single consumer at the end of rings and filters: it keeps items in their order, closes a
//! batch by number, bytes, age, [`flush`](Drain::flush) or [`shutdown`](Drain::shutdown), all by one path, and
//! hands it to a [`Sink`]. It never reads a clock and never sleeps: [`poll`](Drain::poll) says when it wants to be
//! called next.
//!
//! # What becomes of an item
//! ```text
//!           refused (no room)                        lost (the sink failed too often)
//!              ▲                                        ▲
//!   add ───────┴──► waiting ──► the front batch ──► Sink::deliver ──► delivered
//!                                     ▲                 │ failed
//!                                     └── kept as it is ┘ and offered again
//! ```
//! At every moment `added = delivered + lost + waiting`.
//!
//! A batch that was offered stays what it is, with its number, until the sink takes it or it is given up: a sink
//! that has seen a number can tell a repetition. What is added meanwhile comes behind it.

mod aggregate;
mod batch;

use crate::clock::Instant;
use crate::event::Event;
use core::fmt;
use core::time::Duration;
use heapless::Deque;

pub use aggregate::{Aggregate, Aggregates};
pub use batch::{Batch, Closed};

/// What can be collected.
pub trait Item {
    /// What it is counted under when items are aggregated.
    fn key(&self) -> u64;

    /// What is summed up when items are aggregated.
    fn value(&self) -> u64;

    /// How many bytes it counts for in [`Limits::bytes`].
    fn bytes(&self) -> usize {
        size_of_val(self)
    }
}

impl Item for Event {
    fn key(&self) -> u64 {
        self.key
    }

    fn value(&self) -> u64 {
        self.value
    }
}

/// Where batches go.
///
/// Every closure `FnMut(&Batch<'_, T, N>) -> Result<(), E>` is one.
pub trait Sink<T, const N: usize> {
    /// Why a batch was not taken.
    type Error;

    /// Takes a batch, all of it or nothing.
    ///
    /// # Errors
    /// If it could not be taken: it is offered again, and given up after [`Limits::attempts`].
    fn deliver(&mut self, batch: &Batch<'_, T, N>) -> Result<(), Self::Error>;
}

impl<T, E, F, const N: usize> Sink<T, N> for F
where
    F: FnMut(&Batch<'_, T, N>) -> Result<(), E>,
{
    type Error = E;

    fn deliver(&mut self, batch: &Batch<'_, T, N>) -> Result<(), E> {
        self(batch)
    }
}

/// When a batch is closed, and what happens when the sink does not take it.
///
/// ```
/// use bedplate_core::drain::Limits;
/// use core::time::Duration;
///
/// let limits = Limits { items: 64, age: Duration::from_millis(100), ..Limits::DEFAULT };
/// assert_eq!(limits.bytes, usize::MAX);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most items of a batch: it is closed when it has so many. At least one, at most the drain's capacity; what
    /// is beyond is cut.
    pub items: usize,
    /// The most bytes of a batch: it is closed before the item that would exceed them. An item that is larger by
    /// itself is a batch by itself.
    pub bytes: usize,
    /// How long an item waits at most before its batch is closed, if somebody polls.
    pub age: Duration,
    /// How often a batch is offered before it is given up. At least once.
    pub attempts: u32,
    /// How long a batch that was not taken waits before it is offered again.
    pub retry_after: Duration,
}

impl Limits {
    /// Batches as large as the capacity, a second old at most, offered three times, a second apart.
    pub const DEFAULT: Self = Self {
        items: usize::MAX,
        bytes: usize::MAX,
        age: Duration::from_secs(1),
        attempts: 3,
        retry_after: Duration::from_secs(1),
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Collects at most `N` items and hands them out in batches.
///
/// A plain value without atomics or allocator: the property of one context, as the reader of a ring is.
/// Adding is O(1); what `poll` does is proportional to the batches it hands out.
///
/// # From interrupts
/// Yes, by the handler that owns it; a sink that takes its time belongs elsewhere.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::drain::{Batch, Closed, Drain, Limits};
/// use bedplate_core::event::{Event, EventKind, Level};
/// use core::convert::Infallible;
/// use core::time::Duration;
///
/// const BEAT: EventKind = EventKind::new(Level::Info, 1);
/// let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
/// let event = |value| Event { kind: BEAT, time: at(0), key: 7, value };
///
/// let limits = Limits { items: 3, age: Duration::from_millis(100), ..Limits::DEFAULT };
/// let mut drain = Drain::<Event, 16>::new(limits);
/// for value in 0..4 {
///     drain.add(at(0), event(value)).expect("there is room");
/// }
///
/// let mut batches = Vec::new();
/// let mut sink = |batch: &Batch<'_, Event, 16>| {
///     let aggregates = batch.aggregates::<8>();
///     let of_seven = aggregates.iter().next().expect("one key");
///     batches.push((batch.closed(), of_seven.count, of_seven.sum));
///     Ok::<(), Infallible>(())
/// };
/// // Three of them are a batch; the fourth waits until it is a hundred milliseconds old.
/// assert_eq!(drain.poll(at(0), usize::MAX, &mut sink), Some(at(100)));
/// assert_eq!(drain.poll(at(100), usize::MAX, &mut sink), None);
/// assert_eq!(batches, [(Closed::Items, 3, 3), (Closed::Age, 1, 3)]);
/// ```
pub struct Drain<T, const N: usize> {
    limits: Limits,
    items: Deque<Held<T>, N>,
    front: Front,
    /// Items from the front that `flush` or `shutdown` told to go, and by which.
    flushed: usize,
    by: Closed,
    shut: bool,
    number: u64,
    stats: Stats,
}

#[derive(Clone, Copy, Debug)]
struct Held<T> {
    item: T,
    added: Instant,
}

/// The batch at the front, as far as it is known.
#[derive(Clone, Copy, Debug)]
struct Front {
    /// How many items it has, and how large they are.
    items: usize,
    bytes: usize,
    /// Why it has no more, if it has not.
    full: Option<Closed>,
    /// Set when it was offered and not taken: then it stays as it is.
    offered: Option<Offered>,
}

#[derive(Clone, Copy, Debug)]
struct Offered {
    closed: Closed,
    attempts: u32,
    again: Instant,
}

impl Front {
    const EMPTY: Self = Self {
        items: 0,
        bytes: 0,
        full: None,
        offered: None,
    };
}

/// What became of the items of a [`Drain`]: `added = delivered + lost + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Items that were added.
    pub added: u64,
    /// Items that were given back, because there was no room or the drain was shut down.
    pub refused: u64,
    /// Items of batches that the sink took.
    pub delivered: u64,
    /// Items of batches that were given up.
    pub lost: u64,
    /// Batches that the sink took.
    pub batches: u64,
    /// How often the sink failed to take one.
    pub failures: u64,
    /// Items that are waiting.
    pub waiting: u64,
}

/// Why an item was not added; it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused<T> {
    /// As many items are waiting as the drain holds.
    Full(T),
    /// The drain was shut down.
    ShutDown(T),
}

impl<T> Refused<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::ShutDown(item) => item,
        }
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the drain is full",
            Self::ShutDown(_) => "the drain was shut down",
        })
    }
}

impl<T: fmt::Debug> core::error::Error for Refused<T> {}

impl<T: Item, const N: usize> Drain<T, N> {
    const CAPACITY_IS_VALID: () = assert!(N > 0, "a drain has room for an item");

    /// Nothing collected. Limits that cannot be kept are the nearest that can: see [`Limits`].
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        () = Self::CAPACITY_IS_VALID;
        let mut limits = limits;
        if limits.items > N {
            limits.items = N;
        }
        if limits.items == 0 {
            limits.items = 1;
        }
        if limits.attempts == 0 {
            limits.attempts = 1;
        }
        Self {
            limits,
            items: Deque::new(),
            front: Front::EMPTY,
            flushed: 0,
            by: Closed::Flush,
            shut: false,
            number: 0,
            stats: Stats {
                added: 0,
                refused: 0,
                delivered: 0,
                lost: 0,
                batches: 0,
                failures: 0,
                waiting: 0,
            },
        }
    }

    /// Collects an item at `now`. Delivers nothing: that is done by [`poll`](Self::poll), however full it is.
    ///
    /// # Errors
    /// Gives the item back, counted, when `N` are waiting or the drain was shut down.
    pub fn add(&mut self, now: Instant, item: T) -> Result<(), Refused<T>> {
        if self.shut {
            self.stats.refused += 1;
            return Err(Refused::ShutDown(item));
        }
        if let Err(held) = self.items.push_back(Held { item, added: now }) {
            self.stats.refused += 1;
            return Err(Refused::Full(held.item));
        }
        self.stats.added += 1;
        self.extend_front();
        Ok(())
    }

    /// Whether another item has room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.shut && !self.items.is_full()
    }

    /// Hands the batches that are due at `now` to `sink`, of together at most `budget` items but at least one batch,
    /// if the budget is not zero. Returns when the next one is due, `now` if one already is, or `None` if
    /// nothing is waiting.
    ///
    /// A batch is due when it is full, when its first item has waited for [`Limits::age`], or when it was
    /// flushed; if it was not taken, [`Limits::retry_after`] later.
    pub fn poll<S: Sink<T, N> + ?Sized>(
        &mut self,
        now: Instant,
        budget: usize,
        sink: &mut S,
    ) -> Option<Instant> {
        let mut left = budget;
        loop {
            let due = self.due()?;
            if due > now {
                return Some(due);
            }
            let (items, _) = self.batch();
            if left == 0 || (items > left && left < budget) {
                return Some(now);
            }
            left = left.saturating_sub(items);
            self.offer(now, sink);
        }
    }

    /// As [`poll`](Self::poll), taking items from `source` until that has none, the budget is used up, or the sink
    /// does not take what is full. Nothing is taken that has no room. At most `budget` items are taken, and as many
    /// delivered.
    pub fn poll_from<S: Sink<T, N> + ?Sized>(
        &mut self,
        now: Instant,
        budget: usize,
        mut source: impl FnMut() -> Option<T>,
        sink: &mut S,
    ) -> Option<Instant> {
        for _ in 0..budget {
            if !self.has_room() {
                self.poll(now, budget, sink);
            }
            if !self.has_room() {
                break;
            }
            let Some(item) = source() else {
                break;
            };
            if self.add(now, item).is_err() {
                break;
            }
        }
        self.poll(now, budget, sink)
    }

    /// Everything that was added until now is due. It goes out by [`poll`](Self::poll), which may take as many calls
    /// as its budget needs; what is added meanwhile is not part of it.
    pub fn flush(&mut self) {
        self.mark(Closed::Flush);
    }

    /// Everything that was added is due, and nothing more is taken. `poll` until it returns `None`; whatever the
    /// sink does, that is after at most [`Limits::attempts`] for each batch.
    pub fn shutdown(&mut self) {
        self.shut = true;
        self.mark(Closed::Shutdown);
    }

    /// What became of the items so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            waiting: self.items.len() as u64,
            ..self.stats
        }
    }

    fn mark(&mut self, by: Closed) {
        self.flushed = self.items.len();
        self.by = by;
    }

    /// When the batch at the front is due.
    fn due(&self) -> Option<Instant> {
        let first = self.items.front()?;
        if let Some(offered) = &self.front.offered {
            return Some(offered.again);
        }
        if self.front.full.is_some() || self.flushed > 0 {
            return Some(Instant::ZERO);
        }
        Some(first.added.saturating_add(self.limits.age))
    }

    /// Counts items into the front batch, as long as it may have more.
    fn extend_front(&mut self) {
        let front = &mut self.front;
        while front.offered.is_none() && front.full.is_none() {
            let Some(held) = self.items.get(front.items) else {
                return;
            };
            let bytes = front.bytes.saturating_add(held.item.bytes());
            if front.items > 0 && bytes > self.limits.bytes {
                front.full = Some(Closed::Bytes);
                return;
            }
            front.items += 1;
            front.bytes = bytes;
            if front.items == self.limits.items {
                front.full = Some(Closed::Items);
            } else if bytes >= self.limits.bytes {
                front.full = Some(Closed::Bytes);
            }
        }
    }

    /// How many items the front batch has if it is offered now, and why. What was added behind a flush is not
    /// part of it.
    fn batch(&self) -> (usize, Closed) {
        let Front { items, full, .. } = self.front;
        if let Some(offered) = self.front.offered {
            (items, offered.closed)
        } else if self.flushed > 0 && items >= self.flushed {
            (self.flushed, self.by)
        } else {
            (items, full.unwrap_or(Closed::Age))
        }
    }

    /// The one path by which a batch leaves.
    fn offer<S: Sink<T, N> + ?Sized>(&mut self, now: Instant, sink: &mut S) {
        let (items, closed) = self.batch();
        let attempts = self.front.offered.map_or(0, |offered| offered.attempts) + 1;
        let taken = sink
            .deliver(&Batch {
                items: &self.items,
                length: items,
                number: self.number,
                closed,
                attempt: attempts,
            })
            .is_ok();
        // Behind the sink: one that panics has changed nothing.
        self.front.items = items;
        if !taken {
            self.stats.failures += 1;
            if attempts < self.limits.attempts {
                self.front.offered = Some(Offered {
                    closed,
                    attempts,
                    again: now.saturating_add(self.limits.retry_after),
                });
                return;
            }
        }
        if taken {
            self.stats.delivered += items as u64;
            self.stats.batches += 1;
        } else {
            self.stats.lost += items as u64;
        }
        self.number += 1;
        self.remove_front();
    }

    fn remove_front(&mut self) {
        for _ in 0..self.front.items {
            self.items.pop_front();
        }
        self.flushed = self.flushed.saturating_sub(self.front.items);
        self.front = Front::EMPTY;
        self.extend_front();
    }
}

impl<T, const N: usize> fmt::Debug for Drain<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("limits", &self.limits)
            .field("waiting", &self.items.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
