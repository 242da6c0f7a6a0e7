#![doc = include_str!("../README.md")]
#![no_std]

#[cfg(any(feature = "alloc", test))]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod clock;
pub mod dedup;
pub mod event;
pub mod id;
pub mod ring;
pub mod supervision;
mod sync;
