//! What is under the lock of a supervisor: the machine, what is known besides, and what follows from a step.
//!
//! Only bookkeeping. Whatever calls or drops something of a user's, starts a thread, or wakes somebody goes out as a
//! [`Job`].

use super::super::abandonment::Abandonment;
use super::super::health::Checked;
use super::super::info::{ChildInfo, ShutdownReport};
use super::super::life::Launch;
use super::super::nested::{Above, Over};
use super::super::request::{Answer, Request};
use super::super::reuse::OldThread;
use super::super::watch::Observed;
use super::super::{ChildRef, ChildSpec, Reuse, StartError, reading, report};
use super::control::Wait;
use super::entry::{Asked, Current, Entry};
use super::health::{Lost, left_by};
use super::rounds::Patrol;
use super::{Decisions, Job, News, Tree, garbage};
use crate::process::{self, ExitReason, GaveUp, Lineage, Pid};
use crate::stop::StopToken;
use crate::sync::{Arc, ThreadId, Weak};
use alloc::collections::BTreeMap;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, ChildKey, End, Event, Exit, IncarnationId, Phase, Strategy,
};
use core::time::Duration;

pub(super) struct State {
    pub(super) machine: Decisions,
    /// What the supervisor's path is unique in.
    lineage: Lineage,
    /// In start order, which is the order of keys.
    pub(super) entries: BTreeMap<ChildKey, Entry>,
    pub(super) up: bool,
    /// The child for which the start was given up.
    pub(super) start_error: Option<(String, Arc<StartError>)>,
    pub(super) gave_up: Option<Arc<GaveUp>>,
    pub(super) report: ShutdownReport,
    /// Incarnations that were abandoned and have not ended.
    pub(super) lost: Vec<Lost>,
    /// Supervisors below that are over and may have left such behind.
    pub(super) left: Vec<Weak<Tree>>,
    /// How long the one was waited for whose overrun was the end.
    overrun: Duration,
    /// Who is looked at, and when.
    pub(super) patrol: Patrol,
    /// The deadline the timer was last told, or that there is none; unknown when it was due.
    pub(super) scheduled: Option<Option<Instant>>,
    /// How often the timer was told something else.
    pub(super) wishes: u64,
    /// How many times entries, with what their bodies captured, are yet to be dropped, or incarnations
    /// to be shut out …
    pub(super) dropping: usize,
    /// … and the threads that are doing so. A destructor may wait for the end of this supervisor; it
    /// does not wait for itself.
    pub(super) droppers: Vec<ThreadId>,
    pub(super) ended: Option<ExitReason>,
    /// Whose present incarnation this is.
    pub(super) alive: BTreeMap<Pid, ChildKey>,
    /// The incarnation that this step is about, if it is over.
    pub(super) just_over: Option<ChildRef>,
    /// Who waits for what was asked for …
    pub(super) waits: Vec<Wait>,
    /// … and who is told what, when all else is done.
    pub(super) answers: Vec<(Arc<Request>, Answer)>,
    /// Where this supervisor belongs, if to another one that has yet to be told of its end.
    pub(super) above: Option<Above>,
}

impl State {
    pub(super) fn new(
        machine: Decisions,
        specs: Vec<(ChildKey, ChildSpec)>,
        above: Option<Above>,
    ) -> Self {
        // Who is restarted with its supervisor is the same child.
        let above_all = above.as_ref().map(|above| above.me.lineage());
        let mut state = Self {
            machine,
            lineage: above_all.unwrap_or_else(Lineage::begin),
            entries: BTreeMap::new(),
            up: false,
            start_error: None,
            gave_up: None,
            report: ShutdownReport::default(),
            lost: Vec::new(),
            left: Vec::new(),
            overrun: Duration::ZERO,
            patrol: Patrol::default(),
            scheduled: Some(None),
            wishes: 0,
            dropping: 0,
            droppers: Vec::new(),
            ended: None,
            alive: BTreeMap::new(),
            just_over: None,
            waits: Vec::new(),
            answers: Vec::new(),
            above,
        };
        for (key, spec) in specs {
            let lineage = state.lineage_within();
            state.entries.insert(key, Entry::new(spec, lineage));
        }
        state
    }

