//! The loom models, in a build of their own: `--cfg bedplate_loom` for us, `--cfg crossbeam_loom`
//! for the reclamation below us, so that the whole of what ships is under the model checker.

use crate::failure::Failure;
use crate::shell;
use lexopt::{Arg, Parser, ValueExt};
use std::process::Command;

/// Enough for every known kind of ordering error in structures of this size; more takes minutes.
const DEFAULT_PREEMPTIONS: u32 = 2;

pub(crate) fn run(mut arguments: Parser) -> Result<(), Failure> {
    let mut preemptions = DEFAULT_PREEMPTIONS;
    let mut filter = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("preemptions") => preemptions = arguments.value()?.parse()?,
            Arg::Value(value) if filter.is_none() => filter = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let listed = shell::output(models(preemptions, filter.as_deref()).args(["--list"]))?;
    let count = listed
        .lines()
        .filter(|line| line.ends_with(": test"))
        .count();
    if count == 0 {
        return Err(Failure::failed("there is no such loom model"));
    }
    shell::run(&mut models(preemptions, filter.as_deref()))?;
    println!("loom: {count} models hold with up to {preemptions} preemptions");
    Ok(())
}

fn models(preemptions: u32, filter: Option<&str>) -> Command {
    let mut command = shell::cargo();
    command
        .args([
            "test",
            "--profile=loom",
            "--package=loom-tests",
            "--test=loom_*",
        ])
        .arg("--target-dir")
        .arg(shell::target_dir("loom"))
        .env(
            "RUSTFLAGS",
            "--cfg bedplate_loom --cfg crossbeam_loom -C debug-assertions",
        )
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("LOOM_MAX_PREEMPTIONS", preemptions.to_string())
        .arg("--")
        .args(filter);
    command
}
