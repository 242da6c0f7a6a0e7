//! Time as an argument.
//!
//! Nothing in this crate reads a clock: whatever needs the time takes `now: Instant`. The caller
//! decides what drives it: a hardware timer, a cached tick, `std::time::Instant`, or a test that
//! counts by hand.

use core::fmt;
use core::time::Duration;

/// A point in time: nanoseconds since an arbitrary start, the same start for all values that are
/// compared with each other.
///
/// 64 bits of nanoseconds last 584 years. Arithmetic saturates: a deadline "for ever" away is
/// [`Instant::MAX`], and an instant that lies earlier than another is zero after it. Copying and
/// comparing are plain integer operations, usable from interrupts.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use core::time::Duration;
///
/// let now = Instant::from_nanos(2_000);
/// let deadline = now.saturating_add(Duration::from_micros(3));
/// assert_eq!(deadline.as_nanos(), 5_000);
/// assert_eq!(deadline.saturating_duration_since(now), Duration::from_micros(3));
/// assert_eq!(now.saturating_duration_since(deadline), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The arbitrary start itself.
    pub const ZERO: Self = Self(0);
    /// Later than every other instant; what a deadline becomes when there is none.
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This instant moved `by` into the future, at most to [`Instant::MAX`].
    #[must_use]
    pub const fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(by)))
    }

    /// The time from `earlier` to this instant; zero if `earlier` is in fact later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({} ns)", self.0)
    }
}

/// `duration` in whole nanoseconds, at most `u64::MAX` (584 years).
pub(crate) const fn saturating_nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 {
        u64::MAX
    } else {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "just compared with the maximum"
        )]
        let nanos = nanos as u64;
        nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(
            Instant::MAX.saturating_add(Duration::from_secs(1)),
            Instant::MAX
        );
        assert_eq!(Instant::ZERO.saturating_add(Duration::MAX), Instant::MAX);
        assert_eq!(
            Instant::ZERO.saturating_duration_since(Instant::MAX),
            Duration::ZERO
        );
    }
}
