//! Locks of keys: one for each key that is locked, made by who comes first and gone with who leaves last.
//!
//! ```text
//!   (none) ──first──► held by a, queue [ ] ──b comes──► held by a, queue [ b ]
//!      ▲                    │         ▲                           │
//!      └──── a leaves ──────┘         └── a leaves: b has it ─────┘
//!             unused
//! ```
//!
//! A lock never changes hands through a moment in which it is free, so nobody overtakes. Who gives up
//! waiting takes its turn out of the queue; if it is not there any more it has come, and is taken. An unused
//! lock is never used again: who meets one takes it out of the table and begins anew.
//!
//! Keys are compared without a lock, since that is a user's code: against those of the locks that were in the
//! table a moment ago; a new lock is put there only if nothing has changed since.

use super::LockError;
use super::shared::Key;
use crate::clock;
use crate::stop::StopToken;
use crate::sync::{Arc, Condvar, Mutex, thread_number};
use alloc::collections::{BTreeMap, VecDeque};
use core::fmt;
use core::hash::BuildHasher;
use core::marker::PhantomData;
use core::time::Duration;
use foldhash::fast::RandomState;

/// How many locks the table has.
const SHARDS: usize = 16;

/// The locks of keys with the same hash, of which there is rarely more than one.
type Chain<K> = Vec<Arc<KeyLock<K>>>;

pub(super) struct Locks<K> {
    hasher: RandomState,
    shards: [Mutex<BTreeMap<u64, Chain<K>>>; SHARDS],
}

struct KeyLock<K> {
    key: K,
    hash: u64,
    state: Mutex<State>,
}

struct State {
    /// Who has it; without meaning if it is unused.
    holder: Arc<Turn>,
    queue: VecDeque<Arc<Turn>>,
    unused: bool,
}

struct Turn {
    thread: u64,
    /// Notified when the lock is this one's, or it should look whether it is to stop.
    came: Condvar,
}

/// A key is locked as long as this is held; see [`Registry::lock`](super::Registry::lock). It stays on its
/// thread.
///
/// ```compile_fail,E0277
/// fn needs_send<T: Send>(_: T) {}
/// fn is_sent(guard: bedplate::registry::KeyGuard<u64>) {
///     needs_send(guard);
/// }
/// ```
#[must_use = "the key is locked only as long as this is held"]
pub struct KeyGuard<K: Key> {
    locks: Arc<Locks<K>>,
    lock: Arc<KeyLock<K>>,
    not_send: PhantomData<*const ()>,
}

/// How an attempt went.
enum Joined<K> {
    /// The key is free, and has gone into the lock.
    Held(Arc<KeyLock<K>>),
    Queued(Arc<KeyLock<K>>, K),
    HeldByThisThread(K),
}

impl<K: Key> Locks<K> {
    pub(super) fn lock(
        this: &Arc<Self>,
        key: K,
        at_most: Duration,
        stop: Option<&StopToken>,
    ) -> Result<KeyGuard<K>, LockError<K>> {
        let deadline = clock::now().saturating_add(at_most);
        let turn = Arc::new(Turn {
            thread: thread_number(),
            came: Condvar::new(),
        });
        let guard = |lock| KeyGuard {
            locks: this.clone(),
            lock,
            not_send: PhantomData,
        };
        let (lock, key) = match this.join(key, &turn) {
            Joined::Held(lock) => return Ok(guard(lock)),
            Joined::HeldByThisThread(key) => return Err(LockError::HeldByThisThread { key }),
            Joined::Queued(lock, key) => (lock, key),
        };
        let asked = stop.map(|stop| {
            let (lock, turn) = (lock.clone(), turn.clone());
            stop.on_stop(move || {
                // So that this does not come between a look at the token and the sleep that follows.
                drop(lock.state.lock());
                turn.came.notify_all();
            })
        });
        let is_stopped = || stop.is_some_and(StopToken::is_stopped);
        let left = deadline.saturating_duration_since(clock::now());
        let mut state = turn.came.wait_while_for(lock.state.lock(), left, |state| {
            !Arc::ptr_eq(&state.holder, &turn) && !is_stopped()
        });
        let has_come = Arc::ptr_eq(&state.holder, &turn);
        if !has_come {
            state.queue.retain(|queued| !Arc::ptr_eq(queued, &turn));
        }
        drop(state);
        drop(asked);
        match (has_come, is_stopped()) {
            (true, _) => Ok(guard(lock)),
            (false, true) => Err(LockError::Stopped { key }),
            (false, false) => Err(LockError::Timeout { key }),
        }
    }

