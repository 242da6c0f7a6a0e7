//! One supervisor as a state machine: events in, actions out.
//!
//! ```text
//!            Start        all started              Shutdown, or gave up
//!     New ─────────► Starting ─────────► Running ───────────────────► Stopping ──► Ended
//!                       │ a first start fails, Shutdown, or gave up       ▲
//!                       └─────────────────────────────────────────────────┘
//! ```
//!
//! *Starting* starts one child after the other; *stopping* asks one child after the other, from
//! the last to the first, each only when the one behind it is over: it ended, or its time ran out
//! and it was abandoned. A child that ends while its supervisor is starting or running is started
//! again or not, as its [`Restart`](super::Restart) says; every such start, and every one that
//! fails, counts against the restart intensity.
//!
//! Each start gets a number of its own. An event that names another incarnation than the present
//! one comes too late; it is answered with [`Stale`] and changes nothing. That makes the machine
//! indifferent to how fast its driver is: an incarnation may end before its start was confirmed,
//! a stop may be ordered while a start is under way, an abandoned child may end years later.
//!
//! The machine decides; it does not know what a child *is*, keeps no reasons and no names, and
//! reads no clock: [`Machine::next_deadline`] tells its driver when to come back.

use super::children::{Child, ChildKey, ChildState, ChildStorage, TooManyChildren};
use super::intensity::RestartIntensity;
use super::spec::{ChildPlan, Exit, Stop, Strategy};
use crate::clock::Instant;
use core::fmt;

/// One run of a child, as machine and driver call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IncarnationId {
    /// Whose run.
    pub child: ChildKey,
    /// Which one, counted from 1. Starts that fail count too.
    pub number: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Start the children; once, at the beginning.
    Start,
    /// An incarnation whose start was ordered now runs.
    Started(IncarnationId),
    /// An incarnation whose start was ordered never came to run.
    StartFailed(IncarnationId),
    /// An incarnation is over, and whatever it held is released.
    Exited(IncarnationId, Exit),
    /// Stop all children and end. Asked again, it changes nothing.
    Shutdown,
    /// Time has passed; due at [`Machine::next_deadline`], harmless at any other time.
    Tick,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Start an incarnation and answer with [`Event::Started`] or [`Event::StartFailed`].
    Start(IncarnationId),
    /// Ask an incarnation to stop, also one whose start is not confirmed yet.
    Stop(IncarnationId),
    /// An incarnation did not stop in time: shut it out of everything; it no longer counts.
    Abandon(IncarnationId),
    /// A temporary child is over and its specification is gone.
    Forget(ChildKey),
    /// All children have been started.
    Up,
    /// Nothing runs any more (except what was abandoned) and nothing ever will.
    End(End),
}

/// Why a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It was asked to.
    Shutdown,
    /// This child's first start failed.
    StartFailed(ChildKey),
    /// This child was to be restarted once more than the intensity allows.
    GaveUp(ChildKey),
}

/// Where a supervisor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Not started.
    New,
    /// Some children have not been started for the first time.
    Starting,
    /// All children have been started.
    Running,
    /// Children are being stopped, for this reason.
    Stopping(End),
    /// Over, for this reason.
    Ended(End),
}

/// The event named an incarnation that is over, or a phase that has passed; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stale;

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event came too late to matter")
    }
}

impl core::error::Error for Stale {}

/// Why a child was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddError {
    /// There is no room.
    TooManyChildren {
        /// How many children there may be.
        limit: usize,
    },
    /// The supervisor has been started or stopped.
    AlreadyStarted,
}

impl From<TooManyChildren> for AddError {
    fn from(TooManyChildren { limit }: TooManyChildren) -> Self {
        Self::TooManyChildren { limit }
    }
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooManyChildren { limit } => TooManyChildren { limit }.fmt(f),
            Self::AlreadyStarted => f.write_str("children are added before a supervisor starts"),
        }
    }
}

impl core::error::Error for AddError {}

/// What one event leads to, in the order in which it is to be done: at most two actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions(heapless::Vec<Action, 2>);

impl Actions {
    fn push(&mut self, action: Action) {
        let pushed = self.0.push(action);
        debug_assert!(pushed.is_ok(), "no event leads to more than two actions");
    }

