//! Headers are read as the oracle reads them, and as they were written.

use loom_tests::op;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: loom_tests::cases(2_000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn headers_agree_with_their_oracle(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        op::trace::run(&bytes);
    }
}

proptest! {
    // Texts of a pattern take long to make.
    #![proptest_config(ProptestConfig { cases: loom_tests::cases(100), failure_persistence: None, ..ProptestConfig::default() })]

    /// Texts that look like headers, which random bytes do not.
    #[test]
    fn likely_headers_agree_with_their_oracle(
        which in 0..4_u8,
        header in "([a-z0-9_@*/-]{1,3}[ \t]?=[ \t]?[!-~ é]{0,4}(%[0-9a-fA-F]{2}){0,3}(;[a-z=% ]{0,4})?,[ \t]?){0,40}",
    ) {
        op::trace::run(&[&[which], header.as_bytes()].concat());
    }
}
