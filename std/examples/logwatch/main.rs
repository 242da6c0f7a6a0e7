//! Watches logs: collapses repeated messages, counts them, and survives its own crashes.
//!
//! ```text
//! cargo run --release --example logwatch -- std/examples/logwatch/logs/syslog.log
//! ```
//!
//! ```text
//!             main: opens sources, waits, stops the tree, reports
//!               │
//!   one supervisor a source, so that one that is given up takes no other with it
//!               │
//!             worker ── lease ──► Watched: reader, windows, batch, totals  (worker.rs)
//!               │                        ▲ outlives every crash
//!               ├─ line    lines.rs, source.rs
//!               ├─ parse   shape.rs, time.rs
//!               ├─ key     template.rs
//!               ├─ decide  window.rs      bedplate_core::dedup
//!               ├─ write   output.rs
//!               └─ events  progress.rs    bedplate_core::ring
//! ```

mod args;
mod lines;
mod output;
mod progress;
mod report;
mod shape;
mod source;
mod template;
mod time;
mod window;
mod worker;

use args::Args;
use bedplate::monitor::Inbox;
use bedplate::process::{ExitReason, Pid};
use bedplate::registry;
use bedplate::supervisor::{ChildSpec, ChildState, Restart, Supervisor};
use clap::Parser as _;
use core::time::Duration;
use output::{Batch, Format, Sink};
use progress::Progress;
use report::{Names, Report, SourceReport};
use source::Source;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use template::Keys;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    prelude::*,
};
use window::Repetitions;
use worker::{End, Shared, Totals, Watched};

/// How many sources there may be: each has a thread and some megabytes.
const MAX_SOURCES: usize = 256;

/// The id of the worker within its supervisor.
const READER: &str = "reader";

/// How long is waited for news before the display is brought up to date.
const TICK: Duration = Duration::from_millis(50);

/// … and how long when news are likely.
const SOON: Duration = Duration::from_millis(1);

/// Set by Ctrl-C.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let args = Args::parse();
    let begun = bedplate::clock::now();
    let mut progress = Progress::new(!args.no_progress && !args.quiet);
    start_diagnostics(&args, &progress);
    if let Err(problem) = check_sources(&args) {
        tracing::error!("{problem}");
        return ExitCode::from(2);
    }
    // Relaxed: a flag that is only ever set; nothing is read through it.
    let interrupt = || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130); // asked twice: something does not stop
        }
    };
    if let Err(error) = ctrlc::set_handler(interrupt) {
        tracing::warn!("Ctrl-C will end the program without a report: {error}");
    }
    let shared = Arc::new(Shared {
        sink: Sink::new(output::unbuffered()),
        most_names: AtomicUsize::new(0),
        interval: args.interval,
        inject_crash: args
            .inject_crash
            .as_ref()
            .map(|pattern| memchr::memmem::Finder::new(pattern.as_bytes()).into_owned()),
    });
    let at_start = registry::count();

    let mut reports: Vec<SourceReport> = Vec::new();
    let mut tree: Vec<Branch> = Vec::new();
    for (index, path) in args.files.iter().enumerate() {
        let name = path.display().to_string();
        let failure = match Source::open(path) {
            Ok(_) if is_the_output(path) => Some("is also the output".to_owned()),
            Ok(source) => match start(&args, &shared, index, &name, source) {
                Ok((watched, supervisor)) => {
                    progress.add(&watched);
                    tree.push(Branch {
                        report: reports.len(),
                        watched,
                        supervisor,
                        seen: None,
                    });
                    None
                }
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        };
        if let Some(failure) = &failure {
            tracing::error!("{name}: {failure}");
        }
        reports.push(SourceReport {
            name,
            totals: Totals::default(),
            failure,
        });
    }

    wait(&mut tree, &shared, &mut progress);
    for branch in tree.into_iter().rev() {
        let index = branch.report;
        (reports[index].totals, reports[index].failure) = branch.stop(&shared);
        if let Some(failure) = &reports[index].failure {
            tracing::error!("{}: {failure}", reports[index].name);
        }
    }
    let report = Report {
        sources: reports,
        took: bedplate::clock::now().saturating_duration_since(begun),
        names: Names {
            at_start,
            // Relaxed: the workers have ended.
            at_most: shared.most_names.load(Ordering::Relaxed),
            at_end: registry::count(),
        },
        events: progress.finish(),
    };
    conclude(&args, &shared, &report)
}

