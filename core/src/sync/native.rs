//! The real thing.

pub(crate) use portable_atomic::{AtomicBool, AtomicUsize, Ordering, fence};
