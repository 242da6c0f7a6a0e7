//! The registry for systems with an allocator and compare-and-swap: its public face. The algorithm
//! is in [`index`](super::index), the memory in [`slab`](super::slab).

use super::index::{Found, Index, Lane, Place, Spot, Walk};
use super::look::{Everything, Probe, Whose};
use super::owner::Owner;
use super::slab::{Seen, Slab};
use super::stored::sealed;
use super::tally::{Retired, Tally};
use super::watch::Watch;
use super::{Builder, Key, Reader, Registration, Serial, Stored};
use crate::id::Pid;
use crate::sync::epoch::{self, Collector, LazyPin, LocalHandle};
use crate::sync::{AtomicUsize, Ordering};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::hash::BuildHasher;
use core::marker::PhantomData;
use core::ops::Range;

/// A lock-free registry that grows with its entries and reclaims them by epochs.
///
/// This is a handle to shared state: clones refer to the same registry, which is freed with the
/// last clone, [`Handle`] and [`Owner`]. Reading needs a [`Handle`] for each thread and a [`Guard`]
/// for each group of reads; registering needs an [`Owner`] as well.
///
/// The hasher is the caller's choice: a registry whose keys come from outside wants a randomly
/// seeded one. With a hasher that returns one value for all keys everything still works, in O(n), up to
/// some 65,000 keys (250 on a 32-bit target); one more is refused with
/// [`TooManyCollisions`](super::RegisterError::TooManyCollisions).
///
/// Keys and values are [`Stored`] types: plain words and short texts are copied into the entry and out
/// of it; a `Box`, or a long text, is dropped some time after it was removed, by whichever thread pins
/// then. Such destructors must not panic: the panic would appear there, and what was to be freed with
/// them would leak.
///
/// Memory for entries is used again at once, and given back when the registry goes: it holds as much as
/// the most entries there were at a time need. A reader that stalls holds up nothing but boxes and long
/// texts, and the memory of entries that several mean to take over at once; see [`memory`](Self::memory).
///
/// # Concurrency
/// All operations are lock-free: each repetition means that somebody else has changed the same bucket. A
/// look-up writes nothing that is shared. The linearization points are, of registering, unregistering and
/// taking over, the exchange of one word; of a look-up that finds something, the second load of that
/// word; of one that does not, a moment at which it was absent.
///
/// A registry is only as shareable as what it holds:
///
/// ```compile_fail,E0277
/// use bedplate_core::registry::EpochRegistry;
///
/// fn sync<T: Sync>() {}
/// sync::<EpochRegistry<String, Box<std::cell::Cell<u8>>, std::hash::RandomState>>();
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
pub struct EpochRegistry<K: Stored, V: Stored, S> {
    pub(super) shared: Arc<Shared<K, V, S>>,
}

pub(super) struct Shared<K: Stored, V: Stored, S> {
    /// Dropped first: it runs what was deferred.
    pub(super) collector: Collector,
    pub(super) index: Index,
    pub(super) slab: Slab<K, V>,
    /// Whoever wants to know of changes.
    pub(super) watch: Option<Box<Watch<K, V>>>,
    /// How many entries there are, and may be.
    pub(super) entries: Tally,
    /// Boxes and texts that wait to be freed, and how many bytes they are.
    pub(super) retired: Arc<Retired>,
    owners: AtomicUsize,
    numbers: AtomicUsize,
    hasher: S,
    /// Entries own what they hold.
    holds: PhantomData<(K, V)>,
}

