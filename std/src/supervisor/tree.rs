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
//! thread, or might, [`Tree::go_on`] does it when the others are done ([`succession`]).
//!
//! Under the lock there is only bookkeeping ([`state`]): no code of a user, no destructor of a user's value (they go out as
//! [`Job::Drop`], [`Job::DropEntries`] and [`Job::Abandon`]), no thread is started and nobody is woken. So whoever asks
//! about children never waits for a child. Two threads may do jobs of one supervisor at the same time; that is sound because
//! stop token and identity of an incarnation exist before it can be stopped, and the machine recognises late events.

mod control;
mod entry;
mod health;
mod rounds;
mod standing;
mod state;
mod succession;

use super::abandonment::Abandonment;
use super::elsewhere::{UsersCode, elsewhere};
use super::info::{ChildInfo, Counts, ShutdownReport};
use super::life::{self, Launch};
use super::nested::{self, Above};
#[cfg(all(unix, feature = "process"))]
use super::os_process;
use super::partitions::Seats;
use super::request::{self, Answer, Request};
use super::reuse::Pool;
use super::spec::Work;
use super::{ChildRef, ChildSpec, StartError, timer};
use crate::clock;
use crate::process::ExitReason;
use crate::process::panic::{contain, discard};
use crate::stop::StopToken;
use crate::sync::{Arc, Condvar, Mutex, Weak, thread};
use alloc::collections::VecDeque;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    ChildKey, GrowingChildren, IncarnationId, Machine, Phase, Strategy,
};
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
    /// Told then, too.
    seats: Seats,
    /// Threads that wait for a child.
    spares: Pool,
    /// What the timer knows of it.
    timed: Mutex<timer::Wish>,
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
    /// What is to be called, of a token that was just asked to stop.
    CallBack(StopToken),
    /// A nested supervisor, until then.
    ShutDown(Arc<Tree>, Instant),
    /// The supervisor of this one that all its children have been started.
    TellReady(Arc<Tree>, IncarnationId),
    /// To be told at this time and at no other, unless the timer knows of a later wish.
    Time(u64, Option<Instant>),
    NotifyWaiting,
    /// No child begins any more.
    EndSpares,
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

