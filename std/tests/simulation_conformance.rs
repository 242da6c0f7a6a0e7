//! A user's tests of his own tree: what a simulation does, by the numbers of the failure cases where there are any. No
//! thread, no sleep.

use bedplate::process::ExitReason;
use bedplate::supervisor::simulation::{Simulation, SimulationError, What};
use bedplate::supervisor::{
    Application, AutoShutdown, Backoff, ChildSpec, ChildState, ControlError, OnStuck, Overrun,
    Partitions, Ready, Restart, StartError, Stop, Strategy, Supervisor, SupervisorBuilder, Watch,
};
use core::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// A permanent child with five seconds to stop, whose body is never called.
fn child(id: &str) -> ChildSpec {
    ChildSpec::worker(id, |_| -> () { panic!("a simulation calls no body") })
}

fn app(strategy: Strategy, ids: &[&str]) -> SupervisorBuilder {
    let app = Supervisor::builder("app").strategy(strategy);
    ids.iter().fold(app, |app, id| app.child(child(id)))
}

/// All are up, and what has happened is told.
fn up(builder: SupervisorBuilder) -> Simulation {
    let mut app = Simulation::new(builder).unwrap();
    app.start();
    assert!(app.is_up());
    let _start = app.news();
    app
}

fn state(app: &Simulation, path: &str) -> ChildState {
    app.child(path).expect("there is one").state
}

/// 1, 5.
#[test]
fn children_are_started_in_order_each_when_the_one_before_is_ready() {
    let b = child("b").ready(Ready::Signalled { within: SECOND });
    let builder = Supervisor::builder("app").child(child("a")).child(b);
    let mut app = Simulation::new(builder.child(child("c"))).unwrap();
    assert_eq!(app.news(), [""; 0]);
    app.start();
    assert_eq!(app.news(), ["a 1 started", "b 1 started"]);
    assert_eq!(state(&app, "b"), ChildState::Starting);
    assert_eq!(app.next_due(), Some(SECOND));
    app.becomes_ready("b").unwrap();
    assert_eq!(app.news(), ["c 1 started", "app up"]);
    assert_eq!(app.next_due(), None);
    app.fails("b", "later").unwrap();
    assert_eq!(app.news(), ["b 2 started"]);
    assert_eq!(app.ended().map(ToString::to_string), None);
}

/// 2.
#[test]
fn a_child_that_cannot_be_started_at_first_ends_all() {
    let mut app = Simulation::new(app(Strategy::OneForOne, &["a", "b", "c"])).unwrap();
    app.fails_to_start("b", 1);
    app.start();
    let why = "the system refused a thread: refused by the test";
    assert_eq!(
        app.news(),
        [
            "a 1 started".to_owned(),
            "b 1 started".to_owned(),
            format!("b 1 did not start: {why}"),
            "a 1 asked to stop within 5s".to_owned(),
            format!("app ended: was not started: {why}"),
        ]
    );
    assert!(!app.is_up());
    assert!(matches!(app.ended(), Some(ExitReason::NotStarted(_))));
}

/// 3, 4.
#[test]
fn who_is_not_ready_in_time_did_not_start() {
    let slow = child("slow").ready(Ready::Signalled { within: SECOND });
    let slow = slow.stop(Stop::Within(2 * SECOND));
    let mut app = Simulation::new(Supervisor::builder("app").child(slow)).unwrap();
    app.ignores_stop("slow", true);
    app.start();
    app.advance(SECOND);
    app.advance(2 * SECOND);
    let news = app.news();
    assert_eq!(
        news,
        [
            "slow 1 started",
            "slow 1 asked to stop within 2s",
            "slow 1 abandoned",
            "app ended: was not started: was not ready within 1s",
        ]
    );
    let times: Vec<_> = app.happened().iter().map(|happened| happened.at).collect();
    assert_eq!(times, [0, 1, 3, 3].map(Duration::from_secs));

    let early = child("early").ready(Ready::Signalled { within: SECOND });
    let mut app = Simulation::new(Supervisor::builder("app").child(early)).unwrap();
    app.start();
    app.ends("early", ()).unwrap();
    assert_eq!(
        app.news().last().unwrap(),
        "app ended: was not started: ended before it was ready: finished"
    );
}

