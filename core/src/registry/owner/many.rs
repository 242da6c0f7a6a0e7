//! What an owner registers together: all or none. The protocol is in the head of
//! [`slab::pending`](crate::registry::slab); here is its owner's side.
//!
//! Nothing of a user is called between the first slot and the last one but `Eq`, where a key is compared with one
//! of the same place, and `clone`, for a feed. If that panics, the batch is taken out of the index again before
//! its keys and values are dropped.

use super::Owner;
use crate::registry::epoch::{Guard, Shared};
use crate::registry::index::{Found, LONGEST, Lane, Place, Refused, Spot, Witness};
use crate::registry::look::{Probe, Rival};
use crate::registry::offer::Offer;
use crate::registry::slab::{Batch, Seen};
use crate::registry::watch::{Reason, Telling, Ticket};
use crate::registry::{Key, RegisterManyError, Registration, Stored};
use crate::sync::{Ordering, fence};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;

/// How often a batch is begun, at most. Each attempt but the last failed because others wanted one of its keys
/// meanwhile, and had it; or wanted it for a batch of their own.
const MOST_ATTEMPTS: usize = 16;

/// A batch that was refused, with all that was in it.
type RefusedMany<K, V> = RegisterManyError<Vec<(K, V)>>;

impl<K: Key, V: Stored, S: BuildHasher> Owner<K, V, S> {
    /// Registers all keys with their values, or none of them, in one step: a reader that finds one of them and
    /// looks for another afterwards finds that, too. Returns the registrations in the order of the pairs; they are
    /// as any others from then on, and can be given up one by one.
    ///
    /// An iterator may show some of them and not others, as of all entries that come while it is used;
    /// a feed and an audit tell one after the other, after all took effect; a feed tells a batch that is larger than
    /// its capacity as lost. Until it is decided, the pairs are
    /// counted as if they were entries, and take room from others where there is a limit.
    ///
    /// # Errors
    /// [`RegisterManyError::Repeated`] if two of the keys are equal;
    /// [`RegisterManyError::AlreadyRegistered`] if somebody, this owner included, holds one of them;
    /// [`RegisterManyError::Full`] if there is no room for all, and none of them is held;
    /// [`RegisterManyError::TooManyCollisions`] if there is no room for another key of the hash of one of them;
    /// [`RegisterManyError::Contended`] if others, who register some of the keys, or take them for batches of
    /// their own, called this one off again and again. All give all keys and values back, and leave nothing behind.
    ///
    /// # Concurrency
    /// Lock-free. The linearization point is one exchange, after all are in the index; of a
    /// refusal, the look-up of the key that was held. Whoever registers one of the keys by itself meanwhile does
    /// not wait, however long this is suspended: it calls the batch off, which begins again, a bounded number
    /// of times. O(pairs), and comparisons of all with all whose hashes are equal.
    ///
    /// ```
    /// use bedplate_core::id::PidAllocator;
    /// use bedplate_core::registry::{EpochRegistry, RegisterManyError};
    /// use std::hash::RandomState;
    ///
    /// let registry = EpochRegistry::<&str, u32, _>::with_hasher(RandomState::new());
    /// let mut pids = PidAllocator::new(10);
    /// let handle = registry.handle();
    /// let (mut one, mut other) = (registry.owner(pids.allocate()?), registry.owner(pids.allocate()?));
    ///
    /// one.register_many(&handle.pin(), vec![("reader", 1), ("writer", 2)])?;
    /// assert_eq!(handle.pin().whereis("writer"), Some(one.pid()));
    ///
    /// let pairs = vec![("backup", 3), ("writer", 4)];
    /// let refused = other.register_many(&handle.pin(), pairs).unwrap_err();
    /// assert!(matches!(refused, RegisterManyError::AlreadyRegistered { at: 1, .. }));
    /// assert_eq!(refused.into_inner(), [("backup", 3), ("writer", 4)]);
    /// assert_eq!(handle.pin().whereis("backup"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_many(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        pairs: Vec<(K, V)>,
    ) -> Result<Vec<Registration>, RefusedMany<K, V>> {
        self.checked(guard);
        if K::MAY_OWN || V::MAY_OWN {
            guard.epoch(); // before anything is read
        }
        // Dropped after the attempt that puts them into the index: if that panics, it takes them out.
        let mut offers: Vec<_> = pairs
            .into_iter()
            .map(|(key, value)| (Offer::new(key), Offer::new(value)))
            .collect();
        match self.try_many(guard, &mut offers) {
            Ok(registrations) => Ok(registrations),
            Err(why) => {
                let pairs = offers
                    .into_iter()
                    .map(|(key, value)| (key.take_back(), value.take_back()))
                    .collect();
                Err(why.with(pairs))
            }
        }
    }

    /// Sees to it that an entry which is pending is so no longer, or is not there.
    ///
    /// It was in the way. If it turns out that its batch was committed, it is an entry like others.
    #[cold]
    pub(super) fn clear_the_way(&self, guard: &Guard<'_, K, V, S>, found: &Found<Seen<K, V>>) {
        guard.epoch(); // whoever claims is pinned
        let Shared { slab, index, .. } = &*self.shared;
        let (lane, slot, seen) = (found.lane, found.lane.slot(), found.seen.sequence);
        let Some((leader, standing)) = slab.standing(slot) else {
            return;
        };
        // Acquire: the member is looked at again after its leader's place was read; pairs with the Release
        // fence of whoever clears its mark [B2].
        fence(Ordering::Acquire);
        if !index.contains(lane) || !slab.is_still(slot, seen) {
            return;
        }
        match slab.call_off(leader, standing) {
            Batch::Committed => slab.settle(slot, seen),
            Batch::CalledOff => {
                if let Some(seen) = slab.called_off(slot, seen)
                    && slab.claim(slot, seen)
                    && index.confirm(lane)
                    && slab.is_still(slot, seen)
                {
                    index.remove(lane, slab.written(slot), &mut ());
                }
            }
            Batch::Gone => {}
        }
    }

    fn try_many(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        offers: &mut Vec<(Offer<K>, Offer<V>)>,
    ) -> Result<Vec<Registration>, Why> {
        if offers.is_empty() {
            return Ok(Vec::new());
        }
        let shared = Arc::clone(&self.shared);
        let places: Vec<Place> = offers
            .iter()
            .map(|(key, _)| shared.place(key.seen()))
            .collect();
        if let Some(at) = repeated(offers, &places) {
            return Err(Why::Repeated { at });
        }
        self.make_room_for(guard, offers.len());
        // A registry that is full refuses what is there for being there.
        if shared.entries.limit() < usize::MAX {
            for (at, ((key, _), &place)) in offers.iter().zip(&places).enumerate() {
                let probe = Probe::new(&shared.slab, key.seen());
                if let Some(found) = shared.index.find(place, probe) {
                    let holder = guard.entry(found).owner();
                    return Err(Why::AlreadyRegistered { at, holder });
                }
            }
        }
        let limit = shared.entries.limit().min(LONGEST);
        if !shared.entries.add_many(self.number, offers.len()) {
            return Err(Why::Full { limit });
        }
        let mut attempt = Attempt {
            counted: offers.len(),
            slots: Vec::with_capacity(offers.len()),
            lanes: Vec::with_capacity(offers.len()),
            owner: self,
            guard,
        };
        for _ in 0..MOST_ATTEMPTS {
            attempt.prepare(offers).ok_or(Why::Full { limit })?;
            if !attempt.insert(offers, &places)? {
                attempt.take_back();
                continue;
            }
            let mut tickets = Vec::new();
            if let Some(watch) = &shared.watch {
                tickets.extend(attempt.lanes.iter().map(|&lane| {
                    let draft = attempt.owner.draft(Reason::Registered, lane);
                    shared.ticket(watch, guard.epoch(), draft, Telling::All)
                }));
                for ticket in &mut tickets {
                    ticket.prepare();
                }
                // Numbers that come to nothing push what others did out of the feed.
                if shared.slab.is_called_off(attempt.leader()) {
                    drop(tickets);
                    attempt.take_back();
                    continue;
                }
                // Directly before they take effect.
                for ticket in &mut tickets {
                    ticket.changing();
                }
            }
            if !shared.slab.commit(attempt.leader()) {
                drop(tickets);
                attempt.take_back();
                continue;
            }
            tickets.iter_mut().for_each(Ticket::made);
            let registrations = attempt.hold();
            for (key, value) in offers.drain(..) {
                key.accepted();
                value.accepted();
            }
            let told: Vec<_> = tickets.into_iter().map(|ticket| ticket.done()).collect();
            for told in told {
                shared.tell(told);
            }
            return Ok(registrations);
        }
        Err(Why::Contended)
    }
}

