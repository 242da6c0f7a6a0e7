//! Events that are handed out many at a time.
//!
//! ```text
//! emit ──► handler ──► incoming ═══► Drain ──► sink        ═══  the telling thread, which alone has what is
//! record ─────┘        (a lock)      (core)    (a user's)       right of it
//! ```
//!
//! What closes a batch is decided by [`Drain`]; size, age, flush and the handler's detachment all go its one way.

use super::dispatch;
use super::drainer;
use super::handler::{AttachError, HandlerBuilder};
use super::{Event, EventName, Measurement, Outcome, OwnedEvent, OwnedValue, own};
use crate::process::panic::{attempt, discard};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};
use alloc::collections::VecDeque;
use bedplate_core::clock::Instant;
use bedplate_core::drain::{self, Drain, Item, Limits};

/// The most events that wait for a batch, on either side of the lock.
const CAPACITY: usize = 1_024;

/// Events that are handed out together, in the order in which they came.
pub type Batch<'b> = drain::Batch<'b, OwnedEvent, CAPACITY>;

impl Item for OwnedEvent {
    /// The hash of its name.
    fn key(&self) -> u64 {
        EventName::parse(&self.name).map_or(0, |name| name.hash64())
    }

    /// Its first measurement, if that is an unsigned number.
    fn value(&self) -> u64 {
        match self.measurements.first() {
            Some((_, Measurement::Unsigned(number))) => *number,
            _ => 0,
        }
    }

    fn bytes(&self) -> usize {
        let text = |(_, value): &(&str, OwnedValue)| match value {
            OwnedValue::Text(text) => text.len(),
            _ => 0,
        };
        let texts: usize = self.metadata.iter().map(text).sum();
        size_of_val(self)
            + self.name.len()
            + size_of_val(&*self.measurements)
            + size_of_val(&*self.metadata)
            + texts
    }
}

