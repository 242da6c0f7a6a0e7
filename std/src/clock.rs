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
