//! What a child that waits takes, in the program and in the kernel.
//!
//! The heap is what the allocator was asked for, as [`memory`](crate::memory) counts it. The rest is told by the kernel, before and
//! after: resident pages (with those of the heap and of the stack that were touched), page tables, and the
//! kernel's own stacks; the last is a figure of the whole machine, so on a busy one it is a rough one. Reserved
//! addresses take no memory and are not counted.

use super::many::{raw_waiting, waiting};
use super::{BEDPLATE, RAW};
use crate::harness::{Contender, Row, Settings, Table, interleave};
use crate::memory;
use std::{fs, io};

/// The figures of one, in bytes for each child.
type Figures = [f64; 4];

const CASES: [&str; 4] = [
    "memory heap",
    "memory resident",
    "memory page tables",
    "memory kernel stacks",
];

pub(super) fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    if !CASES.iter().any(|case| settings.wants(case)) && !settings.wants("memory") {
        return Ok(());
    }
    eprintln!("memory");
    let n = settings.pick(500, 4_000);
    let mut contenders = [
        Contender {
            name: BEDPLATE.into(),
            run: Box::new(|| measure(n, waiting, |it| drop(it.shutdown()))),
        },
        Contender {
            name: RAW.into(),
            run: Box::new(|| {
                measure(n, raw_waiting, |children| {
                    let (stops, children): (Vec<_>, Vec<_>) = children.into_iter().unzip();
                    drop(stops);
                    // A panic in one of them has nothing to do with what they take.
                    children.into_iter().for_each(|child| drop(child.join()));
                })
            }),
        },
    ];
    let measured = interleave(settings.pick(3, 5), &mut contenders)?;
    for (index, case) in CASES.iter().enumerate() {
        let measured = measured.each(|figures: &Figures| figures[index]);
        for contender in [BEDPLATE, RAW] {
            let row = Row {
                group: "supervisor",
                case: (*case).into(),
                threads: 1,
                n: n as u64,
                contender: contender.into(),
                median: 0.0,
                min: 0.0,
                ratio: None,
                best: None,
                unit: Some("bytes"),
            };
            table.add(row.with(&measured, contender, RAW, RAW));
        }
    }
    Ok(())
}

fn measure<T>(
    n: usize,
    start: impl FnOnce(usize) -> io::Result<T>,
    stop: impl FnOnce(T),
) -> io::Result<Figures> {
    let before = kernel()?;
    let mut started = Ok(None);
    let mut after = None;
    let heap = memory::count(|| {
        started = start(n).map(Some);
        after = Some(kernel());
    });
    let after = after.unwrap_or_else(kernel)?;
    if let Some(children) = started? {
        stop(children);
    }
    let each = |bytes: f64| bytes / n as f64;
    let [resident, tables, stacks] = [0, 1, 2].map(|index| each(after[index] - before[index]));
    Ok([each(heap.live), resident, tables, stacks])
}

/// Bytes of resident pages, of page tables, and of kernel stacks.
fn kernel() -> io::Result<[f64; 3]> {
    let status = fs::read_to_string("/proc/self/status")?;
    let machine = fs::read_to_string("/proc/meminfo")?;
    let figure = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes
            .map(|kilobytes| kilobytes * 1024.0)
            .ok_or_else(|| io::Error::other(format!("the kernel does not tell {name}")))
    };
    Ok([
        figure(&status, "VmRSS:")?,
        figure(&status, "VmPTE:")?,
        figure(&machine, "KernelStack:")?,
    ])
}
