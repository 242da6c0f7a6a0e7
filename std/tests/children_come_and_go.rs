//! Children that are started, stopped, restarted, deleted and changed by hand while their supervisor runs. Numbers are those of
//! the conformance cases and of the project's list of failure cases.

use bedplate::process::ExitReason;
use bedplate::supervisor::{
    Backoff, ChangeChildError, ChildSpec, ChildState, DeleteError, Incarnation, Ready, Restart,
    RestartError, StartChildError, StartError, Stop, Strategy, Supervisor, TerminateError,
};
use core::time::Duration;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(20);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

fn steady(id: &str) -> ChildSpec {
    ChildSpec::worker(id, obedient)
}

fn app() -> Supervisor {
    let builder = Supervisor::builder("app").limit(0, HOUR);
    builder.child(steady("first")).start().unwrap()
}

fn pool() -> Supervisor {
    let builder = Supervisor::builder("pool").strategy(Strategy::Dynamic);
    builder.start().unwrap()
}

#[test]
fn who_is_started_by_hand_comes_last_and_is_stopped_first() {
    let supervisor = app();
    let handle = supervisor.handle();
    let child = handle.start_child(steady("second")).unwrap();
    assert!(child.is_alive());
    assert_eq!((child.path(), child.incarnation()), ("app/second", 1));
    assert_eq!(handle.child("second"), Some(child));
    assert_eq!(supervisor.shutdown().clean, ["second", "first"]);
}

#[test]
fn a_start_by_hand_waits_until_the_child_is_ready() {
    let (tell, told) = mpsc::channel();
    let supervisor = app();
    let slow = ChildSpec::worker("slow", move |me| {
        tell.send(()).unwrap();
        me.ready();
        obedient(me);
    });
    let slow = slow.ready(Ready::Signalled { within: PATIENCE });
    supervisor.handle().start_child(slow).unwrap();
    assert_eq!(told.try_recv(), Ok(()));
}

#[test]
fn s59_f59_a_start_that_fails_is_told_with_its_reason_and_gives_the_specification_back() {
    let supervisor = app();
    let handle = supervisor.handle();
    let failing = || ChildSpec::worker("child", |_| Err::<(), _>("no disk"));
    let spec = failing().ready(Ready::Signalled { within: PATIENCE });
    let error = handle.start_child(spec).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the child did not start: ended before it was ready: failed: no disk"
    );
    let back = error.into_spec().expect("nobody else has it");
    assert_eq!(back.id(), "child");

    let late = steady("child").ready(Ready::Signalled { within: SOON });
    let error = handle.start_child(late).unwrap_err();
    let StartChildError::NotStarted { error, .. } = error else {
        panic!("{error}")
    };
    assert!(matches!(*error, StartError::NotReady { within: SOON }));

    // No system has so much address space.
    let impossible = steady("child").stack_size(1 << 60);
    let error = handle.start_child(impossible).unwrap_err();
    let StartChildError::NotStarted { error, spec } = error else {
        panic!("{error}")
    };
    assert!(matches!(*error, StartError::Spawn(_)));
    assert!(spec.is_some());

    assert_eq!(handle.count().specs, 1);
    assert_eq!(supervisor.shutdown().clean, ["first"]);
}

#[test]
fn s31_an_id_is_taken_as_long_as_its_child_is_kept() {
    let supervisor = app();
    let handle = supervisor.handle();
    let first = handle.child("first").unwrap();
    match handle.start_child(steady("first")).unwrap_err() {
        StartChildError::AlreadyStarted { child, spec } => {
            assert_eq!(child, Some(first));
            assert_eq!(spec.id(), "first");
        }
        error => panic!("{error}"),
    }
    handle.terminate("first").unwrap();
    let error = handle.start_child(steady("first")).unwrap_err();
    assert!(matches!(error, StartChildError::AlreadyPresent { .. }));
    handle.delete("first").unwrap();
    handle.start_child(steady("first")).unwrap();

    // A temporary child is not kept.
    handle
        .start_child(steady("brief").restart(Restart::Temporary))
        .unwrap();
    handle.terminate("brief").unwrap();
    handle.start_child(steady("brief")).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["brief", "first"]);
}