impl<K: Key, V: Stored, S> EpochRegistry<K, V, S> {
    /// An empty registry without a limit of its own.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        Self::builder(hasher).build()
    }

    /// An empty registry that refuses more than `limit` entries.
    #[must_use]
    pub fn with_limit_and_hasher(limit: usize, hasher: S) -> Self {
        Self::builder(hasher).limit(limit).build()
    }

    /// Makes a registry with a limit, an audit, or a feed of its changes.
    pub const fn builder(hasher: S) -> Builder<K, V, S> {
        Builder::new(hasher)
    }

    /// A handle for the calling thread; keep it, making one takes some hundred nanoseconds.
    #[must_use]
    pub fn handle(&self) -> Handle<K, V, S> {
        Handle {
            local: self.shared.collector.register(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// A view for those who shall read and not register.
    #[must_use]
    pub fn reader(&self) -> Reader<K, V, S> {
        Reader::new(self.clone())
    }

    /// The right to hold registrations in the name of `pid`, at first none.
    #[must_use]
    pub fn owner(&self, pid: Pid) -> Owner<K, V, S>
    where
        S: BuildHasher,
    {
        // Relaxed: only for spreading.
        let number = self.shared.owners.fetch_add(1, Ordering::Relaxed);
        Owner::new(Arc::clone(&self.shared), pid, number)
    }

    /// How many entries there are. O(1); while others register, a number that was true or is about
    /// to be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.entries.sum()
    }

    /// Whether there are no entries, with the same reservation as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What waits to be freed: boxes and long texts, and old changes in a feed. A thread that keeps a [`Guard`] holds all of it up.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let Shared { slab, index, .. } = &*self.shared;
        Memory {
            retired: self.shared.retired.things(),
            retired_bytes: self.shared.retired.bytes(),
            entries_bytes: slab.capacity() * Slab::<K, V>::slot_size(),
            index_bytes: index.bytes(),
            feed_bytes: self.shared.feed().map_or(0, |(_, feed)| feed.bytes()),
        }
    }
}

impl<K: Stored, V: Stored, S> Clone for EpochRegistry<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K: Key, V: Stored, S> fmt::Debug for EpochRegistry<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochRegistry")
            .field("len", &self.len())
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}

/// What an [`EpochRegistry`] holds beside its entries, and for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Boxes and long texts, of keys and of values, that were removed and not yet freed; and changes
    /// that the feed has overwritten. What leaked, since a destructor panicked and what was to be freed with it was
    /// not, is counted here for ever.
    pub retired: usize,
    /// Their size, without what they own in turn.
    pub retired_bytes: usize,
    /// Bytes of the slots entries lie in, used or not.
    pub entries_bytes: usize,
    /// Bytes of the index.
    pub index_bytes: usize,
    /// Bytes of the feed when it is full, without what changes own.
    pub feed_bytes: usize,
}

/// One thread's access to an [`EpochRegistry`]; not to be sent to another:
///
/// ```compile_fail,E0277
/// use bedplate_core::registry::Handle;
///
/// fn send<T: Send>() {}
/// send::<Handle<String, String, std::hash::RandomState>>();
/// ```
pub struct Handle<K: Stored, V: Stored, S> {
    /// Dropped before the registry it belongs to.
    local: LocalHandle,
    shared: Arc<Shared<K, V, S>>,
}

impl<K: Key, V: Stored, S> Handle<K, V, S> {
    /// Begins a group of reads. Takes nothing until something is read that has to be protected, and then
    /// some nanoseconds, once; every 128th time that also frees what nobody can see any more.
    #[inline]
    #[must_use]
    pub const fn pin(&self) -> Guard<'_, K, V, S> {
        Guard {
            pin: LazyPin::new(&self.local),
            shared: &self.shared,
        }
    }
}

impl<K: Stored, V: Stored, S> fmt::Debug for Handle<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// What was read while a guard is held stays readable: boxes and long texts that others remove meanwhile
/// are freed only after it is dropped. Hold it briefly, since nothing at all is freed while one is held
/// that has read such.
pub struct Guard<'h, K: Stored, V: Stored, S> {
    pub(super) pin: LazyPin<'h>,
    pub(super) shared: &'h Arc<Shared<K, V, S>>,
}

