//! What a registry tells: events, to `tracing` and to the handlers of [`telemetry`](crate::telemetry). Subscribers
//! and handlers are users' code: they are called outside every lock, and contained.
//!
//! Subscribers have thread-locals, too, and those in common use panic when they are called after the
//! destruction of these. So what a thread leaves, which is known only when its locals are destroyed, is told
//! by another one. That costs a thread, and only if somebody listens.

use crate::process::Pid;
use crate::process::panic::contain;
use crate::sync::{Arc, thread};
use crate::telemetry::own;
use core::cell::Cell;

thread_local! {
    /// Whether the thread's locals are known to be in destruction. It has no destructor itself.
    static ENDS: Cell<bool> = const { Cell::new(false) };
}

/// From here on the calling thread's locals are being destroyed.
pub(super) fn thread_ends() {
    ENDS.set(true);
}

/// Something was registered.
pub(super) fn registered(registry: Option<&str>, owner: Pid) {
    own::registered(registry, owner);
    to_tracing::registered(registry, owner);
}

/// Whether anybody wants to know what an owner leaves.
pub(super) fn cleanup_is_wanted() -> bool {
    own::cleanup_is_wanted() || to_tracing::cleanup_is_wanted()
}

/// An owner is gone, and so are its registrations.
pub(super) fn cleaned_up(registry: Option<&Arc<str>>, owner: Pid, count: usize) {
    fn tell(registry: Option<&str>, owner: Pid, count: usize) {
        own::cleaned_up(registry, owner, count);
        contain(|| to_tracing::cleaned_up(registry, owner, count));
    }

    if ENDS.get() {
        let name = registry.cloned();
        let teller = thread::Builder::new().name("bedplate-tell".to_owned());
        let told = teller.spawn(move || tell(name.as_deref(), owner, count));
        if told.is_ok() {
            return;
        }
    }
    tell(registry.map(|name| &**name), owner, count);
}

#[cfg(feature = "tracing")]
mod to_tracing {
    use super::{Pid, contain};

    /// Where the events come from.
    const TARGET: &str = "bedplate::registry";

    pub(super) fn registered(registry: Option<&str>, owner: Pid) {
        // Before it is contained, which costs more; this reads a number and asks no subscriber.
        if tracing::level_filters::LevelFilter::current() >= tracing::Level::TRACE {
            contain(|| tracing::trace!(target: TARGET, registry, %owner, "registry.register"));
        }
    }

    pub(super) fn cleanup_is_wanted() -> bool {
        tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
    }

    pub(super) fn cleaned_up(registry: Option<&str>, owner: Pid, count: usize) {
        tracing::debug!(target: TARGET, registry, %owner, count, "registry.cleanup");
    }
}

#[cfg(not(feature = "tracing"))]
mod to_tracing {
    use super::Pid;

    pub(super) const fn registered(_: Option<&str>, _: Pid) {}

    pub(super) const fn cleanup_is_wanted() -> bool {
        false
    }

    pub(super) const fn cleaned_up(_: Option<&str>, _: Pid, _: usize) {}
}
