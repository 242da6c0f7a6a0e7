//! The smallest useful firmware: what a handler pushed is drained, repetitions are suppressed, and summaries
//! tell of them.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Decision, DedupWindow, Summary};
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::ring::{EventRing, Received};
use bedplate_firmware_sizes::{input, output, program};
use core::time::Duration;

static RING: EventRing<16> = EventRing::new();

program!(run);

fn run() -> ! {
    let (Some(mut writer), Some(mut reader)) = (RING.claim_writer(), RING.claim_reader()) else {
        panic!()
    };
    let mut window = DedupWindow::<16>::new(Duration::from_secs(1));
    loop {
        let now = Instant::from_nanos(u64::from(input()));
        writer.push(Event {
            kind: EventKind::new(Level::Info, 1),
            time: now,
            key: u64::from(input()),
            value: u64::from(input()),
        });
        while let Some(received) = reader.next() {
            match received {
                Received::Lost(lost) => output(lost.count() as u32),
                Received::Record(event) => {
                    if let Decision::Pass { closed, .. } = window.offer(event.key, event.time) {
                        output(event.value as u32);
                        if let Some(summary) = closed {
                            tell(summary);
                        }
                    }
                }
            }
        }
        window.poll(now, tell);
    }
}

fn tell(summary: Summary) {
    output(summary.key as u32);
    output(summary.suppressed as u32);
    output(summary.last.as_nanos() as u32);
}
