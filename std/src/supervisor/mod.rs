//! Supervisors: threads that are started in order, started again when they crash, and stopped in
//! reverse order.
//!
//! A [`Supervisor`] is built from [`ChildSpec`]s and is the only owner of its children's lives.
//! Threads run its decisions themselves: there is no supervisor thread that could be slow, blocked
//! or dead. What is decided when is the business of
//! [`bedplate_core::supervision`], which agrees with Erlang/OTP's supervisor, except
//! that the restart window is exact to the nanosecond, and that a thread which does not stop in
//! time is abandoned, because it cannot be killed.
//!
//! ```text
//! Supervisor ──owns──► Tree ◄── Arc ── thread of each incarnation
//!                       ▲
//! SupRef ───── Weak ────┘       (Incarnation, ChildRef and Inbox own nothing)
//! ```
//!
//! # What is told, and where
//!
//! A *panic* of a child goes to the program's panic hook, as on any thread: once, at once, whether it
//! ends the body or is caught in it. The hook usually prints it.
//! [`quiet_panics`](SupervisorBuilder::quiet_panics) turns that off.
//!
//! An *end* that is not clean is one `tracing` event (with the feature `tracing`, which is on unless
//! turned off) of the target `bedplate::supervisor`: a `WARN` with the child's path (`child`), the
//! number of the `incarnation` and the `reason`, in the context the child was started in. It is an
//! `ERROR` if the child was abandoned, and there is another one when the supervisor gives up. So a
//! program with a subscriber that prints to the terminal sees a panic's message twice, as a panic
//! and as a reason; such a program should be quiet about panics. Nothing else is printed.

mod abandonment;
mod error;
mod incarnation;
mod info;
mod life;
mod report;
mod spec;
mod timer;
mod tree;

pub use crate::process::child::ChildRef;
pub use bedplate_core::supervision::{
    ChildState, ConfigError, ControlError, IntensityError, Restart, Stop, Strategy,
};
pub use error::StartError;
pub use incarnation::Incarnation;
pub use info::{ChildInfo, Counts, ShutdownReport};
pub use spec::ChildSpec;

use crate::clock;
use crate::process::ExitReason;
use crate::process::panic::install_hook;
use crate::sync::{Arc, Weak};
use crate::telemetry;
use alloc::collections::BTreeSet;
use bedplate_core::supervision::{Config, GrowingChildren, Machine, RestartIntensity};
use core::fmt;
use core::time::Duration;
use tree::{News, StartOutcome, Tree};

/// How many children one supervisor may have.
const MAX_CHILDREN: usize = 4_096;

/// Describes a supervisor before it starts.
#[derive(Debug)]
#[must_use = "a supervisor does nothing until it is started"]
pub struct SupervisorBuilder {
    name: String,
    strategy: Strategy,
    intensity: u32,
    period: Duration,
    quiet: bool,
    children: Vec<ChildSpec>,
}

impl SupervisorBuilder {
    /// Which children are restarted when one ends; [`Strategy::OneForOne`] unless set.
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

    /// Whether panics of the children are kept from the panic hook that the program has, which
    /// usually prints them; `false` unless set. For who reports ends himself, from a
    /// [`Down`](crate::monitor::Down) or [`Incarnation::last_exit`]: panics that a body catches itself
    /// are then seen by nobody.
    pub fn quiet_panics(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Adds a child. Children are started in the order in which they are added, and stopped in
    /// reverse.
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }

    /// Starts the children, one after the other. Returns when the last one has its thread.
    ///
    /// # Errors
    /// Nothing runs after an error. Names, ids and limits are checked before any child is started.
    /// When a child cannot be started, those before it are stopped again, which takes as long as
    /// they take; the error names the child.
    pub fn start(self) -> Result<Supervisor, StartError> {
        error::check_name(&self.name)?;
        let limit =
            RestartIntensity::new(self.intensity, self.period).map_err(StartError::BadLimit)?;
        let config = Config::new(self.strategy, limit);
        let children = GrowingChildren::new(MAX_CHILDREN);
        let mut machine = Machine::new(config, children).map_err(StartError::BadConfig)?;
        let mut ids = BTreeSet::new();
        let mut specs = Vec::new();
        for spec in self.children {
            error::check_name(&spec.id)?;
            if !ids.insert(spec.id.clone()) {
                return Err(StartError::DuplicateId(spec.id));
            }
            // The machine of a dynamic supervisor knows no ids.
            let id = (self.strategy != Strategy::Dynamic).then(|| spec.id.clone());
            let key = machine.add(id, spec.plan).map_err(|error| match error {
                ControlError::Full { limit } => StartError::TooManyChildren { limit },
                error => StartError::BadChild {
                    id: spec.id.clone(),
                    error,
                },
            })?;
            specs.push((key, spec));
        }
        timer::ensure_running().map_err(StartError::Spawn)?;
        install_hook();

        let tree = Tree::new(self.name, self.quiet, machine, specs);
        tree.drive(News::Start);
        match tree.wait_started() {
            StartOutcome::Up => Ok(Supervisor { tree }),
            StartOutcome::Failed(error) => Err(error),
        }
    }
}

