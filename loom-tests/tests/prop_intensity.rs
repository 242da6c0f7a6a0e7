//! Random sequences of restarts are allowed exactly as Erlang/OTP's list of times would.

use loom_tests::op;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: loom_tests::cases(2_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn intensity_agrees_with_its_oracle(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        op::intensity::run(&bytes);
    }
}
