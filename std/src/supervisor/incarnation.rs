//! What the body of a child is given: who it is, and whether it may go on.

use super::health::{Checked, Health};
use super::tree::{News, Tree};
use super::watch::Beats;
use super::{ChildRef, SupRef};
use crate::process::ExitReason;
use crate::process::panic::discard;
use crate::registry::{self, NameError};
use crate::stop::StopToken;
use crate::sync::{Arc, Weak};
use bedplate_core::supervision::{Activity, IncarnationId};
use core::fmt;

/// One run of a child, as its body sees it.
pub struct Incarnation {
    pub(super) me: ChildRef,
    pub(super) stop: StopToken,
    pub(super) last_exit: Option<ExitReason>,
    pub(super) tree: Weak<Tree>,
    pub(super) id: IncarnationId,
    /// Whether somebody waits until it is ready.
    pub(super) signals: bool,
    /// Where it says what it does, if it is watched.
    pub(super) beats: Option<Arc<Beats>>,
    /// Where it keeps its answers, if it is a check.
    pub(super) checked: Option<Arc<Checked>>,
}

impl Incarnation {
    /// Whether this incarnation has been asked to stop. Clones of the token may be given to other
    /// threads.
    #[must_use]
    pub const fn stop(&self) -> &StopToken {
        &self.stop
    }

    /// Says that this incarnation is ready: what it does for others can be had from now on. The next child is
    /// started, and whoever waits for this one goes on. Without effect unless the child is
    /// [`Ready::Signalled`](super::Ready::Signalled), and when it is said again; but it always says, too, that this incarnation
    /// [works](Self::working).
    ///
    /// # Concurrency
    /// Starts the thread of the next child, and may call what a user has attached to
    /// [telemetry](crate::telemetry); it waits for nobody.
    pub fn ready(&self) {
        self.working();
        if self.signals
            && let Some(tree) = self.tree.upgrade()
        {
            tree.drive(News::Ready(self.id));
        }
    }

    /// Says that it works from now on, or still does: for a child that is [watched](super::ChildSpec::watch), to be said before a piece
    /// of work and, in a long one, in between. Without effect otherwise.
    ///
    /// # Concurrency
    /// Reads the clock, and is one store; it may be called by any thread that works for this incarnation.
    pub fn working(&self) {
        self.say(Activity::Working);
    }

    /// Says that it waits from now on, for something to do; to be said before it does. As [`working`](Self::working)
    /// otherwise.
    pub fn parked(&self) {
        self.say(Activity::Parked);
    }

    fn say(&self, activity: Activity) {
        if let Some(beats) = &self.beats {
            beats.say(activity);
        }
    }

    /// How all is of which this child is a part.
    pub(super) fn health_of_all(&self) -> Health {
        let tree = self.tree.upgrade();
        tree.map_or_else(Health::of_nobody, |tree| tree.outermost().health())
    }

    /// A handle on the supervisor of this child.
    #[must_use]
    pub fn supervisor(&self) -> SupRef {
        SupRef {
            tree: self.tree.clone(),
        }
    }

    /// The handle by which others know this incarnation.
    #[must_use]
    pub const fn me(&self) -> &ChildRef {
        &self.me
    }

    /// Which incarnation this is: 1 for the first. A start that failed used up a number too.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.me.incarnation()
    }

    /// How often the child was restarted to come to this incarnation: 0 for the first.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.number() - 1
    }

    /// Registers this incarnation under `name` in the [registry](crate::registry), until it gives
    /// the name up or ends.
    ///
    /// # Errors
    /// [`NameError`] if the name cannot be used, is taken (by this incarnation too), or this
    /// incarnation was abandoned.
    pub fn register(&self, name: &str) -> Result<(), NameError> {
        registry::register_name(&self.me, name, None)
    }

    /// Gives up `name`. Returns whether this incarnation held it.
    pub fn unregister(&self, name: &str) -> bool {
        registry::unregister_name(&self.me, name)
    }

    /// How the incarnation before this one ended. If it did not become ready in time, or ended cleanly before,
    /// it was [not started](ExitReason::NotStarted).
    #[must_use]
    pub const fn last_exit(&self) -> Option<&ExitReason> {
        self.last_exit.as_ref()
    }

    /// When the body has ended: drops what it leaves, each value alone.
    pub(super) fn let_go(self) {
        self.stop.forget_callbacks();
        discard(self.last_exit);
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incarnation")
            .field("me", &self.me)
            .field("stop", &self.stop)
            .field("last_exit", &self.last_exit)
            .finish_non_exhaustive()
    }
}
