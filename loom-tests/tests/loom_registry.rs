//! Models of the epoch registry, over the real crossbeam-epoch.
//!
//! Every value is a [`Tracked`]: it counts itself in and out, so that each model ends by asserting
//! that nothing leaked and nothing was freed twice; and it holds one of loom's cells, so that a
//! read after it was freed, or before it was initialised, is seen.

#[cfg(bedplate_loom)]
use loom::{cell::UnsafeCell, sync::Arc, sync::atomic::AtomicUsize};
#[cfg(not(bedplate_loom))]
use std::sync::{Arc, atomic::AtomicUsize};

use bedplate_core::id::Pid;
use bedplate_core::registry::{EpochRegistry, Handle, Owner, RegisterError};
use core::hash::{BuildHasherDefault, Hasher};
use core::num::NonZeroU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use loom_tests::subject::{Constant, Halves};
use loom_tests::{check, check_deeply, thread};

struct Tracked {
    alive: Arc<AtomicUsize>,
    #[cfg(bedplate_loom)]
    number: UnsafeCell<u32>,
    #[cfg(not(bedplate_loom))]
    number: u32,
}

impl Tracked {
    fn new(number: u32, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Relaxed);
        #[cfg(bedplate_loom)]
        let number = UnsafeCell::new(number);
        Self {
            alive: Arc::clone(alive),
            number,
        }
    }

    #[cfg(bedplate_loom)]
    fn number(&self) -> u32 {
        // SAFETY: only read while shared; written once, before.
        self.number.with(|number| unsafe { *number })
    }

    #[cfg(not(bedplate_loom))]
    fn number(&self) -> u32 {
        self.number
    }
}

// SAFETY: the cell is only written when the value is made and when it is dropped.
#[cfg(bedplate_loom)]
unsafe impl Sync for Tracked {}

impl Drop for Tracked {
    fn drop(&mut self) {
        #[cfg(bedplate_loom)]
        // SAFETY: dropped, so exclusively held; loom reports whoever still reads.
        self.number.with_mut(|number| unsafe { *number = u32::MAX });
        self.alive.fetch_sub(1, Relaxed);
    }
}

type Names<H> = EpochRegistry<u8, Box<Tracked>, BuildHasherDefault<H>>;
type NamesHandle<H> = Handle<u8, Box<Tracked>, BuildHasherDefault<H>>;
type NamesOwner<H> = Owner<u8, Box<Tracked>, BuildHasherDefault<H>>;

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// A registry and a count of the values alive; clones, for the threads of a model, share both.
struct Scene<H = Halves> {
    registry: Names<H>,
    alive: Arc<AtomicUsize>,
}

impl<H: Hasher + Default> Scene<H> {
    fn new() -> Self {
        let registry = Names::with_hasher(BuildHasherDefault::default());
        let alive = Arc::new(AtomicUsize::new(0));
        Self { registry, alive }
    }

    fn handle(&self) -> NamesHandle<H> {
        self.registry.handle()
    }

    fn owner(&self, slot: u32) -> NamesOwner<H> {
        self.registry.owner(pid(slot))
    }

    fn value(&self, number: u32) -> Box<Tracked> {
        Box::new(Tracked::new(number, &self.alive))
    }

    /// An owner that has registered the free `key`, with its own number as the value.
    fn holder(&self, handle: &NamesHandle<H>, slot: u32, key: u8) -> NamesOwner<H> {
        let mut owner = self.owner(slot);
        let registered = owner.register(&handle.pin(), key, self.value(slot));
        registered.expect("free");
        owner
    }

    fn len(&self) -> usize {
        self.registry.len()
    }

    /// The end of every model: everything was given back.
    fn at_rest(self) {
        assert!(self.registry.is_empty(), "no entry is left");
        drop(self.registry);
        let alive = self.alive.load(Relaxed);
        assert_eq!(alive, 0, "no value is left, and none was freed twice");
    }
}

impl<H> Clone for Scene<H> {
    fn clone(&self) -> Self {
        Self {
            registry: self.registry.clone(),
            alive: Arc::clone(&self.alive),
        }
    }
}

fn look<H: Hasher + Default>(handle: &NamesHandle<H>, key: u8) -> Option<(Pid, u32)> {
    let guard = handle.pin();
    guard
        .lookup(&key)
        .map(|entry| (entry.owner(), entry.value().number()))
}

