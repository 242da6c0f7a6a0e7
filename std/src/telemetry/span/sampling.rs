//! What is kept, decided when a trace begins.

use crate::clock;
use crate::sync::{AtomicU64, Mutex, Ordering};
use bedplate_core::context::TraceId;
use bedplate_core::sample::{Adaptive, Choice, Random, RateLimited, Ratio, Sampler as _};

/// Which traces that begin in this process are kept. It is decided once, by the first span of a trace; what is begun
/// in that, on whatever thread, goes with it, and what comes from elsewhere does as its header says.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Sampling {
    /// All of them.
    #[default]
    Always,
    /// None. Identities are still given out and sent.
    Never,
    /// This part of all, decided by the trace's identity: see [`Ratio`].
    Ratio(f64),
    /// A part of all, decided by random numbers.
    Random(Random),
    /// So many a second.
    RateLimited(RateLimited),
    /// As large a part as gives so many a second.
    Adaptive(Adaptive),
}

/// The ratio, as bits; what is no number if [`SAMPLER`] decides.
static RATIO: AtomicU64 = AtomicU64::new(1.0_f64.to_bits());

/// No code of a user is called under it: the samplers are core's.
static SAMPLER: Mutex<Sampling> = Mutex::new(Sampling::Always);

/// Says which traces are kept from now on; those that have begun go on as they were decided. At first, all are.
///
/// # Concurrency
/// [`Sampling::Always`], [`Never`](Sampling::Never) and [`Ratio`](Sampling::Ratio) cost who begins a trace a load, the
/// others a lock, held for the decision. While this is being called, who begins a trace goes by the old or the new one.
///
/// ```
/// use bedplate::telemetry::{self, span::{self, Sampling, TraceFlags}};
///
/// span::set_sampling(Sampling::Never);
/// let request = telemetry::span!("request");
/// let header = span::current().expect("it has an identity all the same");
/// assert!(!header.flags.has(TraceFlags::SAMPLED));
/// ```
pub fn set_sampling(sampling: Sampling) {
    let ratio = match sampling {
        Sampling::Always => 1.0,
        Sampling::Never => 0.0,
        // What is no number keeps none, here as there.
        Sampling::Ratio(ratio) if ratio.is_nan() => 0.0,
        Sampling::Ratio(ratio) => ratio,
        _ => f64::NAN,
    };
    let mut sampler = SAMPLER.lock();
    *sampler = sampling;
    // Relaxed: it publishes nothing. Who finds that a sampler decides, takes the lock.
    RATIO.store(ratio.to_bits(), Ordering::Relaxed);
}

/// Whether a trace that begins now is kept.
#[inline]
pub(super) fn decide(trace: TraceId) -> Choice {
    // Relaxed: a number, through which nothing is read.
    let ratio = f64::from_bits(RATIO.load(Ordering::Relaxed));
    if ratio >= 1.0 {
        Choice::KEEP
    } else if ratio.is_nan() {
        ask(trace)
    } else {
        Ratio::new(ratio).choose(trace.0.get())
    }
}

#[cold]
fn ask(trace: TraceId) -> Choice {
    let (now, trace) = (clock::now(), trace.0.get());
    match &mut *SAMPLER.lock() {
        Sampling::Always => Choice::KEEP,
        Sampling::Never => Choice::LEAVE,
        Sampling::Ratio(ratio) => Ratio::new(*ratio).choose(trace),
        Sampling::Random(sampler) => sampler.sample(now, trace),
        Sampling::RateLimited(sampler) => sampler.sample(now, trace),
        Sampling::Adaptive(sampler) => sampler.sample(now, trace),
    }
}
