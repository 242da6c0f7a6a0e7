//! A time that many may move forward, one at a time, and that everybody may read: one word where the
//! target has words of 64 bits, else three.

#[cfg(all(target_has_atomic = "64", not(bedplate_loom)))]
use super::AtomicU64;
#[cfg(any(not(target_has_atomic = "64"), bedplate_loom, test))]
use super::{AtomicUsize, fence};
use super::{Ordering, const_fn};

/// Under loom the one that can go wrong.
#[cfg(all(target_has_atomic = "64", not(bedplate_loom)))]
pub(crate) type Stamp = OneWord;
#[cfg(any(not(target_has_atomic = "64"), bedplate_loom))]
pub(crate) type Stamp = ThreeWords;

/// What is read of a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// The time, and what proves that it has not changed when it is moved.
    At(u64, usize),
    /// Somebody is moving it at this moment. Never with one word.
    #[cfg_attr(
        all(target_has_atomic = "64", not(bedplate_loom), not(test)),
        expect(dead_code, reason = "one word is never between two times")
    )]
    Moving,
}

#[cfg(all(target_has_atomic = "64", not(bedplate_loom)))]
pub(crate) struct OneWord(AtomicU64);

#[cfg(all(target_has_atomic = "64", not(bedplate_loom)))]
impl OneWord {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self(AtomicU64::new(0))
        }
    }

    #[inline]
    pub(crate) fn read(&self) -> Read {
        // Relaxed: the word is all there is; nothing is read through it.
        Read::At(self.0.load(Ordering::Relaxed), 0)
    }

    /// Moves it from what was read; says whether it did.
    #[inline]
    pub(crate) fn advance(&self, from: u64, _proof: usize, to: u64) -> bool {
        // Relaxed, both: as above.
        self.0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// A sequence that is odd while the halves are being written.
#[cfg(any(not(target_has_atomic = "64"), bedplate_loom, test))]
pub(crate) struct ThreeWords {
    sequence: AtomicUsize,
    low: AtomicUsize,
    high: AtomicUsize,
}

#[cfg(any(not(target_has_atomic = "64"), bedplate_loom, test))]
impl ThreeWords {
    const_fn! {
        pub(crate) fn new() -> Self {
            Self {
                sequence: AtomicUsize::new(0),
                low: AtomicUsize::new(0),
                high: AtomicUsize::new(0),
            }
        }
    }

    pub(crate) fn read(&self) -> Read {
        // Acquire: the halves of this sequence or a later one; pairs with Release in `advance` [D7].
        let sequence = self.sequence.load(Ordering::Acquire);
        // Relaxed, both: the fence below, and the second look, say whether they belong together.
        let low = self.low.load(Ordering::Relaxed) as u64;
        let high = self.high.load(Ordering::Relaxed) as u64;
        // Acquire: no half of a later time under an unchanged sequence; pairs with the Release fence in
        // `advance` [D8].
        fence(Ordering::Acquire);
        // Relaxed: the fence orders it.
        let again = self.sequence.load(Ordering::Relaxed);
        if sequence % 2 == 1 || sequence != again {
            return Read::Moving;
        }
        Read::At((high << 32) | low, sequence)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the time is split in two")]
    pub(crate) fn advance(&self, _from: u64, proof: usize, to: u64) -> bool {
        // Relaxed, both: the proof was loaded with Acquire, so the halves of the last one who moved it are behind us.
        let taken = self.sequence.compare_exchange(
            proof,
            proof.wrapping_add(1),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if taken.is_err() {
            return false;
        }
        // Release: whoever reads a half of this time sees the odd sequence; pairs with the Acquire fence in
        // `read` [D8].
        fence(Ordering::Release);
        // Relaxed, both: ordered by the fence and by the store below.
        self.low.store(to as u32 as usize, Ordering::Relaxed);
        self.high.store((to >> 32) as usize, Ordering::Relaxed);
        // Release: the halves are there; pairs with Acquire in `read` [D7].
        self.sequence
            .store(proof.wrapping_add(2), Ordering::Release);
        true
    }
}

#[cfg(all(test, target_has_atomic = "64", not(bedplate_loom)))]
mod tests {
    use super::*;

    #[test]
    fn both_forms_move_only_from_what_was_read() {
        let (one, three) = (OneWord::new(), ThreeWords::new());
        for to in [1, u64::from(u32::MAX), 1 << 40, u64::MAX] {
            for read in [one.read(), three.read()] {
                assert!(matches!(read, Read::At(..)));
            }
            let (Read::At(from, proof), Read::At(same, sequence)) = (one.read(), three.read())
            else {
                panic!("nobody moves it");
            };
            assert_eq!(from, same);
            assert!(one.advance(from, proof, to) && three.advance(same, sequence, to));
            assert!(!one.advance(from, proof, 7) && !three.advance(same, sequence, 7));
        }
    }

    #[test]
    fn a_sequence_wraps() {
        let three = ThreeWords {
            sequence: AtomicUsize::new(usize::MAX - 1),
            ..ThreeWords::new()
        };
        let Read::At(from, proof) = three.read() else {
            panic!("nobody moves it");
        };
        assert!(three.advance(from, proof, 9));
        assert_eq!(three.read(), Read::At(9, 0));
    }
}
