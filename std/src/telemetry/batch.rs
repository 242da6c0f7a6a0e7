//! Events that are handed out many at a time.
//!
//! ```text
//! emit ──► handler ──► incoming ═══► Drain ──► sink        ═══  the telling thread, which alone has what is
//! record ─────┘        (a lock)      (core)    (a user's)       right of it
//! ```
//!
//! What closes a batch is decided by [`Drain`]; size, age, flush and the handler's detachment all go its one way.
//!
//! # The end
//! ```text
//! detach ──► the handler is silent, its tap dropped ──► `closed` ──► the last batches ──► the sink dropped ──► `ended`
//!   └─────────────────────────────────── waits ────────────────────────────────────────────────────────────────┘
//! ```

use super::dispatch;
use super::drainer;
use super::handler::{AttachError, HandlerBuilder};
use super::shard;
use super::{Event, EventName, Measurement, Outcome, OwnedEvent, OwnedValue, own};
use crate::clock;
use crate::process::panic::{attempt, discard};
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, Ordering};
use alloc::collections::VecDeque;
use bedplate_core::clock::Instant;
use bedplate_core::drain::{self, Drain, Item, Limits};
use core::cell::Cell;
use core::ptr;

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
    /// by [detaching](super::detach), which waits until the last one was handed out.
    ///
    /// What the sink emits or records itself is not collected for it, nor what is told of its failures: that is counted as
    /// [`Stats::left_out`](super::Stats::left_out). Two sinks that each emit what the other collects go on without end.
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
        let ending = Some(incoming.ending.clone());
        // Owned by the closure as a whole, so that it is dropped with it.
        let attached = self.attach_as(move |event: &Event<'_>| tap.add(event), ending);
        if let Err(refused) = attached {
            return Err(AttachError {
                reason: refused.reason,
                handler: sink,
            });
        }
        let batching = Box::new(Batching {
            id,
            incoming: incoming.clone(),
            drain: Box::new(Drain::new(limits)),
            sink,
        });
        shard::quietly(|| NEW.lock().push(batching));
        // What came before that has called for somebody who did not know of it.
        if !incoming.events.lock().is_empty() || incoming.is_closed() {
            drainer::wake();
        }
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
    ending: Arc<Ending>,
}

impl Incoming {
    fn is_closed(&self) -> bool {
        // Acquire: what was added before is found in `events`; pairs with Release when the tap is dropped.
        self.closed.load(Ordering::Acquire)
    }
}

/// Whether everything that was collected was handed out, and the sink is dropped.
#[derive(Default)]
pub(super) struct Ending {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Ending {
    /// Waits until it has ended, for ever without a deadline. Whether it has; it has not, and never will, if there is no
    /// thread to do that.
    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> bool {
        if !drainer::hurry() {
            return false;
        }
        let ended = self.ended.lock();
        let ended = match deadline {
            None => self.changed.wait_while(ended, |ended| !*ended),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(clock::now());
                self.changed.wait_while_for(ended, left, |ended| !*ended)
            }
        };
        *ended
    }

    fn end(&self) {
        *self.ended.lock() = true;
        self.changed.notify_all();
    }
}

thread_local! {
    /// What this thread is just handing out. Without a destructor, so that it is there to the end.
    static HANDED_OUT: Cell<*const Incoming> = const { Cell::new(ptr::null()) };
}

/// While it is there, this thread collects nothing here: what the sink says, and what is told of its failures.
struct HandingOut;

impl HandingOut {
    fn begin(incoming: &Incoming) -> Self {
        HANDED_OUT.set(incoming);
        Self
    }
}

impl Drop for HandingOut {
    fn drop(&mut self) {
        HANDED_OUT.set(ptr::null());
    }
}

/// The handler's end of it.
struct Tap(Arc<Incoming>);

impl Tap {
    fn add(&self, event: &Event<'_>) {
        if ptr::eq(HANDED_OUT.get(), &raw const *self.0) {
            dispatch::left_out();
            return;
        }
        // Before the lock: what is to be shown is a user's code.
        let event = OwnedEvent::from(event);
        let waiting = shard::quietly(|| {
            let mut events = self.0.events.lock();
            if events.len() >= CAPACITY {
                return None;
            }
            events.push_back(event);
            Some(events.len())
        });
        let Some(waiting) = waiting else {
            dispatch::refused();
            return;
        };
        if waiting == CAPACITY / 2 || !drainer::is_awake() {
            drainer::wake();
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // Release: what was added is there; pairs with Acquire in `is_closed`.
        self.0.closed.store(true, Ordering::Release);
        drainer::wake();
    }
}

/// The telling thread's end of it, whatever the type of the sink.
trait Collecting: Send {
    /// Takes what came and hands out what is due, or everything if it is to be flushed.
    fn poll(&mut self, now: Instant, flush: bool) -> Polled;

    /// Drops the sink, a user's, and says so to who waits for that.
    fn end(self: Box<Self>);
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
        // Before the events are taken, behind which nothing comes then.
        let closed = self.incoming.is_closed();
        let _handing_out = HandingOut::begin(&self.incoming);
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

    fn end(self: Box<Self>) {
        let Self {
            incoming,
            drain,
            sink,
            ..
        } = *self;
        discard(sink);
        drop(drain);
        incoming.ending.end();
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
        shard::quietly(|| self.0.append(&mut NEW.lock()));
        let (mut found, mut next) = (false, None);
        let mut at = 0;
        while let Some(batching) = self.0.get_mut(at) {
            let polled = batching.poll(now, flush);
            found |= polled.found;
            if polled.over {
                self.0.remove(at).end();
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
