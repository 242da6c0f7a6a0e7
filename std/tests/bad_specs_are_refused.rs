//! What cannot work is refused before anything runs, and the error says what and where.

use bedplate::supervisor::{
    ChildSpec, Incarnation, IntensityError, StartError, Supervisor, SupervisorBuilder,
};
use core::time::Duration;
use std::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts `builder` behind a child that must never run.
fn refused(builder: SupervisorBuilder) -> StartError {
    builder.start().map(drop).unwrap_err()
}

fn never_runs(id: impl Into<String>) -> ChildSpec {
    ChildSpec::worker(id, |_: &Incarnation| -> () {
        unreachable!("nothing may be started")
    })
}

#[test]
fn f10_names_that_no_thread_can_have() {
    for bad in ["", "a\0b", "a/b", &"x".repeat(129)] {
        let builder = Supervisor::builder("app")
            .child(never_runs("good"))
            .child(never_runs(bad));
        assert!(matches!(refused(builder), StartError::BadName { name, .. } if name == bad));
        let builder = Supervisor::builder(bad).child(never_runs("good"));
        assert!(matches!(refused(builder), StartError::BadName { .. }));
    }
    let longest = "x".repeat(128);
    let quiet = ChildSpec::worker(longest.clone(), |me| while !me.stop().wait(PATIENCE) {});
    let supervisor = Supervisor::builder("app").child(quiet).start().unwrap();
    assert_eq!(supervisor.shutdown().clean, [longest]);
}

#[test]
fn f6_two_children_of_one_name() {
    let builder = Supervisor::builder("app")
        .child(never_runs("twin"))
        .child(never_runs("other"))
        .child(never_runs("twin"));
    assert!(matches!(refused(builder), StartError::DuplicateId(id) if id == "twin"));
}

#[test]
fn limits_that_limit_nothing_or_cannot_be_kept() {
    let builder = Supervisor::builder("app")
        .limit(3, Duration::ZERO)
        .child(never_runs("child"));
    assert!(matches!(
        refused(builder),
        StartError::BadLimit(IntensityError::ZeroPeriod)
    ));
    let builder = Supervisor::builder("app")
        .limit(129, PATIENCE)
        .child(never_runs("child"));
    let error = refused(builder);
    assert!(matches!(
        error,
        StartError::BadLimit(IntensityError::TooHigh { most: 128, .. })
    ));
    assert_eq!(
        error.to_string(),
        "a restart intensity of 129 exceeds the possible 128"
    );
}

#[test]
fn more_children_than_a_supervisor_may_have() {
    let mut builder = Supervisor::builder("app");
    for number in 0..=4_096 {
        builder = builder.child(never_runs(number.to_string()));
    }
    assert!(matches!(
        refused(builder),
        StartError::TooManyChildren { limit: 4_096 }
    ));
}

#[test]
fn a_child_that_cannot_start_is_named_and_those_before_it_are_stopped() {
    let (events, seen) = mpsc::channel();
    let before = |id: &'static str| {
        let events = events.clone();
        ChildSpec::worker(id, move |me| {
            while !me.stop().wait(PATIENCE) {}
            events.send(id).unwrap();
        })
    };
    let (first, second) = (before("a"), before("b"));
    drop(events);
    // No system has so much address space.
    let impossible = never_runs("impossible").stack_size(1 << 60);
    let builder = Supervisor::builder("app")
        .child(first)
        .child(second)
        .child(impossible)
        .child(never_runs("after"));
    let error = refused(builder);
    let StartError::Child { id, error: cause } = &error else {
        panic!("{error}")
    };
    assert_eq!(id, "impossible");
    assert!(matches!(**cause, StartError::Spawn(_)));
    assert!(
        error
            .to_string()
            .starts_with("child \"impossible\" did not start: ")
    );
    // What was started runs, and sees at once that it is to stop.
    assert_eq!(seen.iter().collect::<Vec<_>>(), ["b", "a"]);
}
