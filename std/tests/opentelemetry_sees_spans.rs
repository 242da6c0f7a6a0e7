//! Spans of ours in a pipeline of OpenTelemetry, and identities in both directions.
#![cfg(feature = "opentelemetry")]

use bedplate::context::Context;
use bedplate::opentelemetry_bridge::{export_to, span_context, traceparent};
use bedplate::telemetry;
use bedplate::telemetry::span::{self, TraceState};
use opentelemetry::trace::{
    SpanContext, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context as OtelContext, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanProcessor};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// A processor that keeps what it is given.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl Kept {
    fn take(&self) -> Vec<SpanData> {
        core::mem::take(&mut self.0.lock().unwrap())
    }
}

impl SpanProcessor for Kept {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &OtelContext) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().unwrap().push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn a_span_arrives_with_all_that_was_noted() {
    let kept = Kept::default();
    let exporting = export_to(Arc::new(kept.clone())).unwrap();
    let began = SystemTime::now();
    let first = telemetry::span!("otel.first");
    let to = first.traceparent().unwrap();
    telemetry::span!("otel.second", { table: "orders", large: u64::MAX, none: None::<u64> }, |second| {
        second.measure("rows", 3_u64);
        second.measure("waited", Duration::from_millis(1500));
        second.event("retry", &[("attempt", 2.into())]);
        second.link(to, "follows_from");
        second.fail("no such table");
    });
    drop(first);
    drop(exporting);
    telemetry::span!("otel.unseen").end();

    // What other tests of this process export is not meant.
    let mut spans = kept.take();
    spans.retain(|span| span.name.starts_with("otel."));
    let [second, first]: [SpanData; 2] = spans.try_into().expect("two");
    assert_eq!((&*second.name, &*first.name), ("otel.second", "otel.first"));
    assert_eq!(traceparent(&first.span_context), Some(to));
    assert_eq!(
        second.span_context.trace_id(),
        first.span_context.trace_id()
    );
    assert_eq!(second.parent_span_id, first.span_context.span_id());
    assert_eq!(first.status, Status::Unset);
    assert_eq!(second.status, Status::error("no such table"));
    assert_eq!(
        second.attributes,
        [
            KeyValue::new("table", "orders"),
            KeyValue::new("large", u64::MAX.to_string()),
            KeyValue::new("none", "none"),
            KeyValue::new("rows", 3),
            KeyValue::new("waited", 1.5),
        ]
    );
    let event = &second.events.events[0];
    assert_eq!(
        (&*event.name, &event.attributes),
        ("retry", &vec![KeyValue::new("attempt", 2)])
    );
    let link = &second.links.links[0];
    assert_eq!(link.span_context.span_id(), first.span_context.span_id());
    assert_eq!(
        link.attributes[0].value,
        Value::String("follows_from".into())
    );
    // Of two clocks, so with room for what happens between looking at the one and at the other.
    let about = |time: SystemTime| time.duration_since(began - Duration::from_secs(60)).is_ok();
    assert!(about(first.start_time) && first.start_time <= first.end_time);
}

#[test]
fn identities_go_both_ways() {
    // Theirs within ours.
    let kept = Kept::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(kept.clone())
        .build();
    let tracer = provider.tracer("test");
    let ours = telemetry::span!("both.ours");
    let parent = span_context(span::current().unwrap());
    let within = OtelContext::new().with_remote_span_context(parent);
    drop(tracer.start_with_context("theirs", &within));
    let theirs = kept.take().remove(0);
    let own = ours.traceparent().unwrap();
    assert_eq!(
        traceparent(&theirs.span_context).unwrap().trace_id,
        own.trace_id
    );
    assert_eq!(theirs.parent_span_id, own.parent_id.0.get().into());

    // Ours within theirs.
    let span = tracer.start("outer");
    let context = OtelContext::new().with_span(span);
    let parent = traceparent(context.span().span_context()).unwrap();
    Context::empty().with_traceparent(parent).run(|| {
        let inner = telemetry::span!("both.inner");
        assert_eq!(inner.parent_id(), Some(parent.parent_id));
        assert_eq!(inner.traceparent().unwrap().trace_id, parent.trace_id);
        assert!(inner.is_kept());
    });
    assert_eq!(traceparent(&SpanContext::NONE), None);
}

#[test]
fn what_a_trace_carries_is_exported_with_its_spans() {
    let kept = Kept::default();
    let _exporting = export_to(Arc::new(kept.clone())).unwrap();
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        .parse()
        .unwrap();
    let state = TraceState::parse("congo=t61rcWkgMzE,rojo=7").unwrap();
    Context::empty()
        .with_traceparent(parent)
        .with_tracestate(&state)
        .run(|| {
            telemetry::span!("state.outer", |_| {
                telemetry::span!("state.inner", |_| ());
            });
        });
    let spans = kept.take();
    let of = |name| spans.iter().find(|span| span.name == name).unwrap();
    let (outer, inner) = (of("state.outer"), of("state.inner"));
    for span in [outer, inner] {
        let theirs = span.span_context.trace_state();
        assert_eq!(theirs.get("congo"), Some("t61rcWkgMzE"));
        assert_eq!(theirs.header(), "congo=t61rcWkgMzE,rojo=7");
    }
    assert!(outer.parent_span_is_remote && !inner.parent_span_is_remote);
}
