//! What proofs need: an end the host can see, a timer interrupt to be disturbed by, and a counter of
//! instructions.
//!
//! A proof is a binary in `src/bin/`: it asserts facts, and ends with [`report::passed`]. Whatever
//! goes wrong (a panic, a fault) ends the emulator with a status other than zero.

#![no_std]

pub mod counter;
pub mod report;
pub mod timer;
