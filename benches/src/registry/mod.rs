//! The registry against concurrent maps that could be used as one.
//!
//! | case | figure |
//! |---|---|
//! | `hit`, `miss` | a lookup |
//! | `pair` | registering one name and unregistering another |
//! | `mix` | an operation, of nine lookups to one write |
//! | `reader beside writer` | a lookup while another thread writes |
//! | `list` | an entry of a whole listing, after the writes |
//! | `lookup many` | a lookup, of many at once, against one by one |
//! | `name ref` | an answer of a name that was looked up before |
//! | `owner release of` 1, 10, 100, 1000 | a name of an owner that goes with all its names |
//! | `unregister one of n` | a name of an owner that has 2,000, against one that has 2 |
//! | `grow longest`, `p99.9`, `processor` | an insertion while the map grows from nothing |
//! | `bytes`, `bytes peak` | memory for each entry, afterwards and at most meanwhile |
//! | `beam` ... | against Elixir's Registry, where there is an `elixir`: see [`beam`] |
//!
//! The name of a case ends with the type of its keys, `u64` or `string`. Keys are visited as
//! [`keys`] tells, samples are taken as [`samples`] and [`pinned`](crate::pinned) tell; a contender
//! is a file of [`peers`].

mod beam;
mod direct;
mod field;
mod growth;
mod keys;
mod owners;
mod peers;
mod samples;
mod subject;

use crate::harness::{Contender, Row, Settings, Table, interleave};
use crate::pinned;
use direct::Lookups;
use field::{Case, Field, Filled, Peer};
use keys::{Key, World};
use peers::{Bedplate, Papaya};
use samples::{Guard, Outcome};
use std::io;
use subject::{Kind, Subject, fill_and_tidy};

/// The one ratios are to, where nothing else is said.
const REFERENCE: &str = "papaya";

/// Instead of the name of a reference: the general-purpose map with the least median.
const BEST: &str = "best peer";

/// Instead of the name of a reference: the contender itself on one thread.
const ALONE: &str = "one thread";

/// Instead of the name of a reference: what the contender itself keeps when it has grown.
const LIVE: &str = "live";

const LOOKUPS: [(&str, Outcome); 2] = [("hit", Outcome::Hit), ("miss", Outcome::Miss)];

/// What else is measured of filled maps, on how many threads. The writes leave traces: what is listed
/// is a map that has been in use.
const OTHERS: [(&str, Case, &[usize]); 4] = [
    ("reader beside writer", Case::BesideAWriter, &[2]),
    ("mix", Case::Mix, &[1, 2]),
    ("pair", Case::Pair, &[1, 2]),
    ("list", Case::List, &[1]),
];

/// Names of an owner that is released.
const OWNERS_NAMES: [usize; 4] = [1, 10, 100, 1000];

const UNREGISTER: &str = "unregister one of n";

/// Measures the group's cases.
pub fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    let sizes: &[usize] = settings.pick(&[1_000, 100_000], &[1_000, 100_000, 1_000_000]);
    for &n in sizes {
        let largest = sizes.last() == Some(&n);
        measure::<u64>(settings, table, n, largest)?;
        measure::<String>(settings, table, n, largest)?;
    }
    beam::run(settings, table)
}

/// All cases with so many keys of one type.
fn measure<K: Field>(
    settings: &Settings,
    table: &mut Table,
    n: usize,
    largest: bool,
) -> io::Result<()> {
    let mut group = Group {
        settings,
        table,
        world: &World::<K>::new(n),
        peers: &K::peers(),
        processors: pinned::processors()?,
    };
    group.filled()?;
    group.direct()?;
    if largest {
        group.owners()?;
    }
    if n >= 100_000 {
        group.growth()?;
    }
    group.bytes();
    Ok(())
}

/// One of the things that are measured while a map grows.
type Figure = fn(&growth::Growth) -> f64;

/// What the cases of one size and one type of keys have in common.
struct Group<'a, K: Field> {
    settings: &'a Settings,
    table: &'a mut Table,
    world: &'a World<K>,
    peers: &'a [Peer<K>],
    processors: usize,
}

