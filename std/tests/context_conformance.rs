//! Error context: behaviour taken from the test suites of Foundation. The numbers are those of the project's list of
//! conformance cases (C, X) and of failures (97 to 100); spans of their own come later, so of the cases of spans only
//! what a context carries is here.

use bedplate::context::{
    self, CORRELATION_ID, Context, Enrich as _, InContext, Key, MAX_BREADCRUMBS, MAX_KEYS,
    ResultExt as _,
};
use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Restart, Supervisor};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

/// Only a defect waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

static REQUEST: Key<u64> = Key::new("request_id");
static OPERATION: Key<&'static str> = Key::new("operation");
static USER: Key<String> = Key::new("user");
static BUFFER: Key<u64> = Key::new("buffer").local();

#[derive(Clone, Debug, PartialEq)]
struct Broken {
    request_id: u64,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "broken in request {}", self.request_id)
    }
}

impl Error for Broken {}

#[test]
fn c1_set_get_clear() {
    context::set(&REQUEST, 1);
    assert_eq!(context::get(&REQUEST), Some(1));
    context::set(&REQUEST, 2);
    context::set(&OPERATION, "load");
    assert_eq!(
        context::current().to_string(),
        "operation=load request_id=2"
    );
    context::clear();
    assert_eq!(context::get(&REQUEST), None);
    assert!(context::current().is_empty());
    // "Set none": an empty context in its place.
    context::set(&REQUEST, 3);
    context::temporary(Context::empty(), || assert!(context::current().is_empty()));
    context::clear();
    context::clear();
    assert!(context::current().is_empty());
}

