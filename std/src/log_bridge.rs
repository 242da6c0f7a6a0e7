//! Puts the current [context] on every line of the `log` crate. With the feature `log`.
//!
//! Around the logger that a program has already:
//!
//! ```
//! use bedplate::context::{self, Key};
//! use bedplate::log_bridge::InContext;
//! # struct Printer;
//! # impl log::Log for Printer {
//! #     fn enabled(&self, _: &log::Metadata<'_>) -> bool { true }
//! #     fn log(&self, record: &log::Record<'_>) { assert_eq!(record.args().to_string(), "ctx{request_id=123}: registered"); }
//! #     fn flush(&self) {}
//! # }
//! static REQUEST_ID: Key<u64> = Key::new("request_id");
//!
//! let logger = Printer; // that of `env_logger`, `fern`, …
//! log::set_boxed_logger(Box::new(InContext::new(logger)))?;
//! log::set_max_level(log::LevelFilter::Info);
//!
//! context::with(&REQUEST_ID, 123, || log::info!("registered"));
//! // INFO ctx{request_id=123}: registered
//! # Ok::<(), log::SetLoggerError>(())
//! ```
//!
//! A program whose `log` records become `tracing` events (`tracing-log`, which `tracing_subscriber`'s `init`
//! installs) needs none of this: its lines pass through the [tracing bridge](crate::tracing_bridge).

use crate::context;
use log::{Log, Metadata, Record};

/// A logger that writes the context in front of what `L` writes: `ctx{request_id=123}: ` and then the message.
///
/// Lines without context, and lines that `L` does not want, pass as they are. Everything else of a record (its level,
/// target, place, and key-values) stays.
#[derive(Debug)]
pub struct InContext<L> {
    logger: L,
}

impl<L> InContext<L> {
    /// Around `logger`.
    pub const fn new(logger: L) -> Self {
        Self { logger }
    }
}

impl<L: Log> Log for InContext<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.logger.enabled(record.metadata()) {
            return;
        }
        let current = context::current();
        if current.is_empty() {
            return self.logger.log(record);
        }
        let message = record.args();
        let pairs = record.key_values();
        let mut shown = Record::builder();
        shown
            .metadata(record.metadata().clone())
            .line(record.line())
            .key_values(&pairs);
        match record.module_path_static() {
            Some(path) => shown.module_path_static(Some(path)),
            None => shown.module_path(record.module_path()),
        };
        match record.file_static() {
            Some(file) => shown.file_static(Some(file)),
            None => shown.file(record.file()),
        };
        let args = format_args!("ctx{{{current}}}: {message}");
        self.logger.log(&shown.args(args).build());
    }

    fn flush(&self) {
        self.logger.flush();
    }
}
