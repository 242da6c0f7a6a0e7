//! The table under [`FixedRegistry`](super::FixedRegistry): `N` places, and an entry in each that is
//! not free.
//!
//! ```text
//! heads    [ · 3 · · 0 · ]              a bucket's first place, or none
//!              │     │
//! places   0   1   2   3   4  …         next:   0 ─► 2, 3           the places of a bucket, or
//!          e   ·   e   e   ·                    1 ─► 4              those that are free again
//!                                       older:  3 ─► 0, 2           a holder's places; and back,
//!                                                                   by newer
//! records  [ newest: 3 │ newest: 2 ]    a holder's newest place
//! ```
//!
//! # The places of a holder
//! Whatever belongs to an owner is found by walking its chain, in O(its own entries). The chain cannot
//! begin in the owner, which lies outside the lock: whoever takes a place over must cut it out of
//! the former owner's chain, also where it is the first. It begins in a record in here
//! ([`holders`](super::holders)), and an entry says which record is its holder's. As many records as
//! places are enough for any number of owners, because an owner has one only while it has an entry.
//! The owner remembers the record it entered; the serial in there tells it whether that is still
//! its own. If not, it has no entries: they were taken over or given up.
//!
//! A walk that takes entries out lets go of the lock after each of them, and anybody may take others
//! of the same chain over meanwhile. Its cursor is therefore in the record too, and a place that
//! leaves the chain takes the cursor on to the next. One cursor will do, because a walk has its owner
//! to itself; for the same reason nothing is added to the chain meanwhile.
//!
//! # What may be relied on
//! * An entry stays in its place until it is taken out.
//! * Foreign code runs only while the table is whole: `Hash` and `Eq` of keys before it is changed,
//!   never within a change. Taking out needs neither, for places remember hashes, and hands the entry
//!   to the caller: no destructor runs in here.
//! * All is zero at first.

use super::hash::{bucket, hash};
use super::holders::{Holder, Holders};
use super::link::Link;
use crate::id::Pid;
use core::borrow::Borrow;
use core::hash::Hash;
use core::mem;

pub(super) struct Slots<K, V, const N: usize> {
    heads: [Link; N],
    places: [Place<K, V>; N],
    holders: Holders<N>,
    /// The first place that is free again.
    free: Link,
    /// Places from here on were never used.
    untouched: usize,
    len: usize,
}

struct Place<K, V> {
    /// The next place of the same bucket; of a free place, the next one that is free again.
    next: Link,
    /// The hash of the entry's key.
    hash: u32,
    /// The place the same holder got next.
    newer: Link,
    /// The place the same holder got before.
    older: Link,
    entry: Option<Entry<K, V>>,
}

struct Entry<K, V> {
    key: K,
    pid: Pid,
    /// Which registration of its holder it is.
    number: u64,
    /// Its holder's record.
    record: Link,
    value: V,
}

/// An entry that was found. Its place holds good until the table changes.
pub(super) struct Found<'s, K, V> {
    pub(super) place: usize,
    pub(super) key: &'s K,
    pub(super) pid: Pid,
    pub(super) value: &'s V,
}

/// The hash of a key that was not found.
#[derive(Clone, Copy)]
pub(super) struct Absent(u32);

impl<K, V, const N: usize> Slots<K, V, N> {
    const CAPACITY_IS_VALID: () = assert!(
        N >= 1 && N <= 1 << 31,
        "a FixedRegistry has 1 to 2^31 places"
    );

    pub(super) const fn new() -> Self {
        () = Self::CAPACITY_IS_VALID;
        Self {
            heads: [Link::NONE; N],
            places: [const {
                Place {
                    next: Link::NONE,
                    hash: 0,
                    newer: Link::NONE,
                    older: Link::NONE,
                    entry: None,
                }
            }; N],
            holders: Holders::new(),
            free: Link::NONE,
            untouched: 0,
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The entries, in no useful order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, Pid, &V)> {
        let used = self.places[..self.untouched].iter();
        used.filter_map(|place| place.entry.as_ref())
            .map(|entry| (&entry.key, entry.pid, &entry.value))
    }

    /// The entry of `key`, or what [`insert`](Self::insert) needs.
    pub(super) fn find<Q>(&self, key: &Q) -> Result<Found<'_, K, V>, Absent>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = hash(key);
        let mut next = self.heads[bucket::<N>(hash)];
        while let Some(place) = self.places.get(next.index()) {
            if place.hash == hash
                && let Some(entry) = &place.entry
                && entry.key.borrow() == key
            {
                return Ok(Found {
                    place: next.index(),
                    key: &entry.key,
                    pid: entry.pid,
                    value: &entry.value,
                });
            }
            next = place.next;
        }
        Err(Absent(hash))
    }

