//! The window of one context: a pure state machine.

use super::mode::{Bucket, next_random, one_in};
use super::{Cause, Mode, Summary, WAYS, set_of};
use crate::clock::Instant;
use core::num::NonZeroU32;
use core::time::Duration;

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
    mode: Mode,
    /// The state of the random numbers of [`Mode::Sample`].
    random: u64,
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
    /// The event repeats one of this window, and the [`Mode`] lets it pass.
    Repeat {
        /// Where the window lives.
        slot: usize,
        /// How many events it stands for, itself included.
        weight: NonZeroU32,
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
        !matches!(self, Self::Suppress { .. })
    }
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
    /// When the window is over; a bucket that is used puts it off.
    ends: Instant,
    last: Instant,
    suppressed: u64,
    /// Repetitions, those that passed included.
    repeated: u64,
    open: bool,
}

impl<const N: usize> DedupWindow<N> {
    const CAPACITY_IS_VALID: () = assert!(
        N.is_multiple_of(WAYS) && (N / WAYS).is_power_of_two(),
        "the capacity of a DedupWindow is four times a power of two"
    );

    /// No window open; each will last for `window`, and say at its end what it suppressed. With a window of
    /// zero everything passes.
    #[must_use]
    pub const fn new(window: Duration) -> Self {
        Self::with_mode(window, Mode::Summarise)
    }

    /// The same with another answer to repetitions.
    #[must_use]
    pub const fn with_mode(window: Duration, mode: Mode) -> Self {
        () = Self::CAPACITY_IS_VALID;
        Self {
            window,
            mode,
            random: 0,
            counts: Counts {
                passed: 0,
                suppressed: 0,
                evicted: 0,
            },
            entries: [Entry::VACANT; N],
        }
    }

    /// Begins the random numbers of [`Mode::Sample`] here: the same seed, the same choices.
    #[must_use]
    pub const fn seeded(mut self, seed: u64) -> Self {
        self.random = seed;
        self
    }

    /// Whether the event `key` passes at `now`.
    ///
    /// A clock that went back counts as standing still: an event earlier than its window's
    /// beginning is inside the window.
    pub fn offer(&mut self, key: u64, now: Instant) -> Decision {
        let base = set_of(key, N / WAYS) * WAYS;
        let set = &self.entries[base..base + WAYS];
        // A repetition is what matters to be quick, so only that is looked for first.
        let known = set.iter().position(|entry| entry.key == key && entry.open);
        let place = match known {
            Some(way) if now < set[way].ends => return self.repeat(base + way, now),
            Some(way) => base + way,
            None => base + oldest(set),
        };
        let closed = self.close(place, now);
        self.entries[place] = Entry {
            key,
            opened: now,
            ends: now.saturating_add(self.window),
            last: now,
            suppressed: 0,
            repeated: 0,
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
        for slot in 0..N {
            let (summary, deadline) = self.poll_at(slot, now);
            summary.map(&mut sink);
            next = earlier(next, deadline);
        }
        next
    }

    /// Closes every window, over or not, and gives `sink` the summaries: at the end of a program.
    pub fn flush(&mut self, mut sink: impl FnMut(Summary)) {
        for slot in 0..N {
            self.flush_at(slot).map(&mut sink);
        }
    }

    /// The decisions so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// [`poll`](Self::poll) for one place.
    pub(super) fn poll_at(
        &mut self,
        slot: usize,
        now: Instant,
    ) -> (Option<Summary>, Option<Instant>) {
        let entry = &mut self.entries[slot];
        if !entry.open {
            (None, None)
        } else if now >= entry.ends {
            (entry.close(slot, Cause::Expired, self.mode), None)
        } else {
            (None, Some(entry.ends))
        }
    }

    /// [`flush`](Self::flush) for one place.
    pub(super) fn flush_at(&mut self, slot: usize) -> Option<Summary> {
        self.entries[slot].close(slot, Cause::Flushed, self.mode)
    }

    /// An event whose window is open.
    fn repeat(&mut self, slot: usize, now: Instant) -> Decision {
        let entry = &mut self.entries[slot];
        entry.repeated += 1;
        let weight = match self.mode {
            Mode::Summarise | Mode::Drop => None,
            Mode::EveryNth(n) => entry
                .repeated
                .is_multiple_of(u64::from(n.get()))
                .then_some(n),
            Mode::Sample(n) => one_in(n, next_random(&mut self.random)).then_some(n),
            Mode::Bucket(holds) => {
                let bucket = Bucket::new(self.window, holds);
                let full_at = entry.ends.as_nanos();
                (!bucket.refuses(full_at, now)).then(|| {
                    entry.ends = Instant::from_nanos(bucket.after_one(full_at, now));
                    NonZeroU32::MIN
                })
            }
        };
        if let Some(weight) = weight {
            self.counts.passed += 1;
            return Decision::Repeat { slot, weight };
        }
        entry.suppressed += 1;
        entry.last = entry.last.max(now);
        self.counts.suppressed += 1;
        Decision::Suppress { slot }
    }

    /// Makes room in a place for an event at `now`.
    fn close(&mut self, slot: usize, now: Instant) -> Option<Summary> {
        let entry = &mut self.entries[slot];
        let cause = if now >= entry.ends {
            Cause::Expired
        } else {
            Cause::Evicted
        };
        if entry.open && cause == Cause::Evicted {
            self.counts.evicted += 1;
        }
        entry.close(slot, cause, self.mode)
    }
}

/// Which place of a set is to be used for a new key: a vacant one, or else the oldest.
fn oldest(set: &[Entry]) -> usize {
    let mut oldest = 0;
    for (way, entry) in set.iter().enumerate() {
        if entry.precedes(&set[oldest]) {
            oldest = way;
        }
    }
    oldest
}

/// The earlier of two deadlines, where there are any.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Entry {
    const VACANT: Self = Self {
        key: 0,
        opened: Instant::ZERO,
        ends: Instant::ZERO,
        last: Instant::ZERO,
        suppressed: 0,
        repeated: 0,
        open: false,
    };

