//! What goes into the machine and what comes out of it.

use super::super::child::{ChildKey, IncarnationId};
use super::super::spec::{Exit, PlanError};
use core::fmt;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Start the children; once, at the beginning.
    Start,
    /// An incarnation whose start was ordered now runs.
    Started(IncarnationId),
    /// An incarnation says that it is ready; implies that it runs. Without meaning for a child that
    /// is ready when it runs.
    Ready(IncarnationId),
    /// An incarnation whose start was ordered never came to run, and nothing of it is left. Also to be told of one that was
    /// abandoned meanwhile: else it counts as abandoned for ever. The same goes for [`Refused`](Self::Refused) and
    /// [`Declined`](Self::Declined).
    StartFailed(IncarnationId),
    /// As [`StartFailed`](Self::StartFailed), because there was no room: no thread or no memory was to be had. If it is tried
    /// again, then after ten milliseconds at the earliest: tried at once, it would use up the intensity before there can be any.
    Refused(IncarnationId),
    /// An incarnation whose start was ordered chose not to run, which is no failure. Erlang/OTP's
    /// `ignore`.
    Declined(IncarnationId),
    /// An incarnation is over, and whatever it held is released. Also to be told of one that was
    /// abandoned.
    Exited(IncarnationId, Exit),
    /// An incarnation that runs is of no use any more, since it is stuck: it is asked to stop, and when it is over or
    /// abandoned, that is an abnormal end.
    Stuck(IncarnationId),
    /// Stop all children and end. Asked again, it changes nothing.
    Shutdown,
    /// Time has passed; due at [`Machine::next_deadline`](super::Machine::next_deadline), harmless at
    /// any other time.
    Tick,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Start an incarnation and answer with [`Event::Started`], [`Event::StartFailed`], [`Event::Refused`] or
    /// [`Event::Declined`].
    Start(IncarnationId),
    /// Ask an incarnation to stop, also one whose start is not confirmed yet. Until when it may take
    /// is in its [state](super::super::ChildState::Stopping).
    Stop(IncarnationId),
    /// An incarnation that was asked to stop has less time than it was told: its supervisor ends, and its
    /// [state](super::super::ChildState::Stopping) says when. For drivers that tell an incarnation until when it may take.
    Shorten(IncarnationId),
    /// An incarnation did not stop in time: shut it out of everything; it no longer counts.
    Abandon(IncarnationId),
    /// An incarnation that was abandoned has ended after all, or its start, which was still under way, has come to nothing.
    /// Once for each, and nothing else comes with it.
    LateExit(IncarnationId),
    /// A child is gone, and its specification with it.
    Forget(ChildKey),
    /// What was asked for this child by hand is done, or will not be. One for each child, not for each
    /// request: whoever waits for something looks at the outcome. [`End`](Self::End) is the answer
    /// to whatever is still waited for.
    Settled(ChildKey, Outcome),
    /// All children have been started.
    Up,
    /// Nothing runs any more (except what was abandoned) and nothing ever will.
    End(End),
}

/// What came of a request for a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It runs, and is ready.
    Started,
    /// Its start failed. A child that was added by this start is forgotten again; another one is
    /// stopped, or still waiting out its delay.
    StartFailed,
    /// It chose not to run.
    Declined,
    /// It does not run any more.
    Stopped,
}

/// Why a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It was asked to.
    Shutdown,
    /// This child's first start failed.
    StartFailed(ChildKey),
    /// This child was to be restarted once more than the intensity allows.
    GaveUp(ChildKey),
    /// This significant child ended.
    AutoShutdown(ChildKey),
    /// This child did not stop in time, and its plan says that this is the end; or it was one too
    /// many.
    Overrun(ChildKey),
}

impl End {
    /// How the supervisor itself ended, where it is another one's child. That it gave up is not clean:
    /// a supervisor above restarts it also if it is transient, where OTP would not.
    #[must_use]
    pub const fn exit(self) -> Exit {
        match self {
            Self::Shutdown | Self::AutoShutdown(_) => Exit::Clean,
            Self::StartFailed(_) | Self::GaveUp(_) | Self::Overrun(_) => Exit::Abnormal,
        }
    }
}

/// Where a supervisor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Not started.
    New,
    /// Some children have not been started for the first time.
    Starting,
    /// All children have been started.
    Running,
    /// Children are being stopped, for this reason.
    Stopping(End),
    /// Over, for this reason.
    Ended(End),
}

/// The event named an incarnation that is over, or a phase that has passed; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stale;

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event came too late to matter")
    }
}

impl core::error::Error for Stale {}

/// Why a request was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no such child, or no longer.
    NotFound,
    /// There is no room.
    Full {
        /// How many children there may be.
        limit: usize,
    },
    /// A child of this id runs, or is being started or stopped.
    AlreadyStarted(ChildKey),
    /// A child of this id is there, but does not run.
    AlreadyPresent(ChildKey),
    /// The child runs, or is being started.
    Running,
    /// The child is being restarted by its supervisor.
    Restarting,
    /// The child is being stopped.
    Stopping,
    /// Children of a dynamic supervisor have no ids, are not kept when they are stopped, and so
    /// cannot be restarted or deleted.
    Dynamic,
    /// A supervisor of this kind cannot have such a child.
    BadPlan(PlanError),
    /// The supervisor has not been started; its children can be added and deleted.
    NotStarted,
    /// The supervisor was started before.
    AlreadyUp,
    /// The supervisor is stopping, or has stopped.
    ShuttingDown,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full { limit } => {
                return write!(f, "a supervisor may have at most {limit} children");
            }
            Self::BadPlan(error) => return error.fmt(f),
            Self::NotFound => "there is no such child",
            Self::AlreadyStarted(_) => "a child of this id runs",
            Self::AlreadyPresent(_) => "a child of this id is there and does not run",
            Self::Running => "the child runs",
            Self::Restarting => "the child is being restarted",
            Self::Stopping => "the child is being stopped",
            Self::Dynamic => "children of a dynamic supervisor come and go by start and terminate",
            Self::NotStarted => "the supervisor has not been started",
            Self::AlreadyUp => "the supervisor has been started",
            Self::ShuttingDown => "the supervisor is stopping",
        })
    }
}

impl core::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::BadPlan(error) => Some(error),
            _ => None,
        }
    }
}
