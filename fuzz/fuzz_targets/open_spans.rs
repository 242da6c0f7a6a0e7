//! Sequences of operations on the table of open spans agree with its oracle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loom_tests::op::spans::run(bytes));
