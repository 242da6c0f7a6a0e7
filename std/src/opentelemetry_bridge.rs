//! Spans to and from OpenTelemetry, with the feature `opentelemetry`.
//!
//! | what | how |
//! |---|---|
//! | our spans in a pipeline that is there already | [`export_to`] its span processor |
//! | our span as the parent of one of OpenTelemetry's | [`span_context`] of [`span::current`] |
//! | one of OpenTelemetry's as the parent of ours | [`traceparent`] of its context, in [`Context::with_traceparent`](crate::context::Context::with_traceparent) |
//!
//! A processor does the rest as it does for OpenTelemetry's own spans: `BatchSpanProcessor` with the exporter of the
//! OTLP crate, for instance. It has to have been given its resource before, with
//! [`set_resource`](SpanProcessor::set_resource), since there is no provider that would.
//!
//! # What becomes of a span
//! Name, identities, times, attributes, events and links are what they were. Measurements become attributes, durations in
//! seconds; the relation of a link is its attribute `relation`; a weight other than one is the attribute
//! `bedplate.weight`. A span that has failed, panicked or was abandoned has the status *error*, with what is known of
//! the reason; others have none, as it is not for us to say that they are good. All are of the kind *internal*. A parent
//! that is known from a header is remote.

use crate::clock::{self, Instant};
use crate::sync::Arc;
use crate::telemetry::span::{self, Exporting, Finished, SpanStatus, TooManyExporters};
use crate::telemetry::{Measurement, OwnedValue};
use bedplate_core::context::{SpanId, TraceFlags, TraceId, TraceParent};
use core::num::{NonZeroU64, NonZeroU128};
use opentelemetry::trace::{self as otel, SpanContext, SpanKind, Status, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor};
use std::time::SystemTime;

/// Hands each span that begins from now on and is kept to `processor`, when it has ended, until what this returns is
/// dropped. Flushing the processor and shutting it down stays with the caller, who keeps a reference.
///
/// # Errors
/// [`TooManyExporters`], with the processor, if there are [`MAX_EXPORTERS`](span::MAX_EXPORTERS).
///
/// # Concurrency
/// As [`span::export`]: the processor's `on_end` is called on the thread that ended the span.
///
/// ```
/// use bedplate::{opentelemetry_bridge, telemetry};
/// use opentelemetry_sdk::error::OTelSdkResult;
/// use opentelemetry_sdk::trace::{SimpleSpanProcessor, SpanData, SpanExporter};
/// use std::sync::Arc;
///
/// #[derive(Debug)]
/// struct Prints; // in place of the exporter of your pipeline
///
/// impl SpanExporter for Prints {
///     async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
///         batch.iter().for_each(|span| println!("{} {:?}", span.name, span.attributes));
///         Ok(())
///     }
/// }
///
/// let processor = Arc::new(SimpleSpanProcessor::new(Prints));
/// let exporting = opentelemetry_bridge::export_to(processor)?;
/// telemetry::span!("query", { table: "orders" }, |query| query.measure("rows", 3_u64));
/// # drop(exporting);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn export_to<P: SpanProcessor + 'static>(
    processor: Arc<P>,
) -> Result<Exporting, TooManyExporters<Arc<P>>> {
    let scope = InstrumentationScope::builder("bedplate")
        .with_version(env!("CARGO_PKG_VERSION"))
        .build();
    let theirs = processor.clone();
    let exporter = move |finished: &Finished| theirs.on_end(span_data(finished, scope.clone()));
    span::export(exporter).map_err(|_| TooManyExporters::new(processor))
}

/// A span as OpenTelemetry names it: as that of another process, which is what a parent of its spans may be.
///
/// ```
/// use bedplate::telemetry::{self, span};
/// use bedplate::opentelemetry_bridge::{span_context, traceparent};
/// use opentelemetry::Context;
/// use opentelemetry::trace::TraceContextExt as _;
///
/// let request = telemetry::span!("request");
/// let parent = span_context(span::current().unwrap());
/// let theirs = Context::new().with_remote_span_context(parent);
/// // … in which a span of theirs begins as a child of `request`. And back again:
/// assert_eq!(traceparent(theirs.span().span_context()), request.traceparent());
/// ```
#[must_use]
pub fn span_context(parent: TraceParent) -> SpanContext {
    SpanContext::new(
        parent.trace_id.0.get().into(),
        parent.parent_id.0.get().into(),
        opentelemetry::TraceFlags::new(parent.flags.to_byte()),
        true,
        TraceState::default(),
    )
}

