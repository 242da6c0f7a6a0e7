//! The span of an incarnation: what is done in it is done within this span.
//!
//! It begins and ends on the incarnation's thread, outside every lock, since handlers and exporters are users' code. An
//! incarnation that is shut out cannot end its own: whoever shuts it out does, as *abandoned*. Which of the two
//! comes first is decided by the lock of its slot.
//!
//! ```text
//! waiting ── the body is about to begin ──▶ open ── it has ended ────▶ over
//!    ╰──────────── shut out ─────────────────╯╰──── shut out ──────────▶ over, abandoned
//! ```

use super::ExitReason;
use super::child::ChildRef;
use crate::context::Context;
use crate::sync::Mutex;
use crate::telemetry::Value;
use crate::telemetry::span::{OwnedSpan, SpanSite, TraceParent};

static SITE: SpanSite = SpanSite::new(
    "bedplate.supervisor.incarnation",
    "bedplate.supervisor.incarnation.start",
    "bedplate.supervisor.incarnation.stop",
    "bedplate.supervisor.incarnation.exception",
);

/// The span of the incarnation before, of one child.
#[derive(Default)]
pub(crate) struct LastSpan(Mutex<Option<TraceParent>>);

/// The clone of a child is another child: there was no incarnation before.
impl Clone for LastSpan {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The span of one incarnation.
#[derive(Default)]
pub(crate) struct LifeSpan(Mutex<Slot>);

#[derive(Default)]
enum Slot {
    #[default]
    Waiting,
    Open(OwnedSpan),
    Over,
}

impl LifeSpan {
    /// Begins it, as a child of the span of `context`, if that has one. The context that the body is to run in.
    pub(crate) fn begin(
        &self,
        me: &ChildRef,
        last_exit: Option<&ExitReason>,
        last: &LastSpan,
        context: &Context,
    ) -> Context {
        let mut span = context.clone().run(|| {
            SITE.start_owned(|describe| {
                describe(&[
                    ("child", me.path().into()),
                    ("incarnation", me.incarnation().into()),
                ]);
                if let Some(reason) = last_exit {
                    describe(&[("restart_reason", Value::shown(reason))]);
                }
            })
        });
        let previous = core::mem::replace(&mut *last.0.lock(), span.traceparent());
        if let Some(previous) = previous {
            span.link(previous, "follows_from");
        }
        let context = context.clone().with_span(&span);
        let too_late = {
            let mut slot = self.0.lock();
            if matches!(*slot, Slot::Waiting) {
                *slot = Slot::Open(span);
                None
            } else {
                Some(span)
            }
        };
        if let Some(span) = too_late {
            span.abandon();
        }
        context
    }

    /// The body has ended.
    pub(crate) fn end(&self, reason: &ExitReason) {
        if let Some(mut span) = self.close() {
            if !reason.is_clean() {
                span.fail(reason);
            }
            span.end();
        }
    }

    /// The incarnation is shut out.
    pub(crate) fn abandon(&self) {
        if let Some(span) = self.close() {
            span.abandon();
        }
    }

    fn close(&self) -> Option<OwnedSpan> {
        match core::mem::replace(&mut *self.0.lock(), Slot::Over) {
            Slot::Open(span) => Some(span),
            Slot::Waiting | Slot::Over => None,
        }
    }
}
