//! Live, ready, degraded: what a supervisor answers about all below it, from what is known. The rule itself is a state machine's, and tested
//! there; numbers are those of the project's list of failure cases.

mod until;

use bedplate::supervisor::health::{Health, Problem};
use bedplate::supervisor::{
    Application, Backoff, ChildSpec, ChildState, Incarnation, Ready, Stop, Strategy, SupRef,
    Supervisor, Watch,
};
use bedplate::telemetry::{EventName, Pattern, Probe};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use until::{PATIENCE, until};

const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(50);
const MOMENT: Duration = Duration::from_millis(10);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

fn troubles(health: &Health) -> Vec<String> {
    let troubles = health.degraded.iter();
    troubles.map(ToString::to_string).collect()
}

fn answers(health: &Health) -> (bool, bool, usize) {
    (health.live, health.ready, health.degraded.len())
}

/// A child whose first incarnation does not listen until the sender is dropped.
fn deaf_at_first(id: &str) -> (ChildSpec, mpsc::Sender<()>) {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let spec = ChildSpec::worker(id, move |me| {
        if me.number() == 1 {
            held.lock().unwrap().recv().unwrap_err();
        }
        obedient(me);
    });
    (spec.stop(Stop::Within(MOMENT)), release)
}

/// A child that says what it is told to say.
fn speaking(id: &str) -> (ChildSpec, mpsc::Sender<fn(&Incarnation)>) {
    let (words, said) = mpsc::channel::<fn(&Incarnation)>();
    let said = Mutex::new(said);
    let child = ChildSpec::worker(id, move |me| {
        while !me.stop().wait(Duration::from_millis(1)) {
            if let Ok(word) = said.lock().unwrap().try_recv() {
                word(me);
            }
        }
    });
    (child.watch(Watch::new(HOUR, SOON)), words)
}

fn is_well(handle: &SupRef) -> bool {
    answers(&handle.health()) == (true, true, 0)
}

#[test]
fn f76_an_abandoned_child_is_named_until_it_ends_after_all() {
    for critical in [false, true] {
        let (deaf, release) = deaf_at_first("deaf");
        let supervisor = Supervisor::builder("app")
            .child(ChildSpec::worker("other", obedient).critical(true))
            .child(deaf.critical(critical))
            .start()
            .unwrap();
        let handle = supervisor.handle();
        assert!(is_well(&handle));
        handle.terminate("deaf").unwrap();
        handle.restart("deaf").unwrap();
        let health = handle.health();
        // The replacement runs.
        assert_eq!(answers(&health), (!critical, true, 1));
        assert_eq!(health.degraded[0].path, "app/deaf");
        assert_eq!(health.degraded[0].critical, critical);
        let abandoned = Problem::Abandoned { incarnation: 1 };
        assert_eq!(health.degraded[0].problem, abandoned);
        assert_eq!(handle.count().abandoned, 1);

        drop(release);
        until(|| is_well(&handle));
        assert_eq!(handle.count().abandoned, 0);
    }
}

#[test]
fn f76_also_when_its_supervisor_is_over_and_was_started_again() {
    let (deaf, release) = deaf_at_first("deaf");
    let deaf = deaf.critical(true);
    let pool = ChildSpec::supervisor("pool", move || {
        Supervisor::builder("pool").child(deaf.clone())
    });
    let branch = ChildSpec::supervisor("branch", move || {
        Supervisor::builder("branch").child(pool.clone())
    });
    let supervisor = Supervisor::builder("app").child(branch).start().unwrap();
    let handle = supervisor.handle();
    handle.terminate("branch").unwrap();
    let health = handle.health();
    assert!(!health.live);
    assert!(!health.ready, "the branch is missed");
    handle.restart("branch").unwrap();
    // The first incarnation of the new supervisor does not listen, too.
    let health = handle.health();
    assert_eq!(answers(&health), (false, true, 1));
    let named = "app/branch/pool/deaf (critical): incarnation 1 was abandoned and goes on";
    assert_eq!(troubles(&health), [named]);
    drop(release);
    until(|| is_well(&handle));
}

