//! What is asked for by hand: the machine's answer, and the wait for what comes of it.

use super::super::request::{self, Answer, Request};
use super::super::request_error::{
    ChangeChildError, DeleteError, ReconfigureError, RestartError, StartChildError, TerminateError,
};
use super::super::{ChildRef, ChildSpec, SupervisorBuilder, error};
use super::entry::Entry;
use super::state::State;
use super::{Job, Tree};
use crate::registry;
use crate::sync::Arc;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{Action, ChildKey, ChildState, ControlError, Outcome, Strategy};

/// Somebody waits for what was asked for a child.
pub(super) struct Wait {
    pub(super) key: ChildKey,
    /// The child that waits, if it is one of this supervisor.
    branch: Option<ChildKey>,
    request: Arc<Request>,
}

impl Tree {
    pub(in super::super) fn start_child(
        self: &Arc<Self>,
        spec: ChildSpec,
    ) -> Result<ChildRef, StartChildError> {
        let spec = Box::new(spec);
        if let Some(problem) = error::problem_of_name(spec.id()) {
            return Err(StartChildError::BadName { problem, spec });
        }
        if request::is_working() {
            return Err(StartChildError::WouldDeadlock { spec: Some(spec) });
        }
        let branch = request::own_branch(self);
        let critical = spec.critical;
        let request = self.ask(|state, now, jobs| {
            if !state.may_wait(branch) {
                return Err(StartChildError::WouldDeadlock { spec: Some(spec) });
            }
            state.start_child(now, self.name(), branch, spec, jobs)
        })?;
        if critical {
            self.note_critical();
        }
        match request.wait() {
            Answer::Started(child) => Ok(child),
            Answer::NotStarted(error, spec) => {
                let spec = spec.and_then(Arc::into_inner).map(Box::new);
                if let Some(name) = spec.as_ref().and_then(|spec| spec.name.as_deref()) {
                    registry::reconsider(name);
                }
                Err(StartChildError::NotStarted { error, spec })
            }
            Answer::Declined => Err(StartChildError::Declined),
            Answer::Stopped => Err(StartChildError::Terminated),
            Answer::Cut => Err(StartChildError::WouldDeadlock { spec: None }),
            Answer::Ended => Err(StartChildError::ShuttingDown { spec: None }),
        }
    }

    pub(in super::super) fn terminate(self: &Arc<Self>, id: &str) -> Result<(), TerminateError> {
        self.terminate_one(|state| match state.machine.strategy() {
            Strategy::Dynamic => Err(TerminateError::Dynamic),
            _ => state.key(id).ok_or(TerminateError::NotFound),
        })
    }

    pub(in super::super) fn terminate_child(
        self: &Arc<Self>,
        child: &ChildRef,
    ) -> Result<(), TerminateError> {
        self.terminate_one(|state| match state.machine.strategy() {
            Strategy::Dynamic => {
                let key = state.alive.get(&child.pid());
                key.copied().ok_or(TerminateError::NotFound)
            }
            _ => Err(TerminateError::NotFound),
        })
    }

    fn terminate_one(
        self: &Arc<Self>,
        find: impl FnOnce(&State) -> Result<ChildKey, TerminateError>,
    ) -> Result<(), TerminateError> {
        if request::is_working() {
            return Err(TerminateError::WouldDeadlock);
        }
        let branch = request::own_branch(self);
        let request = self.ask(|state, now, jobs| {
            let key = find(state)?;
            if branch == Some(key) {
                return Err(TerminateError::WouldDeadlock);
            }
            let actions = state.machine.terminate(now, key).map_err(terminate_error)?;
            let actions = actions.collect::<Vec<_>>();
            Ok(state.granted(now, self.name(), (key, branch), &actions, jobs))
        })?;
        match request.wait() {
            Answer::Cut => Err(TerminateError::WouldDeadlock),
            // It does not run any more, or ran before and was stopped in between.
            _ => Ok(()),
        }
    }

