//! Behaviour taken from the test suites of Erlang's `supervisor` and Elixir's `DynamicSupervisor`. The numbers are those of the
//! project's list of conformance cases. How to read the words is said in `loom_tests::script`.
//!
//! Where ours differs on purpose, the test says so. Not here, because a machine without threads cannot decide
//! it: what a start function returns or throws (S1, S5, S14, S17), names (S62), links and exit signals
//! (S68, S73), templates of dynamic children (S85), partitions (S86–S89, in `std/tests/partitions_are_supervised_apart.rs`). How supervisors stop and change (S64–S83) is
//! in `conformance_supervision_stop.rs`. A bad strategy, an infinite intensity
//! and most bad specifications (S10, S11) cannot be said in Rust.

use bedplate_core::supervision::{
    AutoShutdown, Backoff, ChildPlan, Config, ConfigError, ControlError, GrowingChildren,
    IntensityError, Kind, Machine, PlanError, Ready, Restart, RestartIntensity, Stop, Strategy,
    Strategy::{Dynamic, OneForAll, OneForOne, RestForOne},
};
use core::time::Duration;
use loom_tests::script::{Script, config, p, temporary, transient};
use std::sync::LazyLock;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn s2_a_child_that_declines_is_kept_and_does_not_run() {
    let mut script = Script::up(config(OneForOne, 3), &[("a", p())]);
    assert_eq!(script.start_child("b", p()).unwrap(), "start b1");
    assert_eq!(script.decline("b"), "b Declined");
    assert_eq!(script.states(), ["a+", "b."]);
    let count = script.machine().count();
    assert_eq!((count.specs, count.active, count.workers), (2, 1, 2));
}

#[test]
fn s4_s50_a_dynamic_child_that_declines_is_not_kept() {
    let mut script = Script::up(config(Dynamic, 3), &[]);
    script.start_child("a", p()).unwrap();
    assert_eq!(script.decline("a"), "a Declined, forget a");
    script.start_child("b", transient()).unwrap();
    script.ready("b");
    assert_eq!(script.crash("b"), "start b2");
    assert_eq!(script.decline("b"), "forget b");
    assert_eq!(script.shutdown(), "end Shutdown");
}

#[test]
fn s7_a_restart_by_hand_that_fails_leaves_the_child_stopped() {
    let mut script = Script::up(config(OneForOne, 3), &[("a", p())]);
    script.terminate("a").unwrap();
    script.end("a");
    assert_eq!(script.restart("a").unwrap(), "start a2");
    assert_eq!(script.fail("a"), "a StartFailed");
    assert_eq!(script.states(), ["a."]);
}

#[test]
fn s8_what_is_not_said_is_as_in_otp() {
    let plan = ChildPlan::default();
    assert_eq!(plan.restart, Restart::Permanent);
    assert_eq!(plan.kind, Kind::Worker);
    assert_eq!(plan.stop, Stop::Within(5 * SECOND));
    assert_eq!((plan.ready, plan.backoff), (Ready::OnStart, Backoff::NONE));
    assert!(!plan.significant);
    let plan = ChildPlan::supervisor();
    assert_eq!((plan.kind, plan.stop), (Kind::Supervisor, Stop::Forever));
}

#[test]
fn s10_bad_flags_are_told_apart() {
    let zero = RestartIntensity::<1>::new(1, Duration::ZERO);
    assert_eq!(zero.unwrap_err(), IntensityError::ZeroPeriod);
    let high = RestartIntensity::<1>::new(2, SECOND);
    assert!(matches!(
        high,
        Err(IntensityError::TooHigh {
            intensity: 2,
            most: 1
        })
    ));
    let check = |config: Config<1_024>| config.check();
    let dynamic = config(Dynamic, 1).auto_shutdown(AutoShutdown::AllSignificant);
    assert_eq!(check(dynamic), Err(ConfigError::DynamicAutoShutdown)); // S79
    let many = config(OneForOne, 1).max_abandoned(17);
    assert_eq!(check(many), Err(ConfigError::MaxAbandonedTooHigh));
}

