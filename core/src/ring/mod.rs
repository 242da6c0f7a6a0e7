//! An event ring for one writer and one reader: wait-free on both sides, without an allocator,
//! usable from interrupts, and exact about what it lost.
//!
//! # What it will not do
//! It never blocks, never retries without bound, and never hides a loss. It has one writer: give
//! every context that can interrupt another (thread, interrupt priority) a ring of its own.
//!
//! # Picture
//! Every push has a *ticket*, counted from zero; ticket `t` lives in slot `t mod N`.
//!
//! ```text
//!                head (reader's next)            tail (writer's next)
//!                  ▼                               ▼
//! tickets  …  5 6  7   8   9   10   11   12   13   14
//!                ┌───┬───┬───┬────┬────┬────┬────┬────┐      N = 8
//! slots          │ 7 │ 8 │ 9 │ 10 │ 11 │ 12 │ 13 │ 6* │      * the oldest; overwritten next
//!                └───┴───┴───┴────┴────┴────┴────┴────┘
//!
//! slot     ┌───────┬─────────────────────────┐   stamp 2t+1  ticket t is being written
//!          │ stamp │ seven words of payload  │   stamp 2t+2  ticket t is complete
//!          └───────┴─────────────────────────┘   stamp 0     never written (all-zero: `.bss`)
//! ```
//!
//! # Paths
//! *Push, [`Overwrite`]*: stamp := 2t+1, fence, payload, stamp := 2t+2, tail := t+1. A writer that
//! is suspended, or dies, anywhere in between leaves one unreadable slot and holds up nobody.
//!
//! *Push, [`Reject`]*: first, if tail − head = N, the record is given back and counted.
//!
//! *Read*: if tail = head, there is nothing. If tail − head > N, the tickets up to tail − N are gone:
//! report them and go on from there. Else copy the slot's words between two looks at its stamp; if
//! either differs from 2·head+2, the writer was in it: report the loss and go on behind it. A
//! reader that lost a race with a running writer restarts half a ring behind it, since the slot
//! after the one it lost is the next to be overwritten.
//!
//! # Who may touch what
//! | word | writer | reader | others |
//! |---|---|---|---|
//! | `slot.stamp`, `slot.words` | stores | loads | – |
//! | `tail`, `rejected` | stores | loads | load, for statistics |
//! | `head`, `delivered`, `overwritten` | loads `head` (`Reject`) | stores | load, for statistics |
//!
//! # Orderings
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | E1 | `tail := t+1` Release | load of `tail`, Acquire | the payload of `t` is visible, or that of a later ticket |
//! | E2 | fence(Release) after `stamp := 2t+1` | fence(Acquire) before the second look | a word of a later ticket cannot be read under an unchanged stamp |
//! | E3 | `head` Release | load of `head` in `Reject`, Acquire | the words were copied before they are overwritten |
//! | E4 | claim given back, Release | claim taken, Acquire | the next writer or reader continues the last one's counts |
//!
//! The even stamp needs no ordering of its own: a reader looks at a slot only once the tail counts its
//! ticket (E1), and from then on the stamp can only tell it that the slot has moved on.
//!
//! # Limits
//! Tickets are machine words and wrap. A reader must look at least once in 2³¹ pushes on a 32-bit
//! target, or losses are under-counted by a multiple of 2³²; on a 64-bit target it cannot be late.
//!
//! Literature: H.-J. Boehm, *Can seqlocks get along with programming language memory models?*
//! (MSPC 2012), for the two fences; the ticket stamps are those of D. Vyukov's bounded queue.

mod reader;
mod slot;
mod writer;

use crate::event::{Event, Record};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, array, const_fn};
use core::fmt;
use core::marker::PhantomData;
use slot::Slot;

pub use reader::{Lost, Reader, Received};
pub use writer::{Full, Writer};

/// What a ring does with a push when `N` records are waiting; one of [`Overwrite`] and [`Reject`].
pub trait Policy: sealed::Sealed {}

/// The newest record takes the place of the oldest, which is counted and reported as [`Lost`].
#[derive(Debug)]
pub enum Overwrite {}

/// The newest record is given back in [`Full`] and counted.
#[derive(Debug)]
pub enum Reject {}

impl Policy for Overwrite {}
impl Policy for Reject {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Overwrite {}
    impl Sealed for super::Reject {}
}

