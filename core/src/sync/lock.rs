//! Locks, for the structures that have one, as a type parameter.
//!
//! A lock is named by whoever instantiates a structure, so adding one never changes another. The
//! interface is closure-only: no guard can be leaked, and the time under the lock is visible.

use core::cell::RefCell;
#[cfg(target_has_atomic = "ptr")]
use core::fmt;

/// Mutual exclusion.
///
/// # Safety
/// While a closure given to [`exclusively`](RawLock::exclusively) runs, no other context runs one
/// given to the same lock. (A nested call from within the closure is not another context: it may
/// run, panic, or never return.)
pub unsafe trait RawLock {
    /// A lock that nobody holds.
    const UNLOCKED: Self;

    /// Runs `f` while nobody else runs under this lock; waits for that if need be.
    fn exclusively<R>(&self, f: impl FnOnce() -> R) -> R;
}

/// Spins until the lock is free: for contexts that do not interrupt one another, such as threads or
/// cores. An interrupt handler that takes it while the code it interrupted holds it never returns.
///
/// Exists where the target has a native compare-and-swap.
#[cfg(target_has_atomic = "ptr")]
#[derive(Default)]
pub struct SpinLock(spin::mutex::SpinMutex<()>);

#[cfg(target_has_atomic = "ptr")]
// SAFETY: the closure runs while the spin mutex is held, and that admits one holder at a time.
unsafe impl RawLock for SpinLock {
    const UNLOCKED: Self = Self(spin::mutex::SpinMutex::new(()));

    fn exclusively<R>(&self, f: impl FnOnce() -> R) -> R {
        let _held = self.0.lock();
        f()
    }
}

#[cfg(target_has_atomic = "ptr")]
impl fmt::Debug for SpinLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpinLock")
    }
}

/// Runs in a critical section, which excludes interrupts and other cores: for whatever an interrupt
/// handler takes. The binary provides the implementation, by the crate `critical-section`.
#[cfg(feature = "critical-section")]
#[derive(Debug, Default)]
pub struct CriticalSectionLock(());

#[cfg(feature = "critical-section")]
// SAFETY: `critical_section::with` excludes every other context by its contract.
unsafe impl RawLock for CriticalSectionLock {
    const UNLOCKED: Self = Self(());

    fn exclusively<R>(&self, f: impl FnOnce() -> R) -> R {
        critical_section::with(|_| f())
    }
}

/// A value that is only reached under a lock.
pub(crate) struct Locked<L, T> {
    lock: L,
    /// Catches a closure that comes back to the same value, which a lock may let through.
    value: RefCell<T>,
}

// SAFETY: `value` is only touched inside `lock.exclusively`, that is by one context at a time, so
// sharing a `Locked` hands the value from thread to thread and no more: `T: Send`. The lock itself
// is shared: `L: Sync`.
unsafe impl<L: RawLock + Sync, T: Send> Sync for Locked<L, T> {}

impl<L: RawLock, T> Locked<L, T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            lock: L::UNLOCKED,
            value: RefCell::new(value),
        }
    }

    /// Runs `f` on the value. Panics if called from within `f`, unless the lock does not return
    /// from that.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.lock.exclusively(|| f(&mut self.value.borrow_mut()))
    }
}
