//! The children of a machine: a list in start order, a heap of deadlines, and a tally, all in the
//! slots of one storage.
//!
//! ```text
//!  slots     0       1       2       3         list    head ─► 0 ◄─► 3 ◄─► 1 ◄─ tail     free ─► 2
//!          ┌─────┐ ┌─────┐ ┌─────┐ ┌─────┐
//!  child   │  a  │ │  c  │ │     │ │  b  │     heap    [1, 3]: c's deadline comes first, then b's
//!  heap    │  1  │ │  3  │ │     │ │     │             (place 0 of the heap is stored in slot 0, …)
//!          └─────┘ └─────┘ └─────┘ └─────┘
//! ```
//!
//! Adding, removing, finding by key, walking a step, the state of all: O(1). Setting and taking back
//! a deadline: O(log deadlines). No allocation but that of a new slot.

use super::child::{Child, ChildKey, ChildState};
use super::spec::{ChildPlan, Kind};
use super::storage::{ChildStorage, NIL, Slot, TooManyChildren};
use crate::clock::Instant;

/// How many children a supervisor has, and how many of them are what. O(1).
///
/// OTP's `count_children` says the same, except that it counts one specification for all children of
/// a dynamic supervisor, and does not know abandoned ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Children it knows, running or not.
    pub specs: usize,
    /// Those that run, also while they are being stopped. Not those that are being started, or wait
    /// to be.
    pub active: usize,
    /// Those that are supervisors themselves, running or not.
    pub supervisors: usize,
    /// Those that are not.
    pub workers: usize,
    /// Incarnations that did not stop in time and have not ended since.
    pub abandoned: usize,
}

/// Children in start order.
#[derive(Clone, Debug)]
pub(super) struct Roster<C> {
    storage: C,
    pub(super) head: u32,
    pub(super) tail: u32,
    free: u32,
    next_serial: u64,
    /// How many deadlines there are.
    timers: u32,
    specs: usize,
    supervisors: usize,
    running: usize,
    /// Starting, running or stopping.
    pub(super) alive: usize,
    /// Significant ones that are alive or about to be.
    pub(super) significant: usize,
}

impl<C: ChildStorage> Roster<C> {
    /// Children kept in `storage`, in which there are none.
    pub(super) const fn new(storage: C) -> Self {
        Self {
            storage,
            head: NIL,
            tail: NIL,
            free: NIL,
            next_serial: 0,
            timers: 0,
            specs: 0,
            supervisors: 0,
            running: 0,
            alive: 0,
            significant: 0,
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.specs
    }

    pub(super) const fn counts(&self) -> Counts {
        Counts {
            specs: self.specs,
            active: self.running,
            supervisors: self.supervisors,
            workers: self.specs - self.supervisors,
            abandoned: 0,
        }
    }

    /// Appends a child, which is then waiting.
    pub(super) fn append(
        &mut self,
        id: Option<C::Id>,
        plan: ChildPlan,
    ) -> Result<ChildKey, TooManyChildren> {
        if self.free == NIL {
            let place = self.storage.slots().len();
            let place = u32::try_from(place)
                .ok()
                .filter(|&place| place != NIL)
                .ok_or_else(|| TooManyChildren::new(place))?;
            self.storage.grow()?;
            self.free = place;
        }
        let place = self.free;
        let key = ChildKey {
            serial: self.next_serial,
            slot: place,
        };
        if let Some(id) = &id {
            self.storage.named(id, place);
        }
        let tail = self.tail;
        let slot = self.slot_mut(place);
        let next_free = slot.next;
        *slot = Slot {
            child: Some(Child::new(key, id, plan)),
            prev: tail,
            // A place in the heap is not this slot's own.
            heap: slot.heap,
            ..Slot::new()
        };
        self.free = next_free;
        match tail {
            NIL => self.head = place,
            tail => self.slot_mut(tail).next = place,
        }
        self.tail = place;
        self.next_serial += 1;
        self.specs += 1;
        self.tally(place, true);
        Ok(key)
    }

    /// Takes out the child in slot `place`.
    pub(super) fn remove(&mut self, place: u32) {
        self.set_timer(place, None);
        self.tally(place, false);
        let free = self.free;
        let slot = self.slot_mut(place);
        let (prev, next) = (slot.prev, slot.next);
        let child = slot.child.take();
        slot.prev = NIL;
        slot.next = free;
        self.free = place;
        self.specs -= 1;
        match prev {
            NIL => self.head = next,
            prev => self.slot_mut(prev).next = next,
        }
        match next {
            NIL => self.tail = prev,
            next => self.slot_mut(next).prev = prev,
        }
        if let Some(id) = child.and_then(|child| child.id) {
            self.storage.unnamed(&id);
        }
    }

    /// The slot of the child `key`, unless it is gone.
    pub(super) fn place(&self, key: ChildKey) -> Option<u32> {
        let slot = self.storage.slots().get(key.slot as usize)?;
        let child = slot.child.as_ref()?;
        (child.key == key).then_some(key.slot)
    }

    /// The child called `id`.
    pub(super) fn find(&self, id: &C::Id) -> Option<&Child<C::Id>> {
        self.storage.find(id).and_then(|place| self.get(place))
    }

    /// The child in slot `place`.
    pub(super) fn get(&self, place: u32) -> Option<&Child<C::Id>> {
        self.storage.slots().get(place as usize)?.child.as_ref()
    }

    /// The child in slot `place`, of which the caller knows that there is one.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn child(&self, place: u32) -> &Child<C::Id> {
        self.get(place).expect("the slot is taken")
    }

