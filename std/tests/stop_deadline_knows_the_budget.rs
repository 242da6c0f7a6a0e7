//! What a stop token says of the time is what the supervisor has left, not only what the child's own limit is.

use bedplate::clock::{self, Instant};
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Stop, Supervisor};
use core::time::Duration;
use std::sync::{Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

/// A child that tells until when it may take, once it is asked.
fn telling(id: &'static str, tell: &mpsc::Sender<(&'static str, Option<Instant>)>) -> ChildSpec {
    let tell = tell.clone();
    ChildSpec::worker(id, move |me| {
        while !me.stop().wait(PATIENCE) {}
        tell.send((id, me.stop().deadline())).unwrap();
    })
}

#[test]
fn f64_each_is_told_what_is_left() {
    let (tell, told) = mpsc::channel();
    let supervisor = Supervisor::builder("app")
        .shutdown_budget(MINUTE)
        .child(telling("own", &tell).stop(Stop::Within(Duration::from_secs(30))))
        .child(telling("forever", &tell).stop(Stop::Forever))
        .child(telling("hour", &tell).stop(Stop::Within(HOUR)))
        .start()
        .unwrap();
    let before = clock::now();
    assert_eq!(
        supervisor.shutdown().clean,
        ["hour", "forever", "own"],
        "in order"
    );
    let after = clock::now();
    let mut told = told.try_iter();
    let mut next = |id| {
        let (told, deadline) = told.next().unwrap();
        assert_eq!(told, id);
        deadline.unwrap()
    };
    let total = next("hour");
    assert!(before.saturating_add(MINUTE) <= total && total <= after.saturating_add(MINUTE));
    assert_eq!(next("forever"), total, "one budget for all");
    assert!(next("own") < total);
}

#[test]
fn without_one_the_limits_are_the_childrens_own() {
    let (tell, told) = mpsc::channel();
    let supervisor = Supervisor::builder("app")
        .child(telling("forever", &tell).stop(Stop::Forever))
        .child(telling("hour", &tell).stop(Stop::Within(HOUR)))
        .start()
        .unwrap();
    let before = clock::now();
    assert_eq!(supervisor.shutdown().clean, ["hour", "forever"]);
    let hour = told.recv().unwrap().1.unwrap();
    assert!(before.saturating_add(HOUR) <= hour);
    assert_eq!(told.recv().unwrap(), ("forever", None));
}

#[test]
fn who_has_no_limit_of_its_own_is_abandoned_all_the_same_and_it_is_said_after_how_long() {
    const BUDGET: Duration = Duration::from_millis(20);

    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let deaf = ChildSpec::worker("deaf", move |_| {
        held.lock().unwrap().recv().unwrap_err();
    });
    let supervisor = Supervisor::builder("app")
        .shutdown_budget(BUDGET)
        .child(deaf.stop(Stop::Forever))
        .start()
        .unwrap();
    let child = supervisor.handle().child("deaf").unwrap();
    assert_eq!(supervisor.shutdown().abandoned, ["deaf"]);
    assert!(matches!(
        child.exit_reason(),
        Some(ExitReason::Abandoned { after: BUDGET })
    ));
    drop(release);
}
