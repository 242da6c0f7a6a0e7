//! What is said about a supervisor before it starts.

use super::nested::Above;
use super::partitions::{Seat, Seats};
use super::request_error::ReconfigureError;
use super::spares::Spares;
use super::tree::{Decisions, MAX_INTENSITY, News, StartOutcome, Tree};
use super::{ChildSpec, StartError, Supervisor, error, request, timer};
use crate::process::panic::install_hook;
use crate::sync::Arc;
use alloc::collections::BTreeSet;
use bedplate_core::supervision::{
    AutoShutdown, ChildKey, Config, ControlError, GrowingChildren, IntensityError, Machine,
    RestartIntensity, Strategy,
};
use core::hash::{BuildHasher as _, Hasher as _};
use core::time::Duration;
use std::hash::RandomState;

/// How many children one supervisor may have, unless it says so.
const MAX_CHILDREN: usize = 4_096;

/// How many it may have at most: as many as there are identities.
const MOST_CHILDREN: usize = 1 << 20;

/// Describes a supervisor before it starts. A clone describes another one, with [clones](ChildSpec) of its children.
#[derive(Clone, Debug)]
#[must_use = "a supervisor does nothing until it is started"]
pub struct SupervisorBuilder {
    name: String,
    strategy: Strategy,
    intensity: u32,
    period: Duration,
    total: Option<u32>,
    auto_shutdown: AutoShutdown,
    max_children: usize,
    max_abandoned: usize,
    shutdown_budget: Option<Duration>,
    quiet: bool,
    unwinds: bool,
    spares: usize,
    children: Vec<ChildSpec>,
    /// Who is to find the supervisor when it is built.
    seats: Vec<Seat>,
}

/// A supervisor that was described, and found to be possible.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) machine: Decisions,
    /// The children, in the order of their keys.
    pub(super) specs: Vec<(ChildKey, ChildSpec)>,
}

