//! The supervisors that a program ships, without threads and without waiting: for its tests.
//!
//! A [`Simulation`] takes the very [`SupervisorBuilder`] that the program starts. It starts no thread and calls no body; the
//! test says what children do, and how much time passes, and reads what the supervisors do about it.
//!
//! ```
//! use bedplate::supervisor::simulation::Simulation;
//! use bedplate::supervisor::{ChildSpec, Ready, Strategy, Supervisor, SupervisorBuilder};
//! use std::time::Duration;
//!
//! const SECOND: Duration = Duration::from_secs(1);
//!
//! // What ships.
//! fn app() -> SupervisorBuilder {
//!     let database = ChildSpec::worker("database", |me| {
//!         // … connect …
//!         me.ready();
//!         while !me.stop().wait(SECOND) {}
//!     });
//!     let server = ChildSpec::worker("server", |me| while !me.stop().wait(SECOND) {});
//!     Supervisor::builder("app")
//!         .strategy(Strategy::RestForOne)
//!         .limit(1, 60 * SECOND)
//!         .child(database.ready(Ready::Signalled { within: 10 * SECOND }))
//!         .child(server)
//! }
//!
//! // What tests it.
//! let mut app = Simulation::new(app())?;
//! app.start();
//! assert_eq!(app.news(), ["database 1 started"]);          // the server waits for it
//! app.advance(9 * SECOND);
//! app.becomes_ready("database")?;
//! assert_eq!(app.news(), ["server 1 started", "app up"]);
//!
//! app.ends("database", Err("the connection is gone"))?;
//! assert_eq!(app.news(), ["server 1 asked to stop within 5s", "database 2 started"]);
//! assert!(app.child("server").is_some_and(|server| !server.state.is_active()));
//!
//! app.advance(10 * SECOND);                                // it does not come up again
//! assert_eq!(
//!     app.news(),
//!     [
//!         "database 2 asked to stop within 5s",
//!         "database 2 did not start: was not ready within 10s",
//!         "app ended: gave up: more than 1 restarts within 60s; at last, database was not started: \
//!          was not ready within 10s",
//!     ]
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is as it is with threads, and what is not
//!
//! Every decision is made by the [machine](bedplate_core::supervision::Machine) that decides for threads, and nested supervisors
//! follow one another as they do there. Time stands still unless the test lets it [pass](Simulation::advance), so
//! nothing takes any: a thread is there when it is started, and ends when it is asked to, unless the test
//! [says otherwise](Simulation::ignores_stop). What two threads do at once happens here in the order in which the test says
//! it. A delay's jitter is the same in each run.
//!
//! Bodies are not called, commands not run, names not registered, and nobody is monitored or looked at: whether a child is
//! [stuck](Simulation::is_found_stuck) is for the test to say. On which thread an incarnation would run makes no difference. A supervisor below another is
//! described by the closure of its [specification](ChildSpec::supervisor), as it is with threads. To have bodies fail
//! that do run, there is [`fault`](crate::fault).

mod branch;
mod happened;
mod health;

pub use happened::{Happened, SimulationError, What};

use super::info::{ChildInfo, Counts};
use super::spec::Work;
use super::tree::News;
use super::{Application, ChildSpec, StartError, SupervisorBuilder, error};
use crate::process::panic::attempt;
use crate::process::{ExitReason, IntoExit, PanicReport};
use crate::sync::Arc;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{ChildKey, IncarnationId, Ready};
use branch::{Branch, BranchIndex, Follow};
use core::fmt;
use core::time::Duration;

/// The outermost supervisor.
const ROOT: BranchIndex = 0;

/// A supervisor, and all below it, with a clock of its own and no threads; see the [module](self).
///
/// Children are named by their path below the outermost supervisor, as in `pool/worker`. Where a dynamic supervisor has
/// several of one id, the oldest is meant. What has happened is kept as long as the simulation is, and so are supervisors
/// that are over.
///
/// # Concurrency
/// None: it belongs to whoever has it, and nothing of it is shared with other threads.
pub struct Simulation {
    now: Instant,
    /// Those that are over included.
    branches: Vec<Branch>,
    pending: VecDeque<(BranchIndex, News)>,
    happened: Vec<Happened>,
    /// How much of that was told as news.
    told: usize,
    ignoring: BTreeSet<String>,
    refused: BTreeMap<String, u32>,
}

