//! Random sequences of operations agree with the oracle.

use loom_tests::op;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: loom_tests::cases(2_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dedup_agrees_with_its_oracle(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        op::dedup::run(&bytes);
    }

    #[test]
    fn a_shared_window_agrees_with_the_same_oracle(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        op::dedup_shared::run(&bytes);
        op::dedup_shared::run_every_nth(&bytes);
    }
}
