//! placeholder replaced below
#![forbid(unsafe_code)]
