//! The memory of the epoch registry.

use core::mem::MaybeUninit;
use embedded_alloc::LlffHeap;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();

/// A Cortex-M3 has 64 KiB of RAM here; the other machines have plenty.
const BYTES: usize = if cfg!(target_arch = "arm") {
    40 * 1024
} else {
    1024 * 1024
};

/// Makes the memory usable. To be called once, before anything is allocated.
///
/// # Panics
/// If it is called again.
pub fn start() {
    static mut MEMORY: [MaybeUninit<u8>; BYTES] = [MaybeUninit::uninit(); BYTES];
    assert!(HEAP.free() == 0, "the heap is started once");
    let memory = &raw mut MEMORY;
    // SAFETY: nobody else names this memory, and it is handed over once, as was just seen.
    unsafe { HEAP.init(memory as usize, BYTES) };
}

/// Bytes that are allocated.
#[must_use]
pub fn used() -> usize {
    HEAP.used()
}
