//! Sequences of operations on the registry agree with its oracle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loom_tests::op::registry::run(bytes));
