//! Shutting out an incarnation that did not stop in time: steps 2 to 4 of its [end](super::life), done by
//! somebody else, since the thread itself does not get there.
//!
//! What the incarnation holds in registries may be a user's keys and values, so this is a user's code as far
//! as the driver is concerned: outside the lock, and not on the timer's thread.

use super::{ChildRef, ChildSpec, report};
use crate::process::ExitReason;
use crate::process::panic::{contain, discard};
use crate::sync::Arc;
use core::time::Duration;

/// An incarnation that is to be shut out.
pub(super) struct Abandonment {
    pub(super) child: ChildRef,
    pub(super) spec: Arc<ChildSpec>,
    /// Which incarnation it is.
    pub(super) number: u64,
    /// How long it was waited for.
    pub(super) after: Duration,
}

impl Abandonment {
    /// Does it. The child's id, and how it ended if its own end came first.
    pub(super) fn perform(self, supervisor: &str) -> (String, Option<ExitReason>) {
        let Self {
            child,
            spec,
            number,
            after,
        } = self;
        // First what others wait for: its names are free before anybody's handler is called.
        let abandoned = ExitReason::Abandoned { after };
        let own_end = if child.end(abandoned.clone()) {
            None
        } else {
            Some(child.exit_reason().unwrap_or(ExitReason::Gone))
        };
        contain(|| child.span().abandon());
        let reason = own_end.as_ref().unwrap_or(&abandoned);
        let ids = (supervisor, spec.id.as_str());
        if let Some(tell) = report::ended(ids, number, &spec.context, reason) {
            contain(tell);
        }
        discard(child);
        let id = spec.id.clone();
        ChildSpec::let_go(spec);
        (id, own_end)
    }
}
