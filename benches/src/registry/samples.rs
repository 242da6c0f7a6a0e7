//! One sample of each case: so many operations on one filled map, timed.
//!
//! Every sample asserts that its operations did what they should: a lookup that misses is not a fast
//! hit.

use super::keys::{CHURNED, Key, World, parts};
use super::subject::{Session, Subject, expect, find_each};
use crate::pinned::{self, Gate, Sample};
use std::io;

/// Lookups of a thread in a sample.
const LOOKUPS: usize = 1 << 15;

/// Under one guard, where it is held over several.
const UNDER_ONE_GUARD: usize = 64;

/// How many of a thread's own names are there at once while it registers and unregisters.
const WINDOW: usize = 256;

/// Lookups after each single write in the mix of nine to one.
const LOOKUPS_A_WRITE: usize = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    PerCall,
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Hit,
    Miss,
}

/// Lookups that all hit or all miss; nanoseconds each.
pub fn lookups<K: Key, S: Subject<K>>(
    subject: &S,
    world: &World<K>,
    (outcome, guard): (Outcome, Guard),
    threads: usize,
    number: usize,
) -> io::Result<f64> {
    let (stream, expected) = match outcome {
        Outcome::Hit => (&world.hits, LOOKUPS),
        Outcome::Miss => (&world.misses, 0),
    };
    pinned::mean(threads, LOOKUPS, |thread, gate| {
        let mut session = subject.session();
        let mut read = |keys: &[K::Item]| match guard {
            Guard::PerCall => find_each(&mut session, keys),
            Guard::Held => keys
                .chunks(UNDER_ONE_GUARD)
                .map(|keys| session.find_under_one_guard(keys))
                .sum(),
        };
        let [keys, others] = parts(stream, LOOKUPS, world.n, number, thread);
        read(others);
        let mut found = 0;
        let sample = gate.time(|| found = read(keys));
        expect(&session, found == expected);
        sample
    })
}

/// Registering one name and unregistering another, again and again; nanoseconds for both.
pub fn pairs<K: Key, S: Subject<K>>(
    subject: &S,
    world: &World<K>,
    threads: usize,
    _: usize,
) -> io::Result<f64> {
    pinned::mean(threads, CHURNED - WINDOW, |thread, gate| {
        let mut session = subject.session();
        let keys = &world.churned[thread];
        churn(&mut session, &keys[..CHURNED / 4], |run| run());
        let mut sample = None;
        churn(&mut session, keys, |run| sample = Some(gate.time(run)));
        sample.expect("churned once")
    })
}

/// Nine lookups to each write, every other of which registers and the next unregisters; nanoseconds
/// for each of the ten.
pub fn mix<K: Key, S: Subject<K>>(
    subject: &S,
    world: &World<K>,
    threads: usize,
    number: usize,
) -> io::Result<f64> {
    const BLOCK: usize = 2 * LOOKUPS_A_WRITE;
    const BLOCKS: usize = LOOKUPS / BLOCK;
    pinned::mean(threads, BLOCKS * (BLOCK + 2), |thread, gate| {
        let mut session = subject.session();
        let [keys, others] = parts(&world.hits, LOOKUPS, world.n, number, thread);
        find_each(&mut session, others);
        let own = &world.churned[thread][..BLOCKS + WINDOW];
        insert_each(&mut session, &own[..WINDOW]);
        let (mut found, mut written) = (0, 0);
        let sample = gate.time(|| {
            let writes = own.iter().zip(&own[WINDOW..]);
            for (block, (last, first)) in keys.chunks_exact(BLOCK).zip(writes) {
                let (before, after) = block.split_at(LOOKUPS_A_WRITE);
                written += usize::from(session.insert(K::of(first), 0));
                found += find_each(&mut session, before);
                written += usize::from(session.remove(K::of(last)));
                found += find_each(&mut session, after);
            }
        });
        remove_each(&mut session, &own[BLOCKS..]);
        expect(&session, (found, written) == (BLOCKS * BLOCK, 2 * BLOCKS));
        sample
    })
}

/// Lookups while another thread registers and unregisters without a pause; nanoseconds each.
pub fn beside_a_writer<K: Key, S: Subject<K>>(
    subject: &S,
    world: &World<K>,
    _: usize,
    number: usize,
) -> io::Result<f64> {
    let samples = pinned::sample(2, |thread, gate| {
        let mut session = subject.session();
        let sample = if thread == 0 {
            let [keys, others] = parts(&world.hits, LOOKUPS, world.n, number, thread);
            find_each(&mut session, others);
            let mut found = 0;
            let sample = gate.time(|| found = find_each(&mut session, keys));
            expect(&session, found == LOOKUPS);
            sample
        } else {
            churn_until_over(&mut session, &world.churned[thread], gate)
        };
        (sample, ())
    })?;
    Ok(samples[0].0.per(LOOKUPS))
}

/// A whole listing; nanoseconds for each entry.
pub fn list<K: Key, S: Subject<K>>(
    subject: &S,
    world: &World<K>,
    threads: usize,
    _: usize,
) -> io::Result<f64> {
    let listings = (LOOKUPS / world.n).max(1);
    pinned::mean(threads, listings * world.n, |_, gate| {
        let mut session = subject.session();
        let (mut entries, mut owners) = (0, 0);
        let mut visit = |owner| {
            entries += 1;
            owners ^= owner;
        };
        session.list(&mut visit);
        let sample = gate.time(|| (0..listings).for_each(|_| session.list(&mut visit)));
        std::hint::black_box(owners);
        expect(&session, entries == (listings + 1) * world.n);
        sample
    })
}

/// Registers every key and unregisters it [`WINDOW`] registrations later. What `time` is given is
/// all but the first registrations and the last removals.
fn churn<K: Key, S: Session<K>>(
    session: &mut S,
    keys: &[K::Item],
    time: impl FnOnce(&mut dyn FnMut()),
) {
    insert_each(session, &keys[..WINDOW]);
    let mut done = 0;
    time(&mut || {
        for (last, first) in keys.iter().zip(&keys[WINDOW..]) {
            done += usize::from(session.insert(K::of(first), 0));
            done += usize::from(session.remove(K::of(last)));
        }
    });
    expect(session, done == 2 * (keys.len() - WINDOW));
    remove_each(session, &keys[keys.len() - WINDOW..]);
}

/// The same, round and round, until another thread is through.
fn churn_until_over<K: Key, S: Session<K>>(
    session: &mut S,
    keys: &[K::Item],
    gate: &Gate,
) -> Sample {
    insert_each(session, &keys[..WINDOW]);
    let mut last = 0;
    let mut done = true;
    let sample = gate.time(|| {
        while !gate.is_over() {
            done &= session.insert(K::of(&keys[(last + WINDOW) % keys.len()]), 0);
            done &= session.remove(K::of(&keys[last]));
            last = (last + 1) % keys.len();
        }
    });
    expect(session, done);
    let left: Vec<_> = (last..last + WINDOW)
        .map(|index| keys[index % keys.len()])
        .collect();
    remove_each(session, &left);
    sample
}

pub fn insert_each<K: Key, S: Session<K>>(session: &mut S, keys: &[K::Item]) {
    for key in keys {
        let inserted = session.insert(K::of(key), 0);
        expect(session, inserted);
    }
}

fn remove_each<K: Key, S: Session<K>>(session: &mut S, keys: &[K::Item]) {
    for key in keys {
        let removed = session.remove(K::of(key));
        expect(session, removed);
    }
}
