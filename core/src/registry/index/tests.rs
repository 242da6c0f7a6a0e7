//! The index over slots of one key each, against a map; and torn at by threads.

use super::*;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

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
        let next = sequence.load(Ordering::Relaxed) + 1;
        // Release: whoever sees it sees the lane freed before.
        sequence.store(next, Ordering::Release);
        // Release: whoever sees what follows sees the sequence.
        fence(Ordering::Release);
        key_word.store(key, Ordering::Relaxed);
        whose_word.store(whose, Ordering::Relaxed);
        // Release: pairs with Acquire in `read`.
        sequence.store(next + 1, Ordering::Release);
    }

    fn sequence(&self, slot: usize) -> usize {
        // Relaxed: only the owner writes.
        self.slots[slot][0].load(Ordering::Relaxed) / 2
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
                _ => table.index.grow(4 * entries + 4),
            }
            for key in 0..40 {
                let expected = map.get(&key).map(|&slot| (slot, slot));
                assert_eq!(table.find(place(key), key), expected);
            }
        }
    }
}
