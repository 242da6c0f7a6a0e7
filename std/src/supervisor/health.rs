//! Is the program alive, may it be given work, and what is wrong with it?
//!
//! Three questions, since three different things follow: who is not *live* is ended and started again from outside; who is not
//! *ready* is given no work for a while; and of what is *degraded* somebody is told. [`SupRef::health`] answers them for a
//! supervisor and all below it, from what is known anyway, so that it may be asked at any time and as often as one likes.
//!
//! ```
//! use bedplate::supervisor::{ChildSpec, Supervisor};
//! use std::time::Duration;
//!
//! const SECOND: Duration = Duration::from_secs(1);
//! let orders = ChildSpec::worker("orders", |me| while !me.stop().wait(SECOND) {}).critical(true);
//! let database = ChildSpec::check("database", 10 * SECOND, SECOND, || {
//!     Err("connection refused")       // … ask it …
//! });
//! let supervisor = Supervisor::builder("shop").child(orders).child(database).start()?;
//! let handle = supervisor.handle();
//!
//! // What an HTTP server would answer at `/live` and `/ready`.
//! assert!(handle.health().live);
//! assert!(handle.health().ready);
//! # let began = std::time::Instant::now();
//! while handle.health().degraded.is_empty() {
//!     // … until the first answer is there …
//! #   assert!(began.elapsed() < 120 * SECOND);
//! }
//! let health = handle.health().to_string();
//! assert!(health.starts_with("live, ready, degraded\nshop/database: check failed"));
//! assert!(health.ends_with("connection refused"));
//! # Ok::<(), bedplate::supervisor::StartError>(())
//! ```
//!
//! # What counts
//!
//! The rule is [`bedplate_core::health::Status`], which has a table of it. In short:
//!
//! - *live*: the thread that watches deadlines is not late, no [critical](ChildSpec::critical) child is [stuck](ChildSpec::watch), and none
//!   of those that were abandoned still goes on. A child that is not watched is never stuck. The thread is late if it is more than five
//!   seconds behind, and was so more than a second ago when somebody looked, and ever since: a program that was paused, by a signal or
//!   with its machine, has all its deadlines behind it when it goes on, and is live all the same if the thread then catches up. So to find a
//!   thread that does nothing any more takes two looks, with more than a second between the first and the last.
//! - *ready*: all critical children run, none is stuck, all critical [checks](ChildSpec::check) have passed, and the
//!   supervisor that is asked has started all its children and has not begun to stop.
//! - *degraded*: all that is against it, and what is wrong elsewhere, each with its path. A child that is not critical may be
//!   [stopped](super::ChildState::Stopped): nobody waits for it.
//!
//! A check says what it likes, or hangs, without ever ending the program: a database that is away does not come back because of that.
//!
//! Critical is critical wherever it is in the tree, whatever the supervisors above it are. If one of those is away itself, its
//! children are not known; so a supervisor is missed, too, from the time on that there was a critical child below it: then nothing is
//! ready without it. Of a supervisor that is asked itself, only what is below it counts. One that a body has started by itself is looked at,
//! too, but nobody is missed for it: the child whose body that is can be critical.
//!
//! # Who asks
//!
//! Kubernetes, a load balancer, or whoever else can reach the program. Who cannot reach it (systemd, a watchdog in the hardware) must be fed:
//! [`ChildSpec::watchdog`] does that for as long as all is live.

mod check;
mod watchdog;

pub(super) use check::{Checked, Times};

use super::ChildState;
#[cfg(doc)]
use super::{ChildSpec, SupRef};
use bedplate_core::health::{Status, Verdict};
use bedplate_core::supervision::{End, Phase};
use core::fmt;
use core::time::Duration;

/// How a supervisor, and all below it, was at one moment; see the [module](self). Prints as the answers, and a line for each
/// trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether it is alive. If not, it should be ended and started again.
    pub live: bool,
    /// Whether it may be given work.
    pub ready: bool,
    /// What is wrong: a supervisor's children in their order, and then those of the supervisors below. Never empty if it is not
    /// live or not ready.
    pub degraded: Vec<Trouble>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// With which child or supervisor, as in `app/pool/worker`. Empty if it is not about any of those, or of one that is no more.
    pub path: String,
    /// Whether it is critical: then this is why the whole is not live, or not ready.
    pub critical: bool,
    /// What it is.
    pub problem: Problem,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It has said nothing for longer than it [may](ChildSpec::watch).
    Stuck,
    /// An incarnation was abandoned, and its thread still goes on; another one may run in its place.
    Abandoned {
        /// Which it was.
        incarnation: u64,
    },
    /// The child does not run, but is in this state.
    NotRunning(ChildState),
    /// The check was made in time, and has not passed.
    CheckFailed {
        /// What it said.
        why: String,
        /// How long ago.
        age: Duration,
    },
    /// The check takes longer than it may, or took longer the last time.
    CheckTimedOut {
        /// How long it may take.
        limit: Duration,
    },
    /// The check was not made for so long that a whole round was missed.
    CheckStale,
    /// The check has not answered for the first time.
    CheckUnanswered,
    /// The supervisor has not started all its children yet.
    Starting,
    /// The supervisor stops.
    Stopping,
    /// The supervisor has ended.
    Ended,
    /// The thread that watches deadlines does not keep up, and that not because the program was paused: nobody is restarted after a delay, found to be stuck, or abandoned.
    TimerLate,
}

