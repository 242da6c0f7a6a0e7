//! Where a machine keeps its children: slots, of fixed or of growing number.

use super::child::Child;
use core::fmt;

/// No slot.
pub(super) const NIL: u32 = u32::MAX;

/// Room for one child.
#[derive(Clone, Debug)]
pub struct Slot<I> {
    pub(super) child: Option<Child<I>>,
    /// The neighbours in start order; of a vacant slot, `next` is the next vacant one.
    pub(super) prev: u32,
    pub(super) next: u32,
    /// Where in the heap of deadlines this slot's child is.
    pub(super) timer: u32,
    /// The slot that is in the heap of deadlines at this slot's place: the heap lives in the slots.
    pub(super) heap: u32,
}

impl<I> Slot<I> {
    /// Room.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            child: None,
            prev: NIL,
            next: NIL,
            timer: NIL,
            heap: NIL,
        }
    }
}

impl<I> Default for Slot<I> {
    fn default() -> Self {
        Self::new()
    }
}

/// Slots with a limit. A machine on a microcontroller uses [`FixedChildren`], one with an allocator
/// `GrowingChildren`; other kinds may be written elsewhere.
pub trait ChildStorage {
    /// What children are called.
    type Id: PartialEq;

    /// All slots.
    fn slots(&self) -> &[Slot<Self::Id>];

    /// All slots.
    fn slots_mut(&mut self) -> &mut [Slot<Self::Id>];

    /// Appends a new slot; the others stay where they are.
    ///
    /// # Errors
    /// [`TooManyChildren`] when there are as many as there may be; nothing is then changed.
    fn grow(&mut self) -> Result<(), TooManyChildren>;

    /// The slot of the child called `id`. O(slots) unless the storage knows better.
    fn find(&self, id: &Self::Id) -> Option<u32> {
        let called = |slot: &Slot<Self::Id>| {
            slot.child
                .as_ref()
                .is_some_and(|child| child.id.as_ref() == Some(id))
        };
        let place = self.slots().iter().position(called)?;
        u32::try_from(place).ok()
    }

    /// Told when a child called `id` has come into `slot`.
    fn named(&mut self, id: &Self::Id, slot: u32) {
        let _ = (id, slot);
    }

    /// Told when the child called `id` has gone.
    fn unnamed(&mut self, id: &Self::Id) {
        let _ = id;
    }
}

/// At most `N` children, without an allocator. Finding one by its id takes O(N).
#[derive(Clone, Debug)]
pub struct FixedChildren<I, const N: usize>(heapless::Vec<Slot<I>, N>);

impl<I, const N: usize> FixedChildren<I, N> {
    /// No children.
    #[must_use]
    pub const fn new() -> Self {
        Self(heapless::Vec::new())
    }
}

impl<I, const N: usize> Default for FixedChildren<I, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: PartialEq, const N: usize> ChildStorage for FixedChildren<I, N> {
    type Id = I;

    fn slots(&self) -> &[Slot<I>] {
        &self.0
    }

    fn slots_mut(&mut self) -> &mut [Slot<I>] {
        &mut self.0
    }

    fn grow(&mut self) -> Result<(), TooManyChildren> {
        self.0
            .push(Slot::new())
            .map_err(|_| TooManyChildren { limit: N })
    }
}

/// Children in growing memory, up to a limit. Finding one by its id takes O(log children).
#[cfg(feature = "alloc")]
#[derive(Clone, Debug)]
pub struct GrowingChildren<I> {
    slots: alloc::vec::Vec<Slot<I>>,
    index: alloc::collections::BTreeMap<I, u32>,
    limit: usize,
}

#[cfg(feature = "alloc")]
impl<I> GrowingChildren<I> {
    /// No children, and never more than `limit`.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            slots: alloc::vec::Vec::new(),
            index: alloc::collections::BTreeMap::new(),
            limit,
        }
    }
}

#[cfg(feature = "alloc")]
impl<I: Ord + Clone> ChildStorage for GrowingChildren<I> {
    type Id = I;

    fn slots(&self) -> &[Slot<I>] {
        &self.slots
    }

    fn slots_mut(&mut self) -> &mut [Slot<I>] {
        &mut self.slots
    }

    fn grow(&mut self) -> Result<(), TooManyChildren> {
        if self.slots.len() >= self.limit {
            return Err(TooManyChildren { limit: self.limit });
        }
        self.slots.push(Slot::new());
        Ok(())
    }

    fn find(&self, id: &I) -> Option<u32> {
        self.index.get(id).copied()
    }

    fn named(&mut self, id: &I, slot: u32) {
        self.index.insert(id.clone(), slot);
    }

    fn unnamed(&mut self, id: &I) {
        self.index.remove(id);
    }
}

/// A supervisor has as many children as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyChildren {
    /// How many it may have.
    pub limit: usize,
}

impl TooManyChildren {
    /// The refusal of a storage for at most `limit` children, for a [`ChildStorage`] elsewhere.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit }
    }
}

impl fmt::Display for TooManyChildren {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a supervisor may have at most {} children", self.limit)
    }
}

impl core::error::Error for TooManyChildren {}