impl Simulation {
    /// What `builder` describes, before its start.
    ///
    /// # Errors
    /// Those with which [`SupervisorBuilder::start`] would refuse before it starts any child.
    pub fn new(builder: SupervisorBuilder) -> Result<Self, StartError> {
        error::check_name(builder.name())?;
        let root = Branch::new(builder.describe(0)?, None, None);
        Ok(Self {
            now: Instant::ZERO,
            branches: vec![root],
            pending: VecDeque::new(),
            happened: Vec::new(),
            told: 0,
            ignoring: BTreeSet::new(),
            refused: BTreeMap::new(),
        })
    }

    /// What `application` is, before its start: its own supervisor is `main`, and beside it is what bedplate needs.
    ///
    /// # Errors
    /// Those with which [`Application::start`] would refuse before it starts any child.
    pub fn of_application(application: Application) -> Result<Self, StartError> {
        Self::new(application.into_root())
    }

    /// Starts the children in order, as far as that goes: a child that [signals](Ready::Signalled) that it is ready holds up the
    /// ones after it until the test [says](Self::becomes_ready) so. Without effect when it has been started.
    pub fn start(&mut self) {
        self.tell(ROOT, News::Start);
    }

    /// The body of the child `path` calls [`Incarnation::ready`](super::Incarnation::ready). Without effect, as there, unless
    /// somebody waits for that.
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such child, it does not run, or is a supervisor.
    pub fn becomes_ready(&mut self, path: &str) -> Result<(), SimulationError> {
        let (branch, id, spec) = self.actor(path)?;
        if matches!(spec.plan.ready, Ready::Signalled { .. }) {
            self.tell(branch, News::Ready(id));
        }
        Ok(())
    }

    /// The body of the child `path` ends: it returns `how`, which is nothing, a `Result`, or an [`ExitReason`].
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such child, it does not run, or is a supervisor.
    pub fn ends(&mut self, path: &str, how: impl IntoExit) -> Result<(), SimulationError> {
        let (branch, id, _) = self.actor(path)?;
        let reason = match how.into_exit() {
            ExitReason::Normal if self.branches[branch].was_asked(id.child) => ExitReason::Shutdown,
            reason => reason,
        };
        self.tell(branch, News::Exited(id, reason));
        Ok(())
    }

    /// The body of the child `path` fails, with an error that says `message`; short for [`ends`](Self::ends).
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such child, it does not run, or is a supervisor.
    pub fn fails(&mut self, path: &str, message: &str) -> Result<(), SimulationError> {
        self.ends(path, Err::<(), _>(message))
    }

    /// The body of the child `path` panics with `message`; short for [`ends`](Self::ends).
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such child, it does not run, or is a supervisor.
    pub fn panics(&mut self, path: &str, message: &str) -> Result<(), SimulationError> {
        let report = PanicReport::told(message, path);
        self.ends(path, ExitReason::Panicked(Arc::new(report)))
    }

    /// The child `path` has been silent for longer than it [may be](ChildSpec::watch), and its supervisor looks: what follows is
    /// what its [`Watch`](super::Watch) says. That the process ends is told, and nothing else. How long that
    /// takes is for the test to say.
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such child, it does not run, is a supervisor, or nobody watches it.
    pub fn is_found_stuck(&mut self, path: &str) -> Result<(), SimulationError> {
        let (branch, id, spec) = self.actor(path)?;
        let path = || path.to_owned();
        let watched = spec.watched();
        let watch = watched.ok_or_else(|| SimulationError::NotWatched { path: path() })?;
        if !self.branches[branch].is_running(id.child) {
            return Err(SimulationError::NotRunning { path: path() });
        }
        let follows = self.branches[branch].found_stuck(self.now, id, watch.on_stuck);
        self.follow(branch, follows);
        Ok(())
    }

    /// Whether incarnations of the child `path` do not end when they are asked to stop: they go on until the test says that
    /// they [end](Self::ends), or their time is over and they are abandoned. May be said of children that are not there yet, and
    /// stays said. If one has been asked already, it makes no difference for that one.
    pub fn ignores_stop(&mut self, path: &str, ignores: bool) {
        if ignores {
            self.ignoring.insert(path.to_owned());
        } else {
            self.ignoring.remove(path);
        }
    }

