//! The one door to threads, locks and atomics: no other module of this crate names them.

#[cfg(feature = "tracing")]
pub(crate) use std::sync::OnceLock;
