//! Reading groups: what there is, and who is in it.

use super::Membership;
use super::roster::{Roster, Seat};
use super::shared::{SeenGroup, Shared};
use crate::id::Pid;
use crate::registry::index::{Sequence, Slots, Spot};
use crate::registry::look::{Everything, Probe};
use crate::registry::slab::{Seen, Slab, Slot};
use crate::registry::stored::sealed;
use crate::registry::{Key, Stored};
use crate::sync::epoch::{self, LazyPin};
use crate::sync::{Ordering, fence};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::hash::BuildHasher;
use core::marker::PhantomData;

/// What was read while a guard is held stays readable: what others leave meanwhile is freed only after it is
/// dropped. Hold it briefly, since nothing at all is freed while one is held that has read something.
pub struct Guard<'h, K: Stored, V: Stored, S> {
    pub(super) pin: LazyPin<'h>,
    pub(super) shared: &'h Arc<Shared<K, V, S>>,
}

impl<K: Key, V: Stored, S> Guard<'_, K, V, S> {
    /// The group of `key`, or `None` if it has no members.
    pub fn group(&self, key: &K::Borrowed) -> Option<Group<'_, K, V>>
    where
        S: BuildHasher,
    {
        self.epoch();
        let found = self.shared.find(key)?;
        Some(self.group_of(found.seen))
    }

    /// The members of the group of `key`: none if there is no such group.
    ///
    /// A member that was there throughout is there exactly once; of those that joined or left meanwhile, some.
    pub fn members(&self, key: &K::Borrowed) -> Members<'_, K, V>
    where
        S: BuildHasher,
    {
        Members::of(self.group(key))
    }

    /// How many members the group of `key` has. O(1).
    #[must_use]
    pub fn count(&self, key: &K::Borrowed) -> usize
    where
        S: BuildHasher,
    {
        self.group(key).map_or(0, |group| group.count())
    }

    /// Calls `f` with each member of the group of `key`, one after the other, in the calling thread. Returns
    /// how often: not at all for a group without members.
    pub fn dispatch(&self, key: &K::Borrowed, f: impl FnMut(Entry<'_, K, V>)) -> usize
    where
        S: BuildHasher,
    {
        self.members(key).map(f).count()
    }

    /// All groups with members, in no useful order. One that had members throughout is there exactly once; one
    /// that everybody left and somebody joined again meanwhile may be there twice.
    pub fn groups(&self) -> impl Iterator<Item = Group<'_, K, V>> {
        self.epoch();
        let mut walk = self.shared.index.walk(Everything::new(&self.shared.groups));
        core::iter::from_fn(move || {
            // Rosters are not used again while the guard is held, so one that was seen twice is one.
            let found = walk.next(|one, other| one.value == other.value)?;
            Some(self.group_of(found.seen))
        })
        .filter(|group| group.roster().is_open())
    }

    /// All members of all groups, in no useful order, as [`groups`](Self::groups) and
    /// [`members`](Group::members) have them.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_, K, V>> {
        self.groups().flat_map(Group::members)
    }

    /// Frees what can be freed now. Otherwise that is left to later pins.
    pub fn flush(&self) {
        self.epoch().flush();
    }

    /// The pin, made if need be. It protects what is read *afterwards*.
    pub(super) fn epoch(&self) -> &epoch::Guard {
        self.pin.guard()
    }

    pub(super) fn group_of(&self, seen: SeenGroup<K>) -> Group<'_, K, V> {
        Group {
            seen,
            members: &self.shared.members,
            shows: PhantomData,
        }
    }
}

impl<K: Stored, V: Stored, S> fmt::Debug for Guard<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

/// A key that has members, seen under a [`Guard`].
pub struct Group<'g, K: Stored, V: Stored> {
    /// Read while pinned, and the pin is borrowed for `'g`.
    seen: SeenGroup<K>,
    members: &'g Slab<(), V>,
    /// Whoever has it can reach keys and values.
    shows: PhantomData<(&'g K, &'g V)>,
}

