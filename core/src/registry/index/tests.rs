//! The index over slots of one key each, against a map; and torn at by threads.

use super::*;
use crate::sync::fence;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

/// Above the marks of a sequence.
const WRITTEN: usize = (Sequence::WRITING | Sequence::PENDING) + 1;

/// Slots that hold a key and whose it is.
struct Table {
    index: Index,
    slots: Vec<[AtomicUsize; 3]>,
}

#[derive(Clone, Copy)]
struct Key<'t>(&'t Table, usize);

impl Slots for Key<'_> {
    /// Whose it is.
    type Seen = usize;
    type Slot = Spot;

    fn slot(self, spot: Spot) -> Spot {
        spot
    }

    fn read(self, slot: Spot) -> (Sequence, Option<usize>) {
        let [sequence, key, whose] = &self.0.slots[slot.number()];
        // Acquire: pairs with Release in `write`.
        let sequence = Sequence(sequence.load(Ordering::Acquire));
        // Relaxed: used only if the sequence does not change.
        let matches = key.load(Ordering::Relaxed) == self.1;
        (sequence, matches.then(|| whose.load(Ordering::Relaxed)))
    }

    fn sequence(self, slot: Spot) -> Sequence {
        // Relaxed: after a fence.
        Sequence(self.0.slots[slot.number()][0].load(Ordering::Relaxed))
    }
}

/// Whatever there is: its key.
#[derive(Clone, Copy)]
struct All<'t>(&'t Table);

impl Slots for All<'_> {
    type Seen = usize;
    type Slot = Spot;

    fn slot(self, spot: Spot) -> Spot {
        spot
    }

    fn read(self, slot: Spot) -> (Sequence, Option<usize>) {
        let [_, key, _] = &self.0.slots[slot.number()];
        // Relaxed: one thread.
        (self.sequence(slot), Some(key.load(Ordering::Relaxed)))
    }

    fn sequence(self, slot: Spot) -> Sequence {
        Key(self.0, 0).sequence(slot)
    }
}

impl Table {
    fn new(slots: usize) -> Self {
        Self {
            index: Index::new(),
            slots: (0..slots).map(|_| Zeroed::zeroed()).collect(),
        }
    }

    /// Writes a slot that is in no lane.
    fn write(&self, slot: usize, key: usize, whose: usize) {
        let [sequence, key_word, whose_word] = &self.slots[slot];
        // Relaxed: only the owner writes.
        let before = sequence.load(Ordering::Relaxed);
        // Release: whoever sees it sees the lane freed before.
        sequence.store(before | Sequence::WRITING, Ordering::Release);
        // Release: whoever sees what follows sees the sequence.
        fence(Ordering::Release);
        key_word.store(key, Ordering::Relaxed);
        whose_word.store(whose, Ordering::Relaxed);
        // Release: pairs with Acquire in `read`.
        sequence.store(before + WRITTEN, Ordering::Release);
    }

    fn sequence(&self, slot: usize) -> usize {
        // Relaxed: only the owner writes.
        self.slots[slot][0].load(Ordering::Relaxed) / WRITTEN
    }

    fn find(&self, place: Place, key: usize) -> Option<(usize, usize)> {
        let found = self.index.find(place, Key(self, key))?;
        Some((found.lane.slot().number(), found.seen))
    }

    fn insert(&self, place: Place, key: usize, slot: usize) -> Result<bool, usize> {
        match self
            .index
            .insert(place, Spot::of(slot), Key(self, key), &mut ())
        {
            Ok(full) => Ok(full),
            Err(Refused::Present(found)) => Err(found.seen),
            Err(Refused::Crowded) => panic!("crowded"),
        }
    }
}

fn spread(key: usize) -> Place {
    Place::of_hash(key as u64)
}

fn alike(key: usize) -> Place {
    Place::of_hash(key as u64 % 2)
}

#[test]
fn half_a_million_entries_come_and_go() {
    let n = 500_000;
    let table = Table::new(n);
    for key in 0..n {
        table.write(key, key, key);
        if table.insert(spread(key), key, key) == Ok(true) {
            table.index.grow(key + 1);
        }
    }
    let buckets = table.index.bytes() / size_of::<Bucket>();
    assert!((n / 4..n * 3 / 5).contains(&buckets), "{buckets} buckets");
    for key in 0..n {
        assert_eq!(table.find(spread(key), key), Some((key, key)));
        assert_eq!(table.find(spread(key + n), key + n), None);
    }
    for key in 0..n {
        assert!(table.index.remove(
            Lane::taken(spread(key), Spot::of(key)),
            table.sequence(key),
            &mut ()
        ));
        assert!(!table.index.remove(
            Lane::taken(spread(key), Spot::of(key)),
            table.sequence(key),
            &mut ()
        ));
        assert_eq!(table.find(spread(key), key), None);
    }
    // As many again find room without more overflow buckets than there were.
    for key in 0..n {
        table.write(key, key, key);
        assert!(table.insert(spread(key), key, key).is_ok());
    }
    let after = table.index.bytes() / size_of::<Bucket>();
    assert!(after < buckets + buckets / 5);
}

