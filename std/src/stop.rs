//! Asking a thread to stop.
//!
//! A thread cannot be killed, so it must be asked, and it must look. [`StopToken`] is what it
//! looks at. Three ways, by what the thread does: test [`is_stopped`](StopToken::is_stopped)
//! between pieces of work, sleep in [`wait`](StopToken::wait) instead of `thread::sleep`, and where
//! it blocks in something else, register with [`on_stop`](StopToken::on_stop) what ends that
//! block: closing a socket, sending a last message to itself.
//!
//! The token has a lock and a condition variable of its own. It uses no park token, which any
//! code on the thread may swallow.

use crate::process::panic::{contain, discard};
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, Ordering, Weak};
use alloc::collections::BTreeMap;
use bedplate_core::clock::Instant;
use core::fmt;
use core::time::Duration;

/// Says whether one incarnation of a child has been asked to stop. Clones ask about the same one.
#[derive(Clone)]
pub struct StopToken(Arc<Shared>);

struct Shared {
    /// Whether a stop was asked for; written under the lock, read without it.
    stopped: AtomicBool,
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    deadline: Option<Instant>,
    next_callback: u64,
    /// What is still to be called, in the order of registration.
    callbacks: BTreeMap<u64, Callback>,
}

type Callback = Box<dyn FnOnce() + Send>;

impl StopToken {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            stopped: AtomicBool::new(false),
            state: Mutex::default(),
            asked: Condvar::new(),
        }))
    }

    /// Whether a stop was asked for. One atomic load.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        // Acquire: pairs with the Release store in `request`; who sees the request also sees what
        // the requester did before it [T1].
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Sleeps until a stop is asked for, at most for `at_most`. Returns whether it was.
    ///
    /// # Concurrency
    /// Blocking. A request that comes before or during the call is never missed.
    #[must_use = "the loop should end when this is true"]
    pub fn wait(&self, at_most: Duration) -> bool {
        let state = self.0.state.lock();
        drop(
            self.0
                .asked
                .wait_while_for(state, at_most, |_| !self.is_stopped()),
        );
        self.is_stopped()
    }

    /// Until when the child may take; `None` before it is asked to stop, or if it may take for
    /// ever.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.state.lock().deadline
    }

    /// Calls `callback` when a stop is asked for, once, on the thread that asks; at once and here,
    /// if that has already happened. The returned guard takes it back: once it is dropped, the
    /// callback is not called any more, even if a stop was asked for but its turn had not come. (A
    /// call that has begun is not waited for.) The end of the body takes back what is still
    /// registered: what a callback has captured is dropped before anybody is told of that end, on
    /// the child's thread, even if the guard was kept or forgotten.
    ///
    /// The callback should only end a block and return: whoever asks waits for it. A panic in it
    /// is caught; other callbacks still run, in the order in which they were registered. There are
    /// as many callbacks as guards, so they need no limit of their own.
    pub fn on_stop(&self, callback: impl FnOnce() + Send + 'static) -> OnStop {
        let mut state = self.0.state.lock();
        if self.is_stopped() {
            drop(state);
            contain(callback);
            return OnStop {
                token: Weak::new(),
                callback: 0,
            };
        }
        let id = state.next_callback;
        state.next_callback += 1;
        state.callbacks.insert(id, Box::new(callback));
        OnStop {
            token: Arc::downgrade(&self.0),
            callback: id,
        }
    }

    /// Asks to stop and wakes who waits; asked again, it can only shorten the time. Whether there is something to call, for whoever asks to
    /// have [`call_back`](Self::call_back) run where it may.
    #[must_use]
    pub(crate) fn request(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.0.state.lock();
        state.deadline = match (state.deadline, deadline) {
            // Two that ask may come in the wrong order.
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => new.or(old),
        };
        // Release: pairs with the Acquire load in `is_stopped` [T1].
        self.0.stopped.store(true, Ordering::Release);
        let to_call = !state.callbacks.is_empty();
        drop(state);
        self.0.asked.notify_all();
        to_call
    }

    /// After a request: calls what is registered, each as long as its guard is there.
    pub(crate) fn call_back(&self) {
        loop {
            let next = self.0.state.lock().callbacks.pop_first();
            match next {
                Some((_, callback)) => contain(callback),
                None => return,
            }
        }
    }

    /// At the end of the incarnation: drops what is registered and will not be called any more, so that
    /// it does not outlive the body by a guard that does.
    pub(crate) fn forget_callbacks(&self) {
        self.0.forget_callbacks();
    }
}

impl Shared {
    /// One by one, and outside the lock: they own values of the user.
    fn forget_callbacks(&self) {
        loop {
            let next = self.state.lock().callbacks.pop_first();
            match next {
                Some((_, callback)) => discard(callback),
                None => return,
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.forget_callbacks();
    }
}

impl fmt::Debug for StopToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopToken")
            .field("stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}

/// Keeps a callback registered; see [`StopToken::on_stop`].
#[must_use = "the callback is taken back when this is dropped"]
pub struct OnStop {
    token: Weak<Shared>,
    callback: u64,
}

impl Drop for OnStop {
    fn drop(&mut self) {
        if let Some(token) = self.token.upgrade() {
            let unused = token.state.lock().callbacks.remove(&self.callback);
            // Outside the lock: it owns values of the user.
            drop(unused);
        }
    }
}

impl fmt::Debug for OnStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnStop").finish_non_exhaustive()
    }
}
