//! Real threads change a few keys while others follow: the audit, put in the order of its numbers, is a
//! history that every key can have had, and whoever follows the feed has a true copy in the end.
#![cfg(feature = "alloc")]
#![expect(clippy::cast_possible_truncation, reason = "small indices")]

use bedplate_core::id::Pid;
use bedplate_core::registry::{EpochRegistry, Guard, News, Reason};
use std::collections::BTreeMap;
use std::hash::RandomState;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

const WRITERS: u32 = 3;
const KEYS: u64 = 8;
const ROUNDS: u32 = 20_000;

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

/// Texts, some of which are too long to be held in place.
type Names = EpochRegistry<String, String, RandomState>;

fn name(key: u64) -> String {
    format!("{key}-{}", "long".repeat(12 * (key as usize % 2)))
}

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

#[derive(Clone, Debug)]
struct Event {
    number: u64,
    reason: Reason,
    key: String,
    value: String,
    owner: Pid,
}

type Copied = BTreeMap<String, (Pid, String)>;

fn list(guard: &Guard<'_, String, String, RandomState>) -> Copied {
    guard
        .iter()
        .map(|entry| {
            let held = (entry.owner(), entry.value().to_owned());
            (entry.key().to_owned(), held)
        })
        .collect()
}

fn watched(capacity: usize, audit: &Arc<Mutex<Vec<Event>>>) -> Names {
    let audit = Arc::clone(audit);
    Names::builder(RandomState::new())
        .audit(move |change| {
            let event = Event {
                number: change.number,
                reason: change.reason,
                key: change.key.to_owned(),
                value: change.value.to_owned(),
                owner: change.owner,
            };
            audit.lock().expect("no panic").push(event);
        })
        .feed(capacity)
        .expect("not too large")
        .build()
}

#[test]
fn the_audit_is_a_history_and_followers_have_true_copies() {
    // A ring that is lapped all the time, one that is lapped now and then, and one that never is.
    for capacity in [1, 64, 1 << 17] {
        let audit = Arc::new(Mutex::new(Vec::new()));
        let registry = watched(capacity, &audit);
        let done = AtomicBool::new(false);
        let last = thread::scope(|scope| {
            let (registry, done) = (&registry, &done);
            let followers: Vec<_> = (0..2)
                .map(|_| scope.spawn(move || follow(registry, done, capacity)))
                .collect();
            let writers: Vec<_> = (1..=WRITERS)
                .map(|slot| scope.spawn(move || write(registry, slot)))
                .collect();
            // Owners come back, so that names are left when the followers compare.
            let owners: Vec<_> = writers
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect();
            // Release: pairs with Acquire in the followers.
            done.store(true, Ordering::Release);
            for follower in followers {
                follower.join().expect("a follower found a broken promise");
            }
            let last = list(&registry.handle().pin());
            for owner in owners {
                drop(owner.expect("a writer found a broken promise"));
            }
            last
        });
        assert!(registry.is_empty());
        let mut history = std::mem::take(&mut *audit.lock().expect("no panic"));
        history.sort_unstable_by_key(|event| event.number);
        check(&history, &last);
        let handle = registry.handle();
        for _ in 0..1_000 {
            handle.pin().flush();
        }
        let memory = registry.memory();
        assert_eq!((memory.retired, memory.retired_bytes), (0, 0), "{memory:?}");
    }
}

type Owner = bedplate_core::registry::Owner<String, String, RandomState>;

fn write(registry: &Names, slot: u32) -> [Owner; 2] {
    let handle = registry.handle();
    let mut random = Random(u64::from(slot) * 0x9E37_79B9 + 1);
    let pids = [pid(2 * slot), pid(2 * slot + 1)];
    let mut owners = pids.map(|pid| registry.owner(pid));
    for round in 0..ROUNDS {
        let key = name(random.below(KEYS));
        let value = format!("{round} {}", "long".repeat(random.below(2) as usize * 12));
        let guard = handle.pin();
        let [one, two] = &mut owners;
        match random.below(20) {
            0..=5 => drop(one.register(&guard, key, value)),
            6..=7 => drop(one.take_over(&guard, key, value)),
            8..=10 => {
                // Never from one's own: the condition is about whom it is taken from.
                let others = |holder| !pids.contains(&holder);
                let taken = one.take_over_if(&guard, key, value, |entry| others(entry.owner()));
                let before = taken.ok().flatten();
                assert!(before.is_none_or(|entry| others(entry.owner())));
            }
            11..=13 => drop(one.update(&guard, &key, |_| value)),
            14..=15 => drop(one.give_away(&guard, &key, two)),
            16..=18 => {
                one.unregister(&guard, &key);
                two.unregister(&guard, &key);
            }
            _ => {
                drop(guard);
                owners[0] = registry.owner(pids[0]);
            }
        }
    }
    owners
}

