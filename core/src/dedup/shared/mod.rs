//! The window that threads, cores and interrupts share, of which a suppressed event only reads.
//!
//! # Picture
//! ```text
//!          what everybody reads: a cache line a set         written by those who pass
//!          ┌──────────┬──────────┬──────────┬──────────┐    ┌──────┬───────────────┐
//! set 0    │ key state│ key state│ key state│ key state│    │ door │ mark × 4      │
//!          ├──────────┼──────────┼──────────┼──────────┤    ├──────┼───────────────┤
//!    …     │                                           │    │                      │
//!          └──────────┴──────────┴──────────┴──────────┘    └──────┴───────────────┘
//!          what one source writes: a tally for each, a cell for each place
//! source 0 │ tag count│ tag count│ …
//! ```
//!
//! A place's *state* is the time at which its window opened and what it is: never used, *open*, *closed*, or
//! *taken* by somebody who puts another key there. No two windows of a place open at the same time: a later
//! one opens a nanosecond later, if it must. So a state names one window.
//!
//! # Paths
//! *Suppressed*: find the key, load its state, look at the key again; if the window is open, count in one's
//! own cell.
//!
//! *The window is over, or was closed*: exchange the state for an open one. One of those who try passes; the
//! others find the window open.
//!
//! *The key is nowhere*: take the set's *door* by an exchange that leaves the key in it, look again, take the
//! place that is best to give up (an exchange), write the key, then the state, and open the door. Whoever
//! finds his own key in the door, and it nowhere in the set, knows that its holder passes, and that he is
//! suppressed. Whoever finds another key in the door waits for a moment. If it is still there, because the holder
//! was interrupted or suspended, the event passes without a window: *crowded*, which is counted as a false pass.
//! So does one event of the holder's own key in each window, once the door has been held for a whole one: a holder who
//! was suspended or has died keeps nobody quiet for longer. The set is lost to new keys as long as he does not go on.
//!
//! *Closing*, by `poll`: exchange the state for a closed one. Whoever takes an open state away, by any of the three
//! exchanges, owns what the window suppressed, and makes the summary of it.
//!
//! # Counting
//! A source counts in a cell of its own, which is tagged with the window's state, and sets its bit in the place's
//! mark when it begins one. Who closes a window reads the cells of those that are marked: before it takes the
//! state, and again behind it, since a source that has gone on to the next window of this place has used its
//! cell for that. What is decided in the very moment in which its window closes may come too late for the
//! summary; it is in the counts.
//!
//! # Orderings
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | D1 | `way.key`, Release | its load, Acquire | behind the next key of a place: its last window was taken away and counted |
//! | D2 | `way.state` open, Release | its load, Acquire | the key is that of this window, or a later one |
//! | D3 | the door is opened, Release | it is taken, Acquire | the set as the last holder left it |
//! | D4 | a cell's `tag`, Release | its load, Acquire | the count is of this window |
//! | D5 | fence(Release) after the cell's `tag` was cleared | fence(Acquire) before the second look | a count of the next window is not taken for this one's |
//! | D6 | a place's mark, Release | its load, Acquire | the cells that it tells of are tagged |
//! | D9 | a tally is given back, Release | it is claimed, Acquire | its next source continues the counts |
//! | D10 | a door's `since`, and the door is taken, Release | it is found held, Acquire | since when, about |

mod source;
mod tally;
mod way;

use super::{Cause, Mode, Summary, WAYS, set_of};
use crate::clock::{Instant, saturating_nanos};
use crate::sync::{AtomicU64, DEDUP_PATIENCE, Ordering, array, const_fn};
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;
pub use source::Source;
use tally::{Scale, Tally};
use way::{Door, Found, Set, State};

