//! How often may children be restarted before that is itself the fault?
//!
//! ```text
//! intensity 3            ┌── period, both ends included ──┐
//! ───────x───────────────x────────x───────────────────────? now
//!     forgotten       oldest                              refused: it would be the fourth
//! ```
//!
//! Erlang/OTP keeps the list of restart times, prunes it, and counts. Whether the count passes the
//! limit depends only on the last `intensity` times, so a ring of them is enough, and only the one
//! that lies `intensity` restarts back is ever looked at. The ring keeps as many as it has room for, so
//! that a limit which is raised later knows what went before. Times are exact to the nanosecond, where
//! OTP counts whole seconds.

use crate::clock::{Instant, saturating_nanos};
use core::fmt;
use core::time::Duration;

/// At most `intensity` restarts in any closed window of `period`.
///
/// `MAX` is the largest intensity the value has room for. O(1) time; memory for `MAX` instants,
/// fixed.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::supervision::RestartIntensity;
/// use core::time::Duration;
///
/// let mut restarts = RestartIntensity::<8>::new(2, Duration::from_secs(5))?;
/// let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
/// assert!(restarts.admit(at(0)).is_ok());
/// assert!(restarts.admit(at(1)).is_ok());
/// assert!(restarts.admit(at(5)).is_err());     // the window is closed: 0 s still counts at 5 s
/// assert!(restarts.admit(at(6)).is_ok());
/// # Ok::<(), bedplate_core::supervision::IntensityError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RestartIntensity<const MAX: usize> {
    /// The last admitted times; the first `len` are in use.
    times: [Instant; MAX],
    /// Where the next time goes: the oldest one once the ring is full.
    next: usize,
    len: usize,
    /// The latest admitted time; a clock that goes back stands still there.
    latest: Instant,
    intensity: usize,
    period: Duration,
    /// How many may be admitted in all, and how many have been.
    total: Option<u32>,
    admitted: u32,
}

impl<const MAX: usize> RestartIntensity<MAX> {
    /// A limit under which nothing has been restarted yet. An intensity of 0 refuses every
    /// restart.
    ///
    /// # Errors
    /// [`IntensityError::TooHigh`] when `intensity` exceeds `MAX`;
    /// [`IntensityError::ZeroPeriod`] when `period` is zero, which would limit nothing.
    pub const fn new(intensity: u32, period: Duration) -> Result<Self, IntensityError> {
        match Self::check(intensity, period) {
            Ok(()) => {}
            Err(error) => return Err(error),
        }
        let intensity = intensity as usize;
        Ok(Self {
            times: [Instant::ZERO; MAX],
            next: 0,
            len: 0,
            latest: Instant::ZERO,
            intensity,
            period,
            total: None,
            admitted: 0,
        })
    }

    /// And at most so many in all, however seldom they are: for whoever rather does without than goes on like that. As many as
    /// like unless said.
    ///
    /// ```
    /// use bedplate_core::clock::Instant;
    /// use bedplate_core::supervision::RestartIntensity;
    /// use core::time::Duration;
    ///
    /// let mut restarts = RestartIntensity::<8>::new(3, Duration::from_secs(5))?.in_all(2);
    /// let at = |hours: u64| Instant::from_nanos(hours * 3_600_000_000_000);
    /// assert!(restarts.admit(at(1)).is_ok());
    /// assert!(restarts.admit(at(2)).is_ok());
    /// assert!(restarts.admit(at(1_000)).is_err());
    /// # Ok::<(), bedplate_core::supervision::IntensityError>(())
    /// ```
    #[must_use]
    pub const fn in_all(mut self, most: u32) -> Self {
        self.total = Some(most);
        self
    }

