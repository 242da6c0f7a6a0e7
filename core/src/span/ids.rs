//! Identities.

use crate::context::{SpanId, TraceId};
use crate::sample::RandomNumbers;
use core::num::{NonZeroU64, NonZeroU128};

/// The identities of traces and spans that one context gives out: from a seed, and the same seed gives the same ones.
///
/// Within 2⁶⁴ of them no span's comes twice. That those of different contexts differ is up to their seeds: 128 bits that
/// are random, or that a device, a start and a context have for themselves.
///
/// # From interrupts
/// Each context has its own; it is changed by a plain addition.
///
/// ```
/// use bedplate_core::span::SpanIds;
///
/// let (mut ids, mut same) = (SpanIds::new(7), SpanIds::new(7));
/// assert_eq!(ids.next_trace(), same.next_trace());
/// assert_eq!(ids.next_span(), same.next_span());
/// assert_ne!(ids.next_span(), same.next_trace_and_span().1);
/// ```
#[derive(Clone, Debug)]
pub struct SpanIds {
    /// Of the upper half of a trace's identity.
    high: RandomNumbers,
    /// Of its lower half, and of spans.
    low: RandomNumbers,
}

impl SpanIds {
    /// The identities of this seed.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the seed is divided into halves"
    )]
    pub const fn new(seed: u128) -> Self {
        Self {
            high: RandomNumbers::new((seed >> 64) as u64),
            low: RandomNumbers::new(seed as u64),
        }
    }

    /// The next span's.
    #[inline]
    pub const fn next_span(&mut self) -> SpanId {
        loop {
            // Zero is none. It comes once in 2⁶⁴.
            if let Some(id) = NonZeroU64::new(self.low.next()) {
                return SpanId(id);
            }
        }
    }

    /// The next trace's: random in all its bits, if the seed is.
    #[inline]
    pub const fn next_trace(&mut self) -> TraceId {
        let low = self.next_span().0.get() as u128;
        let id = ((self.high.next() as u128) << 64) | low;
        match NonZeroU128::new(id) {
            Some(id) => TraceId(id),
            None => unreachable!(),
        }
    }

    /// Those of a trace, and of the span it begins with.
    #[inline]
    pub const fn next_trace_and_span(&mut self) -> (TraceId, SpanId) {
        (self.next_trace(), self.next_span())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_identity_comes_twice() {
        let mut ids = SpanIds::new(0x1234 << 64);
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let (trace, span) = ids.next_trace_and_span();
            assert!(seen.insert(span.0.get().into()));
            // Their lower halves come out of the same numbers.
            assert!(seen.insert(trace.0.get() & u128::from(u64::MAX)));
        }
    }

    #[test]
    fn both_halves_of_the_seed_count() {
        let first = |seed| SpanIds::new(seed).next_trace();
        assert_ne!(first(1), first(2));
        assert_ne!(first(1), first(1 | (1 << 64)));
    }
}
