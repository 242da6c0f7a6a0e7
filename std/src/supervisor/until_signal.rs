//! Running until the system, or whoever sits at the terminal, wants it to end.

use super::tree::{News, elsewhere};
use super::{ShutdownReport, Supervisor};
use crate::clock;
use crate::process::ExitReason;
use crate::sync::{Arc, Mutex, thread};
use core::time::Duration;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::io;

/// How a supervisor ended that [ran until a signal](Supervisor::run_until_signal).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The signal that came first; `None` if the supervisor ended by itself.
    pub signal: Option<i32>,
    /// How the supervisor ended.
    pub reason: ExitReason,
    /// How its children did.
    pub report: ShutdownReport,
}

impl Supervisor {
    /// Waits until `SIGTERM` or `SIGINT` (Ctrl-C) comes, and then stops the children in order, as
    /// [`shutdown`](Self::shutdown) does; or until the supervisor ends by itself, as [`wait`](Self::wait) does. A second
    /// signal ends the process at once, as it would without a handler. For `main`; with the feature `signal`, on Unix.
    ///
    /// ```no_run
    /// use bedplate::supervisor::{ChildSpec, Supervisor};
    /// use std::process::ExitCode;
    /// use std::time::Duration;
    ///
    /// fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    ///     let server = ChildSpec::worker("server", |me| {
    ///         while !me.stop().wait(Duration::from_secs(1)) {}
    ///     });
    ///     let ended = Supervisor::builder("app").child(server).start()?.run_until_signal()?;
    ///     Ok(if ended.reason.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    /// }
    /// ```
    ///
    /// # Errors
    /// If there is no handler or thread to be had; the children are then asked to stop.
    ///
    /// # Concurrency
    /// Blocks as long as that takes. Signals that come before the call have the effect they had before; those that come
    /// after it returns have none, unless somebody else has a handler for them.
    pub fn run_until_signal(self) -> io::Result<Ended> {
        /// How long handlers may take for what was recorded.
        const FLUSH: Duration = Duration::from_secs(1);

        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let closing = signals.handle();
        let first = Arc::new(Mutex::new(None));
        let watching = {
            let (first, tree) = (first.clone(), Arc::downgrade(&self.tree));
            thread::Builder::new()
                .name("bedplate-signals".to_owned())
                .spawn(move || {
                    for signal in signals.forever() {
                        if first.lock().is_some() {
                            // If that does not end the process, nothing does that we could.
                            let _refused = emulate_default_handler(signal);
                        }
                        *first.lock() = Some((signal, clock::now()));
                        if let Some(tree) = tree.upgrade() {
                            // A stop callback that hangs must not keep the second one from being seen.
                            elsewhere(Box::new(move || tree.drive(News::Shutdown)));
                        }
                    }
                })?
        };
        let reason = self.tree.wait_ended();
        let ended = clock::now();
        closing.close();
        // It has ended, or is about to: there is nothing in it that panics.
        let _joined = watching.join();
        let first = *first.lock();
        let took = first.map(|(_, at)| ended.saturating_duration_since(at));
        // Not all of it, if handlers hang.
        let _result = crate::telemetry::flush(FLUSH);
        Ok(Ended {
            signal: first.map(|(signal, _)| signal),
            reason,
            report: ShutdownReport {
                took: took.unwrap_or_default(),
                ..self.tree.report()
            },
        })
    }
}
