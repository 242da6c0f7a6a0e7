//! Chance, from a seed.

use super::{Choice, Sampler};
use crate::clock::Instant;
use crate::dedup::next_random;

/// Random numbers from a seed: SplitMix64. Not for secrets.
#[derive(Clone, Copy, Debug)]
pub struct RandomNumbers(u64);

impl RandomNumbers {
    /// The numbers of this seed. Whoever wants others at every start seeds with what differs: a clock, an identity,
    /// a hardware source.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one: each of the 2⁶⁴ equally likely.
    #[inline]
    pub const fn next(&mut self) -> u64 {
        next_random(&mut self.0)
    }

    /// A number below `end`, or zero if that is zero: the upper half of a product, each equally likely to `end`/2⁶⁴
    /// (Lemire, *Fast random integer generation in an interval*, 2019, without its second draw).
    #[inline]
    pub const fn below(&mut self, end: u64) -> u64 {
        let product = self.next() as u128 * end as u128;
        (product >> 64) as u64
    }
}

/// Keeps a part of all, each decided for itself.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::sample::{Random, Sampler};
///
/// let kept = |seed| {
///     let mut half = Random::new(0.5, seed);
///     (0..1000).filter(|_| half.sample(Instant::ZERO, 0).is_kept()).count()
/// };
/// assert_eq!(kept(1), kept(1));
/// assert!((400..600).contains(&kept(2)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Random {
    numbers: RandomNumbers,
    part: Part,
}

impl Random {
    /// Keeps this part of all: below zero is zero, above one is one, and what is no number is zero.
    #[must_use]
    pub const fn new(part: f64, seed: u64) -> Self {
        Self {
            numbers: RandomNumbers::new(seed),
            part: Part::of(part),
        }
    }
}

impl Sampler for Random {
    #[inline]
    fn sample(&mut self, _now: Instant, _trace: u128) -> Choice {
        self.part.choose(self.numbers.next() >> 1)
    }
}

/// A part of all numbers of 63 bits, and the weight that goes with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Those below are kept.
    end: u64,
    weight: f32,
}

impl Part {
    pub(super) const fn of(part: f64) -> Self {
        let part = if part >= 1.0 {
            1.0
        } else if part > 0.0 {
            part
        } else {
            0.0
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between zero and 2⁶³"
        )]
        let end = (part * (1_u64 << 63) as f64) as u64;
        #[expect(clippy::cast_possible_truncation, reason = "a weight is this exact")]
        let weight = (1.0 / part) as f32;
        Self { end, weight }
    }

    #[inline]
    pub(super) const fn choose(self, number: u64) -> Choice {
        if number < self.end {
            Choice::keep(self.weight)
        } else {
            Choice::LEAVE
        }
    }
}
