//! Groups against their oracle, with values that lie in words and with values that are owned.

use super::Bytes;
use crate::oracle::groups::Groups as Oracle;
use crate::subject::{Constant, Mix};
use bedplate_core::id::{Pid, PidAllocator};
use bedplate_core::registry::groups::{EpochGroups, Guard, Handle, Member, Membership};
use bedplate_core::registry::{Key, Stored};
use std::hash::{BuildHasherDefault, Hasher};

/// How many keys the sequences use.
const KEYS: u8 = 4;
/// How many processes they use.
const PROCESSES: u8 = 4;
/// The limit of the memberships: enough that a group needs several chunks of lanes.
const LIMIT: usize = 40;

/// Something asked of groups.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// A process joins a group.
    Join(u8, u8),
    /// A process joins a group so many times.
    JoinOften(u8, u8, u8),
    /// A process ends a membership that somebody began so many joins ago.
    Leave(u8, u8),
    /// A process leaves a group altogether.
    LeaveAll(u8, u8),
    /// A process ends memberships whose value is no multiple of this.
    LeaveUnless(u8, u8),
    /// A process dies, and another takes its slot.
    Die(u8),
    /// Who is in this group, all at once and in parts?
    Members(u8, u8),
    /// Everything.
    List,
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(16) {
            0..=4 => Self::Join(bytes.below(PROCESSES), bytes.below(KEYS)),
            5..=6 => Self::JoinOften(bytes.below(PROCESSES), bytes.below(KEYS), bytes.below(20)),
            7..=9 => Self::Leave(bytes.below(PROCESSES), bytes.below(30)),
            10 => Self::LeaveAll(bytes.below(PROCESSES), bytes.below(KEYS)),
            11 => Self::LeaveUnless(bytes.below(PROCESSES), 1 + bytes.below(4)),
            12 => Self::Die(bytes.below(PROCESSES)),
            13..=14 => Self::Members(bytes.below(KEYS), 1 + bytes.below(4)),
            _ => Self::List,
        })
    }
}

/// A type that stands for small numbers.
trait Numbered: Stored {
    fn of(number: u32) -> Self;
    fn borrowed(&self) -> &Self::Borrowed;
    fn number(seen: &Self::Borrowed) -> u32;
}

impl Numbered for u32 {
    fn of(number: u32) -> Self {
        number
    }

    fn borrowed(&self) -> &u32 {
        self
    }

    fn number(seen: &u32) -> u32 {
        *seen
    }
}

impl Numbered for Box<u32> {
    fn of(number: u32) -> Self {
        Self::new(number)
    }

    fn borrowed(&self) -> &u32 {
        self
    }

    fn number(seen: &u32) -> u32 {
        *seen
    }
}

/// Long enough to be owned.
impl Numbered for String {
    fn of(number: u32) -> Self {
        format!("{number:0>60}")
    }

    fn borrowed(&self) -> &str {
        self
    }

    fn number(seen: &str) -> u32 {
        seen.parse().expect("made of a number")
    }
}

/// Runs the sequence in `bytes` against groups of several types and hashers, and the oracle.
///
/// # Panics
/// If any of them disagree.
pub fn run(bytes: &[u8]) {
    run_one::<u32, u32, Mix>(bytes);
    run_one::<u32, u32, Constant>(bytes);
    run_one::<String, Box<u32>, Mix>(bytes);
}

type Process<K, V, H> = (Pid, Member<K, V, BuildHasherDefault<H>>);

