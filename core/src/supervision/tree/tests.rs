//! One step at a time, in fixed memory.

use super::super::backoff::Backoff;
use super::super::spec::{ChildPlan, Stop};
use super::super::storage::FixedChildren;
use super::*;
use alloc::vec::Vec;

type Fixed = Machine<FixedChildren<(), 3>, 4>;

const NOW: Instant = Instant::from_nanos(1_000);

/// A machine with three children of the default plan, intensity 1.
fn three(restart: Restart) -> (Fixed, [ChildKey; 3]) {
    let limit = RestartIntensity::new(1, Duration::from_secs(5)).unwrap();
    let config = Config::new(Strategy::OneForOne, limit);
    let mut machine = Fixed::new(config, FixedChildren::new()).unwrap();
    let keys = [(); 3].map(|()| {
        machine
            .add(None, ChildPlan::new(restart, Stop::default()))
            .unwrap()
    });
    (machine, keys)
}

fn up(restart: Restart) -> (Fixed, [ChildKey; 3]) {
    let (mut machine, keys) = three(restart);
    step(&mut machine, NOW, Event::Start).unwrap();
    for child in keys {
        step(
            &mut machine,
            NOW,
            Event::Started(IncarnationId { child, number: 1 }),
        )
        .unwrap();
    }
    assert_eq!(machine.phase(), Phase::Running);
    (machine, keys)
}

/// The actions of one step.
fn step(machine: &mut Fixed, now: Instant, event: Event) -> Result<Vec<Action>, Stale> {
    machine.step(now, event).map(Iterator::collect)
}

fn id(child: ChildKey, number: u64) -> IncarnationId {
    IncarnationId { child, number }
}

#[test]
fn a_failed_first_start_stops_the_started_in_reverse() {
    let (mut machine, [a, b, c]) = three(Restart::Permanent);
    step(&mut machine, NOW, Event::Start).unwrap();
    for child in [a, b] {
        step(&mut machine, NOW, Event::Started(id(child, 1))).unwrap();
    }
    let actions = step(&mut machine, NOW, Event::StartFailed(id(c, 1))).unwrap();
    assert_eq!(actions.as_slice(), [Action::Stop(id(b, 1))]);
    let actions = step(&mut machine, NOW, Event::Exited(id(b, 1), Exit::Clean)).unwrap();
    assert_eq!(actions.as_slice(), [Action::Stop(id(a, 1))]);
    let actions = step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Clean)).unwrap();
    assert_eq!(actions.as_slice(), [Action::End(End::StartFailed(c))]);
}

#[test]
fn an_exit_may_overtake_the_confirmation_of_its_start() {
    let (mut machine, [a, b, _]) = three(Restart::Permanent);
    step(&mut machine, NOW, Event::Start).unwrap();
    let actions = step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Abnormal)).unwrap();
    assert_eq!(
        actions.as_slice(),
        [Action::Start(id(a, 2)), Action::Start(id(b, 1))]
    );
    assert_eq!(
        step(&mut machine, NOW, Event::Started(id(a, 1))),
        Err(Stale)
    );
}

#[test]
fn giving_up_while_starting_stops_what_is_being_started() {
    let (mut machine, [a, b, c]) = three(Restart::Permanent);
    step(&mut machine, NOW, Event::Start).unwrap();
    step(&mut machine, NOW, Event::Started(id(a, 1))).unwrap();
    step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Abnormal)).unwrap();
    let actions = step(&mut machine, NOW, Event::Exited(id(a, 2), Exit::Abnormal)).unwrap();
    assert_eq!(actions.as_slice(), [Action::Stop(id(b, 1))]);
    assert_eq!(
        step(&mut machine, NOW, Event::Started(id(b, 1)))
            .unwrap()
            .as_slice(),
        []
    );
    let actions = step(&mut machine, NOW, Event::Exited(id(b, 1), Exit::Clean)).unwrap();
    assert_eq!(actions.as_slice(), [Action::End(End::GaveUp(a))]);
    assert_eq!(
        machine.child(c).map(Child::state),
        Some(ChildState::Stopped)
    );
}