    pub(in super::super) fn restart(self: &Arc<Self>, id: &str) -> Result<ChildRef, RestartError> {
        if request::is_working() {
            return Err(RestartError::WouldDeadlock);
        }
        let branch = request::own_branch(self);
        let request = self.ask(|state, now, jobs| {
            if state.machine.strategy() == Strategy::Dynamic {
                return Err(RestartError::Dynamic);
            }
            let key = state.key(id).ok_or(RestartError::NotFound)?;
            if branch != Some(key) && !state.may_wait(branch) {
                return Err(RestartError::WouldDeadlock);
            }
            let actions = state.machine.restart(now, key).map_err(restart_error)?;
            let actions = actions.collect::<Vec<_>>();
            Ok(state.granted(now, self.name(), (key, branch), &actions, jobs))
        })?;
        match request.wait() {
            Answer::Started(child) => Ok(child),
            Answer::NotStarted(error, _) => Err(RestartError::NotStarted(error)),
            Answer::Declined => Err(RestartError::Declined),
            Answer::Stopped => Err(RestartError::Terminated),
            Answer::Cut => Err(RestartError::WouldDeadlock),
            Answer::Ended => Err(RestartError::ShuttingDown),
        }
    }

    pub(in super::super) fn delete(self: &Arc<Self>, id: &str) -> Result<(), DeleteError> {
        self.ask(|state, _now, jobs| {
            if state.machine.strategy() == Strategy::Dynamic {
                return Err(DeleteError::Dynamic);
            }
            let key = state.key(id).ok_or(DeleteError::NotFound)?;
            state.machine.delete(key).map_err(delete_error)?;
            state.forget(key, jobs);
            Ok(())
        })
    }

    pub(in super::super) fn change_child(
        self: &Arc<Self>,
        spec: ChildSpec,
    ) -> Result<(), ChangeChildError> {
        let spec = Box::new(spec);
        let critical = spec.critical;
        let changed = self.ask(|state, _now, jobs| {
            if state.machine.strategy() == Strategy::Dynamic {
                return Err(ChangeChildError::Dynamic { spec });
            }
            let Some(key) = state.key(spec.id()) else {
                return Err(ChangeChildError::NotFound { spec });
            };
            match state.machine.change(key, spec.machine_plan()) {
                Ok(()) => {
                    state.replace(key, *spec, jobs);
                    Ok(())
                }
                Err(ControlError::BadPlan(error)) => Err(ChangeChildError::BadPlan { error, spec }),
                Err(ControlError::NotFound) => Err(ChangeChildError::NotFound { spec }),
                Err(_) => Err(ChangeChildError::ShuttingDown { spec }),
            }
        });
        if critical && changed.is_ok() {
            self.note_critical();
        }
        changed
    }

    pub(in super::super) fn reconfigure(
        self: &Arc<Self>,
        like: SupervisorBuilder,
    ) -> Result<(), ReconfigureError> {
        let config = like.into_config()?;
        self.ask(|state, _now, _jobs| {
            if state.is_stopping() {
                return Err(ReconfigureError::ShuttingDown);
            }
            let changed = state.machine.reconfigure(&config);
            changed.map_err(ReconfigureError::BadConfig)
        })
    }

    /// Asks the machine and does what follows.
    fn ask<R>(self: &Arc<Self>, ask: impl FnOnce(&mut State, Instant, &mut Vec<Job>) -> R) -> R {
        let (answer, jobs) = self.decide(ask);
        self.work(jobs);
        answer
    }
}

impl State {
    fn key(&self, id: &str) -> Option<ChildKey> {
        self.machine.find(&id.to_owned()).map(|child| child.key())
    }

    /// Whether the child `branch` may wait until another one is started: not while it is itself what others wait for.
    fn may_wait(&self, branch: Option<ChildKey>) -> bool {
        let child = branch.and_then(|key| self.machine.child(key));
        child.is_none_or(|child| child.state() == ChildState::Running)
    }

    fn start_child(
        &mut self,
        now: Instant,
        name: &str,
        branch: Option<ChildKey>,
        spec: Box<ChildSpec>,
        jobs: &mut Vec<Job>,
    ) -> Result<Arc<Request>, StartChildError> {
        // The machine of a dynamic supervisor knows no ids.
        let dynamic = self.machine.strategy() == Strategy::Dynamic;
        let id = (!dynamic).then(|| spec.id.clone());
        let started = self.machine.start_child(now, id, spec.machine_plan());
        let started = started.map(|(key, actions)| (key, actions.collect::<Vec<Action>>()));
        let (key, actions) = match started {
            Ok(started) => started,
            Err(ControlError::AlreadyStarted(key)) => {
                let entry = self.entries.get(&key);
                let current = entry.and_then(|entry| entry.current.as_ref());
                let child = current.map(|current| current.child.clone());
                return Err(StartChildError::AlreadyStarted { child, spec });
            }
            Err(ControlError::AlreadyPresent(_)) => {
                return Err(StartChildError::AlreadyPresent { spec });
            }
            Err(ControlError::BadPlan(error)) => {
                return Err(StartChildError::BadPlan { error, spec });
            }
            Err(ControlError::Full { limit }) => return Err(StartChildError::Full { limit, spec }),
            Err(_) => return Err(StartChildError::ShuttingDown { spec: Some(spec) }),
        };
        let lineage = self.lineage_within();
        self.entries.insert(key, Entry::new(*spec, lineage));
        Ok(self.granted(now, name, (key, branch), &actions, jobs))
    }

