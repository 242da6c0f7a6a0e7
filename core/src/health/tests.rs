//! Numbers are those of the project's list of failure cases.

use super::*;
use crate::clock::Instant;
use crate::supervision::End;
use core::time::Duration;

const EVERY: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn all(of: impl IntoIterator<Item = Status>) -> Status {
    of.into_iter().fold(Status::WELL, Status::and)
}

fn running(stuck: bool, critical: bool) -> Status {
    Status::of_child(ChildState::Running, stuck, critical)
}

#[test]
fn f76_an_abandoned_child_that_is_not_critical_is_told_and_no_more() {
    let with = |critical| running(false, critical).and(Status::of_abandoned(critical));
    assert_eq!(with(false), Status::DEGRADED);
    // Its replacement does its work.
    assert_eq!(with(true), Status::NOT_LIVE);
}

#[test]
fn f108_one_critical_child_of_five_that_is_stuck_ends_it() {
    let five = |stuck: usize, critical: bool| {
        all((0..5).map(|child| running(child == stuck, critical || child != stuck)))
    };
    assert_eq!(five(9, true), Status::WELL);
    assert_eq!(five(2, true), Status::NEITHER);
    assert_eq!(five(2, false), Status::DEGRADED);
}

#[test]
fn f109_a_check_that_hangs_runs_once_and_answers_all_the_same() {
    let mut check = Check::new(at(0), EVERY, LIMIT);
    assert!(check.begin(at(0)));
    assert!(check.finish(at(0), true));
    assert!(check.begin(at(10)));
    assert_eq!(check.verdict(at(11)), Verdict::Passed);
    for now in 12..1_012 {
        assert_eq!(check.verdict(at(now)), Verdict::TimedOut);
        assert!(!check.begin(at(now)), "one at a time");
        assert_eq!(check.due(), None);
    }
    assert_eq!(check.running(at(12)), Some(Duration::from_secs(2)));
    assert_eq!(check.age(at(12)), Some(Duration::from_secs(12)));
    // What it found then is of no use, but the next run may be in time.
    assert!(!check.finish(at(2_000), true));
    assert_eq!(check.verdict(at(2_005)), Verdict::TimedOut);
    assert!(check.begin(at(2_010)));
    assert_eq!(check.verdict(at(2_010)), Verdict::TimedOut);
    assert!(check.finish(at(2_011), true));
    assert_eq!(check.verdict(at(2_011)), Verdict::Passed);
}

#[test]
fn f110_what_is_outside_never_ends_it() {
    for verdict in [
        Verdict::Unanswered,
        Verdict::Passed,
        Verdict::Failed,
        Verdict::TimedOut,
        Verdict::Stale,
    ] {
        for critical in [false, true] {
            assert!(Status::of_check(verdict, critical).live, "{verdict:?}");
        }
    }
    assert_eq!(Status::of_check(Verdict::Failed, true), Status::NOT_READY);
    assert_eq!(Status::of_check(Verdict::Failed, false), Status::DEGRADED);
    assert_eq!(Status::of_check(Verdict::Passed, true), Status::WELL);
    // Nobody knows yet: no reason to tell anybody, nor to be given work that needs it.
    assert_eq!(Status::of_check(Verdict::Unanswered, false), Status::WELL);
    let unanswered = Status::of_check(Verdict::Unanswered, true);
    assert_eq!(unanswered, Status::NOT_READY);
}

#[test]
fn who_does_not_run_is_missed_if_it_is_critical_or_will_be_started() {
    let later = at(1);
    for state in [
        ChildState::Waiting,
        ChildState::Starting,
        ChildState::Stopping { deadline: later },
        ChildState::Backoff { until: later },
    ] {
        assert_eq!(Status::of_child(state, false, true), Status::NOT_READY);
        assert_eq!(Status::of_child(state, false, false), Status::DEGRADED);
        assert_eq!(Status::of_child(state, true, true), Status::NEITHER);
    }
    let stopped = |critical| Status::of_child(ChildState::Stopped, false, critical);
    assert_eq!(stopped(true), Status::NOT_READY);
    assert_eq!(stopped(false), Status::WELL);
}

#[test]
fn a_supervisor_that_starts_or_stops_is_given_no_work_and_one_that_has_ended_is_dead() {
    let of = Status::of_supervisor;
    assert_eq!(of(Phase::New), Status::NOT_READY);
    assert_eq!(of(Phase::Starting), Status::NOT_READY);
    assert_eq!(of(Phase::Running), Status::WELL);
    assert_eq!(of(Phase::Stopping(End::Shutdown)), Status::NOT_READY);
    assert_eq!(of(Phase::Ended(End::Shutdown)), Status::NEITHER);
    assert_eq!(Status::of_timer(true), Status::NOT_LIVE);
    assert_eq!(Status::of_timer(false), Status::WELL);
}

