//! Registries of a process: behaviour taken from the test suites of Elixir's Registry, gproc, syn and
//! others, where threads, incarnations and waiting are part of it. The numbers are those of the project's
//! list of conformance cases; those that need no threads are in `loom-tests/tests/conformance_registry.rs`.
//!
//! Where ours differs on purpose, the test says so. Selections by pattern are closures here.

use bedplate::monitor::Inbox;
use bedplate::process::{self, ExitReason};
use bedplate::registry::{
    self, LockError, MetadataError, NameError, OpenError, RegisterError, Registry, UpdateError,
    WaitError,
};
use bedplate::supervisor::{ChildSpec, Incarnation, Restart, StartError, Stop, Supervisor};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Only a defect waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

type Numbers = Registry<u64, u64>;
type Texts = Registry<String, String>;

/// Runs `body` once, as the body of a supervised child; how that ended.
fn supervised<R: process::IntoExit>(
    body: impl Fn(&Incarnation) -> R + Send + Sync + 'static,
) -> ExitReason {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let child = ChildSpec::worker("child", move |me| {
        wait.lock().unwrap().recv().unwrap();
        body(me)
    });
    let supervisor = Supervisor::builder("one")
        .quiet_panics(true)
        .child(child.restart(Restart::Temporary))
        .start()
        .unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("child").unwrap());
    go.send(()).unwrap();
    let down = inbox.recv_timeout(PATIENCE).expect("it ends");
    let _ = supervisor.shutdown();
    down.reason
}

/// Waits until `condition` holds.
fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "it never comes to that");
        thread::yield_now();
    }
}

#[test]
fn r2_an_empty_registry_counts_nothing() {
    let registry = Numbers::new();
    assert_eq!(registry.len(), 0);
    assert!(registry.is_empty());
    let health = registry.health();
    assert_eq!((health.entries, health.owners, health.limit), (0, 0, None));
    assert_eq!((health.waiting, health.locked), (0, 0));
}

#[test]
fn r5_one_thread_holds_several_keys() {
    let registry = Numbers::new();
    let me = registry.register(1, 10).unwrap().owner();
    registry.register(2, 20).unwrap();
    let mut own = registry.with(|guard| {
        let mine = guard.iter().filter(|entry| entry.owner() == me);
        mine.map(|entry| (*entry.key(), *entry.value()))
            .collect::<Vec<_>>()
    });
    own.sort_unstable();
    assert_eq!(own, [(1, 10), (2, 20)]);

    let refused = registry.register(1, 11).unwrap_err();
    assert!(
        matches!(refused, RegisterError::AlreadyRegistered { holder, key: 1, value: 11 } if holder == me)
    );
    assert_eq!(registry.update(&1, |value| value + 1), Ok(()));
    assert_eq!(registry.lookup(&1, |entry| *entry.value()), Some(11));
    let not_held = registry.update(&3, |_| unreachable!("not held"));
    assert!(not_held.is_err());
}

/// There is no cleanup worker that could be late.
#[test]
fn r7_a_key_is_free_at_once_when_its_holder_is_dead() {
    let registry = Numbers::new();
    for ending in [0_u64, 1, 2] {
        let theirs = registry.clone();
        let reason = supervised(move |_| -> Result<(), String> {
            theirs.register(7, ending).unwrap();
            match ending {
                0 => Ok(()),
                1 => Err("failed".to_owned()),
                _ => panic!("panicked"),
            }
        });
        match ending {
            0 => assert!(matches!(reason, ExitReason::Normal), "{reason}"),
            1 => assert!(matches!(reason, ExitReason::Failed(_)), "{reason}"),
            _ => assert!(matches!(reason, ExitReason::Panicked(_)), "{reason}"),
        }
        let me = registry.register(7, 70).expect("free at once").owner();
        let seen = registry.lookup(&7, |entry| (entry.owner(), *entry.value()));
        assert_eq!(seen, Some((me, 70)));
        assert!(registry.unregister(&7));
    }
    // On a thread that is no incarnation's: by its end, in all three ways.
    for ending in [0_u64, 1, 2] {
        let theirs = registry.clone();
        let ended = thread::spawn(move || -> Result<(), String> {
            theirs.register(7, ending).unwrap();
            match ending {
                0 => Ok(()),
                1 => Err("failed".to_owned()),
                _ => std::panic::resume_unwind(Box::new("panicked")),
            }
        })
        .join();
        assert_eq!(ended.is_err(), ending == 2);
        registry.register(7, 70).expect("free at once");
        assert!(registry.unregister(&7));
    }
}

/// The bond is what the holder has in the registry: it keeps the registry alive and is counted.
#[test]
fn r23_the_bond_lasts_until_the_last_key_is_gone() {
    let registry = Numbers::new();
    registry.register(1, 0).unwrap();
    registry.register(2, 0).unwrap();
    assert_eq!(registry.health().owners, 1);
    assert!(registry.unregister(&1));
    assert_eq!(registry.health().owners, 1);
    assert!(registry.unregister(&2));
    assert_eq!(registry.health().owners, 0);
    assert!(!registry.unregister(&2));
    // A refusal makes none.
    let other = registry.clone();
    registry.register(1, 0).unwrap();
    thread::spawn(move || {
        other.register(1, 0).unwrap_err();
        assert_eq!(other.health().owners, 1);
    })
    .join()
    .unwrap();
    assert_eq!(registry.health().owners, 1);
}

