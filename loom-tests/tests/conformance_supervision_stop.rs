//! Behaviour taken from the test suites of Erlang's `supervisor` and Elixir's `DynamicSupervisor`: how
//! supervisors stop, significant children, and changes while running. The rest, and what is not here, is
//! in `conformance_supervision.rs`.

use bedplate_core::supervision::{
    AutoShutdown, Backoff, ChildPlan, ChildState, ConfigError, ControlError, PlanError, Restart,
    Stop,
    Strategy::{Dynamic, OneForAll, OneForOne, RestForOne},
};
use core::time::Duration;
use loom_tests::script::{Script, config, p, temporary, transient};

const SECOND: Duration = Duration::from_secs(1);

fn within(limit: Duration) -> ChildPlan {
    ChildPlan::new(Restart::Permanent, Stop::Within(limit))
}

#[test]
fn s64_a_busy_child_is_given_up_on_after_its_limit() {
    for strategy in [OneForOne, Dynamic] {
        let children = [("idle", within(SECOND)), ("busy", within(SECOND))];
        let mut script = Script::up(config(strategy, 1), &children);
        script.shutdown();
        if strategy == Dynamic {
            script.end("idle");
            assert_eq!(script.wait(SECOND), "abandon busy1, end Shutdown");
        } else {
            assert_eq!(script.wait(SECOND), "abandon busy1, stop idle1");
            assert_eq!(script.end("idle"), "end Shutdown");
        }
    }
}

/// There is no kill; to be asked and not waited for is the nearest.
#[test]
fn s65_s71_no_time_at_all_and_all_the_time() {
    let forever = ChildPlan::new(Restart::Permanent, Stop::Forever);
    let children = [("a", within(Duration::ZERO)), ("b", forever)];
    let mut script = Script::up(config(OneForOne, 1), &children);
    assert_eq!(script.shutdown(), "stop b1");
    assert_eq!(script.wait(1_000_000 * SECOND), "");
    assert_eq!(script.end("b"), "stop a1");
    assert_eq!(script.wait(Duration::ZERO), "abandon a1, end Shutdown");
}

#[test]
fn s67_dynamic_limits_run_in_parallel() {
    let children = [
        ("a", within(2 * SECOND)),
        ("b", within(2 * SECOND)),
        ("c", within(2 * SECOND)),
    ];
    let mut script = Script::up(config(Dynamic, 1), &children);
    assert_eq!(script.shutdown(), "stop a1, stop b1, stop c1");
    script.wait(SECOND);
    script.end("a");
    script.end("b");
    assert_eq!(script.wait(SECOND), "abandon c1, end Shutdown");
}

#[test]
fn s70_a_permanent_child_that_ends_when_asked_is_not_restarted() {
    for strategy in [OneForOne, Dynamic] {
        let mut script = Script::up(config(strategy, 1), &[("a", p())]);
        script.shutdown();
        assert_eq!(script.end("a"), "end Shutdown");
    }
}

#[test]
fn s76_s77_a_significant_child_and_any() {
    let any = || config(OneForOne, 9).auto_shutdown(AutoShutdown::AnySignificant);
    for (plan, crash, clean) in [
        (temporary(), "forget a, stop b1", "forget a, stop b1"),
        (transient(), "start a2", "stop b1"),
    ] {
        let up = || Script::up(any(), &[("a", plan.significant(true)), ("b", p())]);
        let mut script = up();
        script.terminate("a").unwrap();
        script.end("a");
        assert_eq!(script.state("b"), Some(ChildState::Running));
        assert_eq!(up().crash("a"), crash);
        let mut script = up();
        assert_eq!(script.end("a"), clean);
        assert_eq!(script.end("b"), "end AutoShutdown");
    }
}

