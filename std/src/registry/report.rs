//! What a registry tells `tracing`. A subscriber is a user's code: it is called outside every lock, and
//! contained, for it may be called while a thread's locals are destroyed.

use crate::process::Pid;

#[cfg(feature = "tracing")]
use crate::process::panic::contain;

/// Where the events come from.
#[cfg(feature = "tracing")]
const TARGET: &str = "bedplate::registry";

/// Something was registered.
#[cfg(feature = "tracing")]
pub(super) fn registered(registry: Option<&str>, owner: Pid) {
    if tracing::enabled!(target: TARGET, tracing::Level::TRACE) {
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
pub(super) fn cleaned_up(registry: Option<&str>, owner: Pid, count: usize) {
    contain(|| tracing::debug!(target: TARGET, registry, %owner, count, "registry.cleanup"));
}

#[cfg(not(feature = "tracing"))]
pub(super) const fn registered(_: Option<&str>, _: Pid) {}

#[cfg(not(feature = "tracing"))]
pub(super) const fn cleanup_is_wanted() -> bool {
    false
}

#[cfg(not(feature = "tracing"))]
pub(super) const fn cleaned_up(_: Option<&str>, _: Pid, _: usize) {}
