//! Spans: pieces of work that begin, end however they end, and know within which other one they were done.
//!
//! ```
//! use bedplate::telemetry::{self, span};
//!
//! let request = telemetry::span!("request", { path: "/orders" });
//! let rows = telemetry::span!("db.query", { table: "orders" }, |query| {
//!     assert_eq!(query.parent_id(), request.traceparent().map(|it| it.parent_id));
//!     query.measure("rows", 3_u64);
//!     3
//! });
//! # assert_eq!(rows, 3);
//! drop(request);
//! assert_eq!(span::current(), None);
//! ```
//!
//! # Who is the parent
//! A thread has a current span: the innermost that was begun on it and is open, or the one that came with a
//! [context](crate::context). [`capture`](crate::context::capture) takes it along, so a thread, a task or a pool's piece of
//! work that runs in a captured context begins its spans as children of where it was captured; a
//! [`TraceParent`] header goes the same way,
//! [out](crate::context::Context::traceparent) and [in](crate::context::Context::with_traceparent). What begins where
//! there is no span begins a trace.
//!
//! # How a span ends
//! ```text
//!            span!, SpanSite::start
//!                    │ decided once: kept or not (sampling), told or not (handlers, exporters)
//!                    ▼
//!   in the table of open spans ──── guard dropped ─────────────────▶ ended, failed
//!                    │        ╰──── guard dropped by a panic ──────▶ panicked
//!                    ╰── the thread is gone, and the guard was not dropped ──▶ abandoned
//! ```
//!
//! Guards may be dropped in any order: a span ends by its identity, what was begun after it stays current, and what was
//! before it is restored when that has gone. This is counted as [`Counts::misordered`]. A guard that is forgotten
//! stays current until a closure ends in which it was begun ([`span!`](macro@super::span) with a body,
//! [`Context::run`](crate::context::Context::run)); its span is closed as *abandoned* with its thread.
//!
//! # Who is told
//! * Handlers of the events `.start`, `.stop` and `.exception`, on the thread of the span; see [`span!`](macro@super::span).
//! * [Exporters](export), which are given a span with everything that was [noted](SpanNotes) of it, when it has ended.
//! * Whoever asks: [`open`] and [`open_longer_than`] list what has begun, [`take_ended`] what has ended, in outline.
//!
//! Notes (attributes, measurements, events, links) are only taken if, when the span begins, there is an exporter or
//! a handler for one of its events. Nobody else could see them.
//!
//! # What it costs
//! A span that is kept costs two readings of the clock, an identity, a line in the thread's table and a record of 64 bytes
//! in a ring of the thread's own; nothing is allocated. One that is not kept costs the identity.
//!
//! # Limits
//! [`MAX_OPEN`] spans that are open on a thread are listed and can have notes; what goes beyond is recorded when it
//! ends, and counted as [`Counts::untracked`]. 256 ended spans of a thread wait for [`take_ended`], the newest ones.
//! [`MAX_ATTRIBUTES`], [`MAX_MEASUREMENTS`], [`MAX_EVENTS`] and [`MAX_LINKS`] are those of a span; what is left out is
//! counted in [`Dropped`]. 128 threads have a table and a ring of their own; others share a ring.
//!
//! # Concurrency
//! Beginning and ending touch only what is the thread's own: wait-free, but for handlers and exporters, which are called
//! outside every lock. Lists are made by reading the tables of others, who do not notice. In a thread whose thread-locals
//! are destroyed spans begin and end without effect.
//!
//! # Inside
//! | file | job |
//! |---|---|
//! | `current.rs` | which span a thread is in, and what is restored |
//! | `thread.rs` | what a thread has for its spans: identities, its table, notes; their end with it |
//! | `guard.rs`, `owned.rs` | spans of a thread, and those that move |
//! | `notes.rs` | attributes, measurements, events and links, bounded |
//! | `sampling.rs` | what is kept |
//! | `table.rs`, `ended.rs` | who is open since when; what has ended |
//! | `export.rs`, `tell.rs` | exporters; the events |

mod current;
mod ended;
mod export;
mod guard;
mod notes;
mod owned;
mod sampling;
mod table;
mod tell;
mod thread;

pub use self::ended::{Ended, Taken, take_ended};
pub use self::export::{Exporting, Finished, MAX_EXPORTERS, TooManyExporters, export};
pub use self::guard::{Span, SpanNotes, innermost};
pub use self::notes::{
    Dropped, Link, MAX_ATTRIBUTES, MAX_EVENTS, MAX_LINKS, MAX_MEASUREMENTS, SpanEvent,
};
pub use self::owned::OwnedSpan;
pub use self::sampling::{Sampling, set_sampling};
pub use self::table::{Open, open, open_longer_than};
pub use self::thread::{MAX_OPEN, seed_ids};
pub use bedplate_core::context::{SpanId, TraceFlags, TraceId, TraceParent, TraceState};
pub use bedplate_core::span::SpanStatus;

