//! The registry for every target: `N` entries in place, under a lock of the user's choice.

use super::{NotHeld, RawLock, RegisterError, Registration, Serial};
use crate::id::Pid;
use crate::sync::lock::Locked;
use core::borrow::Borrow;
use core::fmt;
use core::hash::Hash;
use heapless::index_map::FnvIndexMap;

/// A registry of at most `N` entries, without an allocator. `N` is a power of two.
///
/// `L` is the lock every operation takes: [`CriticalSectionLock`](super::CriticalSectionLock) where
/// interrupt handlers use the registry, [`SpinLock`](super::SpinLock) among threads or cores. It is
/// held for one probe of the map, and for O(N) while an owner is released or entries are listed.
/// Keys' `Hash` and `Eq`, values' `Clone` and the closure of [`for_each`](Self::for_each) run under
/// it and must not come back to the same registry.
///
/// # Concurrency
/// Blocking, by the lock. The linearization point of every operation lies within it.
///
/// # From interrupts
/// With `CriticalSectionLock`: yes. With `SpinLock`: no.
///
/// ```
/// use bedplate_core::id::FixedPidAllocator;
/// use bedplate_core::registry::{FixedRegistry, SpinLock};
///
/// static PORTS: FixedRegistry<&str, u8, 16, SpinLock> = FixedRegistry::new();
///
/// let mut pids = FixedPidAllocator::<4>::new();
/// let driver = pids.allocate()?;
/// let mut owner = PORTS.owner(driver);
/// owner.register("uart0", 3).map_err(|error| error.to_string())?;
/// assert_eq!(PORTS.lookup("uart0"), Some((driver, 3)));
/// drop(owner);
/// assert_eq!(PORTS.whereis("uart0"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FixedRegistry<K, V, const N: usize, L> {
    state: Locked<L, State<K, V, N>>,
}

struct State<K, V, const N: usize> {
    entries: FnvIndexMap<K, Held<V>, N>,
    owners: usize,
}

impl<K: Eq + Hash, V, const N: usize> State<K, V, N> {
    /// Adds an entry for a key that has none.
    fn insert(
        &mut self,
        key: K,
        owner: Pid,
        serial: Serial,
        value: V,
    ) -> Result<(), RegisterError<K, V>> {
        match self.entries.insert(
            key,
            Held {
                owner,
                serial,
                value,
            },
        ) {
            Ok(_) => Ok(()),
            Err((key, held)) => Err(RegisterError::Full {
                limit: N,
                key,
                value: held.value,
            }),
        }
    }
}

struct Held<V> {
    owner: Pid,
    serial: Serial,
    value: V,
}

impl<K: Eq + Hash, V, const N: usize, L: RawLock> FixedRegistry<K, V, N, L> {
    /// An empty registry.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: Locked::new(State {
                entries: FnvIndexMap::new(),
                owners: 0,
            }),
        }
    }

    /// The right to hold registrations in the name of `pid`, at first none.
    pub fn owner(&self, pid: Pid) -> FixedOwner<'_, K, V, N, L> {
        let serial = self.state.with(|state| {
            state.owners = state.owners.wrapping_add(1);
            state.owners
        });
        FixedOwner {
            registry: self,
            pid,
            serial,
            registered: 0,
        }
    }

    /// Who holds `key`, and with what value; `None` if nobody does.
    pub fn lookup<Q>(&self, key: &Q) -> Option<(Pid, V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.state.with(|state| {
            state
                .entries
                .get(key)
                .map(|held| (held.owner, held.value.clone()))
        })
    }

    /// Who holds `key`.
    pub fn whereis<Q>(&self, key: &Q) -> Option<Pid>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.state
            .with(|state| state.entries.get(key).map(|held| held.owner))
    }

    /// Shows every entry to `f`, under the lock: a consistent picture, in no useful order.
    pub fn for_each(&self, mut f: impl FnMut(&K, Pid, &V)) {
        self.state.with(|state| {
            for (key, held) in &state.entries {
                f(key, held.owner, &held.value);
            }
        });
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.state.with(|state| state.entries.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Eq + Hash, V, const N: usize, L: RawLock> Default for FixedRegistry<K, V, N, L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V, const N: usize, L> fmt::Debug for FixedRegistry<K, V, N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedRegistry")
            .field("capacity", &N)
            .finish_non_exhaustive()
    }
}

/// The right to hold registrations in a [`FixedRegistry`]. Dropping it releases them all, in O(N):
/// when `drop` returns, none of them can be found.
pub struct FixedOwner<'r, K: Eq + Hash, V, const N: usize, L: RawLock> {
    registry: &'r FixedRegistry<K, V, N, L>,
    pid: Pid,
    serial: usize,
    registered: u64,
}