#[test]
fn a_late_child_is_abandoned_at_its_deadline_and_not_before() {
    let (mut machine, [_, b, c]) = up(Restart::Permanent);
    step(&mut machine, NOW, Event::Shutdown).unwrap();
    let deadline = NOW.saturating_add(Duration::from_secs(5));
    assert_eq!(machine.next_deadline(), Some(deadline));
    let just_before = Instant::from_nanos(deadline.as_nanos() - 1);
    assert_eq!(
        step(&mut machine, just_before, Event::Tick)
            .unwrap()
            .as_slice(),
        []
    );
    let actions = step(&mut machine, deadline, Event::Tick).unwrap();
    assert_eq!(
        actions.as_slice(),
        [Action::Abandon(id(c, 1)), Action::Stop(id(b, 1))]
    );
    let late = Event::Exited(id(c, 1), Exit::Clean);
    let ended = Ok(Vec::from([Action::LateExit(id(c, 1))]));
    assert_eq!(step(&mut machine, deadline, late), ended);
    assert_eq!(step(&mut machine, deadline, late), Err(Stale));
}

#[test]
fn one_that_is_abandoned_while_it_starts_counts_until_its_start_has_failed() {
    let all: [fn(IncarnationId) -> Event; 3] =
        [Event::StartFailed, Event::Refused, Event::Declined];
    for came_to_nothing in all {
        let (mut machine, [a, ..]) = three(Restart::Permanent);
        step(&mut machine, NOW, Event::Start).unwrap();
        step(&mut machine, NOW, Event::Shutdown).unwrap();
        let deadline = machine.next_deadline().unwrap();
        let actions = step(&mut machine, deadline, Event::Tick).unwrap();
        assert_eq!(
            actions.as_slice(),
            [Action::Abandon(id(a, 1)), Action::End(End::Shutdown)]
        );
        assert_eq!(machine.count().abandoned, 1);
        // That it runs, or is ready, does not end it.
        for begun in [Event::Started(id(a, 1)), Event::Ready(id(a, 1))] {
            assert_eq!(step(&mut machine, deadline, begun), Err(Stale));
        }
        let late = came_to_nothing(id(a, 1));
        let ended = Ok(Vec::from([Action::LateExit(id(a, 1))]));
        assert_eq!(step(&mut machine, deadline, late), ended);
        assert_eq!(machine.count().abandoned, 0);
        let exit = Event::Exited(id(a, 1), Exit::Clean);
        for again in [late, exit] {
            assert_eq!(step(&mut machine, deadline, again), Err(Stale));
        }
    }
}

#[test]
fn a_start_that_fails_after_its_child_was_abandoned_is_not_that_of_the_next() {
    let all: [fn(IncarnationId) -> Event; 3] =
        [Event::StartFailed, Event::Refused, Event::Declined];
    for came_to_nothing in all {
        let (mut machine, [a, ..]) = up(Restart::Permanent);
        step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Abnormal)).unwrap();
        machine.terminate(NOW, a).unwrap().count();
        let deadline = machine.next_deadline().unwrap();
        step(&mut machine, deadline, Event::Tick).unwrap();
        machine.restart(deadline, a).unwrap().count();
        let late = came_to_nothing(id(a, 2));
        let ended = Ok(Vec::from([Action::LateExit(id(a, 2))]));
        assert_eq!(step(&mut machine, deadline, late), ended);
        assert_eq!(
            machine.child(a).map(Child::state),
            Some(ChildState::Starting)
        );
        let settled = Ok(Vec::from([Action::Settled(a, Outcome::Started)]));
        let started = Event::Started(id(a, 3));
        assert_eq!(step(&mut machine, deadline, started), settled);
    }
}

