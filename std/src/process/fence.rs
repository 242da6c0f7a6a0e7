//! Whether an incarnation may still act in its own name; and, when it may not, whether it has crashed, and when.
//!
//! ```text
//!  Open ──its body asked to stop: excuse──► Open, excused
//!    ╰────────────── close ──────────────────╯──────────────► Closed(crashed?, at)
//! ```
//!
//! It is closed once, for good, by the incarnation's own end or by whoever abandons it: before what it holds is released and
//! before its end is published. Whoever asks under a lock of its own, and does there what only the living may do, does it before
//! anybody who has seen something of the end takes that lock, or not at all. It owns nothing of a user's, so whoever asks later how an
//! incarnation ended keeps this, and not its reason.

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

    /// Whether the incarnation is over, and may do nothing any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.past().is_some()
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
