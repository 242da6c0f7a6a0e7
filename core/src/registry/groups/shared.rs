//! What all members and readers of groups share, and how it works together.
//!
//! ```text
//!          slots of groups                  rosters                          slots of members
//! index ─► [ sequence, key, roster ] ─────► 3 members │ lane │ lane │ lane   [ sequence, owner, value ]
//!            by the key's hash                           └──────┼──────┼──────────▲     ▲     ▲
//!                                                               └──────┼────────────────┘     │
//!                                                                      └──────────────────────┘
//! ```
//! The [index](super::super::index) and both kinds of [slots](super::super::slab) are the registry's. What is new is the
//! [roster](super::roster): how many members a group has, and lanes that name their slots.
//!
//! *Join.* Find the key's group; count oneself in, unless there is nobody (any more); take a vacant lane and
//! name one's slot there. If there is no group, or only one that was left: make one, with oneself in it, and
//! insert it.
//!
//! *Leave.* Free the lane; count oneself out. Who finds itself to have been the last takes the group out of
//! the index, and retires its key and roster.
//!
//! *List.* Look at every lane that was ever used, and at the slot it names as the index does.
//!
//! ```text
//!           made with one member       joins and leaves        the last one leaves    removed, retired
//! roster  ──────────────────────► open ────────────────► open ────────────────────► left ──────► (freed)
//! ```
//!
//! # Why it holds
//! * **A group that was left stays left.** Its count never rises from zero, so whoever brought it there is the
//!   only one to remove it from the index, once, and nobody needs to help: for all others it is absent. A key
//!   may have a group that was left beside the present one, but two with members never: an insertion looks at
//!   all of the key's groups, and none is inserted while one has members.
//! * **A member keeps its roster.** It was counted before it took its lane, and frees that before it is
//!   discounted; so while it is in a lane the roster is open, and its group's slot is not written. It needs no
//!   pin to leave. Readers and those who join pin before they look.
//! * **A member that stays is listed once.** It is in one lane all the while. A slot that was left and used
//!   again is told by its sequence, as in the registry.
//! * **Nobody waits.** Every repetition means that somebody else has joined or left the same group.
//!
//! # Orderings
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | G1 | a member is discounted, AcqRel | the same by the last one, AcqRel | what others did in the roster is done |
//! | G2 | a lane is taken, Release | load of a lane, Acquire | the member's slot has its content |
//! | G3 | a lane is pushed on the stack of vacant ones, CAS Release | the top is loaded or popped, Acquire | its link; its former use is over |
//! | G4 | an array of lanes is set, CAS Release | its load, Acquire | it is initialised |

use super::guard::Present;
use super::roster::Roster;
use crate::registry::index::{Found, Index, Place};
use crate::registry::slab::{Seen, Slab};
use crate::registry::tally::{Retired, Tally};
use crate::registry::{Key, Stored};
use crate::sync::AtomicUsize;
use crate::sync::epoch::Collector;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::hash::BuildHasher;
use core::marker::PhantomData;

pub(super) struct Shared<K: Stored, V: Stored, S> {
    /// Dropped first: it runs what was deferred.
    pub(super) collector: Collector,
    pub(super) index: Index,
    pub(super) groups: Slab<K, Box<Roster>>,
    pub(super) members: Slab<(), V>,
    /// How many members there are, each as often as it joined.
    pub(super) entries: Tally,
    /// How many groups were not removed yet.
    pub(super) rosters: Tally,
    /// Bytes of lanes beyond the rosters themselves.
    pub(super) lanes_bytes: AtomicUsize,
    pub(super) retired: Arc<Retired>,
    /// How many `Member`s were made, for spreading.
    pub(super) numbers: AtomicUsize,
    pub(super) hasher: S,
    /// Entries own what they hold.
    pub(super) holds: PhantomData<(K, V)>,
}

/// What is seen of a group in the index.
pub(super) type SeenGroup<K> = Seen<K, Box<Roster>>;

impl<K: Key, V: Stored, S> Shared<K, V, S> {
    pub(super) fn new(limit: usize, hasher: S) -> Self {
        Self {
            collector: Collector::new(),
            index: Index::new(),
            groups: Slab::new(),
            members: Slab::new(),
            entries: Tally::new(limit),
            rosters: Tally::new(usize::MAX),
            lanes_bytes: AtomicUsize::new(0),
            retired: Arc::new(Retired::new()),
            numbers: AtomicUsize::new(0),
            hasher,
            holds: PhantomData,
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> Shared<K, V, S> {
    pub(super) fn place(&self, key: &K::Borrowed) -> Place {
        Place::of_hash(self.hasher.hash_one(key))
    }

    /// The group of a key, if it has members. The caller is pinned.
    pub(super) fn find(&self, key: &K::Borrowed) -> Option<Found<SeenGroup<K>>> {
        let present = Present::new(&self.groups, key);
        self.index.find(self.place(key), present)
    }
}

impl<K: Stored, V: Stored, S> Drop for Shared<K, V, S> {
    fn drop(&mut self) {
        // Members keep the groups alive, so every one of them has left.
        debug_assert_eq!(self.entries.sum(), 0, "an entry outlived its owner");
        debug_assert_eq!(self.rosters.sum(), 0, "a group outlived its members");
    }
}
