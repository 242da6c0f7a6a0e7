//! Sequences of ends, starts and time-outs keep the invariants of supervision, whether the news
//! come at once and in order, where the oracle says what is right, or late and in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    loom_tests::op::supervision::run(bytes);
    loom_tests::op::supervision::late::run(bytes);
});
