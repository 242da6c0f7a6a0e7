//! Sequences of operations on a drain agree with its oracle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loom_tests::op::drain::run(bytes));
