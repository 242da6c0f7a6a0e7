//! What is asked for by hand, while the supervisor runs or before.
//!
//! A request is refused at once, or taken: then it returns what is to be done, and one
//! [`Action::Settled`](super::Action::Settled) says later, or at once, what came of it. The machine never waits, so the
//! rest of the children is served meanwhile.

use super::super::child::{Asked, ChildKey, ChildState, Then};
use super::super::spec::ChildPlan;
use super::super::storage::{ChildStorage, TooManyChildren};
use super::super::strategy::{Config, ConfigError, Strategy};
use super::Machine;
use super::actions::{Actions, Decided};
use super::news::{ControlError, Outcome, Phase};
use crate::clock::Instant;

impl From<TooManyChildren> for ControlError {
    fn from(TooManyChildren { limit }: TooManyChildren) -> Self {
        Self::Full { limit }
    }
}

impl<C: ChildStorage, const MAX: usize> Machine<C, MAX> {
    /// Appends a child before the supervisor starts. Children are started in the order in which they were
    /// added. Amortised as finding an id.
    ///
    /// # Errors
    /// [`ControlError::AlreadyPresent`] if there is a child of this id, [`ControlError::Dynamic`] if there
    /// are no ids, [`ControlError::BadPlan`], [`ControlError::Full`]; [`ControlError::AlreadyUp`]
    /// after [`Event::Start`](super::Event::Start), where [`start_child`](Self::start_child) is meant,
    /// and [`ControlError::ShuttingDown`] after the end.
    pub fn add(&mut self, id: Option<C::Id>, plan: ChildPlan) -> Result<ChildKey, ControlError> {
        match self.phase {
            Phase::New => self.append(id, plan),
            Phase::Starting | Phase::Running => Err(ControlError::AlreadyUp),
            Phase::Stopping(_) | Phase::Ended(_) => Err(ControlError::ShuttingDown),
        }
    }

    /// Adds a child behind the others and starts it; at once, unless others are being started or
    /// stopped in order, in which case it is one of those that wait. If its start fails, it is forgotten
    /// again, and the supervisor goes on.
    ///
    /// # Errors
    /// [`ControlError::AlreadyStarted`] or [`ControlError::AlreadyPresent`] if there is a child of this id,
    /// [`ControlError::Dynamic`] if there are no ids, [`ControlError::BadPlan`],
    /// [`ControlError::Full`], [`ControlError::NotStarted`], [`ControlError::ShuttingDown`].
    pub fn start_child(
        &mut self,
        now: Instant,
        id: Option<C::Id>,
        plan: ChildPlan,
    ) -> Result<(ChildKey, Actions<'_, C, MAX>), ControlError> {
        self.check_up()?;
        let key = self.append(id, plan)?;
        let place = key.slot;
        self.appended(place);
        let mut decided = Decided::new();
        self.start_by_hand(now, place, Asked::Start, &mut decided);
        Ok((key, self.actions(now, decided)))
    }

