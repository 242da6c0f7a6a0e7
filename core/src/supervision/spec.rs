//! What is said about a child before it runs.

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

/// Which children are restarted when one ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Only the one that ended.
    #[default]
    OneForOne,
}

/// How long a child that was asked to stop may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stop {
    /// After this time it is abandoned.
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

/// What [`Machine`](super::Machine) needs to know about a child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildPlan {
    /// After which ends it is started again.
    pub restart: Restart,
    /// How long it may take to stop.
    pub stop: Stop,
}

impl ChildPlan {
    /// The plan for a child that is started again according to `restart` and has `stop` to stop.
    #[must_use]
    pub const fn new(restart: Restart, stop: Stop) -> Self {
        Self { restart, stop }
    }
}
