//! Threads that wait for children. Numbers are those of the project's list of failure cases.

mod alone;
mod counted;
#[cfg(target_os = "linux")]
mod no_room;

use alone::alone;
use bedplate::context::{self, Key};
use bedplate::process::{self, ExitReason};
use bedplate::supervisor::{
    Application, ChildSpec, Incarnation, Partitions, Restart, Reuse, StartChildError, StartError,
    Stop, Strategy, SupRef, Supervisor, SupervisorBuilder,
};
use bedplate::telemetry::{self, span};
use core::cell::{Cell, RefCell};
use core::time::Duration;
use counted::Counted;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(20);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

/// As many restarts as there may be.
fn unlimited(name: &str) -> SupervisorBuilder {
    Supervisor::builder(name)
        .limit(128, Duration::from_nanos(1))
        .quiet_panics(true)
}

fn next<T>(told: &mpsc::Receiver<T>) -> T {
    told.recv_timeout(PATIENCE).unwrap()
}

/// Waits for it.
fn until(it_is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !it_is_so() {
        assert!(began.elapsed() < PATIENCE);
        thread::yield_now();
    }
}

fn spares(of: &SupRef) -> usize {
    of.count().spares
}

/// What is to be known of the thread that runs a body.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    number: u64,
    thread: ThreadId,
    name: String,
}

impl Seen {
    fn here(me: &Incarnation) -> Self {
        let thread = thread::current();
        Self {
            number: me.number(),
            thread: thread.id(),
            name: thread.name().unwrap().to_owned(),
        }
    }
}

/// A child that tells who runs it, and ends as it should not each time it is told to.
fn told_to_crash(id: &str) -> (ChildSpec, mpsc::Sender<()>, mpsc::Receiver<Seen>) {
    let (crash, crashes) = mpsc::channel();
    let crashes = Mutex::new(crashes);
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker(id, move |me| {
        tell.send(Seen::here(me)).unwrap();
        while !me.stop().wait(Duration::from_millis(1)) {
            if crashes.lock().unwrap().try_recv().is_ok() {
                return Err("as planned");
            }
        }
        Ok(())
    });
    (child, crash, told)
}

#[test]
fn f28_a_crash_begins_on_the_spare_and_the_old_thread_takes_its_place() {
    let (child, crash, told) = told_to_crash("child");
    let builder = unlimited("app").spares(1);
    let supervisor = builder.child(child.reuse(Reuse::Spare)).start().unwrap();
    let handle = supervisor.handle();
    assert_eq!(spares(&handle), 1, "the first start uses none");
    let mut threads = vec![next(&told).thread];
    for number in 2..=5 {
        crash.send(()).unwrap();
        let seen = next(&told);
        assert_eq!(seen.number, number);
        assert_eq!(seen.name, "app/spare");
        threads.push(seen.thread);
        until(|| spares(&handle) == 1);
    }
    assert_ne!(threads[0], threads[1]);
    assert_eq!(threads[..2], threads[2..4]);
    assert_eq!(threads[0], threads[4]);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    assert_eq!(spares(&handle), 0);
}

