//! Where a machine keeps its children: a list in start order, of fixed or of growing capacity.

use super::spec::ChildPlan;
use crate::clock::Instant;
use core::fmt;

/// Names a child of one machine. Keys ascend in start order and are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildKey(pub(super) u32);

/// What a child is doing.
///
/// ```text
/// Waiting ──► Starting ──► Running ──► Stopping ──► Stopped
///                ▲  └──────────┬──────────────────────►
///                └── restart ──┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildState {
    /// Its first start has not come yet: children before it are still starting.
    Waiting,
    /// A start was ordered and not yet confirmed.
    Starting,
    /// It runs.
    Running,
    /// It was asked to stop and may take until the deadline.
    Stopping {
        /// [`Instant::MAX`] when it may take for ever.
        deadline: Instant,
    },
    /// It does not run and will not be started by itself.
    Stopped,
}

impl ChildState {
    /// Whether an incarnation may be alive in this state.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping { .. })
    }
}

/// One child as a machine sees it.
#[derive(Clone, Debug)]
pub struct Child {
    pub(super) key: ChildKey,
    pub(super) plan: ChildPlan,
    pub(super) state: ChildState,
    /// The number of the present or last incarnation; 0 before the first.
    pub(super) incarnation: u64,
}

impl Child {
    /// Which child this is.
    #[must_use]
    pub const fn key(&self) -> ChildKey {
        self.key
    }

    /// What was said about it.
    #[must_use]
    pub const fn plan(&self) -> ChildPlan {
        self.plan
    }

    /// What it is doing.
    #[must_use]
    pub const fn state(&self) -> ChildState {
        self.state
    }

    /// The number of its present or last incarnation, counted from 1; 0 before the first start.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

/// A list of children with a limit. A machine on a microcontroller uses [`FixedChildren`], one
/// with an allocator `GrowingChildren`; another kind of list may be written outside this crate.
pub trait ChildStorage {
    /// The children in start order.
    fn as_slice(&self) -> &[Child];

    /// The children in start order.
    fn as_mut_slice(&mut self) -> &mut [Child];

    /// Appends a child.
    ///
    /// # Errors
    /// [`TooManyChildren`] when the list is at its limit; it is then unchanged.
    fn push(&mut self, child: Child) -> Result<(), TooManyChildren>;

    /// Takes out the child at `index`, which exists; those behind it move up.
    fn remove(&mut self, index: usize);
}

/// At most `N` children, without an allocator.
#[derive(Clone, Debug, Default)]
pub struct FixedChildren<const N: usize>(heapless::Vec<Child, N>);

impl<const N: usize> FixedChildren<N> {
    /// No children.
    #[must_use]
    pub const fn new() -> Self {
        Self(heapless::Vec::new())
    }
}

impl<const N: usize> ChildStorage for FixedChildren<N> {
    fn as_slice(&self) -> &[Child] {
        &self.0
    }

    fn as_mut_slice(&mut self) -> &mut [Child] {
        &mut self.0
    }

    fn push(&mut self, child: Child) -> Result<(), TooManyChildren> {
        self.0.push(child).map_err(|_| TooManyChildren { limit: N })
    }

    fn remove(&mut self, index: usize) {
        self.0.remove(index);
    }
}

/// Children in growing memory, up to a limit.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug)]
pub struct GrowingChildren {
    list: alloc::vec::Vec<Child>,
    limit: usize,
}

#[cfg(feature = "alloc")]
impl GrowingChildren {
    /// No children, and never more than `limit`.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            list: alloc::vec::Vec::new(),
            limit,
        }
    }
}

#[cfg(feature = "alloc")]
impl ChildStorage for GrowingChildren {
    fn as_slice(&self) -> &[Child] {
        &self.list
    }

    fn as_mut_slice(&mut self) -> &mut [Child] {
        &mut self.list
    }

    fn push(&mut self, child: Child) -> Result<(), TooManyChildren> {
        if self.list.len() >= self.limit {
            return Err(TooManyChildren { limit: self.limit });
        }
        self.list.push(child);
        Ok(())
    }

    fn remove(&mut self, index: usize) {
        self.list.remove(index);
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
    /// The refusal of a list of at most `limit` children, for a [`ChildStorage`] elsewhere.
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
