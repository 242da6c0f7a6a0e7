//! The ring of writers that interrupt one another on one core, without read-modify-writes.
//!
//! # Tickets without a compare-and-swap
//! An interrupt comes back before what it interrupted goes on. So of two pushes on one core one lies
//! wholly between two instructions of the other, and a number can be counted up by loads and stores, if
//! whoever was interrupted in the middle finds out, and whoever interrupts stays out of its way.
//!
//! There are as many *levels* as contexts may interrupt each other right here. A level has two words,
//! and is *busy* while `taking` is later than `taken`:
//!
//! ```text
//!              taken   taking
//! level 0      │ 17 │   │ 18 │     busy: someone was interrupted while it took ticket 17
//! level 1      │ 20 │   │ 20 │     idle; two nested pushes took 18 and 19 meanwhile
//! level 2      │ 11 │   │ 11 │     idle: an old story
//! ```
//!
//! *Take*: the first idle level is mine. Load its `taken`; the next ticket `t` is the latest word of all
//! levels, if `taken` is still the same; `taking := t+1`; look at `taken` again; `taken := t+1`, and `t` is
//! mine.
//!
//! *Interrupted before `taking := t+1`*: who interrupts finds the level idle, takes `t` there, and leaves
//! `taken` at `t+1` or later. Then the late `taking := t+1` makes nothing busy, the second look finds
//! another `taken`, and the take begins anew. Every repetition has an interrupt that pushed between two
//! given instructions.
//!
//! *Interrupted after it*: the level is busy, and who interrupts goes to the next one, and takes its
//! tickets from `t+1` on.
//!
//! So that the usual take looks at one level only, a *deeper* one, while it is busy, sets `scattered`
//! before its `taken`. Level 0, while busy, clears it and then sets its own `taken` to the latest of all:
//! what comes later sets it again, what came before is in that. When it has gone round by [`STRIDE`]
//! tickets it also takes the other levels along, so that an old word never looks like a new one after
//! the wrap-around.

use super::reader::{Passed, Tail};
use super::slot::Slot;
use super::{Overwrite, Policy, Reader, Refused, Stats, Step};
use crate::event::{Event, Record};
use crate::sync::{AtomicUsize, NEST_LEVELS, Ordering, array, const_fn, in_order};
use core::fmt;
use core::marker::PhantomData;

/// So many tickets, and level 0 takes the other levels along.
const STRIDE: usize = 1 << 16;

/// A number that contexts count up which interrupt one another, as they hold tickets: see the
/// [module](self).
pub(super) struct Tickets {
    /// Whether a level but the first may be the latest.
    scattered: AtomicUsize,
    levels: [Level; NEST_LEVELS],
}

struct Level {
    /// The first ticket after the last that was taken here.
    taken: AtomicUsize,
    /// While one is being taken, the first after that.
    taking: AtomicUsize,
}

/// Why no ticket was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untaken {
    /// It was not permitted.
    Denied,
    /// All levels are busy.
    TooDeep,
}

impl Level {
    const_fn! {
        fn new() -> Self {
            Self { taken: AtomicUsize::new(0), taking: AtomicUsize::new(0) }
        }
    }

    #[inline]
    fn taken(&self) -> usize {
        // Relaxed: stored on this core, before; or a number that another core only looks at.
        self.taken.load(Ordering::Relaxed)
    }

    #[inline]
    fn taking(&self) -> usize {
        // Relaxed: stored on this core, before.
        self.taking.load(Ordering::Relaxed)
    }

    #[inline]
    fn is_busy(&self) -> bool {
        // The other way round, a push in between would look like one that is suspended.
        let taking = self.taking();
        in_order();
        is_later(taking, self.taken())
    }

    /// Makes the level busy with the ticket before `next`; `false` if somebody used it since `taken` was
    /// loaded.
    #[inline]
    fn enter(&self, taken: usize, next: usize, interrupt: &mut impl FnMut(Step)) -> bool {
        interrupt(Step::Looked);
        in_order();
        // Relaxed: for this core.
        self.taking.store(next, Ordering::Relaxed);
        in_order();
        interrupt(Step::Taking);
        self.taken() == taken
    }

    /// Makes the level idle.
    #[inline]
    fn leave(&self, next: usize, interrupt: &mut impl FnMut(Step)) {
        interrupt(Step::Taking);
        in_order();
        // Relaxed: for this core; another one learns from the slots what it may read.
        self.taken.store(next, Ordering::Relaxed);
        in_order();
        interrupt(Step::Taken);
    }
}

impl Tickets {
    const_fn! {
        pub(super) fn new() -> Self {
            Self { scattered: AtomicUsize::new(0), levels: array![Level::new(); NEST_LEVELS] }
        }
    }

