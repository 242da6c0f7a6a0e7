//! Random runs restore what a checkpoint's whole history says.

use loom_tests::op;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: loom_tests::cases(2_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn versions_agree_with_their_oracle(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        op::checkpoint::run(&bytes);
    }
}