#[test]
fn s11_s13_bad_plans_are_refused_alike_wherever_they_are_said() {
    let zero = p().ready(Ready::Signalled {
        within: Duration::ZERO,
    });
    for (plan, auto, error) in [
        (zero, AutoShutdown::Never, PlanError::NoTimeToBeReady),
        (
            p().significant(true),
            AutoShutdown::AnySignificant,
            PlanError::SignificantPermanent,
        ),
        (
            transient().significant(true),
            AutoShutdown::Never,
            PlanError::SignificantUnderNever,
        ),
    ] {
        assert_eq!(plan.check(OneForOne, auto), Err(error));
        let config = || config(OneForOne, 1).auto_shutdown(auto);
        let refused = Err(ControlError::BadPlan(error));
        assert_eq!(Script::new(config(), &[]).add("a", plan), refused);
        let mut script = Script::up(config(), &[("b", p())]);
        assert_eq!(script.start_child("a", plan).map(drop), refused);
        assert_eq!(script.change("b", plan), refused);
        assert_eq!(script.states(), ["b+"]);
    }
}

#[test]
fn s16_five_children_start_in_order() {
    let children = ["a", "b", "c", "d", "e"].map(|name| (name, p()));
    let mut script = Script::new(config(OneForAll, 1), &children);
    assert_eq!(script.start(), "start a1");
    for (name, next) in [
        ("a", "start b1"),
        ("b", "start c1"),
        ("c", "start d1"),
        ("d", "start e1"),
        ("e", "up"),
    ] {
        assert_eq!(script.started(name), next);
    }
}

#[test]
fn s19_what_is_not_there_is_not_found() {
    let mut script = Script::up(config(OneForOne, 1), &[("a", p()), ("b", temporary())]);
    let gone = script.present("b").child;
    script.crash("b");
    let now = bedplate_core::clock::Instant::ZERO;
    let machine = script.machine();
    let not_found = Err(ControlError::NotFound);
    assert_eq!(machine.terminate(now, gone).map(drop), not_found);
    assert_eq!(machine.restart(now, gone).map(drop), not_found);
    assert_eq!(machine.delete(gone), not_found);
    assert_eq!(machine.change(gone, p()), not_found);
    assert!(machine.find(&"b").is_none());
}

#[test]
fn s20_terminating_twice_is_as_good_as_once() {
    let mut script = Script::up(config(OneForOne, 1), &[("a", p())]);
    script.terminate("a").unwrap();
    assert_eq!(script.terminate("a").unwrap(), ""); // both will be told
    assert_eq!(script.end("a"), "a Stopped");
    assert_eq!(script.terminate("a").unwrap(), "a Stopped");
}

#[test]
fn s22_another_supervisors_child_is_not_found() {
    let other = Script::up(config(OneForOne, 1), &[("a", p()), ("b", p())]);
    let stranger = other.present("b").child;
    let mut script = Script::up(config(OneForOne, 1), &[("a", p())]);
    let now = bedplate_core::clock::Instant::ZERO;
    let terminated = script.machine().terminate(now, stranger).map(drop);
    assert_eq!(terminated, Err(ControlError::NotFound));
    assert_eq!(other.states(), ["a+", "b+"]);
}

#[test]
fn s23_dynamic_children_are_known_by_key_only() {
    let mut script = Script::up(config(Dynamic, 3), &[]);
    script.start_child("a", p()).unwrap();
    script.ready("a");
    assert_eq!(script.restart("a"), Err(ControlError::Dynamic));
    assert_eq!(script.delete("a"), Err(ControlError::Dynamic));
    let named = script
        .machine()
        .start_child(bedplate_core::clock::Instant::ZERO, Some("x"), p());
    assert_eq!(named.map(drop), Err(ControlError::Dynamic));
    assert_eq!(script.terminate("a").unwrap(), "stop a1");
    assert_eq!(script.end("a"), "a Stopped, forget a");
    // As DynamicSupervisor; OTP would say ok.
    assert_eq!(script.terminate("a"), Err(ControlError::NotFound));
}

#[test]
fn s25_many_dynamic_children_are_counted() {
    let mut script = Script::up(config(Dynamic, 3), &[]);
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| (0..2_000).map(|n| format!("w{n}-")).collect());
    for name in NAMES.iter() {
        script.start_child(name, temporary()).unwrap();
        script.ready(name);
    }
    for _ in 0..2 {
        let count = script.machine().count();
        assert_eq!(
            (count.specs, count.active, count.workers),
            (2_000, 2_000, 2_000)
        );
        assert_eq!(script.states().len(), 2_000);
    }
    for name in NAMES.iter() {
        script.crash(name);
    }
    // OTP's count has one specification left: its template, which the driver keeps here.
    assert_eq!(script.machine().count().specs, 0);
}

