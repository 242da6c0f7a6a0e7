//! Groups of processes that share a key, and dispatch to all members of one by several threads.
//!
//! The groups themselves are [`bedplate_core`]'s [`EpochGroups`], which need no threads; what is
//! here is what does.
//!
//! ```
//! use bedplate::groups::{self, EpochGroups};
//! use bedplate_core::id::PidAllocator;
//! use std::hash::RandomState;
//! use std::num::NonZeroUsize;
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! let rooms = EpochGroups::<&str, u32, _>::with_hasher(RandomState::new());
//! let mut pids = PidAllocator::new(100);
//! let handle = rooms.handle();
//! let mut guests = Vec::new();
//! for number in 0..10 {
//!     let mut guest = rooms.member(pids.allocate()?);
//!     guest.join(&handle.pin(), "lobby", number)?;
//!     guests.push(guest);
//! }
//!
//! let sum = AtomicU32::new(0);
//! let four = NonZeroUsize::MIN.saturating_add(3);
//! let told = groups::dispatch_in_parallel(handle.pin().members("lobby"), four, |entry| {
//!     sum.fetch_add(*entry.value(), Ordering::Relaxed);
//! });
//! assert_eq!((told, sum.into_inner()), (10, 45));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::context;
use crate::process::ThreadPermit;
use crate::process::panic::discard;
use crate::sync::thread::{self, Builder, Scope, ScopedJoinHandle};
use bedplate_core::registry::{Key, Stored};
use core::num::NonZeroUsize;
use core::panic::AssertUnwindSafe;
use std::panic::{catch_unwind, resume_unwind};

pub use bedplate_core::registry::groups::{
    Entry, EpochGroups, Group, Guard, Handle, JoinError, Member, Members, Membership, Memory,
};

/// Calls `f` with each of `members`, divided among at most so many threads, and returns how often when all of
/// them are done.
///
/// If there are two members or more, and two threads, the calls are made on threads of their own, which begin in
/// the context of the caller ([`context::capture`]) and count towards
/// [`process::limit_threads`](crate::process::limit_threads). Otherwise the calls are made in the calling thread,
/// and so are those of a part for which there is no thread to be had. Without members nothing is called.
///
/// Who is listed is what [`Guard::members`] says: a member that stays is told exactly once. What others leave
/// meanwhile is not freed before this returns, since the guard is held.
///
/// # Concurrency
/// Blocks until all calls have returned. It does not block anybody else.
///
/// # Panics
/// If `f` panics, the calls that were left to the same thread are not made, those of other threads are; then the
/// caller panics with what the first of them panicked with.
pub fn dispatch_in_parallel<'g, K, V>(
    members: Members<'g, K, V>,
    threads: NonZeroUsize,
    f: impl Fn(Entry<'g, K, V>) + Sync,
) -> usize
where
    K: Key + Sync,
    V: Stored + Sync,
{
    let many = members.group().map_or(0, |group| group.count());
    let parts = threads.get().min(many);
    if parts <= 1 {
        return members.map(f).count();
    }
    let call = |number| members.clone().part(number, parts).map(&f).count();
    let call = &call;
    let results: Vec<_> = thread::scope(|scope| {
        let spawned: Vec<_> = (0..parts)
            .map(|number| spawn(scope, move || call(number)))
            .collect();
        let run = |(number, thread): (usize, Option<ScopedJoinHandle<'_, usize>>)| match thread {
            Some(thread) => thread.join(),
            None => catch_unwind(AssertUnwindSafe(|| call(number))),
        };
        spawned.into_iter().enumerate().map(run).collect()
    });
    let mut told = 0;
    let mut panicked = None;
    for result in results {
        match result {
            Ok(calls) => told += calls,
            Err(payload) if panicked.is_none() => panicked = Some(payload),
            Err(payload) => discard(payload),
        }
    }
    match panicked {
        Some(payload) => resume_unwind(payload),
        None => told,
    }
}

/// A thread for one part, if there is one to be had.
fn spawn<'s, R: Send + 's>(
    scope: &'s Scope<'s, '_>,
    part: impl FnOnce() -> R + Send + 's,
) -> Option<ScopedJoinHandle<'s, R>> {
    let permit = ThreadPermit::claim().ok()?;
    let captured = context::capture();
    let body = move || {
        let _permit = permit;
        captured.run(part)
    };
    Builder::new()
        .name("bedplate-dispatch".to_owned())
        .spawn_scoped(scope, body)
        .ok()
}
