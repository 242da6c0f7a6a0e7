//! What `tracing` and the handlers of [`telemetry`](crate::telemetry) are told: a version that is given up is never
//! given up in silence. Called outside of the lock, since subscribers and handlers are users' code.

use crate::process::panic::contain;
use crate::telemetry::own;
use bedplate_core::checkpoint::FellBack;

/// `child` has found the current version of `checkpoint` to be given up.
pub(super) fn fell_back(checkpoint: &str, child: &str, fell: &FellBack) {
    let version = fell.given_up.version;
    let to = fell.to.map(|to| to.version);
    contain(|| own::checkpoint_fell_back(checkpoint, child, version, fell.crashes, to));
    contain(|| to_tracing::fell_back(checkpoint, child, version, fell.crashes, to));
}

#[cfg(feature = "tracing")]
mod to_tracing {
    pub(super) fn fell_back(
        checkpoint: &str,
        child: &str,
        version: u64,
        crashes: u32,
        to: Option<u64>,
    ) {
        tracing::warn!(
            target: "bedplate::checkpoint",
            checkpoint, child, version, crashes, to,
            "version given up"
        );
    }
}

#[cfg(not(feature = "tracing"))]
mod to_tracing {
    pub(super) const fn fell_back(_: &str, _: &str, _: u64, _: u32, _: Option<u64>) {}
}
