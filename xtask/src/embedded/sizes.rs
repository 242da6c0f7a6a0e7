//! How much flash and RAM each part takes: that of a small program with it, less that of one without.

use super::elf::{Program, Sizes};
use super::{firmware, image};
use crate::failure::Failure;
use crate::shell;
use crate::toolchain::Toolchain;
use std::fmt;

/// Programs that do nothing else, of the package `bedplate-firmware-sizes`, and what they are compared with.
const PARTS: &[Part] = &[
    Part::new("ring", "nothing"),
    Part::new("nested_ring", "nothing"),
    Part::new("dedup", "nothing"),
    Part::new("events", "nothing").at_most(4 * 1024),
    Part::new("fixed", "nothing"),
    Part::new("machine", "nothing"),
    Part::new("shared_ring", "nothing").with_cas(),
    Part::new("heap", "nothing").with_cas().with_alloc(),
    Part::new("epoch", "heap")
        // It was to be 6 KiB: see docs/PLATFORMS.md.
        .at_most(22 * 1024)
        .with_cas()
        .with_alloc(),
];

const TARGETS: &[(&str, &str, bool)] = &[
    ("Cortex-M3", "thumbv7m-none-eabi", true),
    ("Cortex-M0", "thumbv6m-none-eabi", false),
    ("RV32IMC", "riscv32imc-unknown-none-elf", false),
];
/// The target that has limits.
const LIMITED: &str = "thumbv7m-none-eabi";

struct Part {
    name: &'static str,
    without: &'static str,
    needs_cas: bool,
    needs_alloc: bool,
    /// Bytes of flash.
    limit: u64,
}

impl Part {
    const fn new(name: &'static str, without: &'static str) -> Self {
        Self {
            name,
            without,
            needs_cas: false,
            needs_alloc: false,
            limit: u64::MAX,
        }
    }

    const fn with_cas(mut self) -> Self {
        self.needs_cas = true;
        self
    }

    const fn with_alloc(mut self) -> Self {
        self.needs_alloc = true;
        self
    }

    const fn at_most(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }
}

/// A table: a line for each part, with text, data and bss for each target.
pub(super) struct Table(Vec<(String, Vec<Option<Sizes>>)>);

/// Builds the programs and reads them.
pub(super) fn measure(toolchain: &Toolchain) -> Result<Table, Failure> {
    let mut rows: Vec<(String, Vec<Option<Sizes>>)> = Vec::new();
    rows.push(("a program without".to_owned(), Vec::new()));
    rows.extend(PARTS.iter().map(|part| {
        let beside = match part.without {
            "nothing" => "",
            other => &format!(", beside the {other}"),
        };
        (
            format!("{}{beside}", part.name.replace('_', " ")),
            Vec::new(),
        )
    }));
    let mut exceeded = Vec::new();
    for (_, target, has_cas) in TARGETS {
        let there = |part: &&Part| *has_cas || !part.needs_cas;
        // Apart, as with that feature every program has to bring an allocator along.
        for with_alloc in [false, true] {
            let mut command = firmware(toolchain, target, "bedplate-firmware-sizes");
            let parts = PARTS.iter().filter(there);
            let mut names: Vec<_> = parts
                .filter(|part| part.needs_alloc == with_alloc)
                .map(|part| part.name)
                .collect();
            if with_alloc {
                command.args(["--features", "alloc"]);
            } else {
                names.push("nothing");
            }
            if names.is_empty() {
                continue;
            }
            for name in names {
                command.args(["--bin", name]);
            }
            shell::run(&mut command)?;
        }
        let sizes = |name: &str| Program::read(&image(target, name)).map(|program| program.sizes());
        let nothing = sizes("nothing")?;
        rows[0].1.push(Some(nothing));
        for (row, part) in rows[1..].iter_mut().zip(PARTS) {
            if !there(&part) {
                row.1.push(None);
                continue;
            }
            let (with, without) = (sizes(part.name)?, sizes(part.without)?);
            let more = Sizes {
                text: with.text.saturating_sub(without.text),
                data: with.data.saturating_sub(without.data),
                bss: with.bss.saturating_sub(without.bss),
            };
            if *target == LIMITED && more.text + more.data > part.limit {
                exceeded.push(format!(
                    "{} takes {} bytes of flash, more than {}",
                    part.name,
                    more.text + more.data,
                    part.limit
                ));
            }
            row.1.push(Some(more));
        }
    }
    let table = Table(rows);
    if exceeded.is_empty() {
        Ok(table)
    } else {
        Err(Failure::failed(format!("{table}\n{}", exceeded.join("\n"))))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets: Vec<_> = TARGETS.iter().map(|(name, ..)| *name).collect();
        writeln!(f, "| text / data / bss | {} |", targets.join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(targets.len()))?;
        for (what, cells) in &self.0 {
            write!(f, "| {what} |")?;
            for cell in cells {
                match cell {
                    Some(Sizes { text, data, bss }) => write!(f, " {text} / {data} / {bss} |")?,
                    None => write!(f, " – |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