/// 6, 7: refused before anything happens, with the errors that a start has.
#[test]
fn what_cannot_be_is_refused_as_by_a_start() {
    let twice = Simulation::new(app(Strategy::OneForOne, &["a", "a"]));
    assert!(matches!(twice, Err(StartError::DuplicateId(id)) if id == "a"));
    let nameless = Simulation::new(Supervisor::builder(""));
    assert!(matches!(nameless, Err(StartError::BadName { .. })));
    let significant = Supervisor::builder("app").child(child("a").significant(true));
    let significant = Simulation::new(significant);
    assert!(matches!(significant, Err(StartError::BadChild { .. })));
}

/// 15 to 17.
#[test]
fn who_is_restarted_goes_by_its_end() {
    let transient = child("transient").restart(Restart::Transient);
    let temporary = child("temporary").restart(Restart::Temporary);
    let builder = Supervisor::builder("app").child(child("permanent"));
    let mut app = up(builder.child(transient).child(temporary));
    app.ends("permanent", ()).unwrap();
    app.fails("transient", "an error").unwrap();
    app.ends("transient", ()).unwrap();
    app.fails("temporary", "an error").unwrap();
    assert_eq!(
        app.news(),
        [
            "permanent 2 started",
            "transient 2 started",
            "temporary forgotten"
        ]
    );
    let transient = app.child("transient").unwrap();
    assert_eq!(transient.state, ChildState::Stopped);
    assert_eq!((transient.incarnation, transient.restarts), (2, 1));
    assert!(matches!(transient.last_exit, Some(ExitReason::Normal)));
    assert!(app.child("temporary").is_none());
    let counts = app.count("").unwrap();
    assert_eq!((counts.specs, counts.active), (2, 1));
}

/// 31 to 33.
#[test]
fn the_limit_is_exact() {
    for (late, gives_up) in [(0, true), (1, false)] {
        let mut app = up(app(Strategy::OneForOne, &["a"]).limit(3, 5 * SECOND));
        for wait in [0, 1, 1] {
            app.advance(wait * SECOND);
            app.fails("a", "an error").unwrap();
        }
        app.advance(3 * SECOND + Duration::from_nanos(late));
        app.fails("a", "the last").unwrap();
        assert_eq!(app.ended().is_some(), gives_up, "{late}");
        if let Some(ExitReason::GaveUp(why)) = app.ended() {
            assert_eq!((&*why.child, why.restarts), ("a", 3));
            assert_eq!(why.last.to_string(), "failed: the last");
            assert!(app.children("").is_empty());
        }
    }
}

/// 29, 37.
#[test]
fn starts_that_fail_count() {
    let mut app = up(app(Strategy::OneForOne, &["a"]).limit(2, SECOND));
    app.fails_to_start("a", u32::MAX);
    app.fails("a", "an error").unwrap();
    assert_eq!(app.next_due(), Some(Duration::from_millis(10)));
    app.advance(SECOND);
    let starts = app.happened().iter();
    let starts = starts.filter(|happened| happened.what == What::Started);
    assert_eq!(starts.count(), 3);
    assert!(matches!(app.ended(), Some(ExitReason::GaveUp(_))));
}

/// 43, 46 to 48, 50.
#[test]
fn a_delay_is_waited_out_or_cut_short() {
    let delays = Backoff::new(SECOND, 4 * SECOND).unwrap();
    let slow = || {
        Supervisor::builder("app")
            .child(child("a").backoff(delays))
            .child(child("b"))
    };
    let mut app = up(slow().limit(10, HOUR));
    app.fails("a", "an error").unwrap();
    let first = app.next_due();
    if first.is_none() {
        // The first restart is at once.
        assert_eq!(app.news(), ["a 2 started"]);
        app.fails("a", "another").unwrap();
    }
    let due = app.next_due().expect("a delay");
    assert!(matches!(state(&app, "a"), ChildState::Backoff { .. }));
    app.fails("b", "meanwhile").unwrap();
    assert!(app.news().contains(&"b 2 started".to_owned()));
    app.advance(due - Duration::from_nanos(1));
    assert_eq!(app.news(), [""; 0]);
    app.advance(Duration::from_nanos(1));
    assert_eq!(app.news().len(), 1, "it is started");
    assert_eq!(state(&app, "a"), ChildState::Running);

    app.fails("a", "again").unwrap();
    app.terminate("a").unwrap();
    app.advance(HOUR);
    assert_eq!(app.news(), [""; 0], "it stays stopped");
    app.restart("a").unwrap();
    assert_eq!(state(&app, "a"), ChildState::Running);
    app.fails("a", "once more").unwrap();
    app.shutdown();
    assert_eq!(app.next_due(), None);
    assert!(matches!(app.ended(), Some(ExitReason::Shutdown)));
}

