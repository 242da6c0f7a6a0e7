//! Who is in one group: how many, and in which lanes. See [`shared`](super::shared) for the protocol.
//!
//! ```text
//! roster  ┌─────────┬────────┬────────┬──────┬───────────────────┐
//!         │ members │ vacant │ length │ more │ lane  lane  lane …│   the first lanes: a group that stays
//!         └─────────┴────────┴────────┴──┬───┴───────────────────┘   small has no others
//!                                        └─► [·][·][ ][ ]…           chunks, each twice as long as the one
//!                                                                    before, made when first needed
//! lane    taken   ┌────────────────────────────────┬───┐
//!                 │ slot                           │ 1 │
//!         vacant  ├────────────────────────────────┼───┤
//!                 │ the next vacant lane plus one  │ 0 │             zero: none, or never used
//!                 └────────────────────────────────┴───┘
//! ```
//!
//! Vacant lanes form a stack through their own words. Its top is named together with a version, so that a
//! top that was taken and given back in between does not look untouched: unless half a word of versions
//! went by while one thread was about to take one lane (four thousand million of them, or 65,536 on a
//! 32-bit target).

use crate::registry::index::Spot;
use crate::sync::zeroed::{allocate, free};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, ROSTER_LANES, exclusively};
use core::ptr::{self, NonNull};

/// Lanes in the first chunk.
const CHUNK: usize = 2 * ROSTER_LANES;

/// Enough for as many lanes as there can be slots, and threads about to take one.
const CHUNKS: usize = Spot::BITS as usize;

/// The chunks behind the first lanes.
type More = [AtomicPtr<AtomicUsize>; CHUNKS];

pub(super) struct Roster {
    /// How many members there are. Once there are none, there never will be.
    members: AtomicUsize,
    /// The top of the stack of vacant lanes.
    vacant: AtomicUsize,
    /// How many lanes were ever used. Only grows.
    length: AtomicUsize,
    more: AtomicPtr<More>,
    first: [AtomicUsize; ROSTER_LANES],
}

impl Roster {
    /// The lane of whoever makes a group.
    pub(super) const FOUNDER: usize = 0;

    /// With one member, in this slot.
    pub(super) fn new(founder: Spot) -> Self {
        let lane = |number| match number {
            Self::FOUNDER => Lane::taken(founder),
            _ => Lane::PRISTINE,
        };
        Self {
            members: AtomicUsize::new(1),
            vacant: AtomicUsize::new(Vacant::NONE.0),
            length: AtomicUsize::new(1),
            more: AtomicPtr::new(ptr::null_mut()),
            first: core::array::from_fn(|number| AtomicUsize::new(lane(number).0)),
        }
    }

    /// How many members there are.
    pub(super) fn members(&self) -> usize {
        // Relaxed: a count; and zero is the last one.
        self.members.load(Ordering::Relaxed)
    }

    /// Whether there are members, as there will never be again if not.
    pub(super) fn is_open(&self) -> bool {
        self.members() > 0
    }

    /// Counts one member more, unless there are none. What was counted may, and must, be seated.
    pub(super) fn enter(&self) -> bool {
        let mut members = self.members();
        while members > 0 {
            // Relaxed: whoever counts less orders what was done [G1].
            let entered = self.members.compare_exchange_weak(
                members,
                members + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match entered {
                Ok(_) => return true,
                Err(now) => members = now,
            }
        }
        false
    }

    /// Puts a member that was counted into a lane, and returns which one. Bytes of lanes that were made for
    /// it are added to `bytes`.
    pub(super) fn seat(&self, slot: Spot, bytes: &AtomicUsize) -> usize {
        let number = self.vacant_lane();
        // Release: publish the slot's content; pairs with Acquire in `Seat::load` [G2].
        self.ensure(number, bytes)
            .store(Lane::taken(slot).0, Ordering::Release);
        number
    }

    /// Frees the lane of a member that is still counted.
    pub(super) fn vacate(&self, number: usize) {
        let Some(lane) = self.lane(number) else {
            unreachable!("the member is in it")
        };
        // Relaxed: a hint, until the exchange.
        let mut top = Vacant(self.vacant.load(Ordering::Relaxed));
        loop {
            // Relaxed: published by the exchange [G3]; a reader who still sees the slot named learns from
            // its sequence that it is being used again [S1].
            lane.store(Lane::vacant(top.lane()).0, Ordering::Relaxed);
            // Release: publish the link; pairs with Acquire in `vacant_lane` [G3].
            // Relaxed on failure: nothing is read through it.
            let pushed = self.vacant.compare_exchange_weak(
                top.0,
                top.changed_to(Some(number)).0,
                Ordering::Release,
                Ordering::Relaxed,
            );
            match pushed {
                Ok(_) => return,
                Err(now) => top = Vacant(now),
            }
        }
    }

    /// Counts one member less, who has vacated its lane. The roster must not be used afterwards, except if
    /// this was the last one: then by this one, who has it for itself but for readers.
    pub(super) fn leave(&self) -> bool {
        // AcqRel: what others did here is done when the last one leaves; pairs with itself [G1].
        let is_last = self.members.fetch_sub(1, Ordering::AcqRel) == 1;
        debug_assert!(
            !is_last || self.is_vacant(),
            "a member is in its lane while it is counted"
        );
        is_last
    }

    /// Whether nobody is in any lane.
    fn is_vacant(&self) -> bool {
        let mut lanes = (0..self.length()).filter_map(|number| self.lane(number));
        // Relaxed: nobody else changes them any more [G1].
        lanes.all(|lane| Lane(lane.load(Ordering::Relaxed)).slot().is_none())
    }

    /// How many lanes there are to look at.
    pub(super) fn length(&self) -> usize {
        // Relaxed: whoever sees less than there are has no claim to more.
        self.length.load(Ordering::Relaxed)
    }

    /// A lane, for looking at it; `None` if nobody was ever in it.
    pub(super) fn seat_at(&self, number: usize) -> Option<Seat<'_>> {
        self.lane(number).map(Seat)
    }

