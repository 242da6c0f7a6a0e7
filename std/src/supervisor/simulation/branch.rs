//! One supervisor of a simulation: the machine, and what the driver knows besides.
//!
//! It keeps the books as the driver of threads does (`tree/state.rs`), and answers what follows instead of doing it.

use super::super::builder::Described;
use super::super::info::{ChildInfo, Counts};
use super::super::reading;
use super::super::tree::{Decisions, News};
use super::super::{ChildSpec, StartError};
use super::happened::What;
use crate::process::{ExitReason, GaveUp};
use crate::sync::Arc;
use alloc::collections::BTreeMap;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, Actions, ChildKey, ChildState, ControlError, End, GrowingChildren, IncarnationId,
    OnStuck, Phase, Strategy,
};
use core::time::Duration;

/// What an operation of the machine answers.
type Ordered<'m> = Actions<'m, GrowingChildren<String>, { super::super::tree::MAX_INTENSITY }>;

/// Which supervisor of the simulation.
pub(super) type BranchIndex = usize;

pub(super) struct Branch {
    /// What it is called: by its path, or, the outermost one, by its name.
    name: String,
    /// What its children's paths begin with.
    prefix: String,
    /// Of which supervisor it is which incarnation.
    pub(super) above: Option<(BranchIndex, IncarnationId)>,
    machine: Decisions,
    children: BTreeMap<ChildKey, Actor>,
    up: bool,
    ended: Option<ExitReason>,
    start_error: Option<(String, Arc<StartError>)>,
    gave_up: Option<Arc<GaveUp>>,
    /// How long the one was waited for whose overrun was the end.
    overrun: Duration,
    /// Who was abandoned and has not ended since.
    abandoned: Vec<Lost>,
}

/// An incarnation that was abandoned.
pub(super) struct Lost {
    pub(super) child: String,
    pub(super) id: IncarnationId,
    pub(super) critical: bool,
}

/// A child.
pub(super) struct Actor {
    pub(super) spec: Arc<ChildSpec>,
    /// Since when there is a present incarnation.
    since: Option<Instant>,
    asked: Option<(Instant, Instant)>,
    /// The time it had to become ready, if it is being stopped for that.
    late: Option<Duration>,
    /// Whether it was found to be.
    pub(super) stuck: bool,
    /// What it has answered last and when, if it is a check.
    pub(super) answer: Option<(Instant, Result<(), String>)>,
    /// Whether there was a critical child below it at any time.
    pub(super) critical_below: bool,
    last_exit: Option<ExitReason>,
    failure: Option<Arc<StartError>>,
    nested: Option<BranchIndex>,
}

/// What follows from news.
pub(super) enum Follow {
    /// It is to be told, of this child or of the supervisor itself.
    Tell(Option<(String, u64)>, What),
    /// An incarnation is to start.
    Start(IncarnationId, Arc<ChildSpec>),
    /// One was asked to stop.
    Stop(IncarnationId),
    /// One that is a supervisor is to have stopped by then.
    ShutDown(BranchIndex, Instant),
    /// All children have been started.
    Up,
    /// The supervisor has ended; and why it did not start, if it did not.
    End(ExitReason, Option<StartError>),
}

