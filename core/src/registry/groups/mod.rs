//! Keys that many share: groups of processes, each member with a value of its own.
//!
//! [`EpochGroups`] is to a duplicate-key registry (process groups, topics, subscriptions) what
//! [`EpochRegistry`](super::EpochRegistry) is to names. A [`Member`] joins groups and leaves them, and when it
//! is dropped it leaves all of them. A key somebody has joined is a group, and one that everybody has left is
//! nothing: no memory is kept for it.
//!
//! | | [`EpochRegistry`](super::EpochRegistry) | [`EpochGroups`] |
//! |---|---|---|
//! | a key has | one holder | any number of members, one process also several times |
//! | comes and goes by | `register`, `unregister` | `join`, `leave` |
//! | another's entry | may be taken over | is another's |
//! | a value | may be updated | stays what it was joined with |
//! | as an address (Elixir's *via*) | by `whereis` | no: a group is not one process |
//!
//! ```
//! use bedplate_core::id::PidAllocator;
//! use bedplate_core::registry::groups::EpochGroups;
//! use std::hash::RandomState;
//!
//! let groups = EpochGroups::<&str, u16, _>::with_hasher(RandomState::new());
//! let mut pids = PidAllocator::new(100);
//! let (mut ann, mut bob) = (groups.member(pids.allocate()?), groups.member(pids.allocate()?));
//!
//! let handle = groups.handle();
//! ann.join(&handle.pin(), "news", 1)?;
//! bob.join(&handle.pin(), "news", 2)?;
//! let again = bob.join(&handle.pin(), "news", 3)?;
//! assert_eq!(handle.pin().count("news"), 3);
//!
//! assert!(bob.leave(&handle.pin(), again));
//! let mut told = 0;
//! handle.pin().dispatch("news", |entry| told += entry.value());
//! assert_eq!(told, 1 + 2);
//!
//! drop((ann, bob));
//! assert_eq!(handle.pin().dispatch("news", |_| unreachable!("nobody is left")), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod guard;
mod member;
mod roster;
mod shared;

use super::error::TOO_MANY_COLLISIONS;
use super::slab::Slab;
use super::{Key, Stored};
use crate::id::Pid;
use crate::sync::Ordering;
use crate::sync::epoch::{LazyPin, LocalHandle};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::hash::BuildHasher;
pub use guard::{Entry, Group, Guard, Members};
pub use member::{Member, Membership};
use roster::Roster;
use shared::Shared;

/// Groups of members under keys, which come and go with them: lock-free, read beside any number of changes.
///
/// This is a handle to shared state: clones refer to the same groups, which are freed with the last clone,
/// [`Handle`] and [`Member`]. Reading needs a [`Handle`] for each thread and a [`Guard`] for each group of reads;
/// joining needs a [`Member`] as well. The [module](self) has an example.
///
/// What is said of [`EpochRegistry`](super::EpochRegistry) about hashers, about destructors of what is
/// [`Stored`], and about memory is true here, too; but reading a group pins, and a reader that stalls also holds
/// up the rosters of groups that were left meanwhile. See [`memory`](Self::memory).
///
/// # Concurrency
/// All operations are lock-free: each repetition means that somebody else has joined or left the same group, or
/// has changed the same bucket of the index. A reader writes nothing that is shared, but for its pin. Joining
/// and leaving are O(1), however many share the key. They are linearizable for each key with
/// [`count`](Guard::count); listing is weakly consistent: a member that was there throughout is listed exactly
/// once, one that came or went may be.
///
/// # From interrupts
/// No: pinning may reclaim.
pub struct EpochGroups<K: Stored, V: Stored, S> {
    shared: Arc<Shared<K, V, S>>,
}

