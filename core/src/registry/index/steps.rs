//! An array that grows without moving: what is in it stays where it is until the array goes, so
//! whoever has reached an element may use it for ever.
//!
//! ```text
//! length   4 steps of F/4, 4 of F/4, 4 of F/2, 4 of F …      (F = the first power of two)
//! steps    [·][·][·][·] [·][·][·][·] [ ][ ]…                  null until somebody needs it
//! ```
//!
//! Each doubling comes in four steps, so that at most a fifth of what was asked for is not needed
//! yet. A step goes once from null to its array [I1].
//!
//! An element is named by a [`Spot`], which is found again quickest, or by its number. A [`Flat`] array
//! is for those who only have numbers: beside the steps it keeps one pointer to each group of elements.

use crate::sync::zeroed::{Zeroed, allocate, free};
use crate::sync::{AtomicPtr, AtomicUsize, FIRST_STEP, OFFSET_BITS, Ordering, STEPS, exclusively};
use core::ptr::{self, NonNull};
use core::slice;

const FIRST_BITS: usize = FIRST_STEP.ilog2() as usize;

/// The number, plus `FIRST_STEP`, from which steps are of one length.
const LEVEL_FROM: usize = 1 << (OFFSET_BITS + 2);

const STEPS_BEFORE: usize = (OFFSET_BITS as usize + 2 - FIRST_BITS) * 4;

/// How many elements there can be at most.
pub(in crate::registry) const LONGEST: usize =
    LEVEL_FROM - FIRST_STEP + ((STEPS - STEPS_BEFORE) << OFFSET_BITS);

const STEP_BITS: u32 = STEPS.ilog2();

const _: () = assert!(STEPS.is_power_of_two());

/// Where an element is: which step, in the lowest bits, whence that is told quickest; and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) struct Spot(usize);

impl Spot {
    /// Bits it takes to name any.
    pub(in crate::registry) const BITS: u32 = STEP_BITS + OFFSET_BITS;

    /// The spot named by as many bits.
    #[inline]
    pub(in crate::registry) const fn from_bits(bits: usize) -> Self {
        Self(bits)
    }

    pub(in crate::registry) const fn to_bits(self) -> usize {
        self.0
    }

    pub(in crate::registry) const fn of(number: usize) -> Self {
        let from = number + FIRST_STEP;
        if from >= LEVEL_FROM {
            let behind = from - LEVEL_FROM;
            let step = STEPS_BEFORE + (behind >> OFFSET_BITS);
            return Self::at(step, behind & ((1 << OFFSET_BITS) - 1));
        }
        let top = from.ilog2() as usize;
        let quarter = top - 2;
        let step = (top - FIRST_BITS) * 4 + (from >> quarter & 3);
        Self::at(step, from & ((1 << quarter) - 1))
    }

    const fn at(step: usize, offset: usize) -> Self {
        Self(offset << STEP_BITS | step)
    }

    pub(in crate::registry) const fn number(self) -> usize {
        let (step, offset) = (self.step(), self.offset());
        if step >= STEPS_BEFORE {
            return ((step - STEPS_BEFORE) << OFFSET_BITS) + offset + LEVEL_FROM - FIRST_STEP;
        }
        let quarter = step / 4 + FIRST_BITS - 2;
        ((4 + step % 4) << quarter) + offset - FIRST_STEP
    }

    #[inline]
    const fn step(self) -> usize {
        self.0 & (STEPS - 1)
    }

    #[inline]
    const fn offset(self) -> usize {
        self.0 >> STEP_BITS
    }
}

const fn length_of(step: usize) -> usize {
    if step >= STEPS_BEFORE {
        1 << OFFSET_BITS
    } else {
        FIRST_STEP << (step / 4) >> 2
    }
}

pub(in crate::registry) struct Steps<T: Zeroed> {
    steps: [AtomicPtr<T>; STEPS],
}

// SAFETY: the array owns its elements, as a `Vec` does.
unsafe impl<T: Zeroed + Send> Send for Steps<T> {}
// SAFETY: shared, it hands out shared references, to whoever asks: `T: Sync`. It allocates, and never
// moves or drops an element while it is shared.
unsafe impl<T: Zeroed + Send + Sync> Sync for Steps<T> {}

