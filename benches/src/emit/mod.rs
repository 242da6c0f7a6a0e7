//! What an event costs that is suppressed, one that passes and is stored, and one that is told to nobody or a handler.
//!
//! bedplate takes the time as an argument: here it is a tick that another part of the program would publish, a word that is
//! loaded for every event, or the processor's counter where a case says "stamp". Its peers read the clocks they have.

mod beam;
mod passing;
mod suppressed;
mod telling;

use crate::harness::{Contender, Row, Settings, Table, interleave};
use crate::memory;
use bedplate_core::clock::Instant;
use bedplate_core::dedup::SharedDedupWindow;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a window is in the cases of suppressed events: longer than a run.
const LONG: Duration = Duration::from_secs(3_600);

/// The capacity whose memory is told.
const KEYS: usize = 1_024;

/// What a part of the program that reads the clock would publish.
static TICK: AtomicU64 = AtomicU64::new(1_000);

/// The time, as it was published last.
#[inline]
fn tick() -> Instant {
    Instant::from_nanos(TICK.load(Ordering::Relaxed))
}

/// The processor's counter, or the system's clock where there is none that may be read.
#[inline]
fn counter() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        use std::sync::LazyLock;
        static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
        START.elapsed().as_nanos() as u64
    }
}

pub fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    suppressed::run(settings, table)?;
    passing::run(settings, table)?;
    telling::run(settings, table)?;
    beam::run(settings, table)?;
    if settings.wants("bytes") {
        bytes(table);
    }
    Ok(())
}

/// One case: its contenders take turns, and each is compared with the references.
fn compare(
    (case, threads, n): (&str, usize, usize),
    settings: &Settings,
    table: &mut Table,
    mut contenders: Vec<Contender<'_>>,
    references: &[&str],
) -> io::Result<()> {
    eprintln!("{case}, {threads} threads");
    let names: Vec<_> = contenders.iter().map(|it| it.name.clone()).collect();
    let measured = interleave(settings.pick(7, 31), &mut contenders)?;
    for name in &names {
        for reference in references {
            let (median, min, ratio) = measured.figures(name, reference);
            table.add(Row {
                group: "emit",
                case: case.into(),
                threads,
                n: n as u64,
                contender: name.clone(),
                median,
                min,
                ratio: Some((ratio, (*reference).into())),
                best: None,
                unit: None,
            });
            // What is no contender of ours is compared with the first one only.
            if !name.starts_with("bedplate") {
                break;
            }
        }
    }
    Ok(())
}

/// A contender of a case.
fn contender<'a>(name: &str, run: impl FnMut() -> io::Result<f64> + 'a) -> Contender<'a> {
    Contender {
        name: name.into(),
        run: Box::new(run),
    }
}

/// What a window of so many keys takes, by the number of sources that count.
fn bytes(table: &mut Table) {
    fn shared<const SOURCES: usize>() -> f64 {
        memory::count(|| Box::new(SharedDedupWindow::<{ KEYS / 4 }, SOURCES>::new(LONG))).live
    }
    let plain = memory::count(|| Box::new(bedplate_core::dedup::DedupWindow::<KEYS>::new(LONG)));
    let maps = suppressed::footprints(KEYS);
    let own = [
        ("bedplate, shared, no source", shared::<0>()),
        ("bedplate, shared, one source", shared::<1>()),
        ("bedplate, shared, four sources", shared::<4>()),
        ("bedplate, of one context", plain.live),
    ];
    for (contender, bytes) in own.into_iter().chain(maps) {
        table.add(Row {
            group: "emit",
            case: "bytes".into(),
            threads: 1,
            n: KEYS as u64,
            contender: contender.into(),
            median: bytes,
            min: bytes,
            ratio: None,
            best: None,
            unit: Some("bytes"),
        });
    }
}
