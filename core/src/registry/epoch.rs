//! The registry for systems with an allocator and compare-and-swap: its public face. The algorithm
//! is in [`table`](super::table).

use super::Registration;
use super::owner::Owner;
use super::table::{Content, Contents, Place, Table};
use crate::id::Pid;
use crate::sync::epoch::{self, Collector, LocalHandle};
use crate::sync::{AtomicUsize, Ordering};
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// A lock-free registry that grows with its entries and reclaims them by epochs.
///
/// This is a handle to shared state: clones refer to the same registry, which is freed with the
/// last clone, [`Handle`] and [`Owner`]. Reading needs a [`Handle`] for each thread and a [`Guard`]
/// for each group of reads; registering needs an [`Owner`] as well.
///
/// The hasher is the caller's choice: a registry whose keys come from outside wants a randomly
/// seeded one. With a hasher that returns one value for all keys everything still works, in O(n).
///
/// Keys and values that were removed are dropped some time later, by whichever thread pins then. Their
/// destructors must not panic: the panic would appear there, and what was to be freed with them would
/// leak.
///
/// # Concurrency
/// Look-ups are wait-free but for entries that are being inserted in front of them; registering and
/// unregistering are lock-free. The linearization points are, of a registration the exchange that
/// links it, of its removal the mark in it, of a look-up the load that finds either.
///
/// A registry is only as shareable as what it holds:
///
/// ```compile_fail,E0277
/// use bedplate_core::registry::EpochRegistry;
///
/// fn sync<T: Sync>() {}
/// sync::<EpochRegistry<String, std::cell::Cell<u8>, std::hash::RandomState>>();
/// ```
///
/// # From interrupts
/// No: pinning may reclaim. Use a [`FixedRegistry`](super::FixedRegistry) there.
///
/// ```
/// use bedplate_core::id::PidAllocator;
/// use bedplate_core::registry::EpochRegistry;
/// use std::hash::RandomState;
///
/// let registry = EpochRegistry::<String, u16, _>::with_hasher(RandomState::new());
/// let mut pids = PidAllocator::new(100);
/// let (db, web) = (pids.allocate()?, pids.allocate()?);
///
/// let handle = registry.handle();
/// let mut owner = registry.owner(db);
/// owner.register(&handle.pin(), "db".to_owned(), 5432)?;
/// assert_eq!(handle.pin().whereis("db"), Some(db));
///
/// let mut other = registry.owner(web);
/// let refused = other.register(&handle.pin(), "db".to_owned(), 80).unwrap_err();
/// assert_eq!(refused.to_string(), format!("the key is already registered by {db}"));
///
/// drop(owner);
/// assert_eq!(handle.pin().whereis("db"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EpochRegistry<K, V, S> {
    shared: Arc<Shared<K, V, S>>,
}

pub(super) struct Shared<K, V, S> {
    /// Dropped before the table: it runs what was deferred, which counts in the table.
    pub(super) collector: Collector,
    pub(super) table: Table<K, V>,
    pub(super) limit: usize,
    owners: AtomicUsize,
    hasher: S,
}

impl<K, V, S> EpochRegistry<K, V, S> {
    /// An empty registry without a limit of its own.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        Self::with_limit_and_hasher(usize::MAX, hasher)
    }

    /// An empty registry that refuses more than `limit` entries.
    #[must_use]
    pub fn with_limit_and_hasher(limit: usize, hasher: S) -> Self {
        let shared = Shared {
            collector: Collector::new(),
            table: Table::new(),
            limit,
            owners: AtomicUsize::new(0),
            hasher,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A handle for the calling thread; keep it, making one takes some hundred nanoseconds.
    #[must_use]
    pub fn handle(&self) -> Handle<K, V, S> {
        Handle {
            local: self.shared.collector.register(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// The right to hold registrations in the name of `pid`, at first none.
    #[must_use]
    pub fn owner(&self, pid: Pid) -> Owner<K, V, S> {
        // Relaxed: only distinctness matters.
        let serial = self.shared.owners.fetch_add(1, Ordering::Relaxed);
        Owner::new(Arc::clone(&self.shared), pid, serial as u64)
    }

    /// How many entries there are. O(1); while others register, a number that was true or is about
    /// to be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.table.len()
    }

    /// Whether there are no entries, with the same reservation as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits to be freed. A thread that keeps a [`Guard`] holds all of it up.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let retired = self.shared.table.retired();
        Memory {
            retired,
            retired_bytes: retired * Table::<K, V>::node_size(),
        }
    }
}

impl<K, V, S> Clone for EpochRegistry<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K, V, S> fmt::Debug for EpochRegistry<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochRegistry")
            .field("len", &self.len())
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}

/// What an [`EpochRegistry`] has removed and not yet freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Entries.
    pub retired: usize,
    /// Their size, without what their keys and values own elsewhere.
    pub retired_bytes: usize,
}

