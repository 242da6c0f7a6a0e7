//! placeholder replaced below
#![forbid(unsafe_code)]

extern crate alloc;

pub mod context;
