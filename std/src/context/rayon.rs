//! rayon's entrances, with the context of whoever calls. With the feature `rayon`.
//!
//! The threads of a pool keep nothing of it: when a piece of work ends, its thread has its own context again. For the
//! closures of parallel iterators there is [`in_context_each`].

use super::{in_context, in_context_each};
use rayon_core::{Scope, ThreadPool};

/// As `rayon::join`: both closures run in the context captured now, wherever they run.
///
/// ```
/// use bedplate::context::{self, Key, rayon};
/// static REQUEST_ID: Key<u64> = Key::new("request_id");
///
/// let seen = context::with(&REQUEST_ID, 7, || {
///     rayon::join(|| context::get(&REQUEST_ID), || context::get(&REQUEST_ID))
/// });
/// assert_eq!(seen, (Some(7), Some(7)));
/// ```
pub fn join<A, B>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B)
where
    A: Send,
    B: Send,
{
    rayon_core::join(in_context(a), in_context(b))
}

/// As `rayon::spawn`, in the context captured now.
pub fn spawn(body: impl FnOnce() + Send + 'static) {
    rayon_core::spawn(in_context(body));
}

/// As `rayon::scope`: `body` runs in the context captured now. Work that it spawns is given its context with
/// [`in_scope`].
pub fn scope<'scope, R: Send>(body: impl FnOnce(&Scope<'scope>) -> R + Send) -> R {
    let captured = super::capture();
    rayon_core::scope(|scope| captured.run(|| body(scope)))
}

/// Spawns `body` in `scope`, in the context captured now.
pub fn in_scope<'scope>(scope: &Scope<'scope>, body: impl FnOnce(&Scope<'scope>) + Send + 'scope) {
    let captured = super::capture();
    scope.spawn(move |scope| captured.run(|| body(scope)));
}

/// As `ThreadPool::install`: `body` runs in the pool, in the context captured now.
pub fn install<R: Send>(pool: &ThreadPool, body: impl FnOnce() -> R + Send) -> R {
    pool.install(in_context(body))
}

/// As `ThreadPool::broadcast`: `body` runs once on each thread of the pool, in the context captured now.
pub fn broadcast<R: Send>(pool: &ThreadPool, body: impl Fn() -> R + Sync) -> Vec<R> {
    let body = in_context_each(|()| body());
    pool.broadcast(|_| body(()))
}
