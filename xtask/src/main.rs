//! The developer's commands: `cargo xtask` lists them.
//!
//! Each is one file. They install nothing: where a tool is missing they say how to get it and exit
//! with [`failure::MISSING`].

mod asan;
mod embedded;
mod failure;
mod fuzz;
mod loom;
mod shell;
mod targets;
mod toolchain;
mod tsan;

use failure::Failure;
use lexopt::Parser;
use std::process::ExitCode;

/// A command: its name, what it does in one line, and the function that does it.
struct Command {
    name: &'static str,
    summary: &'static str,
    run: fn(Parser) -> Result<(), Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "embedded",
        summary: "builds core for bare-metal targets and runs the firmware proofs under QEMU",
        run: embedded::run,
    },
    Command {
        name: "loom",
        summary: "explores the interleavings of the loom models [--preemptions N] [FILTER]",
        run: loom::run,
    },
    Command {
        name: "asan",
        summary: "runs the tests under AddressSanitizer and LeakSanitizer [FILTER]",
        run: asan::run,
    },
    Command {
        name: "tsan",
        summary: "runs the tests under ThreadSanitizer, with an instrumented std [FILTER]",
        run: tsan::run,
    },
    Command {
        name: "fuzz",
        summary: "runs every fuzz target for a while [--seconds N] [--skip-missing]",
        run: fuzz::run,
    },
    Command {
        name: "targets",
        summary: "compares benchmark rows with benches/targets.toml: targets FILE...",
        run: targets::run,
    },
];

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch() -> Result<(), Failure> {
    let mut arguments = Parser::from_env();
    let Some(argument) = arguments.next()? else {
        print_commands();
        return Ok(());
    };
    match argument {
        lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
            print_commands();
            Ok(())
        }
        lexopt::Arg::Value(name) => {
            let command = COMMANDS.iter().find(|command| name == command.name);
            let command = command.ok_or_else(|| {
                Failure::usage(format!(
                    "no command {name:?}; `cargo xtask` lists the commands"
                ))
            })?;
            (command.run)(arguments)
        }
        other => Err(other.unexpected().into()),
    }
}

fn print_commands() {
    println!("cargo xtask COMMAND\n");
    for command in COMMANDS {
        println!("  {:<10}{}", command.name, command.summary);
    }
}