impl<'g, K: Stored, V: Stored> Group<'g, K, V> {
    /// The key, as the first member gave it.
    #[must_use]
    pub fn key(&self) -> &K::Borrowed {
        // SAFETY: validly read words of a group, pinned before they were read, and still pinned.
        unsafe { <K as sealed::Stored>::see(&self.seen.key) }
    }

    /// How many members it has; zero if everybody has left it meanwhile. O(1).
    #[must_use]
    pub fn count(&self) -> usize {
        self.roster().members()
    }

    /// Its members.
    pub fn members(self) -> Members<'g, K, V> {
        Members::of(Some(self))
    }

    pub(super) fn roster(&self) -> &Roster {
        roster(&self.seen)
    }

    /// What is in a lane.
    pub(super) fn entry_at(&self, lane: usize) -> Option<Entry<'g, K, V>> {
        let (slot, seen) = look(self.roster().seat_at(lane)?, self.members)?;
        Some(self.entry(slot, seen))
    }

    pub(super) fn entry(&self, slot: Spot, seen: Seen<(), V>) -> Entry<'g, K, V> {
        Entry {
            key: self.seen.key,
            slot,
            seen,
            members: self.members,
            shows: PhantomData,
        }
    }
}

impl<K: Stored, V: Stored> Clone for Group<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Stored, V: Stored> Copy for Group<'_, K, V> {}

impl<K: Stored<Borrowed: fmt::Debug>, V: Stored> fmt::Debug for Group<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("key", &self.key())
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// The members of a group, in no useful order; see [`Guard::members`].
///
/// It may be sent to another thread while its guard is held, and be divided for several: see
/// [`part`](Self::part).
#[must_use]
pub struct Members<'g, K: Stored, V: Stored> {
    group: Option<Group<'g, K, V>>,
    /// The lanes still to be visited: from `next` to `end`, every `step`-th.
    next: usize,
    end: usize,
    step: usize,
}

impl<'g, K: Stored, V: Stored> Members<'g, K, V> {
    fn of(group: Option<Group<'g, K, V>>) -> Self {
        Self {
            next: 0,
            end: group.map_or(0, |group| group.roster().length()),
            step: 1,
            group,
        }
    }

    /// The group, if there is one.
    #[must_use]
    pub const fn group(&self) -> Option<Group<'g, K, V>> {
        self.group
    }

    /// One of so many parts of what is left, numbered from zero. Together they are all of it, and each
    /// member that stays is in one of them, if they are taken from one iterator and its clones.
    ///
    /// # Panics
    /// If `number` is not below `parts`.
    pub fn part(mut self, number: usize, parts: usize) -> Self {
        assert!(number < parts, "part {number} of {parts}");
        // Every so-manieth lane, and not a range of them, so that members who came one after the other,
        // and stay, are spread evenly.
        self.next = self
            .step
            .checked_mul(number)
            .and_then(|ahead| self.next.checked_add(ahead))
            .unwrap_or(self.end);
        self.step = self.step.saturating_mul(parts);
        self
    }
}

impl<'g, K: Stored, V: Stored> Iterator for Members<'g, K, V> {
    type Item = Entry<'g, K, V>;

    fn next(&mut self) -> Option<Self::Item> {
        let group = self.group?;
        while self.next < self.end {
            let lane = self.next;
            self.next = lane.saturating_add(self.step);
            if let Some(entry) = group.entry_at(lane) {
                return Some(entry);
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.next);
        (0, Some(left.div_ceil(self.step)))
    }
}

impl<K: Stored, V: Stored> core::iter::FusedIterator for Members<'_, K, V> {}

impl<K: Stored, V: Stored> Clone for Members<'_, K, V> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<K: Stored, V: Stored> fmt::Debug for Members<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").finish_non_exhaustive()
    }
}