impl Health {
    /// That of a supervisor of which nothing is left, nor its name.
    pub(super) fn of_nobody() -> Self {
        let mut found = Findings::default();
        found.supervisor("", Phase::Ended(End::Shutdown));
        found.into_health()
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |it: bool| if it { "" } else { "not " };
        write!(f, "{}live, {}ready", not(self.live), not(self.ready))?;
        if !self.degraded.is_empty() {
            f.write_str(", degraded")?;
        }
        self.degraded
            .iter()
            .try_for_each(|trouble| write!(f, "\n{trouble}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let critical = if self.critical { " (critical)" } else { "" };
        if !self.path.is_empty() {
            write!(f, "{}{critical}: ", self.path)?;
        }
        self.problem.fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stuck => f.write_str("stuck"),
            Self::Abandoned { incarnation } => {
                write!(f, "incarnation {incarnation} was abandoned and goes on")
            }
            Self::NotRunning(state) => f.write_str(super::view::doing(*state)),
            Self::CheckFailed { why, age } => write!(f, "check failed {age:.0?} ago: {why}"),
            Self::CheckTimedOut { limit } => write!(f, "check takes longer than {limit:?}"),
            Self::CheckStale => f.write_str("check was not made for long"),
            Self::CheckUnanswered => f.write_str("check has not answered yet"),
            Self::Starting => f.write_str("starting"),
            Self::Stopping => f.write_str("stopping"),
            Self::Ended => f.write_str("has ended"),
            Self::TimerLate => f.write_str("the thread that watches deadlines is late"),
        }
    }
}

/// What was found so far.
pub(super) struct Findings {
    status: Status,
    degraded: Vec<Trouble>,
}

/// What is to be told of a check.
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    /// If it has failed.
    pub(super) why: String,
    pub(super) age: Duration,
    pub(super) limit: Duration,
}

/// What is known of one child.
pub(super) struct Found {
    pub(super) state: ChildState,
    pub(super) stuck: bool,
    /// Whether that is why it is not live.
    pub(super) critical: bool,
    /// Whether it is missed when it does not run.
    pub(super) missed: bool,
    /// How it stands, if it is a check.
    pub(super) check: Option<Answer>,
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            status: Status::WELL,
            degraded: Vec::new(),
        }
    }
}

impl Findings {
    /// Of whoever watches deadlines.
    pub(super) fn timer(&mut self, late: bool) {
        self.note(Status::of_timer(late), String::new, true, || {
            Problem::TimerLate
        });
    }

    /// Of the supervisor that was asked.
    pub(super) fn supervisor(&mut self, name: &str, phase: Phase) {
        let problem = || match phase {
            Phase::Stopping(_) => Problem::Stopping,
            Phase::Ended(_) => Problem::Ended,
            _ => Problem::Starting,
        };
        self.note(
            Status::of_supervisor(phase),
            || name.to_owned(),
            true,
            problem,
        );
    }

    /// Of an incarnation of the child `path` that was abandoned and goes on.
    pub(super) fn abandoned(
        &mut self,
        path: impl FnOnce() -> String,
        incarnation: u64,
        critical: bool,
    ) {
        self.note(Status::of_abandoned(critical), path, critical, || {
            Problem::Abandoned { incarnation }
        });
    }

    /// Of the child `path`.
    pub(super) fn child(&mut self, path: impl FnOnce() -> String, found: Found) {
        let Found {
            state,
            stuck,
            critical,
            missed,
            check,
        } = found;
        if stuck {
            let status = Status::of_child(state, true, critical);
            self.note(status, path, critical, || Problem::Stuck);
        } else if let Some(answer) = check.filter(|_| state == ChildState::Running) {
            let status = Status::of_check(answer.verdict, critical);
            self.note(status, path, critical, || answer.into_problem());
        } else {
            let status = Status::of_child(state, false, missed);
            self.note(status, path, missed, || Problem::NotRunning(state));
        }
    }

    pub(super) fn into_health(self) -> Health {
        Health {
            live: self.status.live,
            ready: self.status.ready,
            degraded: self.degraded,
        }
    }

    fn note(
        &mut self,
        status: Status,
        path: impl FnOnce() -> String,
        critical: bool,
        problem: impl FnOnce() -> Problem,
    ) {
        self.status = self.status.and(status);
        if status.degraded {
            self.degraded.push(Trouble {
                path: path(),
                critical,
                problem: problem(),
            });
        }
    }
}

impl Answer {
    fn into_problem(self) -> Problem {
        match self.verdict {
            Verdict::Failed => Problem::CheckFailed {
                why: self.why,
                age: self.age,
            },
            Verdict::TimedOut => Problem::CheckTimedOut { limit: self.limit },
            Verdict::Stale => Problem::CheckStale,
            _ => Problem::CheckUnanswered,
        }
    }
}