#[test]
fn f28_of_two_crashes_at_once_one_uses_the_spare_and_the_pool_is_full_again() {
    const ROUNDS: usize = 50;
    let both = Arc::new(Barrier::new(2));
    let (tell, told) = mpsc::channel();
    let (crash, crashes) = mpsc::channel();
    let crashes = Arc::new(Mutex::new(crashes));
    let child = |id: &'static str| {
        let (tell, both, crashes) = (tell.clone(), both.clone(), crashes.clone());
        let child = ChildSpec::worker(id, move |me| -> Result<(), &str> {
            tell.send((id, Seen::here(me))).unwrap();
            while !me.stop().wait(Duration::from_millis(1)) {
                if crashes.lock().unwrap().try_recv().is_ok() {
                    both.wait();
                    return Err("as planned");
                }
            }
            Ok(())
        });
        child.reuse(Reuse::Spare)
    };
    let supervisor = unlimited("app").spares(1);
    let supervisor = supervisor.child(child("a")).child(child("b"));
    let supervisor = supervisor.start().unwrap();
    let handle = supervisor.handle();
    let mut before = [next(&told), next(&told)];
    for round in 0..ROUNDS {
        crash.send(()).unwrap();
        crash.send(()).unwrap();
        let after = [next(&told), next(&told)];
        assert_ne!(after[0].0, after[1].0, "each of them once");
        assert_ne!(after[0].1.thread, after[1].1.thread);
        for (id, seen) in &after {
            let old = before.iter().find(|(other, _)| other == id).unwrap();
            assert_eq!(seen.number, old.1.number + 1);
            assert_ne!(seen.thread, old.1.thread, "in round {round}");
        }
        until(|| spares(&handle) == 1);
        before = after;
    }
    assert_eq!(supervisor.shutdown().clean, ["b", "a"]);
}

#[test]
fn whoever_crashes_on_an_empty_pool_has_a_fresh_thread_and_fills_it() {
    let name = "whoever_crashes_on_an_empty_pool_has_a_fresh_thread_and_fills_it";
    alone(name, || {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let (tell, told) = mpsc::channel();
        let (gone, is_gone) = mpsc::channel();
        let deaf = ChildSpec::worker("deaf", move |me| {
            tell.send(Seen::here(me)).unwrap();
            if me.number() == 2 {
                LEAVES.set(Some(Leaves(gone.clone())));
                held.lock().unwrap().recv().unwrap_err();
            } else {
                obedient(me);
            }
        });
        // Who obeys has time enough.
        let deaf = deaf.reuse(Reuse::Spare).stop(Stop::Within(PATIENCE));
        let hurried = deaf.clone().stop(Stop::Within(SOON));
        let (child, crash, runs) = told_to_crash("child");
        let supervisor = unlimited("app").spares(1).child(deaf.clone());
        let supervisor = supervisor.child(child.reuse(Reuse::Spare)).start().unwrap();
        let handle = supervisor.handle();
        let first = next(&told).thread;
        handle.terminate("deaf").unwrap();
        // Its thread finds the pool full. The next one is on the spare, of which there is no other.
        until(|| process::threads() == 2);
        process::limit_threads(2);
        handle.restart("deaf").unwrap();
        let on_spare = next(&told).thread;
        assert_ne!(on_spare, first);
        assert_eq!(spares(&handle), 0);
        // That goes with who is abandoned.
        handle.change_child(hurried).unwrap();
        handle.terminate("deaf").unwrap();
        assert_eq!(handle.count().abandoned, 1);
        handle.change_child(deaf).unwrap();

        let old = next(&runs).thread;
        process::limit_threads(3);
        crash.send(()).unwrap();
        let fresh = next(&runs).thread;
        assert!(![old, first, on_spare].contains(&fresh));
        until(|| spares(&handle) == 1);
        crash.send(()).unwrap();
        assert_eq!(next(&runs).thread, old);
        until(|| spares(&handle) == 1);

        // There is room for it when it ends at last, but it is nobody's spare any more.
        handle.restart("deaf").unwrap();
        assert_eq!(next(&told).thread, fresh);
        assert_eq!(spares(&handle), 0);
        process::limit_threads(10);
        drop(release);
        next(&is_gone);
        assert_eq!(handle.count().abandoned, 0);
        assert_eq!(spares(&handle), 0);
        let report = supervisor.shutdown();
        assert!(report.clean.ends_with(&["child".into(), "deaf".into()]));
    });
}

/// Tells that the thread is gone.
struct Leaves(mpsc::Sender<()>);

impl Drop for Leaves {
    fn drop(&mut self) {
        // Unless nobody cares.
        let _ = self.0.send(());
    }
}