proptest::proptest! {
    #[test]
    fn a_walk_misses_and_doubles_nothing_that_stays(
        stay in proptest::collection::btree_set(0usize..40, 0..20),
        first in 0usize..6,
        steps in proptest::collection::vec((0u8..8, 0usize..40), 0..100),
        all_alike: bool,
    ) {
        let place = if all_alike { alike } else { spread };
        let table = Table::new(512);
        let mut free: Vec<usize> = (0..512).collect();
        let mut map = BTreeMap::new();
        let mut put = |map: &mut BTreeMap<usize, usize>, key: usize| {
            let slot = free.pop().expect("fewer steps");
            table.write(slot, key, slot);
            if table.insert(place(key), key, slot).is_ok() {
                map.insert(key, slot);
            }
        };
        for &key in &stay {
            put(&mut map, key);
        }
        table.index.grow_to(first);
        let mut walk = table.index.walk(All(&table));
        let mut seen = Vec::new();
        let mut next = || {
            let found = walk.next(|one, other| one == other);
            seen.extend(found.map(|found| found.seen));
            found.is_some()
        };
        for (step, key) in steps {
            match step {
                0..=2 => {
                    next();
                }
                3..=5 => put(&mut map, key),
                6 if !stay.contains(&key) => {
                    if let Some(slot) = map.remove(&key) {
                        let entry = Lane::taken(place(key), Spot::of(slot));
                        assert!(table.index.remove(entry, table.sequence(slot), &mut ()));
                    }
                }
                _ => table.index.grow_to(key + 1),
            }
        }
        while next() {}
        for key in stay {
            assert_eq!(seen.iter().filter(|&&other| other == key).count(), 1, "{key} in {seen:?}");
        }
    }

    #[test]
    fn agrees_with_a_map(
        steps in proptest::collection::vec((0u8..8, 0usize..40), 0..400),
        all_alike: bool,
    ) {
        let place = if all_alike { alike } else { spread };
        let table = Table::new(512);
        let mut map = BTreeMap::new();
        let mut free: Vec<usize> = (0..512).collect();
        let mut entries = 0;
        for (step, key) in steps {
            match step {
                0..=3 => {
                    let slot = free.pop().expect("fewer steps");
                    table.write(slot, key, slot);
                    let inserted = table.insert(place(key), key, slot);
                    match map.get(&key) {
                        Some(&holder) => {
                            assert_eq!(inserted, Err(holder));
                            free.push(slot);
                        }
                        None => {
                            assert!(inserted.is_ok());
                            map.insert(key, slot);
                            entries += 1;
                        }
                    }
                }
                4 | 5 => {
                    if let Some(slot) = map.remove(&key) {
                        let entry = Lane::taken(place(key), Spot::of(slot));
                        assert!(table.index.contains(entry));
                        assert!(table.index.remove(entry, table.sequence(slot), &mut ()));
                        assert!(!table.index.contains(entry));
                        free.push(slot);
                        entries -= 1;
                    }
                }
                6 => {
                    if let Some(old) = map.get_mut(&key) {
                        let slot = free.pop().expect("fewer steps");
                        table.write(slot, key, slot);
                        assert!(table.index.replace(Lane::taken(place(key), Spot::of(*old)), Spot::of(slot), &mut ()));
                        free.push(core::mem::replace(old, slot));
                    }
                }
                _ => table.index.grow_to(entries + 1),
            }
            for key in 0..40 {
                let expected = map.get(&key).map(|&slot| (slot, slot));
                assert_eq!(table.find(place(key), key), expected);
            }
        }
    }
}

