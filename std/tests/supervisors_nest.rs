//! Supervisors that are children of supervisors: they start and stop in order, give up as a child ends, and are seen as one
//! tree. Numbers are those of the conformance cases and of the project's list of failure cases.

use bedplate::monitor::Inbox;
use bedplate::process::{self, ExitReason};
use bedplate::registry;
use bedplate::supervisor::{
    AutoShutdown, ChildSpec, ChildState, Incarnation, Ready, Restart, StartError, Stop, Strategy,
    Supervisor, TerminateError,
};
use core::time::Duration;
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

/// A child that tells that it begins, and that it ends.
fn telling(id: &'static str, tell: &mpsc::Sender<String>) -> ChildSpec {
    let tell = tell.clone();
    let child = ChildSpec::worker(id, move |me| {
        tell.send(format!("{} begins", me.me().path())).unwrap();
        me.ready();
        obedient(me);
        tell.send(format!("{} ends", me.me().path())).unwrap();
    });
    child.ready(Ready::Signalled { within: PATIENCE })
}

/// A child that crashes when it is told to.
fn crashing(id: &str) -> (ChildSpec, mpsc::Sender<()>) {
    let (crash, crashes) = mpsc::channel();
    let crashes = Arc::new(Mutex::new(crashes));
    let child = ChildSpec::worker(id, move |me| {
        while !me.stop().wait(Duration::from_millis(1)) {
            if crashes.lock().unwrap().try_recv().is_ok() {
                return Err("as planned");
            }
        }
        Ok(())
    });
    (child, crash)
}

/// Makes a specification that can be had again and again.
fn again(child: ChildSpec) -> impl Fn() -> ChildSpec {
    let child = Arc::new(Mutex::new(Some(child)));
    move || child.lock().unwrap().take().expect("once")
}

#[test]
fn they_start_and_stop_in_order() {
    let (tell, told) = mpsc::channel();
    let inner = {
        let tell = tell.clone();
        move || {
            Supervisor::builder("unused")
                .child(telling("a", &tell))
                .child(telling("b", &tell))
        }
    };
    let supervisor = Supervisor::builder("app")
        .child(telling("first", &tell))
        .child(ChildSpec::supervisor("pool", inner))
        .child(telling("last", &tell))
        .start()
        .unwrap();
    let begun: Vec<String> = told.try_iter().collect();
    assert_eq!(
        begun,
        [
            "app/first begins",
            "app/pool/a begins",
            "app/pool/b begins",
            "app/last begins"
        ]
    );
    let handle = supervisor.handle();
    let pool = handle.child("pool").unwrap();
    assert_eq!((pool.path(), pool.id()), ("app/pool", "pool"));
    assert_eq!(process::find(pool.pid()), Some(pool.clone()));
    let counts = handle.count();
    assert_eq!((counts.specs, counts.active), (3, 3));
    assert_eq!((counts.supervisors, counts.workers), (1, 2));

    let report = supervisor.shutdown();
    let ended: Vec<String> = told.try_iter().collect();
    assert_eq!(
        ended,
        [
            "app/last ends",
            "app/pool/b ends",
            "app/pool/a ends",
            "app/first ends"
        ]
    );
    assert_eq!(report.clean, ["last", "pool/b", "pool/a", "pool", "first"]);
    assert!(matches!(pool.exit_reason(), Some(ExitReason::Shutdown)));
}

#[test]
fn a_tree_is_printed_as_one() {
    let deep = || {
        Supervisor::builder("deep")
            .strategy(Strategy::Dynamic)
            .child(steady("connection"))
    };
    let pool = move || {
        Supervisor::builder("pool")
            .strategy(Strategy::RestForOne)
            .child(steady("a"))
            .child(ChildSpec::supervisor("deep", deep))
            .child(steady("b"))
    };
    let supervisor = Supervisor::builder("app")
        .child(steady("first"))
        .child(ChildSpec::supervisor("pool", pool))
        .child(steady("last"))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    handle.terminate("last").unwrap();
    let expected = "\
app (one for one)
├─ first: running
├─ pool (rest for one): running
│  ├─ a: running
│  ├─ deep (dynamic): running
│  │  └─ connection: running
│  └─ b: running
└─ last: stopped; before, stopped when asked to
";
    assert_eq!(handle.tree().unwrap().to_string(), expected);
    assert_eq!(
        handle
            .supervisor("pool")
            .unwrap()
            .tree()
            .unwrap()
            .branches()
            .len(),
        3
    );
    drop(supervisor);
}

