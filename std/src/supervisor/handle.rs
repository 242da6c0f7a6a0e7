//! A handle to look at a supervisor, and to ask it for something.

use super::health::Health;
use super::request_error::{
    ChangeChildError, DeleteError, ReconfigureError, RestartError, StartChildError, TerminateError,
};
use super::tree::{News, Tree};
use super::{ChildInfo, ChildRef, ChildSpec, Counts, SupervisorBuilder, TreeView};
use crate::sync::{Arc, Weak};
use core::fmt;

/// A handle on a supervisor that owns nothing: clones may live anywhere, also inside its children,
/// and keep nothing alive. When the supervisor has ended, there is nothing to see, and all requests are answered with
/// `ShuttingDown`.
///
/// ```
/// use bedplate::supervisor::{ChildSpec, Restart, Strategy, Supervisor};
/// use std::time::Duration;
///
/// const HOUR: Duration = Duration::from_secs(3_600);
/// let pool = Supervisor::builder("pool").strategy(Strategy::Dynamic).max_children(64).start()?;
/// let handle = pool.handle();
///
/// let connection = ChildSpec::worker("connection", |me| while !me.stop().wait(HOUR) {});
/// let child = handle.start_child(connection.restart(Restart::Temporary))?;
/// assert_eq!(handle.count().active, 1);
///
/// handle.terminate_child(&child)?;
/// assert_eq!(handle.count().specs, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Concurrency
/// To look ([`children`](Self::children), [`child`](Self::child), [`count`](Self::count), [`tree`](Self::tree),
/// [`health`](Self::health)) waits for no child, whatever the
/// supervisor is doing; nor do [`delete`](Self::delete), [`change_child`](Self::change_child),
/// [`reconfigure`](Self::reconfigure) and [`request_stop`](Self::request_stop). [`start_child`](Self::start_child), [`terminate`](Self::terminate),
/// [`terminate_child`](Self::terminate_child) and [`restart`](Self::restart) wait for the one child they are about:
/// until it is ready, at most as long as it has for that, or until it has stopped, at most as long as it has for
/// that; and before a start, if the supervisor is just starting or stopping others in order, for those.
/// Whatever follows from a request is done on the caller's thread: threads are started, and stop callbacks and
/// handlers of [telemetry](crate::telemetry) called.
///
/// None of them waits for its own caller; the answer is then `WouldDeadlock`:
/// - when the body of a child would wait for its own end; or for a start, while it is not ready itself or was asked to
///   stop;
/// - when the body of a child waits and is asked to stop; what it had asked for is done all the same;
/// - in whatever a supervisor calls in the course of its work: stop callbacks, handlers, destructors of what
///   children had captured.
///
/// This looks at the thread: of a thread that a child has started by itself, nobody knows that the child waits for it.
#[derive(Clone)]
pub struct SupRef {
    pub(super) tree: Weak<Tree>,
}

impl SupRef {
    /// The children in start order. O(children).
    #[must_use]
    pub fn children(&self) -> Vec<ChildInfo> {
        self.tree
            .upgrade()
            .map(|tree| tree.children())
            .unwrap_or_default()
    }

    /// The present incarnation of the child `id`; `None` if it does not run. Of several with this id, which a
    /// dynamic supervisor may have, the first. O(children).
    #[must_use]
    pub fn child(&self, id: &str) -> Option<ChildRef> {
        self.tree.upgrade()?.child(id)
    }

    /// A handle on the child `id`, if it is a [supervisor](ChildSpec::supervisor) and has been started: on its present
    /// incarnation, and on no later one. O(children).
    #[must_use]
    pub fn supervisor(&self, id: &str) -> Option<Self> {
        let nested = self.tree.upgrade()?.nested(id)?;
        Some(Self {
            tree: Arc::downgrade(&nested),
        })
    }

    /// The whole tree, to be printed. Each supervisor is looked at by itself, so what is told of two of them need not
    /// have been at the same moment. `None` if it has ended. O(all children).
    #[must_use]
    pub fn tree(&self) -> Option<TreeView> {
        Some(TreeView::of(&*self.tree.upgrade()?))
    }

    /// Whether the supervisor and all below it are alive, may be given work, and what is wrong: see [`health`](super::health).
    /// Answered from what is known; checks are not made for it. When the supervisor has ended, it is neither live nor
    /// ready. Each supervisor is looked at by itself, as by [`tree`](Self::tree). O(all children).
    #[must_use]
    pub fn health(&self) -> Health {
        let tree = self.tree.upgrade();
        tree.map_or_else(Health::of_nobody, |tree| tree.health())
    }

    /// How many children there are. O(1).
    #[must_use]
    pub fn count(&self) -> Counts {
        self.tree
            .upgrade()
            .map(|tree| tree.count())
            .unwrap_or_default()
    }

