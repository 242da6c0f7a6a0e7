//! Keys made when the program is compiled.

/// The key of a name: a 64-bit hash of it. Two names have the same one with a probability of 2⁻⁶⁴; the
/// hash is the same in every build and on every machine.
///
/// In a constant it costs nothing at run time. The hash is FNV-1a (Fowler, Noll and Vo) with the finishing
/// steps of MurmurHash3 (Appleby), since FNV alone mixes its last bytes little; it is no defence against
/// somebody who chooses names that collide.
///
/// ```
/// use bedplate_core::dedup::{key_of, key_with};
///
/// const OVERHEATED: u64 = key_of("motor.overheated");
/// assert_ne!(OVERHEATED, key_of("motor.overheard"));
/// // Of one name, different numbers never have the same key.
/// assert_ne!(key_with(OVERHEATED, 1), key_with(OVERHEATED, 2));
/// ```
#[must_use]
pub const fn key_of(name: &str) -> u64 {
    let name = name.as_bytes();
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u64).wrapping_mul(0x0000_0100_0000_01B3);
        at += 1;
    }
    mix(hash)
}

/// The key of a thing with a number: a motor, a channel, a peer.
///
/// Different numbers of one key give different keys, always, so nothing of one name is suppressed for
/// another number of it. Two numbers of different names meet with a probability of 2⁻⁶⁴.
#[must_use]
#[inline]
pub const fn key_with(key: u64, number: u64) -> u64 {
    // The factor is odd, so that no two products are the same; the key decides in which order they come.
    key ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// The finishing steps of MurmurHash3: every bit of the result depends on every bit, and no two numbers
/// have the same.
const fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    bits ^ (bits >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::format;

    #[test]
    fn names_and_numbers_get_keys_of_their_own() {
        let mut keys = BTreeSet::new();
        for name in 0..1_000 {
            let key = key_of(&format!("event.{name}"));
            assert!(keys.insert(key));
            for number in 1..20 {
                assert!(keys.insert(key_with(key, number)));
            }
        }
    }

    #[test]
    fn a_key_is_the_same_in_every_build() {
        const IN_A_CONSTANT: u64 = key_of("a");
        assert_eq!(IN_A_CONSTANT, key_of(&format!("{}", 'a')));
        // FNV-1a of nothing is its offset, of "a" 0xAF63DC4C8601EC8C (the authors' test vectors).
        assert_eq!(key_of(""), mix(0xCBF2_9CE4_8422_2325));
        assert_eq!(IN_A_CONSTANT, mix(0xAF63_DC4C_8601_EC8C));
    }
}
