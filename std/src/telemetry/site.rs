//! Places in the program where something happens that may be told.

use super::dispatch::{self, HANDLERS};
use super::{Event, EventName, Measurement, Value};
use bedplate_core::handlers::Interest;

/// A place that emits an event: what [`emit!`](super::emit) makes, a static for each use.
///
/// It remembers whether anybody wants its event, so emitting costs one load when nobody is attached to
/// anything, and two when nobody is attached to this event.
///
/// ```
/// use bedplate::telemetry::Site;
///
/// static PLACED: Site = Site::new("order.placed");
/// if PLACED.is_wanted() {
///     PLACED.emit(&[("count", 1_u64.into())], &[("customer", "Ada".into())]);
/// }
/// ```
#[derive(Debug)]
pub struct Site {
    name: EventName<'static>,
    interest: Interest,
}

impl Site {
    /// A place that emits the event `name`, for a static.
    ///
    /// # Panics
    /// If that is not the [name](EventName) of an event: when it is compiled, in a static.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name: EventName::new(name),
            interest: Interest::unknown(),
        }
    }

    /// The name of its event.
    #[must_use]
    pub const fn name(&self) -> &EventName<'static> {
        &self.name
    }

    /// Whether anybody may want its event: if not, nobody was attached to it at a moment within the call.
    #[inline]
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        HANDLERS.may_want(&self.interest)
    }

    /// Tells those who want this event, which is of this site.
    pub(super) fn tell(&self, event: &Event<'_>) {
        dispatch::tell(&self.interest, event);
    }

    /// Tells those who want the event, in the order in which they were attached, on this thread.
    pub fn emit(
        &self,
        measurements: &[(&'static str, Measurement)],
        metadata: &[(&'static str, Value<'_>)],
    ) {
        if self.is_wanted() {
            let event = Event {
                name: &self.name,
                measurements,
                metadata,
                time: None,
                weight: 1.0,
            };
            self.tell(&event);
        }
    }
}

/// Tells those who want the event `name`, in the order in which they were attached, on this thread: for names
/// that are only known at run time. Where it is known before, [`emit!`](super::emit) does it at less cost.
///
/// ```
/// use bedplate::telemetry::{self, EventName};
///
/// let channel = 3;
/// let name = format!("adc.{channel}.read");
/// telemetry::emit_named(&EventName::parse(&name)?, &[("millivolts", 812_u64.into())], &[]);
/// # Ok::<(), telemetry::BadName>(())
/// ```
pub fn emit_named(
    name: &EventName<'_>,
    measurements: &[(&'static str, Measurement)],
    metadata: &[(&'static str, Value<'_>)],
) {
    let nothing_known = Interest::unknown();
    if HANDLERS.may_want(&nothing_known) {
        let event = Event {
            name,
            measurements,
            metadata,
            time: None,
            weight: 1.0,
        };
        dispatch::tell(&nothing_known, &event);
    }
}

/// Says that something happened, to whoever wants to know.
///
/// The name is a constant, most often a literal: one to eight segments between dots, checked when it is compiled.
/// Then come what was measured and what else is known, between braces; either may be left out. A number by
/// itself is a measurement called `value`. Neither is evaluated if nobody wants the event, which costs a load.
///
/// Measurements are what [`Measurement`](crate::telemetry::Measurement) can be made from, metadata what
/// [`Value`](crate::telemetry::Value) can: numbers, texts, identities, options of these, and
/// [`Value::shown`](crate::telemetry::Value::shown) for what else can be displayed.
///
/// ```
/// use bedplate::telemetry;
///
/// let (customer, total) = (String::from("Ada"), 17.5);
/// telemetry::emit!("order.placed", { count: 1_u64, total: total }, { customer: &customer });
/// telemetry::emit!("order.queue", 12_u64);
/// telemetry::emit!("order.queue.empty");
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __telemetry_emit {
    ($name:expr $(,)?) => {
        $crate::__telemetry_emit!($name, {}, {})
    };
    ($name:expr, { $($key:ident : $number:expr),* $(,)? } $(,)?) => {
        $crate::__telemetry_emit!($name, { $($key : $number),* }, {})
    };
    (
        $name:expr, { $($key:ident : $number:expr),* $(,)? }, { $($about:ident : $value:expr),* $(,)? } $(,)?
    ) => {{
        static SITE: $crate::telemetry::Site = $crate::telemetry::Site::new($name);
        if SITE.is_wanted() {
            SITE.emit(
                &[$((stringify!($key), $crate::telemetry::Measurement::from($number))),*],
                &[$((stringify!($about), $crate::telemetry::Value::from($value))),*],
            );
        }
    }};
    ($name:expr, $number:expr $(,)?) => {
        $crate::__telemetry_emit!($name, { value: $number }, {})
    };
    ($name:expr, $number:expr, { $($about:ident : $value:expr),* $(,)? } $(,)?) => {
        $crate::__telemetry_emit!($name, { value: $number }, { $($about : $value),* })
    };
}
