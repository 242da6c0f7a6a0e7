//! The registry that is shared: handles on it, reading, and what the thread itself registers.
//!
//! Whatever may call a user's code (hashing, comparing, closures, destructors of what was removed earlier)
//! happens outside every lock. The one exception in effect is [`Holdings`]: while a thread changes what it
//! holds in one registry, it cannot begin another change of that; see there.

use super::holdings::{self, Holdings, Refusal};
use super::lock::{KeyGuard, Locks};
use super::metadata::Metadata;
use super::owner::Owner;
use super::thread::with_handle;
use super::wait::Waiting;
use super::{
    Builder, LockError, OpenError, RegisterError, TooManyOwners, UpdateError, WaitError, catalogue,
    report,
};
use crate::process::Pid;
use crate::stop::StopToken;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Ordering, Weak};
use bedplate_core::registry::{Entry, EpochRegistry, Memory, Registration, Stored};
use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;
use foldhash::fast::RandomState;

/// What the keys of a [`Registry`] can be: words, texts, or a type of your own in a `Box`; see [`Stored`].
pub trait Key:
    bedplate_core::registry::Key + Borrow<<Self as Stored>::Borrowed> + Send + Sync + 'static
{
}

impl<K> Key for K where
    K: bedplate_core::registry::Key + Borrow<<K as Stored>::Borrowed> + Send + Sync + 'static
{
}

/// What the values of a [`Registry`] can be: words, texts, or a type of your own in a `Box`; see [`Stored`].
pub trait Value: Stored + Send + Sync + 'static {}

impl<V: Stored + Send + Sync + 'static> Value for V {}

/// Several reads at one go; see [`Registry::with`].
pub type Guard<'h, K, V> = bedplate_core::registry::Guard<'h, K, V, RandomState>;

/// A follower of a registry's changes; see [`Registry::changes`].
pub type Changes<K, V> = bedplate_core::registry::Changes<K, V, RandomState>;

/// A key that was looked up once; see [`Registry::name_ref`].
pub type NameRef<K, V> = bedplate_core::registry::NameRef<K, V, RandomState>;

/// Keys, each with a value and held by somebody, until they are given up or their holder is gone.
///
/// This is a handle: clones are the same registry, which lives as long as somebody has a handle on it or a
/// registration in it. Who registers through it is the running incarnation or the thread, as the
/// [module](super) says.
///
/// Values that are boxed, and long texts, are dropped some time after they were removed, on some thread that
/// uses the registry. Such destructors should be brief, and must not panic. They may use the registry.
///
/// # Concurrency
/// Reading is lock-free and writes nothing shared. Registering and unregistering are lock-free but for a lock
/// that is the holder's own. Waiting and locking block, and so does whatever else says so.
pub struct Registry<K: Key, V: Value>(pub(super) Arc<Inner<K, V>>);

pub(super) struct Inner<K: Key, V: Value> {
    pub(super) core: EpochRegistry<K, V, RandomState>,
    pub(super) id: u64,
    pub(super) name: Option<Arc<str>>,
    limit: usize,
    /// How many owners there are.
    pub(super) owners: AtomicUsize,
    pub(super) waiting: Waiting,
    locks: Arc<Locks<K>>,
    metadata: Metadata,
    presence: Arc<()>,
}

