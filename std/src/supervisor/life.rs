//! One incarnation from its start to its end.
//!
//! The end has an order that is a promise to whoever sees the `Down`:
//!
//! 1. the body has returned or unwound, its values are dropped, a panic's payload too;
//! 2. its checkpoints stand, and it saves no more; then what it held is free, in every registry it used: in the reverse of the
//!    order in which it first registered there, so that the name from its specification goes last;
//! 3. its reason is published, its identity given back;
//! 4. every monitor is told;
//! 5. the supervisor's machine is told, and what it decides is done on this thread.
//!
//! So whoever is told of an end may take the name, restore what was saved and start a replacement. Not promised: that the
//! thread itself is gone, for destructors of thread-locals come later, or that it ends at all: it may run the
//! next incarnation, see [`reuse`](super::reuse).

use super::reuse::{self, OldThread, Seat};
use super::spec::Work;
use super::tree::{News, Tree};
use super::watch::Beats;
use super::{ChildRef, ChildSpec, Incarnation, StartError, request};
use crate::process::panic::{catch, contain, discard};
use crate::process::{ExitReason, ThreadPermit};
use crate::registry;
use crate::stop::StopToken;
use crate::sync::{Arc, thread};
use bedplate_core::supervision::{Activity, IncarnationId, Ready};

/// An incarnation that is to begin.
pub(super) struct Launch {
    pub(super) spec: Arc<ChildSpec>,
    pub(super) me: ChildRef,
    pub(super) stop: StopToken,
    pub(super) last_exit: Option<ExitReason>,
    /// The thread that is to be gone before it begins.
    pub(super) after: Option<OldThread>,
    /// Where it says what it does, if it is watched.
    pub(super) beats: Option<Arc<Beats>>,
}

/// Starts the thread of an incarnation, and says what came of it, unless the thread will say so itself. If it failed, the
/// incarnation is over.
pub(super) fn launch(tree: &Arc<Tree>, id: IncarnationId, launch: Launch) -> Option<News> {
    let me = launch.me.clone();
    let waits = launch.after.is_some();
    let news = match spawn(tree.clone(), id, launch) {
        Ok(()) => (!waits).then_some(News::Started(id)),
        Err(error) => Some(failed(id, &me, error)),
    };
    // It may have ended meanwhile, and this be the last to hold how.
    discard(me);
    news
}

/// An incarnation is over because it could not be started.
fn failed(id: IncarnationId, me: &ChildRef, error: StartError) -> News {
    let error = Arc::new(error);
    end(me, ExitReason::NotStarted(error.clone()));
    News::StartFailed(id, error)
}

fn spawn(tree: Arc<Tree>, id: IncarnationId, launch: Launch) -> Result<(), StartError> {
    let permit = ThreadPermit::claim().map_err(|none| StartError::ThreadBudget {
        live: none.live,
        limit: none.limit,
    })?;
    let mut builder = thread::Builder::new().name(launch.me.path().to_owned());
    if let Some(bytes) = launch.spec.stack_size {
        builder = builder.stack_size(bytes);
    }
    register(&tree, id, &launch.spec, &launch.me)?;
    let seat = Seat::new(&launch.spec, permit);
    let own = seat.own.clone();
    let mut handle = own.as_ref().map(OldThread::lock);
    let thread = builder
        .spawn(move || {
            live(&tree, id, launch, seat);
            discard(tree);
        })
        .map_err(StartError::Spawn)?;
    if let Some(handle) = &mut handle {
        handle.handle = Some(thread);
    }
    Ok(())
}

/// Begins an incarnation on the thread of the one before, and says what came of it. If it failed, the incarnation is over.
pub(super) fn begin_here(
    tree: &Arc<Tree>,
    id: IncarnationId,
    launch: Launch,
) -> Result<Launch, News> {
    match register(tree, id, &launch.spec, &launch.me) {
        Ok(()) => Ok(launch),
        Err(error) => {
            let news = failed(id, &launch.me, error);
            discard(let_go_unbegun(launch));
            Err(news)
        }
    }
}

/// Registers an incarnation under the name from its specification, if there is one, which is then kept for the child.
pub(super) fn register(
    tree: &Arc<Tree>,
    id: IncarnationId,
    spec: &ChildSpec,
    me: &ChildRef,
) -> Result<(), StartError> {
    let Some(name) = &spec.name else {
        return Ok(());
    };
    let tree = Arc::downgrade(tree);
    let claim = registry::Claim {
        claimant: tree,
        child: id.child,
    };
    registry::register_name(me, name, Some(&claim)).map_err(|error| StartError::Name {
        name: name.clone(),
        error,
    })
}

