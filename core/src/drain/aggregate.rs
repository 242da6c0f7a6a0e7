//! Values summed up by key.

use heapless::Vec;

/// What is known of the values of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Aggregate {
    /// The key.
    pub key: u64,
    /// How many values there were; at least one.
    pub count: u64,
    /// Their sum. Never wrong: it has room for 2⁶⁴ of them.
    pub sum: u128,
    /// The least of them.
    pub min: u64,
    /// The greatest of them.
    pub max: u64,
    /// The last of them.
    pub last: u64,
}

impl Aggregate {
    const fn of(key: u64, value: u64) -> Self {
        Self {
            key,
            count: 1,
            sum: value as u128,
            min: value,
            max: value,
            last: value,
        }
    }

    /// Adds a later value.
    pub fn add(&mut self, value: u64) {
        self.count += 1;
        self.sum += u128::from(value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.last = value;
    }

    /// Adds what is known of later values of the same key.
    pub fn merge(&mut self, later: &Self) {
        self.count += later.count;
        self.sum += later.sum;
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.last = later.last;
    }
}

/// Values summed up for at most `K` keys, by the keys' order.
///
/// A value whose key has no room is not added, and counted. Adding is O(log K), a new key O(K).
///
/// ```
/// use bedplate_core::drain::Aggregates;
///
/// let mut latencies = Aggregates::<2>::new();
/// for (key, value) in [(1, 30), (2, 7), (1, 10), (3, 1)] {
///     latencies.add(key, value);
/// }
/// let first = latencies.get(1).expect("there were two");
/// assert_eq!((first.count, first.sum, first.min, first.max, first.last), (2, 40, 10, 30, 10));
/// assert_eq!(latencies.left_out(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Aggregates<const K: usize> {
    of_keys: Vec<Aggregate, K>,
    left_out: u64,
}

impl<const K: usize> Aggregates<K> {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            of_keys: Vec::new(),
            left_out: 0,
        }
    }

    /// Adds a value; says whether its key had room.
    pub fn add(&mut self, key: u64, value: u64) -> bool {
        let place = self
            .of_keys
            .binary_search_by_key(&key, |aggregate| aggregate.key);
        let added = match place {
            Ok(at) => {
                self.of_keys[at].add(value);
                true
            }
            Err(at) => self.of_keys.insert(at, Aggregate::of(key, value)).is_ok(),
        };
        self.left_out += u64::from(!added);
        added
    }

    /// What is known of a key.
    #[must_use]
    pub fn get(&self, key: u64) -> Option<&Aggregate> {
        let place = self
            .of_keys
            .binary_search_by_key(&key, |aggregate| aggregate.key);
        place.ok().map(|at| &self.of_keys[at])
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Aggregate> {
        self.of_keys.iter()
    }

    /// How many values had a key without room.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Forgets all, to be used again.
    pub fn clear(&mut self) {
        self.of_keys.clear();
        self.left_out = 0;
    }
}