/// 52, 53.
#[test]
fn groups_are_stopped_in_reverse_and_started_in_order() {
    let mut rest = up(app(Strategy::RestForOne, &["a", "b", "c", "d"]));
    rest.fails("b", "an error").unwrap();
    let asked = |ids: [&str; 2]| ids.map(|id| format!("{id} 1 asked to stop within 5s"));
    let started = |ids: &[&str]| ids.iter().map(|id| format!("{id} 2 started")).collect();
    let expected: Vec<String> = started(&["b", "c", "d"]);
    assert_eq!(rest.news(), [&asked(["d", "c"])[..], &expected].concat());

    let mut all = up(app(Strategy::OneForAll, &["a", "b", "c"]));
    all.fails("b", "an error").unwrap();
    let expected: Vec<String> = started(&["a", "b", "c"]);
    assert_eq!(all.news(), [&asked(["c", "a"])[..], &expected].concat());
}

/// 56: what two threads do at once is said in the one order and in the other.
#[test]
fn a_sibling_crashes_while_it_is_being_stopped() {
    let mut app = up(app(Strategy::OneForAll, &["a", "b"]).limit(1, HOUR));
    app.ignores_stop("b", true);
    app.fails("a", "an error").unwrap();
    assert_eq!(app.news(), ["b 1 asked to stop within 5s"]);
    app.fails("b", "as well").unwrap();
    assert_eq!(app.news(), ["a 2 started", "b 2 started"]);
    assert!(app.is_up(), "one restart was counted");
}

/// 58, 78, 81.
#[test]
fn who_does_not_stop_is_abandoned_and_may_end_late() {
    let stubborn = child("stubborn").stop(Stop::Within(2 * SECOND));
    let builder = Supervisor::builder("app").child(stubborn).max_abandoned(1);
    let mut app = up(builder);
    app.ignores_stop("stubborn", true);
    app.terminate("stubborn").unwrap();
    app.advance(HOUR);
    assert_eq!(
        app.news(),
        ["stubborn 1 asked to stop within 2s", "stubborn 1 abandoned"]
    );
    assert_eq!(app.happened().last().unwrap().at, 2 * SECOND);
    assert_eq!(app.count("").unwrap().abandoned, 1);
    let last = app.child("stubborn").unwrap().last_exit;
    assert!(matches!(last, Some(ExitReason::Abandoned { after }) if after == 2 * SECOND));
    app.ends_late("stubborn").unwrap();
    assert_eq!(app.news(), ["stubborn 1 ended late"]);
    assert_eq!(app.count("").unwrap().abandoned, 0);
    assert!(app.ends_late("stubborn").is_err());

    for number in [2, 3] {
        app.restart("stubborn").unwrap();
        assert_eq!(app.child("stubborn").unwrap().incarnation, number);
        app.terminate("stubborn").unwrap();
        app.advance(2 * SECOND);
    }
    assert!(matches!(app.ended(), Some(ExitReason::Abandoned { .. })));
}

#[test]
fn an_overrun_may_be_the_end() {
    let builder = Supervisor::builder("app").child(child("a"));
    let mut app = up(builder.child(child("b").overrun(Overrun::Escalate)));
    app.ignores_stop("b", true);
    app.terminate("b").unwrap();
    app.advance(5 * SECOND);
    assert_eq!(
        app.news()[1..],
        [
            "b 1 abandoned",
            "a 1 asked to stop within 5s",
            "app ended: did not stop within 5s, abandoned",
        ]
    );
}

