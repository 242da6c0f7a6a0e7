//! Being told, once, that a child has ended.
//!
//! A monitor is two entries: one in the inbox (`watching`), which decides whether its `Down` is
//! still wanted, and one at the child (`watchers`), which finds the inbox again.
//!
//! ```text
//! monitor    1. inbox: watching += m      2. child alive: watchers += m, else deliver
//! end        1. child: reason published, watchers taken      2. deliver each
//! deliver    inbox: m in watching?  → remove it, queue Down  : drop it
//! demonitor  1. inbox: watching -= m, or drop the queued Down      2. child: watchers -= m
//! ```
//!
//! Every step is one critical section of one lock, and no two locks are held together. That `m`
//! leaves `watching` only once is what makes a `Down` come exactly once, and never after
//! `demonitor`.
//!
//! The dropped inbox is empty and stays so: whoever is delivering at that moment may be the last to
//! hold its shared part, and must find nothing of a user's in it.

use crate::process::panic::discard;
use crate::process::{self, ExitReason, Pid};
use crate::supervisor::ChildRef;
use crate::sync::{Arc, AtomicU64, Condvar, Mutex, Ordering};
use alloc::collections::{BTreeMap, VecDeque};
use core::fmt;
use core::time::Duration;

/// Names one monitor in this process; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonitorRef(u64);

/// A monitored child has ended. Its names are free and its values are gone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Down {
    /// The monitor this answers.
    pub monitor: MonitorRef,
    /// Who ended: the monitored incarnation, never a later one.
    pub child: ChildRef,
    /// How it ended.
    pub reason: ExitReason,
}

/// Where the news of ended children arrive.
///
/// An inbox holds at most one [`Down`] for each monitor, so it is bounded by how many monitors its
/// owner sets up and needs no limit of its own. Dropping it takes back all its monitors and drops
/// what was not received, on the thread that drops it; a panic in the destructor of an error goes no
/// further.
///
/// # Concurrency
/// Blocking: every operation holds the inbox's lock for a few instructions. An inbox may be shared
/// by threads; each `Down` goes to one of them.
///
/// ```
/// use bedplate::monitor::Inbox;
/// use bedplate::supervisor::{ChildSpec, Restart, Supervisor};
/// use std::time::Duration;
///
/// let worker = ChildSpec::worker("once", |_| ()).restart(Restart::Temporary);
/// let supervisor = Supervisor::builder("app").child(worker).start()?;
///
/// let inbox = Inbox::new();
/// if let Some(child) = supervisor.handle().child("once") {
///     let monitor = inbox.monitor(&child);
///     let down = inbox.recv_timeout(Duration::from_secs(10)).expect("it ends at once");
///     assert_eq!(down.monitor, monitor);
///     assert!(down.reason.is_clean());
/// }
/// # Ok::<(), bedplate::supervisor::StartError>(())
/// ```
#[derive(Default)]
pub struct Inbox(Arc<InboxShared>);

/// The part of an inbox that monitored children find.
#[derive(Default)]
pub(crate) struct InboxShared {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    /// The monitors whose `Down` has not been queued.
    watching: BTreeMap<MonitorRef, ChildRef>,
    queue: VecDeque<Down>,
    /// Whether somebody waits who has not been woken: only then is waking him worth its system call.
    waited_for: bool,
}

impl Inbox {
    /// An empty inbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks to be told when `child` ends. If it has ended, the [`Down`] is in the inbox when this
    /// returns. The same child may be monitored several times; each monitor is answered.
    /// O(log monitors).
    pub fn monitor(&self, child: &ChildRef) -> MonitorRef {
        let monitor = MonitorRef::next();
        self.0.state.lock().watching.insert(monitor, child.clone());
        if let Err(reason) = child.watch(monitor, Arc::downgrade(&self.0)) {
            self.0.deliver(monitor, child, &reason);
        }
        monitor
    }

    /// Like [`monitor`](Self::monitor), for who has only an identity, from a registry for
    /// instance. An incarnation that is no longer alive is answered with [`ExitReason::Gone`].
    pub fn monitor_pid(&self, pid: Pid) -> MonitorRef {
        self.monitor(&process::find(pid).unwrap_or_else(|| ChildRef::gone(pid)))
    }

    /// Takes a monitor back: after this returns, no [`Down`] for it will be received.
    ///
    /// Returns `false` if there is nothing to take back, because the `Down` has been received or
    /// the monitor belongs to another inbox. O(log monitors); O(queued) if the `Down` is queued.
    pub fn demonitor(&self, monitor: MonitorRef) -> bool {
        let mut state = self.0.state.lock();
        if let Some(child) = state.watching.remove(&monitor) {
            drop(state);
            child.unwatch(monitor);
            return true;
        }
        let queued = state.queue.iter().position(|down| down.monitor == monitor);
        let unwanted = queued.and_then(|index| state.queue.remove(index));
        drop(state);
        unwanted.is_some()
    }

    /// The oldest [`Down`], if there is one.
    #[must_use]
    pub fn try_recv(&self) -> Option<Down> {
        self.0.state.lock().queue.pop_front()
    }

    /// The oldest [`Down`], waiting for it at most for `at_most`.
    #[must_use]
    pub fn recv_timeout(&self, at_most: Duration) -> Option<Down> {
        let state = self.0.state.lock();
        let arrived = &self.0.arrived;
        let nothing = |state: &mut State| {
            // Said again by each who was woken for a `Down` that another one has taken. Who gives up leaves it said: then
            // one wakes nobody.
            state.waited_for |= state.queue.is_empty();
            state.queue.is_empty()
        };
        arrived
            .wait_while_for(state, at_most, nothing)
            .queue
            .pop_front()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let State {
            watching, queue, ..
        } = core::mem::take(&mut *self.0.state.lock());
        for (monitor, child) in watching {
            child.unwatch(monitor);
            discard(child);
        }
        // Here and not with the shared part, the last of which a dying child may hold for a moment
        // in order to deliver. Nothing is queued any more, for nothing is watched. One by one: of two
        // destructors that panic at once, the second would abort the process.
        queue.into_iter().for_each(discard);
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        f.debug_struct("Inbox")
            .field("watching", &state.watching.len())
            .field("queued", &state.queue.len())
            .finish()
    }
}

impl InboxShared {
    /// Queues the `Down` of `monitor`, unless it is no longer wanted.
    pub(crate) fn deliver(&self, monitor: MonitorRef, child: &ChildRef, reason: &ExitReason) {
        let down = Down {
            monitor,
            child: child.clone(),
            reason: reason.clone(),
        };
        let mut state = self.state.lock();
        let wanted = state.watching.remove(&monitor);
        if wanted.is_some() {
            state.queue.push_back(down);
            let waited_for = core::mem::take(&mut state.waited_for);
            drop(state);
            if waited_for {
                self.arrived.notify_all();
            }
        }
    }
}

impl MonitorRef {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only the number itself matters; it publishes nothing and has no partner.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
