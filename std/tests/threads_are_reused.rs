//! On which thread the next incarnation runs. Numbers are those of the project's list of failure cases.

mod counted;

use bedplate::context::{self, Key};
use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::registry;
use bedplate::supervisor::{
    Backoff, ChildSpec, ChildState, Incarnation, Restart, Reuse, Stop, Strategy, Supervisor,
    SupervisorBuilder,
};
use bedplate::telemetry::{self, Event, EventName};
use core::cell::{Cell, RefCell};
use core::time::Duration;
use counted::Counted;
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
fn unlimited() -> SupervisorBuilder {
    Supervisor::builder("app")
        .limit(128, Duration::from_nanos(1))
        .quiet_panics(true)
}

/// A child that tells who runs it, and crashes as long as its number is below that.
fn crashing(id: &str, until: u64) -> (ChildSpec, mpsc::Receiver<(u64, ThreadId)>) {
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker(id, move |me| -> Result<(), &str> {
        tell.send((me.number(), thread::current().id())).unwrap();
        match me.number() {
            number if number >= until => obedient(me),
            number if number % 2 == 0 => return Err("as planned"),
            _ => panic!("as planned"),
        }
        Ok(())
    });
    (child, told)
}

fn next<T>(told: &mpsc::Receiver<T>) -> T {
    told.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn f26_the_same_thread_runs_the_next_one() {
    thread_local! {
        static LIVES: Cell<u64> = const { Cell::new(0) };
    }
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| -> Result<(), &str> {
        LIVES.set(LIVES.get() + 1);
        let thread = thread::current();
        let name = thread.name().map(ToOwned::to_owned);
        tell.send((me.number(), LIVES.get(), thread.id(), name))
            .unwrap();
        assert!(me.number() != 1, "a panic");
        if me.number() == 2 {
            return Err("an error");
        }
        if me.number() == 3 {
            return Ok(());
        }
        obedient(me);
        Ok(())
    });
    let child = child.reuse(Reuse::SameThread);
    let supervisor = unlimited().child(child).start().unwrap();
    let (.., thread, name) = next(&told);
    assert_eq!(name.as_deref(), Some("app/child"));
    for number in 2..=4 {
        assert_eq!(next(&told), (number, number, thread, name.clone()));
    }
    let info = supervisor.handle().children().remove(0);
    assert_eq!((info.incarnation, info.restarts), (4, 3));
    assert!(matches!(info.last_exit, Some(ExitReason::Normal)));
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn by_default_it_is_a_fresh_one() {
    let (child, told) = crashing("child", 3);
    let supervisor = unlimited().child(child).start().unwrap();
    let threads = [(); 3].map(|()| next(&told).1);
    assert_ne!(threads[0], threads[1]);
    assert_ne!(threads[1], threads[2]);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn f99_the_context_is_as_new() {
    static TENANT: Key<u64> = Key::new("tenant");
    static STEP: Key<u64> = Key::new("step");
    let (tell, told) = mpsc::channel();
    let child = context::with(&TENANT, 7, || {
        ChildSpec::worker("child", move |me| {
            let found = (context::get(&TENANT), context::get(&STEP));
            tell.send((found, thread::current().id())).unwrap();
            // Whatever it leaves behind.
            context::set(&STEP, me.number());
            core::mem::forget(context::with(&TENANT, 9, context::capture).attach());
            context::with(&TENANT, 8, || {
                context::set(&STEP, 100);
                assert!(me.number() > 3, "crash inside");
                obedient(me);
            });
        })
    });
    let child = child.reuse(Reuse::SameThread);
    let supervisor = unlimited().child(child).start().unwrap();
    let (_, thread) = next(&told);
    for _ in 2..=4 {
        assert_eq!(next(&told), ((Some(7), None), thread));
    }
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn the_stack_does_not_grow_with_restarts() {
    const RESTARTS: u64 = 20_000;
    let places = Arc::new(Mutex::new((0, 0)));
    let (tell, told) = mpsc::channel();
    let seen = places.clone();
    let child = ChildSpec::worker("child", move |me| {
        let here = 0_u8;
        let place = core::ptr::from_ref(&here).addr();
        if me.number() == 2 {
            seen.lock().unwrap().0 = place;
        }
        if me.number() < RESTARTS {
            return;
        }
        seen.lock().unwrap().1 = place;
        tell.send(thread::current().id()).unwrap();
        obedient(me);
    });
    let child = child.reuse(Reuse::SameThread).stack_size(512 << 10);
    let supervisor = unlimited().child(child).start().unwrap();
    next(&told);
    let (second, last) = *places.lock().unwrap();
    assert_eq!(second, last);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn nothing_of_the_old_one_is_held() {
    let there = Arc::new(AtomicUsize::new(0));
    let theirs = there.clone();
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| -> Result<(), Counted> {
        let mine = Counted::new(&theirs);
        let guard = me.stop().on_stop({
            let other = Counted::new(&theirs);
            move || drop(other)
        });
        if me.number() < 5 {
            return Err(mine);
        }
        drop((mine, guard));
        // How the incarnation before ended is known to this one and to the supervisor. Whoever started the first one may
        // hold for another moment how that ended.
        until(|| theirs.load(Ordering::Relaxed) == 1);
        tell.send(me.number()).unwrap();
        obedient(me);
        Ok(())
    });
    let child = child.reuse(Reuse::SameThread);
    let supervisor = unlimited().child(child).start().unwrap();
    assert_eq!(next(&told), 5);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    assert_eq!(there.load(Ordering::Relaxed), 0);
}

#[test]
fn names_and_monitors_are_each_incarnations_own() {
    let inbox = Arc::new(Inbox::new());
    let watching = inbox.clone();
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| -> Result<(), &str> {
        watching.monitor(me.me());
        let named = registry::whereis("reuse/named").is_some_and(|it| it == *me.me());
        let other = me.register("reuse/other").is_ok();
        tell.send((me.number(), named, other)).unwrap();
        if me.number() < 4 {
            return Err("as planned");
        }
        obedient(me);
        Ok(())
    });
    let child = child.reuse(Reuse::SameThread).register("reuse/named");
    let supervisor = unlimited().child(child).start().unwrap();
    for number in 1..=4 {
        assert_eq!(next(&told), (number, true, true));
    }
    for number in 1..=3 {
        let down = inbox.recv_timeout(PATIENCE).unwrap();
        assert_eq!(down.child.incarnation(), number);
    }
    assert!(inbox.try_recv().is_none());
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    assert!(registry::whereis("reuse/named").is_none());
}

#[test]
fn a_name_that_was_taken_meanwhile_is_a_start_that_failed() {
    const NAME: &str = "reuse/taken";
    // Somebody else takes the name when it is given up, and gives it up when the start has failed.
    let (ask, asked) = mpsc::channel();
    let (answer, answered) = mpsc::channel();
    let asked = Mutex::new(asked);
    let other = ChildSpec::worker("other", move |me| {
        while let Ok(take) = asked.lock().unwrap().recv() {
            let done = if take {
                me.register(NAME).is_ok()
            } else {
                me.unregister(NAME)
            };
            answer.send(done).unwrap();
        }
    });
    let other = Supervisor::builder("other").child(other).start().unwrap();
    let answered = Mutex::new(answered);
    let have = Arc::new({
        let ask = ask.clone();
        move |take: bool| {
            ask.send(take).unwrap();
            assert!(answered.lock().unwrap().recv().unwrap());
        }
    });
    telemetry::attach("taking", EventName::new("bedplate.supervisor.restart"), {
        let have = have.clone();
        move |event: &Event<'_>| {
            let ours = event.get("supervisor").and_then(|it| it.as_str()) == Some("taken");
            let number = event.measurement("incarnation").map(|it| it.as_f64());
            if ours && number.is_some_and(|number| number > 2.5) {
                have(false);
            }
        }
    })
    .unwrap();

    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        tell.send((me.number(), thread::current().id())).unwrap();
        if me.number() == 1 {
            assert!(me.unregister(NAME));
            have(true);
            panic!("crash");
        }
        obedient(me);
    });
    let child = child.reuse(Reuse::SameThread).register(NAME);
    let supervisor = Supervisor::builder("taken")
        .quiet_panics(true)
        .child(child)
        .start()
        .unwrap();
    let (number, thread) = next(&told);
    assert_eq!(number, 1);
    let (number, fresh) = next(&told);
    assert_eq!(number, 3);
    assert_ne!(fresh, thread);
    let info = supervisor.handle().children().remove(0);
    assert!(matches!(info.last_exit, Some(ExitReason::NotStarted(_))));
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    telemetry::detach("taking").unwrap();
    drop(ask);
    drop(other);
}

