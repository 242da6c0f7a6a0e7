//! Why a request was refused, or what came of it instead.

use super::{ChildRef, ChildSpec, StartError, SupervisorBuilder};
use crate::sync::Arc;
use bedplate_core::supervision::{ConfigError, IntensityError, PlanError};
use core::error::Error;
use core::fmt;

/// Why [`start_child`](super::SupRef::start_child) did not start a child. The specification comes back wherever nobody
/// else has it; [`into_spec`](Self::into_spec) takes it out.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartChildError {
    /// Its id cannot be used.
    BadName {
        /// What is wrong with it.
        problem: &'static str,
        /// The specification.
        spec: Box<ChildSpec>,
    },
    /// A child of this id runs, or is being started or stopped.
    AlreadyStarted {
        /// Its present incarnation.
        child: Option<ChildRef>,
        /// The refused specification.
        spec: Box<ChildSpec>,
    },
    /// A child of this id is there and does not run: it is stopped, or about to be restarted.
    AlreadyPresent {
        /// The refused specification.
        spec: Box<ChildSpec>,
    },
    /// A supervisor of this kind cannot have such a child.
    BadPlan {
        /// Why.
        error: PlanError,
        /// The refused specification.
        spec: Box<ChildSpec>,
    },
    /// The supervisor has as many children as it may have.
    Full {
        /// How many those are.
        limit: usize,
        /// The refused specification.
        spec: Box<ChildSpec>,
    },
    /// The supervisor is stopping, or has stopped.
    ShuttingDown {
        /// The specification, unless the supervisor had it already.
        spec: Option<Box<ChildSpec>>,
    },
    /// Whoever asks would wait for itself; see [`SupRef`](super::SupRef).
    WouldDeadlock {
        /// The refused specification. `None` if it was taken, and the caller was asked to stop while it waited: the
        /// child is then started nevertheless when its turn comes.
        spec: Option<Box<ChildSpec>>,
    },
    /// It did not start, or was not ready in time. The supervisor has forgotten it.
    NotStarted {
        /// Why.
        error: Arc<StartError>,
        /// The specification. `None` if a thread that was abandoned still uses it.
        spec: Option<Box<ChildSpec>>,
    },
    /// It [chose not to run](ChildSpec::ready), which is no failure. The supervisor keeps it, stopped, unless it is temporary.
    Declined,
    /// Somebody had it stopped before it was started.
    Terminated,
}

impl StartChildError {
    /// The specification, if it has come back.
    #[must_use]
    pub fn into_spec(self) -> Option<ChildSpec> {
        match self {
            Self::BadName { spec, .. }
            | Self::AlreadyStarted { spec, .. }
            | Self::AlreadyPresent { spec }
            | Self::BadPlan { spec, .. }
            | Self::Full { spec, .. } => Some(*spec),
            Self::ShuttingDown { spec }
            | Self::WouldDeadlock { spec }
            | Self::NotStarted { spec, .. } => spec.map(|spec| *spec),
            Self::Declined | Self::Terminated => None,
        }
    }
}

impl fmt::Display for StartChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName { problem, spec } => write!(f, "the id {:?} {problem}", spec.id()),
            Self::AlreadyStarted { spec, .. } => write!(f, "a child {:?} runs", spec.id()),
            Self::AlreadyPresent { spec } => {
                write!(f, "a child {:?} is there and does not run", spec.id())
            }
            Self::BadPlan { error, spec } => write!(f, "child {:?}: {error}", spec.id()),
            Self::Full { limit, .. } => {
                write!(f, "the supervisor may have at most {limit} children")
            }
            Self::ShuttingDown { .. } => f.write_str(SHUTTING_DOWN),
            Self::WouldDeadlock { .. } => f.write_str(WOULD_DEADLOCK),
            Self::NotStarted { error, .. } => write!(f, "the child did not start: {error}"),
            Self::Declined => f.write_str(DECLINED),
            Self::Terminated => f.write_str(TERMINATED),
        }
    }
}

impl Error for StartChildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::BadPlan { error, .. } => Some(error),
            Self::NotStarted { error, .. } => Some(&**error),
            _ => None,
        }
    }
}

const SHUTTING_DOWN: &str = "the supervisor is stopping";
const WOULD_DEADLOCK: &str = "whoever asks would wait for itself";
const DECLINED: &str = "the child chose not to run";
const TERMINATED: &str = "the child was stopped before it was started";
const NOT_FOUND: &str = "there is no such child";
const DYNAMIC: &str = "children of a dynamic supervisor are not known by their ids";

/// Why [`terminate`](super::SupRef::terminate) or [`terminate_child`](super::SupRef::terminate_child) did not stop a
/// child, or does not know whether it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TerminateError {
    /// There is no such child, or that incarnation is over.
    NotFound,
    /// Children of a dynamic supervisor are not known by their ids.
    Dynamic,
    /// The supervisor is stopping, or has stopped, and the child with it.
    ShuttingDown,
    /// Whoever asks would wait for itself; see [`SupRef`](super::SupRef). If it was asked to stop while it waited, the
    /// child is stopped nevertheless.
    WouldDeadlock,
}