impl<K: Key, V: Stored, S> EpochGroups<K, V, S> {
    /// No groups, and no limit of their own.
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        Self::with_limit_and_hasher(usize::MAX, hasher)
    }

    /// No groups, and never more than `limit` memberships in all of them.
    #[must_use]
    pub fn with_limit_and_hasher(limit: usize, hasher: S) -> Self {
        let shared = Shared::new(limit, hasher);
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

    /// The right to join groups in the name of `pid`, at first in none.
    #[must_use]
    pub fn member(&self, pid: Pid) -> Member<K, V, S>
    where
        S: BuildHasher,
    {
        // Relaxed: only for spreading.
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed);
        Member::new(Arc::clone(&self.shared), pid, number)
    }

    /// How many memberships there are in all groups. O(1); while others join, a number that was true or is
    /// about to be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.entries.sum()
    }

    /// Whether nobody is in any group, with the same reservation as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is held for the groups there are, and what waits to be freed. A thread that keeps a [`Guard`] holds
    /// all of the latter up.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let shared = &*self.shared;
        Memory {
            retired: shared.retired.things(),
            retired_bytes: shared.retired.bytes(),
            entries_bytes: shared.members.capacity() * Slab::<(), V>::slot_size(),
            groups_bytes: shared.groups.capacity() * Slab::<K, Box<Roster>>::slot_size()
                + shared.rosters.sum() * size_of::<Roster>()
                // Relaxed: a count.
                + shared.lanes_bytes.load(Ordering::Relaxed),
            index_bytes: shared.index.bytes(),
        }
    }
}

#[cfg(test)]
impl<K: Stored, V: Stored, S> EpochGroups<K, V, S> {
    pub(super) fn leave_overflow(&self, left: usize) {
        self.shared.index.leave_overflow(left);
    }
}

impl<K: Stored, V: Stored, S> Clone for EpochGroups<K, V, S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K: Key, V: Stored, S> fmt::Debug for EpochGroups<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochGroups")
            .field("len", &self.len())
            .field("memory", &self.memory())
            .finish_non_exhaustive()
    }
}

/// What [`EpochGroups`] hold for their entries, and beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Rosters of groups that were left, and boxes and long texts of keys and of values, that are not yet freed.
    /// What leaked, since a destructor panicked and what was to be freed with it was not, is counted here for ever.
    pub retired: usize,
    /// Their size, without what boxes own in turn.
    pub retired_bytes: usize,
    /// Bytes of the slots members lie in, used or not: as many as the most there were at a time needed.
    pub entries_bytes: usize,
    /// Bytes of the groups there are, with the slots of as many as there were at a time.
    pub groups_bytes: usize,
    /// Bytes of the index.
    pub index_bytes: usize,
}

/// One thread's access to [`EpochGroups`]; not to be sent to another.
pub struct Handle<K: Stored, V: Stored, S> {
    /// Dropped before the groups it belongs to.
    local: LocalHandle,
    shared: Arc<Shared<K, V, S>>,
}

impl<K: Key, V: Stored, S> Handle<K, V, S> {
    /// Begins a group of reads. Takes nothing until something is read, and then some nanoseconds, once; every
    /// 128th time that also frees what nobody can see any more.
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

/// Why a process could not join a group; the key and the value come back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError<K, V> {
    /// There are as many memberships as there may be.
    Full {
        /// How many those are.
        limit: usize,
        /// The refused key.
        key: K,
        /// The refused value.
        value: V,
    },
    /// Too many groups have a key of the same hash as this one: see
    /// [`RegisterError::TooManyCollisions`](super::RegisterError::TooManyCollisions).
    TooManyCollisions {
        /// The refused key.
        key: K,
        /// The refused value.
        value: V,
    },
}

impl<K, V> JoinError<K, V> {
    /// The refused key and value.
    #[must_use]
    pub fn into_inner(self) -> (K, V) {
        match self {
            Self::Full { key, value, .. } | Self::TooManyCollisions { key, value } => (key, value),
        }
    }
}

impl<K, V> fmt::Display for JoinError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { limit, .. } => write!(f, "the groups are full: {limit} memberships"),
            Self::TooManyCollisions { .. } => f.write_str(TOO_MANY_COLLISIONS),
        }
    }
}

impl<K, V> fmt::Debug for JoinError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K, V> core::error::Error for JoinError<K, V> {}
