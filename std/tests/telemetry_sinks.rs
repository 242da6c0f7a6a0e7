//! Where events are carried to: lines of JSON that a parser reads back, `tracing`, and a recorder of metrics.

use bedplate::telemetry::{self, EventName, FailurePolicy, Pattern, Probe, Value, sink};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn a_line_of_a_sample_has_its_weight() {
    let out = Shared::default();
    telemetry::handler("json sample")
        .to(EventName::new("json_sample.one"))
        .sampled(telemetry::Random::new(0.125, 1))
        .attach(sink::json_lines(out.clone()))
        .unwrap();
    while out.text().is_empty() {
        telemetry::emit!("json_sample.one");
    }
    telemetry::detach("json sample").unwrap();
    let line: serde_json::Value = serde_json::from_str(&out.text()).unwrap();
    assert_eq!(line["weight"], 8);
}

#[test]
fn lines_of_json_are_read_back() {
    let out = Shared::default();
    telemetry::attach(
        "json",
        Pattern::under(EventName::new("json")),
        sink::json_lines(out.clone()),
    )
    .unwrap();
    let nasty = "a \"quoted\" \\ back\nslash\t\u{1}\u{e9}";
    telemetry::emit!(
        "json.all",
        { count: 3_u64, change: -4_i64, share: 0.25, nothing: f64::NAN, took: Duration::from_millis(1_500) },
        {
            text: nasty, yes: true, none: None::<u64>, number: 7_u8,
            shown: Value::shown(&format_args!("1 \"+\" {}", 2)), list: Value::debugged(&[1, 2]),
        }
    );
    telemetry::emit!("json.empty");
    telemetry::detach("json").unwrap();

    let text = out.text();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["event"], "json.all");
    assert!(lines[0]["time"].is_u64());
    assert_eq!(
        lines[0]["measurements"],
        serde_json::json!({"count": 3, "change": -4, "share": 0.25, "nothing": null, "took": 1.5})
    );
    assert_eq!(
        lines[0]["metadata"],
        serde_json::json!({
            "text": nasty, "yes": true, "none": null, "number": 7, "shown": "1 \"+\" 2", "list": "[1, 2]"
        })
    );
    assert_eq!(lines[1]["measurements"], serde_json::json!({}));
}

/// Fails to write.
struct Full;

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("disk full"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_cannot_be_written_is_a_failure() {
    let probe = Probe::of_this_thread(EventName::new("bedplate.telemetry.handler.failed")).unwrap();
    telemetry::handler("full")
        .to(EventName::new("sink.full"))
        .on_failure(FailurePolicy::Detach)
        .attach(sink::json_lines(Full))
        .unwrap();
    telemetry::emit!("sink.full");
    let failures = probe.take();
    assert_eq!(failures.len(), 1);
    assert!(
        failures[0]
            .get("reason")
            .is_some_and(|it| it == "disk full")
    );
    assert!(telemetry::detach("full").is_err());
}

#[cfg(feature = "tracing")]
#[test]
fn tracing_is_told_name_and_content() {
    use tracing_subscriber::prelude::*;

    let out = Shared::default();
    let writer = out.clone();
    let printing = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time();
    telemetry::attach(
        "tracing",
        EventName::new("traced.event"),
        sink::to_tracing(tracing::Level::WARN),
    )
    .unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(printing), || {
        telemetry::emit!("traced.event", { count: 1_u64 }, { customer: "Ada" });
    });
    telemetry::detach("tracing").unwrap();
    assert_eq!(
        out.text().trim_end(),
        " WARN bedplate::telemetry: traced.event count=1 customer=\"Ada\" event=\"traced.event\""
    );
}

#[cfg(feature = "metrics")]
#[test]
fn prometheus_is_shown_measurements_with_the_labels_that_were_named() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    telemetry::attach(
        "metrics",
        Pattern::under(EventName::new("shop")),
        sink::to_metrics(&["town"]),
    )
    .unwrap();
    metrics::with_local_recorder(&recorder, || {
        telemetry::emit!("shop.order-placed", { count: 2_u64 }, { town: "Delft", customer: "Ada" });
        telemetry::emit!("shop.order-placed", { count: 3_u64 }, { town: "Delft", customer: "Bob" });
        telemetry::emit!("shop.queue", -2_i64);
        telemetry::emit!("shop.took", { duration: Duration::from_millis(250) });
    });
    telemetry::detach("metrics").unwrap();
    let text = handle.render();
    let has = |line: &str| text.lines().any(|have| have == line);
    assert!(has("shop_order_placed_count{town=\"Delft\"} 5"), "{text}");
    assert!(has("shop_queue_value -2"), "{text}");
    assert!(has("shop_took_duration_sum 0.25"), "{text}");
    assert!(!text.contains("customer"), "{text}");
}
