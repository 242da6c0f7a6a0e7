//! The real thing.

pub(crate) use portable_atomic::{AtomicBool, AtomicUsize, Ordering, fence};

/// Words of payload in a ring slot.
pub(crate) const SLOT_WORDS: usize = 7;
