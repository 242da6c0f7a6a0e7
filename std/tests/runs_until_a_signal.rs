//! A program that runs until a signal stops its children in order, and ends at once at the second. Each in a process of
//! its own, for signals are the process's. Case 75 of the project's list of failure cases.
#![cfg(all(target_os = "linux", feature = "signal"))]

mod alone;

use alone::alone;
use bedplate::process::ExitReason;
use bedplate::supervisor::{Application, ChildSpec, OnGiveUp, Ready, RunError, Stop, Supervisor};
use bedplate::telemetry::{self, Event, EventName};
use core::time::Duration;
use rustix::process::{Signal, getpid, kill_process};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);

fn send(signal: Signal) {
    kill_process(getpid(), signal).unwrap();
}

/// Whether somebody listens.
fn listens() -> bool {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    threads.flatten().any(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm"));
        name.is_ok_and(|name| name.trim() == "bedplate-signal")
    })
}

/// Until somebody listens, a signal is the end of the process.
fn until_it_listens() {
    while !listens() {
        std::thread::yield_now();
    }
}

/// A thread that was joined may be listed for another moment.
fn until_nobody_listens() {
    while listens() {
        std::thread::yield_now();
    }
}

/// A child that says its name and waits until it is asked to stop.
fn says_it_runs(id: &'static str, tell: &mpsc::Sender<&'static str>) -> ChildSpec {
    let tell = tell.clone();
    ChildSpec::worker(id, move |me| {
        tell.send(id).unwrap();
        while !me.stop().wait(PATIENCE) {}
    })
}

#[test]
fn f75_one_is_an_orderly_end() {
    alone("f75_one_is_an_orderly_end", || {
        for (signal, number) in [(Signal::TERM, 15), (Signal::INT, 2)] {
            let (tell, told) = mpsc::channel();
            let child = |id| says_it_runs(id, &tell);
            let supervisor = Supervisor::builder("app")
                .child(child("a"))
                .child(child("b"))
                .start()
                .unwrap();
            let sender = std::thread::spawn(move || {
                for _ in 0..2 {
                    told.recv_timeout(PATIENCE).unwrap();
                }
                until_it_listens();
                send(signal);
            });
            let ended = supervisor.run_until_signal().unwrap();
            sender.join().unwrap();
            assert_eq!(ended.signal, Some(number));
            assert!(matches!(ended.reason, ExitReason::Shutdown));
            assert_eq!(ended.report.clean, ["b", "a"]);
            // Else the next one would take it for its own.
            until_nobody_listens();
        }
    });
}

#[test]
fn it_may_end_by_itself_before() {
    alone("it_may_end_by_itself_before", || {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let crashing = ChildSpec::worker("crashing", move |_| {
            let _gone = wait.lock().unwrap().recv();
            Err::<(), _>("as planned")
        });
        let supervisor = Supervisor::builder("app").child(crashing).start().unwrap();
        drop(go);
        let ended = supervisor.run_until_signal().unwrap();
        assert_eq!(ended.signal, None);
        assert!(matches!(ended.reason, ExitReason::GaveUp(_)));
        assert_eq!(ended.report.failed.len(), 1);
    });
}

/// Tells the test that runs it as a process of its own that it is the process.
const MARK: &str = "BEDPLATE_TEST_SECOND_SIGNAL";

#[test]
fn f75_a_second_one_is_the_end_at_once() {
    if std::env::var_os(MARK).is_some() {
        let deaf = ChildSpec::worker("deaf", |me| -> () {
            while !me.stop().wait(PATIENCE) {}
            send(Signal::TERM);
            loop {
                std::thread::park();
            }
        });
        let supervisor = Supervisor::builder("app")
            .child(deaf.stop(Stop::Forever))
            .start()
            .unwrap();
        std::thread::spawn(|| {
            until_it_listens();
            send(Signal::INT);
        });
        let _never = supervisor.run_until_signal();
        return;
    }
    dies_of_the_second("f75_a_second_one_is_the_end_at_once");
}

