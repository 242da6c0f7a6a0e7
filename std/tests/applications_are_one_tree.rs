//! A program as one tree: what bedplate needs is started first and stopped last, the program's supervisor in between has its
//! own limit, and what follows when all has given up is said before. Case 42 of the project's list of failure cases.

mod alone;

use alone::alone;
use bedplate::clock;
use bedplate::context::{self, Key};
use bedplate::process::ExitReason;
use bedplate::supervisor::simulation::Simulation;
use bedplate::supervisor::{
    Application, ChildSpec, Incarnation, OnGiveUp, Ready, StartError, Stop, Strategy, Supervisor,
};
use bedplate::telemetry::{self, Batch, Event, EventName, Limits, Measurement};
use core::time::Duration;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

/// A child that tells that it begins, and that it ends.
fn telling(id: &'static str, tell: &mpsc::Sender<String>) -> ChildSpec {
    let tell = tell.clone();
    let child = ChildSpec::worker(id, move |me| {
        tell.send(format!("{id} begins")).unwrap();
        me.ready();
        obedient(me);
        tell.send(format!("{id} ends")).unwrap();
    });
    child.ready(Ready::Signalled { within: PATIENCE })
}

#[test]
fn it_is_one_tree() {
    let (tell, told) = mpsc::channel();
    let main = Supervisor::builder("shop")
        .strategy(Strategy::RestForOne)
        .child(telling("stock", &tell))
        .child(telling("orders", &tell));
    let application = Application::new(main).start().unwrap();
    let expected = "\
shop (rest for one)
├─ bedplate (one for one): running
│  └─ telemetry: running
└─ main (rest for one): running
   ├─ stock: running
   └─ orders: running
";
    let handle = application.handle();
    assert_eq!(handle.tree().unwrap().to_string(), expected);
    let orders = handle.supervisor("main").unwrap().child("orders").unwrap();
    assert_eq!(orders.path(), "shop/main/orders");
    let report = application.shutdown();
    assert_eq!(
        report.clean,
        [
            "main/orders",
            "main/stock",
            "main",
            "bedplate/telemetry",
            "bedplate"
        ]
    );
    let told: Vec<String> = told.try_iter().collect();
    assert_eq!(
        told,
        ["stock begins", "orders begins", "orders ends", "stock ends"]
    );
}

#[test]
fn a_start_that_fails_names_the_child() {
    let failing = ChildSpec::worker("failing", |_| Err::<(), _>("as planned"));
    let failing = failing.ready(Ready::Signalled { within: PATIENCE });
    let main = Supervisor::builder("shop").child(failing);
    // Whatever is to be done when it gives up: it did not start.
    let application = Application::new(main).on_give_up(OnGiveUp::Abort);
    let error = application.run().unwrap_err();
    let StartError::Child { id, error } = error else {
        panic!("{error}")
    };
    assert_eq!(id, "main");
    let StartError::Child { id, .. } = &*error else {
        panic!("{error}")
    };
    assert_eq!(id, "failing");
}

#[test]
fn its_name_is_checked() {
    let application = Application::new(Supervisor::builder("a/b"));
    assert!(matches!(
        application.start().unwrap_err(),
        StartError::BadName { .. }
    ));
}

#[test]
fn the_clean_end_of_its_supervisor_is_its_own() {
    let child = ChildSpec::worker("child", |me| {
        me.supervisor().request_stop();
        obedient(me);
    });
    let main = Supervisor::builder("shop").child(child);
    let ended = Application::new(main)
        .on_give_up(OnGiveUp::Abort)
        .run()
        .unwrap();
    assert_eq!(ended.signal, None);
    assert!(matches!(ended.reason, ExitReason::Shutdown));
    assert_eq!(ended.report.clean, ["bedplate/telemetry", "bedplate"]);
}

