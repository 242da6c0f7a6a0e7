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
//! A child may be a supervisor itself ([`ChildSpec::supervisor`]), so that what is given up is a branch and not the whole;
//! children come and go while it runs, if somebody asks a [`SupRef`] for it. [`Partitions`] are one supervisor many times, so
//! that what is done for different keys is supervised apart; an [`Application`] is the whole of a program.
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
//!
//! A child that is found to be *stuck* ([`ChildSpec::watch`]) is one `WARN` with what it was doing (`activity`) and for how long it
//! has said nothing (`silent`), or an `ERROR` if the process ends for it, and an `INFO` when it goes on after all. A process that
//! runs without a keeper (`ChildSpec::process`) is one `WARN` with the `error` that was the reason; a keeper of all that is lost
//! when a process ends, and cannot be replaced, is one of that process, for all others.

mod abandonment;
mod application;
mod builder;
mod elsewhere;
mod ended;
mod error;
mod handle;
pub mod health;
mod incarnation;
mod info;
mod life;
mod nested;
#[cfg(all(unix, feature = "process"))]
mod os_process;
mod partitions;
mod reading;
mod report;
mod request;
mod request_error;
mod reuse;
pub mod simulation;
mod spares;
mod spec;
mod thread_name;
mod timer;
mod tree;
#[cfg(all(unix, feature = "signal"))]
mod until_signal;
mod view;
mod watch;

pub use crate::process::child::ChildRef;
#[cfg(all(unix, feature = "signal"))]
pub use application::RunError;
pub use application::{Application, OnGiveUp};
pub use bedplate_core::supervision::{
    AutoShutdown, Backoff, BackoffError, ChildState, ConfigError, ControlError, IntensityError,
    Kind, OnStuck, Overrun, PlanError, Ready, Restart, Stop, Strategy, Watch,
};
pub use builder::SupervisorBuilder;
pub use ended::Ended;
pub use error::StartError;
pub use handle::SupRef;
pub use incarnation::Incarnation;
pub use info::{ChildInfo, Counts, ShutdownReport};
pub use partitions::{Partitions, PartitionsError, ResizeError, RouteError};
pub(crate) use request::own_stop;
pub use request_error::{
    ChangeChildError, DeleteError, ReconfigureError, RestartError, StartChildError, TerminateError,
};
pub use reuse::Reuse;
pub use spec::ChildSpec;
pub use view::{TreeBranch, TreeView};

use crate::clock;
use crate::process::ExitReason;
use crate::sync::Arc;
use crate::telemetry;
use core::fmt;
use core::time::Duration;
use tree::{News, Tree};

/// How long handlers may take for what was recorded, when a supervisor has ended.
const FLUSH: Duration = Duration::from_secs(1);

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
        SupervisorBuilder::new(name.into())
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
    /// it to, and says why. What was [recorded](telemetry::record) is told, or a second was waited for that.
    ///
    /// # Concurrency
    /// Blocks as long as that takes.
    #[must_use]
    pub fn wait(self) -> ExitReason {
        let reason = self.tree.wait_ended();
        // Not all of it, if handlers hang.
        let _result = telemetry::flush(FLUSH);
        reason
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
