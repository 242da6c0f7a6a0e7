//! Random sequences of operations agree with the oracle.

use loom_tests::op;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: loom_tests::cases(1_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn open_spans_agree_with_their_oracle(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        op::spans::run(&bytes);
    }
}
