//! A member of groups: everything that changes one goes through it.
//!
//! It knows where each of its memberships is, and their slots know where it counts them, so that leaving one
//! takes no time to speak of, and leaving all of them takes time according to how many *it* has. It is borrowed
//! mutably for every change, so none of its changes can meet another of its own, nor its drop.

use super::guard::{Present, roster};
use super::roster::{Roster, Seat};
use super::shared::{SeenGroup, Shared};
use super::{Entry, Guard, JoinError};
use crate::id::Pid;
use crate::registry::index::{Found, LONGEST, Lane, Refused, Sequence, Spot};
use crate::registry::offer::Offer;
use crate::registry::owner::{retire, retire_with};
use crate::registry::slab::{Seen, Slab};
use crate::registry::stored::sealed::{self, Stored as _};
use crate::registry::{Key, Stored};
use crate::sync::Ordering;
use crate::sync::epoch::{LazyPin, LocalHandle};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;
use core::mem;

/// The right to be in groups. Dropping it leaves them all: when `drop` returns, it can be found in none of
/// them. That takes O(own memberships), however many others there are.
///
/// A member may be sent to, and dropped on, another thread than the one that made it. All its operations are
/// lock-free.
///
/// # Panics
/// Every operation that takes a guard panics if that is one of other groups.
pub struct Member<K: Key, V: Stored, S: BuildHasher> {
    shared: Arc<Shared<K, V, S>>,
    pid: Pid,
    /// Which member of these groups, for spreading.
    number: usize,
    held: Vec<Held>,
    /// Slots to join with.
    spare: Vec<Spot>,
}

/// Where a membership is.
#[derive(Clone, Copy)]
struct Held {
    /// The group, in the index.
    group: Lane,
    /// The lane of its roster.
    lane: usize,
    slot: Spot,
}

/// Proof of one membership: whose it is and which one, of which groups. One that is over never stands for a later
/// one; nor does it stand for one in other groups, as long as its own have not gone and left their place in memory
/// to those. (On a 32-bit target, one that has been over while its place was used 33 million times more may stand
/// for the latest use.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// Where the groups are.
    groups: usize,
    owner: Pid,
    slot: usize,
    /// What the slot's sequence was: another one each time it is used.
    sequence: usize,
}

impl Membership {
    pub(super) fn new<V: Stored>(
        members: &Slab<(), V>,
        owner: Pid,
        slot: Spot,
        sequence: Sequence,
    ) -> Self {
        Self {
            groups: members.address(),
            owner,
            slot: slot.to_bits(),
            sequence: sequence.0,
        }
    }

    /// The process that joined.
    #[must_use]
    pub const fn owner(self) -> Pid {
        self.owner
    }
}

/// As many slots are kept at most for later memberships.
const MOST_SPARE: usize = 32;

impl<K: Key, V: Stored, S: BuildHasher> Member<K, V, S> {
    pub(super) const fn new(shared: Arc<Shared<K, V, S>>, pid: Pid, number: usize) -> Self {
        Self {
            shared,
            pid,
            number,
            held: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// In whose name groups are joined.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// The memberships held, in no useful order. O(1) for each.
    pub fn entries<'g>(
        &'g self,
        guard: &'g Guard<'_, K, V, S>,
    ) -> impl Iterator<Item = Entry<'g, K, V>> {
        self.checked(guard);
        guard.epoch();
        self.held.iter().map(|held| {
            // Neither slot is written while this is a member.
            let group = guard.group_of(self.shared.groups.read(held.group.slot()));
            group.entry(held.slot, self.shared.members.read(held.slot))
        })
    }

