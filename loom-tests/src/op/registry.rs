//! Registries, epoch-reclaimed and fixed, against their oracle.

use super::Bytes;
use crate::oracle::registry::{Refused, RefusedMany, Registry as Oracle};
use crate::subject::{
    Constant, Epoch, Event, Fixed, Heard, Key, LIMIT, MOST_AT_ONCE, Mix, Subject, Value,
};
use bedplate_core::id::PidAllocator;
use bedplate_core::registry::{RegisterError, RegisterManyError, Registration};
use std::collections::BTreeMap;

/// How many keys the sequences use.
const KEYS: u8 = 12;
/// How many processes they use.
const PROCESSES: u8 = 4;

/// The capacity of the feed: less than there is between two times that it is followed, now and then.
const FEED: usize = 4;

/// Something asked of a registry.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// A process registers a key.
    Register(u8, Key),
    /// A process registers so many keys together: this one, and others each so many further on.
    RegisterMany(u8, u8, Key, Key),
    /// A process registers a key, or finds out who has it.
    GetOrRegister(u8, Key),
    /// A process takes a key over.
    TakeOver(u8, Key),
    /// A process takes a key over if the value is even.
    TakeOverIfEven(u8, Key),
    /// A process gives a key to the process so many further on.
    GiveAway(u8, Key, u8),
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
    /// What has changed since this was last asked?
    Follow,
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(25) {
            0..=3 => Self::Register(bytes.below(PROCESSES), bytes.below(KEYS)),
            4..=5 => Self::Unregister(bytes.below(PROCESSES), bytes.below(KEYS)),
            6 => Self::Release(bytes.below(PROCESSES), bytes.below(8)),
            7 => Self::Die(bytes.below(PROCESSES)),
            8..=10 => Self::Lookup(bytes.below(KEYS)),
            11 => Self::List,
            12 => Self::GetOrRegister(bytes.below(PROCESSES), bytes.below(KEYS)),
            13..=14 => Self::TakeOver(bytes.below(PROCESSES), bytes.below(KEYS)),
            15..=16 => Self::Update(bytes.below(PROCESSES), bytes.below(KEYS)),
            18..=19 => Self::TakeOverIfEven(bytes.below(PROCESSES), bytes.below(KEYS)),
            20 => Self::GiveAway(
                bytes.below(PROCESSES),
                bytes.below(KEYS),
                1 + bytes.below(PROCESSES - 1),
            ),
            21..=22 => Self::Follow,
            23..=24 => Self::RegisterMany(
                bytes.below(PROCESSES),
                bytes.below(MOST_AT_ONCE + 1),
                bytes.below(KEYS),
                bytes.below(KEYS),
            ),
            _ => Self::UnregisterBelow(bytes.below(PROCESSES), bytes.below(KEYS)),
        })
    }
}

/// Runs the sequence in `bytes` against an epoch registry with a good hasher, one whose hasher
/// returns one value for all keys, a fixed registry, and the oracle.
///
/// # Panics
/// If any of them disagree.
pub fn run(bytes: &[u8]) {
    run_one(&Epoch::<Mix>::new(), bytes);
    run_one(&Epoch::<Constant>::new(), bytes);
    run_one(&Fixed::new(), bytes);
    run_one(&Epoch::<Mix>::watched(FEED), bytes);
}

/// The oracle's word for an error.
fn refused(error: &RegisterError<Key, Value>) -> Refused {
    match error {
        RegisterError::AlreadyRegistered { holder, .. } => Refused::AlreadyRegistered(*holder),
        RegisterError::Full { limit, .. } => {
            assert_eq!(*limit, LIMIT);
            Refused::Full
        }
        other => panic!("an error the oracle does not know: {other}"),
    }
}

/// The oracle's word for the error of a batch.
fn refused_many(error: &RegisterManyError<Vec<(Key, Value)>>) -> RefusedMany {
    match error {
        RegisterManyError::Repeated { at, .. } => RefusedMany::Repeated(*at),
        RegisterManyError::AlreadyRegistered { at, holder, .. } => {
            RefusedMany::AlreadyRegistered(*at, *holder)
        }
        RegisterManyError::Full { limit, .. } => {
            assert_eq!(*limit, LIMIT);
            RefusedMany::Full
        }
        other => panic!("an error the oracle does not know: {other}"),
    }
}

/// What was told so far, compared with the history: one thread fails at nothing, so each number stands for
/// a change.
#[derive(Default)]
struct Listener {
    /// The operation that made each change in the history.
    operations: Vec<usize>,
    /// Whether the audit told of it, and the follower.
    told: [Vec<bool>; 2],
    next: usize,
}

impl Listener {
    /// Something was done.
    fn operation(&mut self, oracle: &Oracle<Key, Value>) {
        let number = self.operations.last().map_or(0, |last| last + 1);
        self.operations.resize(oracle.history().len(), number);
    }

    fn follow<S: Subject>(&mut self, subject: &S, oracle: &Oracle<Key, Value>) {
        let Some(told) = subject.told() else {
            return;
        };
        for event in told.audited {
            let position = self.position(event.number);
            self.find(oracle, 0, position, event);
        }
        self.told[0].resize(self.operations.len(), false);
        let audit = &self.told[0];
        assert!(audit.iter().all(|&told| told), "the audit misses nothing");
        for heard in told.heard {
            match heard {
                Heard::Change(event) => {
                    let position = self.position(event.number);
                    assert_eq!(position, self.next, "in order, and without a gap");
                    self.find(oracle, 1, position, event);
                    self.next += 1;
                }
                Heard::Lost(from, to) => {
                    assert_eq!(self.position(from), self.next);
                    assert_eq!(
                        self.position(to) + 1,
                        self.operations.len() - FEED,
                        "what is in the ring is not lost"
                    );
                    self.next = self.position(to) + 1;
                }
            }
        }
        assert_eq!(
            self.next,
            self.operations.len(),
            "the follower is told to the end"
        );
        assert_eq!(told.copy, oracle.list());
    }

