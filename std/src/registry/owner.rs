//! Owners of registrations, as users have them and as [`Holdings`](super::Holdings) keep them.

use super::shared::{Inner, Key, Registry, Value};
use super::thread::with_handle;
use super::{GiveAwayError, RegisterError, RegisterManyError, TooManyOwners, UpdateError, report};
use crate::process::panic::contain;
use crate::process::{Lease, Pid};
use crate::sync::{Arc, Ordering};
use bedplate_core::registry::{Entry, Registration};
use core::fmt;
use foldhash::fast::RandomState;

type CoreOwner<K, V> = bedplate_core::registry::Owner<K, V, RandomState>;

/// The right to hold registrations in one registry, for what is neither an incarnation nor a thread. It has
/// an identity of its own. Dropping it releases all it holds: when `drop` returns, none of it can be found.
///
/// It may be sent to, and dropped on, another thread; it goes with no thread.
///
/// # Concurrency
/// Lock-free, but for waking who waits for a key. Making and dropping one lock the process's table of
/// identities for a few instructions.
///
/// ```
/// use bedplate::registry::Registry;
///
/// let connections = Registry::<u64, String>::new();
/// let mut connection = connections.owner()?;
/// connection.register(7, "ada".to_owned())?;
/// std::thread::spawn(move || drop(connection)).join().unwrap();
/// assert!(connections.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Owner<K: Key, V: Value> {
    /// Dropped before the identity is given back.
    held: Held<K, V>,
    identity: Lease,
}

impl<K: Key, V: Value> Owner<K, V> {
    pub(super) fn new(registry: &Registry<K, V>) -> Result<Self, TooManyOwners> {
        let identity = Lease::claim().map_err(|full| TooManyOwners { limit: full.limit })?;
        Ok(Self {
            held: Held::new(registry, identity.pid()),
            identity,
        })
    }