#[test]
fn a_child_without_a_limit_sets_no_deadline() {
    let limit = RestartIntensity::new(1, Duration::from_secs(5)).unwrap();
    let config = Config::new(Strategy::OneForOne, limit);
    let mut machine = Fixed::new(config, FixedChildren::new()).unwrap();
    let child = machine.add(None, ChildPlan::supervisor()).unwrap();
    step(&mut machine, NOW, Event::Start).unwrap();
    step(&mut machine, NOW, Event::Started(id(child, 1))).unwrap();
    step(&mut machine, NOW, Event::Shutdown).unwrap();
    assert_eq!(machine.next_deadline(), None);
    assert_eq!(
        step(&mut machine, Instant::MAX, Event::Tick)
            .unwrap()
            .as_slice(),
        []
    );
}

#[test]
fn a_temporary_child_is_forgotten_and_a_transient_one_kept() {
    let (mut machine, [a, ..]) = up(Restart::Temporary);
    let actions = step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Abnormal)).unwrap();
    assert_eq!(actions.as_slice(), [Action::Forget(a)]);
    assert!(machine.child(a).is_none());

    let (mut machine, [a, ..]) = up(Restart::Transient);
    let actions = step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Clean)).unwrap();
    assert_eq!(actions.as_slice(), []);
    assert_eq!(
        machine.child(a).map(Child::state),
        Some(ChildState::Stopped)
    );
}

#[test]
fn without_children_it_is_up_at_once_and_ends_at_once() {
    let limit = RestartIntensity::new(0, Duration::from_secs(5)).unwrap();
    let config = Config::new(Strategy::OneForOne, limit);
    let mut machine = Fixed::new(config, FixedChildren::new()).unwrap();
    assert_eq!(
        step(&mut machine, NOW, Event::Start).unwrap().as_slice(),
        [Action::Up]
    );
    let end = Action::End(End::Shutdown);
    assert_eq!(
        step(&mut machine, NOW, Event::Shutdown).unwrap().as_slice(),
        [end]
    );
    assert_eq!(
        step(&mut machine, NOW, Event::Shutdown).unwrap().as_slice(),
        []
    );
    assert_eq!(step(&mut machine, NOW, Event::Start), Err(Stale));
}

#[test]
fn a_fourth_child_does_not_fit_and_none_is_added_later() {
    let (mut machine, _) = three(Restart::Permanent);
    let refused = machine.add(None, ChildPlan::default());
    assert_eq!(refused, Err(ControlError::Full { limit: 3 }));
    step(&mut machine, NOW, Event::Start).unwrap();
    assert_eq!(
        machine.add(None, ChildPlan::default()),
        Err(ControlError::AlreadyUp)
    );
}

#[test]
fn one_that_is_stuck_is_asked_to_stop_and_has_ended_abnormally() {
    for exit in [Exit::Clean, Exit::Abnormal] {
        let (mut machine, [a, b, _]) = up(Restart::Transient);
        let stop = step(&mut machine, NOW, Event::Stuck(id(a, 1))).unwrap();
        assert_eq!(stop.as_slice(), [Action::Stop(id(a, 1))]);
        let deadline = NOW.saturating_add(Duration::from_secs(5));
        let state = machine.child(a).map(Child::state);
        assert_eq!(state, Some(ChildState::Stopping { deadline }));
        assert!(!machine.child(a).is_some_and(Child::is_late));
        // It is being stopped now, and that has a limit of its own.
        assert_eq!(step(&mut machine, NOW, Event::Stuck(id(a, 1))), Err(Stale));
        let start = step(&mut machine, NOW, Event::Exited(id(a, 1), exit)).unwrap();
        assert_eq!(start.as_slice(), [Action::Start(id(a, 2))]);
        // Who starts has a limit of its own, too.
        assert_eq!(step(&mut machine, NOW, Event::Stuck(id(a, 2))), Err(Stale));
        step(&mut machine, NOW, Event::Started(id(a, 2))).unwrap();
        assert_eq!(step(&mut machine, NOW, Event::Stuck(id(a, 1))), Err(Stale));

        // It counts: one restart is allowed.
        step(&mut machine, NOW, Event::Stuck(id(a, 2))).unwrap();
        step(&mut machine, NOW, Event::Exited(id(a, 2), exit)).unwrap();
        assert_eq!(machine.phase(), Phase::Stopping(End::GaveUp(a)));
        assert!(machine.child(b).is_some());
    }
}