fn run_one<K: Key + Numbered, V: Numbered, H: Hasher + Default>(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let groups =
        EpochGroups::<K, V, _>::with_limit_and_hasher(LIMIT, BuildHasherDefault::<H>::default());
    let handle = groups.handle();
    let mut oracle = Oracle::<u8, u32>::new(LIMIT);
    let mut pids = PidAllocator::new(u32::from(PROCESSES));
    let mut processes: Vec<Process<K, V, H>> = Vec::new();
    for _ in 0..PROCESSES {
        let pid = pids.allocate().expect("as many as the limit");
        processes.push((pid, groups.member(pid)));
    }
    let mut begun: Vec<(usize, Membership)> = Vec::new();
    let mut value = 0;
    while let Some(operation) = Operation::read(&mut bytes) {
        let guard = handle.pin();
        match operation {
            Operation::Join(process, key) | Operation::JoinOften(process, key, _) => {
                let times = match operation {
                    Operation::JoinOften(_, _, times) => times,
                    _ => 1,
                };
                let (pid, member) = &mut processes[usize::from(process)];
                for _ in 0..times {
                    value += 1;
                    let joined = member.join(&guard, K::of(key.into()), V::of(value));
                    match (joined, oracle.join(*pid, key, value)) {
                        (Ok(membership), Some(number)) => {
                            assert_eq!(membership.owner(), *pid);
                            begun.push((number, membership));
                        }
                        (Err(error), None) => {
                            let said = format!("the groups are full: {LIMIT} memberships");
                            assert_eq!(error.to_string(), said);
                            let (refused_key, refused_value) = error.into_inner();
                            assert_eq!(K::number(refused_key.borrowed()), u32::from(key));
                            assert_eq!(V::number(refused_value.borrowed()), value);
                        }
                        (got, expected) => {
                            panic!("{operation:?}: {got:?}, expected {expected:?}")
                        }
                    }
                }
            }
            Operation::Leave(process, back) => {
                let (pid, member) = &mut processes[usize::from(process)];
                let Some(&(number, membership)) = begun.iter().rev().nth(back.into()) else {
                    continue;
                };
                // One of another process, or of one that is dead, or that is over, is not this one's.
                let expected = membership.owner() == *pid && oracle.leave(number);
                assert_eq!(member.leave(&guard, membership), expected, "{operation:?}");
            }
            Operation::LeaveAll(process, key) => {
                let (pid, member) = &mut processes[usize::from(process)];
                let sought = K::of(key.into());
                assert_eq!(
                    member.leave_all(&guard, sought.borrowed()),
                    oracle.leave_all(*pid, &key),
                    "{operation:?}"
                );
            }
            Operation::LeaveUnless(process, divisor) => {
                let (pid, member) = &mut processes[usize::from(process)];
                let goes = |value: u32| !value.is_multiple_of(u32::from(divisor));
                assert_eq!(
                    member.leave_if(&guard, |entry| goes(V::number(entry.value()))),
                    oracle.leave_where(*pid, |_, &value| goes(value)),
                    "{operation:?}"
                );
            }
            Operation::Die(process) => {
                let process = &mut processes[usize::from(process)];
                oracle.owner_died(process.0);
                assert!(pids.release(process.0));
                let next = pids.allocate().expect("one was released");
                *process = (next, groups.member(next));
            }
            Operation::Members(key, parts) => members(&guard, &oracle, key, parts),
            Operation::List => list(&guard, &oracle),
        }
        assert_eq!(groups.len(), oracle.list().len(), "{operation:?}");
        for (pid, member) in &processes {
            let own = member.entries(&guard).map(|entry| {
                assert_eq!(entry.owner(), *pid);
                (small(K::number(entry.key())), V::number(entry.value()))
            });
            assert_eq!(sorted(own), oracle.held_by(*pid), "{operation:?}");
        }
    }
    drop(processes);
    assert!(groups.is_empty(), "all are gone, and their memberships");
    assert_eq!(handle.pin().groups().count(), 0);
    at_rest(&groups, &handle);
}

fn members<K: Key + Numbered, V: Numbered, H: Hasher + Default>(
    guard: &Guard<'_, K, V, BuildHasherDefault<H>>,
    oracle: &Oracle<u8, u32>,
    key: u8,
    parts: u8,
) {
    let expected = oracle.members(&key);
    let sought = K::of(key.into());
    let sought = sought.borrowed();
    let all = guard.members(sought);
    let found = all.clone().map(|entry| {
        assert_eq!(K::number(entry.key()), u32::from(key));
        (entry.owner(), V::number(entry.value()))
    });
    assert_eq!(sorted(found), expected);
    assert_eq!(guard.count(sought), expected.len());
    assert_eq!(guard.group(sought).is_some(), !expected.is_empty());
    let (parts, mut told) = (usize::from(parts), Vec::new());
    for number in 0..parts {
        // A part of a part is a part.
        for half in 0..2 {
            let part = all.clone().part(number, parts).part(half, 2);
            told.extend(part.map(|entry| (entry.owner(), V::number(entry.value()))));
        }
    }
    assert_eq!(sorted(told), expected, "together the parts are all of it");
    let mut told = Vec::new();
    let many = guard.dispatch(sought, |entry| {
        told.push((entry.owner(), V::number(entry.value())));
    });
    assert_eq!(many, told.len());
    assert_eq!(sorted(told), expected);
}

fn list<K: Key + Numbered, V: Numbered, H: Hasher + Default>(
    guard: &Guard<'_, K, V, BuildHasherDefault<H>>,
    oracle: &Oracle<u8, u32>,
) {
    let listed = guard.iter().map(|entry| {
        let key = small(K::number(entry.key()));
        (key, entry.owner(), V::number(entry.value()))
    });
    assert_eq!(sorted(listed), oracle.list());
    let keys = guard.groups().map(|group| {
        let key = small(K::number(group.key()));
        assert_eq!(group.count(), oracle.members(&key).len());
        key
    });
    assert_eq!(sorted(keys), oracle.keys());
}

/// Groups nobody is in leave nothing behind once nobody reads.
fn at_rest<K: Key, V: Stored, H: Hasher + Default>(
    groups: &EpochGroups<K, V, BuildHasherDefault<H>>,
    handle: &Handle<K, V, BuildHasherDefault<H>>,
) {
    for _ in 0..1_000 {
        if groups.memory().retired == 0 {
            break;
        }
        handle.pin().flush();
    }
    let memory = groups.memory();
    assert_eq!((memory.retired, memory.retired_bytes), (0, 0));
}

fn small(number: u32) -> u8 {
    u8::try_from(number).expect("a key")
}

fn sorted<T: Ord>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.into_iter().collect();
    all.sort();
    all
}
