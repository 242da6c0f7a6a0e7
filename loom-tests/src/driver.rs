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
    explore(model(), scenario);
    #[cfg(not(bedplate_loom))]
    for _ in 0..ROUNDS {
        scenario();
    }
}

/// As [`check`], with at least so many preemptions in one execution, for a model that is small enough
/// to be explored deeply.
pub fn check_deeply(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    #[cfg(bedplate_loom)]
    {
        let mut model = model();
        let bound = model.preemption_bound.unwrap_or(usize::MAX);
        model.preemption_bound = Some(bound.max(preemptions));
        explore(model, scenario);
    }
    #[cfg(not(bedplate_loom))]
    {
        let _ = preemptions;
        check(scenario);
    }
}

/// As [`check`], with at most so many preemptions in one execution, for a model that takes too many steps to be
/// explored with as many as others.
pub fn check_lightly(preemptions: usize, scenario: impl Fn() + Send + Sync + 'static) {
    #[cfg(bedplate_loom)]
    {
        let mut model = model();
        let bound = model.preemption_bound.unwrap_or(preemptions);
        model.preemption_bound = Some(bound.min(preemptions));
        explore(model, scenario);
    }
    #[cfg(not(bedplate_loom))]
    {
        let _ = preemptions;
        check(scenario);
    }
}

/// Makes something that is large while it is made: loom's threads have 32 KiB of stack, unless they ask for more.
pub fn with_room<T: Send + 'static>(make: impl FnOnce() -> T + Send + 'static) -> T {
    #[cfg(bedplate_loom)]
    {
        let maker = thread::Builder::new().stack_size(1 << 15).spawn(make);
        maker.expect("a thread").join().expect("no panic")
    }
    #[cfg(not(bedplate_loom))]
    make()
}

/// A value for all threads of one run of a model, freed at the end of the run: a model declares it first and joins its
/// threads.
#[derive(Debug)]
pub struct Lent<T: 'static>(*mut T);

impl<T> Lent<T> {
    /// Takes what is to be lent.
    pub fn new(value: T) -> Self {
        Self(Box::into_raw(Box::new(value)))
    }

    /// Lends it, for no longer than the run.
    #[must_use]
    pub fn lend(&self) -> &'static T {
        // SAFETY: made from a box in `new`, and freed only when the run is over.
        unsafe { &*self.0 }
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        // SAFETY: made from a box in `new`; the run is over, so nobody borrows it any more.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// Takes the bound of preemptions from the environment. One execution of a registry takes more steps than
/// loom allows by default.
#[cfg(bedplate_loom)]
fn model() -> loom::model::Builder {
    let mut model = loom::model::Builder::new();
    model.max_branches = 20_000;
    model
}

/// A model in which loom finds nothing to reorder would pass whatever is wrong.
#[cfg(bedplate_loom)]
fn explore(model: loom::model::Builder, scenario: impl Fn() + Send + Sync + 'static) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::util::SubscriberInitExt;

    // What is explored, for whoever asks by `LOOM_LOG`; shown if the model fails, or with `--nocapture`.
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_env("LOOM_LOG"))
        .with_test_writer()
        .without_time()
        .finish();
    let _logged = log.set_default();
    let executions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&executions);
    model.check(move || {
        // Relaxed: a count, of one execution after the other.
        counted.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    let executions = executions.load(Ordering::Relaxed);
    assert!(executions > 1, "there was only one interleaving");
}
