//! Texts are names of events, and lie under each other, as the oracle says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loom_tests::op::handlers::run_names(bytes));
