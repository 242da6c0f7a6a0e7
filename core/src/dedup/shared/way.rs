//! A set: what everybody reads of it, and its door.

use super::super::WAYS;
use crate::sync::{AtomicU64, Ordering, array, const_fn};

/// The state of a place: when its window opened, and above that one of five kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(u64);

/// Bits below the kind.
const TIME_BITS: u32 = 61;
/// Nothing was ever here.
const NEVER: u64 = 0;
/// The window is open.
const OPEN: u64 = 1;
/// Another key is being put here.
const TAKEN: u64 = 2;
/// The window was closed when it was over.
const CLOSED: u64 = 3;
/// The window was closed before it was over; the greatest of them.
const FLUSHED: u64 = 4;

impl State {
    pub(super) const NEVER: Self = Self::of(0, NEVER);
    /// The latest time that fits.
    pub(super) const LATEST: u64 = u64::MAX >> (u64::BITS - TIME_BITS);

    const fn of(opened: u64, kind: u64) -> Self {
        Self((kind << TIME_BITS) | opened)
    }

    #[inline]
    pub(super) const fn opened(self) -> u64 {
        self.0 & Self::LATEST
    }

    #[inline]
    const fn kind(self) -> u64 {
        self.0 >> TIME_BITS
    }

    #[inline]
    pub(super) const fn is_open(self) -> bool {
        self.kind() == OPEN
    }

    /// Whether a window of this length is over. None is before it begins, and one of length zero is at once.
    #[inline]
    pub(super) const fn is_over(self, now: u64, window: u64) -> bool {
        now.saturating_sub(self.opened()) >= window
    }

    /// The next window of the same place: at `now`, or at the first time at which no window of it opened yet.
    pub(super) const fn next(self, now: u64) -> Self {
        let least = if self.kind() == NEVER {
            0
        } else {
            self.opened() + 1
        };
        let opened = if now > least { now } else { least };
        Self::of(
            if opened > Self::LATEST {
                Self::LATEST
            } else {
                opened
            },
            OPEN,
        )
    }

    /// The same window, closed because it is over.
    pub(super) const fn closed(self) -> Self {
        Self::of(self.opened(), CLOSED)
    }

    /// The same window, closed although it may not be over.
    pub(super) const fn flushed(self) -> Self {
        Self::of(self.opened(), FLUSHED)
    }

    /// The same place, taken for another key.
    pub(super) const fn taken(self) -> Self {
        Self::of(self.opened(), TAKEN)
    }

    /// A word that is no other window's of the same place.
    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }
}

/// A place for a key.
pub(super) struct Way {
    key: AtomicU64,
    state: AtomicU64,
}

impl Way {
    const_fn! {
        fn new() -> Self {
            Self {
                key: AtomicU64::new(0),
                state: AtomicU64::new(0),
            }
        }
    }

