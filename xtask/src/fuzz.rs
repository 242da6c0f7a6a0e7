//! A short run of every fuzz target.

use crate::failure::{self, Failure};
use crate::shell;
use lexopt::{Arg, Parser, ValueExt};
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

const DEFAULT_SECONDS: u32 = 30;

/// Targets that run at the same time: a processor each, where there are as few as that.
const AT_ONCE: usize = 2;

pub(crate) fn run(mut arguments: Parser) -> Result<(), Failure> {
    let mut seconds = DEFAULT_SECONDS;
    let mut skip_missing = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("seconds") => seconds = arguments.value()?.parse()?,
            Arg::Long("skip-missing") => skip_missing = true,
            other => return Err(other.unexpected().into()),
        }
    }
    match fuzz(seconds) {
        Err(failure) if skip_missing && failure.code == failure::MISSING => {
            println!("fuzz: skipped: {}", failure.message);
            Ok(())
        }
        result => result,
    }
}

fn fuzz(seconds: u32) -> Result<(), Failure> {
    if !shell::root().join("fuzz/Cargo.toml").is_file() {
        return Err(Failure::failed("there is no fuzz/Cargo.toml"));
    }
    if !shell::is_installed("cargo-fuzz") {
        return Err(Failure::missing(
            "there is no cargo-fuzz\n  anywhere:  cargo install --locked cargo-fuzz  (needs g++)",
        ));
    }
    let listed = shell::output(cargo_fuzz("list").arg("--fuzz-dir=fuzz"))?;
    let targets: Vec<&str> = listed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let Some((first, others)) = targets.split_first() else {
        return Err(Failure::failed("fuzz/ has no fuzz target"));
    };
    // The first one builds what all need; the others are built while another runs.
    fuzz_one(first, seconds)?;
    let waiting = Mutex::new(others.iter());
    thread::scope(|scope| {
        let work = || {
            loop {
                let next = waiting.lock().map_or(None, |mut waiting| waiting.next());
                match next {
                    Some(target) => fuzz_one(target, seconds)?,
                    None => return Ok(()),
                }
            }
        };
        let workers = [(); AT_ONCE].map(|()| scope.spawn(work));
        let ended = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect::<Result<Vec<()>, Failure>>()
    })?;
    println!(
        "fuzz: {} targets, {seconds} s each, found nothing",
        targets.len()
    );
    Ok(())
}

/// Runs a target. What it says is shown if it finds something.
fn fuzz_one(target: &str, seconds: u32) -> Result<(), Failure> {
    // New inputs go to the first corpus; the one in the repository is read only, and grows by
    // decision, not by accident.
    let found = shell::target_dir("fuzz-found").join(target);
    fs::create_dir_all(&found)
        .map_err(|error| Failure::failed(format!("{}: {error}", found.display())))?;
    let kept = shell::root().join("fuzz/corpus").join(target);
    let mut run = cargo_fuzz("run");
    run.arg("--fuzz-dir=fuzz")
        .arg("--target-dir")
        .arg(shell::target_dir("fuzz"))
        .arg(target)
        .arg(found);
    if kept.is_dir() {
        run.arg(kept);
    }
    run.args(["--", &format!("-max_total_time={seconds}")]);
    shell::run_heard(&mut run)?;
    println!("fuzz: {target} found nothing");
    Ok(())
}

/// The instrumentation is reserved for unstable compilers, hence `RUSTC_BOOTSTRAP`.
fn cargo_fuzz(subcommand: &str) -> Command {
    let mut command = shell::cargo();
    command
        .args(["fuzz", subcommand])
        .env("RUSTC_BOOTSTRAP", "1");
    command
}
