//! Sequences of operations on frames agree with their oracle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loom_tests::op::context::run(bytes));
