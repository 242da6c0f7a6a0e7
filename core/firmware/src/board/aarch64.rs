//! QEMU's `virt` with one or two 64-bit cores, in EL1 without an MMU: PSCI starts the second one, a GICv2
//! delivers the virtual timer's interrupt and a software interrupt.

use super::lock::Lock;
use super::{
    bedplate_proof_main, bedplate_proof_second, bedplate_proof_software, bedplate_proof_timer,
};
use crate::report;
use core::arch::{asm, global_asm};
use portable_atomic::{AtomicU32, Ordering};

pub(super) const TICKS_PER_MILLISECOND: u32 = 62_500;

const CORES: usize = 2;

/// Ticks between two interrupts of each core's timer; zero if it comes once.
static PERIODS: [AtomicU32; CORES] = [const { AtomicU32::new(0) }; CORES];

// The interrupt controller: the distributor's registers and the core's own.
const ENABLE_DISTRIBUTOR: usize = 0x0800_0000;
const SET_ENABLE: usize = 0x0800_0100;
const PRIORITIES: usize = 0x0800_0400;
const SEND: usize = 0x0800_0F00;
const ENABLE_CORE: usize = 0x0801_0000;
const LEAST_PRIORITY: usize = 0x0801_0004;
const ACKNOWLEDGE: usize = 0x0801_000C;
const END: usize = 0x0801_0010;

/// The virtual timer.
const TIMER: u32 = 27;
/// The interrupt software sends itself.
const SOFTWARE: u32 = 1;

