//! What one source counts: nobody else writes here.

use super::super::{Mode, WAYS};
use super::way::State;
use crate::sync::{AtomicBool, AtomicU64, Ordering, array, const_fn, fence};

/// Bits of a count that say how many there were; those above say how late in the window the last one came.
const MANY_BITS: u32 = 40;
/// The most that a cell counts.
const MOST: u64 = (1 << MANY_BITS) - 1;

/// The counts of one source.
#[repr(align(64))]
pub(super) struct Tally<const SETS: usize> {
    claimed: AtomicBool,
    passed: AtomicU64,
    /// What was suppressed and is in no cell any more, or never was.
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
        add(&self.passed, 1);
    }

    /// Counts what is suppressed in no window that is open.
    #[inline]
    pub(super) fn suppress(&self) {
        add(&self.suppressed, 1);
    }

    /// How many passed, and how many were suppressed.
    pub(super) fn totals(&self, mode: Mode) -> (u64, u64) {
        // Relaxed, all: independent counters; nothing is read through them.
        let passed = self.passed.load(Ordering::Relaxed);
        let mut total = self.suppressed.load(Ordering::Relaxed);
        for cell in self.cells.as_flattened() {
            total += suppressed(cell.counted.load(Ordering::Relaxed), mode);
        }
        (passed, total)
    }

    /// Counts an event of an open window, so late in it; returns how many that are, or `None` in a window that
    /// the source has not counted in. Only by the source.
    #[inline]
    pub(super) fn count(&self, slot: usize, state: State, late: u64) -> Option<u64> {
        let cell = self.cell(slot);
        // Relaxed, both: nobody else stores.
        if cell.tag.load(Ordering::Relaxed) != state.bits() {
            return None;
        }
        let counted = cell.counted.load(Ordering::Relaxed);
        let many = counted & MOST;
        if many == MOST {
            self.suppress();
            return Some(MOST);
        }
        // Relaxed: of the same window as before; whoever must see it was told by other means that it is there.
        cell.counted.store(late | (many + 1), Ordering::Relaxed);
        Some(many + 1)
    }

    /// Begins to count in another window, with one. Only by the source.
    #[cold]
    pub(super) fn begin(&self, slot: usize, state: State, late: u64, mode: Mode) {
        let cell = self.cell(slot);
        // Relaxed: nobody else stores.
        let before = suppressed(cell.counted.load(Ordering::Relaxed), mode);
        // Relaxed: ordered by the fence.
        cell.tag.store(0, Ordering::Relaxed);
        // Release: whoever reads the count below sees that the tag has gone; pairs with the Acquire fence in
        // `counted` [D5].
        fence(Ordering::Release);
        // Relaxed: ordered by the fence and by the store below.
        cell.counted.store(late | 1, Ordering::Relaxed);
        // Release: the count is of this window; pairs with Acquire in `counted` [D4].
        cell.tag.store(state.bits(), Ordering::Release);
        add(&self.suppressed, before);
    }

    #[inline]
    fn cell(&self, slot: usize) -> &Cell {
        &self.cells[slot / WAYS][slot % WAYS]
    }

    /// What was counted in this window, unless the source has gone on to another.
    pub(super) fn counted(&self, slot: usize, state: State) -> Option<u64> {
        let cell = self.cell(slot);
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

/// Adds to a word that nobody else stores.
#[inline]
fn add(word: &AtomicU64, many: u64) {
    // Relaxed, both: a counter of its only writer.
    word.store(
        word.load(Ordering::Relaxed).wrapping_add(many),
        Ordering::Relaxed,
    );
}

/// How many of the events in a cell were suppressed.
pub(super) fn suppressed(counted: u64, mode: Mode) -> u64 {
    let many = counted & MOST;
    match mode {
        Mode::EveryNth(n) => many - many / u64::from(n.get()),
        _ => many,
    }
}

/// How a cell says how late the last event of a window came: in a unit of which the window has at most 2²⁴, the
/// smallest power of two of nanoseconds, above the bits that say how many there were. This is how far the time
/// is moved up for that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale(u32);

impl Scale {
    pub(super) const fn of(window: u64) -> Self {
        let bits = u64::BITS - window.leading_zeros();
        Self(MANY_BITS - bits.saturating_sub(u64::BITS - MANY_BITS))
    }

    /// How late in its window an event comes, that is so many nanoseconds late, for a cell.
    #[inline]
    pub(super) const fn late(self, late: u64) -> u64 {
        (late << self.0) & !MOST
    }

    /// When the last event came that was counted.
    pub(super) const fn last(self, opened: u64, counted: u64) -> u64 {
        opened.saturating_add((counted & !MOST) >> self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_is_told_to_a_part_in_eight_million() {
        for window in [1, 5, 1 << 24, (1 << 24) + 1, 10_000_000_000, u64::MAX / 3] {
            let scale = Scale::of(window);
            for after in [0, window / 7, window / 2, window - 1] {
                let (now, last) = (77 + after, scale.last(77, scale.late(after)));
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
        let state = State::NEVER.next(5);
        assert_eq!(tally.count(0, state, 0), None);
        let late = |after| Scale::of(100).late(after);
        tally.begin(0, state, late(2), Mode::Summarise);
        assert_eq!(tally.count(0, state, late(3)), Some(2));
        assert_eq!(tally.counted(0, state), Some((3 << MANY_BITS) | 2));
        tally.cells[0][0]
            .counted
            .store((3 << MANY_BITS) | (MOST - 1), Ordering::Relaxed);
        let counts = [1, 1].map(|after| tally.count(0, state, late(after)));
        assert_eq!(counts, [Some(MOST); 2]);
        // The last is not in the cell.
        assert_eq!(tally.totals(Mode::Summarise), (0, MOST + 1));
        assert_eq!(tally.counted(0, state.next(0)), None);
    }
}
