//! What a supervisor tells `tracing`: an end that was not as it should be is never silent.
//!
//! One event for each such end of an incarnation, and one when a supervisor gives up. They come from
//! the same place as the decision that follows, so each end has one, and it is there before the
//! restart. A subscriber is a user's code: it is called outside the lock and contained.
//!
//! Not told: a failed start that [`SupervisorBuilder::start`](super::SupervisorBuilder::start)
//! returns as an error.

use super::tree::UsersCode;
use crate::context::Context;
use crate::process::{ExitReason, GaveUp};
use crate::sync::Arc;

/// Where the events come from.
#[cfg(feature = "tracing")]
const TARGET: &str = "bedplate::supervisor";

/// What is to be told of the end of an incarnation of the child `id`, in the context in which it was
/// started.
#[cfg(feature = "tracing")]
pub(super) fn ended(
    (supervisor, id): (&str, &str),
    incarnation: u64,
    context: &Context,
    reason: &ExitReason,
) -> Option<UsersCode> {
    if reason.is_clean() {
        return None;
    }
    let child = format!("{supervisor}/{id}");
    let (context, reason) = (context.clone(), reason.clone());
    Some(Box::new(move || {
        context.run(|| match reason {
            ExitReason::Abandoned { .. } => {
                tracing::error!(target: TARGET, child, incarnation, %reason, "child abandoned");
            }
            _ => tracing::warn!(target: TARGET, child, incarnation, %reason, "child ended"),
        });
    }))
}

/// What is to be told when the supervisor called `supervisor` gives up.
#[cfg(feature = "tracing")]
pub(super) fn gave_up(supervisor: &str, why: &Arc<GaveUp>) -> Option<UsersCode> {
    let (supervisor, why) = (supervisor.to_owned(), why.clone());
    Some(Box::new(move || {
        tracing::error!(target: TARGET, supervisor, child = why.child, reason = %why, "gave up");
    }))
}

#[cfg(not(feature = "tracing"))]
pub(super) const fn ended(
    _: (&str, &str),
    _: u64,
    _: &Context,
    _: &ExitReason,
) -> Option<UsersCode> {
    None
}

#[cfg(not(feature = "tracing"))]
pub(super) const fn gave_up(_: &str, _: &Arc<GaveUp>) -> Option<UsersCode> {
    None
}
