//! Is it alive, may it be given work, and what is wrong with it?
//!
//! These are three questions, because three different things follow from the answers:
//!
//! | question | asked by whoever | if the answer is no |
//! |---|---|---|
//! | is it live? | can start it again | it is ended, and started again |
//! | is it ready? | hands out work | it is given none |
//! | is it degraded? (yes) | looks after it | somebody is told |
//!
//! Whether it is live is found within: whoever asks a database that question ends all programs that need the database when it
//! is away, which brings it back no sooner. So no check counts for that, whatever it says.
//!
//! [`Status`] is the rule, and has a table of it: what is known of each child and each check is turned into one, and they are put
//! together with [`and`](Status::and). [`Check`] is one check of something outside: when it is due, when its answer is late, and for
//! how long an answer holds. [`Lateness`] tells who is late from a program that was paused. Nothing here reads a clock, runs a check, or ends anything.
//!
//! ```
//! use bedplate_core::health::{Status, Verdict};
//! use bedplate_core::supervision::ChildState;
//!
//! let motor = Status::of_child(ChildState::Running, false, true);     // critical, and in time
//! let display = Status::of_child(ChildState::Running, true, false);   // stuck, and not critical
//! let uplink = Status::of_check(Verdict::TimedOut, false);
//! let whole = motor.and(display).and(uplink);
//! assert!(whole.live && whole.ready && whole.degraded);
//! if whole.live {
//!     // … feed the hardware's watchdog …
//! }
//! ```

mod check;
mod lateness;

pub use check::{Check, LEAST_INTERVAL, Verdict};
pub use lateness::Lateness;

use crate::supervision::{ChildState, Phase};

/// The three answers, of one thing or of many together.
///
/// | what is known | if critical | if not |
/// |---|---|---|
/// | a child runs | | |
/// | a child is stuck, whatever else it does | not live, not ready | degraded |
/// | a child was abandoned, and has not ended since | not live | degraded |
/// | a child waits for its turn or for a delay, starts, or stops | not ready | degraded |
/// | a child is stopped, and nobody will start it | not ready | |
/// | a check passed | | |
/// | a check failed, timed out, or is stale | not ready | degraded |
/// | a check has not answered yet | not ready | |
/// | the supervisor itself starts, or stops | not ready | not ready |
/// | it has ended | not live, not ready | not live, not ready |
/// | whoever watches deadlines is late | not live | not live |
///
/// Who is not live or not ready is degraded, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether it is alive: to start it again would not help.
    pub live: bool,
    /// Whether it may be given work.
    pub ready: bool,
    /// Whether somebody should be told.
    pub degraded: bool,
}

impl Status {
    /// Nothing is wrong.
    pub const WELL: Self = Self {
        live: true,
        ready: true,
        degraded: false,
    };
    const DEGRADED: Self = Self {
        live: true,
        ready: true,
        degraded: true,
    };
    const NOT_READY: Self = Self {
        live: true,
        ready: false,
        degraded: true,
    };
    const NOT_LIVE: Self = Self {
        live: false,
        ready: true,
        degraded: true,
    };
    const NEITHER: Self = Self {
        live: false,
        ready: false,
        degraded: true,
    };

    /// Of both together: live and ready only if both are, degraded if one is. In whatever order.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            live: self.live && other.live,
            ready: self.ready && other.ready,
            degraded: self.degraded || other.degraded,
        }
    }

    /// Of a child in this state, which was found to be [stuck](crate::supervision::Watched::is_stuck) or not. One that is not
    /// watched never is.
    #[must_use]
    pub const fn of_child(state: ChildState, stuck: bool, critical: bool) -> Self {
        match state {
            _ if stuck && critical => Self::NEITHER,
            _ if stuck => Self::DEGRADED,
            ChildState::Running => Self::WELL,
            // Its work is done, or somebody wanted it so.
            ChildState::Stopped if !critical => Self::WELL,
            _ if critical => Self::NOT_READY,
            _ => Self::DEGRADED,
        }
    }

    /// Of an incarnation that was abandoned and has not ended since. It takes what it has until the whole is started again; that
    /// another one works in its place makes it no better.
    #[must_use]
    pub const fn of_abandoned(critical: bool) -> Self {
        if critical {
            Self::NOT_LIVE
        } else {
            Self::DEGRADED
        }
    }

    /// Of a check that says this. It is critical if no work can be done without what it checks; it never counts for `live`.
    #[must_use]
    pub const fn of_check(verdict: Verdict, critical: bool) -> Self {
        match verdict {
            Verdict::Passed => Self::WELL,
            _ if critical => Self::NOT_READY,
            Verdict::Unanswered => Self::WELL,
            _ => Self::DEGRADED,
        }
    }

    /// Of the supervisor of all that is asked about.
    #[must_use]
    pub const fn of_supervisor(phase: Phase) -> Self {
        match phase {
            Phase::Running => Self::WELL,
            Phase::Ended(_) => Self::NEITHER,
            _ => Self::NOT_READY,
        }
    }

    /// Of whoever watches the deadlines, who is [late](Lateness) or not: as long as he is, nobody is restarted after a delay, found to be stuck, or abandoned.
    #[must_use]
    pub const fn of_timer(late: bool) -> Self {
        if late { Self::NOT_LIVE } else { Self::WELL }
    }
}

#[cfg(test)]
mod tests;
