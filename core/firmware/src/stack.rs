//! How much stack an operation takes.

use core::hint::black_box;

/// As much is painted, and can be seen to be used.
const PAINTED: usize = if cfg!(target_has_atomic = "ptr") {
    8 * 1024
} else {
    2 * 1024
};
const PAINT: u8 = 0xA5;

/// Bytes of stack that `operation` takes; its caller must have eight KiB left, or two on a target without
/// compare-and-swap, and no interrupt may come meanwhile.
///
/// What an operation reserves and does not write is not seen.
///
/// # Panics
/// If it takes more than can be seen.
#[inline(never)]
pub fn used_by<R>(operation: impl FnOnce() -> R) -> usize {
    let top = stack_pointer();
    let bottom = top - PAINTED;
    for address in bottom..top {
        // SAFETY: within the stack, as our caller promises, and below everything that lives: nothing is called
        // in this loop, and these targets keep nothing below the pointer.
        unsafe { (address as *mut u8).write_volatile(PAINT) };
    }
    black_box(operation());
    let untouched = (bottom..top)
        .take_while(|&address| {
            // SAFETY: as above.
            unsafe { (address as *const u8).read_volatile() == PAINT }
        })
        .count();
    assert!(untouched > 0, "the operation uses more than was painted");
    (PAINTED - untouched).next_multiple_of(8)
}

#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    #[cfg(target_arch = "arm")]
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "riscv32")]
    unsafe {
        core::arch::asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}
