//! What is known of a child beyond what the machine knows.

use super::super::health::Checked;
use super::super::reuse::OldThread;
use super::super::watch::Observed;
use super::super::{ChildRef, ChildSpec, StartError};
use super::Tree;
use crate::process::panic::discard;
use crate::process::{ExitReason, Lineage};
use crate::stop::StopToken;
use crate::sync::{Arc, Weak};
use bedplate_core::clock::Instant;
use core::time::Duration;

/// A child.
pub(super) struct Entry {
    pub(super) spec: Arc<ChildSpec>,
    /// Which of those children it is that have its path.
    pub(super) lineage: Lineage,
    pub(super) current: Option<Current>,
    pub(super) last_exit: Option<ExitReason>,
    /// Why its last start failed, if its last start did.
    pub(super) failure: Option<Arc<StartError>>,
    /// The thread of the incarnation before, if the next one waits until that is gone. As long as nobody has joined it, the
    /// system keeps its stack.
    pub(super) thread: Option<OldThread>,
    /// Whether there was a critical child below it at any time.
    pub(super) critical_below: bool,
}

/// Its present incarnation.
pub(super) struct Current {
    pub(super) child: ChildRef,
    pub(super) stop: StopToken,
    /// Since when there is this incarnation.
    pub(super) since: Instant,
    pub(super) asked: Option<Asked>,
    /// The time it had to become ready, if it was not and is being stopped for that.
    pub(super) late: Option<Duration>,
    /// The supervisor that it is, if it is one and has been built.
    pub(super) nested: Option<Arc<Tree>>,
    /// The supervisors that its body has started.
    pub(super) inner: Vec<Weak<Tree>>,
    /// What is known of what it says that it does, if it is watched.
    pub(super) observed: Option<Observed>,
    /// How it stands, if it is a check.
    pub(super) checked: Option<Arc<Checked>>,
}

/// It was asked to stop.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) at: Instant,
    /// [`Instant::MAX`] if it may take for ever.
    pub(super) deadline: Instant,
}

impl Entry {
    pub(super) fn new(spec: ChildSpec, lineage: Lineage) -> Self {
        Self {
            spec: Arc::new(spec),
            lineage,
            current: None,
            last_exit: None,
            failure: None,
            thread: None,
            critical_below: false,
        }
    }

    /// Drops it part by part: of two destructors that panic at once, the second would abort the
    /// process.
    pub(super) fn let_go(self) {
        let Self {
            spec,
            lineage: _,
            current,
            last_exit,
            failure,
            thread,
            critical_below: _,
        } = self;
        ChildSpec::let_go(spec);
        discard(current);
        discard(last_exit);
        discard(failure);
        drop(thread);
    }
}

impl Current {
    /// The supervisors below it.
    pub(super) fn below(&self) -> Vec<Arc<Tree>> {
        let inner = self.inner.iter().filter_map(Weak::upgrade);
        self.nested.iter().cloned().chain(inner).collect()
    }

    /// Whether it was found to be stuck and has said nothing since.
    pub(super) fn is_stuck(&self) -> bool {
        self.observed.as_ref().is_some_and(Observed::is_stuck)
    }

    /// How long it was waited for after it had been asked to stop.
    pub(super) fn waited(&self) -> Duration {
        self.asked.map_or(Duration::ZERO, |asked| {
            asked.deadline.saturating_duration_since(asked.at)
        })
    }
}

impl Asked {
    /// As others are told: nothing if there is no limit.
    pub(super) fn limit(self) -> Option<Instant> {
        (self.deadline != Instant::MAX).then_some(self.deadline)
    }
}