/// The whole life of the thread: one incarnation, and the next as long as that is to be run here.
fn live(tree: &Arc<Tree>, id: IncarnationId, launch: Launch, seat: Seat) {
    let mut next = Some((id, launch, seat));
    while let Some((id, mut launch, seat)) = next {
        let (me, reason) = if let Some(old) = launch.after.take() {
            let Some(launch) = reuse::wait_for(old, tree, id, launch) else {
                return;
            };
            if tree.is_wanted(id) {
                begins_to_work(launch.beats.as_ref());
                tree.drive(News::Started(id));
                run(tree, id, launch)
            } else {
                (let_go_unbegun(launch), ExitReason::Shutdown)
            }
        } else {
            run(tree, id, launch)
        };
        tell_others(me, &reason);
        next = tree.go_on(id, reason, seat);
    }
}

/// The whole end of an incarnation that was asked to stop before its body began, on any thread.
pub(super) fn end_unbegun(tree: &Arc<Tree>, id: IncarnationId, launch: Launch) {
    let me = let_go_unbegun(launch);
    contain(|| end(&me, ExitReason::Shutdown));
    discard(me);
    tree.drive(News::Exited(id, ExitReason::Shutdown));
}

/// Step 1 of the end of an incarnation whose body does not begin. Who it was.
fn let_go_unbegun(launch: Launch) -> ChildRef {
    let Launch {
        spec,
        me,
        stop,
        last_exit,
        ..
    } = launch;
    discard(stop);
    discard(last_exit);
    ChildSpec::let_go(spec);
    me
}

/// Step 1: runs the body, and drops what is its own. Who it was, and how it ended.
fn run(tree: &Arc<Tree>, id: IncarnationId, launch: Launch) -> (ChildRef, ExitReason) {
    let Launch {
        spec,
        me,
        stop,
        last_exit,
        beats,
        ..
    } = launch;
    let incarnation = Incarnation {
        me: me.clone(),
        stop,
        last_exit,
        tree: Arc::downgrade(tree),
        id,
        signals: matches!(spec.plan.ready, Ready::Signalled { .. }),
        beats,
    };
    me.holdings().belong_to_this_thread();
    // Also when it has been asked to stop meanwhile: what was started runs, and sees it at once.
    request::set_body(Some((tree.clone(), id)));
    let mut context = None;
    contain(|| {
        let (last_exit, last_span) = (incarnation.last_exit(), &spec.last_span);
        let begun = me.span().begin(&me, last_exit, last_span, &spec.context);
        context = Some(begun);
    });
    let context = context.unwrap_or_else(|| spec.context.clone());
    begins_to_work(incarnation.beats.as_ref());
    let reason = match catch(tree.is_quiet(), || {
        context.run(|| match &spec.work {
            Work::Thread(body) => body(&incarnation),
            // Who has no body is not started here.
            _ => ExitReason::Gone,
        })
    }) {
        Ok(ExitReason::Normal) if incarnation.stop.is_stopped() => ExitReason::Shutdown,
        Ok(reason) => reason,
        Err(report) => ExitReason::Panicked(Arc::new(report)),
    };
    if incarnation.stop.is_stopped() {
        me.fence().excuse();
    }
    contain(|| me.span().end(&reason));
    // They may own the last of a user's values. From here on nothing of a user's is left but the
    // reason; still, nothing may keep this thread from telling the supervisor.
    incarnation.let_go();
    ChildSpec::let_go(spec);
    (me, reason)
}

fn begins_to_work(beats: Option<&Arc<Beats>>) {
    if let Some(beats) = beats {
        beats.say(Activity::Working);
    }
}

/// Steps 2 to 4 of the end, on the thread of the incarnation.
pub(super) fn tell_others(me: ChildRef, reason: &ExitReason) {
    contain(|| end(&me, reason.clone()));
    discard(me);
    request::set_body(None);
}

/// Steps 2 to 4 of the end; without effect if the incarnation was abandoned before.
pub(super) fn end(me: &ChildRef, reason: ExitReason) {
    let _otherwise_it_was_abandoned = me.end(reason);
}
