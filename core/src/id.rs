//! Identities that are never mistaken for a later one.
//!
//! ```text
//!  63           32 31            0
//! ┌───────────────┬───────────────┐
//! │  generation   │     slot      │   Pid
//! └───────────────┴───────────────┘
//!    1, 2, 3 …       index of a place that is used again
//! ```
//!
//! A slot is used again as soon as its occupant is gone, but under the next generation, so a stale
//! [`Pid`] compares unequal to the new occupant's. A slot whose generations are used up is retired
//! for good: 2³² − 1 occupants of one slot, and never a wrap-around.

mod allocator;

use core::fmt;
use core::num::{NonZeroU32, NonZeroU64};

#[cfg(feature = "alloc")]
pub use allocator::PidAllocator;
pub use allocator::{FixedPidAllocator, TooManyProcesses};

/// The identity of one incarnation of a process: a thread, a task, an interrupt handler, or
/// whatever else may own registrations.
///
/// Two words on a 32-bit target, one on a 64-bit target; `Option<Pid>` is no larger. The zero bit
/// pattern is no `Pid`.
///
/// ```
/// use bedplate_core::id::Pid;
///
/// let first = Pid::new(7, core::num::NonZeroU32::MIN);
/// let next = first.next_incarnation().unwrap();
/// assert_eq!(first.slot(), next.slot());
/// assert_ne!(first, next);
/// assert_eq!(Pid::from_bits(first.to_bits()), Some(first));
/// assert_eq!(first.to_string(), "<7.1>");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(NonZeroU64);

impl Pid {
    /// The incarnation `generation` of `slot`.
    #[must_use]
    pub const fn new(slot: u32, generation: NonZeroU32) -> Self {
        let bits = ((generation.get() as u64) << 32) | slot as u64;
        match NonZeroU64::new(bits) {
            Some(bits) => Self(bits),
            None => unreachable!(), // the generation is not zero
        }
    }

    /// The place this process occupies; used again by later processes.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "masked to 32 bits")]
    pub const fn slot(self) -> u32 {
        (self.0.get() & u32::MAX as u64) as u32
    }

    /// Which occupant of the slot this is, counted from 1.
    #[must_use]
    pub const fn generation(self) -> NonZeroU32 {
        match NonZeroU32::new((self.0.get() >> 32) as u32) {
            Some(generation) => generation,
            None => unreachable!(), // no constructor makes a zero generation
        }
    }

    /// The next occupant of the same slot, or `None` when the slot's generations are used up.
    #[must_use]
    pub const fn next_incarnation(self) -> Option<Self> {
        match self.generation().checked_add(1) {
            Some(generation) => Some(Self::new(self.slot(), generation)),
            None => None,
        }
    }

    /// The identity as one word, for storing it where only integers go.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0.get()
    }

    /// The identity stored in `bits`, or `None` if its generation is zero.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match NonZeroU32::new((bits >> 32) as u32) {
            #[expect(clippy::cast_possible_truncation, reason = "the low half is the slot")]
            Some(generation) => Some(Self::new(bits as u32, generation)),
            None => None,
        }
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}.{}>", self.slot(), self.generation())
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pid<{}.{}>", self.slot(), self.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_generation_has_no_successor() {
        assert_eq!(Pid::new(3, NonZeroU32::MAX).next_incarnation(), None);
    }

    #[test]
    fn a_zero_generation_is_no_pid() {
        assert_eq!(Pid::from_bits(0), None);
        assert_eq!(Pid::from_bits(u64::from(u32::MAX)), None);
    }

    #[test]
    fn an_optional_pid_is_no_larger() {
        assert_eq!(size_of::<Option<Pid>>(), size_of::<u64>());
    }

    proptest! {
        #[test]
        fn bits_round_trip(slot: u32, generation in 1u32..) {
            let pid = Pid::new(slot, NonZeroU32::new(generation).unwrap());
            prop_assert_eq!(pid.slot(), slot);
            prop_assert_eq!(pid.generation().get(), generation);
            prop_assert_eq!(Pid::from_bits(pid.to_bits()), Some(pid));
        }
    }
}
