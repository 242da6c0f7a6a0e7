//! What a simulation tells, and why it refuses something.

use super::super::ChildSpec;
use bedplate_core::supervision::{ControlError, OnStuck};
use core::error::Error;
use core::fmt;
use core::time::Duration;

/// Something that happened in a simulation, or would be done if there were threads. It prints as a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Happened {
    /// When, since the start.
    pub at: Duration,
    /// The path of the child, as in `pool/worker`; of the supervisor itself, its name.
    pub who: String,
    /// Which incarnation of it; 0 where there is none, as of the outermost supervisor.
    pub incarnation: u64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A thread, or whatever the child is, was started.
    Started,
    /// It was not, or ended before it was ready.
    DidNotStart {
        /// Why, in words.
        why: String,
    },
    /// It was silent for longer than it [may be](super::super::ChildSpec::watch).
    FoundStuck {
        /// What follows.
        then: OnStuck,
    },
    /// It was asked to stop.
    AskedToStop {
        /// How long it may take; `None` for ever.
        within: Option<Duration>,
    },
    /// It has less time than it was told.
    HasLessTime {
        /// How much is left.
        within: Duration,
    },
    /// It did not stop in time.
    Abandoned,
    /// It had been abandoned, and has ended after all.
    EndedLate,
    /// Its specification is gone.
    Forgotten,
    /// All children of this supervisor have been started.
    Up,
    /// This supervisor has ended.
    Ended {
        /// How, in words.
        how: String,
    },
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.who)?;
        let is_of_one = !matches!(self.what, What::Forgotten | What::Up | What::Ended { .. });
        if is_of_one {
            write!(f, " {}", self.incarnation)?;
        }
        match &self.what {
            What::Started => f.write_str(" started"),
            What::DidNotStart { why } => write!(f, " did not start: {why}"),
            What::FoundStuck {
                then: OnStuck::AbortProcess,
            } => f.write_str(" found stuck: the process ends"),
            What::FoundStuck { .. } => f.write_str(" found stuck"),
            What::AskedToStop {
                within: Some(within),
            } => write!(f, " asked to stop within {within:?}"),
            What::AskedToStop { within: None } => f.write_str(" asked to stop"),
            What::HasLessTime { within } => write!(f, " has {within:?} left"),
            What::Abandoned => f.write_str(" abandoned"),
            What::EndedLate => f.write_str(" ended late"),
            What::Forgotten => f.write_str(" forgotten"),
            What::Up => f.write_str(" up"),
            What::Ended { how } => write!(f, " ended: {how}"),
        }
    }
}

/// Why something cannot happen in a simulation.
#[derive(Debug)]
#[non_exhaustive]
pub enum SimulationError {
    /// There is no child of this path, or there is not now.
    NoSuchChild {
        /// The path.
        path: String,
    },
    /// No incarnation of it is there that this could happen to.
    NotRunning {
        /// Its path.
        path: String,
    },
    /// Nobody looks whether it is stuck.
    NotWatched {
        /// Its path.
        path: String,
    },
    /// It is no check.
    IsNoCheck {
        /// Its path.
        path: String,
    },
    /// It is a supervisor: it becomes ready, and ends, by its children.
    IsSupervisor {
        /// Its path.
        path: String,
    },
    /// It is no supervisor, or one that does not run.
    IsNoSupervisor {
        /// Its path.
        path: String,
    },
    /// Its supervisor refuses that.
    Refused {
        /// Its path.
        path: String,
        /// Why.
        error: ControlError,
    },
    /// The supervisor does not take this child.
    NotTaken {
        /// The child.
        spec: Box<ChildSpec>,
        /// Why.
        error: ControlError,
    },
    /// A child cannot be called that.
    BadName {
        /// The child.
        spec: Box<ChildSpec>,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl fmt::Display for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchChild { path } => write!(f, "there is no child {path:?}"),
            Self::NotRunning { path } => write!(f, "no incarnation of {path:?} is there for that"),
            Self::NotWatched { path } => write!(f, "nobody watches {path:?}"),
            Self::IsNoCheck { path } => write!(f, "{path:?} is no check"),
            Self::IsSupervisor { path } => {
                write!(
                    f,
                    "{path:?} is a supervisor, which does that by its children"
                )
            }
            Self::IsNoSupervisor { path } => write!(f, "{path:?} is no supervisor that runs"),
            Self::Refused { path, error } => write!(f, "{path:?}: {error}"),
            Self::NotTaken { spec, error } => write!(f, "{:?}: {error}", spec.id()),
            Self::BadName { spec, problem } => write!(f, "the name {:?} {problem}", spec.id()),
        }
    }
}

impl Error for SimulationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused { error, .. } | Self::NotTaken { error, .. } => Some(error),
            _ => None,
        }
    }
}