/// A ring of `N` records, `N` a power of two; see the [module](self) for the protocol.
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
pub struct EventRing<const N: usize, P: Policy = Overwrite, R: Record = Event> {
    written: Written,
    read: Read,
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

/// The words the reader stores, on a line of their own where lines matter. Every ticket before the
/// head is in one of the two counts.
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
struct Read {
    /// The next ticket.
    head: AtomicUsize,
    delivered: AtomicUsize,
    overwritten: AtomicUsize,
    claimed: AtomicBool,
}

impl<const N: usize, P: Policy, R: Record> EventRing<N, P, R> {
    /// Refuses a capacity that is no power of two, when the ring is compiled.
    const CAPACITY_IS_VALID: () = assert!(
        N.is_power_of_two() && N >= 2,
        "a ring's capacity is a power of two, at least 2"
    );

    const_fn! {
        /// An empty ring.
        #[must_use]
        pub fn new() -> Self {
            Self::starting_at(0)
        }
    }

    const_fn! {
        /// An empty ring whose first ticket is `ticket`, for tests of the wrap-around.
        #[doc(hidden)]
        #[must_use]
        pub fn starting_at(ticket: usize) -> Self {
            () = Self::CAPACITY_IS_VALID;
            Self {
                written: Written {
                    tail: AtomicUsize::new(ticket),
                    rejected: AtomicUsize::new(0),
                    claimed: AtomicBool::new(false),
                },
                read: Read {
                    head: AtomicUsize::new(ticket),
                    delivered: AtomicUsize::new(0),
                    overwritten: AtomicUsize::new(0),
                    claimed: AtomicBool::new(false),
                },
                slots: array![Slot::new(); N],
                _policy: PhantomData,
            }
        }
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
    pub fn claim_reader(&self) -> Option<Reader<'_, N, P, R>> {
        claim(&self.read.claimed).then(|| Reader::new(self))
    }

    /// Both ends of a ring nobody else has, whatever was claimed (and leaked) before.
    pub fn split(&mut self) -> (Writer<'_, N, P, R>, Reader<'_, N, P, R>) {
        let ring = &*self;
        // Relaxed: the ring is borrowed exclusively, nobody can hold a claim.
        ring.written.claimed.store(true, Ordering::Relaxed);
        ring.read.claimed.store(true, Ordering::Relaxed);
        (Writer::new(ring), Reader::new(ring))
    }

    /// The counts so far.
    ///
    /// # Concurrency
    /// Wait-free. Exact when neither end is at work. While they are, each number is one that was true
    /// at some moment of the call, and not all of the same one: they need not add up.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Read {
            head,
            delivered,
            overwritten,
            ..
        } = &self.read;
        // Acquire: the tail the reader had seen is visible, so it is not behind this head; pairs with
        // Release in `Reader::advance` [E3].
        let head = head.load(Ordering::Acquire);
        // Relaxed: independent counters; nothing is read through them.
        let tail = self.written.tail.load(Ordering::Relaxed);
        let rejected = self.written.rejected.load(Ordering::Relaxed);
        Stats {
            pushed: tail.wrapping_add(rejected),
            delivered: delivered.load(Ordering::Relaxed),
            overwritten: overwritten.load(Ordering::Relaxed),
            rejected,
            waiting: tail.wrapping_sub(head),
        }
    }
}

impl<const N: usize, P: Policy, R: Record> Default for EventRing<N, P, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, P: Policy, R: Record> fmt::Debug for EventRing<N, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRing")
            .field("capacity", &N)
            .field("stats", &self.stats())
            .finish()
    }
}

/// What became of the records pushed into a ring: at rest,
/// `pushed = delivered + overwritten + rejected + waiting`. Machine words; they wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Pushes, refused ones included.
    pub pushed: usize,
    /// Records the reader returned.
    pub delivered: usize,
    /// Records that were overwritten before they were read, as far as the reader has noticed: those
    /// it has yet to notice are still counted as waiting.
    pub overwritten: usize,
    /// Pushes given back because the ring was full.
    pub rejected: usize,
    /// Pushed, and neither delivered nor noticed as lost.
    pub waiting: usize,
}

/// Sets `flag`; whether it was clear.
fn claim(flag: &AtomicBool) -> bool {
    #[cfg(target_has_atomic = "ptr")]
    {
        // Acquire: continue the counts of the last holder; pairs with Release in `give_back` [E4].
        // Relaxed on failure: nothing is read. An exchange, since a failed claim writes nothing.
        flag.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
    #[cfg(not(target_has_atomic = "ptr"))]
    {
        // Acquire: as above [E4].
        let free = !flag.load(Ordering::Acquire);
        if free {
            // Relaxed: a mark for later calls in this or an interrupted context.
            flag.store(true, Ordering::Relaxed);
        }
        free
    }
}

/// Clears `flag` at the end of a claim.
fn give_back(flag: &AtomicBool) {
    // Release: hand on the counts; pairs with Acquire in `claim` [E4].
    flag.store(false, Ordering::Release);
}
