//! Measurements as metrics.

use crate::telemetry::{Event, Measurement};
use metrics::{Key, Label, Level, Metadata, with_recorder};

/// Tells the recorder of the crate `metrics` each measurement of each event, for instance to have them shown to
/// Prometheus. Of the metadata, only what is called as one of `labels` says becomes a label: each different value is
/// a series of its own, which the recorder keeps.
///
/// The metric is called as the event and the measurement are, with `_` between all segments and for what Prometheus
/// does not know in names: `order_placed_count`.
///
/// | measurement | metric |
/// |---|---|
/// | an unsigned number | a counter, increased by it |
/// | a duration | a histogram, of seconds |
/// | any other number | a gauge, set to it |
///
/// ```
/// use bedplate::telemetry::{self, EventName, Pattern, sink};
///
/// let orders = Pattern::under(EventName::new("order"));
/// telemetry::attach("metrics", orders, sink::to_metrics(&["shop"]))?;
/// telemetry::emit!("order.placed", { count: 1_u64 }, { shop: "Delft", customer: "Ada" });
/// # telemetry::detach("metrics")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_metrics(labels: &'static [&'static str]) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    static ABOUT: Metadata<'static> = Metadata::new("bedplate::telemetry", Level::INFO, None);
    move |event| {
        let labels: Vec<Label> = event
            .metadata()
            .iter()
            .filter(|(key, _)| labels.contains(key))
            .map(|(key, value)| Label::new(*key, value.to_string()))
            .collect();
        for (name, number) in event.measurements() {
            let key = Key::from_parts(metric(event.name().as_str(), name), labels.clone());
            with_recorder(|recorder| match *number {
                Measurement::Unsigned(number) => {
                    recorder.register_counter(&key, &ABOUT).increment(number);
                }
                Measurement::Duration(duration) => recorder
                    .register_histogram(&key, &ABOUT)
                    .record(duration.as_secs_f64()),
                other => recorder.register_gauge(&key, &ABOUT).set(other.as_f64()),
            });
        }
    }
}

/// The name of the metric of a measurement.
fn metric(event: &str, measurement: &str) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => letter,
        _ => '_',
    };
    let parts = event.chars().chain(['.']).chain(measurement.chars());
    parts.map(letter).collect()
}
