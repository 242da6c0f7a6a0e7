//! How a program's supervisor ended, for its `main`.

#[cfg(all(unix, feature = "signal"))]
use super::until_signal::Listening;
use super::{FLUSH, ShutdownReport, Supervisor};
use crate::clock;
use crate::process::ExitReason;
use std::process::{ExitCode, Termination};

/// How a supervisor ended that ran [as an application](super::Application::run) or until a signal.
///
/// `main` may return it: its exit code is that of success if the reason is [clean](ExitReason::is_clean), and otherwise that of
/// failure.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// The signal that came first; `None` if the supervisor ended by itself, or nobody listened.
    pub signal: Option<i32>,
    /// How the supervisor ended.
    pub reason: ExitReason,
    /// How its children did.
    pub report: ShutdownReport,
}

impl Termination for Ended {
    fn report(self) -> ExitCode {
        if self.reason.is_clean() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// There is nobody who could listen.
#[cfg(not(all(unix, feature = "signal")))]
pub(super) enum Listening {}

#[cfg(not(all(unix, feature = "signal")))]
impl Listening {
    pub(super) fn end(self) -> Option<(i32, bedplate_core::clock::Instant)> {
        match self {}
    }
}

impl Supervisor {
    /// Waits until it has ended, and says how.
    pub(super) fn run(self, listening: Option<Listening>) -> Ended {
        let reason = self.tree.wait_ended();
        let ended = clock::now();
        // Not all of it, if handlers hang.
        let _result = crate::telemetry::flush(FLUSH);
        // Last: so long, a second signal is the end.
        let first = listening.and_then(Listening::end);
        let took = first.map(|(_, at)| ended.saturating_duration_since(at));
        Ended {
            signal: first.map(|(signal, _)| signal),
            reason,
            report: ShutdownReport {
                took: took.unwrap_or_default(),
                ..self.tree.report()
            },
        }
    }
}