#[test]
fn one_that_was_abandoned_is_not_used_again() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        tell.send((me.number(), thread::current().id())).unwrap();
        if me.number() == 1 {
            held.lock().unwrap().recv().unwrap_err();
        } else {
            obedient(me);
        }
    });
    let child = child.reuse(Reuse::SameThread).stop(Stop::Within(SOON));
    let supervisor = unlimited().child(child.clone()).start().unwrap();
    let (_, abandoned) = next(&told);
    supervisor.handle().terminate("child").unwrap();
    // Who obeys has time enough.
    let child = child.stop(Stop::Within(PATIENCE));
    supervisor.handle().change_child(child).unwrap();
    supervisor.handle().restart("child").unwrap();
    let (number, fresh) = next(&told);
    assert_eq!(number, 2);
    assert_ne!(fresh, abandoned);
    assert_eq!(supervisor.handle().count().abandoned, 1);
    drop(release);
    until(|| supervisor.handle().count().abandoned == 0);
    assert!(told.try_recv().is_err(), "it has begun to run again");
    assert!(supervisor.shutdown().clean.ends_with(&["child".to_owned()]));
}

#[test]
fn one_that_would_have_to_wait_is_let_go() {
    // The first restart comes at once, the second after its delay.
    let (child, told) = crashing("child", 3);
    let backoff = Backoff::new(SOON, SOON).unwrap();
    let child = child.reuse(Reuse::SameThread).backoff(backoff);
    let supervisor = unlimited().child(child).start().unwrap();
    let threads = [(); 3].map(|()| next(&told).1);
    assert_eq!(threads[0], threads[1]);
    assert_ne!(threads[1], threads[2]);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn in_a_group_who_is_first_keeps_its_thread() {
    let (tell, told) = mpsc::channel();
    // Who crashes does so when all have been started.
    let all_run = Arc::new(Barrier::new(2));
    let child = |id: &'static str, crashes: bool| {
        let (tell, all_run) = (tell.clone(), all_run.clone());
        let child = ChildSpec::worker(id, move |me| {
            tell.send((id, me.number(), thread::current().id()))
                .unwrap();
            if crashes && me.number() == 1 {
                all_run.wait();
                panic!("as planned");
            }
            obedient(me);
        });
        child.reuse(Reuse::SameThread)
    };
    let supervisor = unlimited()
        .strategy(Strategy::RestForOne)
        .child(child("a", false))
        .child(child("b", false))
        .child(child("c", true))
        .start()
        .unwrap();
    all_run.wait();
    let mut begun = [(); 4].map(|()| next(&told));
    begun.sort_by_key(|&(id, number, _)| (id, number));
    // The last one has nobody behind it: its group is itself.
    let [.., first, second] = begun;
    assert_eq!((first.0, first.1), ("c", 1));
    assert_eq!(second, ("c", 2, first.2));
    assert_eq!(supervisor.shutdown().clean, ["c", "b", "a"]);

    let supervisor = unlimited()
        .strategy(Strategy::OneForAll)
        .child(child("a", false))
        .child(child("b", true))
        .child(child("c", false))
        .start()
        .unwrap();
    all_run.wait();
    let mut begun: Vec<_> = [(); 6].map(|()| next(&told)).into();
    begun.sort_by_key(|&(id, number, _)| (number, id));
    let begun: Vec<_> = begun.iter().map(|&(id, number, _)| (id, number)).collect();
    let all = [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2), ("c", 2)];
    assert_eq!(begun, all);
    assert_eq!(supervisor.shutdown().clean, ["c", "b", "a"]);
}

