//! The whole of a program as one tree: what bedplate runs for it, and what the program runs itself.
//!
//! ```text
//! Application ──start──► root (rest for one)
//!                        ├─ bedplate (one for one)      started first, stopped last
//!                        │  └─ telemetry                tells what was recorded, hands out batches
//!                        └─ main                        the supervisor that was given, with its children
//! ```
//!
//! Nothing here runs anything: it writes down two supervisors, and another one above them. `main` is transient and significant,
//! so that its clean end is the end of all, and its giving up counts against the limit of the root, which is zero
//! unless set. What is beneath `bedplate` backs off so far that it never reaches a limit: telemetry is done without, if need
//! be, by a thread that is started on demand.
//!
//! # What is not there
//! Names and registries: they are memory that threads share, without a thread that could die. The timer of all supervisors:
//! restarts wait for it, so none of them could restart it; it runs no code of a user. The panic hook is the process's.

use super::ended::Ended;
#[cfg(all(unix, feature = "signal"))]
use super::until_signal::Listening;
use super::{
    AutoShutdown, Backoff, ChildSpec, Restart, StartError, Stop, Strategy, Supervisor,
    SupervisorBuilder, Watch,
};
use crate::context::Context;
use crate::telemetry;
use bedplate_core::supervision::Activity;
#[cfg(all(unix, feature = "signal"))]
use core::error::Error;
#[cfg(all(unix, feature = "signal"))]
use core::fmt;
use core::time::Duration;
#[cfg(all(unix, feature = "signal"))]
use std::io;
use std::process;

/// How long handlers may keep the telling thread before that is told.
const LOOK: Duration = if cfg!(test) {
    Duration::from_millis(50)
} else {
    Duration::from_secs(30)
};

/// How long all of it may take to stop, unless set: Kubernetes kills after 30 seconds, systemd after 90.
const BUDGET: Duration = Duration::from_secs(25);

/// A program: a supervisor of its own, and above it one that also runs what bedplate needs.
///
/// ```text
/// shop (rest for one)
/// ├─ bedplate (one for one): running
/// │  └─ telemetry: running
/// └─ main (one for one): running
///    ├─ stock: running
///    └─ orders: running
/// ```
///
/// It is started in this order and stopped in reverse, so that what the program says when it ends is still told. The
/// thread that tells what was [recorded](crate::telemetry::record) and hands out
/// [batches](crate::telemetry::HandlerBuilder::attach_batched), which is otherwise started on demand and belongs to nobody,
/// is a child like any other: seen in the tree, [told of](super#what-is-told-and-where) when a handler has kept it for half a
/// minute, and started again if it dies. It counts towards [`limit_threads`](crate::process::limit_threads).
///
/// Two limits apply, one after the other: that of the program's supervisor, and when it gives up, that of the
/// application, which is zero unless [set](Self::limit). Then everything is stopped, and what follows is said by
/// [`on_give_up`](Self::on_give_up): systemd or Kubernetes can take over.
///
/// ```no_run
/// use bedplate::supervisor::{Application, ChildSpec, Ended, OnGiveUp, Supervisor};
/// use std::time::Duration;
///
/// fn main() -> Result<Ended, Box<dyn std::error::Error>> {
///     let stock = ChildSpec::worker("stock", |me| while !me.stop().wait(Duration::from_secs(1)) {});
///     let orders = ChildSpec::worker("orders", |me| while !me.stop().wait(Duration::from_secs(1)) {});
///     let shop = Supervisor::builder("shop").child(stock).child(orders);
///     let application = Application::new(shop).on_give_up(OnGiveUp::Exit(70));
///     Ok(application.run()?)      // or, with the feature `signal`, `run_until_signal`
/// }
/// ```
///
/// There may be several in one process; the telling thread is then a child of one of them, and the others' waits for its turn.
#[derive(Clone, Debug)]
#[must_use = "an application does nothing until it is started"]
pub struct Application {
    main: SupervisorBuilder,
    intensity: u32,
    period: Duration,
    budget: Duration,
    on_give_up: OnGiveUp,
}

/// What is done when an application has given up, and has been stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnGiveUp {
    /// Whoever runs it is told, and decides.
    #[default]
    Return,
    /// The process ends with this code; see [`std::process::exit`].
    Exit(i32),
    /// The process ends at once, as if it had crashed, which may leave a core dump; see [`std::process::abort`].
    Abort,
}

impl Application {
    /// A program that consists of this supervisor, whose name it takes. The supervisor itself is called `main` in it: the path
    /// of its child `orders` is `shop/main/orders`, if its name is `shop`.
    pub const fn new(main: SupervisorBuilder) -> Self {
        Self {
            main,
            intensity: 0,
            period: Duration::from_secs(5),
            budget: BUDGET,
            on_give_up: OnGiveUp::Return,
        }
    }

    /// How often the program's supervisor may be started anew, with all its children, when it has given up: at most
    /// `intensity` times in any closed window of `period`. Never unless set. What its children had captured is
    /// captured by the next ones, too.
    pub const fn limit(mut self, intensity: u32, period: Duration) -> Self {
        self.intensity = intensity;
        self.period = period;
        self
    }

    /// How long everything together may take to stop; 25 seconds unless set, which is less than Kubernetes or systemd wait before
    /// they kill. What does not stop within it is abandoned. A tenth of it is kept for what bedplate runs, which is stopped
    /// last. The last second of waiting, for handlers of what was recorded, is not in it.
    pub const fn shutdown_budget(mut self, total: Duration) -> Self {
        self.budget = total;
        self
    }

