//! So many a second.

use super::{Choice, Sampler};
use crate::clock::{Instant, saturating_nanos};
use core::num::NonZeroU32;
use core::time::Duration;

/// Keeps at most so many of what begins in a period; the periods begin with what comes first.
///
/// The weight of what is kept counts it and those that were left out since the last that was kept, so the sum of
/// the weights is, at every one that is kept, exactly how many there were.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::sample::{RateLimited, Sampler};
/// use core::num::NonZeroU32;
/// use core::time::Duration;
///
/// let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
/// let mut ten = RateLimited::new(NonZeroU32::new(10).unwrap(), Duration::from_secs(1));
/// assert_eq!((0..20).filter(|_| ten.sample(at(0), 0).is_kept()).count(), 10);
/// assert_eq!(ten.sample(at(1_000), 0).weight(), 11.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RateLimited {
    most: u32,
    period: u64,
    /// When the present period is over; zero before the first.
    ends: u64,
    kept: u32,
    left: u64,
}

impl RateLimited {
    /// Keeps at most so many in a period. In one of zero, all.
    #[must_use]
    pub const fn new(most: NonZeroU32, period: Duration) -> Self {
        Self {
            most: most.get(),
            period: saturating_nanos(period),
            ends: 0,
            kept: 0,
            left: 0,
        }
    }
}

impl Sampler for RateLimited {
    fn sample(&mut self, now: Instant, _trace: u128) -> Choice {
        if now.as_nanos() >= self.ends {
            self.ends = now.as_nanos().saturating_add(self.period);
            self.kept = 0;
        }
        if self.kept == self.most {
            self.left = self.left.saturating_add(1);
            return Choice::LEAVE;
        }
        self.kept += 1;
        let stands_for = core::mem::take(&mut self.left).saturating_add(1);
        #[expect(clippy::cast_precision_loss, reason = "a weight is this exact")]
        Choice::keep(stands_for as f32)
    }
}
