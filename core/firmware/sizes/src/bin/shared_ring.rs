//! A ring of any number of writers: push and read.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::ring::{Received, SharedRing};
use bedplate_firmware_sizes::{input, output, program};

static RING: SharedRing<16> = SharedRing::new();

program!(run);

fn run() -> ! {
    let Some(mut reader) = RING.claim_reader() else {
        panic!()
    };
    loop {
        _ = RING.push(Event {
            kind: EventKind::new(Level::Info, 1),
            time: Instant::from_nanos(u64::from(input())),
            key: u64::from(input()),
            value: u64::from(input()),
        });
        match reader.next() {
            Some(Received::Record(event)) => output(event.value as u32),
            Some(Received::Lost(lost)) => output(lost.count() as u32),
            None => {}
        }
    }
}