/// Runs this test as a process of its own, which is to die of a signal.
fn dies_of_the_second(test: &str) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(MARK, "")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(process.wait().unwrap().signal(), Some(15));
}

/// Also when all children have stopped, and only a handler of what was recorded is waited for.
#[test]
fn f75_a_second_one_is_the_end_to_the_last() {
    if std::env::var_os(MARK).is_some() {
        let hangs = |_: &Event<'_>| -> () {
            // All has stopped, or will be before long.
            std::thread::sleep(Duration::from_millis(100));
            send(Signal::TERM);
            loop {
                std::thread::park();
            }
        };
        telemetry::attach("hangs", EventName::new("last.words"), hangs).unwrap();
        let worker = ChildSpec::worker("worker", |me| {
            while !me.stop().wait(PATIENCE) {}
            telemetry::record!("last.words", { value: 1_u64 });
        });
        let supervisor = Supervisor::builder("app").child(worker).start().unwrap();
        std::thread::spawn(|| {
            until_it_listens();
            send(Signal::INT);
        });
        let _never = supervisor.run_until_signal();
        return;
    }
    dies_of_the_second("f75_a_second_one_is_the_end_to_the_last");
}

#[test]
fn f75_an_application_stops_in_order() {
    alone("f75_an_application_stops_in_order", || {
        let (tell, told) = mpsc::channel();
        let child = |id| says_it_runs(id, &tell);
        let main = Supervisor::builder("app")
            .child(child("a"))
            .child(child("b"));
        let sender = std::thread::spawn(move || {
            for _ in 0..2 {
                told.recv_timeout(PATIENCE).unwrap();
            }
            // It has listened since before they were started.
            send(Signal::TERM);
        });
        // A signal is not giving up.
        let application = Application::new(main).on_give_up(OnGiveUp::Abort);
        let ended = application.run_until_signal().unwrap();
        sender.join().unwrap();
        assert_eq!(ended.signal, Some(15));
        assert!(matches!(ended.reason, ExitReason::Shutdown));
        assert_eq!(
            ended.report.clean,
            ["main/b", "main/a", "main", "bedplate/telemetry", "bedplate"]
        );
        until_nobody_listens();
    });
}

/// The children after the one that is being started never start; those before it are stopped.
#[test]
fn f13_f75_one_that_comes_while_an_application_starts() {
    alone("f13_f75_one_that_comes_while_an_application_starts", || {
        let (tell, told) = mpsc::channel();
        let child = |id: &'static str| {
            let tell = tell.clone();
            ChildSpec::worker(id, move |me| {
                tell.send(id).unwrap();
                if id == "a" {
                    me.ready();
                } else {
                    send(Signal::TERM);
                }
                while !me.stop().wait(PATIENCE) {}
            })
            .ready(Ready::Signalled { within: PATIENCE })
        };
        let main = Supervisor::builder("app")
            .child(child("a"))
            .child(child("b"))
            .child(child("c"));
        let ended = Application::new(main).run_until_signal().unwrap();
        assert_eq!(ended.signal, Some(15));
        assert!(matches!(ended.reason, ExitReason::Shutdown));
        drop(tell);
        assert_eq!(told.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(ended.report.abandoned, [""; 0]);
    });
}

#[test]
fn an_application_that_does_not_start_listens_no_more() {
    alone("an_application_that_does_not_start_listens_no_more", || {
        let failing = ChildSpec::worker("failing", |_| Err::<(), _>("as planned"));
        let failing = failing.ready(Ready::Signalled { within: PATIENCE });
        let main = Supervisor::builder("app").child(failing);
        let error = Application::new(main).run_until_signal().unwrap_err();
        assert!(matches!(error, RunError::Start(_)), "{error}");
        until_nobody_listens();
    });
}
