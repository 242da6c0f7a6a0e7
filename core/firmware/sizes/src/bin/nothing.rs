//! Nothing, but what every program has.

#![no_std]
#![no_main]

use bedplate_firmware_sizes::{input, output, program};

program!(run);

fn run() -> ! {
    loop {
        output(input());
    }
}
