//! The epoch registry of words: look up, register or replace, remove, end an owner.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use bedplate_core::id::FixedPidAllocator;
use bedplate_core::registry::EpochRegistry;
use bedplate_firmware_sizes::{input, output, program};
use core::hash::{BuildHasherDefault, Hasher};
use core::mem::MaybeUninit;
use embedded_alloc::LlffHeap;

#[global_allocator]
static HEAP: LlffHeap = LlffHeap::empty();
const BYTES: usize = 16 * 1024;

#[derive(Default)]
struct Multiply(u32);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        u64::from(self.0)
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u32(&mut self, word: u32) {
        self.0 = word.wrapping_mul(0x9E37_79B1);
    }
}

program!(run);

fn run() -> ! {
    static mut MEMORY: [MaybeUninit<u8>; BYTES] = [MaybeUninit::uninit(); BYTES];
    let memory = &raw mut MEMORY;
    // SAFETY: nobody else names this memory, and it is handed over once.
    unsafe { HEAP.init(memory as usize, BYTES) };
    // What the program it is compared with has, too.
    let mut list = Vec::new();
    list.push(Box::new(input()));

    let registry = EpochRegistry::<u32, u32, BuildHasherDefault<Multiply>>::with_hasher(
        BuildHasherDefault::default(),
    );
    let mut pids = FixedPidAllocator::<4>::new();
    let handle = registry.handle();
    loop {
        list.push(Box::new(input()));
        output(list.pop().map_or(0, |number| *number));
        let Ok(pid) = pids.allocate() else { panic!() };
        let mut owner = registry.owner(pid);
        let guard = handle.pin();
        if let Some(entry) = guard.lookup(&input()) {
            output(*entry.value());
        }
        output(u32::from(owner.take_over(&guard, input(), input()).is_ok()));
        output(u32::from(owner.unregister(&guard, &input())));
        drop(owner);
        pids.release(pid);
    }
}
