//! Waiting for what comes of a request, and who must not.
//!
//! ```text
//! asks:    lock ── machine.start_child(…) ── a wait is noted ── unlock ── do the jobs ── Request::wait
//! answers: lock ── machine.step(…) ──► Settled ── the wait is taken out ── unlock ── Request::answer
//! ```
//!
//! Whoever waits holds no lock. Each request is answered once: by what came of it, by the end of the supervisor,
//! or, if a child waits for its own supervisor, by that child's being asked to stop: its supervisor would
//! wait for it, and it for its supervisor. So that this can be known, a thread knows whose body it runs, and
//! whether it is doing a supervisor's jobs, of which the one it would wait for may be the next.

use super::tree::Tree;
use super::{ChildRef, ChildSpec, StartError};
use crate::stop::StopToken;
use crate::sync::{Arc, Condvar, Mutex};
use bedplate_core::supervision::{ChildKey, IncarnationId};
use core::cell::{Cell, RefCell};

/// Where an answer comes.
#[derive(Default)]
pub(super) struct Request {
    answer: Mutex<Option<Answer>>,
    came: Condvar,
}

/// What came of a request.
pub(super) enum Answer {
    /// The child has been started, and is ready.
    Started(ChildRef),
    /// It was not, and this is left of it.
    NotStarted(Arc<StartError>, Option<Arc<ChildSpec>>),
    /// It chose not to run.
    Declined,
    /// The child does not run any more.
    Stopped,
    /// Whoever waits is to stop.
    Cut,
    /// The supervisor has ended.
    Ended,
}

impl Request {
    pub(super) fn answer(&self, answer: Answer) {
        *self.answer.lock() = Some(answer);
        self.came.notify_all();
    }

    /// Blocks until there is an answer.
    pub(super) fn wait(&self) -> Answer {
        let answer = self.answer.lock();
        let mut answer = self.came.wait_while(answer, |answer| answer.is_none());
        answer.take().unwrap_or(Answer::Ended)
    }
}

thread_local! {
    /// The incarnation whose body this thread runs, or what it leaves is being dropped on this thread.
    static BODY: RefCell<Option<(Arc<Tree>, IncarnationId)>> = const { RefCell::new(None) };
    /// How many calls of this thread are doing supervisors' jobs, one within the other.
    static WORKING: Cell<usize> = const { Cell::new(0) };
}

/// This thread runs the body of that incarnation from here on; or none any more.
pub(super) fn set_body(body: Option<(Arc<Tree>, IncarnationId)>) {
    BODY.with(|present| drop(present.replace(body)));
}

/// Does a supervisor's jobs.
pub(super) fn working<R>(work: impl FnOnce() -> R) -> R {
    struct Working;
    impl Drop for Working {
        fn drop(&mut self) {
            WORKING.set(WORKING.get() - 1);
        }
    }
    WORKING.set(WORKING.get() + 1);
    let _until_then = Working;
    work()
}

/// Whether this thread is doing a supervisor's jobs, and must wait for none.
pub(super) fn is_working() -> bool {
    WORKING.get() > 0
}

/// A supervisor is being started: if a body does that, it is seen below the child.
pub(super) fn note_start_of(tree: &Arc<Tree>) {
    let body = BODY.try_with(|body| body.borrow().clone()).ok().flatten();
    if let Some((own, id)) = body {
        own.note_inner(id, tree);
    }
}

/// What tells the child whose body this thread runs to stop: none if it runs no body, and nothing in that if the
/// incarnation was abandoned.
pub(crate) fn own_stop() -> Option<Option<StopToken>> {
    let body = BODY.try_with(|body| body.borrow().clone()).ok().flatten();
    body.map(|(tree, id)| tree.stop_of(id))
}

/// The child of `tree` whose body this thread runs, or the one in whose tree that is.
pub(super) fn own_branch(tree: &Arc<Tree>) -> Option<ChildKey> {
    // It is gone when thread-locals are being destroyed; then there is no body, either.
    let body = BODY.try_with(|body| body.borrow().clone()).ok().flatten();
    let (mut own, mut id) = body?;
    while !Arc::ptr_eq(&own, tree) {
        (own, id) = own.above()?;
    }
    Some(id.child)
}