    /// Puts in an entry for a key that is not there; gives it back when all places are taken.
    pub(super) fn insert(
        &mut self,
        Absent(hash): Absent,
        holder: &mut Holder,
        number: u64,
        key: K,
        value: V,
    ) -> Result<(), (K, V)> {
        let place = if self.free != Link::NONE {
            let place = self.free.index();
            self.free = self.places[place].next;
            place
        } else if self.untouched < N {
            self.untouched += 1;
            self.untouched - 1
        } else {
            return Err((key, value));
        };
        let record = self.holders.find_or_enter(holder);
        self.places[place] = Place {
            next: mem::replace(&mut self.heads[bucket::<N>(hash)], Link::to(place)),
            hash,
            newer: Link::NONE,
            older: Link::NONE,
            entry: Some(Entry {
                key,
                pid: holder.pid,
                number,
                record,
                value,
            }),
        };
        self.len += 1;
        self.join(place, record);
        Ok(())
    }

    /// Gives the entry in `place` to `holder`, with another value; returns whose it was, with what.
    pub(super) fn hand_over(
        &mut self,
        place: usize,
        holder: &mut Holder,
        number: u64,
        value: V,
    ) -> Option<(Pid, V)> {
        let pid = self.pass_on(place, holder, number)?;
        let entry = self.places[place].entry.as_mut()?;
        Some((pid, mem::replace(&mut entry.value, value)))
    }

