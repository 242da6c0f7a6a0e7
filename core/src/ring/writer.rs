//! The pushing end.

use super::{EventRing, Overwrite, Policy, Reject, give_back};
use crate::event::Record;
use crate::sync::Ordering;
use core::fmt;

/// The right to push into a ring; there is one at a time.
///
/// # Concurrency
/// Wait-free: ten stores, no read-modify-write. A push takes effect when the reader can see it,
/// with its last store.
///
/// # From interrupts
/// Yes, by the handler that owns the writer.
pub struct Writer<'r, const N: usize, P: Policy, R: Record> {
    ring: &'r EventRing<N, P, R>,
    /// The next ticket: `ring.tail`, which nobody else stores.
    ticket: usize,
}

impl<'r, const N: usize, P: Policy, R: Record> Writer<'r, N, P, R> {
    pub(super) fn new(ring: &'r EventRing<N, P, R>) -> Self {
        // Relaxed: the claim ordered the last writer's store before this load [E4].
        Self {
            ring,
            ticket: ring.written.tail.load(Ordering::Relaxed),
        }
    }

    #[inline]
    fn write(&mut self, record: R) {
        let ring = self.ring;
        ring.slots[self.ticket & (N - 1)].write(self.ticket, record.encode());
        self.ticket = self.ticket.wrapping_add(1);
        // Release: the slot is complete before it is counted; pairs with Acquire in
        // `Reader::next` [E1].
        ring.written.tail.store(self.ticket, Ordering::Release);
    }
}

impl<const N: usize, R: Record> Writer<'_, N, Overwrite, R> {
    /// Stores `record`, over the oldest one if `N` are waiting.
    #[inline]
    pub fn push(&mut self, record: R) {
        self.write(record);
    }
}

impl<const N: usize, R: Record> Writer<'_, N, Reject, R> {
    /// Stores `record` if fewer than `N` are waiting.
    ///
    /// # Errors
    /// [`Full`] with the record; the refusal is counted.
    #[inline]
    pub fn push(&mut self, record: R) -> Result<(), Full<R>> {
        // Acquire: the reader has copied what we are about to overwrite; pairs with Release in
        // `Reader::advance` [E3].
        let head = self.ring.read.head.load(Ordering::Acquire);
        if self.ticket.wrapping_sub(head) >= N {
            // Relaxed: a counter that only this writer stores.
            let rejected = self.ring.written.rejected.load(Ordering::Relaxed);
            self.ring
                .written
                .rejected
                .store(rejected.wrapping_add(1), Ordering::Relaxed);
            return Err(Full(record));
        }
        self.write(record);
        Ok(())
    }
}

impl<const N: usize, P: Policy, R: Record> Drop for Writer<'_, N, P, R> {
    fn drop(&mut self) {
        give_back(&self.ring.written.claimed);
    }
}

impl<const N: usize, P: Policy, R: Record> fmt::Debug for Writer<'_, N, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("ring", self.ring).finish()
    }
}

/// The ring was full; here is the record again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<R>(pub R);

impl<R> fmt::Debug for Full<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<R> fmt::Display for Full<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event ring is full")
    }
}

impl<R> core::error::Error for Full<R> {}
