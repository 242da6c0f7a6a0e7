//! A name that was looked up once, and answers from where it was found.

use super::epoch::{EpochRegistry, Shared};
use super::index::{Found, Lane, LaneRef, Place, Sequence};
use super::look::Probe;
use super::slab::{Slab, Slot};
use super::{Key, Stored};
use crate::id::Pid;
use crate::sync::Cell;
use crate::sync::epoch::LazyPin;
use alloc::sync::Arc;
use core::fmt;
use core::hash::BuildHasher;
use core::ptr::NonNull;

/// A name that answers who holds it *now*, whoever that is by then: it stays valid when its holder ends,
/// when the next one registers, and while nobody does.
///
/// While the name is held as it was the last time it was asked, an answer takes two loads and no hash: about
/// a nanosecond. After a change, and as long as nobody holds the name, it takes a look-up.
///
/// It can be sent to other threads, but not shared by them: clone it, or make one for each.
///
/// # Concurrency
/// Lock-free, and wait-free while nothing changes; writes nothing that is shared. The linearization point of an
/// answer without a look-up is the first of the two loads. A key that is not copied into the entry (a long
/// text, a box) has to be protected while it is compared: a look-up then takes some hundred nanoseconds.
///
/// # From interrupts
/// No: a look-up may have to protect what it reads.
///
/// ```
/// use bedplate_core::id::PidAllocator;
/// use bedplate_core::registry::EpochRegistry;
/// use std::hash::RandomState;
///
/// let registry = EpochRegistry::<String, u16, _>::with_hasher(RandomState::new());
/// let mut pids = PidAllocator::new(10);
/// let handle = registry.handle();
///
/// let db = registry.name_ref("db".to_owned());
/// assert_eq!(db.whereis(), None);
///
/// let mut first = registry.owner(pids.allocate()?);
/// first.register(&handle.pin(), "db".to_owned(), 5432)?;
/// assert_eq!(db.whereis(), Some(first.pid()));
///
/// drop(first);                                                  // it crashed …
/// assert_eq!(db.whereis(), None);
/// let mut second = registry.owner(pids.allocate()?);            // … and was restarted
/// second.register(&handle.pin(), "db".to_owned(), 5432)?;
/// assert_eq!(db.whereis(), Some(second.pid()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct NameRef<K: Key, V: Stored, S> {
    shared: Arc<Shared<K, V, S>>,
    key: K,
    place: Place,
    found: Cell<Option<Answer<K, V>>>,
}

/// An answer, and where it came from. Lane and slot are memory of the registry that `NameRef` keeps alive.
struct Answer<K: Stored, V: Stored> {
    lane: LaneRef,
    word: Lane,
    slot: NonNull<Slot<K, V>>,
    sequence: Sequence,
    pid: Pid,
}

impl<K: Stored, V: Stored> Clone for Answer<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Stored, V: Stored> Copy for Answer<K, V> {}

// SAFETY: it is a registry and a key, and pointers into memory of that registry, all of which other threads
// may use; the cell is only reached by who has the `NameRef`, which is not `Sync`.
unsafe impl<K: Key + Send, V: Stored, S> Send for NameRef<K, V, S> where EpochRegistry<K, V, S>: Send
{}

impl<K: Key, V: Stored, S: BuildHasher> EpochRegistry<K, V, S> {
    /// A name that answers who holds it, again and again.
    #[must_use]
    pub fn name_ref(&self, key: K) -> NameRef<K, V, S> {
        NameRef {
            place: self.shared.place(key.as_seen()),
            shared: Arc::clone(&self.shared),
            key,
            found: Cell::new(None),
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> NameRef<K, V, S> {
    /// The name.
    #[must_use]
    pub fn key(&self) -> &K::Borrowed {
        self.key.as_seen()
    }

    /// Who holds the name.
    #[inline]
    #[must_use]
    pub fn whereis(&self) -> Option<Pid> {
        if let Some(answer) = self.found.get() {
            // SAFETY: of the registry that is kept alive, which gives no lane back before it goes.
            let is_there = unsafe { answer.lane.is(answer.word) };
            // SAFETY: as for the lane; slots are not given back either.
            let slot = unsafe { answer.slot.as_ref() };
            // After the lane, by which the sequence of a later registration came.
            if is_there && Slab::sequence_of(slot) == answer.sequence {
                return Some(answer.pid);
            }
        }
        self.look_up()
    }

    #[cold]
    fn look_up(&self) -> Option<Pid> {
        self.found.set(None);
        let Shared { slab, index, .. } = &*self.shared;
        let probe = Probe::new(slab, self.key());
        // Something of its own to pin, since the thread may have no handle.
        let local = (K::MAY_OWN && !probe.is_inline()).then(|| self.shared.collector.register());
        let pin = local.as_ref().map(LazyPin::new);
        if let Some(pin) = &pin {
            pin.guard();
        }
        let Found { lane: word, seen } = index.find(self.place, probe)?;
        let pid = Pid::from_bits(seen.owner)?;
        if let Some(lane) = index.lane_of(word) {
            let slot = NonNull::from(slab.slot(word.slot()));
            let sequence = seen.sequence;
            self.found.set(Some(Answer {
                lane,
                word,
                slot,
                sequence,
                pid,
            }));
        }
        Some(pid)
    }
}

impl<K: Key + Clone, V: Stored, S> Clone for NameRef<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            key: self.key.clone(),
            place: self.place,
            found: Cell::new(self.found.get()),
        }
    }
}

impl<K: Key<Borrowed: fmt::Debug>, V: Stored, S> fmt::Debug for NameRef<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NameRef").field(&self.key.as_seen()).finish()
    }
}
