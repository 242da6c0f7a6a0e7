//! Which thread runs the next incarnation.
//!
//! ```text
//! Fresh           old: end ── tells its supervisor ── starts the new ── gone, some time
//!                 new:                                └── body
//! FreshAfterJoin  old: end ── tells its supervisor ── starts the new ── destructors of thread-locals ── gone
//!                 new:                                └── waits for that ─────────────────────────────── body
//! SameThread      one: end ── tells its supervisor ── body ── end ── …
//! Spare           old: end ── tells its supervisor ── calls a spare ── waits as a spare
//!                 spare: waits                        └── body
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
//! *A spare.* What [waits](super::spares) is called by whoever starts a child: one that asks for it, or that was refused a fresh
//! thread. A thread that was a spare, or was started for a child that is restarted on one, is such a thread ever after: when an
//! incarnation is over, it goes back if there is room. Meanwhile it does not count, as any thread that ends does not, so that
//! what it starts has room; it counts anew when it waits, and if the limit is reached by then, it ends instead. The next incarnation of
//! the same child is kept back here, too, as for the same thread, and begins on this very one if there is neither a spare nor a
//! fresh thread: who crashes cannot be worse off for having asked for a spare.
//!
//! *After the old one.* A thread cannot see that its thread-locals are gone; a join can. So a thread whose
//! successor is to wait for it finds its own handle when it ends, and leaves it with its supervisor, in the step in which that
//! learns of the end. The new thread joins it before it does anything else, and then tells itself that it has
//! started.
//!
//! A join cannot be called off, and the old thread may hang in a destructor, or wait in one for the very supervisor that
//! waits for the new one. So who asks an incarnation to stop that waits does not wait for its thread: it ends the
//! incarnation in its place ([`wait_for`]), and the thread finds nothing to begin when the join is over. What is to begin
//! is in a slot of which one of the two takes it. The successor waits for the same old thread: not by a join, of which there is one, but
//! on a condition that who joins gives notice of, or who stops it. So of all who waited for one old thread, one is left.
//! Who waited to the end asks the supervisor whether it is still meant: it may have been asked to stop, or abandoned,
//! and nobody have come to say so yet.

use super::ChildSpec;
use super::elsewhere::elsewhere;
use super::life::{self, Errand, Launch};
use super::spares::Spares;
use super::spec::Work;
use super::tree::Tree;
use crate::process::ThreadPermit;
use crate::stop::StopToken;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, thread};
use bedplate_core::supervision::IncarnationId;

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
    /// that is asked to stop meanwhile has ended at once, its body does not begin, and the next one waits for the same old
    /// thread. The new thread itself can only end after the old one, and counts among the [threads](crate::process::threads)
    /// until then.
    ///
    /// A thread that was abandoned is not waited for, nor is one whose child had another policy when it was started.
    /// The old thread is known to the supervisor that started it, and to nobody else: where that is
    /// [restarted itself](ChildSpec::supervisor), a child of the new one does not wait for a thread of the old one, whether or not its
    /// specification is a clone.
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
    /// On one of its supervisor's [spares](super::SupervisorBuilder::spares), if one waits; its old thread then waits in its place.
    /// If none does, on a fresh one, or if that is refused and it is restarted at once, on the same one. It is started for the
    /// first time on a fresh thread, so that the spares are there when it crashes.
    ///
    /// This is for children that shall not wait for a thread to be made, nor for what the old one still does, and that leave nothing
    /// bad in thread-locals: those keep their values, and are seen by whichever child comes next on that thread. Where there are no
    /// spares, or with a [stack size](ChildSpec::stack_size) of its own, this is [`Fresh`](Self::Fresh).
    Spare,
}

/// The threads that wait for children of one supervisor.
pub(super) type Pool = Spares<Seat, Errand>;

/// A thread that runs incarnations of a child.
pub(super) struct Seat {
    stack_size: Option<usize>,
    /// Where its handle is, if somebody is to wait until it is gone.
    pub(super) own: Option<OldThread>,
    /// Whether it waits for whatever comes when an incarnation is over.
    is_spare: bool,
    permit: ThreadPermit,
}

