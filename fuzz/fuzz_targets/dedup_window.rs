//! Sequences of operations on dedup windows, of one context and shared, agree with their oracle.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    loom_tests::op::dedup::run(bytes);
    loom_tests::op::dedup_shared::run(bytes);
    loom_tests::op::dedup_shared::run_every_nth(bytes);
});
