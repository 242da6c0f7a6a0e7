//! What every proof needs: an end the host can see, and a timer interrupt to be disturbed by.
//!
//! A proof is a binary in `src/bin/`: it asserts facts, and ends with [`report::passed`]. Whatever
//! goes wrong (a panic, a fault) ends the emulator with a status other than zero.

#![no_std]

pub mod report;
pub mod timer;