impl fmt::Display for TerminateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => NOT_FOUND,
            Self::Dynamic => DYNAMIC,
            Self::ShuttingDown => SHUTTING_DOWN,
            Self::WouldDeadlock => WOULD_DEADLOCK,
        })
    }
}

impl Error for TerminateError {}

/// Why [`restart`](super::SupRef::restart) did not start a child.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RestartError {
    /// There is no such child.
    NotFound,
    /// It runs, or is being started.
    Running,
    /// Its supervisor is about to start it.
    Restarting,
    /// It is being stopped.
    Stopping,
    /// Children of a dynamic supervisor are not kept when they have ended.
    Dynamic,
    /// The supervisor is stopping, or has stopped.
    ShuttingDown,
    /// Whoever asks would wait for itself; see [`SupRef`](super::SupRef). If it was asked to stop while it waited, the
    /// child is started nevertheless when its turn comes.
    WouldDeadlock,
    /// It did not start, or was not ready in time. If it had been stopped it is stopped; if it waited for its
    /// next attempt, that is what it does.
    NotStarted(Arc<StartError>),
    /// It [chose not to run](ChildSpec::ready), which is no failure. It is stopped, as it was.
    Declined,
    /// Somebody had it stopped before it was started.
    Terminated,
}

impl fmt::Display for RestartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted(error) => return write!(f, "the child did not start: {error}"),
            Self::NotFound => NOT_FOUND,
            Self::Running => "the child runs",
            Self::Restarting => "the child is being restarted",
            Self::Stopping => "the child is being stopped",
            Self::Dynamic => DYNAMIC,
            Self::ShuttingDown => SHUTTING_DOWN,
            Self::WouldDeadlock => WOULD_DEADLOCK,
            Self::Declined => DECLINED,
            Self::Terminated => TERMINATED,
        })
    }
}

impl Error for RestartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotStarted(error) => Some(&**error),
            _ => None,
        }
    }
}

/// Why [`delete`](super::SupRef::delete) did not forget a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeleteError {
    /// There is no such child.
    NotFound,
    /// It runs, or is being started.
    Running,
    /// Its supervisor is about to start it.
    Restarting,
    /// It is being stopped.
    Stopping,
    /// Children of a dynamic supervisor are not kept when they have ended.
    Dynamic,
    /// The supervisor is stopping, or has stopped.
    ShuttingDown,
}

impl fmt::Display for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => NOT_FOUND,
            Self::Running => "the child runs",
            Self::Restarting => "the child is being restarted",
            Self::Stopping => "the child is being stopped",
            Self::Dynamic => DYNAMIC,
            Self::ShuttingDown => SHUTTING_DOWN,
        })
    }
}

impl Error for DeleteError {}

/// Why [`change_child`](super::SupRef::change_child) changed nothing; the specification comes back.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChangeChildError {
    /// There is no such child.
    NotFound {
        /// The refused specification.
        spec: Box<ChildSpec>,
    },
    /// Children of a dynamic supervisor are not known by their ids.
    Dynamic {
        /// The refused specification.
        spec: Box<ChildSpec>,
    },
    /// A supervisor of this kind cannot have such a child.
    BadPlan {
        /// Why.
        error: PlanError,
        /// The refused specification.
        spec: Box<ChildSpec>,
    },
    /// The supervisor is stopping, or has stopped.
    ShuttingDown {
        /// The refused specification.
        spec: Box<ChildSpec>,
    },
}

impl fmt::Display for ChangeChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { .. } => f.write_str(NOT_FOUND),
            Self::Dynamic { .. } => f.write_str(DYNAMIC),
            Self::BadPlan { error, spec } => write!(f, "child {:?}: {error}", spec.id()),
            Self::ShuttingDown { .. } => f.write_str(SHUTTING_DOWN),
        }
    }
}

impl Error for ChangeChildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::BadPlan { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why [`reconfigure`](super::SupRef::reconfigure) changed nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReconfigureError {
    /// The description has children, which are not what this is about.
    HasChildren {
        /// The description.
        like: Box<SupervisorBuilder>,
    },
    /// The restart limit is not possible.
    BadLimit(IntensityError),
    /// A supervisor cannot be like this, or this one cannot become so.
    BadConfig(ConfigError),
    /// The supervisor is stopping, or has stopped.
    ShuttingDown,
}

impl fmt::Display for ReconfigureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HasChildren { .. } => f.write_str("children are started and changed one by one"),
            Self::BadLimit(error) => error.fmt(f),
            Self::BadConfig(error) => error.fmt(f),
            Self::ShuttingDown => f.write_str(SHUTTING_DOWN),
        }
    }
}

impl Error for ReconfigureError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::BadLimit(error) => Some(error),
            Self::BadConfig(error) => Some(error),
            Self::HasChildren { .. } | Self::ShuttingDown => None,
        }
    }
}