impl<K: Key, V: Value> Registry<K, V> {
    /// A registry without a name, and without a limit of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(usize::MAX)
    }

    /// A registry without a name that refuses more than `limit` entries.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self::builder().limit(limit).build()
    }

    /// Makes a registry with a limit, an audit, or a feed of its changes.
    pub fn builder() -> Builder<K, V> {
        Builder::new()
    }

    /// The registry called `name`: the one there is, or else a new one without a limit of its own. It keeps
    /// its name as long as it lives.
    ///
    /// # Errors
    /// [`OpenError`] if the name cannot be used, is that of a registry of other keys or values, or there are
    /// 1,024 named registries.
    ///
    /// # Concurrency
    /// Blocking: the list of names is locked for a few instructions. Keep the handle.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        Self::open_with_limit(name, usize::MAX)
    }

    /// As [`open`](Self::open); if there is none, the new one refuses more than `limit` entries.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with_limit(name: &str, limit: usize) -> Result<Self, OpenError> {
        Self::builder().limit(limit).open(name)
    }

    /// A registry that is in no catalogue, and is called `name` where it is told of.
    pub(super) fn of_the_process(name: &str, limit: usize) -> Self {
        let builder = Self::builder().limit(limit);
        Self(Arc::new(builder.into_inner(Some(Arc::from(name)))))
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Who holds `key`. An owner that is no incarnation is not found by
    /// [`process::find`](crate::process::find).
    #[must_use]
    pub fn whereis(&self, key: &K::Borrowed) -> Option<Pid> {
        with_handle(&self.0, |handle| handle.pin().whereis(key))
    }

    /// A handle on `key` that answers who holds it at that moment, in a nanosecond or two if that has not
    /// changed since it was asked last. It stays valid whoever comes and goes.
    #[must_use]
    pub fn name_ref(&self, key: K) -> NameRef<K, V> {
        self.0.core.name_ref(key)
    }

    /// What `look` makes of the entry of `key`; `None` if nobody holds it.
    pub fn lookup<R>(
        &self,
        key: &K::Borrowed,
        look: impl FnOnce(Entry<'_, K, V>) -> R,
    ) -> Option<R> {
        self.with(|guard| guard.lookup(key).map(look))
    }

    /// Calls `read` with a guard, for several reads and for going through all entries. Be brief: while a
    /// guard is held, nothing that is removed is freed.
    pub fn with<R>(&self, read: impl FnOnce(&Guard<'_, K, V>) -> R) -> R {
        with_handle(&self.0, |handle| read(&handle.pin()))
    }

    /// Follows the changes from now on; `None` if the registry was made without a [`feed`](Builder::feed). What
    /// happens next is told by [`next`](Changes::next), with the guard that [`with`](Self::with) gives. The
    /// follower keeps the registry alive.
    #[must_use]
    pub fn changes(&self) -> Option<Changes<K, V>> {
        self.with(|guard| guard.changes())
    }

    /// How many entries there are. O(1); while others register, a number that was true or is about
    /// to be.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.core.len()
    }

    /// Whether there are no entries, with the same reservation as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Registers `key` with `value`, for the running incarnation or this thread.
    ///
    /// # Errors
    /// [`RegisterError`], with key and value. Nothing is left behind.
    pub fn register(&self, key: K, value: V) -> Result<Registration, RegisterError<K, V>> {
        match holdings::mine() {
            Ok(mine) => self.register_in(&mine, key, value),
            Err(refusal) => Err(refusal.of(key, value)),
        }
    }

    /// Replaces the value of `key` by what `make` makes of it; the registration stays the same. `make` is
    /// called only if the running incarnation, or this thread, holds the key. What it changes itself about
    /// the value is lost.
    ///
    /// # Errors
    /// [`UpdateError`] if that is not so, if somebody takes the key over meanwhile, if there is no room for
    /// another value, or if this is called by code that another change calls; with the new value, if it was made.
    pub fn update(
        &self,
        key: &K::Borrowed,
        make: impl FnOnce(&V::Borrowed) -> V,
    ) -> Result<(), UpdateError<V>> {
        let not_held = |value| UpdateError::NotHeld { value };
        let Some(mine) = holdings::mine_if_any() else {
            return Err(not_held(None));
        };
        let new = self.with(|guard| {
            let entry = guard.lookup(key)?;
            (entry.owner() == mine.pid()).then(|| make(entry.value()))
        });
        let Some(new) = new else {
            return Err(not_held(None));
        };
        with_handle(&self.0, |handle| {
            let guard = pinned(handle);
            match mine.borrow_if_any(&self.0) {
                Ok(Some(mut held)) => {
                    let mut new = Some(new);
                    let updated = held.core.update(&guard, key, |_| match new.take() {
                        Some(new) => new,
                        None => unreachable!("called once"),
                    });
                    // Where it was not called for it, it is still here.
                    updated.map_err(|refused| match UpdateError::from(refused) {
                        UpdateError::NotHeld { value } => not_held(value.or(new)),
                        refused => refused,
                    })
                }
                Err(Refusal::Busy) => Err(UpdateError::Busy { value: new }),
                Ok(None) | Err(_) => Err(not_held(Some(new))),
            }
        })
    }

    /// Gives up `key`. Returns whether the running incarnation, or this thread, held it; `false` also if this
    /// is called by code that another change calls.
    pub fn unregister(&self, key: &K::Borrowed) -> bool {
        holdings::mine_if_any().is_some_and(|mine| self.unregister_in(&mine, key))
    }

    /// An owner of registrations that is neither an incarnation nor bound to a thread, with an identity of
    /// its own.
    ///
    /// # Errors
    /// [`TooManyOwners`] if there is no identity left.
    pub fn owner(&self) -> Result<Owner<K, V>, TooManyOwners> {
        Owner::new(self)
    }

    /// Waits until somebody holds `key`, at most for `at_most`, and no longer than until a stop is asked for
    /// through `stop`; then returns what `look` makes of the entry.
    ///
    /// A registration that is given up again before this thread comes to look is not noticed, and the wait
    /// goes on. A wait leaves nothing behind, however it ends.
    ///
    /// # Errors
    /// [`WaitError`] if nobody registers it in time. With no time at all, this looks once.
    ///
    /// # Concurrency
    /// Blocking. Whoever registers wakes those that wait for keys with that hash, and pays a fence and a load
    /// if nobody waits; look-ups pay nothing.
    ///
    /// ```
    /// use bedplate::registry::{Registry, WaitError};
    /// use std::time::Duration;
    ///
    /// let leaders = Registry::<&str, u64>::new();
    /// let others = leaders.clone();
    /// let waiting = std::thread::spawn(move || {
    ///     others.wait_for("tokyo", Duration::from_secs(60), None, |entry| *entry.value())
    /// });
    /// leaders.register("tokyo", 7)?;
    /// assert_eq!(waiting.join().unwrap(), Ok(7));
    /// let nobody = leaders.wait_for("lima", Duration::ZERO, None, |entry| entry.owner());
    /// assert_eq!(nobody, Err(WaitError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_for<R>(
        &self,
        key: &K::Borrowed,
        at_most: Duration,
        stop: Option<&StopToken>,
        look: impl FnOnce(Entry<'_, K, V>) -> R,
    ) -> Result<R, WaitError> {
        let mut look = Some(look);
        self.wait_while_none(key, at_most, stop, |entry| {
            look.take().map(|look| look(entry))
        })
    }

    /// As [`wait_for`](Self::wait_for), for a task of any executor: ready when somebody holds `key`, with what
    /// `look` makes of the entry. It has no limit of its own; dropping it ends the wait and leaves nothing
    /// behind.
    ///
    /// # Concurrency
    /// Does not block, but for a few instructions. Whoever registers the key calls the task's waker.
    pub async fn registered<R>(
        &self,
        key: &K::Borrowed,
        look: impl FnOnce(Entry<'_, K, V>) -> R,
    ) -> R {
        let mut look = Some(look);
        let look = || {
            self.lookup(key, |entry| look.take().map(|look| look(entry)))
                .flatten()
        };
        self.0.waiting.wait_as_task(key, look).await
    }

    /// Waits until `look` makes something of the entry of `key`.
    pub(super) fn wait_while_none<R>(
        &self,
        key: &K::Borrowed,
        at_most: Duration,
        stop: Option<&StopToken>,
        mut look: impl FnMut(Entry<'_, K, V>) -> Option<R>,
    ) -> Result<R, WaitError> {
        self.0.waiting.wait(key, at_most, stop, || {
            self.with(|guard| guard.lookup(key).and_then(&mut look))
        })
    }

    /// Locks `key`, whether anybody has registered it or not: of those that lock equal keys, one at a time
    /// goes on, in the order in which they came. Waits at most for `at_most`, and no longer than until a
    /// stop is asked for through `stop`; with no time at all, this only tries. The lock is released when the
    /// guard is dropped, also by a panic, which goes on.
    ///
    /// # Errors
    /// [`LockError`], with the key. A thread that has locked the key already is told so, rather than left
    /// waiting for itself.
    ///
    /// # Concurrency
    /// Blocking. A key that nobody locks takes no memory.
    ///
    /// ```
    /// use bedplate::registry::{LockError, Registry};
    /// use std::time::Duration;
    ///
    /// let accounts = Registry::<u64, u64>::new();
    /// let locked = accounts.lock(17, Duration::from_secs(60), None)?;
    /// let again = accounts.lock(17, Duration::from_secs(60), None);
    /// assert!(matches!(again, Err(LockError::HeldByThisThread { key: 17 })));
    /// drop(locked);
    /// assert!(accounts.lock(17, Duration::ZERO, None).is_ok());
    /// # Ok::<(), LockError<u64>>(())
    /// ```
    pub fn lock(
        &self,
        key: K,
        at_most: Duration,
        stop: Option<&StopToken>,
    ) -> Result<KeyGuard<K>, LockError<K>> {
        Locks::lock(&self.0.locks, key, at_most, stop)
    }

    /// What is known about the registry as a whole.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// How it does. Each number for itself was true, or is about to be.
    ///
    /// # Concurrency
    /// Blocking: the locks of the keys that are locked are counted.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health()
    }

    pub(super) fn register_in(
        &self,
        holder: &Holdings,
        key: K,
        value: V,
    ) -> Result<Registration, RegisterError<K, V>> {
        let notice = self.0.waiting.before(key.borrow());
        let registered = with_handle(&self.0, |handle| {
            let guard = pinned(handle);
            match holder.borrow(self) {
                Ok(mut held) => {
                    let registered = held.core.register(&guard, key, value)?;
                    held.added = true;
                    Ok(registered)
                }
                Err(refusal) => Err(refusal.of(key, value)),
            }
        })?;
        self.0.waiting.after(notice);
        report::registered(self.name(), registered.owner());
        Ok(registered)
    }

    pub(super) fn unregister_in(&self, holder: &Holdings, key: &K::Borrowed) -> bool {
        with_handle(&self.0, |handle| {
            let guard = pinned(handle);
            match holder.borrow_if_any(&self.0) {
                Ok(Some(mut held)) => held.core.unregister(&guard, key),
                _ => false,
            }
        })
    }
}

/// A guard that has pinned. What is freed with a pin may be a user's and use the registry in turn, so this
/// comes before what the thread holds is borrowed.
pub(super) fn pinned<'h, K: Key, V: Value>(
    handle: &'h bedplate_core::registry::Handle<K, V, RandomState>,
) -> Guard<'h, K, V> {
    let guard = handle.pin();
    let _pins_if_anything_is_owned = guard.iter();
    guard
}