    /// Bytes of lanes beyond the roster itself.
    pub(super) fn bytes_beyond(&self) -> usize {
        let Some(more) = self.more() else { return 0 };
        // Relaxed: nobody makes any meanwhile, or it is a count.
        let is_there = |chunk: &usize| !more[*chunk].load(Ordering::Relaxed).is_null();
        let lanes: usize = (0..CHUNKS).filter(is_there).map(length_of).sum();
        size_of::<More>() + lanes * size_of::<AtomicUsize>()
    }

    /// Takes a vacant lane, or the next new one.
    fn vacant_lane(&self) -> usize {
        // Acquire: the link is visible; pairs with Release in `vacate` [G3].
        let mut top = Vacant(self.vacant.load(Ordering::Acquire));
        while let Some(number) = top.lane() {
            let Some(lane) = self.lane(number) else {
                unreachable!("somebody was in it")
            };
            // Relaxed: ordered by the load of the top [G3]; if it is not vacant any more, the exchange fails.
            let next = Lane(lane.load(Ordering::Relaxed)).next();
            // Acquire: whoever was in it is done with it; pairs with Release in `vacate` [G3].
            // Acquire on failure: as for the load above.
            let popped = self.vacant.compare_exchange_weak(
                top.0,
                top.changed_to(next).0,
                Ordering::Acquire,
                Ordering::Acquire,
            );
            match popped {
                Ok(_) => return number,
                Err(now) => top = Vacant(now),
            }
        }
        // Relaxed: only distinctness matters.
        self.length.fetch_add(1, Ordering::Relaxed)
    }

    fn more(&self) -> Option<&More> {
        // Acquire: the chunks' pointers are initialised; pairs with Release in `set` [G4].
        let more = NonNull::new(self.more.load(Ordering::Acquire))?;
        // SAFETY: set once to what was allocated, and freed with the roster.
        Some(unsafe { more.as_ref() })
    }

    fn lane(&self, number: usize) -> Option<&AtomicUsize> {
        let Some(beyond) = number.checked_sub(ROSTER_LANES) else {
            return Some(&self.first[number]);
        };
        let (chunk, offset) = place_of(beyond);
        // Acquire: the lanes are initialised; pairs with Release in `set` [G4].
        let lanes = NonNull::new(self.more()?[chunk].load(Ordering::Acquire))?;
        // SAFETY: the offset is less than the chunk's length.
        let lane = unsafe { lanes.add(offset) };
        // SAFETY: initialised [G4], and freed with the roster.
        Some(unsafe { lane.as_ref() })
    }

    /// The lane, made if it is not there.
    fn ensure(&self, number: usize, bytes: &AtomicUsize) -> &AtomicUsize {
        if self.lane(number).is_none() {
            let (chunk, _) = place_of(number - ROSTER_LANES);
            set(&self.more, 1, bytes);
            if let Some(more) = self.more() {
                set(&more[chunk], length_of(chunk), bytes);
            }
        }
        match self.lane(number) {
            Some(lane) => lane,
            None => unreachable!("just made"),
        }
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        let Some(mut more) = NonNull::new(exclusively(&mut self.more)) else {
            return;
        };
        // SAFETY: allocated in `set`, and exclusively held.
        for (chunk, lanes) in unsafe { more.as_mut() }.iter_mut().enumerate() {
            if let Some(lanes) = NonNull::new(exclusively(lanes)) {
                // SAFETY: allocated with this length, freed here only, and exclusively held.
                unsafe { free(lanes, length_of(chunk)) };
            }
        }
        // SAFETY: as above.
        unsafe { free(more, 1) };
    }
}