impl HandlerBuilder<'_> {
    /// Attaches `sink` to batches of these events: they are copied when they happen, and handed out by the thread
    /// that also tells recorded events. When a batch is closed, and what happens if the sink fails, `limits` say; the
    /// [policy](Self::on_failure) for failures does not apply. A batch is closed by [`flush`](super::flush), too, and
    /// by detaching, after which the last one is still handed out.
    ///
    /// At most 1,024 events wait. What comes when there is no room is counted as
    /// [`Stats::refused`](super::Stats::refused); batches that were given up are told of as `bedplate.telemetry.lost`.
    ///
    /// # Errors
    /// As [`attach`](super::attach).
    ///
    /// ```
    /// use bedplate::telemetry::{self, Batch, EventName, Limits};
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    ///
    /// let (send, batches) = mpsc::channel();
    /// let limits = Limits { items: 2, age: Duration::from_secs(5), ..Limits::DEFAULT };
    /// telemetry::handler("batches").to(EventName::new("order.placed")).attach_batched(
    ///     limits,
    ///     move |batch: &Batch<'_>| send.send(batch.len()),
    /// )?;
    /// for _ in 0..3 {
    ///     telemetry::emit!("order.placed", { count: 1_u64 });
    /// }
    /// assert_eq!(batches.recv(), Ok(2));      // as many as a batch has
    /// telemetry::detach("batches")?;
    /// assert_eq!(batches.recv(), Ok(1));      // what was left
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attach_batched<F, O>(self, limits: Limits, sink: F) -> Result<(), AttachError<F>>
    where
        F: FnMut(&Batch<'_>) -> O + Send + 'static,
        O: Outcome,
    {
        let id = self.id.to_owned();
        let incoming = Arc::<Incoming>::default();
        let tap = Tap(incoming.clone());
        // Owned by the closure as a whole, so that it is dropped with it.
        let attached = self.attach(move |event: &Event<'_>| tap.add(event));
        if let Err(refused) = attached {
            return Err(AttachError {
                reason: refused.reason,
                handler: sink,
            });
        }
        NEW.lock().push(Box::new(Batching {
            id,
            incoming,
            drain: Box::new(Drain::new(limits)),
            sink,
        }));
        Ok(())
    }
}

/// What was attached, and the telling thread has not taken over.
static NEW: Mutex<Vec<Box<dyn Collecting>>> = Mutex::new(Vec::new());

/// Events on their way to the telling thread.
#[derive(Default)]
struct Incoming {
    events: Mutex<VecDeque<OwnedEvent>>,
    /// Whether nothing more will come.
    closed: AtomicBool,
}

/// The handler's end of it.
struct Tap(Arc<Incoming>);

impl Tap {
    fn add(&self, event: &Event<'_>) {
        // Before the lock: what is to be shown is a user's code.
        let event = OwnedEvent::from(event);
        let mut events = self.0.events.lock();
        if events.len() >= CAPACITY {
            drop(events);
            dispatch::refused();
            return;
        }
        events.push_back(event);
        let crowded = events.len() == CAPACITY / 2;
        drop(events);
        if crowded || !drainer::is_awake() {
            drainer::wake();
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // Relaxed: a mark; what was added before is found under the lock.
        self.0.closed.store(true, Ordering::Relaxed);
        drainer::wake();
    }
}

/// The telling thread's end of it, whatever the type of the sink.
trait Collecting: Send {
    /// Takes what came and hands out what is due, or everything if it is to be flushed.
    fn poll(&mut self, now: Instant, flush: bool) -> Polled;
}

/// What a look at one of them gave.
struct Polled {
    found: bool,
    /// When it wants to be looked at next.
    next: Option<Instant>,
    /// Whether nothing will come any more.
    over: bool,
}

struct Batching<F> {
    id: String,
    incoming: Arc<Incoming>,
    drain: Box<Drain<OwnedEvent, CAPACITY>>,
    sink: F,
}

impl<F, O> Collecting for Batching<F>
where
    F: FnMut(&Batch<'_>) -> O + Send,
    O: Outcome,
{
    fn poll(&mut self, now: Instant, flush: bool) -> Polled {
        // Relaxed: before the events are taken, behind which nothing comes then. Who sets it has locked them before.
        let closed = self.incoming.closed.load(Ordering::Relaxed);
        let before = self.drain.stats();
        let Self {
            id,
            incoming,
            drain,
            sink,
        } = self;
        let mut deliver = |batch: &Batch<'_>| hand_out(id, sink, batch);
        let source = || incoming.events.lock().pop_front();
        let mut next = drain.poll_from(now, 2 * CAPACITY, source, &mut deliver);
        let is_empty = incoming.events.lock().is_empty();
        if closed && is_empty {
            drain.shutdown();
            next = drain.poll(now, usize::MAX, &mut deliver);
        } else if flush {
            drain.flush();
            next = drain.poll(now, usize::MAX, &mut deliver);
        }
        let after = drain.stats();
        let lost = after.lost - before.lost;
        if lost > 0 {
            own::batch_lost(lost, id);
        }
        Polled {
            found: after.added > before.added,
            next,
            over: closed && is_empty && next.is_none(),
        }
    }
}

/// Calls a user's sink.
fn hand_out<O: Outcome>(
    id: &str,
    sink: &mut impl FnMut(&Batch<'_>) -> O,
    batch: &Batch<'_>,
) -> Result<(), ()> {
    let result = dispatch::inside(|| attempt(|| sink(batch).into_result()));
    let reason = match result {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(reason)) => reason,
        Err(report) => report.message,
    };
    own::batch_failed(id, batch.len(), batch.attempt(), &reason);
    Err(())
}

/// All batches, on the telling thread.
#[derive(Default)]
pub(super) struct Batches(Vec<Box<dyn Collecting>>);

impl Batches {
    /// Takes what came and hands out what is due. Whether anything came, and when to look next.
    pub(super) fn poll(&mut self, now: Instant, flush: bool) -> (bool, Option<Instant>) {
        self.0.append(&mut NEW.lock());
        let (mut found, mut next) = (false, None);
        let mut at = 0;
        while let Some(batching) = self.0.get_mut(at) {
            let polled = batching.poll(now, flush);
            found |= polled.found;
            if polled.over {
                // It owns a user's sink.
                discard(self.0.remove(at));
                continue;
            }
            next = match (next, polled.next) {
                (Some(one), Some(other)) => Some(Instant::min(one, other)),
                (one, other) => one.or(other),
            };
            at += 1;
        }
        (found, next)
    }
}

/// Whether there are any that a flush would have to look at.
pub(super) fn are_new() -> bool {
    !NEW.lock().is_empty()
}
