//! Rounds, ratios and rows.
//!
//! Contenders take turns: every round runs each of them once, in an order that changes from round to
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
    /// Whether a case is to be measured: all are, or this one by its name or by the first words of it.
    pub fn wants(&self, case: &str) -> bool {
        self.case.as_deref().is_none_or(|wanted| {
            case.strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })
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
    /// Which contender the reference was, where its name says only what it is the best of.
    pub best: Option<String>,
    /// Nanoseconds unless said.
    pub unit: Option<&'static str>,
}

impl Row {
    /// The figures of `own`, with their ratio to those of `reference`, which is called `name`.
    pub fn with(mut self, measured: &Measured, own: &str, reference: &str, name: &str) -> Self {
        let (median, min, ratio) = measured.figures(own, reference);
        self.median = median;
        self.min = min;
        self.ratio = Some((ratio, name.into()));
        self
    }
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

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
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
            if let Some(best) = &row.best {
                value["best"] = json!(best);
            }
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
        let width = |heading: &str, column: fn(&Row) -> &str| {
            let widths = self.rows.iter().map(|row| column(row).chars().count());
            widths.chain([heading.len()]).max().unwrap_or_default()
        };
        let of_case = width("case", |row| &row.case);
        let of_contender = width("contender", |row| &row.contender);
        writeln!(
            f,
            "{:<9} {:<of_case$} {:>7} {:>9} {:<of_contender$} {:>12} {:>12}",
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
                best,
                unit,
            } = row;
            let unit = unit.unwrap_or("ns");
            write!(
                f,
                "{group:<9} {case:<of_case$} {threads:>7} {n:>9} {contender:<of_contender$} \
                 {median:>9.1} {unit} {min:>9.1} {unit}"
            )?;
            if let Some((ratio, reference)) = ratio {
                write!(f, "  {ratio:.3} of {reference}")?;
            }
            if let Some(best) = best {
                write!(f, ", {best}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// One that is measured: its name, and a run that says how long one operation took, in nanoseconds,
/// or several figures at once.
pub struct Contender<'a, T = f64> {
    pub name: String,
    pub run: Box<dyn FnMut() -> io::Result<T> + 'a>,
}

/// What the rounds gave.
#[derive(Debug)]
pub struct Measured<T = f64> {
    /// For each contender, its name and what each round gave.
    results: Vec<(String, Vec<T>)>,
}

/// Lets the contenders take turns for `rounds` rounds.
pub fn interleave<T>(
    rounds: usize,
    contenders: &mut [Contender<'_, T>],
) -> io::Result<Measured<T>> {
    let count = contenders.len();
    let mut results: Vec<_> = contenders
        .iter()
        .map(|contender| (contender.name.clone(), Vec::with_capacity(rounds)))
        .collect();
    let steps: Vec<_> = (1..=count).filter(|&step| gcd(step, count) == 1).collect();
    for round in 0..rounds {
        for turn in 0..count {
            let index = (turn * steps[round % steps.len()] + round) % count;
            results[index].1.push((contenders[index].run)()?);
        }
    }
    Ok(Measured { results })
}

/// The greatest common divisor.
const fn gcd(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl<T> Measured<T> {
    /// One figure of what was measured.
    pub fn each(&self, figure: impl Fn(&T) -> f64) -> Measured {
        let results = self
            .results
            .iter()
            .map(|(name, results)| (name.clone(), results.iter().map(&figure).collect()))
            .collect();
        Measured { results }
    }
}

impl Measured {
    /// Median and minimum of a contender, and the ratio to a reference.
    pub fn figures(&self, contender: &str, reference: &str) -> (f64, f64, f64) {
        let [own, others] = [contender, reference].map(|name| {
            let found = self.results.iter().find(|(known, _)| *known == name);
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
            let name = name.to_owned();
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

    #[test]
    fn nobody_always_runs_after_the_same_one() {
        let order = std::cell::RefCell::new(Vec::new());
        let mut contenders: Vec<_> = (0..6_usize)
            .map(|index| Contender {
                name: index.to_string(),
                run: Box::new({
                    let order = &order;
                    move || {
                        order.borrow_mut().push(index);
                        Ok(())
                    }
                }),
            })
            .collect();
        interleave(4, &mut contenders).expect("nothing fails");
        drop(contenders);
        let order = order.into_inner();
        let mut before_first: Vec<_> = Vec::new();
        for round in order.chunks(6) {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
            let place = round.iter().position(|&index| index == 0);
            before_first.push(
                place
                    .and_then(|place| place.checked_sub(1))
                    .map(|it| round[it]),
            );
        }
        before_first.dedup();
        assert!(before_first.len() > 1, "{order:?}");
    }

    #[test]
    fn a_case_is_chosen_by_its_first_words() {
        let settings = Settings {
            quick: true,
            case: Some("list".into()),
        };
        assert!(settings.wants("list") && settings.wants("list u64"));
        assert!(!settings.wants("lists u64") && !settings.wants("hit u64"));
    }
}