    /// Adds a child behind the others, starts it, and waits until it is [ready](ChildSpec::ready). If it does not start, it
    /// is forgotten again, and the supervisor goes on. A child that was added like this is restarted like any other, but
    /// is not there again when the supervisor itself is started anew. O(log children), and the wait.
    ///
    /// # Errors
    /// [`StartChildError`], which mostly gives the specification back.
    pub fn start_child(&self, spec: ChildSpec) -> Result<ChildRef, StartChildError> {
        match self.tree.upgrade() {
            Some(tree) => tree.start_child(spec),
            None => Err(StartChildError::ShuttingDown {
                spec: Some(Box::new(spec)),
            }),
        }
    }

    /// Stops the child `id` and waits until it is over, or was abandoned. A temporary child is then forgotten; any
    /// other one is kept, stopped, for [`restart`](Self::restart) or [`delete`](Self::delete). One that is stopped
    /// already stays so, and one that waits for its restart is not restarted any more. It counts neither as a restart nor
    /// as the end of a significant child. O(log children), and the wait.
    ///
    /// # Errors
    /// [`TerminateError`].
    pub fn terminate(&self, id: &str) -> Result<(), TerminateError> {
        let tree = self.tree.upgrade().ok_or(TerminateError::ShuttingDown)?;
        tree.terminate(id)
    }

    /// Stops a child of a [dynamic](super::Strategy::Dynamic) supervisor, of which this is the present incarnation, waits
    /// until it is over, or was abandoned, and forgets it. O(log children), and the wait.
    ///
    /// # Errors
    /// [`TerminateError`]; [`NotFound`](TerminateError::NotFound) also for children of other supervisors, and of those
    /// that are not dynamic.
    pub fn terminate_child(&self, child: &ChildRef) -> Result<(), TerminateError> {
        let tree = self.tree.upgrade().ok_or(TerminateError::ShuttingDown)?;
        tree.terminate_child(child)
    }

    /// Starts the child `id`, which is stopped, or waits out a [delay](ChildSpec::backoff), and waits until it is
    /// [ready](ChildSpec::ready). It does not count against the restart limit. O(log children), and the wait.
    ///
    /// # Errors
    /// [`RestartError`].
    pub fn restart(&self, id: &str) -> Result<ChildRef, RestartError> {
        let tree = self.tree.upgrade().ok_or(RestartError::ShuttingDown)?;
        tree.restart(id)
    }

    /// Forgets the child `id`, which is stopped; its id is free. What it had captured is dropped before this
    /// returns. O(log children).
    ///
    /// # Errors
    /// [`DeleteError`].
    pub fn delete(&self, id: &str) -> Result<(), DeleteError> {
        let tree = self.tree.upgrade().ok_or(DeleteError::ShuttingDown)?;
        tree.delete(id)
    }

    /// Says something else about the child of this specification's id. What runs goes on with what it had; the next
    /// incarnation is started from the new specification, and what the supervisor decides from now on goes by
    /// it. Limits that are running run on. O(log children).
    ///
    /// # Errors
    /// [`ChangeChildError`], which gives the specification back.
    pub fn change_child(&self, spec: ChildSpec) -> Result<(), ChangeChildError> {
        match self.tree.upgrade() {
            Some(tree) => tree.change_child(spec),
            None => Err(ChangeChildError::ShuttingDown {
                spec: Box::new(spec),
            }),
        }
    }

    /// Makes the supervisor like this one in what is said about it and not about its children: strategy, restart limit,
    /// auto-shutdown, how many children and how many abandoned ones there may be, and the budget. The name,
    /// [`quiet_panics`](SupervisorBuilder::quiet_panics) and [`spares`](SupervisorBuilder::spares) stay as they are.
    ///
    /// The restarts so far count under the new limit. Children beyond a lower number of them stay; so do significant
    /// ones, also where that means nothing any more. What is under way is finished as it began. O(1).
    ///
    /// # Errors
    /// [`ReconfigureError`], also if a supervisor with children is to become dynamic, or to cease to be; nothing is
    /// then changed.
    pub fn reconfigure(&self, like: SupervisorBuilder) -> Result<(), ReconfigureError> {
        let tree = self.tree.upgrade().ok_or(ReconfigureError::ShuttingDown)?;
        tree.reconfigure(like)
    }

    /// Asks the children to stop, in reverse order, and does not wait.
    pub fn request_stop(&self) {
        if let Some(tree) = self.tree.upgrade() {
            tree.drive(News::Shutdown);
        }
    }
}

impl fmt::Debug for SupRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree: Option<Arc<Tree>> = self.tree.upgrade();
        f.debug_tuple("SupRef")
            .field(&tree.as_ref().map(|tree| tree.name()))
            .finish()
    }
}
