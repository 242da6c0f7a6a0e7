//! Everything at once, for as long as one likes: `BEDPLATE_CHURN_SECONDS`, two unless set; under
//! ThreadSanitizer it is a minute. Owners live on threads that die, names are long and short, values are owned,
//! and readers look in every way there is. What stays is found by all of them, all the time; and when it is
//! over nothing is left, however long it took.
#![cfg(feature = "alloc")]

use bedplate_core::id::Pid;
use bedplate_core::registry::groups::EpochGroups;
use bedplate_core::registry::{EpochRegistry, Handle, News, Owner};
use std::collections::HashMap;
use std::hash::RandomState;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Names that one owner holds all along.
const STAY: u64 = 40;
/// Names that come and go.
const CHURN: u64 = 400;
/// Changes of one owner, before its thread dies.
const LIFE: u32 = 300;
/// Owners that churn at a time.
const CHURNING: u32 = 2;

type Registry = EpochRegistry<String, Box<Held>, RandomState>;
type Names = Handle<String, Box<Held>, RandomState>;

/// Counts those alive.
#[derive(Debug)]
struct Held(u64, &'static AtomicI64);

impl Held {
    fn new(value: u64, alive: &'static AtomicI64) -> Box<Self> {
        alive.fetch_add(1, Ordering::Relaxed);
        Box::new(Self(value, alive))
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        *Self::new(self.0, self.1)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// Every third name is too long to be copied into an entry.
fn name(number: u64) -> String {
    let tail = if number.is_multiple_of(3) {
        "/and much more than fits into a slot of the registry"
    } else {
        ""
    };
    format!("name {number}{tail}")
}

fn seconds() -> Duration {
    let seconds = std::env::var("BEDPLATE_CHURN_SECONDS");
    Duration::from_secs(seconds.map_or(2, |seconds| seconds.parse().expect("a number of seconds")))
}

#[test]
fn what_stays_is_found_and_nothing_is_left() {
    static ALIVE: AtomicI64 = AtomicI64::new(0);
    let registry: Registry = EpochRegistry::builder(RandomState::new())
        .feed(1024)
        .expect("not too large")
        .build();
    let groups = EpochGroups::<String, Box<Held>, _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let mut staying = registry.owner(pid(0));
    for number in 0..STAY {
        let registered = staying.register(&handle.pin(), name(number), Held::new(number, &ALIVE));
        assert!(registered.is_ok());
    }
    let (over, lives, end) = (
        AtomicBool::new(false),
        AtomicU64::new(0),
        Instant::now() + seconds(),
    );
    let sizes = thread::scope(|scope| {
        let (over, lives, registry, groups) = (&over, &lives, &registry, &groups);
        let churning: Vec<_> = (1..=CHURNING)
            .map(|slot| {
                scope.spawn(move || {
                    let mut sizes = Vec::new();
                    while Instant::now() < end {
                        let seed = lives.fetch_add(1, Ordering::Relaxed) * 2 + 1;
                        let life = scope.spawn(move || live(registry, groups, slot, seed, &ALIVE));
                        assert!(life.join().is_ok(), "an owner found a broken promise");
                        sizes.push(registry.memory().entries_bytes);
                    }
                    sizes
                })
            })
            .collect();
        let reader = scope.spawn(move || read(registry, over));
        let follower = scope.spawn(move || follow(registry, over));
        let sizes: Vec<_> = churning.into_iter().map(|thread| thread.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(reader.join().is_ok(), "a reader found a broken promise");
        let copy = follower.join().expect("a follower found a broken promise");
        let mut staying: Vec<_> = (0..STAY).map(|number| (name(number), pid(0))).collect();
        let mut copy: Vec<_> = copy.into_iter().collect();
        staying.sort_unstable();
        copy.sort_unstable();
        assert_eq!(copy, staying, "the copy is what is left");
        sizes
    });
    for sizes in sizes {
        let sizes = sizes.expect("an owner found a broken promise");
        // As many entries at a time at most, at the beginning as at the end.
        let most = sizes.iter().max().expect("one life at least");
        let bound = registry.memory().entries_bytes;
        assert!(*most <= bound && bound < 1 << 20, "{most} of {bound} bytes");
    }
    assert_eq!(registry.len() as u64, STAY);
    drop(staying);
    assert_eq!((registry.len(), groups.len()), (0, 0));
    drop((handle, registry, groups));
    assert_eq!(
        ALIVE.load(Ordering::Relaxed),
        0,
        "every value was dropped, once"
    );
}

#[test]
fn a_million_registrations_of_threads_that_die_take_no_memory() {
    const THREADS: u32 = 1_000;
    const REGISTRATIONS: u64 = 1_000;
    let registry = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
    let life = |slot| {
        let handle = registry.handle();
        let mut owner = registry.owner(pid(slot));
        for number in 0..REGISTRATIONS {
            let key = u64::from(slot) << 32 | number;
            assert!(owner.register(&handle.pin(), key, number).is_ok());
            // A few are left to the owner's death.
            if number >= 10 {
                assert!(owner.unregister(&handle.pin(), &(key - 10)));
            }
        }
    };
    let run = |slots: std::ops::Range<u32>| {
        for slot in slots {
            thread::scope(|scope| {
                for slot in [slot, slot + THREADS] {
                    scope.spawn(move || life(slot));
                }
            });
        }
        assert!(registry.is_empty());
        registry.memory()
    };
    let (begin, end) = (run(0..10), run(10..THREADS / 2));
    assert_eq!(begin.entries_bytes, end.entries_bytes);
    assert_eq!((end.retired, end.retired_bytes), (0, 0));
    // There are some dozen entries at a time at most, and as many buckets as that takes.
    assert!(end.index_bytes < 4096, "{end:?}");
}

/// One owner, from birth to death.
fn live(
    registry: &Registry,
    groups: &EpochGroups<String, Box<Held>, RandomState>,
    slot: u32,
    seed: u64,
    alive: &'static AtomicI64,
) {
    let handle = registry.handle();
    let mut random = Random(seed);
    let mut owners = [
        registry.owner(pid(slot)),
        registry.owner(pid(slot + CHURNING)),
    ];
    let group_handle = groups.handle();
    let mut member = groups.member(pid(slot));
    for _ in 0..LIFE {
        let number = STAY + random.below(CHURN);
        let key = name(number);
        let value = Held::new(number, alive);
        let guard = handle.pin();
        let [one, other] = &mut owners;
        match random.below(8) {
            0..=2 => drop(one.register(&guard, key, value)),
            3 => drop(other.take_over(&guard, key, value)),
            4 => drop(one.update(&guard, &key, |_| value)),
            5 => drop(one.give_away(&guard, &key, other)),
            6 => drop(member.join(&group_handle.pin(), key, value)),
            _ => drop((one.unregister(&guard, &key), other.unregister(&guard, &key))),
        }
    }
    assert!(is_consistent(&owners[0], &handle));
    drop(owners);
    let guard = handle.pin();
    let left = guard
        .iter()
        .any(|entry| [slot, slot + CHURNING].contains(&entry.owner().slot()));
    assert!(!left, "an owner that is gone holds nothing");
}

fn is_consistent(owner: &Owner<String, Box<Held>, RandomState>, handle: &Names) -> bool {
    let guard = handle.pin();
    let mut entries = owner.entries(&guard);
    entries.all(|entry| entry.owner() == owner.pid() && name(entry.value().0) == entry.key())
}

/// Looks in every way there is.
fn read(registry: &Registry, over: &AtomicBool) {
    let handle = registry.handle();
    let names: Vec<_> = (0..STAY)
        .map(|number| registry.name_ref(name(number)))
        .collect();
    let keys: Vec<String> = (0..STAY + CHURN).map(name).collect();
    while !over.load(Ordering::Relaxed) {
        let guard = handle.pin();
        for (number, key) in (0..).zip(&keys) {
            if let Some(entry) = guard.lookup(key) {
                assert_eq!((entry.key(), entry.value().0), (&**key, number));
            } else {
                assert!(number >= STAY, "{key} stays");
            }
        }
        for (number, entry) in (0..).zip(guard.lookup_many(keys.iter().map(String::as_str))) {
            match entry {
                Some(entry) => assert_eq!(entry.value().0, number),
                None => assert!(number >= STAY, "{number} stays"),
            }
        }
        assert!(names.iter().all(|name| name.whereis() == Some(pid(0))));
        let mut listed = HashMap::new();
        for entry in &guard {
            assert_eq!(name(entry.value().0), entry.key());
            *listed.entry(entry.value().0).or_insert(0) += 1;
        }
        assert!((0..STAY).all(|number| listed.get(&number) == Some(&1)));
    }
}

/// Keeps a copy by the feed, to the end.
fn follow(registry: &Registry, over: &AtomicBool) -> HashMap<String, Pid> {
    let handle = registry.handle();
    let list = || -> HashMap<String, Pid> {
        handle
            .pin()
            .iter()
            .map(|entry| (entry.key().to_owned(), entry.owner()))
            .collect()
    };
    let mut changes = handle.pin().changes().expect("there is a feed");
    let mut copy = list();
    loop {
        // Before the changes are asked for: then what comes after the last is nothing.
        let is_last = over.load(Ordering::Relaxed);
        let guard = handle.pin();
        while let Some(news) = changes.next(&guard) {
            match news {
                News::Change(change) if change.reason.is_end() => drop(copy.remove(change.key)),
                News::Change(change) => drop(copy.insert(change.key.to_owned(), change.owner)),
                News::Lost { from, to } => {
                    assert!(from <= to);
                    changes.skip(&guard);
                    copy = list();
                }
                _ => {
                    thread::yield_now();
                    break;
                }
            }
        }
        if is_last {
            return copy;
        }
    }
}