#[test]
fn r25_started_under_a_name_reached_by_it_and_refused_a_second_time() {
    let worker =
        |id: &str| ChildSpec::worker(id, |me| while !me.stop().wait(PATIENCE) {}).register("r25");
    let first = Supervisor::builder("first")
        .child(worker("a"))
        .start()
        .unwrap();
    let holder = registry::whereis("r25").unwrap();
    assert_eq!(holder.path(), "first/a");
    let refused = Supervisor::builder("second").child(worker("b")).start();
    let Err(StartError::Child { error, .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        matches!(&*error, StartError::Name { error: NameError::Taken { holder: by }, .. } if *by == holder.pid())
    );
    let _ = first.shutdown();
    // A body that panics at once leaves the name free.
    let broken = ChildSpec::worker("c", |_| -> () { panic!("at once") }).register("r25");
    let third = Supervisor::builder("third")
        .quiet_panics(true)
        .limit(0, PATIENCE);
    match third.child(broken).start() {
        Ok(supervisor) => drop(supervisor.wait()),
        Err(error) => assert!(matches!(error, StartError::GaveUp(_)), "{error}"),
    }
    assert!(registry::whereis("r25").is_none());
    assert_eq!(registry::health().waiting, 0);
}

/// The value of a child's name is the handle on it; values of a user's are in registries of his own.
#[test]
fn r26_the_value_that_was_given_is_seen() {
    let registry = Texts::new();
    let theirs = registry.clone();
    supervised(move |me| {
        me.register("r26").unwrap();
        assert_eq!(registry::whereis("r26").as_ref(), Some(me.me()));
        let registered = theirs.register("a".to_owned(), "given".to_owned()).unwrap();
        assert_eq!(registered.owner(), me.me().pid());
        let seen = theirs.lookup("a", |entry| entry.value().to_owned());
        assert_eq!(seen.as_deref(), Some("given"));
    });
    assert!(registry.is_empty());
}

#[test]
fn r32_when_holders_are_dead_nothing_is_left() {
    let (numbers, texts) = (Numbers::new(), Texts::new());
    for _ in 0..2 {
        let (numbers, texts) = (numbers.clone(), texts.clone());
        supervised(move |me| -> () {
            for key in 0..100 {
                numbers.register(key, key).unwrap();
                let long = format!("{key:060}");
                texts.register(long.clone(), long).unwrap();
            }
            assert_eq!(numbers.whereis(&17), Some(me.me().pid()));
            panic!("with all this");
        });
    }
    assert_eq!((numbers.len(), numbers.health().owners), (0, 0));
    assert_eq!((texts.len(), texts.health().owners), (0, 0));
    texts.with(|guard| guard.flush());
}

#[test]
fn r49_a_key_is_locked_by_one_at_a_time() {
    let registry = Numbers::new();
    let locked = registry.lock(1, PATIENCE, None).unwrap();
    assert_eq!(*locked.key(), 1);
    let other = registry.clone();
    let (tell, told) = mpsc::channel();
    let waiting = thread::spawn(move || {
        // Another key is another lock.
        drop(other.lock(2, Duration::ZERO, None).unwrap());
        let tried = other.lock(1, Duration::ZERO, None);
        assert!(matches!(tried, Err(LockError::Timeout { key: 1 })));
        tell.send(()).unwrap();
        drop(other.lock(1, PATIENCE, None).unwrap());
        tell.send(()).unwrap();
    });
    told.recv_timeout(PATIENCE).unwrap();
    assert!(told.try_recv().is_err(), "it waits");
    drop(locked);
    told.recv_timeout(PATIENCE).unwrap();
    waiting.join().unwrap();
    assert_eq!(registry.health().locked, 0);
}

#[test]
fn r50_a_holder_that_panics_releases_the_lock() {
    let registry = Numbers::new();
    let (locked, is_locked) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let other = registry.clone();
    let holder = thread::spawn(move || {
        let _guard = other.lock(1, PATIENCE, None).unwrap();
        locked.send(()).unwrap();
        wait.recv().unwrap();
        std::panic::resume_unwind(Box::new("the holder's"));
    });
    is_locked.recv_timeout(PATIENCE).unwrap();
    let other = registry.clone();
    let waiter = thread::spawn(move || drop(other.lock(1, PATIENCE, None).unwrap()));
    go.send(()).unwrap();
    let payload = holder.join().unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"the holder's"));
    waiter.join().unwrap();
    assert_eq!(registry.health().locked, 0);
}

/// A thread cannot be killed: it gives up waiting, by time or because it is asked to stop.
#[test]
fn r52_a_waiter_that_is_gone_does_not_swallow_the_lock() {
    let registry = Numbers::new();
    let locked = registry.lock(1, PATIENCE, None).unwrap();
    let other = registry.clone();
    let gave_up = thread::spawn(move || {
        let waited = other.lock(1, Duration::from_millis(1), None);
        assert!(matches!(waited, Err(LockError::Timeout { key: 1 })));
    });
    gave_up.join().unwrap();

    let other = registry.clone();
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("waits", move |me| {
        tell.send(()).unwrap();
        let waited = other.lock(1, PATIENCE, Some(me.stop()));
        assert!(matches!(waited, Err(LockError::Stopped { key: 1 })));
    });
    let supervisor = Supervisor::builder("app").child(child).start().unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["waits"]);

    let other = registry.clone();
    let later = thread::spawn(move || drop(other.lock(1, PATIENCE, None).unwrap()));
    drop(locked);
    later.join().unwrap();
    assert_eq!(registry.health().locked, 0);
}

