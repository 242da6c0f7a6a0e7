//! Models of the facade: ends and monitors, identities, what an incarnation holds and saves, stop tokens, spare threads, and who
//! waits for a key.
//!
//! What is explored is the text that ships: the modules are taken from `std/src/` as they are, into this crate, whose
//! `crate::sync` is loom's instead of the standard library's ([`sync`]). What they name and is no part of a protocol (the
//! panic hook, spans, how a registry stores its names) is a few plain lines here. Without loom, they get the door that ships
//! and run on plain threads.
//!
//! ```text
//! shipped   monitor.rs   stop.rs   process/{child,fence,table,exit}.rs   registry/{holdings,wait}.rs   checkpoint/slot.rs
//!               │            │              │                                │                           │
//! here          └────────────┴── crate::sync: loom ──────────────────────────┴──► a table of names ──────┘
//!                                                                                  under a lock
//! ```
//!
//! The table of identities is a static, and models run on several threads of the test program: each has it to itself
//! ([`model`]).

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "not all that ships is asked for here"
)]

extern crate alloc;
// For the hasher that `std/src/registry/wait.rs` names.
extern crate self as foldhash;

#[cfg(not(bedplate_loom))]
#[path = "../../../std/src/sync.rs"]
mod sync;
#[cfg(bedplate_loom)]
mod sync;

#[path = "../../../std/src/monitor.rs"]
mod monitor;
#[path = "../../../std/src/supervisor/spares.rs"]
mod spares;
#[path = "../../../std/src/stop.rs"]
mod stop;

mod checkpoint;
mod ends;
mod holding;
mod process;
mod registry;
mod sparing;
mod stopping;
mod waiting;

/// No time passes.
mod clock {
    use bedplate_core::clock::Instant;

    pub(crate) const fn now() -> Instant {
        Instant::ZERO
    }
}

/// The same for a key in each run, so that loom finds each way again.
mod fast {
    use core::hash::BuildHasherDefault;
    use std::hash::DefaultHasher;

    pub(crate) type RandomState = BuildHasherDefault<DefaultHasher>;
}

/// What the modules name of supervisors.
mod supervisor {
    pub(crate) use crate::process::child::ChildRef;
    use core::error::Error;
    use core::fmt;

    #[derive(Debug)]
    pub(crate) struct StartError;

    impl fmt::Display for StartError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("not started")
        }
    }

    impl Error for StartError {}
}

use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use supervisor::ChildRef;

/// Longer than anybody waits who is not forgotten.
const HOUR: Duration = Duration::from_secs(3_600);

/// Explores `scenario`, while no other model uses the table of identities.
fn model(scenario: impl Fn() + Send + Sync + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    loom_tests::check(scenario);
}

/// A new incarnation of one child, as the driver makes it.
fn born(number: u64) -> ChildRef {
    process::enter("app/child".into(), process::Lineage::NONE, number)
        .expect("there are identities")
}
