//! The children one after the other: the first start, the restart of a group, the end.
//!
//! All three are one cycle over a part of the list, which is the whole, or, in `rest_for_one`, ends
//! with the tail:
//!
//! ```text
//!  group restart, shutdown        group restart             first start, group restart
//!         │                                                         │
//!         ▼             nobody runs          delay over             ▼     nobody waits
//!       Stop ──────────────────────► Delay ──────────────────────► Start ─────────────► over
//!     from tail to       │             │  somebody was started      from head to
//!     head, each when    │             │  by hand meanwhile         tail, each when
//!     the one behind     │             └────────► Stop              the one before
//!     it is over         │                                          is ready
//!                        └──► ended, if the supervisor is stopping
//!
//!  shutdown of a dynamic supervisor:  Sweep, which asks all; ended when nobody runs
//! ```
//!
//! *awaited* is the child on which the cycle waits now. The cycle is a value of the machine, not a
//! loop in it, so everything else goes on: other children come and go, and a further crash folds itself in.

use super::super::child::{Asked, ChildKey, ChildState, Then};
use super::super::spec::Stop;
use super::super::storage::{ChildStorage, NIL};
use super::super::strategy::Strategy;
use super::Machine;
use super::actions::Decided;
use super::news::{Action, End, Outcome, Phase};
use crate::clock::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Stop,
    Delay,
    Start,
    Sweep,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cycle {
    /// The part: children with this serial number and later ones. It need not exist any more.
    pub(super) from: u64,
    pub(super) stage: Stage,
    /// The next slot to look at, in the direction of the stage.
    pub(super) next: u32,
    pub(super) awaited: Option<ChildKey>,
    /// The child whose end it was, until its delay is over.
    leader: Option<ChildKey>,
    /// Whether a child of the part was started by hand during the delay.
    disturbed: bool,
}

impl Cycle {
    pub(super) const fn new(from: u64, stage: Stage, next: u32) -> Self {
        Self {
            from,
            stage,
            next,
            awaited: None,
            leader: None,
            disturbed: false,
        }
    }
}

impl<C: ChildStorage, const MAX: usize> Machine<C, MAX> {
    /// Whether the child in slot `place` is to be stopped with its group or its supervisor, so that
    /// its own end in the meantime means nothing more.
    pub(super) fn is_doomed(&self, place: u32) -> bool {
        let serial = self.roster.child(place).key.serial;
        self.cycle.is_some_and(|cycle| {
            matches!(cycle.stage, Stage::Stop | Stage::Sweep) && serial >= cycle.from
        })
    }

    /// Whether a child that is to be started by hand has to wait for the cycle to come by.
    pub(super) fn has_to_queue(&self, place: u32) -> bool {
        let Some(cycle) = self.cycle else {
            return false;
        };
        let serial = self.roster.child(place).key.serial;
        match cycle.stage {
            Stage::Stop | Stage::Sweep => serial >= cycle.from,
            Stage::Delay => false,
            Stage::Start => self
                .roster
                .get(cycle.next)
                .is_some_and(|next| next.key.serial <= serial),
        }
    }

    /// The cycle learns that a child of its part was started by hand.
    pub(super) fn disturb(&mut self, place: u32) {
        let serial = self.roster.child(place).key.serial;
        if let Some(cycle) = &mut self.cycle
            && cycle.stage == Stage::Delay
            && serial >= cycle.from
        {
            cycle.disturbed = true;
        }
    }

    /// The child in slot `place` is over, its restart is admitted, and its delay set. Its group
    /// goes with it.
    pub(super) fn regroup(&mut self, now: Instant, place: u32, decided: &mut Decided) {
        let key = self.roster.child(place).key;
        let tail = self.roster.tail;
        let first = match self.strategy {
            Strategy::OneForAll => 0,
            _ => key.serial,
        };
        match &mut self.cycle {
            // Its group waits for the delay of one before it: it goes with that.
            Some(cycle) if cycle.stage == Stage::Delay && cycle.from < first => {
                cycle.stage = Stage::Stop;
                cycle.next = tail;
                cycle.awaited = None;
                self.roster.set_state(place, ChildState::Waiting, None);
            }
            // One before the part that is being stopped: the part grows.
            Some(cycle) if cycle.stage == Stage::Stop => {
                cycle.from = cycle.from.min(first);
                cycle.leader = Some(key);
            }
            _ => {
                self.cycle = Some(Cycle {
                    leader: Some(key),
                    ..Cycle::new(first, Stage::Stop, tail)
                });
            }
        }
        self.gather(true);
        self.advance(now, decided);
    }

