//! What a supervisor says about its children.

use super::ChildRef;
use crate::process::ExitReason;
use crate::process::panic::discard;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{ChildState, Kind};
use core::fmt;
use core::time::Duration;

/// One child, as it was at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its id.
    pub id: String,
    /// Whether it does work or has children of its own.
    pub kind: Kind,
    /// What it was doing.
    pub state: ChildState,
    /// The number of its present or last incarnation; 0 before the first.
    pub incarnation: u64,
    /// How often it was started again to come to that, starts that failed and those by hand included.
    pub restarts: u64,
    /// Its present incarnation; `None` when it does not run.
    pub child: Option<ChildRef>,
    /// When its present incarnation was started, on [`clock::now`](crate::clock::now); `None` when it does not run.
    pub since: Option<Instant>,
    /// How the incarnation before ended, as it is told of in [`last_exit`](super::Incarnation::last_exit).
    pub last_exit: Option<ExitReason>,
    /// Whether its present incarnation was found to be [stuck](super::ChildSpec::watch) and has said nothing since.
    pub stuck: bool,
}

/// How many children a supervisor had at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Children it knows, running or not.
    pub specs: usize,
    /// Those of them that are supervisors.
    pub supervisors: usize,
    /// Those of them that are not.
    pub workers: usize,
    /// Children that run, or are being started or stopped.
    pub active: usize,
    /// Incarnations that were abandoned and have not ended since.
    pub abandoned: usize,
    /// Threads that wait as [spares](super::SupervisorBuilder::spares); fewer than there may be while they are in use, or if
    /// they were refused.
    pub spares: usize,
}

/// How a supervisor's children ended when it stopped. Children of nested supervisors are called by their
/// path, as in `pool/worker`, and come before the supervisor itself.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The ids of those that stopped cleanly, in the order in which they did.
    pub clean: Vec<String>,
    /// Those that ended in another way while they were being stopped, in that order. If the
    /// supervisor had given up, the first is the child for which it had, with
    /// [`ExitReason::GaveUp`]; how that child ended is in [`GaveUp::last`](crate::process::GaveUp).
    pub failed: Vec<(String, ExitReason)>,
    /// The ids of those that did not stop in time. Their threads may still run.
    pub abandoned: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl ShutdownReport {
    /// Takes over what is reported of the nested supervisor `id`; of whoever did not stay behind only if the whole is
    /// `stopping`.
    pub(super) fn absorb(&mut self, id: &str, of: Self, stopping: bool) {
        let path = |child: String| format!("{id}/{child}");
        if stopping {
            self.clean.extend(of.clean.into_iter().map(path));
            let failed = of.failed.into_iter();
            self.failed
                .extend(failed.map(|(child, reason)| (path(child), reason)));
        } else {
            of.failed.into_iter().for_each(discard);
        }
        self.abandoned.extend(of.abandoned.into_iter().map(path));
    }

    /// Notes how a child ended that was asked to stop, unless it was abandoned.
    pub(super) fn add(&mut self, id: String, reason: ExitReason) {
        if reason.is_clean() {
            self.clean.push(id);
        } else {
            self.failed.push((id, reason));
        }
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            clean,
            failed,
            abandoned,
            took,
        } = self;
        write!(f, "{} stopped cleanly in {took:?}", clean.len())?;
        for (id, reason) in failed {
            write!(f, "; {id} {reason}")?;
        }
        for id in abandoned {
            write!(f, "; {id} abandoned")?;
        }
        Ok(())
    }
}
