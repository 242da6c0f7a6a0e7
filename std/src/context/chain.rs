//! The immutable chain of frames behind a [`Context`].
//!
//! A frame never changes once it is made, so chains may share it. `depth` counts the frames of the
//! chain, hidden ones too; when it reaches [`MAX_KEYS`], the chain is rebuilt without the hidden
//! frames, so that only *different* keys count towards the limit and a chain is never longer than
//! the limit: its walk, its destructor's recursion and its printing are all bounded.

use alloc::sync::Arc;
use core::{fmt, iter, ptr};

use bedplate_core::context::Base;

use super::key::{ContextValue, Key, KeyIdentity, Value};
use super::thread::{self, Attached};
use super::trail::{Breadcrumbs, Trail};
use crate::telemetry::span::{Ambient, OwnedSpan, TraceId, TraceParent, TraceState};

/// How many different keys a context can hold.
pub const MAX_KEYS: usize = 32;

/// An immutable set of key-value entries, in the order in which they were added.
///
/// Cloning costs one reference count, and another if there are breadcrumbs. It prints its entries newest first, `key=value` separated by
/// spaces, each key once, with its newest value; if values were dropped at the limit of
/// [`MAX_KEYS`], a last entry `context_dropped=` says how many.
///
/// ```
/// use bedplate::context::{Context, Key};
/// static JOB: Key<u64> = Key::new("job");
/// static STEP: Key<&'static str> = Key::new("step");
///
/// let context = Context::empty().with_value(&JOB, 7).with_value(&STEP, "load");
/// assert_eq!(context.to_string(), "step=load job=7");
/// assert_eq!(context.with_value(&JOB, 8).to_string(), "job=8 step=load");
/// ```
#[derive(Clone, Default)]
pub struct Context {
    newest: Option<Arc<Frame>>,
    rest: Option<Arc<Rest>>,
}

/// What few contexts have, so that the others are two words.
#[derive(Clone, Default)]
struct Rest {
    dropped: u32,
    trail: Trail,
    /// In which span it was captured, or is to be run.
    span: Option<Ambient>,
    /// What a trace carries along: that of the span, mostly. A span of another trace may be noted for a while.
    carried: Option<(TraceId, Arc<str>)>,
}

pub(super) struct Frame {
    key: &'static KeyIdentity,
    value: Value,
    depth: usize,
    /// True if this frame or an older one has a local key.
    holds_local: bool,
    older: Option<Arc<Frame>>,
}

