//! What is looked for in the slots the index leads to.

use super::index::{Pending, Sequence, Slots, Spot};
use super::offer::Offer;
use super::slab::{Seen, Slab, Slot};
use super::stored::sealed;
use super::{Key, Stored};

/// Looks for a key. If that is not inline and may own, its user is pinned.
pub(super) struct Probe<'k, K: Key, V: Stored> {
    slab: &'k Slab<K, V>,
    key: &'k K::Borrowed,
}

impl<K: Key, V: Stored> Clone for Probe<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Key, V: Stored> Copy for Probe<'_, K, V> {}

impl<'k, K: Key, V: Stored> Probe<'k, K, V> {
    #[inline]
    pub(super) const fn new(slab: &'k Slab<K, V>, key: &'k K::Borrowed) -> Self {
        Self { slab, key }
    }

    #[inline]
    pub(super) fn is_inline(&self) -> bool {
        K::is_inline(self.key)
    }
}

impl<'k, K: Key, V: Stored> Slots for Probe<'k, K, V> {
    type Seen = Seen<K, V>;
    type Slot = &'k Slot<K, V>;

    #[inline]
    fn slot(self, spot: Spot) -> &'k Slot<K, V> {
        self.slab.slot(spot)
    }

    #[inline]
    fn read(self, slot: &'k Slot<K, V>) -> (Sequence, Option<Seen<K, V>>) {
        Slab::read_if(slot, |cells| !self.is_inline() || K::is_in(cells, self.key))
    }

    #[inline]
    fn sequence(self, slot: &'k Slot<K, V>) -> Sequence {
        Slab::sequence_of(slot)
    }

    #[inline]
    fn confirm(self, seen: &Seen<K, V>) -> bool {
        self.is_inline() || {
            // SAFETY: validly read words of an entry; the user is pinned since before they were read.
            let key = unsafe { <K as sealed::Stored>::see(&seen.key) };
            key == self.key
        }
    }

    fn pending(self, spot: Spot) -> Pending {
        self.slab.pending(spot)
    }
}

/// Looks for what is in the way of registering a key: an entry that has it, or one that is pending and may
/// have it.
///
/// What a pending entry owns goes back to its owner if its batch is called off, so its key is not compared
/// unless it is inline: it is in the way if it has the same place.
pub(super) struct Rival<'k, K: Key, V: Stored> {
    probe: Probe<'k, K, V>,
    /// The leader of the batch that is being registered: what belongs to it has other keys.
    leader: Option<Spot>,
}

impl<K: Key, V: Stored> Clone for Rival<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Key, V: Stored> Copy for Rival<'_, K, V> {}

impl<'k, K: Key, V: Stored> Rival<'k, K, V> {
    pub(super) fn of(slab: &'k Slab<K, V>, offer: &'k Offer<K>, leader: Option<Spot>) -> Self {
        Self {
            probe: Probe::new(slab, offer.seen()),
            leader,
        }
    }
}

impl<'k, K: Key, V: Stored> Slots for Rival<'k, K, V> {
    type Seen = Seen<K, V>;
    type Slot = &'k Slot<K, V>;

    #[inline]
    fn slot(self, spot: Spot) -> &'k Slot<K, V> {
        self.probe.slot(spot)
    }

    #[inline]
    fn read(self, slot: &'k Slot<K, V>) -> (Sequence, Option<Seen<K, V>>) {
        self.probe.read(slot)
    }

    #[inline]
    fn sequence(self, slot: &'k Slot<K, V>) -> Sequence {
        self.probe.sequence(slot)
    }

    #[inline]
    fn confirm(self, seen: &Seen<K, V>) -> bool {
        self.probe.confirm(seen)
    }

    fn pending(self, spot: Spot) -> Pending {
        if self.leader.is_some() && self.leader == self.probe.slab.leader(spot) {
            Pending::Absent
        } else {
            Pending::InTheWay
        }
    }
}

/// Looks for whom a key that is inline belongs to, and reads no more than that.
pub(super) struct Whose<'k, K: Key, V: Stored>(Probe<'k, K, V>);

impl<K: Key, V: Stored> Clone for Whose<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Key, V: Stored> Copy for Whose<'_, K, V> {}

impl<'k, K: Key, V: Stored> Whose<'k, K, V> {
    /// `None` if the key is not inline.
    #[inline]
    pub(super) fn new(slab: &'k Slab<K, V>, key: &'k K::Borrowed) -> Option<Self> {
        let probe = Probe::new(slab, key);
        probe.is_inline().then_some(Self(probe))
    }
}

impl<'k, K: Key, V: Stored> Slots for Whose<'k, K, V> {
    type Seen = u64;
    type Slot = &'k Slot<K, V>;

    #[inline(always)]
    fn slot(self, spot: Spot) -> &'k Slot<K, V> {
        self.0.slot(spot)
    }

    #[inline(always)]
    fn read(self, slot: &'k Slot<K, V>) -> (Sequence, Option<u64>) {
        Slab::read_owner(slot, |cells| K::is_in(cells, self.0.key))
    }

    #[inline(always)]
    fn sequence(self, slot: &'k Slot<K, V>) -> Sequence {
        self.0.sequence(slot)
    }

    fn pending(self, spot: Spot) -> Pending {
        self.0.pending(spot)
    }
}

/// Whatever there is.
pub(super) struct Everything<'s, K: Stored, V: Stored>(&'s Slab<K, V>);

impl<K: Stored, V: Stored> Clone for Everything<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Stored, V: Stored> Copy for Everything<'_, K, V> {}

impl<'s, K: Stored, V: Stored> Everything<'s, K, V> {
    pub(super) const fn new(slab: &'s Slab<K, V>) -> Self {
        Self(slab)
    }
}

impl<'s, K: Stored, V: Stored> Slots for Everything<'s, K, V> {
    type Seen = Seen<K, V>;
    type Slot = &'s Slot<K, V>;

    #[inline]
    fn slot(self, spot: Spot) -> &'s Slot<K, V> {
        self.0.slot(spot)
    }

    #[inline]
    fn fetch(self, slot: &'s Slot<K, V>) {
        Slab::fetch_slot(slot);
    }

    #[inline]
    fn read(self, slot: &'s Slot<K, V>) -> (Sequence, Option<Seen<K, V>>) {
        let seen = Slab::read_slot(slot);
        (seen.sequence, Some(seen))
    }

    #[inline]
    fn sequence(self, slot: &'s Slot<K, V>) -> Sequence {
        Slab::sequence_of(slot)
    }

    fn pending(self, spot: Spot) -> Pending {
        self.0.pending(spot)
    }
}