impl Branch {
    /// A supervisor that has not started; nested ones are called by their `path`.
    pub(super) fn new(
        described: Described,
        path: Option<String>,
        above: Option<(BranchIndex, IncarnationId)>,
    ) -> Self {
        let Described {
            name,
            machine,
            specs,
        } = described;
        let prefix = path
            .as_ref()
            .map_or(String::new(), |path| format!("{path}/"));
        let specs = specs.into_iter();
        Self {
            name: path.unwrap_or(name),
            prefix,
            above,
            machine,
            children: specs.map(|(key, spec)| (key, Actor::new(spec))).collect(),
            up: false,
            ended: None,
            start_error: None,
            gave_up: None,
            overrun: Duration::ZERO,
            abandoned: Vec::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn is_up(&self) -> bool {
        self.up && self.ended.is_none()
    }

    pub(super) const fn ended(&self) -> Option<&ExitReason> {
        self.ended.as_ref()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.machine.next_deadline()
    }

    pub(super) fn path_of(&self, id: &str) -> String {
        format!("{}{id}", self.prefix)
    }

    /// The child called `id`; of several, in a dynamic supervisor, the oldest.
    pub(super) fn key(&self, id: &str) -> Option<ChildKey> {
        let mut children = self.children.iter();
        children
            .find(|(_, actor)| actor.spec.id == id)
            .map(|(&key, _)| key)
    }

    pub(super) fn spec(&self, key: ChildKey) -> Option<&Arc<ChildSpec>> {
        self.children.get(&key).map(|actor| &actor.spec)
    }

    /// The supervisor that the child called `id` is at present.
    pub(super) fn nested(&self, id: &str) -> Option<BranchIndex> {
        self.children.get(&self.key(id)?)?.nested
    }

    /// The present incarnation.
    pub(super) fn present(&self, key: ChildKey) -> Option<IncarnationId> {
        let child = self.machine.child(key)?;
        child.state().is_active().then(|| IncarnationId {
            child: key,
            number: child.incarnation(),
        })
    }

    /// Whether this child, which is active, was asked to stop.
    pub(super) fn was_asked(&self, key: ChildKey) -> bool {
        let actor = self.children.get(&key);
        actor.is_some_and(|actor| actor.asked.is_some())
    }

    /// The first incarnation of the child `id` that was abandoned and has not ended.
    pub(super) fn abandoned(&self, id: &str) -> Option<IncarnationId> {
        let mut abandoned = self.abandoned.iter();
        abandoned.find(|lost| lost.child == id).map(|lost| lost.id)
    }

    pub(super) fn lost(&self) -> &[Lost] {
        &self.abandoned
    }

    pub(super) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    /// The children, and what they do.
    pub(super) fn actors(&self) -> impl Iterator<Item = (ChildState, &Actor)> {
        let children = self.children.iter();
        children.filter_map(|(&key, actor)| Some((self.machine.child(key)?.state(), actor)))
    }

    pub(super) fn has_critical(&self) -> bool {
        self.children.values().any(|actor| actor.spec.critical)
    }

    /// There is a critical child below this one.
    pub(super) fn note_critical_below(&mut self, id: IncarnationId) {
        if let Some(actor) = self.children.get_mut(&id.child) {
            actor.critical_below = true;
        }
    }

    /// This incarnation, which is a check, has answered.
    pub(super) fn answered(&mut self, id: IncarnationId, now: Instant, found: Result<(), String>) {
        if let Some(actor) = self.children.get_mut(&id.child) {
            actor.answer = Some((now, found));
        }
    }

    pub(super) fn infos(&self) -> Vec<ChildInfo> {
        let children = self.children.iter();
        let infos = children.filter_map(|(&key, actor)| {
            let child = self.machine.child(key)?;
            Some(ChildInfo {
                id: actor.spec.id.clone(),
                kind: child.plan().kind,
                state: child.state(),
                incarnation: child.incarnation(),
                restarts: child.incarnation().saturating_sub(1),
                child: None,
                since: actor.since,
                last_exit: actor.last_exit.clone(),
                stuck: actor.stuck,
            })
        });
        infos.collect()
    }

    pub(super) fn count(&self) -> Counts {
        let counts = self.machine.count();
        let specs = self.children.len();
        let present = self.children.values();
        Counts {
            specs,
            supervisors: counts.supervisors.min(specs),
            workers: specs - counts.supervisors.min(specs),
            active: present.filter(|actor| actor.since.is_some()).count(),
            abandoned: self.abandoned.len(),
            // There are no threads.
            spares: 0,
        }
    }

    /// The incarnation `id` is that supervisor.
    pub(super) fn adopt(&mut self, id: IncarnationId, nested: BranchIndex) {
        if let Some(actor) = self.children.get_mut(&id.child) {
            actor.nested = Some(nested);
        }
    }

    /// Tells the machine what happened. Nothing follows from what comes too late.
    pub(super) fn tell(&mut self, now: Instant, news: News) -> Vec<Follow> {
        let was_stopping = self.is_stopping();
        let unready = match &news {
            News::Exited(id, _) => self.is_unready(*id),
            _ => false,
        };
        let Some(actions) = reading::tell(&mut self.machine, now, &news) else {
            // The machine does not know all that were abandoned.
            let over = news.over().and_then(|id| self.ended_late(id));
            return over.into_iter().collect();
        };
        let mut follows = Vec::new();
        match news {
            News::StartFailed(id, error) => {
                let why = error.to_string();
                follows.extend(self.told(id, What::DidNotStart { why }));
                if let Some(actor) = self.children.get_mut(&id.child) {
                    actor.failure = Some(error.clone());
                }
                self.over(id, ExitReason::NotStarted(error));
            }
            News::Exited(id, reason) => {
                let reason = self.as_told(id, reason, unready && !was_stopping);
                if let ExitReason::NotStarted(error) = &reason {
                    let why = error.to_string();
                    follows.extend(self.told(id, What::DidNotStart { why }));
                }
                self.over(id, reason);
            }
            _ => {}
        }
        self.follow(now, &actions, was_stopping, &mut follows);
        follows
    }

    /// A round finds this running incarnation stuck.
    pub(super) fn found_stuck(
        &mut self,
        now: Instant,
        id: IncarnationId,
        then: OnStuck,
    ) -> Vec<Follow> {
        let mut follows: Vec<_> = self
            .told(id, What::FoundStuck { then })
            .into_iter()
            .collect();
        if let Some(actor) = self.children.get_mut(&id.child) {
            actor.stuck = true;
        }
        if then == OnStuck::Restart {
            follows.extend(self.tell(now, News::Stuck(id)));
        }
        follows
    }

    /// Whether it runs: it neither starts nor stops.
    pub(super) fn is_running(&self, key: ChildKey) -> bool {
        let child = self.machine.child(key);
        child.is_some_and(|child| child.state() == ChildState::Running)
    }

    /// Asks the machine for something by hand.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        key: ChildKey,
        ask: impl for<'m> FnOnce(
            &'m mut Decisions,
            Instant,
            ChildKey,
        ) -> Result<Ordered<'m>, ControlError>,
    ) -> Result<Vec<Follow>, ControlError> {
        let actions = ask(&mut self.machine, now, key)?.collect::<Vec<_>>();
        let mut follows = Vec::new();
        self.follow(now, &actions, false, &mut follows);
        Ok(follows)
    }