#[test]
fn f41_one_that_gave_up_is_restarted_with_all_its_children() {
    let (crashing, crash) = crashing("crashing");
    let crashing = again(crashing);
    let first = Mutex::new(true);
    let inner = move || {
        let builder = Supervisor::builder("unused").limit(0, HOUR);
        let builder = builder.child(steady("sibling"));
        if core::mem::take(&mut *first.lock().unwrap()) {
            builder.child(crashing())
        } else {
            builder
        }
    };
    let supervisor = Supervisor::builder("app")
        .child(ChildSpec::supervisor("pool", inner).restart(Restart::Transient))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let pool = handle.child("pool").unwrap();
    let sibling = handle.supervisor("pool").unwrap().child("sibling").unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&pool);
    crash.send(()).unwrap();
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    let ExitReason::GaveUp(why) = down.reason else {
        panic!("{}", down.reason)
    };
    assert_eq!(why.child, "crashing");
    assert!(matches!(why.last, ExitReason::Failed(_)));
    assert!(!sibling.is_alive(), "it was stopped before");
    let is_back = || {
        let pool = handle.supervisor("pool");
        pool.is_some_and(|pool| pool.child("sibling").is_some())
    };
    while !is_back() {
        std::thread::yield_now();
    }
    assert_eq!(handle.child("pool").unwrap().incarnation(), 2);
    assert!(matches!(
        handle.children()[0].last_exit,
        Some(ExitReason::GaveUp(_))
    ));
    let report = supervisor.shutdown();
    assert_eq!(report.clean, ["pool/sibling", "pool"]);
}

