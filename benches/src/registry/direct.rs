//! Lookups that know more than a key: many keys at once, and a name that was looked up before.

use super::keys::{Key, World, parts};
use super::peers::Bedplate;
use crate::pinned;
use std::hint::black_box;
use std::io;

/// Lookups in a sample.
const LOOKUPS: usize = 1 << 15;

/// Names that are asked in turn.
const NAMES: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookups {
    OneByOne,
    Many,
}

/// Lookups of entries that are there, under one guard; nanoseconds for each.
pub fn lookups<K: Key>(
    subject: &Bedplate<K>,
    world: &World<K>,
    how: Lookups,
    number: usize,
) -> io::Result<f64> {
    pinned::mean(1, LOOKUPS, |_, gate| {
        let handle = subject.registry.handle();
        let guard = handle.pin();
        let read = |keys: &[K::Item]| {
            let keys = keys.iter().map(K::of);
            let (mut found, mut values) = (0, 0);
            let mut note = |entry: Option<_>| {
                let Some(value) = entry else { return };
                found += 1;
                values ^= value;
            };
            match how {
                Lookups::OneByOne => {
                    keys.for_each(|key| note(guard.lookup(key).map(|entry| *entry.value())));
                }
                Lookups::Many => guard
                    .lookup_many(keys)
                    .for_each(|entry| note(entry.map(|entry| *entry.value()))),
            }
            black_box(values);
            found
        };
        let [keys, others] = parts(&world.hits, LOOKUPS, world.n, number, 0);
        read(others);
        let mut found = 0;
        let sample = gate.time(|| found = read(keys));
        assert_eq!(found, LOOKUPS);
        sample
    })
}

/// Asking names that are held, again and again; nanoseconds for each answer.
pub fn name_refs<K: Key>(subject: &Bedplate<K>, world: &World<K>) -> io::Result<f64> {
    pinned::mean(1, LOOKUPS, |_, gate| {
        let names: Vec<_> = world.hits[..NAMES]
            .iter()
            .map(|key| subject.registry.name_ref(K::own(K::of(key))))
            .collect();
        let mut owners = 0;
        let mut ask = || {
            for name in &names {
                owners ^= name.whereis().expect("it is there").to_bits();
            }
        };
        ask();
        let sample = gate.time(|| (0..LOOKUPS / NAMES).for_each(|_| ask()));
        black_box(owners);
        sample
    })
}
