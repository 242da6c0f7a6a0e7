//! Frames without an allocator, and their hand-over to another task.

use super::{Base, Entry, Frames, Store as _};

/// Frames in an array of `N` entries, which may lie on a [`Snapshot`] that another task has taken.
///
/// Every scope and every attachment takes an entry; a context holds at most `N`.
pub type FixedFrames<'a, K, V, const N: usize> = Frames<
    K,
    V,
    Option<&'a Snapshot<K, V, N>>,
    heapless::Vec<Entry<K, V, Option<&'a Snapshot<K, V, N>>>, N>,
>;

/// What a context held when it was taken, each key once: what one task hands to another.
///
/// ```
/// use bedplate_core::context::FixedFrames;
///
/// let mut sender = FixedFrames::<&str, u32, 8>::fixed();
/// let order = sender.with("job", 7, |sender| {
///     sender.with("buffer", 3, |sender| sender.snapshot(|key| *key != "buffer"))
/// });
///
/// let mut receiver = FixedFrames::<&str, u32, 8>::fixed();
/// let attached = receiver.attach(Some(&order)).expect("room");
/// assert_eq!(receiver.get(&"job"), Some(&7));
/// assert_eq!(receiver.get(&"buffer"), None);
/// receiver.detach(attached);
/// assert_eq!(receiver.get(&"job"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot<K, V, const N: usize> {
    /// Oldest first.
    entries: heapless::Vec<(K, V), N>,
}

impl<K, V, const N: usize> Snapshot<K, V, N> {
    /// Without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: heapless::Vec::new(),
        }
    }

    /// Its entries, newest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.entries.iter().rev().map(|(key, value)| (key, value))
    }
}

impl<K: PartialEq, V, const N: usize> Snapshot<K, V, N> {
    /// The value of `key`. O(entries).
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let found = self.iter().find(|(other, _)| *other == key);
        found.map(|(_, value)| value)
    }
}

impl<K, V, const N: usize> Base for Option<&Snapshot<K, V, N>> {
    fn depth(&self) -> usize {
        self.map_or(0, |snapshot| snapshot.entries.len())
    }
}

impl<'a, K: PartialEq, V, const N: usize> FixedFrames<'a, K, V, N> {
    /// An empty context.
    #[must_use]
    pub const fn fixed() -> Self {
        Self::new(heapless::Vec::new(), None, N)
    }

    /// The value of `key`, or `None` if it is not set. O(depth).
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        match self.find(key) {
            Ok(value) => Some(value),
            Err(base) => base.and_then(|snapshot| snapshot.get(key)),
        }
    }

    /// The visible entries, newest first: each key once, with its newest value. O(depth²).
    pub fn visible(&self) -> impl Iterator<Item = (&K, &V)> {
        let below = self.base().map(Snapshot::iter).into_iter().flatten();
        let all = self.iter().chain(below);
        all.clone()
            .enumerate()
            .filter_map(move |(place, (key, value))| {
                let hidden = all.clone().take(place).any(|(newer, _)| newer == key);
                (!hidden).then_some((key, value))
            })
    }

    /// The visible entries whose keys are wanted, as a value. O(depth²).
    #[must_use]
    pub fn snapshot(&self, wanted: impl Fn(&K) -> bool) -> Snapshot<K, V, N>
    where
        K: Clone,
        V: Clone,
    {
        let mut snapshot = Snapshot::new();
        let wanted = self.visible().filter(|(key, _)| wanted(key));
        for (key, value) in wanted {
            // A context has at most `N` entries, so each finds room.
            let _fits = snapshot.entries.push((key.clone(), value.clone()));
        }
        snapshot.entries.entries_mut().reverse();
        snapshot
    }
}