/// The owner of running children.
///
/// Dropping it asks them to stop and does not wait: the last child is asked at once, and each one
/// that ends asks the one before it. To wait, call [`shutdown`](Self::shutdown).
///
/// ```
/// use bedplate::supervisor::{ChildSpec, Supervisor};
/// use std::time::Duration;
///
/// let clock = ChildSpec::worker("clock", |incarnation| {
///     while !incarnation.stop().wait(Duration::from_millis(1)) {
///         // … one tick of work …
///     }
/// });
/// let supervisor = Supervisor::builder("app").child(clock).start()?;
/// assert_eq!(supervisor.handle().count().active, 1);
///
/// let report = supervisor.shutdown();
/// assert_eq!(report.clean, ["clock"]);
/// # Ok::<(), bedplate::supervisor::StartError>(())
/// ```
#[must_use = "children are asked to stop when their supervisor is dropped"]
pub struct Supervisor {
    tree: Arc<Tree>,
}

impl Supervisor {
    /// Describes a supervisor called `name`, which is also the first part of the names of its
    /// threads.
    pub fn builder(name: impl Into<String>) -> SupervisorBuilder {
        SupervisorBuilder {
            name: name.into(),
            strategy: Strategy::default(),
            intensity: 3,
            period: Duration::from_secs(5),
            quiet: false,
            children: Vec::new(),
        }
    }

    /// A handle to look at the children and to ask for a stop.
    #[must_use]
    pub fn handle(&self) -> SupRef {
        SupRef {
            tree: Arc::downgrade(&self.tree),
        }
    }

    /// Stops the children in reverse order, each asked only when the one after it has ended, and
    /// says how they ended. When this returns, their bodies and what those had captured are gone,
    /// except where a child was abandoned. What was [recorded](telemetry::record) is told, or a second was
    /// waited for that.
    ///
    /// # Concurrency
    /// Blocks as long as the children take, at most the sum of their limits; for ever if a child
    /// with [`Stop::Forever`] does. Called by one of its own children, it waits for that child's
    /// limit.
    #[must_use]
    pub fn shutdown(self) -> ShutdownReport {
        /// How long handlers may take for what was recorded.
        const FLUSH: Duration = Duration::from_secs(1);

        let begun = clock::now();
        self.tree.drive(News::Shutdown);
        self.tree.wait_ended();
        let took = clock::now().saturating_duration_since(begun);
        // Not all of it, if handlers hang.
        let _result = telemetry::flush(FLUSH);
        ShutdownReport {
            took,
            ..self.tree.report()
        }
    }

    /// Waits until the supervisor ends by itself, because it gave up or because a [`SupRef`] asked
    /// it to, and says why.
    ///
    /// # Concurrency
    /// Blocks as long as that takes.
    #[must_use]
    pub fn wait(self) -> ExitReason {
        self.tree.wait_ended()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.tree.drive(News::Shutdown);
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Supervisor")
            .field(&self.tree.name())
            .finish()
    }
}

/// A handle on a supervisor that owns nothing: clones may live anywhere, also inside its children,
/// and keep nothing alive. When the supervisor has ended, there is nothing to see.
///
/// # Concurrency
/// No operation waits for a child or runs code of a user, except that `request_stop` runs the
/// [`on_stop`](crate::stop::StopToken::on_stop) callbacks of the last child.
#[derive(Clone)]
pub struct SupRef {
    tree: Weak<Tree>,
}

impl SupRef {
    /// The children in start order. O(children).
    #[must_use]
    pub fn children(&self) -> Vec<ChildInfo> {
        self.tree
            .upgrade()
            .map(|tree| tree.children())
            .unwrap_or_default()
    }

    /// The present incarnation of the child `id`; `None` if it does not run. O(children).
    #[must_use]
    pub fn child(&self, id: &str) -> Option<ChildRef> {
        self.tree.upgrade()?.child(id)
    }

    /// How many children there are. O(children).
    #[must_use]
    pub fn count(&self) -> Counts {
        self.tree
            .upgrade()
            .map(|tree| tree.count())
            .unwrap_or_default()
    }

    /// Asks the children to stop, in reverse order, and does not wait.
    pub fn request_stop(&self) {
        if let Some(tree) = self.tree.upgrade() {
            tree.drive(News::Shutdown);
        }
    }
}

impl fmt::Debug for SupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = self.tree.upgrade();
        f.debug_tuple("SupRef")
            .field(&tree.as_ref().map(|tree| tree.name()))
            .finish()
    }
}
