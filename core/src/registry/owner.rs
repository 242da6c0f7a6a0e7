//! The owner of registrations in an [`EpochRegistry`](super::EpochRegistry): everything that changes
//! one goes through it.
//!
//! An owner knows its own registrations, by number and place, so that releasing them takes time
//! according to how many *it* has. It is borrowed mutably for every change, so none of its changes
//! can meet another of its own, nor its drop.

use super::epoch::{Entry, Guard, Shared};
use super::table::{Content, Place, Refused};
use super::{NotHeld, RegisterError, Registration, Serial};
use crate::id::Pid;
use crate::sync::epoch;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// The right to hold registrations. Dropping it releases them all: when `drop` returns, none of
/// them can be found. That takes O(own registrations), however many others there are.
///
/// An owner may be sent to, and dropped on, another thread than the one that made it. All its
/// operations are lock-free.
///
/// # Panics
/// Every operation that takes a guard panics if that is one of another registry.
///
/// ```
/// use bedplate_core::id::PidAllocator;
/// use bedplate_core::registry::EpochRegistry;
/// use std::hash::RandomState;
///
/// let registry = EpochRegistry::<&str, u32, _>::with_hasher(RandomState::new());
/// let mut pids = PidAllocator::new(10);
/// let handle = registry.handle();
/// let (mut old, mut new) = (registry.owner(pids.allocate()?), registry.owner(pids.allocate()?));
///
/// old.register(&handle.pin(), "leader", 1)?;
/// old.update(&handle.pin(), "leader", |term| term + 1)?;
/// assert!(new.update(&handle.pin(), "leader", |term| term + 1).is_err());   // not its own
///
/// let guard = handle.pin();
/// let before = new.take_over(&guard, "leader", 3)?.expect("somebody had it");
/// assert_eq!((before.owner(), *before.value()), (old.pid(), 2));
/// drop(old);                                                                // spares the new one
/// assert_eq!(guard.whereis("leader"), Some(new.pid()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Owner<K, V, S> {
    shared: Arc<Shared<K, V, S>>,
    pid: Pid,
    /// Which owner of this registry: two owners of one `pid` are still two. Counted in machine words,
    /// so on a 32-bit target it may come again after 2³² owners; the `pid` is compared as well.
    serial: u64,
    /// How many registrations were ever made; the next one's number.
    registered: u64,
    /// Place and number of those held, and of some that others have taken over since: these are
    /// forgotten when the same key is registered again.
    held: BTreeSet<(Place, u64)>,
}

impl<K, V, S> Owner<K, V, S> {
    pub(super) fn new(shared: Arc<Shared<K, V, S>>, pid: Pid, serial: u64) -> Self {
        Self {
            shared,
            pid,
            serial,
            registered: 0,
            held: BTreeSet::new(),
        }
    }

