//! Looking up many keys at once.
//!
//! What a look-up in a large registry waits for is memory: first a bucket, then a slot. One after another,
//! each waits for its own. Here a batch of keys is hashed, then all their buckets are fetched, then all
//! slots, and only then is anything compared; so the memory's latency is paid once for several.

use super::epoch::{Entry, Guard};
use super::index::Fetched;
use super::{Key, Stored};
use core::fmt;
use core::hash::BuildHasher;

/// Keys looked up together.
const BATCH: usize = 16;

/// The answers of [`Guard::lookup_many`], in the order of the keys.
pub struct LookupMany<'g, 'k, K: Key, V: Stored, S, I> {
    guard: &'g Guard<'g, K, V, S>,
    keys: I,
    batch: [Option<(&'k K::Borrowed, Fetched<'g>)>; BATCH],
    next: usize,
}

impl<K: Key, V: Stored, S: BuildHasher> Guard<'_, K, V, S> {
    /// The entries of many keys, in their order; `None` for each that nobody holds. Each is looked up by itself, at
    /// some time while the iterator is used: what changes meanwhile may show in some and not in others.
    ///
    /// Where the registry is larger than the processor's caches this takes about half the time of as many
    /// [`lookup`](Self::lookup)s; where it is not, somewhat more.
    ///
    /// ```
    /// # use bedplate_core::id::PidAllocator;
    /// # use bedplate_core::registry::EpochRegistry;
    /// # use std::hash::RandomState;
    /// let registry = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
    /// let handle = registry.handle();
    /// let mut owner = registry.owner(PidAllocator::new(1).allocate()?);
    /// for key in 0..100 {
    ///     owner.register(&handle.pin(), key, key * key)?;
    /// }
    ///
    /// let guard = handle.pin();
    /// let squares = guard.lookup_many(&[7, 1000, 9]).map(|entry| entry.map(|entry| *entry.value()));
    /// assert_eq!(squares.collect::<Vec<_>>(), [Some(49), None, Some(81)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lookup_many<'k, I>(&self, keys: I) -> LookupMany<'_, 'k, K, V, S, I::IntoIter>
    where
        I: IntoIterator<Item = &'k K::Borrowed>,
        K::Borrowed: 'k,
    {
        LookupMany {
            guard: self,
            keys: keys.into_iter(),
            batch: [None; BATCH],
            next: BATCH,
        }
    }
}

impl<'g, 'k, K, V, S, I> LookupMany<'g, 'k, K, V, S, I>
where
    K: Key,
    V: Stored,
    S: BuildHasher,
    I: Iterator<Item = &'k K::Borrowed>,
{
    /// Hashes the next keys, and fetches what they lead to.
    fn fetch(&mut self) {
        let shared = self.guard.shared;
        // So that none is answered again if the keys, or their hashes, panic.
        self.batch = [None; BATCH];
        self.next = 0;
        for slot in &mut self.batch {
            let Some(key) = self.keys.next() else { break };
            *slot = Some((key, shared.index.fetch(shared.place(key))));
        }
        for (_, bucket) in self.batch.iter().flatten() {
            if let Some(slot) = bucket.slot() {
                shared.slab.fetch(slot);
            }
        }
    }
}

impl<'g, 'k, K, V, S, I> Iterator for LookupMany<'g, 'k, K, V, S, I>
where
    K: Key,
    V: Stored,
    S: BuildHasher,
    I: Iterator<Item = &'k K::Borrowed>,
{
    type Item = Option<Entry<'g, K, V>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == BATCH {
            self.fetch();
        }
        let (key, bucket) = (*self.batch.get(self.next)?)?;
        self.next += 1;
        Some(self.guard.lookup_at(key, bucket.place))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ready = self.batch[self.next..].iter().flatten().count();
        let (least, most) = self.keys.size_hint();
        (
            least.saturating_add(ready),
            most.and_then(|most| most.checked_add(ready)),
        )
    }
}

impl<K: Key, V: Stored, S, I> fmt::Debug for LookupMany<'_, '_, K, V, S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupMany").finish_non_exhaustive()
    }
}
