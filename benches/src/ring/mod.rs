//! Event rings against other rings and queues. A record is 64 bytes, of which ours has seven words and
//! the stamp.
//!
//! | case | what is timed |
//! |---|---|
//! | `push` | into a ring that overwrites, while nobody reads; the floor is a copy into a vector |
//! | `push beside` | the same by two threads, each into a ring of its own, against one alone |
//! | `reject` | a push into a full ring that refuses |
//! | `push pop` | 64 pushes, then 64 reads, by one thread; for each pair |
//! | `shared push` | into one ring that overwrites, by one writer and by two at once |
//! | `bytes` | of a ring with 1,024 slots, as allocated |

mod peers;

use crate::harness::{Contender, Row, Settings, Table, interleave};
use crate::memory;
use peers::{
    Array, Concurrent, Copies, Ours, OursInBatches, OursNested, OursRejecting, OursShared, Ring,
    RingBuf, Rtrb, Spsc, Thing,
};
use std::io;

/// Slots of every ring.
const SLOTS: usize = 1024;
/// Records written before they are read, where they are.
const BURST: usize = 64;

const FLOOR: &str = "memcpy";
const OURS: &str = "bedplate one writer";
const OURS_SHARED: &str = "bedplate shared";
const ALONE: &str = "bedplate one writer alone";
const RTRB: &str = "rtrb";
const ARRAY_QUEUE: &str = "ArrayQueue";

/// Measures the group's cases.
pub fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    let mut group = Group { settings, table };
    group.compare(
        "push",
        1,
        FLOOR,
        vec![
            (FLOOR, Box::new(|n| peers::pushes(1, n, Copies::new))),
            (OURS, Box::new(|n| peers::pushes(1, n, Ours::new))),
            (
                "bedplate nested",
                Box::new(|n| peers::pushes(1, n, OursNested::new)),
            ),
            (
                OURS_SHARED,
                Box::new(|n| peers::pushes(1, n, OursShared::new)),
            ),
            (ARRAY_QUEUE, Box::new(|n| peers::pushes(1, n, Array::new))),
            (
                "concurrent-queue",
                Box::new(|n| peers::pushes(1, n, Concurrent::new)),
            ),
        ],
    )?;
    group.beside()?;
    group.compare(
        "reject",
        1,
        FLOOR,
        vec![
            (FLOOR, Box::new(|n| peers::pushes(1, n, Copies::new))),
            (OURS, Box::new(peers::rejects::<OursRejecting>)),
            (RTRB, Box::new(peers::rejects::<Rtrb>)),
            ("heapless spsc", Box::new(peers::rejects::<Spsc>)),
            ("ringbuf", Box::new(peers::rejects::<RingBuf>)),
            (ARRAY_QUEUE, Box::new(peers::rejects::<Array>)),
            ("thingbuf", Box::new(peers::rejects::<Thing>)),
        ],
    )?;
    group.compare(
        "push pop",
        1,
        RTRB,
        vec![
            (FLOOR, Box::new(peers::pairs::<Copies>)),
            (OURS, Box::new(peers::pairs::<Ours>)),
            (
                "bedplate in batches",
                Box::new(peers::pairs::<OursInBatches>),
            ),
            (
                "bedplate rejecting",
                Box::new(peers::pairs::<OursRejecting>),
            ),
            ("bedplate nested", Box::new(peers::pairs::<OursNested>)),
            (OURS_SHARED, Box::new(peers::pairs::<OursShared>)),
            (RTRB, Box::new(peers::pairs::<Rtrb>)),
            ("heapless spsc", Box::new(peers::pairs::<Spsc>)),
            ("ringbuf", Box::new(peers::pairs::<RingBuf>)),
            (ARRAY_QUEUE, Box::new(peers::pairs::<Array>)),
            ("concurrent-queue", Box::new(peers::pairs::<Concurrent>)),
            ("thingbuf", Box::new(peers::pairs::<Thing>)),
        ],
    )?;
    for threads in [1, 2] {
        group.compare(
            "shared push",
            threads,
            ARRAY_QUEUE,
            vec![
                (
                    OURS_SHARED,
                    Box::new(move |n| peers::shared::<OursShared>(threads, n)),
                ),
                (
                    ARRAY_QUEUE,
                    Box::new(move |n| peers::shared::<Array>(threads, n)),
                ),
                (
                    "concurrent-queue",
                    Box::new(move |n| peers::shared::<Concurrent>(threads, n)),
                ),
            ],
        )?;
    }
    group.bytes();
    Ok(())
}

