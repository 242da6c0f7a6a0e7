//! An allocator, of which the epoch registry has need.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use bedplate_firmware_sizes::{input, output, program};
use core::mem::MaybeUninit;
use embedded_alloc::LlffHeap;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();
const BYTES: usize = 16 * 1024;

program!(run);

fn run() -> ! {
    static mut MEMORY: [MaybeUninit<u8>; BYTES] = [MaybeUninit::uninit(); BYTES];
    let memory = &raw mut MEMORY;
    // SAFETY: nobody else names this memory, and it is handed over once.
    unsafe { HEAP.init(memory as usize, BYTES) };
    let mut list = Vec::new();
    loop {
        list.push(Box::new(input()));
        output(list.pop().map_or(0, |number| *number));
    }
}
