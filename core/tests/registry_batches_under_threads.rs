//! Names that are registered together, on real threads: a reader sees all or none, owners that are suspended in
//! the middle hold up nobody, and what is called off, refused or interrupted leaves nothing behind.
#![cfg(feature = "alloc")]

use bedplate_core::id::Pid;
use bedplate_core::registry::{EpochRegistry, RegisterError, RegisterManyError};
use std::hash::{BuildHasherDefault, Hash, Hasher, RandomState};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

const WRITERS: u32 = 3;
const ROUNDS: u64 = if cfg!(miri) { 20 } else { 8_000 };

/// Long, so that they are not in the entries, and freed as soon as they may be.
const KEYS: [&str; 4] = [
    "the first of several names that are longer than what is stored in place",
    "the second of several names that are longer than what is stored in place",
    "the third of several names that are longer than what is stored in place",
    "the fourth of several names that are longer than what is stored in place",
];

/// Every batch has the last key, so all of them meet; each has a stamp of its own, which is the value of all its
/// members. Owners give the last key up first: as long as it is there, all others are.
#[test]
fn a_reader_sees_all_of_a_batch_or_none() {
    let registry = EpochRegistry::<String, Box<u64>, _>::with_hasher(RandomState::new());
    let stamps = AtomicU64::new(1);
    let (succeeded, contended, seen) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let writing = AtomicUsize::new(WRITERS as usize);
    thread::scope(|scope| {
        let (registry, stamps, writing) = (&registry, &stamps, &writing);
        let (succeeded, contended, seen) = (&succeeded, &contended, &seen);
        for slot in 1..=WRITERS {
            scope.spawn(move || {
                let handle = registry.handle();
                let mut owner = registry.owner(pid(slot));
                for round in 0..ROUNDS {
                    let stamp = stamps.fetch_add(1, Ordering::Relaxed);
                    // Each in an order of its own.
                    let order = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]][slot as usize % 3];
                    let pairs: Vec<_> = order
                        .map(|at| (KEYS[at].to_owned(), Box::new(stamp)))
                        .into();
                    match owner.register_many(&handle.pin(), pairs.clone()) {
                        Ok(registrations) => {
                            succeeded.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(registrations.len(), KEYS.len());
                            for key in KEYS.iter().rev() {
                                assert!(owner.unregister(&handle.pin(), key));
                            }
                        }
                        Err(error) => {
                            match &error {
                                RegisterManyError::AlreadyRegistered { holder, .. } => {
                                    assert_ne!(*holder, pid(slot));
                                }
                                RegisterManyError::Contended { .. } => {
                                    contended.fetch_add(1, Ordering::Relaxed);
                                }
                                other => panic!("{other}"),
                            }
                            assert_eq!(error.into_inner(), pairs, "all come back");
                        }
                    }
                    if round % 8 == 0 {
                        // By itself, whatever the batches are doing.
                        let key = KEYS[(round / 8) as usize % 3].to_owned();
                        match owner.register(&handle.pin(), key.clone(), Box::new(0)) {
                            Ok(_) => assert!(owner.unregister(&handle.pin(), &key)),
                            Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                                assert_ne!(holder, pid(slot));
                            }
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
                writing.fetch_sub(1, Ordering::Relaxed);
            });
        }
        scope.spawn(move || {
            let handle = registry.handle();
            while writing.load(Ordering::Relaxed) > 0 {
                let guard = handle.pin();
                let stamp_of = |key: &str| guard.lookup(key).map(|entry| *entry.value());
                let [first @ .., last] = KEYS;
                let Some(stamp) = stamp_of(last) else {
                    continue;
                };
                let others = first.map(stamp_of);
                if stamp_of(last) == Some(stamp) {
                    assert_eq!(others, [Some(stamp); 3], "all of the batch are there");
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    });
    let counts = [&succeeded, &contended, &seen].map(|count| count.load(Ordering::Relaxed));
    println!("succeeded, contended, seen: {counts:?}");
    assert!(counts[0] > 0);
    assert!(registry.is_empty());
    let handle = registry.handle();
    assert_eq!(handle.pin().iter().count(), 0);
    // Nobody is pinned any more.
    for _ in 0..100_000 {
        if registry.memory().retired == 0 {
            break;
        }
        handle.pin().flush();
    }
    assert_eq!(registry.memory().retired, 0);
}

/// What happens when a key is compared.
type OnComparison = Arc<Mutex<Option<Box<dyn FnMut() + Send>>>>;

/// A key whose comparisons somebody can watch.
struct Watched {
    number: u8,
    compared: OnComparison,
}

impl Watched {
    fn new(number: u8, compared: &OnComparison) -> Box<Self> {
        let compared = Arc::clone(compared);
        Box::new(Self { number, compared })
    }
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        let mut called = self.compared.lock().expect("not poisoned").take();
        if let Some(called) = &mut called {
            called();
        }
        self.number == other.number
    }
}

impl Eq for Watched {}

/// Only the upper bits of the number, so that its two lowest tell keys of one hash apart.
impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.number / 4);
    }
}