    /// Stops a child. A temporary one is then forgotten, and so is one of a dynamic supervisor; any
    /// other is kept. It neither counts as a restart nor shuts the supervisor down. One that is stopped
    /// already is settled at once.
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::NotStarted`], [`ControlError::ShuttingDown`].
    pub fn terminate(
        &mut self,
        now: Instant,
        key: ChildKey,
    ) -> Result<Actions<'_, C, MAX>, ControlError> {
        self.check_up()?;
        let place = self.roster.place(key).ok_or(ControlError::NotFound)?;
        let mut decided = Decided::new();
        let child = self.roster.child_mut(place);
        child.asked = Asked::Stop;
        if child.state.is_active() {
            self.ask_to_stop(now, place, Then::Stopped, &mut decided);
        } else {
            self.over(now, place, Outcome::Stopped, &mut decided);
        }
        Ok(self.actions(now, decided))
    }

    /// Starts a child that is stopped, or waits out its delay. It does not count as a restart. If
    /// the start of a stopped one fails, it stays stopped.
    ///
    /// # Errors
    /// [`ControlError::NotFound`]; [`ControlError::Running`], [`ControlError::Restarting`] or
    /// [`ControlError::Stopping`] if it is not stopped; [`ControlError::Dynamic`],
    /// [`ControlError::NotStarted`], [`ControlError::ShuttingDown`].
    pub fn restart(
        &mut self,
        now: Instant,
        key: ChildKey,
    ) -> Result<Actions<'_, C, MAX>, ControlError> {
        self.check_up()?;
        if self.strategy == Strategy::Dynamic {
            return Err(ControlError::Dynamic);
        }
        let place = self.roster.place(key).ok_or(ControlError::NotFound)?;
        let child = self.roster.child(place);
        let mut decided = Decided::new();
        match child.state {
            ChildState::Stopped => self.start_by_hand(now, place, Asked::Start, &mut decided),
            ChildState::Backoff { .. } if !self.is_led_by(key) => {
                self.start_by_hand(now, place, Asked::Hurry, &mut decided);
            }
            ChildState::Backoff { .. } => {
                // Its group has waited for it, and goes on with it.
                self.roster.child_mut(place).asked = Asked::Hurry;
                self.roster.set_state(place, ChildState::Waiting, None);
                self.advance(now, &mut decided);
            }
            _ if child.is_restarting() => return Err(ControlError::Restarting),
            ChildState::Stopping { .. } => return Err(ControlError::Stopping),
            _ => return Err(ControlError::Running),
        }
        Ok(self.actions(now, decided))
    }

    /// Forgets a child that is stopped, or, before the supervisor starts, any. O(1).
    ///
    /// # Errors
    /// [`ControlError::NotFound`]; [`ControlError::Running`], [`ControlError::Restarting`] or
    /// [`ControlError::Stopping`] if it is not stopped; [`ControlError::Dynamic`];
    /// [`ControlError::ShuttingDown`].
    pub fn delete(&mut self, key: ChildKey) -> Result<(), ControlError> {
        if matches!(self.phase, Phase::Stopping(_) | Phase::Ended(_)) {
            return Err(ControlError::ShuttingDown);
        }
        if self.strategy == Strategy::Dynamic && self.phase != Phase::New {
            return Err(ControlError::Dynamic);
        }
        let place = self.roster.place(key).ok_or(ControlError::NotFound)?;
        let child = self.roster.child(place);
        match child.state {
            ChildState::Stopped => {}
            ChildState::Waiting if self.phase == Phase::New => {}
            _ if child.is_restarting() => return Err(ControlError::Restarting),
            ChildState::Stopping { .. } => return Err(ControlError::Stopping),
            _ => return Err(ControlError::Running),
        }
        // Who deletes it knows.
        self.forget(place, &mut Decided::new());
        Ok(())
    }

    /// Stops all children and ends, as [`Event::Shutdown`](super::Event::Shutdown) does, with until `by` to do so, or
    /// as long as the budget lasts if that is shorter. For a supervisor whose own time is limited by another.
    /// Asked again with an earlier time, it cuts what the children have left; with a later one, it changes nothing.
    pub fn shutdown_by(&mut self, now: Instant, by: Instant) -> Actions<'_, C, MAX> {
        let mut decided = Decided::new();
        self.stop_all_by(now, by, &mut decided);
        self.actions(now, decided)
    }

    /// Says something else about a child. What is under way is not changed by it: limits that are running
    /// run on, and the next start, stop, or end goes by the new plan. O(1).
    ///
    /// # Errors
    /// [`ControlError::NotFound`], [`ControlError::BadPlan`], [`ControlError::ShuttingDown`].
    pub fn change(&mut self, key: ChildKey, plan: ChildPlan) -> Result<(), ControlError> {
        if matches!(self.phase, Phase::Stopping(_) | Phase::Ended(_)) {
            return Err(ControlError::ShuttingDown);
        }
        let place = self.roster.place(key).ok_or(ControlError::NotFound)?;
        plan.check(self.strategy, self.auto_shutdown)
            .map_err(ControlError::BadPlan)?;
        self.roster.set_plan(place, plan);
        Ok(())
    }

    /// Says something else about the supervisor, from now on. The restarts so far count under the
    /// new limit. Children that are significant stay so, also under
    /// [`AutoShutdown::Never`](super::super::AutoShutdown::Never), where it means nothing; children
    /// above a lower maximum stay. Restarts and stops that are under way are finished as they began.
    ///
    /// # Errors
    /// [`ConfigError`], also when a dynamic supervisor with children is to become another, or the
    /// reverse; nothing is then changed.
    pub fn reconfigure(&mut self, config: &Config<MAX>) -> Result<(), ConfigError> {
        config.check()?;
        let dynamic = |strategy| strategy == Strategy::Dynamic;
        if dynamic(config.strategy) != dynamic(self.strategy) && self.roster.len() > 0 {
            return Err(ConfigError::ChildrenInTheWay);
        }
        // The limit is one already, so it can be this one's.
        let limit = &config.limit;
        let changed = self.restarts.change(limit.intensity(), limit.period());
        debug_assert!(changed.is_ok(), "it was accepted before");
        self.restarts.change_total(limit.total());
        self.strategy = config.strategy;
        self.auto_shutdown = config.auto_shutdown;
        self.max_children = config.max_children;
        self.shutdown_budget = config.shutdown_budget;
        self.max_abandoned = config.max_abandoned;
        Ok(())
    }

    const fn check_up(&self) -> Result<(), ControlError> {
        match self.phase {
            Phase::New => Err(ControlError::NotStarted),
            Phase::Starting | Phase::Running => Ok(()),
            Phase::Stopping(_) | Phase::Ended(_) => Err(ControlError::ShuttingDown),
        }
    }

    fn append(&mut self, id: Option<C::Id>, plan: ChildPlan) -> Result<ChildKey, ControlError> {
        plan.check(self.strategy, self.auto_shutdown)
            .map_err(ControlError::BadPlan)?;
        if let Some(id) = &id {
            if self.strategy == Strategy::Dynamic {
                return Err(ControlError::Dynamic);
            }
            if let Some(child) = self.roster.find(id) {
                let resting = child.state == ChildState::Stopped || child.is_restarting();
                return Err(if resting {
                    ControlError::AlreadyPresent(child.key)
                } else {
                    ControlError::AlreadyStarted(child.key)
                });
            }
        }
        if self.roster.len() >= self.max_children {
            let limit = self.max_children;
            return Err(ControlError::Full { limit });
        }
        Ok(self.roster.append(id, plan)?)
    }

    fn start_by_hand(&mut self, now: Instant, place: u32, asked: Asked, decided: &mut Decided) {
        self.roster.child_mut(place).asked = asked;
        if self.has_to_queue(place) {
            self.roster.set_state(place, ChildState::Waiting, None);
        } else {
            self.disturb(place);
            self.start(now, place, decided);
        }
    }
}
