//! Figures: what an operation costs, over many arguments.

use crate::counter::Counter;
use crate::{report, stack};
use core::fmt::Display;
use core::hint::black_box;

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

    /// Fails if more than `limit` instructions were needed, on the machine that has limits: a Cortex-M3.
    ///
    /// # Panics
    /// Then.
    pub fn is_at_most(self, limit: u32) -> Self {
        if HAS_LIMITS {
            assert!(self.most <= limit, "{} instead of {limit}", self.most);
        }
        self
    }

    /// As [`is_at_most`](Self::is_at_most), on average.
    ///
    /// # Panics
    /// Then.
    pub fn is_on_average(self, limit: u32) -> Self {
        if HAS_LIMITS {
            assert!(self.average <= limit, "{} instead of {limit}", self.average);
        }
        self
    }
}

impl Figure {
    /// Fails if the other one, of the same operation on something larger, takes more than a few instructions
    /// more: on every machine.
    ///
    /// # Panics
    /// Then.
    pub fn is_flat(self, larger: Self) {
        assert!(
            larger.most <= self.most + 8,
            "{} and {}",
            self.most,
            larger.most
        );
    }
}

const HAS_LIMITS: bool = cfg!(all(target_arch = "arm", target_has_atomic = "ptr"));

/// Calls `operation` as code elsewhere would.
#[inline(never)]
fn call<S, A, R>(operation: &mut impl FnMut(&mut S, A) -> R, state: &mut S, argument: A) -> R {
    operation(state, argument)
}