#[test]
fn a_check_is_due_an_interval_after_its_end() {
    let mut check = Check::new(at(5), EVERY, LIMIT);
    assert!(!check.begin(at(4)), "not due");
    assert!(!check.finish(at(4), true), "none has begun");
    assert_eq!(check.age(at(4)), None);
    assert!(check.begin(at(7)));
    assert!(check.finish(at(8), false));
    assert_eq!(check.verdict(at(8)), Verdict::Failed);
    assert_eq!(check.due(), Some(at(18)));
    assert!(!check.begin(at(17)));
}

#[test]
fn an_answer_is_stale_when_a_whole_round_was_missed() {
    let mut check = Check::new(at(0), EVERY, LIMIT);
    // Also the first one.
    assert_eq!(check.verdict(at(11)), Verdict::Unanswered);
    assert_eq!(check.verdict(at(12)), Verdict::Stale);
    assert!(check.begin(at(0)));
    assert!(check.finish(at(1), true));
    assert_eq!(check.verdict(at(22)), Verdict::Passed);
    assert_eq!(check.verdict(at(23)), Verdict::Stale);
    // That somebody makes it at last does not make the old answer any younger.
    assert!(check.begin(at(30)));
    assert_eq!(check.verdict(at(30)), Verdict::Stale);
    assert!(check.finish(at(31), true));
    assert_eq!(check.verdict(at(31)), Verdict::Passed);
}

#[test]
fn no_check_is_made_without_a_pause() {
    let mut check = Check::new(at(0), Duration::ZERO, LIMIT);
    assert!(check.begin(at(0)));
    assert!(check.finish(at(0), true));
    assert_eq!(check.due(), Some(at(0).saturating_add(LEAST_INTERVAL)));
    // Nor is one ever due that is to be made in an eternity.
    let mut check = Check::new(at(0), Duration::MAX, Duration::MAX);
    assert!(check.begin(at(0)));
    assert!(check.finish(at(1), true));
    assert_eq!(check.due(), Some(Instant::MAX));
    assert_eq!(check.verdict(Instant::MAX), Verdict::Passed);
}

fn timer() -> Lateness {
    Lateness::new(Duration::from_secs(5), Duration::from_secs(1))
}

#[test]
fn whoever_looks_first_after_a_pause_finds_nobody_late() {
    let mut lateness = timer();
    for pause in 0..100 {
        let goes_on = at(1_000 * pause + 600);
        assert!(!lateness.look(at(1_000 * pause), None));
        let due = Some(at(1_000 * pause + 1));
        // Any number of looks, before he has done anything.
        for millis in 0..=1_000 {
            let now = goes_on.saturating_add(Duration::from_millis(millis));
            assert!(!lateness.look(now, due));
        }
        // He comes round, and nobody else looks.
        assert!(!lateness.look(goes_on.saturating_add(LIMIT), None));
    }
}

#[test]
fn who_never_comes_round_again_is_late_however_often_one_looks() {
    for between in [1, 10, 999, 1_001, 10_000] {
        let mut lateness = timer();
        let mut now = at(100);
        let mut looks = 0;
        while !lateness.look(now, Some(at(100))) {
            now = now.saturating_add(Duration::from_millis(between));
            looks += 1;
            assert!(looks < 10_000);
        }
        let took = now.saturating_duration_since(at(100));
        assert!(took > Duration::from_secs(6));
        // Two looks beyond the limit, and the time between them.
        let longest = Duration::from_millis(6_000 + 2 * between);
        assert!(took <= longest, "{between}: {took:?}");
        for later in 0..100 {
            let now = now.saturating_add(Duration::from_secs(later));
            assert!(lateness.look(now, Some(at(100))));
        }
    }
}

#[test]
fn who_is_always_behind_is_late_although_he_does_something() {
    let mut lateness = timer();
    let behind = |now: u64| Some(at(now - 6));
    assert!(!lateness.look(at(100), behind(100)));
    assert!(!lateness.look(at(101), behind(101)));
    assert!(lateness.look(at(102), behind(102)));
    assert!(lateness.look(at(103), behind(103)));
    assert!(!lateness.look(at(104), Some(at(99))), "not beyond");
    assert!(!lateness.look(at(200), behind(200)), "it begins anew");
}
