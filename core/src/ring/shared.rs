//! The ring of any writers: wait-free by read-modify-writes.

use super::reader::{Passed, Tail};
use super::slot::Slot;
use super::{Overwrite, Policy, Reader, Refused, Stats, Step};
use crate::event::{Event, Record};
use crate::sync::{AtomicUsize, Ordering, array, const_fn};
use core::fmt;
use core::marker::PhantomData;

/// A ring of `N` records for any number of writers, `N` a power of two; see the [module](super) for the
/// protocol.
///
/// All push through a shared reference, into one order. It costs several times what a ring of one writer
/// costs, and more when two push at once: it is for whoever has no ring of his own. Memory: `N` slots of
/// eight words, and two lines more on a 64-bit target or eight words more on a 32-bit one; the initial
/// state is all zero.
///
/// Exists where the target has a native compare-and-swap.
///
/// # Concurrency
/// A push that overwrites is wait-free, with two read-modify-writes; one that may be refused is lock-free. It
/// takes effect when its slot says so, with the last store. A writer that is suspended in between, or never
/// goes on, blocks neither the others nor the reader: its slot is passed over. Reading is wait-free.
///
/// # From interrupts
/// Yes, on any core.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::event::{Event, EventKind, Level};
/// use bedplate_core::ring::{Received, SharedRing};
///
/// static RING: SharedRing<64> = SharedRing::new();
/// std::thread::scope(|scope| {
///     for value in 0..2 {
///         scope.spawn(move || RING.push(Event {
///             kind: EventKind::new(Level::Info, 1), time: Instant::from_nanos(0), key: 0, value,
///         }));
///     }
/// });
/// let mut reader = RING.claim_reader().expect("nobody else reads");
/// let mut sum = 0;
/// reader.drain(10, |received| match received {
///     Received::Record(event) => sum += event.value,
///     Received::Lost(_) => panic!(),
/// });
/// assert_eq!(sum, 1);
/// ```
pub struct SharedRing<const N: usize, P: Policy<R> = Overwrite, R: Record = Event> {
    written: Written,
    passed: Passed,
    slots: [Slot; N],
    _policy: PhantomData<fn(R) -> (P, R)>,
}

/// The words the writers change, on a line of their own where lines matter.
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
struct Written {
    /// The next ticket.
    tail: AtomicUsize,
    /// Pushes given back because the ring was full.
    rejected: AtomicUsize,
}

impl<const N: usize, P: Policy<R>, R: Record> SharedRing<N, P, R> {
    const_fn! {
        /// An empty ring.
        #[must_use]
        pub fn new() -> Self {
            () = super::Capacity::<N>::IS_VALID;
            Self {
                written: Written {
                    tail: AtomicUsize::new(0),
                    rejected: AtomicUsize::new(0),
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

    /// Stores `record`; if `N` are waiting, does with it as the policy says.
    ///
    /// # Errors
    /// [`Refused`] with the record: the ring was full, and this policy does not overwrite; or its place is
    /// held by a writer that was suspended for a lap; or this one was, and its place has gone by.
    #[inline]
    pub fn push(&self, record: R) -> Result<(), Refused<R>> {
        self.push_interrupted(record, |_| ())
    }

    /// As [`push`](Self::push), and calls `interrupt` wherever it might be suspended, for tests.
    #[doc(hidden)]
    #[inline]
    pub fn push_interrupted(
        &self,
        record: R,
        mut interrupt: impl FnMut(Step),
    ) -> Result<(), Refused<R>> {
        let words = record.encode();
        let taken = if P::overwrites(&record) {
            // Relaxed: a number; the slots say what may be read and written.
            Some(self.written.tail.fetch_add(1, Ordering::Relaxed))
        } else {
            self.take_if_room()
        };
        let Some(ticket) = taken else {
            // Relaxed: a count.
            self.written.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Refused::Full(record));
        };
        interrupt(Step::Taken);
        let slot = &self.slots[ticket & (N - 1)];
        if !slot.take_shared(ticket) {
            return Err(Refused::Busy(record));
        }
        slot.fill(ticket, words, || interrupt(Step::Held));
        Ok(())
    }

    #[inline]
    fn take_if_room(&self) -> Option<usize> {
        let tail = &self.written.tail;
        // Relaxed: a number; the exchange looks again.
        let mut ticket = tail.load(Ordering::Relaxed);
        loop {
            if ticket.wrapping_sub(self.passed.head()) >= N {
                // Relaxed: the reader had seen a tail that is not behind its head, and so have we now [E3]. One
                // that has not moved proves that the ring was full.
                let now = tail.load(Ordering::Relaxed);
                if now == ticket {
                    return None;
                }
                ticket = now;
                continue;
            }
            // Relaxed: a number; the slots say what may be read and written.
            match tail.compare_exchange_weak(
                ticket,
                ticket.wrapping_add(1),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(ticket),
                Err(now) => ticket = now,
            }
        }
    }

    /// The right to read, or `None` while somebody holds it; see
    /// [`EventRing::claim_reader`](super::EventRing::claim_reader).
    pub fn claim_reader(&self) -> Option<Reader<'_, R>> {
        Reader::claim(&self.slots, &self.passed, self.tail())
    }

    /// The counts so far.
    ///
    /// # Concurrency
    /// Wait-free. Exact when nobody pushes or reads; see [`EventRing::stats`](super::EventRing::stats).
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

impl<const N: usize, P: Policy<R>, R: Record> Default for SharedRing<N, P, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, P: Policy<R>, R: Record> fmt::Debug for SharedRing<N, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRing")
            .field("capacity", &N)
            .field("stats", &self.stats())
            .finish()
    }
}
