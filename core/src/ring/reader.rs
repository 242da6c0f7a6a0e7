//! The reading end, the same for all rings: delivers records in order and accounts for those it could not.

use super::nested::Tickets;
use super::slot::{Holds, Slot};
use super::{Stats, claim, give_back};
use crate::event::{Record, Words};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, const_fn};
use core::fmt;
use core::marker::PhantomData;

/// What a reader finds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<R> {
    /// The next record.
    Record(R),
    /// In its place in the order: records that were overwritten before they were read, or never came.
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

/// What [`Reader::read_batch`] has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// The gap before the records.
    pub lost: Option<Lost>,
    /// How many records there are, from the beginning of the slice.
    pub records: usize,
}

/// Where the tail of a ring is.
#[derive(Clone, Copy)]
pub(super) enum Tail<'r> {
    One(&'r AtomicUsize),
    Nested(&'r Tickets),
}

impl Tail<'_> {
    #[inline]
    fn load(self) -> usize {
        match self {
            // Acquire: of one writer, every counted slot is complete; pairs with Release in
            // `Writer::write` [E1].
            Self::One(tail) => tail.load(Ordering::Acquire),
            Self::Nested(tickets) => tickets.taken(),
        }
    }
}

/// The words the reader stores, on a line of their own where lines matter. Every ticket before the
/// reader's next one, the *head*, is in one of the three counts, so the head is their sum.
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
pub(super) struct Passed {
    delivered: AtomicUsize,
    overwritten: AtomicUsize,
    busy: AtomicUsize,
    claimed: AtomicBool,
}

impl Passed {
    const_fn! {
        pub(super) fn new() -> Self {
            Self {
                delivered: AtomicUsize::new(0),
                overwritten: AtomicUsize::new(0),
                busy: AtomicUsize::new(0),
                claimed: AtomicBool::new(false),
            }
        }
    }

    /// Makes `ticket` the first one of a ring that nobody shares yet.
    pub(super) fn begin_at(&self, ticket: usize) {
        // Relaxed: nobody shares the ring yet.
        self.delivered.store(ticket, Ordering::Relaxed);
    }

    /// The head, or, while the reader is at work, one that it had.
    #[inline]
    pub(super) fn head(&self) -> usize {
        [&self.delivered, &self.overwritten, &self.busy]
            .into_iter()
            // Acquire: the reader has copied what lies before, and its tail is no further than ours;
            // pairs with Release in `Reader::pass` [E3].
            .map(|count| count.load(Ordering::Acquire))
            .fold(0, usize::wrapping_add)
    }

    pub(super) fn stats(&self, tail: Tail<'_>, rejected: usize) -> Stats {
        // Acquire: the tail the reader had seen is visible, so the tail is not behind the head; pairs
        // with Release in `Reader::pass` [E3].
        let [delivered, overwritten, busy] = [&self.delivered, &self.overwritten, &self.busy]
            .map(|count| count.load(Ordering::Acquire));
        let tail = tail.load();
        let head = delivered.wrapping_add(overwritten).wrapping_add(busy);
        Stats {
            pushed: tail.wrapping_add(rejected),
            delivered,
            overwritten,
            rejected,
            busy,
            waiting: tail.wrapping_sub(head),
        }
    }
}

/// The right to read a ring of any kind; there is one at a time.
///
/// # Concurrency
/// Wait-free; a call looks at one slot for each record it delivers, and at one or two more. No writer
/// ever waits for it. A reader is cheap for the writers when it comes seldom and reads much.
pub struct Reader<'r, R: Record> {
    slots: &'r [Slot],
    passed: &'r Passed,
    tail: Tail<'r>,
    /// The next ticket.
    ticket: usize,
    /// The tail when this reader last looked.
    seen: usize,
    /// Tickets passed since this reader was claimed.
    sequence: u64,
    _record: PhantomData<fn() -> R>,
}

impl<'r, R: Record> Reader<'r, R> {
    pub(super) fn claim(slots: &'r [Slot], passed: &'r Passed, tail: Tail<'r>) -> Option<Self> {
        claim(&passed.claimed).then(|| Self::new(slots, passed, tail))
    }

    /// The end of a ring that is borrowed exclusively, claimed or not.
    pub(super) fn take(slots: &'r [Slot], passed: &'r Passed, tail: Tail<'r>) -> Self {
        // Relaxed: the ring is borrowed exclusively, nobody can hold a claim.
        passed.claimed.store(true, Ordering::Relaxed);
        Self::new(slots, passed, tail)
    }

