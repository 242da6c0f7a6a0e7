//! A span of the thread on which it was begun.

use super::current::{self, Ambient, Entered};
use super::notes::{Link, Notes, SpanEvent};
use super::tell::Begun;
use super::thread::{Start, with_mine};
use super::{Describe, SpanSite, export};
use crate::clock;
use crate::sync::thread;
use crate::telemetry::{Measurement, Value};
use bedplate_core::context::{SpanId, TraceParent};
use bedplate_core::span::Place;
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
    /// `None`, as all of it, if the thread's locals were destroyed.
    ambient: Option<Ambient>,
    entered: Option<Entered>,
    /// `None` if it is not kept.
    begun: Option<Begun>,
    notes: SpanNotes,
    /// Whether the thread was unwinding already.
    began_in_a_panic: bool,
    /// Whether it ends with a closure, so that nothing that began in it can be current afterwards.
    is_closure: bool,
}

impl Span {
    #[inline]
    pub(super) fn begin(site: &'static SpanSite, describe: impl FnOnce(&mut Describe<'_>)) -> Self {
        let before = current::current();
        let token = current::next_token();
        let told = site.is_told();
        let start = with_mine(|mine| mine.begin(site, before, token, told));
        let (ambient, begun, place) = match start {
            Some(Start::Kept { begun, place }) => (Some(begun.ambient), Some(begun), place),
            Some(Start::Left(ambient)) => (Some(ambient), None, None),
            None => (None, None, None),
        };
        let entered = ambient.map(|ambient| current::enter_span(before, token, ambient, place));
        let span = Self {
            site,
            ambient,
            entered,
            begun,
            notes: SpanNotes::new(token, place),
            began_in_a_panic: thread::panicking(),
            is_closure: false,
        };
        // When it is there to be dropped: attributes are made by code of a user, which may panic.
        if let Some(begun) = &span.begun
            && (told || export::is_wanted())
        {
            note_beginning(begun, token, place, describe);
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
        self.begun.is_some()
    }

    /// What to send with a request that is made in it. `None` only in a thread whose thread-locals are destroyed.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.ambient.map(Ambient::traceparent)
    }

    /// In which span it was begun, if its trace did not begin with it.
    #[must_use]
    pub fn parent_id(&self) -> Option<SpanId> {
        let before = self.entered.as_ref()?.before()?;
        Some(before.span_id)
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
    pub(super) fn of_a_closure(mut self) -> Self {
        self.is_closure = true;
        self
    }

    /// What is to be told of its end is told.
    #[inline]
    fn over(&self, begun: &Begun) {
        let ended = clock::now();
        let panicked = thread::panicking() && !self.began_in_a_panic;
        let which = (self.notes.token, self.notes.place);
        let over = with_mine(|mine| mine.end(begun, which, ended, panicked));
        if let Some(Some((status, notes))) = over {
            begun.is_over(ended, status, notes);
        }
    }
}

/// Takes the attributes, and tells handlers.
#[cold]
fn note_beginning(
    begun: &Begun,
    token: u64,
    place: Option<Place>,
    describe: impl FnOnce(&mut Describe<'_>),
) {
    let mut notes = Box::<Notes>::default();
    describe(&mut |attributes| notes.describe(attributes));
    begun.has_begun(&notes);
    if let Some(place) = place {
        with_mine(|mine| mine.take_notes(token, place, notes));
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        match &self.entered {
            Some(entered) if self.is_closure => entered.leave_with_its_closure(),
            Some(entered) => entered.leave(),
            None => {}
        }
        if let Some(begun) = &self.begun {
            self.over(begun);
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
    current
        .is_a_span
        .then(|| SpanNotes::new(current.token, current.place))
}

/// Where something is noted of a span that is open on this thread: of a [`Span`], or of the [innermost].
///
/// Nothing is noted of a span that nobody could see, and nothing once it has ended; see the [module](super). What exceeds
/// a limit is left out and counted in [`Dropped`](super::Dropped).
#[derive(Clone, Copy)]
pub struct SpanNotes {
    token: u64,
    place: Option<Place>,
    not_send: PhantomData<*const ()>,
}

impl SpanNotes {
    const fn new(token: u64, place: Option<Place>) -> Self {
        Self {
            token,
            place,
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
        let Some(place) = self.place else { return };
        let reason = self.is_noted().then(|| reason.to_string());
        with_mine(|mine| {
            mine.has_failed(self.token, place);
            if let Some(notes) = mine.notes(self.token, place) {
                notes.reason = reason;
            }
        });
    }

    fn is_noted(&self) -> bool {
        self.note(|_| ()).is_some()
    }

    fn note<R>(&self, note: impl FnOnce(&mut Notes) -> R) -> Option<R> {
        let place = self.place?;
        with_mine(|mine| mine.notes(self.token, place).map(note)).flatten()
    }
}

impl fmt::Debug for SpanNotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanNotes").finish_non_exhaustive()
    }
}
