//! A span that belongs to no thread.

use super::current::{self, Ambient, Enclosed};
use super::notes::{Link, Notes, SpanEvent};
use super::tell::Begun;
use super::thread::{Identity, with_mine};
use super::{ABANDONED, Describe, SpanSite, count, export, table};
use crate::clock;
use crate::sync::thread;
use crate::telemetry::{Measurement, Value};
use bedplate_core::context::{SpanId, TraceParent};
use bedplate_core::span::SpanStatus;
use core::fmt;

/// A span that belongs to no thread: for work that moves, or that is ended by another than who begins it. Made by
/// [`SpanSite::start_owned`].
///
/// It is current only where that is asked for: for the time of a [closure](Self::run), or in a
/// [context](crate::context::Context::with_span) that is handed on. It ends when it is dropped.
///
/// # Concurrency
/// Beginning and ending lock for a moment a list that all threads share.
///
/// ```
/// use bedplate::telemetry::span::{self, SpanSite};
/// use std::thread;
///
/// static JOB: SpanSite = SpanSite::new("job", "job.start", "job.stop", "job.exception");
///
/// let mut job = JOB.start_owned(|describe| describe(&[("kind", "nightly".into())]));
/// let parent = job.traceparent();
/// thread::spawn(move || {
///     job.run(|| assert_eq!(span::current(), parent));
///     job.fail("out of paper");
/// }).join().unwrap();
/// ```
#[must_use = "a span lasts as long as this is held"]
pub struct OwnedSpan {
    site: &'static SpanSite,
    /// `None` if the thread's locals were destroyed where it was to begin.
    identity: Option<Identity>,
    /// `None` if it is not kept, or has ended.
    begun: Option<Begun>,
    notes: Option<Box<Notes>>,
    has_failed: bool,
    /// Whether the thread was unwinding already.
    began_in_a_panic: bool,
}

impl OwnedSpan {
    pub(super) fn begin(site: &'static SpanSite, describe: impl FnOnce(&mut Describe<'_>)) -> Self {
        let parent = current::ambient();
        let identity = with_mine(|mine| mine.identify(parent));
        let kept = identity.filter(|identity| identity.ambient.choice.is_kept());
        let told = site.is_told();
        let begun = kept.map(|identity| Begun::now(site, identity, told));
        if let Some(begun) = &begun {
            table::open_owned(&begun.as_open());
        }
        let mut span = Self {
            site,
            identity,
            begun,
            notes: None,
            has_failed: false,
            began_in_a_panic: thread::panicking(),
        };
        // When it is there to be dropped: attributes are made by code of a user, which may panic.
        if let Some(begun) = &span.begun
            && (told || export::is_wanted())
        {
            let mut notes = Box::new(Notes::of_trace(begun.ambient));
            describe(&mut |attributes| notes.describe(attributes));
            begun.has_begun(&notes);
            span.notes = Some(notes);
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

    /// What to send with a request that is made in it. `None` only if it was begun in a thread whose thread-locals were
    /// destroyed.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.ambient().map(Ambient::traceparent)
    }

    /// In which span it was begun, if its trace did not begin with it.
    #[must_use]
    pub fn parent_id(&self) -> Option<SpanId> {
        self.identity?.parent_id
    }

    /// Runs `body` with this as the current span of the thread, and restores what was current when it returns or panics.
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        let _in_it = self
            .ambient()
            .map(|ambient| Within(current::enclose(Some(ambient))));
        body()
    }

    /// Something that is known about it, in the place of what was known under this key before. As all that is noted,
    /// only if somebody could see it.
    pub fn attribute<'v>(&mut self, key: &'static str, value: impl Into<Value<'v>>) {
        if let Some(notes) = &mut self.notes {
            notes.attribute(key, value.into().into());
        }
    }

    /// Something that was measured, in the place of an earlier one of this key.
    pub fn measure(&mut self, key: &'static str, number: impl Into<Measurement>) {
        if let Some(notes) = &mut self.notes {
            notes.measure(key, number.into());
        }
    }

    /// Something that happened in it, now.
    pub fn event(&mut self, name: &'static str, attributes: &[(&'static str, Value<'_>)]) {
        if let Some(notes) = &mut self.notes {
            notes.event(SpanEvent::now(name, attributes));
        }
    }

    /// Another span that it has to do with, and which is not its parent: in which way says `relation`.
    pub fn link(&mut self, to: TraceParent, relation: &'static str) {
        if let Some(notes) = &mut self.notes {
            notes.link(Link { to, relation });
        }
    }

    /// That it has failed, and why. That it has is recorded also where the reason is not noted.
    pub fn fail(&mut self, reason: impl fmt::Display) {
        self.has_failed = true;
        if let Some(notes) = &mut self.notes {
            notes.reason = Some(reason.to_string());
        }
    }

    /// Ends it now, as dropping it does.
    pub fn end(self) {}

    /// Ends it, because whoever should have done so will not.
    pub fn abandon(mut self) {
        if self.begun.is_some() {
            count(&ABANDONED);
        }
        self.over(SpanStatus::Abandoned);
    }

    pub(crate) fn ambient(&self) -> Option<Ambient> {
        self.identity.map(|identity| identity.ambient)
    }

    fn over(&mut self, status: SpanStatus) {
        if let Some(begun) = self.begun.take() {
            let ended = clock::now();
            table::close_owned(begun.ambient.span_id);
            with_mine(|mine| mine.record(&begun, ended, status));
            begun.is_over(ended, status, self.notes.take());
        }
    }
}

impl Drop for OwnedSpan {
    fn drop(&mut self) {
        self.over(if thread::panicking() && !self.began_in_a_panic {
            SpanStatus::Panicked
        } else if self.has_failed {
            SpanStatus::Failed
        } else {
            SpanStatus::Ended
        });
    }
}

impl fmt::Debug for OwnedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSpan")
            .field("name", &self.name())
            .field("traceparent", &self.traceparent())
            .field("kept", &self.is_kept())
            .finish_non_exhaustive()
    }
}

/// It is current for the time of a closure.
struct Within(Enclosed);

impl Drop for Within {
    fn drop(&mut self) {
        self.0.leave();
    }
}