    /// Once claimed: the claim ordered the last reader's stores before the loads here [E4].
    fn new(slots: &'r [Slot], passed: &'r Passed, tail: Tail<'r>) -> Self {
        let ticket = passed.head();
        Self {
            slots,
            passed,
            tail,
            ticket,
            seen: ticket,
            sequence: 0,
            _record: PhantomData,
        }
    }

    /// The next record, or the gap that lies before it, or `None` if nothing can be read now: nothing is
    /// waiting, or, in a ring of several writers, the next record is still being written.
    ///
    /// The reader waits for such a record until half a ring of later ones is there; then it counts it as
    /// [`busy`](Stats::busy), whether it comes or not. [`skip`](Self::skip) does so at once.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` is not the end: more may come"
    )]
    pub fn next(&mut self) -> Option<Received<R>> {
        loop {
            if let Some(words) = self.ready() {
                // Before it is decoded, which may panic.
                self.deliver(1);
                return Some(Received::Record(R::decode(words)));
            }
            if self.ticket == self.seen {
                return None;
            }
            // What it says fits registers, so that a record need not go through memory because of it.
            match self.stumble() {
                Stumbled::Again => {}
                Stumbled::Nothing => return None,
                Stumbled::Lost(count) => return Some(Received::Lost(self.gap(count))),
            }
        }
    }

    /// Up to `budget` results of [`next`](Self::next), each given to `sink`; how many there were.
    /// Fewer than `budget` means that nothing more can be read now.
    pub fn drain(&mut self, budget: usize, mut sink: impl FnMut(Received<R>)) -> usize {
        for done in 0..budget {
            match self.next() {
                Some(received) => sink(received),
                None => return done,
            }
        }
        budget
    }

    /// Fills `records` from the beginning with the next ones, which lie behind one another; before the
    /// first there may be a gap. Where another gap follows they end. Nothing at all means that nothing
    /// can be read now, or that there is no place in `records`.
    ///
    /// The writers of a ring that rejects find the new room all at once, at the end.
    ///
    /// ```
    /// use bedplate_core::clock::Instant;
    /// use bedplate_core::event::{Event, EventKind, Level};
    /// use bedplate_core::ring::EventRing;
    ///
    /// let mut ring = EventRing::<4>::new();
    /// let (mut writer, mut reader) = ring.split();
    /// let event = |value| Event {
    ///     kind: EventKind::new(Level::Info, 1), time: Instant::from_nanos(0), key: 0, value,
    /// };
    /// (0..6).for_each(|value| writer.push(event(value)));
    ///
    /// let mut records = [event(0); 8];
    /// let batch = reader.read_batch(&mut records);
    /// assert_eq!((batch.lost.map(|lost| lost.count()), batch.records), (Some(2), 4));
    /// assert_eq!(records[..4], [2, 3, 4, 5].map(event));
    /// ```
    pub fn read_batch(&mut self, records: &mut [R]) -> Batch {
        let mut lost = None;
        loop {
            let count = self.copy(records);
            if count > 0 || records.is_empty() || lost.is_some() || self.ticket == self.seen {
                return Batch {
                    lost,
                    records: count,
                };
            }
            match self.stumble() {
                Stumbled::Lost(count) => lost = Some(self.gap(count)),
                Stumbled::Again => {}
                Stumbled::Nothing => return Batch::default(),
            }
        }
    }

    /// How many records are waiting, those included that are still being written, or were overwritten unnoticed.
    #[must_use]
    pub fn waiting(&mut self) -> usize {
        self.seen = self.tail.load();
        self.seen.wrapping_sub(self.ticket)
    }

    /// Whether the reader waits for a record whose push is under way, or was given up: the only thing that keeps
    /// it from what is behind.
    #[must_use]
    pub fn is_held_up(&mut self) -> bool {
        self.seen = self.tail.load();
        self.ticket != self.seen && self.slot().holds(self.ticket) == Holds::Earlier
    }

    /// Gives up the record that the reader waits for, if there is one; it counts as
    /// [`busy`](Stats::busy). For who flushes a ring one of whose writers may have died.
    pub fn skip(&mut self) -> Option<Lost> {
        if !self.is_held_up() {
            return None;
        }
        let count = self.give_up();
        Some(self.gap(count))
    }

    /// Records from here on, as far as they can be read without further ado.
    fn copy(&mut self, records: &mut [R]) -> usize {
        let copying = Copying {
            begin: self.ticket,
            reader: self,
        };
        for place in records.iter_mut() {
            let reader = &mut *copying.reader;
            let Some(words) = reader.ready() else { break };
            reader.ticket = reader.ticket.wrapping_add(1);
            *place = R::decode(words);
        }
        copying.count()
    }

    /// The words of the next ticket's record, if it is there to be read.
    #[inline]
    fn ready(&mut self) -> Option<Words> {
        if self.ticket == self.seen {
            self.seen = self.tail.load();
            if self.ticket == self.seen {
                return None;
            }
        }
        self.slot().read(self.ticket)
    }

    /// What to do about a ticket that was taken, and whose record was not there.
    #[cold]
    fn stumble(&mut self) -> Stumbled {
        let capacity = self.slots.len();
        self.seen = self.tail.load();
        let waiting = self.seen.wrapping_sub(self.ticket);
        if waiting > capacity {
            return Stumbled::Lost(self.lapped(waiting - capacity));
        }
        match self.slot().holds(self.ticket) {
            // It has come by now; if it is gone again when it is read, then because a writer is a lap ahead.
            Holds::It => Stumbled::Again,
            Holds::Earlier if waiting > capacity / 2 => Stumbled::Lost(self.give_up()),
            Holds::Earlier => Stumbled::Nothing,
            Holds::Later => Stumbled::Lost(self.overtaken()),
        }
    }

    /// A writer is, or was, in the next slot with a later ticket. How many records are lost.
    fn overtaken(&mut self) -> usize {
        let seen = core::mem::replace(&mut self.seen, self.tail.load());
        let gap = if seen == self.seen {
            1 // It stands in this one; the rest is intact.
        } else {
            // It runs: stay out of its way.
            let ahead = self.seen.wrapping_sub(self.ticket);
            ahead.saturating_sub(self.slots.len() / 2).max(1)
        };
        self.lapped(gap)
    }

    fn lapped(&mut self, gap: usize) -> usize {
        let passed = self.passed;
        self.pass(&passed.overwritten, gap);
        gap
    }

    /// The next record is not waited for any longer.
    fn give_up(&mut self) -> usize {
        let passed = self.passed;
        self.pass(&passed.busy, 1);
        1
    }

    /// The records that were passed last, as lost.
    const fn gap(&self, count: usize) -> Lost {
        Lost {
            from: self.sequence - count as u64,
            to: self.sequence,
        }
    }

    #[inline]
    fn deliver(&mut self, count: usize) {
        let passed = self.passed;
        self.pass(&passed.delivered, count);
    }

    /// Goes on behind so many tickets, which are counted here.
    #[inline]
    fn pass(&mut self, count: &AtomicUsize, tickets: usize) {
        self.ticket = self.ticket.wrapping_add(tickets);
        self.sequence += tickets as u64;
        // Relaxed: nobody else stores it.
        let sum = count.load(Ordering::Relaxed).wrapping_add(tickets);
        // Release: the words were copied before a writer may use the slot again; pairs with Acquire in
        // `Passed::head` [E3].
        count.store(sum, Ordering::Release);
    }

    #[inline]
    fn slot(&self) -> &'r Slot {
        &self.slots[self.ticket & (self.slots.len() - 1)]
    }
}

/// What became of a reader that did not find its record.
enum Stumbled {
    /// It is there now.
    Again,
    /// Nothing can be read.
    Nothing,
    /// So many are lost, and were passed.
    Lost(usize),
}

/// A reader whose ticket runs ahead of what it has delivered; that is made good at the end, even if a record panics
/// when it is decoded.
struct Copying<'c, 'r, R: Record> {
    reader: &'c mut Reader<'r, R>,
    begin: usize,
}

impl<R: Record> Copying<'_, '_, R> {
    fn count(&self) -> usize {
        self.reader.ticket.wrapping_sub(self.begin)
    }
}

impl<R: Record> Drop for Copying<'_, '_, R> {
    fn drop(&mut self) {
        let count = self.count();
        self.reader.ticket = self.begin;
        if count > 0 {
            self.reader.deliver(count);
        }
    }
}

impl<R: Record> Drop for Reader<'_, R> {
    fn drop(&mut self) {
        give_back(&self.passed.claimed);
    }
}

impl<R: Record> fmt::Debug for Reader<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("capacity", &self.slots.len())
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}