    pub(super) fn start_child(
        &mut self,
        now: Instant,
        spec: Box<ChildSpec>,
    ) -> Result<Vec<Follow>, (Box<ChildSpec>, ControlError)> {
        let dynamic = self.machine.strategy() == Strategy::Dynamic;
        let id = (!dynamic).then(|| spec.id.clone());
        let started = self.machine.start_child(now, id, spec.machine_plan());
        let started = started.map(|(key, actions)| (key, actions.collect::<Vec<_>>()));
        let (key, actions) = match started {
            Ok(started) => started,
            Err(error) => return Err((spec, error)),
        };
        self.children.insert(key, Actor::new(*spec));
        let mut follows = Vec::new();
        self.follow(now, &actions, false, &mut follows);
        Ok(follows)
    }

    pub(super) fn change(
        &mut self,
        spec: Box<ChildSpec>,
    ) -> Result<(), (Box<ChildSpec>, ControlError)> {
        let key = match self.key(&spec.id) {
            _ if self.machine.strategy() == Strategy::Dynamic => Err(ControlError::Dynamic),
            None => Err(ControlError::NotFound),
            Some(key) => Ok(key),
        };
        let changed = key.and_then(|key| {
            self.machine.change(key, spec.machine_plan())?;
            Ok(key)
        });
        match changed {
            Ok(key) => {
                if let Some(actor) = self.children.get_mut(&key) {
                    actor.spec = Arc::new(*spec);
                }
                Ok(())
            }
            Err(error) => Err((spec, error)),
        }
    }

