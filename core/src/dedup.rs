//! Suppressing repetitions: within a window, an event passes once and is counted from then on.
//!
//! A window is fixed: it opens with the event that passes and closes its length later, however
//! often the event repeats in between, so a steady stream shows up once a window and not only at
//! its end. When a window closes over suppressed events, a [`Summary`] says how many there were and
//! when; closing is driven by time ([`DedupWindow::poll`]), not by the next event.
//!
//! ```text
//! offers   A   A A      A  │            A   │
//! decision P   s s      s  │            P   │
//! window   ├───────────────┤            ├───────────────┤
//!                          summary: 3 suppressed
//! ```
//!
//! # Memory
//! `N` entries in sets of four; a key can live in the four places of its set only, so a decision
//! looks at four entries. When all four hold open windows, the one opened longest ago is closed
//! early to make room. That is a *false pass* if its key repeats; it is counted, and its summary is
//! handed out, so no suppressed event ever goes uncounted. The reverse never happens: keys are
//! compared whole, so an event is only suppressed if the same 64-bit key passed in this window.
//! Where a caller makes keys by hashing, two different things get the same key with a probability
//! of at most (open windows) / 2⁶⁴ an offer.

use crate::clock::Instant;
use core::time::Duration;

/// Entries a set has.
const WAYS: usize = 4;

/// Decides, for at most `N` keys at a time, which events pass. `N` is four times a power of two.
///
/// A plain value without atomics: give each context its own, or put it behind a lock. The initial
/// state is all zero but for the window's length.
///
/// # From interrupts
/// Yes, by the handler that owns it. `offer` is O(1), `poll` and `flush` are O(N).
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::dedup::{Decision, DedupWindow};
/// use core::time::Duration;
///
/// let second = |n: u64| Instant::from_nanos(n * 1_000_000_000);
/// let mut window = DedupWindow::<64>::new(Duration::from_secs(10));
///
/// assert!(window.offer(7, second(0)).passes());
/// assert!(!window.offer(7, second(4)).passes());
/// assert!(!window.offer(7, second(9)).passes());
///
/// let mut summaries = Vec::new();
/// let next = window.poll(second(5), |summary| summaries.push(summary));
/// assert_eq!((summaries.len(), next), (0, Some(second(10))));   // look again then
/// window.poll(second(10), |summary| summaries.push(summary));
/// assert_eq!(summaries[0].suppressed, 2);
/// assert_eq!((summaries[0].first, summaries[0].last), (second(0), second(9)));
///
/// assert!(window.offer(7, second(11)).passes());
/// ```
#[derive(Clone, Debug)]
pub struct DedupWindow<const N: usize> {
    window: Duration,
    counts: Counts,
    entries: [Entry; N],
}

/// What an offer was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the decision says whether the event passes"]
pub enum Decision {
    /// The event passes and opens a window.
    Pass {
        /// Where the window lives, below `N`, until it closes: the index for whatever the caller
        /// wants to keep beside it.
        slot: usize,
        /// The window that had to be closed for this one, if it had suppressed anything: an
        /// earlier one of the same key, or another key's, closed early.
        closed: Option<Summary>,
    },
    /// The same key passed in this window; the event was counted.
    Suppress {
        /// Where the window lives.
        slot: usize,
    },
}

impl Decision {
    /// Whether the event passes.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Pass { .. })
    }
}

/// What a closed window suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The key.
    pub key: u64,
    /// How many events were suppressed after the one that passed; at least one.
    pub suppressed: u64,
    /// When the event that passed came.
    pub first: Instant,
    /// When the last suppressed one came.
    pub last: Instant,
    /// Where the window lived.
    pub slot: usize,
    /// Why the window closed.
    pub cause: Cause,
}

/// Why a window closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its time was over.
    Expired,
    /// Its place was needed for another key.
    Evicted,
    /// [`DedupWindow::flush`].
    Flushed,
}

/// What a [`DedupWindow`] has decided so far: every offer is in `passed` or in `suppressed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Events that passed.
    pub passed: u64,
    /// Events that were suppressed.
    pub suppressed: u64,
    /// Windows closed early for want of room: at most so many of the passes were false.
    pub evicted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    opened: Instant,
    last: Instant,
    suppressed: u64,
    open: bool,
}

impl<const N: usize> DedupWindow<N> {
    const CAPACITY_IS_VALID: () = assert!(
        N.is_multiple_of(WAYS) && (N / WAYS).is_power_of_two(),
        "the capacity of a DedupWindow is four times a power of two"
    );

    /// No window open; each will last for `window`. With a window of zero everything passes.
    #[must_use]
    pub const fn new(window: Duration) -> Self {
        () = Self::CAPACITY_IS_VALID;
        Self {
            window,
            counts: Counts {
                passed: 0,
                suppressed: 0,
                evicted: 0,
            },
            entries: [Entry::VACANT; N],
        }
    }

    /// Whether the event `key` passes at `now`.
    ///
    /// A clock that went back counts as standing still: an event earlier than its window's
    /// beginning is inside the window.
    pub fn offer(&mut self, key: u64, now: Instant) -> Decision {
        let base = Self::set_of(key);
        let mut place = base;
        for slot in base..base + WAYS {
            let entry = &mut self.entries[slot];
            if entry.open && entry.key == key {
                if !entry.is_over(self.window, now) {
                    entry.suppressed += 1;
                    entry.last = entry.last.max(now);
                    self.counts.suppressed += 1;
                    return Decision::Suppress { slot };
                }
                place = slot;
                break;
            }
            if self.entries[slot].precedes(&self.entries[place]) {
                place = slot;
            }
        }
        let entry = &mut self.entries[place];
        let cause = if entry.is_over(self.window, now) {
            Cause::Expired
        } else {
            Cause::Evicted
        };
        if entry.open && cause == Cause::Evicted {
            self.counts.evicted += 1;
        }
        let closed = entry.close(place, cause);
        *entry = Entry {
            key,
            opened: now,
            last: now,
            suppressed: 0,
            open: true,
        };
        self.counts.passed += 1;
        Decision::Pass {
            slot: place,
            closed,
        }
    }

