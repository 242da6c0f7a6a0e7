//! The ring of one writer: wait-free, loads and stores only.

use super::reader::{Passed, Tail};
use super::slot::Slot;
use super::{Full, Overwrite, Policy, Reader, Reject, RejectBelow, Stats, claim, give_back};
use crate::event::{Event, Leveled, Record};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, array, const_fn};
use core::fmt;
use core::marker::PhantomData;

/// A ring of `N` records for one writer, `N` a power of two; see the [module](super) for the protocol.
///
/// One [`Writer`] and one [`Reader`] at a time, claimed with [`claim_writer`](Self::claim_writer)
/// and [`claim_reader`](Self::claim_reader) from a shared ring (a `static`, say), or both at once
/// with [`split`](Self::split). Memory: `N` slots of eight words, and two lines more on a 64-bit target
/// or eight words more on a 32-bit one; the initial state is all zero.
///
/// # Concurrency
/// Every operation is wait-free and uses loads and stores only, except the two claims.
///
/// # From interrupts
/// Yes: a handler pushes into the ring whose writer it owns.
///
/// ```
/// use bedplate_core::event::{Event, EventKind, Level};
/// use bedplate_core::ring::{EventRing, Received};
/// use bedplate_core::clock::Instant;
///
/// static RING: EventRing<4> = EventRing::new();
/// const BEAT: EventKind = EventKind::new(Level::Info, 1);
///
/// let mut writer = RING.claim_writer().expect("nobody else writes");
/// for beat in 0..6 {
///     writer.push(Event { kind: BEAT, time: Instant::from_nanos(beat), key: 0, value: beat });
/// }
///
/// let mut reader = RING.claim_reader().expect("nobody else reads");
/// let Some(Received::Lost(lost)) = reader.next() else { panic!() };
/// assert_eq!((lost.from, lost.to), (0, 2));          // the two oldest, in their place
/// for beat in 2..6 {
///     assert!(matches!(reader.next(), Some(Received::Record(event)) if event.value == beat));
/// }
/// assert!(reader.next().is_none());
///
/// let stats = RING.stats();
/// assert_eq!(stats.pushed, stats.delivered + stats.overwritten + stats.rejected);
/// ```
pub struct EventRing<const N: usize, P: Policy<R> = Overwrite, R: Record = Event> {
    written: Written,
    passed: Passed,
    slots: [Slot; N],
    _policy: PhantomData<fn(R) -> (P, R)>,
}

/// The words the writer stores, on a line of their own where lines matter.
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
struct Written {
    /// The next ticket.
    tail: AtomicUsize,
    /// Pushes given back.
    rejected: AtomicUsize,
    claimed: AtomicBool,
}

impl<const N: usize, P: Policy<R>, R: Record> EventRing<N, P, R> {
    const_fn! {
        /// An empty ring.
        #[must_use]
        pub fn new() -> Self {
            () = super::Capacity::<N>::IS_VALID;
            Self {
                written: Written {
                    tail: AtomicUsize::new(0),
                    rejected: AtomicUsize::new(0),
                    claimed: AtomicBool::new(false),
                },
                passed: Passed::new(),
                slots: array![Slot::new(); N],
                _policy: PhantomData,
            }
        }
    }

    /// An empty ring whose first ticket is `ticket`, for tests of the wrap-around.
    #[doc(hidden)]
    #[must_use]
    pub fn starting_at(ticket: usize) -> Self {
        let ring = Self::new();
        // Relaxed: nobody shares the ring yet.
        ring.written.tail.store(ticket, Ordering::Relaxed);
        ring.passed.begin_at(ticket);
        ring.slots.iter().for_each(|slot| slot.begin_at(ticket));
        ring
    }