/// [I1, I2, I4] Two processes register one key: one gets it, the other learns who did.
#[test]
fn register_against_register() {
    check(|| {
        let scene = Scene::<Halves>::new();
        // So that there is memory: how that is made is modelled by `growth_against_all`.
        drop(scene.holder(&scene.handle(), 3, 1));
        let contend = |scene: &Scene, slot: u32| {
            let handle = scene.handle();
            let mut owner = scene.owner(slot);
            let result = owner
                .register(&handle.pin(), 7, scene.value(slot))
                .map(|_| ())
                .map_err(|error| match error {
                    RegisterError::AlreadyRegistered { holder, value, .. } => {
                        assert_eq!(value.number(), slot, "the refused value comes back");
                        holder
                    }
                    other => panic!("{other}"),
                });
            (owner, result)
        };
        let theirs = scene.clone();
        let other = thread::spawn(move || contend(&theirs, 1));
        let (my_owner, mine) = contend(&scene, 0);
        let (their_owner, theirs) = other.join().expect("no panic");
        let winner = match (mine, theirs) {
            (Ok(()), Err(holder)) if holder == pid(0) => 0,
            (Err(holder), Ok(())) if holder == pid(1) => 1,
            results => panic!("exactly one wins, and the other knows: {results:?}"),
        };
        let handle = scene.handle();
        assert_eq!(look(&handle, 7), Some((pid(winner), winner)));
        assert_eq!(scene.len(), 1);
        drop((my_owner, their_owner, handle));
        scene.at_rest();
    });
}

/// [I2, I3, S1] A name is registered, given up and registered by another, while somebody looks: never
/// an owner with another's value, never a name that is gone for good.
#[test]
fn unregister_and_register_against_lookup() {
    check_deeply(3, || {
        let scene = Scene::<Halves>::new();
        let handle = scene.handle();
        let mut first = scene.holder(&handle, 1, 7);
        let work = Arc::new(AtomicUsize::new(0));
        let theirs = scene.clone();
        let working = Arc::clone(&work);
        let changing = thread::spawn(move || {
            let handle = theirs.handle();
            {
                // Pinned before: a pin is a fence, which would hide a missing Release of the mark.
                let guard = handle.pin();
                working.store(1, Relaxed); // the last thing it does under this name
                assert!(first.unregister(&guard, &7));
            }
            let second = theirs.holder(&handle, 2, 7);
            (first, second)
        });
        let mut seen_second = false;
        let guard = handle.pin(); // for the same reason
        for _ in 0..2 {
            let found = guard.lookup(&7);
            if found.is_none_or(|entry| entry.owner() != pid(1)) {
                assert_eq!(
                    work.load(Relaxed),
                    1,
                    "whoever finds a name free sees its last work"
                );
            }
            match found.map(|entry| (entry.owner(), entry.value().number())) {
                None => assert!(!seen_second, "the second keeps it"),
                Some((owner, number)) => {
                    assert_eq!(owner, pid(number), "an owner with its own value");
                    assert!(number == 2 || !seen_second, "the first does not come back");
                    seen_second |= number == 2;
                }
            }
        }
        drop(guard);
        let owners = changing.join().expect("no panic");
        assert_eq!(look(&handle, 7), Some((pid(2), 2)));
        drop((owners, handle));
        scene.at_rest();
    });
}

/// [I3] Death is observed after the names are gone: whoever learns of it may register at once.
#[test]
fn owner_drop_before_death_is_known() {
    check_deeply(3, || {
        let scene = Scene::<Halves>::new();
        let handle = scene.handle();
        let dying = scene.holder(&handle, 1, 7);
        let (dead, work) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (death, working) = (Arc::clone(&dead), Arc::clone(&work));
        let dying = thread::spawn(move || {
            working.store(1, Relaxed); // the last thing it does under its name
            drop(dying);
            death.store(1, Release);
        });
        let mut successor = scene.owner(2);
        let was_dead = dead.load(Acquire) == 1;
        if look(&handle, 7).is_none() {
            assert_eq!(
                work.load(Relaxed),
                1,
                "whoever finds a name free sees what its holder did"
            );
        }
        let result = successor.register(&handle.pin(), 7, scene.value(2));
        match &result {
            Ok(_) => assert_eq!(work.load(Relaxed), 1, "so does whoever takes it"),
            Err(RegisterError::AlreadyRegistered { holder, .. }) => {
                assert!(!was_dead, "a name outlived the news of its owner's death");
                assert_eq!(*holder, pid(1));
            }
            Err(other) => panic!("{other}"),
        }
        drop(result); // and the value in it, if it was refused
        dying.join().expect("no panic");
        let holds = successor.entries(&handle.pin()).count() == 1;
        let expected = holds.then_some((pid(2), 2));
        assert_eq!(look(&handle, 7), expected);
        drop((successor, handle));
        scene.at_rest();
    });
}