impl Seat {
    /// A fresh one for a child of a supervisor that has spares or has none.
    pub(super) fn new(spec: &ChildSpec, has_spares: bool, permit: ThreadPermit) -> Self {
        Self {
            stack_size: spec.stack_size,
            own: (spec.reuse == Reuse::FreshAfterJoin).then(OldThread::default),
            is_spare: has_spares && spec.reuse == Reuse::Spare && spec.stack_size.is_none(),
            permit,
        }
    }

    /// A spare one.
    pub(super) const fn spare(permit: ThreadPermit) -> Self {
        Self {
            stack_size: None,
            own: None,
            is_spare: true,
            permit,
        }
    }

    pub(super) fn into_permit(self) -> ThreadPermit {
        self.permit
    }

    pub(super) const fn stack_size(&self) -> Option<usize> {
        self.stack_size
    }

    pub(super) const fn is_spare(&self) -> bool {
        self.is_spare
    }

    /// Whether the next incarnation, of this specification, is to have this thread.
    pub(super) fn suits(&self, spec: &ChildSpec) -> bool {
        spec.reuse == Reuse::SameThread
            && spec.stack_size == self.stack_size
            && matches!(spec.work, Work::Thread(_))
    }

    /// Whether the next incarnation, of this specification, may have this thread if there is no other.
    pub(super) fn would_do(&self, spec: &ChildSpec) -> bool {
        self.is_spare && may_have_spare(spec)
    }
}

/// Whether a child of this specification may begin on a spare.
pub(super) fn may_have_spare(spec: &ChildSpec) -> bool {
    spec.stack_size.is_none()
        && spec.reuse != Reuse::FreshAfterJoin
        && matches!(spec.work, Work::Thread(_))
}

/// A thread that somebody may wait for until it is gone.
#[derive(Clone, Default)]
pub(super) struct OldThread(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<Joining>,
    /// Notified when it is gone, and when somebody who waits for that is to stop.
    changed: Condvar,
}

/// It is gone if nobody has its handle any more.
#[derive(Default)]
pub(super) struct Joining {
    /// Of a thread that nobody joins yet.
    pub(super) handle: Option<thread::JoinHandle<()>>,
    /// Whether somebody does.
    under_way: bool,
}

impl OldThread {
    /// For whoever starts it, until the handle is in place: the thread itself may be over before.
    pub(super) fn lock(&self) -> MutexGuard<'_, Joining> {
        self.0.state.lock()
    }

    /// Blocks until it is gone. If somebody joins it already, at most until `stop` is asked for and
    /// [told](Self::stop_waiting).
    fn wait(&self, stop: &StopToken) {
        let mut joining = self.lock();
        if let Some(handle) = joining.handle.take() {
            joining.under_way = true;
            drop(joining);
            // It has caught its panics itself.
            let _result = handle.join();
            self.lock().under_way = false;
            self.0.changed.notify_all();
        } else {
            let waits = |joining: &mut Joining| joining.under_way && !stop.is_stopped();
            drop(self.0.changed.wait_while(joining, waits));
        }
    }

    /// Somebody who may wait has been asked to stop.
    fn stop_waiting(&self) {
        // Who has looked before that waits by now.
        drop(self.lock());
        self.0.changed.notify_all();
    }
}

/// Blocks until the old thread is gone. Gives the incarnation back, unless it was asked to stop meanwhile and is over.
pub(super) fn wait_for(
    old: OldThread,
    tree: &Arc<Tree>,
    id: IncarnationId,
    launch: Launch,
) -> Option<Launch> {
    let stop = launch.stop.clone();
    // Who takes it out decides what becomes of it.
    let waiting = Arc::new(Mutex::new(Some(launch)));
    let called_off = stop.on_stop({
        let (old, tree, waiting) = (old.clone(), tree.clone(), waiting.clone());
        move || {
            let launch = waiting.lock().take();
            if let Some(launch) = launch {
                // Not within this call: the end of one may be why the next one is asked to stop, and so on.
                elsewhere(Box::new(move || life::end_unbegun(&tree, id, launch)));
            }
            old.stop_waiting();
        }
    });
    old.wait(&stop);
    drop(called_off);
    waiting.lock().take()
}
