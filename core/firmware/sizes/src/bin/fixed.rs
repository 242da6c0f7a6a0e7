//! The fixed registry of 64 numbers: register, look up, end an owner.

#![no_std]
#![no_main]

use bedplate_core::id::FixedPidAllocator;
use bedplate_core::registry::{CriticalSectionLock, FixedRegistry};
use bedplate_firmware_sizes::{input, output, program};

static REGISTRY: FixedRegistry<u32, u32, 64, CriticalSectionLock> = FixedRegistry::new();

program!(run);

fn run() -> ! {
    let mut pids = FixedPidAllocator::<4>::new();
    loop {
        let Ok(pid) = pids.allocate() else { panic!() };
        let mut owner = REGISTRY.owner(pid);
        output(u32::from(owner.register(input(), input()).is_ok()));
        if let Some((holder, value)) = REGISTRY.lookup(&input()) {
            output(holder.slot() ^ value);
        }
        drop(owner);
        pids.release(pid);
    }
}
