//! The W3C's headers are read as the oracle reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| loom_tests::op::trace::run(bytes));