#[test]
fn f41_and_takes_its_own_supervisor_along_beyond_that_ones_limit() {
    let inner = || {
        Supervisor::builder("unused")
            .limit(0, HOUR)
            .child(ChildSpec::worker("crashing", |me| {
                me.ready();
                Err::<(), _>("as planned")
            }))
    };
    let (tell, told) = mpsc::channel();
    let supervisor = Supervisor::builder("app")
        .limit(2, HOUR)
        .child(telling("first", &tell))
        .child(ChildSpec::supervisor("pool", inner))
        .start();
    let why = match supervisor {
        Ok(supervisor) => match supervisor.wait() {
            ExitReason::GaveUp(why) => why,
            reason => panic!("{reason}"),
        },
        // It may be over before its start is, which is the same.
        Err(StartError::GaveUp(why)) => why,
        Err(StartError::Child { id, error }) => {
            assert_eq!(id, "pool");
            assert!(matches!(*error, StartError::GaveUp(_)), "{error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(why.child, "pool");
    let told: Vec<String> = told.try_iter().collect();
    assert_eq!(told, ["app/first begins", "app/first ends"]);
}

#[test]
fn a_start_that_fails_deep_down_names_the_whole_way() {
    let (tell, told) = mpsc::channel();
    let inner = {
        let tell = tell.clone();
        move || {
            let failing = ChildSpec::worker("failing", |_| Err::<(), _>("no disk"));
            Supervisor::builder("unused")
                .child(telling("a", &tell))
                .child(failing.ready(Ready::Signalled { within: PATIENCE }))
        }
    };
    let error = Supervisor::builder("app")
        .child(telling("first", &tell))
        .child(ChildSpec::supervisor("pool", inner))
        .child(ChildSpec::worker("last", |_| -> () {
            unreachable!("it never starts")
        }))
        .start()
        .map(drop)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "child \"pool\" did not start: child \"failing\" did not start: ended before it was ready: \
         failed: no disk"
    );
    let told: Vec<String> = told.try_iter().collect();
    assert_eq!(
        told,
        [
            "app/first begins",
            "app/pool/a begins",
            "app/pool/a ends",
            "app/first ends"
        ]
    );
}

#[test]
fn a_description_that_panics_or_cannot_be_meant_is_a_start_that_failed() {
    let panics = || -> bedplate::supervisor::SupervisorBuilder { panic!("cannot say") };
    let error = Supervisor::builder("app")
        .child(ChildSpec::supervisor("pool", panics))
        .start()
        .map(drop)
        .unwrap_err();
    assert!(
        error.to_string().contains("panicked: cannot say"),
        "{error}"
    );

    let twins = || {
        let builder = Supervisor::builder("unused").child(steady("twin"));
        builder.child(steady("twin"))
    };
    let error = Supervisor::builder("app")
        .child(ChildSpec::supervisor("pool", twins))
        .start()
        .map(drop)
        .unwrap_err();
    let StartError::Child { id, error } = error else {
        panic!("{error}")
    };
    assert_eq!(id, "pool");
    assert!(matches!(&*error, StartError::DuplicateId(id) if id == "twin"));
}

#[test]
fn s61_s62_what_was_added_by_hand_does_not_come_back_and_names_do() {
    let (crashing, crash) = crashing("crashing");
    let crashing = again(crashing);
    let first = Mutex::new(true);
    let inner = move || {
        let named = steady("named").register("supervisors_nest named");
        let builder = Supervisor::builder("unused").limit(0, HOUR).child(named);
        if core::mem::take(&mut *first.lock().unwrap()) {
            builder.child(crashing())
        } else {
            builder
        }
    };
    let pool = ChildSpec::supervisor("pool", inner).register("supervisors_nest pool");
    let supervisor = Supervisor::builder("app")
        .strategy(Strategy::OneForAll)
        .child(steady("first"))
        .child(pool)
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let by_hand = steady("by hand");
    handle
        .supervisor("pool")
        .unwrap()
        .start_child(by_hand)
        .unwrap();
    let before = registry::whereis("supervisors_nest pool").unwrap();
    assert_eq!(Some(before.clone()), handle.child("pool"));
    crash.send(()).unwrap();
    let is_back = || {
        let named = registry::whereis("supervisors_nest named");
        let pool = registry::whereis("supervisors_nest pool");
        let first = handle.child("first");
        named.is_some()
            && pool.is_some_and(|pool| pool != before)
            && first.is_some_and(|first| first.incarnation() == 2)
            && handle.children()[1].state == ChildState::Running
    };
    while !is_back() {
        std::thread::yield_now();
    }
    let children = handle.supervisor("pool").unwrap().children();
    assert_eq!(children.len(), 1);
    assert_eq!(children[0].id, "named");
    drop(supervisor);
}

#[test]
fn one_that_shut_itself_down_has_ended_cleanly() {
    let inner = || {
        let brief = ChildSpec::worker("brief", |_| ()).restart(Restart::Transient);
        Supervisor::builder("unused")
            .auto_shutdown(AutoShutdown::AnySignificant)
            .child(steady("other"))
            .child(brief.significant(true))
    };
    let pool = ChildSpec::supervisor("pool", inner).restart(Restart::Transient);
    let supervisor = Supervisor::builder("app").child(pool).start().unwrap();
    let handle = supervisor.handle();
    while handle.children()[0].state != ChildState::Stopped {
        std::thread::yield_now();
    }
    assert!(matches!(
        handle.children()[0].last_exit,
        Some(ExitReason::Shutdown)
    ));
    assert_eq!(handle.child("pool"), None);
    assert!(handle.supervisor("pool").is_none());
    let report = supervisor.shutdown();
    assert!(report.clean.is_empty() && report.failed.is_empty());
}

#[test]
fn the_time_that_is_left_above_is_what_is_left_below_and_the_report_names_who_was_late() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let inner = move || {
        let held = held.clone();
        let deaf = ChildSpec::worker("deaf", move |_| {
            let _released = held.lock().unwrap().recv();
        });
        Supervisor::builder("unused")
            .child(steady("polite"))
            .child(deaf.stop(Stop::Forever))
    };
    let supervisor = Supervisor::builder("app")
        .shutdown_budget(SOON)
        .child(steady("first"))
        .child(ChildSpec::supervisor("pool", inner))
        .start()
        .unwrap();
    let deaf = supervisor.handle().supervisor("pool").unwrap();
    let deaf = deaf.child("deaf").unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&deaf);
    let report = supervisor.shutdown();
    assert!(
        report.abandoned.contains(&"pool".to_owned())
            || report.abandoned.contains(&"pool/deaf".to_owned())
    );
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(down.reason, ExitReason::Abandoned { .. }));
    drop(release);
}