#[test]
fn one_that_is_stuck_and_does_not_stop_is_abandoned_and_replaced() {
    let (mut machine, [a, ..]) = up(Restart::Permanent);
    step(&mut machine, NOW, Event::Stuck(id(a, 1))).unwrap();
    let deadline = machine.next_deadline().unwrap();
    let actions = step(&mut machine, deadline, Event::Tick).unwrap();
    assert_eq!(
        actions.as_slice(),
        [Action::Abandon(id(a, 1)), Action::Start(id(a, 2))]
    );
}

#[test]
fn a_temporary_one_that_is_stuck_is_forgotten() {
    let (mut machine, [a, ..]) = up(Restart::Temporary);
    step(&mut machine, NOW, Event::Stuck(id(a, 1))).unwrap();
    let actions = step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Clean)).unwrap();
    assert_eq!(actions.as_slice(), [Action::Forget(a)]);
}

#[test]
fn one_that_is_stuck_and_terminated_meanwhile_stays_stopped() {
    let (mut machine, [a, ..]) = up(Restart::Permanent);
    step(&mut machine, NOW, Event::Stuck(id(a, 1))).unwrap();
    assert_eq!(machine.terminate(NOW, a).unwrap().count(), 0);
    let actions = step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Clean)).unwrap();
    assert_eq!(actions.as_slice(), [Action::Settled(a, Outcome::Stopped)]);
    assert_eq!(
        machine.child(a).map(Child::state),
        Some(ChildState::Stopped)
    );
}

#[test]
fn one_that_is_stuck_takes_its_group_with_it() {
    let limit = RestartIntensity::new(1, Duration::from_secs(5)).unwrap();
    let config = Config::new(Strategy::OneForAll, limit);
    let mut machine = Fixed::new(config, FixedChildren::new()).unwrap();
    let [a, b, c] = [(); 3].map(|()| machine.add(None, ChildPlan::default()).unwrap());
    step(&mut machine, NOW, Event::Start).unwrap();
    for child in [a, b, c] {
        step(&mut machine, NOW, Event::Started(id(child, 1))).unwrap();
    }
    // Two at once: the group is restarted, and counts, once.
    for child in [b, c] {
        let stop = step(&mut machine, NOW, Event::Stuck(id(child, 1))).unwrap();
        assert_eq!(stop.as_slice(), [Action::Stop(id(child, 1))]);
    }
    let mut over = |child| {
        let actions = step(&mut machine, NOW, Event::Exited(id(child, 1), Exit::Clean));
        actions.unwrap().as_slice().to_vec()
    };
    assert_eq!(over(b), []);
    assert_eq!(over(c), [Action::Stop(id(a, 1))]);
    assert_eq!(over(a), [Action::Start(id(a, 2))]);
}

#[test]
fn one_that_was_up_for_long_before_it_was_stuck_is_restarted_without_a_delay() {
    let limit = RestartIntensity::new(4, Duration::from_secs(5)).unwrap();
    let config = Config::new(Strategy::OneForOne, limit);
    let mut machine = Fixed::new(config, FixedChildren::new()).unwrap();
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1)).unwrap();
    let plan = ChildPlan::default().backoff(backoff);
    let a = machine.add(None, plan).unwrap();
    let mut now = NOW;
    step(&mut machine, now, Event::Start).unwrap();
    step(&mut machine, now, Event::Started(id(a, 1))).unwrap();
    for number in 1..=2 {
        // Up for as long as begins the delays over.
        now = now.saturating_add(Duration::from_secs(10));
        step(&mut machine, now, Event::Stuck(id(a, number))).unwrap();
        let over = Event::Exited(id(a, number), Exit::Clean);
        let actions = step(&mut machine, now, over).unwrap();
        assert_eq!(actions.as_slice(), [Action::Start(id(a, number + 1))]);
        step(&mut machine, now, Event::Started(id(a, number + 1))).unwrap();
    }
    step(&mut machine, now, Event::Stuck(id(a, 3))).unwrap();
    step(&mut machine, now, Event::Exited(id(a, 3), Exit::Clean)).unwrap();
    let state = machine.child(a).map(Child::state);
    assert!(matches!(state, Some(ChildState::Backoff { .. })));
}

