//! How long to wait before a child is restarted?
//!
//! ```text
//! restart      1st   2nd     3rd       4th   …
//! delay         0   first  first×f  first×f²  … at most max      each less up to `jitter` of it
//!               ▲
//!               └── begins over when the child was up for `reset_after`
//! ```
//!
//! Integers only, and no source of chance but a seed: the same seed gives the same delays.

use crate::clock::saturating_nanos;
use core::fmt;
use core::time::Duration;

/// How the delays before a child's restarts grow.
///
/// The restart intensity counts restarts, however long each was delayed. So if delays grow so long
/// that fewer than `intensity` restarts fit into its period, the supervisor never gives up.
///
/// ```
/// use bedplate_core::supervision::{Backoff, Delays, Jitter};
/// use core::time::Duration;
///
/// let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(50))?;
/// let (mut delays, mut jitter) = (Delays::default(), Jitter::new(0));
/// let millis = [(); 5].map(|()| delays.next(&backoff, &mut jitter).as_millis());
/// assert_eq!(millis, [0, 10, 20, 40, 50]);
/// # Ok::<(), bedplate_core::supervision::BackoffError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// All in nanoseconds.
    first: u64,
    max: u64,
    reset_after: u64,
    factor_percent: u32,
    jitter_percent: u8,
}

impl Backoff {
    /// No delay, as in Erlang/OTP.
    pub const NONE: Self = Self {
        first: 0,
        max: 0,
        reset_after: 0,
        factor_percent: 100,
        jitter_percent: 0,
    };

    /// 10 ms, doubled up to a second, less up to a fifth, over again after ten seconds: what
    /// threads and processes should have unless there is a reason for something else.
    pub const GENTLE: Self = Self {
        first: 10_000_000,
        max: 1_000_000_000,
        reset_after: 10_000_000_000,
        factor_percent: 200,
        jitter_percent: 20,
    };

    /// The first restart at once, the second after `first`, each later one after twice as long as the
    /// one before, at most after `max`. No jitter; over again after ten seconds.
    ///
    /// # Errors
    /// [`BackoffError::FirstAboveMax`].
    pub const fn new(first: Duration, max: Duration) -> Result<Self, BackoffError> {
        let (first, max) = (saturating_nanos(first), saturating_nanos(max));
        if first > max {
            return Err(BackoffError::FirstAboveMax);
        }
        Ok(Self {
            first,
            max,
            ..Self::GENTLE.without_jitter()
        })
    }

    const fn without_jitter(mut self) -> Self {
        self.jitter_percent = 0;
        self
    }

    /// Each delay is so many percent of the one before.
    ///
    /// # Errors
    /// [`BackoffError::Shrinking`] below 100.
    pub const fn factor_percent(mut self, percent: u32) -> Result<Self, BackoffError> {
        if percent < 100 {
            return Err(BackoffError::Shrinking);
        }
        self.factor_percent = percent;
        Ok(self)
    }

    /// Each delay is cut by chance, by up to so many percent of it, lest children that ended together
    /// come back together.
    ///
    /// # Errors
    /// [`BackoffError::JitterAboveWhole`] above 100.
    pub const fn jitter_percent(mut self, percent: u8) -> Result<Self, BackoffError> {
        if percent > 100 {
            return Err(BackoffError::JitterAboveWhole);
        }
        self.jitter_percent = percent;
        Ok(self)
    }

    /// A child that was up for so long begins over.
    #[must_use]
    pub const fn reset_after(mut self, up: Duration) -> Self {
        self.reset_after = saturating_nanos(up);
        self
    }

    /// Whether a child that was up for `time` begins over.
    #[must_use]
    pub const fn resets_after(&self, time: Duration) -> bool {
        saturating_nanos(time) >= self.reset_after
    }
}

impl Default for Backoff {
    /// None, as in Erlang/OTP.
    fn default() -> Self {
        Self::NONE
    }
}

/// Where one child is in its delays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// The last one, before its jitter; `None` before the first restart.
    last: Option<u64>,
}

impl Delays {
    pub(super) const NEW: Self = Self { last: None };

    /// The delay before the next restart. O(1).
    pub fn next(&mut self, backoff: &Backoff, jitter: &mut Jitter) -> Duration {
        let delay = match self.last {
            None => 0,
            Some(0) => backoff.first,
            Some(last) => {
                let grown = u128::from(last) * u128::from(backoff.factor_percent) / 100;
                u64::try_from(grown).unwrap_or(u64::MAX).min(backoff.max)
            }
        };
        self.last = Some(delay);
        let widest = u128::from(delay) * u128::from(backoff.jitter_percent) / 100;
        Duration::from_nanos(delay - jitter.up_to(widest))
    }

    /// Begins over.
    pub const fn reset(&mut self) {
        self.last = None;
    }
}

/// Chance from a seed: Steele, Lea and Flood's SplitMix64 (2014). Good enough to spread delays, and for nothing else.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// The sequence that begins with `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `most`, which fits 64 bits.
    fn up_to(&mut self, most: u128) -> u64 {
        if most == 0 {
            return 0;
        }
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let scaled = (u128::from(bits) * (most + 1)) >> 64;
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

/// What is wrong with a [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackoffError {
    /// The first delay is longer than the longest.
    FirstAboveMax,
    /// A factor below one makes delays shorter.
    Shrinking,
    /// More than all of a delay cannot be cut off.
    JitterAboveWhole,
}

impl fmt::Display for BackoffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstAboveMax => "the first delay is longer than the longest",
            Self::Shrinking => "a factor below 100 % makes delays shorter",
            Self::JitterAboveWhole => "a jitter above 100 % is more than the whole delay",
        })
    }
}

impl core::error::Error for BackoffError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn delays(backoff: &Backoff, seed: u64, count: usize) -> Vec<u64> {
        let (mut delays, mut jitter) = (Delays::default(), Jitter::new(seed));
        let nanos = |_| u64::try_from(delays.next(backoff, &mut jitter).as_nanos()).unwrap();
        (0..count).map(nanos).collect()
    }

    #[test]
    fn without_delays_there_is_never_one() {
        assert_eq!(delays(&Backoff::NONE, 7, 5), [0; 5]);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let backoff = Backoff::new(Duration::MAX, Duration::MAX).unwrap();
        let backoff = backoff.factor_percent(u32::MAX).unwrap();
        let backoff = backoff.jitter_percent(100).unwrap();
        assert_eq!(delays(&backoff, u64::MAX, 100).len(), 100);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let (short, long) = (Duration::from_nanos(1), Duration::from_nanos(2));
        assert_eq!(Backoff::new(long, short), Err(BackoffError::FirstAboveMax));
        let shrinking = Backoff::GENTLE.factor_percent(99);
        assert_eq!(shrinking, Err(BackoffError::Shrinking));
        let above = Backoff::GENTLE.jitter_percent(101);
        assert_eq!(above, Err(BackoffError::JitterAboveWhole));
    }
}
