//! The process's clock.

use crate::sync::OnceLock;
pub use bedplate_core::clock::Instant;

/// The present time on the process's monotonic clock, counted from the first call.
///
/// It never goes back. On Linux it stands still while the machine is suspended.
///
/// ```
/// let earlier = bedplate::clock::now();
/// assert!(earlier <= bedplate::clock::now());
/// ```
#[inline]
#[must_use]
pub fn now() -> Instant {
    static START: OnceLock<system::Reading> = OnceLock::new();
    let start = *START.get_or_init(system::read);
    Instant::from_nanos(system::nanos_since(start))
}

/// What the system counts, in nanoseconds: a third less than through the standard library, which takes the difference of
/// seconds and nanoseconds apart and checks both for what this clock does not do.
#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    pub(super) type Reading = u64;

    #[inline]
    pub(super) fn read() -> Reading {
        let time = clock_gettime(ClockId::Monotonic);
        // Neither is negative: the time since the machine was started. 64 bits last for 584 years.
        #[expect(clippy::cast_sign_loss, reason = "not negative")]
        let (seconds, nanos) = (time.tv_sec as u64, time.tv_nsec as u64);
        seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos)
    }

    #[inline]
    pub(super) fn nanos_since(start: Reading) -> u64 {
        read().saturating_sub(start)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use core::time::Duration;

    pub(super) type Reading = std::time::Instant;

    pub(super) fn read() -> Reading {
        std::time::Instant::now()
    }

    pub(super) fn nanos_since(start: Reading) -> u64 {
        let since: Duration = start.elapsed();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A time not long ago, for two loads: that at which [recorded events](crate::telemetry::record) were last told, some ten
/// milliseconds before [`now`] at most, or longer if their handlers take their time; `now` itself where nothing was
/// recorded for a while, so that nobody keeps that time up to date.
///
/// It never goes back, but may lie before what `now` has answered.
///
/// ```
/// use bedplate::clock;
///
/// let recent = clock::recent();
/// assert!(recent <= clock::now());
/// ```
#[must_use]
pub fn recent() -> Instant {
    crate::telemetry::shard::recent()
}
