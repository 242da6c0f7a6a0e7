//! One check of something outside: when it is due, when its answer is late, and for how long an answer holds.
//!
//! ```text
//!              begin, if due                          finish
//!   waiting ──────────────────► running ────────────────────────────────► waiting, until `every` later
//!      │                           │                                         Passed, Failed
//!      │ so long that a whole      │ longer than `limit`: TimedOut,
//!      │ round was missed: Stale   │ and so it stays if it then answers: that was late
//! ```
//!
//! What was answered last is kept, and holds until it is settled otherwise: whoever asks how the check stands is answered at once,
//! also while it runs. It runs once at a time: while it does, it is not due, however long that takes. The interval counts from
//! the end of one run to the beginning of the next, so that what answers slowly is not asked without a pause.

use crate::clock::Instant;
use core::time::Duration;

/// No check is made oftener than this.
pub const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It has not answered yet, and is not late.
    Unanswered,
    /// What it checks is as it should be, as far as was known last.
    Passed,
    /// It is not, or the check itself has failed.
    Failed,
    /// It takes longer than it may, or took longer the last time.
    TimedOut,
    /// It should have been made long ago, and was not: whoever makes it has no time, or is not there. What was answered last
    /// is too old to count.
    Stale,
}

/// One check, of which somebody else makes the runs.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::health::{Check, Verdict};
/// use core::time::Duration;
///
/// let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
/// let mut check = Check::new(at(0), Duration::from_secs(10), Duration::from_secs(2));
/// assert!(check.begin(at(0)));
/// assert_eq!(check.verdict(at(1)), Verdict::Unanswered);
/// assert!(check.finish(at(1), true));
/// assert_eq!(check.verdict(at(5)), Verdict::Passed);
///
/// assert_eq!(check.due(), Some(at(11)));
/// assert!(check.begin(at(11)));
/// assert_eq!(check.verdict(at(13)), Verdict::Passed);      // as far as is known
/// assert_eq!(check.verdict(at(14)), Verdict::TimedOut);
/// assert!(!check.begin(at(100)));                          // it still runs
/// assert!(!check.finish(at(100), true));                   // that was late
/// assert_eq!(check.verdict(at(101)), Verdict::TimedOut);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Check {
    every: Duration,
    limit: Duration,
    run: Run,
    settled: Verdict,
    answered: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Run {
    Due(Instant),
    Since(Instant),
}

impl Check {
    /// A check that is due at `now`, and then each time `every` after it was made, but no oftener than
    /// [`LEAST_INTERVAL`]. A run may take until `limit`, that included.
    #[must_use]
    pub const fn new(now: Instant, every: Duration, limit: Duration) -> Self {
        let every = if every.as_nanos() < LEAST_INTERVAL.as_nanos() {
            LEAST_INTERVAL
        } else {
            every
        };
        Self {
            every,
            limit,
            run: Run::Due(now),
            settled: Verdict::Unanswered,
            answered: None,
        }
    }

    /// When the next run is to begin; `None` as long as one runs.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        match self.run {
            Run::Due(due) => Some(due),
            Run::Since(_) => None,
        }
    }

    /// Somebody would make it now: whether he is to. He is not if it is not due, or runs.
    #[must_use = "who is told so has to make it"]
    pub fn begin(&mut self, now: Instant) -> bool {
        match self.run {
            Run::Due(due) if due <= now => {
                self.settled = self.verdict(now);
                self.run = Run::Since(now);
                true
            }
            _ => false,
        }
    }

    /// The run that has begun is over, and what it checks was found as it should be, or not. Whether that was in time; if not, it
    /// does not count what was found. Without effect if none has begun.
    pub fn finish(&mut self, now: Instant, passed: bool) -> bool {
        let Run::Since(since) = self.run else {
            return false;
        };
        let in_time = now.saturating_duration_since(since) <= self.limit;
        self.settled = match passed {
            _ if !in_time => Verdict::TimedOut,
            true => Verdict::Passed,
            false => Verdict::Failed,
        };
        self.answered = Some(now);
        self.run = Run::Due(now.saturating_add(self.every));
        in_time
    }

    /// How it stands. O(1).
    #[must_use]
    pub fn verdict(&self, now: Instant) -> Verdict {
        match self.run {
            Run::Since(since) if now.saturating_duration_since(since) > self.limit => {
                Verdict::TimedOut
            }
            Run::Due(due) if now.saturating_duration_since(due) > self.patience() => Verdict::Stale,
            _ => self.settled,
        }
    }

    /// How old the last answer is, if there is one, also if it was late.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.answered?))
    }

    /// How long the present run has taken, if one runs.
    #[must_use]
    pub fn running(&self, now: Instant) -> Option<Duration> {
        match self.run {
            Run::Since(since) => Some(now.saturating_duration_since(since)),
            Run::Due(_) => None,
        }
    }

    /// How long a run may take.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// So long after it was due, a whole round was missed.
    const fn patience(&self) -> Duration {
        self.every.saturating_add(self.limit)
    }
}
