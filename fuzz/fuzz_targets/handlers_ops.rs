//! Sequences of operations on handlers of events agree with their oracle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loom_tests::op::handlers::run(bytes));
