//! The registry for every target: `N` entries in place, under a lock of the user's choice. The table
//! is in [`slots`].

mod hash;
mod holders;
mod link;
mod slots;

use super::{NotHeld, RawLock, RegisterError, RegisterManyError, Registration, Serial};
use crate::id::Pid;
use crate::sync::lock::Locked;
use core::borrow::Borrow;
use core::fmt;
use core::hash::Hash;
use core::mem;
use holders::Holder;
use slots::Slots;

/// A registry of at most `N` entries, without an allocator.
///
/// `L` is the lock every operation takes: `CriticalSectionLock` where
/// interrupt handlers use the registry, [`SpinLock`](super::SpinLock) among threads or cores. It is
/// held for one probe of the table; for O(N) while all entries are listed; and for as many of its own
/// entries as an owner looks at before it finds one to give up. Keys' `Hash` and `Eq`, values' `Clone`,
/// and the closures given to operations run under it and must not come back to the same registry.
/// Destructors of keys and values never run under it.
///
/// # Concurrency
/// Blocking, by the lock. The linearization point of every operation lies within it. Releasing an
/// owner takes the lock once for each of its registrations, which go one by one, the newest first.
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
            holder: Holder::new(pid, serial),
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
            let found = state.entries.find(key).ok()?;
            Some((found.pid, found.value.clone()))
        })
    }

    /// Who holds `key`.
    pub fn whereis<Q>(&self, key: &Q) -> Option<Pid>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.state
            .with(|state| state.entries.find(key).ok().map(|found| found.pid))
    }

    /// Shows every entry to `f`, under the lock: a consistent picture, in no useful order.
    pub fn for_each(&self, mut f: impl FnMut(&K, Pid, &V)) {
        self.state.with(|state| {
            for (key, pid, value) in state.entries.iter() {
                f(key, pid, value);
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

/// The right to hold registrations in a [`FixedRegistry`]. Dropping it releases them all, in O(its own
/// registrations): when `drop` returns, none of them can be found.
pub struct FixedOwner<'r, K: Eq + Hash, V, const N: usize, L: RawLock> {
    registry: &'r FixedRegistry<K, V, N, L>,
    holder: Holder,
    registered: u64,
}

impl<K: Eq + Hash, V, const N: usize, L: RawLock> FixedOwner<'_, K, V, N, L> {
    /// In whose name the registrations are held.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.holder.pid
    }

    /// Registers `key` with `value`.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] if somebody, this owner included, holds the key, and
    /// [`RegisterError::Full`] if there are `N` entries; both give key and value back.
    pub fn register(&mut self, key: K, value: V) -> Result<Registration, RegisterError<K, V>> {
        let number = self.registered;
        self.registry
            .state
            .with(|state| match state.entries.find(&key) {
                Ok(found) => Err(RegisterError::AlreadyRegistered {
                    holder: found.pid,
                    key,
                    value,
                }),
                Err(absent) => state
                    .entries
                    .insert(absent, &mut self.holder, number, key, value)
                    .map_err(full::<K, V, N>),
            })?;
        self.registered += 1;
        Ok(self.registration(number))
    }

    /// Registers all keys with their values, or none of them, in one step. Returns the registrations in the order of
    /// the pairs. Equal keys are found, outside the lock, by comparing all with all.
    ///
    /// # Errors
    /// [`RegisterManyError::Repeated`] if two of the keys are equal;
    /// [`RegisterManyError::AlreadyRegistered`] if somebody, this owner included, holds one of them;
    /// [`RegisterManyError::Full`] if there is no room for all, and none of them is held. All give all keys and
    /// values back and leave everything as it was.
    ///
    /// ```
    /// use bedplate_core::id::FixedPidAllocator;
    /// use bedplate_core::registry::{FixedRegistry, RegisterManyError, SpinLock};
    ///
    /// static PINS: FixedRegistry<&str, u8, 16, SpinLock> = FixedRegistry::new();
    ///
    /// let mut pids = FixedPidAllocator::<4>::new();
    /// let (mut uart, mut spi) = (PINS.owner(pids.allocate()?), PINS.owner(pids.allocate()?));
    /// uart.register_many([("rx", 3), ("tx", 4)])?;
    /// let refused = spi.register_many([("clock", 5), ("tx", 4)]).unwrap_err();
    /// assert!(matches!(refused, RegisterManyError::AlreadyRegistered { at: 1, .. }));
    /// assert_eq!(PINS.whereis("clock"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register_many<const M: usize>(
        &mut self,
        pairs: [(K, V); M],
    ) -> Result<[Registration; M], RegisterManyError<[(K, V); M]>> {
        let repeats = |at: usize| pairs[..at].iter().any(|(key, _)| *key == pairs[at].0);
        if let Some(at) = (1..M).find(|&at| repeats(at)) {
            return Err(RegisterManyError::Repeated { at, pairs });
        }
        let first = self.registered;
        self.registry.state.with(|state| {
            let entries = &mut state.entries;
            let mut absent = [None; M];
            for (at, (key, _)) in pairs.iter().enumerate() {
                match entries.find(key) {
                    Ok(found) => {
                        let holder = found.pid;
                        return Err(RegisterManyError::AlreadyRegistered { at, holder, pairs });
                    }
                    Err(hash) => absent[at] = Some(hash),
                }
            }
            if N - entries.len() < M {
                return Err(RegisterManyError::Full { limit: N, pairs });
            }
            // No code of a user runs from here on.
            for ((number, (key, value)), hash) in
                (first..).zip(pairs).zip(absent.into_iter().flatten())
            {
                if entries
                    .insert(hash, &mut self.holder, number, key, value)
                    .is_err()
                {
                    unreachable!("there is room for all");
                }
            }
            Ok(())
        })?;
        self.registered += M as u64;
        Ok(core::array::from_fn(|at| {
            self.registration(first + at as u64)
        }))
    }

    /// Who holds `key` with what: somebody who did, or else this owner, with `value`, in one step.
    ///
    /// # Errors
    /// [`RegisterError::Full`] if nobody holds the key and there are `N` entries.
    pub fn get_or_register(&mut self, key: K, value: V) -> Result<(Pid, V), RegisterError<K, V>>
    where
        V: Clone,
    {
        let number = self.registered;
        // Whatever is not needed comes out of the closure, to be dropped outside the lock.
        let (held, _unused) = self
            .registry
            .state
            .with(|state| match state.entries.find(&key) {
                Ok(found) => Ok(((found.pid, found.value.clone()), Some((key, value)))),
                Err(absent) => {
                    let held = (self.holder.pid, value.clone());
                    state
                        .entries
                        .insert(absent, &mut self.holder, number, key, value)
                        .map(|()| (held, None))
                        .map_err(full::<K, V, N>)
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
        self.take_over_if(key, value, |_, _, _| true)
    }

    /// As [`take_over`](Self::take_over), if `condition` holds for the key, the process and the value that
    /// are there; it is called under the lock, and not at all if nobody holds the key.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] if the condition does not hold, and
    /// [`RegisterError::Full`] if nobody holds the key and there are `N` entries.
    pub fn take_over_if(
        &mut self,
        key: K,
        value: V,
        condition: impl FnOnce(&K, Pid, &V) -> bool,
    ) -> Result<Option<(Pid, V)>, RegisterError<K, V>> {
        let number = self.registered;
        let (before, _unused) =
            self.registry
                .state
                .with(|state| match state.entries.find(&key) {
                    Ok(found) if condition(found.key, found.pid, found.value) => {
                        let place = found.place;
                        let before =
                            state
                                .entries
                                .hand_over(place, &mut self.holder, number, value);
                        Ok((before, Some(key)))
                    }
                    Ok(found) => Err(RegisterError::AlreadyRegistered {
                        holder: found.pid,
                        key,
                        value,
                    }),
                    Err(absent) => state
                        .entries
                        .insert(absent, &mut self.holder, number, key, value)
                        .map(|()| (None, None))
                        .map_err(full::<K, V, N>),
                })?;
        self.registered += 1;
        Ok(before)
    }

    /// Hands the registration of `key` on to another owner, with the value it has, in one step. It is a new
    /// registration, which is returned; the old one is over.
    ///
    /// # Errors
    /// [`NotHeld`] if this owner does not hold the key.
    ///
    /// # Panics
    /// If the other owner is one of another registry.
    pub fn give_away<Q>(&mut self, key: &Q, to: &mut Self) -> Result<Registration, NotHeld>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        assert!(
            core::ptr::eq(self.registry, to.registry),
            "an owner was given a registration of another registry"
        );
        let number = to.registered;
        let given = self.registry.state.with(|state| {
            let entries = &mut state.entries;
            entries.give_away(&self.holder, key, &mut to.holder, number)
        });
        if !given {
            return Err(NotHeld);
        }
        to.registered += 1;
        Ok(to.registration(number))
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
            let value = state.entries.own_value(&self.holder, key)?;
            let new = f(value);
            Some(mem::replace(value, new))
        });
        before.map(drop).ok_or(NotHeld)
    }

    /// Shows every registration held to `f`, under the lock, the newest first. O(own registrations).
    pub fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        self.registry.state.with(|state| {
            for (key, value) in state.entries.own(&self.holder) {
                f(key, value);
            }
        });
    }

    /// Gives up the registrations for which `condition`, called under the lock, holds, and returns how
    /// many those were. The newest comes first. O(own registrations).
    pub fn unregister_if(&mut self, mut condition: impl FnMut(&K, &V) -> bool) -> usize {
        self.give_up(|key, _, value| condition(key, value))
    }

    /// Gives up `key`. Returns whether this owner held it; another's registration is not touched.
    pub fn unregister<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let taken = self
            .registry
            .state
            .with(|state| state.entries.take(&self.holder, key));
        taken.is_some()
    }

    /// Gives up one registration. Returns whether this owner still held it; a later registration of
    /// the same key is not touched, and neither is any for a registration in another registry. O(own
    /// registrations).
    pub fn release(&mut self, registration: Registration) -> bool {
        let Serial { owner, number } = registration.serial;
        let is_own = owner == self.holder.serial && registration.registry == self.address();
        is_own && self.take_first(|_, other, _| other == number).is_some()
    }

    /// Where the registry is, which does not move while it has owners.
    fn address(&self) -> usize {
        core::ptr::from_ref(self.registry).addr()
    }

    fn registration(&self, number: u64) -> Registration {
        Registration {
            registry: self.address(),
            owner: self.holder.pid,
            serial: Serial {
                owner: self.holder.serial,
                number,
            },
            #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
            place: super::index::Place::default(),
        }
    }

    /// Gives up what `matches` by key, number and value, one after the other, each dropped outside the
    /// lock.
    fn give_up(&mut self, mut matches: impl FnMut(&K, u64, &V) -> bool) -> usize {
        let mut taken = self.take_first(&mut matches);
        let mut count = 0;
        while let Some(entry) = taken {
            drop(entry);
            count += 1;
            taken = self
                .registry
                .state
                .with(|state| state.entries.take_next(&self.holder, &mut matches));
        }
        count
    }

    /// Takes the newest registration that `matches` out of the table.
    fn take_first(&mut self, matches: impl FnMut(&K, u64, &V) -> bool) -> Option<(K, V)> {
        self.registry.state.with(|state| {
            state.entries.rewind(&self.holder);
            state.entries.take_next(&self.holder, matches)
        })
    }
}

fn full<K, V, const N: usize>((key, value): (K, V)) -> RegisterError<K, V> {
    RegisterError::Full {
        limit: N,
        key,
        value,
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
                self.0.give_up(|_, _, _| true);
            }
        }
        let rest = Rest(self);
        rest.0.give_up(|_, _, _| true);
    }
}

impl<K: Eq + Hash, V, const N: usize, L: RawLock> fmt::Debug for FixedOwner<'_, K, V, N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedOwner")
            .field("pid", &self.holder.pid)
            .finish_non_exhaustive()
    }
}
