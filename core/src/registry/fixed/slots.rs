//! The hash table under [`FixedRegistry`](super::FixedRegistry): `N` places, chained by bucket.
//!
//! ```text
//! heads   [ · 3 · · 0 · ]          a bucket's first place, or none
//!             ▼     ▼
//! places  0:(e)─►2  1:free  2:(e)  3:(e)  …     each leads to the next of its bucket, or,
//!                    ▼                          when free, to the next free one
//!                   none
//! ```
//!
//! An entry stays in its place until it is taken out, so a walk over the places may be interrupted,
//! and the table changed, between any two of them. Taking out hands the entry to the caller: no
//! destructor of a key or a value ever runs in here, where the table is in the middle of a change.
//! All zero at first.

use super::Held;
use core::borrow::Borrow;
use core::hash::{BuildHasher, BuildHasherDefault, Hash};
use core::mem;
use hash32::FnvHasher;

/// A place by its number plus one, or zero for none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Link(u32);

impl Link {
    const NONE: Self = Self(0);

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a table has at most 2^31 places"
    )]
    const fn to(place: usize) -> Self {
        Self(place as u32 + 1)
    }

    const fn place(self) -> Option<usize> {
        match self.0.checked_sub(1) {
            Some(place) => Some(place as usize),
            None => None,
        }
    }
}

struct Place<K, V> {
    /// The next place of the same bucket; of a free place that was used before, the next free one.
    next: Link,
    entry: Option<(K, Held<V>)>,
}

pub(super) struct Slots<K, V, const N: usize> {
    heads: [Link; N],
    places: [Place<K, V>; N],
    /// The first free place that was used before.
    free: Link,
    /// Places from here on were never used.
    untouched: usize,
    len: usize,
}

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
                    entry: None,
                }
            }; N],
            free: Link::NONE,
            untouched: 0,
            len: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The entries, in no useful order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Held<V>)> {
        let used = self.places[..self.untouched].iter();
        used.filter_map(|place| place.entry.as_ref())
            .map(|(key, held)| (key, held))
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&Held<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.find(key)?;
        self.places[place].entry.as_ref().map(|(_, held)| held)
    }

    pub(super) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut Held<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.find(key)?;
        self.places[place].entry.as_mut().map(|(_, held)| held)
    }

    /// Puts in an entry whose key is not there; gives it back when all places are taken.
    pub(super) fn insert(&mut self, key: K, held: Held<V>) -> Result<(), (K, Held<V>)>
    where
        K: Hash,
    {
        let bucket = bucket::<K, N>(&key);
        let place = match self.free.place() {
            Some(place) => {
                self.free = self.places[place].next;
                place
            }
            None if self.untouched < N => {
                self.untouched += 1;
                self.untouched - 1
            }
            None => return Err((key, held)),
        };
        self.places[place] = Place {
            next: self.heads[bucket],
            entry: Some((key, held)),
        };
        self.heads[bucket] = Link::to(place);
        self.len += 1;
        Ok(())
    }

    /// Takes out the entry of `key`.
    pub(super) fn take<Q>(&mut self, key: &Q) -> Option<(K, Held<V>)>
    where
        K: Borrow<Q> + Hash,
        Q: Hash + Eq + ?Sized,
    {
        let place = self.find(key)?;
        self.take_at(place)
    }

    /// Takes out the first entry in the places `from..` that `matches`, and says where it was.
    pub(super) fn take_next(
        &mut self,
        from: usize,
        mut matches: impl FnMut(&K, &Held<V>) -> bool,
    ) -> Option<(usize, (K, Held<V>))>
    where
        K: Hash,
    {
        let place = (from..self.untouched).find(|&place| {
            self.places[place]
                .entry
                .as_ref()
                .is_some_and(|(key, held)| matches(key, held))
        })?;
        self.take_at(place).map(|entry| (place, entry))
    }

    fn find<Q>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut next = self.heads[bucket::<Q, N>(key)];
        while let Some(place) = next.place() {
            let Place {
                entry,
                next: behind,
            } = &self.places[place];
            if entry
                .as_ref()
                .is_some_and(|(other, _)| other.borrow() == key)
            {
                return Some(place);
            }
            next = *behind;
        }
        None
    }

    fn take_at(&mut self, place: usize) -> Option<(K, Held<V>)>
    where
        K: Hash,
    {
        // The one call of foreign code comes first, while the table is whole.
        let bucket = bucket::<K, N>(&self.places[place].entry.as_ref()?.0);
        let behind = mem::replace(&mut self.places[place].next, self.free);
        if self.heads[bucket] == Link::to(place) {
            self.heads[bucket] = behind;
        } else {
            let mut at = self.heads[bucket];
            while let Some(before) = at.place() {
                at = self.places[before].next;
                if at == Link::to(place) {
                    self.places[before].next = behind;
                    break;
                }
            }
        }
        self.free = Link::to(place);
        self.len -= 1;
        self.places[place].entry.take()
    }
}

fn bucket<Q: Hash + ?Sized, const N: usize>(key: &Q) -> usize {
    let hash = BuildHasherDefault::<FnvHasher>::default().hash_one(key);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half is as good a hash"
    )]
    let hash = hash as usize;
    hash % N
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Pid;
    use crate::registry::Serial;
    use core::num::NonZeroU32;

    fn held(value: u32) -> Held<u32> {
        let owner = Pid::new(0, NonZeroU32::MIN);
        Held {
            owner,
            serial: Serial {
                owner: 1,
                number: 0,
            },
            value,
        }
    }

    #[test]
    fn a_table_of_one_place_is_used_again_and_again() {
        let mut slots = Slots::<u32, u32, 1>::new();
        for key in 0..100 {
            assert!(slots.insert(key, held(key)).is_ok());
            assert!(slots.insert(key + 1, held(0)).is_err());
            assert_eq!(
                slots.take(&key).map(|(key, held)| (key, held.value)),
                Some((key, key))
            );
        }
        assert_eq!(slots.len(), 0);
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec((0u8..3, 0u32..24), 0..300)) {
            let mut slots = Slots::<u32, u32, 7>::new();
            let mut map = alloc::collections::BTreeMap::new();
            for (step, key) in steps {
                match step {
                    0 | 1 if !map.contains_key(&key) => {
                        let fits = slots.insert(key, held(key)).is_ok();
                        assert_eq!(fits, map.len() < 7);
                        if fits {
                            map.insert(key, key);
                        }
                    }
                    _ => assert_eq!(slots.take(&key).map(|(key, _)| key), map.remove(&key)),
                }
                assert_eq!(slots.len(), map.len());
                for key in 0..24 {
                    assert_eq!(slots.get(&key).map(|held| held.value), map.get(&key).copied());
                }
                let mut listed: alloc::vec::Vec<_> = slots.iter().map(|(&key, _)| key).collect();
                listed.sort_unstable();
                assert!(listed.iter().eq(map.keys()));
            }
        }
    }
}