    /// To change what neither the tally nor the deadlines depend on.
    ///
    /// # Panics
    /// If there is no child in slot `place`.
    pub(super) fn child_mut(&mut self, place: u32) -> &mut Child<C::Id> {
        let slot = self.slot_mut(place);
        slot.child.as_mut().expect("the slot is taken")
    }

    /// Changes what a child is doing, and its deadline with it.
    pub(super) fn set_state(&mut self, place: u32, state: ChildState, deadline: Option<Instant>) {
        self.tally(place, false);
        self.child_mut(place).state = state;
        self.tally(place, true);
        self.set_timer(place, deadline);
    }

    /// Changes what was said about a child.
    pub(super) fn set_plan(&mut self, place: u32, plan: ChildPlan) {
        self.tally(place, false);
        self.child_mut(place).plan = plan;
        self.tally(place, true);
    }

    /// The slot before or after slot `place` in start order, or none.
    pub(super) fn prev(&self, place: u32) -> u32 {
        self.slot(place).prev
    }

    /// See [`prev`](Self::prev).
    pub(super) fn next(&self, place: u32) -> u32 {
        self.slot(place).next
    }

    /// The children in start order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Child<C::Id>> {
        let mut place = self.head;
        core::iter::from_fn(move || {
            let child = self.get(place)?;
            place = self.next(place);
            Some(child)
        })
    }

    /// The earliest deadline, and whose it is.
    pub(super) fn first_deadline(&self) -> Option<(Instant, u32)> {
        let place = (self.timers > 0).then(|| self.slot(0).heap)?;
        Some((self.due(place).0, place))
    }

    /// Counts the child in slot `place` in, or out.
    fn tally(&mut self, place: u32, to_it: bool) {
        let child = self.child(place);
        let of = |is: bool| usize::from(is);
        let supervisor = of(child.plan.kind == Kind::Supervisor);
        let alive = of(child.state.is_active());
        let running = of(matches!(
            child.state,
            ChildState::Running | ChildState::Stopping { .. }
        ));
        let significant = of(child.plan.significant && child.state != ChildState::Stopped);
        for (total, part) in [
            (&mut self.supervisors, supervisor),
            (&mut self.alive, alive),
            (&mut self.running, running),
            (&mut self.significant, significant),
        ] {
            *total = if to_it { *total + part } else { *total - part };
        }
    }

    fn slot(&self, place: u32) -> &Slot<C::Id> {
        &self.storage.slots()[place as usize]
    }

    fn slot_mut(&mut self, place: u32) -> &mut Slot<C::Id> {
        &mut self.storage.slots_mut()[place as usize]
    }

    /// What the heap is ordered by: when the child in slot `place`, which is in it, is due. Of
    /// those that are due at one time, the one that was added first comes first.
    fn due(&self, place: u32) -> (Instant, u64) {
        let child = self.child(place);
        (child.deadline.unwrap_or(Instant::MAX), child.key.serial)
    }

    /// Gives the child in slot `place` this deadline, in place of the one it had.
    fn set_timer(&mut self, place: u32, deadline: Option<Instant>) {
        self.child_mut(place).deadline = deadline;
        let at = self.slot(place).timer;
        match (at, deadline) {
            (NIL, None) => {}
            (NIL, Some(_)) => {
                let last = self.timers;
                self.timers += 1;
                self.put(last, place);
                self.rise(last);
            }
            (at, Some(_)) => {
                let at = self.rise(at);
                self.sink(at);
            }
            (at, None) => {
                self.timers -= 1;
                let last = self.slot(self.timers).heap;
                self.slot_mut(place).timer = NIL;
                if last != place {
                    self.put(at, last);
                    let at = self.rise(at);
                    self.sink(at);
                }
            }
        }
    }

    fn put(&mut self, at: u32, place: u32) {
        self.slot_mut(at).heap = place;
        self.slot_mut(place).timer = at;
    }

    /// Where the entry at `at` belongs among those before it.
    fn rise(&mut self, mut at: u32) -> u32 {
        let place = self.slot(at).heap;
        while at > 0 {
            let above = (at - 1) / 2;
            let other = self.slot(above).heap;
            if self.due(other) <= self.due(place) {
                break;
            }
            self.put(at, other);
            at = above;
        }
        self.put(at, place);
        at
    }

    /// Where the entry at `at` belongs among those after it.
    fn sink(&mut self, mut at: u32) {
        let place = self.slot(at).heap;
        loop {
            let mut below = 2 * at + 1;
            if below >= self.timers {
                break;
            }
            let right = below + 1;
            if right < self.timers
                && self.due(self.slot(right).heap) < self.due(self.slot(below).heap)
            {
                below = right;
            }
            let other = self.slot(below).heap;
            if self.due(place) <= self.due(other) {
                break;
            }
            self.put(at, other);
            at = below;
        }
        self.put(at, place);
    }
}

