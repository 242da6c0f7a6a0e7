//! A decision that travels.

/// Whether something is kept, and for how many it stands.
///
/// It is made once, when something begins; whoever ends it, or works for it elsewhere, uses the same one.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::sample::{Choice, Ratio, Sampler};
///
/// let choice = Ratio::new(0.25).sample(Instant::ZERO, 0x1234);
/// assert_eq!((choice.is_kept(), choice.weight()), (true, 4.0));
/// // With a record, and back at the end.
/// assert_eq!(Choice::from_bits(choice.to_bits()), choice);
/// // A child does as its parent, whatever its own sampler would say.
/// assert_eq!(Choice::inherited(true), Choice::KEEP);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// Not kept if zero, else at least one.
    weight: f32,
}

impl Choice {
    /// Kept, and stands for itself.
    pub const KEEP: Self = Self { weight: 1.0 };
    /// Not kept.
    pub const LEAVE: Self = Self { weight: 0.0 };

    /// Kept, and stands for so many; for itself if that is less than one or no number.
    #[must_use]
    pub const fn keep(weight: f32) -> Self {
        Self {
            weight: if weight >= 1.0 { weight } else { 1.0 },
        }
    }

    /// What a parent decided, of which only that is known: the sampled flag of a W3C trace context.
    #[must_use]
    pub const fn inherited(sampled: bool) -> Self {
        if sampled { Self::KEEP } else { Self::LEAVE }
    }

    /// Whether it is kept.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        self.weight >= 1.0
    }

    /// For how many it stands: zero if it is not kept. A whole number is exact up to 2²⁴, others to 2⁻²⁴ of it.
    #[must_use]
    pub const fn weight(self) -> f32 {
        self.weight
    }

    /// As a number, for a record.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.weight.to_bits()
    }

    /// From the number; what is none of [`to_bits`](Self::to_bits) is not kept.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        let weight = f32::from_bits(bits);
        if weight >= 1.0 {
            Self { weight }
        } else {
            Self::LEAVE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_choice_survives_its_bits(weight: f32, bits: u32) {
            let choice = Choice::keep(weight);
            prop_assert!(choice.is_kept() && choice.weight() >= 1.0);
            prop_assert_eq!(Choice::from_bits(choice.to_bits()), choice);
            let any = Choice::from_bits(bits);
            prop_assert_eq!(any.is_kept(), any.weight() != 0.0);
        }
    }
}