/// Sets a pointer that is null to an array of zeros, unless somebody else does.
fn set<T: crate::sync::zeroed::Zeroed>(pointer: &AtomicPtr<T>, length: usize, bytes: &AtomicUsize) {
    // Relaxed: only whether it is there.
    if !pointer.load(Ordering::Relaxed).is_null() {
        return;
    }
    let new = allocate::<T>(length);
    // Release: publish the array; pairs with Acquire where it is loaded [G4].
    // Relaxed on failure: it is loaded again.
    let set = pointer.compare_exchange(
        ptr::null_mut(),
        new.as_ptr(),
        Ordering::Release,
        Ordering::Relaxed,
    );
    if set.is_ok() {
        // Relaxed: a count.
        bytes.fetch_add(length * size_of::<T>(), Ordering::Relaxed);
    } else {
        // SAFETY: just allocated with this length, and nobody has seen it.
        unsafe { free(new, length) };
    }
}

/// In which chunk, and where in it, is the lane with so many others between the first ones and itself?
const fn place_of(beyond: usize) -> (usize, usize) {
    let from = beyond + CHUNK;
    let chunk = (from / CHUNK).ilog2() as usize;
    (chunk, from - length_of(chunk))
}

const fn length_of(chunk: usize) -> usize {
    CHUNK << chunk
}

/// A lane, to be looked at.
#[derive(Clone, Copy)]
pub(super) struct Seat<'r>(&'r AtomicUsize);

impl Seat<'_> {
    /// The slot of the member that is in it.
    pub(super) fn load(self) -> Option<Spot> {
        // Acquire: the slot's content is visible, or a later one; pairs with Release in `seat` [G2].
        Lane(self.0.load(Ordering::Acquire)).slot()
    }
}

/// What is in a lane.
#[derive(Clone, Copy)]
struct Lane(usize);

impl Lane {
    const PRISTINE: Self = Self(0);

    const fn taken(slot: Spot) -> Self {
        Self(slot.to_bits() << 1 | 1)
    }

    fn vacant(next: Option<usize>) -> Self {
        Self(next.map_or(0, |lane| (lane + 1) << 1))
    }

    fn slot(self) -> Option<Spot> {
        (self.0 & 1 == 1).then_some(Spot::from_bits(self.0 >> 1))
    }

    /// Of a vacant lane; any number of another.
    const fn next(self) -> Option<usize> {
        (self.0 >> 1).checked_sub(1)
    }
}

const HALF: u32 = usize::BITS / 2;

/// The top of the stack of vacant lanes plus one, and in the upper half how often it changed.
#[derive(Clone, Copy)]
struct Vacant(usize);

impl Vacant {
    const NONE: Self = Self(0);

    const fn lane(self) -> Option<usize> {
        (self.0 & ((1 << HALF) - 1)).checked_sub(1)
    }

    fn changed_to(self, lane: Option<usize>) -> Self {
        let version = (self.0 >> HALF).wrapping_add(1) << HALF;
        Self(version | lane.map_or(0, |lane| (lane + 1) & ((1 << HALF) - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_lane_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for beyond in 0..10_000 {
            assert_eq!(place_of(beyond), expected, "{beyond}");
            expected = if expected.1 + 1 == length_of(expected.0) {
                (expected.0 + 1, 0)
            } else {
                (expected.0, expected.1 + 1)
            };
        }
        assert!(place_of((1 << Spot::BITS) + 10_000).0 < CHUNKS);
    }

    #[test]
    fn lanes_are_used_again_and_members_stay_in_theirs() {
        let bytes = AtomicUsize::new(0);
        let roster = Roster::new(Spot::of(0));
        let mut lanes = Vec::from([Roster::FOUNDER]);
        for number in 1..100 {
            assert!(roster.enter());
            lanes.push(roster.seat(Spot::of(number), &bytes));
        }
        let slot_at = |lane| roster.seat_at(lane).and_then(Seat::load);
        for number in (0..100).step_by(2) {
            roster.vacate(lanes[number]);
            assert!(!roster.leave());
        }
        for number in (0..100).step_by(2) {
            assert!(roster.enter());
            lanes[number] = roster.seat(Spot::of(number), &bytes);
        }
        assert_eq!((roster.members(), roster.length()), (100, 100));
        for (number, &lane) in lanes.iter().enumerate() {
            assert_eq!(slot_at(lane), Some(Spot::of(number)));
        }
        // Relaxed: one thread.
        assert_eq!(bytes.load(Ordering::Relaxed), roster.bytes_beyond());
        for (number, lane) in lanes.into_iter().enumerate() {
            roster.vacate(lane);
            assert_eq!(roster.leave(), number == 99);
        }
        assert!(!roster.enter(), "a group that was left is closed for good");
    }

    #[test]
    fn a_group_of_one_is_small() {
        let lanes = ROSTER_LANES * size_of::<usize>();
        assert_eq!(size_of::<Roster>(), 4 * size_of::<usize>() + lanes);
    }
}