thread_local! {
    static LEAVES: RefCell<Option<Leaves>> = const { RefCell::new(None) };
    static LIVES: Cell<u64> = const { Cell::new(0) };
}

#[test]
fn its_thread_locals_keep_their_values_and_it_is_called_like_a_spare() {
    let (tell, told) = mpsc::channel();
    let (crash, crashes) = mpsc::channel::<()>();
    let crashes = Arc::new(Mutex::new(crashes));
    let child = |id: &str| {
        let (tell, crashes) = (tell.clone(), crashes.clone());
        let child = ChildSpec::worker(id, move |me| {
            LIVES.set(LIVES.get() + 1);
            let last = match me.last_exit() {
                Some(ExitReason::Panicked(report)) => Some(report.thread.clone()),
                _ => None,
            };
            tell.send((Seen::here(me), LIVES.get(), last)).unwrap();
            while !me.stop().wait(Duration::from_millis(1)) {
                let crashes = crashes.lock().unwrap().try_recv();
                assert!(crashes.is_err(), "as planned");
            }
        });
        child.reuse(Reuse::Spare)
    };
    let supervisor = unlimited("app").spares(1);
    let supervisor = supervisor.child(child("one")).start().unwrap();
    let handle = supervisor.handle();
    let (first, lives, _) = next(&told);
    assert_eq!((&*first.name, lives), ("app/spare", 1));
    crash.send(()).unwrap();
    let (second, lives, last) = next(&told);
    assert_eq!((&*second.name, lives), ("app/spare", 1));
    assert_eq!(last.as_deref(), Some("app/one"));
    // What waits now is the first thread, and another child is restarted on it.
    until(|| spares(&handle) == 1);
    handle.start_child(child("two")).unwrap();
    assert_eq!(next(&told).1, 1);
    handle.terminate("two").unwrap();
    handle.restart("two").unwrap();
    let (third, lives, last) = next(&told);
    assert_eq!((third.thread, lives), (first.thread, 2));
    assert_eq!(last, None);
    assert_eq!(supervisor.shutdown().clean, ["two", "one"]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_calls_it_like_the_child() {
    use std::fs;

    fn called(thread: &str) -> String {
        let name = fs::read_to_string(format!("/proc/{thread}/comm")).unwrap();
        name.trim_end().to_owned()
    }

    let (tell, told) = mpsc::channel();
    let (crash, crashes) = mpsc::channel::<()>();
    let crashes = Mutex::new(crashes);
    let child = ChildSpec::worker("a-child-with-a-long-name", move |me| {
        let itself = fs::read_link("/proc/thread-self").unwrap();
        tell.send(itself.to_str().unwrap().to_owned()).unwrap();
        while !me.stop().wait(Duration::from_millis(1)) {
            let crashes = crashes.lock().unwrap().try_recv();
            assert!(crashes.is_err(), "as planned");
        }
    });
    let supervisor = unlimited("called").spares(1);
    let supervisor = supervisor.child(child.reuse(Reuse::Spare)).start().unwrap();
    let first = next(&told);
    assert_eq!(called(&first), "called/a-child-");
    crash.send(()).unwrap();
    let second = next(&told);
    assert_ne!(second, first);
    assert_eq!(called(&second), "called/a-child-");
    until(|| called(&first) == "called/spare");
    assert_eq!(supervisor.shutdown().clean.len(), 1);
}

#[test]
fn f99_the_context_is_as_new_on_it() {
    static TENANT: Key<u64> = Key::new("tenant");
    static STEP: Key<u64> = Key::new("step");
    let (tell, told) = mpsc::channel();
    let child = context::with(&TENANT, 7, || {
        ChildSpec::worker("child", move |me| {
            let found = (context::get(&TENANT), context::get(&STEP));
            let span = span::current();
            // Whatever it leaves behind.
            context::set(&STEP, me.number());
            let inner = telemetry::span!("inner");
            let left = inner.traceparent();
            core::mem::forget(inner);
            core::mem::forget(context::with(&TENANT, 9, context::capture).attach());
            tell.send((found, span, left, thread::current().id()))
                .unwrap();
            context::with(&TENANT, 8, || {
                context::set(&STEP, 100);
                assert!(me.number() > 20, "crash inside");
                obedient(me);
            });
        })
    });
    let supervisor = unlimited("app").spares(1);
    let supervisor = supervisor.child(child.reuse(Reuse::Spare)).start().unwrap();
    let mut left_on = BTreeMap::new();
    let mut used_again = 0;
    for _ in 1..=21 {
        let (found, span, left, thread) = next(&told);
        assert_eq!(found, (Some(7), None));
        let before = left_on.insert(format!("{thread:?}"), left);
        used_again += usize::from(before.is_some());
        assert!(before.is_none_or(|before| before != span));
    }
    assert!(used_again > 0);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn one_that_waits_holds_nothing_of_what_it_ran() {
    let there = Arc::new(AtomicUsize::new(0));
    let (theirs, captured) = (there.clone(), Counted::new(&there));
    let child = ChildSpec::worker("child", move |me| -> Result<(), Counted> {
        let _all_of_it = &captured;
        if me.number() < 3 {
            return Err(Counted::new(&theirs));
        }
        obedient(me);
        Err(Counted::new(&theirs))
    });
    let child = child.reuse(Reuse::Spare).register("spare/child");
    let supervisor = unlimited("app").spares(2).child(child).start().unwrap();
    let handle = supervisor.handle();
    until(|| handle.children()[0].incarnation == 3);
    handle.terminate("child").unwrap();
    until(|| spares(&handle) == 2);
    assert!(bedplate::registry::whereis("spare/child").is_none());
    handle.delete("child").unwrap();
    // Whoever started an incarnation may hold for another moment how the one before ended.
    until(|| there.load(Ordering::Relaxed) == 0);
    assert_eq!(spares(&handle), 2);
    drop(supervisor);
    until(|| handle.count().spares == 0);
}

#[test]
fn the_stack_does_not_grow_with_what_runs_on_it() {
    const RESTARTS: u64 = 5_000;
    /// After so many each, somebody is told that it goes on.
    const PART: usize = 100;
    let places = Arc::new(Mutex::new(BTreeMap::new()));
    let (tell, told) = mpsc::channel();
    let seen = places.clone();
    let child = ChildSpec::worker("child", move |me| {
        let here = 0_u8;
        let place = core::ptr::from_ref(&here).addr();
        let thread = format!("{:?}", thread::current().id());
        // Of the first two on a thread, one was started there, and one called.
        let third = {
            let mut places = seen.lock().unwrap();
            let places: &mut Vec<usize> = places.entry(thread).or_default();
            if places.len() < 3 {
                places.push(place);
            }
            places.get(2).copied()
        };
        assert!(third.is_none_or(|third| third == place));
        if me.number().is_multiple_of(PART as u64) {
            tell.send(me.number()).unwrap();
        }
        if me.number() == RESTARTS {
            obedient(me);
        }
    });
    let supervisor = unlimited("app").spares(1);
    let supervisor = supervisor.child(child.reuse(Reuse::Spare)).start().unwrap();
    for number in (0..=RESTARTS).step_by(PART).skip(1) {
        assert_eq!(next(&told), number);
    }
    let info = supervisor.handle().children().remove(0);
    assert_eq!(info.incarnation, RESTARTS, "it has not crashed");
    assert!(places.lock().unwrap().values().any(|it| it.len() > 2));
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn without_spares_or_with_its_own_stack_it_is_a_fresh_one() {
    for (most, stack_size) in [(0, None), (1, Some(512 << 10))] {
        let (child, crash, told) = told_to_crash("child");
        let mut child = child.reuse(Reuse::Spare);
        if let Some(bytes) = stack_size {
            child = child.stack_size(bytes);
        }
        let supervisor = unlimited("app").spares(most).child(child).start().unwrap();
        let mut threads = vec![next(&told)];
        for _ in 0..3 {
            crash.send(()).unwrap();
            threads.push(next(&told));
        }
        assert!(threads.iter().all(|seen| seen.name == "app/child"));
        let different: HashSet<_> = threads.iter().map(|seen| seen.thread).collect();
        assert_eq!(different.len(), 4);
        assert_eq!(spares(&supervisor.handle()), most);
        assert_eq!(supervisor.shutdown().clean, ["child"]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn after_a_delay_it_is_a_spare_too_and_another_one_is_started() {
    use bedplate::supervisor::Backoff;

    let (tell, told) = mpsc::channel();
    let (crash, crashes) = mpsc::channel::<()>();
    let crashes = Mutex::new(crashes);
    let child = ChildSpec::worker("child", move |me| {
        let itself = std::fs::read_link("/proc/thread-self").unwrap();
        tell.send(itself).unwrap();
        while !me.stop().wait(Duration::from_millis(1)) {
            if crashes.lock().unwrap().try_recv().is_ok() {
                return Err("as planned");
            }
        }
        Ok(())
    });
    let backoff = Backoff::new(SOON, SOON).unwrap();
    let child = child.reuse(Reuse::Spare).backoff(backoff);
    let supervisor = unlimited("delay").spares(1).child(child).start().unwrap();
    next(&told);
    // The first restart comes at once, the others after their delay.
    for _ in 0..4 {
        until(|| spares(&supervisor.handle()) == 1);
        until(|| threads_called("delay/spare").len() == 1);
        let waits = threads_called("delay/spare").remove(0);
        crash.send(()).unwrap();
        assert_eq!(next(&told).file_name(), Some(&*waits));
    }
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn every_kind_of_supervisor_may_have_some() {
    let worker = || ChildSpec::worker("worker", obedient);
    let nested = move || Supervisor::builder("nested").spares(2).child(worker());
    let supervisor = Supervisor::builder("app").child(ChildSpec::supervisor("nested", nested));
    let supervisor = supervisor.spares(1).start().unwrap();
    let below = supervisor.handle().supervisor("nested").unwrap();
    assert_eq!(spares(&below), 2);
    assert_eq!(spares(&supervisor.handle()), 1);
    let report = supervisor.shutdown();
    assert_eq!(report.clean, ["nested/worker", "nested"]);
    assert_eq!(spares(&below), 0);

    let partitions = Partitions::new(2).unwrap();
    let supervisor = Supervisor::builder("app").partitions(&partitions, move |_| {
        Supervisor::builder("part").spares(3).child(worker())
    });
    let supervisor = supervisor.start().unwrap();
    assert_eq!(spares(&partitions.route("Ada").unwrap()), 3);
    assert!(supervisor.shutdown().failed.is_empty());

    let application = Application::new(Supervisor::builder("main").spares(1).child(worker()));
    let supervisor = application.start().unwrap();
    let main = supervisor.handle().supervisor("main").unwrap();
    assert_eq!(spares(&main), 1);
    assert!(supervisor.shutdown().failed.is_empty());
}

#[test]
fn a_storm_of_restarts_can_be_stopped() {
    let (tell, told) = mpsc::channel();
    let child = |id: &str| {
        let tell = tell.clone();
        let child = ChildSpec::worker(id, move |me| {
            if me.number() == 100 {
                tell.send(()).unwrap();
            }
        });
        child.reuse(Reuse::Spare)
    };
    let supervisor = unlimited("app").strategy(Strategy::OneForOne).spares(2);
    let supervisor = ["a", "b", "c", "d"]
        .into_iter()
        .fold(supervisor, |supervisor, id| supervisor.child(child(id)));
    let supervisor = supervisor.start().unwrap();
    next(&told);
    let handle = supervisor.handle();
    let report = supervisor.shutdown();
    assert_eq!(report.clean.len() + report.failed.len(), 4, "{report}");
    assert!(report.abandoned.is_empty());
    assert_eq!(spares(&handle), 0);
}

#[test]
fn they_end_with_their_supervisor_and_count_until_then() {
    alone(
        "they_end_with_their_supervisor_and_count_until_then",
        || {
            let threads = || process::threads();
            let worker = || ChildSpec::worker("worker", obedient);
            let supervisor = Supervisor::builder("app").spares(3).child(worker());
            let supervisor = supervisor.start().unwrap();
            assert_eq!(threads(), 4);
            assert_eq!(supervisor.shutdown().clean, ["worker"]);
            assert_eq!(threads(), 0);

            // Nobody waits for a child that takes for ever to stop.
            let (release, held) = mpsc::channel::<()>();
            let held = Mutex::new(held);
            let deaf = ChildSpec::worker("deaf", move |_| {
                held.lock().unwrap().recv().unwrap_err();
            });
            let supervisor = Supervisor::builder("app").spares(3);
            let supervisor = supervisor.child(deaf.stop(Stop::Forever)).start().unwrap();
            assert_eq!(threads(), 4);
            drop(supervisor);
            assert_eq!(threads(), 1);
            drop(release);
            until(|| threads() == 0);

            // It gives up.
            let crashing = ChildSpec::worker("crashing", |_| Err::<(), _>("as planned"));
            let supervisor = Supervisor::builder("app").spares(3).limit(2, PATIENCE);
            let supervisor = supervisor.child(worker());
            let supervisor = supervisor.child(crashing.reuse(Reuse::Spare));
            match supervisor.start() {
                Ok(supervisor) => drop(supervisor.wait()),
                Err(error) => drop(error),
            }
            until(|| threads() == 0);

            // It does not start.
            let panics = ChildSpec::supervisor("panics", || panic!("as planned"));
            let supervisor = Supervisor::builder("app").spares(3).child(worker());
            drop(supervisor.child(panics).start().unwrap_err());
            assert_eq!(threads(), 0);
            until(|| threads_called("app/spare").is_empty());
        },
    );
}

/// The threads of the system that have this name, as it numbers them.
fn threads_called(name: &str) -> Vec<OsString> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let named = threads.filter_map(|thread| {
        let thread = thread.ok()?;
        let found = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        (found.trim_end() == name).then(|| thread.file_name())
    });
    named.collect()
}

#[test]
fn f29_who_finds_the_limit_reached_begins_on_a_spare() {
    alone("f29_who_finds_the_limit_reached_begins_on_a_spare", || {
        // One of the two spares is refused, and there is no thread left.
        process::limit_threads(1);
        let supervisor = unlimited("app").spares(2).start().unwrap();
        let handle = supervisor.handle();
        assert_eq!((spares(&handle), process::threads()), (1, 1));
        for refused in [
            ChildSpec::worker("stack", obedient).stack_size(1 << 20),
            ChildSpec::worker("join", obedient).reuse(Reuse::FreshAfterJoin),
        ] {
            let error = handle.start_child(refused).unwrap_err();
            let StartChildError::NotStarted { error, .. } = error else {
                panic!("{error}")
            };
            assert!(matches!(
                *error,
                StartError::ThreadBudget { live: 1, limit: 1 }
            ));
            assert_eq!(spares(&handle), 1, "it is put back");
        }
        let (child, crash, told) = told_to_crash("child");
        handle.start_child(child).unwrap();
        let first = next(&told);
        assert_eq!(first.name, "app/spare");
        assert_eq!((spares(&handle), process::threads()), (0, 1));
        let more = ChildSpec::worker("more", obedient).restart(Restart::Temporary);
        assert!(handle.start_child(more.clone()).is_err());

        // Whoever ends makes room for what is fresh …
        crash.send(()).unwrap();
        let second = next(&told);
        assert_eq!((second.number, &*second.name), (2, "app/child"));
        assert_ne!(second.thread, first.thread);
        assert_eq!(process::threads(), 1);
        // … and what is missing is started when there is room.
        process::limit_threads(3);
        assert_eq!(spares(&handle), 0);
        handle.start_child(more).unwrap();
        assert_eq!((spares(&handle), process::threads()), (1, 3));
        let report = supervisor.shutdown();
        assert_eq!(report.clean, ["more", "child"]);
        assert_eq!(process::threads(), 0);
    });
}

#[test]
fn f29_at_the_limit_children_of_spares_are_restarted_as_others_are() {
    let name = "f29_at_the_limit_children_of_spares_are_restarted_as_others_are";
    alone(name, || {
        for most in [0, 1] {
            let (a, crash_a, told_a) = told_to_crash("a");
            let (b, crash_b, told_b) = told_to_crash("b");
            process::limit_threads(2 + most);
            let supervisor = unlimited("app").spares(most).strategy(Strategy::OneForAll);
            let supervisor = supervisor.child(a.reuse(Reuse::Spare));
            let supervisor = supervisor.child(b.reuse(Reuse::Spare)).start().unwrap();
            assert_eq!(process::threads(), 2 + most);
            for round in 1..=20 {
                let numbers = [next(&told_a).number, next(&told_b).number];
                assert_eq!(numbers, [round; 2], "none was refused");
                [&crash_a, &crash_b][usize::try_from(round % 2).unwrap()]
                    .send(())
                    .unwrap();
            }
            let numbers = [next(&told_a).number, next(&told_b).number];
            assert_eq!(numbers, [21; 2]);
            until(|| process::threads() == 2 + most && spares(&supervisor.handle()) == most);
            assert_eq!(supervisor.shutdown().clean, ["b", "a"]);
            assert_eq!(process::threads(), 0);
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn f29_who_is_refused_by_the_system_begins_on_a_spare() {
    use no_room::{STACK, used, with_large_stacks};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let name = "f29_who_is_refused_by_the_system_begins_on_a_spare";
    with_large_stacks(name, || {
        let (fresh, crash_fresh, told_fresh) = told_to_crash("fresh");
        let (spare, crash_spare, told_spare) = told_to_crash("spare");
        let supervisor = unlimited("app").spares(2).child(fresh);
        let supervisor = supervisor.child(spare.reuse(Reuse::Spare)).start().unwrap();
        let handle = supervisor.handle();
        let mut last = next(&told_fresh);
        let first_of_spare = next(&told_spare);
        let before = getrlimit(Resource::As);
        let current = Some(used() + STACK / 2);
        setrlimit(Resource::As, Rlimit { current, ..before }).unwrap();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let hog = || {
            let held = held.clone();
            let hog = thread::Builder::new();
            hog.spawn(move || held.lock().unwrap().recv().unwrap_err())
        };
        let mut kept = Vec::new();
        // Who ends leaves its stack to another one, which is to keep it. Once on a spare, it goes on there.
        loop {
            kept.extend(core::iter::from_fn(|| hog().ok()));
            crash_fresh.send(()).unwrap();
            let seen = next(&told_fresh);
            assert_eq!(seen.number, last.number + 1, "no start has failed");
            let was_on_spare = last.name == "app/spare";
            last = seen;
            if was_on_spare && last.name == "app/spare" {
                break;
            }
        }
        crash_spare.send(()).unwrap();
        let second = next(&told_spare);
        assert_eq!(second.number, 2);
        assert_ne!(second.thread, first_of_spare.thread);
        until(|| spares(&handle) > 0);

        setrlimit(Resource::As, before).unwrap();
        crash_fresh.send(()).unwrap();
        assert_eq!(next(&told_fresh).name, "app/fresh");
        until(|| spares(&handle) == 2);
        assert_eq!(supervisor.shutdown().clean, ["spare", "fresh"]);
        drop(release);
        for hog in kept {
            let _ended = hog.join().unwrap();
        }
    });
}
