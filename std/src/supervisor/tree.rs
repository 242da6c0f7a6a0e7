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
//! One job may be left for later: if a thread tells of the end of an incarnation, and the next one of that child is to have the same
//! thread, [`Tree::go_on`] gives it back when the others are done.
//!
//! Under the lock there is only bookkeeping ([`state`]): no code of a user, no destructor of a user's value (they go out as
//! [`Job::Drop`], [`Job::DropEntries`] and [`Job::Abandon`]), no thread is started and nobody is woken. So whoever asks
//! about children never waits for a child. Two threads may do jobs of one supervisor at the same time; that is sound because
//! stop token and identity of an incarnation exist before it can be stopped, and the machine recognises late events.

mod control;
mod entry;
mod rounds;
mod state;

use super::abandonment::Abandonment;
use super::info::{ChildInfo, Counts, ShutdownReport};
use super::life::{self, Launch};
use super::nested::{self, Above};
#[cfg(all(unix, feature = "process"))]
use super::os_process;
use super::request::{self, Answer, Request};
use super::reuse::Seat;
use super::spec::Work;
use super::{ChildRef, ChildSpec, StartError, timer};
use crate::clock;
use crate::process::ExitReason;
use crate::process::panic::{contain, discard};
use crate::stop::StopToken;
use crate::sync::{Arc, Condvar, Mutex, thread};
use alloc::collections::VecDeque;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    ChildKey, GrowingChildren, IncarnationId, Machine, Phase, Strategy,
};
use core::time::Duration;
use entry::{Current, Entry};
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
    Stuck(IncarnationId),
    Shutdown,
    /// Also if it is stopping already.
    ShutdownBy(Instant),
    Tick,
}

