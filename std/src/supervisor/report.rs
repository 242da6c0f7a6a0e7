//! What a supervisor tells `tracing`, and the handlers of [`telemetry`](crate::telemetry): an end that was not as
//! it should be is never silent.
//!
//! One event for each such end of an incarnation, and one when a supervisor gives up. They come from
//! the same place as the decision that follows, so each end has one, and it is there before the
//! restart. Subscribers and handlers are users' code: they are called outside the lock and contained.
//!
//! Not told: a failed start that [`SupervisorBuilder::start`](super::SupervisorBuilder::start)
//! returns as an error.

use super::tree::UsersCode;
use crate::context::Context;
use crate::process::{ExitReason, GaveUp};
use crate::sync::Arc;
use crate::telemetry::own;

/// What is to be told of the end of an incarnation of the child `id`, in the context in which it was
/// started.
pub(super) fn ended(
    (supervisor, id): (&str, &str),
    incarnation: u64,
    context: &Context,
    reason: &ExitReason,
) -> Option<UsersCode> {
    if reason.is_clean() {
        return None;
    }
    let (supervisor, id) = (supervisor.to_owned(), id.to_owned());
    let (context, reason) = (context.clone(), reason.clone());
    Some(Box::new(move || {
        context.run(|| {
            own::ended(&supervisor, &id, incarnation, &reason);
            to_tracing::ended(&supervisor, &id, incarnation, &reason);
        });
    }))
}

/// What is to be told when the child `id` is started again; nothing if nobody wants to know.
pub(super) fn restarted(supervisor: &str, id: &str, incarnation: u64) -> Option<UsersCode> {
    if !own::restart_is_wanted() {
        return None;
    }
    let (supervisor, id) = (supervisor.to_owned(), id.to_owned());
    Some(Box::new(move || {
        own::restarted(&supervisor, &id, incarnation);
    }))
}

/// What is to be told when the supervisor called `supervisor` gives up.
pub(super) fn gave_up(supervisor: &str, why: &Arc<GaveUp>) -> Option<UsersCode> {
    let (supervisor, why) = (supervisor.to_owned(), why.clone());
    Some(Box::new(move || {
        own::gave_up(&supervisor, &why.child, why.restarts, &why);
        to_tracing::gave_up(&supervisor, &why);
    }))
}

#[cfg(feature = "tracing")]
mod to_tracing {
    use super::{ExitReason, GaveUp};

    /// Where the events come from.
    const TARGET: &str = "bedplate::supervisor";

    pub(super) fn ended(supervisor: &str, id: &str, incarnation: u64, reason: &ExitReason) {
        let child = format!("{supervisor}/{id}");
        match reason {
            ExitReason::Abandoned { .. } => {
                tracing::error!(target: TARGET, child, incarnation, %reason, "child abandoned");
            }
            _ => tracing::warn!(target: TARGET, child, incarnation, %reason, "child ended"),
        }
    }

    pub(super) fn gave_up(supervisor: &str, why: &GaveUp) {
        tracing::error!(target: TARGET, supervisor, child = why.child, reason = %why, "gave up");
    }
}

#[cfg(not(feature = "tracing"))]
mod to_tracing {
    use super::{ExitReason, GaveUp};

    pub(super) const fn ended(_: &str, _: &str, _: u64, _: &ExitReason) {}

    pub(super) const fn gave_up(_: &str, _: &GaveUp) {}
}