    /// Closes the windows that are over at `now` and gives `sink` a summary of each that
    /// suppressed something. Returns when the next window will be over, or `None` if none is open.
    pub fn poll(&mut self, now: Instant, mut sink: impl FnMut(Summary)) -> Option<Instant> {
        let mut next = None;
        for (slot, entry) in self.entries.iter_mut().enumerate() {
            if !entry.open {
                continue;
            }
            if entry.is_over(self.window, now) {
                entry.close(slot, Cause::Expired).map(&mut sink);
            } else {
                let deadline = entry.opened.saturating_add(self.window);
                next = Some(next.map_or(deadline, |next: Instant| next.min(deadline)));
            }
        }
        next
    }

    /// Closes every window, over or not, and gives `sink` the summaries: at the end of a program.
    pub fn flush(&mut self, mut sink: impl FnMut(Summary)) {
        for (slot, entry) in self.entries.iter_mut().enumerate() {
            entry.close(slot, Cause::Flushed).map(&mut sink);
        }
    }

    /// The decisions so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The first entry of the key's set.
    fn set_of(key: u64) -> usize {
        // Fibonacci hashing: the high half of the product depends on every bit of the key, also
        // where callers number their keys consecutively.
        let mixed = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let mixed = mixed as usize;
        (mixed & (N / WAYS - 1)) * WAYS
    }
}

impl Entry {
    const VACANT: Self = Self {
        key: 0,
        opened: Instant::ZERO,
        last: Instant::ZERO,
        suppressed: 0,
        open: false,
    };

    fn is_over(&self, window: Duration, now: Instant) -> bool {
        now >= self.opened.saturating_add(window)
    }

    /// Whether this place is rather to be used than the other's: vacant first, then the oldest.
    fn precedes(&self, other: &Self) -> bool {
        other.open && (!self.open || self.opened < other.opened)
    }

    fn close(&mut self, slot: usize, cause: Cause) -> Option<Summary> {
        let was_open = core::mem::replace(&mut self.open, false);
        (was_open && self.suppressed > 0).then_some(Summary {
            key: self.key,
            suppressed: self.suppressed,
            first: self.opened,
            last: self.last,
            slot,
            cause,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_repetition_after_an_unpolled_window_hands_out_its_summary() {
        let mut window = DedupWindow::<4>::new(Duration::from_secs(1));
        assert!(window.offer(1, at(0)).passes());
        assert!(!window.offer(1, at(0)).passes());
        let Decision::Pass {
            closed: Some(summary),
            ..
        } = window.offer(1, at(5))
        else {
            panic!("the window is over, so the event passes");
        };
        assert_eq!((summary.suppressed, summary.cause), (1, Cause::Expired));
        assert_eq!(window.counts().evicted, 0);
    }

    #[test]
    fn the_oldest_window_gives_way_and_is_counted() {
        let mut window = DedupWindow::<4>::new(Duration::from_secs(100));
        for key in 0..4 {
            assert!(window.offer(key, at(key)).passes());
            assert!(!window.offer(key, at(key)).passes());
        }
        let Decision::Pass {
            closed: Some(summary),
            slot,
        } = window.offer(9, at(5))
        else {
            panic!("a new key passes");
        };
        assert_eq!(
            (summary.key, summary.cause, summary.slot),
            (0, Cause::Evicted, slot)
        );
        assert_eq!(
            window.counts(),
            Counts {
                passed: 5,
                suppressed: 4,
                evicted: 1
            }
        );
    }

    #[test]
    fn an_expired_window_gives_way_before_an_open_one_without_being_an_eviction() {
        let mut window = DedupWindow::<4>::new(Duration::from_secs(10));
        for (key, time) in [(1, 0), (2, 8), (3, 8), (4, 8)] {
            assert!(window.offer(key, at(time)).passes());
        }
        assert!(window.offer(5, at(11)).passes());
        assert_eq!(window.counts().evicted, 0);
        assert!(!window.offer(2, at(11)).passes());
    }

    #[test]
    fn a_zero_window_suppresses_nothing() {
        let mut window = DedupWindow::<4>::new(Duration::ZERO);
        assert!((0..9).all(|_| window.offer(3, at(1)).passes()));
        assert_eq!(window.counts().evicted, 0);
    }

    #[test]
    fn a_window_of_any_length_never_closes_by_overflow() {
        let mut window = DedupWindow::<4>::new(Duration::MAX);
        assert!(window.offer(3, at(1)).passes());
        assert!(!window.offer(3, Instant::from_nanos(u64::MAX - 1)).passes());
    }

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let mut window = DedupWindow::<4>::new(Duration::from_secs(1));
        assert!(window.offer(3, at(10)).passes());
        assert!(!window.offer(3, at(2)).passes());
        let mut summaries = Vec::new();
        window.flush(|summary| summaries.push(summary));
        assert_eq!((summaries[0].first, summaries[0].last), (at(10), at(10)));
        assert_eq!(summaries[0].cause, Cause::Flushed);
    }
}