#[test]
fn a_changed_child_is_restarted_as_it_is_said_then() {
    let (end, ends) = mpsc::channel::<()>();
    let ends = Arc::new(Mutex::new(ends));
    let (tell, told) = mpsc::channel();
    let spec = || {
        let (tell, ends) = (tell.clone(), ends.clone());
        ChildSpec::worker("child", move |me| {
            tell.send((me.number(), thread::current().id())).unwrap();
            while !me.stop().wait(Duration::from_millis(1)) {
                if ends.lock().unwrap().try_recv().is_ok() {
                    return;
                }
            }
        })
    };
    let supervisor = unlimited().child(spec()).start().unwrap();
    let handle = supervisor.handle();
    let mut threads = vec![next(&told).1];
    let same = || spec().reuse(Reuse::SameThread);
    for changed in [same(), same(), same().stack_size(1 << 20), spec()] {
        handle.change_child(changed).unwrap();
        end.send(()).unwrap();
        threads.push(next(&told).1);
    }
    assert_eq!(threads[0], threads[1]);
    assert_eq!(threads[1], threads[2]);
    assert_ne!(threads[2], threads[3], "another stack");
    assert_ne!(threads[3], threads[4]);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn a_storm_of_restarts_can_be_stopped() {
    for reuse in [Reuse::SameThread, Reuse::FreshAfterJoin] {
        let (tell, told) = mpsc::channel();
        let child = ChildSpec::worker("child", move |me| {
            if me.number() == 100 {
                tell.send(()).unwrap();
            }
        });
        let supervisor = unlimited().child(child.reuse(reuse)).start().unwrap();
        next(&told);
        let report = supervisor.shutdown();
        assert_eq!(report.clean.len() + report.failed.len(), 1, "{report}");
        assert!(report.abandoned.is_empty());
    }
}

/// Tells that it is being destroyed, waits until it may be, and tells that it has been.
struct Lingers {
    tell: mpsc::Sender<&'static str>,
    until: mpsc::Receiver<()>,
}

impl Drop for Lingers {
    fn drop(&mut self) {
        self.tell.send("destroyed soon").unwrap();
        // Also when nobody holds it up any more.
        let _ = self.until.recv_timeout(PATIENCE);
        let _ = self.tell.send("destroyed");
    }
}

thread_local! {
    static LINGERS: RefCell<Option<Lingers>> = const { RefCell::new(None) };
}

/// A child whose first incarnation leaves something in a thread-local that is destroyed only when it is released, and ends
/// when it is released a first time, if that is said: not before its supervisor has been started.
fn lingering(ends: bool) -> (ChildSpec, mpsc::Receiver<&'static str>, mpsc::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let (release, until) = mpsc::channel();
    let until = Mutex::new(Some(until));
    let child = ChildSpec::worker("child", move |me| {
        let until = until.lock().unwrap().take();
        if let Some(until) = until {
            if ends {
                until.recv().unwrap();
            }
            let tell = tell.clone();
            LINGERS.set(Some(Lingers { tell, until }));
            if ends {
                return;
            }
        } else {
            tell.send("begins").unwrap();
        }
        obedient(me);
    });
    (child, told, release)
}

#[test]
fn f27_a_new_thread_waits_until_the_old_one_is_gone() {
    let (child, told, release) = lingering(true);
    let child = child.reuse(Reuse::FreshAfterJoin);
    let supervisor = unlimited().child(child).start().unwrap();
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed soon");
    let info = || supervisor.handle().children().remove(0);
    assert!(told.recv_timeout(SOON).is_err(), "it has not waited");
    assert_eq!(info().state, ChildState::Starting);
    assert_eq!(info().incarnation, 2);
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed");
    assert_eq!(next(&told), "begins");
    until(|| info().state == ChildState::Running);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn f27_and_only_if_it_is_to() {
    let (child, told, release) = lingering(true);
    let supervisor = unlimited().child(child).start().unwrap();
    release.send(()).unwrap();
    let mut first = [next(&told), next(&told)];
    first.sort_unstable();
    assert_eq!(first, ["begins", "destroyed soon"]);
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed");
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn also_when_it_is_restarted_by_hand() {
    let (child, told, release) = lingering(false);
    let child = child.reuse(Reuse::FreshAfterJoin);
    let supervisor = unlimited().child(child).start().unwrap();
    let handle = supervisor.handle();
    handle.terminate("child").unwrap();
    assert_eq!(next(&told), "destroyed soon");
    let restarting = thread::spawn(move || handle.restart("child").map(drop));
    assert!(told.recv_timeout(SOON).is_err(), "it has not waited");
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed");
    assert_eq!(next(&told), "begins");
    restarting.join().unwrap().unwrap();
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn who_is_stopped_while_it_waits_does_not_begin_and_the_next_one_waits() {
    let (child, told, release) = lingering(true);
    let child = child.reuse(Reuse::FreshAfterJoin).stop(Stop::Forever);
    let supervisor = unlimited()
        .child(child.restart(Restart::Permanent))
        .start()
        .unwrap();
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed soon");
    let handle = supervisor.handle();
    let info = || supervisor.handle().children().remove(0);
    until(|| info().state == ChildState::Starting);
    handle.terminate("child").unwrap();
    let last_exit = info().last_exit;
    assert!(matches!(last_exit, Some(ExitReason::Shutdown)));
    assert_eq!(handle.count().abandoned, 0);
    let restarting = thread::spawn(move || handle.restart("child").map(drop));
    assert!(told.recv_timeout(SOON).is_err(), "nobody runs");
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed");
    assert_eq!(next(&told), "begins");
    restarting.join().unwrap().unwrap();
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    nobody_else_begins(&told);
}

/// A child that ends as it should not, once for every time it is told to.
fn crashing_when_told(id: &str) -> (ChildSpec, mpsc::Sender<()>) {
    let (crash, crashes) = mpsc::channel();
    let crashes = Mutex::new(crashes);
    let child = ChildSpec::worker(id, move |me| {
        while !me.stop().wait(Duration::from_millis(1)) {
            let crashes = crashes.lock().unwrap().try_recv();
            if crashes.is_ok() {
                return Err("as planned");
            }
        }
        Ok(())
    });
    (child, crash)
}

#[test]
fn whose_group_is_restarted_while_it_waits_does_not_begin_beside_its_successor() {
    let (child, told, release) = lingering(true);
    let child = child.reuse(Reuse::FreshAfterJoin);
    let (sibling, crash) = crashing_when_told("sibling");
    let supervisor = unlimited()
        .strategy(Strategy::OneForAll)
        .child(sibling)
        .child(child.stop(Stop::Within(PATIENCE)))
        .start()
        .unwrap();
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed soon");
    let child = || supervisor.handle().children().remove(1);
    // The first that waits joins the old thread, the others wait for that.
    for number in 2..=4 {
        until(|| child().incarnation == number && child().state == ChildState::Starting);
        crash.send(()).unwrap();
    }
    until(|| child().incarnation == 5);
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed");
    assert_eq!(next(&told), "begins");
    until(|| child().state == ChildState::Running);
    let report = supervisor.shutdown();
    assert!(report.abandoned.is_empty(), "{report}");
    nobody_else_begins(&told);
}

#[test]
fn who_is_not_meant_any_more_when_its_wait_is_over_does_not_begin() {
    let (child, told, release) = lingering(true);
    let child = child.reuse(Reuse::FreshAfterJoin).stop(Stop::Forever);
    let (sibling, crash) = crashing_when_told("sibling");
    // It is decided that the one that waits is to stop, but whoever is to tell it is held up.
    let (hold, held) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let held = Mutex::new(held);
    telemetry::attach("holding", EventName::new("bedplate.supervisor.ended"), {
        move |event: &Event<'_>| {
            if event.get("supervisor").and_then(|it| it.as_str()) == Some("held") {
                begin.send(()).unwrap();
                held.lock().unwrap().recv().unwrap_err();
            }
        }
    })
    .unwrap();
    let supervisor = Supervisor::builder("held")
        .limit(128, Duration::from_nanos(1))
        .strategy(Strategy::OneForAll)
        .child(sibling)
        .child(child)
        .start()
        .unwrap();
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed soon");
    let child = || supervisor.handle().children().remove(1);
    until(|| child().incarnation == 2 && child().state == ChildState::Starting);
    crash.send(()).unwrap();
    next(&begun);
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed");
    assert_eq!(next(&told), "begins");
    until(|| child().incarnation == 3 && child().state == ChildState::Running);
    drop(hold);
    assert_eq!(supervisor.shutdown().clean, ["child", "sibling"]);
    telemetry::detach("holding").unwrap();
    nobody_else_begins(&told);
}

/// As long as somebody could, it holds its specification, and that the sender.
fn nobody_else_begins(told: &mpsc::Receiver<&'static str>) {
    let last = told.recv_timeout(PATIENCE);
    assert_eq!(last, Err(mpsc::RecvTimeoutError::Disconnected));
}

/// When it is destroyed, its supervisor is shut down while the next incarnation waits for that.
struct ShutsDown {
    supervisor: Arc<Mutex<Option<Supervisor>>>,
    tell: mpsc::Sender<Vec<String>>,
}

impl Drop for ShutsDown {
    fn drop(&mut self) {
        let supervisor = self.supervisor.lock().unwrap().take().unwrap();
        until(|| {
            let info = supervisor.handle().children().remove(0);
            info.incarnation == 2 && info.state == ChildState::Starting
        });
        let _ = self.tell.send(supervisor.shutdown().clean);
    }
}

thread_local! {
    static SHUTS_DOWN: RefCell<Option<ShutsDown>> = const { RefCell::new(None) };
}

#[test]
fn a_destructor_of_the_old_thread_may_shut_down() {
    let slot = Arc::new(Mutex::new(None));
    let (tell, told) = mpsc::channel();
    let theirs = slot.clone();
    let child = ChildSpec::worker("child", move |me| {
        if me.number() == 1 {
            until(|| theirs.lock().unwrap().is_some());
            let (supervisor, tell) = (theirs.clone(), tell.clone());
            SHUTS_DOWN.set(Some(ShutsDown { supervisor, tell }));
        } else {
            obedient(me);
        }
    });
    let child = child.reuse(Reuse::FreshAfterJoin).stop(Stop::Forever);
    let supervisor = unlimited().child(child).start().unwrap();
    *slot.lock().unwrap() = Some(supervisor);
    assert_eq!(next(&told), ["child"]);
}

#[test]
fn one_that_was_abandoned_is_not_waited_for_whatever_it_was_started_as() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let (end, ends) = mpsc::channel::<()>();
    let ends = Arc::new(Mutex::new(ends));
    let (tell, told) = mpsc::channel();
    let spec = |reuse| {
        let (tell, held, ends) = (tell.clone(), held.clone(), ends.clone());
        let child = ChildSpec::worker("child", move |me| {
            tell.send((me.number(), thread::current().id())).unwrap();
            match me.number() {
                1 => ends.lock().unwrap().recv().unwrap(),
                2 => drop(held.lock().unwrap().recv()),
                _ => obedient(me),
            }
        });
        child.reuse(reuse).stop(Stop::Within(SOON))
    };
    let supervisor = unlimited()
        .child(spec(Reuse::FreshAfterJoin))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let (_, first) = next(&told);
    handle.change_child(spec(Reuse::SameThread)).unwrap();
    end.send(()).unwrap();
    assert_eq!(next(&told), (2, first));
    handle.change_child(spec(Reuse::FreshAfterJoin)).unwrap();
    handle.terminate("child").unwrap();
    assert_eq!(handle.count().abandoned, 1);
    // Who obeys has time enough.
    let obeys = spec(Reuse::FreshAfterJoin).stop(Stop::Within(PATIENCE));
    handle.change_child(obeys).unwrap();
    let restarting = thread::spawn(move || handle.restart("child").map(drop));
    let (number, third) = next(&told);
    assert_eq!(number, 3);
    assert_ne!(third, first);
    restarting.join().unwrap().unwrap();
    drop(release);
    until(|| supervisor.handle().count().abandoned == 0);
    assert!(supervisor.shutdown().clean.ends_with(&["child".to_owned()]));
}

#[test]
fn a_sibling_waits_with_it() {
    let (child, told, release) = lingering(true);
    let child = child.reuse(Reuse::FreshAfterJoin);
    let (tell, begun) = mpsc::channel();
    let behind = ChildSpec::worker("behind", move |me| {
        tell.send(me.number()).unwrap();
        obedient(me);
    });
    let supervisor = unlimited()
        .strategy(Strategy::OneForAll)
        .child(child)
        .child(behind)
        .start()
        .unwrap();
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed soon");
    assert_eq!(next(&begun), 1);
    assert!(begun.recv_timeout(SOON).is_err(), "it has not waited");
    release.send(()).unwrap();
    assert_eq!(next(&told), "destroyed");
    assert_eq!(next(&told), "begins");
    assert_eq!(next(&begun), 2);
    assert_eq!(supervisor.shutdown().clean, ["behind", "child"]);
}

/// Waits for it.
fn until(it_is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !it_is_so() {
        assert!(began.elapsed() < PATIENCE);
        thread::yield_now();
    }
}
