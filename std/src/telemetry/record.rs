//! Places in the program whose events are stored and told later.

use super::dispatch;
use super::shard::{self, Stored};
use super::{Event, Measurement, Site, Value};
use crate::clock;
use crate::sync::{Mutex, OnceLock};
use bedplate_core::clock::Instant;
use bedplate_core::event::{EventKind, Level};
use core::time::Duration;

/// The most sites there are.
const LIMIT: usize = 1 << 20;

/// A place that records an event: what [`record!`](super::record) makes, a static for each use.
///
/// Its event is stored in a ring of the thread's own, and told to handlers by another thread, within some ten
/// milliseconds. That costs a few nanoseconds, allocates nothing, and fits one number and one key.
///
/// ```
/// use bedplate::telemetry::RecordSite;
///
/// static READ: RecordSite = RecordSite::new("adc.read", "millivolts", Some("channel"));
/// READ.record(812_u64, 3);
/// ```
#[derive(Debug)]
pub struct RecordSite {
    site: Site,
    number: &'static str,
    key: Option<&'static str>,
    exact: bool,
    /// Where it is in [`SITES`]; `None` if there was no room.
    index: OnceLock<Option<u32>>,
}

/// All sites that have recorded anything.
static SITES: Mutex<Vec<&'static RecordSite>> = Mutex::new(Vec::new());

impl RecordSite {
    /// A place that records the event `name`, with a measurement called `number` and, if so, a number as metadata
    /// called `key`; for a static.
    ///
    /// # Panics
    /// As [`Site::new`].
    #[must_use]
    pub const fn new(name: &'static str, number: &'static str, key: Option<&'static str>) -> Self {
        Self {
            site: Site::new(name),
            number,
            key,
            exact: false,
            index: OnceLock::new(),
        }
    }

    /// Has the clock read for each event, which costs more than all else. Otherwise the time of an event is that at
    /// which events were last told, an interval of ten milliseconds ago or, if handlers take their time, longer.
    #[must_use]
    pub const fn with_exact_time(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Whether anybody may want its event; see [`Site::is_wanted`].
    #[inline]
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.site.is_wanted()
    }

    /// Stores the event, if anybody may want it. If the thread's ring is full, the oldest one there is lost, counted
    /// and told as `bedplate.telemetry.lost`. In a handler the event is told at once, as one that is emitted, so that
    /// no handler is called for what it says itself.
    ///
    /// A global allocator may call this. What it records for the first time from within bedplate is counted as
    /// [`Stats::no_room`](super::Stats::no_room).
    #[inline]
    pub fn record(&'static self, number: impl Into<Measurement>, key: u64) {
        if self.is_wanted() {
            self.store(number.into(), key);
        }
    }

    fn store(&'static self, number: Measurement, key: u64) {
        if dispatch::is_in_a_handler() && !shard::is_quiet() {
            self.tell(number, key, clock::now());
            return;
        }
        let index = match self.index.get() {
            Some(index) => *index,
            None => self.enlist(),
        };
        let Some(index) = index else {
            dispatch::no_room();
            return;
        };
        let (form, value) = encode(number);
        shard::push(
            Stored {
                kind: EventKind::new(Level::Info, (index << FORM_BITS) | form),
                time: Instant::ZERO,
                key,
                value,
            },
            self.exact,
        );
    }

    #[cold]
    fn enlist(&'static self) -> Option<u32> {
        shard::alone(|| {
            let mut sites = SITES.lock();
            *self.index.get_or_init(|| {
                let index = u32::try_from(sites.len()).ok()?;
                (sites.len() < LIMIT).then(|| {
                    sites.push(self);
                    index
                })
            })
        })
        .flatten()
    }

    fn tell(&self, number: Measurement, key: u64, time: Instant) {
        let key = self.key.map(|name| (name, Value::Unsigned(key)));
        self.site.tell(&Event {
            name: self.site.name(),
            measurements: &[(self.number, number)],
            metadata: key.as_slice(),
            time: Some(time),
            weight: 1.0,
        });
    }
}

/// The sites that are known to whoever tells.
#[derive(Default)]
pub(super) struct Known(Vec<&'static RecordSite>);

impl Known {
    /// Tells handlers what was stored.
    pub(super) fn tell(&mut self, stored: &Stored) {
        let code = stored.kind.code();
        let index = (code >> FORM_BITS) as usize;
        if index >= self.0.len() {
            shard::alone(|| {
                let sites = SITES.lock();
                let new = sites.get(self.0.len()..).unwrap_or_default();
                self.0.extend_from_slice(new);
            });
        }
        let Some(site) = self.0.get(index) else {
            unreachable!("a site is enlisted before it stores anything")
        };
        let number = decode(code & FORM, stored.value);
        site.tell(number, stored.key, stored.time);
    }
}

const FORM_BITS: u32 = 2;
const FORM: u32 = (1 << FORM_BITS) - 1;

/// What kind of number it is, and its bits.
const fn encode(number: Measurement) -> (u32, u64) {
    match number {
        Measurement::Unsigned(number) => (0, number),
        Measurement::Signed(number) => (1, number.cast_unsigned()),
        Measurement::Float(number) => (2, number.to_bits()),
        Measurement::Duration(duration) => {
            let nanos = duration.as_nanos();
            #[expect(clippy::cast_possible_truncation, reason = "compared before")]
            let nanos = if nanos > u64::MAX as u128 {
                u64::MAX
            } else {
                nanos as u64
            };
            (3, nanos)
        }
    }
}

const fn decode(form: u32, bits: u64) -> Measurement {
    match form {
        0 => Measurement::Unsigned(bits),
        1 => Measurement::Signed(bits.cast_signed()),
        2 => Measurement::Float(f64::from_bits(bits)),
        _ => Measurement::Duration(Duration::from_nanos(bits)),
    }
}

/// Stores an event that is told later, by another thread, to whoever wants it.
///
/// As [`emit!`](crate::telemetry::emit), for one measurement and at most one number as metadata. The name is a
/// literal; the metadata is what `u64` can be made from. See [`RecordSite`](crate::telemetry::RecordSite).
///
/// ```
/// use bedplate::telemetry;
/// use std::time::Duration;
///
/// telemetry::record!("db.rows", { count: 3_u64 }, { table: 7_u32 });
/// telemetry::record!("db.took", { duration: Duration::from_millis(2) });
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __telemetry_record {
    ($name:expr, { $number:ident : $value:expr $(,)? } $(, {})? $(,)?) => {{
        static SITE: $crate::telemetry::RecordSite =
            $crate::telemetry::RecordSite::new($name, stringify!($number), None);
        if SITE.is_wanted() {
            SITE.record($value, 0);
        }
    }};
    ($name:expr, { $number:ident : $value:expr $(,)? }, { $key:ident : $about:expr $(,)? } $(,)?) => {{
        static SITE: $crate::telemetry::RecordSite =
            $crate::telemetry::RecordSite::new($name, stringify!($number), Some(stringify!($key)));
        if SITE.is_wanted() {
            SITE.record($value, u64::from($about));
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_being_stored() {
        let numbers = [
            Measurement::Unsigned(u64::MAX),
            Measurement::Signed(-3),
            Measurement::Float(-0.5),
            Measurement::Duration(Duration::from_nanos(u64::MAX)),
        ];
        for number in numbers {
            let (form, bits) = encode(number);
            assert_eq!(decode(form, bits), number);
        }
        let (form, bits) = encode(Measurement::Duration(Duration::MAX));
        assert_eq!(
            decode(form, bits),
            Measurement::Duration(Duration::from_nanos(u64::MAX))
        );
    }
}
