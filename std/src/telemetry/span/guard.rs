//! A span of the thread on which it was begun.

use super::current::{self, Ambient, Current};
use super::notes::{Link, Notes, SpanEvent};
use super::tell::Begun;
use super::thread::with_mine;
use super::{Describe, SpanSite, export};
use crate::clock::{self, Instant};
use crate::sync::thread;
use crate::telemetry::{Measurement, Value};
use bedplate_core::context::{SpanId, TraceParent};
use bedplate_core::span::{Place, SpanRecord, SpanStatus};
use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

/// A span that is current on its thread until this is dropped; made by [`span!`](crate::telemetry::span!) or
/// [`SpanSite::start`]. It stays on its thread.
///
/// What can be noted of it is in [`SpanNotes`].
///
/// ```compile_fail
/// fn needs_send<T: Send>(_: T) {}
/// needs_send(bedplate::telemetry::span!("work"));
/// ```
#[must_use = "a span lasts as long as its guard"]
pub struct Span {
    site: &'static SpanSite,
    /// Who it is. Nobody, if the thread's locals were destroyed.
    notes: SpanNotes,
    /// What was current before.
    before: Current,
    /// Meaningless if it is not kept.
    started: Instant,
    kept: bool,
    /// Whether handlers are told of its end, as they were of its beginning.
    told: bool,
    /// Whether the thread was unwinding already.
    began_in_a_panic: bool,
    /// Whether it ends with a closure, so that nothing that began in it can be current afterwards.
    is_closure: bool,
}

impl Span {
    #[inline]
    pub(super) fn begin(site: &'static SpanSite, describe: impl FnOnce(&mut Describe<'_>)) -> Self {
        let told = site.is_told();
        // Both calls make it in the place where it stays: it is long enough for a copy to be felt.
        if told || export::is_wanted() {
            Self::begin_noted(site, told, describe)
        } else {
            Self::begin_unnoted(site, false)
        }
    }

    #[inline(never)]
    fn begin_unnoted(site: &'static SpanSite, told: bool) -> Self {
        let (before, token) = (current::current(), current::next_token());
        let began = with_mine(|mine| mine.begin(site, before, token, told));
        let (own, started) = began.unwrap_or((current::NOTHING, None));
        if began.is_some() {
            current::enter_span(&own);
        }
        Self {
            site,
            notes: SpanNotes::new(own),
            before,
            started: started.unwrap_or(Instant::ZERO),
            kept: started.is_some(),
            told,
            began_in_a_panic: thread::panicking(),
            is_closure: false,
        }
    }

    /// Takes the attributes, and tells handlers.
    #[cold]
    fn begin_noted(
        site: &'static SpanSite,
        told: bool,
        describe: impl FnOnce(&mut Describe<'_>),
    ) -> Self {
        // It is there to be dropped: attributes are made by code of a user, which may panic.
        let span = Self::begin_unnoted(site, told);
        if let Some(begun) = span.begun() {
            let mut notes = Box::new(Notes::of_trace(begun.ambient));
            describe(&mut |attributes| notes.describe(attributes));
            begun.has_begun(&notes);
            let own = span.notes.own;
            if let Some(place) = own.place() {
                with_mine(|mine| mine.take_notes(own.token, place, notes));
            }
        }
        span
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.site.name()
    }

    /// Whether it is kept: recorded, and told of.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.kept
    }

    /// What to send with a request that is made in it. `None` only in a thread whose thread-locals are destroyed.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.notes.own.ambient().map(Ambient::traceparent)
    }

    /// In which span it was begun, if its trace did not begin with it.
    #[must_use]
    pub fn parent_id(&self) -> Option<SpanId> {
        self.before.span_id()
    }

    /// Ends it now, as dropping it does.
    pub fn end(self) {}

    /// Its work has panicked.
    pub(super) fn has_panicked(&self, reason: &str, place: Option<&str>) {
        self.notes.note(|notes| {
            notes.reason = Some(reason.to_owned());
            notes.place = place.map(str::to_owned);
        });
    }

    /// It ends with a closure.
    #[inline]
    pub(super) const fn ends_with_a_closure(&mut self) {
        self.is_closure = true;
    }

    /// What is told of it. `None` if it is not kept.
    fn begun(&self) -> Option<Begun> {
        let ambient = self.notes.own.ambient().filter(|_| self.kept)?;
        Some(Begun {
            site: self.site,
            ambient,
            parent_id: self.parent_id(),
            parent_is_remote: self.before.is_remote(),
            started: self.started,
            told: self.told,
        })
    }

    #[inline]
    fn over(&self) {
        let ended = clock::now();
        let status = if thread::panicking() && !self.began_in_a_panic {
            SpanStatus::Panicked
        } else {
            SpanStatus::Ended
        };
        let over = with_mine(|mine| mine.end(self, ended, status));
        if let Some(Some((status, notes))) = over
            // Both were asked when it began, and notes were taken if one of them said yes.
            && (self.told || notes.is_some())
        {
            self.tell(ended, status, notes);
        }
    }

    #[cold]
    fn tell(&self, ended: Instant, status: SpanStatus, notes: Option<Box<Notes>>) {
        if let Some(begun) = self.begun() {
            begun.is_over(ended, status, notes);
        }
    }

    /// Its token, and where it is in the thread's table.
    #[inline]
    pub(super) fn which(&self) -> (u64, Option<Place>) {
        (self.notes.own.token, self.notes.own.place())
    }

    /// Its record, if it has an identity.
    #[inline]
    pub(super) fn record(&self, ended: Instant, status: SpanStatus) -> Option<SpanRecord> {
        let own = self.notes.own.ambient()?;
        Some(SpanRecord {
            trace_id: own.trace_id,
            span_id: own.span_id,
            parent_id: self.before.span_id(),
            started: self.started,
            ended,
            site: self.site.index(),
            status,
            choice: own.choice,
        })
    }
}

