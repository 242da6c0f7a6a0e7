//! The owner of registrations in an [`EpochRegistry`](super::EpochRegistry): everything that changes
//! one goes through it.
//!
//! An owner knows the lanes of its own registrations, and their slots know where it counts them, so that
//! releasing all takes time according to how many *it* has, and releasing one none to speak of. It is
//! borrowed mutably for every change, so none of its changes can meet another of its own, nor its drop.
//!
//! Slots are used again by their owner, without a word to anybody; a few are kept for that. A slot that
//! somebody else has replaced stays this owner's until it finds out (see [`slab`](super::slab)), so a
//! lane that refers to a slot of one's own is one's own registration, and no other.

mod changes;
mod list;
mod many;
#[cfg(test)]
mod tests;
mod withdraw;

pub(super) use withdraw::{retire, retire_with};

use super::epoch::{Entry, Guard, Shared};
use super::index::{Found, Lane, Spot};
use super::slab::Seen;
use super::watch::{Draft, Reason};
use super::{Key, Registration, Serial, Stored};
use crate::id::Pid;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;
use core::ops::Range;
use list::List;

/// The right to hold registrations. Dropping it releases them all: when `drop` returns, none of
/// them can be found. That takes O(own registrations), however many others there are.
///
/// An owner may be sent to, and dropped on, another thread than the one that made it. All its
/// operations are lock-free.
///
/// # Panics
/// Every operation that takes a guard panics if that is one of another registry.
///
/// ```
/// use bedplate_core::id::PidAllocator;
/// use bedplate_core::registry::EpochRegistry;
/// use std::hash::RandomState;
///
/// let registry = EpochRegistry::<&str, u32, _>::with_hasher(RandomState::new());
/// let mut pids = PidAllocator::new(10);
/// let handle = registry.handle();
/// let (mut old, mut new) = (registry.owner(pids.allocate()?), registry.owner(pids.allocate()?));
///
/// old.register(&handle.pin(), "leader", 1)?;
/// old.update(&handle.pin(), "leader", |term| term + 1)?;
/// assert!(new.update(&handle.pin(), "leader", |term| term + 1).is_err());   // not its own
///
/// let guard = handle.pin();
/// let before = new.take_over(&guard, "leader", 3)?.expect("somebody had it");
/// assert_eq!((before.owner(), *before.value()), (old.pid(), 2));
/// drop(old);                                                                // spares the new one
/// assert_eq!(guard.whereis("leader"), Some(new.pid()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Owner<K: Key, V: Stored, S: BuildHasher> {
    shared: Arc<Shared<K, V, S>>,
    pid: Pid,
    /// Which owner of this registry, for spreading.
    number: usize,
    /// The lanes of the registrations held, and of some that others have taken over since: these are
    /// forgotten when they are come by; see [`make_room`](Self::make_room).
    held: List<Lane>,
    /// It is looked at when it is so long …
    look_at: usize,
    /// … from here on, to the front.
    looked_to: usize,
    /// Slots to register in.
    spare: Vec<Spot>,
    /// Numbers for registrations, taken in larger and larger blocks.
    numbers: Range<u64>,
    block: usize,
}

/// As many slots are kept at most for later registrations.
const MOST_SPARE: usize = 32;

/// When it has grown by so many, twice as many entries of a long list are looked at: then what others took over is at most as much as
/// the rest, and no registration pays for all.
const LOOK_AFTER: usize = 32;

/// A list that is not longer is looked at as a whole.
const SHORT: usize = 2 * LOOK_AFTER;

/// As many numbers are taken at a time at most.
const LARGEST_BLOCK: usize = 256;

impl<K: Key, V: Stored, S: BuildHasher> Owner<K, V, S> {
    pub(super) const fn new(shared: Arc<Shared<K, V, S>>, pid: Pid, number: usize) -> Self {
        Self {
            shared,
            pid,
            number,
            held: List::new(),
            look_at: 0,
            looked_to: 0,
            spare: Vec::new(),
            numbers: 0..0,
            block: 1,
        }
    }

