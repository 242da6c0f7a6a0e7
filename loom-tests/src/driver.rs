//! The same scenario in every world.

#[cfg(bedplate_loom)]
pub use loom::thread;
#[cfg(not(bedplate_loom))]
pub use std::thread;

/// How often a scenario runs where its interleavings are left to chance.
#[cfg(not(bedplate_loom))]
const ROUNDS: usize = if cfg!(miri) { 1 } else { 300 };

/// Runs `scenario` under every interleaving loom can find, or many times with plain threads.
///
/// A scenario makes everything it uses, and ends by asserting that all is at rest.
pub fn check(scenario: impl Fn() + Send + Sync + 'static) {
    #[cfg(bedplate_loom)]
    loom::model(scenario);
    #[cfg(not(bedplate_loom))]
    for _ in 0..ROUNDS {
        scenario();
    }
}