global_asm!(
    r#"
    .section .text.start, "ax"
    .global _start
_start:
    adrp x0, __bss_start
    add x0, x0, :lo12:__bss_start
    adrp x1, __bss_end
    add x1, x1, :lo12:__bss_end
0:  cmp x0, x1
    b.hs 1f
    str xzr, [x0], #8
    b 0b
1:  mov x0, #0

    // x0: the number of the core
    .global start_of_second
start_of_second:
    adrp x1, vectors
    add x1, x1, :lo12:vectors
    msr vbar_el1, x1
    isb
    adrp x1, __stack_top
    add x1, x1, :lo12:__stack_top
    sub x1, x1, x0, lsl #16
    mov sp, x1
    bl start
    b .

    // Sixteen entries: what is not an interrupt of this level is a fault.
    .macro entry target
    .balign 128
    b \target
    .endm
    .balign 2048
vectors:
    .rept 5
    entry fault
    .endr
    entry interrupted
    .rept 10
    entry fault
    .endr

    // The target has no floating point, so these are all registers a function may change.
interrupted:
    sub sp, sp, #192
    stp x0, x1, [sp]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x29, [sp, #144]
    mrs x0, elr_el1
    mrs x1, spsr_el1
    stp x30, x0, [sp, #160]
    str x1, [sp, #176]
    bl interrupt
    ldr x1, [sp, #176]
    ldp x30, x0, [sp, #160]
    msr spsr_el1, x1
    msr elr_el1, x0
    ldp x18, x29, [sp, #144]
    ldp x16, x17, [sp, #128]
    ldp x14, x15, [sp, #112]
    ldp x12, x13, [sp, #96]
    ldp x10, x11, [sp, #80]
    ldp x8, x9, [sp, #64]
    ldp x6, x7, [sp, #48]
    ldp x4, x5, [sp, #32]
    ldp x2, x3, [sp, #16]
    ldp x0, x1, [sp]
    add sp, sp, #192
    eret
"#
);

unsafe extern "C" {
    fn start_of_second();
}

#[unsafe(no_mangle)]
extern "C" fn start(core: usize) -> ! {
    write(ENABLE_DISTRIBUTOR, 1);
    // The registers of the first 32 interrupts are each core's own; the lower number goes first.
    write_byte(PRIORITIES + TIMER as usize, 0x40);
    write_byte(PRIORITIES + SOFTWARE as usize, 0xA0);
    write(SET_ENABLE, 1 << TIMER | 1 << SOFTWARE);
    write(LEAST_PRIORITY, 0xFF);
    write(ENABLE_CORE, 1);
    allow_interrupts();
    if core == 0 {
        bedplate_proof_main();
    } else {
        bedplate_proof_second();
    }
    report::failed()
}

/// Interrupts are off; the state to return to is saved.
#[unsafe(no_mangle)]
extern "C" fn interrupt() {
    let acknowledged = read(ACKNOWLEDGE);
    match acknowledged & 0x3FF {
        TIMER => {
            // Relaxed: this core's own.
            match PERIODS[core_number()].load(Ordering::Relaxed) {
                0 => stop_counting_down(),
                period => count_down(period),
            }
            bedplate_proof_timer();
        }
        SOFTWARE => {
            // The controller lets in what has a higher priority, until this one is ended.
            allow_interrupts();
            bedplate_proof_software();
            forbid_interrupts();
        }
        // One that went away again: not to be ended.
        _ => return,
    }
    write(END, acknowledged);
}

#[unsafe(no_mangle)]
extern "C" fn fault() -> ! {
    let (cause, at, address): (u64, u64, u64);
    // SAFETY: reads registers.
    unsafe {
        asm!("mrs {}, esr_el1", "mrs {}, elr_el1", "mrs {}, far_el1", out(reg) cause, out(reg) at, out(reg) address);
    }
    panic!("fault {cause:#x} at {at:#x}, address {address:#x}");
}

/// Which core runs this.
#[must_use]
pub fn core_number() -> usize {
    let number: usize;
    // SAFETY: reads a register that never changes.
    unsafe {
        asm!("mrs {}, mpidr_el1", out(reg) number, options(nomem, nostack, preserves_flags, pure))
    };
    number & 0xFF
}

/// Lets another core run, if the emulator has one host thread for all: it switches at this instruction, and
/// not at the one of `spin_loop`.
pub fn relax() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// Lets the second core run what the proof names.
///
/// # Panics
/// When there is none, or it runs already.
pub fn start_second_core() {
    const CPU_ON: usize = 0xC400_0003;
    let answer: usize;
    // SAFETY: the core begins where it finds a stack of its own.
    unsafe {
        asm!("hvc #0", inout("x0") CPU_ON => answer, in("x1") 1, in("x2") start_of_second as *const () as usize, in("x3") 1, clobber_abi("C"));
    }
    assert_eq!(answer, 0, "the second core starts");
}

pub(super) fn start_timer(ticks: u32) {
    set_period(ticks);
    count_down(ticks);
}

pub(super) fn start_timer_once(ticks: u32) {
    set_period(0);
    count_down(ticks);
}

pub(super) fn set_period(ticks: u32) {
    // Relaxed: this core's own.
    PERIODS[core_number()].store(ticks, Ordering::Relaxed);
}

pub(super) fn stop_timer() {
    stop_counting_down();
    // SAFETY: only waits until it is so.
    unsafe { asm!("isb") };
}

pub(super) fn request_software_interrupt() {
    // To this core.
    write(SEND, 2 << 24 | SOFTWARE);
    // SAFETY: only waits until it is so.
    unsafe { asm!("dsb sy", "isb") };
}

/// The counter of the virtual timer counts always.
pub(crate) const fn start_counting() {}

/// Ticks; only differences mean something, below 2^24.
#[inline(always)]
pub(crate) fn count() -> u32 {
    let ticks: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nostack, preserves_flags)) };
    ticks as u32
}

fn count_down(ticks: u32) {
    // SAFETY: sends an interrupt, and touches no memory.
    unsafe {
        asm!("msr cntv_tval_el0, {}", "msr cntv_ctl_el0, {}", in(reg) u64::from(ticks), in(reg) 1_u64)
    };
}

fn stop_counting_down() {
    // SAFETY: touches no memory.
    unsafe { asm!("msr cntv_ctl_el0, xzr") };
}

#[inline]
fn allow_interrupts() {
    // SAFETY: called where no critical section is running, or as the outermost ends.
    unsafe { asm!("msr daifclr, #2") };
}

#[inline]
fn forbid_interrupts() {
    // SAFETY: only forbids.
    unsafe { asm!("msr daifset, #2") };
}

fn read(register: usize) -> u32 {
    // SAFETY: a register of the interrupt controller.
    unsafe { (register as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: a register of the interrupt controller; writing it touches no memory.
    unsafe { (register as *mut u32).write_volatile(value) };
}

fn write_byte(register: usize, value: u8) {
    // SAFETY: as above.
    unsafe { (register as *mut u8).write_volatile(value) };
}

static LOCK: Lock = Lock::new();

struct Section;
critical_section::set_impl!(Section);

// SAFETY: one core at a time holds the lock, and its interrupts are off meanwhile.
unsafe impl critical_section::Impl for Section {
    unsafe fn acquire() -> u8 {
        let flags: u64;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {}, daif", out(reg) flags) };
        forbid_interrupts();
        let were_on = u8::from(flags & 1 << 7 == 0);
        were_on | LOCK.take(core_number())
    }

    unsafe fn release(before: u8) {
        LOCK.give_back(before);
        if before & 1 != 0 {
            allow_interrupts();
        }
    }
}
