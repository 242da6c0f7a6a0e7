//! Random sequences of operations agree with the oracle, and so do random names.

use loom_tests::op;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: loom_tests::cases(2_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn handlers_agree_with_their_oracle(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        op::handlers::run(&bytes);
    }

    #[test]
    fn names_agree_with_their_oracle(text in "([a-c_.-]{0,12}|[a-b.\n]{0,40}|.{0,150})") {
        op::handlers::run_names(text.as_bytes());
    }
}