    /// Whoever runs in the part will come back with it; and whoever was stopped, if that is so.
    fn gather(&mut self, stopped_too: bool) {
        let Some(cycle) = self.cycle else { return };
        let mut place = self.roster.tail;
        while let Some(child) = self.roster.get(place) {
            if child.key.serial < cycle.from {
                break;
            }
            match child.state {
                ChildState::Stopped if stopped_too => {
                    self.roster.set_state(place, ChildState::Waiting, None);
                }
                ChildState::Backoff { .. } if cycle.leader != Some(child.key) => {
                    self.roster.set_state(place, ChildState::Waiting, None);
                }
                ChildState::Stopped | ChildState::Waiting | ChildState::Backoff { .. } => {}
                _ => self.roster.child_mut(place).then = Then::Waiting,
            }
            place = self.roster.prev(place);
        }
    }

    /// All children stop, and the supervisor ends for this reason.
    pub(super) fn begin_stop(&mut self, now: Instant, end: End, decided: &mut Decided) {
        self.phase = Phase::Stopping(end);
        if let Some(total) = self.shutdown_budget {
            self.stop_by = self.stop_by.min(now.saturating_add(total));
        }
        self.cycle = Some(match self.strategy {
            Strategy::Dynamic => Cycle::new(0, Stage::Sweep, self.roster.head),
            _ => Cycle::new(0, Stage::Stop, self.roster.tail),
        });
        self.advance(now, decided);
    }

    /// All children stop, as above, and are given up on at `by`, also if that was begun before.
    pub(super) fn stop_all_by(&mut self, now: Instant, by: Instant, decided: &mut Decided) {
        let earlier = by < self.stop_by;
        self.stop_by = self.stop_by.min(by);
        match (self.phase, self.cycle) {
            (Phase::New | Phase::Starting | Phase::Running, _) => {
                self.begin_stop(now, End::Shutdown, decided);
            }
            (Phase::Stopping(_), Some(cycle)) if earlier => match cycle.stage {
                // All over again: those that were asked are told of their new time.
                Stage::Sweep => self.cycle_mut().next = self.roster.head,
                _ => {
                    let awaited = cycle.awaited.and_then(|key| self.roster.place(key));
                    if let Some(place) = awaited {
                        let then = self.roster.child(place).then;
                        self.ask_to_stop(now, place, then, decided);
                    }
                }
            },
            (Phase::Stopping(_) | Phase::Ended(_), _) => {}
        }
    }

    /// Whether a group waits out the delay of the child `key`.
    pub(super) fn is_led_by(&self, key: ChildKey) -> bool {
        self.cycle.is_some_and(|cycle| cycle.leader == Some(key))
    }

    /// The cycle does not wait for the child `key` any more.
    pub(super) fn release(&mut self, key: ChildKey) {
        if let Some(cycle) = &mut self.cycle
            && cycle.awaited == Some(key)
        {
            cycle.awaited = None;
        }
    }

    /// Takes the cycle as far as it goes now. Asked too often, it does nothing.
    pub(super) fn advance(&mut self, now: Instant, decided: &mut Decided) {
        while let Some(cycle) = self.cycle.filter(|cycle| cycle.awaited.is_none()) {
            let went_on = match cycle.stage {
                Stage::Stop => self.stop_next(now, cycle, decided),
                Stage::Delay => self.wait(cycle),
                Stage::Start => self.start_next(now, cycle, decided),
                Stage::Sweep => {
                    if cycle.next == NIL && self.roster.alive == 0 {
                        self.ended(decided);
                    }
                    false
                }
            };
            if !went_on {
                return;
            }
        }
    }

    fn cycle_mut(&mut self) -> &mut Cycle {
        self.cycle.get_or_insert(Cycle::new(0, Stage::Start, NIL))
    }

    fn stop_next(&mut self, now: Instant, cycle: Cycle, decided: &mut Decided) -> bool {
        let place = cycle.next;
        let stopping = matches!(self.phase, Phase::Stopping(_));
        match self.roster.get(place) {
            Some(child) if child.key.serial >= cycle.from => {
                let (key, state) = (child.key, child.state);
                let before = self.roster.prev(place);
                let cycle = self.cycle_mut();
                cycle.next = before;
                if state.is_active() {
                    cycle.awaited = Some(key);
                    let then = self.roster.child(place).then;
                    self.ask_to_stop(now, place, then, decided);
                } else if stopping && state.is_coming() {
                    self.roster.set_state(place, ChildState::Stopped, None);
                }
                true
            }
            _ if stopping => {
                self.ended(decided);
                false
            }
            _ => {
                self.cycle_mut().stage = Stage::Delay;
                true
            }
        }
    }

