//! Real threads on few keys: a name has one holder at a time, a look-up never mixes two
//! registrations, and everything is given back at the end.
#![cfg(feature = "alloc")]
#![expect(clippy::cast_possible_truncation, reason = "small indices")]

use bedplate_core::id::Pid;
use bedplate_core::registry::{EpochRegistry, RegisterError, Registration};
use std::hash::RandomState;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;

const WRITERS: u32 = 3;
const KEYS: u64 = 32;
const ROUNDS: u32 = 20_000;

/// Carries its owner twice, and counts those alive.
struct Value {
    owner: Pid,
    again: Box<u64>,
    alive: Arc<AtomicI64>,
}

impl Value {
    fn new(owner: Pid, alive: &Arc<AtomicI64>) -> Box<Self> {
        alive.fetch_add(1, Ordering::Relaxed);
        Box::new(Self {
            owner,
            again: Box::new(owner.to_bits()),
            alive: Arc::clone(alive),
        })
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        *self.again = 0;
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
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
fn a_name_has_one_holder_and_no_value_is_lost_or_mixed() {
    let registry = EpochRegistry::<String, Box<Value>, _>::with_hasher(RandomState::new());
    let alive = Arc::new(AtomicI64::new(0));
    let holders: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let done = AtomicBool::new(false);

    thread::scope(|scope| {
        let (registry, alive, holders, done) = (&registry, &alive, &holders, &done);
        let writers: Vec<_> = (1..=WRITERS)
            .map(|slot| scope.spawn(move || write(registry, alive, holders, slot)))
            .collect();
        let reader = scope.spawn(move || {
            let handle = registry.handle();
            let mut random = Random(77);
            let mut hits = 0_u64;
            // Acquire: pairs with Release below; and a last round after the writers are done.
            while !done.load(Ordering::Acquire) {
                let guard = handle.pin();
                if let Some(entry) = guard.lookup(format!("key-{}", random.below(KEYS)).as_str()) {
                    assert_eq!(*entry.value().again, entry.owner().to_bits());
                    assert_eq!(entry.value().owner, entry.owner());
                    hits += 1;
                }
                let listed = guard.iter().inspect(|entry| {
                    assert_eq!(*entry.value().again, entry.owner().to_bits());
                });
                assert!(
                    listed.count() <= 64,
                    "each name, and each again if it changed hands meanwhile"
                );
            }
            hits
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

    assert!(registry.is_empty());
    assert_eq!(registry.handle().pin().iter().count(), 0);
    drop(registry);
    assert_eq!(
        alive.load(Ordering::Relaxed),
        0,
        "every value was dropped, once"
    );
}

fn write(
    registry: &EpochRegistry<String, Box<Value>, RandomState>,
    alive: &Arc<AtomicI64>,
    holders: &[AtomicU64],
    slot: u32,
) {
    let handle = registry.handle();
    let mut random = Random(u64::from(slot) * 0x9E37_79B9 + 1);
    let mut pid = Pid::new(slot, NonZeroU32::MIN);
    let mut owner = registry.owner(pid);
    let mut held = Vec::new();
    for _ in 0..ROUNDS {
        let key = random.below(KEYS);
        let name = format!("key-{key}");
        match random.below(8) {
            0..4 => match owner.register(&handle.pin(), name, Value::new(pid, alive)) {
                Ok(registration) => {
                    let before = holders[key as usize].swap(pid.to_bits(), Ordering::Relaxed);
                    assert_eq!(before, 0, "two hold one name");
                    held.push((key, registration));
                }
                Err(RegisterError::AlreadyRegistered { key: name, .. }) => {
                    assert_eq!(name, format!("key-{key}"));
                }
                Err(other) => panic!("{other}"),
            },
            4..7 => {
                if let Some((key, registration)) = held.pop() {
                    // Before the name is free, as its holder's last act under it.
                    let before = holders[key as usize].swap(0, Ordering::Relaxed);
                    assert_eq!(before, pid.to_bits());
                    assert!(owner.release(&handle.pin(), registration));
                }
            }
            _ => {
                leave(&mut held, holders, pid);
                drop(owner);
                pid = pid.next_incarnation().expect("few enough");
                owner = registry.owner(pid);
            }
        }
    }
    leave(&mut held, holders, pid);
}

/// The last thing an owner does before it is dropped with all its names.
fn leave(held: &mut Vec<(u64, Registration)>, holders: &[AtomicU64], pid: Pid) {
    for (key, _) in held.drain(..) {
        let before = holders[key as usize].swap(0, Ordering::Relaxed);
        assert_eq!(before, pid.to_bits());
    }
}

/// R31, R76: refused registrations and dying owners leave nothing behind.
#[test]
fn memory_returns_to_the_start() {
    let registry = EpochRegistry::<u64, Box<Value>, _>::with_hasher(RandomState::new());
    let alive = Arc::new(AtomicI64::new(0));
    let holder = Pid::new(0, NonZeroU32::MIN);
    let handle = registry.handle();
    let mut first = registry.owner(holder);
    first
        .register(&handle.pin(), 0, Value::new(holder, &alive))
        .expect("free");
    thread::scope(|scope| {
        for slot in 1..=2 {
            let (registry, alive) = (&registry, &alive);
            scope.spawn(move || {
                let handle = registry.handle();
                for generation in 1..=20_000 {
                    let pid = Pid::new(slot, NonZeroU32::new(generation).expect("from 1"));
                    let mut owner = registry.owner(pid);
                    let guard = handle.pin();
                    let key = u64::from(slot) << 32 | u64::from(generation);
                    owner
                        .register(&guard, key, Value::new(pid, alive))
                        .expect("free");
                    assert!(owner.register(&guard, 0, Value::new(pid, alive)).is_err());
                }
            });
        }
    });
    assert_eq!(registry.len(), 1);
    // Nobody is pinned any more, so flushes bring the epoch forward and free everything: some bags of
    // a few entries each time, so how many flushes it takes depends on how the threads met.
    for _ in 0..100_000 {
        if registry.memory().retired == 0 {
            break;
        }
        handle.pin().flush();
    }
    assert_eq!(registry.memory().retired, 0);
    assert_eq!(alive.load(Ordering::Relaxed), 1);
    drop((first, handle, registry));
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// A key whose `Eq` panics in the middle of a registration: the registry stays whole.
#[test]
fn a_panicking_key_leaves_nothing_behind() {
    #[derive(Debug)]
    struct Touchy(u8, bool);
    impl std::hash::Hash for Touchy {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            state.write_u8(0);
        }
    }
    impl PartialEq for Touchy {
        fn eq(&self, other: &Self) -> bool {
            assert!(!(self.1 || other.1), "do not touch");
            self.0 == other.0
        }
    }
    impl Eq for Touchy {}

    let registry = EpochRegistry::<Box<Touchy>, (), _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let mut owner = registry.owner(Pid::new(0, NonZeroU32::MIN));
    owner
        .register(&handle.pin(), Box::new(Touchy(1, false)), ())
        .expect("free");
    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = owner.register(&handle.pin(), Box::new(Touchy(2, true)), ());
    }));
    assert!(attempt.is_err());
    assert_eq!(
        (registry.len(), owner.entries(&handle.pin()).count()),
        (1, 1)
    );
    assert!(handle.pin().whereis(&Touchy(1, false)).is_some());
    owner
        .register(&handle.pin(), Box::new(Touchy(2, false)), ())
        .expect("free");
}

/// Plain words are read without a pin from slots that are used again at once: no reader ever sees a
/// value with another's key or owner.
#[test]
fn words_of_different_registrations_are_never_mixed() {
    let registry = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
    let done = AtomicBool::new(false);
    let value_of = |key: u64, owner: Pid| owner.to_bits().rotate_left(7) ^ key;
    thread::scope(|scope| {
        let (registry, done) = (&registry, &done);
        let writers: Vec<_> = (1..=WRITERS)
            .map(|slot| {
                scope.spawn(move || {
                    let handle = registry.handle();
                    let mut random = Random(u64::from(slot) * 0x9E37_79B9 + 1);
                    let mut pid = Pid::new(slot, NonZeroU32::MIN);
                    let mut owner = registry.owner(pid);
                    for _ in 0..5 * ROUNDS {
                        let key = random.below(KEYS);
                        let value = value_of(key, pid);
                        match random.below(16) {
                            0..7 => drop(owner.register(&handle.pin(), key, value)),
                            7..13 => drop(owner.unregister(&handle.pin(), &key)),
                            13 => drop(owner.take_over(&handle.pin(), key, value)),
                            14 => drop(owner.update(&handle.pin(), &key, |&same| same)),
                            _ if random.below(64) == 0 => {
                                drop(owner);
                                pid = pid.next_incarnation().expect("few enough");
                                owner = registry.owner(pid);
                            }
                            _ => {
                                let guard = handle.pin();
                                for entry in owner.entries(&guard) {
                                    assert_eq!(entry.owner(), pid);
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        let reader = scope.spawn(move || {
            let handle = registry.handle();
            let mut random = Random(99);
            // Acquire: pairs with Release below.
            while !done.load(Ordering::Acquire) {
                let guard = handle.pin();
                let key = random.below(KEYS);
                if let Some(entry) = guard.lookup(&key) {
                    assert_eq!(*entry.key(), key);
                    assert_eq!(*entry.value(), value_of(key, entry.owner()));
                }
                for entry in &guard {
                    assert_eq!(*entry.value(), value_of(*entry.key(), entry.owner()));
                }
            }
        });
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        // Release: pairs with Acquire in the reader.
        done.store(true, Ordering::Release);
        assert!(results.iter().all(Result::is_ok));
        reader.join().expect("the reader found words mixed");
    });
    assert!(registry.is_empty());
    assert_eq!(registry.handle().pin().iter().count(), 0);
}

/// While the registry grows a hundredfold, what was there before is found, and listed once, at all
/// times; and afterwards all of it.
#[test]
fn growing_hides_and_doubles_nothing() {
    const BEFORE: u64 = 200;
    const EACH: u64 = 10_000;
    let registry = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let mut first = registry.owner(Pid::new(0, NonZeroU32::MIN));
    for key in 0..BEFORE {
        first.register(&handle.pin(), key, key).expect("free");
    }
    let growing = AtomicBool::new(true);
    thread::scope(|scope| {
        let (registry, growing) = (&registry, &growing);
        let writers: Vec<_> = (1..=2)
            .map(|slot| {
                scope.spawn(move || {
                    let handle = registry.handle();
                    let mut owner = registry.owner(Pid::new(slot, NonZeroU32::MIN));
                    let keys = (u64::from(slot) << 32..).take(EACH as usize);
                    for key in keys.clone() {
                        owner.register(&handle.pin(), key, key).expect("free");
                        assert!(handle.pin().whereis(&key).is_some());
                    }
                    for key in keys {
                        assert!(owner.unregister(&handle.pin(), &key));
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            let handle = registry.handle();
            // Acquire: pairs with Release below.
            while growing.load(Ordering::Acquire) {
                for key in 0..BEFORE {
                    assert!(handle.pin().whereis(&key).is_some(), "{key} is missing");
                }
                let guard = handle.pin();
                let mut times = [0_u8; BEFORE as usize];
                for entry in guard.iter().filter(|entry| *entry.key() < BEFORE) {
                    times[*entry.key() as usize] += 1;
                }
                assert!(times.iter().all(|&times| times == 1), "{times:?}");
            }
        });
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        // Release: pairs with Acquire in the reader.
        growing.store(false, Ordering::Release);
        assert!(results.iter().all(Result::is_ok));
    });
    assert_eq!(registry.len(), BEFORE as usize);
}

/// Taking over while owners come and go gives every slot back: memory stays what few entries need.
/// The slots of names that were taken over are used again as soon as nobody is pinned who was then. Here one
/// thread is two owners: of two threads, one may be suspended while it is pinned, for as long as the system
/// pleases.
#[test]
fn taking_over_uses_slots_again() {
    let registry = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let owner = |slot| registry.owner(Pid::new(slot, NonZeroU32::MIN));
    let mut owners = [owner(1), owner(2)];
    for round in 0..200_000 {
        let taker = (round % 2) as usize;
        owners[taker]
            .take_over(&handle.pin(), round / 2 % 4, round)
            .expect("no limit");
        if round % 1000 == 999 {
            owners[taker] = owner(taker as u32 + 1);
        }
    }
    drop(owners);
    assert!(registry.is_empty());
    let bytes = registry.memory().entries_bytes;
    assert!(bytes < 100_000, "{bytes} bytes for eight entries");
}