/// Takes a sample of so many operations: nanoseconds for each.
type Run = Box<dyn Fn(usize) -> io::Result<f64>>;

/// What the cases have in common.
struct Group<'a> {
    settings: &'a Settings,
    table: &'a mut Table,
}

impl Group<'_> {
    fn rounds(&self) -> usize {
        self.settings.pick(9, 21)
    }

    fn operations(&self) -> usize {
        self.settings.pick(1 << 16, 1 << 20)
    }

    fn compare(
        &mut self,
        case: &str,
        threads: usize,
        reference: &str,
        runs: Vec<(&'static str, Run)>,
    ) -> io::Result<()> {
        if !self.settings.wants(case) {
            return Ok(());
        }
        let operations = self.operations();
        let mut contenders: Vec<_> = runs
            .iter()
            .map(|(name, run)| Contender {
                name: (*name).into(),
                run: Box::new(move || run(operations)),
            })
            .collect();
        let measured = interleave(self.rounds(), &mut contenders)?;
        for (name, _) in &runs {
            let row = row(case, threads, name);
            self.table
                .add(row.with(&measured, name, reference, reference));
        }
        Ok(())
    }

    /// Two writers, each with a ring of his own, against one.
    fn beside(&mut self) -> io::Result<()> {
        const CASE: &str = "push beside";
        if !self.settings.wants(CASE) {
            return Ok(());
        }
        let operations = self.operations();
        let mut contenders = [(ALONE, 1), (OURS, 2)].map(|(name, threads)| Contender {
            name: name.into(),
            run: Box::new(move || peers::pushes(threads, operations, Ours::new)),
        });
        let measured = interleave(self.rounds(), &mut contenders)?;
        for (name, threads) in [(ALONE, 1), (OURS, 2)] {
            let row = row(CASE, threads, name);
            self.table.add(row.with(&measured, name, ALONE, ALONE));
        }
        Ok(())
    }

    /// One measurement of each: it always gives the same.
    fn bytes(&mut self) {
        const CASE: &str = "bytes";
        if !self.settings.wants(CASE) {
            return;
        }
        let uses = [
            (FLOOR, memory::count(Copies::new)),
            (OURS, memory::count(Ours::new)),
            ("bedplate nested", memory::count(OursNested::new)),
            (OURS_SHARED, memory::count(OursShared::new)),
            (RTRB, memory::count(Rtrb::new)),
            ("heapless spsc", memory::count(Spsc::new)),
            ("ringbuf", memory::count(RingBuf::new)),
            (ARRAY_QUEUE, memory::count(Array::new)),
            ("concurrent-queue", memory::count(Concurrent::new)),
            ("thingbuf", memory::count(Thing::new)),
        ];
        let floor = uses[0].1.live;
        for (name, used) in uses {
            let mut row = row(CASE, 1, name);
            (row.median, row.min) = (used.live, used.live);
            row.ratio = Some((used.live / floor, FLOOR.into()));
            row.unit = Some("B");
            self.table.add(row);
        }
    }
}

fn row(case: &str, threads: usize, contender: &str) -> Row {
    Row {
        group: "ring",
        case: case.into(),
        threads,
        n: SLOTS as u64,
        contender: contender.into(),
        median: f64::NAN,
        min: f64::NAN,
        ratio: None,
        best: None,
        unit: None,
    }
}
