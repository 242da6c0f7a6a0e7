//! Events: who says that something happened, who is told, and what becomes of handlers that fail.
//!
//! Whoever has something to say [emits](emit!) an event: a name, numbers that were measured, and what else is
//! known. Whoever wants to know [attaches](attach) a handler to a name, to all names under a prefix, or to
//! everything. Neither knows of the other, and an event that nobody wants costs a load.
//!
//! ```
//! use bedplate::telemetry::{self, EventName, Pattern};
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! static PLACED: AtomicU64 = AtomicU64::new(0);
//!
//! telemetry::attach("count", Pattern::under(EventName::new("order")), |event: &telemetry::Event<'_>| {
//!     let count = event.measurement("count").map_or(0.0, telemetry::Measurement::as_f64);
//!     PLACED.fetch_add(count as u64, Ordering::Relaxed);
//! })?;
//! telemetry::emit!("order.placed", { count: 2_u64 }, { customer: "Ada" });
//! assert_eq!(PLACED.load(Ordering::Relaxed), 2);
//!
//! assert_eq!(telemetry::detach("count"), Ok(telemetry::Detached::Silent));
//! telemetry::emit!("order.placed", { count: 1_u64 });
//! assert_eq!(PLACED.load(Ordering::Relaxed), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who is called
//! Handlers are called on the thread that emits, one after the other, in the order in which they were attached,
//! each once for an event. An emission that has begun does not reach handlers that are attached meanwhile, and
//! leaves out those that are detached before it comes to them.
//!
//! A handler may emit. It is not called itself for what it emits, also not by way of other handlers: that is
//! counted as [`Stats::left_out`]. Handlers may call each other [`MAX_DEPTH`] deep; an event beyond that is
//! counted as [`Stats::too_deep`] and reaches nobody. A handler may attach and detach, itself too; see [`detach`].
//!
//! # Failures
//! A handler fails if it panics or returns an error. Whoever emits does not notice. Behind the last handler of the
//! event, the failure is told as `bedplate.telemetry.handler.failed`, and the handler is detached if its
//! [`FailurePolicy`] says so: by default with the third failure within a minute. A failure while one is being
//! told is counted and not told.
//!
//! # Now or later
//! [`emit!`] calls the handlers there and then, with everything that is known, borrowed. [`record!`] stores a number and
//! a key in a ring of the thread's own, in a few nanoseconds, and another thread calls the handlers within some ten
//! milliseconds; of one thread in order, of several in none. That thread is started on demand; in an
//! [application](crate::supervisor::Application) it is a supervised child. Both go to the same handlers. [`flush`] waits until
//! what was recorded is told; that also happens when a [supervisor](crate::supervisor) is shut down, when a thread
//! ends (without waiting for it), and when the main thread ends, at least on Linux, as far as it attached or recorded
//! anything. Before [`std::process::exit`] on another thread, flush.
//!
//! If recorded events come faster than they are told, the oldest are lost: they are told of as
//! `bedplate.telemetry.lost`, in their place, and counted in [`Recorded`], where nothing is missing:
//! `pushed = delivered + overwritten + rejected + busy + waiting`.
//!
//! [`HandlerBuilder::attach_batched`] has events of either kind handed out many at a time, closed by number, size,
//! age, flush and detachment. [`HandlerBuilder::sampled`] and [`HandlerBuilder::once_per`] give a handler some of them.
//!
//! # What bedplate tells of itself
//! | event | measurements | metadata |
//! |---|---|---|
//! | `bedplate.registry.register` | `count`, which is 1 | `registry`, `owner` |
//! | `bedplate.registry.cleanup` | `count` of what the owner left | `registry`, `owner` |
//! | `bedplate.context.set` | `depth` | |
//! | `bedplate.supervisor.restart` | `incarnation` | `supervisor`, `child` |
//! | `bedplate.supervisor.ended`, if not as it should be | `incarnation` | `supervisor`, `child`, `reason` |
//! | `bedplate.supervisor.gave_up` | `restarts` | `supervisor`, `child`, `reason` |
//! | `bedplate.supervisor.stuck` | `incarnation`, `silent` | `supervisor`, `child`, `activity` |
//! | `bedplate.supervisor.recovered`, from being stuck | `incarnation`, `silent` | `supervisor`, `child` |
//! | `bedplate.supervisor.unkept`, of a process that will not end with the program, or with whose end the keeper of all others was lost | | `child` (its path), `reason` |
//! | `bedplate.checkpoint.fallback` | `version` that was given up, `crashes` | `checkpoint`, `child`, `to` which version, if there is any |
//! | `bedplate.supervisor.unfed`: a [watchdog](crate::supervisor::ChildSpec::watchdog) is not fed any more | `troubles` | `child`, `health` |
//! | `bedplate.supervisor.fed`: it is again | `troubles` | `child` |
//! | `bedplate.supervisor.incarnation.start`, `.stop`: a [span](span!) around each body | as those of any span | `child`, `incarnation`, `restart_reason` if it is not the first, and as any span |
//! | `bedplate.telemetry.lost` | `count` of recorded events, or of events in batches, that were lost | `shard`, or `handler` |
//! | `bedplate.telemetry.suppressed` | `count` of events that a handler was not given in a window, `lasted` from the first to the last | `handler`, `event`, `key` |
//! | `bedplate.telemetry.batch.failed` | `events` of the batch, `attempt` | `handler`, `reason` |
//! | `bedplate.telemetry.handler.failed` | `failures` of the handler | `handler`, `event`, `kind`, `reason`, `place`, `backtrace`, `detached` |
//!
//! # Limits
//! [`MAX_HANDLERS`] handlers of at most [`MAX_PATTERNS`] patterns; one thread of [`MAX_CALLERS`] more than can be
//! in handlers at a time emits to nobody, which is counted as [`Stats::no_room`].
//!
//! # Concurrency
//! Emitting is lock-free as far as bedplate is concerned: a fence, a comparison for each pattern that is attached
//! at all, and a fence for each handler that is called. It writes to a cache line that is the thread's own, which the
//! first emission of a thread takes, and its end gives back. Handlers that are sampled, see windows or collect batches have
//! a lock each, held for some ten nanoseconds; failures take one, too. Recording is wait-free but for a thread's first
//! record, one that finds the telling thread asleep, and one that looks whether the ring is half full: these may lock.
//! Attaching, detaching and listing lock; no code of a user runs under any of these locks, but a sampler under its own.

