//! What can go wrong under a supervisor, and what the machine does about it. The numbers are those of the
//! project's list of failure cases, as far as a machine without threads can decide them; 30 and 74 are
//! in `otp_scenarios.rs`, groups and stopping (52–81) in `supervision_failures_groups.rs`. How to read the words is said in `loom_tests::script`.

use bedplate_core::supervision::{
    AutoShutdown, Backoff, ChildPlan, Config, ControlError, Delays, Event, FixedChildren, Jitter,
    Machine, PlanError, Ready, RestartIntensity,
    Strategy::{OneForAll, OneForOne},
};
use core::time::Duration;
use loom_tests::script::{Script, config, p, temporary, transient};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

/// Permanent, with two seconds to become ready.
fn signalled() -> ChildPlan {
    p().ready(Ready::Signalled { within: 2 * SECOND })
}

fn abc(plan: ChildPlan) -> [(&'static str, ChildPlan); 3] {
    [("a", plan), ("b", plan), ("c", plan)]
}

/// 10 ms, 20 ms, … at most 100 ms.
fn backoff() -> Backoff {
    Backoff::new(10 * MS, 100 * MS).unwrap()
}

#[test]
fn f1_children_start_in_order_each_when_the_one_before_is_ready() {
    let mut script = Script::new(config(OneForOne, 3), &abc(signalled()));
    assert_eq!(script.start(), "start a1");
    assert_eq!(script.started("a"), "");
    assert_eq!(script.ready("a"), "start b1");
    assert_eq!(script.ready("b"), "start c1"); // overtakes its own start
    assert_eq!(script.ready("c"), "up");
}

#[test]
fn f2_a_first_start_that_fails_stops_those_before() {
    let mut script = Script::new(config(OneForOne, 3), &abc(p()));
    script.start();
    script.ready("a");
    assert_eq!(script.fail("b"), "stop a1");
    assert_eq!(script.end("a"), "end StartFailed");
    assert_eq!(script.states(), ["a.", "b.", "c."]);
}

#[test]
fn f3_an_end_before_readiness_is_a_failed_start() {
    let mut script = Script::new(config(OneForOne, 3), &abc(signalled()));
    script.start();
    script.ready("a");
    script.started("b");
    assert_eq!(script.crash("b"), "stop a1");
}

#[test]
fn f4_a_child_that_never_says_ready_is_asked_to_stop_then_abandoned() {
    let mut script = Script::new(config(OneForOne, 3), &abc(signalled()));
    script.start();
    script.ready("a");
    script.started("b");
    assert_eq!(script.wait(2 * SECOND - NANO), "");
    assert_eq!(script.wait(NANO), "stop b1");
    assert_eq!(script.wait(5 * SECOND - NANO), "");
    assert_eq!(script.wait(NANO), "abandon b1, stop a1");
    assert_eq!(script.end("a"), "end StartFailed");
}

#[test]
fn f5_a_crash_after_readiness_is_a_crash() {
    let mut script = Script::new(config(OneForOne, 3), &[("b", signalled())]);
    script.start();
    assert_eq!(script.ready("b"), "up");
    script.wait(MS);
    assert_eq!(script.crash("b"), "start b2");
}

#[test]
fn f6_two_children_of_one_id_are_refused() {
    let mut script = Script::new(config(OneForOne, 3), &abc(p()));
    let refused = script.add("b", transient());
    assert!(matches!(refused, Err(ControlError::AlreadyPresent(_))));
    assert_eq!(script.states(), ["a?", "b?", "c?"]);
}

#[test]
fn f7_significance_that_cannot_mean_anything_is_refused() {
    let mut script = Script::new(config(OneForOne, 3), &[]);
    let never = script.add("a", transient().significant(true));
    let never_means = ControlError::BadPlan(PlanError::SignificantUnderNever);
    assert_eq!(never, Err(never_means));
    let any = config(OneForOne, 3).auto_shutdown(AutoShutdown::AnySignificant);
    let mut script = Script::new(any, &[]);
    let permanent = script.add("a", p().significant(true));
    let ends_never = ControlError::BadPlan(PlanError::SignificantPermanent);
    assert_eq!(permanent, Err(ends_never));
    assert_eq!(script.start(), "up");
}

#[test]
fn f13_a_stop_while_the_second_of_five_starts() {
    let children = ["1", "2", "3", "4", "5"].map(|name| (name, p()));
    let mut script = Script::new(config(OneForOne, 3), &children);
    script.start();
    script.ready("1");
    assert_eq!(script.shutdown(), "stop 21");
    assert_eq!(script.ready("2"), "");
    assert_eq!(script.end("2"), "stop 11");
    assert_eq!(script.end("1"), "end Shutdown");
    assert_eq!(script.states(), ["1.", "2.", "3.", "4.", "5."]);
}

#[test]
fn f14_f15_f16_who_is_restarted_after_what() {
    let mut script = Script::up(config(OneForOne, 9), &[("a", p())]);
    assert_eq!(script.end("a"), "start a2");
    let mut script = Script::up(config(OneForOne, 0), &[("a", transient())]);
    assert_eq!(script.end("a"), "");
    let mut script = Script::up(config(OneForOne, 9), &[("a", transient())]);
    assert_eq!(script.crash("a"), "start a2");
    // Not counted either: no restart at all is allowed here.
    let mut script = Script::up(config(OneForOne, 0), &[("a", temporary())]);
    assert_eq!(script.crash("a"), "forget a");
    assert_eq!(script.states(), [""; 0]);
}

#[test]
fn f17_an_error_after_a_request_to_stop_restarts_nobody() {
    let mut script = Script::up(config(OneForOne, 0), &[("a", transient())]);
    assert_eq!(script.terminate("a").unwrap(), "stop a1");
    assert_eq!(script.crash("a"), "a Stopped");
    assert_eq!(script.states(), ["a."]);
}

#[test]
fn f31_an_intensity_of_zero_allows_none() {
    let mut script = Script::up(config(OneForOne, 0), &[("a", p())]);
    assert_eq!(script.crash("a"), "end GaveUp");
}

/// Three crashes at 0, 1 and 2 s, and what the fourth, `after` the first, leads to.
fn fourth_crash(after: Duration) -> String {
    let mut script = Script::up(config(OneForOne, 3), &[("a", p())]);
    for _ in 0..3 {
        script.crash("a");
        script.ready("a");
        script.wait(SECOND);
    }
    script.wait(after - 3 * SECOND);
    script.crash("a")
}

#[test]
fn f32_f33_the_window_is_closed_to_the_nanosecond() {
    assert_eq!(fourth_crash(5 * SECOND), "end GaveUp");
    assert_eq!(fourth_crash(5 * SECOND + NANO), "start a5");
}

/// A limit of so many restarts in this period.
fn limit(intensity: u32, period: Duration) -> Config<1_024> {
    Config::new(OneForOne, RestartIntensity::new(intensity, period).unwrap())
}

#[test]
fn f34_crashes_below_the_rate_never_exhaust_it() {
    let mut script = Script::up(limit(3, 300 * MS), &[("a", p())]);
    for crash in 2..1_002 {
        assert_eq!(script.crash("a"), format!("start a{crash}"));
        script.ready("a");
        script.wait(200 * MS);
    }
}

#[test]
fn f35_the_window_does_not_tumble() {
    let mut script = Script::up(limit(2, SECOND), &[("a", p())]);
    script.wait(990 * MS);
    for _ in 0..2 {
        script.crash("a");
        script.ready("a");
    }
    script.wait(20 * MS);
    assert_eq!(script.crash("a"), "end GaveUp");
}

#[test]
fn f36_the_phase_of_the_second_does_not_matter() {
    for phase in 0..20 {
        let mut script = Script::up(limit(1, SECOND), &[("a", p())]);
        script.wait(phase * 50 * MS);
        assert_eq!(script.crash("a"), "start a2");
        script.ready("a");
        script.wait(1_050 * MS);
        assert_eq!(script.crash("a"), "start a3");
    }
}

#[test]
fn f37_every_failed_start_counts() {
    let mut script = Script::up(config(OneForOne, 3), &[("a", p())]);
    assert_eq!(script.crash("a"), "start a2");
    assert_eq!(script.fail("a"), "start a3");
    assert_eq!(script.fail("a"), "start a4");
    assert_eq!(script.fail("a"), "end GaveUp");
}

#[test]
fn f38_the_restart_of_a_group_counts_once() {
    let children = ["a", "b", "c", "d", "e"].map(|name| (name, p()));
    let mut script = Script::up(config(OneForAll, 1), &children);
    assert_eq!(script.crash("a"), "stop e1");
    for (stopped, next) in [("e", "stop d1"), ("d", "stop c1"), ("c", "stop b1")] {
        assert_eq!(script.end(stopped), next);
    }
    assert_eq!(script.end("b"), "start a2");
    for (name, next) in [
        ("a", "start b2"),
        ("b", "start c2"),
        ("c", "start d2"),
        ("d", "start e2"),
        ("e", ""),
    ] {
        assert_eq!(script.ready(name), next);
    }
    assert_eq!(script.crash("c"), "stop e2"); // the second: the supervisor stops
}

#[test]
fn f39_restarts_by_hand_do_not_count() {
    let mut script = Script::up(config(OneForOne, 0), &[("a", p())]);
    for round in 1..=100 {
        script.terminate("a").unwrap();
        assert_eq!(script.end("a"), "a Stopped");
        let next = round + 1;
        assert_eq!(script.restart("a").unwrap(), format!("start a{next}"));
        assert_eq!(script.ready("a"), "a Started");
    }
}

#[test]
fn f40_a_clock_that_stands_still_or_jumps() {
    let mut script = Script::up(config(OneForOne, 2), &[("a", p().backoff(backoff()))]);
    assert_eq!(script.crash("a"), "start a2");
    script.ready("a");
    assert_eq!(script.crash("a"), "");
    assert_eq!(script.wait(10 * MS), "start a3");
    script.ready("a");
    script.wait(SECOND * 3_600 * 24 * 365 * 10);
    assert_eq!(script.crash("a"), "start a4");
    script.ready("a");
    script.crash("a");
    script.wait(10 * MS);
    script.ready("a");
    assert_eq!(script.crash("a"), "end GaveUp");
}

#[test]
fn f41_a_supervisor_that_gave_up_did_not_end_cleanly() {
    let mut inner = Script::up(config(OneForOne, 0), &[("worker", p())]);
    assert_eq!(inner.crash("worker"), "end GaveUp");
    let bedplate_core::supervision::Phase::Ended(end) = inner.machine().phase() else {
        panic!("it has ended");
    };
    for (plan, follows) in [
        (p(), "start inner2"),
        (transient(), "start inner2"), // where OTP drops it
        (temporary(), "forget inner"),
    ] {
        let mut outer = Script::up(config(OneForOne, 3), &[("inner", plan)]);
        let inner = outer.present("inner");
        assert_eq!(outer.tell(Event::Exited(inner, end.exit())), follows);
    }
}

#[test]
fn f43_delays_grow_to_the_longest() {
    let (mut delays, mut jitter) = (Delays::default(), Jitter::new(0));
    let delay = |_| delays.next(&backoff(), &mut jitter).as_millis();
    let delays: Vec<_> = (0..7).map(delay).collect();
    assert_eq!(delays, [0, 10, 20, 40, 80, 100, 100]);

    // And the machine keeps them.
    let mut script = Script::up(config(OneForOne, 100), &[("a", p().backoff(backoff()))]);
    assert_eq!(script.crash("a"), "start a2");
    for (round, millis) in (3..).zip([10, 20, 40, 80, 100, 100]) {
        script.ready("a");
        assert_eq!(script.crash("a"), "");
        assert_eq!(script.states(), ["a~"]);
        assert_eq!(script.wait(millis * MS - NANO), "");
        assert_eq!(script.wait(NANO), format!("start a{round}"));
    }
}

#[test]
fn f44_jitter_cuts_at_most_its_share() {
    let backoff = Backoff::new(10 * MS, 10 * MS).unwrap();
    let backoff = backoff.jitter_percent(20).unwrap();
    let draw = |seed| {
        let (mut delays, mut jitter) = (Delays::default(), Jitter::new(seed));
        delays.next(&backoff, &mut jitter);
        let delays = (0..10_000).map(|_| delays.next(&backoff, &mut jitter));
        delays.collect::<Vec<_>>()
    };
    let drawn = draw(1);
    assert!(
        drawn
            .iter()
            .all(|&delay| (8 * MS..=10 * MS).contains(&delay))
    );
    // All of the share is used.
    assert!(drawn.iter().any(|&delay| delay < 8_100 * (MS / 1_000)));
    assert!(drawn.iter().any(|&delay| delay > 9_900 * (MS / 1_000)));
    assert_eq!(drawn, draw(1));
    assert_ne!(drawn, draw(2));
}

#[test]
fn f45_a_child_that_was_up_long_enough_begins_over() {
    let plan = p().backoff(backoff().reset_after(SECOND));
    let mut script = Script::up(config(OneForOne, 100), &[("a", plan)]);
    script.crash("a");
    script.ready("a");
    assert_eq!(script.crash("a"), "");
    assert_eq!(script.wait(10 * MS), "start a3");
    script.ready("a");
    script.wait(SECOND);
    assert_eq!(script.crash("a"), "start a4");
}

/// A supervisor whose child `a` waits out a delay of 10 ms.
fn delayed() -> Script {
    let plan = p().backoff(backoff());
    let mut script = Script::up(config(OneForOne, 100), &[("a", plan), ("b", p())]);
    script.crash("a");
    script.ready("a");
    assert_eq!(script.crash("a"), "");
    assert_eq!(script.states(), ["a~", "b+"]);
    script
}

#[test]
fn f46_what_was_terminated_during_its_delay_stays_stopped() {
    let mut script = delayed();
    assert_eq!(script.terminate("a").unwrap(), "a Stopped");
    assert_eq!(script.wait(SECOND), "");
    assert_eq!(script.states(), ["a.", "b+"]);
}

#[test]
fn f47_f51_what_was_restarted_during_its_delay_runs_once() {
    let mut script = delayed();
    assert_eq!(script.restart("a").unwrap(), "start a3");
    assert_eq!(script.restart("a"), Err(ControlError::Running));
    assert_eq!(script.ready("a"), "a Started");
    assert_eq!(script.wait(SECOND), "");
}

#[test]
fn f48_a_delay_does_not_delay_the_end() {
    let mut script = delayed();
    assert_eq!(script.shutdown(), "stop b1");
    assert_eq!(script.end("b"), "end Shutdown");
    assert_eq!(script.wait(SECOND), "");
}

#[test]
fn f49_a_crash_in_the_group_voids_the_delay_of_another() {
    let plan = p().backoff(backoff());
    let mut script = Script::up(config(OneForAll, 100), &[("a", plan)]);
    script.crash("a");
    script.ready("a");
    assert_eq!(script.crash("a"), "");
    assert_eq!(script.start_child("b", p()).unwrap(), "start b1");
    script.ready("b");
    assert_eq!(script.states(), ["a~", "b+"]);
    assert_eq!(script.crash("b"), "start a3");
    assert_eq!(script.ready("a"), "start b2");
    script.ready("b");
    assert_eq!(script.wait(SECOND), "");
    assert_eq!(script.states(), ["a+", "b+"]);
}

#[test]
fn f50_a_long_delay_keeps_nobody_waiting() {
    let hour = Backoff::new(3_600 * SECOND, 3_600 * SECOND).unwrap();
    let mut script = Script::up(
        config(OneForOne, 9),
        &[("a", p().backoff(hour)), ("b", p())],
    );
    script.crash("a");
    script.ready("a");
    script.crash("a");
    assert_eq!(script.states(), ["a~", "b+"]);
    assert_eq!(script.start_child("c", p()).unwrap(), "start c1");
    assert_eq!(script.ready("c"), "c Started");
    assert_eq!(script.crash("b"), "start b2");
    assert_eq!(script.machine().count().active, 1);
}

#[test]
fn fixed_memory_is_enough_and_its_end_is_an_error() {
    let limit = RestartIntensity::<1>::new(1, SECOND).unwrap();
    let config = Config::new(OneForOne, limit);
    let mut machine = Machine::new(config, FixedChildren::<u8, 1>::new()).unwrap();
    let only = machine.add(Some(1), p()).unwrap();
    let full = machine.add(Some(2), p());
    assert_eq!(full, Err(ControlError::Full { limit: 1 }));
    machine.delete(only).unwrap();
    // The slot is used again, the key is not.
    let other = machine.add(Some(2), p()).unwrap();
    assert!(other > only && machine.child(only).is_none());
}