impl<K: Key, V: Stored, S> Guard<'_, K, V, S> {
    /// The entry of `key`, or `None` if nobody holds it.
    pub fn lookup(&self, key: &K::Borrowed) -> Option<Entry<'_, K, V>>
    where
        S: BuildHasher,
    {
        self.lookup_at(key, self.shared.place(key))
    }

    /// The entry of `key`, of which the place is known.
    #[inline]
    pub(super) fn lookup_at(&self, key: &K::Borrowed, place: Place) -> Option<Entry<'_, K, V>> {
        if V::MAY_OWN {
            self.epoch();
        }
        let found = self.find_at(key, place)?;
        Some(self.entry(found))
    }

    /// Who holds `key`.
    #[inline(always)]
    pub fn whereis(&self, key: &K::Borrowed) -> Option<Pid>
    where
        S: BuildHasher,
    {
        let owner = self.find_owner(key)?.seen;
        // SAFETY: validly read words of an entry, of which the owner's were written from a pid.
        Some(unsafe { Pid::from_bits(owner).unwrap_unchecked() })
    }

    /// All entries, in no useful order, each with what it had when the iterator came by.
    ///
    /// An entry that was there throughout is there exactly once; of those that came or went meanwhile,
    /// some. A key that is taken over meanwhile may appear twice, once for each registration.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        if K::MAY_OWN || V::MAY_OWN {
            self.epoch();
        }
        Iter {
            walk: self.shared.index.walk(Everything::new(&self.shared.slab)),
            slab: &self.shared.slab,
            shows: PhantomData,
        }
    }

    /// Frees what can be freed now. Otherwise that is left to later pins.
    pub fn flush(&self) {
        self.epoch().flush();
    }

    /// The pin, made if need be. It protects what is read *afterwards*.
    pub(super) fn epoch(&self) -> &epoch::Guard {
        self.pin.guard()
    }

    /// The entry of `key`, of which no more is read than whose it is.
    #[inline(always)]
    pub(super) fn find_owner(&self, key: &K::Borrowed) -> Option<Found<u64>>
    where
        S: BuildHasher,
    {
        if let Some(whose) = Whose::new(&self.shared.slab, key) {
            return self.shared.index.find(self.shared.place(key), whose);
        }
        let Found { lane, seen } = self.find(key)?;
        let seen = seen.owner;
        Some(Found { lane, seen })
    }

    #[inline]
    pub(super) fn find(&self, key: &K::Borrowed) -> Option<Found<Seen<K, V>>>
    where
        S: BuildHasher,
    {
        self.find_at(key, self.shared.place(key))
    }

    #[inline]
    fn find_at(&self, key: &K::Borrowed, place: Place) -> Option<Found<Seen<K, V>>> {
        let probe = Probe::new(&self.shared.slab, key);
        if K::MAY_OWN && !probe.is_inline() {
            self.epoch();
        }
        self.shared.index.find(place, probe)
    }

    pub(super) fn entry(&self, found: Found<Seen<K, V>>) -> Entry<'_, K, V> {
        Entry {
            found,
            slab: &self.shared.slab,
            shows: PhantomData,
        }
    }
}

impl<'g, K: Key, V: Stored, S> IntoIterator for &'g Guard<'_, K, V, S> {
    type Item = Entry<'g, K, V>;
    type IntoIter = Iter<'g, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Stored, V: Stored, S> fmt::Debug for Guard<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// A registered key, seen under a [`Guard`].
///
/// It is only as shareable as what it shows:
///
/// ```compile_fail,E0277
/// use bedplate_core::registry::Entry;
///
/// fn send<T: Send>() {}
/// send::<Entry<'static, u32, Box<std::cell::Cell<u8>>>>();
/// ```
pub struct Entry<'g, K: Stored, V: Stored> {
    found: Found<Seen<K, V>>,
    slab: &'g Slab<K, V>,
    /// Whoever has it can reach key and value.
    shows: PhantomData<(&'g K, &'g V)>,
}

impl<K: Stored, V: Stored> Entry<'_, K, V> {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &K::Borrowed {
        // SAFETY: validly read words of an entry; if they own something, that was pinned before it was
        // read and is not freed while the guard is borrowed, and entries are not changed.
        unsafe { <K as sealed::Stored>::see(&self.found.seen.key) }
    }

    /// The value it had.
    #[must_use]
    pub fn value(&self) -> &V::Borrowed {
        // SAFETY: as for the key.
        unsafe { <V as sealed::Stored>::see(&self.found.seen.value) }
    }

    /// Who holds it.
    #[must_use]
    pub fn owner(&self) -> Pid {
        match Pid::from_bits(self.found.seen.owner) {
            Some(owner) => owner,
            None => unreachable!("written from a pid"),
        }
    }

    pub(super) fn lane(&self) -> Lane {
        self.found.lane
    }

    /// Which registration it is. One that is over by now is not told from any other that is over.
    #[must_use]
    pub fn registration(&self) -> Registration {
        let Found { lane, seen } = &self.found;
        Registration {
            registry: self.slab.address(),
            owner: self.owner(),
            serial: Serial {
                owner: 0,
                number: self.slab.number_of(lane.slot(), seen).unwrap_or(0),
            },
            place: lane.place(),
        }
    }
}