/// Neighbours in one bucket come and go at the same time, while it is split: each change stays. This guards the
/// protocol and no single edge: it holds with I4 or I5 relaxed, which fail elsewhere.
#[test]
fn neighbours_change_at_once() {
    check_deeply(3, || {
        // All keys have one hash, so the entries lie side by side.
        let scene = Scene::<Constant>::new();
        let handle = scene.handle();
        let mut leaving = scene.holder(&handle, 1, 1);
        let theirs = scene.clone();
        let leaving = thread::spawn(move || {
            let handle = theirs.handle();
            assert!(leaving.unregister(&handle.pin(), &1));
            leaving
        });
        let coming = scene.holder(&handle, 2, 2);
        let leaving = leaving.join().expect("no panic");
        assert_eq!(
            (look(&handle, 1), look(&handle, 2)),
            (None, Some((pid(2), 2)))
        );
        assert_eq!(handle.pin().iter().count(), 1);
        drop((leaving, coming, handle));
        scene.at_rest();
    });
}

/// [I2, I3] Somebody reads past a neighbour that leaves to one that comes: what is found is whole.
#[test]
fn reading_past_neighbours_that_change() {
    check(|| {
        let scene = Scene::<Constant>::new();
        let handle = scene.handle();
        let mut leaving = scene.holder(&handle, 1, 1);
        let theirs = scene.clone();
        let leaving = thread::spawn(move || {
            let handle = theirs.handle();
            assert!(leaving.unregister(&handle.pin(), &1));
            leaving
        });
        let theirs = scene.clone();
        let coming = thread::spawn(move || {
            let handle = theirs.handle();
            theirs.holder(&handle, 2, 2)
        });
        {
            let guard = handle.pin();
            let mut seen = [0; 3];
            for entry in &guard {
                assert_eq!(u32::from(*entry.key()), entry.value().number());
                seen[usize::from(*entry.key())] += 1;
            }
            assert!(seen.iter().all(|&times| times <= 1), "{seen:?}");
        }
        if let Some(found) = look(&handle, 2) {
            assert_eq!(found, (pid(2), 2));
        }
        let owners = (
            leaving.join().expect("no panic"),
            coming.join().expect("no panic"),
        );
        assert_eq!(scene.len(), 1);
        drop((owners, handle));
        scene.at_rest();
    });
}

/// [I2, S3] A name is taken over, while its owner updates its value, while somebody looks: the name
/// is never missing, and never goes back.
#[test]
fn take_over_against_update_and_lookup() {
    check_deeply(3, || {
        let scene = Scene::<Halves>::new();
        let handle = scene.handle();
        let mut first = scene.holder(&handle, 1, 7);
        let theirs = scene.clone();
        let taking = thread::spawn(move || {
            let handle = theirs.handle();
            let mut second = theirs.owner(2);
            let before = second
                .take_over(&handle.pin(), 7, theirs.value(2))
                .expect("no limit")
                .map(|entry| (entry.owner(), entry.value().number()));
            assert!(
                [Some((pid(1), 1)), Some((pid(1), 11))].contains(&before),
                "{before:?}"
            );
            (second, before)
        });
        let (before, updated) = {
            let guard = handle.pin();
            let updated = first
                .update(&guard, &7, |old| scene.value(old.number() + 10))
                .is_ok();
            let found = guard.lookup(&7).expect("it is never missing");
            (found.value().number(), updated)
        };
        assert!(before == 2 || (updated && before == 11), "{before}");
        let (second, taken) = taking.join().expect("no panic");
        assert_eq!(
            taken == Some((pid(1), 11)),
            updated,
            "what was replaced is what was there"
        );
        assert_eq!(look(&handle, 7), Some((pid(2), 2)));
        assert_eq!(first.entries(&handle.pin()).count(), 0);
        assert_eq!(scene.len(), 1);
        drop(first); // and does not reach what was taken over
        assert_eq!(look(&handle, 7), Some((pid(2), 2)));
        drop((second, handle));
        scene.at_rest();
    });
}

/// [I3, S3] A name is taken over while its owner dies: the taker has it, whichever came first.
#[test]
fn take_over_against_death() {
    check_deeply(3, || {
        let scene = Scene::<Halves>::new();
        let handle = scene.handle();
        let dying = scene.holder(&handle, 1, 7);
        let dying = thread::spawn(move || drop(dying));
        let mut taker = scene.owner(2);
        let before = taker
            .take_over(&handle.pin(), 7, scene.value(2))
            .expect("no limit")
            .map(|entry| entry.owner());
        assert!([None, Some(pid(1))].contains(&before));
        assert_eq!(look(&handle, 7), Some((pid(2), 2)));
        dying.join().expect("no panic");
        assert_eq!(look(&handle, 7), Some((pid(2), 2)));
        assert_eq!(scene.len(), 1);
        drop((taker, handle));
        scene.at_rest();
    });
}

