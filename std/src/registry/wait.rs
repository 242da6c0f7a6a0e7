//! Waiting for a key, and waking those that do.
//!
//! ```text
//!   who waits                              who registers
//!   ─────────                              ─────────────
//!   enter the queue of the key's hash      is anybody waiting? then hash the key
//!   count oneself                          register
//!   fence(SeqCst)                          fence(SeqCst)                            [W1]
//!   look it up ── found ──► done           is anybody waiting? ── no ──► done
//!   sleep until woken, look again …        wake the queue of the hash
//! ```
//!
//! Of the two fences one comes first. If it is the waiter's, the other thread sees the count, and finds the
//! waiter in the queue, whose lock it takes later. If it is the other's, the waiter sees the registration. If
//! the registering thread saw nobody before and somebody after, it has no hash, and wakes all: that is rare
//! and does no harm.
//!
//! A task does the same, but that it looks when it is polled, each time after it has left its waker.
//!
//! A waiter is woken for its hash, not for its key, so it looks for itself; and it may be woken for nothing.

use super::WaitError;
use crate::clock;
use crate::process::panic::contain;
use crate::stop::StopToken;
use crate::sync::{Arc, AtomicUsize, Condvar, Mutex, Ordering, fence};
use alloc::collections::BTreeMap;
use core::fmt;
use core::future::poll_fn;
use core::hash::{BuildHasher, Hash};
use core::task::{Poll, Waker};
use core::time::Duration;
use foldhash::fast::RandomState;

/// How many locks the queues share.
const SHARDS: usize = 16;

type Queues = BTreeMap<u64, Vec<Arc<Waiter>>>;

#[derive(Default)]
pub(super) struct Waiting {
    count: AtomicUsize,
    hasher: RandomState,
    queues: [Mutex<Queues>; SHARDS],
}

/// Whether somebody waited before a registration: the key's hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notice(Option<u64>);

#[derive(Default)]
struct Waiter {
    state: Mutex<Asleep>,
    changed: Condvar,
}

#[derive(Default)]
struct Asleep {
    /// Woken since the last sleep.
    woken: bool,
    /// Of a task, which does not sleep here.
    waker: Option<Waker>,
}

impl Waiting {
    /// How many threads and tasks wait.
    pub(super) fn count(&self) -> usize {
        // Relaxed: a count.
        self.count.load(Ordering::Relaxed)
    }

    /// Called before `key` is registered.
    pub(super) fn before<Q: Hash + ?Sized>(&self, key: &Q) -> Notice {
        let hash = (self.count() > 0).then(|| self.hasher.hash_one(key));
        Notice(hash)
    }

    /// Called after the key was registered: wakes who waits for it.
    pub(super) fn after(&self, Notice(hash): Notice) {
        // SeqCst: pairs with the fence in `wait` [W1]; the head says how.
        fence(Ordering::SeqCst);
        if self.count() == 0 {
            return;
        }
        match hash {
            Some(hash) => {
                let woken = self.queue(hash).lock().get(&hash).cloned();
                woken.iter().flatten().for_each(|waiter| waiter.wake());
            }
            None => {
                for queues in &self.queues {
                    let woken: Vec<_> = queues.lock().values().flatten().cloned().collect();
                    woken.iter().for_each(|waiter| waiter.wake());
                }
            }
        }
    }

    /// Waits until `look` finds something.
    pub(super) fn wait<Q: Hash + ?Sized, R>(
        &self,
        key: &Q,
        at_most: Duration,
        stop: Option<&StopToken>,
        mut look: impl FnMut() -> Option<R>,
    ) -> Result<R, WaitError> {
        if let Some(found) = look() {
            return Ok(found);
        }
        let deadline = clock::now().saturating_add(at_most);
        let place = self.enter(self.hasher.hash_one(key));
        let _asked = stop.map(|stop| {
            let waiter = place.waiter.clone();
            stop.on_stop(move || waiter.wake())
        });
        // SeqCst: pairs with the fence in `after` [W1]; the head says how.
        fence(Ordering::SeqCst);
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if stop.is_some_and(StopToken::is_stopped) {
                return Err(WaitError::Stopped);
            }
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Err(WaitError::Timeout);
            }
            place.waiter.sleep(left);
        }
    }

    /// Waits until `look` finds something, without a thread.
    pub(super) async fn wait_as_task<Q: Hash + ?Sized, R>(
        &self,
        key: &Q,
        mut look: impl FnMut() -> Option<R>,
    ) -> R {
        let place = self.enter(self.hasher.hash_one(key));
        // SeqCst: pairs with the fence in `after` [W1]; the head says how.
        fence(Ordering::SeqCst);
        poll_fn(|context| {
            // Before the look: who registers after that finds the task.
            place.waiter.wake_task(context.waker());
            look().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn enter(&self, hash: u64) -> Entered<'_> {
        let waiter = Arc::new(Waiter::default());
        let mut queues = self.queue(hash).lock();
        queues.entry(hash).or_default().push(waiter.clone());
        drop(queues);
        // Relaxed: ordered by the fence that follows [W1].
        self.count.fetch_add(1, Ordering::Relaxed);
        Entered {
            waiting: self,
            hash,
            waiter,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than SHARDS")]
    const fn queue(&self, hash: u64) -> &Mutex<Queues> {
        &self.queues[(hash % SHARDS as u64) as usize]
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waiting").field(&self.count()).finish()
    }
}

/// A place in a queue, left when this is dropped.
struct Entered<'w> {
    waiting: &'w Waiting,
    hash: u64,
    waiter: Arc<Waiter>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut queues = self.waiting.queue(self.hash).lock();
        if let Some(queue) = queues.get_mut(&self.hash) {
            queue.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
            if queue.is_empty() {
                queues.remove(&self.hash);
            }
        }
        drop(queues);
        // Relaxed: who still sees the count finds nobody in the queue.
        self.waiting.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Waiter {
    fn wake(&self) {
        let mut state = self.state.lock();
        state.woken = true;
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            contain(|| waker.wake());
        }
    }

    /// Sleeps until woken since the last sleep.
    fn sleep(&self, at_most: Duration) {
        let state = self.state.lock();
        let mut state = self
            .changed
            .wait_while_for(state, at_most, |state| !state.woken);
        state.woken = false;
    }

    /// Has a task woken once.
    fn wake_task(&self, waker: &Waker) {
        let waker = waker.clone();
        let before = self.state.lock().waker.replace(waker);
        // Outside the lock: it is an executor's.
        drop(before);
    }
}