/// Diagnostics to standard error, each with the context of the thread it comes from.
fn start_diagnostics(args: &Args, progress: &Progress) {
    let level = if args.quiet {
        LevelFilter::ERROR
    } else {
        LevelFilter::INFO
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(progress.stderr())
        .with_ansi(false)
        .with_target(false)
        .without_time()
        // How a worker ended is told by the one after it, or with its source.
        .with_filter(
            Targets::new()
                .with_default(level)
                .with_target("bedplate::supervisor", LevelFilter::OFF),
        );
    tracing_subscriber::registry()
        .with(lines)
        .with(bedplate::tracing_bridge::layer())
        .init();
}

/// A source is known by its name, so each can be given once.
fn check_sources(args: &Args) -> Result<(), String> {
    if args.files.len() > MAX_SOURCES {
        return Err(format!("more than {MAX_SOURCES} files"));
    }
    let mut names = BTreeSet::new();
    match args.files.iter().find(|path| !names.insert(*path)) {
        Some(twice) => Err(format!("{} is given twice", twice.display())),
        None => Ok(()),
    }
}

/// Whether reading this file means reading what is written.
#[cfg(unix)]
fn is_the_output(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let output = rustix::fs::fstat(io::stdout());
    match (std::fs::metadata(path), output) {
        (Ok(input), Ok(output)) => {
            input.is_file() && (input.dev(), input.ino()) == (output.st_dev, output.st_ino)
        }
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_the_output(_: &std::path::Path) -> bool {
    false
}

/// Under which name a source's worker is registered: the source's, unless it is too long for one.
fn registered_name(index: usize, source: &str) -> String {
    if source.len() > 255 {
        format!("source-{index}")
    } else {
        source.to_owned()
    }
}

/// A source with its supervisor.
struct Branch {
    report: usize,
    watched: Arc<Watched>,
    supervisor: Supervisor,
    /// The incarnation that is monitored.
    seen: Option<Pid>,
}

type Started = Result<(Arc<Watched>, Supervisor), bedplate::supervisor::StartError>;

fn start(args: &Args, shared: &Arc<Shared>, index: usize, name: &str, source: Source) -> Started {
    let format = Format {
        json: args.json,
        source: name.to_owned(),
        epoch: output::epoch(),
    };
    let watched = Arc::new(Watched::new(
        name.into(),
        source,
        args.max_line as usize,
        Keys::new(index),
        Repetitions::new(args.capacity, args.window, bedplate::clock::now()),
        Batch::new(format),
    ));
    let (state, shared) = (Arc::clone(&watched), Arc::clone(shared));
    let worker = ChildSpec::worker(READER, move |me| worker::run(&state, &shared, me));
    let supervisor = Supervisor::builder(format!("source-{index}"))
        .limit(args.restarts, args.period)
        .quiet_panics(true) // the next incarnation says how the one before ended
        .child(
            worker
                .register(registered_name(index, name))
                .restart(Restart::Transient),
        )
        .start()?;
    Ok((watched, supervisor))
}

/// Returns when every source has ended, or when there is a reason to stop before.
fn wait(tree: &mut [Branch], shared: &Shared, progress: &mut Progress) {
    let inbox = Inbox::new();
    let mut patience = TICK;
    loop {
        progress.update();
        let mut running = false;
        for branch in &mut *tree {
            let handle = branch.supervisor.handle();
            running |= handle
                .children()
                .iter()
                .any(|child| child.state != ChildState::Stopped);
            if let Some(child) = handle
                .child(READER)
                .filter(|child| branch.seen != Some(child.pid()))
            {
                branch.seen = Some(child.pid());
                patience = SOON;
                inbox.monitor(&child);
            }
        }
        // Relaxed: see where it is set.
        let interrupted = INTERRUPTED.load(Ordering::Relaxed);
        if !running || interrupted || shared.sink.is_closed() || shared.sink.has_failed() {
            return;
        }
        // Its supervisor learns of the end just after the monitors; so look again soon.
        patience = match inbox.recv_timeout(patience) {
            Some(_) => SOON,
            None => TICK.min(patience * 2),
        };
    }
}

impl Branch {
    /// Stops the source if it runs; its totals and what went wrong.
    fn stop(self, shared: &Shared) -> (Totals, Option<String>) {
        let stopped = self.supervisor.shutdown();
        let failed = stopped
            .failed
            .into_iter()
            .next()
            .map(|(_, reason)| match reason {
                ExitReason::GaveUp(why) => why.to_string(),
                other => other.to_string(),
            });
        let Some(mut state) = self.watched.lease() else {
            return (
                Totals::default(),
                Some("its worker did not stop; its lines are not counted".into()),
            );
        };
        let failure = match state.end.take() {
            None => {
                // The worker was given up: nobody has written its last batch.
                state.close(shared);
                let reason = failed.unwrap_or_else(|| "for an unknown reason".into());
                Some(format!("given up at line {}: {reason}", state.line()))
            }
            Some(End::Failed(error)) => Some(error.to_string()),
            Some(End::Finished | End::Stopped) => None,
        };
        (state.totals(), failure)
    }
}

/// Prints the report and says how it went.
fn conclude(args: &Args, shared: &Shared, report: &Report) -> ExitCode {
    if args.json {
        let text = format!("{}\n", report.to_json());
        if !shared.sink.write_last(text.as_bytes()) {
            let _ = write!(io::stderr(), "{text}");
        }
    } else if !args.quiet {
        // There is no place left to say that standard error cannot be written.
        let _ = write!(io::stderr(), "{report}");
    }
    let balanced = report.sources.iter().all(|source| source.totals.balance());
    let failed = report.sources.iter().any(|source| source.failure.is_some());
    // Relaxed: see where it is set.
    let interrupted = INTERRUPTED.load(Ordering::Relaxed);
    if shared.sink.is_closed() {
        ExitCode::from(141)
    } else if failed || shared.sink.has_failed() || !balanced {
        ExitCode::from(1)
    } else if interrupted {
        ExitCode::from(130)
    } else {
        ExitCode::SUCCESS
    }
}
