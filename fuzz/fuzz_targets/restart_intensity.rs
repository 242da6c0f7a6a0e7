//! Sequences of restarts are admitted as by OTP's list of times.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loom_tests::op::intensity::run(bytes));