#[test]
fn f58_one_that_is_abandoned_shuts_its_children_out() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let inner = move || {
        let held = held.clone();
        let deaf = ChildSpec::worker("deaf", move |_| {
            let _released = held.lock().unwrap().recv();
        });
        Supervisor::builder("unused").child(deaf.stop(Stop::Forever))
    };
    let pool = ChildSpec::supervisor("pool", inner).stop(Stop::Within(SOON));
    let supervisor = Supervisor::builder("app").child(pool).start().unwrap();
    let handle = supervisor.handle();
    let inbox = Inbox::new();
    let deaf = handle.supervisor("pool").unwrap().child("deaf").unwrap();
    inbox.monitor(&deaf);
    handle.terminate("pool").unwrap();
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(down.reason, ExitReason::Abandoned { .. }));
    drop(release);
    // Whichever of the two was first: nobody is abandoned for ever.
    while handle.count().abandoned > 0 {
        std::thread::yield_now();
    }
    drop(supervisor);
}

#[test]
fn f70_whoever_lives_in_it_does_not_wait_for_its_end() {
    let (tell, told) = mpsc::channel();
    let (give, handles) = mpsc::channel::<bedplate::supervisor::SupRef>();
    let handles = Arc::new(Mutex::new(handles));
    let inner = move || {
        let (tell, handles) = (tell.clone(), handles.clone());
        let child = ChildSpec::worker("child", move |me| {
            let Ok(handle) = handles.lock().unwrap().recv() else {
                return;
            };
            tell.send(handle.terminate("pool")).unwrap();
            tell.send(handle.terminate("other")).unwrap();
            obedient(me);
        });
        Supervisor::builder("unused").child(child)
    };
    let supervisor = Supervisor::builder("app")
        .child(steady("other"))
        .child(ChildSpec::supervisor("pool", inner))
        .start()
        .unwrap();
    give.send(supervisor.handle()).unwrap();
    assert_eq!(
        told.recv_timeout(PATIENCE).unwrap(),
        Err(TerminateError::WouldDeadlock)
    );
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Ok(()));
    assert_eq!(supervisor.shutdown().clean, ["pool/child", "pool"]);
}

#[test]
fn many_of_them_need_no_stack_and_no_thread() {
    const WIDE: usize = 2_000;
    const DEEP: usize = 200;

    fn nest(depth: usize) -> ChildSpec {
        ChildSpec::supervisor("s", move || {
            let builder = Supervisor::builder("unused");
            if depth == 0 {
                builder
            } else {
                builder.child(nest(depth - 1))
            }
        })
    }
    let body = || {
        let mut builder = Supervisor::builder("app").child(nest(DEEP));
        for number in 0..WIDE {
            let empty = || Supervisor::builder("unused");
            builder = builder.child(ChildSpec::supervisor(number.to_string(), empty));
        }
        let supervisor = builder.start().unwrap();
        let report = supervisor.shutdown();
        assert_eq!(report.clean.len(), WIDE + DEEP + 1);
    };
    let small = std::thread::Builder::new().stack_size(1 << 20);
    small.spawn(body).unwrap().join().unwrap();
}

#[test]
fn nothing_is_left_when_the_owner_is_dropped() {
    let captured = Arc::new(());
    let weak = Arc::downgrade(&captured);
    let inner = move || {
        let captured = captured.clone();
        let child = ChildSpec::worker("child", move |me| {
            let _all_of_it = &captured;
            obedient(me);
        });
        Supervisor::builder("unused").child(child)
    };
    // Another without any thread of its own.
    let empty = || Supervisor::builder("unused");
    let supervisor = Supervisor::builder("app")
        .child(ChildSpec::supervisor("pool", inner))
        .child(ChildSpec::supervisor("empty", empty))
        .start()
        .unwrap();
    drop(supervisor);
    while weak.upgrade().is_some() {
        std::thread::yield_now();
    }
}

#[test]
fn f12_a_supervisor_that_a_body_starts_is_seen_below_it() {
    let (tell, told) = mpsc::channel();
    let body = ChildSpec::worker("body", move |me| {
        let inner = Supervisor::builder("inner").child(steady("deep"));
        let inner = inner.start().unwrap();
        tell.send(()).unwrap();
        obedient(me);
        assert_eq!(inner.shutdown().clean, ["deep"]);
    });
    let supervisor = Supervisor::builder("app")
        .child(body)
        .child(steady("last"))
        .start()
        .unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    let tree = supervisor.handle().tree().unwrap();
    let expected = "\
app (one for one)
├─ body: running
│  └─ inner (one for one)
│     └─ deep: running
└─ last: running
";
    assert_eq!(tree.to_string(), expected);
    assert_eq!(tree.branches()[0].below[0].name(), "inner");
    assert_eq!(supervisor.shutdown().clean, ["last", "body"]);
}
