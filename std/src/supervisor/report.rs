//! What a supervisor tells `tracing`, and the handlers of [`telemetry`](crate::telemetry): an end that was not as
//! it should be is never silent.
//!
//! One event for each such end of an incarnation, and one when a supervisor gives up. They come from
//! the same place as the decision that follows, so each end has one, and it is there before the
//! restart. Subscribers and handlers are users' code: they are called outside the lock and contained.
//!
//! Not told: a failed start that [`SupervisorBuilder::start`](super::SupervisorBuilder::start)
//! returns as an error.

use super::elsewhere::UsersCode;
use super::health::Health;
use crate::context::Context;
use crate::process::panic::contain;
use crate::process::{ExitReason, GaveUp};
use crate::sync::Arc;
use crate::telemetry::own;
use bedplate_core::supervision::{Activity, OnStuck};
use core::time::Duration;

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

/// What is to be told when an incarnation of the child `id` begins: nothing if it is the first, or if nobody wants to
/// know.
pub(super) fn begins(supervisor: &str, id: &str, incarnation: u64) -> Option<UsersCode> {
    if incarnation == 1 || !own::restart_is_wanted() {
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

/// Of which incarnation something is told.
pub(super) struct Whom<'w> {
    pub(super) supervisor: &'w str,
    pub(super) child: &'w str,
    pub(super) incarnation: u64,
    /// In which it was started.
    pub(super) context: &'w Context,
}

/// What is to be told of an incarnation that has been found stuck; and then the process ends, if it is to.
pub(super) fn stuck(
    whom: &Whom<'_>,
    activity: Activity,
    silent: Duration,
    on_stuck: OnStuck,
) -> UsersCode {
    let aborts = on_stuck == OnStuck::AbortProcess;
    let activity = match activity {
        Activity::Working => "working",
        Activity::Parked => "parked",
    };
    let tell = in_context(whom, move |supervisor, child, incarnation| {
        own::stuck(supervisor, child, incarnation, activity, silent);
        to_tracing::stuck(supervisor, child, incarnation, activity, silent, aborts);
    });
    if !aborts {
        return tell;
    }
    Box::new(move || {
        contain(tell);
        std::process::abort();
    })
}

/// What is to be told of one that was stuck, so long, and goes on.
pub(super) fn recovered(whom: &Whom<'_>, silent: Duration) -> UsersCode {
    in_context(whom, move |supervisor, child, incarnation| {
        own::recovered(supervisor, child, incarnation, silent);
        to_tracing::recovered(supervisor, child, incarnation, silent);
    })
}

/// Tells that a process runs which will not end with the program, or that none will since this one's end, and why.
#[cfg(all(unix, feature = "process"))]
pub(super) fn unkept(spec: &super::ChildSpec, child: &str, error: &std::io::Error) {
    contain(|| {
        spec.context.clone().run(|| {
            own::unkept(child, error);
            to_tracing::unkept(child, error);
        });
    });
}

/// Tells that the watchdog `child` is not fed any more, or is again.
pub(super) fn fed(child: &str, health: &Health) {
    contain(|| own::fed(child, health.live, health.degraded.len(), health));
    contain(|| to_tracing::fed(child, health));
}

fn in_context(whom: &Whom<'_>, tell: impl FnOnce(&str, &str, u64) + Send + 'static) -> UsersCode {
    let (supervisor, child) = (whom.supervisor.to_owned(), whom.child.to_owned());
    let (context, incarnation) = (whom.context.clone(), whom.incarnation);
    Box::new(move || context.run(|| tell(&supervisor, &child, incarnation)))
}

#[cfg(feature = "tracing")]
mod to_tracing {
    use super::{Duration, ExitReason, GaveUp, Health};

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

    pub(super) fn stuck(
        supervisor: &str,
        id: &str,
        incarnation: u64,
        activity: &str,
        silent: Duration,
        aborts: bool,
    ) {
        let child = format!("{supervisor}/{id}");
        if aborts {
            tracing::error!(target: TARGET, child, incarnation, activity, ?silent, "child stuck, the process ends");
        } else {
            tracing::warn!(target: TARGET, child, incarnation, activity, ?silent, "child stuck");
        }
    }

    pub(super) fn recovered(supervisor: &str, id: &str, incarnation: u64, silent: Duration) {
        let child = format!("{supervisor}/{id}");
        tracing::info!(target: TARGET, child, incarnation, ?silent, "child no longer stuck");
    }

    #[cfg(all(unix, feature = "process"))]
    pub(super) fn unkept(child: &str, error: &std::io::Error) {
        tracing::warn!(target: TARGET, child, %error, "no keeper: does not end with the program");
    }

    pub(super) fn fed(child: &str, health: &Health) {
        if health.live {
            tracing::info!(target: TARGET, child, "watchdog fed again");
        } else {
            tracing::error!(target: TARGET, child, %health, "watchdog no longer fed");
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod to_tracing {
    use super::{Duration, ExitReason, GaveUp, Health};

    pub(super) const fn ended(_: &str, _: &str, _: u64, _: &ExitReason) {}

    pub(super) const fn gave_up(_: &str, _: &GaveUp) {}

    pub(super) const fn stuck(_: &str, _: &str, _: u64, _: &str, _: Duration, _: bool) {}

    pub(super) const fn recovered(_: &str, _: &str, _: u64, _: Duration) {}

    #[cfg(all(unix, feature = "process"))]
    pub(super) const fn unkept(_: &str, _: &std::io::Error) {}

    pub(super) const fn fed(_: &str, _: &Health) {}
}