    /// The actions as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[Action] {
        &self.0
    }
}

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = <heapless::Vec<Action, 2> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The decisions of one supervisor.
///
/// `C` holds the children, `MAX` is the largest restart intensity there is room for. Finding a
/// child takes O(log children); shutting down and [`next_deadline`](Self::next_deadline) take
/// O(children) a step.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::supervision::{
///     Action, ChildPlan, Event, Exit, FixedChildren, IncarnationId, Machine, RestartIntensity,
///     Strategy,
/// };
/// use core::time::Duration;
///
/// let limit = RestartIntensity::<4>::new(3, Duration::from_secs(5))?;
/// let mut machine = Machine::new(Strategy::OneForOne, limit, FixedChildren::<2>::new());
/// let child = machine.add(ChildPlan::default())?;
/// let first = IncarnationId { child, number: 1 };
///
/// let now = Instant::ZERO;
/// assert_eq!(machine.step(now, Event::Start)?.as_slice(), [Action::Start(first)]);
/// assert_eq!(machine.step(now, Event::Started(first))?.as_slice(), [Action::Up]);
///
/// // It crashes: the second incarnation is to be started, and the first one no longer counts.
/// let crash = Event::Exited(first, Exit::Abnormal);
/// let second = IncarnationId { child, number: 2 };
/// assert_eq!(machine.step(now, crash)?.as_slice(), [Action::Start(second)]);
/// assert!(machine.step(now, crash).is_err());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Machine<C, const MAX: usize> {
    strategy: Strategy,
    restarts: RestartIntensity<MAX>,
    children: C,
    next_key: u32,
    phase: Phase,
}

impl<C: ChildStorage, const MAX: usize> Machine<C, MAX> {
    /// A supervisor that has not started; `children` is an empty list.
    #[must_use]
    pub const fn new(strategy: Strategy, limit: RestartIntensity<MAX>, children: C) -> Self {
        Self {
            strategy,
            restarts: limit,
            children,
            next_key: 0,
            phase: Phase::New,
        }
    }

    /// Appends a child. Children are started in the order in which they were added.
    ///
    /// # Errors
    /// [`AddError::TooManyChildren`] when there is no room; [`AddError::AlreadyStarted`] after
    /// [`Event::Start`] or [`Event::Shutdown`].
    pub fn add(&mut self, plan: ChildPlan) -> Result<ChildKey, AddError> {
        if self.phase != Phase::New {
            return Err(AddError::AlreadyStarted);
        }
        let key = ChildKey(self.next_key);
        self.children.push(Child {
            key,
            plan,
            state: ChildState::Waiting,
            incarnation: 0,
        })?;
        self.next_key += 1;
        Ok(key)
    }

    /// Takes note of `event` at `now` and says what to do about it.
    ///
    /// # Errors
    /// [`Stale`] when the event came too late to matter; nothing is changed.
    pub fn step(&mut self, now: Instant, event: Event) -> Result<Actions, Stale> {
        let mut actions = Actions::default();
        match event {
            Event::Start if self.phase == Phase::New => {
                self.phase = Phase::Starting;
                self.start_next(&mut actions);
            }
            Event::Start => return Err(Stale),
            Event::Started(id) => self.started(id, &mut actions)?,
            Event::StartFailed(id) => self.start_failed(now, id, &mut actions)?,
            Event::Exited(id, exit) => self.exited(now, id, exit, &mut actions)?,
            Event::Shutdown => match self.phase {
                Phase::New | Phase::Starting | Phase::Running => {
                    self.begin_stop(now, End::Shutdown, &mut actions);
                }
                Phase::Stopping(_) | Phase::Ended(_) => {}
            },
            Event::Tick => self.tick(now, &mut actions),
        }
        Ok(actions)
    }