#[test]
fn c2_a_temporary_context_is_undone() {
    let b = Context::empty().with_value(&OPERATION, "b");
    let inside = || (context::get(&REQUEST), context::get(&OPERATION));
    // With none before: none after.
    assert_eq!(context::temporary(b.clone(), inside), (None, Some("b")));
    assert!(context::current().is_empty());
    context::with(&REQUEST, 1, || {
        assert_eq!(context::temporary(b.clone(), inside), (None, Some("b")));
        assert_eq!(inside(), (Some(1), None));
        // Also when it ends in an error, or a panic, and when something was set in it.
        let failed: Result<(), _> = context::temporary(b.clone(), || {
            context::set(&REQUEST, 9);
            Err("failed")
        });
        assert_eq!((failed, inside()), (Err("failed"), (Some(1), None)));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            context::temporary(b.clone(), || {
                context::clear();
                std::panic::resume_unwind(Box::new("on purpose"));
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(inside(), (Some(1), None));
    });
}

#[test]
fn c4_an_error_is_enriched_and_a_success_is_not() {
    context::with(&REQUEST, 1, || {
        context::with(&OPERATION, "save", || {
            let error = InContext::new(Broken { request_id: 7 });
            assert_eq!(
                error.to_string(),
                "broken in request 7 (operation=save request_id=1)"
            );
            assert_eq!(error.error().request_id, 7, "the error's own field");
            let result: Result<u8, _> = Err(Broken { request_id: 7 }).in_context();
            assert_eq!(result.unwrap_err().context().get(&REQUEST), Some(1));
            let success: Result<u8, InContext<Broken>> = Ok(5).in_context();
            assert_eq!(success.unwrap(), 5);
            let success: Result<u8, InContext<Broken>> = Ok(5).enrich();
            assert_eq!(success.unwrap(), 5);
        });
    });
}

#[test]
fn c4_what_an_error_has_is_not_overwritten() {
    let inner = context::with(&OPERATION, "read", || {
        InContext::new(Broken { request_id: 7 }).with_value(&REQUEST, 7)
    });
    let outer = context::with(&REQUEST, 1, || {
        context::with(&OPERATION, "retry", || {
            context::with(&USER, "ada".into(), || inner.clone().enrich().enrich())
        })
    });
    assert_eq!(
        outer.context().to_string(),
        "request_id=7 operation=read user=ada"
    );
    assert_eq!(outer.error(), inner.error());
    // What it was made from has not changed.
    assert_eq!(inner.context().to_string(), "request_id=7 operation=read");
    // One that knows nothing takes all.
    let empty = InContext::of("e", Context::empty());
    let enriched = context::with(&REQUEST, 1, || empty.enrich());
    assert_eq!(enriched.context().get(&REQUEST), Some(1));
}

#[test]
fn c4_the_correlation_id_is_that_of_the_innermost_place() {
    let fail = || InContext::new("failed");
    assert_eq!(fail().correlation_id(), None);
    let error = context::with(&CORRELATION_ID, "inner".into(), fail);
    let error = context::with(&CORRELATION_ID, "outer".into(), || error.enrich());
    assert_eq!(error.correlation_id().as_deref(), Some("inner"));
    // A thread that inherits a context inherits it with it.
    let worker = context::with(&CORRELATION_ID, "inner".into(), || context::spawn(fail));
    let error = worker.unwrap().join().unwrap();
    assert_eq!(error.correlation_id().as_deref(), Some("inner"));
}

#[test]
fn c4_at_the_limit_the_error_keeps_its_own() {
    static OWN: [Key<usize>; 20] = [const { Key::new("own") }; 20];
    static AROUND: [Key<usize>; 20] = [const { Key::new("around") }; 20];
    let full = |keys: &'static [Key<usize>]| {
        let values = keys.iter().zip(0..);
        values.fold(Context::empty(), |all, (key, value)| {
            all.with_value(key, value)
        })
    };
    let error = InContext::of("failed", full(&OWN));
    let error = full(&AROUND).run(|| error.enrich());
    let context = error.context();
    assert!(OWN.iter().all(|key| context.get(key).is_some()));
    assert_eq!((context.len(), context.dropped()), (MAX_KEYS, 8));
    // The newest of what is around it.
    assert_eq!(
        (context.get(&AROUND[7]), context.get(&AROUND[8])),
        (None, Some(8))
    );
}

/// Also case 97 of the failures: the child sees what was set when it was started.
#[test]
fn c5_a_thread_inherits_and_does_not_follow() {
    let changed = Barrier::new(2);
    let see = || (context::get(&REQUEST), context::get(&BUFFER));
    context::with(&REQUEST, 1, || {
        context::with(&BUFFER, 5, || {
            context::scope(|scope| {
                let linked = scope.spawn(|| {
                    changed.wait();
                    see()
                });
                context::set(&REQUEST, 2);
                changed.wait();
                assert_eq!(linked.unwrap().join().unwrap(), (Some(1), None));
            });
            let plain = context::spawn(move || {
                let seen = see();
                context::set(&REQUEST, 99);
                seen
            });
            assert_eq!(plain.unwrap().join().unwrap(), (Some(2), None));
            assert_eq!(see(), (Some(2), Some(5)));
        });
    });
}

#[test]
fn c7_deep_nesting_and_many_calls() {
    fn nest(depth: u64) -> u64 {
        if depth == 0 {
            return context::get(&REQUEST).unwrap();
        }
        let inside = context::with(&REQUEST, depth, || nest(depth - 1));
        assert_ne!(context::get(&REQUEST), Some(depth));
        inside
    }
    fn calls(depth: u64) -> Option<u64> {
        if depth == 0 {
            context::get(&REQUEST)
        } else {
            calls(depth - 1)
        }
    }
    assert_eq!(nest(500), 1);
    assert_eq!(context::with(&REQUEST, 7, || calls(500)), Some(7));
    assert!(context::current().is_empty());
}

#[test]
fn c8_threads_do_not_see_each_other() {
    let begin = Barrier::new(8);
    thread::scope(|scope| {
        for id in 0..8_u64 {
            let begin = &begin;
            scope.spawn(move || {
                begin.wait();
                for round in 0..200 {
                    let own = id * 1000 + round;
                    context::with(&REQUEST, own, || {
                        context::set(&USER, own.to_string());
                        let captured = context::capture();
                        thread::yield_now();
                        assert_eq!(context::get(&REQUEST), Some(own));
                        captured.run(|| assert_eq!(context::get(&USER), Some(own.to_string())));
                    });
                }
                assert!(context::current().is_empty());
            });
        }
    });
}

/// Stricter, as the case asks for: the receiver has its own context again afterwards, whatever it did meanwhile.
#[test]
fn x7_a_carried_context_leaves_the_receiver_as_it_was() {
    let captured = context::with(&REQUEST, 1, context::capture);
    let receiver = thread::spawn(move || {
        context::with(&OPERATION, "own", || {
            let attached = captured.clone().attach();
            assert_eq!(
                (context::get(&REQUEST), context::get(&OPERATION)),
                (Some(1), None)
            );
            context::set(&OPERATION, "carried");
            let other = captured.attach();
            drop(attached);
            assert_eq!(context::get(&REQUEST), Some(1));
            drop(other);
            context::current().to_string()
        })
    });
    assert_eq!(receiver.join().unwrap(), "operation=own");
}

#[test]
fn x13_owners_pop_their_own() {
    let begin = Arc::new(Barrier::new(10));
    let owners = (0..10_u64).map(|id| {
        let begin = Arc::clone(&begin);
        thread::spawn(move || {
            begin.wait();
            let mut guards = Vec::new();
            for number in 0..10 {
                guards.push(
                    context::current()
                        .with_value(&REQUEST, id * 100 + number)
                        .attach(),
                );
            }
            for number in (0..10).rev() {
                assert_eq!(context::get(&REQUEST), Some(id * 100 + number));
                drop(guards.pop());
            }
            context::get(&REQUEST)
        })
    });
    let owners: Vec<_> = owners.collect();
    for owner in owners {
        assert_eq!(owner.join().unwrap(), None);
    }
}

#[test]
fn breadcrumbs_follow_and_are_bounded() {
    context::temporary(Context::empty(), || {
        for number in 0..100_u64 {
            context::with(&REQUEST, number, || context::breadcrumb(number));
        }
        let child = context::child_context("mail");
        let kept = child.breadcrumbs();
        assert_eq!(kept.forgotten(), 101 - MAX_BREADCRUMBS as u64);
        let printed = kept.to_string();
        assert!(
            printed.starts_with("mail, 99, 98, ") && printed.ends_with("86, 85, and 85 before"),
            "{printed}"
        );
        // What the child leaves is the child's.
        let seen = context::in_context(|| {
            context::breadcrumb("in the child");
            context::current()
                .breadcrumbs()
                .next()
                .map(ToString::to_string)
        });
        assert_eq!(
            thread::scope(|scope| scope.spawn(seen).join().unwrap()).unwrap(),
            r#""in the child""#
        );
        let error = InContext::new("failed");
        assert_eq!(
            error.context().breadcrumbs().next().unwrap().to_string(),
            "99"
        );
    });
    assert_eq!(context::current().breadcrumbs().count(), 0);
}

/// 98 and 99: whatever a crashed incarnation was in, and whatever thread the next one runs on.
#[test]
fn f98_f99_the_next_incarnation_begins_in_the_context_of_its_specification() {
    let (tell, told) = mpsc::channel();
    let child = context::with(&REQUEST, 1, || {
        ChildSpec::worker("child", move |me| {
            tell.send((
                context::current().to_string(),
                context::current().breadcrumbs().count(),
            ))
            .unwrap();
            context::set(&USER, "left behind".into());
            context::breadcrumb("left behind");
            core::mem::forget(Context::empty().attach());
            if me.number() < 3 {
                context::with(&OPERATION, "crash", || panic!("on purpose"));
            }
        })
        .restart(Restart::Transient)
    });
    let supervisor = Supervisor::builder("f98")
        .quiet_panics(true)
        .child(child)
        .start()
        .unwrap();
    for _ in 0..3 {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(("request_id=1".into(), 0)));
    }
    let _ = supervisor.shutdown();
}

