//! What is said about a child before it runs.

use super::backoff::Backoff;
use super::strategy::{AutoShutdown, Strategy};
use core::fmt;
use core::time::Duration;

/// How one incarnation of a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// It finished its work, or was asked to stop and obeyed.
    Clean,
    /// An error, a panic, or any other end that was not meant.
    Abnormal,
}

/// After which ends a child is started again.
///
/// ```
/// use bedplate_core::supervision::{Exit, Restart};
///
/// assert!(Restart::Permanent.restarts_after(Exit::Clean));
/// assert!(!Restart::Transient.restarts_after(Exit::Clean));
/// assert!(Restart::Transient.restarts_after(Exit::Abnormal));
/// assert!(!Restart::Temporary.restarts_after(Exit::Abnormal));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// After every end.
    #[default]
    Permanent,
    /// After an abnormal end; after a clean one it stays stopped, and its specification is kept.
    Transient,
    /// Never; its specification is forgotten with it.
    Temporary,
}

impl Restart {
    /// Whether a child of this kind is started again after `exit`.
    #[must_use]
    pub const fn restarts_after(self, exit: Exit) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => matches!(exit, Exit::Abnormal),
            Self::Temporary => false,
        }
    }
}

/// How long a child that was asked to stop may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// After this time it is abandoned. Zero is the nearest there is to a kill: it is asked and
    /// not waited for.
    Within(Duration),
    /// It is waited for without a limit. For children that supervise others and have limits of
    /// their own.
    Forever,
}

impl Default for Stop {
    /// Five seconds, as in Erlang/OTP.
    fn default() -> Self {
        Self::Within(Duration::from_secs(5))
    }
}

/// When a child counts as started, so that the next one may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ready {
    /// When it runs.
    #[default]
    OnStart,
    /// When it says so ([`Event::Ready`](super::Event::Ready)). If it ends before, or does not say
    /// so in time, its start has failed.
    Signalled {
        /// How long it may take; not zero.
        within: Duration,
    },
}

/// What follows when a child did not stop in time and was abandoned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overrun {
    /// The supervisor goes on without it, as after a kill in Erlang/OTP.
    #[default]
    Abandon,
    /// The supervisor stops its other children and ends: for siblings that share a resource which
    /// the abandoned one may still hold.
    Escalate,
}

/// What a child is; only [`Counts`](super::Counts) makes a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It does work.
    #[default]
    Worker,
    /// It has children of its own.
    Supervisor,
}

/// What [`Machine`](super::Machine) needs to know about a child.
///
/// The default is OTP's: a permanent worker that counts as started when it runs, has five seconds to
/// stop, is restarted at once, and is not significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildPlan {
    /// After which ends it is started again.
    pub restart: Restart,
    /// How long it may take to stop.
    pub stop: Stop,
    /// When it counts as started.
    pub ready: Ready,
    /// How long to wait before it is restarted.
    pub backoff: Backoff,
    /// What follows when it does not stop in time.
    pub overrun: Overrun,
    /// What it is.
    pub kind: Kind,
    /// Whether its end may end its supervisor; see [`AutoShutdown`].
    pub significant: bool,
}

impl ChildPlan {
    /// The plan for a worker that is started again according to `restart` and has `stop` to stop.
    #[must_use]
    pub const fn new(restart: Restart, stop: Stop) -> Self {
        Self {
            restart,
            stop,
            ready: Ready::OnStart,
            backoff: Backoff::NONE,
            overrun: Overrun::Abandon,
            kind: Kind::Worker,
            significant: false,
        }
    }

    /// The plan for a permanent child that is a supervisor itself: it may take for ever to stop,
    /// because its own children have limits.
    #[must_use]
    pub const fn supervisor() -> Self {
        let mut plan = Self::new(Restart::Permanent, Stop::Forever);
        plan.kind = Kind::Supervisor;
        plan
    }

    /// With this readiness.
    #[must_use]
    pub const fn ready(mut self, ready: Ready) -> Self {
        self.ready = ready;
        self
    }

    /// With this delay before restarts.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// With this consequence of not stopping in time.
    #[must_use]
    pub const fn overrun(mut self, overrun: Overrun) -> Self {
        self.overrun = overrun;
        self
    }

    /// Significant or not.
    #[must_use]
    pub const fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// Whether a supervisor of this kind can have such a child.
    ///
    /// # Errors
    /// What is wrong with it.
    pub const fn check(
        &self,
        strategy: Strategy,
        auto_shutdown: AutoShutdown,
    ) -> Result<(), PlanError> {
        if self.significant {
            if matches!(self.restart, Restart::Permanent) {
                return Err(PlanError::SignificantPermanent);
            }
            if matches!(auto_shutdown, AutoShutdown::Never) {
                return Err(PlanError::SignificantUnderNever);
            }
            if matches!(strategy, Strategy::Dynamic) {
                return Err(PlanError::SignificantDynamic);
            }
        }
        if let Ready::Signalled { within } = self.ready
            && within.is_zero()
        {
            return Err(PlanError::NoTimeToBeReady);
        }
        Ok(())
    }
}

impl Default for ChildPlan {
    fn default() -> Self {
        Self::new(Restart::default(), Stop::default())
    }
}

/// What is wrong with a [`ChildPlan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// A permanent child never ends for good, so its end cannot be significant.
    SignificantPermanent,
    /// The supervisor never shuts down by itself.
    SignificantUnderNever,
    /// A dynamic supervisor knows no significant children.
    SignificantDynamic,
    /// Nobody is ready after no time at all.
    NoTimeToBeReady,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignificantPermanent => "a permanent child cannot be significant",
            Self::SignificantUnderNever => {
                "a child cannot be significant when auto-shutdown is never"
            }
            Self::SignificantDynamic => "a dynamic supervisor has no significant children",
            Self::NoTimeToBeReady => "a limit of zero leaves no time to become ready",
        })
    }
}

impl core::error::Error for PlanError {}
