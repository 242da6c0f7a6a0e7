//! What is known of a child beyond what the machine knows.

use super::super::{ChildRef, ChildSpec, StartError};
use super::Tree;
use crate::process::ExitReason;
use crate::process::panic::discard;
use crate::stop::StopToken;
use crate::sync::{Arc, Weak};
use bedplate_core::clock::Instant;
use core::time::Duration;

/// A child.
pub(super) struct Entry {
    pub(super) spec: Arc<ChildSpec>,
    pub(super) current: Option<Current>,
    pub(super) last_exit: Option<ExitReason>,
    /// Why its last start failed, if its last start did.
    pub(super) failure: Option<Arc<StartError>>,
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
}

/// It was asked to stop.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) at: Instant,
    /// [`Instant::MAX`] if it may take for ever.
    pub(super) deadline: Instant,
}

impl Entry {
    pub(super) fn new(spec: ChildSpec) -> Self {
        Self {
            spec: Arc::new(spec),
            current: None,
            last_exit: None,
            failure: None,
        }
    }

    /// Drops it part by part: of two destructors that panic at once, the second would abort the
    /// process.
    pub(super) fn let_go(self) {
        let Self {
            spec,
            current,
            last_exit,
            failure,
        } = self;
        ChildSpec::let_go(spec);
        discard(current);
        discard(last_exit);
        discard(failure);
    }
}

impl Current {
    /// The supervisors below it.
    pub(super) fn below(&self) -> Vec<Arc<Tree>> {
        let inner = self.inner.iter().filter_map(Weak::upgrade);
        self.nested.iter().cloned().chain(inner).collect()
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
