//! Real threads in few groups: who stays is always listed once, nobody is listed with another's value or key,
//! and everything is given back at the end.
#![cfg(feature = "alloc")]

use bedplate_core::id::Pid;
use bedplate_core::registry::groups::{EpochGroups, Member, Membership, Memory};
use std::hash::RandomState;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

const WRITERS: u32 = 3;
const KEYS: u64 = 8;
const ROUNDS: u32 = 20_000;

/// Carries its owner and its key, and counts those alive.
struct Value {
    owner: Pid,
    key: Box<u64>,
    alive: Arc<AtomicI64>,
}

impl Value {
    fn new(owner: Pid, key: u64, alive: &Arc<AtomicI64>) -> Box<Self> {
        alive.fetch_add(1, Ordering::Relaxed);
        Box::new(Self {
            owner,
            key: Box::new(key),
            alive: Arc::clone(alive),
        })
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        *self.key = u64::MAX;
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

type Topics = EpochGroups<String, Box<Value>, RandomState>;

/// Every other key is too long to lie in a slot.
fn name(key: u64) -> String {
    let width = if key.is_multiple_of(2) { 2 } else { 60 };
    format!("{key:0>width$}")
}

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// A generator good enough to spread the load; every thread has its own.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn who_stays_is_listed_once_and_no_value_is_lost_or_mixed() {
    let groups = Topics::with_hasher(RandomState::new());
    let alive = Arc::new(AtomicI64::new(0));
    let done = AtomicBool::new(false);
    // In half of the groups somebody stays; the others come and go.
    let stays = pid(100);
    let mut staying = groups.member(stays);
    let handle = groups.handle();
    for key in 0..KEYS / 2 {
        let value = Value::new(stays, key, &alive);
        staying.join(&handle.pin(), name(key), value).expect("room");
    }
    thread::scope(|scope| {
        let (groups, alive, done) = (&groups, &alive, &done);
        let writers: Vec<_> = (1..=WRITERS)
            .map(|slot| scope.spawn(move || write(groups, alive, slot)))
            .collect();
        let reader = scope.spawn(move || {
            let mut random = Random(77);
            let mut seen = 0;
            // Acquire: pairs with Release below.
            while !done.load(Ordering::Acquire) {
                seen += read(groups, &mut random, stays);
            }
            seen
        });
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        // Release: pairs with Acquire in the reader, which ends whatever the writers found.
        done.store(true, Ordering::Release);
        assert!(
            results.iter().all(Result::is_ok),
            "a writer found a broken promise"
        );
        assert!(reader.join().expect("the reader found a broken promise") > 0);
    });
    drop(staying);
    assert!(groups.is_empty());
    assert_eq!(handle.pin().groups().count(), 0);
    drop((handle, groups));
    assert_eq!(
        alive.load(Ordering::Relaxed),
        0,
        "every value was dropped, once"
    );
}

/// One look at a group, and at all of them; how many others were seen.
fn read(groups: &Topics, random: &mut Random, stays: Pid) -> usize {
    let handle = groups.handle();
    let guard = handle.pin();
    let key = random.below(KEYS);
    let (mut stayed, mut others) = (0, 0);
    for entry in guard.members(&name(key)) {
        assert_eq!(entry.value().owner, entry.owner());
        assert_eq!(*entry.value().key, key, "of no other group");
        assert_eq!(entry.key(), name(key));
        if entry.owner() == stays {
            stayed += 1;
        } else {
            others += 1;
        }
    }
    assert_eq!(stayed, usize::from(key < KEYS / 2));
    let listed = guard.iter().inspect(|entry| {
        assert_eq!(entry.value().owner, entry.owner());
        assert_eq!(entry.key(), name(*entry.value().key));
    });
    let stayed = listed.filter(|entry| entry.owner() == stays).count();
    assert_eq!(stayed as u64, KEYS / 2);
    others
}

fn write(groups: &Topics, alive: &Arc<AtomicI64>, slot: u32) {
    let handle = groups.handle();
    let mut random = Random(u64::from(slot) * 0x9E37_79B9 + 1);
    let mut pid = pid(slot);
    let mut member = groups.member(pid);
    let mut held: Vec<(u64, Membership)> = Vec::new();
    for _ in 0..ROUNDS {
        let key = random.below(KEYS);
        let guard = handle.pin();
        match random.below(16) {
            0..8 => {
                let value = Value::new(pid, key, alive);
                let joined = member.join(&guard, name(key), value);
                held.push((key, joined.expect("there is room")));
            }
            8..14 => {
                if let Some((_, membership)) = held.pop() {
                    assert!(member.leave(&guard, membership));
                    assert!(!member.leave(&guard, membership), "it is over");
                }
            }
            14 => {
                let mine = held.iter().filter(|(other, _)| *other == key).count();
                assert_eq!(member.leave_all(&guard, &name(key)), mine);
                held.retain(|(other, _)| *other != key);
            }
            _ => {
                member = groups.member(pid.next_incarnation().expect("few enough"));
                pid = member.pid();
                held.clear();
            }
        }
        let mine = |entry: &bedplate_core::registry::groups::Entry<'_, _, _>| entry.owner() == pid;
        let listed = guard.members(&name(key)).filter(mine).count();
        let expected = held.iter().filter(|(other, _)| *other == key).count();
        assert_eq!(listed, expected, "my own memberships, whatever others do");
    }
}

/// Groups that everybody has left, and members that died, leave nothing behind: neither do groups that had
/// many lanes.
#[test]
fn memory_returns_to_the_start() {
    let groups = Topics::with_hasher(RandomState::new());
    let alive = Arc::new(AtomicI64::new(0));
    let handle = groups.handle();
    let round = |first: u64, crowd: u32| {
        let guard = handle.pin();
        let mut members: Vec<Member<_, _, _>> = Vec::new();
        for slot in 0..crowd {
            let mut member = groups.member(pid(slot));
            for key in first..first + 3 {
                let value = Value::new(pid(slot), key, &alive);
                member.join(&guard, name(key), value).expect("room");
            }
            members.push(member);
        }
    };
    let rest = || -> Memory {
        // Flushes bring the epoch forward and free some bags each time.
        for _ in 0..100_000 {
            if groups.memory().retired == 0 {
                break;
            }
            handle.pin().flush();
        }
        groups.memory()
    };
    round(0, 100);
    let before = rest();
    assert_eq!((before.retired, before.retired_bytes), (0, 0));
    for generation in 1..300 {
        round(generation * 3, 100);
    }
    for generation in 1..30_000 {
        round(generation * 3, 1);
    }
    assert_eq!(rest(), before);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// A group of one takes the slot of its key, the slot of the member, and a cache line.
#[test]
fn a_group_of_one_is_small() {
    const MANY: usize = 10_000;
    let groups = EpochGroups::<usize, usize, _>::with_hasher(RandomState::new());
    let handle = groups.handle();
    let mut member = groups.member(pid(1));
    for key in 0..MANY {
        member.join(&handle.pin(), key, 0).expect("room");
    }
    let memory = groups.memory();
    let bytes = memory.entries_bytes + memory.groups_bytes + memory.index_bytes;
    println!("{} bytes each: {memory:?}", bytes / MANY);
    // 48 for the key, 40 for the member, 64 for the roster, 21 to 32 in the index; and a fifth of room.
    let words = size_of::<usize>() / 4;
    assert!(bytes / MANY < 120 * words, "{} bytes each", bytes / MANY);
}

/// A value that cannot be dropped, or a key that cannot be compared, spoils nothing.
#[test]
fn a_key_that_cannot_be_compared_leaves_nothing_behind() {
    #[derive(Clone)]
    struct Moody(u8, Arc<AtomicBool>);
    impl PartialEq for Moody {
        fn eq(&self, other: &Self) -> bool {
            assert!(!self.1.load(Ordering::Relaxed), "not today");
            self.0 == other.0
        }
    }
    impl Eq for Moody {}
    impl std::hash::Hash for Moody {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let mood = Arc::new(AtomicBool::new(false));
    let groups = EpochGroups::<Box<Moody>, u8, _>::with_hasher(RandomState::new());
    let handle = groups.handle();
    let mut member = groups.member(pid(1));
    let key = Moody(1, Arc::clone(&mood));
    member
        .join(&handle.pin(), Box::new(key.clone()), 1)
        .expect("room");
    mood.store(true, Ordering::Relaxed);
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        member.join(&handle.pin(), Box::new(key.clone()), 2).is_ok()
    }));
    assert!(refused.is_err());
    mood.store(false, Ordering::Relaxed);
    assert_eq!((groups.len(), handle.pin().count(&key)), (1, 1));
    member
        .join(&handle.pin(), Box::new(key.clone()), 3)
        .expect("room");
    let mut values: Vec<_> = handle
        .pin()
        .members(&key)
        .map(|entry| *entry.value())
        .collect();
    values.sort_unstable();
    assert_eq!(values, [1, 3]);
    drop(member);
    assert!(groups.is_empty());
}
