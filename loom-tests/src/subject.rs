//! Both registries under one vocabulary, as the drivers see them.

mod hashers;

pub use hashers::{Constant, Halves, Mix};

use bedplate_core::id::Pid;
use bedplate_core::registry::{
    Change, Changes, EpochRegistry, FixedOwner, FixedRegistry, GiveAwayError, Guard, Handle,
    NameRef, News, Owner, Reason, RegisterError, RegisterManyError, Registration, SpinLock,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// Keys, few enough that they meet.
pub type Key = u8;
/// Values, to tell registrations apart.
pub type Value = u32;
/// The limit of the registries: fewer entries than the sequences have keys.
pub const LIMIT: usize = 8;
/// As many are registered together at most.
pub const MOST_AT_ONCE: u8 = 4;

/// A registry as the drivers see it; what each operation does and answers is what the registries'
/// own documentation says.
#[expect(clippy::missing_errors_doc, reason = "said where it is implemented")]
pub trait Subject {
    /// What holds registrations.
    type Owner<'s>
    where
        Self: 's;

    /// An owner for this process.
    fn owner(&self, pid: Pid) -> Self::Owner<'_>;
    /// It registers.
    fn register(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<Registration, RegisterError<Key, Value>>;
    /// It registers all of these, at most [`MOST_AT_ONCE`], or none.
    fn register_many(
        &self,
        owner: &mut Self::Owner<'_>,
        pairs: Vec<(Key, Value)>,
    ) -> Result<Vec<Registration>, RegisterManyError<Vec<(Key, Value)>>>;
    /// It registers, or finds out.
    fn get_or_register(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<(Pid, Value), RegisterError<Key, Value>>;
    /// It takes over; who had it with what.
    fn take_over(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<Option<(Pid, Value)>, RegisterError<Key, Value>>;
    /// It takes over if it may; who had it with what.
    fn take_over_if(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
        condition: impl FnMut(Pid, Value) -> bool,
    ) -> Result<Option<(Pid, Value)>, RegisterError<Key, Value>>;
    /// It gives a key away.
    fn give_away<'s>(
        &'s self,
        owner: &mut Self::Owner<'s>,
        key: Key,
        to: &mut Self::Owner<'s>,
    ) -> Result<Registration, GiveAwayError>;
    /// It updates a value; whether it could.
    fn update(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        f: impl FnOnce(&Value) -> Value,
    ) -> bool;
    /// It gives up some; how many.
    fn unregister_if(
        &self,
        owner: &mut Self::Owner<'_>,
        condition: impl FnMut(Key, Value) -> bool,
    ) -> usize;
    /// What it holds.
    fn own(&self, owner: &Self::Owner<'_>) -> Vec<(Key, Value)>;
    /// It gives a key up; whether it held it.
    fn unregister(&self, owner: &mut Self::Owner<'_>, key: Key) -> bool;
    /// It gives a registration up; whether it held it.
    fn release(&self, owner: &mut Self::Owner<'_>, registration: Registration) -> bool;
    /// Who holds a key, with what.
    fn lookup(&self, key: Key) -> Option<(Pid, Value)>;
    /// Who holds these keys, by the other ways of finding that out, each of them.
    fn holders(&self, keys: &[Key]) -> Vec<Vec<Option<Pid>>> {
        let _ = keys;
        Vec::new()
    }
    /// Everything.
    fn list(&self) -> Vec<(Key, Pid, Value)>;
    /// What it has told of its changes since it was last asked, if it tells anything.
    fn told(&self) -> Option<Told> {
        None
    }
    /// How many entries.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A change, as it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub number: u64,
    /// What happened.
    pub reason: Reason,
    /// To which key.
    pub key: Key,
    /// With which value.
    pub value: Value,
    /// Whose it is, or was.
    pub owner: Pid,
}

impl From<&Change<'_, Key, Value>> for Event {
    fn from(change: &Change<'_, Key, Value>) -> Self {
        assert_eq!(change.registration.owner(), change.owner);
        Self {
            number: change.number,
            reason: change.reason,
            key: *change.key,
            value: *change.value,
            owner: change.owner,
        }
    }
}

/// What a follower was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A change.
    Change(Event),
    /// That changes were lost, from one number to another.
    Lost(u64, u64),
}

/// What a registry has told of its changes.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its audit.
    pub audited: Vec<Event>,
    /// A follower that goes on after a loss.
    pub heard: Vec<Heard>,
    /// A copy, which is made afresh after a loss.
    pub copy: Vec<(Key, Pid, Value)>,
}

/// Whoever listens to an epoch registry.
#[derive(Debug)]
struct Listeners<H> {
    audited: Arc<Mutex<Vec<Event>>>,
    follower: Changes<Key, Value, BuildHasherDefault<H>>,
    copier: Changes<Key, Value, BuildHasherDefault<H>>,
    copy: BTreeMap<Key, (Pid, Value)>,
}

type Name<H> = NameRef<Key, Value, BuildHasherDefault<H>>;

/// An epoch registry and this thread's handle, who listens to it, and the names that were looked up.
#[derive(Debug)]
pub struct Epoch<H>(
    EpochRegistry<Key, Value, BuildHasherDefault<H>>,
    Handle<Key, Value, BuildHasherDefault<H>>,
    RefCell<Option<Listeners<H>>>,
    RefCell<BTreeMap<Key, Name<H>>>,
);

fn copy_of<H>(guard: &Guard<'_, Key, Value, BuildHasherDefault<H>>) -> BTreeMap<Key, (Pid, Value)> {
    guard
        .iter()
        .map(|entry| (*entry.key(), (entry.owner(), *entry.value())))
        .collect()
}

impl<H> Epoch<H> {
    /// An empty registry of at most [`LIMIT`] entries.
    #[must_use]
    pub fn new() -> Self {
        let hasher = BuildHasherDefault::default();
        let registry = EpochRegistry::with_limit_and_hasher(LIMIT, hasher);
        let handle = registry.handle();
        Self(registry, handle, RefCell::new(None), RefCell::default())
    }

    /// The same, with an audit, and a feed of this capacity.
    ///
    /// # Panics
    /// If there is no feed in spite of that.
    #[must_use]
    pub fn watched(capacity: usize) -> Self {
        let audited = Arc::new(Mutex::new(Vec::new()));
        let audit = Arc::clone(&audited);
        let registry = EpochRegistry::builder(BuildHasherDefault::default())
            .limit(LIMIT)
            .audit(move |change| {
                let mut audit = audit.lock().unwrap_or_else(PoisonError::into_inner);
                audit.push(Event::from(change));
            })
            .feed(capacity)
            .expect("not too large")
            .build();
        let handle = registry.handle();
        let guard = handle.pin();
        let listeners = Listeners {
            audited,
            follower: guard.changes().expect("there is a feed"),
            copier: guard.changes().expect("there is a feed"),
            copy: BTreeMap::new(),
        };
        drop(guard);
        Self(
            registry,
            handle,
            RefCell::new(Some(listeners)),
            RefCell::default(),
        )
    }
}

impl<H> Default for Epoch<H> {
    fn default() -> Self {
        Self::new()
    }
}

/// A fixed registry of [`LIMIT`] entries.
pub type Fixed = FixedRegistry<Key, Value, LIMIT, SpinLock>;

impl<H: Hasher + Default + 'static> Subject for Epoch<H> {
    type Owner<'s> = Owner<Key, Value, BuildHasherDefault<H>>;

    fn owner(&self, pid: Pid) -> Self::Owner<'_> {
        self.0.owner(pid)
    }

    fn register(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<Registration, RegisterError<Key, Value>> {
        owner.register(&self.1.pin(), key, value)
    }

    fn register_many(
        &self,
        owner: &mut Self::Owner<'_>,
        pairs: Vec<(Key, Value)>,
    ) -> Result<Vec<Registration>, RegisterManyError<Vec<(Key, Value)>>> {
        owner.register_many(&self.1.pin(), pairs)
    }

    fn get_or_register(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<(Pid, Value), RegisterError<Key, Value>> {
        let guard = self.1.pin();
        let entry = owner.get_or_register(&guard, key, value)?;
        Ok((entry.owner(), *entry.value()))
    }

    fn take_over(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<Option<(Pid, Value)>, RegisterError<Key, Value>> {
        let guard = self.1.pin();
        let before = owner.take_over(&guard, key, value)?;
        Ok(before.map(|entry| (entry.owner(), *entry.value())))
    }

    fn take_over_if(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
        mut condition: impl FnMut(Pid, Value) -> bool,
    ) -> Result<Option<(Pid, Value)>, RegisterError<Key, Value>> {
        let guard = self.1.pin();
        let before = owner.take_over_if(&guard, key, value, |entry| {
            condition(entry.owner(), *entry.value())
        })?;
        Ok(before.map(|entry| (entry.owner(), *entry.value())))
    }

    fn give_away<'s>(
        &'s self,
        owner: &mut Self::Owner<'s>,
        key: Key,
        to: &mut Self::Owner<'s>,
    ) -> Result<Registration, GiveAwayError> {
        owner.give_away(&self.1.pin(), &key, to)
    }

    fn update(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        f: impl FnOnce(&Value) -> Value,
    ) -> bool {
        owner.update(&self.1.pin(), &key, f).is_ok()
    }

    fn unregister_if(
        &self,
        owner: &mut Self::Owner<'_>,
        mut condition: impl FnMut(Key, Value) -> bool,
    ) -> usize {
        owner.unregister_if(&self.1.pin(), |entry| {
            condition(*entry.key(), *entry.value())
        })
    }

    fn own(&self, owner: &Self::Owner<'_>) -> Vec<(Key, Value)> {
        let guard = self.1.pin();
        owner
            .entries(&guard)
            .map(|entry| (*entry.key(), *entry.value()))
            .collect()
    }

    fn unregister(&self, owner: &mut Self::Owner<'_>, key: Key) -> bool {
        owner.unregister(&self.1.pin(), &key)
    }

    fn release(&self, owner: &mut Self::Owner<'_>, registration: Registration) -> bool {
        owner.release(&self.1.pin(), registration)
    }

    fn lookup(&self, key: Key) -> Option<(Pid, Value)> {
        self.1
            .pin()
            .lookup(&key)
            .map(|entry| (entry.owner(), *entry.value()))
    }

    fn holders(&self, keys: &[Key]) -> Vec<Vec<Option<Pid>>> {
        let guard = self.1.pin();
        let mut names = self.3.borrow_mut();
        let by_name = |key: &Key| {
            let name = names.entry(*key).or_insert_with(|| self.0.name_ref(*key));
            name.whereis()
        };
        vec![
            keys.iter().map(|key| guard.whereis(key)).collect(),
            keys.iter().map(by_name).collect(),
            guard
                .lookup_many(keys)
                .map(|entry| entry.map(|entry| entry.owner()))
                .collect(),
        ]
    }

    fn list(&self) -> Vec<(Key, Pid, Value)> {
        let guard = self.1.pin();
        guard
            .iter()
            .map(|entry| (*entry.key(), entry.owner(), *entry.value()))
            .collect()
    }

    fn told(&self) -> Option<Told> {
        let mut listeners = self.2.borrow_mut();
        let Listeners {
            audited,
            follower,
            copier,
            copy,
        } = listeners.as_mut()?;
        let guard = self.1.pin();
        let mut heard = Vec::new();
        while let Some(news) = follower.next(&guard) {
            heard.push(match news {
                News::Change(change) => Heard::Change(Event::from(&change)),
                News::Lost { from, to } => Heard::Lost(from, to),
                other => panic!("nobody is in the middle of a change: {other:?}"),
            });
        }
        while let Some(news) = copier.next(&guard) {
            match news {
                News::Change(change) if change.reason.is_end() => {
                    copy.remove(change.key);
                }
                News::Change(change) => {
                    copy.insert(*change.key, (change.owner, *change.value));
                }
                News::Lost { .. } => {
                    copier.skip(&guard);
                    *copy = copy_of(&guard);
                }
                other => panic!("nobody is in the middle of a change: {other:?}"),
            }
        }
        let mut audited = audited.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Told {
            audited: mem::take(&mut *audited),
            heard,
            copy: copy
                .iter()
                .map(|(&key, &(pid, value))| (key, pid, value))
                .collect(),
        })
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// The error of an array, as that of a `Vec`.
fn as_vec<T, const M: usize>(error: RegisterManyError<[T; M]>) -> RegisterManyError<Vec<T>> {
    match error {
        RegisterManyError::AlreadyRegistered { at, holder, pairs } => {
            let pairs = Vec::from(pairs);
            RegisterManyError::AlreadyRegistered { at, holder, pairs }
        }
        RegisterManyError::Repeated { at, pairs } => RegisterManyError::Repeated {
            at,
            pairs: Vec::from(pairs),
        },
        RegisterManyError::Full { limit, pairs } => RegisterManyError::Full {
            limit,
            pairs: Vec::from(pairs),
        },
        other => panic!("a registry with a lock has no reason for this: {other}"),
    }
}

impl Subject for Fixed {
    type Owner<'s> = FixedOwner<'s, Key, Value, LIMIT, SpinLock>;

    fn owner(&self, pid: Pid) -> Self::Owner<'_> {
        self.owner(pid)
    }

    fn register(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<Registration, RegisterError<Key, Value>> {
        owner.register(key, value)
    }

    fn register_many(
        &self,
        owner: &mut Self::Owner<'_>,
        pairs: Vec<(Key, Value)>,
    ) -> Result<Vec<Registration>, RegisterManyError<Vec<(Key, Value)>>> {
        fn of<const M: usize>(
            owner: &mut FixedOwner<'_, Key, Value, LIMIT, SpinLock>,
            pairs: &[(Key, Value)],
        ) -> Result<Vec<Registration>, RegisterManyError<Vec<(Key, Value)>>> {
            let pairs: [(Key, Value); M] = pairs.try_into().expect("as many as there are");
            match owner.register_many(pairs) {
                Ok(registrations) => Ok(registrations.to_vec()),
                Err(error) => Err(as_vec(error)),
            }
        }
        match pairs.len() {
            0 => of::<0>(owner, &pairs),
            1 => of::<1>(owner, &pairs),
            2 => of::<2>(owner, &pairs),
            3 => of::<3>(owner, &pairs),
            4 => of::<4>(owner, &pairs),
            more => panic!("{more} are more than {MOST_AT_ONCE}"),
        }
    }

    fn get_or_register(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<(Pid, Value), RegisterError<Key, Value>> {
        owner.get_or_register(key, value)
    }

    fn take_over(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<Option<(Pid, Value)>, RegisterError<Key, Value>> {
        owner.take_over(key, value)
    }

    fn take_over_if(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
        mut condition: impl FnMut(Pid, Value) -> bool,
    ) -> Result<Option<(Pid, Value)>, RegisterError<Key, Value>> {
        owner.take_over_if(key, value, |_, pid, &value| condition(pid, value))
    }

    fn give_away<'s>(
        &'s self,
        owner: &mut Self::Owner<'s>,
        key: Key,
        to: &mut Self::Owner<'s>,
    ) -> Result<Registration, GiveAwayError> {
        let given = owner.give_away(&key, to);
        given.map_err(|_| GiveAwayError::NotHeld)
    }

    fn update(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        f: impl FnOnce(&Value) -> Value,
    ) -> bool {
        owner.update(&key, f).is_ok()
    }

    fn unregister_if(
        &self,
        owner: &mut Self::Owner<'_>,
        mut condition: impl FnMut(Key, Value) -> bool,
    ) -> usize {
        owner.unregister_if(|&key, &value| condition(key, value))
    }

    fn own(&self, owner: &Self::Owner<'_>) -> Vec<(Key, Value)> {
        let mut own = Vec::new();
        owner.for_each(|&key, &value| own.push((key, value)));
        own
    }

    fn unregister(&self, owner: &mut Self::Owner<'_>, key: Key) -> bool {
        owner.unregister(&key)
    }

    fn release(&self, owner: &mut Self::Owner<'_>, registration: Registration) -> bool {
        owner.release(registration)
    }

    fn lookup(&self, key: Key) -> Option<(Pid, Value)> {
        self.lookup(&key)
    }

    fn list(&self) -> Vec<(Key, Pid, Value)> {
        let mut list = Vec::new();
        self.for_each(|&key, pid, &value| list.push((key, pid, value)));
        list
    }

    fn len(&self) -> usize {
        self.len()
    }
}
