//! Figures: what an operation costs, over many arguments.

use crate::counter::Counter;
use crate::{report, stack};
use core::fmt::Display;
use core::hint::black_box;
use portable_atomic::{AtomicU32, Ordering};

/// With how many arguments each operation is measured.
pub const SAMPLES: u32 = 64;

/// What an operation costs: instructions, from the call to the return, and bytes of stack.
#[derive(Clone, Copy)]
pub struct Figure {
    /// The least there were.
    pub least: u32,
    /// On average, rounded up.
    pub average: u32,
    /// The most there were.
    pub most: u32,
    /// The most stack.
    pub stack: usize,
}

impl Figure {
    /// Measures `operation` with what `prepare` makes of each number below [`SAMPLES`], and tells the host. It
    /// is prepared and called twice for each number, once for its instructions and once for its stack.
    pub fn of<S, A, R>(
        counter: &Counter,
        what: impl Display,
        mut state: S,
        mut prepare: impl FnMut(&mut S, u32) -> A,
        mut operation: impl FnMut(&mut S, A) -> R,
    ) -> Self {
        let mut figure = Self {
            least: u32::MAX,
            average: 0,
            most: 0,
            stack: 0,
        };
        let mut sum = 0;
        for number in 0..SAMPLES {
            let argument = black_box(prepare(&mut state, number));
            let (cost, result) = counter.of(|| call(&mut operation, &mut state, argument));
            drop(black_box(result));
            sum += cost;
            figure.least = figure.least.min(cost);
            figure.most = figure.most.max(cost);
            let argument = black_box(prepare(&mut state, number));
            let bytes = stack::used_by(|| call(&mut operation, &mut state, argument));
            figure.stack = figure.stack.max(bytes);
        }
        figure.average = sum.div_ceil(SAMPLES);
        let Self {
            least,
            average,
            most,
            stack,
        } = figure;
        report::say!("figure: {what} | {average} | {least} | {most} | {stack}");
        figure
    }

    /// Counts a failure if more than `limit` instructions were needed, on the machine that has limits: a
    /// Cortex-M3.
    pub fn is_at_most(self, limit: u32) -> Self {
        self.must_be(self.most <= limit || !HAS_LIMITS, limit)
    }

    /// As [`is_at_most`](Self::is_at_most), on average.
    pub fn is_on_average(self, limit: u32) -> Self {
        self.must_be(self.average <= limit || !HAS_LIMITS, limit)
    }

    /// Counts a failure, on every machine, if the other one, of the same operation on something larger, takes
    /// more than `much` instructions more on average.
    pub fn is_flat(self, larger: Self, much: u32) {
        let limit = self.average + much;
        larger.must_be(larger.average <= limit, limit);
    }

    fn must_be(self, holds: bool, limit: u32) -> Self {
        if !holds {
            report::say!("more than {limit}: {}, {} at most", self.average, self.most);
            // Relaxed: one context measures.
            let exceeded = EXCEEDED.load(Ordering::Relaxed);
            EXCEEDED.store(exceeded + 1, Ordering::Relaxed);
        }
        self
    }
}

/// How many limits were exceeded.
static EXCEEDED: AtomicU32 = AtomicU32::new(0);

/// Ends with the figures that were measured.
///
/// # Panics
/// If a limit was exceeded.
pub fn all_hold() {
    // Relaxed: one context measures.
    let exceeded = EXCEEDED.load(Ordering::Relaxed);
    assert_eq!(exceeded, 0, "limits were exceeded");
}

const HAS_LIMITS: bool = cfg!(all(target_arch = "arm", target_has_atomic = "ptr"));

/// Calls `operation` as code elsewhere would.
#[inline(never)]
fn call<S, A, R>(operation: &mut impl FnMut(&mut S, A) -> R, state: &mut S, argument: A) -> R {
    operation(state, argument)
}