    /// Joins the group of `key` with `value`, which stays what it is. One may join a group several times;
    /// each is a membership of its own. O(1), but for making room that is more than there ever was.
    ///
    /// # Errors
    /// [`JoinError::Full`] if the limit is reached, and [`JoinError::TooManyCollisions`] if there is no group of
    /// this key and no room for another of its hash; both give key and value back and leave nothing behind.
    pub fn join(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Membership, JoinError<K, V>> {
        self.checked(guard);
        guard.epoch();
        let (key, value) = (Offer::new(key), Offer::new(value));
        if !self.shared.entries.add(self.number) {
            return Err(self.full(key, value));
        }
        let Some(slot) = self.slot() else {
            self.shared.entries.subtract(self.number, 1);
            return Err(self.full(key, value));
        };
        let members = &self.shared.members;
        members.write(slot, self.pid, [], *value.words());
        let membership = Membership::new(members, self.pid, slot, members.sequence(slot));
        // If a key's `Eq` panics, what was prepared is given back, and key and value are dropped.
        let mut attempt = Attempt {
            member: self,
            slot,
            founded: None,
        };
        let joined = match attempt.join(&key) {
            Ok(joined) => joined,
            Err(NoGroup::Full) => {
                drop(attempt);
                return Err(self.full(key, value));
            }
            Err(NoGroup::Crowded) => {
                drop(attempt);
                let (key, value) = (key.take_back(), value.take_back());
                return Err(JoinError::TooManyCollisions { key, value });
            }
        };
        attempt.succeeded(joined);
        value.accepted();
        match joined {
            Joined::Founded { is_crowded, .. } => {
                key.accepted();
                if is_crowded {
                    self.shared.index.grow(self.shared.rosters.sum());
                }
            }
            Joined::Entered { .. } => drop(key), // The group has one.
        }
        Ok(membership)
    }

    /// Ends one membership. Returns whether it was this member's, in these groups, and not over yet. O(1).
    pub fn leave(&mut self, guard: &Guard<'_, K, V, S>, membership: Membership) -> bool {
        self.checked(guard);
        let slot = Spot::from_bits(membership.slot);
        let is_own = membership.owner == self.pid;
        // It may be of other groups, whose places these have now, where there were more slots.
        if !is_own
            || membership.groups != self.shared.members.address()
            || !self.shared.members.has(slot)
        {
            return false;
        }
        match self.position(slot) {
            Some(position)
                if self.shared.members.sequence(slot) == Sequence(membership.sequence) =>
            {
                self.let_go(&guard.pin, position);
                true
            }
            _ => false,
        }
    }

    /// Leaves the group of `key` altogether, and returns how many memberships that ended. Takes time according
    /// to how many there are of one's own, or to how many members the group has had at a time, whichever are
    /// fewer.
    pub fn leave_all(&mut self, guard: &Guard<'_, K, V, S>, key: &K::Borrowed) -> usize {
        self.checked(guard);
        guard.epoch();
        let Some(Found { lane: group, seen }) = self.shared.find(key) else {
            return 0;
        };
        let before = self.held.len();
        let lanes = roster(&seen).length();
        if lanes < before {
            for lane in 0..lanes {
                // If this is the last member, the roster goes with it; but the guard keeps it readable.
                let slot = roster(&seen).seat_at(lane).and_then(Seat::load);
                if let Some(position) = slot.and_then(|slot| self.position(slot)) {
                    self.let_go(&guard.pin, position);
                }
            }
        } else {
            // From the end, since the last one takes the place of one that goes. While one is left, the
            // group's slot is not used again, so its lane stands for no other.
            for position in (0..before).rev() {
                if self.held[position].group == group {
                    self.let_go(&guard.pin, position);
                }
            }
        }
        before - self.held.len()
    }

    /// Ends the memberships for which `condition` holds, and returns how many those were. O(own memberships).
    pub fn leave_if(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        mut condition: impl FnMut(Entry<'_, K, V>) -> bool,
    ) -> usize {
        let mut go = Vec::new();
        for (position, entry) in self.entries(guard).enumerate() {
            if condition(entry) {
                go.push(position);
            }
        }
        // From the end, since the last one takes the place of one that goes.
        for &position in go.iter().rev() {
            self.let_go(&guard.pin, position);
        }
        go.len()
    }

    /// Where a membership is held, if it is this member's.
    fn position(&self, slot: Spot) -> Option<usize> {
        let position = self.shared.members.position(slot);
        let held = self.held.get(position)?;
        (held.slot == slot).then_some(position)
    }

    fn hold(&mut self, held: Held) {
        let position = self.held.len();
        self.shared.members.set_position(held.slot, position);
        self.held.push(held);
    }

    /// Ends the membership held at `position`.
    fn let_go(&mut self, pin: &LazyPin<'_>, position: usize) {
        // Before anything is done, since that may call destructors of a user's, which may panic.
        pin.guard();
        let held = self.held.swap_remove(position);
        if let Some(moved) = self.held.get(position) {
            self.shared.members.set_position(moved.slot, position);
        }
        let left = self.shared.withdraw(held, self.number);
        self.shared.entries.subtract(self.number, 1);
        if left.is_something() {
            self.shared.retire(pin, &left);
        }
        self.put_back(held.slot);
    }

    /// A slot to join with; `None` if there are as many as there may be.
    fn slot(&mut self) -> Option<Spot> {
        if let Some(slot) = self.spare.pop() {
            return Some(slot);
        }
        let most = (self.held.len() / 8 + 1).min(MOST_SPARE);
        let spare = &mut self.spare;
        self.shared
            .members
            .allocate(most, self.number, |slot| spare.push(slot));
        // The first comes first, so that they lie in memory in the order of their use.
        self.spare.reverse();
        self.spare.pop()
    }

    fn put_back(&mut self, slot: Spot) {
        if self.spare.len() < MOST_SPARE {
            self.spare.push(slot);
        } else {
            self.shared.members.free(slot);
        }
    }

    /// A group with one member, which nobody sees yet; `None` if there are as many as there may be.
    fn found(&self, key: &Offer<K>, founder: Spot) -> Option<Spot> {
        let shared = &*self.shared;
        let mut slot = None;
        shared
            .groups
            .allocate(1, self.number, |allocated| slot = Some(allocated));
        let slot = slot?;
        let roster = Box::new(Roster::new(founder)).into_words();
        shared.groups.write(slot, self.pid, *key.words(), roster);
        shared.rosters.add(self.number);
        Some(slot)
    }

    fn full(&self, key: Offer<K>, value: Offer<V>) -> JoinError<K, V> {
        JoinError::Full {
            limit: self.shared.entries.limit().min(LONGEST),
            key: key.take_back(),
            value: value.take_back(),
        }
    }

    /// Panics if the guard is of other groups.
    fn checked(&self, guard: &Guard<'_, K, V, S>) {
        assert!(
            Arc::ptr_eq(&self.shared, guard.shared),
            "a guard was used with a member of other groups"
        );
    }
}

/// A join under way: gives back what was prepared for it, if it comes to nothing.
struct Attempt<'m, K: Key, V: Stored, S: BuildHasher> {
    member: &'m mut Member<K, V, S>,
    slot: Spot,
    /// The slot of a group that nobody has seen.
    founded: Option<Spot>,
}

/// What came of it.
#[derive(Clone, Copy)]
enum Joined {
    /// There was a group.
    Entered { group: Lane, lane: usize },
    /// There is one now.
    Founded { group: Lane, is_crowded: bool },
}

/// Why there is none, and no room for it.
enum NoGroup {
    /// There are as many groups as there may be.
    Full,
    /// There are too many of the same hash.
    Crowded,
}

impl<K: Key, V: Stored, S: BuildHasher> Attempt<'_, K, V, S> {
    fn join(&mut self, key: &Offer<K>) -> Result<Joined, NoGroup> {
        let member = &*self.member;
        let shared = &*member.shared;
        let place = shared.place(key.seen());
        let present = Present::new(&shared.groups, key.seen());
        let mut found = shared.index.find(place, present);
        loop {
            if let Some(Found { lane: group, seen }) = found {
                let roster = roster(&seen);
                if roster.enter() {
                    let lane = roster.seat(self.slot, &shared.lanes_bytes);
                    return Ok(Joined::Entered { group, lane });
                }
            }
            // Made once, however often it is tried.
            let founded = match self.founded {
                Some(founded) => founded,
                None => {
                    let founded = member.found(key, self.slot).ok_or(NoGroup::Full)?;
                    *self.founded.insert(founded)
                }
            };
            match shared.index.insert(place, founded, present, &mut ()) {
                Ok(is_crowded) => {
                    self.founded = None;
                    let group = Lane::taken(place, founded);
                    return Ok(Joined::Founded { group, is_crowded });
                }
                Err(Refused::Present(other)) => found = Some(other),
                Err(Refused::Crowded) => return Err(NoGroup::Crowded),
            }
        }
    }