/// The first of the offers that has the key of an earlier one.
fn repeated<K: Key, V: Stored>(offers: &[(Offer<K>, Offer<V>)], places: &[Place]) -> Option<usize> {
    let mut order: Vec<usize> = (0..offers.len()).collect();
    order.sort_unstable_by_key(|&at| (places[at], at));
    let same_place = order.chunk_by(|&one, &other| places[one] == places[other]);
    let repeats = same_place.filter_map(|group| {
        group.iter().enumerate().find_map(|(number, &at)| {
            let mut before = group[..number].iter();
            before
                .any(|&before| offers[before].0.seen() == offers[at].0.seen())
                .then_some(at)
        })
    });
    repeats.min()
}

/// Why a batch was refused, without what is in it.
enum Why {
    AlreadyRegistered { at: usize, holder: crate::id::Pid },
    Repeated { at: usize },
    Full { limit: usize },
    TooManyCollisions { at: usize },
    Contended,
}

impl Why {
    fn with<P>(self, pairs: P) -> RegisterManyError<P> {
        match self {
            Self::AlreadyRegistered { at, holder } => {
                RegisterManyError::AlreadyRegistered { at, holder, pairs }
            }
            Self::Repeated { at } => RegisterManyError::Repeated { at, pairs },
            Self::Full { limit } => RegisterManyError::Full { limit, pairs },
            Self::TooManyCollisions { at } => RegisterManyError::TooManyCollisions { at, pairs },
            Self::Contended => RegisterManyError::Contended { pairs },
        }
    }
}