    #[inline]
    pub(super) fn state(&self) -> State {
        // Acquire: the key of this window, or of a later one; pairs with Release in `settle` [D2].
        State(self.state.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn key(&self) -> u64 {
        // Acquire: whoever sees the next key is too late for the last one's window; pairs with Release in `settle`
        // [D1].
        self.key.load(Ordering::Acquire)
    }

    /// Exchanges a state of this place; says whether it was the present one.
    #[inline]
    pub(super) fn exchange(&self, from: State, to: State) -> bool {
        // Relaxed, both: what the state was loaded with stays visible through every exchange that follows; the
        // sources' counts have tags of their own.
        self.state
            .compare_exchange(from.0, to.0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// Puts a key into a place that is taken, or that nothing ever was in.
    #[inline]
    pub(super) fn settle(&self, key: u64, state: State) {
        // Release: the window of the last key was taken away, and its counts were read; pairs with Acquire in `key`
        // [D1].
        self.key.store(key, Ordering::Release);
        // Release: behind the state there is no earlier key; pairs with Acquire in `state` [D2].
        self.state.store(state.0, Ordering::Release);
    }
}

/// A set of places, all in one cache line.
#[repr(align(64))]
pub(super) struct Set {
    pub(super) ways: [Way; WAYS],
}

/// Where a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// In this place, and its window is open.
    Open(usize, State),
    /// In this place, and its window is over or was closed.
    Over(usize, State),
    /// Its window was closed by somebody for whom it was over, which it is not for us.
    Late,
    /// Nowhere, or not yet.
    Absent,
}

impl Set {
    const_fn! {
        pub(super) fn new() -> Self {
            Self {
                ways: array![Way::new(); WAYS],
            }
        }
    }

    /// Where `key` is, if its window is open, and how late in it `now` is: what is asked most often, in the fewest
    /// steps. Who is before the window's beginning is told no, as is everybody if the window is longer than
    /// [`State::LATEST`].
    #[inline(always)]
    pub(super) fn find_open(&self, key: u64, now: u64, window: u64) -> Option<(usize, State, u64)> {
        let now = State::of(now, OPEN).0;
        for (index, way) in self.ways.iter().enumerate() {
            if way.key() == key {
                let state = way.state();
                // Of another kind, it is later than any time of this kind, or earlier than any window lasts.
                let late = now.wrapping_sub(state.0);
                // The state may already be that of another key; then the key is seen to have changed.
                if late < window && way.key() == key {
                    return Some((index, state, late));
                }
            }
        }
        None
    }

    /// Where `key` is. It is in one place at most: only the holder of the door puts it anywhere.
    #[inline(always)]
    pub(super) fn find(&self, key: u64, now: u64, window: u64) -> Found {
        for (index, way) in self.ways.iter().enumerate() {
            if way.key() != key {
                continue;
            }
            let state = way.state();
            // The state may already be that of another key; then the key is seen to have changed.
            if way.key() != key {
                continue;
            }
            if state.kind() == OPEN {
                return if state.is_over(now, window) {
                    Found::Over(index, state)
                } else {
                    Found::Open(index, state)
                };
            }
            if state.kind() == CLOSED && !state.is_over(now, window) {
                return Found::Late;
            }
            if state.kind() >= CLOSED {
                return Found::Over(index, state);
            }
        }
        Found::Absent
    }

    /// The place to give up for another key: one that was never used or is closed, else the one opened longest
    /// ago.
    #[inline]
    pub(super) fn least_needed(&self) -> (usize, State) {
        // Nobody can foresee which one it is: chosen without a branch, as the least of numbers that end in the index.
        let mut least = u64::MAX;
        for (index, way) in (0..).zip(&self.ways) {
            let state = way.state();
            let need = (state.opened() + 1) * u64::from(state.is_open());
            least = least.min((need << WAY_BITS) | index);
        }
        #[expect(clippy::cast_possible_truncation, reason = "two bits of it")]
        let index = least as usize % WAYS;
        (index, self.ways[index].state())
    }
}

/// Bits of a place's index in its set.
const WAY_BITS: u32 = WAYS.trailing_zeros();

/// What those who pass write of a set.
pub(super) struct Door {
    /// Who holds it.
    held: AtomicU64,
    /// A time at which it was free, about that since when it is held; or when it was last passed by.
    since: AtomicU64,
    /// For each place: which window the bits are of, and for which sources.
    marks: [AtomicU64; WAYS],
}

/// Whom a door is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held(u64);

/// Nobody holds it.
const FREE: u64 = 0;
/// Every key but one is told from [`FREE`] by these bits, which no key is likely to have.
const PATTERN: u64 = 0x5D9C_7A3B_E18F_4260;
/// Held for that key, or for the one that has this token by itself.
const EITHER: u64 = u64::MAX;

impl Held {
    const fn token(key: u64) -> u64 {
        let token = key ^ PATTERN;
        if token == FREE { EITHER } else { token }
    }

    /// Whether it is held for this key, for certain.
    pub(super) const fn is_for(self, key: u64) -> bool {
        self.0 == Self::token(key) && self.0 != EITHER
    }
}

/// How many bits of a mark say of which window it is; the others are for sources.
const SOURCE_BITS: u32 = 16;

/// The bit of a source. Those that are sixteen apart share one.
#[inline]
pub(super) const fn bit(source: usize) -> u64 {
    1 << (source % SOURCE_BITS as usize)
}

impl Door {
    const_fn! {
        pub(super) fn new() -> Self {
            Self {
                held: AtomicU64::new(FREE),
                since: AtomicU64::new(0),
                marks: array![AtomicU64::new(0); WAYS],
            }
        }
    }

    /// Takes it for a key, or says whom it is held for.
    #[inline]
    pub(super) fn take(&self, key: u64, now: u64) -> Result<(), Held> {
        // Acquire: as on failure below.
        let held = self.held.load(Ordering::Acquire);
        if held != FREE {
            return Err(Held(held));
        }
        // Before it is taken, so that no holder dies without; several may, at about the same time.
        // Relaxed: ordered by the exchange.
        self.since.store(now, Ordering::Relaxed);
        // Acquire: the set as the last holder left it; pairs with Release in `open` [D3]. Release: whoever finds it
        // held finds since when; pairs with Acquire above and below [D10]. Acquire on failure: what is then looked
        // for is looked for behind this.
        self.held
            .compare_exchange(FREE, Held::token(key), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(Held)
    }

    /// Whether somebody who found it held at `now` may pass by, since it has been held for a window: one may in each
    /// window.
    #[cold]
    pub(super) fn pass_by(&self, now: u64, window: u64) -> bool {
        // Relaxed: whoever found it held sees since when, or what somebody stored who had found it free before [D10].
        let since = self.since.load(Ordering::Relaxed);
        now.saturating_sub(since) >= window
            && self
                .since
                // Relaxed, both: one of those who try does it; nothing is read through it.
                .compare_exchange(since, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    #[inline]
    pub(super) fn open(&self) {
        // Release: the set as we leave it; pairs with Acquire in `take` [D3].
        self.held.store(FREE, Ordering::Release);
    }

    /// Whether it is held for the same key still.
    pub(super) fn is_still(&self, held: Held) -> bool {
        // Relaxed: what it is compared with was loaded before.
        self.held.load(Ordering::Relaxed) == held.0
    }

    /// Which sources have begun to count in this window of a place.
    #[inline]
    pub(super) fn marked(&self, way: usize, state: State) -> u64 {
        // Acquire: their cells are tagged; pairs with Release in `mark` [D6].
        let mark = self.marks[way].load(Ordering::Acquire);
        if (mark ^ Self::of(state)) >> SOURCE_BITS == 0 {
            mark & ((1 << SOURCE_BITS) - 1)
        } else {
            0
        }
    }

    /// Says that a source has begun to count in this window, unless that is over.
    pub(super) fn mark(&self, way: usize, state: State, source: usize, place: &Way) {
        let mark = &self.marks[way];
        // Relaxed: the exchange says whether it has changed.
        let mut seen = mark.load(Ordering::Relaxed);
        loop {
            let next = if (seen ^ Self::of(state)) >> SOURCE_BITS == 0 {
                seen | bit(source)
            } else if place.state() == state {
                Self::of(state) | bit(source)
            } else {
                // Somebody has closed it: what we count comes too late, and a later window's mark stays.
                return;
            };
            // Release: our cell is tagged; pairs with Acquire in `marked` [D6]. AcqRel hands on what others
            // have said before. Relaxed on failure: it is tried again.
            match mark.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => seen = changed,
            }
        }
    }

    /// The lower bits of a window's time, in the upper ones of a mark. Another window of the same place with the
    /// same ones, 78 hours later, would only have its cells looked at for nothing.
    const fn of(state: State) -> u64 {
        state.opened() << SOURCE_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_windows_of_a_place_have_the_same_state() {
        let mut state = State::NEVER.next(0);
        assert_eq!(state.opened(), 0);
        for now in [0, 0, 5, 3] {
            let next = state.next(now);
            assert!(next.opened() > state.opened() && next.is_open());
            assert!(!state.closed().is_open() && state.closed().opened() == state.opened());
            assert!(!state.taken().is_open() && state.taken() != state.closed());
            state = next;
        }
        assert_eq!(State::NEVER.next(u64::MAX).opened(), State::LATEST);
    }

    #[test]
    fn a_door_tells_keys_apart_but_for_two() {
        for key in [0, 1, 7, u64::MAX, PATTERN + 1] {
            assert!(Held(Held::token(key)).is_for(key));
            assert_ne!(Held::token(key), FREE);
            assert!(!Held(Held::token(key)).is_for(key ^ 1));
        }
        for key in [PATTERN, !PATTERN] {
            assert!(!Held(Held::token(key)).is_for(key), "not for certain");
            assert_ne!(Held::token(key), FREE);
        }
    }
}