#[test]
fn s26_who_cannot_be_restarted_is_counted_but_not_as_active() {
    let mut script = Script::up(config(Dynamic, 100), &[]);
    for name in ["a", "b", "c"] {
        script.start_child(name, p()).unwrap();
        script.ready(name);
    }
    for name in ["a", "b"] {
        script.crash(name);
        script.fail(name);
    }
    let count = script.machine().count();
    assert_eq!((count.specs, count.active, count.workers), (3, 1, 3));
    script.ready("a");
    script.ready("b");
    assert_eq!(script.machine().count().active, 3);
}

/// How many steps it takes is what is checked: each of them takes O(log children).
#[test]
fn s28_s29_ten_thousand_children_come_and_go() {
    for strategy in [Dynamic, OneForOne] {
        let limit = RestartIntensity::<1>::new(1, SECOND).unwrap();
        let children = GrowingChildren::<u32>::new(10_000);
        let mut machine = Machine::new(Config::new(strategy, limit), children).unwrap();
        let now = bedplate_core::clock::Instant::ZERO;
        let mut say = machine
            .step(now, bedplate_core::supervision::Event::Start)
            .unwrap();
        assert!(say.next().is_some());
        drop(say);
        for round in 0..2 {
            let mut keys = Vec::new();
            for name in 0..10_000 {
                let id = (strategy != Dynamic).then_some(name);
                let (key, actions) = machine.start_child(now, id, temporary()).unwrap();
                assert_eq!(actions.count(), 1);
                keys.push(key);
            }
            assert_eq!(machine.count().specs, 10_000);
            let full = machine.start_child(now, None, temporary()).map(drop);
            assert_eq!(full, Err(ControlError::Full { limit: 10_000 }));
            for child in keys {
                let id = bedplate_core::supervision::IncarnationId { child, number: 1 };
                machine
                    .step(now, bedplate_core::supervision::Event::Started(id))
                    .unwrap()
                    .for_each(drop);
                machine.terminate(now, child).unwrap().for_each(drop);
                let exit = bedplate_core::supervision::Exit::Clean;
                let exited = bedplate_core::supervision::Event::Exited(id, exit);
                assert_eq!(
                    machine.step(now, exited).unwrap().count(),
                    2,
                    "round {round}"
                );
            }
            assert_eq!(machine.count().specs, 0);
        }
    }
}

#[test]
fn s31_an_id_is_free_again_when_its_child_is_forgotten() {
    let mut script = Script::up(
        config(OneForOne, 9),
        &[("t", temporary()), ("T", transient()), ("p", p())],
    );
    script.crash("t");
    assert_eq!(script.start_child("t", temporary()).unwrap(), "start t1");
    script.end("T");
    let present = script.start_child("T", transient());
    assert!(matches!(present, Err(ControlError::AlreadyPresent(_))));
    let started = script.start_child("p", p());
    assert!(matches!(started, Err(ControlError::AlreadyStarted(_))));
}

#[test]
fn s32_s34_s35_who_is_restarted() {
    for (plan, clean, crash) in [
        (p(), "start a2", "start a2"),
        (transient(), "", "start a2"),
        (temporary(), "forget a", "forget a"),
    ] {
        let up = || Script::up(config(OneForOne, 1), &[("a", plan)]);
        assert_eq!(up().end("a"), clean);
        assert_eq!(up().crash("a"), crash);
    }
}

#[test]
fn s37_s38_one_for_one_up_to_its_intensity() {
    let mut script = Script::up(config(OneForOne, 2), &[("a", p()), ("b", p())]);
    assert_eq!(script.crash("a"), "start a2");
    script.ready("a");
    assert_eq!(script.present("b").number, 1);
    assert_eq!(script.crash("b"), "start b2");
    script.ready("b");
    assert_eq!(script.crash("a"), "stop b2");
    assert_eq!(script.end("b"), "end GaveUp");
}

#[test]
fn s40_s56_retries_consume_the_intensity() {
    for (strategy, intensity) in [(OneForOne, 4), (Dynamic, 1), (Dynamic, 10)] {
        let mut script = Script::up(config(strategy, intensity), &[("a", p()), ("b", p())]);
        script.crash("a");
        for attempt in 3..=intensity + 1 {
            assert_eq!(script.fail("a"), format!("start a{attempt}"));
        }
        assert_eq!(script.fail("a"), "stop b1");
        assert_eq!(script.end("b"), "end GaveUp");
    }
}

