#![doc = include_str!("../README.md")]
#![no_std]
#![warn(
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::alloc_instead_of_core
)]

#[cfg(any(feature = "alloc", test))]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod checkpoint;
pub mod clock;
pub mod context;
pub mod dedup;
pub mod drain;
pub mod event;
pub mod handlers;
pub mod health;
pub mod id;
pub mod pace;
pub mod registry;
pub mod ring;
pub mod sample;
pub mod span;
pub mod supervision;
mod sync;