fn follow(registry: &Names, done: &AtomicBool, capacity: usize) {
    let handle = registry.handle();
    let mut changes = handle.pin().changes().expect("there is a feed");
    let mut copy = list(&handle.pin());
    // What each key was last told to be, under which number.
    let mut last = BTreeMap::new();
    let mut losses = 0;
    loop {
        // Acquire: what the writers did is there; pairs with Release. Read before the last round.
        let is_last = done.load(Ordering::Acquire);
        let guard = handle.pin();
        while let Some(news) = changes.next(&guard) {
            match news {
                News::Change(change) => {
                    let key = change.key.to_owned();
                    let before = last.insert(key.clone(), change.number);
                    assert!(before.is_none_or(|before| before < change.number));
                    if change.reason.is_end() {
                        copy.remove(&key);
                    } else {
                        copy.insert(key, (change.owner, change.value.to_owned()));
                    }
                }
                News::Lost { from, to } => {
                    assert!(0 < from && from <= to);
                    losses += 1;
                    changes.skip(&guard);
                    copy = list(&guard);
                    last.clear(); // what is repeated may be older than the list
                }
                _ => {
                    assert!(!is_last, "nobody is in the middle of a change");
                    break;
                }
            }
        }
        if is_last {
            assert_eq!(copy, list(&guard));
            assert!(losses == 0 || capacity < 1 << 17);
            return;
        }
        drop(guard);
        thread::yield_now();
    }
}

/// Every key was held by one at a time, and was what it is before all owners went.
fn check(history: &[Event], last: &Copied) {
    let mut held = Copied::new();
    let mut numbers = 0;
    for event in history {
        assert!(event.number > numbers, "no number is told twice");
        numbers = event.number;
        let holder = held.get(&event.key).map(|(holder, _)| *holder);
        let expected = match event.reason {
            Reason::Registered => None,
            Reason::TakenOver { from } | Reason::GivenAway { from } => Some(from),
            _ => Some(event.owner),
        };
        assert_eq!(holder, expected, "{event:?}");
        if let Reason::GivenAway { .. } | Reason::Unregistered | Reason::OwnerDied = event.reason {
            assert_eq!(held[&event.key].1, event.value, "{event:?}");
        }
        if event.reason.is_end() {
            held.remove(&event.key);
        } else {
            held.insert(event.key.clone(), (event.owner, event.value.clone()));
        }
    }
    assert_eq!(held, Copied::new(), "all owners are gone");
    let mut latest = Copied::new();
    for event in history {
        if event.reason != Reason::OwnerDied {
            latest.insert(event.key.clone(), (event.owner, event.value.clone()));
        }
    }
    for (key, held) in last {
        assert_eq!(latest.get(key), Some(held), "{key}");
    }
}

/// An audit must not panic; if it does, the names are free all the same.
#[test]
fn an_audit_that_panics_leaves_no_name_behind() {
    let deaths = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&deaths);
    let registry = EpochRegistry::<u64, u64, _>::builder(RandomState::new())
        .audit(move |change| {
            if change.reason == Reason::OwnerDied {
                assert_ne!(counted.fetch_add(1, Ordering::Relaxed), 1, "the second one");
            }
        })
        .build();
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    for key in 0..4 {
        owner.register(&handle.pin(), key, key).expect("free");
    }
    let result = catch_unwind(AssertUnwindSafe(|| drop(owner)));
    assert!(result.is_err());
    assert!(registry.is_empty());
    assert_eq!(handle.pin().iter().count(), 0);
    assert_eq!(deaths.load(Ordering::Relaxed), 2, "it is left alone then");
}

/// A value whose `clone` panics is not registered, and its slot and its number are used for others.
#[test]
fn a_clone_that_panics_changes_nothing() {
    #[derive(Debug)]
    struct Touchy(bool);
    impl Clone for Touchy {
        fn clone(&self) -> Self {
            assert!(!self.0, "touched");
            Self(self.0)
        }
    }
    let registry = EpochRegistry::<u64, Box<Touchy>, _>::builder(RandomState::new())
        .feed(4)
        .expect("not too large")
        .build();
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    let guard = handle.pin();
    let mut changes = guard.changes().expect("there is a feed");
    let result = catch_unwind(AssertUnwindSafe(|| {
        owner.register(&guard, 1, Box::new(Touchy(true))).map(drop)
    }));
    assert!(result.is_err());
    assert!(changes.next(&guard).is_none());
    assert_eq!((guard.whereis(&1), registry.len()), (None, 0));
    owner
        .register(&guard, 1, Box::new(Touchy(false)))
        .expect("free");
    assert!(matches!(
        changes.next(&guard),
        Some(News::Change(change)) if change.number == 1 && *change.key == 1
    ));
    assert!(changes.next(&guard).is_none());
}
