//! A child that says when it is ready is started when it has said so, and not before. Numbers are those of the
//! project's list of failure cases.

use bedplate::monitor::Inbox;
use bedplate::process::{ExitReason, IntoExit as _};
use bedplate::supervisor::simulation::Simulation;
use bedplate::supervisor::{
    Backoff, ChildSpec, ChildState, Incarnation, Overrun, Ready, Restart, StartError, Stop,
    Supervisor,
};
use bedplate::supervisor::{RestartError, StartChildError, Strategy};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// For who is to be late.
const SOON: Duration = Duration::from_millis(20);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

const fn within(time: Duration) -> Ready {
    Ready::Signalled { within: time }
}

/// A child that is stopped tells.
fn telling(id: &'static str, tell: &mpsc::Sender<&'static str>) -> ChildSpec {
    let tell = tell.clone();
    ChildSpec::worker(id, move |me| {
        obedient(me);
        tell.send(id).unwrap();
    })
}

/// A child that does not stop until what is returned is dropped.
fn deaf(id: &str) -> (ChildSpec, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let spec = ChildSpec::worker(id, move |_| {
        held.lock().unwrap().recv().unwrap_err();
    });
    (spec, release)
}

#[test]
fn f1_each_starts_when_the_one_before_is_ready() {
    let (tell, told) = mpsc::channel();
    let mut builder = Supervisor::builder("app");
    for id in ["a", "b", "c"] {
        let tell = tell.clone();
        let child = ChildSpec::worker(id, move |me| {
            tell.send(format!("{id} begins")).unwrap();
            std::thread::yield_now();
            tell.send(format!("{id} is ready")).unwrap();
            me.ready();
            // Said again, it means nothing.
            me.ready();
            obedient(me);
        });
        builder = builder.child(child.ready(within(PATIENCE)));
    }
    let supervisor = builder.start().unwrap();
    let told: Vec<String> = told.try_iter().collect();
    let order = ["a", "b", "c"].map(|id| [format!("{id} begins"), format!("{id} is ready")]);
    assert_eq!(told, order.concat());
    let children = supervisor.handle().children();
    assert!(
        children
            .iter()
            .all(|child| child.state == ChildState::Running)
    );
    assert_eq!(supervisor.shutdown().clean, ["c", "b", "a"]);
}

#[test]
fn saying_so_without_being_asked_means_nothing() {
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        me.ready();
        tell.send(()).unwrap();
        obedient(me);
    });
    let supervisor = Supervisor::builder("app").child(child).start().unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn f3_s17_who_ends_before_has_not_started_and_the_error_says_why() {
    let (tell, told) = mpsc::channel();
    let failing = ChildSpec::worker("failing", |_| Err::<(), _>(io::Error::other("no disk")));
    let error = Supervisor::builder("app")
        .child(telling("before", &tell))
        .child(failing.ready(within(PATIENCE)))
        .child(ChildSpec::worker("after", |_| -> () {
            unreachable!("it never starts")
        }))
        .start()
        .map(drop)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "child \"failing\" did not start: ended before it was ready: failed: no disk"
    );
    let StartError::Child { id, error: cause } = &error else {
        panic!("{error}")
    };
    assert_eq!(id, "failing");
    assert!(matches!(**cause, StartError::Exited(ExitReason::Failed(_))));
    let root = core::error::Error::source(&**cause).unwrap();
    assert_eq!(root.to_string(), "no disk");
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["before"]);

    // However cleanly.
    let brief = ChildSpec::worker("brief", |_| ()).restart(Restart::Transient);
    let error = Supervisor::builder("app")
        .child(brief.ready(within(PATIENCE)))
        .start()
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().ends_with("ready: finished"), "{error}");
}

#[test]
fn f4_who_is_late_is_asked_to_stop_and_has_not_started() {
    let (tell, told) = mpsc::channel();
    let late = ChildSpec::worker("late", obedient).ready(within(SOON));
    let error = Supervisor::builder("app")
        .child(telling("before", &tell))
        .child(late)
        .start()
        .map(drop)
        .unwrap_err();
    let StartError::Child { id, error: cause } = &error else {
        panic!("{error}")
    };
    assert_eq!(id, "late");
    assert!(matches!(**cause, StartError::NotReady { within: SOON }));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["before"]);
}