/// A batch that is being registered. Dropped before that is done, it leaves nothing behind.
struct Attempt<'o, 'g, K: Key, V: Stored, S: BuildHasher> {
    owner: &'o mut Owner<K, V, S>,
    guard: &'o Guard<'g, K, V, S>,
    /// How many entries were counted for it.
    counted: usize,
    /// A slot for each pair; the first is the leader.
    slots: Vec<Spot>,
    /// Those that are in the index.
    lanes: Vec<Lane>,
}

impl<K: Key, V: Stored, S: BuildHasher> Attempt<'_, '_, K, V, S> {
    fn leader(&self) -> Spot {
        self.slots[0]
    }

    /// Writes a slot for each pair; `None` if there are not as many.
    fn prepare(&mut self, offers: &[(Offer<K>, Offer<V>)]) -> Option<()> {
        for _ in offers {
            self.slots.push(self.owner.slot()?);
        }
        let leader = self.leader();
        for (&slot, (key, value)) in self.slots.iter().zip(offers) {
            let number = self.owner.next_number();
            let slab = &self.owner.shared.slab;
            slab.write_pending(slot, self.owner.pid, *key.words(), *value.words(), leader);
            slab.set_number(slot, number);
        }
        Some(())
    }

    /// Puts all into the index. Returns whether that was done before the batch was called off.
    fn insert(&mut self, offers: &[(Offer<K>, Offer<V>)], places: &[Place]) -> Result<bool, Why> {
        let leader = self.leader();
        let Shared {
            slab,
            index,
            entries,
            ..
        } = &*self.owner.shared;
        for (at, ((key, _), &place)) in offers.iter().zip(places).enumerate() {
            let slot = self.slots[at];
            loop {
                if slab.is_called_off(leader) {
                    return Ok(false);
                }
                let rival = Rival::of(slab, key, Some(leader));
                match index.insert(place, slot, rival, &mut ()) {
                    Ok(is_full) => {
                        self.lanes.push(Lane::taken(place, slot));
                        // At once: the rest of a large batch would overflow the buckets there are, and what
                        // overflowed stays.
                        if is_full {
                            index.grow(entries.sum());
                        }
                        break;
                    }
                    Err(Refused::Present(found)) if found.seen.sequence.is_pending() => {
                        self.owner.clear_the_way(self.guard, &found);
                    }
                    Err(Refused::Present(found)) => {
                        let holder = self.guard.entry(found).owner();
                        return Err(Why::AlreadyRegistered { at, holder });
                    }
                    Err(Refused::Crowded) => {
                        return Err(Why::TooManyCollisions { at });
                    }
                }
            }
        }
        Ok(true)
    }

    /// Notes what was registered.
    fn hold(mut self) -> Vec<Registration> {
        self.counted = 0;
        self.slots.clear();
        let lanes = core::mem::take(&mut self.lanes);
        for &lane in &lanes {
            // Before the slot says where it is counted instead of who leads it.
            self.owner.shared.slab.settle_own(lane.slot());
            self.owner.hold(lane);
        }
        let registrations = lanes.into_iter().map(|lane| self.owner.registration(lane));
        registrations.collect()
    }

    /// Takes out of the index what is in it, and gives the slots back.
    fn take_back(&mut self) {
        let Shared { slab, index, .. } = &*self.owner.shared;
        // All of them first: as long as one is there, its leader is asked.
        for lane in self.lanes.drain(..) {
            // Unless somebody else has.
            index.remove(lane, slab.written(lane.slot()), &mut ());
        }
        // The first is used first again, so that they lie in memory in the order of their use.
        for slot in self.slots.drain(..).rev() {
            self.owner.use_again(self.guard, slot);
        }
    }
}

impl<K: Key, V: Stored, S: BuildHasher> Drop for Attempt<'_, '_, K, V, S> {
    fn drop(&mut self) {
        self.take_back();
        if self.counted > 0 {
            let Owner { shared, number, .. } = &*self.owner;
            shared.entries.subtract(*number, self.counted);
        }
    }
}
