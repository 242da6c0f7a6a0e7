//! What an interrupt handler keeps for itself.

use core::cell::UnsafeCell;
use portable_atomic::{AtomicBool, Ordering};

/// A value in a static that one context at a time uses, as a handler does with what is its own.
pub struct Owned<T> {
    is_used: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one context at a time reach the value, and hands it from one to the other: `T: Send`.
unsafe impl<T: Send> Sync for Owned<T> {}

impl<T> Owned<T> {
    /// Owns `value`.
    pub const fn new(value: T) -> Self {
        Self {
            is_used: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Uses the value.
    ///
    /// # Panics
    /// When somebody is using it.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        assert!(!self.take(), "somebody else uses what is owned");
        // SAFETY: nobody else has taken it, and nobody can before it is given back.
        let value = unsafe { &mut *self.value.get() };
        let result = f(value);
        // Release: for the next user; pairs with Acquire in `take`.
        self.is_used.store(false, Ordering::Release);
        result
    }

    /// Marks it as used; whether it was.
    #[inline]
    fn take(&self) -> bool {
        #[cfg(target_has_atomic = "ptr")]
        {
            // Acquire: what the last user did; pairs with Release in `with`.
            self.is_used.swap(true, Ordering::Acquire)
        }
        #[cfg(not(target_has_atomic = "ptr"))]
        {
            // There is one core: whoever comes between the two has given it back when we go on.
            // Acquire: as above.
            let was_used = self.is_used.load(Ordering::Acquire);
            // Relaxed: only for this core.
            self.is_used.store(true, Ordering::Relaxed);
            was_used
        }
    }
}

/// A value that is not to be sent elsewhere, in a proof that runs on one core: there is no elsewhere.
///
/// What keeps contexts from using it at once is [`Owned`], as for everything.
pub struct OnOneCore<T>(pub T);

// SAFETY: proofs that use it start no second core, and what keeps a value on its thread (a list without
// atomics, say) cannot tell a handler from a call of the function it interrupted.
unsafe impl<T> Send for OnOneCore<T> {}