#[test]
fn it_gives_up_with_its_supervisor_unless_it_may_restart_it() {
    let starts = Arc::new(Mutex::new(0));
    let main = || {
        let starts = starts.clone();
        let crashing = ChildSpec::worker("crashing", move |_| {
            *starts.lock().unwrap() += 1;
            Err::<(), _>("as planned")
        });
        let steady = ChildSpec::worker("steady", obedient);
        Supervisor::builder("shop")
            .limit(1, HOUR)
            .child(steady)
            .child(crashing)
    };
    let ended = Application::new(main()).run().unwrap();
    let ExitReason::GaveUp(why) = ended.reason else {
        panic!("{}", ended.reason)
    };
    assert_eq!(why.child, "main");
    let ExitReason::GaveUp(inner) = &why.last else {
        panic!("{}", why.last)
    };
    assert_eq!(inner.child, "crashing");
    assert_eq!(*starts.lock().unwrap(), 2);

    let ended = Application::new(main()).limit(2, HOUR).run().unwrap();
    assert!(matches!(ended.reason, ExitReason::GaveUp(_)));
    assert_eq!(*starts.lock().unwrap(), 2 + 6);
}

/// It backs off so far that it reaches no limit: a program may go on without it.
#[test]
fn what_bedplate_runs_is_no_reason_to_give_up() {
    let child = ChildSpec::worker("child", obedient);
    let main = Supervisor::builder("shop").child(child);
    let mut shop = Simulation::of_application(Application::new(main)).unwrap();
    shop.start();
    for _ in 0..1_000 {
        while !shop
            .child("bedplate/telemetry")
            .is_some_and(|child| child.state.is_active())
        {
            let due = shop.next_due().expect("it is restarted");
            shop.advance(due);
        }
        shop.panics("bedplate/telemetry", "as planned").unwrap();
    }
    assert!(shop.ended().is_none());
    assert_eq!(shop.child("bedplate").unwrap().restarts, 0);
    assert_eq!(shop.child("main/child").unwrap().incarnation, 1);
}

/// The name of a test that this process was started for, and what is to be done.
const MARK: &str = "BEDPLATE_TEST_ON_GIVE_UP";

/// Runs an application that gives up, in this process.
fn give_up(what: OnGiveUp) {
    let steady = ChildSpec::worker("steady", |me| {
        obedient(me);
        println!("the sibling has been stopped");
    });
    let crashing = ChildSpec::worker("crashing", |_| Err::<(), _>("as planned"));
    let main = Supervisor::builder("shop").child(steady).child(crashing);
    let ended = Application::new(main).on_give_up(what).run().unwrap();
    println!("it returned: {}", ended.reason);
}

#[test]
fn f42_it_returns_exits_or_aborts_and_siblings_are_stopped_before() {
    if let Some(what) = std::env::var_os(MARK) {
        return give_up(match what.to_str() {
            Some("exit") => OnGiveUp::Exit(3),
            Some("abort") => OnGiveUp::Abort,
            _ => OnGiveUp::Return,
        });
    }
    for what in ["return", "exit", "abort"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "f42_it_returns_exits_or_aborts_and_siblings_are_stopped_before",
                "--exact",
                "--nocapture",
            ])
            .env(MARK, what)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains("the sibling has been stopped"), "{what}");
        assert_eq!(printed.contains("it returned: gave up"), what == "return");
        match what {
            "return" => assert!(output.status.success()),
            "exit" => assert_eq!(output.status.code(), Some(3)),
            _ => assert!(!output.status.success() && output.status.code() != Some(3)),
        }
        #[cfg(unix)]
        if what == "abort" {
            use std::os::unix::process::ExitStatusExt as _;
            assert!(output.status.signal().is_some(), "{}", output.status);
        }
    }
}

#[test]
fn all_of_it_has_one_budget() {
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let deaf = ChildSpec::worker("deaf", move |me| {
        obedient(me);
        let _gone = wait.lock().unwrap().recv();
    });
    let main = Supervisor::builder("shop").child(deaf.stop(Stop::Forever));
    let application = Application::new(main).shutdown_budget(Duration::from_millis(50));
    let report = application.start().unwrap().shutdown();
    // Whichever of the two was first.
    let abandoned = report.abandoned.iter();
    assert!(
        abandoned.clone().any(|id| id.starts_with("main")),
        "{report}"
    );
    drop(go_on);
}