/// Decides which events pass, for at most four times `SETS` keys at a time (`SETS` is a power of two), shared by any
/// number of contexts; at most `SOURCES` of them at a time count what they suppress.
///
/// One pass for each key and window, exactly, but for the false passes that are counted: see
/// [`SharedCounts`]. Never a false suppression: an event is only suppressed if the same key passed in its window,
/// or passes at the same time; a pass that is suspended half-way counts as passing for a window at most. Times are exact to the nanosecond up to 73 years after the clock's start; from
/// then on, time stands still.
///
/// Memory: 28 bytes a key, and 16 a key for each source; the initial state is all zero but for the window's
/// length and mode.
///
/// # Concurrency
/// A suppressed event is wait-free, reads shared memory and writes only its source's. A passing one is
/// lock-free: up to two exchanges. Both are linearized where the state is loaded that suppresses, or exchanged. `poll` and
/// `flush` may run beside everything, also beside each other; every window is summarised once.
///
/// # From interrupts
/// Yes, from every priority, with a [`Source`] each. Exists where the target has 64-bit atomics; elsewhere there is
/// [`LockedDedupWindow`](super::LockedDedupWindow).
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::dedup::{SharedDedupWindow, key_of, key_with};
/// use core::time::Duration;
///
/// static WINDOW: SharedDedupWindow<256, 4> = SharedDedupWindow::new(Duration::from_secs(1));
/// const OVERHEATED: u64 = key_of("motor.overheated");
///
/// let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
/// let mut source = WINDOW.claim_source().expect("one of four");
/// assert!(source.offer(key_with(OVERHEATED, 3), at(0)).passes());
/// assert!(!source.offer(key_with(OVERHEATED, 3), at(400)).passes());
/// assert!(source.offer(key_with(OVERHEATED, 4), at(400)).passes());
///
/// let mut summaries = Vec::new();
/// let next = WINDOW.poll(at(1_000), |summary| summaries.push(summary));
/// assert_eq!((summaries[0].suppressed, summaries[0].first), (1, at(0)));
/// assert_eq!(next, Some(at(1_400)));
/// ```
pub struct SharedDedupWindow<const SETS: usize, const SOURCES: usize> {
    /// The window's length, in nanoseconds.
    window: u64,
    /// The same where repetitions are suppressed and counted, and nothing else has to be decided; else zero.
    plain: u64,
    mode: Mode,
    scale: Scale,
    sets: [Set; SETS],
    doors: [Door; SETS],
    tallies: [Tally<SETS>; SOURCES],
    rare: Rare,
}

/// What is counted by many, and seldom, on a line of its own.
#[repr(align(64))]
struct Rare {
    evicted: AtomicU64,
    crowded: AtomicU64,
    summarised: AtomicU64,
}

/// What an offer to a shared window was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the verdict says whether the event passes"]
pub enum Verdict {
    /// The event passes and opens a window.
    Pass(Passed),
    /// The event repeats one of this window, and the [`Mode`] lets it pass.
    Repeat {
        /// How many events it stands for, itself included.
        weight: NonZeroU32,
    },
    /// The same key passed in this window; the event was counted.
    Suppress,
}

/// An event that opened a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passed {
    /// When the window begins: `now`, or a nanosecond after the last window of its place began, if that is later.
    pub opened: Instant,
    /// The window that had to be closed for this one, if it had suppressed anything.
    pub closed: Option<Summary>,
}

impl Verdict {
    /// Whether the event passes.
    #[must_use]
    pub const fn passes(&self) -> bool {
        !matches!(self, Self::Suppress)
    }
}

/// What the sources of a [`SharedDedupWindow`] were answered so far: every offer is in `passed` or in
/// `suppressed`.
///
/// Exact when nobody is at work. While somebody is, each number is one that was true at some moment of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedCounts {
    /// Events that passed.
    pub passed: u64,
    /// Events that were suppressed.
    pub suppressed: u64,
    /// Those of them that a summary told of. The others are in windows that are still open, or their window was
    /// opened or closed while they were being decided, or before that by somebody whose clock is ahead.
    pub summarised: u64,
    /// Windows closed early for want of room: at most so many of the passes were false.
    pub evicted: u64,
    /// Events that passed without opening a window, because another key was just being put into their set, or their
    /// own was and that took a whole window: false passes, or passes that could not keep the next from passing.
    pub crowded: u64,
}

impl<const SETS: usize, const SOURCES: usize> SharedDedupWindow<SETS, SOURCES> {
    /// How many keys have room at once.
    pub const CAPACITY: usize = SETS * WAYS;

    const SETS_ARE_VALID: () = assert!(
        SETS.is_power_of_two(),
        "a shared window has a power of two of sets"
    );

    const_fn! {
        /// No window open; each will last for `window`, and say at its end what it suppressed. With a window of
        /// zero everything passes.
        #[must_use]
        pub fn new(window: Duration) -> Self {
            Self::with_mode(window, Mode::Summarise)
        }
    }

