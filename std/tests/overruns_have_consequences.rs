//! What follows when threads do not stop in time is what the specification says.

use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Incarnation, Overrun, Stop, Strategy, Supervisor};
use core::time::Duration;
use std::sync::{Arc, Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const LIMIT: Duration = Duration::from_millis(20);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

/// What keeps deaf children where they are, until it is dropped.
fn keeper() -> (mpsc::Sender<()>, Arc<Mutex<mpsc::Receiver<()>>>) {
    let (release, held) = mpsc::channel();
    (release, Arc::new(Mutex::new(held)))
}

/// A child whose first incarnations, so many, do not stop in time.
fn deaf(id: &str, many: u64, held: &Arc<Mutex<mpsc::Receiver<()>>>) -> ChildSpec {
    let held = held.clone();
    let spec = ChildSpec::worker(id, move |me| {
        if me.number() <= many {
            let _released = held.lock().map(|held| held.recv());
        } else {
            obedient(me);
        }
    });
    spec.stop(Stop::Within(LIMIT))
}

/// A child that crashes when it is told to, in every incarnation.
fn crashing(crashes: mpsc::Receiver<()>) -> ChildSpec {
    let crashes = Mutex::new(crashes);
    ChildSpec::worker("crashing", move |me| {
        while !me.stop().wait(Duration::from_millis(1)) {
            match crashes.lock().unwrap().try_recv() {
                Ok(()) => return Err("as planned"),
                Err(_) => continue,
            }
        }
        Ok(())
    })
}

#[test]
fn f58_a_group_goes_on_without_who_did_not_stop() {
    let (release, held) = keeper();
    let (crash, crashes) = mpsc::channel();
    let supervisor = Supervisor::builder("app")
        .strategy(Strategy::OneForAll)
        .child(crashing(crashes))
        .child(deaf("deaf", 1, &held))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    crash.send(()).unwrap();
    let is_back = |id| {
        handle
            .child(id)
            .is_some_and(|child| child.incarnation() == 2)
    };
    while !(is_back("crashing") && is_back("deaf")) {
        std::thread::yield_now();
    }
    assert_eq!(handle.count().abandoned, 1);
    drop(release);
    while handle.count().abandoned > 0 {
        std::thread::yield_now();
    }
    assert!(supervisor.shutdown().clean.contains(&"crashing".to_owned()));
}

#[test]
fn who_shares_a_resource_ends_the_supervisor() {
    let (release, held) = keeper();
    let (crash, crashes) = mpsc::channel();
    let supervisor = Supervisor::builder("app")
        .strategy(Strategy::OneForAll)
        .child(ChildSpec::worker("before", obedient))
        .child(crashing(crashes))
        .child(deaf("deaf", 1, &held).overrun(Overrun::Escalate))
        .start()
        .unwrap();
    crash.send(()).unwrap();
    let reason = supervisor.wait();
    assert!(
        matches!(reason, ExitReason::Abandoned { after: LIMIT }),
        "{reason}"
    );
    drop(release);
}

#[test]
fn f81_one_abandoned_too_many_ends_the_supervisor() {
    let (release, held) = keeper();
    let (crash, crashes) = mpsc::channel();
    let supervisor = Supervisor::builder("app")
        .strategy(Strategy::OneForAll)
        .limit(10, HOUR)
        .max_abandoned(2)
        .child(ChildSpec::worker("before", obedient))
        .child(crashing(crashes))
        .child(deaf("deaf", 3, &held))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    for abandoned in 1..=3 {
        crash.send(()).unwrap();
        while handle.count().specs > 0 && handle.count().abandoned < abandoned {
            std::thread::yield_now();
        }
    }
    let reason = supervisor.wait();
    assert!(matches!(reason, ExitReason::Abandoned { .. }), "{reason}");
    drop(release);
}

#[test]
fn at_the_end_of_all_it_makes_no_difference() {
    let (release, held) = keeper();
    let supervisor = Supervisor::builder("app")
        .child(ChildSpec::worker("before", obedient))
        .child(deaf("deaf", 1, &held).overrun(Overrun::Escalate))
        .start()
        .unwrap();
    let report = supervisor.shutdown();
    assert_eq!(report.abandoned, ["deaf"]);
    assert_eq!(report.clean, ["before"]);
    drop(release);
}
