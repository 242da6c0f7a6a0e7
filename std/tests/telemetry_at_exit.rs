//! What was recorded is told when the process ends: by returning from `main`, by `exit` in it, and by a flush before
//! `exit` on another thread. Each in a process of its own, whose events are lines on its standard output.

use bedplate::telemetry::{self, Event, EventName};
use core::time::Duration;
use std::io::Write as _;
use std::process::{Command, exit};

const READ: EventName<'static> = EventName::new("exit.read");
const EVENTS: u64 = 100;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--return") => record(),
        Some("--exit") => {
            record();
            exit(0);
        }
        Some("--flush") => {
            let other = std::thread::spawn(|| {
                record();
                telemetry::flush(Duration::from_secs(60)).expect("handlers return");
                exit(0);
            });
            other.join().expect("it does not return");
        }
        // As the other tests do, but for the names of tests: there is one.
        _ => {
            for how in ["--return", "--exit", "--flush"] {
                check(how);
            }
            println!("test result: ok. 3 passed; 0 failed");
        }
    }
}

/// Records some events on this thread, and some on one that goes on living.
fn record() {
    telemetry::attach("exit", READ, |event: &Event<'_>| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{event}")
    })
    .expect("there is room");
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for value in 0..EVENTS {
            telemetry::record!("exit.read", { value: value }, { thread: 2_u64 });
        }
        done.send(()).expect("somebody waits");
        loop {
            std::thread::park();
        }
    });
    is_done.recv().expect("it sends");
    for value in 0..EVENTS {
        telemetry::record!("exit.read", { value: value }, { thread: 1_u64 });
    }
}

fn check(how: &str) {
    let this = std::env::current_exe().expect("this program");
    let output = Command::new(this).arg(how).output().expect("it runs");
    assert!(output.status.success(), "{how}: {output:?}");
    let told = String::from_utf8(output.stdout).expect("text");
    for thread in [1, 2] {
        let end = format!(" thread={thread}");
        let of_thread: Vec<_> = told.lines().filter(|line| line.ends_with(&end)).collect();
        let expected: Vec<_> = (0..EVENTS)
            .map(|value| format!("exit.read value={value} thread={thread}"))
            .collect();
        assert_eq!(of_thread, expected, "{how}");
    }
}
