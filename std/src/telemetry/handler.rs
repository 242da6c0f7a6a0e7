//! Attaching, detaching, listing.

use super::batch::Ending;
use super::dispatch::{self, Attached, Callback};
use super::drainer;
use super::thin::Thinning;
use super::{Event, EventName, FailurePolicy, Outcome, Pattern};
use crate::clock;
use crate::process::panic::install_hook;
use crate::sync::{Arc, thread};
use bedplate_core::handlers::AttachError as Reason;
use core::fmt;
use core::time::Duration;

/// Attaches a handler: from now on it is called for each event that `pattern` matches, behind those that were
/// attached before, on the thread on which the event happens. It says what happened by returning nothing, or a
/// `Result`; an error counts as a failure, as does a panic, and what follows from failures its
/// [policy](FailurePolicy) says.
///
/// For filters, other policies and several patterns, see [`handler`].
///
/// # Errors
/// [`AttachError`] gives the handler back, and says why: the id is in use, or a limit is reached.
///
/// # Concurrency
/// Blocking: edits wait for each other, a few microseconds. Whoever was told that a handler is attached, and
/// emits then, reaches it; an emission that has begun does not.
///
/// ```
/// use bedplate::telemetry::{self, EventName};
///
/// const PLACED: EventName = EventName::new("order.placed");
/// telemetry::attach("printer", PLACED, |event: &telemetry::Event<'_>| println!("{event}"))?;
/// telemetry::emit!("order.placed", { count: 1_u64 });
/// assert!(telemetry::detach("printer").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn attach<'p, F, O>(
    id: &str,
    pattern: impl Into<Pattern<'p>>,
    handler: F,
) -> Result<(), AttachError<F>>
where
    F: Fn(&Event<'_>) -> O + Send + Sync + 'static,
    O: Outcome,
{
    attach_many(id, &[pattern.into()], handler)
}

/// As [`attach`], to all events that any of the patterns matches. It is called once for each.
///
/// # Errors
/// As [`attach`].
pub fn attach_many<F, O>(
    id: &str,
    patterns: &[Pattern<'_>],
    handler: F,
) -> Result<(), AttachError<F>>
where
    F: Fn(&Event<'_>) -> O + Send + Sync + 'static,
    O: Outcome,
{
    self::handler(id).to_many(patterns).attach(handler)
}

/// Prepares a handler that is to be attached as `id`.
///
/// ```
/// use bedplate::telemetry::{self, EventName, FailurePolicy, Pattern};
///
/// telemetry::handler("large")
///     .to(Pattern::under(EventName::new("order")))
///     .filter(|event| event.measurement("total").is_some_and(|total| total.as_f64() > 1e3))
///     .on_failure(FailurePolicy::Keep)
///     .attach(|event: &telemetry::Event<'_>| println!("{event}"))?;
/// # telemetry::detach("large")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn handler(id: &str) -> HandlerBuilder<'_> {
    HandlerBuilder {
        id,
        patterns: Vec::new(),
        filter: None,
        thinning: Thinning::default(),
        policy: FailurePolicy::default(),
    }
}

/// A handler that is about to be attached; see [`handler`].
#[must_use = "it is not attached until it is given a function"]
pub struct HandlerBuilder<'p> {
    pub(super) id: &'p str,
    patterns: Vec<Pattern<'p>>,
    filter: Option<Filter>,
    pub(super) thinning: Thinning,
    policy: FailurePolicy,
}

/// Which events a handler wants, of those that its patterns match.
pub(super) type Filter = Box<dyn Fn(&Event<'_>) -> bool + Send + Sync>;

impl<'p> HandlerBuilder<'p> {
    /// Also to the events that `pattern` matches.
    pub fn to(mut self, pattern: impl Into<Pattern<'p>>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// Also to the events that any of the patterns matches.
    pub fn to_many(mut self, patterns: &[Pattern<'p>]) -> Self {
        self.patterns.extend_from_slice(patterns);
        self
    }

    /// Of these events, only those for which `filter` says so. One that panics fails as the handler does. The
    /// last filter that is given counts.
    pub fn filter(mut self, filter: impl Fn(&Event<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Box::new(filter));
        self
    }

    /// What follows if it fails: it is detached with the third failure within a minute, unless told otherwise.
    pub const fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Attaches `handler`.
    ///
    /// # Errors
    /// As [`attach`](super::attach).
    pub fn attach<F, O>(self, handler: F) -> Result<(), AttachError<F>>
    where
        F: Fn(&Event<'_>) -> O + Send + Sync + 'static,
        O: Outcome,
    {
        self.attach_as(handler, None)
    }

    /// Attaches `handler`, which may be the beginning of something that ends later.
    pub(super) fn attach_as<F, O>(
        self,
        handler: F,
        collecting: Option<Arc<Ending>>,
    ) -> Result<(), AttachError<F>>
    where
        F: Fn(&Event<'_>) -> O + Send + Sync + 'static,
        O: Outcome,
    {
        // So that failures can be told with their place.
        install_hook();
        drainer::flush_at_exit_of_main();
        let function = Box::new(Function(handler));
        let Self {
            id,
            patterns,
            filter,
            thinning,
            policy,
        } = self;
        thinning.begin();
        let attached = Attached::new(function, filter, thinning, policy, collecting);
        let result = dispatch::edit(|editor| editor.attach(id, &patterns, attached));
        result.map_err(|refused| AttachError {
            reason: refused.error,
            handler: refused.value.into_function(),
        })
    }
}

impl fmt::Debug for HandlerBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerBuilder")
            .field("id", &self.id)
            .field("patterns", &self.patterns)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A user's function.
pub(super) struct Function<F>(pub(super) F);

impl<F, O> Callback for Function<F>
where
    F: Fn(&Event<'_>) -> O + Send + Sync + 'static,
    O: Outcome,
{
    fn call(&self, event: &Event<'_>) -> Result<(), String> {
        (self.0)(event).into_result()
    }
}

/// A handler was not attached; here it is again.
pub struct AttachError<F> {
    /// Why.
    pub reason: AttachReason,
    /// What was to be attached.
    pub handler: F,
}

/// Why a handler was not attached.
pub type AttachReason = Reason;

impl<F> fmt::Debug for AttachError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachError")
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Display for AttachError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<F> core::error::Error for AttachError<F> {}

/// Detaches what is attached as `id`, and waits until no thread is in it: when this returns
/// [`Detached::Silent`], the handler does not run and never will, what it did is done, and what it captured has
/// been dropped. One with [batches](HandlerBuilder::attach_batched) is given its last one before, as often as its limits
/// say, by the thread that tells recorded events, which may be in another handler first.
///
/// Within a handler, this one or another, and in a destructor that runs on the telling thread, nobody is waited for,
/// since those that wait for each other would wait for ever: the answer is [`Detached::FromWithin`], and no call begins
/// any more.
///
/// # Errors
/// [`NotAttached`] if there is none of this id.
///
/// # Concurrency
/// Blocking: it waits for calls of this handler that have begun, and for no others. Who holds a lock that the
/// handler takes waits for ever; see [`detach_within`].
pub fn detach(id: &str) -> Result<Detached, NotAttached> {
    detach_until(id, None)
}

/// As [`detach`], but waits no longer than `patience`, and then answers [`Detached::StillRunning`]. The handler is
/// detached all the same.
///
/// # Errors
/// As [`detach`].
pub fn detach_within(id: &str, patience: Duration) -> Result<Detached, NotAttached> {
    detach_until(id, Some(patience))
}

fn detach_until(id: &str, patience: Option<Duration>) -> Result<Detached, NotAttached> {
    let detaching = dispatch::edit(|editor| editor.detach(id)).ok_or(NotAttached)?;
    if dispatch::is_in_a_handler() || drainer::is_here() {
        dispatch::leave_behind(detaching);
        return Ok(Detached::FromWithin);
    }
    let deadline = patience.map(|patience| clock::now().saturating_add(patience));
    let mut detaching = detaching;
    let mut looks = 0_u32;
    loop {
        match detaching.finish() {
            Ok(attached) => {
                // Users' values, outside every lock.
                let ending = attached.let_go();
                let has_ended = ending.is_none_or(|ending| ending.wait_until(deadline));
                return Ok(if has_ended {
                    Detached::Silent
                } else {
                    Detached::StillRunning
                });
            }
            Err(running) => detaching = running,
        }
        if deadline.is_some_and(|deadline| clock::now() >= deadline) {
            dispatch::leave_behind(detaching);
            return Ok(Detached::StillRunning);
        }
        pause(looks);
        looks = looks.saturating_add(1);
    }
}

/// A moment, longer if one has looked often: who calls handlers wakes nobody, as that would cost every call.
fn pause(looks: u32) {
    const SHORTEST: Duration = Duration::from_micros(20);
    const LONGEST: Duration = Duration::from_millis(1);
    if looks < 20 {
        thread::yield_now();
    } else {
        thread::sleep((SHORTEST * (looks - 19)).min(LONGEST));
    }
}

/// How a detachment went. In each case the handler is detached, and no call of it begins any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Detached {
    /// It does not run, and never will.
    Silent,
    /// This thread is in a handler, so nobody was waited for: calls that have begun end by themselves, and what was
    /// collected is handed out. What it captured is dropped with the end of this thread's emission, or a later edit.
    FromWithin,
    /// The patience was over, or the thread that hands out the last batch could not be started. A call that has begun
    /// ends by itself; what it captured is dropped with a later edit.
    StillRunning,
}

/// No handler of this id is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotAttached;

impl fmt::Display for NotAttached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no handler of this id is attached")
    }
}

impl core::error::Error for NotAttached {}

/// A handler and one of its patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The id of the handler.
    pub id: String,
    /// The pattern, as in `order.placed`, `order.*` and `*`.
    pub pattern: String,
}

/// Which handlers are attached to events that lie under `prefix`, or at all: in the order of attachment, with
/// each of the patterns that do. One that is attached to everything lies under no prefix.
///
/// # Concurrency
/// Blocking, as [`attach`]. O(patterns).
#[must_use]
pub fn list(prefix: Option<&EventName<'_>>) -> Vec<Listed> {
    let mut listed = Vec::new();
    dispatch::edit(|editor| {
        editor.list(prefix, |id, pattern| {
            listed.push(Listed {
                id: id.to_owned(),
                pattern: pattern.to_string(),
            });
        });
    });
    listed
}
