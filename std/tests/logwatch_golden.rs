//! The example `logwatch` on real logs and on every kind of wrong input.
//!
//! What it prints for the logs in `examples/logwatch/logs` is kept in `tests/logwatch_golden/`. To
//! accept what it prints now, after looking at the difference:
//!
//! ```text
//! LOGWATCH_ACCEPT=1 cargo test --package bedplate --test logwatch_golden
//! ```

use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The example, brought up to date first: `cargo test` builds its tests, not the program.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test.ancestors().nth(2).expect("it lies in PROFILE/deps");
        let above = profile
            .parent()
            .expect("which lies in the target directory");
        // What was compiled for the tests serves again, if it was compiled in the plain way and not,
        // say, for a sanitizer.
        let is_plain = profile.ends_with("debug")
            && above.join("CACHEDIR.TAG").exists()
            && std::env::var_os("RUSTFLAGS").is_none();
        let target = if is_plain {
            above.to_owned()
        } else {
            profile.join("logwatch-for-tests")
        };
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "bedplate",
                "--example",
                "logwatch",
            ])
            .arg("--manifest-path")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the example does not build"
        );
        target.join(format!(
            "debug/examples/logwatch{}",
            std::env::consts::EXE_SUFFIX
        ))
    })
}

fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/logwatch/logs")
}

/// The program, about to run among the logs.
fn logwatch(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .current_dir(logs())
        .stdin(Stdio::null());
    command.env_remove("RUST_BACKTRACE");
    command
}

