//! bedplate against its peers, in one run.
//!
//! ```text
//! cargo run --release --manifest-path benches/Cargo.toml -- GROUP [CASE] [--quick] [--json FILE]
//! ```
//!
//! Each group is a module with one function, `run`, which measures its cases and adds rows to the
//! table; what is common to all of them is in [`harness`].

mod context;
mod emit;
mod harness;
mod logwatch;
mod machine;
mod memory;
mod pinned;
mod registry;
mod ring;
mod span;
mod supervisor;

use clap::{Parser, ValueEnum};
use harness::{Settings, Table};
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Measures bedplate against its peers
#[derive(Parser)]
struct Args {
    /// What to measure
    group: Group,
    /// Only the cases of it whose names begin with these words
    case: Option<String>,
    /// Smaller inputs and fewer rounds: less than a minute a group
    #[arg(long)]
    quick: bool,
    /// Also write the rows to FILE as JSON, one a line
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Group {
    /// Values that are carried along, and log lines that show them
    Context,
    /// Events that are suppressed, and events that pass and are stored
    Emit,
    /// The example application on a generated log
    Logwatch,
    /// Names and who holds them, against concurrent maps
    Registry,
    /// Event rings, against rings and queues
    Ring,
    /// Spans that begin and end
    Span,
    /// Children that crash, many children, many monitors; against threads by hand and supervisors of tasks
    Supervisor,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let settings = Settings {
        quick: args.quick,
        case: args.case,
    };
    let mut table = Table::default();
    let measured = match args.group {
        Group::Context => context::run(&settings, &mut table),
        Group::Emit => emit::run(&settings, &mut table),
        Group::Logwatch => logwatch::run(&settings, &mut table),
        Group::Registry => registry::run(&settings, &mut table),
        Group::Ring => ring::run(&settings, &mut table),
        Group::Span => span::run(&settings, &mut table),
        Group::Supervisor => supervisor::run(&settings, &mut table),
    };
    if table.is_empty() && measured.is_ok() {
        eprintln!(
            "nothing was measured: the group has no such case, or what it needs is not there"
        );
        return ExitCode::FAILURE;
    }
    print!("{table}");
    let (taken, disturbed) = pinned::disturbed();
    if disturbed > 0 {
        eprintln!(
            "{disturbed} of {taken} samples were disturbed: quote nothing from a busy machine"
        );
    }
    let written = measured.and_then(|()| args.json.map_or(Ok(()), |file| table.write_json(&file)));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
