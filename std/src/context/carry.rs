//! Threads and tasks that begin in the context of whoever starts them.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::any::Any;
use core::fmt;
use core::panic::AssertUnwindSafe;
use std::io;
use std::panic::{catch_unwind, resume_unwind};

use super::capture;
use crate::process::ThreadPermit;
use crate::process::panic::discard;
use crate::sync::{Mutex, thread};

/// Runs `body` on a new thread, in the context [captured](capture) now.
///
/// The thread counts towards [`process::limit_threads`](crate::process::limit_threads). It is not supervised: for
/// that see [`supervisor`](crate::supervisor).
///
/// ```
/// use bedplate::context::{self, Key};
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
///
/// let worker = context::with(&REQUEST_ID, 7, || context::spawn(|| context::get(&REQUEST_ID)))?;
/// assert_eq!(worker.join().unwrap(), Some(7));
/// # Ok::<(), bedplate::context::SpawnError>(())
/// ```
///
/// # Errors
/// [`SpawnError`] if there is no thread to be had; `body` is dropped.
pub fn spawn<R: Send + 'static>(
    body: impl FnOnce() -> R + Send + 'static,
) -> Result<thread::JoinHandle<R>, SpawnError> {
    let body = permitted(body)?;
    thread::Builder::new()
        .spawn(body)
        .map_err(SpawnError::System)
}

/// Runs `body`, which may start threads that borrow what lives longer than the call; when this returns, they
/// have ended.
///
/// As [`std::thread::scope`], but every thread begins in the context of whoever starts it; and the panic of a
/// thread that nobody joined is not replaced by another, less telling one, but goes on in the caller (the first one,
/// if there are several; the others have been reported by the panic hook).
///
/// ```
/// use bedplate::context::{self, Key};
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
///
/// let parts = [1, 2, 3];
/// let sum = context::with(&REQUEST_ID, 7, || context::scope(|scope| {
///     let sum = scope.spawn(|| parts.iter().sum::<u64>() + context::get(&REQUEST_ID).unwrap_or(0))?;
///     Ok::<_, context::SpawnError>(sum.join().unwrap())
/// }))?;
/// assert_eq!(sum, 13);
/// # Ok::<(), context::SpawnError>(())
/// ```
///
/// # Concurrency
/// Blocks until all threads of the scope have ended.
///
/// # Panics
/// If `body` does, or a thread of the scope that was not joined.
pub fn scope<'env, R>(body: impl for<'scope> FnOnce(Scope<'scope, 'env>) -> R) -> R {
    let unclaimed = Arc::new(Mutex::default());
    let result = thread::scope(|scope| {
        body(Scope {
            scope,
            unclaimed: Arc::clone(&unclaimed),
        })
    });
    let panics = core::mem::take(&mut unclaimed.lock().payloads);
    let mut payloads = panics.into_values();
    let Some(first) = payloads.next() else {
        return result;
    };
    payloads.for_each(discard);
    discard(result);
    resume_unwind(first)
}

/// Starts the threads of a [`scope`]. Clones start threads of the same one.
#[derive(Clone)]
pub struct Scope<'scope, 'env: 'scope> {
    scope: &'scope thread::Scope<'scope, 'env>,
    unclaimed: Arc<Mutex<Unclaimed>>,
}

/// What threads of a scope panicked with whose handles have not been joined.
#[derive(Default)]
struct Unclaimed {
    next: u64,
    payloads: BTreeMap<u64, Payload>,
}

type Payload = Box<dyn Any + Send>;

impl<'scope> Scope<'scope, '_> {
    /// Runs `body` on a new thread of the scope, in the context [captured](capture) now. The thread counts towards
    /// [`process::limit_threads`](crate::process::limit_threads).
    ///
    /// # Errors
    /// [`SpawnError`] if there is no thread to be had; `body` is dropped.
    pub fn spawn<R: Send + 'scope>(
        &self,
        body: impl FnOnce() -> R + Send + 'scope,
    ) -> Result<Scoped<'scope, R>, SpawnError> {
        let number = {
            let mut unclaimed = self.unclaimed.lock();
            unclaimed.next += 1;
            unclaimed.next
        };
        let body = permitted(body)?;
        let unclaimed = Arc::clone(&self.unclaimed);
        // A panic passes through nothing of ours, and is told to whoever joins or to the caller of `scope`.
        let body = move || match catch_unwind(AssertUnwindSafe(body)) {
            Ok(value) => Some(value),
            Err(payload) => {
                unclaimed.lock().payloads.insert(number, payload);
                None
            }
        };
        let thread = thread::Builder::new()
            .spawn_scoped(self.scope, body)
            .map_err(SpawnError::System)?;
        Ok(Scoped {
            thread,
            number,
            unclaimed: Arc::clone(&self.unclaimed),
        })
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").finish_non_exhaustive()
    }
}

/// A thread of a [`scope`].
pub struct Scoped<'scope, R> {
    thread: thread::ScopedJoinHandle<'scope, Option<R>>,
    number: u64,
    unclaimed: Arc<Mutex<Unclaimed>>,
}

impl<R> Scoped<'_, R> {
    /// Waits for the thread, and for what its body returned.
    ///
    /// # Errors
    /// What the body panicked with, which then concerns only the caller.
    pub fn join(self) -> thread::Result<R> {
        let returned = self.thread.join()?;
        returned.ok_or_else(|| {
            let claimed = self.unclaimed.lock().payloads.remove(&self.number);
            claimed.unwrap_or_else(|| Box::new("the panic of a thread was claimed twice"))
        })
    }
}

impl<R> fmt::Debug for Scoped<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scoped").field(&self.number).finish()
    }
}

/// `body` with a permit for its thread, in the context of the caller.
fn permitted<R>(body: impl FnOnce() -> R) -> Result<impl FnOnce() -> R, SpawnError> {
    let permit = ThreadPermit::claim().map_err(|none| SpawnError::ThreadBudget {
        live: none.live,
        limit: none.limit,
    })?;
    let captured = capture();
    Ok(move || {
        let _permit = permit;
        captured.run(body)
    })
}

/// Why a thread was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// As many threads are alive as [`limit_threads`](crate::process::limit_threads) allows.
    ThreadBudget {
        /// How many are alive.
        live: usize,
        /// How many may be.
        limit: usize,
    },
    /// The operating system refused.
    System(io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ThreadBudget { live, limit } => {
                write!(f, "{live} threads are alive, and {limit} may be")
            }
            Self::System(_) => f.write_str("the system started no thread"),
        }
    }
}

impl core::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::ThreadBudget { .. } => None,
            Self::System(error) => Some(error),
        }
    }
}