#[test]
fn f4_and_abandoned_if_it_does_not_stop_either() {
    for overrun in [Overrun::Abandon, Overrun::Escalate] {
        let (tell, told) = mpsc::channel();
        let (late, release) = deaf("late");
        let late = late.ready(within(SOON)).stop(Stop::Within(SOON));
        let error = Supervisor::builder("app")
            .child(telling("before", &tell))
            .child(late.overrun(overrun))
            .start()
            .map(drop)
            .unwrap_err();
        let StartError::Child { id, error: cause } = &error else {
            panic!("{error}")
        };
        assert_eq!(id, "late");
        assert!(matches!(**cause, StartError::NotReady { .. }));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["before"]);
        drop(release);
    }
}

/// A supervisor of a child that is ready and crashes when what is returned is dropped; from then on it is like `then`,
/// whose time to be ready may be short.
fn once_ready(then: ChildSpec, intensity: u32) -> (Supervisor, mpsc::Sender<()>) {
    let (crash, crashes) = mpsc::channel::<()>();
    let crashes = Mutex::new(crashes);
    let id = then.id().to_owned();
    let first = ChildSpec::worker(id, move |me| {
        me.ready();
        let _gone = crashes.lock().unwrap().recv();
        Err::<(), _>("as planned")
    });
    let supervisor = Supervisor::builder("app")
        .limit(intensity, HOUR)
        .child(ChildSpec::worker("other", obedient))
        .child(first.ready(within(PATIENCE)))
        .start()
        .unwrap();
    supervisor.handle().change_child(then).unwrap();
    (supervisor, crash)
}

#[test]
fn f37_a_restart_that_is_late_counts_and_whoever_gives_up_says_for_whom() {
    let late = ChildSpec::worker("late", obedient).ready(within(SOON));
    let (supervisor, crash) = once_ready(late, 2);
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("late").unwrap());
    drop(crash);
    assert!(matches!(
        inbox.recv_timeout(PATIENCE).unwrap().reason,
        ExitReason::Failed(_)
    ));
    let ExitReason::GaveUp(why) = supervisor.wait() else {
        panic!("it did not give up")
    };
    assert_eq!(why.child, "late");
    assert_eq!(
        why.last.to_string(),
        format!("was not started: was not ready within {SOON:?}")
    );
}

#[test]
fn f37_also_if_nothing_but_time_tells_that_it_is_over() {
    let (late, release) = deaf("late");
    let late = late.ready(within(SOON)).stop(Stop::Within(SOON));
    let (supervisor, crash) = once_ready(late, 1);
    let handle = supervisor.handle();
    drop(crash);
    let ExitReason::GaveUp(why) = supervisor.wait() else {
        panic!("it did not give up")
    };
    assert_eq!(why.child, "late");
    assert!(matches!(why.last, ExitReason::Abandoned { after: SOON }));
    assert_eq!(handle.count().specs, 0);
    drop(release);
}

#[test]
fn who_was_late_is_told_so_in_its_next_life() {
    let (tell, told) = mpsc::channel();
    let late = ChildSpec::worker("late", move |me| {
        if me.number() > 2 {
            let _told = tell.send(me.last_exit().unwrap().to_string());
            me.ready();
        }
        obedient(me);
    });
    let backoff = Backoff::new(SOON, SOON).unwrap();
    let (supervisor, crash) = once_ready(late.ready(within(SOON)).backoff(backoff), 100);
    drop(crash);
    let last = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        last,
        format!("was not started: was not ready within {SOON:?}")
    );
    drop(supervisor);
}

#[test]
fn f13_a_stop_while_one_is_getting_ready_stops_those_before_and_starts_none_behind() {
    let (tell, told) = mpsc::channel();
    let stopping = ChildSpec::worker("stopping", move |me| {
        me.supervisor().request_stop();
        obedient(me);
        tell.send("stopping").unwrap();
    });
    let after = ChildSpec::worker("after", |_| -> () { unreachable!("it never starts") });
    let supervisor = Supervisor::builder("app")
        .child(ChildSpec::worker("before", obedient))
        .child(stopping.ready(within(PATIENCE)))
        .child(after)
        .start()
        .unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "stopping");
    assert!(matches!(supervisor.wait(), ExitReason::Shutdown));
}

/// Declines as long as the flag is down.
fn choosy(id: &str, wanted: &Arc<AtomicBool>) -> ChildSpec {
    let wanted = wanted.clone();
    let child = ChildSpec::worker(id, move |me| {
        if !wanted.load(Ordering::Relaxed) {
            return ExitReason::Declined;
        }
        me.ready();
        obedient(me);
        ExitReason::Normal
    });
    child.ready(within(PATIENCE))
}

