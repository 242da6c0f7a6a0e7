//! Registries, epoch-reclaimed and fixed, against their oracle.

use super::Bytes;
use crate::oracle::registry::{Refused, Registry as Oracle};
use bedplate_core::id::{Pid, PidAllocator};
use bedplate_core::registry::{
    EpochRegistry, FixedOwner, FixedRegistry, Handle, Owner, RawLock, RegisterError, Registration,
};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

/// Keys, few enough that they meet.
pub type Key = u8;
/// Values, to tell registrations apart.
pub type Value = u32;

/// How many keys the sequences use.
const KEYS: u8 = 12;
/// How many processes they use.
const PROCESSES: u8 = 4;
/// The limit of the registries: fewer entries than there are keys.
const LIMIT: usize = 8;

/// Something asked of a registry.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// A process registers a key.
    Register(u8, Key),
    /// A process registers a key, or finds out who has it.
    GetOrRegister(u8, Key),
    /// A process takes a key over.
    TakeOver(u8, Key),
    /// A process changes the value of a key, if it holds it.
    Update(u8, Key),
    /// A process gives up a key.
    Unregister(u8, Key),
    /// A process gives up its keys below this one.
    UnregisterBelow(u8, Key),
    /// A process gives up the registration it made so many registrations ago, if it did.
    Release(u8, u8),
    /// A process dies, and another takes its slot.
    Die(u8),
    /// Who holds this key?
    Lookup(Key),
    /// Everything.
    List,
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(18) {
            0..=3 => Self::Register(bytes.below(PROCESSES), bytes.below(KEYS)),
            4..=5 => Self::Unregister(bytes.below(PROCESSES), bytes.below(KEYS)),
            6 => Self::Release(bytes.below(PROCESSES), bytes.below(8)),
            7 => Self::Die(bytes.below(PROCESSES)),
            8..=10 => Self::Lookup(bytes.below(KEYS)),
            11 => Self::List,
            12 => Self::GetOrRegister(bytes.below(PROCESSES), bytes.below(KEYS)),
            13..=14 => Self::TakeOver(bytes.below(PROCESSES), bytes.below(KEYS)),
            15..=16 => Self::Update(bytes.below(PROCESSES), bytes.below(KEYS)),
            _ => Self::UnregisterBelow(bytes.below(PROCESSES), bytes.below(KEYS)),
        })
    }
}

/// A registry as the sequences see it.
trait Subject {
    type Owner<'s>
    where
        Self: 's;

