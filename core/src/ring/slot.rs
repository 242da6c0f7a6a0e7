//! One slot: a stamp and seven words, all atomic, so that reading a slot that is being overwritten
//! is defined behaviour and detected.

use crate::event::{RECORD_WORDS, Words};
use crate::sync::{AtomicUsize, Ordering, array, const_fn, fence};

/// A cache line on a 64-bit host, 32 bytes on a 32-bit target.
#[cfg_attr(target_pointer_width = "64", repr(C, align(64)))]
#[cfg_attr(target_pointer_width = "32", repr(C, align(32)))]
pub(super) struct Slot {
    stamp: AtomicUsize,
    words: [AtomicUsize; RECORD_WORDS],
}

impl Slot {
    const_fn! {
        pub(super) fn new() -> Self {
            Self { stamp: AtomicUsize::new(0), words: array![AtomicUsize::new(0); RECORD_WORDS] }
        }
    }

    /// Writes the record of `ticket`. Only the ring's one writer calls this.
    #[inline]
    pub(super) fn write(&self, ticket: usize, words: Words) {
        // Relaxed: made visible before the payload by the fence that follows.
        self.stamp.store(writing(ticket), Ordering::Relaxed);
        // Release: no payload word before the odd stamp; pairs with fence(Acquire) in `read` [E2].
        fence(Ordering::Release);
        for (to, word) in self.words.iter().zip(words) {
            // Relaxed: published by the tail.
            to.store(word, Ordering::Relaxed);
        }
        // Relaxed: nobody looks for this ticket before the tail counts it [E1].
        self.stamp.store(complete(ticket), Ordering::Relaxed);
    }

    /// The record of `ticket`, or `None` if the slot holds another or is being written. Only called
    /// for a ticket that the tail counts.
    #[inline]
    pub(super) fn read(&self, ticket: usize) -> Option<Words> {
        // Relaxed: the ticket was counted, so its payload, or that of a later one, is visible [E1].
        if self.stamp.load(Ordering::Relaxed) != complete(ticket) {
            return None;
        }
        let mut words = [0; RECORD_WORDS];
        for (word, from) in words.iter_mut().zip(&self.words) {
            // Relaxed: validated by the second look at the stamp.
            *word = from.load(Ordering::Relaxed);
        }
        // Acquire: had a word come from a later ticket, the stamp read next would be that ticket's
        // or later; pairs with fence(Release) in `write` [E2].
        fence(Ordering::Acquire);
        // Relaxed: ordered by the fence.
        (self.stamp.load(Ordering::Relaxed) == complete(ticket)).then_some(words)
    }
}

const fn writing(ticket: usize) -> usize {
    ticket.wrapping_mul(2).wrapping_add(1)
}

const fn complete(ticket: usize) -> usize {
    ticket.wrapping_mul(2).wrapping_add(2)
}
