//! What is alive: shipped, but for what a user's code may do in between.

#[path = "../../../std/src/process/child.rs"]
pub(crate) mod child;
#[path = "../../../std/src/process/exit.rs"]
mod exit;
#[path = "../../../std/src/process/fence.rs"]
mod fence;
#[path = "../../../std/src/process/table.rs"]
mod table;

pub(crate) use bedplate_core::id::Pid;
pub(crate) use exit::ExitReason;
pub(crate) use fence::Fence;
pub(crate) use table::{Lease, Lineage, alive, enter, find, leave};

/// No span is told of.
#[derive(Default)]
pub(crate) struct LifeSpan(());

/// Nothing panics, and what does is a finding.
pub(crate) mod panic {
    use core::fmt;

    #[derive(Debug)]
    pub(crate) struct PanicReport;

    impl fmt::Display for PanicReport {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a panic")
        }
    }

    pub(crate) fn contain(call: impl FnOnce()) {
        call();
    }

    pub(crate) fn discard<T>(value: T) {
        drop(value);
    }
}
