//! The same names, instrumented.

pub(crate) use ::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

/// Words of payload in a ring slot: as few as can be torn. Models use records of their own, an
/// [`Event`](crate::event::Event) does not fit.
pub(crate) const SLOT_WORDS: usize = 2;
