//! Which thread runs the next incarnation.
//!
//! ```text
//! Fresh           old: end ── tells its supervisor ── starts the new ── gone, some time
//!                 new:                                └── body
//! FreshAfterJoin  old: end ── tells its supervisor ── starts the new ── destructors of thread-locals ── gone
//!                 new:                                └── waits for that ─────────────────────────────── body
//! SameThread      one: end ── tells its supervisor ── body ── end ── …
//! ```
//!
//! *The same thread.* Whoever has news for a supervisor does what it decides, mostly a thread that is about to end. If
//! the answer to the end of an incarnation is that the next one of the same child begins, and it is to have the same
//! thread, that is not done like other jobs: when all else is done, it is given back to the thread's loop. So the
//! stack does not grow from one incarnation to the next, nothing of the old one is held, and no other thread can take
//! part: one that abandons an incarnation, or starts a child when its delay is over, has no such loop and gets a fresh thread.
//! A thread that ends and is not needed at once never waits for what may come, since a delay may last an hour, and
//! the child be terminated in it; and where there is a delay, a thread is cheap.
//!
//! *After the old one.* A thread cannot see that its thread-locals are gone; a join can. So a thread whose
//! successor is to wait for it finds its own handle when it ends, and leaves it with its supervisor, in the step in which that
//! learns of the end. The new thread joins it before it does anything else, and then tells itself that it has
//! started. It does so under the lock of the handle: if it is abandoned meanwhile, its successor waits on that lock for the
//! same old thread.

use super::ChildSpec;
use super::spec::Work;
use crate::process::ThreadPermit;
use crate::sync::{Arc, Mutex, MutexGuard, thread};

/// On which thread a child is restarted; see [`ChildSpec::reuse`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reuse {
    /// On a fresh one, which is started while the old one ends: destructors of the old one's thread-locals may still run
    /// beside the new body.
    #[default]
    Fresh,
    /// On a fresh one, whose body begins when the old thread is gone, with its thread-locals: for bodies that keep
    /// something in a thread-local that there must be only one of. Until then the child is
    /// [`Starting`](super::ChildState::Starting). A destructor that never returns keeps it there; a child
    /// that is asked to stop meanwhile is abandoned when its time is over. A thread that was abandoned is not waited for, nor is
    /// one whose child had another policy when it was started.
    FreshAfterJoin,
    /// On the same one, if it is restarted at once: no thread is started, which is most of what a restart takes, and none can be
    /// refused. Thread-locals keep their values, and what was set for the thread in the operating system stays set; the
    /// [context](crate::context) begins as ever in that of the specification.
    ///
    /// This is for speed, and not a promise: the thread is fresh after a delay, after a restart with others that
    /// were started or stopped first, after a restart by hand, if the incarnation before was abandoned, and if the size of the stack was
    /// changed. What else the end brings about is done on the thread before the next body begins: a handler or a
    /// destructor that takes long holds it up.
    SameThread,
}

/// A thread that runs incarnations of a child.
pub(super) struct Seat {
    stack_size: Option<usize>,
    /// Where its handle is, if somebody is to wait until it is gone.
    pub(super) own: Option<OldThread>,
    _permit: ThreadPermit,
}

impl Seat {
    pub(super) fn new(spec: &ChildSpec, permit: ThreadPermit) -> Self {
        Self {
            stack_size: spec.stack_size,
            own: (spec.reuse == Reuse::FreshAfterJoin).then(OldThread::default),
            _permit: permit,
        }
    }

    /// Whether the next incarnation, of this specification, is to have this thread.
    pub(super) fn suits(&self, spec: &ChildSpec) -> bool {
        spec.reuse == Reuse::SameThread
            && spec.stack_size == self.stack_size
            && matches!(spec.work, Work::Thread(_))
    }
}

/// A thread that somebody may wait for until it is gone.
#[derive(Clone, Default)]
pub(super) struct OldThread(Arc<Mutex<Option<thread::JoinHandle<()>>>>);

impl OldThread {
    /// For whoever starts it, until the handle is in place: the thread itself may be over before.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<thread::JoinHandle<()>>> {
        self.0.lock()
    }

    /// Blocks until it is gone.
    pub(super) fn wait(self) {
        let mut handle = self.0.lock();
        if let Some(handle) = handle.take() {
            // It has caught its panics itself.
            let _result = handle.join();
        }
    }
}