/// The number itself.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0 << 8 | u64::from(byte);
        }
    }
}

type Names = EpochRegistry<Box<Watched>, u32, BuildHasherDefault<Plain>>;

/// A batch that stands still when its second key is compared with another of the same hash.
#[test]
fn an_owner_that_is_suspended_in_the_middle_holds_up_nobody() {
    let names = Names::with_hasher(BuildHasherDefault::default());
    let (nothing, compared) = (OnComparison::default(), OnComparison::default());
    let handle = names.handle();
    let mut before = names.owner(pid(9));
    let same_hash = Watched::new(5, &compared);
    assert!(before.register(&handle.pin(), same_hash, 0).is_ok());

    let (stopped, stops) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    *compared.lock().expect("not poisoned") = Some(Box::new(move || {
        stopped.send(()).expect("somebody waits");
        goes_on.recv().expect("somebody says so");
    }));
    thread::scope(|scope| {
        let (names, keys) = (&names, &compared);
        let batch = scope.spawn(move || {
            let handle = names.handle();
            let mut owner = names.owner(pid(1));
            let pairs = [1, 4].map(|number| (Watched::new(number, keys), u32::from(number)));
            let result = owner.register_many(&handle.pin(), pairs.into());
            (owner, result.map_err(|error| error.to_string()))
        });
        stops.recv().expect("it comes to the comparison");
        // The first key is in the index, and nobody has it.
        assert_eq!(handle.pin().whereis(&*Watched::new(1, &nothing)), None);
        assert_eq!(handle.pin().iter().count(), 1);
        let mut other = names.owner(pid(2));
        assert!(
            other
                .register(&handle.pin(), Watched::new(1, &nothing), 7)
                .is_ok()
        );
        assert_eq!(
            handle.pin().whereis(&*Watched::new(1, &nothing)),
            Some(pid(2))
        );
        go_on.send(()).expect("it waits");
        let (owner, result) = batch.join().expect("no panic");
        let refused = result.expect_err("one of the keys is held by then");
        assert_eq!(
            refused,
            format!("key 0 of the batch is already registered by {}", pid(2))
        );
        drop((owner, other));
    });
    assert_eq!(names.len(), 1);
    drop(before);
    assert!(names.is_empty());
}

/// A comparison in the middle of a batch panics: nothing of it is left, and what is registered afterwards is found.
#[test]
fn a_comparison_that_panics_leaves_nothing_of_a_batch() {
    let names = Names::with_hasher(BuildHasherDefault::default());
    let (nothing, compared) = (OnComparison::default(), OnComparison::default());
    let handle = names.handle();
    let mut before = names.owner(pid(9));
    let same_hash = Watched::new(5, &compared);
    assert!(before.register(&handle.pin(), same_hash, 0).is_ok());
    let mut owner = names.owner(pid(1));
    let bytes = names.memory().entries_bytes;
    for _ in 0..100 {
        // Of the keys in the batch only the second has the hash of another. Taken out of the mutex, so that it
        // is not poisoned.
        *compared.lock().expect("not poisoned") = Some(Box::new(|| panic!("compared")));
        let pairs = [1, 4].map(|number| (Watched::new(number, &compared), u32::from(number)));
        let result = catch_unwind(AssertUnwindSafe(|| {
            owner.register_many(&handle.pin(), pairs.into()).is_ok()
        }));
        assert!(result.is_err());
        assert_eq!((names.len(), handle.pin().iter().count()), (1, 1));
        assert_eq!(handle.pin().whereis(&*Watched::new(1, &nothing)), None);
    }
    assert_eq!(names.memory().entries_bytes, bytes, "nothing piles up");
    let pairs = [1, 4].map(|number| (Watched::new(number, &compared), u32::from(number)));
    assert!(owner.register_many(&handle.pin(), pairs.into()).is_ok());
    assert_eq!(names.len(), 3);
    drop((before, owner));
    assert!(names.is_empty());
}

