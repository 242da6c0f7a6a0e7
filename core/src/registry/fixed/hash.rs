//! The hash of the fixed table: four bytes a step, each step one multiplication of 32 bits.
//!
//! A step rotates what there is, adds four bytes by exclusive or, and multiplies by an odd number
//! near 2^32 divided by the golden ratio. The product carries every bit upwards, so that the upper
//! bits depend on all bits of the last four bytes, and a bucket is chosen by them; the rotation brings
//! them down, to be carried up once more. Keys of one step spread whatever the distance between them,
//! addresses and shifted numbers included.
//!
//! Ready-made ones were tried on a Cortex-M3: `hash32`'s FNV multiplies once a byte, and its lower
//! bits ignore the upper bits of every byte; `rustc-hash` takes 500 bytes of flash more for each place
//! where a string is looked up. Nothing in here is secret: whoever chooses the keys can make them
//! collide, at a cost for others that the number of places bounds.

use core::hash::{Hash, Hasher};

const MULTIPLIER: u32 = 0x9E37_79B1;

/// A hash whose upper bits tell keys apart.
#[inline]
pub(super) fn hash<Q: Hash + ?Sized>(key: &Q) -> u32 {
    let mut steps = Steps(0);
    key.hash(&mut steps);
    steps.0
}

/// In which of `N` equal parts of all hashes it lies.
pub(super) const fn bucket<const N: usize>(hash: u32) -> usize {
    ((hash as u64 * N as u64) >> 32) as usize
}

struct Steps(u32);

impl Steps {
    #[inline]
    fn add(&mut self, word: u32) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for Steps {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for &word in words {
            self.add(u32::from_ne_bytes(word));
        }
        for &byte in rest {
            self.add(byte.into());
        }
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 64 keys come into the fullest of 64 buckets, and of 61.
    fn fullest<Q: Hash>(key: impl Fn(u32) -> Q) -> usize {
        fn of<const N: usize>(hashes: impl Iterator<Item = u32>) -> usize {
            let mut buckets = [0; N];
            hashes.for_each(|hash| buckets[bucket::<N>(hash)] += 1);
            buckets.into_iter().max().unwrap_or(0)
        }
        let hashes = || (0..64).map(|number| hash(&key(number)));
        of::<64>(hashes()).max(of::<61>(hashes()))
    }

    #[test]
    fn numbers_at_any_distance_spread() {
        for shift in 0..=26 {
            assert!(fullest(|number| number << shift) <= 8, "by 2^{shift}");
            assert!(fullest(|number| ((number * 5) << shift) ^ 0x4000_0000) <= 8);
        }
        for shift in 0..=58 {
            assert!(
                fullest(|number| u64::from(number) << shift) <= 8,
                "by 2^{shift}"
            );
        }
        assert!(fullest(|number| number.to_le_bytes()[0]) <= 8);
        assert!(fullest(|number| (number / 8, number % 8)) <= 8);
    }

    #[test]
    fn names_spread() {
        assert!(fullest(|number| alloc::format!("sensor/{number}")) <= 8);
        assert!(fullest(|number| alloc::format!("{number:02}/temperature")) <= 8);
        assert!(fullest(|number| alloc::format!("{number:064b}")) <= 8);
        assert!(fullest(|number| "x".repeat(number as usize)) <= 8);
    }
}
