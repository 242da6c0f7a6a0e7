//! One supervisor as a state machine: events in, actions out.
//!
//! ```text
//!            Start        all started              Shutdown, gave up, auto-shutdown, overrun
//!     New ─────────► Starting ─────────► Running ─────────────────────────────► Stopping ──► Ended
//!                       │ a first start fails, or one of those                     ▲
//!                       └──────────────────────────────────────────────────────────┘
//! ```
//!
//! *Starting* starts one child after the other, each when the one before it is ready; *stopping* asks
//! one child after the other, from the last to the first, each only when the one behind it is over:
//! it ended, or its time ran out and it was abandoned. A child that ends while its supervisor is starting or
//! running is started again or not, as its [`Restart`] says, alone or with its group, as the
//! [`Strategy`] says; every such start, and every one that fails, counts against the restart
//! intensity. `cycle.rs` is about everything that has an order, `control.rs` about what is
//! asked for by hand; this file is about what becomes of one child:
//!
//! ```text
//!  Exited ──┬─ was asked to stop, or its group is being stopped ──► Stopped | Waiting | forgotten
//!           ├─ was asked because it was stuck: as if it had not been, and abnormally
//!           ├─ not ready yet: its start failed ─┐
//!           ├─ to be restarted ────────────────►┴─ admitted? ─ no ──► the supervisor gives up
//!           │                                       │ yes, after its delay
//!           │                                       └──► Starting, alone or with its group
//!           └─ for good ──► Stopped | forgotten, and if it was significant, auto-shutdown
//! ```
//!
//! Each start gets a number of its own. An event that names another incarnation than the present
//! one comes too late; it is answered with [`Stale`] and changes nothing. That makes the machine
//! indifferent to how fast its driver is: an incarnation may end before its start was confirmed,
//! a stop may be ordered while a start is under way, an abandoned child may end years later. That
//! it does, or that its start came to nothing, is taken note of once: it does not count as
//! abandoned any more.
//!
//! The machine decides; it does not know what a child *is*, keeps no reasons, and reads no clock:
//! [`Machine::next_deadline`] tells its driver when to come back.

mod actions;
mod control;
mod cycle;
mod news;
#[cfg(test)]
mod tests;

use super::backoff::Jitter;
use super::child::{Asked, Child, ChildKey, ChildState, IncarnationId, Then};
use super::intensity::RestartIntensity;
use super::roster::{Counts, Roster};
use super::spec::{Exit, Overrun, Ready, Restart};
use super::storage::ChildStorage;
use super::strategy::{AutoShutdown, Config, ConfigError, MOST_ABANDONED, Strategy};
use crate::clock::Instant;
use actions::Decided;
use core::time::Duration;
use cycle::{Cycle, Stage};

pub use actions::Actions;
pub use news::{Action, ControlError, End, Event, Outcome, Phase, Stale};

/// So long there is no second try where there was no room for the first.
const ROOM: Duration = Duration::from_millis(10);

/// Why an incarnation did not come to run.
#[derive(Clone, Copy)]
enum Why {
    Failed,
    Refused,
    Declined,
}

