//! What bedplate tells of itself, for the table in the module's documentation.
//!
//! Each of these is called outside every lock of bedplate's.

use super::{Value, emit};
use crate::process::Pid;
use core::fmt;
use core::time::Duration;
use std::backtrace::Backtrace;

/// Something was registered.
pub(crate) fn registered(registry: Option<&str>, owner: Pid) {
    emit!("bedplate.registry.register", { count: 1_u64 }, { registry: registry, owner: owner });
}

/// Whether anybody wants to know what an owner leaves.
pub(crate) fn cleanup_is_wanted() -> bool {
    CLEANUP.is_wanted()
}

/// An owner is gone, and so are its registrations.
pub(crate) fn cleaned_up(registry: Option<&str>, owner: Pid, count: usize) {
    CLEANUP.emit(
        &[("count", count.into())],
        &[("registry", registry.into()), ("owner", owner.into())],
    );
}

static CLEANUP: super::Site = super::Site::new("bedplate.registry.cleanup");

/// The thread's context has changed; `depth` is asked for if anybody wants to know.
#[inline]
pub(crate) fn context_set(depth: impl FnOnce() -> usize) {
    emit!("bedplate.context.set", { depth: depth() });
}

/// Whether anybody wants to know of restarts.
pub(crate) fn restart_is_wanted() -> bool {
    RESTART.is_wanted()
}

/// A child is being started again.
pub(crate) fn restarted(supervisor: &str, child: &str, incarnation: u64) {
    RESTART.emit(
        &[("incarnation", incarnation.into())],
        &[("supervisor", supervisor.into()), ("child", child.into())],
    );
}

static RESTART: super::Site = super::Site::new("bedplate.supervisor.restart");

/// An incarnation has ended as it should not.
pub(crate) fn ended(supervisor: &str, child: &str, incarnation: u64, reason: &dyn fmt::Display) {
    emit!(
        "bedplate.supervisor.ended",
        { incarnation: incarnation },
        { supervisor: supervisor, child: child, reason: Value::shown(reason) }
    );
}

/// An incarnation has said nothing about itself for too long.
pub(crate) fn stuck(
    supervisor: &str,
    child: &str,
    incarnation: u64,
    activity: &'static str,
    silent: Duration,
) {
    emit!(
        "bedplate.supervisor.stuck",
        { incarnation: incarnation, silent: silent },
        { supervisor: supervisor, child: child, activity: activity }
    );
}

/// It has said something after all.
pub(crate) fn recovered(supervisor: &str, child: &str, incarnation: u64, silent: Duration) {
    emit!(
        "bedplate.supervisor.recovered",
        { incarnation: incarnation, silent: silent },
        { supervisor: supervisor, child: child }
    );
}

/// A process runs that will not end with the program, or the keeper of all others was lost with its end.
#[cfg(all(unix, feature = "process"))]
pub(crate) fn unkept(child: &str, reason: &dyn fmt::Display) {
    emit!("bedplate.supervisor.unkept", {}, { child: child, reason: Value::shown(reason) });
}

/// A watchdog is fed again, or no longer.
pub(crate) fn fed(child: &str, live: bool, troubles: usize, health: &dyn fmt::Display) {
    if live {
        emit!("bedplate.supervisor.fed", { troubles: troubles }, { child: child });
    } else {
        emit!(
            "bedplate.supervisor.unfed",
            { troubles: troubles },
            { child: child, health: Value::shown(health) }
        );
    }
}

/// A supervisor has given up.
pub(crate) fn gave_up(supervisor: &str, child: &str, restarts: u32, reason: &dyn fmt::Display) {
    emit!(
        "bedplate.supervisor.gave_up",
        { restarts: restarts },
        { supervisor: supervisor, child: child, reason: Value::shown(reason) }
    );
}

/// A version of a checkpoint was given up.
pub(crate) fn checkpoint_fell_back(
    checkpoint: &str,
    child: &str,
    version: u64,
    crashes: u32,
    to: Option<u64>,
) {
    emit!(
        "bedplate.checkpoint.fallback",
        { version: version, crashes: crashes },
        { checkpoint: checkpoint, child: child, to: to }
    );
}

/// Recorded events were lost.
pub(super) fn lost(count: u64, shard: usize) {
    emit!("bedplate.telemetry.lost", { count: count }, { shard: shard });
}

/// What is told of windows.
pub(super) const SUPPRESSED: &str = "bedplate.telemetry.suppressed";

/// A window is over in which a handler was not given everything.
pub(super) fn suppressed(count: u64, lasted: Duration, handler: &str, event: &str, key: u64) {
    emit!(
        SUPPRESSED,
        { count: count, lasted: lasted },
        { handler: handler, event: event, key: key }
    );
}

/// Batches of events were given up.
pub(super) fn batch_lost(count: u64, handler: &str) {
    emit!("bedplate.telemetry.lost", { count: count }, { handler: handler });
}

/// A sink did not take a batch.
pub(super) fn batch_failed(handler: &str, events: usize, attempt: u32, reason: &str) {
    emit!(
        "bedplate.telemetry.batch.failed",
        { events: events, attempt: attempt },
        { handler: handler, reason: reason }
    );
}

/// What is told of the failure of a handler.
pub(super) struct HandlerFailure<'f> {
    pub(super) handler: &'f str,
    pub(super) event: &'f str,
    pub(super) kind: &'static str,
    pub(super) reason: &'f str,
    pub(super) place: Option<&'f str>,
    pub(super) backtrace: Option<&'f Backtrace>,
    pub(super) failures: u64,
    pub(super) detached: bool,
}

/// A handler has failed.
pub(super) fn handler_failed(failure: &HandlerFailure<'_>) {
    let backtrace = failure.backtrace.map(|it| Value::shown(it));
    emit!(
        "bedplate.telemetry.handler.failed",
        { failures: failure.failures },
        {
            handler: failure.handler,
            event: failure.event,
            kind: failure.kind,
            reason: failure.reason,
            place: failure.place,
            backtrace: backtrace,
            detached: failure.detached,
        }
    );
}
