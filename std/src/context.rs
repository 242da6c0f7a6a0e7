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
//! share the frames. A thread has one current context and the list of what to restore:
//!
//! ```text
//!   current ──▶ operation=validate ──▶ request_id=123 ──▶ (end)
//!                                       ▲
//!   scopes:  with(..) keeps ────────────┘  on the caller's stack,
//!            attach() keeps its own in the thread's list of saved contexts
//! ```
//!
//! * [`with`] is a scope of the program's text. When its closure returns, fails or panics, the
//!   context is what it was before, whatever happened inside, guards that were forgotten included.
//! * [`Context::attach`] returns a guard. Guards may be dropped in any order: the context of a
//!   guard that is still held stays in force, and what it hides is restored when it goes.
//! * [`set`] and [`clear`] change the current context until the enclosing scope ends.
//!
//! Nothing is inherited by a thread on its own, because a pool's threads would keep what they
//! inherited for ever. [`capture`] takes the context along on purpose, without the keys that are
//! [`local`](Key::local).
//!
//! # Limits
//!
//! A context holds at most [`MAX_KEYS`] different keys. A value for one key more is not stored;
//! [`Context::dropped`] counts it and the printed context says so.
//!
//! # Concurrency
//!
//! Everything here is wait-free: a thread touches only its own state, and frames are immutable. In a
//! thread whose thread-locals are already destroyed (code that runs in another thread-local's
//! destructor) the current context is empty and scopes have no effect.

mod chain;
mod key;
mod thread;

pub use self::chain::{Context, Iter, MAX_KEYS};
pub use self::key::{ContextValue, Key, Value};
pub use self::thread::Attached;

use crate::telemetry::own;

#[cfg(feature = "tracing")]
pub(crate) use self::{
    chain::write_entries,
    thread::{is_current, is_empty, watch},
};

/// Runs `body` with `value` under `key` in the current context.
///
/// When `body` returns or panics, the context is again what it was before the call. A key that is
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
pub fn with<T: ContextValue, R>(key: &'static Key<T>, value: T, body: impl FnOnce() -> R) -> R {
    let _scope = thread::Scope::enter(|current| current.push(key, value));
    own::context_set(depth);
    body()
}

/// The current value of `key`, or `None` if it is not set.
///
/// O(depth), comparing one address per frame; a `String` is copied, an `Arc<str>` shared.
#[must_use]
pub fn get<T: ContextValue>(key: &'static Key<T>) -> Option<T> {
    thread::peek(|current| current.get(key)).flatten()
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
    thread::replace(|current| current.push(key, value));
    own::context_set(depth);
}

/// How many frames the current context has.
fn depth() -> usize {
    thread::peek(Context::depth).unwrap_or_default()
}

/// Empties the current context until the enclosing scope ends, which restores what it always would.
///
/// On an empty context it does nothing.
pub fn clear() {
    thread::replace(|_| Context::empty());
}

/// The current context as a value, [`local`](Key::local) keys included: for use in this thread, for
/// instance to keep it in an error.
///
/// One reference count. To hand the context to another thread use [`capture`].
#[must_use]
pub fn current() -> Context {
    thread::peek(Context::clone).unwrap_or_default()
}

/// The current context without the keys that are [`local`](Key::local): what another thread may
/// inherit.
///
/// One reference count if no local key is set, else a copy of the frames. Later changes in this
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
pub fn capture() -> Context {
    thread::peek(Context::inheritable).unwrap_or_default()
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
