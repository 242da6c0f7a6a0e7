//! The one door to threads and blocking.
//!
//! No other module of this crate names a thread, a lock, a condition variable or an atomic; they
//! take them from here. The locks differ from the standard library's in one point: they are never
//! poisoned. No code of a user runs while one is held, so a panic under a lock is a defect of this
//! crate, and what it protects is then no worse than what a poisoned lock would deny to everybody.

pub(crate) use alloc::sync::{Arc, Weak};
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::sync::{MutexGuard, Once, OnceLock};
pub(crate) use std::thread;
pub(crate) use std::thread::ThreadId;

use core::cell::Cell;
use core::time::Duration;
use std::sync::PoisonError;

/// Which thread this is: no other has the number, as long as the process runs. Costs a load, where asking for
/// the standard library's [`ThreadId`] counts a reference.
pub(crate) fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        /// 0 if it has none yet. Without a destructor, so that it is there to the end.
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    match NUMBER.get() {
        0 => {
            // Relaxed: only the number itself matters; it publishes nothing and has no partner.
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            NUMBER.set(number);
            number
        }
        number => number,
    }
}

/// A lock that is never poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// Blocks while another thread is inside.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits as long as `condition` holds.
    pub(crate) fn wait_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        self.0
            .wait_while(guard, condition)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as `condition` holds, at most for `at_most`.
    pub(crate) fn wait_while_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        at_most: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        let waited = self.0.wait_timeout_while(guard, at_most, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
