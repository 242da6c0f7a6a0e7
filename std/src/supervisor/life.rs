//! One incarnation from its start to its end.
//!
//! The end has an order that is a promise to whoever sees the `Down`:
//!
//! 1. the body has returned or unwound, its values are dropped, a panic's payload too;
//! 2. what the incarnation held is free, in every registry it used: in the reverse of the order in which
//!    it first registered there, so that the name from its specification goes last;
//! 3. its reason is published, its identity given back;
//! 4. every monitor is told;
//! 5. the supervisor's machine is told, and what it decides is done on this thread.
//!
//! So whoever is told of an end may take the name and start a replacement. Not promised: that the
//! thread itself is gone, for destructors of thread-locals come later.

use super::spec::Work;
use super::tree::{News, Tree};
use super::{ChildRef, ChildSpec, Incarnation, StartError, request};
use crate::process::panic::{catch, contain, discard};
use crate::process::{ExitReason, ThreadPermit};
use crate::registry;
use crate::stop::StopToken;
use crate::sync::{Arc, thread};
use bedplate_core::supervision::{IncarnationId, Ready};

/// An incarnation that is to begin.
pub(super) struct Launch {
    pub(super) spec: Arc<ChildSpec>,
    pub(super) me: ChildRef,
    pub(super) stop: StopToken,
    pub(super) last_exit: Option<ExitReason>,
}

/// Starts the thread of an incarnation, and says what came of it. If it failed, the incarnation is over.
pub(super) fn launch(tree: &Arc<Tree>, id: IncarnationId, launch: Launch) -> News {
    let me = launch.me.clone();
    let news = match spawn(tree.clone(), id, launch) {
        Ok(()) => News::Started(id),
        Err(error) => {
            let error = Arc::new(error);
            end(&me, ExitReason::NotStarted(error.clone()));
            News::StartFailed(id, error)
        }
    };
    // It may have ended meanwhile, and this be the last to hold how.
    discard(me);
    news
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
    register(&launch.spec, &launch.me)?;
    builder
        .spawn(move || live(tree, id, launch, permit))
        .map_err(StartError::Spawn)?;
    Ok(())
}

/// Registers an incarnation under the name from its specification, if there is one.
pub(super) fn register(spec: &ChildSpec, me: &ChildRef) -> Result<(), StartError> {
    let Some(name) = &spec.name else {
        return Ok(());
    };
    registry::register_name(me, name).map_err(|error| StartError::Name {
        name: name.clone(),
        error,
    })
}

/// The whole life of the thread.
fn live(tree: Arc<Tree>, id: IncarnationId, launch: Launch, permit: ThreadPermit) {
    let Launch {
        spec,
        me,
        stop,
        last_exit,
    } = launch;
    let incarnation = Incarnation {
        me: me.clone(),
        stop,
        last_exit,
        tree: Arc::downgrade(&tree),
        id,
        signals: matches!(spec.plan.ready, Ready::Signalled { .. }),
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
    contain(|| me.span().end(&reason));
    // They may own the last of a user's values. From here on nothing of a user's is left but the
    // reason; still, nothing may keep this thread from telling the supervisor.
    incarnation.let_go();
    ChildSpec::let_go(spec);
    over(&tree, id, me, reason, permit);
    discard(tree);
}

/// Steps 2 to 5 of the end, on the thread of the incarnation.
pub(super) fn over(
    tree: &Arc<Tree>,
    id: IncarnationId,
    me: ChildRef,
    reason: ExitReason,
    permit: ThreadPermit,
) {
    contain(|| end(&me, reason.clone()));
    discard(me);
    // Before the replacement asks for one.
    drop(permit);
    request::set_body(None);
    tree.drive(News::Exited(id, reason));
}

/// Steps 2 to 4 of the end; without effect if the incarnation was abandoned before.
pub(super) fn end(me: &ChildRef, reason: ExitReason) {
    let _otherwise_it_was_abandoned = me.end(reason);
}