pub(crate) use self::current::{Ambient, Enclosed, Entered, ambient, enclose, enter};

use super::{Site, Value};
use crate::process::panic::observe;
use crate::sync::{Arc, AtomicU32, AtomicU64, Mutex, Ordering};
use bedplate_core::span::SpanRecord;

/// The span that the thread is in, in the form in which it is sent: the parent of what would begin now. `None` if that
/// would begin a trace.
///
/// Also of a span that is not kept: its flags say so. Wait-free.
///
/// ```
/// use bedplate::telemetry::{self, span};
///
/// let call = telemetry::span!("call");
/// let header = span::current().map(|parent| parent.to_string());
/// assert_eq!(header, call.traceparent().map(|it| it.to_string()));
/// ```
#[must_use]
pub fn current() -> Option<TraceParent> {
    ambient().map(Ambient::traceparent)
}

/// What the trace of the [current] span carries along for others, in the form in which it is sent: `None` if
/// that is nothing. It came with the [context](crate::context::Context::with_tracestate) in which the trace is worked for.
///
/// ```
/// use bedplate::context::Context;
/// use bedplate::telemetry::{self, span::{self, TraceState}};
///
/// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// let state = TraceState::parse("congo=t61rcWkgMzE")?;
/// Context::empty().with_traceparent(parent).with_tracestate(&state).run(|| {
///     let _request = telemetry::span!("request");
///     // With what is sent on from here:
///     assert_eq!(span::tracestate().as_deref(), Some("congo=t61rcWkgMzE"));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn tracestate() -> Option<Arc<str>> {
    crate::context::tracestate_of(ambient()?)
}

/// What has gone otherwise than it should with spans so far, in this process.
///
/// # Concurrency
/// Wait-free; each number is one that was true at some moment of the call.
#[must_use]
pub fn counts() -> Counts {
    // Relaxed: counts.
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Counts {
        untracked: read(&UNTRACKED),
        misordered: read(&MISORDERED),
        abandoned: read(&ABANDONED),
        exporter_panics: read(&EXPORTER_PANICS),
    }
}

/// See [`counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Spans that are not listed while they are open, for want of room.
    pub untracked: u64,
    /// Spans and contexts that ended while something was current that began after them.
    pub misordered: u64,
    /// Spans that were closed because nobody was left who could.
    pub abandoned: u64,
    /// Calls of exporters that panicked.
    pub exporter_panics: u64,
}

static UNTRACKED: AtomicU64 = AtomicU64::new(0);
static MISORDERED: AtomicU64 = AtomicU64::new(0);
static ABANDONED: AtomicU64 = AtomicU64::new(0);
static EXPORTER_PANICS: AtomicU64 = AtomicU64::new(0);

#[cold]
fn count(counter: &AtomicU64) {
    // Relaxed: a count.
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What is given the attributes that a span begins with, if anybody wants to know them.
pub type Describe<'d> = dyn FnMut(&[(&'static str, Value<'_>)]) + 'd;

/// A place where spans begin: what [`span!`](macro@super::span) makes, a static for each use.
///
/// ```
/// use bedplate::telemetry::span::SpanSite;
///
/// static QUERY: SpanSite = SpanSite::new("db.query", "db.query.start", "db.query.stop", "db.query.exception");
/// let span = QUERY.start(|describe| describe(&[("table", "orders".into())]));
/// assert_eq!(span.name(), "db.query");
/// ```
#[derive(Debug)]
pub struct SpanSite {
    name: &'static str,
    start: Site,
    stop: Site,
    exception: Site,
    /// Where it is in [`SITES`], and one; zero if it has not been put there.
    number: AtomicU32,
}

/// All places where spans have begun.
static SITES: Mutex<Vec<&'static SpanSite>> = Mutex::new(Vec::new());

/// Stands first in [`SITES`], for all for which there is no room.
static OTHER: SpanSite = SpanSite::new(
    "bedplate.span.other",
    "bedplate.span.other.start",
    "bedplate.span.other.stop",
    "bedplate.span.other.exception",
);

impl SpanSite {
    /// A place where spans of this name begin, with the names of their three events; for a static.
    ///
    /// # Panics
    /// As [`Site::new`].
    #[must_use]
    pub const fn new(
        name: &'static str,
        start: &'static str,
        stop: &'static str,
        exception: &'static str,
    ) -> Self {
        Self {
            name,
            start: Site::new(start),
            stop: Site::new(stop),
            exception: Site::new(exception),
            number: AtomicU32::new(0),
        }
    }

    /// The name of its spans.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Begins a span, which is current on this thread until the guard is dropped.
    ///
    /// `describe` is called if there is anybody who could see attributes.
    #[inline]
    pub fn start(&'static self, describe: impl FnOnce(&mut Describe<'_>)) -> Span {
        Span::begin(self, describe)
    }

    /// Begins a span that belongs to no thread, as a child of what is current here. It is current nowhere.
    pub fn start_owned(&'static self, describe: impl FnOnce(&mut Describe<'_>)) -> OwnedSpan {
        OwnedSpan::begin(self, describe)
    }

    /// Runs `body` in a span; see [`span!`](macro@super::span).
    ///
    /// What `body` leaves current is over when it returns or panics.
    pub fn run<R>(
        &'static self,
        describe: impl FnOnce(&mut Describe<'_>),
        body: impl FnOnce(&Span) -> R,
    ) -> R {
        let mut span = self.start(describe);
        span.ends_with_a_closure();
        observe(
            || body(&span),
            |reason, place| span.has_panicked(reason, place),
        )
    }

    /// Whether anybody wants to know of its events.
    fn is_told(&self) -> bool {
        self.start.is_wanted() || self.stop.is_wanted() || self.exception.is_wanted()
    }

    /// Where it is in [`SITES`]; the first one's, if there was no room.
    #[inline]
    fn index(&'static self) -> u32 {
        // Relaxed: a number; what it stands for is read under the lock.
        match self.number.load(Ordering::Relaxed).checked_sub(1) {
            Some(index) => index,
            None => self.enlist(),
        }
    }

    #[cold]
    fn enlist(&'static self) -> u32 {
        let mut sites = SITES.lock();
        // Relaxed: it is stored under this lock.
        if let Some(index) = self.number.load(Ordering::Relaxed).checked_sub(1) {
            return index;
        }
        if sites.is_empty() {
            sites.push(&OTHER);
        }
        let index = match u32::try_from(sites.len()) {
            Ok(index) if index <= SpanRecord::MAX_SITE => {
                sites.push(self);
                index
            }
            _ => 0,
        };
        // Relaxed: a number; see `index`.
        self.number.store(index + 1, Ordering::Relaxed);
        index
    }
}

