//! The name of a child is free before anybody can learn that the child has ended, and comes back
//! with its next incarnation.

use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::registry::WaitError;
use bedplate::registry::{self, NameError};
use bedplate::supervisor::{
    Backoff, ChildSpec, ChildState, Incarnation, Ready, Restart, StartError, Strategy, Supervisor,
};
use bedplate::telemetry::{self, Event, EventName, Pattern};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

/// R56, stricter: not found no later than the moment its death is observable.
#[test]
fn f90_whoever_saw_the_end_finds_the_name_free() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let child = ChildSpec::worker("one", move |_| {
        wait.lock().unwrap().recv().unwrap();
    })
    .restart(Restart::Temporary)
    .register("before-death/one");
    let supervisor = Supervisor::builder("sup").child(child).start().unwrap();
    let found = registry::whereis("before-death/one").expect("registered before its body starts");
    let inbox = Inbox::new();
    let _ = inbox.monitor(&found);
    go.send(()).unwrap();
    let down = inbox.recv_timeout(LONG).expect("it ends");
    assert_eq!(down.child, found);
    assert!(registry::whereis("before-death/one").is_none());
    assert!(!found.is_alive());
    let _ = supervisor.shutdown();
}

/// S62: the registered names come back to new owners, each time a crashed child is started again.
#[test]
fn a_restarted_child_never_meets_its_own_stale_name() {
    const RESTARTS: u64 = 100;
    let (report, reports) = mpsc::channel();
    let child = ChildSpec::worker("again", move |incarnation| {
        assert_eq!(
            registry::whereis("stale/again").as_ref(),
            Some(incarnation.me())
        );
        if incarnation.restarts() < RESTARTS {
            panic!("once more");
        }
        report.send(incarnation.restarts()).unwrap();
        while !incarnation.stop().wait(LONG) {}
    })
    .register("stale/again");
    let supervisor = Supervisor::builder("sup")
        .limit(128, LONG * 10)
        .child(child)
        .start()
        .unwrap();
    assert_eq!(reports.recv_timeout(LONG), Ok(RESTARTS));
    let _ = supervisor.shutdown();
    assert!(registry::whereis("stale/again").is_none());
}

/// A taken name refuses the second child, and says by whom; the first is untouched.
#[test]
fn a_taken_name_is_a_start_error() {
    let worker = |id: &str| {
        ChildSpec::worker(id, |incarnation| while !incarnation.stop().wait(LONG) {})
            .register("taken/name")
    };
    let first = Supervisor::builder("first")
        .child(worker("a"))
        .start()
        .unwrap();
    let holder = registry::whereis("taken/name").unwrap();
    let refused = Supervisor::builder("second")
        .child(worker("b"))
        .start()
        .unwrap_err();
    let StartError::Child { id, error } = &refused else {
        panic!("{refused}")
    };
    assert_eq!(id, "b");
    assert!(
        matches!(&**error, StartError::Name { name, error: NameError::Taken { holder: by } }
            if name == "taken/name" && *by == holder.pid()),
        "{refused}"
    );
    assert_eq!(registry::whereis("taken/name"), Some(holder));
    let _ = first.shutdown();
}

/// A running incarnation may hold several names, gives up single ones, and loses all when it ends.
#[test]
fn an_incarnation_may_hold_several_names() {
    let (report, reports) = mpsc::channel();
    let child = ChildSpec::worker("many", move |incarnation| {
        assert_eq!(incarnation.register("several/a"), Ok(()));
        assert_eq!(incarnation.register("several/b"), Ok(()));
        let me = incarnation.me().pid();
        assert_eq!(
            incarnation.register("several/a"),
            Err(NameError::Taken { holder: me })
        );
        assert_eq!(incarnation.register(""), Err(NameError::BadName));
        assert_eq!(incarnation.register("a\0b"), Err(NameError::BadName));
        assert_eq!(
            incarnation.register(&"x".repeat(256)),
            Err(NameError::BadName)
        );
        assert!(incarnation.unregister("several/a"));
        assert!(!incarnation.unregister("several/a"));
        report.send(()).unwrap();
        while !incarnation.stop().wait(LONG) {}
    });
    let supervisor = Supervisor::builder("sup").child(child).start().unwrap();
    reports.recv_timeout(LONG).unwrap();
    assert!(registry::whereis("several/a").is_none());
    let names = registry::registered();
    assert!(
        names
            .iter()
            .any(|(name, child)| &**name == "several/b" && child.id() == "many")
    );
    let _ = supervisor.shutdown();
    assert!(registry::whereis("several/b").is_none());
}

