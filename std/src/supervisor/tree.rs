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
//! Under the lock there is only bookkeeping ([`state`]): no code of a user, no destructor of a user's value (they go out as
//! [`Job::Drop`], [`Job::DropEntries`] and [`Job::Abandon`]), no thread is started and nobody is woken. So whoever asks
//! about children never waits for a child. Two threads may do jobs of one supervisor at the same time; that is sound because
//! stop token and identity of an incarnation exist before it can be stopped, and the machine recognises late events.

mod control;
mod entry;
mod state;

use super::abandonment::Abandonment;
use super::info::{ChildInfo, Counts, ShutdownReport};
use super::life::{self, Launch};
use super::request::{self, Answer, Request};
use super::{ChildRef, ChildSpec, StartError, timer};
use crate::clock;
use crate::process::ExitReason;
use crate::process::panic::{contain, discard};
use crate::stop::StopToken;
use crate::sync::{Arc, Condvar, Mutex, thread};
use alloc::collections::VecDeque;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{ChildKey, GrowingChildren, IncarnationId, Machine};
use entry::Entry;
use state::State;

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

/// News for the machine, with what the machine has no use for.
pub(super) enum News {
    Start,
    Started(IncarnationId),
    Ready(IncarnationId),
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
    /// To stop, and until when; also if it is asked again because it has less time.
    AskToStop(StopToken, Option<Instant>),
    Schedule(Instant),
    Unschedule(Instant),
    NotifyWaiting,
    Report(UsersCode),
    Abandon(Abandonment),
    Drop(Garbage),
    DropEntries(Vec<Entry>),
    DropSpec(Arc<ChildSpec>),
    Answer(Arc<Request>, Answer),
}

/// What may own the last of a user's values: exit reasons, and stop tokens with callbacks.
type Garbage = Box<dyn Send>;

/// To be dropped outside the lock.
fn garbage(value: impl Send + 'static) -> Job {
    Job::Drop(Box::new(value))
}

/// On which thread a user's code runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Here,
    /// On one of its own: here is the timer's.
    Elsewhere,
}

impl Run {
    fn run(self, code: UsersCode) {
        match self {
            Self::Here => contain(code),
            Self::Elsewhere => elsewhere(code),
        }
    }
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
        Arc::new(Self {
            name,
            quiet,
            state: Mutex::new(State::new(machine, specs)),
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
        self.drive_on(news, Run::Here);
    }

    /// Called by the timer, on whose thread no code of a user may run.
    pub(super) fn deadline_passed(self: &Arc<Self>) {
        self.drive_on(News::Tick, Run::Elsewhere);
    }

    fn drive_on(self: &Arc<Self>, news: News, run: Run) {
        let jobs = self.tell(news);
        self.work(jobs, run);
    }

    fn tell(&self, news: News) -> Vec<Job> {
        let ((), jobs) = self.decide(|state, now, jobs| state.step(now, &self.name, news, jobs));
        jobs
    }

    /// Does these jobs, and whatever follows from them.
    fn work(self: &Arc<Self>, jobs: Vec<Job>, run: Run) {
        request::working(|| {
            let mut pending = VecDeque::new();
            let mut jobs = jobs;
            loop {
                for job in jobs {
                    pending.extend(self.perform(job, run));
                }
                let Some(news) = pending.pop_front() else {
                    return;
                };
                jobs = self.tell(news);
            }
        });
    }

    /// One critical section: the machine's step and the bookkeeping that belongs to it.
    fn decide<R>(
        &self,
        act: impl FnOnce(&mut State, Instant, &mut Vec<Job>) -> R,
    ) -> (R, Vec<Job>) {
        let mut jobs = Vec::new();
        let now = clock::now();
        let mut state = self.state.lock();
        let result = act(&mut state, now, &mut jobs);
        let deadline = state.machine.next_deadline();
        if deadline != state.scheduled {
            // Before a callback of a user can keep this thread.
            let unschedule = state.scheduled.map(Job::Unschedule);
            let schedule = deadline.map(Job::Schedule);
            jobs.splice(0..0, unschedule.into_iter().chain(schedule));
        }
        state.scheduled = deadline;
        (result, jobs)
    }

    fn perform(self: &Arc<Self>, job: Job, run: Run) -> Option<News> {
        match job {
            // A registration is told to a user's code, and a thread that is refused may be the end of one.
            Job::Launch(id, launch) if run == Run::Elsewhere && launch.spec.name.is_some() => {
                let tree = self.clone();
                run.run(Box::new(move || {
                    let news = life::launch(&tree, id, launch);
                    tree.drive(news);
                }));
            }
            Job::Launch(id, launch) => return Some(life::launch(self, id, launch)),
            Job::NoIdentity(id, error) => return Some(News::StartFailed(id, error)),
            Job::AskToStop(token, deadline) => {
                if token.request(deadline) {
                    run.run(Box::new(move || token.call_back()));
                }
            }
            Job::Schedule(deadline) => timer::schedule(deadline, Arc::downgrade(self)),
            Job::Unschedule(deadline) => timer::unschedule(deadline, self),
            Job::NotifyWaiting => self.changed.notify_all(),
            Job::Report(report) => run.run(report),
            Job::Abandon(abandonment) => {
                let tree = self.clone();
                run.run(Box::new(move || tree.shut_out(abandonment)));
            }
            Job::Drop(garbage) => run.run(Box::new(move || drop(garbage))),
            Job::DropEntries(entries) => {
                let tree = self.clone();
                run.run(Box::new(move || tree.drop_contained(entries)));
            }
            Job::DropSpec(spec) => run.run(Box::new(move || ChildSpec::let_go(spec))),
            Job::Answer(request, answer) => request.answer(answer),
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
            (Some(_), Some((id, error))) if !state.up => {
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
        let infos = entries.filter_map(|(&key, entry)| {
            let child = state.machine.child(key)?;
            let current = entry.current.as_ref();
            Some(ChildInfo {
                id: entry.spec.id.clone(),
                state: child.state(),
                incarnation: child.incarnation(),
                restarts: child.incarnation().saturating_sub(1),
                child: current.map(|current| current.child.clone()),
                since: current.map(|current| current.since),
                last_exit: entry.last_exit.clone(),
            })
        });
        infos.collect()
    }

    pub(super) fn child(&self, id: &str) -> Option<ChildRef> {
        let state = self.state.lock();
        let mut entries = state.entries.values();
        let entry = entries.find(|entry| entry.spec.id == id)?;
        entry.current.as_ref().map(|current| current.child.clone())
    }

    pub(super) fn count(&self) -> Counts {
        let state = self.state.lock();
        let specs = state.entries.len();
        Counts {
            specs,
            active: state.alive.len(),
            abandoned: state.abandoned,
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        let entries = core::mem::take(&mut state.entries);
        let failed = core::mem::take(&mut state.report.failed);
        let ends = (state.ended.take(), state.gave_up.take());
        let start_error = state.start_error.take();
        drop(state);
        // This may be on any thread, and each reason may own an error of a user.
        entries.into_values().for_each(Entry::let_go);
        for (_, reason) in failed {
            discard(reason);
        }
        discard(ends.0);
        discard(ends.1);
        discard(start_error);
    }
}

/// Something that calls or drops what belongs to a user.
pub(super) type UsersCode = Box<dyn FnOnce() + Send>;

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