/// One thread's access to an [`EpochRegistry`]; not to be sent to another:
///
/// ```compile_fail,E0277
/// use bedplate_core::registry::Handle;
///
/// fn send<T: Send>() {}
/// send::<Handle<String, String, std::hash::RandomState>>();
/// ```
pub struct Handle<K, V, S> {
    /// Dropped before the registry it belongs to.
    local: LocalHandle,
    shared: Arc<Shared<K, V, S>>,
}

impl<K, V, S> Handle<K, V, S> {
    /// Begins a group of reads. Takes some nanoseconds, fewer while another guard of this handle is
    /// there; every 128th also frees what nobody can see any more.
    #[must_use]
    pub fn pin(&self) -> Guard<'_, K, V, S> {
        Guard {
            epoch: self.local.pin(),
            shared: &self.shared,
        }
    }
}

impl<K, V, S> fmt::Debug for Handle<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// What was read while a guard is held stays readable: entries that others remove meanwhile are
/// freed only after it is dropped. Hold it briefly, since nothing at all is freed while one is held.
pub struct Guard<'h, K, V, S> {
    pub(super) epoch: epoch::Guard,
    pub(super) shared: &'h Arc<Shared<K, V, S>>,
}

impl<K, V, S> Guard<'_, K, V, S> {
    /// The entry of `key`, or `None` if nobody holds it.
    pub fn lookup<Q>(&self, key: &Q) -> Option<Entry<'_, K, V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let place = self.shared.place(key);
        let content = self
            .shared
            .table
            .find(place, &self.epoch, |other| other.key.borrow() == key)?;
        Some(Entry { content, place })
    }

    /// Who holds `key`.
    pub fn whereis<Q>(&self, key: &Q) -> Option<Pid>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        self.lookup(key).map(|entry| entry.owner())
    }

    /// All entries, in no useful order, each with what it had when the iterator came by.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter {
            contents: self.shared.table.iter(&self.epoch),
        }
    }

    /// Frees what can be freed now. Otherwise that is left to later pins.
    pub fn flush(&self) {
        self.epoch.flush();
    }
}

impl<'g, K, V, S> IntoIterator for &'g Guard<'_, K, V, S> {
    type Item = Entry<'g, K, V>;
    type IntoIter = Iter<'g, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K, V, S> fmt::Debug for Guard<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// A registered key, seen under a [`Guard`].
pub struct Entry<'g, K, V> {
    pub(super) content: &'g Content<K, V>,
    pub(super) place: Place,
}

impl<'g, K, V> Entry<'g, K, V> {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &'g K {
        &self.content.key
    }

    /// The value it was registered with.
    #[must_use]
    pub fn value(&self) -> &'g V {
        &self.content.value
    }

    /// Who holds it.
    #[must_use]
    pub fn owner(&self) -> Pid {
        self.content.owner
    }

    /// Which registration it is.
    #[must_use]
    pub fn registration(&self) -> Registration {
        Registration {
            owner: self.content.owner,
            serial: self.content.serial,
            place: self.place,
        }
    }
}

impl<K, V> Clone for Entry<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Entry<'_, K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Entry<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", self.key())
            .field("value", self.value())
            .field("owner", &self.owner())
            .finish()
    }
}

/// The entries of a registry; see [`Guard::iter`].
pub struct Iter<'g, K, V> {
    contents: Contents<'g, K, V>,
}

impl<'g, K, V> Iterator for Iter<'g, K, V> {
    type Item = Entry<'g, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        self.contents
            .next()
            .map(|(place, content)| Entry { content, place })
    }
}

impl<K, V> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl<K, V, S: BuildHasher> Shared<K, V, S> {
    pub(super) fn place<Q: Hash + ?Sized>(&self, key: &Q) -> Place {
        Place::of_hash(self.hasher.hash_one(key))
    }
}
