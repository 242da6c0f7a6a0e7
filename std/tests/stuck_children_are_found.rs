//! Children that say when they work and when they wait, and are told of when they say nothing. What a look tells is decided by a
//! state machine, which is tested on a clock of its own; numbers are those of the project's list of failure cases.

mod until;

use bedplate::process::ExitReason;
use bedplate::supervisor::{
    ChildInfo, ChildSpec, Incarnation, OnStuck, Ready, Restart, Stop, Supervisor, Watch,
};
use bedplate::telemetry::{EventName, OwnedEvent, Pattern, Probe};
use core::time::Duration;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;
use until::{PATIENCE, until};

const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(100);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

/// What is told of one supervisor.
struct Told {
    probe: Probe,
    supervisor: &'static str,
    events: Vec<OwnedEvent>,
}

impl Told {
    fn of(supervisor: &'static str) -> Self {
        let all = Pattern::under(EventName::new("bedplate.supervisor"));
        Self {
            probe: Probe::of_all_threads(all).unwrap(),
            supervisor,
            events: Vec::new(),
        }
    }

    /// So often something was told.
    fn count(&mut self, what: &str) -> usize {
        let of_this = |event: &OwnedEvent| {
            event
                .get("supervisor")
                .is_some_and(|it| it == self.supervisor)
        };
        let new = self.probe.take().into_iter();
        self.events.extend(new.filter(of_this));
        let all = self.events.iter();
        all.filter(|event| event.name.ends_with(what)).count()
    }
}

fn info(supervisor: &Supervisor) -> ChildInfo {
    supervisor.handle().children().remove(0)
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
    (child, words)
}

#[test]
fn f105_who_is_parked_for_too_long_is_told_of_once_until_it_says_something() {
    let mut told = Told::of("stuck parked");
    let (child, words) = speaking("child");
    let child = child.watch(Watch::new(HOUR, SOON));
    let supervisor = Supervisor::builder("stuck parked")
        .child(child)
        .start()
        .unwrap();
    assert!(!info(&supervisor).stuck);
    words.send(Incarnation::parked).unwrap();
    until(|| told.count("stuck") > 0);
    assert!(info(&supervisor).stuck);
    let shown = supervisor.handle().tree().unwrap().to_string();
    assert!(shown.contains("child: running, stuck"), "{shown}");
    // Some rounds more.
    thread::sleep(SOON * 2);
    assert_eq!(told.count("stuck"), 1);
    let stuck = told.events.iter().find(|it| it.name.ends_with("stuck"));
    let stuck = stuck.unwrap();
    assert!(stuck.get("child").is_some_and(|it| it == "child"));
    assert!(stuck.get("activity").is_some_and(|it| it == "parked"));
    let silent = stuck.measurement("silent").unwrap().as_f64();
    assert!(silent > SOON.as_secs_f64());
    assert_eq!(stuck.measurement("incarnation").unwrap().as_f64(), 1.0);
    assert_eq!(told.count("recovered"), 0);

    words.send(Incarnation::working).unwrap();
    until(|| !info(&supervisor).stuck);
    until(|| told.count("recovered") == 1);
    assert_eq!(told.count("stuck"), 1);

    // Another time, it is told again. The child was never interfered with.
    words.send(Incarnation::parked).unwrap();
    until(|| told.count("stuck") == 2);
    assert_eq!(info(&supervisor).incarnation, 1);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn f104_who_works_for_long_is_not_stuck() {
    let mut told = Told::of("stuck working");
    let (done, finished) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        me.working();
        thread::sleep(SOON * 5);
        done.send(()).unwrap();
        obedient(me);
    });
    let child = child.watch(Watch::new(HOUR, SOON).on_stuck(OnStuck::Restart));
    let supervisor = Supervisor::builder("stuck working")
        .child(child)
        .start()
        .unwrap();
    finished.recv_timeout(PATIENCE).unwrap();
    assert!(!info(&supervisor).stuck);
    assert_eq!(info(&supervisor).incarnation, 1);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    assert_eq!(told.count("stuck"), 0);
}

#[test]
fn who_says_nothing_at_all_has_worked_from_its_beginning() {
    let mut told = Told::of("stuck silent");
    let child = ChildSpec::worker("child", obedient).watch(Watch::new(SOON, HOUR));
    let supervisor = Supervisor::builder("stuck silent")
        .child(child)
        .start()
        .unwrap();
    until(|| told.count("stuck") == 1);
    let stuck = told.events.iter().find(|it| it.name.ends_with("stuck"));
    let activity = stuck.unwrap().get("activity");
    assert!(activity.is_some_and(|it| it == "working"));
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn who_is_not_watched_may_say_what_it_likes() {
    let mut told = Told::of("stuck unwatched");
    let (spoken, heard) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        me.working();
        me.parked();
        thread::sleep(SOON);
        spoken.send(()).unwrap();
        obedient(me);
    });
    let supervisor = Supervisor::builder("stuck unwatched")
        .child(child)
        .start()
        .unwrap();
    heard.recv_timeout(PATIENCE).unwrap();
    assert!(!info(&supervisor).stuck);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    assert_eq!(told.count("stuck"), 0);
}

#[test]
fn one_that_takes_long_to_become_ready_is_not_stuck() {
    let mut tries = 0..20;
    let shown = tries.any(|_| one_that_takes_long_to_become_ready_was_in_time());
    assert!(shown, "suspended all the time");
}

