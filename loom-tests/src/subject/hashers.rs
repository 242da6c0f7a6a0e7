//! Hashers for the keys of the drivers.

use std::hash::Hasher;

/// A quick hasher that spreads small keys over all bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.0 ^= self.0 >> 32;
        }
    }
}

/// A hasher for models: keys from [`SECOND`](Self::SECOND) on go to the second bucket of an index when there are two, and
/// smaller ones stay in the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Halves(u64);

impl Halves {
    /// The first key that goes to the second bucket.
    pub const SECOND: u8 = 11;

    /// As the index spreads hashes. Were it to do so differently, models would say that nothing has moved.
    fn is_second(hash: u64) -> bool {
        let product = u128::from(hash) * 0x340f_5859_d592_9ad9;
        (product >> 64 ^ product) & 1 == 1
    }
}

impl Hasher for Halves {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let mut candidates = u64::from(byte) << 8..;
            let is_it = |&hash: &u64| Self::is_second(hash) == (byte >= Self::SECOND);
            self.0 ^= candidates.find(is_it).unwrap_or_default();
        }
    }
}

/// A hasher that returns one value for all keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Constant;

impl Hasher for Constant {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}