/// A member of a group, seen under a [`Guard`].
///
/// It is only as shareable as what it shows:
///
/// ```compile_fail,E0277
/// use bedplate_core::registry::groups::Entry;
///
/// fn send<T: Send>() {}
/// send::<Entry<'static, u32, Box<std::cell::Cell<u8>>>>();
/// ```
pub struct Entry<'g, K: Stored, V: Stored> {
    /// Of the group. It was read while pinned, and the pin is borrowed for `'g`.
    key: K::Words,
    slot: Spot,
    /// The same is true of this.
    seen: Seen<(), V>,
    members: &'g Slab<(), V>,
    shows: PhantomData<(&'g K, &'g V)>,
}

impl<K: Stored, V: Stored> Entry<'_, K, V> {
    /// The key of the group, as its first member gave it.
    #[must_use]
    pub fn key(&self) -> &K::Borrowed {
        // SAFETY: validly read words of a group, pinned before they were read, and still pinned.
        unsafe { <K as sealed::Stored>::see(&self.key) }
    }

    /// The value it joined with.
    #[must_use]
    pub fn value(&self) -> &V::Borrowed {
        // SAFETY: validly read words of a member, pinned before they were read, and still pinned.
        unsafe { <V as sealed::Stored>::see(&self.seen.value) }
    }

    /// Who it is.
    #[must_use]
    pub fn owner(&self) -> Pid {
        match Pid::from_bits(self.seen.owner) {
            Some(owner) => owner,
            None => unreachable!("written from a pid"),
        }
    }

    /// Which membership it is.
    #[must_use]
    pub fn membership(&self) -> Membership {
        Membership::new(self.members, self.owner(), self.slot, self.seen.sequence)
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

/// The roster of a group that was seen in the index.
pub(super) fn roster<K: Stored>(seen: &SeenGroup<K>) -> &Roster {
    // SAFETY: validly read words of a group: a roster is freed only after everybody who was pinned, or was a
    // member, when the group was removed. Whoever calls this is pinned since before, or a member.
    unsafe { <Box<Roster> as sealed::Stored>::see(&seen.value) }
}

/// The member in a lane, if there is one.
fn look<V: Stored>(seat: Seat<'_>, slots: &Slab<(), V>) -> Option<(Spot, Seen<(), V>)> {
    loop {
        let slot = seat.load()?;
        let seen = slots.read(slot);
        // Acquire: what follows is loaded after what was read of the slot; pairs with the Release fence of
        // whoever writes a slot [S1].
        fence(Ordering::Acquire);
        // The slot may have left the lane, been used elsewhere and come back, in between: then the lane's
        // second load sees to it that the slot's sequence is a later one [G2].
        if seen.sequence.is_stable()
            && seat.load() == Some(slot)
            && slots.sequence(slot) == seen.sequence
        {
            return Some((slot, seen));
        }
    }
}

/// Looks for a key's group that has members. Its user is pinned.
pub(super) struct Present<'k, K: Key>(Probe<'k, K, Box<Roster>>);

impl<K: Key> Clone for Present<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Key> Copy for Present<'_, K> {}

impl<'k, K: Key> Present<'k, K> {
    pub(super) fn new(groups: &'k Slab<K, Box<Roster>>, key: &'k K::Borrowed) -> Self {
        Self(Probe::new(groups, key))
    }
}

impl<'k, K: Key> Slots for Present<'k, K> {
    type Seen = SeenGroup<K>;
    type Slot = &'k Slot<K, Box<Roster>>;

    #[inline]
    fn slot(self, spot: Spot) -> Self::Slot {
        self.0.slot(spot)
    }

    #[inline]
    fn read(self, slot: Self::Slot) -> (Sequence, Option<Self::Seen>) {
        self.0.read(slot)
    }

    #[inline]
    fn sequence(self, slot: Self::Slot) -> Sequence {
        self.0.sequence(slot)
    }

    #[inline]
    fn confirm(self, seen: &Self::Seen) -> bool {
        roster(seen).is_open() && self.0.confirm(seen)
    }
}
