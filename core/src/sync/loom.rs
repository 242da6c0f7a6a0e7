//! The same names, instrumented.

pub(crate) use ::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
