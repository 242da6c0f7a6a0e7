//! An end that was not clean is one `tracing` event, before the restart that follows; a clean one is
//! none. One test, for the subscriber is the process's.
#![cfg(feature = "tracing")]

use bedplate::context::{self, Key};
use bedplate::monitor::Inbox;
use bedplate::supervisor::{ChildSpec, Restart, StartError, Stop, Supervisor};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, mpsc};
use tracing_subscriber::prelude::*;

const PATIENCE: Duration = Duration::from_secs(30);

static SHOP: Key<&'static str> = Key::new("shop");

/// The lines that were written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn take(&self) -> Vec<String> {
        let bytes = core::mem::take(&mut *self.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

fn until_over(supervisor: &Supervisor) {
    while supervisor.handle().count().specs > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn once_each_and_in_time() {
    let lines = Lines::default();
    let writer = lines.clone();
    let printing = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time();
    tracing_subscriber::registry()
        .with(printing)
        .with(bedplate::tracing_bridge::layer())
        .init();

    // A panic, then an error, then what was decided: the restart has the line before it.
    let (starts, seen) = mpsc::channel();
    let told = lines.clone();
    let flaky = context::with(&SHOP, "corner", || {
        ChildSpec::worker("flaky", move |me| -> Result<(), String> {
            starts.send((me.number(), told.take())).unwrap();
            match me.number() {
                1 => panic!("out of stock"),
                2 => Err("closed".to_owned()),
                _ => {
                    while !me.stop().wait(PATIENCE) {}
                    Ok(())
                }
            }
        })
    });
    let supervisor = Supervisor::builder("app")
        .quiet_panics(true)
        .child(flaky)
        .start()
        .unwrap();
    let next = || seen.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), (1, vec![]));
    let (_, panicked) = next();
    assert_eq!(panicked.len(), 1, "{panicked:?}");
    for part in [
        "WARN",
        "ctx{ctx=shop=corner}",
        "bedplate::supervisor: child ended",
        "child=\"app/flaky\"",
        "incarnation=1",
        "reason=panicked: out of stock at ",
    ] {
        assert!(panicked[0].contains(part), "{part}: {panicked:?}");
    }
    let (_, failed) = next();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].contains("incarnation=2 reason=failed: closed"));
    assert_eq!(supervisor.shutdown().clean, ["flaky"]);
    assert_eq!(lines.take(), [""; 0]);

    // Given up, also while starting.
    let broken = ChildSpec::worker("broken", |_| Err::<(), _>("broken"));
    match Supervisor::builder("app")
        .limit(0, PATIENCE)
        .child(broken)
        .start()
    {
        Ok(supervisor) => drop(supervisor.wait()),
        Err(error) => assert!(matches!(error, StartError::GaveUp(_)), "{error}"),
    }
    let given_up = lines.take();
    assert_eq!(given_up.len(), 2, "{given_up:?}");
    assert!(given_up[0].starts_with("WARN"));
    assert!(given_up[1].starts_with("ERROR bedplate::supervisor: gave up supervisor=\"app\""));

    // Abandoned: nothing more when it ends at last.
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (gone, is_gone) = mpsc::channel();
    let deaf = ChildSpec::worker("deaf", move |_| -> () {
        held.lock().unwrap().recv().unwrap_err();
        gone.send(()).unwrap();
        std::panic::resume_unwind(Box::new("late"));
    });
    let supervisor = Supervisor::builder("app")
        .child(deaf.stop(Stop::Within(Duration::from_millis(1))))
        .start()
        .unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("deaf").unwrap());
    supervisor.handle().request_stop();
    inbox.recv_timeout(PATIENCE).unwrap();
    until_over(&supervisor);
    let mut abandoned = lines.take();
    while abandoned.is_empty() {
        std::thread::yield_now();
        abandoned = lines.take();
    }
    assert!(abandoned[0].starts_with("ERROR bedplate::supervisor: child abandoned"));
    drop(release);
    is_gone.recv_timeout(PATIENCE).unwrap();
    while bedplate::process::threads() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(lines.take(), [""; 0]);

    // An error of the start is the caller's to report.
    let (nothing, _) = mpsc::channel::<()>();
    bedplate::process::limit_threads(0);
    let unborn = ChildSpec::worker("unborn", move |_| nothing.send(()).unwrap());
    let refused = Supervisor::builder("app")
        .child(unborn.restart(Restart::Temporary))
        .start();
    assert!(matches!(refused.map(drop), Err(StartError::Child { .. })));
    assert_eq!(lines.take(), [""; 0]);
}