/// The place that has this number.
fn site_of(index: u32) -> &'static SpanSite {
    let sites = SITES.lock();
    sites.get(index as usize).copied().unwrap_or(&OTHER)
}

/// Begins a span: a piece of work of which handlers and exporters are told when it begins and when it ends, however it
/// does.
///
/// The name is a literal; then come attributes between braces, if there are any, and a closure, if the span is to
/// last as long as that: its result is returned. Without one, the macro gives a [guard](crate::telemetry::span::Span),
/// and the span lasts until that is dropped. Attributes are what [`Value`](crate::telemetry::Value) can be made from, and
/// are evaluated only if somebody could see them. The closure is given the span, to
/// [note](crate::telemetry::span::SpanNotes) what comes up.
///
/// Its events have the attributes as metadata, and `trace_id`, `span_id` and `parent_id`:
///
/// | event | measurements | further metadata |
/// |---|---|---|
/// | `.start` | `monotonic_time` | |
/// | `.stop` | `duration`, `monotonic_time` and what was [measured](crate::telemetry::span::SpanNotes::measure) | `status`, and `reason` if it [failed](crate::telemetry::span::SpanNotes::fail) |
/// | `.exception`, instead of `.stop`, when it panics | `duration`, `monotonic_time` | `kind`, which is `panic`; `reason`, of a closure; `place`, on the threads of children; `status` |
///
/// The panic goes on.
///
/// ```
/// use bedplate::telemetry::{self, EventName, Pattern, Probe};
///
/// let probe = Probe::of_this_thread(Pattern::under(EventName::new("db.query")))?;
/// let rows = telemetry::span!("db.query", { table: "orders" }, |query| {
///     query.measure("rows", 3_u64);
///     3
/// });
/// assert_eq!(rows, 3);
///
/// let events = probe.take();
/// assert_eq!(events[0].name, "db.query.start");
/// assert_eq!(events[1].name, "db.query.stop");
/// assert!(events[1].measurement("duration").is_some());
/// assert_eq!(events[1].measurement("rows"), Some(3_u64.into()));
/// # Ok::<(), telemetry::AttachReason>(())
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __telemetry_span {
    (@ $name:expr) => {{
        static SITE: $crate::telemetry::span::SpanSite = $crate::telemetry::span::SpanSite::new(
            $name,
            concat!($name, ".start"),
            concat!($name, ".stop"),
            concat!($name, ".exception"),
        );
        &SITE
    }};
    ($name:expr, { $($about:ident : $value:expr),* $(,)? } $(,)?) => {
        $crate::__telemetry_span!(@ $name).start(
            |describe| describe(&[$((stringify!($about), $crate::telemetry::Value::from($value))),*])
        )
    };
    ($name:expr, { $($about:ident : $value:expr),* $(,)? }, $body:expr $(,)?) => {
        $crate::__telemetry_span!(@ $name).run(
            |describe| describe(&[$((stringify!($about), $crate::telemetry::Value::from($value))),*]),
            $body,
        )
    };
    ($name:expr $(,)?) => {
        $crate::__telemetry_span!(@ $name).start(|_| ())
    };
    ($name:expr, $body:expr $(,)?) => {
        $crate::__telemetry_span!(@ $name).run(|_| (), $body)
    };
}
