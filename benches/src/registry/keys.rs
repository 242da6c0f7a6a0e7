//! The keys and the order in which they are visited.
//!
//! Keys come from a stream that lies in memory in the order of its use: reading the next key costs
//! every contender the same, next to nothing, and what is measured is the map. The order is
//! pseudo-random, and no two samples in a row read the same part of the stream, so that a large map
//! is not in the cache because it was there a moment ago.

use bedplate_core::registry::Stored;
use std::borrow::Borrow;
use std::hash::Hash;

/// How many keys a thread of its own registers and unregisters.
pub const CHURNED: usize = 1 << 15;

/// A type of keys.
pub trait Key:
    Stored<Borrowed: Hash + Ord + Sync>
    + Borrow<<Self as Stored>::Borrowed>
    + Hash
    + Ord
    + Clone
    + Send
    + Sync
    + 'static
{
    const NAME: &'static str;

    /// An element of a stream.
    type Item: Copy + Send + Sync + 'static;

    fn of(item: &Self::Item) -> &Self::Borrowed;

    fn own(key: &Self::Borrowed) -> Self;

    /// The keys of these numbers, as a stream. Different numbers have different keys.
    fn stream(numbers: impl Iterator<Item = u64> + Clone) -> Vec<Self::Item>;
}

impl Key for u64 {
    const NAME: &'static str = "u64";
    type Item = Self;

    fn of(item: &Self) -> &Self {
        item
    }

    fn own(key: &Self) -> Self {
        *key
    }

    fn stream(numbers: impl Iterator<Item = u64> + Clone) -> Vec<Self> {
        numbers.map(scramble).collect()
    }
}

impl Key for String {
    const NAME: &'static str = "string";
    type Item = &'static str;

    fn of(item: &&'static str) -> &'static str {
        item
    }

    fn own(key: &str) -> Self {
        key.to_owned()
    }

    /// Names of 16 to 36 bytes. Their text is never freed; it is some ten megabytes a stream.
    fn stream(numbers: impl Iterator<Item = u64> + Clone) -> Vec<&'static str> {
        let mut text = Self::new();
        let mut ends = Vec::new();
        for number in numbers {
            let number = scramble(number);
            let filler = number % 21;
            text.extend((0..16).map(|digit| letter(number >> (4 * digit))));
            text.extend((0..filler).map(|digit| letter(number >> (3 * digit))));
            ends.push(text.len());
        }
        let text: &'static str = text.leak();
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts
            .zip(&ends)
            .map(|(start, &end)| &text[start..end])
            .collect()
    }
}

fn letter(number: u64) -> char {
    char::from(b"abcdefghijklmnop"[(number & 15) as usize])
}

/// One of the permutations of all numbers, without a visible order (splitmix64's last step).
pub const fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// All keys for maps of one size.
pub struct World<K: Key> {
    pub n: usize,
    /// Those in the map, each once.
    pub present: Vec<K::Item>,
    /// Draws from those in the map.
    pub hits: Vec<K::Item>,
    /// Keys that are never in a map.
    pub misses: Vec<K::Item>,
    /// For each thread, keys to put into the map and to take out again.
    pub churned: [Vec<K::Item>; 2],
}

impl<K: Key> World<K> {
    pub fn new(n: usize) -> Self {
        let all = n as u64;
        // Long enough that two samples in a row read different parts.
        let draws = (4 * n as u64).clamp(1 << 18, 1 << 20);
        let drawn = (0..draws).map(|turn| scramble(turn) % all);
        let absent = 1 << 40;
        let churned = |thread: u64| {
            let first = (1_u64 << 41) + (thread << 32);
            K::stream(first..first + CHURNED as u64)
        };
        Self {
            n,
            present: K::stream(0..all),
            hits: K::stream(drawn),
            misses: K::stream(absent..absent + draws),
            churned: [churned(0), churned(1)],
        }
    }
}

/// The part of a stream that sample number `sample` of a thread reads, and another part, to bring
/// the map back into the caches, as far as it fits, after the other contenders had them.
pub fn parts<T>(stream: &[T], length: usize, n: usize, sample: usize, thread: usize) -> [&[T]; 2] {
    let warming = n.next_multiple_of(length).min(stream.len() - length);
    // They follow each other around the stream, threads half of it apart.
    let whole = length + warming;
    let places = (stream.len() - whole) / length + 1;
    let start = (3 * sample + thread * places.div_ceil(2)) % places * length;
    let (warming, read) = stream[start..start + whole].split_at(warming);
    [read, warming]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_differ_and_names_have_the_lengths_that_are_claimed() {
        let world = World::<String>::new(5_000);
        let all = world.present.iter().chain(&world.misses);
        let all = all.chain(world.churned.iter().flatten());
        assert!(all.clone().all(|key| (16..=36).contains(&key.len())));
        let different: HashSet<_> = all.clone().collect();
        assert_eq!(different.len(), all.count());
        let present: HashSet<_> = world.present.iter().collect();
        assert!(world.hits.iter().all(|key| present.contains(key)));
    }

    #[test]
    fn a_sample_does_not_warm_up_with_what_it_reads() {
        let stream: Vec<_> = (0..64).collect();
        for (n, warming) in [(1, 8), (8, 8), (9, 16), (1000, 56)] {
            for sample in 0..10 {
                for thread in 0..2 {
                    let [read, others] = parts(&stream, 8, n, sample, thread);
                    assert_eq!((read.len(), others.len()), (8, warming));
                    assert!(read.iter().all(|key| !others.contains(key)));
                }
            }
        }
    }
}