    /// Counts a restart at `now`, or refuses it. Where `now` goes back, it counts as simultaneous with
    /// the latest restart.
    ///
    /// # Errors
    /// [`TooManyRestarts`] when it would be one more than `intensity` within `period`, or than there may be in all. A refused
    /// restart did not happen and is not counted.
    pub fn admit(&mut self, now: Instant) -> Result<(), TooManyRestarts> {
        if self.is_used_up() {
            return Err(TooManyRestarts);
        }
        let now = now.max(self.latest);
        if self.len >= self.intensity {
            let period = saturating_nanos(self.period);
            let full = self
                .times_back(self.intensity)
                .is_none_or(|time| saturating_nanos(now.saturating_duration_since(time)) <= period);
            if full {
                return Err(TooManyRestarts);
            }
        }
        self.latest = now;
        self.times[self.next] = now;
        self.next = (self.next + 1) % MAX;
        self.len = (self.len + 1).min(MAX);
        self.admitted = self.admitted.saturating_add(1);
        Ok(())
    }

    /// Another limit, under which the restarts so far count: as many of the last as there is room for. How many there may be in
    /// all stays.
    ///
    /// # Errors
    /// As [`new`](Self::new); the limit is then unchanged.
    pub const fn change(&mut self, intensity: u32, period: Duration) -> Result<(), IntensityError> {
        match Self::check(intensity, period) {
            Ok(()) => {
                self.intensity = intensity as usize;
                self.period = period;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Another number of restarts in all, those so far included; `None` if there may be as many as like.
    pub const fn change_total(&mut self, most: Option<u32>) {
        self.total = most;
    }

    const fn check(intensity: u32, period: Duration) -> Result<(), IntensityError> {
        if intensity as usize > MAX {
            return Err(IntensityError::TooHigh {
                intensity,
                most: MAX,
            });
        }
        if period.is_zero() {
            return Err(IntensityError::ZeroPeriod);
        }
        Ok(())
    }

    /// The time of the restart that lies `back` restarts back; none for `back` 0.
    fn times_back(&self, back: usize) -> Option<Instant> {
        let place = (self.next + MAX).checked_sub(back)?.checked_rem(MAX)?;
        (back > 0).then(|| self.times[place])
    }

    /// The number of restarts allowed in a window.
    #[must_use]
    pub fn intensity(&self) -> u32 {
        // It was a `u32` when it came in.
        u32::try_from(self.intensity).unwrap_or(u32::MAX)
    }

    /// How many restarts there may be in all; `None` if as many as like.
    #[must_use]
    pub const fn total(&self) -> Option<u32> {
        self.total
    }

    /// Whether there have been as many as there may be in all: then every other one is refused.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.total.is_some_and(|most| self.admitted >= most)
    }

    /// The length of the window.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }
}

/// One restart more than the intensity allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyRestarts;

impl fmt::Display for TooManyRestarts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many restarts within the period")
    }
}

impl core::error::Error for TooManyRestarts {}

/// Why a restart limit was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IntensityError {
    /// More restarts than there is room to remember.
    TooHigh {
        /// The intensity asked for.
        intensity: u32,
        /// The largest possible one.
        most: usize,
    },
    /// A period of zero limits nothing.
    ZeroPeriod,
}

impl fmt::Display for IntensityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooHigh { intensity, most } => {
                write!(
                    f,
                    "a restart intensity of {intensity} exceeds the possible {most}"
                )
            }
            Self::ZeroPeriod => f.write_str("a restart period of zero limits nothing"),
        }
    }
}

