//! A Cortex-M of any kind.

use super::{bedplate_proof_main, bedplate_proof_software, bedplate_proof_timer};
use crate::report;
use cortex_m::Peripherals;
use cortex_m::peripheral::SCB;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::scb::SystemHandler;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{ExceptionFrame, entry, exception};
use portable_atomic::{AtomicBool, Ordering};

/// QEMU's micro:bit has 16 MHz, its MPS2 boards have 25.
pub(super) const TICKS_PER_MILLISECOND: u32 = if cfg!(target_has_atomic = "ptr") {
    25_000
} else {
    16_000
};

/// SysTick has that many bits.
const MASK: u32 = 0x00FF_FFFF;

/// Whether the timer stops at its next interrupt.
static ONCE: AtomicBool = AtomicBool::new(false);

#[entry]
fn start() -> ! {
    let mut peripherals = Peripherals::take().expect("this is the first instruction of ours");
    peripherals.SYST.set_clock_source(SystClkSource::Core);
    // SAFETY: no critical section relies on priorities here.
    unsafe { peripherals.SCB.set_priority(SystemHandler::PendSV, u8::MAX) };
    bedplate_proof_main();
    report::failed()
}

#[exception]
fn SysTick() {
    // Relaxed: this core's own.
    if ONCE.load(Ordering::Relaxed) {
        systick().disable_counter();
        // The shortest times are over again before this.
        SCB::clear_pendst();
    }
    bedplate_proof_timer();
}

#[exception]
fn PendSV() {
    bedplate_proof_software();
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    report::say!("hard fault: {frame:?}");
    report::failed()
}

fn systick() -> SYST {
    // SAFETY: only this module uses the peripherals.
    let peripherals = unsafe { Peripherals::steal() };
    peripherals.SYST
}

pub(super) fn start_timer(ticks: u32) {
    // Relaxed: this core's own.
    ONCE.store(false, Ordering::Relaxed);
    start_systick(ticks);
}

pub(super) fn start_timer_once(ticks: u32) {
    // Relaxed: this core's own.
    ONCE.store(true, Ordering::Relaxed);
    start_systick(ticks);
}

#[inline]
fn start_systick(ticks: u32) {
    let mut systick = systick();
    systick.set_reload(ticks);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();
}

pub(super) fn set_period(ticks: u32) {
    systick().set_reload(ticks);
}

pub(super) fn stop_timer() {
    let mut systick = systick();
    systick.disable_counter();
    systick.disable_interrupt();
    SCB::clear_pendst();
    // The pipeline may hold one interrupt that was already taken.
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

pub(super) fn request_software_interrupt() {
    SCB::set_pendsv();
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

/// Lets SysTick run through all it has, without interrupts.
pub(crate) fn start_counting() {
    let mut systick = systick();
    systick.disable_interrupt();
    systick.set_reload(MASK);
    systick.clear_current();
    systick.enable_counter();
}

/// Ticks; only differences mean something, below 2^24.
#[inline(always)]
pub(crate) fn count() -> u32 {
    MASK - SYST::get_current()
}
