//! What is alive in this process, and how what is no longer alive ended.
//!
//! Every incarnation of a supervised child is a *process* in the sense of Erlang: it has a
//! [`Pid`] of its own, which no other incarnation ever gets, and when it ends it leaves an
//! [`ExitReason`]. The word does not mean a process of the operating system.

mod budget;
pub(crate) mod child;
mod exit;
mod fence;
mod life_span;
pub(crate) mod panic;
mod table;

pub use bedplate_core::id::Pid;
pub(crate) use budget::ThreadPermit;
pub use budget::{limit_threads, threads};
pub use exit::{CommandFailed, ExitReason, GaveUp, IntoExit};
pub(crate) use fence::Fence;
pub(crate) use life_span::{LastSpan, LifeSpan};
pub use panic::PanicReport;
pub(crate) use table::{Lease, Lineage, enter, leave};
pub use table::{alive, find};
