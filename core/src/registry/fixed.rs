//! The registry for every target: `N` entries in place, under a lock of the user's choice. The table
//! is in [`slots`].

mod slots;

use super::{NotHeld, RawLock, RegisterError, Registration, Serial};
use crate::id::Pid;
use crate::sync::lock::Locked;
use core::borrow::Borrow;
use core::fmt;
use core::hash::Hash;
use core::mem;
use slots::Slots;

/// A registry of at most `N` entries, without an allocator. A power of two makes the best use of it.
///
/// `L` is the lock every operation takes: [`CriticalSectionLock`](super::CriticalSectionLock) where
/// interrupt handlers use the registry, [`SpinLock`](super::SpinLock) among threads or cores. It is
/// held for one probe of the table, and for O(N) while entries are listed or an owner's next one is
/// looked for. Keys' `Hash` and `Eq`, values' `Clone`, and the closures given to operations run under
/// it and must not come back to the same registry. Destructors of keys and values never run under
/// it.
///
/// # Concurrency
/// Blocking, by the lock. The linearization point of every operation lies within it. Releasing an
/// owner takes the lock once for each of its registrations.
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
    entries: Slots<K, V, N>,
    owners: u64,
}

impl<K: Eq + Hash, V, const N: usize> State<K, V, N> {
    /// Adds an entry for a key that has none.
    fn insert(&mut self, key: K, held: Held<V>) -> Result<(), RegisterError<K, V>> {
        self.entries
            .insert(key, held)
            .map_err(|(key, held)| RegisterError::Full {
                limit: N,
                key,
                value: held.value,
            })
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
                entries: Slots::new(),
                owners: 0,
            }),
        }
    }

    /// The right to hold registrations in the name of `pid`, at first none.
    pub fn owner(&self, pid: Pid) -> FixedOwner<'_, K, V, N, L> {
        let serial = self.state.with(|state| {
            state.owners += 1; // 64 bits: never the same again
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
            for (key, held) in state.entries.iter() {
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
    serial: u64,
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
        let serial = self.next_serial();
        self.registry
            .state
            .with(|state| match state.entries.get(&key) {
                Some(held) => Err(RegisterError::AlreadyRegistered {
                    holder: held.owner,
                    key,
                    value,
                }),
                None => state.insert(
                    key,
                    Held {
                        owner,
                        serial,
                        value,
                    },
                ),
            })?;
        self.registered += 1;
        Ok(Registration {
            owner,
            serial,
            #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
            place: super::index::Place::default(),
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
        let owner = self.pid;
        let serial = self.next_serial();
        // Whatever is not needed comes out of the closure, to be dropped outside the lock.
        let (held, _unused) = self
            .registry
            .state
            .with(|state| match state.entries.get(&key) {
                Some(held) => Ok(((held.owner, held.value.clone()), Some((key, value)))),
                None => {
                    let held = Held {
                        owner,
                        serial,
                        value: value.clone(),
                    };
                    state.insert(key, held).map(|()| ((owner, value), None))
                }
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
        let new = Held {
            owner: self.pid,
            serial: self.next_serial(),
            value,
        };
        let (before, _unused) =
            self.registry
                .state
                .with(|state| match state.entries.get_mut(&key) {
                    Some(held) => Ok((Some(mem::replace(held, new)), Some(key))),
                    None => state.insert(key, new).map(|()| (None, None)),
                })?;
        self.registered += 1;
        Ok(before.map(|held| (held.owner, held.value)))
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
        let before = self.registry.state.with(|state| {
            let held = state.entries.get_mut(key).filter(|held| self.is_mine(held));
            held.map(|held| {
                let value = f(&held.value);
                mem::replace(&mut held.value, value)
            })
        });
        before.map(drop).ok_or(NotHeld)
    }

    /// Shows every registration held to `f`, under the lock. O(N).
    pub fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        self.registry.state.with(|state| {
            let own = state.entries.iter().filter(|(_, held)| self.is_mine(held));
            own.for_each(|(key, held)| f(key, &held.value));
        });
    }

    /// Gives up the registrations for which `condition`, called under the lock, holds, and returns how
    /// many those were. O(N).
    pub fn unregister_if(&mut self, mut condition: impl FnMut(&K, &V) -> bool) -> usize {
        self.give_up(|key, held| condition(key, &held.value))
    }

    /// Gives up `key`. Returns whether this owner held it; another's registration is not touched.
    pub fn unregister<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let taken = self.registry.state.with(|state| {
            let mine = state
                .entries
                .get(key)
                .is_some_and(|held| self.is_mine(held));
            if mine { state.entries.take(key) } else { None }
        });
        taken.is_some()
    }

    /// Gives up one registration. Returns whether this owner still held it; a later registration of
    /// the same key is not touched. O(N).
    pub fn release(&mut self, registration: Registration) -> bool {
        registration.serial.owner == self.serial
            && self.give_up(|_, held| held.serial == registration.serial) > 0
    }

    /// Gives up what is held and `matches`, one after the other, each dropped outside the lock. Entries
    /// keep their places meanwhile, and nobody adds to them: that would need this very owner.
    fn give_up(&mut self, mut matches: impl FnMut(&K, &Held<V>) -> bool) -> usize {
        let (mut from, mut count) = (0, 0);
        while let Some((place, entry)) = self.registry.state.with(|state| {
            state
                .entries
                .take_next(from, |key, held| self.is_mine(held) && matches(key, held))
        }) {
            drop(entry);
            from = place + 1;
            count += 1;
        }
        count
    }

    fn is_mine(&self, held: &Held<V>) -> bool {
        held.serial.owner == self.serial
    }

    const fn next_serial(&self) -> Serial {
        Serial {
            owner: self.serial,
            number: self.registered,
        }
    }
}

impl<K: Eq + Hash, V, const N: usize, L: RawLock> Drop for FixedOwner<'_, K, V, N, L> {
    fn drop(&mut self) {
        /// Goes on where a panicking destructor of a key or a value left off.
        struct Rest<'o, 'r, K: Eq + Hash, V, const N: usize, L: RawLock>(
            &'o mut FixedOwner<'r, K, V, N, L>,
        );
        impl<K: Eq + Hash, V, const N: usize, L: RawLock> Drop for Rest<'_, '_, K, V, N, L> {
            fn drop(&mut self) {
                self.0.give_up(|_, _| true);
            }
        }
        let rest = Rest(self);
        rest.0.give_up(|_, _| true);
    }
}

impl<K: Eq + Hash, V, const N: usize, L: RawLock> fmt::Debug for FixedOwner<'_, K, V, N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedOwner")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}