/// A contender on so many threads.
struct Lane<'a> {
    name: &'static str,
    kind: Kind,
    /// Not what a caller does who makes one call at a time.
    under_one_guard: bool,
    threads: usize,
    /// Takes the sample of a number.
    run: Box<dyn Fn(usize) -> io::Result<f64> + 'a>,
}

impl<K: Field> Group<'_, K> {
    fn case(&self, name: &str) -> Option<String> {
        wanted::<K>(self.settings, name, self.world.n)
    }

    fn rounds(&self) -> usize {
        let full = if self.world.n < 1_000_000 { 9 } else { 7 };
        self.settings.pick(5, full)
    }

    /// The cases that are measured of maps with everything in them.
    fn filled(&mut self) -> io::Result<()> {
        let names = LOOKUPS.iter().map(|(name, _)| name);
        let names = names.chain(OTHERS.iter().map(|(name, ..)| name));
        let wanted = |name: &&str| self.settings.wants(&format!("{name} {}", K::NAME));
        if !names.into_iter().any(wanted) {
            return Ok(());
        }
        let world = self.world;
        let maps: Vec<_> = self
            .peers
            .iter()
            .map(|peer| (peer, (peer.filled)(world)))
            .collect();
        // Before the cases that write: some maps are slower to read after them.
        for (name, outcome) in LOOKUPS {
            if let Some(case) = self.case(name) {
                let lanes = maps.iter().flat_map(|(peer, map)| {
                    lookup_lanes(peer, map.as_ref(), world, outcome, self.processors)
                });
                self.compare(&case, lanes.collect())?;
            }
        }
        for (name, what, threads) in OTHERS {
            if let Some(case) = self.case(name) {
                let mut lanes = Vec::new();
                for (peer, map) in &maps {
                    for &threads in threads {
                        if threads > peer.threads().min(self.processors)
                            || peer.kind == Kind::ReadOnlyFloor
                        {
                            continue;
                        }
                        lanes.push(Lane {
                            name: peer.name,
                            kind: peer.kind,
                            under_one_guard: false,
                            threads,
                            run: Box::new(move |number| map.sample(world, what, threads, number)),
                        });
                    }
                }
                self.compare(&case, lanes)?;
            }
        }
        Ok(())
    }

    /// Lets lanes take turns, and reports each of them.
    fn compare(&mut self, case: &str, lanes: Vec<Lane<'_>>) -> io::Result<()> {
        let label = |name: &str, threads: usize| format!("{name} on {threads}");
        let mut contenders: Vec<_> = lanes
            .iter()
            .map(|lane| {
                let mut number = 0;
                Contender {
                    name: label(lane.name, lane.threads),
                    run: Box::new(move || {
                        number += 1;
                        (lane.run)(number)
                    }),
                }
            })
            .collect();
        let measured = interleave(self.rounds(), &mut contenders)?;
        for lane in &lanes {
            let Lane { name, threads, .. } = *lane;
            let own = label(name, threads);
            let reference = label(REFERENCE, threads);
            let row = self.row(case, threads, name);
            self.table
                .add(row.with(&measured, &own, &reference, REFERENCE));
            if lane.kind != Kind::Ours || lane.under_one_guard {
                continue;
            }
            let rivals = lanes.iter().filter(|rival| {
                rival.kind == Kind::General && !rival.under_one_guard && rival.threads == threads
            });
            let best = rivals
                .map(|rival| (rival.name, label(rival.name, threads)))
                .min_by(|(_, a), (_, b)| {
                    let [a, b] = [a, b].map(|rival| measured.figures(rival, rival).0);
                    a.total_cmp(&b)
                });
            if let Some((best, label)) = best {
                let mut row = self
                    .row(case, threads, name)
                    .with(&measured, &own, &label, BEST);
                row.best = Some(best.into());
                self.table.add(row);
            }
            let is_a_lookup = LOOKUPS
                .iter()
                .any(|(name, _)| case.split(' ').next() == Some(name));
            if threads > 1 && is_a_lookup {
                let row = self.row(case, threads, name);
                self.table
                    .add(row.with(&measured, &own, &label(name, 1), ALONE));
            }
        }
        Ok(())
    }

    /// Lookups only we have.
    fn direct(&mut self) -> io::Result<()> {
        const MANY: &str = "bedplate lookup_many";
        const ONE_BY_ONE: &str = "bedplate one by one";
        const NAME_REF: &str = "bedplate NameRef";
        let (many, name_ref) = (self.case("lookup many"), self.case("name ref"));
        if many.is_none() && name_ref.is_none() {
            return Ok(());
        }
        let world = self.world;
        let ours = Bedplate::<K>::new(world.n);
        fill_and_tidy(ours.session(), world);
        if let Some(case) = many {
            let ways = [(MANY, Lookups::Many), (ONE_BY_ONE, Lookups::OneByOne)];
            let mut contenders = ways.map(|(name, how)| {
                let (ours, mut number) = (&ours, 0);
                Contender {
                    name: name.into(),
                    run: Box::new(move || {
                        number += 1;
                        direct::lookups(ours, world, how, number)
                    }),
                }
            });
            let measured = interleave(self.rounds(), &mut contenders)?;
            for (name, _) in ways {
                let row = self.row(&case, 1, name);
                self.table
                    .add(row.with(&measured, name, ONE_BY_ONE, ONE_BY_ONE));
            }
        }
        if let Some(case) = name_ref {
            let mut contenders = [Contender {
                name: NAME_REF.into(),
                run: Box::new(|| direct::name_refs(&ours, world)),
            }];
            let measured = interleave(self.rounds(), &mut contenders)?;
            let row = self.row(&case, 1, NAME_REF);
            self.table
                .add(row.with(&measured, NAME_REF, NAME_REF, NAME_REF));
        }
        Ok(())
    }

    /// The cases only a registry with owners has.
    fn owners(&mut self) -> io::Result<()> {
        const OURS: &str = "bedplate";
        const ONE_BY_ONE: &str = "papaya one by one";
        const OF_MANY: &str = "bedplate one of 2000";
        const OF_TWO: &str = "bedplate one of 2";
        let world = self.world;
        let wants = |name: &str| self.settings.wants(&format!("{name} {}", K::NAME));
        let releases = OWNERS_NAMES.map(|names| format!("owner release of {names}"));
        if !wants(UNREGISTER) && !releases.iter().any(|name| wants(name)) {
            return Ok(());
        }
        let rounds = self.rounds();
        let ours = Bedplate::<K>::new(world.n);
        fill_and_tidy(ours.session(), world);
        let papaya = Papaya::<K>::new(world.n);
        fill_and_tidy(papaya.session(), world);
        for (names, name) in OWNERS_NAMES.into_iter().zip(releases) {
            if let Some(case) = self.case(&name) {
                let mut contenders = [
                    Contender {
                        name: OURS.into(),
                        run: Box::new(|| owners::release(&ours, world, names)),
                    },
                    Contender {
                        name: ONE_BY_ONE.into(),
                        run: Box::new(|| owners::remove_each(&papaya, world)),
                    },
                ];
                let measured = interleave(rounds, &mut contenders)?;
                for name in [OURS, ONE_BY_ONE] {
                    let row = self.row(&case, 1, name);
                    self.table
                        .add(row.with(&measured, name, ONE_BY_ONE, ONE_BY_ONE));
                }
            }
        }
        if let Some(case) = self.case(UNREGISTER) {
            let mut contenders = [(OF_MANY, 2000), (OF_TWO, 2)].map(|(name, names)| Contender {
                name: name.into(),
                run: Box::new({
                    let ours = &ours;
                    move || owners::unregister_one(ours, world, names)
                }),
            });
            let measured = interleave(rounds, &mut contenders)?;
            for name in [OF_MANY, OF_TWO] {
                let row = self.row(&case, 1, name);
                self.table.add(row.with(&measured, name, OF_TWO, OF_TWO));
            }
        }
        Ok(())
    }

    fn growth(&mut self) -> io::Result<()> {
        let parts: [(&str, Figure); 3] = [
            ("grow longest", |growth| growth.longest),
            ("grow p99.9", |growth| growth.nearly_longest),
            ("grow processor", |growth| growth.processor),
        ];
        let parts: Vec<_> = parts
            .into_iter()
            .filter_map(|(name, figure)| Some((self.case(name)?, figure)))
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        let (world, peers) = (self.world, self.peers);
        let growing = || peers.iter().filter(|peer| peer.kind != Kind::ReadOnlyFloor);
        let mut contenders: Vec<_> = growing()
            .map(|peer| Contender {
                name: peer.name.into(),
                run: Box::new(|| (peer.grow)(world)),
            })
            .collect();
        let measured = interleave(self.settings.pick(3, 5), &mut contenders)?;
        for (case, figure) in parts {
            let measured = measured.each(figure);
            for peer in growing() {
                let row = self.row(&case, 1, peer.name);
                self.table
                    .add(row.with(&measured, peer.name, REFERENCE, REFERENCE));
            }
        }
        Ok(())
    }

    /// One measurement of each: it always gives the same.
    fn bytes(&mut self) {
        let (live, peak) = (self.case("bytes"), self.case("bytes peak"));
        if live.is_none() && peak.is_none() {
            return;
        }
        let growing = self
            .peers
            .iter()
            .filter(|peer| peer.kind != Kind::ReadOnlyFloor);
        let entries = self.world.n as f64;
        let uses: Vec<_> = growing
            .map(|peer| (peer.name, (peer.footprint)(self.world)))
            .collect();
        let reference = uses.iter().find(|(name, _)| *name == REFERENCE);
        for &(name, used) in &uses {
            let figures = [
                (
                    &live,
                    used.live,
                    reference.map_or(f64::NAN, |(_, it)| it.live),
                    REFERENCE,
                ),
                (&peak, used.peak, used.live, LIVE),
            ];
            for (case, bytes, of, reference) in figures {
                if let Some(case) = case {
                    let mut row = self.row(case, 1, name);
                    row.median = bytes / entries;
                    row.min = row.median;
                    row.ratio = Some((bytes / of, reference.into()));
                    row.unit = Some("bytes");
                    self.table.add(row);
                }
            }
        }
    }

    /// A row without figures.
    fn row(&self, case: &str, threads: usize, contender: &str) -> Row {
        row(case, threads, self.world.n, contender)
    }
}

