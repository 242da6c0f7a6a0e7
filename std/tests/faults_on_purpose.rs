//! Bodies fail where and when a test says, and nowhere else.

use bedplate::context;
use bedplate::fault::{self, Fault, Faults, Injected};
use bedplate::monitor::{Down, Inbox};
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Incarnation, Restart, Stop, Supervisor, SupervisorBuilder};
use core::time::Duration;
use std::thread;

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// What ships: it begins, does three things, and then waits to be stopped.
fn body(me: &Incarnation) -> Result<(), Injected> {
    fault::point("begin")?;
    for _ in 0..3 {
        fault::point("body")?;
    }
    while !me.stop().wait(HOUR) {}
    Ok(())
}

fn app(stop: Stop) -> SupervisorBuilder {
    let body = ChildSpec::worker("body", body).restart(Restart::Temporary);
    Supervisor::builder("app")
        .quiet_panics(true)
        .child(body.stop(stop))
}

/// Starts it within these faults, in which it is held at its beginning until it is monitored.
fn started(faults: &Faults, stop: Stop) -> (Supervisor, Inbox) {
    let supervisor = faults.run(|| app(stop).start()).unwrap();
    assert!(faults.wait_for("begin", 1, PATIENCE));
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("body").expect("it is held"));
    (supervisor, inbox)
}

fn held() -> Faults {
    Faults::new().at("begin", 1, Fault::Hang)
}

fn down(inbox: &Inbox) -> Down {
    inbox.recv_timeout(PATIENCE).expect("it ends")
}

#[test]
fn where_there_are_no_faults_nothing_fails() {
    let others = Faults::new().from("body", 1, Fault::Error);
    let supervisor = app(Stop::default()).start().unwrap();
    let report = supervisor.shutdown();
    assert_eq!(report.clean, ["body"]);
    assert_eq!(others.beats("body"), 0);
    assert_eq!(fault::point("body"), Ok(()));
}

#[test]
fn a_point_of_another_name_goes_on() {
    let faults = Faults::new().from("another", 1, Fault::Error);
    faults.run(|| assert_eq!(fault::point("body"), Ok(())));
    assert_eq!((faults.beats("body"), faults.beats("another")), (1, 0));
}

#[test]
fn the_beat_that_is_named_fails() {
    let faults = Faults::new().at("body", 2, Fault::Error);
    let results = faults.run(|| [(); 3].map(|()| fault::point("body")));
    let injected = results[1].clone().unwrap_err();
    assert_eq!((&*injected.point, injected.beat), ("body", 2));
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!(faults.beats("body"), 3);
}

#[test]
fn from_a_beat_on_all_fail_but_those_of_which_something_else_is_said() {
    let faults = Faults::new()
        .from("body", 2, Fault::Error)
        .at("body", 4, Fault::Panic);
    let come = || std::panic::catch_unwind(|| fault::point("body").is_ok()).ok();
    let results = faults.run(|| [(); 5].map(|()| come()));
    let [ok, failed, panicked] = [Some(true), Some(false), None];
    assert_eq!(results, [ok, failed, failed, panicked, failed]);
}

#[test]
fn an_error_and_a_panic_end_the_body() {
    let faults = held().at("body", 3, Fault::Error);
    let (_supervisor, inbox) = started(&faults, Stop::default());
    faults.release();
    let reason = down(&inbox).reason.to_string();
    assert_eq!(reason, "failed: a fault on purpose at body, beat 3");

    let faults = held().at("body", 2, Fault::Panic);
    let (_supervisor, inbox) = started(&faults, Stop::default());
    faults.release();
    let ExitReason::Panicked(report) = down(&inbox).reason else {
        panic!("it panics");
    };
    assert_eq!(report.message, "a fault on purpose at body, beat 2");
}

#[test]
fn who_waits_ends_when_it_is_asked_to() {
    let faults = held().at("body", 1, Fault::Wait);
    let (supervisor, inbox) = started(&faults, Stop::Within(HOUR));
    faults.release();
    assert!(faults.wait_for("body", 1, PATIENCE));
    assert!(inbox.try_recv().is_none());
    let report = supervisor.shutdown();
    assert_eq!(report.clean, ["body"]);
    assert_eq!(faults.beats("body"), 3);
}

#[test]
fn who_hangs_is_abandoned_and_goes_on_when_it_is_released() {
    let faults = held();
    let (supervisor, inbox) = started(&faults, Stop::Within(Duration::ZERO));
    let report = supervisor.shutdown();
    assert_eq!(report.abandoned, ["body"]);
    assert!(matches!(down(&inbox).reason, ExitReason::Abandoned { .. }));
    assert_eq!(faults.beats("body"), 0);
    faults.release();
    assert!(faults.wait_for("body", 3, PATIENCE));
}

/// Whoever waits and was abandoned, or is on a thread of nobody, is not forgotten.
#[test]
fn the_end_of_the_faults_is_the_end_of_waiting() {
    let faults = Faults::new().at("here", 1, Fault::Wait);
    let waiting = faults.run(|| context::in_context(|| fault::point("here")));
    thread::scope(|scope| {
        let waiting = scope.spawn(waiting);
        assert!(faults.wait_for("here", 1, PATIENCE));
        assert!(!waiting.is_finished());
        drop(faults);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
}

#[test]
fn the_beats_of_a_wrapped_body_are_its_incarnations() {
    let faults = Faults::new()
        .at("start", 1, Fault::Error)
        .at("start", 2, Fault::Panic)
        .at("start", 3, Fault::Error)
        .at("inside", 1, Fault::Wait);
    let wrapped = faults.around("start", |me: &Incarnation| {
        assert_eq!(me.number(), 4);
        fault::point("inside")
    });
    let child = ChildSpec::worker("child", wrapped).restart(Restart::Transient);
    let supervisor = Supervisor::builder("app").quiet_panics(true).child(child);
    let supervisor = supervisor.start().unwrap();
    assert!(faults.wait_for("inside", 1, PATIENCE));
    assert_eq!(faults.beats("start"), 4);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn inner_faults_are_those_that_count() {
    let outer = Faults::new().from("point", 1, Fault::Error);
    let inner = Faults::new();
    outer.run(|| {
        assert!(fault::point("point").is_err());
        assert_eq!(inner.run(|| fault::point("point")), Ok(()));
        drop(inner);
        assert!(fault::point("point").is_err());
    });
    assert_eq!(outer.beats("point"), 2);
}

/// A supervisor that is described within faults describes its children within them.
#[test]
fn nested_children_are_within_them_too() {
    let faults = Faults::new().from("begin", 1, Fault::Hang);
    let nested = faults.run(|| ChildSpec::supervisor("nested", || app(Stop::Within(HOUR))));
    let supervisor = Supervisor::builder("top").child(nested).start().unwrap();
    assert!(faults.wait_for("begin", 1, PATIENCE));
    drop(faults);
    let _report = supervisor.shutdown();
}
