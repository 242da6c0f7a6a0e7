//! One slot: a stamp and seven words, all atomic, so that reading a slot that is being overwritten
//! is defined behaviour and detected.

use crate::event::{RECORD_WORDS, Words};
use crate::sync::{AtomicUsize, Ordering, array, const_fn, each_word, fence};

/// A cache line on a 64-bit host, 32 bytes on a 32-bit target.
#[cfg_attr(target_pointer_width = "64", repr(C, align(64)))]
#[cfg_attr(target_pointer_width = "32", repr(C, align(32)))]
pub(super) struct Slot {
    stamp: AtomicUsize,
    words: [AtomicUsize; RECORD_WORDS],
}

/// What a slot holds, as seen by who is concerned with one ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// An earlier record, or this one, half written.
    Earlier,
    /// The record of the ticket.
    It,
    /// A later record, whole or half.
    Later,
}

impl Slot {
    const_fn! {
        pub(super) fn new() -> Self {
            Self { stamp: AtomicUsize::new(0), words: array![AtomicUsize::new(0); RECORD_WORDS] }
        }
    }

    /// Makes this the slot of a ring whose first ticket is `ticket`: whatever is to come is later than
    /// what it holds.
    pub(super) fn begin_at(&self, ticket: usize) {
        // Relaxed: nobody shares the ring yet.
        self.stamp
            .store(complete(ticket.wrapping_sub(1)), Ordering::Relaxed);
    }

    /// Takes the slot for `ticket`, where all who might hold it have been interrupted by the caller, or
    /// have not begun. `false` if one holds it, or has put a later record there.
    #[inline]
    pub(super) fn take_nested(&self, ticket: usize, mut interrupt: impl FnMut()) -> bool {
        // Relaxed: whoever stored it did so on this core, before.
        if !is_free(self.stamp.load(Ordering::Relaxed), ticket) {
            return false;
        }
        interrupt();
        // Relaxed: made visible before the payload by the fence in `fill`.
        self.stamp.store(writing(ticket), Ordering::Relaxed);
        true
    }

    /// Takes the slot for `ticket`. `false` if another writer holds it, was quicker, or has put a later
    /// record there.
    #[cfg(target_has_atomic = "ptr")]
    #[inline]
    pub(super) fn take_shared(&self, ticket: usize) -> bool {
        // Relaxed: the exchange looks again.
        let stamp = self.stamp.load(Ordering::Relaxed);
        // Acquire: the payload of who had it last is behind us, so that none of it comes after ours;
        // pairs with Release in `fill` [E5]. Relaxed on failure: nothing is read.
        is_free(stamp, ticket)
            && self
                .stamp
                .compare_exchange(stamp, writing(ticket), Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Writes the record of `ticket`, for which the slot was taken.
    #[inline]
    pub(super) fn fill(&self, ticket: usize, words: Words, mut interrupt: impl FnMut()) {
        // Release: no payload word before the odd stamp; pairs with fence(Acquire) in `read` [E2].
        fence(Ordering::Release);
        each_word!(|at| {
            interrupt();
            // Relaxed: published by the even stamp.
            self.words[at].store(words[at], Ordering::Relaxed);
        });
        interrupt();
        // Release: the payload is there; pairs with Acquire in `read` and `take_shared` [E5].
        self.stamp.store(complete(ticket), Ordering::Release);
    }

    /// Writes the record of `ticket`. Only the one writer of a ring calls this, which counts the ticket
    /// afterwards.
    #[inline]
    pub(super) fn write(&self, ticket: usize, words: Words) {
        // Relaxed: made visible before the payload by the fence that follows.
        self.stamp.store(writing(ticket), Ordering::Relaxed);
        // Release: no payload word before the odd stamp; pairs with fence(Acquire) in `read` [E2].
        fence(Ordering::Release);
        each_word!(|at| {
            // Relaxed: published by the tail.
            self.words[at].store(words[at], Ordering::Relaxed);
        });
        // Relaxed: nobody looks for this ticket before the tail counts it [E1].
        self.stamp.store(complete(ticket), Ordering::Relaxed);
    }

    /// The record of `ticket`, if the slot holds it and went on holding it.
    #[inline]
    pub(super) fn read(&self, ticket: usize) -> Option<Words> {
        // Acquire: the payload is visible, or that of a later ticket; pairs with Release in `fill` [E5].
        // Where there is one writer the tail has shown it [E1].
        if self.stamp.load(Ordering::Acquire) != complete(ticket) {
            return None;
        }
        let mut words = [0; RECORD_WORDS];
        each_word!(|at| {
            // Relaxed: validated by the second look at the stamp.
            words[at] = self.words[at].load(Ordering::Relaxed);
        });
        // Acquire: had a word come from a later ticket, the stamp read next would be that ticket's
        // or later; pairs with fence(Release) in `write` and `fill` [E2].
        fence(Ordering::Acquire);
        // Relaxed: ordered by the fence.
        (self.stamp.load(Ordering::Relaxed) == complete(ticket)).then_some(words)
    }

    /// What the slot holds just now.
    pub(super) fn holds(&self, ticket: usize) -> Holds {
        // Relaxed: it decides what to count; `read` looks again.
        let stamp = self.stamp.load(Ordering::Relaxed);
        match stamp.wrapping_sub(complete(ticket)).cast_signed() {
            ..0 => Holds::Earlier,
            0 => Holds::It,
            1.. => Holds::Later,
        }
    }
}

const fn writing(ticket: usize) -> usize {
    ticket.wrapping_mul(2).wrapping_add(1)
}

const fn complete(ticket: usize) -> usize {
    ticket.wrapping_mul(2).wrapping_add(2)
}

/// Whether a slot with this stamp holds a complete record, or none, that is older than `ticket`.
const fn is_free(stamp: usize, ticket: usize) -> bool {
    stamp.is_multiple_of(2) && stamp.wrapping_sub(writing(ticket)).cast_signed() < 0
}
