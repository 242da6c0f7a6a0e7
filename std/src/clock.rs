//! The process's clock.

use crate::sync::OnceLock;
pub use bedplate_core::clock::Instant;
use core::time::Duration;

/// The present time on the process's monotonic clock, counted from the first call.
///
/// It never goes back. On Linux it stands still while the machine is suspended.
///
/// ```
/// let earlier = bedplate::clock::now();
/// assert!(earlier <= bedplate::clock::now());
/// ```
#[must_use]
pub fn now() -> Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let since_start: Duration = START.get_or_init(std::time::Instant::now).elapsed();
    Instant::ZERO.saturating_add(since_start)
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
