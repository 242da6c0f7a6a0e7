//! The progress display: one bar a source, fed by the workers' event rings.

use crate::worker::{READ, RESTARTED, WINDOW_CLOSED, Watched};
use bedplate_core::ring::{Received, Stats};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

/// How many events are taken from a ring at a time.
const BUDGET: usize = 4096;

/// Shows how far the sources have been read.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    sources: Vec<Shown>,
}

/// A source as it is shown.
struct Shown {
    watched: Arc<Watched>,
    bar: Option<ProgressBar>,
    windows: u64,
    restarts: u64,
}

impl Progress {
    /// Bars only where they disturb nothing: on a terminal that is not also shown the records.
    pub(crate) fn new(wanted: bool) -> Self {
        let shown = wanted && io::stderr().is_terminal() && !io::stdout().is_terminal();
        Self {
            bars: shown.then(MultiProgress::new),
            sources: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, watched: &Arc<Watched>) {
        let bar = self.bars.as_ref().map(|bars| bars.add(bar(watched)));
        self.sources.push(Shown {
            watched: Arc::clone(watched),
            bar,
            windows: 0,
            restarts: 0,
        });
    }

    /// Takes the events that wait and shows them.
    pub(crate) fn update(&mut self) {
        for Shown {
            watched,
            bar,
            windows,
            restarts,
        } in &mut self.sources
        {
            let Some(mut reader) = watched.events.claim_reader() else {
                continue;
            };
            let mut read_to = None;
            reader.drain(BUDGET, |received| match received {
                Received::Record(event) if event.kind == READ => read_to = Some(event.key),
                Received::Record(event) if event.kind == RESTARTED => *restarts = event.value,
                Received::Record(event) if event.kind == WINDOW_CLOSED => *windows += 1,
                // The report says how many were lost.
                Received::Record(_) | Received::Lost(_) => {}
            });
            if let (Some(bar), Some(read_to)) = (bar, read_to) {
                bar.set_position(read_to);
                bar.set_message(format!("{windows} windows closed, {restarts} restarts"));
            }
        }
    }

    /// Takes the bars away; what became of the events.
    pub(crate) fn finish(mut self) -> Vec<Stats> {
        self.update();
        if let Some(bars) = &self.bars {
            // A display that cannot be cleared is nobody's loss.
            let _ = bars.clear();
        }
        self.sources
            .iter()
            .map(|shown| shown.watched.events.stats())
            .collect()
    }

    /// Standard error for diagnostics, which then do not run into the bars.
    pub(crate) fn stderr(&self) -> impl Fn() -> Stderr + Send + Sync + 'static {
        let bars = self.bars.clone();
        move || Stderr {
            bars: bars.clone(),
            line: Vec::new(),
        }
    }
}

fn bar(watched: &Watched) -> ProgressBar {
    let name = watched.name.to_string();
    let (bar, template) = match watched.size {
        Some(size) => (
            ProgressBar::new(size),
            "{prefix:20!} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {msg}",
        ),
        None => (
            ProgressBar::no_length(),
            "{prefix:20!} {spinner} {bytes} {bytes_per_sec} {msg}",
        ),
    };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix(name)
}

/// Collects one diagnostic and writes it in one go, with the bars out of the way.
pub(crate) struct Stderr {
    bars: Option<MultiProgress>,
    line: Vec<u8>,
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        // There is no place left to say that standard error cannot be written.
        let write = || drop(io::stderr().write_all(&self.line));
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}