    const_fn! {
        /// The same with another answer to repetitions. [`Mode::EveryNth`] counts for each source, and
        /// [`Mode::Sample`] chooses for each source: what decides is in its own memory.
        ///
        /// # Panics
        /// With [`Mode::Bucket`], whose state changes with every pass; at compile time in a constant.
        #[must_use]
        pub fn with_mode(window: Duration, mode: Mode) -> Self {
            () = Self::SETS_ARE_VALID;
            assert!(
                !matches!(mode, Mode::Bucket(_)),
                "a shared window has no buckets: use a `TokenBucket` or a window of one context"
            );
            let window = saturating_nanos(window);
            Self {
                window,
                plain: if matches!(mode, Mode::Summarise) && window <= State::LATEST {
                    window
                } else {
                    0
                },
                mode,
                scale: Scale::of(window),
                sets: array![Set::new(); SETS],
                doors: array![Door::new(); SETS],
                tallies: array![Tally::new(); SOURCES],
                rare: Rare {
                    evicted: AtomicU64::new(0),
                    crowded: AtomicU64::new(0),
                    summarised: AtomicU64::new(0),
                },
            }
        }
    }

    /// The right to offer and to count what is suppressed, for one context; `None` while all are claimed. It is
    /// given back when dropped; its next holder continues the counts.
    pub fn claim_source(&self) -> Option<Source<'_, SETS, SOURCES>> {
        let index = self.tallies.iter().position(Tally::claim)?;
        Some(Source::new(self, &self.tallies[index], index))
    }

    /// Whether the event `key` passes at `now`, for a context without a source: it is suppressed as any other,
    /// and nothing counts it. Whatever the mode, repetitions do not pass.
    #[inline]
    pub fn offer_uncounted(&self, key: u64, now: Instant) -> Verdict {
        let now = clamped(now);
        let set = set_of(key, SETS);
        let window = self.window.min(State::LATEST);
        if self.sets[set].find_open(key, now, window).is_some() {
            return Verdict::Suppress;
        }
        let mut closed = None;
        match self.open(set, key, now, &mut closed) {
            Opening::Opened(at) => passed(at, closed),
            Opening::Found(..) | Opening::Joined => Verdict::Suppress,
        }
    }

    /// Closes the windows that are over at `now` and gives `sink` a summary of each that suppressed something.
    /// Returns when the next window will be over, or `None` if none is open. O(capacity).
    pub fn poll(&self, now: Instant, mut sink: impl FnMut(Summary)) -> Option<Instant> {
        let now = clamped(now);
        let mut next = None;
        for slot in 0..Self::CAPACITY {
            let state = self.way(slot).state();
            if !state.is_open() {
                continue;
            }
            if state.is_over(now, self.window) {
                self.close(slot, state, state.closed(), Cause::Expired)
                    .map(&mut sink);
            } else {
                let deadline = Instant::from_nanos(state.opened().saturating_add(self.window));
                next = super::window::earlier(next, Some(deadline));
            }
        }
        next
    }

    /// Closes every window that is open, over or not, and gives `sink` the summaries: at the end of a program.
    pub fn flush(&self, mut sink: impl FnMut(Summary)) {
        for slot in 0..Self::CAPACITY {
            let state = self.way(slot).state();
            if state.is_open() {
                self.close(slot, state, state.flushed(), Cause::Flushed)
                    .map(&mut sink);
            }
        }
    }

    /// The answers so far. O(capacity · sources).
    #[must_use]
    pub fn counts(&self) -> SharedCounts {
        let mut counts = SharedCounts {
            // Relaxed, all: independent counters; nothing is read through them.
            summarised: self.rare.summarised.load(Ordering::Relaxed),
            evicted: self.rare.evicted.load(Ordering::Relaxed),
            crowded: self.rare.crowded.load(Ordering::Relaxed),
            ..SharedCounts::default()
        };
        for tally in &self.tallies {
            let (passed, suppressed) = tally.totals(self.mode);
            counts.passed += passed;
            counts.suppressed += suppressed;
        }
        counts
    }

    fn way(&self, slot: usize) -> &way::Way {
        &self.sets[slot / WAYS].ways[slot % WAYS]
    }

    /// Opens a window for `key`, unless somebody else has, or is about to.
    #[inline]
    fn open(&self, set: usize, key: u64, now: u64, closed: &mut Option<Summary>) -> Opening {
        let mut patience = DEDUP_PATIENCE;
        loop {
            match self.sets[set].find(key, now, self.window) {
                Found::Open(way, state) => return Opening::Found(set * WAYS + way, state),
                Found::Late => return Opening::Joined,
                Found::Over(way, state) => {
                    let next = state.next(now);
                    let slot = set * WAYS + way;
                    if self.replace(slot, key, state, next, Cause::Expired, closed) {
                        return Opening::Opened(next.opened());
                    }
                }
                Found::Absent => match self.doors[set].take(key, now) {
                    Ok(()) => {
                        let opened = self.install(set, key, now, closed);
                        self.doors[set].open();
                        if let Some(opened) = opened {
                            return Opening::Opened(opened);
                        }
                    }
                    Err(held) if patience == 0 => {
                        let door = &self.doors[set];
                        if held.is_for(key) {
                            if !self.is_absent(set, key, now) || !door.is_still(held) {
                                continue;
                            }
                            // Its holder passes, unless he was suspended for a window, or is dead.
                            if !door.pass_by(now, self.window) {
                                return Opening::Joined;
                            }
                        }
                        // Relaxed: a statistic.
                        self.rare.crowded.fetch_add(1, Ordering::Relaxed);
                        return Opening::Opened(now);
                    }
                    Err(_) => {
                        patience -= 1;
                        core::hint::spin_loop();
                    }
                },
            }
        }
    }

    #[inline(never)]
    fn is_absent(&self, set: usize, key: u64, now: u64) -> bool {
        self.sets[set].find(key, now, self.window) == Found::Absent
    }

    /// Puts `key` into its set, whose door we hold, and says when its window opens; `None` if it has come to be
    /// there.
    #[inline]
    fn install(&self, set: usize, key: u64, now: u64, closed: &mut Option<Summary>) -> Option<u64> {
        if !self.is_absent(set, key, now) {
            return None;
        }
        let (way, seen) = self.sets[set].least_needed();
        let slot = set * WAYS + way;
        let place = self.way(slot);
        let mut left = seen;
        if seen != State::NEVER {
            let displaced = place.key();
            loop {
                let cause = if left.is_open() && !left.is_over(now, self.window) {
                    Cause::Evicted
                } else {
                    Cause::Expired
                };
                if self.replace(slot, displaced, left, left.taken(), cause, closed) {
                    if cause == Cause::Evicted {
                        // Relaxed: a statistic.
                        self.rare.evicted.fetch_add(1, Ordering::Relaxed);
                    }
                    break;
                }
                // Opened again, or closed: it is given up all the same.
                left = place.state();
            }
        }
        let state = left.next(now);
        place.settle(key, state);
        Some(state.opened())
    }

    /// Closes an open window; the summary is ours if nobody was faster.
    fn close(&self, slot: usize, state: State, to: State, cause: Cause) -> Option<Summary> {
        // Behind its state, so of this window or a later one; of this one, if the exchange succeeds.
        let key = self.way(slot).key();
        let mut closed = None;
        self.replace(slot, key, state, to, cause, &mut closed);
        closed
    }

    /// Exchanges the state of a place that has this key; says whether it was the present one. If its window was open, and
    /// something was counted in it, there is a summary.
    #[inline]
    fn replace(
        &self,
        slot: usize,
        key: u64,
        from: State,
        to: State,
        cause: Cause,
        closed: &mut Option<Summary>,
    ) -> bool {
        let door = &self.doors[slot / WAYS];
        let told = from.is_open() && self.mode != Mode::Drop;
        if told && door.marked(slot % WAYS, from) != 0 {
            return self.replace_counted(slot, key, from, to, cause, closed);
        }
        if !self.way(slot).exchange(from, to) {
            return false;
        }
        if told && door.marked(slot % WAYS, from) != 0 {
            // Somebody has begun to count just before.
            *closed = self.summary(slot, key, from, cause, [0; SOURCES]);
        }
        true
    }

    #[cold]
    fn replace_counted(
        &self,
        slot: usize,
        key: u64,
        from: State,
        to: State,
        cause: Cause,
        closed: &mut Option<Summary>,
    ) -> bool {
        let before = self.counted(slot, from, [0; SOURCES]);
        let replaced = self.way(slot).exchange(from, to);
        if replaced {
            *closed = self.summary(slot, key, from, cause, before);
        }
        replaced
    }

    /// What the sources have counted in this window; of those that have gone on to another, what was known before.
    fn counted(&self, slot: usize, state: State, before: [u64; SOURCES]) -> [u64; SOURCES] {
        let marked = self.doors[slot / WAYS].marked(slot % WAYS, state);
        let mut counted = before;
        for (index, (counted, tally)) in counted.iter_mut().zip(&self.tallies).enumerate() {
            if marked & way::bit(index) != 0 {
                *counted = tally.counted(slot, state).unwrap_or(*counted);
            }
        }
        counted
    }

    /// The summary of a window that we have taken away, with what was counted before that.
    #[cold]
    fn summary(
        &self,
        slot: usize,
        key: u64,
        state: State,
        cause: Cause,
        before: [u64; SOURCES],
    ) -> Option<Summary> {
        let (mut suppressed, mut last) = (0, state.opened());
        for counted in self.counted(slot, state, before) {
            suppressed += tally::suppressed(counted, self.mode);
            last = last.max(self.scale.last(state.opened(), counted));
        }
        if suppressed == 0 {
            return None;
        }
        // Relaxed: a statistic.
        self.rare
            .summarised
            .fetch_add(suppressed, Ordering::Relaxed);
        Some(Summary {
            key,
            suppressed,
            first: Instant::from_nanos(state.opened()),
            last: Instant::from_nanos(last),
            slot,
            cause,
        })
    }
}