#[test]
fn s41_one_for_all_up_to_its_intensity() {
    let mut script = Script::up(config(OneForAll, 2), &[("a", p()), ("b", p())]);
    for round in 1..=2 {
        let next = round + 1;
        assert_eq!(script.crash("a"), format!("stop b{round}"));
        assert_eq!(script.end("b"), format!("start a{next}"));
        assert_eq!(script.ready("a"), format!("start b{next}"));
        script.ready("b");
    }
    assert_eq!(script.crash("b"), "stop a3");
    assert_eq!(script.end("a"), "end GaveUp");
}

#[test]
fn s43_a_failed_start_in_one_for_all_begins_the_round_again() {
    let mut script = Script::up(config(OneForAll, 3), &[("a", p()), ("b", p())]);
    script.crash("b");
    assert_eq!(script.end("a"), "start a2");
    assert_eq!(script.ready("a"), "start b2");
    assert_eq!(script.fail("b"), "stop a2");
    assert_eq!(script.end("a"), "start a3");
    assert_eq!(script.ready("a"), "start b3");
}

#[test]
fn s44_s46_rest_for_one() {
    let children = [("1-", p()), ("2-", p()), ("3-", p())];
    let mut script = Script::up(config(RestForOne, 3), &children);
    assert_eq!(script.crash("2-"), "stop 3-1");
    assert_eq!(script.end("3-"), "start 2-2");
    assert_eq!(script.ready("2-"), "start 3-2");
    script.ready("3-");
    assert_eq!(script.present("1-").number, 1);

    // The second can never run again.
    let mut script = Script::up(config(RestForOne, 3), &children);
    script.crash("1-");
    script.end("3-");
    assert_eq!(script.end("2-"), "start 1-2");
    assert_eq!(script.ready("1-"), "start 2-2");
    assert_eq!(script.fail("2-"), "start 2-3");
    assert_eq!(script.fail("2-"), "start 2-4");
    assert_eq!(script.fail("2-"), "stop 1-2");
    assert_eq!(script.end("1-"), "end GaveUp");
}

#[test]
fn s47_rest_for_one_of_five() {
    let children = ["a", "b", "c", "d", "e"].map(|name| (name, p()));
    let mut script = Script::up(config(RestForOne, 3), &children);
    assert_eq!(script.crash("c"), "stop e1");
    assert_eq!(script.end("e"), "stop d1");
    assert_eq!(script.end("d"), "start c2");
    assert_eq!(script.ready("c"), "start d2");
    assert_eq!(script.ready("d"), "start e2");
}

#[test]
fn s49_a_dynamic_child_that_cannot_restart_ends_all() {
    let mut script = Script::up(config(Dynamic, 1), &[("a", p()), ("b", p()), ("c", p())]);
    script.crash("b");
    assert_eq!(script.fail("b"), "stop a1, stop c1");
    script.end("c");
    assert_eq!(script.end("a"), "end GaveUp");
}

/// Ours never hangs; what OTP's clients see between two attempts, ours see during one.
#[test]
fn s52_s53_s74_a_failing_restart_loop_is_no_obstacle() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let looping = || {
            let mut script = Script::up(config(strategy, 1_000), &[("a", p())]);
            script.crash("a");
            for _ in 0..100 {
                script.fail("a");
            }
            script
        };
        let mut script = looping();
        let present = script.start_child("a", p());
        assert!(matches!(present, Err(ControlError::AlreadyPresent(_))));
        assert_eq!(script.restart("a"), Err(ControlError::Restarting));
        assert_eq!(script.delete("a"), Err(ControlError::Restarting));
        assert_eq!(script.machine().count().active, 0);
        assert_eq!(script.terminate("a").unwrap(), "stop a102");
        assert_eq!(script.fail("a"), "a Stopped");
        assert_eq!(script.states(), ["a."]);
        let mut script = looping();
        assert_eq!(script.shutdown(), "stop a102");
        assert_eq!(script.fail("a"), "end Shutdown");
    }
    let mut script = Script::up(config(Dynamic, 1_000), &[]);
    script.start_child("a", p()).unwrap();
    script.ready("a");
    script.crash("a");
    script.fail("a");
    script.terminate("a").unwrap();
    assert_eq!(script.fail("a"), "a Stopped, forget a");
    assert_eq!(script.terminate("a"), Err(ControlError::NotFound));
    assert_eq!(script.machine().count().specs, 0);
}

