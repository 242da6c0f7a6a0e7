//! QEMU's `virt` with one or two RV32 harts: the CLINT's timers and software interrupts.

use super::{
    bedplate_proof_main, bedplate_proof_second, bedplate_proof_software, bedplate_proof_timer,
};
use crate::report;
use core::hint;
use portable_atomic::{AtomicU32, Ordering};
use riscv::interrupt::{Interrupt, nested};
use riscv::register::{mcause, mepc, mhartid, mie, minstret, mtval};

pub(super) const TICKS_PER_MILLISECOND: u32 = 10_000;

const MSIP: usize = 0x0200_0000;
const MTIMECMP: usize = 0x0200_4000;
const MTIME: usize = 0x0200_BFF8;

const HARTS: usize = 2;

/// Ticks between two interrupts of each hart's timer; zero if it comes once.
static PERIODS: [AtomicU32; HARTS] = [const { AtomicU32::new(0) }; HARTS];

/// Which hart initialises memory. Another one sleeps until it is called.
#[unsafe(export_name = "_mp_hook")]
extern "Rust" fn is_first(hart: usize) -> bool {
    if hart == 0 {
        return true;
    }
    // SAFETY: interrupts are off as a whole, so this only lets the hart wake up.
    unsafe { mie::set_msoft() };
    while read(MSIP + 4 * hart) == 0 {
        riscv::asm::wfi();
    }
    write(MSIP + 4 * hart, 0);
    false
}

#[riscv_rt::entry]
fn start(hart: usize) -> ! {
    // SAFETY: no critical section has begun.
    unsafe { mie::set_msoft() };
    // SAFETY: as above.
    unsafe { riscv::interrupt::enable() };
    if hart == 0 {
        bedplate_proof_main();
    } else {
        bedplate_proof_second();
    }
    report::failed()
}

#[riscv_rt::core_interrupt(Interrupt::MachineTimer)]
fn timer() {
    let hart = core_number();
    // Relaxed: this core's own.
    match PERIODS[hart].load(Ordering::Relaxed) {
        0 => come_at(hart, u64::MAX),
        period => come_at(hart, now() + u64::from(period)),
    }
    bedplate_proof_timer();
}

#[riscv_rt::core_interrupt(Interrupt::MachineSoft)]
fn software() {
    write(MSIP + 4 * core_number(), 0);
    // It lets the timer in, and not itself.
    // SAFETY: the handler begins outside of critical sections.
    unsafe { mie::clear_msoft() };
    // SAFETY: as above, and what caused the interrupt is off.
    unsafe { nested(bedplate_proof_software) };
    // SAFETY: interrupts are off again until the handler returns.
    unsafe { mie::set_msoft() };
}

#[unsafe(export_name = "ExceptionHandler")]
extern "C" fn fault(_frame: &riscv_rt::TrapFrame) -> ! {
    let (cause, at, value) = (mcause::read().bits(), mepc::read(), mtval::read());
    panic!("fault {cause} at {at:#x}, value {value:#x}");
}

/// Which core runs this.
#[must_use]
pub fn core_number() -> usize {
    mhartid::read()
}

/// Lets another core run, if the emulator has one host thread for all.
pub fn relax() {
    hint::spin_loop();
}

/// Lets the second core run what the proof names.
pub fn start_second_core() {
    write(MSIP + 4, 1);
}

pub(super) fn start_timer(ticks: u32) {
    set_period(ticks);
    begin(ticks);
}

pub(super) fn start_timer_once(ticks: u32) {
    set_period(0);
    begin(ticks);
}

fn begin(ticks: u32) {
    come_at(core_number(), now() + u64::from(ticks));
    // SAFETY: no critical section is left by this.
    unsafe { mie::set_mtimer() };
}

pub(super) fn set_period(ticks: u32) {
    // Relaxed: this core's own.
    PERIODS[core_number()].store(ticks, Ordering::Relaxed);
}

pub(super) fn stop_timer() {
    // SAFETY: no critical section is left by this.
    unsafe { mie::clear_mtimer() };
    come_at(core_number(), u64::MAX);
}

pub(super) fn request_software_interrupt() {
    write(MSIP + 4 * core_number(), 1);
}

/// `minstret` counts always.
pub(crate) const fn start_counting() {}

/// Instructions; only differences mean something, below 2^24.
#[inline(always)]
pub(crate) fn count() -> u32 {
    minstret::read() as u32
}

fn now() -> u64 {
    loop {
        let (high, low, again) = (read(MTIME + 4), read(MTIME), read(MTIME + 4));
        if high == again {
            return (u64::from(high) << 32) | u64::from(low);
        }
    }
}

/// Never early: in between, the time is far in the future.
fn come_at(hart: usize, time: u64) {
    let register = MTIMECMP + 8 * hart;
    write(register + 4, u32::MAX);
    write(register, time as u32);
    write(register + 4, (time >> 32) as u32);
}

fn read(register: usize) -> u32 {
    // SAFETY: a register of the CLINT, which can be read at any time.
    unsafe { (register as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: a register of the CLINT; writing it sends interrupts and touches no memory.
    unsafe { (register as *mut u32).write_volatile(value) };
}

/// Where there can be two harts: interrupts off, and a lock, which whoever holds it may take again.
#[cfg(target_has_atomic = "ptr")]
mod section {
    use super::super::lock::Lock;

    static LOCK: Lock = Lock::new();

    struct Section;
    critical_section::set_impl!(Section);

    // SAFETY: one hart at a time holds the lock, and its interrupts are off meanwhile.
    unsafe impl critical_section::Impl for Section {
        unsafe fn acquire() -> u8 {
            let were_on = super::interrupts_off();
            were_on | LOCK.take(super::core_number())
        }

        unsafe fn release(before: u8) {
            LOCK.give_back(before);
            super::interrupts_back(before);
        }
    }
}

/// Without compare-and-swap there is one hart.
#[cfg(not(target_has_atomic = "ptr"))]
mod section {
    struct Section;
    critical_section::set_impl!(Section);

    // SAFETY: there is one hart, and its interrupts are off.
    unsafe impl critical_section::Impl for Section {
        unsafe fn acquire() -> u8 {
            super::interrupts_off()
        }

        unsafe fn release(before: u8) {
            super::interrupts_back(before);
        }
    }
}

/// Whether they were on: bit 0.
#[inline]
fn interrupts_off() -> u8 {
    let before: usize;
    // SAFETY: this only forbids interrupts.
    unsafe { core::arch::asm!("csrrci {}, mstatus, 8", out(reg) before) };
    (before >> 3 & 1) as u8
}

#[inline]
fn interrupts_back(before: u8) {
    if before & 1 != 0 {
        // SAFETY: the outermost critical section ends.
        unsafe { riscv::interrupt::enable() };
    }
}
