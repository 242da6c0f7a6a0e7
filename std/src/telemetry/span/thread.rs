//! What a thread has for its spans.
//!
//! Everything here is the thread's own, and is borrowed for the time of a few lines in which no code of a user runs:
//! attributes are made, handlers and exporters called, before or after.
//!
//! With the thread it is destroyed. Spans that are open then have guards that were forgotten, or that lie in a thread-local
//! which is destroyed later; they are closed as abandoned, and who drops such a guard afterwards finds nothing to end.

use super::current::{Ambient, Current};
use super::ended::Seat;
use super::notes::Notes;
use super::tell::Begun;
use super::{ABANDONED, Span, SpanSite, UNTRACKED, count, sampling, site_of, table};
use crate::clock::{self, Instant};
use crate::sync::thread_number;
use bedplate_core::context::{SpanId, TraceFlags};
use bedplate_core::sample::Choice;
use bedplate_core::span::{OpenSpan, Opener, Place, SpanIds, SpanStatus};
use core::cell::RefCell;
use core::hash::BuildHasher as _;
use std::hash::RandomState;

/// The most spans of a thread that are listed while they are open, and of which anything can be noted.
pub const MAX_OPEN: usize = 64;

/// Has this thread give out the identities that belong to `seed`, from the first on: the same in every run. For tests;
/// two threads with the same seed give out the same identities.
///
/// ```
/// use bedplate::telemetry::{self, span};
///
/// let identity = || { span::seed_ids(7); telemetry::span!("work").traceparent() };
/// assert_eq!(identity(), identity());
/// ```
pub fn seed_ids(seed: u128) {
    with_mine(|mine| mine.ids = SpanIds::new(seed));
}

pub(super) struct Mine {
    ids: SpanIds,
    /// `None` if there was none to be had, or if it was not asked for one.
    table: Option<Opener<'static, MAX_OPEN>>,
    wants_table: bool,
    ended: Seat,
    /// What is known besides of the spans of the table's places.
    open: [Tracked; MAX_OPEN],
}

/// A span in the table.
struct Tracked {
    /// Zero if there is none.
    token: u64,
    choice: Choice,
    told: bool,
    has_failed: bool,
    notes: Option<Box<Notes>>,
}

thread_local! {
    static MINE: RefCell<Mine> = RefCell::new(Mine::new());
}

/// `None` if it is destroyed, or in use: then by a global allocator that begins spans.
#[inline]
pub(super) fn with_mine<R>(look: impl FnOnce(&mut Mine) -> R) -> Option<R> {
    let looked = MINE.try_with(|mine| Some(look(&mut *mine.try_borrow_mut().ok()?)));
    looked.ok().flatten()
}

/// Who a span is.
#[derive(Clone, Copy)]
pub(super) struct Identity {
    pub(super) ambient: Ambient,
    pub(super) parent_id: Option<SpanId>,
    pub(super) parent_is_remote: bool,
}

impl Mine {
    #[cold]
    fn new() -> Self {
        // Of the process's random keys, which the system made.
        let random = RandomState::new();
        let half = |which: u64| u128::from(random.hash_one((thread_number(), which)));
        Self {
            ids: SpanIds::new(half(0) << 64 | half(1)),
            table: None,
            wants_table: true,
            ended: Seat::new(),
            open: [const {
                Tracked {
                    token: 0,
                    choice: Choice::LEAVE,
                    told: false,
                    has_failed: false,
                    notes: None,
                }
            }; MAX_OPEN],
        }
    }

    /// Gives a span its identity, and decides whether it is kept. Inline, so that it is not returned in memory.
    #[inline(always)]
    pub(super) fn identify(&mut self, parent: Option<Ambient>) -> Identity {
        match parent {
            Some(parent) => Identity {
                ambient: Ambient {
                    span_id: self.ids.next_span(),
                    is_remote: false,
                    ..parent
                },
                parent_id: Some(parent.span_id),
                parent_is_remote: parent.is_remote,
            },
            None => {
                let (trace_id, span_id) = self.ids.next_trace_and_span();
                let choice = sampling::decide(trace_id);
                let sampled = if choice.is_kept() {
                    TraceFlags::SAMPLED
                } else {
                    TraceFlags::default()
                };
                Identity {
                    ambient: Ambient {
                        trace_id,
                        span_id,
                        choice,
                        flags: TraceFlags::RANDOM.and(sampled),
                        is_remote: false,
                    },
                    parent_id: None,
                    parent_is_remote: false,
                }
            }
        }
    }

