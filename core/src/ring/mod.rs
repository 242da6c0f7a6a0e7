//! Event rings: bounded memory for records, without an allocator, usable from interrupts and in a
//! `static`, and exact about what was lost.
//!
//! | ring | who pushes | how |
//! |---|---|---|
//! | [`EventRing`] | one writer | wait-free, loads and stores only |
//! | [`NestedRing`] | a thread and the interrupts upon it, on one core | lock-free, loads and stores only |
//! | [`SharedRing`] | anybody | wait-free to overwrite, by read-modify-writes |
//!
//! All have the same slots, the same [`Reader`] and the same three policies, [`Overwrite`], [`Reject`] and
//! [`RejectBelow`]. The first choice is a ring of one writer for every context (thread, interrupt
//! priority): it costs about as much as copying the record.
//!
//! # What they will not do
//! They never block, never wait for a writer that was suspended or has died in the middle of a push, and
//! never hide a loss.
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
//! The *head* is the sum of three words that the reader stores: records delivered, overwritten, and given
//! up as busy. Nothing leaves the ring without being in one of them.
//!
//! # Paths
//! *Push, one writer*: stamp := 2t+1, fence, payload, stamp := 2t+2, tail := t+1. A writer that
//! is suspended, or dies, anywhere in between leaves one unreadable slot, for a record that was not
//! pushed.
//!
//! *Push, several writers*: first the ticket is taken, `tail := t+1`; by an atomic addition, or, nested, by
//! the loads and stores that `nested.rs` tells of. Then the slot, if its stamp is even and older than
//! 2t+1: stamp := 2t+1; by an exchange, or, nested, by a store. Then as above, but the last store is
//! stamp := 2t+2. If the slot cannot be taken, then because a writer was suspended in it for a lap, or
//! this one was, and a later record is there: the record is given back, and its ticket is never written.
//!
//! *Push that may not overwrite*: if tail − head ≥ N, the record is given back and counted, and there is no
//! ticket. So that several writers take the last place only once, they look in the same step in which they
//! take the ticket.
//!
//! *Read*: if tail = head, there is nothing. Else copy the slot's words between two looks at its stamp; if
//! both are 2·head+2, that was the record. If not, look where the tail is. If tail − head > N, the tickets up
//! to tail − N are gone: report them and go on from there. If the stamp is later, a writer was in the
//! slot: report the loss and go on behind it. A reader that lost a race with a running writer restarts half
//! a ring behind it, since the slot after the one it lost is the next to be overwritten. If the stamp is
//! earlier, which only happens with several writers, the record is still being written, or never comes:
//! there is nothing now, but once tail − head > N/2 report the loss, as busy.
//!
//! # What if a writer never goes on
//! ```text
//! ticket     20          21          22                 28
//!          ┌──────────┐┌──────────┐┌──────────┐       ┌──────────┐
//! slot     │ 4 odd 20 ││ 5    21  ││ 6    22  │  …    │ 4 odd 20 │   N = 8
//!          └──────────┘└──────────┘└──────────┘       └──────────┘
//!            suspended    complete    complete          its record is given back
//! ```
//! The reader stands before ticket 20 until ticket 24 is taken, counts it as busy, and delivers 21 and what
//! follows. Ticket 28 finds its slot held, so its record goes back to who pushed it, and the reader counts it
//! in the same way. All others pass by. If the writer goes on after all, it completes a record that was
//! counted as busy; the next lap takes the slot.
//!
//! # Who may touch what
//! | word | writers | reader | others |
//! |---|---|---|---|
//! | `slot.stamp`, `slot.words` | whoever holds the slot stores | loads | – |
//! | `tail`, `rejected` | change | loads | load, for statistics |
//! | `delivered`, `overwritten`, `busy` | load, if they may not overwrite | stores | load, for statistics |
//!
//! # Orderings
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | E1 | one writer: `tail := t+1` Release | load of `tail`, Acquire | the payload of `t` is visible, or that of a later ticket |
//! | E2 | fence(Release) after `stamp := 2t+1` | fence(Acquire) before the second look | a word of a later ticket cannot be read under an unchanged stamp |
//! | E3 | the counts, Release | the counts, Acquire, before a push that may not overwrite | the words were copied before they are overwritten |
//! | E4 | claim given back, Release | claim taken, Acquire | the next writer or reader continues the last one's counts |
//! | E5 | several writers: `stamp := 2t+2` Release | first look, Acquire; taking the slot, Acquire | the payload of `t` is visible; and none of it comes after that of who has the slot next |
//!
//! With one writer the even stamp needs no ordering of its own: a reader looks at a slot only once the tail
//! counts its ticket (E1), and from then on the stamp can only tell it that the slot has moved on. With several
//! the tail needs none: it says which tickets there are, and the stamps what can be read.
//!
//! # Limits
//! Tickets are machine words and wrap. A reader must look at least once in 2³⁰ pushes on a 32-bit
//! target, or losses are counted wrongly, and a push must not be suspended for longer than that; on a 64-bit
//! target neither can be late enough.
//!
//! Literature: H.-J. Boehm, *Can seqlocks get along with programming language memory models?*
//! (MSPC 2012), for the two fences; the ticket stamps are those of D. Vyukov's bounded queue. That a nested
//! writer sees all of the one it interrupts or nothing is what S. Rostedt's ring buffer for Linux builds on.