/// Whoever is stopped last has something left of it.
#[test]
fn a_part_of_the_budget_is_kept() {
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        obedient(me);
        let deadline = me.stop().deadline().expect("there is a budget");
        let left = deadline.saturating_duration_since(clock::now());
        tell.send(left).unwrap();
    });
    let main = Supervisor::builder("shop").child(child.stop(Stop::Forever));
    let application = Application::new(main).shutdown_budget(HOUR);
    let report = application.start().unwrap().shutdown();
    assert_eq!(report.clean.len(), 4, "{report}");
    let left = told.recv_timeout(PATIENCE).unwrap();
    assert!(left > HOUR / 2 && left <= HOUR / 10 * 9, "{left:?}");
}

/// Each in a process of its own: there is one telling thread in each, and who it is, is what this is about.
#[test]
fn what_was_recorded_is_told_by_a_child_and_nothing_is_lost_between() {
    alone(
        "what_was_recorded_is_told_by_a_child_and_nothing_is_lost_between",
        || {
            const EVENTS: u64 = 20_000;

            let seen = Arc::new(Mutex::new((Vec::new(), Vec::<String>::new())));
            let sees = seen.clone();
            let name = EventName::new("application.counted");
            telemetry::attach("counts", name, move |event: &Event<'_>| {
                let (values, tellers) = &mut *sees.lock().unwrap();
                values.push(event.measurement("value"));
                let teller = std::thread::current().name().unwrap_or_default().to_owned();
                if tellers.last() != Some(&teller) {
                    tellers.push(teller);
                }
            })
            .unwrap();
            let record = |value| telemetry::record!("application.counted", { value: value });
            let flush = || telemetry::flush(PATIENCE).unwrap();
            let mut next = 0_u64;
            let mut record_some = || {
                // Fewer than a ring holds, so that none is overwritten.
                for _ in 0..100 {
                    record(next);
                    next += 1;
                }
            };
            let mut rounds = 0_u64;
            loop {
                record_some();
                flush();
                let main = Supervisor::builder("shop");
                let application = Application::new(main).start().unwrap();
                record_some();
                flush();
                record_some();
                // Which of both tells those is not said; that they are told is.
                let report = application.shutdown();
                assert_eq!(report.clean.len(), 3, "{report}");
                flush();
                rounds += 1;
                let by_child = |teller: &String| teller == "shop/bedplate/telemetry";
                let was_child = seen.lock().unwrap().1.iter().any(by_child);
                if was_child && rounds * 300 >= EVENTS {
                    break;
                }
            }
            let (values, tellers) = &*seen.lock().unwrap();
            let recorded = (0..rounds * 300).map(|value| Some(Measurement::Unsigned(value)));
            assert!(
                values.iter().copied().eq(recorded),
                "{} of {}, each once and in order",
                values.len(),
                rounds * 300
            );
            assert!(tellers.iter().any(|teller| teller == "bedplate-telemetry"));
        },
    );
}

/// Nobody records or flushes any more, and whoever had the role is leaving.
#[test]
fn what_was_recorded_last_is_told_without_a_call() {
    alone("what_was_recorded_last_is_told_without_a_call", || {
        let (send, told) = mpsc::channel();
        let name = EventName::new("application.last");
        telemetry::attach("last", name, move |event: &Event<'_>| {
            let teller = std::thread::current().name().unwrap_or_default().to_owned();
            send.send((event.measurement("value"), teller))
        })
        .unwrap();
        for round in 0..20_u64 {
            let application = Application::new(Supervisor::builder("shop"));
            let application = application.start().unwrap();
            loop {
                telemetry::record!("application.last", { value: 0_u64 });
                let (_, teller) = told.recv_timeout(PATIENCE).unwrap();
                if teller == "shop/bedplate/telemetry" {
                    break;
                }
            }
            telemetry::record!("application.last", { value: round });
            drop(application);
            let (value, _) = told.recv_timeout(PATIENCE).unwrap();
            assert_eq!(value, Some(round.into()));
        }
    });
}

