//! The reading end: delivers records in order and accounts for those it could not.

use super::{EventRing, Policy, give_back};
use crate::event::Record;
use crate::sync::{AtomicUsize, Ordering};
use core::fmt;

/// What a reader finds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<R> {
    /// The next record.
    Record(R),
    /// In its place in the order: records that were overwritten before they were read.
    Lost(Lost),
}

/// A gap: the records with the sequence numbers `from..to` are gone.
///
/// Sequence numbers count the ring's accepted pushes, zero being the first that was neither delivered
/// nor reported as lost when the reader was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// The first that is gone.
    pub from: u64,
    /// The first after the gap.
    pub to: u64,
}

impl Lost {
    /// How many records are gone; at least one.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.to - self.from
    }
}

/// The right to read a ring; there is one at a time.
///
/// # Concurrency
/// Wait-free; a call looks at one slot. The writer never waits for it.
pub struct Reader<'r, const N: usize, P: Policy, R: Record> {
    ring: &'r EventRing<N, P, R>,
    /// The next ticket: `ring.head`, which nobody else stores.
    ticket: usize,
    /// Tickets passed since this reader was claimed.
    sequence: u64,
}

impl<'r, const N: usize, P: Policy, R: Record> Reader<'r, N, P, R> {
    pub(super) fn new(ring: &'r EventRing<N, P, R>) -> Self {
        // Relaxed: the claim ordered the last reader's store before this load [E4].
        Self {
            ring,
            ticket: ring.read.head.load(Ordering::Relaxed),
            sequence: 0,
        }
    }

    /// The next record, or the gap that lies before it, or `None` if nothing is waiting.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` is not the end: more may come"
    )]
    pub fn next(&mut self) -> Option<Received<R>> {
        // Acquire: every counted slot is complete; pairs with Release in `Writer::write` [E1].
        let tail = self.ring.written.tail.load(Ordering::Acquire);
        let waiting = tail.wrapping_sub(self.ticket);
        if waiting == 0 {
            return None;
        }
        if waiting > N {
            return Some(self.lose(waiting - N));
        }
        if let Some(words) = self.ring.slots[self.ticket & (N - 1)].read(self.ticket) {
            count(&self.ring.read.delivered, 1);
            self.advance(1);
            return Some(Received::Record(R::decode(words)));
        }
        // The writer is, or was, in this slot with a later ticket.
        // Acquire: as above [E1].
        let now = self.ring.written.tail.load(Ordering::Acquire);
        let gap = if now == tail {
            1 // It stands in this one; the rest is intact.
        } else {
            // It runs: stay out of its way.
            now.wrapping_sub(self.ticket).saturating_sub(N / 2).max(1)
        };
        Some(self.lose(gap))
    }

    /// Up to `budget` results of [`next`](Self::next), each given to `sink`; how many there were.
    /// Fewer than `budget` means that nothing more is waiting.
    pub fn drain(&mut self, budget: usize, mut sink: impl FnMut(Received<R>)) -> usize {
        for done in 0..budget {
            match self.next() {
                Some(received) => sink(received),
                None => return done,
            }
        }
        budget
    }

    fn lose(&mut self, lost: usize) -> Received<R> {
        count(&self.ring.read.overwritten, lost);
        let from = self.sequence;
        self.advance(lost);
        Received::Lost(Lost {
            from,
            to: self.sequence,
        })
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        self.ticket = self.ticket.wrapping_add(count);
        self.sequence += count as u64;
        // Release: the words were copied before the writer may reuse the slot; pairs with Acquire
        // in `Writer::push` under `Reject` [E3].
        self.ring.read.head.store(self.ticket, Ordering::Release);
    }
}

impl<const N: usize, P: Policy, R: Record> Drop for Reader<'_, N, P, R> {
    fn drop(&mut self) {
        give_back(&self.ring.read.claimed);
    }
}

impl<const N: usize, P: Policy, R: Record> fmt::Debug for Reader<'_, N, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("ring", self.ring).finish()
    }
}

/// Adds to a counter that only the reader stores.
fn count(counter: &AtomicUsize, more: usize) {
    // Relaxed: nobody else stores it, and nothing is read through it.
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(more),
        Ordering::Relaxed,
    );
}