    /// Gives the entry of `key` to `next` as it is, if `holder` has it; returns whether it has.
    pub(super) fn give_away<Q>(
        &mut self,
        holder: &Holder,
        key: &Q,
        next: &mut Holder,
        number: u64,
    ) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.own_place(holder, key);
        place.is_some_and(|place| self.pass_on(place, next, number).is_some())
    }

    /// Gives the entry in `place` to `holder`; returns whose it was.
    fn pass_on(&mut self, place: usize, holder: &mut Holder, number: u64) -> Option<Pid> {
        self.part(place, self.places[place].entry.as_ref()?.record);
        // Not before: the record may be the one that the former holder has just left.
        let record = self.holders.find_or_enter(holder);
        let entry = self.places[place].entry.as_mut()?;
        entry.number = number;
        entry.record = record;
        let pid = mem::replace(&mut entry.pid, holder.pid);
        self.join(place, record);
        Some(pid)
    }

    /// The value of `key`, if `holder` has it.
    pub(super) fn own_value<Q>(&mut self, holder: &Holder, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.own_place(holder, key)?;
        let entry = self.places[place].entry.as_mut()?;
        Some(&mut entry.value)
    }

    /// Takes out the entry of `key`, if `holder` has it.
    pub(super) fn take<Q>(&mut self, holder: &Holder, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.own_place(holder, key)?;
        self.take_out(place)
    }

    /// What `holder` has, the newest first.
    pub(super) fn own(&self, holder: &Holder) -> impl Iterator<Item = (&K, &V)> {
        let record = self.holders.find(holder);
        let mut next = record.map_or(Link::NONE, |record| self.holders[record].newest);
        core::iter::from_fn(move || {
            let place = self.places.get(next.index())?;
            next = place.older;
            place.entry.as_ref()
        })
        .map(|entry| (&entry.key, &entry.value))
    }

    /// Lets the next walk of `holder` begin with its newest entry.
    pub(super) fn rewind(&mut self, holder: &Holder) {
        if let Some(record) = self.holders.find(holder) {
            let record = &mut self.holders[record];
            record.cursor = record.newest;
        }
    }

    /// Walks on to the next older entry of `holder` that `matches`, by key, number and value, and
    /// takes it out.
    pub(super) fn take_next(
        &mut self,
        holder: &Holder,
        mut matches: impl FnMut(&K, u64, &V) -> bool,
    ) -> Option<(K, V)> {
        let record = self.holders.find(holder)?;
        let mut next = self.holders[record].cursor;
        while let Some(place) = self.places.get(next.index()) {
            if let Some(entry) = &place.entry
                && matches(&entry.key, entry.number, &entry.value)
            {
                self.holders[record].cursor = next;
                return self.take_out(next.index());
            }
            next = place.older;
        }
        self.holders[record].cursor = Link::NONE;
        None
    }

    fn own_place<Q>(&self, holder: &Holder, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let record = self.holders.find(holder)?;
        let place = self.find(key).ok()?.place;
        let entry = self.places[place].entry.as_ref()?;
        (entry.record == record).then_some(place)
    }

    /// Makes `place` the newest in the chain of the record.
    fn join(&mut self, place: usize, record: Link) {
        let newest = mem::replace(&mut self.holders[record].newest, Link::to(place));
        if let Some(before) = self.places.get_mut(newest.index()) {
            before.newer = Link::to(place);
        }
        self.places[place].older = newest;
        self.places[place].newer = Link::NONE;
    }

    /// Cuts `place` out of the chain of the record, and its holder leaves with the last one.
    fn part(&mut self, place: usize, record: Link) {
        let Place { newer, older, .. } = self.places[place];
        if let Some(before) = self.places.get_mut(older.index()) {
            before.newer = newer;
        }
        let head = &mut self.holders[record];
        if head.cursor == Link::to(place) {
            head.cursor = older;
        }
        if let Some(after) = self.places.get_mut(newer.index()) {
            after.older = older;
        } else if older != Link::NONE {
            head.newest = older;
        } else {
            self.holders.leave(record);
        }
    }

    fn take_out(&mut self, place: usize) -> Option<(K, V)> {
        self.part(place, self.places[place].entry.as_ref()?.record);
        let behind = mem::replace(&mut self.places[place].next, self.free);
        let bucket = bucket::<N>(self.places[place].hash);
        if self.heads[bucket] == Link::to(place) {
            self.heads[bucket] = behind;
        } else {
            let mut next = self.heads[bucket];
            while let Some(before) = self.places.get_mut(next.index()) {
                if before.next == Link::to(place) {
                    before.next = behind;
                    break;
                }
                next = before.next;
            }
        }
        self.free = Link::to(place);
        self.len -= 1;
        let entry = self.places[place].entry.take()?;
        Some((entry.key, entry.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::num::NonZeroU32;
    use proptest::collection::vec;

    const PLACES: usize = 7;
    const KEYS: u32 = 12;
    /// More than there are records, as there may be.
    const HOLDERS: u32 = 10;

    type Table = Slots<u32, u32, PLACES>;

    fn new_holder(number: u32) -> Holder {
        Holder::new(Pid::new(number, NonZeroU32::MIN), u64::from(number) + 1)
    }

    fn insert<const N: usize>(
        slots: &mut Slots<u32, u32, N>,
        holder: &mut Holder,
        key: u32,
        value: u32,
    ) -> bool {
        match slots.find(&key) {
            Ok(_) => panic!("the test inserts new keys only"),
            Err(absent) => slots
                .insert(absent, holder, u64::from(value), key, value)
                .is_ok(),
        }
    }

    fn hand_over(slots: &mut Table, holder: &mut Holder, key: u32, value: u32) -> Option<u32> {
        let place = slots.find(&key).ok()?.place;
        let before = slots.hand_over(place, holder, u64::from(value), value);
        before.map(|(_, value)| value)
    }

    fn own(slots: &Table, holder: &Holder) -> Vec<(u32, u32)> {
        let own = slots.own(holder);
        own.map(|(&key, &value)| (key, value)).collect()
    }

    /// Every chain leads to what it should, and back.
    fn assert_whole(slots: &Table, holders: &[Holder]) {
        let mut chained = 0;
        for number in 0..PLACES {
            let mut next = slots.heads[number];
            while let Some(place) = slots.places.get(next.index()) {
                let entry = place.entry.as_ref().expect("chained places are taken");
                assert_eq!(
                    (place.hash, number),
                    (hash(&entry.key), bucket::<PLACES>(place.hash))
                );
                next = place.next;
                chained += 1;
            }
        }
        let mut owned = 0;
        let mut with_record = 0;
        for holder in holders {
            let Some(record) = slots.holders.find(holder) else {
                continue;
            };
            let (mut newer, mut next) = (Link::NONE, slots.holders[record].newest);
            assert_ne!(next, Link::NONE, "who has a record has a place");
            while let Some(place) = slots.places.get(next.index()) {
                let entry = place.entry.as_ref().expect("chained places are taken");
                assert_eq!((place.newer, entry.record), (newer, record));
                assert_eq!(entry.pid, holder.pid);
                (newer, next) = (next, place.older);
                owned += 1;
            }
            with_record += 1;
        }
        let mut free = 0;
        let mut next = slots.free;
        while let Some(place) = slots.places.get(next.index()) {
            assert!(place.entry.is_none());
            next = place.next;
            free += 1;
        }
        assert_eq!((chained, owned), (slots.len, slots.len));
        assert_eq!(slots.len + free, slots.untouched);
        assert_eq!(slots.holders.len(), with_record);
    }

    #[test]
    fn a_table_of_one_place_is_used_again_and_again() {
        let mut slots = Slots::<u32, u32, 1>::new();
        for key in 0..100 {
            let (mut first, mut second) = (new_holder(2 * key), new_holder(2 * key + 1));
            assert!(insert(&mut slots, &mut first, key, key));
            assert!(!insert(&mut slots, &mut second, key + 1, 0));
            assert_eq!(slots.take(&second, &key), None);
            assert_eq!(slots.take(&first, &key), Some((key, key)));
        }
        assert_eq!(slots.len(), 0);
    }

    #[test]
    fn the_one_record_passes_from_hand_to_hand() {
        let mut slots = Slots::<u32, u32, 1>::new();
        let mut before = new_holder(0);
        assert!(insert(&mut slots, &mut before, 7, 0));
        for number in 1..100 {
            let mut after = new_holder(number);
            let place = slots.find(&7).ok().expect("it is there").place;
            assert_eq!(
                slots.hand_over(place, &mut after, 0, number),
                Some((before.pid, number - 1))
            );
            assert_eq!(slots.own(&before).count(), 0);
            assert_eq!(slots.own(&after).count(), 1);
            before = after;
        }
        assert_eq!(slots.holders.len(), 1);
    }

    /// The place at which a walk stands may be another's when it goes on.
    #[test]
    fn a_walk_goes_on_behind_a_place_that_was_taken_over() {
        let mut slots = Table::new();
        let (mut walker, mut robber) = (new_holder(0), new_holder(1));
        for key in 0..5 {
            assert!(insert(&mut slots, &mut walker, key, key));
        }
        slots.rewind(&walker);
        assert_eq!(slots.take_next(&walker, |_, _, _| true), Some((4, 4)));
        hand_over(&mut slots, &mut robber, 3, 3);
        hand_over(&mut slots, &mut robber, 2, 2);
        assert_eq!(slots.take_next(&walker, |&key, _, _| key < 1), Some((0, 0)));
        assert_eq!(slots.take_next(&walker, |_, _, _| true), None);
        assert_eq!(own(&slots, &walker), [(1, 1)]);
        assert_eq!(own(&slots, &robber), [(2, 2), (3, 3)]);
        slots.rewind(&walker);
        hand_over(&mut slots, &mut robber, 1, 1);
        assert_eq!(slots.take_next(&walker, |_, _, _| true), None);
        assert_whole(&slots, &[walker, robber]);
    }

    /// The whole truth: who has which key with what value, the newest last.
    #[derive(Default)]
    struct Model(Vec<(u32, u32, u32)>);

    impl Model {
        fn take(&mut self, key: u32) -> Option<(u32, u32, u32)> {
            let at = self.0.iter().position(|&(_, other, _)| other == key)?;
            Some(self.0.remove(at))
        }

        fn own(&self, who: u32) -> Vec<(u32, u32)> {
            let own = self.0.iter().rev().filter(|&&(owner, ..)| owner == who);
            own.map(|&(_, key, value)| (key, value)).collect()
        }
    }

    proptest::proptest! {
        /// Holders come and go, and walks take steps between all that others do.
        #[test]
        fn agrees_with_a_model(steps in vec((0u8..8, 0..HOLDERS, 0..KEYS), 0..400)) {
            let mut slots = Table::new();
            let mut holders: Vec<Holder> = (0..HOLDERS).map(new_holder).collect();
            let mut model = Model::default();
            // What the walk in progress, if there is one, has yet to come by.
            let mut walk: Option<(u32, Vec<u32>)> = None;
            for (value, (step, who, key)) in (0..).zip(steps) {
                let holder = &mut holders[who as usize];
                let walking = walk.as_ref().is_some_and(|&(walker, _)| walker == who);
                match step {
                    // A walker has no hand free for anything else.
                    0..=5 if walking => {}
                    0 | 1 if slots.find(&key).is_err() => {
                        let fits = insert(&mut slots, holder, key, value);
                        assert_eq!(fits, model.0.len() < PLACES);
                        if fits {
                            model.0.push((who, key, value));
                        }
                    }
                    0..=2 => {
                        let before = model.take(key);
                        let got = hand_over(&mut slots, holder, key, value);
                        assert_eq!(got, before.map(|(.., value)| value));
                        if before.is_some() {
                            model.0.push((who, key, value));
                        }
                        if let Some((_, pending)) = &mut walk {
                            pending.retain(|&other| other != key);
                        }
                    }
                    3 => {
                        let mine = model.own(who).iter().any(|&(other, _)| other == key);
                        let expected = if mine { model.take(key) } else { None };
                        assert_eq!(
                            slots.take(holder, &key),
                            expected.map(|(_, key, value)| (key, value))
                        );
                    }
                    4 => {
                        slots.rewind(holder);
                        let pending = model.own(who).into_iter().map(|(key, _)| key);
                        walk = Some((who, pending.collect()));
                    }
                    5 => {
                        let mine = model.own(who).iter().any(|&(other, _)| other == key);
                        let own = slots.own_value(holder, &key);
                        assert_eq!(own.is_some(), mine);
                        if let Some(own) = own {
                            *own = value;
                            let entry = model.0.iter_mut().find(|entry| entry.1 == key);
                            entry.expect("it is somebody's").2 = value;
                        }
                    }
                    _ => if let Some((walker, mut pending)) = walk.take() {
                        let wanted = |key: u32| step == 7 || key % 3 == who % 3;
                        let at = pending.iter().position(|&key| wanted(key));
                        let expected = at.and_then(|at| model.take(pending[at]));
                        let got = slots.take_next(&holders[walker as usize], |&key, _, _| wanted(key));
                        assert_eq!(got, expected.map(|(_, key, value)| (key, value)));
                        if let Some(at) = at {
                            pending.drain(..=at);
                            walk = Some((walker, pending));
                        }
                    },
                }
                assert_whole(&slots, &holders);
                for who in 0..HOLDERS {
                    assert_eq!(own(&slots, &holders[who as usize]), model.own(who));
                }
                for key in 0..KEYS {
                    let found = slots.find(&key).ok().map(|found| (found.pid, *found.value));
                    let expected = model.0.iter().find(|&&(_, other, _)| other == key);
                    assert_eq!(found, expected.map(|&(who, _, value)| (new_holder(who).pid, value)));
                }
                let mut listed: Vec<u32> = slots.iter().map(|(&key, ..)| key).collect();
                let mut expected: Vec<u32> = model.0.iter().map(|&(_, key, _)| key).collect();
                listed.sort_unstable();
                expected.sort_unstable();
                assert_eq!(listed, expected);
            }
        }
    }
}