/// A span of OpenTelemetry's, as it would be sent; `None` if the context is not valid.
#[must_use]
pub fn traceparent(context: &SpanContext) -> Option<TraceParent> {
    let trace_id = u128::from_be_bytes(context.trace_id().to_bytes());
    let span_id = u64::from_be_bytes(context.span_id().to_bytes());
    Some(TraceParent {
        trace_id: TraceId(NonZeroU128::new(trace_id)?),
        parent_id: SpanId(NonZeroU64::new(span_id)?),
        flags: TraceFlags::from_byte(context.trace_flags().to_u8()),
    })
}

fn span_data(finished: &Finished, scope: InstrumentationScope) -> SpanData {
    let wall = Wall::now();
    let mut attributes = key_values(&finished.attributes);
    let measured = finished.measurements.iter();
    attributes.extend(measured.map(|(key, number)| KeyValue::new(*key, measurement(*number))));
    if finished.weight > 1.0 {
        attributes.push(KeyValue::new("bedplate.weight", f64::from(finished.weight)));
    }
    let mut events = SpanEvents::default();
    let happened = finished.events.iter().map(|event| {
        let attributes = key_values(&event.attributes);
        otel::Event::new(event.name, wall.at(event.time), attributes, 0)
    });
    events.events = happened.collect();
    events.dropped_count = finished.dropped.events;
    let mut links = SpanLinks::default();
    let linked = finished.links.iter().map(|link| {
        let relation = vec![KeyValue::new("relation", link.relation)];
        otel::Link::new(span_context(link.to), relation, 0)
    });
    links.links = linked.collect();
    links.dropped_count = finished.dropped.links;
    let own = finished.traceparent;
    SpanData {
        span_context: SpanContext::new(
            own.trace_id.0.get().into(),
            own.parent_id.0.get().into(),
            opentelemetry::TraceFlags::new(own.flags.to_byte()),
            false,
            carried(finished.tracestate.as_deref()),
        ),
        parent_span_id: finished
            .parent_id
            .map_or(otel::SpanId::INVALID, |id| id.0.get().into()),
        parent_span_is_remote: finished.parent_is_remote,
        span_kind: SpanKind::Internal,
        name: finished.name.into(),
        start_time: wall.at(finished.started),
        end_time: wall.at(finished.ended),
        attributes,
        dropped_attributes_count: finished
            .dropped
            .attributes
            .saturating_add(finished.dropped.measurements),
        events,
        links,
        status: status(finished),
        instrumentation_scope: scope,
    }
}

fn carried(state: Option<&str>) -> TraceState {
    // It was read as one before; should the two ever disagree, the span matters more.
    state.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn status(finished: &Finished) -> Status {
    match finished.status {
        SpanStatus::Ended => Status::Unset,
        other => {
            let reason = finished.reason.clone();
            Status::error(reason.unwrap_or_else(|| other.as_str().to_owned()))
        }
    }
}

fn key_values(attributes: &[(&'static str, OwnedValue)]) -> Vec<KeyValue> {
    let pairs = attributes.iter();
    pairs
        .map(|(key, value)| KeyValue::new(*key, attribute(value)))
        .collect()
}

fn attribute(value: &OwnedValue) -> Value {
    match value {
        OwnedValue::Bool(value) => Value::Bool(*value),
        OwnedValue::Unsigned(number) => unsigned(*number),
        OwnedValue::Signed(number) => Value::I64(*number),
        OwnedValue::Float(number) => Value::F64(*number),
        shown => Value::String(shown.to_string().into()),
    }
}

fn measurement(number: Measurement) -> Value {
    match number {
        Measurement::Unsigned(number) => unsigned(number),
        Measurement::Signed(number) => Value::I64(number),
        Measurement::Float(number) => Value::F64(number),
        Measurement::Duration(duration) => Value::F64(duration.as_secs_f64()),
    }
}

/// OpenTelemetry's numbers are signed; what is too large for them is a text.
fn unsigned(number: u64) -> Value {
    match i64::try_from(number) {
        Ok(number) => Value::I64(number),
        Err(_) => Value::String(number.to_string().into()),
    }
}

/// What the two clocks show at one moment.
struct Wall {
    now: Instant,
    wall: SystemTime,
}

impl Wall {
    fn now() -> Self {
        Self {
            now: clock::now(),
            wall: SystemTime::now(),
        }
    }

    /// What the clock on the wall showed then, if nobody has set it meanwhile.
    fn at(&self, then: Instant) -> SystemTime {
        let ago = self.now.saturating_duration_since(then);
        self.wall.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}
