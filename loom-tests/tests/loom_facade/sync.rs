//! The door of `std/src/sync.rs`, with loom behind it.
//!
//! Locks, condition variables, flags and the count of who waits are loom's. Not modelled are reference counts, which are the
//! standard library's, and counters that only make numbers. A wait with a limit has none here, so that who is forgotten is a
//! deadlock, which loom reports.
//!
//! A static outlives an execution and loom's objects do not: a lock makes its model when it is first taken in an
//! execution, and so can be made in a constant. What it protects goes on from one execution to the next.

pub(crate) use alloc::sync::{Arc, Weak};
pub(crate) use core::sync::atomic::AtomicU64;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

type Model = loom::sync::Mutex<()>;

loom::lazy_static! {
    /// Which execution this is.
    static ref EXECUTION: u64 = {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only the number itself matters.
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// Which thread of the model this is.
pub(crate) fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    loom::thread_local! {
        // Relaxed: only the number itself matters.
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|&number| number)
}

pub(crate) struct Mutex<T> {
    /// The model of the present execution, when it was taken in that.
    model: std::sync::Mutex<Option<(u64, Arc<Model>)>>,
    value: UnsafeCell<T>,
}

// SAFETY: `value` is only reached through a guard, which holds the model's lock; executions that share a static come one
// after the other.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            model: std::sync::Mutex::new(None),
            value: UnsafeCell::new(value),
        }
    }

    /// Without a model while a model that has failed is taken down, and with it its objects: then nobody else runs.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        if std::thread::panicking() {
            return MutexGuard {
                held: None,
                value: &self.value,
                _model: None,
            };
        }
        let model = self.model();
        // SAFETY: it lives as long as the guard, which drops what borrows from it first.
        let lasting = unsafe { &*Arc::as_ptr(&model) };
        MutexGuard {
            held: Some(lasting.lock().expect("never poisoned")),
            value: &self.value,
            _model: Some(model),
        }
    }

    fn model(&self) -> Arc<Model> {
        let execution = *EXECUTION;
        let mut model = self.model.lock().expect("never poisoned");
        match &*model {
            Some((made_in, model)) if *made_in == execution => model.clone(),
            _ => {
                let new = Arc::new(Model::new(()));
                *model = Some((execution, new.clone()));
                new
            }
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

pub(crate) struct MutexGuard<'a, T> {
    /// Missing while it waits.
    held: Option<loom::sync::MutexGuard<'static, ()>>,
    value: &'a UnsafeCell<T>,
    _model: Option<Arc<Model>>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: whoever has a guard that does not wait holds the lock, or runs alone.
        unsafe { &*self.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and the guard is borrowed exclusively.
        unsafe { &mut *self.value.get() }
    }
}

#[derive(Debug)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub(crate) fn notify_all(&self) {
        if !std::thread::panicking() {
            self.0.notify_all();
        }
    }

    pub(crate) fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            let held = guard.held.take().expect("held");
            guard.held = Some(self.0.wait(held).expect("never poisoned"));
        }
        guard
    }

    /// Without a limit.
    pub(crate) fn wait_while_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        _at_most: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        self.wait_while(guard, condition)
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}