impl<T: Zeroed> Steps<T> {
    pub(in crate::registry) fn new() -> Self {
        Self {
            steps: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        }
    }

    /// The element, if its step is there.
    #[inline]
    pub(in crate::registry) fn at(&self, spot: Spot) -> Option<&T> {
        let element = self.pointer(spot)?;
        // SAFETY: initialised [I1], and neither moved nor freed while `self` is borrowed.
        Some(unsafe { element.as_ref() })
    }

    /// Where the element lies; what lies beside it in its step may be reached from there.
    #[inline]
    fn pointer(&self, spot: Spot) -> Option<NonNull<T>> {
        // Acquire: the array is initialised; pairs with Release in `ensure` [I1].
        let array = NonNull::new(self.steps[spot.step()].load(Ordering::Acquire))?;
        debug_assert!(spot.offset() < length_of(spot.step()));
        // SAFETY: a spot is only made `of` a number, or from the bits of one, so its offset is less
        // than the length of its step.
        Some(unsafe { array.add(spot.offset()) })
    }

    pub(in crate::registry) fn get(&self, number: usize) -> Option<&T> {
        self.at(Spot::of(number))
    }

    /// The element, its step allocated if it is not there. `number` is below [`LONGEST`].
    pub(in crate::registry) fn ensure(&self, number: usize) -> &T {
        let spot = Spot::of(number);
        if let Some(element) = self.at(spot) {
            return element;
        }
        let length = length_of(spot.step());
        let new = allocate::<T>(length);
        // Release: publish the array; pairs with Acquire in `pointer` [I1].
        // Relaxed on failure: it is loaded again below.
        let set = self.steps[spot.step()].compare_exchange(
            ptr::null_mut(),
            new.as_ptr(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if set.is_err() {
            // SAFETY: just allocated with this length, and nobody has seen it.
            unsafe { free(new, length) };
        }
        match self.at(spot) {
            Some(element) => element,
            None => unreachable!("a step never goes back to null"),
        }
    }
}

impl<T: Zeroed> Drop for Steps<T> {
    fn drop(&mut self) {
        for (step, array) in self.steps.iter_mut().enumerate() {
            if let Some(array) = NonNull::new(exclusively(array)) {
                // SAFETY: allocated with the length of its step, freed here only, and exclusively held.
                unsafe { free(array, length_of(step)) };
            }
        }
    }
}

/// Elements reached by number, through a flat table of pointers to groups of them, which is replaced by one twice as
/// long when it is too short: the same twice over.
///
/// ```text
/// table of 2   [a][b]
/// table of 4   [a][b][a][b]     group c comes: [a][b][c][b]     and d: [a][b][c][d]
/// ```
///
/// So no cell is ever empty, and one whose group is not there yet leads to that of its *parent*, the group whose number
/// lacks the highest bit. That is where linear hashing has what belongs to it until then, so who looks for something need
/// not ask how many there are.
///
/// The length grows after the table [I7], so a table is at least as long as a length that was read first.
/// Tables that were replaced are kept, since somebody may be reading them: together they are as long as
/// the one in use.
pub(in crate::registry) struct Flat<T: Zeroed> {
    steps: Steps<T>,
    length: AtomicUsize,
    table: AtomicPtr<AtomicPtr<T>>,
    /// Tables by the logarithm of their length.
    tables: [AtomicPtr<AtomicPtr<T>>; TABLES],
}

// SAFETY: as for `Steps`: the tables point into those.
unsafe impl<T: Zeroed + Send> Send for Flat<T> {}
// SAFETY: as for `Steps`.
unsafe impl<T: Zeroed + Send + Sync> Sync for Flat<T> {}

/// Elements in a group, which lie side by side.
pub(super) const GROUP: usize = if FIRST_STEP < 64 { FIRST_STEP / 4 } else { 16 };

// A group lies within one step, of which the shortest are a quarter of this.
const _: () = assert!((FIRST_STEP / 4).is_multiple_of(GROUP));

/// As many lengths as a table can have: powers of two, up to one that has all groups.
const TABLES: usize = LONGEST.div_ceil(GROUP).next_power_of_two().ilog2() as usize + 1;

impl<T: Zeroed> Flat<T> {
    pub(in crate::registry) fn new() -> Self {
        Self {
            steps: Steps::new(),
            length: AtomicUsize::new(0),
            table: AtomicPtr::new(ptr::null_mut()),
            tables: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        }
    }

    /// An element that is there.
    ///
    /// # Safety
    /// [`ensure`](Self::ensure) returned for this number, on this thread or on another that published it
    /// afterwards; and numbers were ensured one after another, each only after `ensure` had returned for the one
    /// before. (Otherwise, of two that lengthen the table at once, the one whose table is longer may return
    /// while the shorter one is in use.)
    #[inline]
    pub(in crate::registry) unsafe fn at(&self, number: usize) -> &T {
        // SAFETY: the caller's promise is more than is needed: the group is the element's own.
        unsafe { self.near(number) }
    }

    /// As [`at`](Self::at), with the elements that lie behind it, up to a multiple of [`GROUP`]. Those that were not
    /// ensured are as they were made.
    ///
    /// # Safety
    /// As for [`at`](Self::at).
    #[inline]
    pub(in crate::registry) unsafe fn run(&self, number: usize) -> &[T] {
        // SAFETY: the caller's promise is more than is needed.
        let first = unsafe { self.pointer(number) };
        // SAFETY: a group lies within one step, which is initialised as a whole [I1], and neither moved nor freed
        // while `self` is borrowed.
        unsafe { slice::from_raw_parts(first.as_ptr(), GROUP - number % GROUP) }
    }

    /// The element, or while its group is not there, the one in its place in the group of its parent. Beside one that was ensured
    /// it may be one that was not, which is as it was made.
    ///
    /// # Safety
    /// A number that is less than a power of two, of which more than a half were ensured, as [`at`](Self::at) says.
    #[inline(always)]
    pub(in crate::registry) unsafe fn near(&self, number: usize) -> &T {
        // SAFETY: the caller's promise is the same.
        let element = unsafe { self.pointer(number) };
        // SAFETY: of a step that was initialised [I1] before a table led there, and is neither moved nor freed while
        // `self` is borrowed.
        unsafe { element.as_ref() }
    }

    /// # Safety
    /// As for [`near`](Self::near).
    #[inline(always)]
    unsafe fn pointer(&self, number: usize) -> NonNull<T> {
        // Acquire: the table is initialised; pairs with Release in `lengthen` [I7].
        let table = self.table.load(Ordering::Acquire);
        // SAFETY: when `ensure` returned for half of a power of two (the caller's promise), a table as long as that was
        // set: no shorter one was being set at the time, since numbers come one after another. Later ones are longer.
        let cell = unsafe { table.add(number / GROUP) };
        // SAFETY: as above; tables are not freed while `self` is borrowed.
        let cell = unsafe { &*cell };
        // Acquire: the group is initialised; pairs with Release in `ensure` [I8].
        let group = cell.load(Ordering::Acquire);
        // SAFETY: cells are filled before their table is set, and only groups are stored in them.
        let group = unsafe { NonNull::new_unchecked(group) };
        // SAFETY: the group has `GROUP` elements.
        unsafe { group.add(number % GROUP) }
    }

    /// The element, its step allocated if it is not there. `number` is below [`LONGEST`], and `at` says in which
    /// order numbers come.
    pub(in crate::registry) fn ensure(&self, number: usize) -> &T {
        let element = self.steps.ensure(number);
        let group = number / GROUP;
        // Relaxed: `cell` loads it again, with Acquire, and sees no less.
        if group >= self.length.load(Ordering::Relaxed) {
            self.lengthen(group);
        }
        if number.is_multiple_of(GROUP)
            && let Some(cell) = self.cell(group)
        {
            // Release: the group is initialised; pairs with Acquire in `pointer` [I8]. Everybody stores the same.
            cell.store(self.first(group), Ordering::Release);
        }
        element
    }

    /// Where a group lies, whose step is there.
    fn first(&self, group: usize) -> *mut T {
        match self.steps.pointer(Spot::of(group * GROUP)) {
            Some(first) => first.as_ptr(),
            None => unreachable!("a group lies within one step"),
        }
    }

    /// Where the flat table has this group. `None` while a longer table is being set by those who ensure what lies behind, whose
    /// groups were in the shorter one before.
    #[inline]
    fn cell(&self, group: usize) -> Option<&AtomicPtr<T>> {
        // Acquire: the table is at least as long; pairs with Release in `lengthen` [I7].
        if group >= self.length.load(Ordering::Acquire) {
            return None;
        }
        // Acquire: the table is initialised; pairs with Release in `lengthen` [I7].
        let table = self.table.load(Ordering::Acquire);
        // SAFETY: a table was set before a length that is greater than `group`, so it is not null, and is
        // at least as long, as later ones are, too.
        let cell = unsafe { table.add(group) };
        // SAFETY: as above; tables are not freed while `self` is borrowed.
        Some(unsafe { &*cell })
    }

    /// A table of `length` cells: the shorter one twice, but for `group`, the first that was not in that.
    fn longer(&self, length: usize, group: usize) -> NonNull<AtomicPtr<T>> {
        let half = length / 2;
        debug_assert_eq!(group, half, "groups come one after another");
        let new = allocate::<AtomicPtr<T>>(length);
        let put = |group: usize, first| {
            // SAFETY: all groups that are put are less than `length`.
            let cell = unsafe { new.add(group) };
            // SAFETY: as above; nobody else sees it yet.
            let cell = unsafe { cell.as_ref() };
            // Relaxed: published with the table.
            cell.store(first, Ordering::Relaxed);
        };
        if let Some(shorter) = half.checked_ilog2() {
            // Acquire: the table is initialised; pairs with Release in `lengthen` [I7].
            let shorter = self.tables[shorter as usize].load(Ordering::Acquire);
            for group in 0..half {
                // SAFETY: the table of half the length was set before `ensure` returned for its last group, and that was
                // before this group comes.
                let cell = unsafe { shorter.add(group) };
                // SAFETY: as above; tables are not freed while `self` is borrowed.
                let cell = unsafe { &*cell };
                // Acquire: the group is initialised, and handed on with the table; pairs with Release in `ensure` [I8].
                let first = cell.load(Ordering::Acquire);
                put(group, first);
                put(half + group, first);
            }
        }
        put(group, self.first(group));
        new
    }

    /// Sees to it that there is a table with this group.
    fn lengthen(&self, group: usize) {
        let wanted = (group + 1).next_power_of_two();
        let kept = &self.tables[wanted.ilog2() as usize];
        // Acquire: the table is initialised; pairs with Release below [I7].
        let mut table = kept.load(Ordering::Acquire);
        if table.is_null() {
            let new = self.longer(wanted, group);
            // Release: publish the table; pairs with Acquire where one is loaded [I7].
            // Acquire on failure: somebody else's is initialised [I7].
            let set = kept.compare_exchange(
                ptr::null_mut(),
                new.as_ptr(),
                Ordering::Release,
                Ordering::Acquire,
            );
            table = match set {
                Ok(_) => new.as_ptr(),
                Err(other) => {
                    // SAFETY: just allocated with this length, and nobody has seen it.
                    unsafe { free(new, wanted) };
                    other
                }
            };
        }
        loop {
            // Acquire: as in `cell` [I7].
            let current = self.length.load(Ordering::Acquire);
            if current >= wanted {
                return;
            }
            let shorter = match current {
                0 => ptr::null_mut(),
                // Acquire: as above [I7].
                _ => self.tables[current.ilog2() as usize].load(Ordering::Acquire),
            };
            // Release: publish the table; pairs with Acquire in `pointer` and `cell` [I7]. It fails if the table is
            // already this one, or a longer one; Acquire on failure: so that is seen before the length.
            let _ =
                self.table
                    .compare_exchange(shorter, table, Ordering::Release, Ordering::Acquire);
            // Acquire: as in `cell` [I7].
            if self.table.load(Ordering::Acquire) != table {
                return; // Whoever set a longer one sees to the length.
            }
            // Release: the table is at least as long; pairs with Acquire in `cell` [I7].
            // Relaxed on failure: it is read afresh.
            let _ =
                self.length
                    .compare_exchange(current, wanted, Ordering::Release, Ordering::Relaxed);
        }
    }
}

impl<T: Zeroed> Drop for Flat<T> {
    fn drop(&mut self) {
        for (bits, table) in self.tables.iter_mut().enumerate() {
            if let Some(table) = NonNull::new(exclusively(table)) {
                // SAFETY: allocated with this length, freed here only, and exclusively held.
                unsafe { free(table, 1 << bits) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::AtomicUsize;

    #[test]
    fn every_element_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        let all = LONGEST.min(3 * LEVEL_FROM);
        for number in 0..all {
            let spot = Spot::of(number);
            assert_eq!((spot.step(), spot.offset()), expected);
            assert_eq!(spot.number(), number);
            assert_eq!(Spot::from_bits(spot.to_bits()), spot);
            let is_last = spot.offset() + 1 == length_of(spot.step());
            expected = if is_last {
                (spot.step() + 1, 0)
            } else {
                (spot.step(), spot.offset() + 1)
            };
        }
        let last = Spot::of(LONGEST - 1);
        assert_eq!(
            (last.step(), last.offset() + 1),
            (STEPS - 1, length_of(STEPS - 1))
        );
        assert!(last.to_bits() < 1 << Spot::BITS);
    }

    #[test]
    fn elements_stay_where_they_are() {
        stay(&Steps::new(), Steps::ensure, |array, number| {
            array.get(number).expect("it is there")
        });
        // SAFETY: `stay` ensures each first.
        stay(&Flat::new(), Flat::ensure, |array, number| unsafe {
            array.at(number)
        });
        assert!(Steps::<AtomicUsize>::new().get(0).is_none());
        stay(&Flat::new(), Flat::ensure, |array, number| {
            // SAFETY: as above.
            let run = unsafe { array.run(number) };
            // SAFETY: as above.
            let one = unsafe { array.at(number) };
            assert!(run.len() <= GROUP && ptr::eq(&raw const run[0], one));
            let first = number - number % GROUP;
            // SAFETY: as above, of a number that is no greater.
            let run = unsafe { array.run(first) };
            &run[number - first]
        });
    }

    /// What is not there yet is found where its parent is, and what is beside something that is there is new.
    #[test]
    fn near_what_is_not_there_is_its_parent() {
        let array = Flat::<AtomicUsize>::new();
        for there in 1..=10_000_usize {
            // Relaxed, here and below: one thread.
            array.ensure(there - 1).store(there, Ordering::Relaxed);
            let end = there.next_power_of_two();
            let samples = (0..end).step_by(end / 16 + 1);
            for number in samples.chain([there - 1, (there).min(end - 1), end - 1]) {
                // SAFETY: more than half of what is below `end` was ensured.
                let near = unsafe { array.near(number) }.load(Ordering::Relaxed);
                let group = there.next_multiple_of(GROUP);
                let expected = match number {
                    _ if number < there => number + 1,
                    _ if number < group => 0,
                    _ => number - end / 2 + 1,
                };
                assert_eq!(near, expected, "{number} of {there}");
            }
        }
    }

    fn stay<A>(
        array: &A,
        ensure: impl Fn(&A, usize) -> &AtomicUsize,
        get: impl Fn(&A, usize) -> &AtomicUsize,
    ) {
        for index in 0..10_000 {
            // Relaxed: one thread.
            assert_eq!(ensure(array, index).swap(index + 1, Ordering::Relaxed), 0);
        }
        for index in 0..10_000 {
            // Relaxed: as above.
            assert_eq!(get(array, index).load(Ordering::Relaxed), index + 1);
        }
    }
}
