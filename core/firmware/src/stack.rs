//! How much stack an operation takes.

use core::hint::black_box;

/// As much is painted, and can be seen to be used.
const PAINTED: usize = 8 * 1024
    / if cfg!(target_has_atomic = "ptr") {
        1
    } else {
        2
    };
const PAINT: u8 = 0xA5;

/// Bytes of stack below its caller that `operation` takes, to the nearest eight; its caller must have eight
/// KiB left, or four on a target without compare-and-swap, and no interrupt may come meanwhile.
///
/// What an operation reserves and does not write is not seen.
#[inline(never)]
pub fn used_by<R>(operation: impl FnOnce() -> R) -> usize {
    let bottom = black_box(paint());
    black_box(operation());
    let untouched = (0..PAINTED)
        .take_while(|&at| {
            // SAFETY: within the stack, as our caller promises.
            unsafe { (bottom as *const u8).add(at).read_volatile() == PAINT }
        })
        .count();
    assert!(untouched > 0, "the operation uses more than was painted");
    (PAINTED - untouched).next_multiple_of(8)
}

/// Paints below its own frame, and says where that begins.
#[inline(never)]
fn paint() -> usize {
    let mark = 0_u8;
    // What this function needs itself lies above, but for what it saves.
    let top = &raw const mark as usize - 128;
    let bottom = top - PAINTED + 128;
    for address in bottom..top {
        // SAFETY: within the stack, as the caller of `used_by` promises, and below everything that lives.
        unsafe { (address as *mut u8).write_volatile(PAINT) };
    }
    bottom
}
