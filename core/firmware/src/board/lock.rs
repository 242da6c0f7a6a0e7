//! What keeps cores apart in a critical section.

use super::relax;
use portable_atomic::{AtomicUsize, Ordering};

/// Tells in a saved state that the core held the lock before.
const WAS_HELD: u8 = 2;

/// A spin lock that knows which core holds it. Interrupts must be off while it is held.
pub(super) struct Lock {
    /// The number of the core that holds it, and one more.
    holder: AtomicUsize,
}

impl Lock {
    pub(super) const fn new() -> Self {
        Self {
            holder: AtomicUsize::new(0),
        }
    }

    /// Takes it for this core; what is returned is to be given back.
    #[inline]
    pub(super) fn take(&self, core: usize) -> u8 {
        let me = core + 1;
        // Relaxed: no other core stores this number.
        if self.holder.load(Ordering::Relaxed) == me {
            return WAS_HELD;
        }
        // Acquire: what the last holder wrote; pairs with Release in `give_back`.
        while self
            .holder
            .compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            relax();
        }
        0
    }

    #[inline]
    pub(super) fn give_back(&self, before: u8) {
        if before & WAS_HELD == 0 {
            // Release: for the next holder; pairs with Acquire in `take`.
            self.holder.store(0, Ordering::Release);
        }
    }
}
