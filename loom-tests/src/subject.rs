//! Both registries under one vocabulary, as the drivers see them.

use bedplate_core::id::Pid;
use bedplate_core::registry::{
    EpochRegistry, FixedOwner, FixedRegistry, Handle, NotHeld, Owner, RegisterError, Registration,
    SpinLock,
};
use std::hash::{BuildHasherDefault, Hasher};

/// Keys, few enough that they meet.
pub type Key = u8;
/// Values, to tell registrations apart.
pub type Value = u32;

/// The limit of the registries: fewer entries than the sequences have keys.
pub const LIMIT: usize = 8;

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
    ) -> Result<Registration, NotHeld>;
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
    /// Everything.
    fn list(&self) -> Vec<(Key, Pid, Value)>;
    /// How many entries.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An epoch registry and this thread's handle.
#[derive(Debug)]
pub struct Epoch<H>(
    EpochRegistry<Key, Value, BuildHasherDefault<H>>,
    Handle<Key, Value, BuildHasherDefault<H>>,
);

impl<H> Epoch<H> {
    /// An empty registry of at most [`LIMIT`] entries.
    #[must_use]
    pub fn new() -> Self {
        let hasher = BuildHasherDefault::default();
        let registry = EpochRegistry::with_limit_and_hasher(LIMIT, hasher);
        let handle = registry.handle();
        Self(registry, handle)
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
    ) -> Result<Registration, NotHeld> {
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

    fn list(&self) -> Vec<(Key, Pid, Value)> {
        let guard = self.1.pin();
        guard
            .iter()
            .map(|entry| (*entry.key(), entry.owner(), *entry.value()))
            .collect()
    }

    fn len(&self) -> usize {
        self.0.len()
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
    ) -> Result<Registration, NotHeld> {
        owner.give_away(&key, to)
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

/// A quick hasher that spreads small keys over all bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.0 ^= self.0 >> 32;
        }
    }
}

/// A hasher that returns one value for all keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Constant;

impl Hasher for Constant {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}
