//! Why a supervisor or a child did not start.

use crate::process::{ExitReason, GaveUp};
use crate::registry::NameError;
use crate::sync::Arc;
use bedplate_core::supervision::{ConfigError, ControlError, IntensityError};
use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::io;

/// Why a supervisor, or one of its children, did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A name or an id that cannot be used.
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two children of one supervisor have this id.
    DuplicateId(String),
    /// The restart limit is not possible.
    BadLimit(IntensityError),
    /// What is said about the supervisor is not possible.
    BadConfig(ConfigError),
    /// The supervisor [requires](super::SupervisorBuilder::requires_unwinding) that panics can be caught, and this program was built
    /// with `panic = "abort"`.
    NeedsUnwinding,
    /// What is said about this child is not possible.
    BadChild {
        /// Its id.
        id: String,
        /// What is wrong.
        error: ControlError,
    },
    /// A supervisor with so many children is not possible.
    TooManyChildren {
        /// How many it may have.
        limit: usize,
    },
    /// As many supervised threads are alive as [`limit_threads`](crate::process::limit_threads)
    /// allows, and no [spare](super::SupervisorBuilder::spares) waits for it.
    ThreadBudget {
        /// How many are alive.
        live: usize,
        /// How many may be.
        limit: usize,
    },
    /// There is no identity left.
    TooManyProcesses {
        /// How many there are.
        limit: u32,
    },
    /// The name the child was to be registered under.
    Name {
        /// The name.
        name: String,
        /// Why it was not to be had.
        error: NameError,
    },
    /// The system refused a thread, and no [spare](super::SupervisorBuilder::spares) waits for it.
    Spawn(io::Error),
    /// The system did not run the command of a process.
    Command(io::Error),
    /// It did not say that it is ready within its time.
    NotReady {
        /// How long that was.
        within: Duration,
    },
    /// It ended, or was abandoned, before it was ready.
    Exited(ExitReason),
    /// This child did not start. Those before it have been stopped again.
    Child {
        /// Its id.
        id: String,
        /// Why.
        error: Arc<StartError>,
    },
    /// Children that had been started ended too often while others were being started.
    GaveUp(Arc<GaveUp>),
}

impl StartError {
    /// Whether there was no room for it: no thread, or no identity. There may be some later.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::ThreadBudget { .. } | Self::TooManyProcesses { .. } | Self::Spawn(_) => true,
            Self::Child { error, .. } => error.is_refusal(),
            _ => false,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName { name, problem } => write!(f, "the name {name:?} {problem}"),
            Self::DuplicateId(id) => write!(f, "two children have the id {id:?}"),
            Self::BadLimit(error) => error.fmt(f),
            Self::BadConfig(error) => error.fmt(f),
            Self::NeedsUnwinding => {
                f.write_str("a panic ends the process here, and cannot be caught")
            }
            Self::BadChild { id, error } => write!(f, "child {id:?}: {error}"),
            Self::TooManyChildren { limit } => {
                write!(f, "a supervisor may have at most {limit} children")
            }
            Self::ThreadBudget { live, limit } => {
                write!(f, "{live} supervised threads are alive and {limit} may be")
            }
            Self::TooManyProcesses { limit } => write!(f, "all {limit} identities are in use"),
            Self::Name { name, error } => write!(f, "cannot be called {name:?}: {error}"),
            Self::Spawn(error) => write!(f, "the system refused a thread: {error}"),
            Self::Command(error) => write!(f, "the command was not run: {error}"),
            Self::NotReady { within } => write!(f, "was not ready within {within:?}"),
            Self::Exited(reason) => write!(f, "ended before it was ready: {reason}"),
            Self::Child { id, error } => write!(f, "child {id:?} did not start: {error}"),
            Self::GaveUp(why) => write!(f, "gave up while starting: {why}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::BadLimit(error) => Some(error),
            Self::BadConfig(error) => Some(error),
            Self::BadChild { error, .. } => Some(error),
            Self::Name { error, .. } => Some(error),
            Self::Spawn(error) | Self::Command(error) => Some(error),
            Self::Exited(ExitReason::Failed(error)) => Some(&**error),
            Self::Child { error, .. } => Some(&**error),
            Self::GaveUp(why) => Some(&**why),
            _ => None,
        }
    }
}

/// Checks a name before it becomes part of a path and the name of a thread.
pub(super) fn check_name(name: &str) -> Result<(), StartError> {
    match problem_of_name(name) {
        None => Ok(()),
        Some(problem) => Err(StartError::BadName {
            name: name.to_owned(),
            problem,
        }),
    }
}

/// What is wrong with a name, if anything is.
pub(super) fn problem_of_name(name: &str) -> Option<&'static str> {
    /// Longer names help nobody; Linux shows 15 bytes of them.
    const LONGEST: usize = 128;

    if name.is_empty() {
        Some("is empty")
    } else if name.len() > LONGEST {
        Some("is longer than 128 bytes")
    } else if name.contains('\0') {
        Some("contains a NUL byte")
    } else if name.contains('/') {
        Some("contains a slash, which separates a supervisor from its children")
    } else {
        None
    }
}