/// 100: a helper reads context and stop token, ends before `scope` returns, and its panic is told once.
#[test]
fn f100_helpers_of_a_scope() {
    let running = Arc::new(AtomicUsize::new(0));
    let (ready, is_ready) = mpsc::channel();
    let child = context::with(&REQUEST, 1, || {
        let running = Arc::clone(&running);
        ChildSpec::worker("child", move |me| {
            context::scope(|scope| {
                let help = || {
                    running.fetch_add(1, Ordering::Relaxed);
                    ready.send(context::get(&REQUEST)).unwrap();
                    while !me.stop().wait(PATIENCE) {}
                    running.fetch_sub(1, Ordering::Relaxed);
                };
                scope.spawn(help).unwrap();
                scope.spawn(help).unwrap();
            });
            assert_eq!(running.load(Ordering::Relaxed), 0, "both have ended");
        })
    });
    let supervisor = Supervisor::builder("f100").child(child).start().unwrap();
    for _ in 0..2 {
        assert_eq!(is_ready.recv_timeout(PATIENCE), Ok(Some(1)));
    }
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    assert_eq!(running.load(Ordering::Relaxed), 0);
}

#[test]
fn f100_the_panic_of_a_helper_is_that_of_its_child() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let child = ChildSpec::worker("child", move |_| {
        wait.lock().unwrap().recv().unwrap();
        context::scope(|scope| {
            let joined = scope
                .spawn(|| std::panic::resume_unwind(Box::new("joined")))
                .unwrap();
            let payload: Box<dyn std::any::Any + Send> = joined.join().unwrap_err();
            assert_eq!(
                payload.downcast_ref(),
                Some(&"joined"),
                "which is only its own business"
            );
            scope
                .spawn(|| std::panic::resume_unwind(Box::new("of the helper")))
                .map(drop)
        })
    });
    let supervisor = Supervisor::builder("f100b")
        .quiet_panics(true)
        .child(child.restart(Restart::Temporary))
        .start()
        .unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("child").unwrap());
    go.send(()).unwrap();
    let down = inbox.recv_timeout(PATIENCE).expect("it ends");
    let ExitReason::Panicked(report) = &down.reason else {
        panic!("{:?}", down.reason);
    };
    assert_eq!(report.message, "of the helper");
    let _ = supervisor.shutdown();
}
