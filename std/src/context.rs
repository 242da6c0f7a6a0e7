//! What a thread is doing: typed key-value frames that nest, restore themselves and can be handed
//! to other threads.
//!
//! ```
//! use bedplate::context::{self, Key};
//!
//! static REQUEST_ID: Key<u64> = Key::new("request_id");
//! static OPERATION: Key<&'static str> = Key::new("operation");
//!
//! context::with(&REQUEST_ID, 123, || {
//!     context::with(&OPERATION, "validate", || {
//!         assert_eq!(context::get(&REQUEST_ID), Some(123));
//!         assert_eq!(context::current().to_string(), "operation=validate request_id=123");
//!     });
//!     assert_eq!(context::get(&OPERATION), None);
//! });
//! ```
//!
//! # How it works
//!
//! A [`Context`] is an immutable chain of frames, newest first; two contexts that share a beginning
//! share the frames. A thread has a current context, and makes a [`Context`] of it when it is asked for one:
//!
//! ```text
//!   operation ──▶ request_id ──▶ job ──▶ (end)
//!   └ on the stack of `with`      └ attached: shared, counted
//! ```
//!
//! * [`with`] is a scope of the program's text. When its closure returns, fails or panics, the
//!   context is what it was before, whatever happened inside, guards that were forgotten included. It allocates
//!   nothing: its frame is on the caller's stack, until something else than [`with`] and [`get`] needs it elsewhere.
//! * [`Context::attach`] returns a guard. Guards may be dropped in any order: the context of a
//!   guard that is still held stays in force, and what it hides is restored when it goes.
//! * [`set`] and [`clear`] change the current context until the enclosing scope ends.
//!
//! Nothing is inherited by a thread on its own, because a pool's threads would keep what they
//! inherited for ever. [`capture`] takes the context along on purpose, without the keys that are
//! [`local`](Key::local); [`spawn`], [`scope`] and [`in_context`] do so by themselves.
//!
//! What a thread is in the middle of as a [span](mod@crate::telemetry::span) goes along: whoever runs in a captured context
//! begins spans as children of the one that was current where it was captured.
//!
//! An error keeps the context in which it arose: [`ResultExt::in_context`].
//!
//! # Limits
//!
//! A context holds at most [`MAX_KEYS`] different keys. A value for one key more is not stored;
//! [`Context::dropped`] counts it and the printed context says so. Of breadcrumbs the newest [`MAX_BREADCRUMBS`] are
//! kept.
//!
//! # Concurrency
//!
//! Everything here is wait-free, but for allocation, and for [`spawn`] and [`scope`], which start threads: a thread
//! touches only its own state, and what is shared is immutable. In a
//! thread whose thread-locals are already destroyed (code that runs in another thread-local's
//! destructor) only [`with`] and [`get`] have an effect. The same goes for a global allocator that is
//! called while the context is changed.

mod carry;
mod chain;
mod error;
#[cfg(feature = "future")]
mod future;
mod key;
#[cfg(feature = "rayon")]
pub mod rayon;
mod thread;
mod trail;

pub use self::carry::{Scope, Scoped, SpawnError, scope, spawn};
pub use self::chain::{Context, Iter, MAX_KEYS};
pub use self::error::{Enrich, InContext, ResultExt};
#[cfg(feature = "future")]
pub use self::future::{FutureExt, InContextFuture};
pub use self::key::{ContextValue, Key, Value};
pub use self::thread::Attached;
pub use self::trail::{Breadcrumbs, MAX_BREADCRUMBS};

use crate::telemetry::own;

#[cfg(feature = "fmt")]
pub(crate) use self::thread::Here;
pub(crate) use self::thread::tracestate_of;
#[cfg(feature = "tracing")]
pub(crate) use self::{
    chain::write_entries,
    thread::{is_current, is_empty, watch},
};

/// By what a request is known in every program that it passes through, if it has such a name.
///
/// Not set by anything here: whoever accepts a request sets it, for instance to its trace id. What is inherited with
/// a context is inherited with it; an error keeps the one it arose under ([`InContext::correlation_id`]).
pub static CORRELATION_ID: Key<alloc::sync::Arc<str>> = Key::new("correlation_id");

/// Runs `body` with `value` under `key` in the current context.
///
/// When `body` returns or panics, the context is again what it was before the call, whatever `body` did. A key that is
/// already set is shadowed meanwhile. If the context holds [`MAX_KEYS`] other keys, `body` runs
/// without the value and the context counts it as dropped. O(1).
///
/// ```
/// use bedplate::context::{self, Key};
/// static JOB: Key<u32> = Key::new("job");
/// let doubled = context::with(&JOB, 21, || context::get(&JOB).map(|job| job * 2));
/// assert_eq!(doubled, Some(42));
/// assert_eq!(context::get(&JOB), None);
/// ```
#[inline]
pub fn with<T: ContextValue, R>(key: &'static Key<T>, value: T, body: impl FnOnce() -> R) -> R {
    let body = || {
        own::context_set(thread::depth);
        body()
    };
    thread::with(key.identity(), value.into_value(), body)
}

/// The current value of `key`, or `None` if it is not set.
///
/// O(depth), comparing one address per frame; a `String` is copied, an `Arc<str>` shared.
#[must_use]
#[inline]
pub fn get<T: ContextValue>(key: &'static Key<T>) -> Option<T> {
    thread::value_of(key.identity(), T::from_value)
}

