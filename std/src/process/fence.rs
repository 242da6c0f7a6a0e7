//! Whether an incarnation may still act in its own name; and, when it may not, whether it has crashed, and when.
//!
//! ```text
//!  Open ──its body asked to stop: excuse──► Open, excused
//!    ╰────────────── close ──────────────────╯──────────────► Closed(crashed?, at)
//! ```
//!
//! It is closed once, for good, by the incarnation's own end or by whoever abandons it: before what it holds is released and
//! before its end is published. What is done [while it is open](Fence::while_open) is done under its lock, so whoever
//! finds a name free, or has been told of the end, knows that nothing comes any more. It owns nothing of a user's, so whoever
//! asks later how an incarnation ended keeps this, and not its reason.

use super::ExitReason;
use crate::clock;
use crate::sync::Mutex;
use bedplate_core::clock::Instant;

pub(crate) struct Fence {
    /// The how manyth incarnation of the process it is.
    birth: u64,
    state: Mutex<State>,
}

enum State {
    Open { excused: bool },
    Closed(Past),
}

/// How an incarnation ended, as far as that is known without its reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// By itself, and not cleanly, and not when it had been asked to stop.
    pub(crate) crashed: bool,
    pub(crate) at: Instant,
}

impl Fence {
    pub(crate) const fn new(birth: u64) -> Self {
        Self {
            birth,
            state: Mutex::new(State::Open { excused: false }),
        }
    }

    /// Whether this incarnation came after that one.
    pub(crate) const fn is_younger_than(&self, other: &Self) -> bool {
        self.birth > other.birth
    }

    /// Does something that must not be done any more when the incarnation is over, unless it is. No code of a user may run in
    /// it.
    pub(crate) fn while_open<R>(&self, act: impl FnOnce() -> R) -> Option<R> {
        let state = self.state.lock();
        matches!(*state, State::Open { .. }).then(act)
    }

    /// However it ends now, it was asked to.
    pub(crate) fn excuse(&self) {
        if let State::Open { excused } = &mut *self.state.lock() {
            *excused = true;
        }
    }

    /// It is over, and how; without effect if it was.
    pub(super) fn close(&self, reason: &ExitReason) {
        let at = clock::now();
        let is_crash = !reason.is_clean() && !matches!(reason, ExitReason::Abandoned { .. });
        let mut state = self.state.lock();
        if let State::Open { excused } = *state {
            let crashed = is_crash && !excused;
            *state = State::Closed(Past { crashed, at });
        }
    }

    /// How it ended; `None` while it is not over.
    pub(crate) fn past(&self) -> Option<Past> {
        match *self.state.lock() {
            State::Open { .. } => None,
            State::Closed(past) => Some(past),
        }
    }
}
