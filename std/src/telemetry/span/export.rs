//! Exporters: who is given spans that have ended, with everything that was noted.

use super::notes::{Dropped, Link, Notes, SpanEvent};
use super::tell::Begun;
use super::{EXPORTER_PANICS, count};
use crate::clock::Instant;
use crate::process::panic::attempt;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Mutex, Ordering};
use crate::telemetry::{Measurement, OwnedValue};
use bedplate_core::context::{SpanId, TraceParent};
use bedplate_core::span::SpanStatus;
use core::cell::Cell;
use core::fmt;

/// The most exporters at a time.
pub const MAX_EXPORTERS: usize = 8;

/// A span that has ended, and what was noted of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finished {
    /// Its name.
    pub name: &'static str,
    /// Its trace, and its identity (as the parent of what was begun in it).
    pub traceparent: TraceParent,
    /// In which span it was begun; `None` if its trace begins with it.
    pub parent_id: Option<SpanId>,
    /// Whether that is known from a [header](crate::context::Context::with_traceparent) only, and so may be another
    /// process's. Not known of a span that was closed as abandoned.
    pub parent_is_remote: bool,
    /// What its trace carries along: see [`tracestate`](super::tracestate).
    pub tracestate: Option<Arc<str>>,
    /// When it was begun.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// How.
    pub status: SpanStatus,
    /// Why it has failed or panicked, if that is known.
    pub reason: Option<String>,
    /// For how many it stands, as its trace was sampled.
    pub weight: f32,
    /// What is known about it.
    pub attributes: Vec<(&'static str, OwnedValue)>,
    /// What was measured.
    pub measurements: Vec<(&'static str, Measurement)>,
    /// What happened in it.
    pub events: Vec<SpanEvent>,
    /// Which spans it has to do with.
    pub links: Vec<Link>,
    /// How much was left out.
    pub dropped: Dropped,
}

impl Finished {
    pub(super) fn of(begun: &Begun, ended: Instant, status: SpanStatus, notes: Notes) -> Self {
        Self {
            name: begun.site.name(),
            traceparent: begun.ambient.traceparent(),
            parent_id: begun.parent_id,
            parent_is_remote: begun.parent_is_remote,
            tracestate: notes.tracestate,
            started: begun.started,
            ended,
            status,
            reason: notes.reason,
            weight: begun.ambient.choice.weight(),
            attributes: notes.attributes,
            measurements: notes.measurements,
            events: notes.events,
            links: notes.links,
            dropped: notes.dropped,
        }
    }
}

type Exporter = dyn Fn(&Finished) + Send + Sync;

static EXPORTERS: Mutex<Vec<(u64, Arc<Exporter>)>> = Mutex::new(Vec::new());
/// How many there are, for who does not lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether the thread is in an exporter.
    static EXPORTS: Cell<bool> = const { Cell::new(false) };
}

/// Has `exporter` called with each span that begins from now on and is kept, when it has ended, on the thread that
/// ended it, until what this returns is dropped. Spans that are begun in an exporter are not exported.
///
/// What takes its time belongs elsewhere: an exporter sends the span on, to a queue or a batch. If it panics, that ends
/// with the call and is counted as [`Counts::exporter_panics`](super::Counts::exporter_panics).
///
/// # Errors
/// [`TooManyExporters`], with the exporter, if there are [`MAX_EXPORTERS`].
///
/// # Concurrency
/// Locks for a moment, here and for each span that is exported; the call is outside of it. A call that has begun may
/// outlast the guard's end.
///
/// ```
/// use bedplate::telemetry::{self, span::{self, Finished}};
/// use std::sync::mpsc;
///
/// let (send, sent) = mpsc::channel();
/// let exporting = span::export(move |span: &Finished| { send.send(span.clone()).ok(); }).unwrap();
/// telemetry::span!("query", { table: "orders" }, |query| query.event("retry", &[]));
/// let query = sent.try_recv()?;
/// assert_eq!((query.name, query.events[0].name), ("query", "retry"));
/// assert_eq!(query.attributes, [("table", telemetry::Value::from("orders").into())]);
/// # drop(exporting);
/// # Ok::<(), mpsc::TryRecvError>(())
/// ```
pub fn export<F: Fn(&Finished) + Send + Sync + 'static>(
    exporter: F,
) -> Result<Exporting, TooManyExporters<F>> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut exporters = EXPORTERS.lock();
    if exporters.len() >= MAX_EXPORTERS {
        return Err(TooManyExporters { exporter });
    }
    // Relaxed: only the number itself matters; it publishes nothing and has no partner.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    exporters.push((number, Arc::new(exporter)));
    // Relaxed: who sees it takes the lock.
    COUNT.store(exporters.len(), Ordering::Relaxed);
    Ok(Exporting { number })
}

/// An exporter is called as long as this is held; made by [`export`]. Whoever forgets it exports for ever.
#[must_use = "the exporter is called only while this is held"]
#[derive(Debug)]
pub struct Exporting {
    number: u64,
}

impl Drop for Exporting {
    fn drop(&mut self) {
        let mut exporters = EXPORTERS.lock();
        let own = exporters
            .iter()
            .position(|(number, _)| *number == self.number);
        let removed = own.map(|at| exporters.remove(at));
        // Relaxed: as in `export`.
        COUNT.store(exporters.len(), Ordering::Relaxed);
        drop(exporters);
        // Outside the lock: what it captured is a user's.
        drop(removed);
    }
}

/// There are [`MAX_EXPORTERS`] already.
#[non_exhaustive]
pub struct TooManyExporters<F> {
    /// The one that was not attached.
    pub exporter: F,
}

#[cfg(feature = "opentelemetry")]
impl<F> TooManyExporters<F> {
    pub(crate) const fn new(exporter: F) -> Self {
        Self { exporter }
    }
}

impl<F> fmt::Display for TooManyExporters<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spans go to {MAX_EXPORTERS} exporters already")
    }
}

impl<F> fmt::Debug for TooManyExporters<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TooManyExporters").finish_non_exhaustive()
    }
}

impl<F> core::error::Error for TooManyExporters<F> {}

/// Whether a span that begins now is exported.
#[inline]
pub(super) fn is_wanted() -> bool {
    // Relaxed: a count; who sees it late begins before the exporter came.
    COUNT.load(Ordering::Relaxed) > 0 && !EXPORTS.get()
}

/// Calls the exporters.
pub(super) fn hand_on(finished: impl FnOnce() -> Finished) {
    if !is_wanted() {
        return;
    }
    let exporters: Vec<Arc<Exporter>> = {
        let exporters = EXPORTERS.lock();
        exporters.iter().map(|(_, it)| it.clone()).collect()
    };
    let finished = &finished();
    EXPORTS.set(true);
    for exporter in exporters {
        // The last of what it captured may go here, if it was removed meanwhile.
        let called = attempt(move || exporter(finished));
        if called.is_err() {
            count(&EXPORTER_PANICS);
        }
    }
    EXPORTS.set(false);
}
