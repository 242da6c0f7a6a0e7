//! How many threads supervisors may start.
//!
//! Near the system's limit (about 16,000 threads with Linux's usual `vm.max_map_count`) a thread
//! that is just being born fails where it cannot report it, and the whole process is aborted. So
//! the number of supervised threads is limited well below, and reaching the limit is an error
//! value.

use crate::sync::Mutex;

/// Half of what an ordinary Linux can bear.
const DEFAULT_LIMIT: usize = 8_000;

struct Budget {
    live: usize,
    limit: usize,
}

static BUDGET: Mutex<Budget> = Mutex::new(Budget {
    live: 0,
    limit: DEFAULT_LIMIT,
});

/// Sets how many supervised threads may live at a time in this process; 8,000 unless set.
///
/// Threads that [`context::spawn`](crate::context::spawn) and [`context::scope`](crate::context::scope) start, and those
/// of a [parallel dispatch](crate::groups::dispatch_in_parallel), count among them; for the latter, where there is none
/// left for one, the caller does its work. Threads that already run are not affected. A child that is refused a thread is a child that
/// could not be started: it counts against its supervisor's restart intensity, and is tried again after ten milliseconds at the
/// earliest. A supervisor may have [spares](crate::supervisor::SupervisorBuilder::spares) for that case.
///
/// A thread counts from before it is started until what it had to run is over. Destructors of its thread-locals come after
/// that and are not counted: if it were, a child that crashes would need room for two. So there may be more threads than this, by
/// those which are in such destructors, and a destructor that never returns is one more thread for as long as the process lives. A
/// thread that waits for another one to be gone ([`Reuse::FreshAfterJoin`](crate::supervisor::Reuse::FreshAfterJoin)) counts, and so
/// do a spare that waits and one that was abandoned. Threads that are not for children, such as the timer's and those that run a callback or a
/// destructor in the timer's place, never do.
pub fn limit_threads(limit: usize) {
    BUDGET.lock().limit = limit;
}

/// How many supervised threads are alive, spares, abandoned ones and those of a parallel dispatch and of `context` included; those that are
/// over but for destructors of thread-locals are [not](limit_threads).
#[must_use]
pub fn threads() -> usize {
    BUDGET.lock().live
}

/// The right to have one thread; given back when dropped.
#[derive(Debug)]
pub(crate) struct ThreadPermit(());

/// The limit is reached.
#[derive(Debug)]
pub(crate) struct NoThreadLeft {
    pub(crate) live: usize,
    pub(crate) limit: usize,
}

impl ThreadPermit {
    pub(crate) fn claim() -> Result<Self, NoThreadLeft> {
        let mut budget = BUDGET.lock();
        if budget.live >= budget.limit {
            return Err(NoThreadLeft {
                live: budget.live,
                limit: budget.limit,
            });
        }
        budget.live += 1;
        Ok(Self(()))
    }
}

impl Drop for ThreadPermit {
    fn drop(&mut self) {
        BUDGET.lock().live -= 1;
    }
}