/// Threads that give up all the time, and threads that do not: nobody is in it together, none is lost.
#[test]
fn r52_locks_under_threads() {
    const ROUNDS: usize = 500;
    let registry = Numbers::new();
    let inside = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..6_usize)
        .map(|number| {
            let (registry, inside, done) = (registry.clone(), inside.clone(), done.clone());
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    let patient = number % 2 == 0;
                    let hurried = Duration::from_micros((round % 50) as u64);
                    let at_most = if patient { PATIENCE } else { hurried };
                    match registry.lock(1, at_most, None) {
                        Ok(_locked) => {
                            assert!(!inside.swap(true, Ordering::Acquire));
                            thread::yield_now();
                            inside.store(false, Ordering::Release);
                            done.fetch_add(usize::from(patient), Ordering::Relaxed);
                        }
                        Err(error) => assert!(!patient, "{error}"),
                    }
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(done.load(Ordering::Relaxed), 3 * ROUNDS);
    assert_eq!(registry.health().locked, 0);
}

/// Stricter: not found no later than the moment its death is observable, also when it was abandoned, and in
/// all registries. The name from the specification goes last.
#[test]
fn r56_the_names_of_the_abandoned_are_free_before_that_is_known() {
    let (numbers, texts) = (Numbers::new(), Texts::new());
    let (theirs, theirs_too) = (numbers.clone(), texts.clone());
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (tell, told) = mpsc::channel();
    let deaf = ChildSpec::worker("deaf", move |_| {
        theirs.register(1, 1).unwrap();
        theirs_too.register("a".to_owned(), String::new()).unwrap();
        tell.send(()).unwrap();
        held.lock().unwrap().recv().unwrap_err();
        // Nobody any more, it can hold nothing.
        let refused = theirs.register(2, 2).unwrap_err();
        assert!(matches!(refused, RegisterError::Over { key: 2, value: 2 }));
        assert!(!theirs.unregister(&1));
        tell.send(()).unwrap();
    });
    let deaf = deaf
        .stop(Stop::Within(Duration::from_millis(1)))
        .register("r56");
    let supervisor = Supervisor::builder("app").child(deaf).start().unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("deaf").unwrap());
    supervisor.handle().request_stop();
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(down.reason, ExitReason::Abandoned { .. }));
    assert_eq!((numbers.len(), texts.len()), (0, 0));
    assert!(registry::whereis("r56").is_none());
    assert_eq!(supervisor.shutdown().abandoned, ["deaf"]);
    numbers.register(1, 1).unwrap();
    drop(release);
    told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(numbers.len(), 1);
}

/// Abandoned in the middle of its changes: what it was doing is undone, or was never begun.
#[test]
fn r56_abandoned_while_it_registers() {
    for round in 0..30_u64 {
        let registry = Registry::<String, String>::new();
        let (theirs, over) = (registry.clone(), Arc::new(AtomicBool::new(false)));
        let (tell, told) = mpsc::channel();
        let is_over = over.clone();
        let busy = ChildSpec::worker("busy", move |_| {
            tell.send(()).unwrap();
            let refused = (0_u64..).find_map(|number| {
                let key = format!("{:060}", number % 50);
                let registered = theirs.register(key.clone(), key.clone());
                if number % 3 == round % 3 {
                    theirs.unregister(&key);
                }
                registered
                    .err()
                    .filter(|error| matches!(error, RegisterError::Over { .. }))
            });
            assert!(refused.is_some());
            is_over.store(true, Ordering::Release);
        });
        let supervisor = Supervisor::builder("app")
            .child(busy.stop(Stop::Within(Duration::from_micros(100 * round))))
            .start()
            .unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        let inbox = Inbox::new();
        inbox.monitor(&supervisor.handle().child("busy").unwrap());
        supervisor.handle().request_stop();
        inbox.recv_timeout(PATIENCE).unwrap();
        assert_eq!((registry.len(), registry.health().owners), (0, 0));
        until(|| over.load(Ordering::Acquire));
        assert_eq!((registry.len(), registry.health().owners), (0, 0));
        // Who is refused ends at once, and that may still be the end that counts.
        let report = supervisor.shutdown();
        assert_eq!([report.abandoned, report.clean].concat(), ["busy"]);
    }
}