/// The name of a case with keys of one type, which is announced, if it is to be measured.
fn wanted<K: Key>(settings: &Settings, name: &str, n: usize) -> Option<String> {
    let case = format!("{name} {}", K::NAME);
    let wanted = settings.wants(&case);
    if wanted {
        eprintln!("{case}, n = {n}");
    }
    wanted.then_some(case)
}

/// A row without figures.
fn row(case: &str, threads: usize, n: usize, contender: &str) -> Row {
    Row {
        group: "registry",
        case: case.into(),
        threads,
        n: n as u64,
        contender: contender.into(),
        median: f64::NAN,
        min: f64::NAN,
        ratio: None,
        best: None,
        unit: None,
    }
}

/// A contender's lookups: on one thread and on two, with a guard for each and with one over several.
fn lookup_lanes<'a, K: Field>(
    peer: &'a Peer<K>,
    map: &'a dyn Filled<K>,
    world: &'a World<K>,
    outcome: Outcome,
    processors: usize,
) -> Vec<Lane<'a>> {
    if peer.kind == Kind::ReadOnlyFloor && outcome == Outcome::Miss {
        return Vec::new();
    }
    let mut lanes = Vec::new();
    for threads in 1..=peer.threads().min(processors) {
        let guards = [
            (Some(peer.name), Guard::PerCall),
            (peer.under_one_guard, Guard::Held),
        ];
        for (name, guard) in guards {
            lanes.extend(name.map(|name| Lane {
                name,
                kind: peer.kind,
                under_one_guard: guard == Guard::Held,
                threads,
                run: Box::new(move |number| map.lookups(world, (outcome, guard), threads, number)),
            }));
        }
    }
    lanes
}