    /// When to send [`Event::Tick`]; it may already have passed. `None` while nothing waits for
    /// time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadlines = self
            .children
            .as_slice()
            .iter()
            .filter_map(|child| match child.state {
                ChildState::Stopping { deadline } if deadline != Instant::MAX => Some(deadline),
                _ => None,
            });
        deadlines.min()
    }

    /// The children in start order, without forgotten ones.
    #[must_use]
    pub fn children(&self) -> &[Child] {
        self.children.as_slice()
    }

    /// The child `key`, unless it is forgotten.
    #[must_use]
    pub fn child(&self, key: ChildKey) -> Option<&Child> {
        self.position(key)
            .map(|index| &self.children.as_slice()[index])
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

    /// Keys ascend in start order, because children are only ever appended.
    fn position(&self, key: ChildKey) -> Option<usize> {
        self.children
            .as_slice()
            .binary_search_by_key(&key, |child| child.key)
            .ok()
    }

    /// The place of the child whose present incarnation is `id`.
    fn present(&self, id: IncarnationId) -> Result<usize, Stale> {
        let index = self.position(id.child).ok_or(Stale)?;
        let child = &self.children.as_slice()[index];
        if child.incarnation == id.number && child.state.is_active() {
            Ok(index)
        } else {
            Err(Stale)
        }
    }

    fn child_mut(&mut self, index: usize) -> &mut Child {
        &mut self.children.as_mut_slice()[index]
    }

    /// Orders a start of the child at `index` under the next incarnation number.
    fn start(&mut self, index: usize, actions: &mut Actions) {
        let child = self.child_mut(index);
        child.incarnation += 1;
        child.state = ChildState::Starting;
        let id = IncarnationId {
            child: child.key,
            number: child.incarnation,
        };
        actions.push(Action::Start(id));
    }

    /// While starting: the next child in order, or done.
    fn start_next(&mut self, actions: &mut Actions) {
        let mut children = self.children.as_slice().iter();
        match children.position(|child| child.state == ChildState::Waiting) {
            Some(index) => self.start(index, actions),
            None => {
                self.phase = Phase::Running;
                actions.push(Action::Up);
            }
        }
    }

    fn started(&mut self, id: IncarnationId, actions: &mut Actions) -> Result<(), Stale> {
        let index = self.present(id)?;
        match self.child_mut(index).state {
            ChildState::Starting => {
                self.child_mut(index).state = ChildState::Running;
                if self.was_awaited(id) {
                    self.start_next(actions);
                }
                Ok(())
            }
            // It was asked to stop in the meantime, and its end is what is waited for.
            ChildState::Stopping { .. } => Ok(()),
            _ => Err(Stale),
        }
    }

    fn start_failed(
        &mut self,
        now: Instant,
        id: IncarnationId,
        actions: &mut Actions,
    ) -> Result<(), Stale> {
        let index = self.present(id)?;
        match self.child_mut(index).state {
            ChildState::Starting if id.number == 1 => {
                self.child_mut(index).state = ChildState::Stopped;
                self.begin_stop(now, End::StartFailed(id.child), actions);
                Ok(())
            }
            // A restart that failed is tried again, and counts again.
            ChildState::Starting => {
                self.restart(now, index, actions);
                Ok(())
            }
            ChildState::Stopping { .. } => {
                self.child_mut(index).state = ChildState::Stopped;
                self.stop_next(now, actions);
                Ok(())
            }
            _ => Err(Stale),
        }
    }

    fn exited(
        &mut self,
        now: Instant,
        id: IncarnationId,
        exit: Exit,
        actions: &mut Actions,
    ) -> Result<(), Stale> {
        let index = self.present(id)?;
        // An exit that overtakes its own `Started` implies it.
        let was_starting = self.child_mut(index).state == ChildState::Starting;
        let plan = self.child_mut(index).plan;
        match self.phase {
            Phase::Stopping(_) => {
                self.child_mut(index).state = ChildState::Stopped;
                self.stop_next(now, actions);
            }
            _ if plan.restart.restarts_after(exit) => self.restart(now, index, actions),
            _ if plan.restart == super::Restart::Temporary => {
                self.children.remove(index);
                actions.push(Action::Forget(id.child));
            }
            _ => self.child_mut(index).state = ChildState::Stopped,
        }
        if was_starting && self.was_awaited(id) {
            self.start_next(actions);
        }
        Ok(())
    }

    /// Whether the start of the next child waited for `id`: first incarnations start in order.
    fn was_awaited(&self, id: IncarnationId) -> bool {
        self.phase == Phase::Starting && id.number == 1
    }

    /// The child at `index` is over and is to run again, if that is still within the limit.
    fn restart(&mut self, now: Instant, index: usize, actions: &mut Actions) {
        match self.restarts.admit(now) {
            Ok(()) => match self.strategy {
                Strategy::OneForOne => self.start(index, actions),
            },
            Err(_) => {
                let child = self.child_mut(index);
                child.state = ChildState::Stopped;
                let key = child.key;
                self.begin_stop(now, End::GaveUp(key), actions);
            }
        }
    }

    fn begin_stop(&mut self, now: Instant, end: End, actions: &mut Actions) {
        self.phase = Phase::Stopping(end);
        self.stop_next(now, actions);
    }

    /// While stopping: asks the last child that still runs, unless it was asked already.
    fn stop_next(&mut self, now: Instant, actions: &mut Actions) {
        let Phase::Stopping(end) = self.phase else {
            return;
        };
        let mut active = self.children.as_mut_slice().iter_mut().rev();
        match active.find(|child| child.state.is_active()) {
            Some(child) if matches!(child.state, ChildState::Stopping { .. }) => {}
            Some(child) => {
                let deadline = match child.plan.stop {
                    Stop::Within(limit) => now.saturating_add(limit),
                    Stop::Forever => Instant::MAX,
                };
                child.state = ChildState::Stopping { deadline };
                actions.push(Action::Stop(IncarnationId {
                    child: child.key,
                    number: child.incarnation,
                }));
            }
            None => {
                self.phase = Phase::Ended(end);
                actions.push(Action::End(end));
            }
        }
    }

    /// Abandons a child whose time to stop has run out.
    fn tick(&mut self, now: Instant, actions: &mut Actions) {
        let overdue = self.children.as_mut_slice().iter_mut().rev().find(|child| {
            matches!(child.state, ChildState::Stopping { deadline }
                if deadline != Instant::MAX && deadline <= now)
        });
        if let Some(child) = overdue {
            child.state = ChildState::Stopped;
            let id = IncarnationId {
                child: child.key,
                number: child.incarnation,
            };
            actions.push(Action::Abandon(id));
            self.stop_next(now, actions);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FixedChildren, Restart};
    use super::*;
    use core::time::Duration;

    type Fixed = Machine<FixedChildren<3>, 4>;

    const NOW: Instant = Instant::from_nanos(1_000);

    /// A machine with three children of the default plan, intensity 1.
    fn three(restart: Restart) -> (Fixed, [ChildKey; 3]) {
        let limit = RestartIntensity::new(1, Duration::from_secs(5)).unwrap();
        let mut machine = Fixed::new(Strategy::OneForOne, limit, FixedChildren::new());
        let keys = [(); 3].map(|()| {
            machine
                .add(ChildPlan {
                    restart,
                    stop: Stop::default(),
                })
                .unwrap()
        });
        (machine, keys)
    }

    fn up(restart: Restart) -> (Fixed, [ChildKey; 3]) {
        let (mut machine, keys) = three(restart);
        machine.step(NOW, Event::Start).unwrap();
        for child in keys {
            machine
                .step(NOW, Event::Started(IncarnationId { child, number: 1 }))
                .unwrap();
        }
        assert_eq!(machine.phase(), Phase::Running);
        (machine, keys)
    }

    fn id(child: ChildKey, number: u64) -> IncarnationId {
        IncarnationId { child, number }
    }

    #[test]
    fn a_failed_first_start_stops_the_started_in_reverse() {
        let (mut machine, [a, b, c]) = three(Restart::Permanent);
        machine.step(NOW, Event::Start).unwrap();
        for child in [a, b] {
            machine.step(NOW, Event::Started(id(child, 1))).unwrap();
        }
        let actions = machine.step(NOW, Event::StartFailed(id(c, 1))).unwrap();
        assert_eq!(actions.as_slice(), [Action::Stop(id(b, 1))]);
        let actions = machine
            .step(NOW, Event::Exited(id(b, 1), Exit::Clean))
            .unwrap();
        assert_eq!(actions.as_slice(), [Action::Stop(id(a, 1))]);
        let actions = machine
            .step(NOW, Event::Exited(id(a, 1), Exit::Clean))
            .unwrap();
        assert_eq!(actions.as_slice(), [Action::End(End::StartFailed(c))]);
    }

    #[test]
    fn an_exit_may_overtake_the_confirmation_of_its_start() {
        let (mut machine, [a, b, _]) = three(Restart::Permanent);
        machine.step(NOW, Event::Start).unwrap();
        let actions = machine
            .step(NOW, Event::Exited(id(a, 1), Exit::Abnormal))
            .unwrap();
        assert_eq!(
            actions.as_slice(),
            [Action::Start(id(a, 2)), Action::Start(id(b, 1))]
        );
        assert_eq!(machine.step(NOW, Event::Started(id(a, 1))), Err(Stale));
    }

    #[test]
    fn giving_up_while_starting_stops_what_is_being_started() {
        let (mut machine, [a, b, c]) = three(Restart::Permanent);
        machine.step(NOW, Event::Start).unwrap();
        machine.step(NOW, Event::Started(id(a, 1))).unwrap();
        machine
            .step(NOW, Event::Exited(id(a, 1), Exit::Abnormal))
            .unwrap();
        let actions = machine
            .step(NOW, Event::Exited(id(a, 2), Exit::Abnormal))
            .unwrap();
        assert_eq!(actions.as_slice(), [Action::Stop(id(b, 1))]);
        assert_eq!(
            machine
                .step(NOW, Event::Started(id(b, 1)))
                .unwrap()
                .as_slice(),
            []
        );
        let actions = machine
            .step(NOW, Event::Exited(id(b, 1), Exit::Clean))
            .unwrap();
        assert_eq!(actions.as_slice(), [Action::End(End::GaveUp(a))]);
        assert_eq!(
            machine.child(c).map(Child::state),
            Some(ChildState::Waiting)
        );
    }

    #[test]
    fn a_late_child_is_abandoned_at_its_deadline_and_not_before() {
        let (mut machine, [_, b, c]) = up(Restart::Permanent);
        machine.step(NOW, Event::Shutdown).unwrap();
        let deadline = NOW.saturating_add(Duration::from_secs(5));
        assert_eq!(machine.next_deadline(), Some(deadline));
        let just_before = Instant::from_nanos(deadline.as_nanos() - 1);
        assert_eq!(
            machine.step(just_before, Event::Tick).unwrap().as_slice(),
            []
        );
        let actions = machine.step(deadline, Event::Tick).unwrap();
        assert_eq!(
            actions.as_slice(),
            [Action::Abandon(id(c, 1)), Action::Stop(id(b, 1))]
        );
        let late = Event::Exited(id(c, 1), Exit::Clean);
        assert_eq!(machine.step(deadline, late), Err(Stale));
    }

    #[test]
    fn a_child_without_a_limit_sets_no_deadline() {
        let limit = RestartIntensity::new(1, Duration::from_secs(5)).unwrap();
        let mut machine = Fixed::new(Strategy::OneForOne, limit, FixedChildren::new());
        let plan = ChildPlan {
            restart: Restart::Permanent,
            stop: Stop::Forever,
        };
        let child = machine.add(plan).unwrap();
        machine.step(NOW, Event::Start).unwrap();
        machine.step(NOW, Event::Started(id(child, 1))).unwrap();
        machine.step(NOW, Event::Shutdown).unwrap();
        assert_eq!(machine.next_deadline(), None);
        assert_eq!(
            machine.step(Instant::MAX, Event::Tick).unwrap().as_slice(),
            []
        );
    }

    #[test]
    fn a_temporary_child_is_forgotten_and_a_transient_one_kept() {
        let (mut machine, [a, ..]) = up(Restart::Temporary);
        let actions = machine
            .step(NOW, Event::Exited(id(a, 1), Exit::Abnormal))
            .unwrap();
        assert_eq!(actions.as_slice(), [Action::Forget(a)]);
        assert!(machine.child(a).is_none());

        let (mut machine, [a, ..]) = up(Restart::Transient);
        let actions = machine
            .step(NOW, Event::Exited(id(a, 1), Exit::Clean))
            .unwrap();
        assert_eq!(actions.as_slice(), []);
        assert_eq!(
            machine.child(a).map(Child::state),
            Some(ChildState::Stopped)
        );
    }

    #[test]
    fn without_children_it_is_up_at_once_and_ends_at_once() {
        let limit = RestartIntensity::new(0, Duration::from_secs(5)).unwrap();
        let mut machine = Fixed::new(Strategy::OneForOne, limit, FixedChildren::new());
        assert_eq!(
            machine.step(NOW, Event::Start).unwrap().as_slice(),
            [Action::Up]
        );
        let end = Action::End(End::Shutdown);
        assert_eq!(
            machine.step(NOW, Event::Shutdown).unwrap().as_slice(),
            [end]
        );
        assert_eq!(machine.step(NOW, Event::Shutdown).unwrap().as_slice(), []);
        assert_eq!(machine.step(NOW, Event::Start), Err(Stale));
    }

    #[test]
    fn a_fourth_child_does_not_fit_and_none_is_added_later() {
        let (mut machine, _) = three(Restart::Permanent);
        let refused = machine.add(ChildPlan::default());
        assert_eq!(refused, Err(AddError::TooManyChildren { limit: 3 }));
        machine.step(NOW, Event::Start).unwrap();
        assert_eq!(
            machine.add(ChildPlan::default()),
            Err(AddError::AlreadyStarted)
        );
    }
}