impl Drop for Span {
    #[inline(never)]
    fn drop(&mut self) {
        let own = &self.notes.own;
        if own.span_id().is_none() {
            return;
        }
        if self.is_closure {
            current::leave_with_its_closure(own.token, &self.before);
        } else {
            current::leave(own.token, &self.before);
        }
        if self.kept {
            self.over();
        }
    }
}

impl Deref for Span {
    type Target = SpanNotes;

    fn deref(&self) -> &SpanNotes {
        &self.notes
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("name", &self.name())
            .field("traceparent", &self.traceparent())
            .field("kept", &self.is_kept())
            .finish_non_exhaustive()
    }
}

/// The innermost span that is open on this thread, to note something of it without having its guard. `None` if there is
/// none: if nothing is current, or a span that came with a [context](crate::context), which is noted of where it was begun.
///
/// ```
/// use bedplate::telemetry::{self, span};
///
/// fn count_rows(rows: u64) {
///     if let Some(span) = span::innermost() {
///         span.measure("rows", rows);
///     }
/// }
///
/// assert!(span::innermost().is_none());
/// let query = telemetry::span!("query");
/// count_rows(3);
/// ```
#[must_use]
pub fn innermost() -> Option<SpanNotes> {
    let current = current::current();
    current.is_a_span().then(|| SpanNotes::new(current))
}

/// Where something is noted of a span that is open on this thread: of a [`Span`], or of the [innermost].
///
/// Nothing is noted of a span that nobody could see, and nothing once it has ended; see the [module](super). What exceeds
/// a limit is left out and counted in [`Dropped`](super::Dropped).
#[derive(Clone, Copy)]
pub struct SpanNotes {
    own: Current,
    not_send: PhantomData<*const ()>,
}

impl SpanNotes {
    const fn new(own: Current) -> Self {
        Self {
            own,
            not_send: PhantomData,
        }
    }

    /// Something that is known about it, in the place of what was known under this key before.
    pub fn attribute<'v>(&self, key: &'static str, value: impl Into<Value<'v>>) {
        // What is to be shown is a user's code, and so runs before anything is borrowed.
        if self.is_noted() {
            let value = value.into().into();
            self.note(|notes| notes.attribute(key, value));
        }
    }

    /// Something that was measured, in the place of an earlier one of this key. `duration` and `monotonic_time` are
    /// measured anyway.
    pub fn measure(&self, key: &'static str, number: impl Into<Measurement>) {
        let number = number.into();
        self.note(|notes| notes.measure(key, number));
    }

    /// Something that happened in it, now.
    pub fn event(&self, name: &'static str, attributes: &[(&'static str, Value<'_>)]) {
        if self.is_noted() {
            let event = SpanEvent::now(name, attributes);
            self.note(|notes| notes.event(event));
        }
    }

    /// Another span that it has to do with, and which is not its parent: in which way says `relation`, for instance
    /// `follows_from`.
    pub fn link(&self, to: TraceParent, relation: &'static str) {
        self.note(|notes| notes.link(Link { to, relation }));
    }

    /// That it has failed, and why. That it has is recorded also where the reason is not noted.
    pub fn fail(&self, reason: impl fmt::Display) {
        let (token, Some(place)) = (self.own.token, self.own.place()) else {
            return;
        };
        let reason = self.is_noted().then(|| reason.to_string());
        with_mine(|mine| {
            mine.has_failed(token, place);
            if let Some(notes) = mine.notes(token, place) {
                notes.reason = reason;
            }
        });
    }

    fn is_noted(&self) -> bool {
        self.note(|_| ()).is_some()
    }

    fn note<R>(&self, note: impl FnOnce(&mut Notes) -> R) -> Option<R> {
        let place = self.own.place()?;
        with_mine(|mine| mine.notes(self.own.token, place).map(note)).flatten()
    }
}

impl fmt::Debug for SpanNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanNotes").finish_non_exhaustive()
    }
}