/// Puts `value` under `key` in the current context until the enclosing scope ends.
///
/// The enclosing scope is the innermost [`with`], [`Context::run`] or [`Attached`] guard; outside
/// any, the value stays until the thread ends, [`clear`] is called, or the key is set again.
///
/// ```
/// use bedplate::context::{self, Context, Key};
/// static USER: Key<&'static str> = Key::new("user");
/// Context::empty().run(|| {
///     context::set(&USER, "ada");
///     assert_eq!(context::get(&USER), Some("ada"));
/// });
/// assert_eq!(context::get(&USER), None);
/// ```
pub fn set<T: ContextValue>(key: &'static Key<T>, value: T) {
    thread::set(key.identity(), value.into_value());
    own::context_set(thread::depth);
}

/// Empties the current context until the enclosing scope ends, which restores what it always would.
///
/// On an empty context it does nothing.
pub fn clear() {
    thread::clear();
}

/// Leaves a breadcrumb in the current context: something that was done, or begun, worth knowing if it fails.
///
/// The newest [`MAX_BREADCRUMBS`] are kept, older ones counted. They belong to the piece of work, that is, to the
/// innermost context that was [attached](Context::attach) or [run](Context::run) or has [replaced](clear)
/// another in a scope, and go with it; [`with`] does not end them. They follow [`capture`] and [`current`], and stand
/// on no log line. Allocates.
///
/// ```
/// use bedplate::context::{self, Context};
/// let kept = Context::empty().run(|| {
///     context::breadcrumb("opened the file");
///     context::breadcrumb("read the header");
///     context::current()
/// });
/// assert_eq!(kept.breadcrumbs().to_string(), r#""read the header", "opened the file""#);
/// assert_eq!(context::current().breadcrumbs().count(), 0);
/// ```
pub fn breadcrumb<T: ContextValue>(what: T) {
    thread::breadcrumb(what.into_value());
}

/// The current context as a value, [`local`](Key::local) keys included: for use in this thread, for
/// instance to keep it in an error.
///
/// One reference count, when the context has been shared before; else an allocation for each new frame. To hand the context to another thread use [`capture`].
#[must_use]
pub fn current() -> Context {
    thread::current()
}

/// The current context without the keys that are [`local`](Key::local): what another thread may
/// inherit.
///
/// Costs what [`current`] does if no local key is set, else a copy of the frames. Later changes in this
/// thread are not seen by whoever got the capture.
///
/// ```
/// use bedplate::context::{self, Key};
/// use std::thread;
///
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
/// static WORKER: Key<u64> = Key::new("worker").local();
///
/// context::with(&REQUEST_ID, 123, || context::with(&WORKER, 1, || {
///     let captured = context::capture();
///     let seen = thread::spawn(move || {
///         captured.run(|| (context::get(&REQUEST_ID), context::get(&WORKER)))
///     });
///     assert_eq!(seen.join().unwrap(), (Some(123), None));
/// }));
/// ```
#[must_use]
#[inline]
pub fn capture() -> Context {
    thread::current().inheritable()
}

/// Wraps `body` so that it runs in the context captured now, on whatever thread calls it.
///
/// The caller's own context is restored when `body` returns or panics.
///
/// ```
/// use bedplate::context::{self, Key};
/// use std::thread;
///
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
/// let worker = context::with(&REQUEST_ID, 7, || {
///     thread::spawn(context::in_context(|| context::get(&REQUEST_ID)))
/// });
/// assert_eq!(worker.join().unwrap(), Some(7));
/// ```
pub fn in_context<R>(body: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let captured = capture();
    move || captured.run(body)
}

/// Wraps `body`, which may be called many times and by many threads, so that each call runs in the context
/// captured now.
///
/// ```
/// use bedplate::context::{self, Key};
///
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
/// let add = context::with(&REQUEST_ID, 7, || {
///     context::in_context_each(|more: u64| context::get(&REQUEST_ID).map(|id| id + more))
/// });
/// let sums: Vec<_> = [1, 2].into_iter().map(add).collect();
/// assert_eq!(sums, [Some(8), Some(9)]);
/// ```
pub fn in_context_each<A, R>(body: impl Fn(A) -> R) -> impl Fn(A) -> R {
    let captured = capture();
    move |argument| captured.clone().run(|| body(argument))
}

/// Runs `body` in `context` and in nothing else, and restores the caller's context when it returns or panics.
///
/// ```
/// use bedplate::context::{self, Context, Key};
///
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
/// context::with(&REQUEST_ID, 7, || {
///     context::temporary(Context::empty(), || assert_eq!(context::get(&REQUEST_ID), None));
///     assert_eq!(context::get(&REQUEST_ID), Some(7));
/// });
/// ```
pub fn temporary<R>(context: Context, body: impl FnOnce() -> R) -> R {
    context.run(body)
}

/// What a piece of work may begin with that is started from here: the [capture] of the current context, with one
/// breadcrumb more, which says for what.
///
/// ```
/// use bedplate::context::{self, Key};
///
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
/// let child = context::with(&REQUEST_ID, 7, || context::child_context("send the mail"));
/// child.run(|| {
///     assert_eq!(context::get(&REQUEST_ID), Some(7));
///     assert_eq!(context::current().breadcrumbs().count(), 1);
/// });
/// ```
#[must_use]
pub fn child_context<T: ContextValue>(what: T) -> Context {
    let mut child = capture();
    child.leave_crumb(what.into_value());
    child
}
