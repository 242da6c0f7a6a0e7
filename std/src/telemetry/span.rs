//! Events around a piece of work.

use super::{Measurement, Site, Value};
use crate::clock;
use crate::process::panic::observe;
use core::time::Duration;

/// The most measurements that the body of a span adds.
const MOST: usize = 8;

/// A place that emits events around a piece of work: what [`span!`](super::span) makes, a static for each use.
#[derive(Debug)]
pub struct SpanSite {
    start: Site,
    stop: Site,
    exception: Site,
}

impl SpanSite {
    /// A place that emits these three events, for a static.
    ///
    /// # Panics
    /// As [`Site::new`].
    #[must_use]
    pub const fn new(start: &'static str, stop: &'static str, exception: &'static str) -> Self {
        Self {
            start: Site::new(start),
            stop: Site::new(stop),
            exception: Site::new(exception),
        }
    }

    /// Runs `body` between two events; see [`span!`](super::span).
    pub fn run<R>(
        &self,
        metadata: &[(&'static str, Value<'_>)],
        body: impl FnOnce(&mut Measuring) -> R,
    ) -> R {
        let mut measuring = Measuring::default();
        let sites = [&self.start, &self.stop, &self.exception];
        if !sites.into_iter().any(Site::is_wanted) {
            return body(&mut measuring);
        }
        let began = clock::now();
        let monotonic =
            |at: clock::Instant| Measurement::Duration(Duration::from_nanos(at.as_nanos()));
        self.start
            .emit(&[("monotonic_time", monotonic(began))], metadata);
        let result = observe(
            || body(&mut measuring),
            |reason, place| {
                let ended = clock::now();
                let duration = ended.saturating_duration_since(began);
                let measurements = [
                    ("duration", duration.into()),
                    ("monotonic_time", monotonic(ended)),
                ];
                let mut all = metadata.to_vec();
                all.extend([
                    ("kind", "panic".into()),
                    ("reason", reason.into()),
                    ("place", place.into()),
                ]);
                self.exception.emit(&measurements, &all);
            },
        );
        let ended = clock::now();
        let duration = ended.saturating_duration_since(began);
        let own = [
            ("duration", duration.into()),
            ("monotonic_time", monotonic(ended)),
        ];
        let mut measurements = [("", Measurement::Unsigned(0)); MOST + 2];
        let all = measuring.length + own.len();
        measurements[..own.len()].copy_from_slice(&own);
        measurements[own.len()..all].copy_from_slice(&measuring.added[..measuring.length]);
        self.stop.emit(&measurements[..all], metadata);
        result
    }
}

/// What the body of a span measures: added to the event that ends it.
#[derive(Debug)]
pub struct Measuring {
    added: [(&'static str, Measurement); MOST],
    length: usize,
}

impl Default for Measuring {
    fn default() -> Self {
        Self {
            added: [("", Measurement::Unsigned(0)); MOST],
            length: 0,
        }
    }
}

impl Measuring {
    /// Adds a measurement. Returns false, and does not, if there are eight.
    pub fn add(&mut self, key: &'static str, number: impl Into<Measurement>) -> bool {
        let Some(place) = self.added.get_mut(self.length) else {
            return false;
        };
        *place = (key, number.into());
        self.length += 1;
        true
    }
}

/// Emits an event when a piece of work begins and one when it ends, however it does.
///
/// The name is a literal, to which `.start`, `.stop` and `.exception` are added; then come metadata, which all of
/// them have, and a closure, whose result is returned. It is given what it may add
/// [measurements](crate::telemetry::Measuring) to. `.start` has the measurement `monotonic_time`; `.stop` also
/// `duration` and what was added; `.exception`, when the closure panics, `duration`, and the metadata `kind`,
/// `reason` and, on the threads of children, `place`. The panic goes on.
///
/// ```
/// use bedplate::telemetry::{self, EventName, Pattern, Probe};
///
/// let probe = Probe::of_this_thread(Pattern::under(EventName::new("db.query")))?;
/// let rows = telemetry::span!("db.query", { table: "orders" }, |measuring| {
///     measuring.add("rows", 3_u64);
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
    ($name:expr, { $($about:ident : $value:expr),* $(,)? }, $body:expr $(,)?) => {{
        static SITE: $crate::telemetry::SpanSite = $crate::telemetry::SpanSite::new(
            concat!($name, ".start"),
            concat!($name, ".stop"),
            concat!($name, ".exception"),
        );
        SITE.run(
            &[$((stringify!($about), $crate::telemetry::Value::from($value))),*],
            $body,
        )
    }};
    ($name:expr, $body:expr $(,)?) => {
        $crate::__telemetry_span!($name, {}, $body)
    };
}