    /// Whether this place is rather to be used than the other's: vacant first, then the oldest.
    fn precedes(&self, other: &Self) -> bool {
        other.open && (!self.open || self.opened < other.opened)
    }

    fn close(&mut self, slot: usize, cause: Cause, mode: Mode) -> Option<Summary> {
        let was_open = core::mem::replace(&mut self.open, false);
        (was_open && self.suppressed > 0 && mode != Mode::Drop).then_some(Summary {
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

    fn n(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).expect("not zero")
    }

    #[test]
    fn what_is_dropped_is_counted_and_not_summarised() {
        let mut window = DedupWindow::<4>::with_mode(Duration::from_secs(1), Mode::Drop);
        assert!(window.offer(3, at(0)).passes());
        assert!(!window.offer(3, at(0)).passes());
        window.poll(at(1), |_| panic!("nothing is said"));
        assert_eq!(window.counts().suppressed, 1);
    }

    #[test]
    fn every_nth_repetition_passes_with_its_weight() {
        let mut window = DedupWindow::<4>::with_mode(Duration::from_secs(1), Mode::EveryNth(n(3)));
        assert!(matches!(window.offer(3, at(0)), Decision::Pass { .. }));
        let weights: Vec<_> = (0..7)
            .map(|_| match window.offer(3, at(0)) {
                Decision::Repeat { weight, .. } => weight.get(),
                _ => 0,
            })
            .collect();
        assert_eq!(weights, [0, 0, 3, 0, 0, 3, 0]);
        let mut suppressed = 0;
        window.poll(at(1), |summary| suppressed = summary.suppressed);
        assert_eq!((suppressed, window.counts().passed), (5, 3));
    }

    #[test]
    fn a_sample_is_seeded_and_carries_its_weight() {
        let sample = |seed| {
            let mut window =
                DedupWindow::<4>::with_mode(Duration::from_secs(1), Mode::Sample(n(10)))
                    .seeded(seed);
            let weights: u64 = (0..10_001)
                .map(|_| match window.offer(3, at(0)) {
                    Decision::Pass { .. } => 1,
                    Decision::Repeat { weight, .. } => u64::from(weight.get()),
                    Decision::Suppress { .. } => 0,
                })
                .sum();
            let counts = window.counts();
            assert_eq!(counts.passed + counts.suppressed, 10_001);
            weights
        };
        assert_eq!(sample(1), sample(1), "the same seed, the same choices");
        for seed in 0..20 {
            assert!(
                sample(seed).abs_diff(10_001) < 1_300,
                "what passes stands for all"
            );
        }
    }

    #[test]
    fn a_bucket_lets_several_pass_and_closes_when_it_is_full_again() {
        let mut window = DedupWindow::<4>::with_mode(Duration::from_secs(10), Mode::Bucket(n(2)));
        let passed: Vec<bool> = (0..3).map(|_| window.offer(3, at(0)).passes()).collect();
        assert_eq!(passed, [true, true, false]);
        assert!(!window.offer(3, at(9)).passes() && window.offer(3, at(10)).passes());
        assert_eq!(window.poll(at(29), |_| panic!("not full")), Some(at(30)));
        let mut summaries = Vec::new();
        assert_eq!(window.poll(at(30), |summary| summaries.push(summary)), None);
        assert_eq!((summaries[0].suppressed, summaries[0].last), (2, at(9)));
        assert!(matches!(window.offer(3, at(30)), Decision::Pass { .. }));
    }
}