    fn succeeded(mut self, joined: Joined) {
        // A group that was made in vain is given back here.
        self.abandon();
        let (group, lane) = match joined {
            Joined::Entered { group, lane } => (group, lane),
            Joined::Founded { group, .. } => (group, Roster::FOUNDER),
        };
        let slot = self.slot;
        self.member.hold(Held { group, lane, slot });
        mem::forget(self);
    }

    fn abandon(&mut self) {
        if let Some(slot) = self.founded.take() {
            let Member { shared, number, .. } = &*self.member;
            let Seen { value, .. } = shared.groups.read(slot);
            // SAFETY: the words of a box, which nobody has seen, since the slot was in no lane; taken once.
            drop(unsafe { Box::<Roster>::from_words(value) });
            shared.groups.free(slot);
            shared.rosters.subtract(*number, 1);
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> Drop for Attempt<'_, K, V, S> {
    fn drop(&mut self) {
        self.abandon();
        let Member { shared, number, .. } = &*self.member;
        shared.entries.subtract(*number, 1);
        self.member.put_back(self.slot);
    }
}

/// What has to be freed after a membership.
struct Left<K: Stored, V: Stored> {
    value: V::Words,
    /// Of a group that was left by its last member.
    group: Option<SeenGroup<K>>,
}

impl<K: Stored, V: Stored> Left<K, V> {
    fn is_something(&self) -> bool {
        self.group.is_some() || <V as sealed::Stored>::words_own(&self.value)
    }
}

impl<K: Key, V: Stored, S> Shared<K, V, S> {
    /// Takes a member out of its group, and the group out of the index with the last one.
    fn withdraw(&self, held: Held, number: usize) -> Left<K, V> {
        let slot = held.group.slot();
        // Neither slot is written while this is a member.
        let seen = self.groups.read(slot);
        let Seen { value, .. } = self.members.read(held.slot);
        let roster = roster(&seen);
        roster.vacate(held.lane);
        let is_last = roster.leave();
        if is_last {
            let removed = self
                .index
                .remove(held.group, self.groups.written(slot), &mut ());
            debug_assert!(removed, "nobody else removes a group");
            self.groups.free(slot);
            self.rosters.subtract(number, 1);
        }
        Left {
            value,
            group: is_last.then_some(seen),
        }
    }

    /// Frees what nobody can find any more, once nobody can see it.
    fn retire(&self, pin: &LazyPin<'_>, left: &Left<K, V>) {
        // First, since destructors that run now may panic: nothing has been done then.
        pin.guard();
        if <V as sealed::Stored>::words_own(&left.value) {
            retire::<V>(pin, left.value, &self.retired);
        }
        let Some(group) = &left.group else { return };
        if <K as sealed::Stored>::words_own(&group.key) {
            retire::<K>(pin, group.key, &self.retired);
        }
        let beyond = roster(group).bytes_beyond();
        // Relaxed: a count.
        self.lanes_bytes.fetch_sub(beyond, Ordering::Relaxed);
        retire_with::<Box<Roster>>(pin, group.value, beyond, &self.retired);
    }
}

impl<K: Key, V: Stored, S: BuildHasher> Drop for Member<K, V, S> {
    fn drop(&mut self) {
        let mut rest = Rest {
            member: self,
            gone: 0,
            left: None,
            local: None,
        };
        rest.leave();
    }
}

/// Goes on where a destructor that panicked left off.
struct Rest<'m, K: Key, V: Stored, S: BuildHasher> {
    member: &'m mut Member<K, V, S>,
    /// How many memberships are over and still counted.
    gone: usize,
    /// What has yet to be freed.
    left: Option<Left<K, V>>,
    /// Something of its own to pin, since the thread may have no handle (any more); made if need be.
    local: Option<LocalHandle>,
}

impl<K: Key, V: Stored, S: BuildHasher> Rest<'_, K, V, S> {
    /// Leaves all groups.
    fn leave(&mut self) {
        let Member {
            shared,
            held,
            number,
            ..
        } = &mut *self.member;
        loop {
            if let Some(left) = &self.left {
                let local = self
                    .local
                    .get_or_insert_with(|| shared.collector.register());
                shared.retire(&LazyPin::new(local), left);
                self.left = None;
            }
            let Some(held) = held.pop() else { break };
            let left = shared.withdraw(held, *number);
            self.gone += 1;
            shared.members.free(held.slot);
            self.left = left.is_something().then_some(left);
        }
        let gone = mem::take(&mut self.gone);
        if gone > 0 {
            shared.entries.subtract(*number, gone);
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> Drop for Rest<'_, K, V, S> {
    fn drop(&mut self) {
        self.leave();
        for slot in self.member.spare.drain(..) {
            self.member.shared.members.free(slot);
        }
        if let Some(local) = &self.local {
            LazyPin::new(local).guard().flush();
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> fmt::Debug for Member<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}
