//! A dedup window: offer, and summaries by time.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Decision, DedupWindow};
use bedplate_firmware_sizes::{input, output, program};
use core::time::Duration;

program!(run);

fn run() -> ! {
    let mut window = DedupWindow::<16>::new(Duration::from_secs(1));
    loop {
        let now = Instant::from_nanos(u64::from(input()));
        if let Decision::Pass { closed, .. } = window.offer(u64::from(input()), now) {
            output(closed.map_or(1, |summary| summary.suppressed as u32));
        }
        window.poll(now, |summary| output(summary.suppressed as u32));
    }
}