/// A key whose `Eq` takes as long as somebody else likes.
struct Slow {
    key: u64,
    comparing: mpsc::Sender<()>,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl PartialEq for Slow {
    fn eq(&self, other: &Self) -> bool {
        self.comparing.send(()).ok();
        // However that ends.
        let _ = self.go_on.lock().unwrap().recv();
        self.key == other.key
    }
}

impl Eq for Slow {}

impl core::hash::Hash for Slow {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// Abandoned inside of a user's code: the end is told when that has returned, and what was held is gone. If
/// it does not return, the end is told all the same, and what was held in that one registry goes when it
/// does.
#[test]
fn r56_abandoned_in_the_middle_of_a_change() {
    for returns in [true, false] {
        let (registry, other) = (Registry::<Box<Slow>, u64>::new(), Numbers::new());
        let (comparing, compares) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let go_on = Arc::new(Mutex::new(wait));
        let (theirs, others, stays) = (registry.clone(), other.clone(), go_on.clone());
        let key = move || {
            let (comparing, go_on) = (comparing.clone(), go_on.clone());
            let key = 1;
            Box::new(Slow {
                key,
                comparing,
                go_on,
            })
        };
        let child = ChildSpec::worker("stuck", move |_| {
            others.register(1, 1).unwrap();
            theirs.register(key(), 1).unwrap();
            theirs.register(key(), 1).unwrap_err();
            let goes_on_for_long = stays.lock().unwrap().recv();
            goes_on_for_long.unwrap_err();
        });
        let supervisor = Supervisor::builder("app")
            .child(child.stop(Stop::Within(Duration::from_millis(1))))
            .start()
            .unwrap();
        let inbox = Inbox::new();
        inbox.monitor(&supervisor.handle().child("stuck").unwrap());
        compares.recv_timeout(PATIENCE).unwrap();
        // Its length counts what is being registered.
        let listed = || registry.with(|guard| guard.iter().count());
        assert_eq!((listed(), other.len()), (1, 1));
        supervisor.handle().request_stop();
        if returns {
            // What is not borrowed goes first.
            until(|| other.is_empty());
            go.send(()).unwrap();
        }
        inbox.recv_timeout(PATIENCE).unwrap();
        assert!(other.is_empty());
        assert_eq!(listed(), usize::from(!returns));
        drop(go);
        until(|| registry.is_empty());
        until(|| registry.health().owners == 0);
        drop(supervisor);
    }
}

#[test]
fn r58_only_the_living_are_listed() {
    let registry = Numbers::new();
    registry.register(1, 1).unwrap();
    let other = registry.clone();
    thread::spawn(move || other.register(2, 2).unwrap())
        .join()
        .unwrap();
    let listed = registry.with(|guard| guard.iter().map(|entry| *entry.key()).collect::<Vec<_>>());
    assert_eq!(listed, [1]);
}

#[test]
fn r62_when_five_are_dead_the_list_is_empty() {
    let registry = Numbers::new();
    let there = Arc::new(Barrier::new(6));
    let threads: Vec<_> = (0..5_u64)
        .map(|key| {
            let (registry, there) = (registry.clone(), there.clone());
            thread::spawn(move || {
                registry.register(key, key).unwrap();
                there.wait();
                there.wait();
            })
        })
        .collect();
    there.wait();
    assert_eq!((registry.len(), registry.health().owners), (5, 5));
    there.wait();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!((registry.len(), registry.health().owners), (0, 0));
}

#[test]
fn r64_ten_register_at_the_same_time() {
    let registry = Numbers::new();
    let (start, end) = (Arc::new(Barrier::new(10)), Arc::new(Barrier::new(11)));
    for key in 0..10_u64 {
        let (registry, start, end) = (registry.clone(), start.clone(), end.clone());
        thread::spawn(move || {
            start.wait();
            registry.register(key, 10 * key).unwrap();
            end.wait();
            end.wait();
        });
    }
    end.wait();
    let mut listed = registry.with(|guard| {
        let entries = guard.iter().map(|entry| (*entry.key(), *entry.value()));
        entries.collect::<Vec<_>>()
    });
    listed.sort_unstable();
    assert_eq!(
        listed,
        (0..10).map(|key| (key, 10 * key)).collect::<Vec<_>>()
    );
    end.wait();
}

#[test]
fn r65_readers_writers_and_updaters_at_once() {
    const ROUNDS: u64 = 2_000;
    let registry = Registry::<u64, Box<(u64, u64)>>::new();
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (registry, done) = (registry.clone(), done.clone());
        thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                for key in 0..8 {
                    let whole = registry.lookup(&key, |entry| entry.value().0 == entry.value().1);
                    assert_ne!(whole, Some(false));
                }
            }
        })
    };
    let writers: Vec<_> = (0..2_u64)
        .map(|writer| {
            let registry = registry.clone();
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    let key = 4 * writer + round % 4;
                    registry.register(key, Box::new((round, round))).unwrap();
                    let next = |value: &(u64, u64)| Box::new((value.0 + 1, value.1 + 1));
                    registry.update(&key, next).unwrap();
                    assert_eq!(
                        registry.lookup(&key, |entry| entry.value().0),
                        Some(round + 1)
                    );
                    assert!(registry.unregister(&key));
                }
            })
        })
        .collect();
    writers
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    done.store(true, Ordering::Release);
    reader.join().unwrap();
    assert!(registry.is_empty());
}

/// What R67 refuses (missing or wrong metadata) is not to be had here: a value is of its type. Criteria (R68)
/// are a closure; there are no indexes that could keep what is gone (R70).
#[test]
fn r68_r70_found_by_what_they_are_and_not_after_their_end() {
    #[derive(Debug)]
    struct Agent {
        healthy: bool,
        can: &'static [&'static str],
    }
    let agents = Registry::<&str, Box<Agent>>::new();
    let mut pool = agents.owner().unwrap();
    for (name, healthy, can) in [
        ("a", true, &["read", "write"][..]),
        ("b", false, &["read"]),
        ("c", true, &["write"]),
    ] {
        pool.register(name, Box::new(Agent { healthy, can }))
            .unwrap();
    }
    let query = |wanted: fn(&Agent) -> bool| {
        agents.with(|guard| {
            let found = guard.iter().filter(|entry| wanted(entry.value()));
            found
                .map(|entry| entry.key().to_owned())
                .collect::<BTreeSet<_>>()
        })
    };
    let writes = |agent: &Agent| agent.can.contains(&"write");
    assert_eq!(query(writes), BTreeSet::from(["a".into(), "c".into()]));
    let reads_well = |agent: &Agent| agent.healthy && agent.can.contains(&"read");
    assert_eq!(query(reads_well), BTreeSet::from(["a".into()]));
    assert!(pool.unregister("a"));
    assert_eq!(query(writes), BTreeSet::from(["c".into()]));
    assert_eq!(pool.unregister_if(|entry| entry.value().healthy), 1);
    let mut left = Vec::new();
    pool.for_each(|entry| left.push(entry.key().to_owned()));
    assert_eq!(left, ["b"]);
    drop(pool);
    assert_eq!(query(|_| true), BTreeSet::new());
}

