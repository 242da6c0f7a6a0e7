//! Supervisors that are children of supervisors.
//!
//! A nested supervisor has no thread either. It is an incarnation of its supervisor's child like any other, with an
//! identity, monitors and names, and what a thread would do is done by whoever drives the two:
//!
//! ```text
//! above     Start ──► describe, build ──► Starting ──────────► Running ───── Stop ──► Stopping ──────► over
//!                          │ Start                    ▲ Ready               │ ShutdownBy          ▲ Exited
//! nested                   └──► Starting ── … ── Up ──┘                     └──► Stopping ── … ── End
//! ```
//!
//! It holds its supervisor alive, as a thread would, until it has told it of its end. It tells it when nothing of its
//! children is left, so that a new incarnation finds all free. No call goes from one to the other: news are put in a
//! queue, so that a tree may be as deep and as wide as it likes on whatever stack. No two supervisors' locks are held
//! together.

use super::info::ShutdownReport;
use super::life::{self, Launch};
use super::spec::Work;
use super::tree::{News, Tree};
use super::{ChildRef, ChildSpec, StartError};
use crate::process::ExitReason;
use crate::process::panic::{attempt, contain, discard};
use crate::sync::{Arc, Weak};
use bedplate_core::supervision::IncarnationId;

/// Where a nested supervisor belongs.
pub(super) struct Above {
    /// Its supervisor.
    pub(super) tree: Arc<Tree>,
    /// Which incarnation of which child it is …
    pub(super) id: IncarnationId,
    /// … and what that is called.
    pub(super) me: ChildRef,
}

/// How a nested supervisor ended.
pub(super) struct Over {
    pub(super) reason: ExitReason,
    /// Why it did not start, if it did not.
    pub(super) not_started: Option<StartError>,
    pub(super) report: ShutdownReport,
    /// Supervisors that have left somebody behind who was abandoned: it itself, or some below it.
    pub(super) left: Vec<Weak<Tree>>,
}

/// Builds a nested supervisor. What to tell whom: it is to start, or has failed to.
pub(super) fn launch(
    tree: &Arc<Tree>,
    id: IncarnationId,
    launch: Launch,
) -> Vec<(Arc<Tree>, News)> {
    let Launch {
        spec,
        me,
        stop,
        last_exit,
        ..
    } = launch;
    let built = build(tree, id, &spec, &me);
    ChildSpec::let_go(spec);
    discard(last_exit);
    drop(stop);
    let news = match built {
        Ok(nested) => match tree.adopt(id, &me, &nested) {
            Some(asked) => {
                // Not before: who is described too late must not be found in the place of its successor.
                nested.seats().take(&nested, Some((tree, id)));
                if nested.has_critical() {
                    nested.note_critical();
                }
                let by = asked.map(|deadline| (nested.clone(), News::ShutdownBy(deadline)));
                // It may have been asked to stop meanwhile.
                [(nested, News::Start)].into_iter().chain(by).collect()
            }
            // It was abandoned, and is over before it began.
            None => {
                discard(nested);
                vec![(tree.clone(), News::Exited(id, ExitReason::Shutdown))]
            }
        },
        Err(error) => {
            let error = Arc::new(error);
            life::end(&me, ExitReason::NotStarted(error.clone()));
            vec![(tree.clone(), News::StartFailed(id, error))]
        }
    };
    discard(me);
    news
}

fn build(
    tree: &Arc<Tree>,
    id: IncarnationId,
    spec: &ChildSpec,
    me: &ChildRef,
) -> Result<Arc<Tree>, StartError> {
    life::register(tree, id, spec, me)?;
    let Work::Supervisor(describe) = &spec.work else {
        return Err(StartError::Exited(ExitReason::Gone));
    };
    let described = attempt(|| spec.context.clone().run(|| describe()));
    let builder =
        described.map_err(|report| StartError::Exited(ExitReason::Panicked(Arc::new(report))))?;
    builder.nest(Above {
        tree: tree.clone(),
        id,
        me: me.clone(),
    })
}

impl Above {
    /// The nested supervisor is over, and nothing of it is left: its end is published, its supervisor to be told.
    pub(super) fn tell(self, over: Over) -> (Arc<Tree>, News) {
        let Self { tree, id, me } = self;
        tree.absorb(me.id(), over.report, over.left);
        let (reason, news) = match over.not_started {
            Some(error) => {
                let error = Arc::new(error);
                discard(over.reason);
                let reason = ExitReason::NotStarted(error.clone());
                (reason, News::StartFailed(id, error))
            }
            None => (over.reason.clone(), News::Exited(id, over.reason)),
        };
        contain(|| life::end(&me, reason));
        discard(me);
        (tree, news)
    }
}