    /// In whose name the registrations are held. It is no incarnation's.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.identity.pid()
    }

    /// Registers `key` with `value`.
    ///
    /// # Errors
    /// [`RegisterError`] if somebody holds the key, this owner included, or the registry is full; with key
    /// and value.
    pub fn register(&mut self, key: K, value: V) -> Result<Registration, RegisterError<K, V>> {
        let Held { core, registry } = &mut self.held;
        let inner = &registry.0;
        let notice = inner.waiting.before(key.borrow());
        let registered = with_handle(inner, |handle| core.register(&handle.pin(), key, value))?;
        inner.waiting.after(notice);
        report::registered(registry.name(), registered.owner());
        Ok(registered)
    }

    /// Registers all keys with their values, or none of them, in one step: a reader that finds one of them and
    /// looks for another afterwards finds that, too.
    ///
    /// # Errors
    /// [`RegisterManyError`] if somebody holds one of the keys, this owner included, if two of them are equal, if
    /// there is no room for all, or if others called it off again and again; with all keys and values.
    ///
    /// ```
    /// use bedplate::registry::Registry;
    ///
    /// let ports = Registry::<String, u16>::new();
    /// let mut server = ports.owner()?;
    /// server.register_many(vec![("http".to_owned(), 80), ("https".to_owned(), 443)])?;
    /// assert_eq!(ports.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_many(
        &mut self,
        pairs: Vec<(K, V)>,
    ) -> Result<Vec<Registration>, RegisterManyError<Vec<(K, V)>>> {
        let Held { core, registry } = &mut self.held;
        let inner = &registry.0;
        let keys = pairs.iter().map(|(key, _)| key.borrow());
        let notices: Vec<_> = keys.map(|key| inner.waiting.before(key)).collect();
        let registered = with_handle(inner, |handle| core.register_many(&handle.pin(), pairs))?;
        for notice in notices {
            inner.waiting.after(notice);
            report::registered(registry.name(), core.pid());
        }
        Ok(registered)
    }

    /// What `look` makes of the entry of `key`: the one somebody holds, or else this owner's, registered with
    /// `value` in the same step. [`Entry::owner`] tells which.
    ///
    /// # Errors
    /// [`RegisterError`] if nobody holds the key and there is no room for it; with key and value.
    ///
    /// ```
    /// use bedplate::registry::Registry;
    ///
    /// let shards = Registry::<u8, u64>::new();
    /// let (mut one, mut other) = (shards.owner()?, shards.owner()?);
    /// assert_eq!(one.get_or_register(3, 7, |entry| *entry.value())?, 7);
    /// let (holder, value) = other.get_or_register(3, 8, |entry| (entry.owner(), *entry.value()))?;
    /// assert_eq!((holder, value), (one.pid(), 7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_or_register<R>(
        &mut self,
        key: K,
        value: V,
        look: impl FnOnce(Entry<'_, K, V>) -> R,
    ) -> Result<R, RegisterError<K, V>> {
        let Held { core, registry } = &mut self.held;
        let inner = &registry.0;
        let notice = inner.waiting.before(key.borrow());
        with_handle(inner, |handle| {
            let guard = handle.pin();
            // Only this owner makes any its own, so what is its own later, and another one, is new.
            let me = core.pid();
            let own = |entry: Entry<'_, K, V>| {
                let is_own = entry.owner() == me;
                is_own.then(|| entry.registration())
            };
            let before = guard.lookup(key.borrow()).and_then(own);
            let entry = core.get_or_register(&guard, key, value)?;
            if let Some(registered) = own(entry)
                && before != Some(registered)
            {
                inner.waiting.after(notice);
                report::registered(registry.name(), registered.owner());
            }
            Ok(look(entry))
        })
    }

    /// Registers `key` with `value`, whoever holds it now; says who did. The former owner keeps the rest of
    /// what it holds, and nothing it does reaches this registration.
    ///
    /// # Errors
    /// [`RegisterError`] if nobody holds the key and there is no room for it; with key and value.
    pub fn take_over(&mut self, key: K, value: V) -> Result<Option<Pid>, RegisterError<K, V>> {
        let Held { core, registry } = &mut self.held;
        let inner = &registry.0;
        let notice = inner.waiting.before(key.borrow());
        let before = with_handle(inner, |handle| {
            let guard = handle.pin();
            let before = core.take_over(&guard, key, value)?;
            Ok::<_, RegisterError<K, V>>(before.map(|entry| entry.owner()))
        })?;
        inner.waiting.after(notice);
        report::registered(registry.name(), core.pid());
        Ok(before)
    }

    /// As [`take_over`](Self::take_over), if `condition` holds for the entry that is there. What is replaced is
    /// the very registration, with the very value, that `condition` was called with last; it is called again if
    /// that changed before it could be replaced, and not at all if nobody holds the key.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] if the condition does not hold, or another one if nobody holds the key
    /// and there is no room for it; with key and value.
    pub fn take_over_if(
        &mut self,
        key: K,
        value: V,
        condition: impl FnMut(Entry<'_, K, V>) -> bool,
    ) -> Result<Option<Pid>, RegisterError<K, V>> {
        let Held { core, registry } = &mut self.held;
        let inner = &registry.0;
        let notice = inner.waiting.before(key.borrow());
        let before = with_handle(inner, |handle| {
            let guard = handle.pin();
            let before = core.take_over_if(&guard, key, value, condition)?;
            Ok::<_, RegisterError<K, V>>(before.map(|entry| entry.owner()))
        })?;
        inner.waiting.after(notice);
        report::registered(registry.name(), core.pid());
        Ok(before)
    }

    /// Hands the registration of `key` on to another owner, with the value it has. One step: a reader finds it
    /// with the old owner or with the new one. It is a new registration, which is returned; the old one is over.
    ///
    /// # Errors
    /// [`GiveAwayError::NotHeld`] if this owner does not hold the key, or somebody takes it over meanwhile, and
    /// [`GiveAwayError::Full`] if there is no room for another registration. It stays where it was.
    ///
    /// # Panics
    /// If the other owner is one of another registry.
    pub fn give_away(
        &mut self,
        key: &K::Borrowed,
        to: &mut Self,
    ) -> Result<Registration, GiveAwayError> {
        let Held { core, registry } = &mut self.held;
        let given = with_handle(&registry.0, |handle| {
            core.give_away(&handle.pin(), key, &mut to.held.core)
        })?;
        report::registered(registry.name(), given.owner());
        Ok(given)
    }

    /// Replaces the value of `key` by what `make` makes of it; the registration stays the same. `make` is
    /// called only if this owner holds the key.
    ///
    /// # Errors
    /// [`UpdateError`] if it does not, if somebody takes the key over meanwhile, or if there is no room for
    /// another value; with the new value, if it was made.
    pub fn update(
        &mut self,
        key: &K::Borrowed,
        make: impl FnOnce(&V::Borrowed) -> V,
    ) -> Result<(), UpdateError<V>> {
        let Held { core, registry } = &mut self.held;
        let updated = with_handle(&registry.0, |handle| core.update(&handle.pin(), key, make));
        updated.map_err(Into::into)
    }

    /// Gives up `key`. Returns whether this owner held it.
    pub fn unregister(&mut self, key: &K::Borrowed) -> bool {
        let Held { core, registry } = &mut self.held;
        with_handle(&registry.0, |handle| core.unregister(&handle.pin(), key))
    }

    /// Gives up the registrations for which `condition` holds, and returns how many those were. O(own
    /// registrations).
    pub fn unregister_if(&mut self, condition: impl FnMut(Entry<'_, K, V>) -> bool) -> usize {
        let Held { core, registry } = &mut self.held;
        with_handle(&registry.0, |handle| {
            core.unregister_if(&handle.pin(), condition)
        })
    }

    /// Calls `look` for each registration held, in no useful order. O(own registrations).
    pub fn for_each(&self, look: impl FnMut(Entry<'_, K, V>)) {
        let Held { core, registry } = &self.held;
        with_handle(&registry.0, |handle| {
            core.entries(&handle.pin()).for_each(look);
        });
    }
}

impl<K: Key, V: Value> fmt::Debug for Owner<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("pid", &self.pid())
            .field("registry", &self.held.registry)
            .finish()
    }
}