    /// That of its next child.
    pub(super) fn lineage_within(&self) -> Lineage {
        match self.machine.strategy() {
            // Others may have its id.
            Strategy::Dynamic => Lineage::begin(),
            _ => self.lineage,
        }
    }

    /// Nothing runs, and nothing of what ran is left, but what the thread `asking` is dropping itself.
    pub(super) fn is_over(&self, asking: ThreadId) -> bool {
        let own = self
            .droppers
            .iter()
            .filter(|&&dropper| dropper == asking)
            .count();
        self.ended.is_some() && self.dropping == own
    }

    /// Tells the machine what happened, and notes what follows.
    pub(super) fn step(&mut self, now: Instant, name: &str, news: News, jobs: &mut Vec<Job>) {
        let was_stopping = self.is_stopping();
        let unready = match &news {
            News::Exited(id, _) => self.is_unready(*id),
            _ => false,
        };
        let Some(actions) = reading::tell(&mut self.machine, now, &news) else {
            if let Some(id) = news.over() {
                self.find_again(id);
            }
            jobs.extend(news.into_reason().map(garbage));
            return;
        };
        match news {
            News::StartFailed(id, error) => {
                if let Some(entry) = self.entries.get_mut(&id.child) {
                    entry.failure = Some(error.clone());
                }
                self.over(name, id, ExitReason::NotStarted(error), was_stopping, jobs);
            }
            News::Exited(id, reason) => {
                let reason = self.as_told(id, reason, unready && !was_stopping);
                self.over(name, id, reason, was_stopping, jobs);
            }
            _ => {}
        }
        self.follow(now, name, &actions, was_stopping, jobs);
    }

    /// Does the bookkeeping of what the machine has decided.
    pub(super) fn follow(
        &mut self,
        now: Instant,
        name: &str,
        actions: &[Action],
        was_stopping: bool,
        jobs: &mut Vec<Job>,
    ) {
        // First, for it may be the reason for the rest.
        for action in actions {
            if let Action::Abandon(id) = action {
                self.abandon(*id, jobs);
            }
        }
        if !was_stopping && self.is_stopping() {
            self.note_why(name, jobs);
            jobs.push(Job::EndSpares);
        }
        for &action in actions {
            match action {
                Action::Start(id) => self.prepare(now, id, name, jobs),
                Action::Stop(id) | Action::Shorten(id) => {
                    self.cut_waits_of(id.child);
                    self.ask_to_stop(now, id, jobs);
                }
                Action::Settled(key, outcome) => self.settle(key, outcome),
                Action::Forget(key) => self.forget(key, jobs),
                Action::Up => {
                    self.up = true;
                    jobs.push(Job::NotifyWaiting);
                    let above = self.above.as_ref();
                    jobs.extend(above.map(|above| Job::TellReady(above.tree.clone(), above.id)));
                }
                Action::End(end) => self.end(end, jobs),
                Action::Abandon(_) | Action::LateExit(_) => {}
                _ => debug_assert!(false, "an action this driver does not know"),
            }
        }
        self.just_over = None;
        let answers = self.answers.drain(..);
        jobs.extend(answers.map(|(request, answer)| Job::Answer(request, answer)));
    }

    /// One child, as it is now.
    pub(super) fn info(&self, key: ChildKey, entry: &Entry) -> Option<ChildInfo> {
        let child = self.machine.child(key)?;
        let current = entry.current.as_ref();
        Some(ChildInfo {
            id: entry.spec.id.clone(),
            kind: child.plan().kind,
            state: child.state(),
            incarnation: child.incarnation(),
            restarts: child.incarnation().saturating_sub(1),
            child: current.map(|current| current.child.clone()),
            since: current.map(|current| current.since),
            last_exit: entry.last_exit.clone(),
            stuck: current.is_some_and(Current::is_stuck),
        })
    }

