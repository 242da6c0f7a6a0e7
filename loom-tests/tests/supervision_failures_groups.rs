//! What can go wrong when children are restarted or stopped together. The numbers are those of the project's
//! list of failure cases; the rest is in `supervision_failures.rs`.

use bedplate_core::supervision::{
    AutoShutdown, Backoff, ChildState, ControlError, Event, Exit, Overrun, Ready, Strategy,
    Strategy::{Dynamic, OneForAll, OneForOne, RestForOne},
};
use core::time::Duration;
use loom_tests::script::{Script, config, p, temporary, transient};
use std::sync::LazyLock;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn abcd(strategy: Strategy) -> Script {
    let children = [("a", p()), ("b", p()), ("c", p()), ("d", p())];
    Script::up(config(strategy, 10), &children)
}

/// 10 ms, 20 ms, … at most 100 ms.
fn backoff() -> Backoff {
    Backoff::new(10 * MS, 100 * MS).unwrap()
}

#[test]
fn f52_rest_for_one() {
    let mut script = abcd(RestForOne);
    assert_eq!(script.crash("b"), "stop d1");
    assert_eq!(script.end("d"), "stop c1");
    assert_eq!(script.end("c"), "start b2");
    assert_eq!(script.ready("b"), "start c2");
    assert_eq!(script.ready("c"), "start d2");
    assert_eq!(script.ready("d"), "");
    assert_eq!(script.present("a").number, 1);
}

#[test]
fn f53_one_for_all() {
    let mut script = abcd(OneForAll);
    assert_eq!(script.crash("b"), "stop d1");
    assert_eq!(script.end("d"), "stop c1");
    assert_eq!(script.end("c"), "stop a1");
    assert_eq!(script.end("a"), "start a2");
    assert_eq!(script.ready("a"), "start b2");
    assert_eq!(script.ready("b"), "start c2");
    assert_eq!(script.ready("c"), "start d2");
}

#[test]
fn f54_f55_a_group_and_what_is_not_permanent() {
    let children = [
        ("a", p()),
        ("t", temporary()),
        ("u", temporary()),
        ("T", transient()),
    ];
    let mut script = Script::up(config(OneForAll, 9), &children);
    assert_eq!(script.end("t"), "forget t");
    assert_eq!(script.end("T"), "");
    assert_eq!(script.crash("a"), "stop u1");
    assert_eq!(script.end("u"), "forget u, start a2");
    // As in OTP, a group starts as a whole, also a child that had ended.
    assert_eq!(script.ready("a"), "start T2");
    script.ready("T");
    assert_eq!(script.states(), ["a+", "T+"]);
}

#[test]
fn f56_a_crash_of_a_child_that_is_being_stopped_is_its_end() {
    let mut script = abcd(RestForOne);
    script.crash("b");
    script.end("d");
    assert_eq!(script.states(), ["a+", "b?", "cv", "d?"]);
    assert_eq!(script.crash("c"), "start b2");
    script.ready("b");
    script.ready("c");
    script.ready("d");
    assert_eq!(script.present("c").number, 2);
}

#[test]
fn f57_a_crash_before_the_group_folds_itself_in() {
    let mut script = abcd(RestForOne);
    assert_eq!(script.crash("b"), "stop d1");
    assert_eq!(script.crash("a"), "");
    assert_eq!(script.end("d"), "stop c1");
    assert_eq!(script.end("c"), "start a2");
    assert_eq!(script.ready("a"), "start b2");
    assert_eq!(script.ready("b"), "start c2");
    assert_eq!(script.ready("c"), "start d2");
    script.ready("d");
    assert_eq!(script.states(), ["a+", "b+", "c+", "d+"]);
}

#[test]
fn f58_a_sibling_that_ignores_its_stop_does_not_hold_up_the_group() {
    let mut script = abcd(RestForOne);
    let d = script.present("d");
    assert_eq!(script.crash("b"), "stop d1");
    assert_eq!(script.wait(5 * SECOND), "abandon d1, stop c1");
    assert_eq!(script.machine().count().abandoned, 1);
    assert_eq!(script.end("c"), "start b2");
    script.ready("b");
    assert_eq!(script.ready("c"), "start d2");
    script.ready("d");
    assert_eq!(script.tell(Event::Exited(d, Exit::Clean)), "late d1");
    assert_eq!(script.machine().count().abandoned, 0);
    assert_eq!(script.states(), ["a+", "b+", "c+", "d+"]);
}