    /// Makes `ticket` the first one, while nobody shares the ring yet.
    fn begin_at(&self, ticket: usize) {
        for level in &self.levels {
            // Relaxed: nobody shares the ring yet.
            level.taken.store(ticket, Ordering::Relaxed);
            level.taking.store(ticket, Ordering::Relaxed);
        }
    }

    /// The first ticket nobody has taken; or, seen from another core, one that was it.
    pub(super) fn taken(&self) -> usize {
        let mut latest = self.levels[0].taken();
        for level in &self.levels[1..] {
            latest = later(latest, level.taken());
        }
        latest
    }

    /// Takes the next ticket, if `permits` it. `interrupt` is called wherever something could come in
    /// between.
    #[inline]
    fn take(
        &self,
        permits: impl Fn(usize) -> bool,
        interrupt: &mut impl FnMut(Step),
    ) -> Result<usize, Untaken> {
        loop {
            let first = &self.levels[0];
            let taken = first.taken();
            in_order();
            interrupt(Step::Looked);
            if is_later(first.taking(), taken) {
                return self.take_deeper(permits, interrupt);
            }
            in_order();
            // Relaxed: stored on this core, before.
            let is_scattered = self.scattered.load(Ordering::Relaxed) != 0;
            let ticket = if is_scattered { self.taken() } else { taken };
            in_order();
            // If the ticket is later than that, what is to make nothing busy would do so.
            if is_scattered && first.taken() != taken {
                continue;
            }
            if !permits(ticket) {
                in_order();
                // If another push came in between, and a reader, the ticket was compared with a later head.
                if first.taken() != taken {
                    continue;
                }
                return Err(Untaken::Denied);
            }
            let next = ticket.wrapping_add(1);
            if !first.enter(taken, next, interrupt) {
                continue;
            }
            let has_gone_round = (taken ^ next) & !(STRIDE - 1) != 0;
            if is_scattered || has_gone_round {
                let latest = self.gather(next, has_gone_round, interrupt);
                first.leave(latest, interrupt);
            } else {
                first.leave(next, interrupt);
            }
            return Ok(ticket);
        }
    }

    /// Takes a ticket while one is being taken on level 0.
    #[cold]
    fn take_deeper(
        &self,
        permits: impl Fn(usize) -> bool,
        interrupt: &mut impl FnMut(Step),
    ) -> Result<usize, Untaken> {
        loop {
            let Some(depth) = self.levels.iter().position(|level| !level.is_busy()) else {
                return Err(Untaken::TooDeep);
            };
            let own = &self.levels[depth];
            let taken = own.taken();
            in_order();
            interrupt(Step::Looked);
            let busy = self.levels[..depth].iter().map(Level::taking);
            let ticket = busy.fold(self.taken(), later);
            in_order();
            // As on level 0.
            if own.taken() != taken {
                continue;
            }
            if !permits(ticket) {
                in_order();
                // As on level 0.
                if own.taken() != taken {
                    continue;
                }
                return Err(Untaken::Denied);
            }
            let next = ticket.wrapping_add(1);
            if !own.enter(taken, next, interrupt) {
                continue;
            }
            interrupt(Step::Taking);
            in_order();
            // Relaxed: for this core, before `taken` of this level.
            self.scattered.store(1, Ordering::Relaxed);
            own.leave(next, interrupt);
            return Ok(ticket);
        }
    }

    /// The latest of all levels and `next`, while level 0 is busy; it covers whatever is not marked as
    /// scattered when it is stored. If asked to, takes the other levels along to `next`.
    #[cold]
    fn gather(&self, next: usize, take_along: bool, interrupt: &mut impl FnMut(Step)) -> usize {
        interrupt(Step::Taking);
        in_order();
        // Relaxed: for this core.
        self.scattered.store(0, Ordering::Relaxed);
        in_order();
        let mut latest = next;
        for level in &self.levels[1..] {
            let mut interrupt = |_| interrupt(Step::Taking);
            interrupt(Step::Taking);
            let taken = level.taken();
            // As a writer would that takes the ticket there.
            if take_along && is_later(next, taken) && level.enter(taken, next, &mut interrupt) {
                level.leave(next, &mut interrupt);
            }
            latest = later(latest, level.taken());
        }
        latest
    }
}

const fn is_later(a: usize, b: usize) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

const fn later(a: usize, b: usize) -> usize {
    if is_later(b, a) { b } else { a }
}