impl core::error::Error for IntensityError {}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn a_clock_that_went_back_makes_the_limit_no_stricter() {
        let mut limit = RestartIntensity::<2>::new(2, Duration::from_secs(5)).unwrap();
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        assert!(limit.admit(at(10_200)).is_ok());
        assert!(limit.admit(at(10_000)).is_ok()); // counts as at 10.2 s
        assert!(limit.admit(at(15_200)).is_err());
        assert!(limit.admit(at(15_201)).is_ok());
    }

    #[test]
    fn the_window_is_closed_to_the_nanosecond() {
        let mut restarts = RestartIntensity::<3>::new(3, Duration::from_secs(5)).unwrap();
        for second in 0..3 {
            assert!(restarts.admit(at(second * SECOND)).is_ok());
        }
        assert_eq!(restarts.clone().admit(at(5 * SECOND)), Err(TooManyRestarts));
        assert_eq!(restarts.admit(at(5 * SECOND + 1)), Ok(()));
    }

    #[test]
    fn a_changed_limit_knows_what_went_before() {
        let mut restarts = RestartIntensity::<4>::new(1, Duration::from_nanos(1)).unwrap();
        for time in [0, 10, 20] {
            assert_eq!(restarts.admit(at(time)), Ok(()));
        }
        restarts.change(3, Duration::from_nanos(22)).unwrap();
        assert_eq!(restarts.clone().admit(at(22)), Err(TooManyRestarts));
        assert_eq!(restarts.admit(at(23)), Ok(()));
        let refused = restarts.change(5, Duration::from_nanos(1));
        assert!(matches!(refused, Err(IntensityError::TooHigh { .. })));
        assert_eq!(restarts.intensity(), 3);
    }

    #[test]
    fn in_all_means_however_seldom() {
        let limit = RestartIntensity::<2>::new(2, Duration::from_nanos(10)).unwrap();
        let mut limit = limit.in_all(3);
        assert_eq!(limit.total(), Some(3));
        // One that the window refuses did not happen.
        for time in [0, 1] {
            assert_eq!(limit.admit(at(time)), Ok(()));
        }
        assert_eq!(limit.admit(at(2)), Err(TooManyRestarts));
        assert!(!limit.is_used_up());
        assert_eq!(limit.admit(at(SECOND)), Ok(()));
        assert!(limit.is_used_up());
        assert_eq!(limit.admit(at(1_000 * SECOND)), Err(TooManyRestarts));
        // Those so far count under another limit.
        limit.change(1, Duration::from_nanos(1)).unwrap();
        limit.change_total(Some(4));
        assert_eq!(limit.admit(at(1_000 * SECOND)), Ok(()));
        assert_eq!(limit.admit(at(2_000 * SECOND)), Err(TooManyRestarts));
        limit.change_total(None);
        assert_eq!(limit.admit(at(2_000 * SECOND)), Ok(()));
        let never = RestartIntensity::<2>::new(2, Duration::from_nanos(10)).unwrap();
        assert_eq!(never.in_all(0).admit(at(0)), Err(TooManyRestarts));
    }

    #[test]
    fn an_intensity_of_zero_refuses_the_first() {
        let mut restarts = RestartIntensity::<0>::new(0, Duration::from_nanos(1)).unwrap();
        assert_eq!(restarts.admit(at(SECOND)), Err(TooManyRestarts));
    }

    #[test]
    fn steady_crashes_below_the_rate_never_exhaust_it() {
        let mut restarts = RestartIntensity::<8>::new(3, Duration::from_millis(300)).unwrap();
        for crash in 0..1_000 {
            assert_eq!(restarts.admit(at(crash * SECOND / 5)), Ok(()));
        }
    }

    #[test]
    fn extremes_of_time_do_not_overflow() {
        let mut restarts = RestartIntensity::<1>::new(1, Duration::MAX).unwrap();
        assert_eq!(restarts.admit(Instant::ZERO), Ok(()));
        assert_eq!(restarts.admit(Instant::MAX), Err(TooManyRestarts));
    }

    #[test]
    fn limits_that_cannot_be_kept_are_refused() {
        assert_eq!(
            RestartIntensity::<4>::new(5, Duration::from_secs(1)).unwrap_err(),
            IntensityError::TooHigh {
                intensity: 5,
                most: 4
            }
        );
        assert_eq!(
            RestartIntensity::<4>::new(1, Duration::ZERO).unwrap_err(),
            IntensityError::ZeroPeriod
        );
    }
}