    /// When the timer is to come: something of the machine's is due, or a round.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let both = [self.machine.next_deadline(), self.patrol.due()];
        both.into_iter().flatten().min()
    }

    pub(super) fn is_stopping(&self) -> bool {
        reading::is_stopping(&self.machine)
    }

    /// Whether this incarnation runs and has yet to say that it is ready, or was too late to.
    fn is_unready(&self, id: IncarnationId) -> bool {
        let late = self
            .entries
            .get(&id.child)
            .and_then(|entry| entry.current.as_ref())
            .is_some_and(|current| current.late.is_some());
        late || reading::is_getting_ready(&self.machine, id)
    }

    /// What is told of an end, and why the start has failed if it did. Who was not ready in time did not start,
    /// however cleanly it ended.
    fn as_told(&mut self, id: IncarnationId, reason: ExitReason, unready: bool) -> ExitReason {
        let Some(entry) = self.entries.get_mut(&id.child).filter(|_| unready) else {
            return reason;
        };
        let late = entry.current.as_ref().and_then(|current| current.late);
        let (error, reason) = reading::not_ready(reason, late);
        entry.failure = error;
        reason
    }

    /// An incarnation is over; the machine has taken note.
    fn over(
        &mut self,
        name: &str,
        id: IncarnationId,
        reason: ExitReason,
        was_stopping: bool,
        jobs: &mut Vec<Job>,
    ) {
        let ending = self.machine.phase();
        let Some(entry) = self.entries.get_mut(&id.child) else {
            jobs.push(garbage(reason));
            return;
        };
        let child = entry.spec.id.clone();
        if let Some(current) = entry.current.take() {
            self.alive.remove(&current.child.pid());
            self.just_over = Some(current.child.clone());
            jobs.push(garbage(current));
        }
        jobs.extend(entry.last_exit.replace(reason.clone()).map(garbage));
        // Whoever starts the supervisor is told.
        let told = matches!(ending, Phase::Stopping(end) | Phase::Ended(end) if end == End::StartFailed(id.child));
        if was_stopping || !told {
            let tell = report::ended((name, &child), id.number, &entry.spec.context, &reason);
            jobs.extend(tell.map(Job::Report));
        }
        if was_stopping {
            self.report.add(child, reason);
        }
    }

    /// The supervisor has begun to stop: why, in words.
    fn note_why(&mut self, name: &str, jobs: &mut Vec<Job>) {
        let Some((key, gave_up)) = reading::why(&self.machine) else {
            return;
        };
        let Some(entry) = self.entries.get(&key) else {
            return;
        };
        let child = entry.spec.id.clone();
        let last = entry.last_exit.clone().unwrap_or(ExitReason::Gone);
        if gave_up {
            let why = GaveUp::of(self.machine.limit(), child.clone(), last);
            jobs.extend(report::gave_up(name, &why).map(Job::Report));
            let failed = (child, ExitReason::GaveUp(why.clone()));
            self.report.failed.push(failed);
            self.gave_up = Some(why);
        } else {
            let failure = entry.failure.clone();
            let error = failure.unwrap_or_else(|| Arc::new(StartError::Exited(last)));
            self.start_error = Some((child, error));
        }
    }

    /// Gives the next incarnation its identity and its stop token.
    fn prepare(&mut self, now: Instant, id: IncarnationId, name: &str, jobs: &mut Vec<Job>) {
        let Some(entry) = self.entries.get_mut(&id.child) else {
            return;
        };
        entry.failure = None;
        let path = Arc::from(format!("{name}/{}", entry.spec.id));
        match process::enter(path, entry.lineage, id.number) {
            Ok(child) => {
                let stop = StopToken::new();
                let observed = entry.spec.watched().map(|watch| {
                    self.patrol.add(now, id.child, watch.interval());
                    Observed::new(watch, now)
                });
                let beats = observed.as_ref().map(|observed| observed.beats.clone());
                let checks = entry.spec.checks;
                let checked = checks.map(|times| Arc::new(Checked::new(now, times)));
                self.alive.insert(child.pid(), id.child);
                entry.current = Some(Current {
                    child: child.clone(),
                    stop: stop.clone(),
                    since: now,
                    asked: None,
                    late: None,
                    nested: None,
                    inner: Vec::new(),
                    observed,
                    checked: checked.clone(),
                });
                jobs.extend(report::begins(name, &entry.spec.id, id.number).map(Job::Report));
                let waits = entry.spec.reuse == Reuse::FreshAfterJoin;
                let launch = Launch {
                    spec: entry.spec.clone(),
                    me: child,
                    stop,
                    last_exit: entry.last_exit.clone(),
                    after: entry.thread.clone().filter(|_| waits),
                    beats,
                    checked,
                };
                jobs.push(Job::Launch(id, launch));
            }
            Err(full) => {
                let error = StartError::TooManyProcesses { limit: full.limit };
                jobs.push(Job::NoIdentity(id, Arc::new(error)));
            }
        }
    }

    /// The thread of this incarnation is about to be gone, which the next one may wait for. What is to be dropped outside the
    /// lock: the thread before, or this one if it was abandoned.
    pub(super) fn leave_thread(
        &mut self,
        id: IncarnationId,
        thread: Option<OldThread>,
    ) -> Option<OldThread> {
        let thread = thread?;
        let is_present = self.has_present(id);
        let entry = self.entries.get_mut(&id.child);
        match entry.filter(|_| is_present) {
            Some(entry) => entry.thread.replace(thread),
            None => Some(thread),
        }
    }

    /// Whether this incarnation is neither over nor abandoned.
    pub(super) fn has_present(&self, id: IncarnationId) -> bool {
        let entry = self.entries.get(&id.child);
        let current = entry.and_then(|entry| entry.current.as_ref());
        current.is_some_and(|current| current.child.incarnation() == id.number)
    }

    /// The thread that was left here last, which is not about to be gone after all.
    pub(super) fn take_thread(&mut self, id: IncarnationId) -> Option<OldThread> {
        self.entries.get_mut(&id.child)?.thread.take()
    }

    /// Asks an incarnation to stop until when the machine says, or says that it has less time than that.
    fn ask_to_stop(&mut self, now: Instant, id: IncarnationId, jobs: &mut Vec<Job>) {
        let Some((deadline, late)) = reading::stopping(&self.machine, id.child) else {
            return;
        };
        let entry = self.entries.get_mut(&id.child);
        let Some(current) = entry.and_then(|entry| entry.current.as_mut()) else {
            return;
        };
        current.late = current.late.or(late);
        let at = current.asked.map_or(now, |asked| asked.at);
        let asked = Asked { at, deadline };
        current.asked = Some(asked);
        jobs.push(match &current.nested {
            Some(nested) => Job::ShutDown(nested.clone(), deadline),
            None => Job::AskToStop(current.stop.clone(), asked.limit()),
        });
    }

    /// Has an incarnation shut out.
    fn abandon(&mut self, id: IncarnationId, jobs: &mut Vec<Job>) {
        let Some(entry) = self.entries.get_mut(&id.child) else {
            return;
        };
        let Some(current) = entry.current.take() else {
            return;
        };
        self.alive.remove(&current.child.pid());
        let after = current.waited();
        if let Some(within) = current.late {
            entry.failure = Some(Arc::new(StartError::NotReady { within }));
        }
        let reason = ExitReason::Abandoned { after };
        jobs.extend(entry.last_exit.replace(reason).map(garbage));
        // Its children are shut out with it.
        let nested = current.nested.clone();
        jobs.extend(nested.map(|nested| Job::ShutDown(nested, Instant::ZERO)));
        jobs.push(Job::Abandon(Abandonment {
            child: current.child.clone(),
            spec: entry.spec.clone(),
            number: id.number,
            after,
        }));
        jobs.push(garbage(current));
        // Nobody is told that the supervisor has ended before that is done.
        self.dropping += 1;
        self.lose(id);
        self.overrun = after;
    }

    /// Why the start has failed, if it has.
    pub(super) fn start_failure(&self) -> Option<StartError> {
        match (&self.ended, &self.start_error) {
            _ if self.up => None,
            (Some(_), Some((id, error))) => {
                let (id, error) = (id.clone(), error.clone());
                Some(StartError::Child { id, error })
            }
            (Some(ExitReason::GaveUp(why)), None) => Some(StartError::GaveUp(why.clone())),
            _ => None,
        }
    }

    /// Whom to tell that this supervisor has ended, if nothing is left of it, and what; once.
    pub(super) fn take_end(&mut self, tree: &Arc<Tree>) -> Option<(Above, Over)> {
        if self.dropping > 0 {
            return None;
        }
        let reason = self.ended.clone()?;
        let above = self.above.take()?;
        let over = Over {
            reason,
            not_started: self.start_failure(),
            report: core::mem::take(&mut self.report),
            left: left_by(tree, self),
        };
        Some((above, over))
    }

    /// Takes out the child `key`, which the machine has forgotten.
    pub(super) fn forget(&mut self, key: ChildKey, jobs: &mut Vec<Job>) {
        self.answer_where(|wait| wait.key == key, || Answer::Stopped);
        if let Some(forgotten) = self.entries.remove(&key) {
            self.drop_entries(vec![forgotten], jobs);
        }
    }

    /// Nobody is told that the supervisor has ended before this is done.
    fn drop_entries(&mut self, entries: Vec<Entry>, jobs: &mut Vec<Job>) {
        self.dropping += 1;
        jobs.push(Job::DropEntries(entries));
    }

    fn end(&mut self, end: End, jobs: &mut Vec<Job>) {
        let reason = match (end, &self.start_error, &self.gave_up) {
            (End::Overrun(_), ..) => ExitReason::Abandoned {
                after: self.overrun,
            },
            (End::StartFailed(_), Some((_, error)), _) => ExitReason::NotStarted(error.clone()),
            (End::GaveUp(_), _, Some(why)) => ExitReason::GaveUp(why.clone()),
            _ => ExitReason::Shutdown,
        };
        self.ended = Some(reason);
        self.patrol = Patrol::default();
        self.answer_where(|_| true, || Answer::Ended);
        // Whoever began to stop may not have come to that.
        jobs.push(Job::EndSpares);
        // Bodies may hold handles on this very supervisor.
        let all = core::mem::take(&mut self.entries);
        self.drop_entries(all.into_values().collect(), jobs);
        jobs.push(Job::NotifyWaiting);
    }
}

