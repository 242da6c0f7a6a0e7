//! A part of all traces.

use super::random::Part;
use super::{Choice, Sampler};
use crate::clock::Instant;

/// Keeps a part of all traces, decided by the trace's id alone: whoever has the same ratio, in whatever process on
/// whatever machine, keeps the same traces, and whoever has a greater one keeps those and more.
///
/// The decision is that of OpenTelemetry's `TraceIdRatioBased` sampler as its Go and Rust SDKs make it: a trace is
/// kept if the last eight bytes of its id, without their last bit, are below the ratio's part of 2⁶³. Ids must be random,
/// as those of W3C trace contexts are.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::sample::{Ratio, Sampler};
///
/// let (mut half, mut all) = (Ratio::new(0.5), Ratio::new(1.0));
/// let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
/// assert!(!half.sample(Instant::ZERO, trace).is_kept());
/// assert!(all.sample(Instant::ZERO, trace).is_kept());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    part: Part,
}

impl Ratio {
    /// Keeps this part of all traces: below zero is zero, above one is one, and what is no number is zero.
    #[must_use]
    pub const fn new(ratio: f64) -> Self {
        Self {
            part: Part::of(ratio),
        }
    }

    /// The decision about a trace.
    #[must_use]
    #[inline]
    pub const fn choose(&self, trace: u128) -> Choice {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the last eight bytes decide"
        )]
        let low = trace as u64;
        self.part.choose(low >> 1)
    }
}

impl Sampler for Ratio {
    #[inline]
    fn sample(&mut self, _now: Instant, trace: u128) -> Choice {
        self.choose(trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_greater_ratio_keeps_what_a_smaller_one_keeps(trace: u128, one: f64, other: f64) {
            let (less, more) = if one < other { (one, other) } else { (other, one) };
            if Ratio::new(less).choose(trace).is_kept() {
                prop_assert!(Ratio::new(more).choose(trace).is_kept());
            }
        }

        #[test]
        fn only_the_last_eight_bytes_count(high: u64, low: u64, ratio in 0.0..=1.0_f64) {
            let trace = (u128::from(high) << 64) | u128::from(low);
            prop_assert_eq!(Ratio::new(ratio).choose(trace), Ratio::new(ratio).choose(low.into()));
        }
    }

    #[test]
    fn the_ends_and_what_is_no_ratio() {
        for trace in [0, 1, u128::MAX, u128::MAX << 64] {
            for all in [1.0, 1.5, f64::INFINITY] {
                assert!(Ratio::new(all).choose(trace).is_kept());
            }
            for none in [0.0, -0.5, f64::NAN, f64::NEG_INFINITY] {
                assert!(!Ratio::new(none).choose(trace).is_kept());
            }
        }
        assert_eq!(Ratio::new(0.125).choose(0).weight(), 8.0);
    }
}
