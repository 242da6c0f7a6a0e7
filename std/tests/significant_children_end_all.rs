//! The end of significant children may be the end of all. Numbers are those of the conformance cases and of the
//! project's list of failure cases.

use bedplate::process::ExitReason;
use bedplate::supervisor::{
    AutoShutdown, ChildSpec, ControlError, Incarnation, PlanError, Restart, StartError, Strategy,
    Supervisor, SupervisorBuilder,
};
use core::time::Duration;
use std::sync::{Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

/// A significant child that goes on until what is returned is dropped, and crashes then in its first incarnation, or
/// finishes.
fn significant(id: &str, crashes: bool) -> (ChildSpec, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let spec = ChildSpec::worker(id, move |me| {
        wait.lock().unwrap().recv().unwrap_err();
        if crashes && me.number() == 1 {
            return Err("as planned");
        }
        if crashes {
            obedient(me);
        }
        Ok(())
    });
    (spec.significant(true), go)
}

fn app(auto_shutdown: AutoShutdown) -> SupervisorBuilder {
    Supervisor::builder("app")
        .auto_shutdown(auto_shutdown)
        .child(ChildSpec::worker("other", obedient))
}

#[test]
fn s76_s77_the_first_does_with_any() {
    let (temporary, end_temporary) = significant("temporary", true);
    let supervisor = app(AutoShutdown::AnySignificant)
        .child(temporary.restart(Restart::Temporary))
        .start()
        .unwrap();
    drop(end_temporary);
    assert!(matches!(supervisor.wait(), ExitReason::Shutdown));

    let (transient, end_transient) = significant("transient", false);
    let supervisor = app(AutoShutdown::AnySignificant)
        .child(transient.restart(Restart::Transient))
        .start()
        .unwrap();
    drop(end_transient);
    assert!(matches!(supervisor.wait(), ExitReason::Shutdown));
}

#[test]
fn s77_a_crash_that_is_followed_by_a_restart_does_not() {
    let (transient, crash) = significant("transient", true);
    let supervisor = app(AutoShutdown::AnySignificant)
        .child(transient.restart(Restart::Transient))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    drop(crash);
    while handle
        .child("transient")
        .is_none_or(|child| child.incarnation() == 1)
    {
        std::thread::yield_now();
    }
    assert_eq!(supervisor.shutdown().clean, ["transient", "other"]);
}

#[test]
fn f74_the_last_does_with_all() {
    let (first, end_first) = significant("first", false);
    let (second, end_second) = significant("second", false);
    let supervisor = app(AutoShutdown::AllSignificant)
        .child(first.restart(Restart::Transient))
        .child(second.restart(Restart::Transient))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    drop(end_first);
    while handle.child("first").is_some() {
        std::thread::yield_now();
    }
    assert!(handle.child("other").is_some());
    drop(end_second);
    assert!(matches!(supervisor.wait(), ExitReason::Shutdown));
}

#[test]
fn s76_f73_being_terminated_does_not() {
    let supervisor = app(AutoShutdown::AnySignificant)
        .child(
            ChildSpec::worker("one", obedient)
                .restart(Restart::Temporary)
                .significant(true),
        )
        .child(
            ChildSpec::worker("two", obedient)
                .restart(Restart::Transient)
                .significant(true),
        )
        .start()
        .unwrap();
    let handle = supervisor.handle();
    handle.terminate("one").unwrap();
    handle.terminate("two").unwrap();
    assert_eq!(handle.count().active, 1);
    assert_eq!(handle.count().specs, 2, "the temporary one is forgotten");
    assert_eq!(supervisor.shutdown().clean, ["other"]);
}

#[test]
fn f7_s11_s13_s79_what_cannot_be_meant_is_refused_wherever_it_is_said() {
    let never = || {
        ChildSpec::worker("child", |_| -> () {
            unreachable!("nothing may be started")
        })
    };
    let plan = |builder: SupervisorBuilder, child: ChildSpec| match builder
        .child(child)
        .start()
        .map(drop)
        .unwrap_err()
    {
        StartError::BadChild { id, error } => {
            assert_eq!(id, "child");
            match error {
                ControlError::BadPlan(error) => error,
                other => panic!("{other}"),
            }
        }
        other => panic!("{other}"),
    };
    let permanent = never().significant(true);
    assert_eq!(
        plan(app(AutoShutdown::AnySignificant), permanent),
        PlanError::SignificantPermanent
    );
    let under_never = never().significant(true).restart(Restart::Transient);
    assert_eq!(
        plan(app(AutoShutdown::Never), under_never),
        PlanError::SignificantUnderNever
    );
    let error = Supervisor::builder("app")
        .strategy(Strategy::Dynamic)
        .auto_shutdown(AutoShutdown::AnySignificant)
        .start()
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, StartError::BadConfig(_)), "{error}");

    // The same, in the same words, for one that comes later.
    let supervisor = app(AutoShutdown::Never).start().unwrap();
    let late = never().significant(true).restart(Restart::Transient);
    let error = supervisor.handle().start_child(late).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("child \"child\": {}", PlanError::SignificantUnderNever)
    );
    assert_eq!(error.into_spec().unwrap().id(), "child");
}
