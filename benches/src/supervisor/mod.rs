//! Supervisors, against threads that are started again by hand and against supervisors of tasks.
//!
//! | case | figure |
//! |---|---|
//! | `restart` | from a crash until the body runs again, one death told: a loop of panics, see [`restart`] |
//! | `start and stop` | a child that is started, and asked to stop: all of them, one after the other, see [`many`] |
//! | `memory heap`, `resident`, `page tables`, `kernel stacks` | for each child that waits, see [`memory`] |
//! | `children` | a whole listing while another child is restarted without a pause, see [`many`] |
//! | `monitors` | a `Down` of many monitors of one target, until all have been received, see [`many`] |
//!
//! Threads are not pinned: where they are put is part of what a restart costs. What is compared at several sizes has
//! its reference in itself at the least size: linear is a ratio of one. A sample that finds its work not done is an error.

mod many;
mod memory;
mod restart;
mod tasks;

use crate::harness::{Contender, Row, Settings, Table, interleave};
use std::io;

const BEDPLATE: &str = "bedplate";
const RAW: &str = "raw thread";

/// A name, a size, and what takes a sample.
type AtSize<'a> = (
    &'static str,
    usize,
    Box<dyn FnMut() -> io::Result<f64> + 'a>,
);

/// Measures the group's cases.
pub fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    // Crashes are what is measured; printing them is not.
    std::panic::set_hook(Box::new(|_| ()));
    bedplate::process::limit_threads(12_000);
    if settings.wants("restart") {
        restart::run(settings, table)?;
    }
    many::run(settings, table)?;
    memory::run(settings, table)
}

/// What was asked for is done, or the sample is none.
fn check(what: &str, wanted: usize, found: usize) -> io::Result<()> {
    if wanted == found {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "{what}: {found} and not {wanted}"
        )))
    }
}

/// Contenders of several sizes take turns. Each row is compared with the reference of the same size, and with the same
/// contender of the least size.
fn compare_sizes(
    case: &str,
    rounds: usize,
    table: &mut Table,
    contenders: Vec<AtSize<'_>>,
    reference: &str,
) -> io::Result<()> {
    eprintln!("{case}");
    let called = |name: &str, n: usize| format!("{name} of {n}");
    let known: Vec<_> = contenders.iter().map(|&(name, n, _)| (name, n)).collect();
    let least = known.iter().map(|&(_, n)| n).min().unwrap_or_default();
    let mut contenders: Vec<_> = contenders
        .into_iter()
        .map(|(name, n, run)| Contender {
            name: called(name, n),
            run,
        })
        .collect();
    let measured = interleave(rounds, &mut contenders)?;
    for (name, n) in known {
        let row = || Row {
            group: "supervisor",
            case: case.into(),
            threads: 1,
            n: n as u64,
            contender: name.into(),
            median: 0.0,
            min: 0.0,
            ratio: None,
            best: None,
            unit: None,
        };
        let own = called(name, n);
        table.add(row().with(&measured, &own, &called(reference, n), reference));
        if n > least {
            table.add(row().with(&measured, &own, &called(name, least), "its least size"));
        }
    }
    Ok(())
}