#[test]
fn s19_what_is_not_there_is_not_found() {
    let supervisor = app();
    let handle = supervisor.handle();
    assert_eq!(handle.terminate("absent"), Err(TerminateError::NotFound));
    assert_eq!(handle.delete("absent"), Err(DeleteError::NotFound));
    assert!(matches!(
        handle.restart("absent"),
        Err(RestartError::NotFound)
    ));
    let error = handle.change_child(steady("absent")).unwrap_err();
    assert!(matches!(error, ChangeChildError::NotFound { spec } if spec.id() == "absent"));
}

#[test]
fn names_that_no_thread_can_have_are_refused() {
    let supervisor = app();
    for bad in ["", "a\0b", "a/b", &"x".repeat(129)] {
        let error = supervisor.handle().start_child(steady(bad)).unwrap_err();
        assert!(matches!(&error, StartChildError::BadName { .. }), "{error}");
        assert_eq!(error.into_spec().unwrap().id(), bad);
    }
}

#[test]
fn s20_f39_stopping_and_starting_by_hand_counts_nothing() {
    // Not a single restart is allowed.
    let supervisor = app();
    let handle = supervisor.handle();
    for number in 2..=100 {
        handle.terminate("first").unwrap();
        handle.terminate("first").unwrap();
        assert_eq!(handle.children()[0].state, ChildState::Stopped);
        let child = handle.restart("first").unwrap();
        assert_eq!(child.incarnation(), number);
    }
    assert!(matches!(
        handle.restart("first"),
        Err(RestartError::Running)
    ));
    assert_eq!(handle.delete("first"), Err(DeleteError::Running));
    assert_eq!(supervisor.shutdown().clean, ["first"]);
}

#[test]
fn what_a_deleted_child_had_captured_is_gone() {
    let supervisor = app();
    let handle = supervisor.handle();
    let captured = Arc::new(());
    let weak = Arc::downgrade(&captured);
    let child = ChildSpec::worker("child", move |me| {
        let _all_of_it = &captured;
        obedient(me);
    });
    handle.start_child(child).unwrap();
    handle.terminate("child").unwrap();
    assert!(weak.upgrade().is_some());
    handle.delete("child").unwrap();
    assert!(weak.upgrade().is_none());
}

#[test]
fn s7_a_restart_by_hand_that_fails_leaves_the_child_stopped() {
    let supervisor = app();
    let handle = supervisor.handle();
    let once = ChildSpec::worker("once", |me| {
        if me.number() > 1 {
            return Err("only once");
        }
        me.ready();
        obedient(me);
        Ok(())
    });
    handle
        .start_child(once.ready(Ready::Signalled { within: PATIENCE }))
        .unwrap();
    handle.terminate("once").unwrap();
    let error = handle.restart("once").unwrap_err();
    assert!(matches!(error, RestartError::NotStarted(_)), "{error}");
    assert_eq!(handle.children()[1].state, ChildState::Stopped);
    assert!(handle.children()[1].child.is_none());
    assert_eq!(supervisor.shutdown().clean, ["first"]);
}

#[test]
fn s22_s23_children_of_a_dynamic_supervisor_are_known_by_their_incarnation() {
    let (app, pool) = (app(), pool());
    let (static_one, dynamic) = (app.handle(), pool.handle());
    let first = static_one.child("first").unwrap();
    assert_eq!(
        static_one.terminate_child(&first),
        Err(TerminateError::NotFound)
    );
    assert!(first.is_alive());

    // One name may be that of many.
    let children = [(); 3].map(|()| dynamic.start_child(steady("connection")).unwrap());
    assert_eq!(
        dynamic.terminate("connection"),
        Err(TerminateError::Dynamic)
    );
    assert!(matches!(
        dynamic.restart("connection"),
        Err(RestartError::Dynamic)
    ));
    assert_eq!(dynamic.delete("connection"), Err(DeleteError::Dynamic));
    assert_eq!(
        dynamic.terminate_child(&first),
        Err(TerminateError::NotFound),
        "a stranger is left alone"
    );
    assert!(first.is_alive());
    for child in &children {
        dynamic.terminate_child(child).unwrap();
        assert!(!child.is_alive());
        assert_eq!(
            dynamic.terminate_child(child),
            Err(TerminateError::NotFound)
        );
    }
    assert_eq!(dynamic.count().specs, 0);
}