impl Job {
    /// Whether a user's code may run in it: a registration is told, and a supervisor is described.
    fn is_users(&self) -> bool {
        match self {
            Self::Launch(_, launch) => !launch.spec.is_plain(),
            Self::CallBack(_)
            | Self::Report(_)
            | Self::Abandon(_)
            | Self::Drop(_)
            | Self::DropEntries(_)
            | Self::DropSpec(_) => true,
            _ => false,
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
            let jobs = tree.tell(news);
            match run {
                Run::Here => tree.perform_all(jobs, &mut pending),
                Run::Elsewhere => tree.perform_apart(jobs, &mut pending),
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
    /// A supervisor that has not started, nor taken its seats, with `specs` in the order of their keys.
    pub(super) fn new(
        name: String,
        quiet: bool,
        machine: Decisions,
        specs: Vec<(ChildKey, ChildSpec)>,
        above: Option<Above>,
        (seats, spares): (Seats, Pool),
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            quiet,
            state: Mutex::new(State::new(machine, specs, above)),
            changed: Condvar::new(),
            seats,
            spares,
            timed: Mutex::default(),
        })
    }

    pub(super) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn timed(&self) -> &Mutex<timer::Wish> {
        &self.timed
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
        run_through(VecDeque::from([(self.clone(), news)]), run);
    }

    fn tell(self: &Arc<Self>, news: News) -> Vec<Job> {
        if matches!(news, News::Start) {
            life::fill(self);
        }
        let ((), jobs) = self.decide(|state, now, jobs| {
            let time_has_passed = matches!(news, News::Tick);
            if time_has_passed {
                // What the timer knew is used up; there may be more to do at the same time.
                state.scheduled = None;
            }
            state.step(now, &self.name, news, jobs);
            if time_has_passed {
                state.look_around(now, &self.name, jobs);
            }
        });
        jobs
    }

    /// Does these jobs, and whatever follows from them.
    fn work(self: &Arc<Self>, jobs: Vec<Job>) {
        let mut pending = VecDeque::new();
        request::working(|| self.perform_all(jobs, &mut pending));
        run_through(pending, Run::Here);
    }

    fn perform_all(self: &Arc<Self>, jobs: Vec<Job>, pending: &mut Pending) {
        for job in jobs {
            self.perform(job, pending);
        }
    }

    /// Does these jobs, but those in which a user's code may run elsewhere: on one thread, in their order, since who is
    /// started may need the name of who is shut out before, and who waits for that is to find it done.
    fn perform_apart(self: &Arc<Self>, jobs: Vec<Job>, pending: &mut Pending) {
        let mut apart = Vec::new();
        for job in jobs {
            match job {
                // Nobody is asked later because of what is told before.
                Job::AskToStop(token, deadline) => {
                    if token.request(deadline) {
                        apart.push(Job::CallBack(token));
                    }
                }
                job if job.is_users() => apart.push(job),
                job @ (Job::Launch(..) | Job::Answer(..)) if !apart.is_empty() => apart.push(job),
                job => self.perform(job, pending),
            }
        }
        if !apart.is_empty() {
            let tree = self.clone();
            elsewhere(Box::new(move || tree.work(apart)));
        }
    }

    /// One critical section: the machine's step and the bookkeeping that belongs to it.
    fn decide<R>(
        &self,
        act: impl FnOnce(&mut State, Instant, &mut Vec<Job>) -> R,
    ) -> (R, Vec<Job>) {
        let mut jobs = Vec::new();
        let mut state = self.state.lock();
        // Under the lock: whoever waits for it would else bring a time that is over, which counts as the latest, and so
        // would all who have waited be restarted at one moment.
        let now = clock::now();
        let result = act(&mut state, now, &mut jobs);
        let deadline = state.next_deadline();
        if state.scheduled != Some(deadline) {
            state.scheduled = Some(deadline);
            state.wishes += 1;
            // Before a callback of a user can keep this thread.
            jobs.insert(0, Job::Time(state.wishes, deadline));
        }
        (result, jobs)
    }

    fn perform(self: &Arc<Self>, job: Job, pending: &mut Pending) {
        match job {
            Job::Launch(id, launch) => self.launch(id, launch, pending),
            Job::NoIdentity(id, error) => {
                pending.push_back((self.clone(), News::StartFailed(id, error)));
            }
            Job::AskToStop(token, deadline) => {
                if token.request(deadline) {
                    contain(|| token.call_back());
                }
            }
            Job::CallBack(token) => contain(|| token.call_back()),
            Job::ShutDown(nested, by) => pending.push_back((nested, News::ShutdownBy(by))),
            Job::TellReady(above, id) => pending.push_back((above, News::Ready(id))),
            Job::Time(wish, deadline) => timer::set(self, wish, deadline),
            Job::NotifyWaiting => {
                self.changed.notify_all();
                self.seats.tell();
            }
            Job::EndSpares => self.spares.close(),
            Job::Report(report) => contain(report),
            Job::Abort => std::process::abort(),
            Job::Abandon(abandonment) => {
                pending.extend(self.dropping(|tree| tree.shut_out(abandonment)));
            }
            Job::Drop(garbage) => discard(garbage),
            Job::DropEntries(entries) => {
                pending.extend(self.dropping(|_| entries.into_iter().for_each(Entry::let_go)));
            }
            Job::DropSpec(spec) => ChildSpec::let_go(spec),
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

    /// Does something that [`State::dropping`] has counted; the supervisor of this one is to be told if that was the last of it.
    fn dropping(self: &Arc<Self>, act: impl FnOnce(&Self)) -> Option<(Arc<Self>, News)> {
        let me = thread::current().id();
        self.state.lock().droppers.push(me);
        contain(|| act(self));
        let end = {
            let mut state = self.state.lock();
            state.dropping -= 1;
            if let Some(index) = state.droppers.iter().position(|&dropper| dropper == me) {
                state.droppers.swap_remove(index);
            }
            state.take_end(self)
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
    pub(super) fn absorb(&self, id: &str, of: ShutdownReport, left: Vec<Weak<Self>>) {
        let mut state = self.state.lock();
        let stopping = state.is_stopping();
        state.report.absorb(id, of, stopping);
        state.keep_in_mind(left);
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

    /// Whether this incarnation is neither over nor abandoned.
    pub(super) fn is_present(&self, id: IncarnationId) -> bool {
        self.is_present_and(id, |_| true)
    }

    /// Whether it has not been asked to stop besides.
    pub(super) fn is_wanted(&self, id: IncarnationId) -> bool {
        self.is_present_and(id, |current| current.asked.is_none())
    }

    fn is_present_and(&self, id: IncarnationId, is_so: impl FnOnce(&Current) -> bool) -> bool {
        let state = self.state.lock();
        let entry = state.entries.get(&id.child);
        let current = entry.and_then(|entry| entry.current.as_ref());
        current.is_some_and(|it| it.child.incarnation() == id.number && is_so(it))
    }

    pub(super) const fn spares(&self) -> &Pool {
        &self.spares
    }

    /// Where it is found.
    pub(super) const fn seats(&self) -> &Seats {
        &self.seats
    }

    pub(super) fn strategy(&self) -> Strategy {
        self.state.lock().machine.strategy()
    }

    /// Whether all its children have been started, and it has not begun to stop.
    pub(super) fn is_up(&self) -> bool {
        let state = self.state.lock();
        state.up && !state.is_stopping()
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
            abandoned: state.lost.len(),
            spares: self.spares.count(),
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