/// What is to be done outside the lock.
enum Job {
    Launch(IncarnationId, Launch),
    /// An incarnation for which there was no identity.
    NoIdentity(IncarnationId, Arc<StartError>),
    /// To stop, and until when; also if it is asked again because it has less time.
    AskToStop(StopToken, Option<Instant>),
    /// A nested supervisor, until then.
    ShutDown(Arc<Tree>, Instant),
    /// The supervisor of this one that all its children have been started.
    TellReady(Arc<Tree>, IncarnationId),
    Schedule(Instant),
    Unschedule(Instant),
    NotifyWaiting,
    Report(UsersCode),
    /// The end of the process.
    Abort,
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

/// A child, and the supervisors below it.
pub(super) type Branch = (ChildInfo, Vec<Arc<Tree>>);

/// News that are to be told, and whom.
type Pending = VecDeque<(Arc<Tree>, News)>;

/// Tells all this, and does whatever follows from it.
fn run_through(mut pending: Pending, run: Run) {
    request::working(|| {
        while let Some((tree, news)) = pending.pop_front() {
            for job in tree.tell(news) {
                tree.perform(job, run, &mut pending);
            }
            discard(tree);
        }
    });
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
        above: Option<Above>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            quiet,
            state: Mutex::new(State::new(machine, specs, above)),
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

    /// Tells the machine of the end of an incarnation, does what follows, and says what is to run next on its thread. If nothing
    /// is, the thread does not count any more before a replacement asks for one.
    pub(super) fn go_on(
        self: &Arc<Self>,
        over: IncarnationId,
        reason: ExitReason,
        mut seat: Seat,
    ) -> Option<(IncarnationId, Launch, Seat)> {
        request::working(|| {
            let own = seat.own.take();
            let leaves = own.is_some();
            let ((older, here), jobs) = self.decide(|state, now, jobs| {
                let older = state.leave_thread(over, own);
                state.step(now, &self.name, News::Exited(over, reason), jobs);
                let here = jobs.iter().position(|job| match job {
                    Job::Launch(id, launch) => id.child == over.child && seat.suits(&launch.spec),
                    _ => false,
                });
                if here.is_some() && leaves {
                    // Nobody is to wait for it: it stays, and may be abandoned.
                    seat.own = state.take_thread(over);
                }
                (older, here.map(|here| jobs.remove(here)))
            });
            drop(older);
            let Some(Job::Launch(id, launch)) = here else {
                drop(seat);
                self.work(jobs, Run::Here);
                return None;
            };
            self.work(jobs, Run::Here);
            match life::begin_here(id, launch) {
                Ok(launch) => {
                    self.drive(News::Started(id));
                    Some((id, launch, seat))
                }
                Err(news) => {
                    drop(seat);
                    self.drive(news);
                    None
                }
            }
        })
    }

    /// Called by the timer, on whose thread no code of a user may run.
    pub(super) fn deadline_passed(self: &Arc<Self>) {
        self.drive_on(News::Tick, Run::Elsewhere);
    }

    fn drive_on(self: &Arc<Self>, news: News, run: Run) {
        run_through(VecDeque::from([(self.clone(), news)]), run);
    }

    fn tell(&self, news: News) -> Vec<Job> {
        let ((), jobs) = self.decide(|state, now, jobs| {
            let time_has_passed = matches!(news, News::Tick);
            state.step(now, &self.name, news, jobs);
            if time_has_passed {
                state.look_around(now, &self.name, jobs);
            }
        });
        jobs
    }

    /// Does these jobs, and whatever follows from them.
    fn work(self: &Arc<Self>, jobs: Vec<Job>, run: Run) {
        let mut pending = VecDeque::new();
        request::working(|| {
            for job in jobs {
                self.perform(job, run, &mut pending);
            }
        });
        run_through(pending, run);
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
        let deadline = state.next_deadline();
        if deadline != state.scheduled {
            // Before a callback of a user can keep this thread.
            let unschedule = state.scheduled.map(Job::Unschedule);
            let schedule = deadline.map(Job::Schedule);
            jobs.splice(0..0, unschedule.into_iter().chain(schedule));
        }
        state.scheduled = deadline;
        (result, jobs)
    }

    fn perform(self: &Arc<Self>, job: Job, run: Run, pending: &mut Pending) {
        match job {
            // A registration is told to a user's code, and a supervisor is described by it.
            Job::Launch(id, launch) if run == Run::Elsewhere && !launch.spec.is_plain() => {
                let tree = self.clone();
                run.run(Box::new(move || {
                    let mut pending = VecDeque::new();
                    tree.launch(id, launch, &mut pending);
                    run_through(pending, Run::Here);
                }));
            }
            Job::Launch(id, launch) => self.launch(id, launch, pending),
            Job::NoIdentity(id, error) => {
                pending.push_back((self.clone(), News::StartFailed(id, error)));
            }
            Job::AskToStop(token, deadline) => {
                if token.request(deadline) {
                    run.run(Box::new(move || token.call_back()));
                }
            }
            Job::ShutDown(nested, by) => pending.push_back((nested, News::ShutdownBy(by))),
            Job::TellReady(above, id) => pending.push_back((above, News::Ready(id))),
            Job::Schedule(deadline) => timer::schedule(deadline, Arc::downgrade(self)),
            Job::Unschedule(deadline) => timer::unschedule(deadline, self),
            Job::NotifyWaiting => self.changed.notify_all(),
            Job::Report(report) => run.run(report),
            Job::Abort => std::process::abort(),
            Job::Abandon(abandonment) => {
                self.drop_on(run, pending, move |tree| tree.shut_out(abandonment));
            }
            Job::Drop(garbage) => run.run(Box::new(move || drop(garbage))),
            Job::DropEntries(entries) => {
                self.drop_on(run, pending, move |_| {
                    entries.into_iter().for_each(Entry::let_go);
                });
            }
            Job::DropSpec(spec) => run.run(Box::new(move || ChildSpec::let_go(spec))),
            Job::Answer(request, answer) => request.answer(answer),
        }
    }

    fn launch(self: &Arc<Self>, id: IncarnationId, launch: Launch, pending: &mut Pending) {
        match launch.spec.work {
            Work::Thread(_) => {
                let news = life::launch(self, id, launch);
                pending.extend(news.map(|news| (self.clone(), news)));
            }
            Work::Supervisor(_) => pending.extend(nested::launch(self, id, launch)),
            #[cfg(all(unix, feature = "process"))]
            Work::Process(_) => {
                pending.push_back((self.clone(), os_process::launch(self, id, launch)));
            }
        }
    }

    /// Does something that [`State::dropping`] has counted; the supervisor of this one is told if that was the last of it.
    fn drop_on(
        self: &Arc<Self>,
        run: Run,
        pending: &mut Pending,
        act: impl FnOnce(&Self) + Send + 'static,
    ) {
        match run {
            Run::Here => pending.extend(self.dropping(act)),
            Run::Elsewhere => {
                let tree = self.clone();
                elsewhere(Box::new(move || {
                    let pending = tree.dropping(act).into_iter().collect();
                    run_through(pending, Run::Here);
                }));
            }
        }
    }

    /// Waits until all children have been started, or the supervisor has ended instead.
    pub(super) fn wait_started(&self) -> StartOutcome {
        let state = self.state.lock();
        let me = thread::current().id();
        let state = self
            .changed
            .wait_while(state, |state| !state.up && !state.is_over(me));
        match state.start_failure() {
            Some(error) => StartOutcome::Failed(error),
            None => StartOutcome::Up,
        }
    }

    /// Waits until all children have been started, or it has ended, at most so long. Whether they have, and it goes on.
    pub(super) fn wait_up(&self, at_most: Duration) -> bool {
        let state = self.state.lock();
        let state = self
            .changed
            .wait_while_for(state, at_most, |state| !state.up && state.ended.is_none());
        state.up && !state.is_stopping()
    }

    /// Waits until the supervisor has ended.
    pub(super) fn wait_ended(&self) -> ExitReason {
        let state = self.state.lock();
        let me = thread::current().id();
        let state = self.changed.wait_while(state, |state| !state.is_over(me));
        state.ended.clone().unwrap_or(ExitReason::Gone)
    }

    fn shut_out(&self, abandonment: Abandonment) {
        let (id, own_end) = abandonment.perform(&self.name);
        let report = &mut self.state.lock().report;
        match own_end {
            Some(reason) => report.add(id, reason),
            None => report.abandoned.push(id),
        }
    }

    fn dropping(&self, act: impl FnOnce(&Self)) -> Option<(Arc<Self>, News)> {
        let me = thread::current().id();
        self.state.lock().droppers.push(me);
        contain(|| act(self));
        let end = {
            let mut state = self.state.lock();
            state.dropping -= 1;
            if let Some(index) = state.droppers.iter().position(|&dropper| dropper == me) {
                state.droppers.swap_remove(index);
            }
            state.take_end()
        };
        self.changed.notify_all();
        end.map(|(above, over)| above.tell(over))
    }

    /// The supervisor of this one, and which child of it this is.
    pub(super) fn above(&self) -> Option<(Arc<Self>, IncarnationId)> {
        let state = self.state.lock();
        let above = state.above.as_ref()?;
        Some((above.tree.clone(), above.id))
    }

    /// A supervisor has been built for this incarnation: until when it has to have stopped, if it was asked to
    /// meanwhile. Nothing if the incarnation was abandoned.
    pub(super) fn adopt(
        &self,
        id: IncarnationId,
        me: &ChildRef,
        nested: &Arc<Self>,
    ) -> Option<Option<Instant>> {
        let mut state = self.state.lock();
        let entry = state.entries.get_mut(&id.child)?;
        let current = entry.current.as_mut();
        let current = current.filter(|current| current.child == *me)?;
        current.nested = Some(nested.clone());
        Some(current.asked.map(|asked| asked.deadline))
    }

    /// What is to be told of the children of the nested supervisor `id`, which is over.
    pub(super) fn absorb(&self, id: &str, of: ShutdownReport) {
        let mut state = self.state.lock();
        let stopping = state.is_stopping();
        state.report.absorb(id, of, stopping);
    }

    pub(super) fn report(&self) -> ShutdownReport {
        self.state.lock().report.clone()
    }

    pub(super) fn children(&self) -> Vec<ChildInfo> {
        let state = self.state.lock();
        let entries = state.entries.iter();
        let infos = entries.filter_map(|(&key, entry)| state.info(key, entry));
        infos.collect()
    }

    /// The children, and what of supervisors is below them.
    pub(super) fn branches(&self) -> (Strategy, Vec<Branch>) {
        let state = self.state.lock();
        let entries = state.entries.iter();
        let branches = entries.filter_map(|(&key, entry)| {
            let current = entry.current.as_ref();
            let below = current.map(Current::below).unwrap_or_default();
            Some((state.info(key, entry)?, below))
        });
        (state.machine.strategy(), branches.collect())
    }

    /// The present nested supervisor of the child `id`, if it has begun to start.
    pub(super) fn nested(&self, id: &str) -> Option<Arc<Self>> {
        let nested = {
            let state = self.state.lock();
            let mut entries = state.entries.values();
            let entry = entries.find(|entry| entry.spec.id == id)?;
            entry.current.as_ref()?.nested.clone()?
        };
        let begun = nested.state.lock().machine.phase() != Phase::New;
        begun.then_some(nested)
    }

    /// The body of this incarnation starts a supervisor of its own.
    pub(super) fn note_inner(&self, id: IncarnationId, inner: &Arc<Self>) {
        let mut state = self.state.lock();
        let entry = state.entries.get_mut(&id.child);
        let current = entry.and_then(|entry| entry.current.as_mut());
        if let Some(current) = current.filter(|current| current.child.incarnation() == id.number) {
            current.inner.retain(|other| other.strong_count() > 0);
            current.inner.push(Arc::downgrade(inner));
        }
    }

    /// What asks the incarnation `id` to stop, unless that is over or abandoned.
    pub(super) fn stop_of(&self, id: IncarnationId) -> Option<StopToken> {
        let state = self.state.lock();
        let current = state.entries.get(&id.child)?.current.as_ref()?;
        let is_it = current.child.incarnation() == id.number;
        is_it.then(|| current.stop.clone())
    }

    /// Whether the incarnation `id` is the present one, and has not been asked to stop.
    pub(super) fn is_wanted(&self, id: IncarnationId) -> bool {
        let state = self.state.lock();
        let entry = state.entries.get(&id.child);
        let current = entry.and_then(|entry| entry.current.as_ref());
        current.is_some_and(|current| {
            current.child.incarnation() == id.number && current.asked.is_none()
        })
    }

    /// Whether it has begun to start, and not begun to stop.
    pub(super) fn is_on(&self) -> bool {
        let phase = self.state.lock().machine.phase();
        matches!(phase, Phase::Starting | Phase::Running)
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.state.lock().ended.is_some()
    }

    pub(super) fn child(&self, id: &str) -> Option<ChildRef> {
        let state = self.state.lock();
        let mut entries = state.entries.values();
        let entry = entries.find(|entry| entry.spec.id == id)?;
        entry.current.as_ref().map(|current| current.child.clone())
    }

    pub(super) fn count(&self) -> Counts {
        let state = self.state.lock();
        let counts = state.machine.count();
        Counts {
            specs: state.entries.len(),
            supervisors: counts.supervisors.min(state.entries.len()),
            workers: state.entries.len() - counts.supervisors.min(state.entries.len()),
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
            contain(|| request::working(code));
        }
    };
    let helper = thread::Builder::new().name("bedplate-stop".to_owned());
    if helper.spawn(move || run(&theirs)).is_err() {
        run(&shared);
    }
}
