//! A registry without the right to register.

use super::{EpochRegistry, Handle, Key, Memory, Stored};
use core::fmt;

/// A view of an [`EpochRegistry`] that reads and cannot register: it makes no owners. Clones, like
/// those of the registry, refer to the same entries, and keep them.
///
/// ```
/// use bedplate_core::id::PidAllocator;
/// use bedplate_core::registry::EpochRegistry;
/// use std::hash::RandomState;
///
/// let registry = EpochRegistry::<&str, u32, _>::with_hasher(RandomState::new());
/// let mut owner = registry.owner(PidAllocator::new(1).allocate()?);
/// owner.register(&registry.handle().pin(), "answer", 42)?;
///
/// let reader = registry.reader();
/// let found = std::thread::spawn(move || reader.handle().pin().whereis("answer"));
/// assert_eq!(found.join().ok().flatten(), Some(owner.pid()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail,E0599
/// use bedplate_core::id::PidAllocator;
/// use bedplate_core::registry::EpochRegistry;
/// use std::hash::RandomState;
///
/// let registry = EpochRegistry::<&str, u32, _>::with_hasher(RandomState::new());
/// registry.reader().owner(PidAllocator::new(1).allocate().unwrap());
/// ```
pub struct Reader<K: Stored, V: Stored, S>(EpochRegistry<K, V, S>);

impl<K: Key, V: Stored, S> Reader<K, V, S> {
    pub(super) const fn new(registry: EpochRegistry<K, V, S>) -> Self {
        Self(registry)
    }

    /// A handle for the calling thread; see [`EpochRegistry::handle`].
    #[must_use]
    pub fn handle(&self) -> Handle<K, V, S> {
        self.0.handle()
    }

    /// How many entries there are; see [`EpochRegistry::len`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries; see [`EpochRegistry::is_empty`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What waits to be freed; see [`EpochRegistry::memory`].
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.0.memory()
    }
}

impl<K: Stored, V: Stored, S> Clone for Reader<K, V, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Key, V: Stored, S> fmt::Debug for Reader<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.0).finish()
    }
}