#[test]
fn f76_or_its_start_has_failed_which_was_under_way() {
    let supervisor = Supervisor::builder("app").max_abandoned(1).start().unwrap();
    let handle = supervisor.handle();
    // One after the other: if they counted for ever, the second would be the end.
    for _ in 0..3 {
        let (describing, is_described) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let pool = ChildSpec::supervisor("pool", move || {
            describing.send(()).unwrap();
            held.lock().unwrap().recv().unwrap_err();
            panic!("a panic on purpose")
        });
        let pool = pool.critical(true).stop(Stop::Within(MOMENT));
        let own = handle.clone();
        let starter = thread::spawn(move || own.start_child(pool).map(drop));
        is_described.recv_timeout(PATIENCE).unwrap();
        handle.terminate("pool").unwrap();
        handle.delete("pool").unwrap();
        let named = "app/pool (critical): incarnation 1 was abandoned and goes on";
        let health = handle.health();
        assert_eq!(troubles(&health), [named]);
        assert!(!health.live);
        assert_eq!(handle.count().abandoned, 1);

        drop(release);
        assert!(starter.join().unwrap().is_err());
        until(|| is_well(&handle));
        assert_eq!(handle.count().abandoned, 0);
    }
}

#[test]
fn f76_a_supervisor_that_did_not_start_leaves_only_who_goes_on() {
    let supervisor = Supervisor::builder("app").start().unwrap();
    let handle = supervisor.handle();
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let pool = ChildSpec::supervisor("pool", move || {
        let held = held.clone();
        let deaf = ChildSpec::worker("deaf", move |_: &Incarnation| {
            held.lock().unwrap().recv().unwrap_err();
        });
        let failing = ChildSpec::worker("failing", |_: &Incarnation| Err::<(), _>("on purpose"));
        Supervisor::builder("pool")
            .child(deaf.stop(Stop::Within(HOUR)))
            .child(failing.ready(Ready::Signalled { within: HOUR }))
    });
    let pool = pool.critical(true).stop(Stop::Within(MOMENT));
    let own = handle.clone();
    let starter = thread::spawn(move || own.start_child(pool).map(drop));
    // It waits for the one that does not listen.
    until(|| {
        let states = || Some(handle.supervisor("pool")?.children());
        let mut states = states().into_iter().flatten();
        states.any(|deaf| matches!(deaf.state, ChildState::Stopping { .. }))
    });
    handle.terminate("pool").unwrap();
    assert!(starter.join().unwrap().is_err());
    handle.delete("pool").unwrap();
    // Whichever of the two supervisors was first.
    let named = "app/pool/deaf: incarnation 1 was abandoned and goes on";
    until(|| troubles(&handle.health()) == [named]);
    assert_eq!(handle.count().abandoned, 0);
    drop(release);
    until(|| is_well(&handle));
}

#[test]
fn f108_the_outer_watchdog_is_fed_only_while_every_critical_child_is_in_time() {
    let unfed = Pattern::exactly(EventName::new("bedplate.supervisor.unfed"));
    let probe = Probe::of_all_threads(unfed).unwrap();
    let (mut children, mut words) = (Vec::new(), Vec::new());
    for id in ["a", "b", "c", "d", "e", "display"] {
        let (child, word) = speaking(id);
        children.push(child.critical(id != "display"));
        words.push(word);
    }
    let feedings = Arc::new(AtomicUsize::new(0));
    let fed = {
        let feedings = feedings.clone();
        move || feedings.load(Ordering::Relaxed)
    };
    let watchdog = ChildSpec::watchdog("watchdog", MOMENT, move || {
        feedings.fetch_add(1, Ordering::Relaxed);
    });
    let critical = children.clone();
    let workers = ChildSpec::supervisor("workers", move || {
        let builder = Supervisor::builder("workers");
        critical
            .iter()
            .cloned()
            .fold(builder, |it, child| it.child(child))
    });
    let dogs = ChildSpec::supervisor("dogs", move || {
        Supervisor::builder("dogs").child(watchdog.clone())
    });
    let supervisor = Supervisor::builder("f108")
        .child(dogs)
        .child(workers)
        .start()
        .unwrap();
    let handle = supervisor.handle();

    // One that is not critical.
    words[5].send(Incarnation::parked).unwrap();
    until(|| !handle.health().degraded.is_empty());
    let health = handle.health();
    assert_eq!(answers(&health), (true, true, 1));
    assert_eq!(troubles(&health), ["f108/workers/display: stuck"]);
    let before = fed();
    until(|| fed() > before + 3);
    assert!(probe.take().is_empty());

    // One of five that are.
    words[2].send(Incarnation::parked).unwrap();
    let mut told = Vec::new();
    until(|| {
        told.extend(probe.take());
        !told.is_empty()
    });
    let after = fed();
    let health = handle.health();
    assert_eq!(answers(&health), (false, false, 2));
    assert_eq!(troubles(&health)[0], "f108/workers/c (critical): stuck");
    let is_this = |it: &str| told[0].get("child").is_some_and(|child| child == it);
    assert!(is_this("f108/dogs/watchdog"));
    // Some rounds more.
    thread::sleep(10 * MOMENT);
    assert_eq!(fed(), after, "not fed any more");

    words[2].send(Incarnation::working).unwrap();
    until(|| fed() > after);
    assert!(handle.health().live);
}

