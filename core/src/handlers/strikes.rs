//! When has a handler failed too often?

use crate::clock::Instant;
use crate::supervision::RestartIntensity;
use core::time::Duration;

/// The most strikes that are counted.
pub const MAX_STRIKES: u32 = 16;

/// What becomes of a handler that fails.
///
/// ```
/// use bedplate_core::handlers::FailurePolicy;
/// use core::time::Duration;
///
/// let patient = FailurePolicy::strikes(3, Duration::from_secs(60));
/// assert_eq!(patient, FailurePolicy::default());
/// assert_eq!(FailurePolicy::strikes(1, Duration::from_secs(60)), FailurePolicy::Detach);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// It stays, however often it fails.
    Keep,
    /// It is detached when it fails once.
    Detach,
    /// It is detached when it fails for the `strikes`-th time within `period`.
    Strikes {
        /// From 2 to [`MAX_STRIKES`].
        strikes: u32,
        /// Not zero.
        period: Duration,
    },
}

impl FailurePolicy {
    /// It is detached when it fails for the `strikes`-th time within `period`: from 1 to [`MAX_STRIKES`];
    /// what is beyond counts as the nearest of these. With a period of zero, every failure is the first.
    #[must_use]
    pub const fn strikes(strikes: u32, period: Duration) -> Self {
        match strikes {
            0 | 1 => Self::Detach,
            _ if period.is_zero() => Self::Keep,
            _ if strikes > MAX_STRIKES => Self::Strikes {
                strikes: MAX_STRIKES,
                period,
            },
            _ => Self::Strikes { strikes, period },
        }
    }
}

/// Detached with the third failure within a minute.
impl Default for FailurePolicy {
    fn default() -> Self {
        Self::strikes(3, Duration::from_secs(60))
    }
}

/// The failures of one handler: a plain state machine.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::handlers::{FailurePolicy, Strikes, Verdict};
/// use core::time::Duration;
///
/// let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
/// let mut strikes = Strikes::new(FailurePolicy::strikes(2, Duration::from_secs(10)));
/// assert_eq!(strikes.failed(at(0)), Verdict::Stays);
/// assert_eq!(strikes.failed(at(20)), Verdict::Stays);    // the first is forgotten
/// assert_eq!(strikes.failed(at(30)), Verdict::Detach);   // the second within ten seconds
/// assert_eq!(strikes.failures(), 3);
/// ```
#[derive(Clone, Debug)]
pub struct Strikes {
    failures: u64,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Keep,
    Detach,
    /// As many failures as are forgiven within a period.
    Forgive(RestartIntensity<{ MAX_STRIKES as usize }>),
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing.
    Stays,
    /// The handler is to be detached.
    Detach,
}

impl Strikes {
    /// None yet.
    #[must_use]
    pub const fn new(policy: FailurePolicy) -> Self {
        let rule = match policy {
            FailurePolicy::Keep => Rule::Keep,
            FailurePolicy::Detach => Rule::Detach,
            FailurePolicy::Strikes { strikes, period } => {
                match RestartIntensity::new(strikes.saturating_sub(1), period) {
                    Ok(forgiven) => Rule::Forgive(forgiven),
                    // Written out by hand, past the constructor: too many, or within no time.
                    Err(_) if period.is_zero() => Rule::Keep,
                    Err(_) => Rule::Detach,
                }
            }
        };
        Self { failures: 0, rule }
    }

    /// Counts a failure at `now` and says what follows. O(1).
    pub fn failed(&mut self, now: Instant) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        let stays = match &mut self.rule {
            Rule::Keep => true,
            Rule::Detach => false,
            Rule::Forgive(forgiven) => forgiven.admit(now).is_ok(),
        };
        if stays {
            Verdict::Stays
        } else {
            Verdict::Detach
        }
    }

    /// How many failures there were.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(policy: FailurePolicy, times: &[u64]) -> usize {
        let mut strikes = Strikes::new(policy);
        let stays = |&&seconds: &&u64| {
            strikes.failed(Instant::from_nanos(seconds * 1_000_000_000)) == Verdict::Stays
        };
        times.iter().take_while(stays).count()
    }

    #[test]
    fn each_policy_decides_as_it_says() {
        let minute = Duration::from_secs(60);
        assert_eq!(verdicts(FailurePolicy::Keep, &[0; 99]), 99);
        assert_eq!(verdicts(FailurePolicy::Detach, &[0; 99]), 0);
        assert_eq!(verdicts(FailurePolicy::default(), &[0; 99]), 2);
        assert_eq!(verdicts(FailurePolicy::default(), &[0, 30, 60]), 2);
        assert_eq!(verdicts(FailurePolicy::default(), &[0, 30, 61, 90]), 3);
        assert_eq!(verdicts(FailurePolicy::strikes(99, minute), &[0; 99]), 15);
        assert_eq!(
            verdicts(FailurePolicy::strikes(2, Duration::ZERO), &[0; 99]),
            99
        );
    }

    #[test]
    fn a_policy_written_by_hand_does_no_harm() {
        let minute = Duration::from_secs(60);
        let policy = |strikes, period| FailurePolicy::Strikes { strikes, period };
        assert_eq!(verdicts(policy(0, minute), &[0; 9]), 0);
        assert_eq!(verdicts(policy(1, minute), &[0; 9]), 0);
        assert_eq!(verdicts(policy(99, minute), &[0; 9]), 0);
        assert_eq!(verdicts(policy(3, Duration::ZERO), &[0; 9]), 9);
    }
}