/// The cases that follow S77 in OTP's suite, for *all*.
#[test]
fn all_significant_children_have_to_end() {
    let all = config(OneForOne, 9).auto_shutdown(AutoShutdown::AllSignificant);
    let significant = transient().significant(true);
    let backoff = Backoff::new(SECOND, SECOND).unwrap();
    let children = [
        ("a", significant),
        ("b", significant.backoff(backoff)),
        ("c", transient()),
    ];
    let mut script = Script::up(all, &children);
    assert_eq!(script.end("c"), "");
    script.crash("b");
    script.ready("b");
    script.crash("b");
    assert_eq!(script.states(), ["a+", "b~", "c."]);
    // The other one does not run, but will.
    assert_eq!(script.end("a"), "");
    assert_eq!(script.wait(SECOND), "start b3");
    script.ready("b");
    assert_eq!(script.end("b"), "end AutoShutdown");
}

#[test]
fn s80_significant_bystanders_end_nobody() {
    for strategy in [OneForAll, RestForOne] {
        let any = config(strategy, 9).auto_shutdown(AutoShutdown::AnySignificant);
        let children = [
            ("a", p()),
            ("b", temporary().significant(true)),
            ("c", transient().significant(true)),
        ];
        let mut script = Script::up(any, &children);
        assert_eq!(script.crash("a"), "stop c1");
        assert_eq!(script.end("c"), "stop b1");
        assert_eq!(script.end("b"), "forget b, start a2");
        assert_eq!(script.ready("a"), "start c2");
    }
}

#[test]
fn s82_auto_shutdown_changes_while_running() {
    let modes = [
        AutoShutdown::Never,
        AutoShutdown::AnySignificant,
        AutoShutdown::AllSignificant,
    ];
    for before in modes {
        for after in modes {
            let mut script = Script::up(config(OneForOne, 0).auto_shutdown(before), &[]);
            let with = config(OneForOne, 0).auto_shutdown(AutoShutdown::AnySignificant);
            // Significant children can be added under the other two only.
            script.machine().reconfigure(&with).unwrap();
            for name in ["a", "b", "c"] {
                script
                    .start_child(name, transient().significant(name != "c"))
                    .unwrap();
                script.ready(name);
            }
            for mode in [before, after] {
                let config = config(OneForOne, 0).auto_shutdown(mode);
                script.machine().reconfigure(&config).unwrap();
            }
            assert_eq!(script.end("c"), "");
            let first = script.end("a");
            assert_eq!(
                first,
                if after == AutoShutdown::AnySignificant {
                    "stop b1"
                } else {
                    ""
                }
            );
            let second = script.end("b");
            assert_eq!(
                second,
                if after == AutoShutdown::Never {
                    ""
                } else {
                    "end AutoShutdown"
                }
            );
        }
    }
}

#[test]
fn s83_a_child_becomes_significant_and_ceases_to_be() {
    let significant = transient().significant(true);
    let mut script = Script::up(config(OneForOne, 9), &[("a", transient())]);
    let refused = ControlError::BadPlan(PlanError::SignificantUnderNever);
    assert_eq!(script.change("a", significant), Err(refused));
    let any = || config(OneForOne, 9).auto_shutdown(AutoShutdown::AnySignificant);
    let mut script = Script::up(any(), &[("a", transient())]);
    script.change("a", significant).unwrap();
    assert_eq!(script.end("a"), "end AutoShutdown");
    let mut script = Script::up(any(), &[("a", significant)]);
    script.change("a", transient()).unwrap();
    assert_eq!(script.end("a"), "");
}

#[test]
fn another_limit_another_strategy_while_running() {
    let mut script = Script::up(config(OneForOne, 1), &[("a", p()), ("b", p())]);
    script.crash("a");
    script.ready("a");
    script.machine().reconfigure(&config(OneForAll, 2)).unwrap();
    assert_eq!(script.crash("a"), "stop b1"); // the second restart, with its group
    assert_eq!(script.end("b"), "start a3");
    script.ready("a");
    script.ready("b");
    script
        .machine()
        .reconfigure(&config(RestForOne, 2))
        .unwrap();
    assert_eq!(script.crash("b"), "stop a3"); // the third: the supervisor stops
    let dynamic = script.machine().reconfigure(&config(Dynamic, 2));
    assert_eq!(dynamic, Err(ConfigError::ChildrenInTheWay));
}
