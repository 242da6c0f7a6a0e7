//! Rounds, ratios and rows.
//!
//! Contenders take turns: every round runs each of them once, and the order rotates from round to
//! round, so that no contender always runs after the same other one. A ratio is the median, over
//! rounds, of contender ÷ reference in the same round: what slows a whole round down cancels out.

use serde_json::json;
use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

/// What the command line asked for.
pub struct Settings {
    pub quick: bool,
    pub case: Option<String>,
}

impl Settings {
    /// Whether a case is to be measured.
    pub fn wants(&self, case: &str) -> bool {
        self.case.as_deref().is_none_or(|wanted| wanted == case)
    }

    /// One of two numbers: the first with `--quick`.
    pub fn pick<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// One result.
#[derive(Debug)]
pub struct Row {
    pub group: &'static str,
    pub case: String,
    pub threads: usize,
    pub n: u64,
    pub contender: String,
    pub median: f64,
    pub min: f64,
    /// Median, over rounds, of contender ÷ reference; with the reference's name.
    pub ratio: Option<(f64, String)>,
    /// Nanoseconds unless said.
    pub unit: Option<&'static str>,
}

/// All results of a run.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// One JSON object a line.
    pub fn write_json(&self, file: &Path) -> io::Result<()> {
        let mut out = io::BufWriter::new(std::fs::File::create(file)?);
        for row in &self.rows {
            let mut value = json!({
                "group": row.group,
                "case": row.case,
                "threads": row.threads,
                "n": row.n,
                "contender": row.contender,
                "median_ns": row.median,
                "min_ns": row.min,
                "ratio": row.ratio.as_ref().map(|(ratio, _)| ratio),
                "reference": row.ratio.as_ref().map(|(_, reference)| reference),
            });
            if let Some(unit) = row.unit {
                value["unit"] = json!(unit);
            }
            writeln!(out, "{value}")?;
        }
        out.flush()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:<12} {:>7} {:>11} {:<24} {:>12} {:>12}  ratio",
            "group", "case", "threads", "n", "contender", "median", "min"
        )?;
        for row in &self.rows {
            let Row {
                group,
                case,
                threads,
                n,
                contender,
                median,
                min,
                ratio,
                unit,
            } = row;
            let unit = unit.unwrap_or("ns");
            write!(
                f,
                "{group:<12} {case:<12} {threads:>7} {n:>11} {contender:<24} {median:>9.1} {unit} \
                 {min:>9.1} {unit}"
            )?;
            match ratio {
                Some((ratio, reference)) => writeln!(f, "  {ratio:.3} of {reference}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// One that is measured: its name, and a run that says how long one operation took, in nanoseconds.
pub struct Contender<'a> {
    pub name: &'static str,
    pub run: Box<dyn FnMut() -> io::Result<f64> + 'a>,
}

/// What the rounds gave.
pub struct Measured {
    /// For each contender, its name and one figure a round.
    figures: Vec<(&'static str, Vec<f64>)>,
}

/// Lets the contenders take turns for `rounds` rounds.
pub fn interleave(rounds: usize, contenders: &mut [Contender<'_>]) -> io::Result<Measured> {
    let mut figures: Vec<_> = contenders
        .iter()
        .map(|contender| (contender.name, vec![0.0; rounds]))
        .collect();
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            figures[index].1[round] = (contenders[index].run)()?;
        }
    }
    Ok(Measured { figures })
}

impl Measured {
    /// Median and minimum of a contender, and the ratio to a reference.
    pub fn figures(&self, contender: &str, reference: &str) -> (f64, f64, f64) {
        let [own, others] = [contender, reference].map(|name| {
            let found = self.figures.iter().find(|(known, _)| *known == name);
            &found.unwrap_or_else(|| panic!("{name} was not measured")).1
        });
        let ratios = own
            .iter()
            .zip(others)
            .map(|(own, other)| own / other)
            .collect();
        let least = own.iter().copied().fold(f64::INFINITY, f64::min);
        (median(own.clone()), least, median(ratios))
    }
}

/// The middle of the figures; of an even number, the mean of the middle two.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_rotate_and_ratios_are_taken_within_a_round() {
        let order = std::cell::RefCell::new(Vec::new());
        let contender = |name: &'static str, figures: [f64; 3]| {
            let mut figures = figures.into_iter();
            let order = &order;
            let run = Box::new(move || {
                order.borrow_mut().push(name);
                Ok(figures.next().expect("three rounds"))
            });
            Contender { name, run }
        };
        let mut contenders = [
            contender("a", [1.0, 30.0, 2.0]),
            contender("b", [2.0, 40.0, 4.0]),
        ];
        let measured = interleave(3, &mut contenders).expect("nothing fails");
        assert_eq!(measured.figures("a", "b"), (2.0, 1.0, 0.5));
        drop(contenders);
        assert_eq!(order.into_inner(), ["a", "b", "b", "a", "a", "b"]);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