/// [S4] A name is given up and registered again, in the same slot and lane, by an owner that somebody
/// wants to take it from, if the value is the first: the second registration is never taken for the first.
#[test]
fn take_over_if_against_registering_again() {
    check_deeply(3, || {
        let scene = Scene::<Halves>::new();
        let handle = scene.handle();
        let mut first = scene.holder(&handle, 1, 7);
        let theirs = scene.clone();
        let again = thread::spawn(move || {
            let handle = theirs.handle();
            let given_up = first.unregister(&handle.pin(), &7);
            let result = first.register(&handle.pin(), 7, theirs.value(11));
            let holds = result.is_ok();
            (first, given_up, holds)
        });
        let mut taker = scene.owner(2);
        let guard = handle.pin();
        let taken = taker
            .take_over_if(&guard, 7, scene.value(2), |entry| {
                entry.value().number() == 1
            })
            .map(|before| before.map(|entry| (entry.owner(), entry.value().number())))
            .map_err(|error| match error {
                RegisterError::AlreadyRegistered { holder, value, .. } => (holder, value.number()),
                other => panic!("{other}"),
            });
        drop(guard);
        let (first, given_up, holds) = again.join().expect("no panic");
        let expected = match taken {
            Ok(Some(before)) => {
                assert_eq!((before, given_up, holds), ((pid(1), 1), false, false));
                (pid(2), 2)
            }
            Ok(None) => {
                assert!(given_up && !holds);
                (pid(2), 2)
            }
            Err(refused) => {
                assert_eq!((refused, given_up, holds), ((pid(1), 2), true, true));
                (pid(1), 11)
            }
        };
        assert_eq!(look(&handle, 7), Some(expected));
        assert_eq!(scene.len(), 1);
        drop((first, taker, handle));
        scene.at_rest();
    });
}

/// [I2, I3, S3] A name is given away while somebody looks, and then takes it over: it is never missing,
/// keeps its value, and does not come back to whoever gave it.
#[test]
fn give_away_against_lookup_and_take_over() {
    check_deeply(3, || {
        let scene = Scene::<Halves>::new();
        let handle = scene.handle();
        let mut first = scene.holder(&handle, 1, 7);
        let theirs = scene.clone();
        let giving = thread::spawn(move || {
            let handle = theirs.handle();
            let mut second = theirs.owner(2);
            let given = first.give_away(&handle.pin(), &7, &mut second).is_ok();
            (first, second, given)
        });
        let (holder, number) = look(&handle, 7).expect("it is never missing");
        assert!([pid(1), pid(2)].contains(&holder) && number == 1);
        let mut third = scene.owner(3);
        let before = third
            .take_over(&handle.pin(), 7, scene.value(3))
            .expect("no limit")
            .map(|entry| (entry.owner(), entry.value().number()));
        let (first, second, given) = giving.join().expect("no panic");
        assert!(given || holder == pid(1));
        assert_eq!(before, Some((pid(if given { 2 } else { 1 }), 1)));
        let held = [&first, &second, &third].map(|owner| owner.entries(&handle.pin()).count());
        assert_eq!((held, scene.len()), ([0, 0, 1], 1));
        drop((first, second));
        assert_eq!(look(&handle, 7), Some((pid(3), 3)));
        drop((third, handle));
        scene.at_rest();
    });
}

/// A key that goes to the second bucket when there is one; smaller ones stay in the first.
const MOVES: u8 = Halves::SECOND;