    /// The right to push, or `None` while somebody holds it. It is given back when dropped.
    ///
    /// On a target without a native compare-and-swap the claim is a load and a store: take it
    /// before the interrupts that might claim the same ring are enabled.
    pub fn claim_writer(&self) -> Option<Writer<'_, N, P, R>> {
        claim(&self.written.claimed).then(|| Writer::new(self))
    }

    /// The right to read, or `None` while somebody holds it. It is given back when dropped; the
    /// next reader goes on where this one stopped.
    ///
    /// On a target without a native compare-and-swap the same holds as for
    /// [`claim_writer`](Self::claim_writer).
    pub fn claim_reader(&self) -> Option<Reader<'_, R>> {
        Reader::claim(&self.slots, &self.passed, self.tail())
    }

    /// Both ends of a ring nobody else has, whatever was claimed (and leaked) before.
    pub fn split(&mut self) -> (Writer<'_, N, P, R>, Reader<'_, R>) {
        let ring = &*self;
        // Relaxed: the ring is borrowed exclusively, nobody can hold a claim.
        ring.written.claimed.store(true, Ordering::Relaxed);
        let reader = Reader::take(&ring.slots, &ring.passed, ring.tail());
        (Writer::new(ring), reader)
    }

    /// The counts so far.
    ///
    /// # Concurrency
    /// Wait-free. Exact when neither end is at work. While they are, each number is one that was true
    /// at some moment of the call, and not all of the same one: they need not add up.
    #[must_use]
    pub fn stats(&self) -> Stats {
        // Relaxed: an independent counter; nothing is read through it.
        let rejected = self.written.rejected.load(Ordering::Relaxed);
        self.passed.stats(self.tail(), rejected)
    }

    const fn tail(&self) -> Tail<'_> {
        Tail::One(&self.written.tail)
    }
}

impl<const N: usize, P: Policy<R>, R: Record> Default for EventRing<N, P, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, P: Policy<R>, R: Record> fmt::Debug for EventRing<N, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRing")
            .field("capacity", &N)
            .field("stats", &self.stats())
            .finish()
    }
}

/// The right to push into an [`EventRing`]; there is one at a time.
///
/// # Concurrency
/// Wait-free: ten stores, no read-modify-write. A push takes effect when the reader can see it,
/// with its last store. A writer that is suspended, or never goes on, holds up nobody.
///
/// # From interrupts
/// Yes, by the handler that owns the writer.
pub struct Writer<'r, const N: usize, P: Policy<R>, R: Record> {
    ring: &'r EventRing<N, P, R>,
    /// The next ticket: `ring.written.tail`, which nobody else stores.
    ticket: usize,
    /// The reader's next ticket when this writer last looked.
    head: usize,
}

impl<'r, const N: usize, P: Policy<R>, R: Record> Writer<'r, N, P, R> {
    fn new(ring: &'r EventRing<N, P, R>) -> Self {
        Self {
            ring,
            // Relaxed: the claim ordered the last writer's store before this load [E4].
            ticket: ring.written.tail.load(Ordering::Relaxed),
            head: ring.passed.head(),
        }
    }

    /// How many records are waiting to be read, those included that were overwritten unnoticed: for who
    /// wants to wake a reader before it is too late. It loads words that the reader stores: ask every
    /// so-many pushes.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ticket.wrapping_sub(self.ring.passed.head())
    }

    #[inline]
    fn offer(&mut self, record: R) -> Result<(), Full<R>> {
        if !P::overwrites(&record) && self.is_full() {
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

    #[inline]
    fn is_full(&mut self) -> bool {
        if self.ticket.wrapping_sub(self.head) < N {
            return false;
        }
        self.head = self.ring.passed.head();
        self.ticket.wrapping_sub(self.head) >= N
    }

    #[inline]
    fn write(&mut self, record: R) {
        let ring = self.ring;
        ring.slots[self.ticket & (N - 1)].write(self.ticket, record.encode());
        self.ticket = self.ticket.wrapping_add(1);
        // Release: the slot is complete before it is counted; pairs with Acquire in
        // `Tail::load` [E1].
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
        self.offer(record)
    }
}

impl<const N: usize, const LEVEL: u8, R: Leveled> Writer<'_, N, RejectBelow<LEVEL>, R> {
    /// Stores `record` if fewer than `N` are waiting, and over the oldest one if it has the level that
    /// matters.
    ///
    /// # Errors
    /// [`Full`] with the record, which is below that level; the refusal is counted.
    #[inline]
    pub fn push(&mut self, record: R) -> Result<(), Full<R>> {
        self.offer(record)
    }
}

impl<const N: usize, P: Policy<R>, R: Record> Drop for Writer<'_, N, P, R> {
    fn drop(&mut self) {
        give_back(&self.ring.written.claimed);
    }
}

impl<const N: usize, P: Policy<R>, R: Record> fmt::Debug for Writer<'_, N, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("ring", self.ring).finish()
    }
}