/// Copies are made for a feed before anything takes effect: if one panics, nothing of the batch does.
#[test]
fn a_clone_that_panics_leaves_nothing_of_a_batch() {
    #[derive(Debug)]
    struct Touchy(Arc<AtomicBool>);
    impl Clone for Touchy {
        fn clone(&self) -> Self {
            assert!(!self.0.load(Ordering::Relaxed), "touched");
            Self(Arc::clone(&self.0))
        }
    }
    let registry = EpochRegistry::<u64, Box<Touchy>, _>::builder(RandomState::new())
        .feed(16)
        .expect("not too large")
        .build();
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    let (calm, touchy) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(true)),
    );
    let mut changes = handle.pin().changes().expect("there is a feed");
    let pairs = || {
        vec![
            (1, Box::new(Touchy(Arc::clone(&calm)))),
            (2, Box::new(Touchy(Arc::clone(&touchy)))),
        ]
    };
    let result = catch_unwind(AssertUnwindSafe(|| {
        owner.register_many(&handle.pin(), pairs()).is_ok()
    }));
    assert!(result.is_err());
    assert_eq!((registry.len(), handle.pin().iter().count()), (0, 0));
    assert!(changes.next(&handle.pin()).is_none(), "nothing is told");
    touchy.store(false, Ordering::Relaxed);
    assert!(owner.register_many(&handle.pin(), pairs()).is_ok());
    let guard = handle.pin();
    let told: Vec<_> = core::iter::from_fn(|| changes.next(&guard)).collect();
    assert_eq!(told.len(), 2, "{told:?}");
}

/// The index grows while a batch goes into it: else the buckets there are would overflow, and look-ups go through
/// what overflowed as long as the registry lives.
#[test]
fn a_large_batch_leaves_the_registry_as_single_registrations_do() {
    const MANY: u64 = if cfg!(miri) { 300 } else { 70_000 };
    let single = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
    let handle = single.handle();
    let mut owner = single.owner(pid(1));
    for key in 0..MANY {
        assert!(owner.register(&handle.pin(), key, key).is_ok());
    }
    let batch = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
    let handle = batch.handle();
    let mut other = batch.owner(pid(1));
    let pairs: Vec<_> = (0..MANY).map(|key| (key, key)).collect();
    assert!(other.register_many(&handle.pin(), pairs).is_ok());
    assert_eq!(batch.len() as u64, MANY);
    let (one_by_one, at_once) = (single.memory().index_bytes, batch.memory().index_bytes);
    assert!(
        at_once < 2 * one_by_one,
        "{at_once} instead of {one_by_one}"
    );

    // Refused at its last key, it has grown the index, and is not worse off for it.
    let refused = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
    let handle = refused.handle();
    let (mut owner, mut other) = (refused.owner(pid(1)), refused.owner(pid(2)));
    assert!(other.register(&handle.pin(), MANY - 1, 0).is_ok());
    let pairs: Vec<_> = (0..MANY).map(|key| (key, key)).collect();
    let error = owner.register_many(&handle.pin(), pairs).unwrap_err();
    assert!(
        matches!(error, RegisterManyError::AlreadyRegistered { at, .. } if at as u64 == MANY - 1)
    );
    assert_eq!(refused.len(), 1);
    let at_once = refused.memory().index_bytes;
    assert!(
        at_once < 2 * one_by_one,
        "{at_once} instead of {one_by_one}"
    );
}