impl<K: Stored, V: Stored> Clone for Entry<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Stored, V: Stored> Copy for Entry<'_, K, V> {}

impl<K, V> fmt::Debug for Entry<'_, K, V>
where
    K: Stored<Borrowed: fmt::Debug>,
    V: Stored<Borrowed: fmt::Debug>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key())
            .field("value", &self.value())
            .field("owner", &self.owner())
            .finish()
    }
}

/// The entries of a registry; see [`Guard::iter`]. As shareable as an [`Entry`]:
///
/// ```compile_fail,E0277
/// use bedplate_core::registry::Iter;
///
/// fn send<T: Send>() {}
/// send::<Iter<'static, u32, Box<std::cell::Cell<u8>>>>();
/// ```
pub struct Iter<'g, K: Stored, V: Stored> {
    walk: Walk<'g, Everything<'g, K, V>>,
    slab: &'g Slab<K, V>,
    shows: PhantomData<(&'g K, &'g V)>,
}

impl<'g, K: Stored, V: Stored> Iterator for Iter<'g, K, V> {
    type Item = Entry<'g, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        let slab = self.slab;
        // Two registrations of one key share its words only if one is the other, updated; or the key
        // was taken over, and then reporting one of them will do.
        let found = self.walk.next(|one, other| one.key == other.key)?;
        Some(Entry {
            found,
            slab,
            shows: PhantomData,
        })
    }
}

impl<K: Stored, V: Stored> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl<K: Stored, V: Stored, S> From<Shared<K, V, S>> for EpochRegistry<K, V, S> {
    fn from(shared: Shared<K, V, S>) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl<K: Stored, V: Stored, S> Shared<K, V, S> {
    pub(super) fn new(hasher: S, limit: usize, watch: Option<Box<Watch<K, V>>>) -> Self {
        Self {
            collector: Collector::new(),
            index: Index::new(),
            slab: Slab::new(),
            watch,
            entries: Tally::new(limit),
            retired: Arc::new(Retired::new()),
            owners: AtomicUsize::new(0),
            numbers: AtomicUsize::new(0),
            hasher,
            holds: PhantomData,
        }
    }

    #[inline]
    pub(super) fn place(&self, key: &K::Borrowed) -> Place
    where
        K: Key,
        S: BuildHasher,
    {
        Place::of_hash(self.hasher.hash_one(key))
    }

    /// Gives a slot back that was taken out of its lane, when everybody who is pinned has gone.
    pub(super) fn free_later(&self, pin: &epoch::Guard, slot: Spot) {
        let slab = &raw const self.slab;
        // SAFETY: a slab is freed after the collector that runs this (see the order of the fields), and
        // neither moves, since they are only made to be shared. The pointer is all that is captured.
        let free = move || unsafe { &*slab }.free(slot);
        // SAFETY: the closure may run on any thread: a slab hands out and takes back slots on every one.
        unsafe { pin.defer_unchecked(free) };
    }

    /// Numbers for so many registrations, from 1.
    pub(super) fn numbers(&self, block: usize) -> Range<u64> {
        // Relaxed: only distinctness matters.
        let first = self.numbers.fetch_add(block, Ordering::Relaxed) as u64 + 1;
        first..first + block as u64
    }
}

impl<K: Stored, V: Stored, S> Drop for Shared<K, V, S> {
    fn drop(&mut self) {
        // Owners keep the registry alive, so every entry has been released by one.
        debug_assert_eq!(self.entries.sum(), 0, "an entry outlived its owner");
    }
}
