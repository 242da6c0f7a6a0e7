//! placeholder replaced below
#![forbid(unsafe_code)]

extern crate alloc;

pub mod context;
mod sync;
#[cfg(feature = "tracing")]
pub mod tracing_bridge;
