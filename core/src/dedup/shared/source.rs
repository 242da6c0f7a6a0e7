//! A context that offers, and counts in memory of its own.

use super::super::mode::{next_random, one_in};
use super::super::{Mode, WAYS, set_of};
use super::tally::Tally;
use super::way::State;
use super::{Opening, SharedDedupWindow, Verdict, clamped, passed};
use crate::clock::Instant;
use core::fmt;

/// The right of one context to offer to a shared window and count what is suppressed.
///
/// It may be sent to another thread, and lives as long as a borrow of the window: for ever, of a `static`.
pub struct Source<'w, const SETS: usize, const SOURCES: usize> {
    window: &'w SharedDedupWindow<SETS, SOURCES>,
    tally: &'w Tally<SETS>,
    index: usize,
    /// The state of the random numbers of [`Mode::Sample`].
    random: u64,
}

impl<'w, const SETS: usize, const SOURCES: usize> Source<'w, SETS, SOURCES> {
    pub(super) const fn new(
        window: &'w SharedDedupWindow<SETS, SOURCES>,
        tally: &'w Tally<SETS>,
        index: usize,
    ) -> Self {
        Self {
            window,
            tally,
            index,
            random: index as u64,
        }
    }

    /// Begins the random numbers of [`Mode::Sample`] here; otherwise they begin at the source's index.
    #[must_use]
    pub const fn seeded(mut self, seed: u64) -> Self {
        self.random = seed;
        self
    }

    /// Whether the event `key` passes at `now`.
    ///
    /// A clock that goes back, or another context's that is behind, stands still: an event earlier than its
    /// window's beginning is inside the window.
    #[inline]
    pub fn offer(&mut self, key: u64, now: Instant) -> Verdict {
        let now = clamped(now);
        let set = set_of(key, SETS);
        let window = self.window;
        if let Some((way, state, late)) = window.sets[set].find_open(key, now, window.plain)
            && self
                .tally
                .count(set * WAYS + way, state, window.scale.late(late))
                .is_some()
        {
            return Verdict::Suppress;
        }
        self.offer_at_length(set, key, now)
    }

    /// An event that opens a window, or is the first that this source suppresses in one, or that may pass although
    /// it repeats another.
    #[inline(never)]
    fn offer_at_length(&mut self, set: usize, key: u64, now: u64) -> Verdict {
        let mut closed = None;
        match self.window.open(set, key, now, &mut closed) {
            Opening::Opened(at) => {
                self.tally.pass();
                passed(at, closed)
            }
            Opening::Found(slot, state) => self.repeat(slot, state, now),
            Opening::Joined => {
                self.tally.suppress();
                Verdict::Suppress
            }
        }
    }

    /// An event whose window is open.
    fn repeat(&mut self, slot: usize, state: State, now: u64) -> Verdict {
        let weight = match self.window.mode {
            Mode::EveryNth(n) => {
                let many = self.count(slot, state, now);
                many.is_multiple_of(u64::from(n.get())).then_some(n)
            }
            Mode::Sample(n) if one_in(n, next_random(&mut self.random)) => Some(n),
            _ => {
                self.count(slot, state, now);
                None
            }
        };
        match weight {
            Some(weight) => {
                self.tally.pass();
                Verdict::Repeat { weight }
            }
            None => Verdict::Suppress,
        }
    }

    /// Counts an event of an open window; returns how many that are.
    fn count(&self, slot: usize, state: State, now: u64) -> u64 {
        let late = now.saturating_sub(state.opened());
        let late = self.window.scale.late(late);
        self.tally.count(slot, state, late).unwrap_or_else(|| {
            self.tally.begin(slot, state, late, self.window.mode);
            let door = &self.window.doors[slot / WAYS];
            door.mark(slot % WAYS, state, self.index, self.window.way(slot));
            1
        })
    }
}

impl<const SETS: usize, const SOURCES: usize> Drop for Source<'_, SETS, SOURCES> {
    fn drop(&mut self) {
        self.tally.give_back();
    }
}

impl<const SETS: usize, const SOURCES: usize> fmt::Debug for Source<'_, SETS, SOURCES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