/// Chains that no batch has room for, before and after they are divided, and while they are visited.
#[test]
fn a_walk_goes_through_chains_of_any_length() {
    for (entries, grown) in [(47, 0), (49, 0), (300, 0), (49, 20), (300, 200)] {
        let table = Table::new(entries);
        for key in 0..entries {
            table.write(key, key, key);
            assert!(table.insert(alike(key), key, key).is_ok());
        }
        let mut walk = table.index.walk(All(&table));
        let mut seen = vec![0; entries];
        let mut times = 0;
        while let Some(found) = walk.next(|one, other| one == other) {
            seen[found.seen] += 1;
            times += 1;
            if times == grown {
                table.index.grow(LOAD * 10);
                let size = table.index.size();
                assert_eq!(size.buckets(), GROUP);
                for alike in [alike(0), alike(1)] {
                    let lanes = table.index.lanes(table.index.bucket(alike.bucket(size)));
                    let taken = lanes.filter(|lane| load(lane).is_taken()).count();
                    assert!((entries / 2..=entries / 2 + 1).contains(&taken), "divided");
                }
            }
        }
        assert!(seen.iter().all(|&times| times == 1), "{seen:?}");
    }
}

impl Index {
    /// Adds buckets until there are so many, which need not be whole groups.
    fn grow_to(&self, buckets: usize) {
        while self.size().buckets() < buckets {
            self.add_bucket(self.size().buckets());
        }
    }

    /// As if insertions had used up all overflow buckets but so many.
    pub(in crate::registry) fn leave_overflow(&self, left: usize) {
        let used = MOST_OVERFLOW - left;
        // Relaxed: one thread.
        self.overflowed.store(used, Ordering::Relaxed);
    }
}

/// So many are of one bucket before there are two, half of them of the other one then.
const CROWD: usize = 2 * BUCKET_LANES;

fn crowd(key: usize) -> Place {
    (0..)
        .map(Place::of_hash)
        .filter(|place| place.moves_at(0) == (key % 2 == 1))
        .nth(key / 2)
        .expect("there are many")
}

fn crowded() -> Table {
    let table = Table::new(CROWD + 1);
    table.index.leave_overflow(1);
    for key in 0..CROWD {
        table.write(key, key, key);
        assert!(table.insert(crowd(key), key, key).is_ok());
    }
    table
}

#[test]
fn insertions_are_refused_when_overflow_buckets_are_used_up() {
    let table = crowded();
    table.write(CROWD, CROWD, CROWD);
    let insert = || {
        let (place, slot) = (crowd(CROWD), Spot::of(CROWD));
        let key = Key(&table, CROWD);
        table.index.insert(place, slot, key, &mut ())
    };
    for _ in 0..3 {
        assert!(matches!(insert(), Err(Refused::Crowded)));
    }
    // Nor does the bucket split, for which another could be needed.
    table.index.grow(100 * CROWD);
    assert_eq!(table.index.size().buckets(), 1);
    assert!(matches!(insert(), Err(Refused::Crowded)));
    let gone = Lane::taken(crowd(3), Spot::of(3));
    assert!(table.index.remove(gone, table.sequence(3), &mut ()));
    assert!(insert().is_ok());
    for key in (0..=CROWD).filter(|&key| key != 3) {
        assert_eq!(table.find(crowd(key), key), Some((key, key)));
    }
}

#[test]
fn a_split_under_way_gets_the_overflow_bucket_it_needs() {
    let table = crowded();
    table.index.add_bucket(1); // as by one who found that there were some left
    assert_eq!(table.index.size().buckets(), 2);
    for key in 0..CROWD {
        assert_eq!(table.find(crowd(key), key), Some((key, key)));
    }
    let new = table.index.bucket(1);
    assert!(meta(new).is_ready() && table.index.next(new).is_some());
}

/// Buckets are told by the low bits of a place. Whatever a hasher leaves as it was, nearly all entries are among the first six of
/// their bucket.
#[test]
fn weak_hashers_do_not_crowd_buckets() {
    let n = if usize::BITS == 64 { 100_000 } else { 10_000 };
    let fnv = |key: u64| {
        let bytes = key.to_le_bytes().into_iter();
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let hashers: [(&str, &dyn Fn(u64) -> u64); 8] = [
        ("identity", &|key| key),
        ("pointers", &|key| 0x7f12_3456_0000 + 48 * key),
        ("pages", &|key| 4096 * key),
        ("upper half", &|key| key << 32),
        ("uppermost bits", &|key| key << 44),
        ("FNV", &fnv),
        ("Fx", &|key| key.wrapping_mul(0x517c_c1b7_2722_0a95)),
        ("Fibonacci", &|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    ];
    for (name, hash) in hashers {
        let size = Size::of(n / 2);
        let mut lengths = alloc::vec![0_usize; size.buckets()];
        let places = (0..n as u64).map(|key| Place::of_hash(hash(key)));
        places.for_each(|place| lengths[place.bucket(size)] += 1);
        let beyond: usize = lengths.iter().map(|length| length.saturating_sub(6)).sum();
        assert!(beyond < n / 25, "{name}: {beyond} of {n}");
    }
}