impl Context {
    /// A context without entries.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            newest: None,
            rest: None,
        }
    }

    /// This context with `value` under `key` as its newest entry.
    ///
    /// If it already holds [`MAX_KEYS`] other keys, the value is left out and
    /// [`dropped`](Self::dropped) is one more. O(1), except that a chain full of hidden values is
    /// tidied first, which is O(`MAX_KEYS`²).
    #[must_use]
    pub fn with_value<T: ContextValue>(&self, key: &'static Key<T>, value: T) -> Self {
        self.push(key, value)
    }

    pub(super) fn push<T: ContextValue>(&self, key: &'static Key<T>, value: T) -> Self {
        self.push_frame(key.identity(), value.into_value())
    }

    pub(super) fn push_frame(&self, key: &'static KeyIdentity, value: Value) -> Self {
        let full = self
            .newest
            .as_ref()
            .is_some_and(|frame| frame.depth == MAX_KEYS);
        if !full {
            return Self {
                newest: Some(Frame::on(self.newest.clone(), key, value)),
                rest: self.rest.clone(),
            };
        }
        let mut tidied = self.rebuilt(|other| !ptr::eq(other, key));
        if tidied
            .newest
            .as_ref()
            .is_some_and(|frame| frame.depth == MAX_KEYS)
        {
            let rest = tidied.rest_mut();
            rest.dropped = rest.dropped.saturating_add(1);
        } else {
            tidied.newest = Some(Frame::on(tidied.newest.take(), key, value));
        }
        tidied
    }

    /// A new chain of the visible frames whose key is wanted.
    #[cold]
    fn rebuilt(&self, wanted: impl Fn(&'static KeyIdentity) -> bool) -> Self {
        let visible: Vec<&Frame> = self
            .visible_frames()
            .filter(|frame| wanted(frame.key))
            .collect();
        let newest = visible.into_iter().rev().fold(None, |older, frame| {
            Some(Frame::on(older, frame.key, frame.value.clone()))
        });
        Self {
            newest,
            rest: self.rest.clone(),
        }
    }

    /// These frames on this context.
    pub(super) fn under(&self, newest: Option<Arc<Frame>>) -> Self {
        Self {
            newest,
            rest: self.rest.clone(),
        }
    }

    pub(super) const fn newest(&self) -> Option<&Arc<Frame>> {
        self.newest.as_ref()
    }

    /// Without the local keys.
    pub(super) fn inheritable(self) -> Self {
        match &self.newest {
            Some(frame) if frame.holds_local => self.rebuilt(|key| !key.local),
            _ => self,
        }
    }

    /// This context, and from `ambient` the entries whose keys it does not have, as the oldest ones: as many of
    /// the newest as there is room for, the others counted as dropped. Breadcrumbs of `ambient` are taken only
    /// where there are none. O(depth²).
    pub(crate) fn completed(self, ambient: &Self) -> Self {
        let missing = |entry: &(&'static KeyIdentity, &Value)| self.value_of(entry.0).is_none();
        let mut missing: Vec<_> = ambient.entries().filter(missing).collect();
        let own: Vec<_> = self.entries().collect();
        let room = MAX_KEYS - own.len();
        let left_out = missing.len().saturating_sub(room);
        missing.truncate(room);
        let newest = if missing.is_empty() {
            self.newest.clone()
        } else {
            let all = own.iter().chain(&missing).rev();
            all.fold(None, |older, (key, value)| {
                Some(Frame::on(older, key, (*value).clone()))
            })
        };
        let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
        let dropped = self.dropped().max(ambient.dropped());
        let crumbs = if self.trail().is_some() {
            &self
        } else {
            ambient
        };
        let mut completed = Self::made_of(
            newest,
            dropped.saturating_add(left_out),
            crumbs.trail().cloned().unwrap_or_default(),
        );
        let traced = if self.span().is_some() {
            &self
        } else {
            ambient
        };
        completed.set_span(traced.span());
        completed.set_carried(traced.carried().cloned());
        completed
    }

    /// In which span it was [captured](super::capture), or what [`with_traceparent`](Self::with_traceparent) said: what
    /// to send along with a request that is made for it. `None` if there was none.
    ///
    /// ```
    /// use bedplate::{context, telemetry};
    ///
    /// let request = telemetry::span!("request");
    /// assert_eq!(context::capture().traceparent(), request.traceparent());
    /// ```
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.span().map(Ambient::traceparent)
    }

    /// This context in a span of which nothing is known but what stands in a header: what is begun while it is attached
    /// belongs to the trace of that, as its child, and is kept if its flags say that the trace is sampled.
    ///
    /// ```
    /// use bedplate::context::Context;
    /// use bedplate::telemetry::{self, span::TraceParent};
    ///
    /// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    /// let parent: TraceParent = header.parse()?;
    /// Context::empty().with_traceparent(parent).run(|| {
    ///     let request = telemetry::span!("request");
    ///     assert_eq!(request.parent_id(), Some(parent.parent_id));
    ///     assert_eq!(request.traceparent().map(|it| it.trace_id), Some(parent.trace_id));
    /// });
    /// # Ok::<(), bedplate_core::context::TraceParentError>(())
    /// ```
    #[must_use]
    pub fn with_traceparent(mut self, parent: TraceParent) -> Self {
        self.set_span(Some(Ambient::remote(parent)));
        self
    }

    /// This context with what came beside that header for others, and is to be sent on with every request that is made for
    /// it: see [`tracestate`](crate::telemetry::span::tracestate). It goes with the trace: without one there is nothing it
    /// belongs to, and nothing is kept; in another [trace](Self::with_traceparent) it is not shown.
    #[must_use]
    pub fn with_tracestate(mut self, state: &TraceState<'_>) -> Self {
        if let Some(trace) = self.traceparent().map(|parent| parent.trace_id) {
            let text = (state.length() > 0).then(|| (trace, state.to_string().into()));
            self.set_carried(text);
        }
        self
    }

    /// What [`with_tracestate`](Self::with_tracestate) said.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        let trace = self.traceparent()?.trace_id;
        let (of, text) = self.carried()?;
        (*of == trace).then_some(&**text)
    }

    /// What a trace carries along, and which.
    pub(super) fn carried(&self) -> Option<&(TraceId, Arc<str>)> {
        self.rest.as_ref()?.carried.as_ref()
    }

    fn set_carried(&mut self, carried: Option<(TraceId, Arc<str>)>) {
        if self.carried() != carried.as_ref() {
            self.rest_mut().carried = carried;
        }
    }

    /// This context in a span that belongs to no thread: for whoever works for it elsewhere.
    ///
    /// ```
    /// use bedplate::context;
    /// use bedplate::telemetry::span::{self, SpanSite};
    ///
    /// static JOB: SpanSite = SpanSite::new("job", "job.start", "job.stop", "job.exception");
    /// let job = JOB.start_owned(|_| ());
    /// context::capture().with_span(&job).run(|| assert_eq!(span::current(), job.traceparent()));
    /// ```
    #[must_use]
    pub fn with_span(mut self, span: &OwnedSpan) -> Self {
        self.set_span(span.ambient());
        self
    }

    pub(crate) fn span(&self) -> Option<Ambient> {
        self.rest.as_ref()?.span
    }

    pub(crate) fn set_span(&mut self, span: Option<Ambient>) {
        if self.span() != span {
            self.rest_mut().span = span;
        }
    }

    /// The value of `key`, or `None` if it is not set. O(depth).
    #[must_use]
    pub fn get<T: ContextValue>(&self, key: &'static Key<T>) -> Option<T> {
        self.value_of(key.identity()).and_then(T::from_value)
    }

    pub(crate) fn value_of(&self, key: &'static KeyIdentity) -> Option<&Value> {
        self.frames()
            .find(|frame| ptr::eq(frame.key, key))
            .map(|frame| &frame.value)
    }

    /// What was left in it with [`breadcrumb`](super::breadcrumb), newest first.
    #[must_use]
    pub fn breadcrumbs(&self) -> Breadcrumbs<'_> {
        Breadcrumbs::of(self.trail())
    }

    fn trail(&self) -> Option<&Trail> {
        let trail = self.rest.as_ref().map(|rest| &rest.trail);
        trail.filter(|trail| !trail.is_empty())
    }

    pub(super) fn leave_crumb(&mut self, what: Value) {
        self.rest_mut().trail.push(what);
    }

    fn rest_mut(&mut self) -> &mut Rest {
        Arc::make_mut(self.rest.get_or_insert_default())
    }

    fn made_of(newest: Option<Arc<Frame>>, dropped: u32, trail: Trail) -> Self {
        let mut context = Self { newest, rest: None };
        if dropped > 0 || !trail.is_empty() {
            *context.rest_mut() = Rest {
                dropped,
                trail,
                span: None,
                carried: None,
            };
        }
        context
    }

    /// True if there is no entry and none was dropped; breadcrumbs are not entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.newest.is_none() && self.dropped() == 0
    }

    /// How many entries it has, hidden values not counted. O(depth²), at most [`MAX_KEYS`]².
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// How many values were left out because the context was full.
    #[must_use]
    pub fn dropped(&self) -> u32 {
        self.rest.as_ref().map_or(0, |rest| rest.dropped)
    }

    /// The entries, newest first, each key once with its newest value.
    #[must_use]
    pub const fn iter(&self) -> Iter<'_> {
        Iter {
            context: self,
            next: self.newest.as_ref(),
        }
    }

    /// Makes this the current context of the calling thread until the guard is dropped. To attach it more than
    /// once, attach clones.
    ///
    /// It replaces the whole current context; nothing is merged. Guards may be dropped in any
    /// order. A guard that is forgotten keeps the context in force until the enclosing
    /// [`with`](super::with) or [`run`](Self::run) ends.
    ///
    /// ```
    /// use bedplate::context::{self, Context, Key};
    /// static JOB: Key<u64> = Key::new("job");
    ///
    /// let attached = Context::empty().with_value(&JOB, 7).attach();
    /// assert_eq!(context::get(&JOB), Some(7));
    /// drop(attached);
    /// assert_eq!(context::get(&JOB), None);
    /// ```
    #[must_use = "the context is current only while the guard is held"]
    pub fn attach(self) -> Attached {
        thread::attach(self)
    }

    /// Runs `body` in this context, and restores the caller's context when it returns or panics.
    ///
    /// It replaces the whole current context; nothing is merged. For a closure that another thread
    /// will call see [`in_context`](super::in_context).
    pub fn run<R>(self, body: impl FnOnce() -> R) -> R {
        thread::run(self, body)
    }

    /// True if both are the very same chain, which implies that they hold the same entries.
    #[cfg(feature = "tracing")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same_chain = match (&self.newest, &other.newest) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (None, None) => true,
            _ => false,
        };
        same_chain && self.dropped() == other.dropped()
    }

    /// True if these are the newest frame and what was dropped.
    #[cfg(feature = "tracing")]
    pub(super) fn is_chain(&self, newest: &Arc<Frame>, dropped: u32) -> bool {
        let same_chain = self
            .newest
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, newest));
        same_chain && self.dropped() == dropped
    }

    /// The visible entries with their keys' identities, newest first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'static KeyIdentity, &Value)> {
        self.visible_frames().map(|frame| (frame.key, &frame.value))
    }

    fn frames(&self) -> impl Iterator<Item = &Frame> {
        iter::successors(self.newest.as_deref(), |frame| frame.older.as_deref())
    }

    fn visible_frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames().filter(|frame| self.shows(frame))
    }

    /// True if no newer frame hides `frame`, which is one of this chain's.
    fn shows(&self, frame: &Frame) -> bool {
        self.frames()
            .find(|other| ptr::eq(other.key, frame.key))
            .is_some_and(|newest| ptr::eq(newest, frame))
    }
}

