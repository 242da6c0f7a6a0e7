//! Supervision decisions: what to start, whom to stop, when to give up.
//!
//! Nothing here starts or stops anything. [`Machine`] is told what happened and answers what to do
//! next; threads, tasks and interrupt handlers are somebody else's. It is plain data behind
//! `&mut self`, without atomics, and takes the time as an argument, so the same code supervises
//! threads on a server and tasks in firmware, and a test can run years of it in a moment.
//!
//! ```text
//!   what happened                     ┌─────────────────────────────┐          what to do
//!   Event::{Start, Started, Ready, ──►│ Machine  Config, Strategy   │──► Action::{Start, Stop,
//!   Exited, …, Tick}                  │   ├─ RestartIntensity       │    Abandon, Settled, …, End}
//!   start_child, terminate,        ──►│   └─ children: ChildPlan,   │
//!   restart, delete, change           │       ChildState, Delays    │──► next_deadline: when to Tick
//!                                     └─────────────────────────────┘
//! ```
//!
//! Whether a child that runs is stuck is another question than what becomes of one that ends: [`Watched`] answers it, from
//! what the child said last, in the rounds that [`Rounds`] has; and [`Event::Stuck`] tells the machine.
//!
//! The rules are those of Erlang/OTP's `supervisor`; where they differ, `docs/DESIGN.md` in the repository
//! has a table of it.
//!
//! [`FixedChildren`] keeps the children in the machine itself, for firmware; `GrowingChildren` on the heap.

mod backoff;
mod child;
mod intensity;
mod roster;
mod spec;
mod storage;
mod strategy;
mod tree;
mod watch;

pub use backoff::{Backoff, BackoffError, Delays, Jitter};
pub use child::{Child, ChildKey, ChildState, IncarnationId};
pub use intensity::{IntensityError, RestartIntensity, TooManyRestarts};
pub use roster::Counts;
pub use spec::{ChildPlan, Exit, Kind, Overrun, PlanError, Ready, Restart, Stop};
#[cfg(feature = "alloc")]
pub use storage::GrowingChildren;
pub use storage::{ChildStorage, FixedChildren, Slot, TooManyChildren};
pub use strategy::{AutoShutdown, Config, ConfigError, MOST_ABANDONED, Strategy};
pub use tree::{Action, Actions, ControlError, End, Event, Machine, Outcome, Phase, Stale};
pub use watch::{Activity, Beat, Look, OnStuck, Round, Rounds, Watch, Watched};