/// A child under `name` that ends whenever it is told how, and one that registers what it is told to.
struct Two {
    supervisor: Supervisor,
    end: mpsc::Sender<Result<(), &'static str>>,
    take: mpsc::Sender<&'static str>,
    taken: Mutex<mpsc::Receiver<Result<(), NameError>>>,
}

impl Two {
    /// The child is restarted after `delay`.
    fn new(name: &'static str, restart: Restart, delay: Duration) -> Self {
        let (end, ends) = mpsc::channel();
        let (take, takes) = mpsc::channel();
        let (tell, taken) = mpsc::channel();
        let (ends, takes) = (Mutex::new(ends), Mutex::new(takes));
        let child = ChildSpec::worker("child", move |me| match me.number() {
            // A first restart has no delay.
            1 => Err("once"),
            _ => ends.lock().unwrap().recv().unwrap(),
        })
        .restart(restart)
        .register(name)
        .backoff(Backoff::new(delay, delay).unwrap().reset_after(HOUR));
        let stranger = ChildSpec::worker("stranger", move |me| {
            while let Ok(name) = takes.lock().unwrap().recv() {
                tell.send(me.register(name)).unwrap();
            }
        });
        let supervisor = Supervisor::builder("two")
            .child(child)
            .child(stranger)
            .start()
            .unwrap();
        let is_second = |child: bedplate::supervisor::ChildRef| child.incarnation() == 2;
        while !supervisor.handle().child("child").is_some_and(is_second) {
            std::thread::yield_now();
        }
        while registry::whereis(name).is_none() {
            std::thread::yield_now();
        }
        Self {
            supervisor,
            end,
            take,
            taken: Mutex::new(taken),
        }
    }

    fn take(&self, name: &'static str) -> Result<(), NameError> {
        self.take.send(name).unwrap();
        self.taken.lock().unwrap().recv_timeout(LONG).unwrap()
    }

    /// Ends the child, and waits until that is known.
    fn end(&self, how: Result<(), &'static str>) {
        let inbox = Inbox::new();
        inbox.monitor(&self.supervisor.handle().child("child").unwrap());
        self.end.send(how).unwrap();
        inbox.recv_timeout(LONG).unwrap();
    }

    /// Blocks until its supervisor knows that the child is over.
    fn until_that_is_known(&self) {
        while self.supervisor.handle().children()[0].state == ChildState::Running {
            std::thread::yield_now();
        }
    }

