//! Counts instructions with the SysTick timer: the emulator's clock advances by them alone.

use core::arch::asm;
use core::hint::black_box;
use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// How often what is measured is repeated, so that fractions of a tick add up.
const REPETITIONS: u32 = 256;
/// SysTick has that many bits.
const MASK: u32 = 0x00FF_FFFF;
/// With how many instructions the timer is compared.
const CALIBRATION: u32 = 1 << 16;

/// The running timer, and how it relates to instructions.
pub struct Counter {
    /// Nobody else changes the timer.
    _systick: SYST,
    /// How many ticks `CALIBRATION` instructions take.
    ticks: u32,
}

impl Counter {
    /// Takes the timer; it does not interrupt.
    ///
    /// # Panics
    /// When it was taken before.
    #[must_use]
    pub fn start() -> Self {
        let peripherals = Peripherals::take().expect("the timer is started once");
        let mut systick = peripherals.SYST;
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(MASK);
        systick.clear_current();
        systick.enable_counter();
        // What surrounds a loop is not in the difference of two.
        let short = ticks(|| execute(CALIBRATION));
        let long = ticks(|| execute(2 * CALIBRATION));
        Self {
            _systick: systick,
            ticks: long - short,
        }
    }

    /// How many instructions a call of `operation` with `argument` takes, to the nearest: from
    /// before the call until what it returned has been seen.
    pub fn instructions<A: Copy, R>(&mut self, argument: A, operation: impl Fn(A) -> R) -> u32 {
        let with = ticks(|| {
            for _ in 0..REPETITIONS {
                black_box(&operation(black_box(argument)));
            }
        });
        let without = ticks(|| {
            for _ in 0..REPETITIONS {
                black_box(argument);
            }
        });
        let instructions = (with - without) * (CALIBRATION / REPETITIONS);
        (instructions + self.ticks / 2) / self.ticks
    }
}

/// Executes so many instructions, an even number, and a few around them. A loop of our own: those of
/// libraries promise a least time, not a number of instructions.
fn execute(instructions: u32) {
    // SAFETY: the loop changes nothing but its own register and the flags, and ends, as it counts
    // down from more than zero.
    unsafe {
        asm!("2:", "subs {0}, #1", "bne 2b", inout(reg) instructions / 2 => _, options(nomem, nostack));
    }
}

fn ticks(operation: impl FnOnce()) -> u32 {
    let before = SYST::get_current();
    operation();
    before.wrapping_sub(SYST::get_current()) & MASK
}