/// Who has locked the key reads and writes alone.
#[test]
fn r74_what_is_done_under_a_lock_of_the_key_is_serial() {
    const ROUNDS: u64 = 200;
    let registry = Numbers::new();
    let total = Arc::new(Mutex::new(registry.owner().unwrap()));
    total.lock().unwrap().register(1, 0).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (registry, total) = (registry.clone(), total.clone());
            thread::spawn(move || {
                for _ in 0..ROUNDS {
                    let _locked = registry.lock(1, PATIENCE, None).unwrap();
                    let seen = registry.lookup(&1, |entry| *entry.value()).unwrap();
                    thread::yield_now();
                    total.lock().unwrap().update(&1, |_| seen + 1).unwrap();
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(
        registry.lookup(&1, |entry| *entry.value()),
        Some(4 * ROUNDS)
    );
}

#[test]
fn r76_many_die_together_while_others_register() {
    let registry = Texts::new();
    let key = |thread: u64, number: u64| format!("{thread}/{number:050}");
    for round in 0..5 {
        let all = Arc::new(Barrier::new(40));
        let dying: Vec<_> = (0..40_u64)
            .map(|thread| {
                let (registry, all) = (registry.clone(), all.clone());
                thread::spawn(move || {
                    for number in 0..20 {
                        registry
                            .register(key(thread, number), String::new())
                            .unwrap();
                    }
                    all.wait();
                })
            })
            .collect();
        for number in 0..20 {
            let mine = key(1_000 + round, number);
            registry.register(mine, String::new()).unwrap();
        }
        dying.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(registry.len() as u64, 20 * (round + 1));
        assert_eq!(registry.health().owners, 1);
    }
    for round in 0..5 {
        for number in 0..20 {
            assert!(registry.unregister(&key(1_000 + round, number)));
        }
    }
    until(|| {
        registry.with(|guard| guard.flush());
        registry.health().memory.retired == 0
    });
    assert_eq!((registry.len(), registry.health().owners), (0, 0));
}

#[test]
fn r85_who_waits_gets_who_registers_and_the_value() {
    let registry = Texts::new();
    let other = registry.clone();
    let waiting = thread::spawn(move || {
        other.wait_for("a", PATIENCE, None, |entry| {
            (entry.owner(), entry.value().to_owned())
        })
    });
    until(|| registry.health().waiting == 1);
    registry
        .register("b".to_owned(), "not this".to_owned())
        .unwrap();
    let me = registry
        .register("a".to_owned(), "this".to_owned())
        .unwrap()
        .owner();
    assert_eq!(waiting.join().unwrap(), Ok((me, "this".to_owned())));
    assert_eq!(registry.health().waiting, 0);
    // Held already: no wait.
    let at_once = registry.wait_for("a", Duration::ZERO, None, |entry| entry.owner());
    assert_eq!(at_once, Ok(me));
    // The process's names, too.
    let waiting = thread::spawn(|| registry::wait_for("r85", PATIENCE, None));
    let found = Arc::new(Mutex::new(None));
    let theirs = found.clone();
    supervised(move |me| {
        until(|| registry::health().waiting == 1);
        me.register("r85").unwrap();
        *theirs.lock().unwrap() = Some(me.me().clone());
        until(|| registry::health().waiting == 0);
    });
    assert_eq!(waiting.join().unwrap().ok(), found.lock().unwrap().take());
}

/// A thread that waits cannot register at the same time; its owner can, sent to another thread.
#[test]
fn r86_who_waits_may_be_who_registers() {
    let registry = Numbers::new();
    let mut mine = registry.owner().unwrap();
    let me = mine.pid();
    let other = registry.clone();
    let helper = thread::spawn(move || {
        until(|| other.health().waiting == 1);
        mine.register(1, 10).unwrap();
        mine
    });
    let found = registry.wait_for(&1, PATIENCE, None, |entry| (entry.owner(), *entry.value()));
    assert_eq!(found, Ok((me, 10)));
    // And by taking over.
    let mut other = registry.owner().unwrap();
    let mine = helper.join().unwrap();
    assert_eq!(other.take_over(1, 11).unwrap(), Some(me));
    drop(mine);
    assert_eq!(registry.whereis(&1), Some(other.pid()));
}

#[test]
fn r88_a_wait_that_ended_without_the_key_leaves_nothing() {
    let registry = Numbers::new();
    let other = registry.clone();
    thread::spawn(move || {
        let waited = other.wait_for(&1, Duration::from_millis(1), None, |_| ());
        assert_eq!(waited, Err(WaitError::Timeout));
        assert_eq!(other.health().waiting, 0);
    })
    .join()
    .unwrap();

    let other = registry.clone();
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("waits", move |me| {
        let waited = other.wait_for(&1, PATIENCE, Some(me.stop()), |_| ());
        tell.send((waited, other.health().waiting)).unwrap();
        // It has been asked to stop, and still may look.
        let looked = other.wait_for(&2, PATIENCE, Some(me.stop()), |_| ());
        tell.send((looked, other.health().waiting)).unwrap();
    });
    registry.register(2, 0).unwrap();
    let supervisor = Supervisor::builder("app").child(child).start().unwrap();
    until(|| registry.health().waiting == 1);
    assert_eq!(supervisor.shutdown().clean, ["waits"]);
    assert_eq!(told.recv().unwrap(), (Err(WaitError::Stopped), 0));
    assert_eq!(told.recv().unwrap(), (Ok(()), 0));
    registry.register(1, 0).unwrap();
    assert_eq!(registry.len(), 2);
}

/// Wakes the thread that polls, and notes that it has.
struct Unpark(thread::Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        // Release: what it is woken for is there; pairs with Acquire in `block_on`.
        self.1.store(true, Ordering::Release);
        self.0.unpark();
    }
}

/// Polls again whenever it is woken, and fails if it is not.
fn block_on<F: Future>(future: F) -> F::Output {
    let unpark = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
    let waker = Waker::from(unpark.clone());
    let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let begun = Instant::now();
        // Acquire: pairs with Release in `wake`.
        while !unpark.1.swap(false, Ordering::Acquire) {
            assert!(begun.elapsed() < PATIENCE, "nobody wakes it");
            thread::park_timeout(PATIENCE);
        }
    }
}

#[test]
fn r85_r88_a_task_waits_too() {
    const ROUNDS: u64 = 2_000;
    fn is_send<T: Send>(task: T) -> T {
        task
    }
    let registry = Numbers::new();
    registry.register(u64::MAX, 7).unwrap();
    let held = registry.registered(&u64::MAX, |entry| *entry.value());
    assert_eq!(block_on(is_send(held)), 7);
    // Given up: nothing is left.
    let mut given_up = Box::pin(registry.registered(&1_000_000, |entry| *entry.value()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(given_up.as_mut().poll(&mut context).is_pending());
    assert_eq!(registry.health().waiting, 1);
    drop(given_up);
    assert_eq!(registry.health().waiting, 0);
    // A task, and a thread that registers at the same moment.
    let other = registry.clone();
    let (next, coming) = mpsc::channel();
    let registering = thread::spawn(move || {
        let mut owner = other.owner().unwrap();
        for key in coming {
            owner.register(key, 2 * key).unwrap();
        }
    });
    for key in 0..ROUNDS {
        next.send(key).unwrap();
        // Not one is slept over.
        let found = block_on(registry.registered(&key, |entry| *entry.value()));
        assert_eq!(found, 2 * key);
    }
    drop(next);
    registering.join().unwrap();
    assert_eq!(registry.health().waiting, 0);
}

/// Who waits and who registers at the same moment: nobody sleeps on.
#[test]
fn r88_no_registration_is_missed() {
    const ROUNDS: u64 = 2_000;
    let registry = Numbers::new();
    // Each keeps what it registered until both are done.
    let done = Arc::new(Barrier::new(2));
    let threads: Vec<_> = (0..2_u64)
        .map(|me| {
            let (registry, done) = (registry.clone(), done.clone());
            thread::spawn(move || {
                for round in 0..ROUNDS {
                    registry.register(2 * round + me, me).unwrap();
                    let other = 2 * round + 1 - me;
                    let found = registry.wait_for(&other, PATIENCE, None, |entry| *entry.value());
                    assert_eq!(found, Ok(1 - me));
                }
                done.wait();
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!((registry.health().waiting, registry.len()), (0, 0));
}

#[test]
fn r101_a_hundred_restarts_under_the_same_names() {
    const RESTARTS: u64 = 100;
    let registry = Numbers::new();
    let theirs = registry.clone();
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("again", move |me| {
        assert_eq!(registry::whereis("r101").as_ref(), Some(me.me()));
        theirs.register(101, me.restarts()).expect("free");
        if me.restarts() < RESTARTS {
            panic!("once more");
        }
        tell.send(()).unwrap();
        while !me.stop().wait(PATIENCE) {}
    });
    let name = registry.name_ref(101);
    assert_eq!(name.whereis(), None);
    let supervisor = Supervisor::builder("app")
        .quiet_panics(true)
        .limit(128, PATIENCE * 10)
        .child(child.register("r101"))
        .start()
        .unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    let last = supervisor.handle().child("again").unwrap();
    assert_eq!(name.whereis(), Some(last.pid()));
    assert_eq!(
        registry.lookup(&101, |entry| *entry.value()),
        Some(RESTARTS)
    );
    let _ = supervisor.shutdown();
    assert!(registry.is_empty());
}

/// Ours answers an absent key with `None`, and so one whose value is of another type.
#[test]
fn r109_metadata_is_put_got_and_removed() {
    let registry = Numbers::new();
    let metadata = registry.metadata();
    assert_eq!(metadata.get::<u32>("version"), None);
    metadata.put("version", 1_u32).unwrap();
    metadata.put("version", 2_u32).unwrap();
    assert_eq!(
        registry.clone().metadata().get("version"),
        Some(Arc::new(2_u32))
    );
    assert_eq!(metadata.get::<String>("version"), None);
    assert!(metadata.remove("version"));
    assert!(!metadata.remove("version"));
    assert_eq!(metadata.get::<u32>("version"), None);
    assert!(matches!(
        metadata.put("", 7),
        Err(MetadataError::BadKey { value: 7 })
    ));
    for number in 0..1_024 {
        metadata.put(&number.to_string(), number).unwrap();
    }
    let refused = metadata.put("one more", 7);
    assert!(matches!(
        refused,
        Err(MetadataError::Full {
            limit: 1_024,
            value: 7
        })
    ));
    metadata.put("7", "replaced").unwrap();
    assert_eq!(metadata.get("7"), Some(Arc::new("replaced")));
}

#[test]
fn a_named_registry_is_the_same_for_all() {
    let listed = |name: &str| {
        let all = registry::all();
        all.into_iter().find(|(listed, _)| &**listed == name)
    };
    for name in ["", "a\0b", &"x".repeat(256)] {
        assert_eq!(Numbers::open(name).unwrap_err(), OpenError::BadName);
    }
    let first = Numbers::open_with_limit("named/numbers", 2).unwrap();
    assert_eq!(first.name(), Some("named/numbers"));
    first.register(1, 10).unwrap();
    let again = Numbers::open("named/numbers").unwrap();
    assert_eq!(again.lookup(&1, |entry| *entry.value()), Some(10));
    again.register(2, 20).unwrap();
    let full = first.register(3, 30).unwrap_err();
    assert!(matches!(
        full,
        RegisterError::Full {
            limit: 2,
            key: 3,
            value: 30
        }
    ));
    let OpenError::OtherType { there } = Texts::open("named/numbers").unwrap_err() else {
        panic!("another type")
    };
    assert!(there.contains("Registry<u64, u64>"), "{there}");

    let (_, health) = listed("named/numbers").unwrap();
    assert_eq!(
        (health.entries, health.limit, health.owners),
        (2, Some(2), 1)
    );
    assert!(health.memory.entries_bytes > 0);
    // What is registered keeps it alive, and nothing else does.
    drop((first, again));
    assert!(listed("named/numbers").is_some());
    let registry = Numbers::open("named/numbers").unwrap();
    assert!(registry.unregister(&1) && registry.unregister(&2));
    drop(registry);
    assert!(listed("named/numbers").is_none());
    let other = Texts::open("named/numbers").expect("free for another type");
    assert!(other.is_empty());
}

#[test]
fn a_limit_of_nothing_refuses_everything() {
    let registry = Numbers::with_limit(0);
    let refused = registry.register(1, 10).unwrap_err();
    assert!(matches!(
        refused,
        RegisterError::Full {
            limit: 0,
            key: 1,
            value: 10
        }
    ));
    let refused = registry.owner().unwrap().register(1, 10).unwrap_err();
    assert_eq!(refused.into_inner(), (1, 10));
    assert_eq!(registry.health().owners, 0);
}

#[test]
fn a_hundred_thousand_owners_come_and_go() {
    let registry = Numbers::new();
    for number in 0..100_000 {
        let mut owner = registry.owner().unwrap();
        if number % 10 == 0 {
            owner.register(1, number).unwrap();
        }
    }
    let many: Vec<_> = (0..100_000).map(|_| registry.owner().unwrap()).collect();
    let distinct: BTreeSet<_> = many.iter().map(|owner| owner.pid().to_bits()).collect();
    assert_eq!(distinct.len(), 100_000);
    assert_eq!(registry.health().owners, 100_000);
    drop(many);
    assert_eq!((registry.len(), registry.health().owners), (0, 0));
}

/// Its destructor registers, in the registry it was in.
struct Phoenix {
    registry: Registry<u64, Box<Phoenix>>,
    key: u64,
    came_again: Arc<AtomicUsize>,
}

impl Drop for Phoenix {
    fn drop(&mut self) {
        if self.key < 1_000 {
            let again = Box::new(Self {
                registry: self.registry.clone(),
                key: self.key + 1_000,
                came_again: self.came_again.clone(),
            });
            let registered = match self.registry.register(again.key, again) {
                Ok(_) => true,
                Err(RegisterError::Over { .. }) => false,
                Err(other) => panic!("{other}"),
            };
            self.came_again
                .fetch_add(usize::from(registered), Ordering::Relaxed);
        }
    }
}

#[test]
fn a_value_whose_destructor_registers_again() {
    const VALUES: u64 = 500;
    let registry = Registry::<u64, Box<Phoenix>>::new();
    let came_again = Arc::new(AtomicUsize::new(0));
    let phoenix = |key| {
        Box::new(Phoenix {
            registry: registry.clone(),
            key,
            came_again: came_again.clone(),
        })
    };
    for key in 0..VALUES {
        registry.register(key, phoenix(key)).unwrap();
        assert!(registry.unregister(&key));
    }
    until(|| {
        registry.with(|guard| guard.flush());
        came_again.load(Ordering::Relaxed) == 500
    });
    assert_eq!(registry.len(), 500);
    assert_eq!(
        registry.with(|guard| guard.iter().filter(|entry| *entry.key() < VALUES).count()),
        0
    );
    for key in 0..VALUES {
        assert!(registry.unregister(&(key + 1_000)));
    }
    // A thread that ends with such values: named errors at most, and no panic.
    let (theirs, value) = (registry.clone(), phoenix(1));
    let ended = thread::spawn(move || theirs.register(1, value).map(drop).unwrap()).join();
    ended.unwrap();
    // What is dropped here registers here. A value that owns the registry it is in, or waits to be freed in,
    // would keep it for ever, so all of them have to go.
    until(|| {
        registry.unregister(&1_001);
        registry.with(|guard| guard.flush());
        registry.is_empty() && registry.health().memory.retired == 0
    });
    assert!(registry.whereis(&1).is_none());
}

/// Uses a registry while the thread's locals are destroyed.
struct Late(Option<(Numbers, mpsc::Sender<Result<(), &'static str>>)>);

impl Drop for Late {
    fn drop(&mut self) {
        if let Some((registry, tell)) = self.0.take() {
            assert_eq!(registry.whereis(&1_000), None);
            let result = match registry.register(1, 1) {
                Ok(_) => Ok(()),
                Err(RegisterError::Over { key: 1, value: 1 }) => Err("over"),
                Err(_) => Err("another"),
            };
            drop(registry.lock(1, PATIENCE, None).unwrap());
            registry.unregister(&7);
            tell.send(result).unwrap();
        }
    }
}

#[test]
fn a_thread_whose_locals_are_being_destroyed() {
    thread_local! {
        static EARLY: RefCell<Late> = const { RefCell::new(Late(None)) };
    }
    let registry = Numbers::new();
    for first in [false, true] {
        let (theirs, (tell, told)) = (registry.clone(), mpsc::channel());
        thread::spawn(move || {
            if first {
                theirs.register(7, 7).unwrap();
            }
            EARLY.with(|early| early.borrow_mut().0 = Some((theirs.clone(), tell)));
            if !first {
                theirs.register(7, 7).unwrap();
            }
        })
        .join()
        .unwrap();
        let told = told.recv().unwrap();
        assert!(matches!(told, Ok(()) | Err("over")), "{told:?}");
        assert!(registry.is_empty());
        assert_eq!(registry.health().owners, 0);
    }
}

/// A key's `Eq` that registers is refused by name, and one that panics leaves nothing borrowed.
#[test]
fn a_change_within_a_change_is_refused() {
    struct Odd(u64);

    impl Eq for Odd {}

    impl core::hash::Hash for Odd {
        fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    thread_local! {
        static IN_EQ: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
    }

    impl PartialEq for Odd {
        fn eq(&self, other: &Self) -> bool {
            if let Some(act) = IN_EQ.take() {
                act();
            }
            self.0 == other.0
        }
    }

    let registry = Registry::<Box<Odd>, u64>::new();
    registry.register(Box::new(Odd(1)), 1).unwrap();
    let (again, refusals) = (registry.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = refusals.clone();
    IN_EQ.set(Some(Box::new(move || {
        let refused = again.register(Box::new(Odd(2)), 2).unwrap_err();
        assert!(
            matches!(refused, RegisterError::Busy { value: 2, .. }),
            "{refused}"
        );
        assert!(!again.unregister(&Odd(1)));
        let refused = again.update(&Odd(1), |value| value + 1);
        assert_eq!(refused, Err(UpdateError::Busy { value: 2 }));
        counted.fetch_add(1, Ordering::Relaxed);
    })));
    let held = registry.register(Box::new(Odd(1)), 1).unwrap_err();
    assert!(matches!(held, RegisterError::AlreadyRegistered { .. }));
    assert_eq!(refusals.load(Ordering::Relaxed), 1);

    IN_EQ.set(Some(Box::new(|| {
        std::panic::resume_unwind(Box::new("odd"))
    })));
    let unwound = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| {
        registry.register(Box::new(Odd(1)), 1)
    }));
    assert!(unwound.is_err());
    registry.register(Box::new(Odd(3)), 3).unwrap();
    assert!(registry.unregister(&Odd(1)) && registry.unregister(&Odd(3)));
    assert_eq!(registry.health().owners, 0);

    // In a lock, it is compared outside every lock of ours.
    let again = registry.clone();
    IN_EQ.set(None);
    let locked = registry.lock(Box::new(Odd(1)), PATIENCE, None).unwrap();
    IN_EQ.set(Some(Box::new(move || {
        drop(again.lock(Box::new(Odd(2)), Duration::ZERO, None).unwrap());
    })));
    let refused = registry.lock(Box::new(Odd(1)), Duration::ZERO, None);
    assert!(matches!(refused, Err(LockError::HeldByThisThread { .. })));
    drop(locked);
    assert_eq!(registry.health().locked, 0);
}

/// More registries than a thread keeps handles on.
#[test]
fn a_thread_may_use_any_number_of_registries() {
    let registries: Vec<_> = (0..200).map(|_| Texts::new()).collect();
    for round in 0..3 {
        for (number, registry) in registries.iter().enumerate() {
            let key = format!("{number:060}/{round}");
            registry.register(key.clone(), key.clone()).unwrap();
            assert_eq!(
                registry.lookup(&key, |entry| entry.value() == key),
                Some(true)
            );
        }
    }
    drop(registries);
    // They went with the thread's registrations, not with its handles.
    let theirs = thread::spawn(|| {
        let registry = Texts::new();
        registry.register("a".to_owned(), "b".repeat(100)).unwrap();
        registry
    });
    assert!(theirs.join().unwrap().is_empty());
}
