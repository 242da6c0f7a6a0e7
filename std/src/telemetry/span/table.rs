//! Who is open since when.
//!
//! A thread's table is made when there is none that no thread has, and stays, for the next thread when its own has
//! ended. Spans that belong to no thread are in a list under a lock.

use super::thread::MAX_OPEN;
use super::{UNTRACKED, count, site_of};
use crate::clock::Instant;
use crate::sync::{Mutex, thread};
use alloc::collections::BTreeMap;
use bedplate_core::context::{SpanId, TraceParent};
use bedplate_core::span::{OpenSpan, OpenSpans, Opener};
use core::time::Duration;

/// The most tables.
const MOST: usize = 128;

/// The most spans that belong to no thread.
const MOST_OWNED: usize = 4_096;

struct Desk {
    spans: OpenSpans<MAX_OPEN>,
    /// The name of the thread that has it.
    thread: Mutex<String>,
}

static DESKS: Mutex<Vec<&'static Desk>> = Mutex::new(Vec::new());

static OWNED: Mutex<BTreeMap<u64, OpenSpan>> = Mutex::new(BTreeMap::new());

/// A span that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Open {
    /// Its name.
    pub name: &'static str,
    /// Its trace, and its identity (as the parent of what is begun in it).
    pub traceparent: TraceParent,
    /// In which span it was begun; `None` if its trace begins with it.
    pub parent_id: Option<SpanId>,
    /// When it was begun.
    pub started: Instant,
    /// The name of its thread, if it belongs to one; empty if that has none.
    pub thread: Option<String>,
}

/// All spans of this process that are open and kept, in the order in which they were begun.
///
/// # Concurrency
/// Each was open at a moment within the call; those that were open throughout are all there, except what
/// [`Counts::untracked`](super::Counts::untracked) counts. Locks for a moment what threads lock when they begin their first
/// span. O(threads that have spans).
///
/// ```
/// use bedplate::telemetry::{self, span};
///
/// let request = telemetry::span!("request");
/// let open = span::open();
/// assert!(open.iter().any(|span| span.name == "request" && Some(span.traceparent) == request.traceparent()));
/// ```
#[must_use]
pub fn open() -> Vec<Open> {
    let desks = DESKS.lock().clone();
    let mut found = Vec::new();
    for desk in desks {
        for span in desk.spans.iter() {
            let thread = desk.thread.lock().clone();
            found.push((span, Some(thread)));
        }
    }
    let owned: Vec<OpenSpan> = OWNED.lock().values().copied().collect();
    found.extend(owned.into_iter().map(|span| (span, None)));
    found.sort_by_key(|(span, _)| span.started);
    let open = found.into_iter().map(|(span, thread)| Open {
        name: site_of(span.site).name(),
        traceparent: span.at,
        parent_id: span.parent_id,
        started: span.started,
        thread,
    });
    open.collect()
}

/// Those of the [open] spans that at `now` have been so for longer than `limit`.
///
/// There is no timer for it: whoever looks after a program asks now and then. Concurrency as [`open`].
///
/// ```
/// use bedplate::telemetry::{self, span};
/// use bedplate::clock;
/// use std::time::Duration;
///
/// let request = telemetry::span!("request");
/// let in_a_minute = clock::now().saturating_add(Duration::from_secs(60));
/// let stuck = span::open_longer_than(Duration::from_secs(30), in_a_minute);
/// assert!(stuck.iter().any(|span| span.name == "request"));
/// ```
#[must_use]
pub fn open_longer_than(limit: Duration, now: Instant) -> Vec<Open> {
    let mut open = open();
    open.retain(|span| now.saturating_duration_since(span.started) > limit);
    open
}

/// A table for this thread, if there is one to be had.
pub(super) fn claim() -> Option<Opener<'static, MAX_OPEN>> {
    let name = thread::current().name().unwrap_or_default().to_owned();
    let mut desks = DESKS.lock();
    let free = desks
        .iter()
        .find_map(|desk| Some((*desk, desk.spans.claim()?)));
    let (desk, opener) = match free {
        Some(found) => found,
        None if desks.len() >= MOST => return None,
        None => {
            let desk: &'static Desk = Box::leak(Box::new(Desk {
                spans: OpenSpans::new(),
                thread: Mutex::default(),
            }));
            desks.push(desk);
            (desk, desk.spans.claim()?)
        }
    };
    *desk.thread.lock() = name;
    Some(opener)
}

/// Notes that a span is open which belongs to no thread.
pub(super) fn open_owned(span: &OpenSpan) {
    let mut owned = OWNED.lock();
    if owned.len() < MOST_OWNED {
        owned.insert(span.at.parent_id.0.get(), *span);
    } else {
        count(&UNTRACKED);
    }
}

/// It is not open any more.
pub(super) fn close_owned(id: SpanId) {
    OWNED.lock().remove(&id.0.get());
}
