//! Which of many things are kept, decided when they begin, with the weight that makes up for the others.
//!
//! | sampler | keeps | decides by |
//! |---|---|---|
//! | [`Always`], [`Never`] | all, none | – |
//! | [`Ratio`] | a part of all traces, the same on every machine | the trace's id |
//! | [`Random`] | a part of all | its own random numbers, from a seed |
//! | [`RateLimited`] | so many a second | time |
//! | [`Adaptive`] | as large a part as gives so many a second | what it has measured, and random numbers |
//! | [`Reservoir`] | so many of any number, each equally likely | random numbers |
//!
//! All are plain values: no atomics, no clock, no allocator. Those that take random numbers have a seed, and the same
//! seed makes the same choices.
//!
//! # Start and end
//! A [`Choice`] is made once, when something begins, and kept with it: a span carries it, in its flags or as
//! [bits](Choice::to_bits), and its end asks nobody again. [`Choice::inherited`] is for what has a parent.
//!
//! # Weights
//! The weight of what is kept says for how many it stands. Summed up over what was kept, weights estimate how many
//! there were; for [`RateLimited`] and [`Reservoir`] the sum is exact.

mod adaptive;
mod choice;
mod random;
mod rate;
mod ratio;
mod reservoir;

pub use adaptive::Adaptive;
pub use choice::Choice;
pub use random::{Random, RandomNumbers};
pub use rate::RateLimited;
pub use ratio::Ratio;
pub use reservoir::Reservoir;

use crate::clock::Instant;

/// Decides what is kept.
pub trait Sampler {
    /// Decides about what begins at `now` in the trace with this id; whoever knows of no traces gives any number.
    fn sample(&mut self, now: Instant, trace: u128) -> Choice;
}

/// Keeps all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Always;

/// Keeps none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl Sampler for Always {
    fn sample(&mut self, _now: Instant, _trace: u128) -> Choice {
        Choice::KEEP
    }
}

impl Sampler for Never {
    fn sample(&mut self, _now: Instant, _trace: u128) -> Choice {
        Choice::LEAVE
    }
}

impl<S: Sampler + ?Sized> Sampler for &mut S {
    fn sample(&mut self, now: Instant, trace: u128) -> Choice {
        (**self).sample(now, trace)
    }
}

/// What samplers have decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// How many were kept.
    pub kept: u64,
    /// How many were left out.
    pub left: u64,
}

/// A sampler that counts what it decides.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::sample::{Counted, Random, Sampler};
///
/// let mut sampler = Counted::new(Random::new(0.5, 42));
/// for _ in 0..1000 {
///     sampler.sample(Instant::ZERO, 0);
/// }
/// let counts = sampler.counts();
/// assert_eq!(counts.kept + counts.left, 1000);
/// sampler.reset();
/// assert_eq!(sampler.counts().kept, 0);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted<S> {
    sampler: S,
    counts: Counts,
}

impl<S> Counted<S> {
    /// Nothing decided.
    #[must_use]
    pub const fn new(sampler: S) -> Self {
        Self {
            sampler,
            counts: Counts { kept: 0, left: 0 },
        }
    }

    /// The decisions so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts from zero again; the sampler goes on as it was.
    pub const fn reset(&mut self) {
        self.counts = Counts { kept: 0, left: 0 };
    }
}

impl<S: Sampler> Sampler for Counted<S> {
    fn sample(&mut self, now: Instant, trace: u128) -> Choice {
        let choice = self.sampler.sample(now, trace);
        if choice.is_kept() {
            self.counts.kept += 1;
        } else {
            self.counts.left += 1;
        }
        choice
    }
}
