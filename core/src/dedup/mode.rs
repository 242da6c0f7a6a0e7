//! What becomes of a repetition while its window is open: decisions about plain values.

use crate::clock::{Instant, saturating_nanos};
use core::num::NonZeroU32;
use core::time::Duration;

/// What becomes of the events that repeat within a window. The one that opens it always passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// They are suppressed, and a summary says how many.
    #[default]
    Summarise,
    /// They are suppressed and counted, and nothing is said when the window closes.
    Drop,
    /// The `n`-th, the 2·`n`-th… of them pass, with weight `n`.
    EveryNth(NonZeroU32),
    /// Each passes with a probability of 1 in `n`, with weight `n`.
    Sample(NonZeroU32),
    /// As many pass at once as the bucket holds, this many, and one more for every length of the window
    /// that went by (a window whose bucket holds one is the ordinary one). The window closes when the
    /// bucket is full again. A [`SharedDedupWindow`](super::SharedDedupWindow) cannot do this.
    Bucket(NonZeroU32),
}

/// The leaky bucket as a meter (GCRA: ITU-T I.371, annex A): the whole state is the time at which the bucket is
/// full again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// Nanoseconds for one more.
    period: u64,
    /// How far ahead of now the state may be for one more to pass.
    slack: u64,
}

impl Bucket {
    pub(super) const fn new(period: Duration, holds: NonZeroU32) -> Self {
        let period = saturating_nanos(period);
        Self {
            period,
            slack: period.saturating_mul(holds.get() as u64 - 1),
        }
    }

    /// Whether one more has to wait, with the bucket full again at `full_at`.
    #[inline]
    pub(super) const fn refuses(self, full_at: u64, now: Instant) -> bool {
        now.as_nanos().saturating_add(self.slack) < full_at
    }

    /// When the bucket is full again after one more at `now`.
    #[inline]
    pub(super) const fn after_one(self, full_at: u64, now: Instant) -> u64 {
        let now = now.as_nanos();
        let from = if full_at > now { full_at } else { now };
        from.saturating_add(self.period)
    }
}

/// SplitMix64 (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, 2014): the state goes in
/// equal steps, the numbers are those steps mixed.
#[inline]
pub(crate) const fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Whether one of `n` is chosen by this random number: the product's upper half is below `n`, each of them
/// equally likely to 2⁻³².
#[inline]
pub(super) const fn one_in(n: NonZeroU32, random: u64) -> bool {
    ((random >> 32) * n.get() as u64) >> 32 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_those_of_the_algorithm() {
        // The first numbers of the reference implementation for the seed 1234567.
        let mut state = 1_234_567;
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!([(); 3].map(|()| next_random(&mut state)), expected);
    }

    #[test]
    fn one_in_n_is_one_in_n() {
        let mut state = 7;
        for n in [1, 2, 10, 1000].map(|n| NonZeroU32::new(n).expect("not zero")) {
            let chosen = (0..100_000)
                .filter(|_| one_in(n, next_random(&mut state)))
                .count();
            let expected = 100_000 / n.get() as usize;
            assert!(
                chosen.abs_diff(expected) <= 4 * expected.isqrt(),
                "{chosen} of {expected}"
            );
        }
    }
}
