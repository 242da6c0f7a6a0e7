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

use super::tree::{News, Tree};
use super::{ChildRef, ChildSpec, Incarnation, StartError};
use crate::process::panic::{catch, contain, discard};
use crate::process::{ExitReason, ThreadPermit};
use crate::registry;
use crate::sync::{Arc, thread};
use bedplate_core::supervision::IncarnationId;

/// What a new thread is given.
pub(super) struct Launch {
    pub(super) spec: Arc<ChildSpec>,
    pub(super) incarnation: Incarnation,
}

/// Starts the thread of an incarnation. If that fails, the incarnation is over.
pub(super) fn launch(
    tree: &Arc<Tree>,
    id: IncarnationId,
    launch: Launch,
) -> Result<(), Arc<StartError>> {
    let me = launch.incarnation.me.clone();
    let spawned = spawn(tree.clone(), id, launch).map_err(|error| {
        let error = Arc::new(error);
        end(&me, ExitReason::NotStarted(error.clone()));
        error
    });
    // It may have ended meanwhile, and this be the last to hold how.
    discard(me);
    spawned
}

fn spawn(tree: Arc<Tree>, id: IncarnationId, launch: Launch) -> Result<(), StartError> {
    let permit = ThreadPermit::claim().map_err(|none| StartError::ThreadBudget {
        live: none.live,
        limit: none.limit,
    })?;
    let mut builder = thread::Builder::new().name(launch.incarnation.me.path().to_owned());
    if let Some(bytes) = launch.spec.stack_size {
        builder = builder.stack_size(bytes);
    }
    if let Some(name) = &launch.spec.name {
        registry::register_name(&launch.incarnation.me, name).map_err(|error| {
            StartError::Name {
                name: name.clone(),
                error,
            }
        })?;
    }
    builder
        .spawn(move || live(tree, id, launch, permit))
        .map_err(StartError::Spawn)?;
    Ok(())
}

/// The whole life of the thread.
fn live(tree: Arc<Tree>, id: IncarnationId, launch: Launch, permit: ThreadPermit) {
    let Launch { spec, incarnation } = launch;
    let me = incarnation.me.clone();
    me.holdings().belong_to_this_thread();
    // Also when it has been asked to stop meanwhile: what was started runs, and sees it at once.
    let mut context = None;
    contain(|| {
        let (last_exit, last_span) = (incarnation.last_exit(), &spec.last_span);
        let begun = me.span().begin(&me, last_exit, last_span, &spec.context);
        context = Some(begun);
    });
    let context = context.unwrap_or_else(|| spec.context.clone());
    let reason = match catch(tree.is_quiet(), || {
        context.run(|| (spec.body)(&incarnation))
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
    contain(|| end(&me, reason.clone()));
    discard(me);
    // Before the replacement asks for one.
    drop(permit);
    tree.drive(News::Exited(id, reason));
    discard(tree);
}

/// Steps 2 to 4 of the end; without effect if the incarnation was abandoned before.
fn end(me: &ChildRef, reason: ExitReason) {
    me.holdings().release();
    if let Some(obituary) = me.publish(reason) {
        obituary.deliver();
    }
}
