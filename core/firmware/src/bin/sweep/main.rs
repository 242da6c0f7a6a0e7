//! An interrupt at every instruction boundary of every operation.
//!
//! Each scenario is an operation of `main`, and what a handler does when it comes upon it. The scenario is
//! repeated with the interrupt one tick of the timer later each time, until it comes after the operation; a
//! tick is shorter than an instruction, so no boundary is left out. Whatever the moment, the facts of the
//! scenario hold afterwards, and they are checked each time.

#![no_std]
#![no_main]

#[cfg(target_has_atomic = "ptr")]
extern crate alloc;

mod events;
mod names;
#[cfg(target_has_atomic = "ptr")]
mod registry;

use bedplate_firmware::board::Timer;
use bedplate_firmware::counter::Counter;
use bedplate_firmware::{proof, report};
use portable_atomic::{AtomicBool, AtomicUsize, Ordering};

/// An operation, and what comes upon it.
struct Scenario {
    name: &'static str,
    /// Makes everything as it is to be.
    prepare: fn(),
    /// In `main`.
    operation: fn(),
    /// In the handler, or after the operation if that did not run.
    interrupt: fn(),
    /// Checks what came of it.
    check: fn(),
}

/// The interrupt of the scenario that is being played. Relaxed, as everything here: there is one core.
static PLAYED: AtomicUsize = AtomicUsize::new(0);
static HAS_COME: AtomicBool = AtomicBool::new(false);

/// All scenarios, one after the other.
fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    let all = events::SCENARIOS.iter().chain(names::SCENARIOS);
    #[cfg(target_has_atomic = "ptr")]
    let all = all.chain(registry::SCENARIOS);
    all
}

proof!(main: main, timer: on_timer);

fn on_timer() {
    // The shortest times are over again before the timer is stopped.
    if HAS_COME.load(Ordering::Relaxed) {
        return;
    }
    let scenario = scenarios().nth(PLAYED.load(Ordering::Relaxed));
    (scenario.expect("one is being played").interrupt)();
    HAS_COME.store(true, Ordering::Relaxed);
}

fn main() {
    #[cfg(target_has_atomic = "ptr")]
    registry::start();
    let mut all = 0;
    for (number, scenario) in scenarios().enumerate() {
        PLAYED.store(number, Ordering::Relaxed);
        // The first time is another path, of what was never used.
        undisturbed(scenario);
        let instructions = undisturbed(scenario);
        let points = sweep(scenario, instructions);
        report::say!(
            "{}: {instructions} instructions, interrupted at {points} moments",
            scenario.name
        );
        assert!(points >= instructions, "not every boundary was met");
        all += points;
    }
    report::say!("{all} moments in all");
    #[cfg(target_has_atomic = "ptr")]
    registry::end();
}

/// How long the operation is by itself, when it is not the first of its kind.
fn undisturbed(scenario: &Scenario) -> u32 {
    let counter = Counter::start();
    let [_, instructions] = [(); 2].map(|()| {
        (scenario.prepare)();
        let (instructions, ()) = counter.of(scenario.operation);
        (scenario.interrupt)();
        (scenario.check)();
        instructions
    });
    instructions
}

/// Plays the scenario, which takes so many instructions by itself, with ever later interrupts; how many came in time.
///
/// One that comes while interrupts are masked may be too late for the operation that masks them at its very end: so the
/// end of the operation is not where the first one is missed, but where as many are missed as it could take.
fn sweep(scenario: &Scenario, instructions: u32) -> u32 {
    let (mut came, mut missed) = (0, 0);
    for delay in 1.. {
        (scenario.prepare)();
        HAS_COME.store(false, Ordering::Relaxed);
        let timer = Timer::once(delay);
        (scenario.operation)();
        timer.stop();
        if HAS_COME.load(Ordering::Relaxed) {
            came += 1;
            missed = 0;
        } else {
            (scenario.interrupt)();
            missed += 1;
        }
        (scenario.check)();
        if missed > instructions {
            return came;
        }
    }
    unreachable!("every operation ends")
}
