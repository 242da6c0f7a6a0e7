//! A hash for keys that are numbers.

use core::hash::{BuildHasherDefault, Hasher};

/// What registries of these proofs hash with.
pub type Hashing = BuildHasherDefault<Multiply>;

/// A multiplication for every word. A program that takes its keys from outside wants a seeded one.
#[derive(Default)]
pub struct Multiply(u32);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        u64::from(self.0)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B1);
    }
}
