//! The example application on a generated log, against what else one has at hand to the same end.
//!
//! | contender | what it does |
//! |---|---|
//! | `bedplate logwatch` | one worker; recognises, masks, collapses within a window, accounts |
//! | `sort \| uniq -c` | counts equal lines; sorts with as many threads as there are processors |
//! | `awk` | mawk where it is installed, the fastest there is; one thread; replaces runs of digits, counts equal lines, in memory without bound |
//!
//! All of them read the same file from the page cache and write to `/dev/null`. The case `memory` is
//! the peak resident size of `logwatch` on that file, as the kernel counts it.

mod generate;

use crate::harness::{Contender, Row, Settings, Table, interleave, median};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BEDPLATE: &str = "bedplate logwatch";
const SORT: &str = "sort | uniq -c";
const AWK: &str = "awk";

/// Masks numbers and counts; a literal translation of the task into awk.
const AWK_PROGRAM: &str =
    r##"{ gsub(/[0-9]+/, "#"); count[$0]++ } END { for (line in count) print count[line], line }"##;

/// Measures the group's cases.
pub fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    let lines = settings.pick(400_000, 10_000_000);
    let rounds = settings.pick(5, 3);
    let program = build_example()?;
    let folder = tempfile::tempdir_in(target())?;
    let log = folder.path().join("generated.log");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&log)?);
    generate::write(&mut out, lines)?;
    out.flush()?;
    eprintln!(
        "generated {lines} lines, {} MB",
        log.metadata()?.len() / 1_000_000
    );
    drop(out);

    let awk = match Command::new("mawk")
        .arg("BEGIN{}")
        .stdin(Stdio::null())
        .status()
    {
        Ok(_) => "mawk",
        Err(_) => "awk",
    };
    eprintln!("awk is {awk}");
    let mut peaks = Vec::new();
    let per_line = |took: Duration| took.as_nanos() as f64 / lines as f64;
    if settings.wants("throughput") {
        let measured = interleave(
            rounds,
            &mut [
                Contender {
                    name: BEDPLATE.into(),
                    run: Box::new(|| {
                        let (took, peak) = watch(&program, &log)?;
                        peaks.push(peak);
                        Ok(per_line(took))
                    }),
                },
                Contender {
                    name: SORT.into(),
                    run: Box::new(|| {
                        let mut shell = Command::new("sh");
                        shell.args(["-c", "sort \"$1\" | uniq -c", "sh"]).arg(&log);
                        Ok(per_line(time(&mut shell)?))
                    }),
                },
                Contender {
                    name: AWK.into(),
                    run: Box::new(|| {
                        let mut awk = Command::new(awk);
                        Ok(per_line(time(awk.arg(AWK_PROGRAM).arg(&log))?))
                    }),
                },
            ],
        )?;
        for (contender, reference) in [(BEDPLATE, SORT), (BEDPLATE, AWK), (SORT, SORT), (AWK, SORT)]
        {
            let (median, min, ratio) = measured.figures(contender, reference);
            table.add(Row {
                group: "logwatch",
                case: "throughput".into(),
                threads: 1,
                n: lines,
                contender: contender.into(),
                median,
                min,
                ratio: Some((ratio, reference.into())),
                best: None,
                unit: None,
            });
        }
    }
    if settings.wants("memory") {
        if peaks.is_empty() {
            peaks.push(watch(&program, &log)?.1);
        }
        table.add(Row {
            group: "logwatch",
            case: "memory".into(),
            threads: 1,
            n: lines,
            contender: BEDPLATE.into(),
            median: median(peaks.clone()),
            min: peaks.into_iter().fold(f64::INFINITY, f64::min),
            ratio: None,
            best: None,
            unit: Some("MB"),
        });
    }
    Ok(())
}

/// The folder this program was compiled into.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program
        .parent()
        .map(Path::to_owned)
        .unwrap_or_else(std::env::temp_dir)
}

/// Compiles the example, in a folder of its own.
fn build_example() -> io::Result<PathBuf> {
    let target = target().join("logwatch-example");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "bedplate",
            "--example",
            "logwatch",
        ])
        .arg("--manifest-path")
        .arg(workspace)
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !status.success() {
        return Err(io::Error::other("the example does not compile"));
    }
    Ok(target.join("release/examples/logwatch"))
}

/// How long a command takes.
fn time(command: &mut Command) -> io::Result<Duration> {
    let begun = Instant::now();
    let status = quiet(command).status()?;
    succeeded(status.success(), command)?;
    Ok(begun.elapsed())
}

/// How long the example takes, and the peak of its resident memory in MB.
fn watch(program: &Path, log: &Path) -> io::Result<(Duration, f64)> {
    let mut command = Command::new(program);
    quiet(command.arg("--quiet").arg(log));
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let mut peak = 0.0_f64;
    let status = loop {
        peak = peak.max(peak_of(&child).unwrap_or_default());
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let took = begun.elapsed();
    succeeded(status.success(), &command)?;
    Ok((took, peak))
}

/// The high-water mark of a running process, which the kernel keeps.
fn peak_of(child: &Child) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

/// In the C locale, which is the fastest for all, and without output.
fn quiet(command: &mut Command) -> &mut Command {
    command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
}

fn succeeded(success: bool, command: &Command) -> io::Result<()> {
    match success {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{:?} failed",
            command.get_program()
        ))),
    }
}
