//! Counts instructions: the emulator's clock advances by them alone.

use crate::board;
use core::sync::atomic::{Ordering, compiler_fence};

/// With how many instructions the clock is compared.
const CALIBRATION: u32 = 1 << 14;
/// Differences of counts have that many bits.
const MASK: u32 = 0x00FF_FFFF;

/// A running clock, and how it relates to instructions.
pub struct Counter {
    /// How many ticks `CALIBRATION` instructions take.
    ticks: u32,
    /// How many ticks looking at the clock takes.
    overhead: u32,
}

impl Counter {
    /// Takes the timer; it does not interrupt.
    ///
    /// # Panics
    /// When the clock is too coarse to tell instructions apart.
    #[must_use]
    pub fn start() -> Self {
        board::start_counting();
        // What surrounds a loop is not in the difference of two.
        let short = ticks(|| execute(CALIBRATION));
        let long = ticks(|| execute(2 * CALIBRATION));
        let mut counter = Self {
            ticks: long - short,
            overhead: 0,
        };
        assert!(
            counter.ticks >= CALIBRATION,
            "an instruction takes less than a tick"
        );
        counter.overhead = counter.ticks_of(|| ()).0;
        counter
    }

    /// How many instructions `operation` takes, and its result.
    #[inline(always)]
    pub fn of<R>(&self, operation: impl FnOnce() -> R) -> (u32, R) {
        let (ticks, result) = self.ticks_of(operation);
        (self.instructions(ticks), result)
    }

    /// How many ticks more than nothing.
    #[inline(always)]
    fn ticks_of<R>(&self, operation: impl FnOnce() -> R) -> (u32, R) {
        let before = board::count();
        compiler_fence(Ordering::AcqRel);
        let result = operation();
        compiler_fence(Ordering::AcqRel);
        let ticks = board::count().wrapping_sub(before) & MASK;
        // A tick more or less is a matter of when it began.
        (ticks.saturating_sub(self.overhead), result)
    }

    fn instructions(&self, ticks: u32) -> u32 {
        let half = u64::from(self.ticks / 2);
        let scaled = u64::from(ticks) * u64::from(CALIBRATION) + half;
        // Fits: it began as 24 bits.
        (scaled / u64::from(self.ticks)) as u32
    }
}

#[inline(always)]
fn ticks(operation: impl FnOnce()) -> u32 {
    let before = board::count();
    compiler_fence(Ordering::AcqRel);
    operation();
    compiler_fence(Ordering::AcqRel);
    board::count().wrapping_sub(before) & MASK
}

/// Executes so many instructions, an even number, and a few around them. A loop of our own: those of
/// libraries promise a least time, not a number of instructions.
fn execute(instructions: u32) {
    let loops = instructions / 2;
    // SAFETY: the loop changes nothing but its own register and the flags, and ends, as it counts
    // down from more than zero.
    #[cfg(target_arch = "arm")]
    unsafe {
        core::arch::asm!("2:", "subs {0}, #1", "bne 2b", inout(reg) loops => _, options(nomem, nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        core::arch::asm!("2:", "addi {0}, {0}, -1", "bnez {0}, 2b", inout(reg) loops => _, options(nomem, nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("2:", "subs {0:w}, {0:w}, #1", "b.ne 2b", inout(reg) loops => _, options(nomem, nostack));
    }
}