mod nested;
mod policy;
mod reader;
#[cfg(target_has_atomic = "ptr")]
mod shared;
mod single;
mod slot;

use crate::sync::{AtomicBool, Ordering};
use core::fmt;

pub use nested::NestedRing;
pub use policy::{Overwrite, Policy, Reject, RejectBelow};
pub use reader::{Batch, Lost, Reader, Received};
#[cfg(target_has_atomic = "ptr")]
pub use shared::SharedRing;
pub use single::{EventRing, Writer};

/// Refuses a capacity that is no power of two, when a ring is compiled.
struct Capacity<const N: usize>;

impl<const N: usize> Capacity<N> {
    const IS_VALID: () = assert!(
        N.is_power_of_two() && N >= 2,
        "a ring's capacity is a power of two, at least 2"
    );
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

/// A push into a ring of several writers was refused; here is the record again.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused<R> {
    /// The ring was full. Counted as [`rejected`](Stats::rejected).
    Full(R),
    /// The place it was to have is held by a push that has been suspended for a lap, or was given to a
    /// later one while this push was suspended. The reader will count it, as [`busy`](Stats::busy) or as
    /// [`overwritten`](Stats::overwritten).
    Busy(R),
    /// More pushes were interrupted at once than a [`NestedRing`] allows for. Not counted at all.
    TooDeep(R),
}

impl<R> Refused<R> {
    /// The record.
    pub fn into_record(self) -> R {
        match self {
            Self::Full(record) | Self::Busy(record) | Self::TooDeep(record) => record,
        }
    }
}

impl<R> fmt::Debug for Refused<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Busy(_) => "Busy(..)",
            Self::TooDeep(_) => "TooDeep(..)",
        })
    }
}

impl<R> fmt::Display for Refused<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the event ring is full",
            Self::Busy(_) => "a push that is suspended holds the place in the event ring",
            Self::TooDeep(_) => "too many pushes into the event ring are interrupted",
        })
    }
}

impl<R> core::error::Error for Refused<R> {}

/// What became of the records pushed into a ring: at rest,
/// `pushed = delivered + overwritten + rejected + busy + waiting`. Machine words; they wrap.
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
    /// Records that never came, as far as the reader has noticed: their push was given back as
    /// [`Refused::Busy`], or was suspended for longer than the reader waits. Zero in a ring of one
    /// writer.
    pub busy: usize,
    /// Pushed, and neither delivered nor noticed as lost.
    pub waiting: usize,
}

/// How far a push has come that is interrupted, for tests.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has seen which ticket is next, and begins anew if another push takes that now.
    Looked,
    /// If no other did so, the ticket is its own.
    Taking,
    /// It has its ticket, and others see it.
    Taken,
    /// It has seen that the slot is free.
    Claimed,
    /// It holds the slot.
    Held,
    /// It is refused.
    Refused,
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
