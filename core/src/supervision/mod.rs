//! Supervision decisions: what to start, whom to stop, when to give up.
//!
//! Nothing here starts or stops anything. [`Machine`] is told what happened and answers what to do
//! next; threads, tasks and interrupt handlers are somebody else's. It is plain data behind
//! `&mut self`, without atomics, and takes the time as an argument, so the same code supervises
//! threads on a server and tasks in firmware, and a test can run years of it in a moment.
//!
//! Not here (yet): strategies other than one-for-one, delays between restarts, readiness, and
//! adding or removing children while running.

mod children;
mod intensity;
mod spec;
mod tree;

#[cfg(feature = "alloc")]
pub use children::GrowingChildren;
pub use children::{Child, ChildKey, ChildState, ChildStorage, FixedChildren, TooManyChildren};
pub use intensity::{IntensityError, RestartIntensity, TooManyRestarts};
pub use spec::{ChildPlan, Exit, Restart, Stop, Strategy};
pub use tree::{Action, Actions, AddError, End, Event, IncarnationId, Machine, Phase, Stale};