impl Refusal {
    fn of<K, V>(self, key: K, value: V) -> RegisterError<K, V> {
        match self {
            Self::Over => RegisterError::Over { key, value },
            Self::Busy => RegisterError::Busy { key, value },
            Self::TooManyOwners(limit) => RegisterError::TooManyOwners { limit, key, value },
        }
    }
}

impl<K: Key, V: Value> Inner<K, V> {
    pub(super) fn new(
        name: Option<Arc<str>>,
        limit: usize,
        core: EpochRegistry<K, V, RandomState>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            core,
            // Relaxed: only the number itself matters; it publishes nothing and has no partner.
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name,
            limit,
            owners: AtomicUsize::new(0),
            waiting: Waiting::default(),
            locks: Arc::new(Locks::default()),
            metadata: Metadata::default(),
            presence: Arc::new(()),
        }
    }

    /// Something that is gone when the registry is.
    pub(super) fn presence(&self) -> Weak<()> {
        Arc::downgrade(&self.presence)
    }

    pub(super) fn health(&self) -> Health {
        Health {
            entries: self.core.len(),
            limit: (self.limit < usize::MAX).then_some(self.limit),
            // Relaxed: a count.
            owners: self.owners.load(Ordering::Relaxed),
            waiting: self.waiting.count(),
            locked: self.locks.count(),
            memory: self.core.memory(),
        }
    }
}

impl<K: Key, V: Value> Drop for Inner<K, V> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            catalogue::forget(name, self.id);
        }
    }
}

impl<K: Key, V: Value> Clone for Registry<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Key, V: Value> Default for Registry<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Key, V: Value> fmt::Debug for Registry<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("name", &self.name())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// How a registry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// How many entries there are …
    pub entries: usize,
    /// … and how many there may be, if that is limited.
    pub limit: Option<usize>,
    /// Incarnations and threads that hold something, and all that were made by [`Registry::owner`].
    pub owners: usize,
    /// Threads and tasks that wait for a key.
    pub waiting: usize,
    /// Keys that are locked.
    pub locked: usize,
    /// What it holds beside its entries, and for them.
    pub memory: Memory,
}