/// A flush that one of them has not answered is answered by the next; recording goes on meanwhile on another thread.
#[test]
fn flushes_and_batches_go_on_while_the_role_changes_hands() {
    alone(
        "flushes_and_batches_go_on_while_the_role_changes_hands",
        || {
            let (send, batches) = mpsc::channel();
            let limits = Limits {
                items: 64,
                age: HOUR,
                ..Limits::DEFAULT
            };
            telemetry::handler("batches")
                .to(EventName::new("application.batched"))
                .attach_batched(limits, move |batch: &Batch<'_>| send.send(batch.len()))
                .unwrap();
            let (done, is_done) = mpsc::channel::<()>();
            let emitting = std::thread::spawn(move || {
                let mut emitted = 0;
                while is_done.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    for _ in 0..10 {
                        telemetry::emit!("application.batched", { count: 1_u64 });
                        emitted += 1;
                    }
                    telemetry::flush(PATIENCE).unwrap();
                }
                emitted
            });
            for _ in 0..50 {
                let application = Application::new(Supervisor::builder("shop"));
                let application = application.start().unwrap();
                telemetry::flush(PATIENCE).unwrap();
                let report = application.shutdown();
                assert_eq!(report.clean.len(), 3, "{report}");
            }
            drop(done);
            let emitted: usize = emitting.join().unwrap();
            // Waits until the last batch was handed out.
            telemetry::detach("batches").unwrap();
            assert_eq!(batches.try_iter().sum::<usize>(), emitted);
            assert_eq!(telemetry::stats().refused, 0);
        },
    );
}

/// A handler that hangs keeps the role; the child that waits for it stops all the same, and two applications do not fight
/// for it.
#[test]
fn who_waits_for_the_role_can_be_stopped() {
    alone("who_waits_for_the_role_can_be_stopped", || {
        let (enter, entered) = mpsc::channel();
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let name = EventName::new("application.hangs");
        telemetry::attach("hangs", name, move |_: &Event<'_>| {
            enter.send(()).unwrap();
            let _gone = wait.lock().unwrap().recv();
        })
        .unwrap();
        telemetry::record!("application.hangs", { value: 1_u64 });
        entered.recv_timeout(PATIENCE).unwrap();
        let start = || {
            let application = Application::new(Supervisor::builder("shop"));
            application.start().unwrap()
        };
        let (one, other) = (start(), start());
        assert_eq!(
            one.handle().supervisor("bedplate").unwrap().count().active,
            1
        );
        assert_eq!(one.shutdown().clean.len(), 3);
        drop(go_on);
        telemetry::flush(PATIENCE).unwrap();
        let third = start();
        assert_eq!(other.shutdown().clean.len(), 3);
        telemetry::flush(PATIENCE).unwrap();
        assert_eq!(third.shutdown().clean.len(), 3);
        telemetry::flush(PATIENCE).unwrap();
    });
}

#[test]
fn handlers_of_what_was_recorded_are_in_no_context() {
    alone("handlers_of_what_was_recorded_are_in_no_context", || {
        static USER: Key<u64> = Key::new("user");
        let (send, seen) = mpsc::channel();
        let name = EventName::new("application.context");
        telemetry::attach("context", name, move |_: &Event<'_>| {
            let teller = std::thread::current().name().unwrap_or_default().to_owned();
            let span = context::capture().traceparent();
            send.send((teller, context::get(&USER), span))
        })
        .unwrap();
        let application = context::with(&USER, 7, || {
            let main = Supervisor::builder("shop");
            Application::new(main).start().unwrap()
        });
        loop {
            telemetry::record!("application.context", { value: 1_u64 });
            telemetry::flush(PATIENCE).unwrap();
            let (teller, user, span) = seen.recv_timeout(PATIENCE).unwrap();
            assert_eq!((user, span), (None, None));
            if teller == "shop/bedplate/telemetry" {
                break;
            }
        }
        drop(application);
    });
}

/// Two destructors that panic at once would abort the process.
#[test]
fn what_children_had_captured_is_dropped_one_by_one() {
    struct Bomb(mpsc::Sender<()>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            panic!("as planned");
        }
    }
    alone("what_children_had_captured_is_dropped_one_by_one", || {
        let (tell, told) = mpsc::channel();
        let child = |id: &str| {
            let bomb = Bomb(tell.clone());
            ChildSpec::worker(id, move |me| {
                let _owned = &bomb;
                obedient(me);
            })
        };
        let main = Supervisor::builder("shop")
            .child(child("a"))
            .child(child("b"));
        let application = Application::new(main).start().unwrap();
        assert_eq!(application.shutdown().clean.len(), 5);
        assert_eq!(told.try_iter().count(), 2, "gone when this returns");
    });
}