/// The verdict about an event that opened a window, or passes without.
#[inline]
fn passed(opened: u64, closed: Option<Summary>) -> Verdict {
    let opened = Instant::from_nanos(opened);
    match closed {
        // Written apart, so that nothing that is not there is copied.
        None => Verdict::Pass(Passed {
            opened,
            closed: None,
        }),
        Some(summary) => passed_and_closed(opened, summary),
    }
}

#[cold]
#[inline(never)]
const fn passed_and_closed(opened: Instant, summary: Summary) -> Verdict {
    Verdict::Pass(Passed {
        opened,
        closed: Some(summary),
    })
}

impl<const SETS: usize, const SOURCES: usize> fmt::Debug for SharedDedupWindow<SETS, SOURCES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedDedupWindow")
            .field("capacity", &Self::CAPACITY)
            .field("sources", &SOURCES)
            .field("counts", &self.counts())
            .finish()
    }
}

/// How an offer ends that found no open window.
enum Opening {
    /// It opened one at this time, or passes without.
    Opened(u64),
    /// Somebody else has opened one.
    Found(usize, State),
    /// Somebody else is about to, or has closed it again.
    Joined,
}

/// A time as a state can hold it.
#[inline]
fn clamped(now: Instant) -> u64 {
    now.as_nanos().min(State::LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever died with the door in his hand keeps his key quiet for a window, and not for ever.
    #[test]
    fn who_holds_a_door_for_a_window_is_passed_by() {
        const KEY: u64 = 7;
        let at = Instant::from_nanos;
        let window = SharedDedupWindow::<1, 1>::new(Duration::from_nanos(10));
        let mut source = window.claim_source().expect("the first");
        assert_eq!(window.doors[0].take(KEY, 100), Ok(()));

        assert!(!source.offer(KEY, at(101)).passes());
        assert!(!window.offer_uncounted(KEY, at(109)).passes());
        // A clock that goes back is no window later.
        assert!(!source.offer(KEY, at(3)).passes());
        assert_eq!(window.counts().crowded, 0);

        assert!(source.offer(KEY, at(110)).passes());
        assert!(!source.offer(KEY, at(111)).passes(), "one in each window");
        assert!(!window.offer_uncounted(KEY, at(119)).passes());
        assert!(window.offer_uncounted(KEY, at(120)).passes());
        assert!(source.offer(KEY + 1, at(121)).passes(), "as before");
        assert_eq!(window.counts().crowded, 3);

        // It was only suspended.
        let mut closed = None;
        assert_eq!(window.install(0, KEY, 100, &mut closed), Some(100));
        window.doors[0].open();
        assert!(!source.offer(KEY, at(109)).passes());
        assert!(source.offer(KEY, at(130)).passes());
        assert_eq!(window.counts().crowded, 3);
        assert_eq!(window.counts().suppressed, 4);
    }
}
