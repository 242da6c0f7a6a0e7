//! Events as `tracing` events.

use crate::telemetry::Event;
use tracing::Level;

/// Tells `tracing` each event, as an event of this level and the target `bedplate::telemetry`, with the field `event`
/// for its name, and what else it says as its message: `order.placed count=1 customer="Ada"`. (The fields of a
/// `tracing` event are fixed when it is compiled, so keys cannot be fields of their own.)
///
/// ```
/// use bedplate::telemetry::{self, EventName, Pattern, sink};
///
/// let orders = Pattern::under(EventName::new("order"));
/// telemetry::attach("log", orders, sink::to_tracing(tracing::Level::INFO))?;
/// telemetry::emit!("order.placed", { count: 1_u64 }, { customer: "Ada" });
/// # telemetry::detach("log")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_tracing(level: Level) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    macro_rules! tell {
        ($level:ident, $event:expr) => {
            tracing::event!(
                target: "bedplate::telemetry", Level::$level, event = $event.name().as_str(), "{}", $event
            )
        };
    }
    move |event| match level {
        Level::ERROR => tell!(ERROR, event),
        Level::WARN => tell!(WARN, event),
        Level::INFO => tell!(INFO, event),
        Level::DEBUG => tell!(DEBUG, event),
        Level::TRACE => tell!(TRACE, event),
    }
}