impl News {
    pub(in super::super) fn event(&self) -> Event {
        match self {
            Self::Start => Event::Start,
            Self::Started(id) => Event::Started(*id),
            Self::Ready(id) => Event::Ready(*id),
            Self::StartFailed(id, error) if error.is_refusal() => Event::Refused(*id),
            Self::StartFailed(id, _) => Event::StartFailed(*id),
            Self::Exited(id, reason) => Event::Exited(
                *id,
                if reason.is_clean() {
                    Exit::Clean
                } else {
                    Exit::Abnormal
                },
            ),
            Self::Stuck(id) => Event::Stuck(*id),
            Self::Shutdown | Self::ShutdownBy(_) => Event::Shutdown,
            Self::Tick => Event::Tick,
        }
    }

    /// Which incarnation is over, whether it ran or not, if that is the news.
    pub(in super::super) const fn over(&self) -> Option<IncarnationId> {
        match self {
            Self::Exited(id, _) | Self::StartFailed(id, _) => Some(*id),
            _ => None,
        }
    }

    /// How an incarnation ended, if that is the news.
    fn into_reason(self) -> Option<ExitReason> {
        match self {
            Self::Exited(_, reason) => Some(reason),
            Self::StartFailed(_, error) => Some(ExitReason::NotStarted(error)),
            _ => None,
        }
    }
}