    /// The machine has granted what the child `branch`, if it is one, asks for the child `key`: what follows is done, and what
    /// comes of it can be waited for.
    fn granted(
        &mut self,
        now: Instant,
        name: &str,
        (key, branch): (ChildKey, Option<ChildKey>),
        actions: &[Action],
        jobs: &mut Vec<Job>,
    ) -> Arc<Request> {
        let request = Arc::new(Request::default());
        self.waits.push(Wait {
            key,
            branch,
            request: request.clone(),
        });
        self.follow(now, name, actions, false, jobs);
        request
    }

    /// Whoever waits for the child `key` learns what came of it.
    pub(super) fn settle(&mut self, key: ChildKey, outcome: Outcome) {
        if !self.waits.iter().any(|wait| wait.key == key) {
            return;
        }
        let entry = self.entries.get(&key);
        let present = entry.and_then(|entry| entry.current.as_ref());
        let child = present.map(|current| current.child.clone());
        let child = child.or_else(|| self.just_over.clone());
        let failure = entry.and_then(|entry| entry.failure.clone());
        let spec = entry.map(|entry| entry.spec.clone());
        self.answer_where(
            |wait| wait.key == key,
            || match (outcome, &child, &failure) {
                (Outcome::Started, Some(child), _) => Answer::Started(child.clone()),
                (Outcome::StartFailed, _, Some(error)) => {
                    Answer::NotStarted(error.clone(), spec.clone())
                }
                (Outcome::Declined, _, _) => Answer::Declined,
                _ => Answer::Stopped,
            },
        );
    }

    /// The child `branch` is to stop: it waits for nobody any more.
    pub(super) fn cut_waits_of(&mut self, branch: ChildKey) {
        self.answer_where(|wait| wait.branch == Some(branch), || Answer::Cut);
    }

    /// Notes an answer for those waits. They are given last, when nobody else has the specification any more.
    pub(super) fn answer_where(
        &mut self,
        which: impl Fn(&Wait) -> bool,
        answer: impl Fn() -> Answer,
    ) {
        let answers = &mut self.answers;
        self.waits.retain(|wait| {
            let answered = which(wait);
            if answered {
                answers.push((wait.request.clone(), answer()));
            }
            !answered
        });
    }

    /// Replaces what is said about a child; what runs goes on with what it had.
    fn replace(&mut self, key: ChildKey, spec: ChildSpec, jobs: &mut Vec<Job>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            let old = core::mem::replace(&mut entry.spec, Arc::new(spec));
            jobs.push(Job::DropSpec(old));
        }
    }
}

const fn terminate_error(error: ControlError) -> TerminateError {
    match error {
        ControlError::NotFound => TerminateError::NotFound,
        _ => TerminateError::ShuttingDown,
    }
}

const fn restart_error(error: ControlError) -> RestartError {
    match error {
        ControlError::NotFound => RestartError::NotFound,
        ControlError::Running => RestartError::Running,
        ControlError::Restarting => RestartError::Restarting,
        ControlError::Stopping => RestartError::Stopping,
        ControlError::Dynamic => RestartError::Dynamic,
        _ => RestartError::ShuttingDown,
    }
}

const fn delete_error(error: ControlError) -> DeleteError {
    match error {
        ControlError::NotFound => DeleteError::NotFound,
        ControlError::Running => DeleteError::Running,
        ControlError::Restarting => DeleteError::Restarting,
        ControlError::Stopping => DeleteError::Stopping,
        ControlError::Dynamic => DeleteError::Dynamic,
        _ => DeleteError::ShuttingDown,
    }
}
