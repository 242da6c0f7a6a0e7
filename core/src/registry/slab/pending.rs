//! Entries that are registered together: all or none, also for whoever reads.
//!
//! ```text
//! index     …│lane│…           …│lane│…           …│lane│…             one lane for each key
//!               ▼                  ▼                  ▼
//! slots    ┌─────────┐        ┌─────────┐        ┌─────────┐
//!          │ pending │◄───────┤ pending │   ┌────┤ pending │           each says where its leader is,
//!          └─────────┘        └─────────┘   │    └─────────┘           the leader where it is itself
//!            leader  ◄──────────────────────┘
//! ```
//!
//! # States
//! A batch is what the sequence of its leader says it is; that of another member has no say while it is pending.
//!
//! ```text
//!                               ┌─ commit: CAS of the leader's word ─► registered ── marks cleared ─► entries
//! slots written ─► inserted ────┤                                                                     like others
//!  (pending)       one by one   └─ called off: CAS of the same word ─► nothing ── lanes freed ─► slots used again
//!                                     by whoever wants one of its keys
//! ```
//!
//! *The linearization point* of all registrations is the exchange that clears the leader's mark. Before it, none of
//! the keys is held; after it all are. The marks of the others are cleared one by one after that, by their
//! owner, or by whoever wants to change such an entry meanwhile; that changes nothing for anybody.
//!
//! *A batch is called off* by an exchange of the same word, so it is one or the other. Whoever
//! registers a key and meets a pending entry of it calls its batch off, takes the entry out of the index and
//! goes on: an owner that is suspended in the middle of a batch holds up nobody. It finds out at
//! the latest when it commits, takes out what is left and begins again.
//!
//! # What a reader answers
//! Whoever finds the mark asks the leader, and then looks at lane and sequence again. If they are what they were,
//! the entry was in its lane and pending all the while, so the leader it named was its leader when it was asked
//! (below). Then, *at the moment it was asked*:
//! * its mark was cleared: the key was held by this entry, and is found;
//! * otherwise: the key was held by nobody. For a key has one lane (a pending entry keeps others out as any
//!   other does), and what was in it did not count. So absence is answered of a moment within the look-up.
//!
//! One that misses the entry altogether was right before, and still is: a key that is held from the beginning of a
//! look-up to its end has its lane, and its leader has committed, all the while. As each look-up is right at some
//! moment about the one state that the leader's word changes for all members at once, nobody can
//! see one member and then miss another.
//!
//! # Why it holds
//! * **The leader that is asked is that of the batch.** An owner takes all members out of the index
//!   before it uses any slot of a batch that failed again, and clears all marks before it does anything else
//!   with one that was committed. So a leader's word that says something else belongs to a time when the
//!   member was out of its lane, or had no mark: the second look tells [B1, B2].
//! * **A lane is not freed for a later entry.** Whoever takes an entry of another's batch out *claims* its
//!   slot first, as whoever takes one over does (see [`slab`](super)); its owner lets a slot with that
//!   mark rest until everybody who was pinned is gone.
//! * **Nobody looks at what is given back.** A batch that failed gives keys and values back to the caller, who may
//!   drop them at once. Readers look at what an entry owns only if it counts. Writers have to
//!   know whether a pending entry has their key: they compare what is in the slot, or, where that is
//!   elsewhere, the places alone. At worst a batch is called off for a key with the same hash.
//!
//! | tag | store side | load side | what it gives |
//! |---|---|---|---|
//! | B1 | the leader's mark is cleared, or its slot written again, Release | its sequence, Acquire, then lane and sequence of the member | whoever sees one member sees all; the leader is this batch's |
//! | B2 | a member's mark is cleared, fence(Release), the owner's position | where the leader is, fence(Acquire), the member's sequence | it was the leader's place, and not a position |

use super::{BY_SEVERAL, CALLED_OFF, CLAIMED, PENDING, Slab, WRITING, WRITTEN};
use crate::id::Pid;
use crate::registry::Stored;
use crate::registry::index::{LONGEST, Pending, Sequence, Spot};
use crate::sync::{Ordering, fence};

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) enum Batch {
    Committed,
    CalledOff,
    /// It was another one.
    Gone,
}