#[test]
fn s58_there_are_at_most_so_many() {
    let none = Supervisor::builder("none").strategy(Strategy::Dynamic);
    let none = none.max_children(0).start().unwrap();
    let error = none.handle().start_child(steady("child")).unwrap_err();
    assert!(matches!(error, StartChildError::Full { limit: 0, .. }));

    let one = Supervisor::builder("one").strategy(Strategy::Dynamic);
    let one = one.max_children(1).start().unwrap();
    let handle = one.handle();
    let child = handle.start_child(steady("child")).unwrap();
    let error = handle.start_child(steady("other")).unwrap_err();
    assert!(matches!(&error, StartChildError::Full { limit: 1, .. }));
    assert_eq!(error.into_spec().unwrap().id(), "other");
    handle.terminate_child(&child).unwrap();

    // One that waits to be restarted is there, too.
    let delay = Backoff::new(HOUR, HOUR).unwrap();
    let crashing = ChildSpec::worker("crashing", |_| Err::<(), _>("as planned"));
    handle.start_child(crashing.backoff(delay)).unwrap();
    while !matches!(handle.children()[0].state, ChildState::Backoff { .. }) {
        std::thread::yield_now();
    }
    let error = handle.start_child(steady("other")).unwrap_err();
    assert!(matches!(error, StartChildError::Full { .. }));
}

#[test]
fn f63_s67_a_dynamic_supervisor_asks_all_at_once() {
    const MANY: usize = 50;

    let supervisor = pool();
    let asked = Arc::new(AtomicUsize::new(0));
    for _ in 0..MANY {
        let asked = asked.clone();
        let child = ChildSpec::worker("child", move |me| {
            obedient(me);
            // Each ends when all have been asked.
            asked.fetch_add(1, Ordering::AcqRel);
            while asked.load(Ordering::Acquire) < MANY {
                std::thread::yield_now();
            }
        });
        let child = child.stop(Stop::Forever).stack_size(512 << 10);
        supervisor.handle().start_child(child).unwrap();
    }
    let report = supervisor.shutdown();
    assert_eq!(report.clean.len(), MANY);
    assert!(report.failed.is_empty() && report.abandoned.is_empty());
}