fn run(arguments: &[&str]) -> Output {
    logwatch(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints UTF-8")
}

/// The report in JSON, the last record of the output; checks that every line is accounted for.
fn report(output: &Output) -> Value {
    let text = text(&output.stdout);
    let last = text.lines().last().expect("there is a report");
    let report: Value = serde_json::from_str(last).expect("it is JSON");
    assert_eq!(report["type"], "report");
    let accounts = report["sources"].as_array().expect("a list").iter();
    for totals in accounts.chain([&report["total"]]) {
        let sum = ["passed", "collapsed", "rejected", "lost"].map(|part| count(totals, part));
        assert_eq!(count(totals, "read"), sum.iter().sum::<u64>(), "{totals}");
    }
    let events = &report["events"];
    assert_eq!(
        count(events, "pushed"),
        count(events, "delivered") + count(events, "overwritten")
    );
    assert_eq!(
        (
            count(&report["registry"], "at_start"),
            count(&report["registry"], "at_end")
        ),
        (0, 0)
    );
    report
}

fn count(value: &Value, field: &str) -> u64 {
    value[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {field} in {value}"))
}

/// Counts of the whole run.
fn totals(output: &Output) -> [u64; 6] {
    let report = report(output);
    [
        "read",
        "passed",
        "collapsed",
        "rejected",
        "lost",
        "restarts",
    ]
    .map(|field| count(&report["total"], field))
}

/// A file that exists as long as the guard.
fn file(content: &[u8]) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
    file.write_all(content).expect("and written");
    let path = file.path().to_str().expect("its name is UTF-8").to_owned();
    (file, path)
}

#[track_caller]
fn expect_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/logwatch_golden")
        .join(name);
    if std::env::var_os("LOGWATCH_ACCEPT").is_some() {
        fs::create_dir_all(path.parent().expect("it has one")).expect("the folder can be made");
        fs::write(&path, found).expect("the file can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let first_difference = expected
        .lines()
        .zip(found.lines())
        .position(|(a, b)| a != b);
    assert!(
        expected == found,
        "{name} differs, first at line {:?} of {} (now {})",
        first_difference.map(|at| at + 1),
        expected.lines().count(),
        found.lines().count(),
    );
}

/// The report without the figures that no two runs share.
fn masked(report: &str) -> String {
    let mut masked = String::new();
    for line in report.lines() {
        let kept = match line {
            line if line.starts_with("events: ") => "events: …",
            line if line.starts_with("windows ") => line,
            line => match line.split_once(", in ") {
                Some((kept, _)) if line.starts_with("read ") => kept,
                _ if line.contains("ns/line") => line,
                _ => line
                    .rsplit_once(char::is_whitespace)
                    .filter(|(_, last)| last.parse::<u64>().is_ok())
                    .map_or(line, |(kept, _)| kept.trim_end()),
            },
        };
        masked.push_str(kept);
        masked.push('\n');
    }
    masked
}

#[test]
fn real_logs_for_people() {
    for log in ["dpkg", "nginx-access", "postgresql", "redis", "syslog"] {
        let output = run(&[&format!("{log}.log")]);
        assert!(output.status.success(), "{log}");
        let shown = text(&output.stdout) + "--- report\n" + &masked(&text(&output.stderr));
        expect_golden(&format!("{log}.txt"), &shown);
    }
}

#[test]
fn real_logs_for_programs() {
    for log in ["nginx-access", "postgresql", "redis", "syslog"] {
        let output = run(&["--json", &format!("{log}.log")]);
        assert!(output.status.success(), "{log}");
        assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
        report(&output);
        let text = text(&output.stdout);
        let (records, _report) = text
            .trim_end()
            .rsplit_once('\n')
            .expect("more than a report");
        expect_golden(&format!("{log}.jsonl"), &format!("{records}\n"));
    }
}

#[test]
fn several_sources_are_each_accounted_for() {
    let output = run(&["--json", "dpkg.log", "redis.log", "syslog.log"]);
    assert!(output.status.success());
    let report = report(&output);
    let sources = report["sources"].as_array().expect("a list");
    let read: Vec<u64> = sources.iter().map(|source| count(source, "read")).collect();
    assert_eq!(read, [1541, 2531, 1823]);
    let passed = text(&output.stdout)
        .lines()
        .filter(|line| line.contains("\"type\":\"line\""))
        .count();
    assert_eq!(passed as u64, count(&report["total"], "passed"));
    assert!((1..=3).contains(&count(&report["registry"], "at_most")));
}

#[test]
fn crashes_change_nothing_but_the_restarts() {
    let calm = totals(&run(&["--json", "syslog.log", "postgresql.log"]));
    let pattern = "duplicate host header";
    let output = run(&[
        "--json",
        "--inject-crash",
        pattern,
        "syslog.log",
        "postgresql.log",
    ]);
    assert!(output.status.success());
    let stormy = totals(&output);
    assert_eq!((calm[..5].to_vec(), calm[5]), (stormy[..5].to_vec(), 0));
    assert_eq!(stormy[5], 60, "one for each line that matches");
    let diagnostics = text(&output.stderr);
    assert!(
        diagnostics.contains("line=1674 restarts=1 source=syslog.log"),
        "{diagnostics}"
    );
    let after = text(&output.stdout);
    let mut records = after.lines().filter(|line| line.contains("syslog.log"));
    assert!(
        records.any(|line| line.contains("\"restarts\":60")),
        "later records say so"
    );
    assert!(!after.lines().any(|line| {
        line.contains("postgresql.log\",\"line\"") && line.contains("\"restarts\"")
    }));
}

#[test]
fn a_source_that_is_given_up_takes_no_other_with_it() {
    let output = run(&[
        "--json",
        "--restarts",
        "0",
        "--inject-crash",
        "rsyslog",
        "dpkg.log",
        "syslog.log",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let report = report(&output);
    let [dpkg, syslog] = [&report["sources"][0], &report["sources"][1]];
    assert!(
        dpkg["failure"]
            .as_str()
            .is_some_and(|text| text.starts_with("given up at line 893")),
        "{dpkg}"
    );
    assert!(count(dpkg, "read") < 1541 && count(dpkg, "read") > 0);
    assert_eq!(count(syslog, "read"), 1823);
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_read() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path().to_str().expect("its name is UTF-8");
    let (_garbage, garbage) = file(&[0x1f, 0x8b, 8, 0, 0xff, 0, 7, 9].repeat(500));
    let (_empty, empty) = file(b"");
    let output = run(&[
        "missing.log",
        folder,
        &garbage,
        &empty,
        "dpkg.log",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(count(&report(&output)["total"], "read"), 1541);
    let diagnostics = text(&output.stderr);
    for expected in [
        "missing.log: No such file".to_owned(),
        format!("{folder}: is a directory"),
        format!("{garbage}: is not text"),
    ] {
        assert!(diagnostics.contains(&expected), "{expected}: {diagnostics}");
    }
    assert!(!diagnostics.contains(&empty), "{diagnostics}");
}

#[test]
fn a_line_of_ten_megabytes_is_rejected_alone() {
    let mut content = b"first\n".to_vec();
    content.resize(10 << 20, b'x');
    content.extend_from_slice(b"\nlast");
    let (_long, long) = file(&content);
    let output = run(&["--json", &long]);
    assert!(output.status.success());
    assert_eq!(totals(&output), [3, 2, 0, 1, 0, 0]);
    let diagnostics = text(&output.stderr);
    assert!(
        diagnostics.contains("line=2") && diagnostics.contains("too long"),
        "{diagnostics}"
    );
    assert!(
        diagnostics.contains(&format!("length={}", (10 << 20) - 6)),
        "{diagnostics}"
    );
}

#[test]
fn invalid_utf8_and_strange_line_ends_are_shown() {
    let (_file, path) = file(b"caf\xe9 open\r\nesc \x1b[2J here\n\n caf\xe9 open, last line");
    let output = run(&[&path]);
    assert!(output.status.success());
    let shown = text(&output.stdout).replace(&path, "F");
    assert_eq!(
        shown,
        "F:1: caf\u{fffd} open\nF:2: esc \\u{1b}[2J here\nF:3: \nF:4:  caf\u{fffd} open, last line\n"
    );
}

#[test]
fn a_wrong_command_line_is_refused() {
    for (arguments, word) in [
        (&["--colour", "dpkg.log"][..], "--colour"),
        (&["dpkg.log", "--window", "soon"], "not a number"),
        (&["dpkg.log", "dpkg.log"], "given twice"),
        (&[], "FILE"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert!(
            text(&output.stderr).contains(word),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn standard_input_is_a_source() {
    let mut child = logwatch(&["--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = child.stdin.take().expect("it has one");
    input
        .write_all(&fs::read(logs().join("redis.log")).expect("it is there"))
        .expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(totals(&output), totals(&run(&["--json", "redis.log"])));
}

#[test]
fn a_closed_pipe_ends_it_and_what_was_not_written_is_lost() {
    let mut child = logwatch(&["--window", "0", "dpkg.log", "postgresql.log"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(141));
    let shown = text(&output.stderr);
    assert_eq!(
        shown.matches("nobody reads the output").count(),
        1,
        "{shown}"
    );
    assert!(
        shown.contains(" = passed 0 + collapsed 0 + rejected 0 + lost "),
        "{shown}"
    );
    assert!(!shown.contains("panicked"), "{shown}");
}

#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    use rustix::process::{Pid, Signal, kill_process};

    kill_process(Pid::from_child(child), Signal::INT).expect("it is there");
}

/// What comes in is shown while more may come, and an interrupt still gives a report.
#[cfg(unix)]
#[test]
fn a_live_source_is_shown_at_once_and_an_interrupt_stops_in_order() {
    let mut child = logwatch(&["--json", "--interval", "0.01", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = child.stdin.take().expect("it has one");
    let mut records = BufReader::new(child.stdout.take().expect("it has one")).lines();
    input
        .write_all(b"user 1 in\nuser 2 in\nuser 3 in\n")
        .expect("it reads");
    let first = records.next().expect("a record").expect("that is text");
    assert!(first.contains("user 1 in"), "{first}");

    interrupt(&child);
    let rest: Vec<String> = records.map(|record| record.expect("text")).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(rest[0].contains("\"count\":3"), "{rest:?}");
    let report: Value = serde_json::from_str(&rest[1]).expect("the report");
    assert_eq!(count(&report["total"], "read"), 3);
    drop(input);
}

/// A line that never ends once kept the worker from its interval and from an interrupt.
#[cfg(unix)]
#[test]
fn a_line_without_end_keeps_nothing_else_waiting() {
    let mut child = logwatch(&["--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"first\nxxx").expect("it reads");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let dripping = std::thread::spawn(move || {
        let pause = std::time::Duration::from_millis(5);
        while stopped.recv_timeout(pause).is_err() && input.write_all(b"x").is_ok() {}
    });
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("UTF-8");
    assert!(
        line.contains("first"),
        "it is shown while the next line goes on: {line}"
    );
    interrupt(&child);
    let status = child.wait().expect("it ends");
    // It may have stopped by itself, of a pipe that nobody reads any more.
    let _ = stop.send(());
    dripping.join().expect("no panic");
    assert_eq!(status.code(), Some(130));
    line.clear();
    output.read_line(&mut line).expect("UTF-8");
    let report: Value = serde_json::from_str(&line).expect("the report");
    assert_eq!(count(&report["total"], "read"), 1);
}

/// Opening a pipe that nobody writes to once kept every other source waiting.
#[cfg(unix)]
#[test]
fn a_pipe_without_a_writer_holds_up_no_other_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let status = Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("mkfifo is there");
    assert!(status.success());
    let (_kept, other) = file(b"other\n");
    let mut child = logwatch(&[pipe.to_str().expect("UTF-8"), &other])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    output.read_line(&mut line).expect("UTF-8");
    assert!(line.ends_with(":1: other\n"), "{line}");
    std::fs::write(&pipe, "late\n").expect("it reads");
    line.clear();
    output.read_line(&mut line).expect("UTF-8");
    assert!(line.ends_with(":1: late\n"), "{line}");
    assert!(child.wait().expect("it ends").success());
}

#[cfg(unix)]
#[test]
fn its_own_output_is_no_input() {
    let (kept, name) = file(b"a line\n");
    let output = std::fs::File::options()
        .append(true)
        .open(kept.path())
        .expect("it is there");
    let result = logwatch(&[&name]).stdout(output).output().expect("it runs");
    assert_eq!(result.status.code(), Some(1));
    assert!(text(&result.stderr).contains("is also the output"));
    assert_eq!(std::fs::read(kept.path()).expect("readable"), b"a line\n");
}

#[cfg(unix)]
#[test]
fn a_file_name_is_shown_and_not_obeyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new\nline\x1b[31m");
    std::fs::write(&path, "a line\n").expect("writable");
    let output = run(&[path.to_str().expect("UTF-8")]);
    for stream in [&output.stdout, &output.stderr] {
        let text = text(stream);
        assert!(!text.contains('\x1b'), "{text}");
        assert!(text.contains("new\\nline\\u{1b}[31m"), "{text}");
    }
    assert_eq!(text(&output.stdout).lines().count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_what_it_cut_off_and_the_report_is_elsewhere() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux has it");
    let (_kept, name) = file(b"one\ntwo\n");
    let output = logwatch(&["--json", &name])
        .stdout(full)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output.stderr);
    let report: Value = serde_json::from_str(text.lines().last().expect("a report")).expect("JSON");
    assert_eq!(count(&report["total"], "lost"), 2);
}