/// [I1, I3, I4, I5, I7] A bucket splits while the owner of one that moves gives it up, and somebody looks for another:
/// what stays is found wherever it is, what was given up never again, and whoever comes is there.
#[test]
fn growth_against_all() {
    /// In how many executions something moved.
    static MOVED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    const STAYING: u8 = MOVES + 1;
    check(|| {
        // Plain words, so that nobody pins.
        let registry = EpochRegistry::<u8, u8, BuildHasherDefault<Halves>>::with_hasher(
            BuildHasherDefault::default(),
        );
        let handle = registry.handle();
        let [mut leaving, mut staying] = [1, 2].map(|slot| registry.owner(pid(slot)));
        assert!(leaving.register(&handle.pin(), MOVES, 1).is_ok());
        for key in [STAYING, 3] {
            assert!(staying.register(&handle.pin(), key, key).is_ok());
        }
        let before = registry.memory().index_bytes;
        let theirs = registry.clone();
        let coming = thread::spawn(move || {
            let mut coming = theirs.owner(pid(3));
            // Now there has to be another bucket, unless one has left.
            assert!(coming.register(&theirs.handle().pin(), 4, 4).is_ok());
            coming
        });
        let value = |key| handle.pin().lookup(&key).map(|entry| *entry.value());
        assert!(leaving.unregister(&handle.pin(), &MOVES));
        assert_eq!(value(STAYING), Some(STAYING), "never missing");
        let coming = coming.join().expect("no panic");
        assert_eq!(value(MOVES), None);
        for key in [STAYING, 3, 4] {
            assert_eq!(value(key), Some(key));
        }
        // Buckets are listed one after the other.
        let last = handle.pin().iter().last().map(|entry| *entry.key());
        let has_grown = registry.memory().index_bytes > before;
        let has_moved = last == Some(STAYING);
        assert!(!cfg!(bedplate_loom) || has_moved || !has_grown);
        MOVED.fetch_add(usize::from(has_moved), Relaxed);
        drop((leaving, staying, coming));
        assert!(registry.is_empty());
    });
    let moved = MOVED.load(Relaxed);
    assert!(!cfg!(bedplate_loom) || moved > 0, "nothing ever moved");
}

/// [I3] A bucket splits while it is listed, and who comes then takes the lane of one that has moved: who stays is
/// listed once.
#[test]
fn listing_against_growth_and_newcomers() {
    // The first one moves when there are two buckets; of those who come, the second goes where it was.
    const STAYING: [u8; 3] = [11, 1, 2];
    const COMING: [u8; 2] = [3, 6];
    check(|| {
        let registry = EpochRegistry::<u8, u8, BuildHasherDefault<Halves>>::with_hasher(
            BuildHasherDefault::default(),
        );
        let handle = registry.handle();
        let mut staying = registry.owner(pid(1));
        for key in STAYING {
            assert!(staying.register(&handle.pin(), key, key).is_ok());
        }
        // In this order: loom reorders an exchange and the load that comes after it, but not a load and an
        // exchange that its own thread begins with another load.
        let theirs = registry.clone();
        let listing = thread::spawn(move || {
            let handle = theirs.handle();
            let mut listed: Vec<u8> = handle.pin().iter().map(|entry| *entry.key()).collect();
            listed.retain(|key| STAYING.contains(key));
            listed.sort_unstable();
            assert_eq!(listed, [1, 2, 11], "neither missed nor doubled");
        });
        let mut coming = registry.owner(pid(2));
        for key in COMING {
            assert!(coming.register(&handle.pin(), key, key).is_ok());
        }
        listing.join().expect("no panic");
        drop((coming, handle));
        assert_eq!(registry.len(), STAYING.len());
    });
}

/// A name that was looked up, while its holder goes, and another takes it in the slot of the first.
#[test]
fn name_ref_against_change_of_hands() {
    check(|| {
        let registry = EpochRegistry::<u8, u8, BuildHasherDefault<Halves>>::with_hasher(
            BuildHasherDefault::default(),
        );
        let name = registry.name_ref(1);
        let handle = registry.handle();
        let mut first = registry.owner(pid(1));
        assert!(first.register(&handle.pin(), 1, 1).is_ok());
        // So that the lane that becomes free is the next to be taken.
        let mut other = registry.owner(pid(3));
        assert!(other.register(&handle.pin(), 2, 2).is_ok());
        assert_eq!(name.whereis(), Some(pid(1)));
        let asking = thread::spawn(move || {
            let seen = [name.whereis(), name.whereis()].map(|holder| match holder {
                Some(holder) if holder == pid(1) => 1,
                None => 2,
                Some(holder) => {
                    assert_eq!(holder, pid(2));
                    3
                }
            });
            assert!(
                seen.is_sorted(),
                "{seen:?}: what it answers never goes back"
            );
            name
        });
        drop(first);
        // In the same slot and the same lane.
        let mut second = registry.owner(pid(2));
        assert!(second.register(&handle.pin(), 1, 1).is_ok());
        let name = asking.join().expect("no panic");
        assert_eq!(name.whereis(), Some(pid(2)));
        drop(second);
        assert_eq!(name.whereis(), None);
        drop((name, handle, other));
        assert_eq!(registry.len(), 0);
    });
}
