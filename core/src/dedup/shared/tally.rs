//! What one source counts: nobody else writes here.

use super::super::{Mode, WAYS};
use super::way::{Door, State, Way};
use crate::sync::{AtomicBool, AtomicU64, Ordering, array, const_fn, fence};

/// Bits of a count that say when the last event came; the others say how many there were.
const LATE_BITS: u32 = 24;
const LATE: u64 = (1 << LATE_BITS) - 1;
/// The most that a cell counts.
const MOST: u64 = u64::MAX >> LATE_BITS;

/// The counts of one source.
#[repr(align(64))]
pub(super) struct Tally<const SETS: usize> {
    claimed: AtomicBool,
    passed: AtomicU64,
    suppressed: AtomicU64,
    cells: [[Cell; WAYS]; SETS],
}

/// What was counted in one window of a place.
struct Cell {
    /// The window's state; zero while the cell is being changed.
    tag: AtomicU64,
    /// How many, and how late the last one came.
    counted: AtomicU64,
}

impl Cell {
    const_fn! {
        fn new() -> Self {
            Self {
                tag: AtomicU64::new(0),
                counted: AtomicU64::new(0),
            }
        }
    }
}

impl<const SETS: usize> Tally<SETS> {
    const_fn! {
        pub(super) fn new() -> Self {
            Self {
                claimed: AtomicBool::new(false),
                passed: AtomicU64::new(0),
                suppressed: AtomicU64::new(0),
                cells: array![array![Cell::new(); WAYS]; SETS],
            }
        }
    }

    /// Whether it was free, and now is ours.
    pub(super) fn claim(&self) -> bool {
        // Acquire: continue the counts of the last source; pairs with Release in `give_back` [D9]. Relaxed on
        // failure: nothing is read.
        self.claimed
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    pub(super) fn give_back(&self) {
        // Release: hand on the counts; pairs with Acquire in `claim` [D9].
        self.claimed.store(false, Ordering::Release);
    }

    #[inline]
    pub(super) fn pass(&self) {
        add_one(&self.passed);
    }

    #[inline]
    pub(super) fn suppress(&self) {
        add_one(&self.suppressed);
    }

    /// How many passed, and how many were suppressed.
    pub(super) fn totals(&self) -> (u64, u64) {
        // Relaxed, both: independent counters; nothing is read through them.
        (
            self.passed.load(Ordering::Relaxed),
            self.suppressed.load(Ordering::Relaxed),
        )
    }

    /// Counts an event of an open window, so late in it; returns how many that are. Only by the source.
    #[inline]
    pub(super) fn count(
        &self,
        slot: usize,
        source: usize,
        state: State,
        late: u64,
        door: &Door,
        way: &Way,
    ) -> u64 {
        let cell = &self.cells[slot / WAYS][slot % WAYS];
        // Relaxed, both: nobody else stores.
        if cell.tag.load(Ordering::Relaxed) != state.bits() {
            begin(cell, state, late);
            door.mark(slot % WAYS, state, source, way);
            return 1;
        }
        let counted = cell.counted.load(Ordering::Relaxed);
        let many = (counted >> LATE_BITS).saturating_add(1).min(MOST);
        let late = late.max(counted & LATE);
        // Relaxed: of the same window as before; whoever must see it was told by other means that it is there.
        cell.counted
            .store((many << LATE_BITS) | late, Ordering::Relaxed);
        many
    }

    /// What was counted in this window, unless the source has gone on to another.
    pub(super) fn counted(&self, slot: usize, state: State) -> Option<u64> {
        let cell = &self.cells[slot / WAYS][slot % WAYS];
        // Acquire: a count of this window; pairs with Release in `begin` [D4].
        if cell.tag.load(Ordering::Acquire) != state.bits() {
            return None;
        }
        // Relaxed: the fence says whether it is of this window.
        let counted = cell.counted.load(Ordering::Relaxed);
        // Acquire: a count of another window is seen to be one; pairs with the Release fence in `begin` [D5].
        fence(Ordering::Acquire);
        // Relaxed: the fence orders it.
        (cell.tag.load(Ordering::Relaxed) == state.bits()).then_some(counted)
    }
}

/// Begins to count in another window, with one.
#[cold]
fn begin(cell: &Cell, state: State, late: u64) {
    // Relaxed: ordered by the fence.
    cell.tag.store(0, Ordering::Relaxed);
    // Release: whoever reads the count below sees that the tag has gone; pairs with the Acquire fence in
    // `Tally::counted` [D5].
    fence(Ordering::Release);
    // Relaxed: ordered by the fence and by the store below.
    cell.counted
        .store((1 << LATE_BITS) | late, Ordering::Relaxed);
    // Release: the count is of this window; pairs with Acquire in `Tally::counted` [D4].
    cell.tag.store(state.bits(), Ordering::Release);
}

/// Adds to a word that nobody else stores.
#[inline]
fn add_one(word: &AtomicU64) {
    // Relaxed, both: a counter of its only writer.
    word.store(
        word.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// How many of the events in a cell were suppressed.
pub(super) fn suppressed(counted: u64, mode: Mode) -> u64 {
    let many = counted >> LATE_BITS;
    match mode {
        Mode::EveryNth(n) => many - many / u64::from(n.get()),
        _ => many,
    }
}

/// In which unit a cell says how late the last event of a window came: the smallest power of two of nanoseconds
/// of which the window has at most 2²⁴.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale(u32);

impl Scale {
    pub(super) const fn of(window: u64) -> Self {
        let bits = u64::BITS - window.leading_zeros();
        Self(bits.saturating_sub(LATE_BITS))
    }

    /// How late in its window an event comes.
    #[inline]
    pub(super) fn late(self, state: State, now: u64) -> u64 {
        (now.saturating_sub(state.opened()) >> self.0).min(LATE)
    }

    /// When the last event came that was counted.
    pub(super) const fn last(self, opened: u64, counted: u64) -> u64 {
        opened.saturating_add((counted & LATE) << self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_is_told_to_a_part_in_eight_million() {
        for window in [1, 5, 1 << 24, (1 << 24) + 1, 10_000_000_000, u64::MAX / 3] {
            let scale = Scale::of(window);
            let state = State::NEVER.next(77);
            for after in [0, window / 7, window / 2, window - 1] {
                let now = (77 + after).min(State::LATEST);
                let last = scale.last(state.opened(), scale.late(state, now));
                assert!(
                    last <= now && now - last <= window >> 23,
                    "{window} {after}"
                );
            }
        }
    }

    #[test]
    fn a_cell_stops_counting_at_its_most() {
        let tally = Tally::<1>::new();
        let (door, set) = (Door::new(), super::super::way::Set::new());
        let state = State::NEVER.next(5);
        set.ways[0].settle(9, state);
        let count = |late| tally.count(0, 0, state, late, &door, &set.ways[0]);
        assert_eq!((count(3), count(2)), (1, 2));
        assert_eq!(tally.counted(0, state), Some((2 << LATE_BITS) | 3));
        tally.cells[0][0]
            .counted
            .store(((MOST - 1) << LATE_BITS) | 3, Ordering::Relaxed);
        assert_eq!((count(1), count(1)), (MOST, MOST));
        assert_eq!(tally.counted(0, state.next(0)), None);
    }
}