#[test]
fn s2_who_declines_has_not_failed_and_may_be_asked_again() {
    let wanted = Arc::new(AtomicBool::new(false));
    let supervisor = Supervisor::builder("app")
        .limit(0, HOUR)
        .child(choosy("choosy", &wanted))
        .child(ChildSpec::worker("next", obedient))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let count = handle.count();
    assert_eq!((count.specs, count.active), (2, 1));
    let listed = handle.children();
    assert_eq!(listed[0].state, ChildState::Stopped);
    assert!(matches!(listed[0].last_exit, Some(ExitReason::Declined)));

    assert!(matches!(
        handle.restart("choosy"),
        Err(RestartError::Declined)
    ));
    wanted.store(true, Ordering::Relaxed);
    let child = handle.restart("choosy").unwrap();
    assert_eq!(child.incarnation(), 3);
    assert_eq!(supervisor.shutdown().clean, ["next", "choosy"]);
}

#[test]
fn s2_s4_added_by_hand_it_is_kept_unless_it_is_temporary_or_dynamic() {
    let wanted = Arc::new(AtomicBool::new(false));
    for (strategy, restart, kept) in [
        (Strategy::OneForOne, Restart::Permanent, 1),
        (Strategy::OneForOne, Restart::Transient, 1),
        (Strategy::OneForOne, Restart::Temporary, 0),
        (Strategy::Dynamic, Restart::Permanent, 0),
    ] {
        let supervisor = Supervisor::builder("app")
            .strategy(strategy)
            .start()
            .unwrap();
        let handle = supervisor.handle();
        let child = choosy("choosy", &wanted).restart(restart);
        let declined = handle.start_child(child).unwrap_err();
        assert!(matches!(declined, StartChildError::Declined), "{declined}");
        assert_eq!(handle.count().specs, kept, "{strategy:?} {restart:?}");
        assert_eq!(supervisor.shutdown().clean, [""; 0]);
    }
}

#[test]
fn s50_who_declines_when_it_is_restarted_rests() {
    let (crash, crashes) = mpsc::channel::<()>();
    let crashes = Mutex::new(crashes);
    let child = ChildSpec::worker("once", move |me| {
        if me.restarts() > 0 {
            return ExitReason::Declined;
        }
        me.ready();
        let _told = crashes.lock().unwrap().recv();
        Err(io::Error::other("crash")).into_exit()
    });
    let supervisor = Supervisor::builder("app")
        .child(child.ready(within(PATIENCE)))
        .start()
        .unwrap();
    let inbox = Inbox::new();
    let handle = supervisor.handle();
    inbox.monitor(&handle.child("once").unwrap());
    crash.send(()).unwrap();
    assert!(matches!(
        inbox.recv_timeout(PATIENCE).unwrap().reason,
        ExitReason::Failed(_)
    ));
    while handle.children()[0].state != ChildState::Stopped {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(handle.children()[0].incarnation, 2);
    assert_eq!(supervisor.shutdown().clean, [""; 0]);
}

#[test]
fn who_is_ready_or_need_not_say_so_just_ends() {
    let ready = ChildSpec::worker("ready", |me| {
        me.ready();
        ExitReason::Declined
    });
    let signals = ready.ready(within(PATIENCE)).restart(Restart::Temporary);
    let plain = ChildSpec::worker("plain", |_| ExitReason::Declined).restart(Restart::Temporary);
    let supervisor = Supervisor::builder("app")
        .child(signals)
        .child(plain)
        .child(ChildSpec::worker("other", obedient))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    while handle.count().specs > 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(supervisor.shutdown().clean, ["other"]);
}

#[test]
fn a_test_without_threads_sees_the_same() {
    let mut app = Simulation::new(
        Supervisor::builder("app")
            .limit(0, HOUR)
            .child(ChildSpec::worker("choosy", obedient).ready(within(PATIENCE)))
            .child(ChildSpec::worker("next", obedient)),
    )
    .unwrap();
    app.start();
    app.ends("choosy", ExitReason::Declined).unwrap();
    assert!(app.is_up());
    let states = app.children("").into_iter().map(|child| child.state);
    let states: Vec<_> = states.collect();
    assert_eq!(states, [ChildState::Stopped, ChildState::Running]);
    app.restart("choosy").unwrap();
    app.becomes_ready("choosy").unwrap();
    assert_eq!(app.child("choosy").unwrap().incarnation, 2);
    app.shutdown();
    assert!(matches!(app.ended(), Some(ExitReason::Shutdown)));
}