#[test]
fn f108_a_watchdog_that_cannot_feed_is_a_child_that_fails() {
    let failed = Arc::new(AtomicBool::new(false));
    let feed = {
        let failed = failed.clone();
        move || {
            if failed.swap(true, Ordering::Relaxed) {
                Ok(())
            } else {
                Err("nobody takes it")
            }
        }
    };
    let supervisor = Supervisor::builder("app")
        .child(ChildSpec::watchdog("watchdog", HOUR, feed))
        .start()
        .unwrap();
    let info = || supervisor.handle().children().remove(0);
    until(|| info().incarnation == 2 && info().state == ChildState::Running);
    let before = info().last_exit.unwrap().to_string();
    assert_eq!(before, "failed: nobody takes it");
    assert_eq!(supervisor.shutdown().clean, ["watchdog"]);
}

#[test]
fn f109_a_check_that_hangs_is_asked_once_and_keeps_nobody() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let calls = Arc::new(AtomicUsize::new(0));
    let called = {
        let calls = calls.clone();
        move || calls.load(Ordering::Relaxed)
    };
    let database = ChildSpec::check("database", MOMENT, MOMENT, move || {
        calls.fetch_add(1, Ordering::Relaxed);
        held.lock().unwrap().recv().unwrap_err();
        Ok::<(), &str>(())
    });
    let cache = ChildSpec::check("cache", MOMENT, HOUR, || Ok::<(), &str>(()));
    let supervisor = Supervisor::builder("app")
        .child(database)
        .child(cache.critical(true))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let timed_out = "app/database: check takes longer than 10ms";
    until(|| handle.health().ready && troubles(&handle.health()) == [timed_out]);
    for _ in 0..1_000 {
        let health = handle.health();
        assert_eq!(answers(&health), (true, true, 1));
        assert_eq!(troubles(&health), [timed_out]);
    }
    assert_eq!(called(), 1, "one run, on one thread");
    assert_eq!(handle.count().active, 2);
    drop(release);
    // Its answer was late; the next one is not.
    until(|| is_well(&handle));
    assert!(called() > 1);
    assert_eq!(supervisor.shutdown().clean, ["cache", "database"]);
}

#[test]
fn f110_a_dependency_that_is_down_keeps_work_away_if_that_is_wanted_and_ends_nothing() {
    for critical in [false, true] {
        let up = Arc::new(AtomicBool::new(false));
        let is_up = up.clone();
        let database = ChildSpec::check("database", MOMENT, HOUR, move || {
            if is_up.load(Ordering::Relaxed) {
                Ok(())
            } else {
                Err("connection refused")
            }
        });
        let outside = database.critical(critical);
        let outside = ChildSpec::supervisor("outside", move || {
            Supervisor::builder("outside").child(outside.clone())
        });
        let supervisor = Supervisor::builder("app").child(outside).start().unwrap();
        let handle = supervisor.handle();
        let failed = |health: &Health| match &health.degraded[..] {
            [trouble] => {
                matches!(&trouble.problem, Problem::CheckFailed { why, .. } if why == "connection refused")
            }
            _ => false,
        };
        until(|| failed(&handle.health()));
        let health = handle.health();
        assert_eq!(answers(&health), (true, !critical, 1));
        assert_eq!(health.degraded[0].path, "app/outside/database");
        up.store(true, Ordering::Relaxed);
        until(|| is_well(&handle));
        up.store(false, Ordering::Relaxed);
        until(|| failed(&handle.health()));
        assert!(handle.health().live);
    }
}

