//! What a registry tells `tracing`. A subscriber is a user's code: it is called outside every lock, and
//! contained.
//!
//! Subscribers have thread-locals, too, and those in common use panic when they are called after the
//! destruction of these. So what a thread leaves, which is known only when its locals are destroyed, is told
//! by another one. That costs a thread, and only if somebody listens.

use crate::process::Pid;
use crate::sync::Arc;

#[cfg(feature = "tracing")]
use crate::process::panic::contain;
#[cfg(feature = "tracing")]
use crate::sync::thread;
#[cfg(feature = "tracing")]
use core::cell::Cell;

/// Where the events come from.
#[cfg(feature = "tracing")]
const TARGET: &str = "bedplate::registry";

#[cfg(feature = "tracing")]
thread_local! {
    /// Whether the thread's locals are known to be in destruction. It has no destructor itself.
    static ENDS: Cell<bool> = const { Cell::new(false) };
}

/// From here on the calling thread's locals are being destroyed.
#[cfg(feature = "tracing")]
pub(super) fn thread_ends() {
    ENDS.set(true);
}

/// Something was registered.
#[cfg(feature = "tracing")]
pub(super) fn registered(registry: Option<&str>, owner: Pid) {
    // Before it is contained, which costs more; this reads a number and asks no subscriber.
    if tracing::level_filters::LevelFilter::current() >= tracing::Level::TRACE {
        contain(|| tracing::trace!(target: TARGET, registry, %owner, "registry.register"));
    }
}

/// Whether anybody wants to know what an owner leaves.
#[cfg(feature = "tracing")]
pub(super) fn cleanup_is_wanted() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// An owner is gone, and so are its registrations.
#[cfg(feature = "tracing")]
pub(super) fn cleaned_up(registry: Option<&Arc<str>>, owner: Pid, count: usize) {
    fn tell(registry: Option<&str>, owner: Pid, count: usize) {
        contain(|| tracing::debug!(target: TARGET, registry, %owner, count, "registry.cleanup"));
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

#[cfg(not(feature = "tracing"))]
pub(super) const fn thread_ends() {}

#[cfg(not(feature = "tracing"))]
pub(super) const fn registered(_: Option<&str>, _: Pid) {}

#[cfg(not(feature = "tracing"))]
pub(super) const fn cleanup_is_wanted() -> bool {
    false
}

#[cfg(not(feature = "tracing"))]
pub(super) const fn cleaned_up(_: Option<&Arc<str>>, _: Pid, _: usize) {}
