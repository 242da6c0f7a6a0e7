//! The machine: the same words for all of them, each in a file of its own.
//!
//! | | timer interrupt | software interrupt | ticks in a millisecond |
//! |---|---|---|---|
//! | Cortex-M | SysTick | PendSV, of the lowest priority | as many thousands as the processor has MHz |
//! | RISC-V | of the CLINT | of the CLINT, which lets the timer's in | 10,000 |
//! | AArch64 | the virtual timer | SGI 1, of a lower priority | 62,500 |
//!
//! Under `-icount shift=N` an instruction takes 2^N nanoseconds, on all of them.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(all(not(target_arch = "arm"), target_has_atomic = "ptr"))]
mod lock;
#[cfg(target_arch = "riscv32")]
mod riscv;

#[cfg(target_arch = "aarch64")]
use self::aarch64 as machine;
#[cfg(target_arch = "arm")]
use self::cortex_m as machine;
#[cfg(target_arch = "riscv32")]
use self::riscv as machine;

#[cfg(not(target_arch = "arm"))]
pub use machine::{core_number, relax, start_second_core};
pub(crate) use machine::{count, start_counting};

/// How many ticks of the timer `nanos` are.
///
/// # Panics
/// If they are none, or more than a timer of 24 bits counts.
#[must_use]
pub const fn ticks(nanos: u32) -> u32 {
    let ticks = nanos as u64 * machine::TICKS_PER_MILLISECOND as u64 / 1_000_000;
    assert!(0 < ticks && ticks < 1 << 24, "SysTick counts 24 bits");
    ticks as u32
}

/// The running timer of the core that started it.
pub struct Timer(());

impl Timer {
    /// Lets the timer interrupt come every so many nanoseconds.
    #[must_use]
    pub fn every(nanos: u32) -> Self {
        machine::start_timer(ticks(nanos));
        Self(())
    }

    /// Lets it come once, in so many [`ticks`], if the timer is not stopped before.
    #[must_use]
    pub fn once(ticks: u32) -> Self {
        machine::start_timer_once(ticks);
        Self(())
    }

    /// Changes the period, from the next interrupt on.
    pub fn set_period(&mut self, nanos: u32) {
        machine::set_period(ticks(nanos));
    }

    /// Stops the timer; when this returns, the handler does not run any more.
    pub fn stop(self) {
        machine::stop_timer();
    }
}

/// Lets the software interrupt come as soon as it may: before this returns, if nothing forbids it.
pub fn request_software_interrupt() {
    machine::request_software_interrupt();
}

/// The handler of an interrupt that does not come in a proof.
///
/// # Panics
/// Always.
pub fn unexpected() {
    panic!("an interrupt that nobody handles");
}

// What `proof!` defines.
unsafe extern "Rust" {
    safe fn bedplate_proof_main();
    safe fn bedplate_proof_timer();
    safe fn bedplate_proof_software();
    #[cfg(not(target_arch = "arm"))]
    safe fn bedplate_proof_second();
}