    /// What is done when it has given up; nothing unless set. It has given up if it ended otherwise than cleanly
    /// after it had started: because of a restart limit, or because too many children were abandoned.
    pub const fn on_give_up(mut self, what: OnGiveUp) -> Self {
        self.on_give_up = what;
        self
    }

    /// Starts it, for who waits for its end himself: then nothing follows if it gives up. Returns when all children are ready.
    ///
    /// ```
    /// use bedplate::supervisor::{Application, Supervisor};
    ///
    /// let application = Application::new(Supervisor::builder("shop")).start()?;
    /// let telemetry = application.handle().supervisor("bedplate").expect("it was started first");
    /// assert_eq!(telemetry.child("telemetry").expect("it runs").path(), "shop/bedplate/telemetry");
    /// assert_eq!(application.shutdown().clean, ["main", "bedplate/telemetry", "bedplate"]);
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    ///
    /// # Errors
    /// As [`SupervisorBuilder::start`]. What a child of the program's supervisor has failed by is the error within the
    /// error of the child `main`.
    pub fn start(self) -> Result<Supervisor, StartError> {
        self.into_root().start()
    }

    /// Starts it and waits until it ends by itself, because it gave up or because a child asked it to
    /// ([`SupRef::request_stop`](super::SupRef::request_stop)), and then does as [`on_give_up`](Self::on_give_up) says. For `main`.
    /// No signal is listened to.
    ///
    /// # Errors
    /// As [`start`](Self::start), whatever is to be done when it gives up.
    ///
    /// # Concurrency
    /// Blocks as long as that takes.
    pub fn run(self) -> Result<Ended, StartError> {
        let what = self.on_give_up;
        let ended = self.start()?.run(None);
        Ok(conclude(ended, what))
    }

    /// As [`run`](Self::run), and stops it in order when `SIGTERM` or `SIGINT` (Ctrl-C) comes, also while it is being
    /// started. A second signal ends the process at once, as it would without a handler. With the feature `signal`, on
    /// Unix.
    ///
    /// # Errors
    /// [`RunError`], whatever is to be done when it gives up; nothing runs then.
    ///
    /// # Concurrency
    /// Blocks as long as that takes. Signals that come after it returns have no effect, unless somebody else has a handler
    /// for them.
    #[cfg(all(unix, feature = "signal"))]
    pub fn run_until_signal(self) -> Result<Ended, RunError> {
        let what = self.on_give_up;
        let listening = Listening::begin().map_err(RunError::Signals)?;
        let started = self.into_root().start_noted(|tree| listening.stops(tree));
        match started {
            Ok(root) => Ok(conclude(root.run(Some(listening)), what)),
            Err(error) => {
                listening.end();
                Err(RunError::Start(error))
            }
        }
    }

    pub(super) fn into_root(self) -> SupervisorBuilder {
        let name = self.main.name().to_owned();
        let main = Template(Some(self.main));
        let main = ChildSpec::supervisor("main", move || main.describe());
        // Else nothing would be left for who is stopped behind it.
        let for_main = self.budget.saturating_sub(self.budget / 10);
        let main = main.stop(Stop::Within(for_main));
        Supervisor::builder(name)
            .strategy(Strategy::RestForOne)
            .limit(self.intensity, self.period)
            .auto_shutdown(AutoShutdown::AnySignificant)
            .shutdown_budget(self.budget)
            .child(ChildSpec::supervisor("bedplate", bedplate))
            .child(
                main.restart(Restart::Transient)
                    .significant(true)
                    .critical(true),
            )
    }
}

/// What bedplate runs for the program.
fn bedplate() -> SupervisorBuilder {
    /// More than there can be.
    const RESTARTS: u32 = 16;
    const FIRST: Duration = Duration::from_millis(50);
    const MOST: Duration = Duration::from_secs(5);

    // Whoever is told later is not in the context of whoever has made the application.
    let telemetry = Context::default().run(|| {
        ChildSpec::worker("telemetry", |me| {
            // Nor in the span of this child.
            Context::default().run(|| {
                telemetry::tell_until(me.stop(), |activity| match activity {
                    Activity::Working => me.working(),
                    Activity::Parked => me.parked(),
                });
            });
        })
    });
    let backoff = Backoff::new(FIRST, MOST).unwrap_or(Backoff::NONE);
    Supervisor::builder("bedplate").limit(RESTARTS, MOST).child(
        telemetry
            .backoff(backoff)
            .watch(Watch::new(LOOK, Duration::MAX)),
    )
}

/// The supervisor of the program, which is described again if it is started anew.
struct Template(Option<SupervisorBuilder>);

impl Template {
    fn describe(&self) -> SupervisorBuilder {
        match &self.0 {
            Some(main) => main.clone(),
            None => unreachable!("it is taken out when it is dropped"),
        }
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        if let Some(main) = self.0.take() {
            main.let_go();
        }
    }
}

fn conclude(ended: Ended, what: OnGiveUp) -> Ended {
    match what {
        OnGiveUp::Exit(code) if !ended.reason.is_clean() => process::exit(code),
        OnGiveUp::Abort if !ended.reason.is_clean() => process::abort(),
        _ => ended,
    }
}

/// Why an application did not run.
#[cfg(all(unix, feature = "signal"))]
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// It did not start.
    Start(StartError),
    /// There was no handler for signals, or no thread for it, to be had.
    Signals(io::Error),
}

#[cfg(all(unix, feature = "signal"))]
impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => error.fmt(f),
            Self::Signals(error) => write!(f, "cannot listen to signals: {error}"),
        }
    }
}

#[cfg(all(unix, feature = "signal"))]
impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // It is told in its place.
            Self::Start(error) => error.source(),
            Self::Signals(error) => Some(error),
        }
    }
}