/// The decisions of one supervisor.
///
/// `C` holds the children, `MAX` is the largest restart intensity there is room for. A step takes
/// O(log children) for the deadlines and O(1) for the rest; the restart of a group O(group) once.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::supervision::{
///     Action, ChildPlan, Config, Event, Exit, FixedChildren, IncarnationId, Machine,
///     RestartIntensity, Strategy,
/// };
/// use core::time::Duration;
///
/// let limit = RestartIntensity::<4>::new(3, Duration::from_secs(5))?;
/// let config = Config::new(Strategy::OneForAll, limit);
/// let mut machine = Machine::new(config, FixedChildren::<&str, 2>::new())?;
/// let sensor = machine.add(Some("sensor"), ChildPlan::default())?;
/// let filter = machine.add(Some("filter"), ChildPlan::default())?;
/// let id = |child, number| IncarnationId { child, number };
///
/// let now = Instant::ZERO;
/// let mut step = |event| machine.step(now, event).map(|actions| actions.collect::<Vec<_>>());
/// assert_eq!(step(Event::Start)?, [Action::Start(id(sensor, 1))]);
/// assert_eq!(step(Event::Started(id(sensor, 1)))?, [Action::Start(id(filter, 1))]);
/// assert_eq!(step(Event::Started(id(filter, 1)))?, [Action::Up]);
///
/// // The sensor crashes. The filter goes with it, and both come back in order.
/// let crash = Event::Exited(id(sensor, 1), Exit::Abnormal);
/// assert_eq!(step(crash)?, [Action::Stop(id(filter, 1))]);
/// assert!(step(crash).is_err());
/// let end = Event::Exited(id(filter, 1), Exit::Clean);
/// assert_eq!(step(end)?, [Action::Start(id(sensor, 2))]);
/// assert_eq!(step(Event::Started(id(sensor, 2)))?, [Action::Start(id(filter, 2))]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Machine<C, const MAX: usize> {
    strategy: Strategy,
    auto_shutdown: AutoShutdown,
    max_children: usize,
    shutdown_budget: Option<Duration>,
    max_abandoned: usize,
    restarts: RestartIntensity<MAX>,
    jitter: Jitter,
    roster: Roster<C>,
    phase: Phase,
    cycle: Option<Cycle>,
    /// While stopping: when everybody's time is over.
    stop_by: Instant,
    /// Who was abandoned and has not ended since, as far as there is room.
    abandoned: heapless::Vec<IncarnationId, MOST_ABANDONED>,
}