#[test]
fn s55_the_second_attempt_may_work() {
    let mut script = Script::up(config(Dynamic, 2), &[("a", p())]);
    script.crash("a");
    assert_eq!(script.fail("a"), "start a3");
    script.ready("a");
    assert_eq!(script.states(), ["a+"]);
}

#[test]
fn s58_max_children_counts_whoever_is_there() {
    let mut none = Script::up(config(Dynamic, 9).max_children(0), &[]);
    assert_eq!(
        none.start_child("a", p()),
        Err(ControlError::Full { limit: 0 })
    );
    let mut one = Script::up(config(Dynamic, 9).max_children(1), &[]);
    one.start_child("a", p()).unwrap();
    let full = Err(ControlError::Full { limit: 1 });
    assert_eq!(one.start_child("b", p()), full); // while it starts
    one.ready("a");
    assert_eq!(one.start_child("b", p()), full);
    one.crash("a");
    one.fail("a");
    assert_eq!(one.start_child("b", p()), full); // while it restarts
    one.terminate("a").unwrap();
    one.fail("a");
    assert_eq!(one.start_child("b", p()).unwrap(), "start b1");
}

#[test]
fn s59_a_start_that_fails_is_told_and_forgotten() {
    for strategy in [Dynamic, OneForOne, OneForAll, RestForOne] {
        let mut script = Script::up(config(strategy, 0), &[("a", p())]);
        script.start_child("b", p()).unwrap();
        assert_eq!(script.fail("b"), "b StartFailed, forget b");
        assert_eq!(script.states(), ["a+"]);
    }
}

/// A rebuilt supervisor has the children it was built with; the machine itself is not used again.
#[test]
fn s61_what_was_added_by_hand_is_not_rebuilt() {
    let build = || Script::up(config(OneForOne, 0), &[("a", p())]);
    let mut inner = build();
    inner.start_child("b", p()).unwrap();
    inner.ready("b");
    assert_eq!(inner.crash("a"), "stop b1");
    assert_eq!(inner.end("b"), "end GaveUp");
    assert_eq!(build().states(), ["a+"]);
}

#[test]
fn what_is_asked_for_too_early_or_too_late_is_refused() {
    let mut script = Script::new(config(OneForOne, 1), &[("a", p())]);
    let early = Err(ControlError::NotStarted);
    assert_eq!(script.start_child("b", p()), early);
    assert_eq!(script.terminate("a"), early);
    assert_eq!(script.restart("a"), early);
    script.start();
    assert_eq!(script.add("b", p()), Err(ControlError::AlreadyUp));
    script.ready("a");
    script.shutdown();
    let late = Err(ControlError::ShuttingDown);
    assert_eq!(script.add("b", p()), Err(ControlError::ShuttingDown));
    assert_eq!(script.start_child("b", p()), late);
    assert_eq!(script.terminate("a"), late);
    assert_eq!(script.restart("a"), late);
    assert_eq!(script.delete("a"), Err(ControlError::ShuttingDown));
    assert_eq!(script.change("a", p()), Err(ControlError::ShuttingDown));
}

#[test]
fn what_was_added_during_the_start_takes_its_turn() {
    let mut script = Script::new(config(RestForOne, 1), &[("a", p()), ("b", p())]);
    script.start();
    assert_eq!(script.start_child("c", p()).unwrap(), "");
    assert_eq!(script.ready("a"), "start b1");
    assert_eq!(script.ready("b"), "start c1");
    // So does what is added while the last one starts.
    assert_eq!(script.start_child("d", p()).unwrap(), "");
    // Its failure is its own.
    assert_eq!(script.fail("c"), "c StartFailed, forget c, start d1");
    assert_eq!(script.ready("d"), "d Started, up");
}

#[test]
fn strategies_are_what_they_are_called() {
    let strategies: [Strategy; 4] = [OneForOne, OneForAll, RestForOne, Dynamic];
    for strategy in strategies {
        let mut script = Script::new(config(strategy, 0), &[]);
        assert_eq!(script.machine().strategy(), strategy);
        assert_eq!(script.machine().limit().intensity(), 0);
    }
}