impl<K: Stored, V: Stored> Slab<K, V> {
    /// Writes a slot of one's own that is in no lane, as a member of a batch.
    pub(in crate::registry) fn write_pending(
        &self,
        slot: Spot,
        owner: Pid,
        key: K::Words,
        value: V::Words,
        leader: Spot,
    ) {
        let lead = || self.set_position(slot, leader.number());
        Self::write_with(self.slot(slot), owner, key, value, PENDING, lead);
    }

    /// The leader of a member; anything, if it is none any more.
    pub(in crate::registry) fn leader(&self, slot: Spot) -> Option<Spot> {
        let number = self.position(slot);
        (number < LONGEST).then(|| Spot::of(number))
    }

    /// What a reader is to make of an entry that is pending.
    pub(in crate::registry) fn pending(&self, slot: Spot) -> Pending {
        match self.standing(slot) {
            Some((_, standing)) if standing.is_stable() => Pending::Present,
            _ => Pending::Absent,
        }
    }

    /// The leader of a member and its sequence; anything, if it is a member no more.
    pub(in crate::registry) fn standing(&self, slot: Spot) -> Option<(Spot, Sequence)> {
        let leader = self.leader(slot)?;
        // Acquire: what was done before it was committed, or before the slot was used again; pairs with Release in
        // `commit`, and in `write` [B1].
        Some((leader, self.slots.at(leader)?.sequence()))
    }

    /// Calls a batch off, of which `seen` was its leader's sequence.
    pub(in crate::registry) fn call_off(&self, leader: Spot, seen: Sequence) -> Batch {
        let sequence = &self.slot(leader).sequence;
        let mut now = seen.0;
        loop {
            if now / WRITTEN != seen.0 / WRITTEN || now & WRITING != 0 {
                return Batch::Gone;
            }
            if now & PENDING == 0 {
                return Batch::Committed;
            }
            if now & CALLED_OFF != 0 {
                return Batch::CalledOff;
            }
            // Relaxed: that it is called off says nothing of anything else.
            // Acquire on failure: if it was committed, all members are there; pairs with Release in
            // `commit` [B1].
            let called_off = sequence.compare_exchange(
                now,
                now | CALLED_OFF,
                Ordering::Relaxed,
                Ordering::Acquire,
            );
            match called_off {
                Ok(_) => return Batch::CalledOff,
                Err(other) => now = other,
            }
        }
    }

    /// Whether one's own batch was called off.
    pub(in crate::registry) fn is_called_off(&self, leader: Spot) -> bool {
        self.sequence(leader).0 & CALLED_OFF != 0
    }

    /// Registers all members of one's own batch, unless it was called off.
    pub(in crate::registry) fn commit(&self, leader: Spot) -> bool {
        let pending = self.sequence(leader).0;
        // Release: all members are in the index; pairs with Acquire in `standing`, and where an entry is
        // read [B1]. Relaxed on failure: it was called off, and nothing follows from that.
        pending & CALLED_OFF == 0
            && self
                .slot(leader)
                .sequence
                .compare_exchange(
                    pending,
                    pending & !PENDING,
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// Clears the mark of a member of one's own batch, which was committed.
    pub(in crate::registry) fn settle_own(&self, slot: Spot) {
        // Release: all members are in the index; pairs with Acquire where an entry is read [B1].
        self.slot(slot)
            .sequence
            .fetch_and(!PENDING, Ordering::Release);
        // Release: whoever takes the position for its leader's place sees that the mark is gone; pairs
        // with the Acquire fence before a member is looked at again [B2].
        fence(Ordering::Release);
    }

    /// Clears the mark of a member of another's batch, which was committed, if it is what was `seen`.
    pub(in crate::registry) fn settle(&self, slot: Spot, seen: Sequence) {
        // Release: as in `settle_own` [B1]. Relaxed on failure: somebody else has cleared it.
        let _ = self.slot(slot).sequence.compare_exchange(
            seen.0,
            seen.0 & !PENDING,
            Ordering::Release,
            Ordering::Relaxed,
        );
    }

    /// The sequence of a member of a batch that was called off, if it is the registration that was `seen`.
    pub(in crate::registry) fn called_off(&self, slot: Spot, seen: Sequence) -> Option<Sequence> {
        let now = self.sequence(slot);
        let marks = CLAIMED | BY_SEVERAL | CALLED_OFF;
        ((now.0 ^ seen.0) & !marks == 0).then_some(now)
    }
}