/// 62.
#[test]
fn a_shutdown_asks_one_after_the_other() {
    let mut app = up(app(Strategy::OneForOne, &["a", "b", "c"]));
    app.ignores_stop("b", true);
    app.shutdown();
    let asked = |id| format!("{id} 1 asked to stop within 5s");
    assert_eq!(app.news(), [asked("c"), asked("b")]);
    app.ends("b", ()).unwrap();
    let end = "app ended: stopped when asked to".to_owned();
    assert_eq!(app.news(), [asked("a"), end]);
}

/// 64.
#[test]
fn a_budget_is_shared() {
    let builder = app(Strategy::OneForOne, &["a", "b", "c"]).shutdown_budget(8 * SECOND);
    let mut app = up(builder);
    for id in ["a", "b", "c"] {
        app.ignores_stop(id, true);
    }
    app.shutdown();
    app.advance(HOUR);
    assert_eq!(
        app.news(),
        [
            "c 1 asked to stop within 5s",
            "c 1 abandoned",
            "b 1 asked to stop within 3s",
            "b 1 abandoned",
            "a 1 asked to stop within 0ns",
            "a 1 abandoned",
            "app ended: stopped when asked to",
        ]
    );
    assert_eq!(app.happened().last().unwrap().at, 8 * SECOND);
}

/// 74.
#[test]
fn a_significant_child_may_end_all() {
    let job = child("job").restart(Restart::Transient).significant(true);
    let builder = Supervisor::builder("app").auto_shutdown(AutoShutdown::AnySignificant);
    let mut app = up(builder.child(child("helper")).child(job));
    app.ends("job", ()).unwrap();
    assert_eq!(
        app.news(),
        [
            "helper 1 asked to stop within 5s",
            "app ended: stopped when asked to"
        ]
    );
}

fn with_pool() -> SupervisorBuilder {
    let pool = ChildSpec::supervisor("pool", || {
        Supervisor::builder("called by its id")
            .limit(1, HOUR)
            .child(child("worker"))
    });
    Supervisor::builder("app").child(pool).child(child("after"))
}

/// 41.
#[test]
fn a_branch_gives_up_and_its_supervisor_starts_it_again() {
    let mut app = Simulation::new(with_pool()).unwrap();
    app.start();
    assert_eq!(
        app.news(),
        [
            "pool 1 started",
            "pool/worker 1 started",
            "pool up",
            "after 1 started",
            "app up"
        ]
    );
    app.fails("pool/worker", "an error").unwrap();
    assert_eq!(app.news(), ["pool/worker 2 started"]);
    assert_eq!(app.children("pool")[0].restarts, 1);
    app.fails("pool/worker", "the last").unwrap();
    let why = "more than 1 restarts within 3600s; at last, worker failed: the last";
    let ended = format!("pool ended: gave up: {why}");
    let started = ["pool 2 started", "pool/worker 1 started", "pool up"];
    assert_eq!(app.news()[0], ended);
    assert_eq!(app.happened()[6].incarnation, 1, "of the pool");
    let last_exit = app.child("pool").unwrap().last_exit;
    assert!(matches!(last_exit, Some(ExitReason::GaveUp(_))));
    assert_eq!(app.children("pool")[0].restarts, 0);
    let told: Vec<_> = app.happened()[7..]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told, started);
}

#[test]
fn a_branch_that_does_not_start_is_a_child_that_does_not() {
    let mut app = Simulation::new(with_pool()).unwrap();
    app.fails_to_start("pool/worker", 1);
    app.start();
    let error = "child \"worker\" did not start: the system refused a thread: refused by the test";
    assert!(
        app.news()
            .contains(&format!("pool 1 did not start: {error}"))
    );
    assert!(matches!(app.ended(), Some(ExitReason::NotStarted(_))));

    let panics = ChildSpec::supervisor("panics", || panic!("not described"));
    let mut app = Simulation::new(Supervisor::builder("app").child(panics)).unwrap();
    app.start();
    assert!(
        app.news()[1].starts_with("panics 1 did not start: ended before it was ready: panicked")
    );
}

