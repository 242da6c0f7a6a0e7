//! As large a part as the target allows.

use super::random::{Part, RandomNumbers};
use super::{Choice, Sampler};
use crate::clock::{Instant, saturating_nanos};
use core::num::NonZeroU32;
use core::time::Duration;

/// Keeps that part of all which gives a target in every period, on the whole: it measures how many come, and sets the
/// part at the end of each period.
///
/// The estimate is the mean of the last one and of what came in the period that ended (an exponential average with
/// one half), so the part follows a change within a few periods, down and up again. When more come in a period than
/// were expected, the part goes down at once: of a burst of `n` about target · (1 + ln(n/target)) are kept.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::sample::{Adaptive, Sampler};
/// use core::num::NonZeroU32;
/// use core::time::Duration;
///
/// let mut fifty = Adaptive::new(NonZeroU32::new(50).unwrap(), Duration::from_secs(1), 1);
/// let second = |n: u64| Instant::from_nanos(n * 1_000_000_000);
/// assert_eq!(fifty.part(), 1.0);
/// for now in 0..5 {
///     (0..200).for_each(|_| _ = fifty.sample(second(now), 0));
/// }
/// assert!(fifty.part() < 0.3);
/// for now in 5..20 {
///     fifty.sample(second(now), 0);
/// }
/// assert_eq!(fifty.part(), 1.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Adaptive {
    target: u32,
    period: u64,
    /// When the present period is over, once there is one.
    ends: Option<u64>,
    /// How many came in it.
    came: u64,
    /// How many come in a period, in 256ths; none before the first is over.
    estimate: Option<u64>,
    /// How many are expected in the present one.
    expected: u64,
    part: f64,
    choice: Part,
    numbers: RandomNumbers,
}

impl Adaptive {
    /// Keeps all until it knows better. A period of zero is one nanosecond.
    #[must_use]
    pub const fn new(target: NonZeroU32, period: Duration, seed: u64) -> Self {
        let period = saturating_nanos(period);
        Self {
            target: target.get(),
            period: if period == 0 { 1 } else { period },
            ends: None,
            came: 0,
            estimate: None,
            expected: target.get() as u64,
            part: 1.0,
            choice: Part::of(1.0),
            numbers: RandomNumbers::new(seed),
        }
    }

    /// Which part is kept at present.
    #[must_use]
    pub const fn part(&self) -> f64 {
        self.part
    }

    /// Ends the periods that are over.
    fn advance(&mut self, now: u64) {
        let Some(ends) = self.ends else {
            self.ends = Some(now.saturating_add(self.period));
            return;
        };
        if now < ends {
            return;
        }
        let later = (now - ends) / self.period;
        let came = self.came.saturating_mul(256);
        let estimate = self
            .estimate
            .map_or(came, |estimate| u64::midpoint(estimate, came));
        // In every period since then came none.
        let estimate = estimate >> later.min(63);
        self.estimate = Some(estimate);
        self.came = 0;
        self.ends = Some(ends.saturating_add((later + 1).saturating_mul(self.period)));
        self.expect(estimate / 256);
    }

    /// Sets the part so that the target is kept of so many.
    fn expect(&mut self, expected: u64) {
        self.expected = expected.max(u64::from(self.target));
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let expected = self.expected as f64;
        self.part = f64::from(self.target) / expected;
        self.choice = Part::of(self.part);
    }
}

impl Sampler for Adaptive {
    fn sample(&mut self, now: Instant, _trace: u128) -> Choice {
        self.advance(now.as_nanos());
        self.came = self.came.saturating_add(1);
        if self.came > self.expected {
            // A little more than came, so that not every one of a burst sets it anew.
            self.expect(self.came.saturating_add(self.came / 16));
        }
        self.choice.choose(self.numbers.next() >> 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn fifty(seed: u64) -> Adaptive {
        Adaptive::new(
            NonZeroU32::new(50).expect("not zero"),
            Duration::from_secs(1),
            seed,
        )
    }

    #[test]
    fn a_steady_stream_is_kept_at_the_target_and_its_weights_tell_how_large_it_is() {
        let mut sampler = fifty(3);
        let (mut kept, mut weight) = (0_u32, 0.0);
        for now in 0..110 {
            for _ in 0..1_000 {
                let choice = sampler.sample(at(now), 0);
                if now >= 10 {
                    kept += u32::from(choice.is_kept());
                    weight += f64::from(choice.weight());
                }
            }
        }
        assert!(kept.abs_diff(100 * 50) < 300, "{kept}");
        assert!((weight - 100_000.0).abs() < 6_000.0, "{weight}");
    }

    #[test]
    fn a_burst_lowers_the_part_at_once() {
        let mut sampler = fifty(5);
        let kept = (0..10_000)
            .filter(|_| sampler.sample(at(0), 0).is_kept())
            .count();
        // 50 · (1 + ln 200) is 315.
        assert!((50..400).contains(&kept), "{kept}");
        assert!(sampler.part() < 0.006);
    }

    #[test]
    fn times_at_the_end_of_the_clock_do_not_overflow() {
        let mut sampler = fifty(1);
        for nanos in [0, 5, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            assert!(sampler.sample(Instant::from_nanos(nanos), 0).is_kept());
        }
    }
}