impl<C: ChildStorage, const MAX: usize> Machine<C, MAX> {
    /// A supervisor that has not started; in `children` there are none.
    ///
    /// # Errors
    /// [`ConfigError`] when there can be no such supervisor.
    pub fn new(config: Config<MAX>, children: C) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            strategy: config.strategy,
            auto_shutdown: config.auto_shutdown,
            max_children: config.max_children,
            shutdown_budget: config.shutdown_budget,
            max_abandoned: config.max_abandoned,
            restarts: config.limit,
            jitter: Jitter::new(config.seed),
            roster: Roster::new(children),
            phase: Phase::New,
            cycle: None,
            stop_by: Instant::MAX,
            abandoned: heapless::Vec::new(),
        })
    }

    /// Takes note of `event` at `now` and says what to do about it.
    ///
    /// # Errors
    /// [`Stale`] when the event came too late to matter; nothing is changed.
    pub fn step(&mut self, now: Instant, event: Event) -> Result<Actions<'_, C, MAX>, Stale> {
        let mut decided = Decided::new();
        match event {
            Event::Start if self.phase == Phase::New => {
                self.phase = Phase::Starting;
                self.cycle = Some(Cycle::new(0, Stage::Start, self.roster.head));
                self.advance(now, &mut decided);
            }
            Event::Start => return Err(Stale),
            Event::Started(id) => self.started(now, id, &mut decided)?,
            Event::Ready(id) => self.ready(now, id, &mut decided)?,
            Event::StartFailed(id) => self.not_started(now, id, Why::Failed, &mut decided)?,
            Event::Refused(id) => self.not_started(now, id, Why::Refused, &mut decided)?,
            Event::Declined(id) => self.not_started(now, id, Why::Declined, &mut decided)?,
            Event::Exited(id, exit) => self.exited(now, id, exit, &mut decided)?,
            Event::Stuck(id) => self.stuck(now, id, &mut decided)?,
            Event::Shutdown => match self.phase {
                Phase::New | Phase::Starting | Phase::Running => {
                    self.begin_stop(now, End::Shutdown, &mut decided);
                }
                Phase::Stopping(_) | Phase::Ended(_) => {}
            },
            Event::Tick => self.expire(now, &mut decided),
        }
        Ok(self.actions(now, decided))
    }

    /// When to send [`Event::Tick`]; it may already have passed. `None` while nothing waits for
    /// time. A tick does one thing: if more is due, this says so after it. O(1).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.roster.first_deadline().map(|(deadline, _)| deadline)
    }

    /// The children in start order, without forgotten ones. Answers in every phase.
    pub fn children(&self) -> impl Iterator<Item = &Child<C::Id>> {
        self.roster.iter()
    }

    /// The child `key`, unless it is forgotten. O(1).
    #[must_use]
    pub fn child(&self, key: ChildKey) -> Option<&Child<C::Id>> {
        let place = self.roster.place(key)?;
        self.roster.get(place)
    }

    /// The child called `id`. As fast as the storage finds it.
    #[must_use]
    pub fn find(&self, id: &C::Id) -> Option<&Child<C::Id>> {
        self.roster.find(id)
    }

    /// How many children there are. O(1).
    #[must_use]
    pub fn count(&self) -> Counts {
        Counts {
            abandoned: self.abandoned.len(),
            ..self.roster.counts()
        }
    }

    /// Where the supervisor is in its life.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Which children are restarted when one ends.
    #[must_use]
    pub const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The restart limit and what is used of it.
    #[must_use]
    pub const fn limit(&self) -> &RestartIntensity<MAX> {
        &self.restarts
    }

    const fn actions(&mut self, now: Instant, decided: Decided) -> Actions<'_, C, MAX> {
        Actions {
            machine: self,
            decided,
            now,
        }
    }

    /// The slot of the child whose present incarnation is `id`, if that may be alive.
    fn present(&self, id: IncarnationId) -> Result<u32, Stale> {
        let place = self.roster.place(id.child).ok_or(Stale)?;
        let child = self.roster.child(place);
        if child.incarnation == id.number && child.state.is_active() {
            Ok(place)
        } else {
            Err(Stale)
        }
    }

    /// Orders a start of the child in slot `place` under the next incarnation number.
    fn start(&mut self, now: Instant, place: u32, decided: &mut Decided) {
        let child = self.roster.child_mut(place);
        child.incarnation += 1;
        child.then = Then::Stopped;
        let id = child.present();
        let due = match child.plan.ready {
            Ready::OnStart => None,
            Ready::Signalled { within } => Some(now.saturating_add(within)),
        };
        self.roster.set_state(place, ChildState::Starting, due);
        decided.push(Action::Start(id));
    }

    fn started(
        &mut self,
        now: Instant,
        id: IncarnationId,
        decided: &mut Decided,
    ) -> Result<(), Stale> {
        let place = self.present(id)?;
        let child = self.roster.child(place);
        match (child.state, child.plan.ready) {
            (ChildState::Starting, Ready::OnStart) => {
                self.up(now, place, decided);
                Ok(())
            }
            // It is not ready yet, or was asked to stop in the meantime, and its end is what is
            // waited for.
            (ChildState::Starting | ChildState::Stopping { .. }, _) => Ok(()),
            _ => Err(Stale),
        }
    }

    fn ready(
        &mut self,
        now: Instant,
        id: IncarnationId,
        decided: &mut Decided,
    ) -> Result<(), Stale> {
        let place = self.present(id)?;
        match self.roster.child(place).state {
            ChildState::Starting => {
                self.up(now, place, decided);
                Ok(())
            }
            ChildState::Stopping { .. } => Ok(()),
            _ => Err(Stale),
        }
    }

    /// The child in slot `place` runs and is ready.
    fn up(&mut self, now: Instant, place: u32, decided: &mut Decided) {
        let key = self.ran(now, place);
        self.settle(place, Outcome::Started, decided);
        self.release(key);
        self.advance(now, decided);
    }

    fn ran(&mut self, now: Instant, place: u32) -> ChildKey {
        self.roster.set_state(place, ChildState::Running, None);
        let child = self.roster.child_mut(place);
        child.since = now;
        child.proved = true;
        child.failures = 0;
        child.key
    }

    fn not_started(
        &mut self,
        now: Instant,
        id: IncarnationId,
        why: Why,
        decided: &mut Decided,
    ) -> Result<(), Stale> {
        let Ok(place) = self.present(id) else {
            return self.ended_late(id, decided);
        };
        match self.roster.child(place).state {
            ChildState::Running => return Err(Stale),
            ChildState::Starting if !self.is_doomed(place) => match why {
                Why::Declined => self.over(now, place, Outcome::Declined, decided),
                Why::Failed => self.start_failed(now, place, Duration::ZERO, decided),
                Why::Refused => self.start_failed(now, place, ROOM, decided),
            },
            _ => self.was_stopped(now, place, decided),
        }
        Ok(())
    }

    fn exited(
        &mut self,
        now: Instant,
        id: IncarnationId,
        exit: Exit,
        decided: &mut Decided,
    ) -> Result<(), Stale> {
        let Ok(place) = self.present(id) else {
            return self.ended_late(id, decided);
        };
        let child = self.roster.child(place);
        let (state, ready) = (child.state, child.plan.ready);
        if self.is_doomed(place) || matches!(state, ChildState::Stopping { .. }) {
            self.was_stopped(now, place, decided);
        } else if state == ChildState::Starting && ready != Ready::OnStart {
            self.start_failed(now, place, Duration::ZERO, decided);
        } else {
            if state == ChildState::Starting {
                // An exit that overtakes its own `Started` implies it.
                self.ran(now, place);
                self.settle(place, Outcome::Started, decided);
            }
            // Before a restart can be awaited.
            self.release(id.child);
            self.ended_by_itself(now, place, exit, decided);
            self.advance(now, decided);
        }
        Ok(())
    }

    /// The incarnation `id`, which is not present, is over, or never came to run: that is news if it was abandoned.
    fn ended_late(&mut self, id: IncarnationId, decided: &mut Decided) -> Result<(), Stale> {
        let late = self.abandoned.iter().position(|&other| other == id);
        self.abandoned.swap_remove(late.ok_or(Stale)?);
        decided.push(Action::LateExit(id));
        Ok(())
    }

    /// The running incarnation `id` is to be replaced.
    fn stuck(
        &mut self,
        now: Instant,
        id: IncarnationId,
        decided: &mut Decided,
    ) -> Result<(), Stale> {
        let place = self.present(id)?;
        // Who starts, or stops, has a limit for that.
        if self.roster.child(place).state != ChildState::Running {
            return Err(Stale);
        }
        // Who is stopped with its group comes back with it.
        if !self.is_doomed(place) {
            self.ask_to_stop(now, place, Then::Crashed, decided);
        }
        Ok(())
    }

    /// The running child in slot `place` is over, and nobody had asked it to be.
    fn ended_by_itself(&mut self, now: Instant, place: u32, exit: Exit, decided: &mut Decided) {
        let child = self.roster.child(place);
        let (key, plan) = (child.key, child.plan);
        if plan.restart.restarts_after(exit) {
            return self.restart_by_itself(now, place, Duration::ZERO, decided);
        }
        self.let_rest(place, decided);
        let last = self.roster.significant == 0;
        let shut_down = match self.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => plan.significant,
            AutoShutdown::AllSignificant => plan.significant && last,
        };
        if shut_down {
            self.begin_stop(now, End::AutoShutdown(key), decided);
        }
    }

    /// The child in slot `place` is over for good: it is forgotten, or stopped.
    fn let_rest(&mut self, place: u32, decided: &mut Decided) {
        let temporary = self.roster.child(place).plan.restart == Restart::Temporary;
        let kept = matches!(self.phase, Phase::Stopping(_));
        if (temporary || self.strategy == Strategy::Dynamic) && !kept {
            self.forget(place, decided);
        } else {
            self.roster.set_state(place, ChildState::Stopped, None);
        }
    }

    /// The child in slot `place` is over for good, and that is the answer to what was asked for it.
    fn over(&mut self, now: Instant, place: u32, outcome: Outcome, decided: &mut Decided) {
        let key = self.roster.child(place).key;
        self.settle(place, outcome, decided);
        self.let_rest(place, decided);
        self.release(key);
        self.advance(now, decided);
    }

    /// The start of the child in slot `place` has failed, and nothing of it is left. If it is tried again, then not before `least`
    /// is over.
    fn start_failed(&mut self, now: Instant, place: u32, least: Duration, decided: &mut Decided) {
        let child = self.roster.child_mut(place);
        child.failures = child.failures.saturating_add(1);
        let (key, asked, proved) = (child.key, child.asked, child.proved);
        let temporary = child.plan.restart == Restart::Temporary;
        self.settle(place, Outcome::StartFailed, decided);
        // Before a restart can be awaited.
        self.release(key);
        if asked == Asked::Start {
            if proved {
                self.let_rest(place, decided);
            } else {
                self.forget(place, decided);
            }
        } else if !proved && self.phase == Phase::Starting {
            self.roster.set_state(place, ChildState::Stopped, None);
            self.begin_stop(now, End::StartFailed(key), decided);
        } else if temporary {
            self.let_rest(place, decided);
        } else {
            // A restart that failed is tried again, and counts again.
            self.restart_by_itself(now, place, least, decided);
        }
        self.advance(now, decided);
    }

    /// The child in slot `place` is over, and was being stopped, or about to be.
    fn was_stopped(&mut self, now: Instant, place: u32, decided: &mut Decided) {
        let child = self.roster.child(place);
        let (key, then, asked) = (child.key, child.then, child.asked);
        let stopping = matches!(self.phase, Phase::Stopping(_));
        let temporary = child.plan.restart == Restart::Temporary;
        match then {
            Then::Failed if !stopping => {
                return self.start_failed(now, place, Duration::ZERO, decided);
            }
            Then::Crashed if !stopping => {
                // Before a restart can be awaited.
                self.release(key);
                self.ended_by_itself(now, place, Exit::Abnormal, decided);
                return self.advance(now, decided);
            }
            Then::Waiting if !stopping && !temporary => {
                if asked == Asked::Stop {
                    self.settle(place, Outcome::Stopped, decided);
                }
                self.roster.set_state(place, ChildState::Waiting, None);
            }
            _ => {
                self.settle(place, Outcome::Stopped, decided);
                self.let_rest(place, decided);
            }
        }
        self.release(key);
        self.advance(now, decided);
    }

    /// The child in slot `place` is over and is to run again, if that is still within the limit; not before `least` is over.
    fn restart_by_itself(
        &mut self,
        now: Instant,
        place: u32,
        least: Duration,
        decided: &mut Decided,
    ) {
        if self.restarts.admit(now).is_err() {
            let key = self.roster.child(place).key;
            self.roster.set_state(place, ChildState::Stopped, None);
            return self.begin_stop(now, End::GaveUp(key), decided);
        }
        let jitter = &mut self.jitter;
        let child = self.roster.child_mut(place);
        let backoff = child.plan.backoff;
        let up = now.saturating_duration_since(child.since);
        let ran = child.state == ChildState::Running || child.then == Then::Crashed;
        if ran && backoff.resets_after(up) {
            child.delays.reset();
        }
        let delay = child.delays.next(&backoff, jitter).max(least);
        let until = now.saturating_add(delay);
        let alone = matches!(self.strategy, Strategy::OneForOne | Strategy::Dynamic);
        if until > now {
            let state = ChildState::Backoff { until };
            self.roster.set_state(place, state, Some(until));
        } else if !alone {
            self.roster.set_state(place, ChildState::Waiting, None);
        }
        if !alone {
            self.regroup(now, place, decided);
        } else if until <= now {
            self.start(now, place, decided);
        }
    }

    /// Does what is due first, if anything is due by now.
    fn expire(&mut self, now: Instant, decided: &mut Decided) {
        let due = self.roster.first_deadline();
        let Some((_, place)) = due.filter(|&(deadline, _)| deadline <= now) else {
            return;
        };
        let state = self.roster.child(place).state;
        match state {
            // It is about to be stopped anyway.
            ChildState::Starting if self.is_doomed(place) => {
                self.roster.set_state(place, state, None);
            }
            ChildState::Starting => self.ask_to_stop(now, place, Then::Failed, decided),
            ChildState::Backoff { .. } => self.delay_over(now, place, decided),
            ChildState::Stopping { .. } => self.abandon(now, place, decided),
            _ => self.roster.set_state(place, state, None),
        }
    }

    fn delay_over(&mut self, now: Instant, place: u32, decided: &mut Decided) {
        if matches!(self.phase, Phase::Stopping(_)) {
            self.roster.set_state(place, ChildState::Stopped, None);
        } else if self.is_led_by(self.roster.child(place).key) {
            self.roster.set_state(place, ChildState::Waiting, None);
            self.advance(now, decided);
        } else {
            self.start(now, place, decided);
        }
    }

    fn abandon(&mut self, now: Instant, place: u32, decided: &mut Decided) {
        let child = self.roster.child(place);
        let (id, overrun) = (child.present(), child.plan.overrun);
        decided.push(Action::Abandon(id));
        let known = self.abandoned.push(id).is_ok();
        let too_many = !known || self.abandoned.len() > self.max_abandoned;
        if matches!(self.phase, Phase::Starting | Phase::Running)
            && (too_many || overrun == Overrun::Escalate)
        {
            self.settle(place, Outcome::Stopped, decided);
            self.roster.set_state(place, ChildState::Stopped, None);
            self.begin_stop(now, End::Overrun(id.child), decided);
        } else {
            self.was_stopped(now, place, decided);
        }
    }
}