#[test]
fn a_branch_is_stopped_and_abandoned_with_all_below() {
    let pool = ChildSpec::supervisor("pool", || app(Strategy::OneForOne, &["a", "b"]));
    let pool = pool.stop(Stop::Within(2 * SECOND));
    let mut app = up(Supervisor::builder("app").child(pool));
    app.terminate("pool").unwrap();
    assert_eq!(
        app.news(),
        [
            "pool 1 asked to stop within 2s",
            "pool/b 1 asked to stop within 2s",
            "pool/a 1 asked to stop within 2s",
            "pool ended: stopped when asked to",
        ]
    );
    app.restart("pool").unwrap();
    app.ignores_stop("pool/b", true);
    app.terminate("pool").unwrap();
    let _before = app.news();
    app.advance(2 * SECOND);
    let news = app.news();
    assert!(news.contains(&"pool/b 1 abandoned".to_owned()), "{news:?}");
    assert!(news.last().unwrap().starts_with("pool"), "{news:?}");
    assert!(app.children("pool").is_empty());
    assert_eq!(app.next_due(), None);
}

/// 76, 78.
#[test]
fn a_branch_that_is_abandoned_and_did_not_start_is_over() {
    let mut simulation = up(Supervisor::builder("app").max_abandoned(1));
    simulation.ignores_stop("pool/a", true);
    // If they counted for ever, the second would be the end.
    for _ in 0..3 {
        let pool = ChildSpec::supervisor("pool", || {
            let a = child("a").stop(Stop::Within(HOUR));
            Supervisor::builder("pool").child(a).child(child("b"))
        });
        let pool = pool.critical(true).stop(Stop::Within(2 * SECOND));
        simulation.fails_to_start("pool/b", 1);
        simulation.start_child("", pool).unwrap();
        // It has begun to end, and waits for the one that does not listen.
        assert!(!simulation.news().iter().any(|news| news.contains("ended")));
        simulation.terminate("pool").unwrap();
        simulation.advance(2 * SECOND);
        let news = simulation.news();
        let over = [
            "pool 1 abandoned",
            "pool/a 1 abandoned",
            "pool 1 ended late",
        ];
        let mut all = over.iter();
        assert!(
            all.all(|&over| news.iter().any(|news| news == over)),
            "{news:?}"
        );
        let late = news.iter().filter(|news| news.ends_with("ended late"));
        assert_eq!(late.count(), 1);
        assert_eq!(simulation.count("").unwrap().abandoned, 0);
        assert!(simulation.ends_late("pool").is_err());
        simulation.delete("pool").unwrap();
    }
    assert!(simulation.ended().is_none());
}

#[test]
fn children_come_and_go_in_a_dynamic_supervisor() {
    let connections = ChildSpec::supervisor("connections", || {
        Supervisor::builder("connections")
            .strategy(Strategy::Dynamic)
            .max_children(2)
    });
    let mut app = up(Supervisor::builder("app").child(connections));
    for _ in 0..2 {
        let one = child("one").restart(Restart::Temporary);
        app.start_child("connections", one).unwrap();
    }
    assert_eq!(app.news(), ["connections/one 1 started"; 2]);
    let third = app.start_child("connections", child("one"));
    let Err(SimulationError::NotTaken { spec, error }) = third else {
        panic!("{third:?}");
    };
    assert_eq!((spec.id(), error), ("one", ControlError::Full { limit: 2 }));
    app.ends("connections/one", ()).unwrap();
    assert_eq!(app.count("connections").unwrap().active, 1);
    assert_eq!(app.news(), ["connections/one forgotten"]);
}

#[test]
fn children_come_and_go_by_hand() {
    let mut app = up(app(Strategy::OneForOne, &["a"]));
    app.start_child("", child("b")).unwrap();
    assert!(matches!(
        app.start_child("", child("b")),
        Err(SimulationError::NotTaken {
            error: ControlError::AlreadyStarted(_),
            ..
        })
    ));
    assert!(matches!(
        app.delete("b"),
        Err(SimulationError::Refused {
            error: ControlError::Running,
            ..
        })
    ));
    app.terminate("b").unwrap();
    app.restart("b").unwrap();
    app.terminate("b").unwrap();
    app.delete("b").unwrap();
    assert_eq!(
        app.news(),
        [
            "b 1 started",
            "b 1 asked to stop within 5s",
            "b 2 started",
            "b 2 asked to stop within 5s",
            "b forgotten"
        ]
    );
}

