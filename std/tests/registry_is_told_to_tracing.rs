//! A registration is one `tracing` event, and so is what an owner leaves when it goes; a subscriber that
//! panics does no harm. One test, for the subscriber is the process's.
#![cfg(feature = "tracing")]

use bedplate::monitor::Inbox;
use bedplate::registry::Registry;
use bedplate::supervisor::{ChildSpec, Restart, Supervisor};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;
use tracing_subscriber::prelude::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// The lines that were written, by a writer that may be told to panic.
#[derive(Clone, Default)]
struct Lines(Arc<(Mutex<Vec<u8>>, AtomicBool)>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.1.load(Ordering::Relaxed) {
            // Of no size: a panic that is contained leaks its payload, whose destructor might panic as well.
            std::panic::resume_unwind(Box::new(()));
        }
        self.0.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn take(&self) -> Vec<String> {
        let bytes = core::mem::take(&mut *self.0.0.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// Waits for those that are told by another thread.
    fn take_at_least(&self, number: usize) -> Vec<String> {
        let begun = Instant::now();
        let mut lines = self.take();
        while lines.len() < number {
            assert!(begun.elapsed() < PATIENCE, "{lines:?}");
            std::thread::yield_now();
            lines.extend(self.take());
        }
        lines
    }

    fn panic(&self, from_now_on: bool) {
        self.0.1.store(from_now_on, Ordering::Relaxed);
    }
}

#[test]
fn what_comes_and_what_goes() {
    let lines = Lines::default();
    let writer = lines.clone();
    let printing = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time();
    tracing_subscriber::registry().with(printing).init();

    // An owner.
    let registry = Registry::<u64, u64>::open("told").unwrap();
    let mut owner = registry.owner().unwrap();
    let pid = owner.pid();
    owner.register(1, 1).unwrap();
    owner.register(1, 1).unwrap_err();
    owner.register(2, 2).unwrap();
    owner.register(3, 3).unwrap();
    owner.unregister(&2);
    drop(owner);
    let registered =
        format!("TRACE bedplate::registry: registry.register registry=\"told\" owner={pid}");
    let cleanup =
        format!("DEBUG bedplate::registry: registry.cleanup registry=\"told\" owner={pid} count=2");
    let expected = [&registered, &registered, &registered, &cleanup];
    assert_eq!(lines.take().iter().collect::<Vec<_>>(), expected);

    // A thread, which leaves something or has given everything up.
    for leaves in [true, false] {
        let registry = registry.clone();
        std::thread::spawn(move || {
            registry.register(1, 1).unwrap();
            if !leaves {
                registry.unregister(&1);
            }
        })
        .join()
        .unwrap();
        let told = lines.take_at_least(if leaves { 2 } else { 1 });
        assert_eq!(told.len(), if leaves { 2 } else { 1 }, "{told:?}");
        assert!(told[0].contains("registry.register"));
        assert!(told[1..].iter().all(|line| line.ends_with("count=1")));
    }

    // An incarnation, before anybody is told of its end; its name goes last.
    let (go, wait) = mpsc::channel::<()>();
    let (wait, theirs) = (Mutex::new(wait), registry.clone());
    let child = ChildSpec::worker("child", move |_| -> () {
        wait.lock().unwrap().recv().unwrap();
        theirs.register(1, 1).unwrap();
        theirs.register(2, 2).unwrap();
        panic!("with all that");
    });
    let supervisor = Supervisor::builder("app")
        .quiet_panics(true)
        .child(child.restart(Restart::Temporary).register("told/child"))
        .start()
        .unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("child").unwrap());
    go.send(()).unwrap();
    let pid = inbox.recv_timeout(PATIENCE).unwrap().child.pid();
    let told = lines.take();
    let _ = supervisor.shutdown();
    let name = "registry=\"bedplate::names\"";
    let expected = [
        format!("TRACE bedplate::registry: registry.register {name} owner={pid}"),
        format!("TRACE bedplate::registry: registry.register registry=\"told\" owner={pid}"),
        format!("TRACE bedplate::registry: registry.register registry=\"told\" owner={pid}"),
        format!("DEBUG bedplate::registry: registry.cleanup registry=\"told\" owner={pid} count=2"),
        format!("DEBUG bedplate::registry: registry.cleanup {name} owner={pid} count=1"),
    ];
    assert_eq!(told[..5], expected);
    lines.take();

    // A subscriber that panics, also while the thread's locals are destroyed.
    lines.panic(true);
    let theirs = registry.clone();
    std::thread::spawn(move || {
        theirs.register(1, 1).unwrap();
        assert_eq!(theirs.len(), 1);
    })
    .join()
    .unwrap();
    assert!(registry.is_empty());
    lines.panic(false);
    registry.register(1, 1).unwrap();
    // What that thread left may have been told only now.
    let told = lines.take();
    assert!(told.iter().any(|line| line.contains("registry.register")));
}
