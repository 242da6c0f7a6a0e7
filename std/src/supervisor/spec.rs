//! What is said about a child before it runs.

use super::Incarnation;
use crate::context::{self, Context};
use crate::process::panic::discard;
use crate::process::{ExitReason, IntoExit, LastSpan};
use crate::sync::Arc;
use bedplate_core::supervision::{ChildPlan, Restart, Stop};
use core::fmt;

type Body = Box<dyn Fn(&Incarnation) -> ExitReason + Send + Sync>;

/// A child: its id, what it does, and what is to happen when it ends.
#[must_use = "a child does nothing until it is given to a supervisor"]
pub struct ChildSpec {
    pub(super) id: String,
    pub(super) plan: ChildPlan,
    pub(super) name: Option<String>,
    pub(super) stack_size: Option<usize>,
    pub(super) context: Context,
    pub(super) last_span: LastSpan,
    pub(super) body: Body,
}

impl ChildSpec {
    /// A thread that runs `body`; permanent, with five seconds to stop.
    ///
    /// `body` is called once for each incarnation. It returns nothing, a `Result`, or an
    /// [`ExitReason`]; an error or a panic is an abnormal end. It should look at
    /// [`Incarnation::stop`] often enough to keep within its time to stop: a thread cannot be
    /// killed.
    ///
    /// Every incarnation starts in the [context](crate::context) in which this is called, whatever
    /// the one before it had set.
    ///
    /// What the closure captures is shared by all its incarnations and survives their crashes. A
    /// captured `Mutex` that one incarnation poisoned is poisoned for all later ones.
    pub fn worker<R: IntoExit>(
        id: impl Into<String>,
        body: impl Fn(&Incarnation) -> R + Send + Sync + 'static,
    ) -> Self {
        Self {
            id: id.into(),
            plan: ChildPlan::default(),
            name: None,
            stack_size: None,
            context: context::capture(),
            last_span: LastSpan::default(),
            body: Box::new(move |incarnation| body(incarnation).into_exit()),
        }
    }

    /// After which ends it is started again; [`Restart::Permanent`] unless set.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.plan.restart = restart;
        self
    }

    /// How long it may take to stop before it is abandoned; five seconds unless set.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.plan.stop = stop;
        self
    }

    /// Registers every incarnation under `name` in the [registry](crate::registry), from before its
    /// body starts until it ends. If the name is taken, the incarnation does not start, which counts
    /// as a restart.
    pub fn register(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The size of its stack in bytes; the standard library's unless set.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Ends one use of it. The last one drops the user's values, each alone.
    pub(super) fn let_go(this: Arc<Self>) {
        if let Some(Self { context, body, .. }) = Arc::into_inner(this) {
            discard(body);
            discard(context);
        }
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
