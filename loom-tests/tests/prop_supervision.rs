//! Random lives of a supervisor, in a world without delays and in one with nothing else.

use loom_tests::op;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: loom_tests::cases(3_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_agrees_with_its_oracle(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        op::supervision::run(&bytes);
    }

    #[test]
    fn the_machine_keeps_its_promises_when_all_comes_late(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        op::supervision::late::run(&bytes);
    }
}