#[cfg(test)]
mod tests {
    use super::super::storage::FixedChildren;
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    /// More deadlines than a few, so that the heap has some depth, set, changed and taken back at random.
    #[test]
    fn the_first_deadline_is_the_first() {
        let mut roster = Roster::new(FixedChildren::<(), 32>::new());
        let mut random = 1_u64;
        let mut below = |end: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % end
        };
        let mut truth: BTreeMap<ChildKey, Option<Instant>> = BTreeMap::new();
        for _ in 0..20_000 {
            let keys: Vec<ChildKey> = truth.keys().copied().collect();
            match below(8) {
                0 if keys.len() < 32 => {
                    let key = roster.append(None, ChildPlan::default()).unwrap();
                    truth.insert(key, None);
                }
                1 if keys.len() > 24 => {
                    let key = keys[usize::try_from(below(24)).unwrap()];
                    roster.remove(roster.place(key).unwrap());
                    truth.remove(&key);
                }
                what if !keys.is_empty() => {
                    let many = u64::try_from(keys.len()).unwrap();
                    let key = keys[usize::try_from(below(many)).unwrap()];
                    let deadline = (what > 3).then(|| Instant::from_nanos(below(1_000)));
                    roster.set_state(key.slot, ChildState::Running, deadline);
                    truth.insert(key, deadline);
                }
                _ => {}
            }
            let due = truth
                .iter()
                .filter_map(|(&key, due)| due.map(|due| (due, key)));
            let first = due.min().map(|(due, key)| (due, key.slot));
            assert_eq!(roster.first_deadline(), first);
        }
    }
}
