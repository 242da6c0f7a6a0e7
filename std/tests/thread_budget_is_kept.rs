//! Supervisors start no more threads than they may. One test, for the limit is the process's.

use bedplate::process::{self, ExitReason};
use bedplate::supervisor::{ChildSpec, ChildState, Restart, Reuse, StartError, Supervisor};
use core::cell::RefCell;
use core::time::Duration;
use std::sync::{Mutex, mpsc};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);

fn quiet(id: &str) -> ChildSpec {
    ChildSpec::worker(id, |me| while !me.stop().wait(PATIENCE) {})
}

#[test]
fn f9_beyond_it_a_start_is_refused_and_undone() {
    process::limit_threads(3);
    let two = Supervisor::builder("two")
        .child(quiet("a"))
        .child(quiet("b"))
        .start()
        .unwrap();
    let error = Supervisor::builder("more")
        .child(quiet("c"))
        .child(quiet("d"))
        .start();
    let StartError::Child { id, error } = error.map(drop).unwrap_err() else {
        panic!("the child is not named")
    };
    assert_eq!(id, "d");
    assert!(matches!(
        *error,
        StartError::ThreadBudget { live: 3, limit: 3 }
    ));
    assert_eq!(process::threads(), 2);
    assert_eq!(process::alive(), 2);

    // A crash needs no second thread: the one that ends makes room first.
    process::limit_threads(2);
    assert_eq!(two.shutdown().clean, ["b", "a"]);
    process::limit_threads(1);
    for reuse in [Reuse::Fresh, Reuse::FreshAfterJoin, Reuse::SameThread] {
        let (runs, seen) = std::sync::mpsc::channel();
        let crashing = ChildSpec::worker("crashing", move |me| {
            runs.send((me.number(), process::threads())).unwrap();
            assert!(me.number() > 3, "crash");
            while !me.stop().wait(PATIENCE) {}
        });
        let one = Supervisor::builder("one").child(crashing.reuse(reuse));
        let one = one.start().unwrap();
        for number in 1..=4 {
            assert_eq!(seen.recv_timeout(PATIENCE), Ok((number, 1)));
        }
        assert_eq!(one.shutdown().clean, ["crashing"]);
        assert_eq!(process::threads(), 0, "{reuse:?}");
        assert_eq!(process::alive(), 0);
    }

    // Who keeps its thread needs none, also when there is no room.
    let (crash, crashes) = std::sync::mpsc::channel();
    let crashes = std::sync::Mutex::new(crashes);
    let (runs, seen) = std::sync::mpsc::channel();
    let crashing = ChildSpec::worker("crashing", move |me| -> Result<(), _> {
        runs.send(me.number()).unwrap();
        crashes.lock().unwrap().recv().map_or(Ok(()), Err)
    });
    let crashing = crashing
        .reuse(Reuse::SameThread)
        .restart(Restart::Transient);
    let one = Supervisor::builder("one").child(crashing).start().unwrap();
    process::limit_threads(0);
    for number in 1..=3 {
        assert_eq!(seen.recv_timeout(PATIENCE), Ok(number));
        crash.send("as planned").unwrap();
    }
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(4));
    drop(crash);
    assert!(one.shutdown().failed.is_empty());
    assert_eq!(process::threads(), 0);

    f29_whoever_is_refused_is_tried_again_later();
    what_is_over_but_for_destructors_is_not_counted();
}

/// Tells when it is being destroyed, and waits until it may be.
struct Lingers {
    tell: mpsc::Sender<()>,
    until: mpsc::Receiver<()>,
}

impl Drop for Lingers {
    fn drop(&mut self) {
        self.tell.send(()).unwrap();
        self.until.recv().unwrap_err();
    }
}

thread_local! {
    static LINGERS: RefCell<Option<Lingers>> = const { RefCell::new(None) };
}

fn what_is_over_but_for_destructors_is_not_counted() {
    process::limit_threads(1);
    let (tell, told) = mpsc::channel();
    let (release, until) = mpsc::channel();
    let lingers = Mutex::new(Some(Lingers { tell, until }));
    let (runs, seen) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        if me.number() == 1 {
            LINGERS.set(lingers.lock().unwrap().take());
            return;
        }
        runs.send((me.number(), process::threads())).unwrap();
        while !me.stop().wait(PATIENCE) {}
    });
    let one = Supervisor::builder("one").child(child).start().unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(seen.recv_timeout(PATIENCE), Ok((2, 1)));
    assert_eq!(one.shutdown().clean, ["child"]);
    assert_eq!(process::threads(), 0);
    drop(release);
}

fn f29_whoever_is_refused_is_tried_again_later() {
    process::limit_threads(1);
    let (crash, crashes) = std::sync::mpsc::channel::<()>();
    let crashes = std::sync::Mutex::new(Some(crashes));
    let (runs, seen) = std::sync::mpsc::channel();
    let crashing = ChildSpec::worker("crashing", move |me| -> Result<(), &str> {
        runs.send(me.number()).unwrap();
        let crash = crashes.lock().unwrap().take();
        if let Some(crash) = crash {
            crash.recv().unwrap_err();
            return Err("as planned");
        }
        while !me.stop().wait(PATIENCE) {}
        Ok(())
    });
    // Tried again at once, it would use that up while there is no room.
    let one = Supervisor::builder("one")
        .limit(128, Duration::from_nanos(1))
        .limit_total(100_000)
        .child(crashing)
        .start()
        .unwrap();
    assert_eq!(seen.recv_timeout(PATIENCE), Ok(1));
    process::limit_threads(0);
    drop(crash);
    let info = || one.handle().children().remove(0);
    let began = Instant::now();
    while !matches!(info().state, ChildState::Backoff { .. }) {
        assert!(began.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    let why = info().last_exit;
    let Some(ExitReason::NotStarted(error)) = why else {
        panic!("{why:?}")
    };
    assert!(matches!(*error, StartError::ThreadBudget { limit: 0, .. }));
    process::limit_threads(1);
    let number = seen.recv_timeout(PATIENCE).unwrap();
    assert!(number > 2, "that it was refused counts");
    assert_eq!(one.shutdown().clean, ["crashing"]);
}
