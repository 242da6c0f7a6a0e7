//! What is in the lanes of a bucket, told without a branch for each: which lane it will be nobody can predict.

use super::{Bucket, Lane, Place, Spot, load};
use crate::sync::at_once::{self, AT_ONCE};
use crate::sync::{AtomicUsize, BUCKET_LANES};
use core::hint::select_unpredictable;
use core::mem::offset_of;

/// What the lanes of a bucket are, a bit for each, the lowest for the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Masks {
    pub(super) free: usize,
    /// Those that have an entry at the place that is looked for, or nearly so.
    pub(super) matching: usize,
}

impl Bucket {
    /// The first lane that has an entry at `place`, or nearly so, and its number.
    #[inline(always)]
    pub(super) fn lane_at(&self, place: Place) -> Option<(usize, &AtomicUsize)> {
        if !AT_ONCE {
            return self.first_at(place);
        }
        // SAFETY: the lanes of a bucket are aligned (asserted below).
        unsafe { at_once::first_with_half(&self.lanes, upper_half_at(place)) }
    }

    /// What the lanes are.
    #[inline(always)]
    pub(super) fn masks(&self, place: Place) -> Masks {
        if !AT_ONCE {
            return self.masks_one_by_one(place);
        }
        // SAFETY: as above.
        let (taken, matching) =
            unsafe { at_once::tops_and_halves(&self.lanes, upper_half_at(place)) };
        let free = !taken & ((1 << BUCKET_LANES) - 1);
        Masks { free, matching }
    }

    /// Where an entry is, if that can be told at once. It may be moving.
    #[inline(always)]
    pub(super) fn guess(&self, entry: Lane) -> Option<(usize, &AtomicUsize)> {
        let at = AT_ONCE.then(|| self.lane_at(entry.place()));
        at?.filter(|(_, lane)| load(lane).settled() == entry)
    }

    #[inline(always)]
    fn first_at(&self, place: Place) -> Option<(usize, &AtomicUsize)> {
        // Small processors predict nothing, so for them to compare all would only be more work.
        if usize::BITS == 32 {
            let mut lanes = self.lanes.iter().enumerate();
            return lanes.find(|(_, lane)| load(lane).is_at(place));
        }
        let mut at = self.lanes.len();
        for (number, lane) in self.lanes.iter().enumerate().rev() {
            let is_at = load(lane).is_at(place);
            at = select_unpredictable(is_at, number, at);
        }
        Some((at, self.lanes.get(at)?))
    }

    #[inline(always)]
    fn masks_one_by_one(&self, place: Place) -> Masks {
        let (mut free, mut matching) = (0, 0);
        for lane in self.lanes.iter().rev() {
            let word = load(lane);
            free = 2 * free + usize::from(!word.is_taken());
            matching = 2 * matching + usize::from(word.is_at(place));
        }
        Masks { free, matching }
    }
}

/// The upper half of the word of an entry at this place. A lane that has it nearly has an entry at the place: three bits of the
/// hash lie below, among those that tell buckets apart: once there are eight, two entries of one chain agree in them.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "half of a word")]
fn upper_half_at(place: Place) -> u32 {
    (Lane::taken(place, Spot::from_bits(0)).0 >> (usize::BITS / 2)) as u32
}

const _: () = assert!(
    !AT_ONCE
        || (offset_of!(Bucket, lanes).is_multiple_of(16)
            && align_of::<Bucket>().is_multiple_of(16))
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Ordering;
    use crate::sync::zeroed::Zeroed;

    fn hashed(number: usize) -> Place {
        Place::of_hash((number as u64).wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn with_words(words: [Lane; BUCKET_LANES]) -> Bucket {
        let bucket = Bucket::zeroed();
        for (lane, word) in bucket.lanes.iter().zip(words) {
            // Relaxed: one thread.
            lane.store(word.0, Ordering::Relaxed);
        }
        bucket
    }

    fn address((number, lane): (usize, &AtomicUsize)) -> (usize, *const AtomicUsize) {
        (number, lane)
    }

    /// Whatever is in the lanes, it is as if they were compared one by one.
    #[test]
    fn all_at_once_are_told_as_one_by_one() {
        let mut found = [0; BUCKET_LANES + 1];
        for round in 0..100_000 {
            let place = hashed(round);
            let words = core::array::from_fn(|lane| {
                let random = (round as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let chosen = random >> (8 + 3 * lane) & 7;
                let word = Lane::taken(place, Spot::of(round));
                match chosen {
                    0 => word,
                    1 => word.moving(),
                    // What it left there itself.
                    2 => word.freed(round),
                    3 => word.moved(7),
                    4 => Lane::PRISTINE,
                    _ => Lane::taken(hashed(round + lane + 1), Spot::of(round)),
                }
            });
            let bucket = with_words(words);
            let first = bucket.lane_at(place).map(address);
            assert_eq!(first, bucket.first_at(place).map(address), "{words:?}");
            assert_eq!(
                bucket.masks(place),
                bucket.masks_one_by_one(place),
                "{words:?}"
            );
            found[first.map_or(BUCKET_LANES, |(number, _)| number)] += 1;
        }
        assert!(found.iter().all(|&times| times > 100), "{found:?}");
    }

    /// What is compared at once is not all: whoever finds a lane looks at the rest of it.
    #[test]
    fn a_place_that_differs_below_is_nearly_there() {
        let place = hashed(9);
        let word = Lane(Lane::taken(place, Spot::of(3)).0 ^ 1 << (Spot::BITS + 1));
        assert!(!word.is_at(place));
        let mut words = [Lane::PRISTINE; BUCKET_LANES];
        words[4] = word;
        let bucket = with_words(words);
        let at = bucket.lane_at(place).map(|(number, _)| number);
        assert_eq!(at, AT_ONCE.then_some(4));
        let matching = bucket.masks(place).matching;
        assert_eq!(matching, if AT_ONCE { 1 << 4 } else { 0 });
        let entry = Lane::taken(place, Spot::of(3));
        assert!(bucket.guess(entry).is_none());
    }
}
