//! From nothing to `n` entries: how long a single insertion takes, what all of them cost, and how
//! much memory they need.

use super::keys::{Key, World};
use super::subject::{NAMES_OF_AN_OWNER, Session, Subject, fill};
use crate::{memory, pinned};
use std::io;
use std::time::Instant;

/// How one map grew once.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// The longest single insertion, in nanoseconds.
    pub longest: f64,
    /// What all but one in a thousand insertions stay below.
    pub nearly_longest: f64,
    /// Processor time for each insertion, in another run, in which they are not timed one by one.
    pub processor: f64,
}

/// Lets one map grow, twice. The times of single insertions include reading the clock, some twenty
/// nanoseconds.
pub fn grow<K: Key, S: Subject<K>>(world: &World<K>) -> io::Result<Growth> {
    let [(whole, ())] = single(pinned::sample(1, |_, gate| {
        let subject = S::new(world.n);
        let mut session = subject.session();
        (gate.time(|| fill(&mut session, world)), ())
    })?);
    let [(_, mut times)] = single(pinned::sample(1, |_, gate| {
        let subject = S::new(world.n);
        let mut session = subject.session();
        // Written to once, so that no page of it is new to the system while the clock runs.
        let mut times = vec![u32::MAX; world.n];
        let sample = gate.time(|| time_each::<K, _>(&mut session, world, &mut times));
        (sample, times)
    })?);
    times.sort_unstable();
    Ok(Growth {
        longest: times[world.n - 1].into(),
        nearly_longest: times[world.n - 1 - world.n / 1000].into(),
        processor: whole.cpu.as_nanos() as f64 / world.n as f64,
    })
}

fn time_each<K: Key, S: Session<K>>(session: &mut S, world: &World<K>, times: &mut [u32]) {
    let owners = world.present.chunks(NAMES_OF_AN_OWNER);
    for (keys, times) in owners.zip(times.chunks_mut(NAMES_OF_AN_OWNER)) {
        let mut before = Instant::now();
        for (key, time) in keys.iter().zip(times) {
            session.insert(K::of(key), 0);
            let now = Instant::now();
            *time = u32::try_from((now - before).as_nanos()).unwrap_or(u32::MAX);
            before = now;
        }
        session.settle();
    }
}

fn single<T>(samples: Vec<T>) -> [T; 1] {
    let taken: Result<[T; 1], _> = samples.try_into();
    taken.unwrap_or_else(|_| unreachable!("one thread gives one sample"))
}

/// What one map of `n` entries keeps allocated, and the most it had allocated while it grew.
pub fn footprint<K: Key, S: Subject<K>>(world: &World<K>) -> memory::Use {
    memory::count(|| {
        let subject = S::new(world.n);
        let mut session = subject.session();
        fill(&mut session, world);
        session.tidy();
        drop(session);
        subject
    })
}
