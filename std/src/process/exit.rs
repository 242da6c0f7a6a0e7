//! How an incarnation ended.

use super::panic::PanicReport;
use crate::supervisor::StartError;
use crate::sync::Arc;
use bedplate_core::supervision::RestartIntensity;
use core::error::Error;
use core::fmt;
use core::time::Duration;

/// How an incarnation of a child, or a supervisor, ended. Cloning is cheap.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExitReason {
    /// It finished its work.
    Normal,
    /// It was asked to stop and obeyed.
    Shutdown,
    /// It found, before it was [ready](crate::supervisor::Incarnation::ready), that there is nothing for it to do. To be returned
    /// by bodies; see [`ChildSpec::ready`](crate::supervisor::ChildSpec::ready).
    Declined,
    /// It returned an error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// It panicked.
    Panicked(Arc<PanicReport>),
    /// It never came to run.
    NotStarted(Arc<StartError>),
    /// It was asked to stop and did not within its time. A thread cannot be killed: it may still
    /// run, but it is nobody any more.
    Abandoned {
        /// How long it was waited for.
        after: Duration,
    },
    /// A process was ended by this signal.
    Signalled(i32),
    /// A supervisor had to restart its children more often than it may.
    GaveUp(Arc<GaveUp>),
    /// It is over, and how it ended is no longer known.
    Gone,
}

impl ExitReason {
    /// Whether it ended as it should: `Normal`, `Shutdown` or `Declined`. A transient child is not restarted
    /// after a clean end.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown | Self::Declined)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("finished"),
            Self::Shutdown => f.write_str("stopped when asked to"),
            Self::Declined => f.write_str("had nothing to do"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(report) => write!(f, "panicked: {report}"),
            Self::NotStarted(error) => write!(f, "was not started: {error}"),
            Self::Abandoned { after } => write!(f, "did not stop within {after:?}, abandoned"),
            Self::Signalled(signal) => write!(f, "was ended by signal {signal}"),
            Self::GaveUp(why) => write!(f, "gave up: {why}"),
            Self::Gone => f.write_str("ended in an unknown way"),
        }
    }
}

/// A process ended with a status that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandFailed {
    /// Its status.
    pub code: i32,
}

impl fmt::Display for CommandFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the command ended with status {}", self.code)
    }
}

impl Error for CommandFailed {}

/// Why a supervisor gave up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GaveUp {
    /// The child that would have had to be restarted once more.
    pub child: String,
    /// How many restarts were allowed …
    pub restarts: u32,
    /// … within this time; [`Duration::MAX`] if in all.
    pub within: Duration,
    /// How that child ended the last time.
    pub last: ExitReason,
}

impl GaveUp {
    /// Who would have had to be restarted once more than `limit` allows.
    pub(crate) fn of<const N: usize>(
        limit: &RestartIntensity<N>,
        child: String,
        last: ExitReason,
    ) -> Arc<Self> {
        let (restarts, within) = match limit.total().filter(|_| limit.is_used_up()) {
            Some(total) => (total, Duration::MAX),
            None => (limit.intensity(), limit.period()),
        };
        Arc::new(Self {
            child,
            restarts,
            within,
            last,
        })
    }
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            child,
            restarts,
            within,
            last,
        } = self;
        write!(f, "more than {restarts} restarts ")?;
        match *within {
            Duration::MAX => f.write_str("in all")?,
            within => write!(f, "within {within:?}")?,
        }
        write!(f, "; at last, {child} {last}")
    }
}

impl Error for GaveUp {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.last {
            ExitReason::Failed(error) => Some(&**error),
            ExitReason::NotStarted(error) => Some(&**error),
            _ => None,
        }
    }
}

/// What the body of a child may return.
///
/// ```
/// use bedplate::process::{ExitReason, IntoExit};
///
/// assert!(matches!(().into_exit(), ExitReason::Normal));
/// let error: Result<(), std::num::ParseIntError> = "x".parse::<u8>().map(drop);
/// assert!(matches!(error.into_exit(), ExitReason::Failed(_)));
/// ```
pub trait IntoExit {
    /// The reason this value stands for.
    fn into_exit(self) -> ExitReason;
}

impl IntoExit for () {
    fn into_exit(self) -> ExitReason {
        ExitReason::Normal
    }
}

impl IntoExit for ExitReason {
    fn into_exit(self) -> ExitReason {
        self
    }
}

// For no other value than `()`, or what `Err("…")` is would have to be said each time.
impl<E: Into<Box<dyn Error + Send + Sync>>> IntoExit for Result<(), E> {
    fn into_exit(self) -> ExitReason {
        match self {
            Ok(()) => ExitReason::Normal,
            Err(error) => ExitReason::Failed(Arc::from(error.into())),
        }
    }
}
