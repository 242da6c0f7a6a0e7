//! One child as a machine sees it.

use super::backoff::Delays;
use super::spec::{ChildPlan, Restart};
use crate::clock::Instant;

/// Names a child of one machine. Keys ascend in start order, which is the order in which children
/// were added, and are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildKey {
    /// First, for the order.
    pub(super) serial: u64,
    pub(super) slot: u32,
}

/// One run of a child, as machine and driver call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IncarnationId {
    /// Whose run.
    pub child: ChildKey,
    /// Which one, counted from 1. Starts that fail count too.
    pub number: u64,
}

/// What a child is doing.
///
/// ```text
///                    ┌──── delay over ──── Backoff ◄─┐
///                    ▼                               │ ended, to be restarted later
///  Waiting ──► Starting ──── started, ready ──► Running
///     ▲              │                               │
///     │              └───────────┬───────────────────┤ ended for good
///     │ with its group           ▼                   ▼
///     └────────────────────── Stopping ───────► Stopped ──── by hand, or with its group ──► Waiting
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// It does not run, and will be started when its turn comes: children before it are still
    /// starting, or its group is being restarted.
    Waiting,
    /// A start was ordered, and it has not started, or is not ready, yet.
    Starting,
    /// It runs.
    Running,
    /// It was asked to stop and may take until the deadline.
    Stopping {
        /// [`Instant::MAX`] when it may take for ever.
        deadline: Instant,
    },
    /// It ended, and will be started again when its delay is over.
    Backoff {
        /// When that is.
        until: Instant,
    },
    /// It does not run and will not be started by itself.
    Stopped,
}

impl ChildState {
    /// Whether an incarnation may be alive in this state.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping { .. })
    }

    /// Whether it will be started without anybody asking.
    pub(super) const fn is_coming(self) -> bool {
        matches!(self, Self::Waiting | Self::Backoff { .. })
    }
}

/// What a child becomes when it is over that is being stopped, or may be at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Stopped: it was terminated.
    Stopped,
    /// Waiting: it was stopped with its group and will come back with it.
    Waiting,
    /// It was not ready in time, so its start has failed.
    Failed,
    /// It was stuck: it has ended by itself, abnormally, whatever it says.
    Crashed,
}

/// What somebody asked for by hand and waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// To be started; if that fails, it is not tried again.
    Start,
    /// To be started now rather than after its delay; if that fails, it is tried again.
    Hurry,
    /// To be stopped.
    Stop,
}

/// One child as a machine sees it.
#[derive(Clone, Debug)]
pub struct Child<I> {
    pub(super) key: ChildKey,
    pub(super) id: Option<I>,
    pub(super) plan: ChildPlan,
    pub(super) state: ChildState,
    /// The number of the present or last incarnation; 0 before the first.
    pub(super) incarnation: u64,
    /// When something about it is due: the end of its time to be ready, to stop, or of its delay.
    pub(super) deadline: Option<Instant>,
    /// Since when it runs, while it does.
    pub(super) since: Instant,
    pub(super) delays: Delays,
    /// How many starts have failed since it last ran.
    pub(super) failures: u32,
    /// Whether it has ever run.
    pub(super) proved: bool,
    pub(super) then: Then,
    pub(super) asked: Asked,
}

impl<I> Child<I> {
    pub(super) const fn new(key: ChildKey, id: Option<I>, plan: ChildPlan) -> Self {
        Self {
            key,
            id,
            plan,
            state: ChildState::Waiting,
            incarnation: 0,
            deadline: None,
            since: Instant::ZERO,
            delays: Delays::NEW,
            failures: 0,
            proved: false,
            then: Then::Stopped,
            asked: Asked::Nothing,
        }
    }

    /// Which child this is.
    #[must_use]
    pub const fn key(&self) -> ChildKey {
        self.key
    }

    /// Its id, if it has one.
    #[must_use]
    pub const fn id(&self) -> Option<&I> {
        self.id.as_ref()
    }

    /// What was said about it.
    #[must_use]
    pub const fn plan(&self) -> ChildPlan {
        self.plan
    }

    /// What it is doing.
    #[must_use]
    pub const fn state(&self) -> ChildState {
        self.state
    }

    /// Whether its present incarnation was not ready in time and is being stopped for that: when it is
    /// over, its start has failed.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        matches!(self.state, ChildState::Stopping { .. }) && matches!(self.then, Then::Failed)
    }

    /// Whether it is being stopped and started again when that is done: with its group, or because it was stuck or not ready
    /// in time.
    #[must_use]
    pub const fn is_stopped_to_return(&self) -> bool {
        matches!(self.state, ChildState::Stopping { .. })
            && match self.then {
                Then::Stopped => false,
                Then::Waiting => true,
                Then::Failed | Then::Crashed => !matches!(self.plan.restart, Restart::Temporary),
            }
    }

    /// The number of its present or last incarnation, counted from 1; 0 before the first start.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The name of its present or last incarnation.
    pub(super) const fn present(&self) -> IncarnationId {
        IncarnationId {
            child: self.key,
            number: self.incarnation,
        }
    }

    /// Whether the supervisor is on its way to start it again.
    pub(super) const fn is_restarting(&self) -> bool {
        self.state.is_coming() || (matches!(self.state, ChildState::Starting) && self.failures > 0)
    }
}