    fn finish(self) {
        let Self {
            supervisor,
            take,
            end,
            ..
        } = self;
        drop((take, end));
        let _report = supervisor.shutdown();
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn f94_the_name_of_one_that_is_being_restarted_is_kept_for_it() {
    const NAME: &str = "kept/away";
    let two = Two::new(NAME, Restart::Permanent, HOUR);
    let holder = registry::whereis(NAME).unwrap().pid();
    assert_eq!(two.take(NAME), Err(NameError::Taken { holder }));
    two.end(Err("crash"));
    for _ in 0..2 {
        // Perhaps before the supervisor has heard of it, and afterwards.
        assert_eq!(two.take(NAME), Err(NameError::Reserved { last: holder }));
        two.until_that_is_known();
    }
    assert_eq!(registry::whereis(NAME), None);
    let back = two.supervisor.handle().restart("child").unwrap();
    assert_eq!(registry::whereis(NAME), Some(back));
    two.finish();
}

#[test]
fn f94_and_of_one_that_rests_it_is_free() {
    const NAME: &str = "kept/resting";
    // Who is told of a clean end may take it at once.
    let two = Two::new(NAME, Restart::Transient, HOUR);
    two.end(Ok(()));
    assert_eq!(two.take(NAME), Ok(()));
    two.finish();

    // Terminated while it waits.
    let two = Two::new(NAME, Restart::Permanent, HOUR);
    two.end(Err("crash"));
    two.supervisor.handle().terminate("child").unwrap();
    assert_eq!(two.take(NAME), Ok(()));
    // What rests has to ask like anybody.
    let refused = two.supervisor.handle().restart("child").unwrap_err();
    assert!(refused.to_string().contains("held by"), "{refused}");
    two.finish();

    // Deleted, or its specification has another name by now.
    for change in [false, true] {
        let two = Two::new(NAME, Restart::Permanent, HOUR);
        let handle = two.supervisor.handle();
        two.end(Err("crash"));
        if change {
            let other = ChildSpec::worker("child", |_| ()).register("kept/other");
            handle.change_child(other).unwrap();
        } else {
            handle.terminate("child").unwrap();
            handle.delete("child").unwrap();
        }
        assert_eq!(two.take(NAME), Ok(()));
        two.finish();
    }
}

#[test]
fn f94_also_within_a_group_and_after_a_stranger_was_first() {
    const NAME: &str = "kept/second";
    // Whoever has it keeps it; when it is given up, it is the child's that waits for it.
    let (give_up, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let stranger = ChildSpec::worker("stranger", move |me| {
        me.register(NAME).unwrap();
        me.ready();
        wait.lock().unwrap().recv().unwrap_err();
        assert!(me.unregister(NAME));
        while !me.stop().wait(LONG) {}
    });
    let within = Ready::Signalled { within: LONG };
    let strangers = Supervisor::builder("strangers").child(stranger.ready(within));
    let strangers = strangers.start().unwrap();
    let child = ChildSpec::worker("child", |me: &Incarnation| while !me.stop().wait(LONG) {})
        .register(NAME)
        .backoff(Backoff::new(Duration::from_millis(10), HOUR).unwrap());
    let supervisor = Supervisor::builder("app")
        .strategy(Strategy::OneForAll)
        .limit_total(1)
        .start()
        .unwrap();
    let refused = supervisor.handle().start_child(child).unwrap_err();
    assert!(refused.to_string().contains("held by"), "{refused}");
    drop(give_up);
    let child = refused.into_spec().unwrap();
    let mut child = Some(child);
    let started = loop {
        match supervisor.handle().start_child(child.take().unwrap()) {
            Ok(started) => break started,
            Err(refused) => child = refused.into_spec(),
        }
        std::thread::yield_now();
    };
    assert_eq!(registry::whereis(NAME), Some(started));
    let _ = (supervisor.shutdown(), strangers.shutdown());
}

#[test]
fn f95_by_name_one_reaches_the_old_one_or_none_or_the_new_one() {
    const NAME: &str = "kept/address";
    let two = Two::new(NAME, Restart::Permanent, HOUR);
    let old = registry::whereis(NAME).unwrap();
    two.end(Err("crash"));
    two.until_that_is_known();
    assert_eq!(registry::whereis(NAME), None);
    assert!(matches!(
        registry::wait_for(NAME, Duration::ZERO, None),
        Err(WaitError::Timeout)
    ));
    let found = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| registry::wait_for(NAME, LONG, None));
        two.supervisor.handle().restart("child").unwrap();
        waiting.join().unwrap().unwrap()
    });
    assert_eq!(found.incarnation(), old.incarnation() + 1);
    assert!(found.is_alive() && !old.is_alive());
    assert!(matches!(old.exit_reason(), Some(ExitReason::Failed(_))));
    two.finish();
}

#[test]
fn f96_who_waits_for_other_names_goes_on_when_a_child_is_deleted() {
    let two = Two::new("kept/deleted", Restart::Permanent, HOUR);
    let handle = two.supervisor.handle();
    let found = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| registry::wait_for("kept/awaited", LONG, None));
        let of_it = scope.spawn(|| registry::wait_for("kept/deleted", LONG, None));
        of_it.join().unwrap().unwrap();
        two.end(Err("crash"));
        handle.terminate("child").unwrap();
        handle.delete("child").unwrap();
        assert_eq!(two.take("kept/awaited"), Ok(()));
        waiting.join().unwrap().unwrap()
    });
    assert_eq!(found.id(), "stranger");
    assert_eq!(two.take("kept/deleted"), Ok(()));
    two.finish();
}