impl<K: Eq + Hash, V, const N: usize, L: RawLock> FixedOwner<'_, K, V, N, L> {
    /// In whose name the registrations are held.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    const fn next_serial(&self) -> Serial {
        Serial {
            owner: self.serial,
            number: self.registered,
        }
    }

    /// Registers `key` with `value`.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] if somebody, this owner included, holds the key, and
    /// [`RegisterError::Full`] if there are `N` entries; both give key and value back.
    pub fn register(&mut self, key: K, value: V) -> Result<Registration, RegisterError<K, V>> {
        let owner = self.pid;
        let serial = self.next_serial();
        self.registry
            .state
            .with(|state| match state.entries.get(&key) {
                Some(held) => Err(RegisterError::AlreadyRegistered {
                    holder: held.owner,
                    key,
                    value,
                }),
                None => state.insert(key, owner, serial, value),
            })?;
        self.registered += 1;
        Ok(Registration {
            owner,
            serial,
            #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
            place: super::table::Place::default(),
        })
    }

    /// Who holds `key` with what: somebody who did, or else this owner, with `value`, in one step.
    ///
    /// # Errors
    /// [`RegisterError::Full`] if nobody holds the key and there are `N` entries.
    pub fn get_or_register(&mut self, key: K, value: V) -> Result<(Pid, V), RegisterError<K, V>>
    where
        V: Clone,
    {
        let serial = self.next_serial();
        let held = self.registry.state.with(|state| {
            if let Some(held) = state.entries.get(&key) {
                return Ok((held.owner, held.value.clone()));
            }
            state.insert(key, self.pid, serial, value.clone())?;
            Ok((self.pid, value))
        })?;
        self.registered += 1;
        Ok(held)
    }

    /// Registers `key` with `value`, whoever holds it now; returns who did, with what.
    ///
    /// The former owner keeps the rest of what it holds, and nothing it does reaches this
    /// registration.
    ///
    /// # Errors
    /// [`RegisterError::Full`] if nobody holds the key and there are `N` entries.
    pub fn take_over(&mut self, key: K, value: V) -> Result<Option<(Pid, V)>, RegisterError<K, V>> {
        let serial = self.next_serial();
        let before = self.registry.state.with(|state| {
            let before = state
                .entries
                .remove(&key)
                .map(|held| (held.owner, held.value));
            state.insert(key, self.pid, serial, value).map(|()| before)
        })?;
        self.registered += 1;
        Ok(before)
    }

    /// Replaces the value of `key` by what `f` makes of it; the registration stays the same. `f` is
    /// called, under the lock, only if this owner holds the key.
    ///
    /// # Errors
    /// [`NotHeld`] if it does not.
    pub fn update<Q>(&mut self, key: &Q, f: impl FnOnce(&V) -> V) -> Result<(), NotHeld>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.registry.state.with(|state| {
            let mine = |held: &&mut Held<V>| held.serial.owner == self.serial;
            let held = state.entries.get_mut(key).filter(mine).ok_or(NotHeld)?;
            held.value = f(&held.value);
            Ok(())
        })
    }

    /// Shows every registration held to `f`, under the lock. O(N).
    pub fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        self.registry.state.with(|state| {
            let own = state
                .entries
                .iter()
                .filter(|(_, held)| held.serial.owner == self.serial);
            own.for_each(|(key, held)| f(key, &held.value));
        });
    }

    /// Gives up the registrations for which `condition`, called under the lock, holds, and returns how
    /// many those were. O(N).
    pub fn unregister_if(&mut self, mut condition: impl FnMut(&K, &V) -> bool) -> usize {
        self.registry.state.with(|state| {
            let before = state.entries.len();
            state.entries.retain(|key, held| {
                held.serial.owner != self.serial || !condition(key, &held.value)
            });
            before - state.entries.len()
        })
    }

    /// Gives up `key`. Returns whether this owner held it; another's registration is not touched.
    pub fn unregister<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.registry.state.with(|state| {
            let mine = state
                .entries
                .get(key)
                .is_some_and(|held| held.serial.owner == self.serial);
            mine && state.entries.swap_remove(key).is_some()
        })
    }

    /// Gives up one registration. Returns whether this owner still held it; a later registration of
    /// the same key is not touched. O(N).
    pub fn release(&mut self, registration: Registration) -> bool {
        let mine = registration.serial.owner == self.serial;
        mine && self.registry.state.with(|state| {
            let before = state.entries.len();
            state
                .entries
                .retain(|_, held| held.serial != registration.serial);
            state.entries.len() < before
        })
    }
}

impl<K: Eq + Hash, V, const N: usize, L: RawLock> Drop for FixedOwner<'_, K, V, N, L> {
    fn drop(&mut self) {
        self.registry.state.with(|state| {
            state
                .entries
                .retain(|_, held| held.serial.owner != self.serial);
        });
    }
}

impl<K: Eq + Hash, V, const N: usize, L: RawLock> fmt::Debug for FixedOwner<'_, K, V, N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedOwner")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}
