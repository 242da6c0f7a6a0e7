//! Compares the rows a benchmark run wrote with the figures to reach.
//!
//! `benches/targets.toml` holds one `[[target]]` a figure:
//!
//! ```toml
//! [[target]]
//! group = "registry"          # of the row
//! case = "lookup hit u64"     # of the row
//! threads = 1                 # of the row; any, when left out
//! n = 1000                    # of the row; any, when left out
//! contender = "bedplate"      # the beginning of the row's; "bedplate" when left out
//! reference = "papaya"        # of the row; any, when left out
//! measure = "ratio"           # or "median_ns", or "min_ns", in the row's own unit where it has one;
//!                             # "ratio" when left out
//! at_most = 0.6
//! ```
//!
//! Every row that fits is compared. A target no row fits is reported as not measured; whether that
//! is an error depends on what was run, so it is not one.

use crate::failure::Failure;
use crate::shell;
use core::fmt;
use lexopt::{Arg, Parser};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn run(mut arguments: Parser) -> Result<(), Failure> {
    let mut files = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(file) => files.push(PathBuf::from(file)),
            other => return Err(other.unexpected().into()),
        }
    }
    if files.is_empty() {
        return Err(Failure::usage(
            "name the files that `benches --json FILE` wrote",
        ));
    }
    let path = shell::root().join("benches/targets.toml");
    let targets = parse_targets(&read(&path)?)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let mut rows = Vec::new();
    for file in &files {
        let parsed = parse_rows(&read(file)?)
            .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
        rows.extend(parsed);
    }
    let mut missed = 0;
    for target in &targets {
        let verdicts = target.verdicts(&rows);
        if verdicts.is_empty() {
            println!("unmeasured  {target}");
        }
        for verdict in verdicts {
            println!("{verdict}  {target}");
            missed += usize::from(!verdict.is_met());
        }
    }
    if missed == 0 {
        Ok(())
    } else {
        Err(Failure::failed(format!(
            "{missed} figures miss their target"
        )))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    target: Vec<Target>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    group: String,
    case: String,
    threads: Option<u64>,
    n: Option<u64>,
    #[serde(default = "ours")]
    contender: String,
    reference: Option<String>,
    #[serde(default)]
    measure: Measure,
    at_most: f64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Measure {
    #[default]
    Ratio,
    MedianNs,
    MinNs,
}

/// A line of the benchmarks' output, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Row {
    group: String,
    case: String,
    threads: Option<u64>,
    n: Option<u64>,
    contender: String,
    median_ns: Option<f64>,
    min_ns: Option<f64>,
    ratio: Option<f64>,
    reference: Option<String>,
}

/// What one row says about a target.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Verdict {
    value: f64,
    at_most: f64,
}

impl Target {
    /// The verdict of every row that fits and has the measure.
    fn verdicts(&self, rows: &[Row]) -> Vec<Verdict> {
        rows.iter()
            .filter(|row| self.fits(row))
            .filter_map(|row| {
                let value = match self.measure {
                    Measure::Ratio => row.ratio,
                    Measure::MedianNs => row.median_ns,
                    Measure::MinNs => row.min_ns,
                }?;
                Some(Verdict {
                    value,
                    at_most: self.at_most,
                })
            })
            .collect()
    }

    fn fits(&self, row: &Row) -> bool {
        self.group == row.group
            && self.case == row.case
            && (self.threads.is_none() || self.threads == row.threads)
            && (self.n.is_none() || self.n == row.n)
            && (self.reference.is_none() || self.reference == row.reference)
            && row.contender.starts_with(&self.contender)
    }
}

impl Verdict {
    fn is_met(self) -> bool {
        self.value <= self.at_most
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.group, self.case)?;
        if let Some(threads) = self.threads {
            write!(f, ", {threads} threads")?;
        }
        if let Some(n) = self.n {
            write!(f, ", n = {n}")?;
        }
        match (self.measure, &self.reference) {
            (Measure::Ratio, Some(reference)) => {
                write!(f, ": at most {} of {reference}", self.at_most)
            }
            (Measure::Ratio, None) => write!(f, ": ratio at most {}", self.at_most),
            (Measure::MedianNs, _) => write!(f, ": median at most {}", self.at_most),
            (Measure::MinNs, _) => write!(f, ": minimum at most {}", self.at_most),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.value / self.at_most - 1.0) * 100.0;
        if self.is_met() {
            write!(f, "met    {:>10.3} ({percent:+.0} %)", self.value)
        } else {
            write!(f, "MISSED {:>10.3} ({percent:+.0} %)", self.value)
        }
    }
}

fn ours() -> String {
    "bedplate".into()
}

fn parse_targets(text: &str) -> Result<Vec<Target>, String> {
    toml::from_str::<File>(text)
        .map(|file| file.target)
        .map_err(|error| error.to_string())
}

/// One JSON object a line; empty lines are nothing.
fn parse_rows(text: &str) -> Result<Vec<Row>, String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", index + 1))
        })
        .collect()
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = r#"
        [[target]]
        group = "ring"
        case = "push"
        reference = "memcpy"
        at_most = 1.6

        [[target]]
        group = "context"
        case = "get"
        threads = 1
        measure = "min_ns"
        at_most = 3.0
    "#;

    const ROWS: &str = r#"
        {"group":"ring","case":"push","threads":1,"n":64,"contender":"bedplate","median_ns":2.0,"min_ns":1.9,"ratio":1.5,"reference":"memcpy"}
        {"group":"ring","case":"push","threads":2,"n":64,"contender":"bedplate","median_ns":4.0,"min_ns":3.9,"ratio":3.2,"reference":"memcpy"}
        {"group":"ring","case":"push","threads":1,"n":64,"contender":"rtrb","median_ns":1.6,"min_ns":1.6,"ratio":9.0,"reference":"memcpy"}
        {"group":"ring","case":"push","threads":1,"n":64,"contender":"bedplate","median_ns":4.0,"min_ns":3.9,"ratio":9.0,"reference":"rtrb"}
        {"group":"context","case":"get","threads":2,"n":1,"contender":"bedplate","median_ns":2.0,"min_ns":2.0,"ratio":1.0,"reference":"floor"}
        {"group":"logwatch","case":"memory","threads":2,"n":1,"contender":"bedplate","unit":"MB","ratio":1.0,"reference":"limit"}
    "#;

    #[test]
    fn only_our_rows_with_the_same_reference_and_threads_are_judged() {
        let targets = parse_targets(TARGETS).unwrap();
        let rows = parse_rows(ROWS).unwrap();
        let ring = targets[0].verdicts(&rows);
        assert_eq!(
            ring.iter().map(|v| v.is_met()).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(targets[1].verdicts(&rows), []);
        assert_eq!(ring[1].to_string(), "MISSED      3.200 (+100 %)");
    }

    #[test]
    fn a_misspelt_field_of_a_target_is_an_error() {
        let misspelt = TARGETS.replace("threads", "thread");
        assert!(
            parse_targets(&misspelt)
                .unwrap_err()
                .contains("unknown field")
        );
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        assert!(parse_rows("{}\n").unwrap_err().starts_with("line 1:"));
    }
}
