//! Sequences of operations on the ring agree with its oracle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loom_tests::op::ring::run(bytes));
