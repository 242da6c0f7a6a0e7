//! Events collected for a test.

use super::{AttachReason, Event, OwnedEvent, Pattern, detach, handler};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, thread_number};
use core::fmt;

/// The most events a probe keeps.
const LIMIT: usize = 65_536;

/// Collects events, so that a test can see what was told: those of one thread, or all.
///
/// It is a handler like any other, attached until it is dropped. At most 65,536 events are kept until they are
/// taken; what comes then is counted as [`missed`](Self::missed).
///
/// ```
/// use bedplate::telemetry::{self, EventName, Measurement, Pattern, Probe};
///
/// let probe = Probe::of_this_thread(Pattern::under(EventName::new("order")))?;
/// telemetry::emit!("order.placed", { count: 2_u64 }, { customer: "Ada" });
/// telemetry::emit!("invoice.sent");
///
/// let events = probe.take();
/// assert_eq!(events.len(), 1);
/// assert_eq!(events[0].name, "order.placed");
/// assert_eq!(events[0].measurement("count"), Some(Measurement::Unsigned(2)));
/// assert_eq!(events[0].get("customer"), Some(&telemetry::OwnedValue::Text("Ada".to_owned())));
/// # Ok::<(), telemetry::AttachReason>(())
/// ```
pub struct Probe {
    id: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    events: Vec<OwnedEvent>,
    missed: u64,
}

impl Probe {
    /// Collects what happens on the calling thread, from now on.
    ///
    /// # Errors
    /// As [`attach`](super::attach).
    pub fn of_this_thread<'p>(pattern: impl Into<Pattern<'p>>) -> Result<Self, AttachReason> {
        let thread = thread_number();
        Self::attach(pattern.into(), move || thread_number() == thread)
    }

    /// Collects what happens on any thread, from now on.
    ///
    /// # Errors
    /// As [`attach`](super::attach).
    pub fn of_all_threads<'p>(pattern: impl Into<Pattern<'p>>) -> Result<Self, AttachReason> {
        Self::attach(pattern.into(), || true)
    }

    fn attach(
        pattern: Pattern<'_>,
        is_wanted: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Self, AttachReason> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only the number itself matters; it publishes nothing and has no partner.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let seen = Arc::<Mutex<Seen>>::default();
        let id = format!("bedplate.probe.{number}");
        let theirs = seen.clone();
        handler(&id)
            .to(pattern)
            .filter(move |_| is_wanted())
            .attach(move |event: &Event<'_>| {
                // Before the lock: what is to be shown is a user's code.
                let event = OwnedEvent::from(event);
                let mut seen = theirs.lock();
                if seen.events.len() < LIMIT {
                    seen.events.push(event);
                } else {
                    seen.missed += 1;
                }
            })
            .map_err(|error| error.reason)?;
        Ok(Self { id, seen })
    }

    /// What was collected since the last time, in the order in which it came.
    #[must_use]
    pub fn take(&self) -> Vec<OwnedEvent> {
        core::mem::take(&mut self.seen.lock().events)
    }

    /// How many events came when there was no room.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.seen.lock().missed
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // It is not attached any more if somebody has detached it by its id.
        let _detached = detach(&self.id);
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen.lock();
        f.debug_struct("Probe")
            .field("id", &self.id)
            .field("events", &seen.events.len())
            .field("missed", &seen.missed)
            .finish()
    }
}
