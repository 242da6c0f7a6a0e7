//! Supervisors start no more threads than they may. One test, for the limit is the process's.

use bedplate::process;
use bedplate::supervisor::{ChildSpec, Restart, Reuse, StartError, Supervisor};
use core::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

fn quiet(id: &str) -> ChildSpec {
    ChildSpec::worker(id, |me| while !me.stop().wait(PATIENCE) {})
}

#[test]
fn beyond_it_a_start_is_refused_and_undone() {
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
}