/// It is kept from the moment in which it is given up, of which others are told.
#[test]
fn f94_also_while_the_end_is_under_way() {
    const NAME: &str = "kept/under-way";
    let two = Arc::new(Two::new(NAME, Restart::Permanent, HOUR));
    let holder = registry::whereis(NAME).unwrap().pid();
    let (tell, told) = mpsc::channel();
    let cleanup = EventName::new("bedplate.registry.cleanup");
    let thief = {
        let (two, tell) = (two.clone(), Mutex::new(tell));
        move |event: &Event<'_>| {
            if event
                .get("owner")
                .is_some_and(|owner| owner.to_string() == holder.to_string())
            {
                assert_eq!(registry::whereis(NAME), None);
                tell.lock().unwrap().send(two.take(NAME)).unwrap();
            }
        }
    };
    telemetry::attach("thief", Pattern::exactly(cleanup), thief).unwrap();
    two.end(Err("crash"));
    assert_eq!(
        told.recv_timeout(LONG).unwrap(),
        Err(NameError::Reserved { last: holder })
    );
    telemetry::detach("thief").unwrap();
    let Some(two) = Arc::into_inner(two) else {
        panic!("the handler is gone")
    };
    two.finish();
}

/// A child that takes `name` as soon as it is told that the present holder has ended. What came of it.
fn heir(name: &'static str, end: impl FnOnce()) -> Result<(), NameError> {
    let (tell, told) = mpsc::channel();
    let holder = registry::whereis(name).unwrap();
    let heir = ChildSpec::worker("heir", move |me| {
        let inbox = Inbox::new();
        inbox.monitor(&holder);
        me.ready();
        inbox.recv_timeout(LONG).unwrap();
        tell.send(me.register(name)).unwrap();
        while !me.stop().wait(LONG) {}
    });
    let heir = heir.ready(Ready::Signalled { within: LONG });
    let supervisor = Supervisor::builder("heirs").child(heir).start().unwrap();
    end();
    let what = told.recv_timeout(LONG).unwrap();
    let _ = supervisor.shutdown();
    what
}

#[test]
fn f94_also_of_a_sibling_that_is_stopped_with_its_group() {
    const NAME: &str = "kept/sibling";
    for _ in 0..30 {
        let (crash, crashes) = mpsc::channel::<()>();
        let crashes = Mutex::new(crashes);
        let first = ChildSpec::worker("first", move |me| {
            if me.number() == 1 {
                let _told = crashes.lock().unwrap().recv();
                return Err("crash");
            }
            while !me.stop().wait(LONG) {}
            Ok(())
        });
        let second = ChildSpec::worker("second", |me| while !me.stop().wait(LONG) {});
        let supervisor = Supervisor::builder("group")
            .strategy(Strategy::OneForAll)
            .child(first)
            .child(second.register(NAME))
            .start()
            .unwrap();
        let what = heir(NAME, || crash.send(()).unwrap());
        // Or the next incarnation has it again.
        let kept = matches!(
            what,
            Err(NameError::Reserved { .. } | NameError::Taken { .. })
        );
        assert!(kept, "{what:?}");
        let _ = supervisor.shutdown();
    }
}

#[test]
fn who_ends_before_it_is_ready_and_does_not_come_back_keeps_no_name() {
    const NAME: &str = "kept/early";
    let pool = Supervisor::builder("pool")
        .strategy(Strategy::Dynamic)
        .start()
        .unwrap();
    for (restart, declines) in [(Restart::Temporary, false), (Restart::Permanent, true)] {
        for _ in 0..20 {
            let (go, wait) = mpsc::channel::<()>();
            let wait = Mutex::new(wait);
            let child = ChildSpec::worker("child", move |_| {
                wait.lock().unwrap().recv().unwrap();
                if declines {
                    ExitReason::Declined
                } else {
                    ExitReason::Normal
                }
            });
            let child = child
                .restart(restart)
                .ready(Ready::Signalled { within: LONG })
                .register(NAME);
            std::thread::scope(|scope| {
                let starting = scope.spawn(|| pool.handle().start_child(child).map(drop));
                registry::wait_for(NAME, LONG, None).unwrap();
                assert_eq!(heir(NAME, || go.send(()).unwrap()), Ok(()));
                assert!(starting.join().unwrap().is_err());
            });
        }
    }
    let _ = pool.shutdown();
}
