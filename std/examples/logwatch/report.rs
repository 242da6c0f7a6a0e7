//! What it comes to: the report at the end.

use crate::output::shown;
use crate::worker::Totals;
use bedplate_core::ring::Stats;
use core::fmt;
use core::time::Duration;
use serde_json::{Value, json};

/// All that is reported.
pub(crate) struct Report {
    pub(crate) sources: Vec<SourceReport>,
    pub(crate) took: Duration,
    pub(crate) names: Names,
    pub(crate) events: Vec<Stats>,
}

/// One source.
pub(crate) struct SourceReport {
    pub(crate) name: String,
    pub(crate) totals: Totals,
    /// What went wrong, if something did.
    pub(crate) failure: Option<String>,
}

/// How many entries the registry had.
pub(crate) struct Names {
    pub(crate) at_start: usize,
    pub(crate) at_most: usize,
    pub(crate) at_end: usize,
}

impl Totals {
    /// Whether every line that was read is accounted for.
    pub(crate) const fn balance(&self) -> bool {
        self.read == self.passed + self.collapsed + self.rejected + self.lost
    }

    fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.passed += other.passed;
        self.collapsed += other.collapsed;
        self.rejected += other.rejected;
        self.lost += other.lost;
        self.windows += other.windows;
        self.windows_lost += other.windows_lost;
        self.windows_early += other.windows_early;
        self.restarts += other.restarts;
        self.time += other.time;
    }

    fn nanos_per_line(&self) -> u128 {
        self.time.as_nanos() / u128::from(self.read.max(1))
    }

    fn to_json(self) -> Value {
        json!({
            "read": self.read,
            "passed": self.passed,
            "collapsed": self.collapsed,
            "rejected": self.rejected,
            "lost": self.lost,
            "windows": self.windows,
            "windows_lost": self.windows_lost,
            "windows_early": self.windows_early,
            "restarts": self.restarts,
            "ns_per_line": u64::try_from(self.nanos_per_line()).unwrap_or(u64::MAX),
        })
    }
}

impl Report {
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.sources
            .iter()
            .for_each(|source| totals.add(&source.totals));
        totals
    }

    /// Pushed, delivered, overwritten.
    fn events(&self) -> [usize; 3] {
        let sum = |part: fn(&Stats) -> usize| self.events.iter().map(part).sum();
        [
            sum(|stats| stats.pushed),
            sum(|stats| stats.delivered),
            sum(|stats| stats.overwritten),
        ]
    }

    pub(crate) fn to_json(&self) -> Value {
        let sources = self.sources.iter().map(|source| {
            let mut value = source.totals.to_json();
            value["source"] = json!(source.name);
            if let Some(failure) = &source.failure {
                value["failure"] = json!(failure);
            }
            value
        });
        let [pushed, delivered, overwritten] = self.events();
        json!({
            "type": "report",
            "total": self.totals().to_json(),
            "sources": sources.collect::<Vec<_>>(),
            "took_ns": u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX),
            "registry": {
                "at_start": self.names.at_start,
                "at_most": self.names.at_most,
                "at_end": self.names.at_end,
            },
            "events": { "pushed": pushed, "delivered": delivered, "overwritten": overwritten },
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = self.totals();
        let names = self.sources.iter().map(|source| shown(&source.name));
        let widths = names.map(|name| name.chars().count());
        let width = widths.max().unwrap_or(0).max("source".len());
        let row = |f: &mut fmt::Formatter<'_>, name: &str, totals: &Totals| {
            let Totals {
                read,
                passed,
                collapsed,
                rejected,
                lost,
                restarts,
                ..
            } = totals;
            let per_line = totals.nanos_per_line();
            writeln!(
                f,
                "{name:<width$} {read:>10} {passed:>10} {collapsed:>10} {rejected:>8} {lost:>8} \
                 {restarts:>8} {per_line:>8}"
            )
        };
        writeln!(
            f,
            "{:<width$} {:>10} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8}",
            "source", "read", "passed", "collapsed", "rejected", "lost", "restarts", "ns/line"
        )?;
        for source in &self.sources {
            row(f, &shown(&source.name), &source.totals)?;
            if let Some(failure) = &source.failure {
                writeln!(f, "  ! {failure}")?;
            }
        }
        if self.sources.len() > 1 {
            row(f, "total", &totals)?;
        }
        let sign = if totals.balance() { "=" } else { "≠" };
        writeln!(
            f,
            "read {} {sign} passed {} + collapsed {} + rejected {} + lost {}, in {:.1?}",
            totals.read, totals.passed, totals.collapsed, totals.rejected, totals.lost, self.took
        )?;
        writeln!(
            f,
            "windows closed over repetitions: {}, of these early for want of room: at most {}, \
             not written: {}",
            totals.windows, totals.windows_early, totals.windows_lost
        )?;
        let Names {
            at_start,
            at_most,
            at_end,
        } = self.names;
        writeln!(
            f,
            "registry entries: {at_start} at start, {at_most} at most, {at_end} at end"
        )?;
        let [pushed, delivered, overwritten] = self.events();
        let sign = if pushed == delivered + overwritten {
            "="
        } else {
            "≠"
        };
        writeln!(
            f,
            "events: pushed {pushed} {sign} delivered {delivered} + overwritten {overwritten}"
        )
    }
}