/// Whether the child was within its limit from when it was ready on; if it was suspended for too long, this shows nothing.
fn one_that_takes_long_to_become_ready_was_in_time() -> bool {
    const LIMIT: Duration = Duration::from_secs(2);
    let mut told = Told::of("stuck starting");
    let (parks, parked) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        thread::sleep(LIMIT + SOON);
        let before = Instant::now();
        me.ready();
        // Its limit begins now; somebody looks in between.
        thread::sleep(LIMIT * 3 / 8);
        me.parked();
        parks.send(before.elapsed() < LIMIT).unwrap();
        obedient(me);
    });
    let child = child
        .ready(Ready::Signalled { within: PATIENCE })
        .watch(Watch::new(LIMIT, HOUR));
    let supervisor = Supervisor::builder("stuck starting")
        .child(child)
        .start()
        .unwrap();
    let was_in_time = parked.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    assert!(!was_in_time || told.count("stuck") == 0);
    was_in_time
}

#[test]
fn one_that_is_to_be_restarted_is_asked_to_stop_first() {
    let (begins, begun) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        let last = me.last_exit().cloned();
        begins.send((me.number(), last)).unwrap();
        // The next one works, for which there is time enough on any machine.
        if me.number() == 1 {
            me.parked();
        }
        obedient(me);
    });
    // However cleanly it obeys, it is restarted.
    let child = child
        .watch(Watch::new(HOUR, SOON).on_stuck(OnStuck::Restart))
        .restart(Restart::Transient);
    let supervisor = Supervisor::builder("stuck restarted")
        .child(child)
        .start()
        .unwrap();
    let next = || begun.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(next(), (1, None)));
    assert!(matches!(next(), (2, Some(ExitReason::Shutdown))));
    assert_eq!(info(&supervisor).restarts, 1);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn and_is_abandoned_if_it_does_not_stop() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let (begins, begun) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| {
        begins.send(me.number()).unwrap();
        if me.number() == 1 {
            me.parked();
            held.lock().unwrap().recv().unwrap_err();
        } else {
            obedient(me);
        }
    });
    let child = child
        .watch(Watch::new(HOUR, SOON).on_stuck(OnStuck::Restart))
        .stop(Stop::Within(Duration::from_millis(20)));
    let supervisor = Supervisor::builder("stuck deaf")
        .child(child.clone())
        .start()
        .unwrap();
    assert_eq!(begun.recv_timeout(PATIENCE), Ok(1));
    assert_eq!(begun.recv_timeout(PATIENCE), Ok(2));
    let info = info(&supervisor);
    assert!(matches!(info.last_exit, Some(ExitReason::Abandoned { .. })));
    assert_eq!(supervisor.handle().count().abandoned, 1);
    drop(release);
    until(|| supervisor.handle().count().abandoned == 0);
    // Who obeys has time enough.
    let child = child.stop(Stop::Within(PATIENCE));
    supervisor.handle().change_child(child).unwrap();
    assert!(supervisor.shutdown().clean.ends_with(&["child".to_owned()]));
}

#[test]
fn one_that_is_stuck_again_and_again_is_given_up() {
    let child = ChildSpec::worker("child", obedient);
    let child = child.watch(Watch::new(Duration::ZERO, HOUR).on_stuck(OnStuck::Restart));
    let supervisor = Supervisor::builder("stuck for good")
        .limit(2, HOUR)
        .child(child)
        .start()
        .unwrap();
    let ExitReason::GaveUp(why) = supervisor.wait() else {
        panic!("it goes on")
    };
    assert_eq!((why.child.as_str(), why.restarts), ("child", 2));
}

#[cfg(unix)]
mod aborting {
    use super::*;
    use bedplate::telemetry::{self, Event};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    const MARK: &str = "BEDPLATE_TEST_STUCK";
    const ABORTED: i32 = 6;

    /// Runs a process in which a child is stuck, and a handler is told of it. How it ends, and what it has printed.
    fn end_of(test: &str, handler: fn(&Event<'_>)) -> (Option<i32>, String) {
        if std::env::var_os(MARK).is_some() {
            telemetry::attach("last", EventName::new("bedplate.supervisor.stuck"), handler)
                .unwrap();
            let child = ChildSpec::worker("child", obedient);
            let watch = Watch::new(SOON, HOUR).on_stuck(OnStuck::AbortProcess);
            let supervisor = Supervisor::builder("stuck fatally")
                .child(child.watch(watch))
                .start()
                .unwrap();
            let _never = supervisor.wait();
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(MARK, "")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.signal(), printed)
    }

    #[test]
    fn the_process_ends_when_that_has_been_told() {
        let name = "aborting::the_process_ends_when_that_has_been_told";
        let (signal, printed) = end_of(name, |event| println!("last words: {event}"));
        assert_eq!(signal, Some(ABORTED));
        assert_eq!(printed.matches("last words").count(), 1, "{printed}");
    }

    #[test]
    fn or_if_whoever_is_told_hangs() {
        let (signal, printed) = end_of("aborting::or_if_whoever_is_told_hangs", |_| {
            println!("hanging");
            loop {
                thread::park();
            }
        });
        assert_eq!(signal, Some(ABORTED));
        assert!(printed.contains("hanging"), "{printed}");
    }
}