#[test]
fn f59_a_failed_start_in_a_group_counts_and_the_rest_waits() {
    let children = [
        ("a", p()),
        ("b", p().backoff(backoff())),
        ("c", p()),
        ("d", p()),
    ];
    let mut script = Script::up(config(RestForOne, 2), &children);
    script.crash("b");
    script.end("d");
    assert_eq!(script.end("c"), "start b2");
    assert_eq!(script.fail("b"), "");
    assert_eq!(script.states(), ["a+", "b~", "c?", "d?"]);
    assert_eq!(script.restart("c"), Err(ControlError::Restarting));
    assert_eq!(script.wait(10 * MS), "start b3");
    assert_eq!(script.ready("b"), "start c2");
    assert_eq!(script.ready("c"), "start d2");
    script.ready("d");
    assert_eq!(script.crash("a"), "stop d2"); // the third: the supervisor stops
    for (name, next) in [("d", "stop c2"), ("c", "stop b3"), ("b", "end GaveUp")] {
        assert_eq!(script.end(name), next);
    }
}

#[test]
fn f60_two_crashes_at_once_in_one_group_are_one_cycle() {
    let children = [("a", p()), ("b", p()), ("c", p()), ("d", p())];
    let mut script = Script::up(config(OneForAll, 1), &children);
    assert_eq!(script.crash("b"), "stop d1");
    // Counted once, as in OTP: the second was about to be stopped.
    assert_eq!(script.crash("c"), "");
    assert_eq!(script.end("d"), "stop a1");
    assert_eq!(script.end("a"), "start a2");
    assert_eq!(script.ready("a"), "start b2");
    assert_eq!(script.ready("b"), "start c2");
    assert_eq!(script.ready("c"), "start d2");
}

#[test]
fn f62_each_is_asked_after_the_one_behind_it_ended() {
    let children = ["a", "b", "c", "d", "e"].map(|name| (name, p()));
    let mut script = Script::up(config(OneForOne, 3), &children);
    assert_eq!(script.shutdown(), "stop e1");
    for (name, next) in [
        ("e", "stop d1"),
        ("d", "stop c1"),
        ("c", "stop b1"),
        ("b", "stop a1"),
        ("a", "end Shutdown"),
    ] {
        assert_eq!(script.end(name), next);
    }
}

#[test]
fn f63_dynamic_children_are_asked_all_at_once() {
    let mut script = Script::up(config(Dynamic, 3), &[]);
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| (0..1_000).map(|n| format!("w{n}-")).collect());
    for name in NAMES.iter() {
        script.start_child(name, p()).unwrap();
        assert_eq!(script.ready(name), format!("{name} Started"));
    }
    let stops: Vec<_> = NAMES.iter().map(|name| format!("stop {name}1")).collect();
    assert_eq!(script.shutdown(), stops.join(", "));
    for name in &NAMES[..999] {
        assert_eq!(script.end(name), "");
    }
    assert_eq!(script.wait(5 * SECOND - NANO), "");
    assert_eq!(script.wait(NANO), "abandon w999-1, end Shutdown");
}

#[test]
fn f64_a_budget_cuts_the_limits_of_all() {
    let children = ["a", "b", "c", "d", "e"].map(|name| (name, p()));
    let budget = config(OneForOne, 3).shutdown_budget(8 * SECOND);
    let mut script = Script::up(budget, &children);
    assert_eq!(script.shutdown(), "stop e1");
    assert_eq!(script.wait(5 * SECOND), "abandon e1, stop d1");
    assert_eq!(script.wait(3 * SECOND - NANO), "");
    let rest =
        "abandon d1, stop c1, abandon c1, stop b1, abandon b1, stop a1, abandon a1, end Shutdown";
    assert_eq!(script.wait(NANO), rest);
    assert_eq!(script.machine().count().abandoned, 5);
}