    fn position(&self, number: u64) -> usize {
        let position = usize::try_from(number).expect("small") - 1;
        assert!(
            position < self.operations.len(),
            "nothing is told that did not happen"
        );
        position
    }

    /// The change told at this position is one of the same operation, and was not told before.
    fn find(&mut self, oracle: &Oracle<Key, Value>, who: usize, position: usize, event: Event) {
        let told = &mut self.told[who];
        told.resize(self.operations.len(), false);
        let event = (event.reason, event.key, event.value, event.owner);
        let operation = self.operations[position];
        let same = (0..told.len()).find(|&other| {
            self.operations[other] == operation && !told[other] && oracle.history()[other] == event
        });
        told[same.expect("it is in the history, and told once")] = true;
    }
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
    let mut listener = Listener::default();
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
                    (Err(error), Err(expected)) => {
                        assert_eq!(refused(&error), expected, "{operation:?}");
                        assert_eq!(error.into_inner(), (key, value), "both come back");
                    }
                    (got, expected) => panic!("{operation:?}: {got:?}, expected {expected:?}"),
                }
            }
            Operation::RegisterMany(process, many, first, step) => {
                let (pid, owner) = &mut owners[usize::from(process)];
                let pairs: Vec<(Key, Value)> = (0..many)
                    .map(|number| {
                        value += 1;
                        ((first + number * step) % KEYS, value)
                    })
                    .collect();
                match (
                    subject.register_many(owner, pairs.clone()),
                    oracle.register_many(*pid, &pairs),
                ) {
                    (Ok(registrations), Ok(())) => {
                        assert_eq!(registrations.len(), pairs.len());
                        for (registration, (key, _)) in registrations.into_iter().zip(pairs) {
                            assert_eq!(registration.owner(), *pid);
                            made[usize::from(process)].push((registration, key));
                            current.insert(key, Some(registration));
                        }
                    }
                    (Err(error), Err(expected)) => {
                        assert_eq!(refused_many(&error), expected, "{operation:?}");
                        assert_eq!(error.into_inner(), pairs, "all come back");
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
            Operation::TakeOverIfEven(process, key) => {
                let (pid, owner) = &mut owners[usize::from(process)];
                value += 1;
                let old = oracle.lookup(&key);
                let holds = old.is_none_or(|(_, old)| old % 2 == 0);
                let expected = match old {
                    Some((holder, _)) if !holds => Err(Refused::AlreadyRegistered(holder)),
                    _ => oracle.take_over(*pid, key, value),
                };
                if expected.is_ok() {
                    current.insert(key, None);
                }
                let mut called = 0;
                let got = subject.take_over_if(owner, key, value, |holder, before| {
                    called += 1;
                    assert_eq!(Some((holder, before)), old);
                    before % 2 == 0
                });
                assert_eq!(called, usize::from(old.is_some()), "{operation:?}");
                let got = got.map_err(|error| {
                    let why = refused(&error);
                    assert_eq!(error.into_inner(), (key, value), "both come back");
                    why
                });
                assert_eq!(got, expected, "{operation:?}");
            }
            Operation::GiveAway(process, key, further) => {
                let to = usize::from((process + further) % PROCESSES);
                let from = usize::from(process);
                let [(pid, owner), (next, to_owner)] = owners
                    .get_disjoint_mut([from, to])
                    .expect("two different processes");
                let expected = oracle.give_away(*pid, &key, *next);
                let got = subject.give_away(owner, key, to_owner);
                assert_eq!(got.is_ok(), expected, "{operation:?}");
                if let Ok(registration) = got {
                    assert_eq!(registration.owner(), *next);
                    made[to].push((registration, key));
                    current.insert(key, Some(registration));
                }
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
                    subject.unregister_if(owner, |other, _| other < key),
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
                let keys: Vec<Key> = (0..KEYS).collect();
                let holder = |key| oracle.lookup(key).map(|(holder, _)| holder);
                let holders: Vec<_> = keys.iter().map(holder).collect();
                for found in subject.holders(&keys) {
                    assert_eq!(found, holders, "{operation:?}");
                }
            }
            Operation::List => {
                let mut list = subject.list();
                list.sort_unstable();
                assert_eq!(list, oracle.list());
            }
            Operation::Follow => listener.follow(subject, &oracle),
        }
        listener.operation(&oracle);
        assert_eq!(subject.len(), oracle.list().len());
        for (pid, owner) in &owners {
            let mut own = subject.own(owner);
            own.sort_unstable();
            let expected = oracle
                .list()
                .into_iter()
                .filter(|(_, holder, _)| holder == pid);
            assert_eq!(
                own,
                expected
                    .map(|(key, _, value)| (key, value))
                    .collect::<Vec<_>>()
            );
        }
    }
    for (pid, owner) in owners {
        drop(owner);
        oracle.owner_died(pid);
        listener.operation(&oracle);
    }
    listener.follow(subject, &oracle);
    assert_eq!(
        subject.len(),
        0,
        "all owners are gone, and their registrations with them"
    );
    assert_eq!(subject.list(), []);
}
