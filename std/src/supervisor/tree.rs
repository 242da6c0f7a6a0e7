//! The shared part of a supervisor, and the loop in which any thread runs it.
//!
//! There is no supervisor thread. Whoever has news, mostly a thread that is about to end, runs [`Tree::drive`]:
//!
//! ```text
//! lock ── machine.step(now, event) ── note what follows as jobs ── unlock ── do the jobs
//!   ▲                                                                            │
//!   └─────────────────── a start succeeded or failed ◄───────────────────────────┘
//! ```
//!
//! Under the lock there is only bookkeeping: no code of a user, no destructor of a user's value (they go out as
//! [`Job::Drop`], [`Job::DropEntries`] and [`Job::Abandon`]), no thread is started and nobody is woken. So whoever asks
//! about children never waits for a child. Two threads may do jobs of one supervisor at the same time; that is sound because
//! stop token and identity of an incarnation exist before it can be stopped, and the machine recognises late events.

use super::abandonment::Abandonment;
use super::info::{ChildInfo, Counts, ShutdownReport};
use super::life::{self, Launch};
use super::{ChildRef, ChildSpec, Incarnation, StartError, report, timer};
use crate::clock;
use crate::process::panic::{contain, discard};
use crate::process::{self, ExitReason, GaveUp};
use crate::stop::StopToken;
use crate::sync::{Arc, Condvar, Mutex, ThreadId, thread};
use alloc::collections::VecDeque;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, ChildKey, End, Event, Exit, GrowingChildren, IncarnationId, Machine, Phase, Stop,
};
use core::time::Duration;

/// The largest restart intensity; a ring of so many instants is part of every supervisor.
pub(super) const MAX_INTENSITY: usize = 128;

pub(super) type Decisions = Machine<GrowingChildren<String>, MAX_INTENSITY>;

/// What every handle on a supervisor and every thread of its children share.
pub(super) struct Tree {
    name: String,
    /// Whether the children's panics are not printed.
    quiet: bool,
    state: Mutex<State>,
    /// Notified when all children have been started, and when the supervisor has ended.
    changed: Condvar,
}

struct State {
    machine: Decisions,
    entries: Vec<Entry>,
    up: bool,
    /// The child whose first start failed.
    start_error: Option<(String, Arc<StartError>)>,
    gave_up: Option<Arc<GaveUp>>,
    report: ShutdownReport,
    /// Threads that were abandoned and have not ended.
    abandoned: usize,
    /// How long the last of them was waited for.
    overrun: Duration,
    /// The deadline the timer was last told.
    scheduled: Option<Instant>,
    /// How many times entries, with what their bodies captured, are yet to be dropped, or incarnations
    /// to be shut out …
    dropping: usize,
    /// … and the threads that are doing so. A destructor may wait for the end of this supervisor; it
    /// does not wait for itself.
    droppers: Vec<ThreadId>,
    ended: Option<ExitReason>,
}

/// What is known of a child beyond what the machine knows.
struct Entry {
    key: ChildKey,
    spec: Arc<ChildSpec>,
    current: Option<Current>,
    last_exit: Option<ExitReason>,
}

struct Current {
    child: ChildRef,
    stop: StopToken,
}

/// News for the machine, with what the machine has no use for.
pub(super) enum News {
    Start,
    Started(IncarnationId),
    StartFailed(IncarnationId, Arc<StartError>),
    Exited(IncarnationId, ExitReason),
    Shutdown,
    Tick,
}

/// What is to be done outside the lock.
enum Job {
    Launch(IncarnationId, Launch),
    /// An incarnation for which there was no identity.
    NoIdentity(IncarnationId, Arc<StartError>),
    AskToStop(StopToken, Option<Instant>),
    Schedule(Instant),
    Unschedule(Instant),
    NotifyWaiting,
    Report(UsersCode),
    Abandon(Abandonment),
    Drop(Garbage),
    DropEntries(Vec<Entry>),
}

/// What may own the last of a user's values: exit reasons, and stop tokens with callbacks.
type Garbage = Box<dyn Send>;

/// To be dropped outside the lock.
fn garbage(value: impl Send + 'static) -> Job {
    Job::Drop(Box::new(value))
}

/// How a supervisor's start went, when it is known.
pub(super) enum StartOutcome {
    Up,
    Failed(StartError),
}