    /// In whose name the registrations are held.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// The registrations held, in no useful order. Each takes as long as a look-up: O(1), or O(n) with a hasher that
    /// returns one value for all keys.
    pub fn entries<'g>(
        &'g self,
        guard: &'g Guard<'_, K, V, S>,
    ) -> impl Iterator<Item = Entry<'g, K, V>> {
        self.checked(guard);
        if K::MAY_OWN || V::MAY_OWN {
            guard.epoch();
        }
        // A slot is not used again before this owner has left it, so nothing can change while it is read.
        let there = |lane: &&Lane| self.shared.index.contains(**lane);
        self.held.iter().filter(there).map(|&lane| {
            let seen = self.shared.slab.read(lane.slot());
            guard.entry(Found { lane, seen })
        })
    }

    /// The registration in a slot of one's own.
    fn registration(&self, lane: Lane) -> Registration {
        Registration {
            registry: self.shared.slab.address(),
            owner: self.pid,
            serial: Serial {
                owner: 0,
                number: self.shared.slab.number(lane.slot()),
            },
            place: lane.place(),
        }
    }

    /// A change of the entry in a slot of one's own, which has been written.
    fn draft(&self, reason: Reason, lane: Lane) -> Draft<K, V> {
        let Seen { key, value, .. } = self.shared.slab.read(lane.slot());
        Draft {
            reason,
            owner: self.pid,
            registration: self.registration(lane),
            key,
            value,
        }
    }

    /// Makes room for another registration: before one is made, since this may call a user's code.
    #[inline]
    fn make_room(&mut self, guard: &Guard<'_, K, V, S>) {
        // The latter if it was longer once.
        if self.held.len() >= self.look_at || self.held.room() == 0 {
            self.make_more_room(guard);
        }
    }

    #[cold]
    fn make_more_room(&mut self, guard: &Guard<'_, K, V, S>) {
        // Before there is more, what others took over is forgotten.
        if self.held.len() <= SHORT {
            self.forget_taken_over(guard, 0..self.held.len());
        } else {
            let until = match self.looked_to.min(self.held.len()) {
                0 => self.held.len(),
                until => until,
            };
            let from = until.saturating_sub(2 * LOOK_AFTER);
            self.forget_taken_over(guard, from..until);
            self.looked_to = from;
        }
        // If nothing was: so that not every attempt that is refused looks again.
        self.held.reserve(1);
        let full = self.held.len() + self.held.room();
        self.look_at = if full <= SHORT {
            full
        } else {
            full.min(self.held.len() + LOOK_AFTER)
        };
    }

    fn forget_taken_over(&mut self, guard: &Guard<'_, K, V, S>, positions: Range<usize>) {
        for position in positions.rev() {
            if let Some(lane) = self.held.get(position)
                && self.shared.slab.is_taken_over(lane.slot())
            {
                self.let_go(guard, position);
            }
        }
    }

    /// Makes room for several.
    fn make_room_for(&mut self, guard: &Guard<'_, K, V, S>, more: usize) {
        if self.held.room() < more {
            self.make_more_room(guard);
            self.held.reserve(more);
        }
    }

    /// Notes a registration just made.
    fn hold(&mut self, lane: Lane) {
        self.shared.slab.set_position(lane.slot(), self.held.len());
        self.held.push(lane);
    }

    /// Where a registration is held, if it is this owner's.
    fn position(&self, lane: Lane) -> Option<usize> {
        let position = self.shared.slab.position(lane.slot());
        (self.held.get(position) == Some(&lane)).then_some(position)
    }

    fn forget(&mut self, position: usize) {
        self.held.swap_remove(position);
        if let Some(moved) = self.held.get(position) {
            self.shared.slab.set_position(moved.slot(), position);
        }
    }

    /// A slot to register in; `None` if there are as many as there may be.
    fn slot(&mut self) -> Option<Spot> {
        if let Some(slot) = self.spare.pop() {
            return Some(slot);
        }
        let most = (self.held.len() / 8 + 1).min(MOST_SPARE);
        let spare = &mut self.spare;
        self.shared
            .slab
            .allocate(most, self.number, |slot| spare.push(slot));
        // The first comes first, so that they lie in memory in the order of their use.
        self.spare.reverse();
        self.spare.pop()
    }

    /// Keeps a slot that was in no lane yet, or gives it back.
    fn put_back(&mut self, slot: Spot) {
        if self.spare.len() < MOST_SPARE {
            self.spare.push(slot);
        } else {
            self.shared.slab.free(slot);
        }
    }

    /// As [`put_back`](Self::put_back), of a slot that was taken out of its lane.
    fn use_again(&mut self, guard: &Guard<'_, K, V, S>, slot: Spot) {
        if self.shared.slab.is_claimed(slot) {
            self.shared.free_later(guard.epoch(), slot);
        } else {
            self.put_back(slot);
        }
    }

    /// Panics if the guard is another registry's; and pins, if changes are watched.
    fn checked(&self, guard: &Guard<'_, K, V, S>) {
        assert!(
            Arc::ptr_eq(&self.shared, guard.shared),
            "a guard was used with the owner of another registry"
        );
        if self.shared.watch.is_some() {
            guard.epoch();
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> fmt::Debug for Owner<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}