    fn owner(&self, pid: Pid) -> Self::Owner<'_>;
    fn register(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<Registration, RegisterError<Key, Value>>;
    fn get_or_register(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<(Pid, Value), RegisterError<Key, Value>>;
    fn take_over(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        value: Value,
    ) -> Result<Option<(Pid, Value)>, RegisterError<Key, Value>>;
    fn update(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        f: impl FnOnce(&Value) -> Value,
    ) -> bool;
    fn unregister_below(&self, owner: &mut Self::Owner<'_>, key: Key) -> usize;
    fn unregister(&self, owner: &mut Self::Owner<'_>, key: Key) -> bool;
    fn release(&self, owner: &mut Self::Owner<'_>, registration: Registration) -> bool;
    fn lookup(&self, key: Key) -> Option<(Pid, Value)>;
    fn list(&self) -> Vec<(Key, Pid, Value)>;
    fn len(&self) -> usize;
}

/// An epoch registry and this thread's handle.
struct Epoch<S>(EpochRegistry<Key, Value, S>, Handle<Key, Value, S>);

impl<S: BuildHasher + 'static> Subject for Epoch<S> {
    type Owner<'s>
        = Owner<Key, Value, S>
    where
        S: 's;

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

    fn update(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        f: impl FnOnce(&Value) -> Value,
    ) -> bool {
        owner.update(&self.1.pin(), &key, f).is_ok()
    }

    fn unregister_below(&self, owner: &mut Self::Owner<'_>, key: Key) -> usize {
        owner.unregister_if(&self.1.pin(), |entry| *entry.key() < key)
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

impl<L: RawLock + 'static> Subject for FixedRegistry<Key, Value, LIMIT, L> {
    type Owner<'s> = FixedOwner<'s, Key, Value, LIMIT, L>;

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

    fn update(
        &self,
        owner: &mut Self::Owner<'_>,
        key: Key,
        f: impl FnOnce(&Value) -> Value,
    ) -> bool {
        owner.update(&key, f).is_ok()
    }

    fn unregister_below(&self, owner: &mut Self::Owner<'_>, key: Key) -> usize {
        owner.unregister_if(|&other, _| other < key)
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

/// Runs the sequence in `bytes` against an epoch registry with a good hasher, one whose hasher
/// returns one value for all keys, a fixed registry, and the oracle.
///
/// # Panics
/// If any of them disagree.
pub fn run(bytes: &[u8]) {
    let good = EpochRegistry::with_limit_and_hasher(LIMIT, BuildHasherDefault::<Mix>::default());
    let handle = good.handle();
    run_one(&Epoch(good, handle), bytes);
    let bad =
        EpochRegistry::with_limit_and_hasher(LIMIT, BuildHasherDefault::<Constant>::default());
    let handle = bad.handle();
    run_one(&Epoch(bad, handle), bytes);
    run_one(
        &FixedRegistry::<_, _, LIMIT, bedplate_core::registry::SpinLock>::new(),
        bytes,
    );
}

fn run_one<S: Subject>(subject: &S, bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let mut oracle = Oracle::new(LIMIT);
    let mut pids = PidAllocator::new(u32::from(PROCESSES));
    let mut owners = Vec::new();
    let mut made: Vec<Vec<(Registration, Key)>> = Vec::new();
    for _ in 0..PROCESSES {
        let pid = pids.allocate().expect("as many as the limit");
        owners.push((pid, subject.owner(pid)));
        made.push(Vec::new());
    }
    // The registration by which a key was last registered, where that was returned.
    let mut current: BTreeMap<Key, Option<Registration>> = BTreeMap::new();
    let mut value = 0;
    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Register(process, key) => {
                let (pid, owner) = &mut owners[usize::from(process)];
                value += 1;
                match (
                    subject.register(owner, key, value),
                    oracle.register(*pid, key, value),
                ) {
                    (Ok(registration), Ok(())) => {
                        assert_eq!(registration.owner(), *pid);
                        made[usize::from(process)].push((registration, key));
                        current.insert(key, Some(registration));
                    }
                    (Err(error), Err(refused)) => {
                        let expected = match &error {
                            RegisterError::AlreadyRegistered { holder, .. } => {
                                Refused::AlreadyRegistered(*holder)
                            }
                            RegisterError::Full { limit, .. } => {
                                assert_eq!(*limit, LIMIT);
                                Refused::Full
                            }
                            other => panic!("an error the oracle does not know: {other}"),
                        };
                        assert_eq!(expected, refused, "{operation:?}");
                        assert_eq!(error.into_inner(), (key, value), "both come back");
                    }
                    (got, expected) => panic!("{operation:?}: {got:?}, expected {expected:?}"),
                }
            }
            Operation::GetOrRegister(process, key) => {
                let (pid, owner) = &mut owners[usize::from(process)];
                value += 1;
                let expected = match oracle.register(*pid, key, value) {
                    Ok(()) => {
                        current.insert(key, None);
                        Ok((*pid, value))
                    }
                    Err(Refused::AlreadyRegistered(_)) => {
                        Ok(oracle.lookup(&key).expect("held by somebody"))
                    }
                    Err(Refused::Full) => Err((key, value)),
                };
                let got = subject.get_or_register(owner, key, value);
                assert_eq!(
                    got.map_err(RegisterError::into_inner),
                    expected,
                    "{operation:?}"
                );
            }
            Operation::TakeOver(process, key) => {
                let (pid, owner) = &mut owners[usize::from(process)];
                value += 1;
                let expected = oracle.take_over(*pid, key, value).map_err(|_| (key, value));
                if expected.is_ok() {
                    current.insert(key, None);
                }
                let got = subject.take_over(owner, key, value);
                assert_eq!(
                    got.map_err(RegisterError::into_inner),
                    expected,
                    "{operation:?}"
                );
            }
            Operation::Update(process, key) => {
                let (pid, owner) = &mut owners[usize::from(process)];
                let old = oracle.lookup(&key);
                value += 1;
                let expected = oracle.update(*pid, &key, value);
                let mut called = false;
                let held = subject.update(owner, key, |before| {
                    called = true;
                    assert_eq!(Some((*pid, *before)), old);
                    value
                });
                assert_eq!((held, called), (expected, expected), "{operation:?}");
            }
            Operation::UnregisterBelow(process, key) => {
                let (pid, owner) = &mut owners[usize::from(process)];
                let given_up = (0..key).filter(|key| oracle.unregister(*pid, key)).count();
                assert_eq!(
                    subject.unregister_below(owner, key),
                    given_up,
                    "{operation:?}"
                );
            }
            Operation::Unregister(process, key) => {
                let (pid, owner) = &mut owners[usize::from(process)];
                let expected = oracle.unregister(*pid, &key);
                assert_eq!(subject.unregister(owner, key), expected, "{operation:?}");
            }
            Operation::Release(process, back) => {
                let (pid, owner) = &mut owners[usize::from(process)];
                let made = &made[usize::from(process)];
                let Some(&(registration, key)) = made.iter().rev().nth(usize::from(back)) else {
                    continue;
                };
                // It stands for this registration of the key and for no later one.
                let is_current = current.get(&key) == Some(&Some(registration));
                let expected = is_current && oracle.unregister(*pid, &key);
                assert_eq!(
                    subject.release(owner, registration),
                    expected,
                    "{operation:?}"
                );
            }
            Operation::Die(process) => {
                let process = usize::from(process);
                let pid = owners[process].0;
                oracle.owner_died(pid);
                assert!(pids.release(pid));
                let next = pids.allocate().expect("one was released");
                assert_eq!(next.slot(), pid.slot());
                owners[process] = (next, subject.owner(next));
                // What the dead process could have said of its registrations is kept: it must not
                // reach the new one's.
                let (_, owner) = &mut owners[process];
                for (registration, _) in made[process].drain(..) {
                    assert!(!subject.release(owner, registration));
                }
            }
            Operation::Lookup(key) => {
                assert_eq!(subject.lookup(key), oracle.lookup(&key), "{operation:?}");
            }
            Operation::List => {
                let mut list = subject.list();
                list.sort_unstable();
                assert_eq!(list, oracle.list());
            }
        }
        assert_eq!(subject.len(), oracle.list().len());
    }
    drop(owners);
    assert_eq!(
        subject.len(),
        0,
        "all owners are gone, and their registrations with them"
    );
    assert_eq!(subject.list(), []);
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
