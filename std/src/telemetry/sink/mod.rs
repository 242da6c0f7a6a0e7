//! Handlers that carry events elsewhere: each of these functions makes one, to be [attached](super::attach).
//!
//! A closure is a handler already. What is written here locks what it writes to, and is a failure of the handler
//! where that fails.
//!
//! ```
//! use bedplate::telemetry::{self, Pattern, sink};
//!
//! telemetry::attach("log", Pattern::EVERYTHING, sink::json_lines(std::io::sink()))?;
//! telemetry::emit!("order.placed", { count: 1_u64 }, { customer: "Ada" });
//! # telemetry::detach("log")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod json;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

pub use self::json::json_lines;
#[cfg(feature = "metrics")]
pub use self::metrics::to_metrics;
#[cfg(feature = "tracing")]
pub use self::tracing::to_tracing;