    fn join(&self, key: K, turn: &Arc<Turn>) -> Joined<K> {
        let hash = self.hasher.hash_one(key.borrow());
        loop {
            let chain = self.shard(hash).lock().get(&hash).cloned();
            let chain = chain.unwrap_or_default();
            let Some(found) = chain.iter().find(|lock| lock.key.borrow() == key.borrow()) else {
                let mut shard = self.shard(hash).lock();
                let now = shard.get(&hash).map_or(&[][..], Vec::as_slice);
                let unchanged = now.len() == chain.len()
                    && now.iter().zip(&chain).all(|(a, b)| Arc::ptr_eq(a, b));
                if !unchanged {
                    continue;
                }
                let lock = Arc::new(KeyLock {
                    key,
                    hash,
                    state: Mutex::new(State {
                        holder: turn.clone(),
                        queue: VecDeque::new(),
                        unused: false,
                    }),
                });
                shard.entry(hash).or_default().push(lock.clone());
                return Joined::Held(lock);
            };
            let mut state = found.state.lock();
            if !state.unused {
                if state.holder.thread == turn.thread {
                    drop(state);
                    return Joined::HeldByThisThread(key);
                }
                state.queue.push_back(turn.clone());
                drop(state);
                return Joined::Queued(found.clone(), key);
            }
            drop(state);
            self.remove(found);
        }
    }

    /// Takes a lock that is unused out of the table.
    fn remove(&self, unused: &Arc<KeyLock<K>>) {
        let mut shard = self.shard(unused.hash).lock();
        let Some(chain) = shard.get_mut(&unused.hash) else {
            return;
        };
        // The caller has another one, so no key of a user is dropped here.
        chain.retain(|lock| !Arc::ptr_eq(lock, unused));
        if chain.is_empty() {
            shard.remove(&unused.hash);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than SHARDS")]
    const fn shard(&self, hash: u64) -> &Mutex<BTreeMap<u64, Chain<K>>> {
        &self.shards[(hash % SHARDS as u64) as usize]
    }
}

impl<K> Locks<K> {
    /// How many keys are locked.
    pub(super) fn count(&self) -> usize {
        let keys = |shard: &Mutex<BTreeMap<u64, Chain<K>>>| {
            shard.lock().values().map(Vec::len).sum::<usize>()
        };
        self.shards.iter().map(keys).sum()
    }
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self {
            hasher: RandomState::default(),
            shards: core::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl<K: Key> KeyGuard<K> {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.lock.key
    }
}

impl<K: Key> Drop for KeyGuard<K> {
    fn drop(&mut self) {
        let mut state = self.lock.state.lock();
        match state.queue.pop_front() {
            Some(next) => {
                state.holder = next.clone();
                drop(state);
                next.came.notify_all();
            }
            None => {
                state.unused = true;
                drop(state);
                self.locks.remove(&self.lock);
            }
        }
    }
}

impl<K: Key> fmt::Debug for KeyGuard<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyGuard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::thread;
    use std::sync::mpsc;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// R49: first come, first served, but for those that gave up.
    #[test]
    fn a_lock_is_handed_on_in_the_order_of_asking() {
        let locks = Arc::new(Locks::<u64>::default());
        let locked = Locks::lock(&locks, 1, PATIENCE, None).unwrap();
        let queue = locked.lock.clone();
        let queued = || queue.state.lock().queue.len();
        let token = StopToken::new();
        let (tell, told) = mpsc::channel();
        let mut threads = Vec::new();
        for number in 0..8_usize {
            let (locks, tell) = (locks.clone(), tell.clone());
            let stop = (number % 3 == 1).then(|| token.clone());
            threads.push(thread::spawn(move || {
                let locked = Locks::lock(&locks, 1, PATIENCE, stop.as_ref());
                tell.send((number, locked.is_ok())).unwrap();
            }));
            while queued() <= number {
                thread::yield_now();
            }
        }
        assert!(!token.request(None) || queued() > 0);
        token.call_back();
        for _ in 0..3 {
            let (number, locked) = told.recv().unwrap();
            assert_eq!((number % 3, locked), (1, false));
        }
        assert_eq!(queued(), 5);
        drop(locked);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        drop(tell);
        let order: Vec<_> = told.iter().collect();
        assert_eq!(order, [0, 2, 3, 5, 6].map(|number| (number, true)));
        assert!(queue.state.lock().unused);
        assert_eq!(locks.count(), 0);
    }
}