    fn wait(&mut self, cycle: Cycle) -> bool {
        let leader = cycle.leader.and_then(|key| self.roster.place(key));
        if let Some(leader) = leader
            && matches!(self.roster.child(leader).state, ChildState::Backoff { .. })
        {
            return false;
        }
        if cycle.disturbed {
            // Who was started by hand starts again, behind those before it.
            let tail = self.roster.tail;
            self.cycle = Some(Cycle::new(cycle.from, Stage::Stop, tail));
            self.gather(false);
            return true;
        }
        let mut first = NIL;
        let mut place = self.roster.tail;
        while let Some(child) = self.roster.get(place)
            && child.key.serial >= cycle.from
        {
            first = place;
            place = self.roster.prev(place);
        }
        let cycle = self.cycle_mut();
        cycle.stage = Stage::Start;
        cycle.next = first;
        cycle.leader = None;
        true
    }

    fn start_next(&mut self, now: Instant, cycle: Cycle, decided: &mut Decided) -> bool {
        let place = cycle.next;
        let Some(child) = self.roster.get(place) else {
            self.cycle = None;
            if self.phase == Phase::Starting {
                self.phase = Phase::Running;
                decided.push(Action::Up);
            }
            return false;
        };
        let (key, state) = (child.key, child.state);
        let after = self.roster.next(place);
        let cycle = self.cycle_mut();
        cycle.next = after;
        if state == ChildState::Waiting {
            cycle.awaited = Some(key);
            self.start(now, place, decided);
        }
        true
    }

    /// Asks one more child of a dynamic supervisor to stop, if there is one to ask.
    pub(super) fn sweep(&mut self, now: Instant, decided: &mut Decided) -> bool {
        let Some(cycle) = self.cycle.filter(|cycle| cycle.stage == Stage::Sweep) else {
            return false;
        };
        let place = cycle.next;
        let Some(child) = self.roster.get(place) else {
            return false;
        };
        let state = child.state;
        self.cycle_mut().next = self.roster.next(place);
        if state.is_active() {
            self.ask_to_stop(now, place, Then::Stopped, decided);
        } else if state.is_coming() {
            self.roster.set_state(place, ChildState::Stopped, None);
        }
        self.advance(now, decided);
        true
    }

    fn ended(&mut self, decided: &mut Decided) {
        let Phase::Stopping(end) = self.phase else {
            return;
        };
        self.cycle = None;
        self.phase = Phase::Ended(end);
        decided.push(Action::End(end));
    }

    /// Asks the child in slot `place` to stop, unless it was asked; but its time is cut to what the
    /// supervisor has left.
    pub(super) fn ask_to_stop(
        &mut self,
        now: Instant,
        place: u32,
        then: Then,
        decided: &mut Decided,
    ) {
        let child = self.roster.child_mut(place);
        child.then = then;
        let id = child.present();
        let (asked, own) = match (child.state, child.plan.stop) {
            (ChildState::Stopping { deadline }, _) => (true, deadline),
            (_, Stop::Within(limit)) => (false, now.saturating_add(limit)),
            (_, Stop::Forever) => (false, Instant::MAX),
        };
        let deadline = own.min(self.stop_by);
        let due = (deadline != Instant::MAX).then_some(deadline);
        self.roster
            .set_state(place, ChildState::Stopping { deadline }, due);
        if !asked {
            decided.push(Action::Stop(id));
        } else if deadline < own {
            decided.push(Action::Shorten(id));
        }
    }

    /// Takes the child in slot `place` out.
    pub(super) fn forget(&mut self, place: u32, decided: &mut Decided) {
        let key = self.roster.child(place).key;
        let (before, after) = (self.roster.prev(place), self.roster.next(place));
        if let Some(cycle) = &mut self.cycle
            && cycle.next == place
        {
            cycle.next = match cycle.stage {
                Stage::Stop => before,
                _ => after,
            };
        }
        self.roster.remove(place);
        decided.push(Action::Forget(key));
    }

    /// The cycle learns that a child was appended in slot `place`.
    pub(super) fn appended(&mut self, place: u32) {
        if let Some(cycle) = &mut self.cycle
            && cycle.stage == Stage::Start
            && cycle.next == NIL
        {
            cycle.next = place;
        }
    }

    /// What was asked for the child in slot `place` is answered.
    pub(super) fn settle(&mut self, place: u32, outcome: Outcome, decided: &mut Decided) {
        let child = self.roster.child_mut(place);
        if child.asked != Asked::Nothing {
            child.asked = Asked::Nothing;
            let key = child.key;
            decided.push(Action::Settled(key, outcome));
        }
    }
}