mod batch;
mod dispatch;
mod drainer;
mod event;
mod handler;
mod outcome;
pub(crate) mod own;
mod probe;
mod record;
mod rings;
pub(crate) mod shard;
pub mod sink;
mod site;
pub mod span;
mod thin;

pub use self::batch::Batch;
pub(crate) use self::drainer::tell_until;
pub use self::event::{Event, Measurement, OwnedEvent, OwnedValue, Value};
pub use self::handler::{
    AttachError, AttachReason, Detached, HandlerBuilder, Listed, NotAttached, attach, attach_many,
    detach, detach_within, handler, list,
};
pub use self::outcome::Outcome;
pub use self::probe::Probe;
pub use self::record::RecordSite;
pub use self::site::{Site, emit_named};
pub use self::thin::{Thinned, thinned};
#[doc(inline)]
pub use crate::{__telemetry_emit as emit, __telemetry_record as record, __telemetry_span as span};
pub use bedplate_core::drain::{Closed, Limits};
pub use bedplate_core::handlers::{
    BadName, EventName, FailurePolicy, MAX_CALLERS, MAX_DEPTH, MAX_HANDLERS, MAX_PATTERNS, Pattern,
};
pub use bedplate_core::sample::{
    Adaptive, Always, Choice, Never, Random, RateLimited, Ratio, Sampler,
};

/// Waits until all events that were recorded before are told, on any thread.
///
/// # Errors
/// [`FlushError`] says why they may not be: the call comes from a handler, `patience` was over, or there is no thread
/// to tell them.
///
/// # Concurrency
/// Blocking, until handlers have returned, `patience` at most.
///
/// ```
/// use bedplate::telemetry::{self, EventName, Probe};
/// use std::time::Duration;
///
/// let probe = Probe::of_all_threads(EventName::new("adc.read"))?;
/// telemetry::record!("adc.read", { millivolts: 812_u64 }, { channel: 3_u32 });
/// telemetry::flush(Duration::from_secs(10))?;
/// assert_eq!(probe.take()[0].measurement("millivolts"), Some(812_u64.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn flush(patience: core::time::Duration) -> Result<(), FlushError> {
    drainer::flush(patience)
}

/// Why events that were recorded may not have been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlushError {
    /// The call comes from a handler, for which nobody waits.
    WithinHandler,
    /// It took longer.
    TimedOut,
    /// The thread that tells could not be started.
    NoThread,
}

impl core::fmt::Display for FlushError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::WithinHandler => "a handler cannot wait until handlers have returned",
            Self::TimedOut => "recorded events were not told in time",
            Self::NoThread => "the thread that tells recorded events could not be started",
        })
    }
}

impl core::error::Error for FlushError {}

/// What became of the events recorded so far, in this process, machine words that wrap: at rest
/// `pushed = delivered + overwritten + rejected + busy + waiting`.
#[must_use]
pub fn recorded() -> Recorded {
    shard::stats()
}

pub use bedplate_core::ring::Stats as Recorded;

/// What has gone wrong with events so far, in this process.
#[must_use]
pub fn stats() -> Stats {
    dispatch::stats()
}

/// What has gone wrong with events; see [`stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Failures of handlers.
    pub failures: u64,
    /// Calls that were left out because the thread was in the handler.
    pub left_out: u64,
    /// Events that reached nobody because handlers had called each other too deep.
    pub too_deep: u64,
    /// Events that reached nobody because too many threads were telling others, or because they came from a
    /// handler on a thread whose locals are gone.
    pub no_room: u64,
    /// Events that reached no batch because as many waited as there is room for.
    pub refused: u64,
}