#[test]
fn f110_not_even_by_hanging_until_it_is_abandoned() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (began, has_begun) = mpsc::channel();
    let database = ChildSpec::check("database", HOUR, MOMENT, move || {
        began.send(()).unwrap();
        held.lock().unwrap().recv().unwrap_err();
        Ok::<(), &str>(())
    });
    let database = database.critical(true).stop(Stop::Within(MOMENT));
    let supervisor = Supervisor::builder("app").child(database).start().unwrap();
    has_begun.recv_timeout(PATIENCE).unwrap();
    let handle = supervisor.handle();
    handle.terminate("database").unwrap();
    let health = handle.health();
    assert_eq!(answers(&health), (true, false, 2));
    let told = [
        "app/database (critical): stopped",
        "app/database: incarnation 1 was abandoned and goes on",
    ];
    assert_eq!(troubles(&health), told);
    drop(release);
    until(|| handle.health().degraded.len() == 1);
}

#[test]
fn a_check_that_panics_has_failed_and_goes_on() {
    let panics = AtomicBool::new(true);
    let (told, tell) = mpsc::channel();
    let check = ChildSpec::check("check", MOMENT, HOUR, move || -> Result<(), &str> {
        tell_once(&told);
        assert!(!panics.swap(false, Ordering::Relaxed), "on purpose");
        Ok(())
    });
    let supervisor = Supervisor::builder("app")
        .quiet_panics(true)
        .child(check)
        .start()
        .unwrap();
    let handle = supervisor.handle();
    tell.recv_timeout(PATIENCE).unwrap();
    tell.recv_timeout(PATIENCE).unwrap();
    until(|| is_well(&handle));
    assert_eq!(handle.children()[0].incarnation, 1);

    let check = ChildSpec::check("check", HOUR, HOUR, || -> Result<(), &str> {
        panic!("on purpose")
    });
    let supervisor = Supervisor::builder("app").child(check).start().unwrap();
    let handle = supervisor.handle();
    until(|| !handle.health().degraded.is_empty());
    let told = troubles(&handle.health()).remove(0);
    assert!(told.contains("panicked: on purpose"), "{told}");
}

fn tell_once(told: &mpsc::Sender<()>) {
    // Nobody listens when it has been told twice.
    let _result = told.send(());
}

#[test]
fn who_does_not_run_is_missed_if_it_is_critical() {
    for critical in [false, true] {
        let later = Backoff::new(HOUR, HOUR).unwrap();
        let child = ChildSpec::worker("child", |me| -> Result<(), &str> {
            // The first restart is at once.
            if me.number() < 3 {
                return Err("twice");
            }
            obedient(me);
            Ok(())
        });
        let child = child.backoff(later).critical(critical);
        let supervisor = Supervisor::builder("app").child(child).start().unwrap();
        let handle = supervisor.handle();
        // It is seen while it is being restarted at once, too.
        let waits = |health: &Health| match &health.degraded[..] {
            [trouble] => matches!(
                trouble.problem,
                Problem::NotRunning(ChildState::Backoff { .. })
            ),
            _ => false,
        };
        until(|| waits(&handle.health()));
        assert_eq!(answers(&handle.health()), (true, !critical, 1));
        handle.restart("child").unwrap();
        assert!(is_well(&handle));
        handle.terminate("child").unwrap();
        // Somebody wanted it so; but it is missed.
        let expected = if critical {
            (true, false, 1)
        } else {
            (true, true, 0)
        };
        assert_eq!(answers(&handle.health()), expected);
    }
}

#[test]
fn critical_is_critical_wherever_it_is_and_its_supervisor_is_missed() {
    let (child, words) = speaking("child");
    let pool = ChildSpec::supervisor("pool", || {
        Supervisor::builder("pool").strategy(Strategy::Dynamic)
    });
    let branch = ChildSpec::supervisor("branch", move || {
        Supervisor::builder("branch").child(pool.clone())
    });
    let supervisor = Supervisor::builder("app").child(branch).start().unwrap();
    let handle = supervisor.handle();
    handle.terminate("branch").unwrap();
    assert!(handle.health().ready, "nobody critical was ever below it");
    handle.restart("branch").unwrap();
    let branch = handle.supervisor("branch").unwrap();
    let pool = branch.supervisor("pool").unwrap();
    pool.start_child(child.critical(true)).unwrap();
    assert!(is_well(&handle));

    words.send(Incarnation::parked).unwrap();
    until(|| !handle.health().live);
    for asked in [&handle, &branch, &pool] {
        let health = asked.health();
        assert_eq!(
            troubles(&health),
            ["app/branch/pool/child (critical): stuck"]
        );
    }
    handle.terminate("branch").unwrap();
    let health = handle.health();
    assert_eq!(answers(&health), (true, false, 1));
    assert_eq!(troubles(&health), ["app/branch (critical): stopped"]);
    // What was described is there again, and that child is no part of it.
    handle.restart("branch").unwrap();
    assert!(is_well(&handle));
}