    /// The next `times` starts of the child `path` fail, as if the system refused it a thread: if it is tried again, then after
    /// ten milliseconds at the earliest. May be said of children that are not there yet.
    pub fn fails_to_start(&mut self, path: &str, times: u32) {
        self.refused.insert(path.to_owned(), times);
    }

    /// The oldest incarnation of the child `path` that was abandoned, and has not ended since, ends.
    ///
    /// # Errors
    /// [`SimulationError`] if there is none.
    pub fn ends_late(&mut self, path: &str) -> Result<(), SimulationError> {
        let (branch, id) = self.place(path)?;
        let Some(id) = self.branches[branch].abandoned(id) else {
            return Err(SimulationError::NotRunning {
                path: path.to_owned(),
            });
        };
        self.tell(branch, News::Exited(id, ExitReason::Normal));
        Ok(())
    }

    /// Lets time pass; what is due meanwhile happens at its time, and of what is due at the same time, that of the
    /// outermost supervisor first.
    pub fn advance(&mut self, by: Duration) {
        let then = self.now.saturating_add(by);
        while let Some((due, branch)) = self.due().filter(|&(due, _)| due <= then) {
            self.now = self.now.max(due);
            self.tell(branch, News::Tick);
        }
        self.now = then;
    }

    /// How long it is until something is due: a delay, or somebody's time, is over. `None` if nothing ever will be.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.due()
            .map(|(due, _)| due.saturating_duration_since(self.now))
    }

    /// Asks the outermost supervisor to stop all, as [`Supervisor::shutdown`](super::Supervisor::shutdown) does.
    pub fn shutdown(&mut self) {
        self.tell(ROOT, News::Shutdown);
    }

    /// Adds a child to the supervisor of this path, the outermost one's being empty, and starts it, as
    /// [`SupRef::start_child`](super::SupRef::start_child) does.
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such supervisor; or with the child, if it is not taken.
    pub fn start_child(
        &mut self,
        supervisor: &str,
        spec: ChildSpec,
    ) -> Result<(), SimulationError> {
        let branch = self.branch(supervisor)?;
        let spec = Box::new(spec);
        if let Some(problem) = error::problem_of_name(spec.id()) {
            return Err(SimulationError::BadName { spec, problem });
        }
        let critical = spec.critical;
        let started = self.branches[branch].start_child(self.now, spec);
        let follows = started.map_err(|(spec, error)| SimulationError::NotTaken { spec, error })?;
        if critical {
            self.note_critical(branch);
        }
        self.follow(branch, follows);
        Ok(())
    }

    /// Stops the child `path`, as [`SupRef::terminate`](super::SupRef::terminate) does.
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such child, or its supervisor refuses.
    pub fn terminate(&mut self, path: &str) -> Result<(), SimulationError> {
        self.ask(path, |branch, now, key| {
            branch.ask(now, key, |machine, now, key| machine.terminate(now, key))
        })
    }

    /// Starts the child `path`, which is stopped or waits out a delay, as [`SupRef::restart`](super::SupRef::restart) does.
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such child, or its supervisor refuses.
    pub fn restart(&mut self, path: &str) -> Result<(), SimulationError> {
        self.ask(path, |branch, now, key| {
            branch.ask(now, key, |machine, now, key| machine.restart(now, key))
        })
    }

    /// Forgets the child `path`, which is stopped, as [`SupRef::delete`](super::SupRef::delete) does.
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such child, or its supervisor refuses.
    pub fn delete(&mut self, path: &str) -> Result<(), SimulationError> {
        self.ask(path, |branch, _, key| branch.delete(key))
    }

    /// Says something else about the child of this specification's id, of the supervisor of this path, the outermost one's being
    /// empty, as [`SupRef::change_child`](super::SupRef::change_child) does.
    ///
    /// # Errors
    /// [`SimulationError`] if there is no such supervisor; or with the specification, if it is not taken.
    pub fn change_child(
        &mut self,
        supervisor: &str,
        spec: ChildSpec,
    ) -> Result<(), SimulationError> {
        let branch = self.branch(supervisor)?;
        let critical = spec.critical;
        let changed = self.branches[branch].change(Box::new(spec));
        changed.map_err(|(spec, error)| SimulationError::NotTaken { spec, error })?;
        if critical {
            self.note_critical(branch);
        }
        Ok(())
    }

    /// What has happened since this was last asked, in words.
    #[must_use = "it is told once"]
    pub fn news(&mut self) -> Vec<String> {
        let news = &self.happened[self.told..];
        let news = news.iter().map(ToString::to_string).collect();
        self.told = self.happened.len();
        news
    }

    /// All that has happened, oldest first.
    #[must_use]
    pub fn happened(&self) -> &[Happened] {
        &self.happened
    }

    /// How much time has passed.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now.saturating_duration_since(Instant::ZERO)
    }

    /// Whether all children of the outermost supervisor were started once, and it has not ended.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.branches[ROOT].is_up()
    }

    /// How the outermost supervisor ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<&ExitReason> {
        self.branches[ROOT].ended()
    }

    /// The children of the supervisor of this path, the outermost one's being empty, as
    /// [`SupRef::children`](super::SupRef::children) tells of them; nobody has an identity. Empty if there is no such
    /// supervisor.
    #[must_use]
    pub fn children(&self, supervisor: &str) -> Vec<ChildInfo> {
        let branch = self.branch(supervisor).ok();
        branch.map_or_else(Vec::new, |branch| self.branches[branch].infos())
    }

    /// The child `path`, if there is one.
    #[must_use]
    pub fn child(&self, path: &str) -> Option<ChildInfo> {
        let (branch, id) = self.place(path).ok()?;
        let mut infos = self.branches[branch].infos().into_iter();
        infos.find(|info| info.id == id)
    }

    /// How many children the supervisor of this path has, the outermost one's being empty; `None` if there is no such
    /// supervisor.
    #[must_use]
    pub fn count(&self, supervisor: &str) -> Option<Counts> {
        let branch = self.branch(supervisor).ok()?;
        Some(self.branches[branch].count())
    }

    /// The supervisor of this path, if it has begun to run.
    fn branch(&self, path: &str) -> Result<BranchIndex, SimulationError> {
        let mut branch = ROOT;
        for id in path.split('/').filter(|_| !path.is_empty()) {
            let nested = self.branches[branch].nested(id);
            branch = nested.ok_or_else(|| {
                let path = path.to_owned();
                match self.branches[branch].key(id) {
                    None => SimulationError::NoSuchChild { path },
                    Some(_) => SimulationError::IsNoSupervisor { path },
                }
            })?;
        }
        Ok(branch)
    }

    /// The supervisor of the child `path`, and the child's id.
    fn place<'p>(&self, path: &'p str) -> Result<(BranchIndex, &'p str), SimulationError> {
        let (above, id) = path.rsplit_once('/').unwrap_or(("", path));
        match self.branch(above) {
            Ok(branch) => Ok((branch, id)),
            Err(_) => Err(SimulationError::NoSuchChild {
                path: path.to_owned(),
            }),
        }
    }

    fn key(&self, path: &str) -> Result<(BranchIndex, ChildKey), SimulationError> {
        let (branch, id) = self.place(path)?;
        let key = self.branches[branch].key(id);
        let key = key.ok_or_else(|| SimulationError::NoSuchChild {
            path: path.to_owned(),
        })?;
        Ok((branch, key))
    }

    /// The present incarnation of a child that is no supervisor.
    fn actor(
        &self,
        path: &str,
    ) -> Result<(BranchIndex, IncarnationId, &ChildSpec), SimulationError> {
        let (branch, key) = self.key(path)?;
        let path = || path.to_owned();
        let of = &self.branches[branch];
        let spec = of
            .spec(key)
            .filter(|spec| !matches!(spec.work, Work::Supervisor(_)));
        let spec = spec.ok_or_else(|| SimulationError::IsSupervisor { path: path() })?;
        let id = of.present(key);
        let id = id.ok_or_else(|| SimulationError::NotRunning { path: path() })?;
        Ok((branch, id, spec))
    }

    fn due(&self) -> Option<(Instant, BranchIndex)> {
        let branches = self.branches.iter().enumerate();
        let due = branches.filter_map(|(index, branch)| Some((branch.next_deadline()?, index)));
        due.min()
    }

    fn ask(
        &mut self,
        path: &str,
        ask: impl FnOnce(
            &mut Branch,
            Instant,
            ChildKey,
        ) -> Result<Vec<Follow>, bedplate_core::supervision::ControlError>,
    ) -> Result<(), SimulationError> {
        let (branch, key) = self.key(path)?;
        let asked = ask(&mut self.branches[branch], self.now, key);
        let follows = asked.map_err(|error| SimulationError::Refused {
            path: path.to_owned(),
            error,
        })?;
        self.follow(branch, follows);
        Ok(())
    }

    fn tell(&mut self, branch: BranchIndex, news: News) {
        self.pending.push_back((branch, news));
        self.work();
    }

    fn follow(&mut self, branch: BranchIndex, follows: Vec<Follow>) {
        self.perform(branch, follows);
        self.work();
    }

    /// Until nothing follows any more.
    fn work(&mut self) {
        while let Some((branch, news)) = self.pending.pop_front() {
            let follows = self.branches[branch].tell(self.now, news);
            self.perform(branch, follows);
        }
    }

    fn perform(&mut self, branch: BranchIndex, follows: Vec<Follow>) {
        for follow in follows {
            match follow {
                Follow::Tell(who, what) => self.note(branch, who, what),
                Follow::Start(id, spec) => self.begin(branch, id, &spec),
                Follow::Stop(id) => {
                    let ignored = self
                        .path(branch, id)
                        .is_none_or(|path| self.ignoring.contains(&path));
                    if !ignored {
                        let news = News::Exited(id, ExitReason::Shutdown);
                        self.pending.push_back((branch, news));
                    }
                }
                Follow::ShutDown(nested, by) => {
                    self.pending.push_back((nested, News::ShutdownBy(by)));
                }
                Follow::Up => {
                    let above = self.branches[branch].above;
                    let ready = above.map(|(above, id)| (above, News::Ready(id)));
                    self.pending.extend(ready);
                }
                Follow::End(reason, not_started) => {
                    let above = self.branches[branch].above;
                    let over = above.map(|(above, id)| match not_started {
                        Some(error) => (above, News::StartFailed(id, Arc::new(error))),
                        None => (above, News::Exited(id, reason)),
                    });
                    self.pending.extend(over);
                }
            }
        }
    }

    /// An incarnation starts, or fails to.
    fn begin(&mut self, branch: BranchIndex, id: IncarnationId, spec: &ChildSpec) {
        let path = self.branches[branch].path_of(&spec.id);
        if let Some(times) = self.refused.get_mut(&path).filter(|times| **times > 0) {
            *times -= 1;
            let refused = std::io::Error::other("refused by the test");
            let error = Arc::new(StartError::Spawn(refused));
            self.pending
                .push_back((branch, News::StartFailed(id, error)));
            return;
        }
        let Work::Supervisor(describe) = &spec.work else {
            self.pending.push_back((branch, News::Started(id)));
            return;
        };
        let seed = self.branches.len() as u64;
        let described = attempt(|| spec.context.clone().run(|| describe()));
        let described = described
            .map_err(|report| StartError::Exited(ExitReason::Panicked(Arc::new(report))))
            .and_then(|builder| builder.describe(seed));
        match described {
            Ok(described) => {
                let nested = self.branches.len();
                self.branches
                    .push(Branch::new(described, Some(path), Some((branch, id))));
                self.branches[branch].adopt(id, nested);
                if self.branches[nested].has_critical() {
                    self.note_critical(nested);
                }
                self.pending.push_back((nested, News::Start));
            }
            Err(error) => {
                let news = News::StartFailed(id, Arc::new(error));
                self.pending.push_back((branch, news));
            }
        }
    }

    fn path(&self, branch: BranchIndex, id: IncarnationId) -> Option<String> {
        let branch = &self.branches[branch];
        branch.spec(id.child).map(|spec| branch.path_of(&spec.id))
    }

    fn note(&mut self, branch: BranchIndex, who: Option<(String, u64)>, what: What) {
        let (who, incarnation) = who.unwrap_or_else(|| {
            let branch = &self.branches[branch];
            let incarnation = branch.above.map_or(0, |(_, id)| id.number);
            (branch.name().to_owned(), incarnation)
        });
        self.happened.push(Happened {
            at: self.now(),
            who,
            incarnation,
            what,
        });
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("now", &self.now())
            .field("happened", &self.happened.len())
            .finish_non_exhaustive()
    }
}