    /// Begins a span of this thread: who it is, and since when, if it is kept.
    #[inline]
    pub(super) fn begin(
        &mut self,
        site: &'static SpanSite,
        parent: Current,
        token: u64,
        told: bool,
    ) -> (Current, Option<Instant>) {
        let identity = self.identify(parent.ambient());
        let choice = identity.ambient.choice;
        if !choice.is_kept() {
            let own = Current::span_of_thread(identity.ambient, token, None);
            return (own, None);
        }
        if self.wants_table {
            self.table = table::claim();
            self.wants_table = false;
        }
        let begun = Begun::now(site, identity, told);
        let place = self
            .table
            .as_mut()
            .and_then(|table| table.open(&begun.as_open()));
        match place {
            Some(place) => {
                let tracked = &mut self.open[place.index()];
                tracked.token = token;
                tracked.choice = choice;
                tracked.told = told;
                tracked.has_failed = false;
            }
            None => count(&UNTRACKED),
        }
        let own = Current::span_of_thread(identity.ambient, token, place);
        (own, Some(begun.started))
    }

    #[inline]
    fn tracked(&mut self, token: u64, place: Place) -> Option<&mut Tracked> {
        let tracked = &mut self.open[place.index()];
        (tracked.token == token).then_some(tracked)
    }

    /// Has notes taken of a span from now on, beginning with these.
    pub(super) fn take_notes(&mut self, token: u64, place: Place, notes: Box<Notes>) {
        if let Some(tracked) = self.tracked(token, place) {
            tracked.notes = Some(notes);
        }
    }

    /// The notes of a span that is open, if any are taken.
    pub(super) fn notes(&mut self, token: u64, place: Place) -> Option<&mut Notes> {
        self.tracked(token, place)?.notes.as_deref_mut()
    }

    /// A span has failed.
    pub(super) fn has_failed(&mut self, token: u64, place: Place) {
        if let Some(tracked) = self.tracked(token, place) {
            tracked.has_failed = true;
        }
    }

    /// Ends a span of this thread, with its notes; `None` if that was done by the end of the thread.
    #[inline]
    pub(super) fn end(
        &mut self,
        span: &Span,
        ended: Instant,
        status: SpanStatus,
    ) -> Option<(SpanStatus, Option<Box<Notes>>)> {
        let (mut status, mut notes) = (status, None);
        let (token, place) = span.which();
        if let Some(place) = place {
            let tracked = self.tracked(token, place)?;
            tracked.token = 0;
            if tracked.has_failed && status == SpanStatus::Ended {
                status = SpanStatus::Failed;
            }
            notes = tracked.notes.take();
            if let Some(table) = &mut self.table {
                table.close(place);
            }
        }
        self.ended.push(span.record(ended, status)?);
        Some((status, notes))
    }

    /// Records a span that belongs to no thread.
    pub(super) fn record(&mut self, begun: &Begun, ended: Instant, status: SpanStatus) {
        self.ended.push_owned(begun.record(ended, status));
    }
}

/// The end of the thread.
impl Drop for Mine {
    fn drop(&mut self) {
        let Some(table) = &mut self.table else {
            return;
        };
        if table.is_empty() {
            return;
        }
        let ended = clock::now();
        let mut left: Vec<(Place, OpenSpan)> = table.iter().collect();
        // The innermost first, as they would have ended.
        left.sort_by_key(|(_, span)| core::cmp::Reverse(span.started));
        for (place, span) in left {
            table.close(place);
            count(&ABANDONED);
            let tracked = &mut self.open[place.index()];
            tracked.token = 0;
            let begun = Begun::of(site_of(span.site), &span, (tracked.choice, tracked.told));
            let status = SpanStatus::Abandoned;
            self.ended.push(begun.record(ended, status));
            begun.is_over(ended, status, tracked.notes.take());
        }
    }
}