#[test]
fn f64_a_limit_from_above_cuts_the_budget_and_never_prolongs_it() {
    let children = ["a", "b"].map(|name| (name, p()));
    let budget = config(OneForOne, 3).shutdown_budget(8 * SECOND);
    let mut script = Script::up(budget.clone(), &children);
    assert_eq!(script.shutdown_within(3 * SECOND), "stop b1");
    let rest = "abandon b1, stop a1, abandon a1, end Shutdown";
    assert_eq!(script.wait(3 * SECOND), rest);

    let mut script = Script::up(budget, &children);
    assert_eq!(script.shutdown_within(100 * SECOND), "stop b1");
    assert_eq!(script.wait(5 * SECOND), "abandon b1, stop a1");
    assert_eq!(
        script.wait(3 * SECOND - NANO) + &script.wait(NANO),
        "abandon a1, end Shutdown"
    );
}

#[test]
fn whoever_has_less_time_than_it_was_told_is_told_again() {
    for strategy in [OneForOne, Dynamic] {
        let mut script = Script::up(config(strategy, 3), &[("a", p())]);
        assert_eq!(script.shutdown(), "stop a1");
        script.wait(SECOND);
        assert_eq!(script.shutdown_within(2 * SECOND), "shorten a1");
        assert_eq!(script.shutdown_within(3 * SECOND), "");
        assert_eq!(script.shutdown(), "");
        assert_eq!(script.wait(2 * SECOND - NANO), "");
        assert_eq!(script.wait(NANO), "abandon a1, end Shutdown");
        assert_eq!(script.shutdown_within(SECOND), "");
    }
    // One that was terminated before has the budget of its supervisor from then on.
    let budget = config(OneForOne, 3).shutdown_budget(SECOND);
    let mut script = Script::up(budget, &[("a", p()), ("b", p())]);
    assert_eq!(script.terminate("a").unwrap(), "stop a1");
    assert_eq!(script.shutdown(), "stop b1");
    assert_eq!(script.end("b"), "shorten a1");
    assert_eq!(script.wait(SECOND), "abandon a1, a Stopped, end Shutdown");
}

#[test]
fn who_is_stopped_because_it_was_not_ready_in_time_is_late() {
    let plan = p().ready(Ready::Signalled { within: SECOND });
    let mut script = Script::new(config(OneForOne, 3), &[("a", plan), ("b", p())]);
    script.start();
    script.started("a");
    let late = |script: &mut Script| {
        let mut children = script.machine().children();
        children.next().is_some_and(|child| child.is_late())
    };
    assert!(!late(&mut script));
    assert_eq!(script.wait(SECOND), "stop a1");
    assert!(late(&mut script));
    assert_eq!(script.end("a"), "end StartFailed");
    assert!(!late(&mut script));

    let mut script = Script::up(config(OneForOne, 3), &[("a", plan)]);
    script.terminate("a").unwrap();
    assert!(!late(&mut script));
}

#[test]
fn f73_terminating_is_no_end_of_a_childs_own() {
    let any = || config(OneForOne, 0).auto_shutdown(AutoShutdown::AnySignificant);
    for (plan, kept) in [(transient(), true), (temporary(), false)] {
        let mut script = Script::up(any(), &[("a", plan.significant(true)), ("b", p())]);
        assert_eq!(script.terminate("a").unwrap(), "stop a1");
        script.crash("a");
        assert_eq!(script.state("a"), kept.then_some(ChildState::Stopped));
        assert_eq!(script.state("b"), Some(ChildState::Running));
    }
}

#[test]
fn f81_one_abandoned_child_too_many_escalates() {
    let mut script = Script::up(config(OneForOne, 3), &[("a", p()), ("b", p())]);
    for round in 1..=8 {
        script.terminate("a").unwrap();
        assert_eq!(
            script.wait(5 * SECOND),
            format!("abandon a{round}, a Stopped")
        );
        script.restart("a").unwrap();
        script.ready("a");
    }
    assert_eq!(script.machine().count().abandoned, 8);
    script.terminate("a").unwrap();
    assert_eq!(script.wait(5 * SECOND), "abandon a9, a Stopped, stop b1");
    assert_eq!(script.end("b"), "end Overrun");
}

/// The fifth decision of the design: siblings that share a resource.
#[test]
fn an_overrun_may_be_the_end() {
    let plan = p().overrun(Overrun::Escalate);
    let mut script = Script::up(config(OneForAll, 3), &[("a", p()), ("b", plan)]);
    assert_eq!(script.crash("a"), "stop b1");
    assert_eq!(script.wait(5 * SECOND), "abandon b1, end Overrun");
}
