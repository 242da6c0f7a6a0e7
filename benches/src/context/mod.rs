//! The context against what else carries values along: OpenTelemetry's, log-mdc's, a span's.
//!
//! | case | figure |
//! |---|---|
//! | `with` | one value for one call, over a context of two: enter and leave |
//! | `get` | the oldest of four values |
//! | `set` | two values, in a scope |
//! | `hand over` | captured, attached and detached, as another thread would; four values |
//! | `hand over first` | the same of a context that nobody has captured before |
//! | `error` | an error made and dropped, with the context of two values in it |
//! | `disabled` | an event that no filter wants, with and without the bridge |
//! | `line` | a line written by `tracing`'s formatter to nowhere, in a scope that lasts |
//! | `line in its scope` | the same, in a scope of two values for each line |
//! | `beam with`, `beam get` | `with` and `get` against Logger's metadata, where Elixir is installed |
//!
//! All of one thread. Contenders are in [`values`] and [`lines`].

pub mod beam;
mod lines;
mod values;

use crate::harness::{Contender, Row, Settings, Table, interleave};
use crate::pinned::{self, Gate, Sample};
use std::io;

/// A contender's name, and what times its operations once.
type Sampled = (&'static str, fn(&Gate) -> Sample);

/// What is compared in a case, and with whom.
struct Case {
    name: &'static str,
    /// Operations of a sample.
    n: usize,
    contenders: &'static [Sampled],
    /// Those whom ratios are to.
    references: &'static [&'static str],
}

/// Measures the group's cases.
pub fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    let cases = values::CASES.iter().chain(lines::CASES);
    for case in cases.filter(|case| settings.wants(case.name)) {
        let rounds = settings.pick(7, 25);
        let mut contenders: Vec<_> = case
            .contenders
            .iter()
            .map(|&(name, run)| Contender {
                name: name.to_owned(),
                run: Box::new(move || pinned::mean(1, case.n, |_, gate| run(gate))),
            })
            .collect();
        let measured = interleave(rounds, &mut contenders)?;
        for &(contender, _) in case.contenders {
            let is_ours = contender.starts_with("bedplate");
            let references = if is_ours {
                case.references
            } else {
                &case.references[..1]
            };
            for &reference in references {
                let (median, min, ratio) = measured.figures(contender, reference);
                table.add(Row {
                    group: "context",
                    case: case.name.into(),
                    threads: 1,
                    n: case.n as u64,
                    contender: contender.into(),
                    median,
                    min,
                    ratio: Some((ratio, reference.into())),
                    best: None,
                    unit: None,
                });
            }
        }
    }
    beam::run(values::BEAM, settings, table)
}