#[test]
fn f29_a_start_for_which_there_is_no_room_is_tried_again_later_and_counts() {
    let limit = RestartIntensity::new(3, Duration::from_secs(5)).unwrap();
    let config = Config::new(Strategy::OneForOne, limit);
    let mut machine = Fixed::new(config, FixedChildren::new()).unwrap();
    let a = machine.add(None, ChildPlan::default()).unwrap();
    step(&mut machine, NOW, Event::Start).unwrap();
    step(&mut machine, NOW, Event::Started(id(a, 1))).unwrap();
    let start = step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Abnormal)).unwrap();
    assert_eq!(start.as_slice(), [Action::Start(id(a, 2))]);
    let mut now = NOW;
    for number in 2..=3 {
        let nothing = step(&mut machine, now, Event::Refused(id(a, number))).unwrap();
        assert_eq!(nothing.as_slice(), []);
        let until = now.saturating_add(Duration::from_millis(10));
        let state = machine.child(a).map(Child::state);
        assert_eq!(state, Some(ChildState::Backoff { until }));
        now = until;
        let start = step(&mut machine, now, Event::Tick).unwrap();
        assert_eq!(start.as_slice(), [Action::Start(id(a, number + 1))]);
    }
    // Three have been: the crash, and two tries.
    step(&mut machine, now, Event::Refused(id(a, 4))).unwrap();
    assert_eq!(machine.phase(), Phase::Ended(End::GaveUp(a)));
}

#[test]
fn f29_a_longer_delay_is_not_made_shorter_by_it() {
    let limit = RestartIntensity::new(4, Duration::from_secs(5)).unwrap();
    let config = Config::new(Strategy::OneForAll, limit);
    let mut machine = Fixed::new(config, FixedChildren::new()).unwrap();
    let second = Duration::from_secs(1);
    let backoff = Backoff::new(second, second).unwrap();
    let plan = ChildPlan::default().backoff(backoff);
    let [a, b] = [(); 2].map(|()| machine.add(None, plan).unwrap());
    step(&mut machine, NOW, Event::Start).unwrap();
    for child in [a, b] {
        step(&mut machine, NOW, Event::Started(id(child, 1))).unwrap();
    }
    step(&mut machine, NOW, Event::Exited(id(b, 1), Exit::Abnormal)).unwrap();
    step(&mut machine, NOW, Event::Exited(id(a, 1), Exit::Clean)).unwrap();
    // The group waits with the one that is refused: the first delay of that one is none.
    step(&mut machine, NOW, Event::Refused(id(a, 2))).unwrap();
    let until = NOW.saturating_add(Duration::from_millis(10));
    assert_eq!(machine.next_deadline(), Some(until));
    let start = step(&mut machine, until, Event::Tick).unwrap();
    assert_eq!(start.as_slice(), [Action::Start(id(a, 3))]);
    step(&mut machine, until, Event::Refused(id(a, 3))).unwrap();
    let until = until.saturating_add(second);
    assert_eq!(machine.next_deadline(), Some(until));
}

#[test]
fn f29_a_first_start_for_which_there_is_no_room_has_failed() {
    let (mut machine, [a, ..]) = three(Restart::Permanent);
    step(&mut machine, NOW, Event::Start).unwrap();
    step(&mut machine, NOW, Event::Refused(id(a, 1))).unwrap();
    assert_eq!(machine.phase(), Phase::Ended(End::StartFailed(a)));
}
