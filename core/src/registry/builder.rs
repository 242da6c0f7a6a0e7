//! How an [`EpochRegistry`] is made to measure.

use super::epoch::Shared;
use super::feed::Feed;
use super::watch::{Audit, Watch};
use super::{Change, EpochRegistry, Key, Stored};
use alloc::boxed::Box;
use core::fmt;

/// The changes that a feed can keep at most: some 17 million; 65,536 on a 32-bit target.
pub const LARGEST_FEED: usize = 1 << if usize::BITS == 64 { 24 } else { 16 };

/// A feed was to keep more changes than [`LARGEST_FEED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedTooLarge {
    /// How many it can keep.
    pub limit: usize,
}

impl fmt::Display for FeedTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a feed keeps {} changes at most", self.limit)
    }
}

impl core::error::Error for FeedTooLarge {}

/// Makes an [`EpochRegistry`]; see [`EpochRegistry::builder`].
///
/// ```
/// use bedplate_core::id::PidAllocator;
/// use bedplate_core::registry::EpochRegistry;
/// use std::hash::RandomState;
///
/// let registry = EpochRegistry::<&str, u32, _>::builder(RandomState::new())
///     .limit(10_000)
///     .audit(|change| println!("{:?} of {:?} by {}", change.reason, change.key, change.owner))
///     .build();
/// let mut owner = registry.owner(PidAllocator::new(1).allocate()?);
/// owner.register(&registry.handle().pin(), "answer", 42)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder makes nothing before it is told to build"]
pub struct Builder<K: Stored, V: Stored, S> {
    hasher: S,
    limit: usize,
    audit: Option<Audit<K, V>>,
    feed: Option<Feed<K, V>>,
}

impl<K: Key, V: Stored, S> Builder<K, V, S> {
    pub(super) const fn new(hasher: S) -> Self {
        Self {
            hasher,
            limit: usize::MAX,
            audit: None,
            feed: None,
        }
    }

    /// More than `limit` entries are refused.
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// `audit` is called for every change, by the thread that made it, right after it. Others may see the
    /// change, and change the same name again, before; the number tells in which order that was.
    ///
    /// It may read the registry and change it through other owners, and must not panic: the change has been
    /// made. If it panics nevertheless while an owner is dropped, the rest is released all the same, without
    /// being told to it: a second panic would abort the process.
    pub fn audit(mut self, audit: impl Fn(&Change<'_, K, V>) + Send + Sync + 'static) -> Self {
        self.audit = Some(Box::new(audit));
        self
    }

    /// The last changes, `capacity` of them, rounded up to a power of two (at least one), can be followed; see
    /// [`Guard::changes`](super::Guard::changes). Every change then allocates, and clones key and value. If that
    /// panics, the change is not made; but what an owner holds that is dropped is released all the same, and told
    /// as lost.
    ///
    /// # Errors
    /// [`FeedTooLarge`] if that is more than [`LARGEST_FEED`].
    pub fn feed(mut self, capacity: usize) -> Result<Self, FeedTooLarge>
    where
        K: Clone,
        V: Clone,
    {
        if capacity > LARGEST_FEED {
            return Err(FeedTooLarge {
                limit: LARGEST_FEED,
            });
        }
        self.feed = Some(Feed::new(capacity));
        Ok(self)
    }

    /// The registry, empty.
    #[must_use]
    pub fn build(self) -> EpochRegistry<K, V, S> {
        let watch = Watch::new(self.audit, self.feed);
        Shared::new(self.hasher, self.limit, watch).into()
    }
}

impl<K: Stored, V: Stored, S> fmt::Debug for Builder<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limit", &self.limit)
            .field("audit", &self.audit.is_some())
            .field("feed", &self.feed.is_some())
            .finish_non_exhaustive()
    }
}
