//! Supervised, observable state for threaded Rust.
//!
//! Threads die: they panic, they return errors, they hang. `bedplate` gives them what Erlang/OTP
//! gives its processes: a [`supervisor`] that starts them in order, starts them again when they
//! crash, gives up when that does not help, and stops them in reverse order; an identity and an
//! exit reason for every run ([`process`]); a [`monitor`] for whoever wants to be told, exactly
//! once, that one has ended; a [`registry`] whose names are never stale, and more of them for your own
//! keys and values; a [`checkpoint`] from which the next run goes on; a [`context`] of typed values that
//! nest, and that every run of a child starts from; and [`telemetry`]: events for whoever wants to know.
//!
//! ```
//! use bedplate::supervisor::{ChildSpec, Supervisor};
//! use std::sync::mpsc;
//!
//! let (report, reports) = mpsc::channel();
//! let flaky = ChildSpec::worker("flaky", move |incarnation| -> Result<(), std::fmt::Error> {
//!     if incarnation.number() == 1 {
//!         return Err(std::fmt::Error);           // the first incarnation fails …
//!     }
//!     report.send(incarnation.restarts()).ok();  // … and the second one works
//!     while !incarnation.stop().wait(std::time::Duration::from_secs(1)) {}
//!     Ok(())
//! });
//!
//! let supervisor = Supervisor::builder("app").child(flaky).start()?;
//! assert_eq!(reports.recv(), Ok(1));
//! assert_eq!(supervisor.shutdown().clean, ["flaky"]);
//! # Ok::<(), bedplate::supervisor::StartError>(())
//! ```
//!
//! A program tests its own supervisors with [`supervisor::simulation`], without threads, and with [`fault`]s, on purpose.
//!
//! The decisions behind it are in [`bedplate_core`], which needs neither threads nor an allocator.
//! A thread cannot be killed, so this crate never pretends to: a child is asked to stop through its
//! [`stop`] token, and one that does not listen is abandoned and reported.
#![forbid(unsafe_code)]

extern crate alloc;

pub mod checkpoint;
pub mod clock;
pub mod context;
pub mod fault;
pub mod groups;
#[cfg(feature = "log")]
pub mod log_bridge;
pub mod monitor;
#[cfg(feature = "opentelemetry")]
pub mod opentelemetry_bridge;
pub mod process;
pub mod registry;
pub mod stop;
pub mod supervisor;
mod sync;
pub mod telemetry;
#[cfg(feature = "tracing")]
pub mod tracing_bridge;

/// The README's examples are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