    /// In whose name the registrations are held.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The registrations held, in no useful order. O(1) for each.
    pub fn entries<'g>(
        &'g self,
        guard: &'g Guard<'_, K, V, S>,
    ) -> impl Iterator<Item = Entry<'g, K, V>> {
        let epoch = self.checked(guard);
        self.held.iter().filter_map(move |&(place, number)| {
            let content = self.shared.table.find(place, epoch, self.is(number))?;
            Some(Entry { content, place })
        })
    }

    /// Registers `key` with `value`.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] if somebody, this owner included, holds the key, and
    /// [`RegisterError::Full`] if the registry's limit is reached; both give key and value back and
    /// leave nothing behind.
    pub fn register(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Registration, RegisterError<K, V>>
    where
        K: Hash + Eq,
        S: BuildHasher,
    {
        match self.insert(guard, key, value) {
            Ok(entry) => Ok(entry.registration()),
            Err(Refused {
                content: Content { key, value, .. },
                conflict,
            }) => Err(match conflict {
                Some(other) => RegisterError::AlreadyRegistered {
                    holder: other.owner,
                    key,
                    value,
                },
                None => RegisterError::Full {
                    limit: self.shared.limit,
                    key,
                    value,
                },
            }),
        }
    }

    /// The entry of `key`: the one somebody holds, or else this owner's, registered with `value` in
    /// the same step. [`Entry::registration`] and [`Entry::owner`] tell which.
    ///
    /// # Errors
    /// [`RegisterError::Full`] if nobody holds the key and the registry's limit is reached.
    pub fn get_or_register<'g>(
        &mut self,
        guard: &'g Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Entry<'g, K, V>, RegisterError<K, V>>
    where
        K: Hash + Eq,
        S: BuildHasher,
    {
        let place = self.shared.place(&key);
        self.insert(guard, key, value)
            .or_else(|Refused { content, conflict }| match conflict {
                Some(content) => Ok(Entry { content, place }),
                None => {
                    let Content { key, value, .. } = content;
                    Err(RegisterError::Full {
                        limit: self.shared.limit,
                        key,
                        value,
                    })
                }
            })
    }

    /// Registers `key` with `value`, whoever holds it now; returns what was there. One step: a reader
    /// finds the old registration or the new one.
    ///
    /// The former owner keeps the rest of what it holds, and nothing it does reaches this
    /// registration.
    ///
    /// # Errors
    /// [`RegisterError::Full`] if nobody holds the key and the registry's limit is reached.
    pub fn take_over<'g>(
        &mut self,
        guard: &'g Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Option<Entry<'g, K, V>>, RegisterError<K, V>>
    where
        K: Hash + Eq,
        S: BuildHasher,
    {
        let place = self.shared.place(&key);
        let (mut key, mut value) = (key, value);
        loop {
            let content = match self.insert(guard, key, value) {
                Ok(_) => return Ok(None),
                Err(Refused {
                    content: Content { key, value, .. },
                    conflict: None,
                }) => {
                    return Err(RegisterError::Full {
                        limit: self.shared.limit,
                        key,
                        value,
                    });
                }
                Err(Refused { content, .. }) => content,
            };
            let serial = content.serial;
            match guard
                .shared
                .table
                .replace(place, content, &guard.epoch, |old, key| old.key == *key)
            {
                Ok(content) => {
                    self.hold(guard, place, serial);
                    return Ok(Some(Entry { content, place }));
                }
                // It has just been given up.
                Err(content) => (key, value) = (content.key, content.value),
            }
        }
    }

    /// Replaces the value of `key` by what `f` makes of it; the registration stays the same. `f` is
    /// called only if this owner holds the key.
    ///
    /// # Errors
    /// [`NotHeld`] if it does not, or if somebody takes the key over meanwhile.
    pub fn update<Q>(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        key: &Q,
        f: impl FnOnce(&V) -> V,
    ) -> Result<(), NotHeld>
    where
        K: Borrow<Q> + Clone,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        let epoch = self.checked(guard);
        let place = self.shared.place(key);
        let table = &self.shared.table;
        let mine = |content: &Content<K, V>| {
            content.owner == self.pid
                && content.serial.owner == self.serial
                && content.key.borrow() == key
        };
        let old = table.find(place, epoch, mine).ok_or(NotHeld)?;
        let serial = old.serial;
        let (key, value) = (old.key.clone(), f(&old.value));
        let content = Content {
            owner: self.pid,
            serial,
            key,
            value,
        };
        table
            .replace(place, content, epoch, |old, _| old.serial == serial)
            .map(|_| ())
            .map_err(|_| NotHeld)
    }

    /// Gives up `key`. Returns whether this owner held it; another's registration is not touched.
    pub fn unregister<Q>(&mut self, guard: &Guard<'_, K, V, S>, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        S: BuildHasher,
    {
        self.checked(guard);
        match guard.lookup(key) {
            Some(entry) => self.release(guard, entry.registration()),
            None => false,
        }
    }

    /// Gives up the registrations for which `condition` holds, and returns how many those were. O(own
    /// registrations).
    pub fn unregister_if(
        &mut self,
        guard: &Guard<'_, K, V, S>,
        mut condition: impl FnMut(Entry<'_, K, V>) -> bool,
    ) -> usize {
        let given_up: Vec<_> = self
            .entries(guard)
            .filter(|&entry| condition(entry))
            .map(|entry| entry.registration())
            .collect();
        given_up
            .into_iter()
            .filter(|&registration| self.release(guard, registration))
            .count()
    }

    /// Gives up one registration. Returns whether this owner still held it; a later registration of
    /// the same key is not touched.
    pub fn release(&mut self, guard: &Guard<'_, K, V, S>, registration: Registration) -> bool {
        let epoch = self.checked(guard);
        let Registration { serial, place, .. } = registration;
        serial.owner == self.serial
            && self.held.remove(&(place, serial.number))
            && self
                .shared
                .table
                .remove(place, epoch, self.is(serial.number))
    }

    fn insert<'g>(
        &mut self,
        guard: &'g Guard<'_, K, V, S>,
        key: K,
        value: V,
    ) -> Result<Entry<'g, K, V>, Refused<'g, K, V>>
    where
        K: Hash + Eq,
        S: BuildHasher,
    {
        self.checked(guard);
        let place = self.shared.place(&key);
        let serial = Serial {
            owner: self.serial,
            number: self.registered,
        };
        let content = Content {
            owner: self.pid,
            serial,
            key,
            value,
        };
        // The guard's own reference to the registry, which lives as long as the guard.
        let Guard { shared, epoch } = guard;
        let content = shared
            .table
            .insert(place, content, shared.limit, epoch, |other, key| {
                other.key == *key
            })?;
        self.hold(guard, place, serial);
        Ok(Entry { content, place })
    }

    /// Notes a registration just made, and forgets those of the same place that others took over.
    fn hold(&mut self, guard: &Guard<'_, K, V, S>, place: Place, serial: Serial) {
        let table = &guard.shared.table;
        let all_of_it = (place, 0)..=(place, u64::MAX);
        let gone: Vec<_> = self
            .held
            .range(all_of_it)
            .filter(|(_, number)| table.find(place, &guard.epoch, self.is(*number)).is_none())
            .copied()
            .collect();
        for one in gone {
            self.held.remove(&one);
        }
        self.registered = serial.number + 1;
        self.held.insert((place, serial.number));
    }

    /// Whether a registration is this owner's of this number.
    fn is(&self, number: u64) -> impl Fn(&Content<K, V>) -> bool + use<K, V, S> {
        let pid = self.pid;
        let serial = Serial {
            owner: self.serial,
            number,
        };
        move |content| content.serial == serial && content.owner == pid
    }

    /// The epoch guard inside `guard`, which protects this registry's entries and no other's.
    fn checked<'g>(&self, guard: &'g Guard<'_, K, V, S>) -> &'g epoch::Guard {
        assert!(
            Arc::ptr_eq(&self.shared, guard.shared),
            "a guard was used with the owner of another registry"
        );
        &guard.epoch
    }
}

impl<K, V, S> Drop for Owner<K, V, S> {
    fn drop(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let local = self.shared.collector.register();
        let guard = local.pin();
        for (place, number) in core::mem::take(&mut self.held) {
            self.shared.table.remove(place, &guard, self.is(number));
        }
        guard.flush();
    }
}

impl<K, V, S> fmt::Debug for Owner<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}