#[test]
fn a_child_that_is_made_critical_while_it_runs_is() {
    let supervisor = Supervisor::builder("app")
        .child(ChildSpec::worker("child", obedient))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let child = ChildSpec::worker("child", obedient).critical(true);
    handle.change_child(child).unwrap();
    assert!(is_well(&handle));
    handle.terminate("child").unwrap();
    assert!(!handle.health().ready);
}

#[test]
fn supervisors_that_a_body_has_started_are_a_part_of_it() {
    let (started, is_started) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        let check = ChildSpec::check("check", HOUR, HOUR, || Err("down"));
        let inner = Supervisor::builder("inner").child(check).start().unwrap();
        started.send(()).unwrap();
        obedient(me);
        drop(inner);
    });
    let supervisor = Supervisor::builder("app").child(child).start().unwrap();
    is_started.recv_timeout(PATIENCE).unwrap();
    let handle = supervisor.handle();
    until(|| !handle.health().degraded.is_empty());
    assert_eq!(handle.health().degraded[0].path, "inner/check");
}

#[test]
fn who_starts_or_stops_is_given_no_work_and_who_has_ended_is_not_live() {
    let (inside, look) = mpsc::channel();
    let first = ChildSpec::worker("first", move |me| {
        inside.send(me.supervisor().health()).unwrap();
        me.ready();
        obedient(me);
    });
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let last = ChildSpec::worker("last", move |me| {
        obedient(me);
        held.lock().unwrap().recv().unwrap_err();
    });
    let supervisor = Supervisor::builder("app")
        .child(first.ready(Ready::Signalled { within: PATIENCE }))
        .child(last.stop(Stop::Within(HOUR)))
        .start()
        .unwrap();
    let health = look.recv_timeout(PATIENCE).unwrap();
    assert!(health.live && !health.ready);
    let told = [
        "app (critical): starting",
        "app/first: starting",
        "app/last: waiting for its turn",
    ];
    assert_eq!(troubles(&health), told);

    let handle = supervisor.handle();
    assert!(is_well(&handle));
    handle.request_stop();
    let health = handle.health();
    assert!(health.live && !health.ready);
    assert_eq!(
        troubles(&health)[..],
        ["app (critical): stopping", "app/last: stopping"]
    );
    drop(release);
    assert!(supervisor.wait().is_clean());
    // As long as somebody has hold of it, it has a name.
    let health = handle.health().to_string();
    let of_nobody = "not live, not ready, degraded\nhas ended";
    let named = "not live, not ready, degraded\napp (critical): has ended";
    assert!(health == of_nobody || health == named, "{health}");
}

#[test]
fn a_check_that_signals_holds_up_the_next_child_until_it_has_passed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let times = asked.clone();
    let database = ChildSpec::check("database", MOMENT, HOUR, move || {
        if times.fetch_add(1, Ordering::Relaxed) < 2 {
            Err("not yet")
        } else {
            Ok(())
        }
    });
    let seen = asked.clone();
    let (began, has_begun) = mpsc::channel();
    let server = ChildSpec::worker("server", move |me| {
        began.send(seen.load(Ordering::Relaxed)).unwrap();
        obedient(me);
    });
    let supervisor = Supervisor::builder("app")
        .child(database.ready(Ready::Signalled { within: PATIENCE }))
        .child(server)
        .start()
        .unwrap();
    assert!(has_begun.recv_timeout(PATIENCE).unwrap() > 2);
    assert_eq!(supervisor.shutdown().clean, ["server", "database"]);
}

#[test]
fn an_application_misses_its_program() {
    let main = Supervisor::builder("health application")
        .child(ChildSpec::worker("child", obedient).critical(true));
    let application = Application::new(main).start().unwrap();
    let handle = application.handle();
    assert!(handle.health().ready);
    handle.terminate("main").unwrap();
    let health = handle.health();
    assert!(health.live && !health.ready);
    let told = "health application/main (critical): stopped";
    assert!(troubles(&health).contains(&told.to_owned()), "{health}");
}