/// A ring of `N` records for writers that interrupt one another on one core: a thread of execution and the
/// interrupts that come upon it, of any priorities. `N` is a power of two. See the [module](super) for
/// the protocol.
///
/// All push through a shared reference, into one order. What pushes while another push is suspended under
/// it does not wait, and neither does the reader: it may be on another core, in a handler, or in the
/// thread. Memory: `N` slots of eight words and some 50 words more; the initial state is all zero.
///
/// # What it relies on
/// A push that interrupts another ends before that one goes on, and each sees what the other stored: so all
/// of them are on one core, or are a thread and its signal handlers. Threads of a scheduler that takes
/// turns are no such contexts; they have a ring each, or a [`SharedRing`](super::SharedRing). If the
/// promise is broken there is no undefined behaviour, but records may be mixed up and the counts wrong.
///
/// At most eight pushes may be interrupted at once within the few instructions that take a ticket; the
/// next is given back as [`Refused::TooDeep`]. A context that never returns from there uses up one of
/// the eight.
///
/// # Concurrency
/// A push is lock-free, by loads and stores only: it begins anew only when an interrupt pushed between two
/// given instructions of it. Reading is wait-free.
///
/// # From interrupts
/// Yes, that is what it is for.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::event::{Event, EventKind, Level};
/// use bedplate_core::ring::{NestedRing, Received};
///
/// static RING: NestedRing<64> = NestedRing::new();
///
/// // In an interrupt handler of any priority, and in the code that it interrupts:
/// let event = Event {
///     kind: EventKind::new(Level::Warn, 7), time: Instant::from_nanos(1), key: 0, value: 1,
/// };
/// RING.push(event).expect("nothing was interrupted for a whole lap");
///
/// let mut reader = RING.claim_reader().expect("nobody else reads");
/// assert_eq!(reader.next(), Some(Received::Record(event)));
/// ```
pub struct NestedRing<const N: usize, P: Policy<R> = Overwrite, R: Record = Event> {
    tickets: Tickets,
    /// Pushes given back because the ring was full, counted as tickets are.
    rejected: Tickets,
    passed: Passed,
    slots: [Slot; N],
    _policy: PhantomData<fn(R) -> (P, R)>,
}

impl<const N: usize, P: Policy<R>, R: Record> NestedRing<N, P, R> {
    const_fn! {
        /// An empty ring.
        #[must_use]
        pub fn new() -> Self {
            () = super::Capacity::<N>::IS_VALID;
            Self {
                tickets: Tickets::new(),
                rejected: Tickets::new(),
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
        ring.tickets.begin_at(ticket);
        ring.passed.begin_at(ticket);
        ring.slots.iter().for_each(|slot| slot.begin_at(ticket));
        ring
    }

    /// Stores `record`; if `N` are waiting, does with it as the policy says.
    ///
    /// # Errors
    /// [`Refused`] with the record: the ring was full, and this policy does not overwrite; or its place is
    /// held by a push that it interrupted, a lap ago.
    #[inline]
    pub fn push(&self, record: R) -> Result<(), Refused<R>> {
        self.push_interrupted(record, |_| ())
    }

    /// As [`push`](Self::push), and calls `interrupt` wherever one could come in, for tests.
    #[doc(hidden)]
    #[inline]
    pub fn push_interrupted(
        &self,
        record: R,
        mut interrupt: impl FnMut(Step),
    ) -> Result<(), Refused<R>> {
        let words = record.encode();
        let overwrites = P::overwrites(&record);
        let permits = |ticket: usize| overwrites || ticket.wrapping_sub(self.passed.head()) < N;
        let ticket = match self.tickets.take(permits, &mut interrupt) {
            Ok(ticket) => ticket,
            Err(Untaken::TooDeep) => return Err(Refused::TooDeep(record)),
            Err(Untaken::Denied) => {
                let mut interrupt = |_| interrupt(Step::Refused);
                return Err(match self.rejected.take(|_| true, &mut interrupt) {
                    Ok(_) => Refused::Full(record),
                    Err(_) => Refused::TooDeep(record),
                });
            }
        };
        let slot = &self.slots[ticket & (N - 1)];
        if !slot.take_nested(ticket, || interrupt(Step::Claimed)) {
            return Err(Refused::Busy(record));
        }
        slot.fill(ticket, words, || interrupt(Step::Held));
        Ok(())
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
        self.passed.stats(self.tail(), self.rejected.taken())
    }

    const fn tail(&self) -> Tail<'_> {
        Tail::Nested(&self.tickets)
    }
}

impl<const N: usize, P: Policy<R>, R: Record> Default for NestedRing<N, P, R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, P: Policy<R>, R: Record> fmt::Debug for NestedRing<N, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NestedRing")
            .field("capacity", &N)
            .field("stats", &self.stats())
            .finish()
    }
}
