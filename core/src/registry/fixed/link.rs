//! How places and records lead to one another.

/// The number of a place or a record, or nothing, which is all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link(u32);

impl Link {
    pub(super) const NONE: Self = Self(0);

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a table has at most 2^31 places"
    )]
    pub(super) const fn to(number: usize) -> Self {
        Self(number as u32 + 1)
    }

    /// Where it leads, as an index; of nothing, one that is beyond every table.
    pub(super) const fn index(self) -> usize {
        self.0.wrapping_sub(1) as usize
    }
}