#[test]
fn another_specification_goes_for_the_next_end() {
    let mut app = up(app(Strategy::OneForOne, &["a"]));
    let temporary = child("a").restart(Restart::Temporary);
    app.change_child("", temporary).unwrap();
    assert_eq!(app.news(), [""; 0]);
    app.panics("a", "a panic").unwrap();
    assert_eq!(app.news(), ["a forgotten"]);
    let gone = app.change_child("", child("a"));
    assert!(matches!(
        gone,
        Err(SimulationError::NotTaken { spec, error: ControlError::NotFound }) if spec.id() == "a"
    ));
}

#[test]
fn a_panic_is_a_reason_like_any_other() {
    let mut app = up(app(Strategy::OneForOne, &["a"]));
    app.panics("a", "a panic").unwrap();
    let last_exit = app.child("a").unwrap().last_exit;
    let Some(ExitReason::Panicked(report)) = last_exit else {
        panic!("{last_exit:?}");
    };
    assert_eq!(report.to_string(), "a panic");
    assert_eq!(report.thread, "a");
}

#[test]
fn who_is_found_stuck_is_restarted_or_told_of() {
    let watch = Watch::new(SECOND, SECOND);
    let stuck = child("stuck").watch(watch.on_stuck(OnStuck::Restart));
    let told = child("told").watch(watch);
    let builder = Supervisor::builder("app").child(stuck).child(told);
    let mut app = up(builder.child(child("unwatched")));
    app.ignores_stop("stuck", true);
    app.is_found_stuck("stuck").unwrap();
    assert!(app.child("stuck").unwrap().stuck);
    assert!(matches!(
        app.is_found_stuck("stuck"),
        Err(SimulationError::NotRunning { .. })
    ));
    app.advance(5 * SECOND);
    app.is_found_stuck("told").unwrap();
    assert_eq!(
        app.news(),
        [
            "stuck 1 found stuck",
            "stuck 1 asked to stop within 5s",
            "stuck 1 abandoned",
            "stuck 2 started",
            "told 1 found stuck"
        ]
    );
    assert!(!app.child("stuck").unwrap().stuck);
    assert!(matches!(
        app.is_found_stuck("unwatched"),
        Err(SimulationError::NotWatched { path }) if path == "unwatched"
    ));
}

#[test]
fn an_application_ends_when_its_own_supervisor_gives_up() {
    let main = app(Strategy::OneForOne, &["a"]).limit(0, SECOND);
    let mut app = Simulation::of_application(Application::new(main)).unwrap();
    app.start();
    assert!(app.is_up());
    app.fails("bedplate/telemetry", "an error").unwrap();
    app.advance(HOUR);
    assert_eq!(app.child("bedplate/telemetry").unwrap().incarnation, 2);
    app.fails("main/a", "an error").unwrap();
    assert!(matches!(app.ended(), Some(ExitReason::GaveUp(why)) if why.child == "main"));
}

#[test]
fn partitions_are_supervisors_of_their_own() {
    let table = Partitions::new(2).unwrap();
    let partition = |_| app(Strategy::OneForOne, &["a"]).limit(0, SECOND);
    let builder = Supervisor::builder("app").partitions(&table, partition);
    let mut app = up(builder);
    app.fails("1/a", "an error").unwrap();
    assert_eq!(app.child("1").unwrap().incarnation, 2);
    assert_eq!(app.child("0").unwrap().incarnation, 1);
    assert!(table.partition(0).is_err(), "a simulation takes no seat");
}

#[test]
fn what_cannot_happen_is_said() {
    let mut app = up(with_pool());
    let missing = |result| matches!(result, Err(SimulationError::NoSuchChild { path }) if path.contains("nobody"));
    assert!(missing(app.fails("nobody", "")));
    assert!(missing(app.becomes_ready("pool/nobody")));
    assert!(missing(app.terminate("nobody/below")));
    assert!(
        matches!(app.ends("pool", ()), Err(SimulationError::IsSupervisor { path }) if path == "pool")
    );
    app.terminate("after").unwrap();
    assert!(matches!(
        app.ends("after", ()),
        Err(SimulationError::NotRunning { .. })
    ));
    let below = app.start_child("after", child("x"));
    assert!(matches!(below, Err(SimulationError::IsNoSupervisor { .. })));
    let bad = app.start_child("pool", child("a/b"));
    assert!(matches!(bad, Err(SimulationError::BadName { .. })));
    assert!(app.children("nobody").is_empty());
    assert!(app.count("after").is_none());
    let error = app.fails("nobody", "").unwrap_err();
    assert_eq!(error.to_string(), "there is no child \"nobody\"");
}