    pub(super) fn delete(&mut self, key: ChildKey) -> Result<Vec<Follow>, ControlError> {
        self.machine.delete(key)?;
        Ok(self.forget(key).into_iter().collect())
    }

    fn follow(
        &mut self,
        now: Instant,
        actions: &[Action],
        was_stopping: bool,
        follows: &mut Vec<Follow>,
    ) {
        // First, for it may be the reason for the rest.
        for action in actions {
            if let Action::Abandon(id) = action {
                self.abandon(*id, follows);
            }
        }
        if !was_stopping && self.is_stopping() {
            self.note_why();
        }
        for &action in actions {
            match action {
                Action::Start(id) => {
                    follows.extend(self.told(id, What::Started));
                    if let Some(actor) = self.children.get_mut(&id.child) {
                        actor.failure = None;
                        actor.since = Some(now);
                        follows.push(Follow::Start(id, actor.spec.clone()));
                    }
                }
                Action::Stop(id) => self.ask_to_stop(now, id, true, follows),
                Action::Shorten(id) => self.ask_to_stop(now, id, false, follows),
                Action::Forget(key) => follows.extend(self.forget(key)),
                Action::Up => {
                    self.up = true;
                    follows.push(Follow::Tell(None, What::Up));
                    follows.push(Follow::Up);
                }
                Action::End(end) => self.end(end, follows),
                // Nobody waits for what was asked for by hand, and the first loop was about the others.
                _ => {}
            }
        }
    }

    fn is_stopping(&self) -> bool {
        reading::is_stopping(&self.machine)
    }

    fn told(&self, id: IncarnationId, what: What) -> Option<Follow> {
        let path = self.path_of(&self.children.get(&id.child)?.spec.id);
        Some(Follow::Tell(Some((path, id.number)), what))
    }

    /// Whether this incarnation runs and has yet to become ready, or was too late to.
    fn is_unready(&self, id: IncarnationId) -> bool {
        let actor = self.children.get(&id.child);
        let late = actor.is_some_and(|actor| actor.late.is_some());
        late || reading::is_getting_ready(&self.machine, id)
    }

    /// Who was not ready in time did not start, however cleanly it ended.
    fn as_told(&mut self, id: IncarnationId, reason: ExitReason, unready: bool) -> ExitReason {
        let Some(actor) = self.children.get_mut(&id.child).filter(|_| unready) else {
            return reason;
        };
        let (error, reason) = reading::not_ready(reason, actor.late);
        actor.failure = error;
        reason
    }

    fn over(&mut self, id: IncarnationId, reason: ExitReason) {
        if let Some(actor) = self.children.get_mut(&id.child) {
            actor.is_over(reason);
        }
    }

    fn ended_late(&mut self, id: IncarnationId) -> Option<Follow> {
        let index = self.abandoned.iter().position(|lost| lost.id == id)?;
        let lost = self.abandoned.remove(index);
        let who = (self.path_of(&lost.child), id.number);
        Some(Follow::Tell(Some(who), What::EndedLate))
    }

    /// The supervisor has begun to stop: why.
    fn note_why(&mut self) {
        let Some((key, gave_up)) = reading::why(&self.machine) else {
            return;
        };
        let Some(actor) = self.children.get(&key) else {
            return;
        };
        let child = actor.spec.id.clone();
        let last = actor.last_exit.clone().unwrap_or(ExitReason::Gone);
        if gave_up {
            self.gave_up = Some(GaveUp::of(self.machine.limit(), child, last));
        } else {
            let failure = actor.failure.clone();
            let error = failure.unwrap_or_else(|| Arc::new(StartError::Exited(last)));
            self.start_error = Some((child, error));
        }
    }

