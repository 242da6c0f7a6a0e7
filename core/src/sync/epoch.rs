//! Epoch-based reclamation, from crossbeam: behind the door because its pointers are atomics.

pub(crate) use crossbeam_epoch::{Collector, Guard, LocalHandle};

use core::cell::OnceCell;

/// A pin that is made when it is first needed, and then lasts.
pub(crate) struct LazyPin<'h> {
    local: &'h LocalHandle,
    guard: OnceCell<Guard>,
}

impl<'h> LazyPin<'h> {
    pub(crate) const fn new(local: &'h LocalHandle) -> Self {
        Self {
            local,
            guard: OnceCell::new(),
        }
    }

    /// The pin. What is loaded afterwards from what this collector reclaims stays readable while it is
    /// borrowed.
    pub(crate) fn guard(&self) -> &Guard {
        self.guard.get_or_init(|| self.local.pin())
    }
}