#[test]
fn s25_s28_hundreds_come_and_go_and_are_counted() {
    const MANY: usize = 300;

    let supervisor = pool();
    let handle = supervisor.handle();
    let children: Vec<_> = (0..MANY)
        .map(|_| {
            let child = steady("child").stack_size(512 << 10);
            handle.start_child(child).unwrap()
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(handle.count().specs, MANY);
        assert_eq!(handle.count().active, MANY);
        assert_eq!(handle.children().len(), MANY);
    }
    for child in &children[..MANY / 2] {
        handle.terminate_child(child).unwrap();
    }
    assert_eq!(handle.count().active, MANY / 2);
    assert_eq!(supervisor.shutdown().clean.len(), MANY / 2);
}

#[test]
fn f43_f47_f50_a_child_waits_out_its_delay_while_all_else_is_served_and_can_be_hurried() {
    let (tell, told) = mpsc::channel();
    let delay = Backoff::new(HOUR, HOUR).unwrap();
    let child = ChildSpec::worker("child", move |me| {
        tell.send(me.number()).unwrap();
        if me.number() < 3 {
            return Err("as planned");
        }
        obedient(me);
        Ok(())
    });
    let supervisor = Supervisor::builder("app")
        .child(child.backoff(delay))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    // The first restart is made at once.
    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    assert_eq!(told.recv_timeout(PATIENCE), Ok(2));
    let waits = || matches!(handle.children()[0].state, ChildState::Backoff { .. });
    while !waits() {
        std::thread::yield_now();
    }
    let info = &handle.children()[0];
    assert_eq!((info.incarnation, info.restarts), (2, 1));
    assert!(info.child.is_none() && info.since.is_none());
    assert!(matches!(info.last_exit, Some(ExitReason::Failed(_))));
    handle.start_child(steady("other")).unwrap();
    handle.terminate("other").unwrap();
    assert!(waits());
    assert_eq!(handle.delete("child"), Err(DeleteError::Restarting));
    let error = handle.start_child(steady("child")).unwrap_err();
    assert!(matches!(error, StartChildError::AlreadyPresent { .. }));

    assert_eq!(handle.restart("child").unwrap().incarnation(), 3);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(3));
    let info = &handle.children()[0];
    assert_eq!((info.state, info.restarts), (ChildState::Running, 2));
    assert!(
        info.since
            .is_some_and(|since| since <= bedplate::clock::now())
    );
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn f46_f48_s52_s53_s74_a_delay_is_no_obstacle_to_a_stop() {
    let crashing = || {
        let delay = Backoff::new(HOUR, HOUR).unwrap();
        ChildSpec::worker("child", |_| Err::<(), _>("as planned")).backoff(delay)
    };
    for terminated in [true, false] {
        let supervisor = Supervisor::builder("app")
            .child(crashing())
            .start()
            .unwrap();
        let handle = supervisor.handle();
        while !matches!(handle.children()[0].state, ChildState::Backoff { .. }) {
            std::thread::yield_now();
        }
        if terminated {
            handle.terminate("child").unwrap();
            assert_eq!(handle.children()[0].state, ChildState::Stopped);
            assert_eq!(handle.count().active, 0);
        }
        let report = supervisor.shutdown();
        assert!(report.clean.is_empty() && report.failed.is_empty());
    }
}

#[test]
fn f43_delays_are_waited_out() {
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        tell.send((me.number(), bedplate::clock::now())).unwrap();
        if me.number() < 4 {
            return Err("as planned");
        }
        obedient(me);
        Ok(())
    });
    let delay = Backoff::new(SOON, 2 * SOON).unwrap();
    // A registered child is started by another thread than the one that watches the time.
    let child = child.backoff(delay).register("waits out its delays");
    let supervisor = Supervisor::builder("app").child(child).start().unwrap();
    let mut times = Vec::new();
    for expected in 1..=4 {
        let (number, time) = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(number, expected);
        times.push(time);
    }
    assert!(times[1].saturating_add(SOON) <= times[2]);
    assert!(times[2].saturating_add(2 * SOON) <= times[3]);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn a_changed_child_is_another_from_its_next_start_on() {
    let (tell, told) = mpsc::channel();
    let supervisor = app();
    let handle = supervisor.handle();
    let changed = ChildSpec::worker("first", move |me| {
        tell.send(me.number()).unwrap();
        obedient(me);
    });
    handle
        .change_child(changed.restart(Restart::Temporary))
        .unwrap();
    assert!(told.try_recv().is_err(), "what runs goes on");
    let bad = steady("first").ready(Ready::Signalled {
        within: Duration::ZERO,
    });
    let error = handle.change_child(bad).unwrap_err();
    assert!(matches!(error, ChangeChildError::BadPlan { .. }));
    handle.terminate("first").unwrap();
    assert_eq!(handle.count().specs, 0, "it has become temporary");

    let supervisor = app();
    let handle = supervisor.handle();
    let (tell, told) = mpsc::channel();
    let changed = ChildSpec::worker("first", move |me| {
        tell.send(me.number()).unwrap();
        obedient(me);
    });
    handle.change_child(changed).unwrap();
    handle.terminate("first").unwrap();
    handle.restart("first").unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(2));
    let error = pool().handle().change_child(steady("child")).unwrap_err();
    assert!(matches!(error, ChangeChildError::Dynamic { .. }));
}

#[test]
fn a_supervisor_that_is_over_refuses_everything() {
    let supervisor = app();
    let handle = supervisor.handle();
    let _report = supervisor.shutdown();
    let error = handle.start_child(steady("child")).unwrap_err();
    assert!(matches!(&error, StartChildError::ShuttingDown { .. }));
    assert_eq!(error.into_spec().unwrap().id(), "child");
    assert_eq!(handle.terminate("first"), Err(TerminateError::ShuttingDown));
    assert!(matches!(
        handle.restart("first"),
        Err(RestartError::ShuttingDown)
    ));
    assert_eq!(handle.delete("first"), Err(DeleteError::ShuttingDown));
    let error = handle.change_child(steady("first")).unwrap_err();
    assert!(matches!(error, ChangeChildError::ShuttingDown { .. }));
}

#[test]
fn s73_whoever_waits_learns_that_the_supervisor_has_ended() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let slow = ChildSpec::worker("slow", move |_| {
        held.lock().unwrap().recv().unwrap_err();
    });
    let supervisor = Supervisor::builder("app")
        .child(slow.stop(Stop::Forever))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let waits = std::thread::spawn({
        let handle = handle.clone();
        move || handle.terminate("slow")
    });
    while !matches!(handle.children()[0].state, ChildState::Stopping { .. }) {
        std::thread::yield_now();
    }
    // A request for another child is served meanwhile.
    handle.start_child(steady("other")).unwrap();
    handle.terminate("other").unwrap();
    handle.request_stop();
    drop(release);
    assert_eq!(waits.join().unwrap(), Ok(()));
    assert!(matches!(supervisor.wait(), ExitReason::Shutdown));
}