/// What one owner holds in one registry, which it keeps alive. Dropping it releases all of it, tells
/// `tracing`, and does not panic.
pub(super) struct Held<K: Key, V: Value> {
    pub(super) core: CoreOwner<K, V>,
    registry: Registry<K, V>,
}

impl<K: Key, V: Value> Held<K, V> {
    pub(super) fn new(registry: &Registry<K, V>, pid: Pid) -> Self {
        // Relaxed: a count.
        registry.0.owners.fetch_add(1, Ordering::Relaxed);
        Self {
            core: registry.0.core.owner(pid),
            registry: registry.clone(),
        }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        with_handle(&self.registry.0, |handle| {
            self.core.entries(&handle.pin()).next().is_none()
        })
    }

    fn inner(&self) -> &Arc<Inner<K, V>> {
        &self.registry.0
    }
}

impl<K: Key, V: Value> Drop for Held<K, V> {
    fn drop(&mut self) {
        let pid = self.core.pid();
        // Moved out, so that destructors of values are contained. What is left owns nothing.
        let nothing = self.inner().core.owner(pid);
        let core = core::mem::replace(&mut self.core, nothing);
        let mut count = 0;
        contain(|| {
            if report::cleanup_is_wanted() {
                count = with_handle(self.inner(), |handle| core.entries(&handle.pin()).count());
            }
            drop(core);
        });
        // Relaxed: a count.
        self.inner().owners.fetch_sub(1, Ordering::Relaxed);
        if count > 0 {
            report::cleaned_up(self.inner().name.as_ref(), pid, count);
        }
    }
}
