//! The registry for every target: `N` entries in place, under a lock of the user's choice.

use super::{RawLock, RegisterError, Registration, Serial};
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

    /// Registers `key` with `value`.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] if somebody, this owner included, holds the key, and
    /// [`RegisterError::Full`] if there are `N` entries; both give key and value back.
    pub fn register(&mut self, key: K, value: V) -> Result<Registration, RegisterError<K, V>> {
        let owner = self.pid;
        let serial = Serial {
            owner: self.serial,
            number: self.registered,
        };
        self.registry.state.with(|state| {
            if let Some(held) = state.entries.get(&key) {
                return Err(RegisterError::AlreadyRegistered {
                    holder: held.owner,
                    key,
                    value,
                });
            }
            match state.entries.insert(
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
        })?;
        self.registered += 1;
        Ok(Registration { owner, serial })
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