impl Frame {
    pub(super) fn on(
        older: Option<Arc<Self>>,
        key: &'static KeyIdentity,
        value: Value,
    ) -> Arc<Self> {
        let (depth, older_local) = older
            .as_ref()
            .map_or((0, false), |frame| (frame.depth, frame.holds_local));
        Arc::new(Self {
            key,
            value,
            depth: depth + 1,
            holds_local: older_local || key.local,
            older,
        })
    }
}

/// What frames of a thread may lie on.
impl Base for Context {
    fn depth(&self) -> usize {
        self.newest.as_ref().map_or(0, |frame| frame.depth)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dropped = self.dropped();
        let dropped = (dropped > 0).then_some(dropped);
        write_entries(f, self.iter(), dropped)
    }
}

/// Writes entries as they stand in a log line, and how many were dropped if that is to be told.
pub(crate) fn write_entries<'a>(
    f: &mut fmt::Formatter<'_>,
    entries: impl Iterator<Item = (&'static str, &'a Value)>,
    dropped: Option<u32>,
) -> fmt::Result {
    let mut separator = "";
    for (name, value) in entries {
        write!(f, "{separator}{name}={value}")?;
        separator = " ";
    }
    if let Some(dropped) = dropped {
        write!(f, "{separator}context_dropped={dropped}")?;
    }
    Ok(())
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context {{{self}}}")
    }
}

/// The entries of a [`Context`], newest first; made by [`Context::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    context: &'a Context,
    next: Option<&'a Arc<Frame>>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'static str, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let frame = self.next?;
            self.next = frame.older.as_ref();
            if self.context.shows(frame) {
                return Some((frame.key.name, &frame.value));
            }
        }
    }
}

impl iter::FusedIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Context {
    type Item = (&'static str, &'a Value);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static A: Key<u32> = Key::new("a");
    static SAME_NAME: Key<u32> = Key::new("a");

    #[test]
    fn keys_of_one_name_are_different_keys() {
        let context = Context::empty().with_value(&A, 1);
        assert_eq!(context.get(&SAME_NAME), None);
        assert_eq!(context.with_value(&SAME_NAME, 2).len(), 2);
    }

    #[test]
    fn hidden_values_do_not_count_towards_the_limit() {
        let mut context = Context::empty();
        for round in 0..1000 {
            context = context.with_value(&A, round);
            assert!(context.newest.as_ref().unwrap().depth <= MAX_KEYS);
        }
        assert_eq!(context.to_string(), "a=999");
        assert_eq!(context.dropped(), 0);
    }
}
