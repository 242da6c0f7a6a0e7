//! All contenders for keys of one type, behind one face.

use super::growth::{Growth, footprint, grow};
use super::keys::{Key, World};
use super::peers::{
    Array, Bedplate, DashMap, Flurry, Hashbrown, Leapfrog, LeftRight, Papaya, ReadWriteLock,
    SccHashIndex, SccHashMap,
};
use super::samples::{self, Guard, Outcome};
use super::subject::{Kind, Subject, fill_and_tidy};
use crate::memory;
use std::io;

/// One contender: what it is, and how to make one.
pub struct Peer<K: Key> {
    pub name: &'static str,
    pub under_one_guard: Option<&'static str>,
    pub kind: Kind,
    pub filled: fn(&World<K>) -> Box<dyn Filled<K>>,
    pub grow: fn(&World<K>) -> io::Result<Growth>,
    pub footprint: fn(&World<K>) -> memory::Use,
}

impl<K: Key> Peer<K> {
    fn of<S: Subject<K> + 'static>() -> Self {
        Self {
            name: S::NAME,
            under_one_guard: S::UNDER_ONE_GUARD,
            kind: S::KIND,
            filled: |world| {
                let subject = S::new(world.n);
                fill_and_tidy(subject.session(), world);
                Box::new(subject)
            },
            grow: grow::<K, S>,
            footprint: footprint::<K, S>,
        }
    }

    /// How many threads may use it at once.
    pub fn threads(&self) -> usize {
        match self.kind {
            Kind::Ours | Kind::General | Kind::Special => 2,
            Kind::Floor | Kind::ReadOnlyFloor => 1,
        }
    }
}

/// A map with all of a world's keys in it. The last arguments are the number of threads and that of
/// the sample.
pub trait Filled<K: Key> {
    fn lookups(
        &self,
        world: &World<K>,
        what: (Outcome, Guard),
        threads: usize,
        number: usize,
    ) -> io::Result<f64>;

    fn sample(
        &self,
        world: &World<K>,
        what: Case,
        threads: usize,
        number: usize,
    ) -> io::Result<f64>;
}

/// What is measured of a filled map, besides lookups alone.
#[derive(Clone, Copy, Debug)]
pub enum Case {
    Pair,
    Mix,
    BesideAWriter,
    List,
}

impl<K: Key, S: Subject<K>> Filled<K> for S {
    fn lookups(
        &self,
        world: &World<K>,
        what: (Outcome, Guard),
        threads: usize,
        number: usize,
    ) -> io::Result<f64> {
        samples::lookups(self, world, what, threads, number)
    }

    fn sample(
        &self,
        world: &World<K>,
        what: Case,
        threads: usize,
        number: usize,
    ) -> io::Result<f64> {
        match what {
            Case::Pair => samples::pairs(self, world, threads, number),
            Case::Mix => samples::mix(self, world, threads, number),
            Case::BesideAWriter => samples::beside_a_writer(self, world, threads, number),
            Case::List => samples::list(self, world, threads, number),
        }
    }
}

/// A type of keys, and who can be measured with it.
pub trait Field: Key {
    fn peers() -> Vec<Peer<Self>>;
}

impl Field for u64 {
    fn peers() -> Vec<Peer<Self>> {
        let mut peers = vec![Peer::of::<Array>(), Peer::of::<Leapfrog>()];
        peers.extend(for_any_keys());
        peers
    }
}

impl Field for String {
    fn peers() -> Vec<Peer<Self>> {
        for_any_keys()
    }
}

fn for_any_keys<K: Key>() -> Vec<Peer<K>> {
    vec![
        Peer::of::<Hashbrown<K>>(),
        Peer::of::<Bedplate<K>>(),
        Peer::of::<Papaya<K>>(),
        Peer::of::<SccHashIndex<K>>(),
        Peer::of::<SccHashMap<K>>(),
        Peer::of::<DashMap<K>>(),
        Peer::of::<Flurry<K>>(),
        Peer::of::<ReadWriteLock<K>>(),
        Peer::of::<LeftRight<K>>(),
    ]
}