/// Supervisors, and processes, should not come back in step.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl SupervisorBuilder {
    pub(super) const fn new(name: String) -> Self {
        Self {
            name,
            strategy: Strategy::OneForOne,
            intensity: 3,
            period: Duration::from_secs(5),
            total: None,
            auto_shutdown: AutoShutdown::Never,
            max_children: MAX_CHILDREN,
            max_abandoned: 8,
            shutdown_budget: None,
            quiet: false,
            unwinds: false,
            spares: 0,
            children: Vec::new(),
            seats: Vec::new(),
        }
    }

    /// Which children are restarted when one ends; [`Strategy::OneForOne`] unless set. With
    /// [`Strategy::Dynamic`], ids are only what children are called, and need not differ.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// At most `intensity` restarts in any closed window of `period`; one more, and the supervisor
    /// stops its other children and gives up. 3 in 5 seconds unless set; at most 128.
    pub fn limit(mut self, intensity: u32, period: Duration) -> Self {
        self.intensity = intensity;
        self.period = period;
        self
    }

    /// At most `most` restarts in all, however seldom they are; one more, and the supervisor gives up as beyond its
    /// [`limit`](Self::limit), which holds besides. As many as like unless set. What counts is the same: each decision to start a child
    /// again, or its group, or to try that again.
    ///
    /// ```
    /// use bedplate::process::ExitReason;
    /// use bedplate::supervisor::{ChildSpec, Supervisor};
    /// use std::sync::{Mutex, mpsc};
    ///
    /// let (work, queue) = mpsc::channel::<u64>();
    /// let queue = Mutex::new(queue);
    /// let child = ChildSpec::worker("child", move |_| match queue.lock().unwrap().recv() {
    ///     Ok(_) => Ok(()),
    ///     Err(_) => Err("nobody sends"),
    /// });
    /// let supervisor = Supervisor::builder("app").limit_total(2).child(child).start()?;
    /// drop(work);
    /// let ExitReason::GaveUp(why) = supervisor.wait() else { panic!("it goes on") };
    /// assert_eq!(why.to_string(), "more than 2 restarts in all; at last, child failed: nobody sends");
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    pub fn limit_total(mut self, most: u32) -> Self {
        self.total = Some(most);
        self
    }

    /// Whether the supervisor stops when [significant](ChildSpec::significant) children have ended;
    /// [`AutoShutdown::Never`] unless set. It then has ended by [`Shutdown`](crate::process::ExitReason::Shutdown).
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// How many children it may have, running or not, those included that are being restarted; 4,096 unless
    /// set. More than 1,048,576, which is how many identities there are, it never has.
    pub fn max_children(mut self, most: usize) -> Self {
        self.max_children = most;
        self
    }

    /// How many abandoned incarnations may go on at a time; one more, and the supervisor stops its other
    /// children and ends as [`Abandoned`](crate::process::ExitReason::Abandoned). 8 unless set; at most 16.
    pub fn max_abandoned(mut self, most: usize) -> Self {
        self.max_abandoned = most;
        self
    }

    /// How long all children together may take to stop when the supervisor ends; no limit but the sum
    /// of theirs unless set. A child is told what is left for it, if that is less than its own time; when nothing
    /// is left, the rest is asked, and abandoned at once.
    pub fn shutdown_budget(mut self, total: Duration) -> Self {
        self.shutdown_budget = Some(total);
        self
    }

    /// Whether panics of the children are kept from the panic hook that the program has, which
    /// usually prints them; `false` unless set. For who reports ends himself, from a
    /// [`Down`](crate::monitor::Down) or [`Incarnation::last_exit`](super::Incarnation::last_exit): panics that a body
    /// catches itself are then seen by nobody. Where a panic ends the process, it is printed whatever is set.
    pub fn quiet_panics(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Refuses to start where a panic ends the process: in a program that is built with `panic = "abort"`. Without this, such a
    /// program has all but what needs a panic to be caught: errors are restarted, and the first panic of a child is the end of
    /// everything.
    ///
    /// ```
    /// use bedplate::supervisor::{StartError, Supervisor};
    ///
    /// let started = Supervisor::builder("app").requires_unwinding().start();
    /// assert_eq!(cfg!(panic = "abort"), matches!(started, Err(StartError::NeedsUnwinding)));
    /// ```
    pub fn requires_unwinding(mut self) -> Self {
        self.unwinds = true;
        self
    }

    /// How many threads it keeps in reserve, for its own children; none unless set.
    ///
    /// They are started before the first child, and wait. There is a use for them where a thread is needed and none is to
    /// be had, since the system refuses one or the [limit](crate::process::limit_threads) is reached: a child of this supervisor then
    /// begins on a spare if one waits, and fails to start only otherwise. That holds for every child, at its first start, too, whatever
    /// is said about its thread, unless it has a [stack size](ChildSpec::stack_size) of its own or waits until the old
    /// thread is gone ([`FreshAfterJoin`](super::Reuse::FreshAfterJoin)); children of nested supervisors need spares of
    /// those. Children that ask for it ([`Reuse::Spare`](super::Reuse::Spare)) are always restarted on one.
    ///
    /// A spare that waits counts among the [threads](crate::process::threads), so it takes room that others might want:
    /// `most` has no limit of its own, and a huge number takes all that [is left](crate::process::limit_threads) of the whole process, so that
    /// children of other supervisors do not start. One that is itself refused is no error: there are then fewer, as [`Counts::spares`](super::Counts::spares) tells. Those that are missing
    /// are started when the next other thread could be; and a thread that came from the reserve goes back to it at the end of an
    /// incarnation, unless that was abandoned, the reserve is full, or the limit is reached. When the supervisor begins to stop,
    /// its spares end; nobody waits for them.
    ///
    /// Thread-locals of a spare keep their values from one child to the next, and so does what was set for the thread in
    /// the operating system; the [context](crate::context) is always that of the specification. To the standard library, and so
    /// to the usual panic hook, the thread is called like the supervisor with `/spare` behind, whatever it runs: a thread's name is
    /// given once. What bedplate tells names the child, and so does Linux, in 15 bytes. A supervisor that runs already is not
    /// changed in this by [`reconfigure`](super::SupRef::reconfigure).
    ///
    /// ```
    /// use bedplate::supervisor::{ChildSpec, Reuse, Supervisor};
    /// use std::time::Duration;
    ///
    /// let work = ChildSpec::worker("work", |me| while !me.stop().wait(Duration::from_secs(1)) {});
    /// let builder = Supervisor::builder("app").spares(1);
    /// let supervisor = builder.child(work.reuse(Reuse::Spare)).start()?;
    /// assert_eq!(supervisor.handle().count().spares, 1);
    ///
    /// assert_eq!(supervisor.shutdown().clean, ["work"]);
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    pub fn spares(mut self, most: usize) -> Self {
        self.spares = most;
        self
    }

    /// Adds a child. Children are started in the order in which they are added, and stopped in
    /// reverse.
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }

    /// Starts the children, one after the other, each when the one before it is
    /// [ready](ChildSpec::ready). Returns when the last one is.
    ///
    /// # Errors
    /// Nothing runs after an error. Names, ids and limits are checked before any child is started.
    /// When a child cannot be started, ends before it is ready, or is not ready in time, those before it are
    /// stopped again, which takes as long as they take; the error names the child.
    pub fn start(self) -> Result<Supervisor, StartError> {
        self.start_noted(|_| {})
    }

    /// Starts it. Before the first child is, `note` is told of it.
    pub(super) fn start_noted(
        self,
        note: impl FnOnce(&Arc<Tree>),
    ) -> Result<Supervisor, StartError> {
        error::check_name(&self.name)?;
        let tree = self.prepare(None)?;
        tree.seats().take(&tree, None);
        request::note_start_of(&tree);
        note(&tree);
        tree.drive(News::Start);
        match tree.wait_started() {
            StartOutcome::Up => Ok(Supervisor { tree }),
            StartOutcome::Failed(error) => Err(error),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Drops it, each value of a user alone.
    pub(super) fn let_go(self) {
        let children = self.children.into_iter().map(Arc::new);
        children.for_each(ChildSpec::let_go);
    }

    /// Has it found there when it is built.
    pub(super) fn seated(mut self, seat: Seat) -> Self {
        self.seats.push(seat);
        self
    }

    /// The supervisor as a child of another one, before it starts and takes its seats.
    pub(super) fn nest(mut self, above: Above) -> Result<Arc<Tree>, StartError> {
        above.me.path().clone_into(&mut self.name);
        self.quiet |= above.tree.is_quiet();
        self.prepare(Some(above))
    }

    /// The supervisor, before it starts and takes its seats.
    fn prepare(mut self, above: Option<Above>) -> Result<Arc<Tree>, StartError> {
        let (quiet, seats) = (self.quiet, core::mem::take(&mut self.seats));
        let spares = Spares::new(self.spares);
        let Described {
            name,
            machine,
            specs,
        } = self.describe(random_seed())?;
        timer::ensure_running().map_err(StartError::Spawn)?;
        install_hook();
        let seats = Seats::new(seats);
        Ok(Tree::new(
            name,
            quiet,
            machine,
            specs,
            above,
            (seats, spares),
        ))
    }

    /// Checks what is said, and tells a machine whose jitter goes by `seed`.
    pub(super) fn describe(self, seed: u64) -> Result<Described, StartError> {
        if self.unwinds && cfg!(panic = "abort") {
            return Err(StartError::NeedsUnwinding);
        }
        let limit = self.restart_limit().map_err(StartError::BadLimit)?;
        let children = GrowingChildren::new(MOST_CHILDREN);
        let machine = Machine::new(self.config(limit).seed(seed), children);
        let mut machine: Decisions = machine.map_err(StartError::BadConfig)?;
        let mut ids = BTreeSet::new();
        let mut specs = Vec::new();
        for spec in self.children {
            error::check_name(&spec.id)?;
            // The machine of a dynamic supervisor knows no ids.
            let id = (self.strategy != Strategy::Dynamic).then(|| spec.id.clone());
            if id.is_some() && !ids.insert(spec.id.clone()) {
                return Err(StartError::DuplicateId(spec.id));
            }
            let key: ChildKey =
                machine
                    .add(id, spec.machine_plan())
                    .map_err(|error| match error {
                        ControlError::Full { limit } => StartError::TooManyChildren { limit },
                        error => StartError::BadChild {
                            id: spec.id.clone(),
                            error,
                        },
                    })?;
            specs.push((key, spec));
        }
        Ok(Described {
            name: self.name,
            machine,
            specs,
        })
    }

    /// What is said about the supervisor itself, for one that runs.
    pub(super) fn into_config(self) -> Result<Config<MAX_INTENSITY>, ReconfigureError> {
        if !self.children.is_empty() {
            let like = Box::new(self);
            return Err(ReconfigureError::HasChildren { like });
        }
        let limit = self.restart_limit().map_err(ReconfigureError::BadLimit)?;
        Ok(self.config(limit).seed(random_seed()))
    }

    fn restart_limit(&self) -> Result<RestartIntensity<MAX_INTENSITY>, IntensityError> {
        let limit = RestartIntensity::new(self.intensity, self.period)?;
        Ok(match self.total {
            Some(most) => limit.in_all(most),
            None => limit,
        })
    }

    fn config(&self, limit: RestartIntensity<MAX_INTENSITY>) -> Config<MAX_INTENSITY> {
        let config = Config::new(self.strategy, limit)
            .auto_shutdown(self.auto_shutdown)
            .max_children(self.max_children)
            .max_abandoned(self.max_abandoned);
        match self.shutdown_budget {
            Some(total) => config.shutdown_budget(total),
            None => config,
        }
    }
}