    fn ask_to_stop(
        &mut self,
        now: Instant,
        id: IncarnationId,
        first: bool,
        follows: &mut Vec<Follow>,
    ) {
        let Some((deadline, late)) = reading::stopping(&self.machine, id.child) else {
            return;
        };
        let left = deadline.saturating_duration_since(now);
        let what = if first {
            let within = (deadline != Instant::MAX).then_some(left);
            What::AskedToStop { within }
        } else {
            What::HasLessTime { within: left }
        };
        follows.extend(self.told(id, what));
        let Some(actor) = self.children.get_mut(&id.child) else {
            return;
        };
        actor.late = actor.late.or(late);
        let since = actor.asked.map_or(now, |(since, _)| since);
        actor.asked = Some((since, deadline));
        follows.push(match actor.nested {
            Some(nested) => Follow::ShutDown(nested, deadline),
            None => Follow::Stop(id),
        });
    }

    fn abandon(&mut self, id: IncarnationId, follows: &mut Vec<Follow>) {
        follows.extend(self.told(id, What::Abandoned));
        let Some(actor) = self.children.get_mut(&id.child) else {
            return;
        };
        let waited =
            |(since, deadline): (Instant, Instant)| deadline.saturating_duration_since(since);
        let after = actor.asked.map_or(Duration::ZERO, waited);
        if let Some(within) = actor.late {
            actor.failure = Some(Arc::new(StartError::NotReady { within }));
        }
        // Its children are shut out with it.
        let nested = actor.nested;
        actor.is_over(ExitReason::Abandoned { after });
        self.abandoned.push(Lost {
            child: actor.spec.id.clone(),
            id,
            critical: actor.spec.is_critical_within(),
        });
        self.overrun = after;
        follows.extend(nested.map(|nested| Follow::ShutDown(nested, Instant::ZERO)));
    }

    fn forget(&mut self, key: ChildKey) -> Option<Follow> {
        let forgotten = self.children.remove(&key)?;
        let path = self.path_of(&forgotten.spec.id);
        Some(Follow::Tell(Some((path, 0)), What::Forgotten))
    }

    fn end(&mut self, end: End, follows: &mut Vec<Follow>) {
        let reason = match (end, &self.start_error, &self.gave_up) {
            (End::Overrun(_), ..) => ExitReason::Abandoned {
                after: self.overrun,
            },
            (End::StartFailed(_), Some((_, error)), _) => ExitReason::NotStarted(error.clone()),
            (End::GaveUp(_), _, Some(why)) => ExitReason::GaveUp(why.clone()),
            _ => ExitReason::Shutdown,
        };
        let not_started = match (&self.start_error, &reason) {
            _ if self.up => None,
            (Some((id, error)), _) => Some(StartError::Child {
                id: id.clone(),
                error: error.clone(),
            }),
            (None, ExitReason::GaveUp(why)) => Some(StartError::GaveUp(why.clone())),
            _ => None,
        };
        self.ended = Some(reason.clone());
        self.children.clear();
        let how = reason.to_string();
        follows.push(Follow::Tell(None, What::Ended { how }));
        follows.push(Follow::End(reason, not_started));
    }
}

impl Actor {
    fn new(spec: ChildSpec) -> Self {
        Self {
            spec: Arc::new(spec),
            since: None,
            asked: None,
            late: None,
            stuck: false,
            answer: None,
            critical_below: false,
            last_exit: None,
            failure: None,
            nested: None,
        }
    }

    fn is_over(&mut self, reason: ExitReason) {
        self.since = None;
        self.asked = None;
        self.late = None;
        self.stuck = false;
        self.answer = None;
        self.nested = None;
        self.last_exit = Some(reason);
    }
}