/// The same in each run, jitter included.
#[test]
fn a_simulation_repeats_itself() {
    let run = || {
        let jittery = Backoff::new(SECOND, HOUR).unwrap();
        let jittery = jittery.jitter_percent(50).unwrap();
        let builder = Supervisor::builder("app").limit(100, HOUR);
        let mut app = up(builder.child(child("a").backoff(jittery)));
        for _ in 0..10 {
            app.fails("a", "an error").unwrap();
            app.advance(app.next_due().unwrap_or_default());
        }
        app.happened().to_vec()
    };
    assert_eq!(run(), run());
}

#[test]
fn f108_one_critical_child_of_five_that_is_stuck_ends_it_and_another_does_not() {
    let watched = |id: &str| ChildSpec::worker(id, |_| {}).watch(Watch::new(HOUR, HOUR));
    let app = || {
        let five = ["a", "b", "c", "d", "e"].into_iter();
        let five = five.map(|id| watched(id).critical(true));
        let pool = Supervisor::builder("pool").child(watched("display"));
        let pool = five.fold(pool, |pool, child| pool.child(child));
        Supervisor::builder("app").child(ChildSpec::supervisor("pool", move || pool.clone()))
    };
    let mut sim = Simulation::new(app()).unwrap();
    assert!(!sim.health().ready, "it has not started");
    sim.start();
    assert_eq!(sim.health().to_string(), "live, ready");
    sim.is_found_stuck("pool/display").unwrap();
    assert_eq!(
        sim.health().to_string(),
        "live, ready, degraded\npool/display: stuck"
    );
    sim.is_found_stuck("pool/c").unwrap();
    let health = sim.health();
    assert!(!health.live && !health.ready);
    assert_eq!(
        health.degraded[1].to_string(),
        "pool/c (critical): stuck",
        "in their order"
    );

    // It is stopped by hand, does not listen, and is abandoned; later it ends.
    sim.ignores_stop("pool/c", true);
    sim.terminate("pool/c").unwrap();
    sim.advance(HOUR);
    sim.restart("pool/c").unwrap();
    let health = sim.health();
    assert!(!health.live && health.ready, "{health}");
    sim.ends_late("pool/c").unwrap();
    assert!(sim.health().live && sim.health().ready);

    // Without its supervisor nobody knows of it, so that is missed.
    sim.terminate("pool").unwrap();
    sim.advance(HOUR);
    let health = sim.health();
    assert!(!health.ready);
    assert!(health.to_string().contains("\npool (critical): stopped"));
}

#[test]
fn f110_a_simulated_check_answers_what_the_test_says() {
    let check = |id: &str| ChildSpec::check(id, SECOND, SECOND, || Ok::<(), &str>(()));
    let database = check("database").critical(true);
    let database = database.ready(Ready::Signalled { within: SECOND });
    let app = Supervisor::builder("app")
        .child(database)
        .child(check("cache"))
        .child(ChildSpec::worker("server", |_| {}));
    let mut sim = Simulation::new(app).unwrap();
    sim.start();
    assert!(!sim.is_up());
    sim.check_answers("database", Ok(())).unwrap();
    assert!(sim.is_up());
    assert_eq!(sim.health().to_string(), "live, ready");
    sim.check_answers("cache", Err("cold")).unwrap();
    sim.advance(SECOND);
    assert_eq!(
        sim.health().to_string(),
        "live, ready, degraded\ncache: check failed 1s ago: cold"
    );
    sim.check_answers("database", Err("refused")).unwrap();
    let health = sim.health();
    assert!(health.live && !health.ready);
    sim.check_answers("database", Ok(())).unwrap();
    assert!(sim.health().ready);
    assert!(matches!(
        sim.check_answers("server", Ok(())),
        Err(SimulationError::IsNoCheck { .. })
    ));
}