impl Tree {
    /// A supervisor that has not started, with `specs` in the order of their keys.
    pub(super) fn new(
        name: String,
        quiet: bool,
        machine: Decisions,
        specs: Vec<(ChildKey, ChildSpec)>,
    ) -> Arc<Self> {
        let entries = specs.into_iter().map(|(key, spec)| Entry {
            key,
            spec: Arc::new(spec),
            current: None,
            last_exit: None,
        });
        let state = State {
            machine,
            entries: entries.collect(),
            up: false,
            start_error: None,
            gave_up: None,
            report: ShutdownReport::default(),
            abandoned: 0,
            overrun: Duration::ZERO,
            scheduled: None,
            dropping: 0,
            droppers: Vec::new(),
            ended: None,
        };
        Arc::new(Self {
            name,
            quiet,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    pub(super) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Tells the machine what happened and does what follows.
    pub(super) fn drive(self: &Arc<Self>, news: News) {
        self.drive_with(news, here);
    }

    /// Called by the timer, on whose thread no code of a user may run.
    pub(super) fn deadline_passed(self: &Arc<Self>) {
        self.drive_with(News::Tick, elsewhere);
    }

    fn drive_with(self: &Arc<Self>, news: News, run: fn(UsersCode)) {
        let mut pending = VecDeque::from([news]);
        while let Some(news) = pending.pop_front() {
            for job in self.decide(news) {
                pending.extend(self.perform(job, run));
            }
        }
    }

    /// One critical section: the machine's step and the bookkeeping that belongs to it.
    fn decide(&self, news: News) -> Vec<Job> {
        let mut jobs = Vec::new();
        let now = clock::now();
        let mut state = self.state.lock();
        state.step(now, &self.name, news, &mut jobs);
        let deadline = state.machine.next_deadline();
        if deadline != state.scheduled {
            // Before a callback of a user can keep this thread.
            let unschedule = state.scheduled.map(Job::Unschedule);
            let schedule = deadline.map(Job::Schedule);
            jobs.splice(0..0, unschedule.into_iter().chain(schedule));
        }
        state.scheduled = deadline;
        jobs
    }

    fn perform(self: &Arc<Self>, job: Job, run: fn(UsersCode)) -> Option<News> {
        match job {
            Job::Launch(id, launch) => {
                return Some(match life::launch(self, id, launch) {
                    Ok(()) => News::Started(id),
                    Err(error) => News::StartFailed(id, error),
                });
            }
            Job::NoIdentity(id, error) => return Some(News::StartFailed(id, error)),
            Job::AskToStop(token, deadline) => {
                if token.request(deadline) {
                    run(Box::new(move || token.call_back()));
                }
            }
            Job::Schedule(deadline) => timer::schedule(deadline, Arc::downgrade(self)),
            Job::Unschedule(deadline) => timer::unschedule(deadline, self),
            Job::NotifyWaiting => self.changed.notify_all(),
            Job::Report(report) => run(report),
            Job::Abandon(abandonment) => {
                let tree = self.clone();
                run(Box::new(move || tree.shut_out(abandonment)));
            }
            Job::Drop(garbage) => run(Box::new(move || drop(garbage))),
            Job::DropEntries(entries) => {
                let tree = self.clone();
                run(Box::new(move || tree.drop_contained(entries)));
            }
        }
        None
    }

    /// Waits until all children have been started, or the supervisor has ended instead.
    pub(super) fn wait_started(&self) -> StartOutcome {
        let state = self.state.lock();
        let me = thread::current().id();
        let state = self
            .changed
            .wait_while(state, |state| !state.up && !state.is_over(me));
        match (&state.ended, &state.start_error) {
            (Some(ExitReason::NotStarted(_)), Some((id, error))) => {
                let (id, error) = (id.clone(), error.clone());
                StartOutcome::Failed(StartError::Child { id, error })
            }
            (Some(ExitReason::GaveUp(why)), _) if !state.up => {
                StartOutcome::Failed(StartError::GaveUp(why.clone()))
            }
            _ => StartOutcome::Up,
        }
    }

    /// Waits until the supervisor has ended.
    pub(super) fn wait_ended(&self) -> ExitReason {
        let state = self.state.lock();
        let me = thread::current().id();
        let state = self.changed.wait_while(state, |state| !state.is_over(me));
        state.ended.clone().unwrap_or(ExitReason::Gone)
    }

    fn shut_out(&self, abandonment: Abandonment) {
        self.dropping(|| {
            let (id, own_end) = abandonment.perform(&self.name);
            let report = &mut self.state.lock().report;
            match own_end {
                Some(reason) => report.add(id, reason),
                None => report.abandoned.push(id),
            }
        });
    }

    fn drop_contained(&self, entries: Vec<Entry>) {
        self.dropping(|| entries.into_iter().for_each(Entry::let_go));
    }

    /// Does something that [`State::dropping`] has counted, and that does not panic.
    fn dropping(&self, act: impl FnOnce()) {
        let me = thread::current().id();
        self.state.lock().droppers.push(me);
        act();
        {
            let mut state = self.state.lock();
            state.dropping -= 1;
            if let Some(index) = state.droppers.iter().position(|&dropper| dropper == me) {
                state.droppers.swap_remove(index);
            }
        }
        self.changed.notify_all();
    }

    pub(super) fn report(&self) -> ShutdownReport {
        self.state.lock().report.clone()
    }

    pub(super) fn children(&self) -> Vec<ChildInfo> {
        let state = self.state.lock();
        let entries = state.entries.iter();
        let infos = entries.filter_map(|entry| {
            let child = state.machine.child(entry.key)?;
            Some(ChildInfo {
                id: entry.spec.id.clone(),
                state: child.state(),
                incarnation: child.incarnation(),
                child: entry.current.as_ref().map(|current| current.child.clone()),
                last_exit: entry.last_exit.clone(),
            })
        });
        infos.collect()
    }

    pub(super) fn child(&self, id: &str) -> Option<ChildRef> {
        let state = self.state.lock();
        let entry = state.entries.iter().find(|entry| entry.spec.id == id)?;
        entry.current.as_ref().map(|current| current.child.clone())
    }

    pub(super) fn count(&self) -> Counts {
        let state = self.state.lock();
        let active = state
            .entries
            .iter()
            .filter(|entry| entry.current.is_some())
            .count();
        Counts {
            specs: state.entries.len(),
            active,
            abandoned: state.abandoned,
        }
    }
}

impl Entry {
    /// Drops it part by part: of two destructors that panic at once, the second would abort the
    /// process.
    fn let_go(self) {
        ChildSpec::let_go(self.spec);
        discard(self.current);
        discard(self.last_exit);
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        let entries = core::mem::take(&mut state.entries);
        let failed = core::mem::take(&mut state.report.failed);
        let ends = (state.ended.take(), state.gave_up.take());
        drop(state);
        // This may be on any thread, and each reason may own an error of a user.
        entries.into_iter().for_each(Entry::let_go);
        for (_, reason) in failed {
            discard(reason);
        }
        discard(ends.0);
        discard(ends.1);
    }
}

impl State {
    /// Nothing runs, and nothing of what ran is left, but what the thread `asking` is dropping itself.
    fn is_over(&self, asking: ThreadId) -> bool {
        let own = self
            .droppers
            .iter()
            .filter(|&&dropper| dropper == asking)
            .count();
        self.ended.is_some() && self.dropping == own
    }

    fn step(&mut self, now: Instant, name: &str, news: News, jobs: &mut Vec<Job>) {
        let was_stopping = matches!(self.machine.phase(), Phase::Stopping(_));
        let (event, id, reason) = match news {
            News::Start => (Event::Start, None, None),
            News::Started(id) => (Event::Started(id), None, None),
            News::StartFailed(id, error) => (
                Event::StartFailed(id),
                Some(id),
                Some(ExitReason::NotStarted(error)),
            ),
            News::Exited(id, reason) => {
                let exit = if reason.is_clean() {
                    Exit::Clean
                } else {
                    Exit::Abnormal
                };
                (Event::Exited(id, exit), Some(id), Some(reason))
            }
            News::Shutdown => (Event::Shutdown, None, None),
            News::Tick => (Event::Tick, None, None),
        };
        let actions = self.machine.step(now, event).map(Vec::from_iter);
        let late = actions
            .as_deref()
            .map_or(true, |actions| matches!(actions, [Action::LateExit(_)]));
        let (Ok(actions), false) = (actions, late) else {
            // A confirmation that its own exit has overtaken, or the end of an abandoned thread.
            if let Event::Exited(..) = event {
                self.abandoned = self.abandoned.saturating_sub(1);
            }
            jobs.extend(reason.map(garbage));
            return;
        };
        if let (Some(id), Some(reason)) = (id, reason) {
            self.over(name, id, reason, was_stopping, jobs);
        }
        for action in actions {
            match action {
                Action::Start(id) => self.prepare(id, name, jobs),
                Action::Stop(id) => self.ask_to_stop(now, id, jobs),
                Action::Abandon(id) => self.abandon(id, jobs),
                Action::Forget(key) => {
                    if let Some(index) = self.entries.iter().position(|entry| entry.key == key) {
                        let forgotten = vec![self.entries.remove(index)];
                        self.drop_entries(forgotten, jobs);
                    }
                }
                Action::Up => {
                    self.up = true;
                    jobs.push(Job::NotifyWaiting);
                }
                Action::End(end) => self.end(end, jobs),
                // What was asked for by hand is not told as yet, and nothing is.
                _ => debug_assert!(false, "an action this driver does not know"),
            }
        }
    }

    fn entry(&mut self, key: ChildKey) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
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
        let Some(entry) = self.entry(id.child) else {
            jobs.push(garbage(reason));
            return;
        };
        let child = entry.spec.id.clone();
        let report = report::ended((name, &child), id.number, &entry.spec.context, &reason);
        jobs.extend(entry.current.take().map(garbage));
        jobs.extend(entry.last_exit.replace(reason.clone()).map(garbage));
        let ending = match self.machine.phase() {
            Phase::Stopping(end) | Phase::Ended(end) => Some(end),
            _ => None,
        };
        if ending == Some(End::StartFailed(id.child))
            && let ExitReason::NotStarted(error) = &reason
        {
            // Whoever starts the supervisor is told.
            self.start_error
                .get_or_insert((child.clone(), error.clone()));
            jobs.extend(report.map(garbage));
        } else {
            jobs.extend(report.map(Job::Report));
        }
        let gave_up = ending == Some(End::GaveUp(id.child)) && self.gave_up.is_none();
        if gave_up {
            let limit = self.machine.limit();
            let why = Arc::new(GaveUp {
                child: child.clone(),
                restarts: limit.intensity(),
                within: limit.period(),
                last: reason,
            });
            jobs.extend(report::gave_up(name, &why).map(Job::Report));
            let failed = (child, ExitReason::GaveUp(why.clone()));
            self.report.failed.push(failed);
            self.gave_up = Some(why);
        } else if was_stopping {
            self.report.add(child, reason);
        }
    }

    /// Gives the next incarnation its identity and its stop token.
    fn prepare(&mut self, id: IncarnationId, name: &str, jobs: &mut Vec<Job>) {
        let Some(entry) = self.entry(id.child) else {
            return;
        };
        let path = Arc::from(format!("{name}/{}", entry.spec.id));
        match process::enter(path, id.number) {
            Ok(child) => {
                let stop = StopToken::new();
                entry.current = Some(Current {
                    child: child.clone(),
                    stop: stop.clone(),
                });
                if id.number > 1 {
                    let report = report::restarted(name, &entry.spec.id, id.number);
                    jobs.extend(report.map(Job::Report));
                }
                let last_exit = entry.last_exit.clone();
                let incarnation = Incarnation {
                    me: child,
                    stop,
                    last_exit,
                };
                jobs.push(Job::Launch(
                    id,
                    Launch {
                        spec: entry.spec.clone(),
                        incarnation,
                    },
                ));
            }
            Err(full) => {
                let error = StartError::TooManyProcesses { limit: full.limit };
                jobs.push(Job::NoIdentity(id, Arc::new(error)));
            }
        }
    }

    fn ask_to_stop(&mut self, now: Instant, id: IncarnationId, jobs: &mut Vec<Job>) {
        let Some(entry) = self.entry(id.child) else {
            return;
        };
        let deadline = match entry.spec.plan.stop {
            Stop::Within(limit) => Some(now.saturating_add(limit)),
            Stop::Forever => None,
        };
        if let Some(current) = &entry.current {
            jobs.push(Job::AskToStop(current.stop.clone(), deadline));
        }
    }

    /// Has an incarnation shut out.
    fn abandon(&mut self, id: IncarnationId, jobs: &mut Vec<Job>) {
        let Some(entry) = self.entry(id.child) else {
            return;
        };
        let after = match entry.spec.plan.stop {
            Stop::Within(limit) => limit,
            Stop::Forever => return,
        };
        let Some(current) = entry.current.take() else {
            return;
        };
        jobs.push(Job::Abandon(Abandonment {
            child: current.child.clone(),
            spec: entry.spec.clone(),
            number: id.number,
            after,
        }));
        jobs.push(garbage(current));
        // Nobody is told that the supervisor has ended before that is done.
        self.dropping += 1;
        self.abandoned += 1;
        self.overrun = after;
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
        // Bodies may hold handles on this very supervisor.
        let all = core::mem::take(&mut self.entries);
        self.drop_entries(all, jobs);
        jobs.push(Job::NotifyWaiting);
    }
}

/// Something that calls or drops what belongs to a user.
pub(super) type UsersCode = Box<dyn FnOnce() + Send>;

fn here(code: UsersCode) {
    contain(code);
}

/// Runs `code` on a thread of its own; here only if there is none to be had.
pub(super) fn elsewhere(code: UsersCode) {
    let shared = Arc::new(Mutex::new(Some(code)));
    let theirs = shared.clone();
    let run = |shared: &Mutex<Option<UsersCode>>| {
        let code = shared.lock().take();
        if let Some(code) = code {
            contain(code);
        }
    };
    let helper = thread::Builder::new().name("bedplate-stop".to_owned());
    if helper.spawn(move || run(&theirs)).is_err() {
        run(&shared);
    }
}
