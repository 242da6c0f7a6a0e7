//! What proofs need of a machine: an end the host can see, interrupts to be disturbed by, a counter of
//! instructions, a second core.
//!
//! A proof is a binary in `src/bin/` that names its `main` and its interrupt handlers with [`proof!`] and
//! asserts facts. When `main` returns they hold. Whatever goes wrong (a panic, a fault) ends the
//! emulator with a status other than zero.

#![no_std]

pub mod board;
pub mod counter;
pub mod figure;
#[cfg(target_has_atomic = "ptr")]
pub mod hash;
#[cfg(target_has_atomic = "ptr")]
pub mod heap;
pub mod owned;
pub mod report;
pub mod stack;

/// Makes a proof of a `main`, of handlers for the two interrupts there are (the timer's interrupts the other
/// one's) and of what a second core runs. What is left out does not happen.
#[macro_export]
macro_rules! proof {
    (main: $main:path $(,)?) => {
        $crate::proof!(main: $main, timer: $crate::board::unexpected);
    };
    (main: $main:path, timer: $timer:path $(,)?) => {
        $crate::proof!(main: $main, timer: $timer, software: $crate::board::unexpected);
    };
    (main: $main:path, timer: $timer:path, software: $software:path $(,)?) => {
        $crate::proof!(
            main: $main,
            timer: $timer,
            software: $software,
            second: $crate::board::unexpected,
        );
    };
    (main: $main:path, timer: $timer:path, software: $software:path, second: $second:path $(,)?) => {
        #[unsafe(no_mangle)]
        extern "Rust" fn bedplate_proof_main() {
            $main();
            $crate::report::passed(env!("CARGO_BIN_NAME"))
        }

        #[unsafe(no_mangle)]
        extern "Rust" fn bedplate_proof_timer() {
            $timer();
        }

        #[unsafe(no_mangle)]
        extern "Rust" fn bedplate_proof_software() {
            $software();
        }

        #[unsafe(no_mangle)]
        extern "Rust" fn bedplate_proof_second() {
            $second();
        }
    };
}
