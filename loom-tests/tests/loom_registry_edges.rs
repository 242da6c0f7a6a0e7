//! Models of single edges of the epoch registry's index and slots: for each, the least that fails without it.
//!
//! Keys and values are plain words, so that nobody pins: a pin is a fence. Whoever reads is spawned, and
//! runs when the changes have been made: its loads are what loom then moves before them. The other way
//! round a writer's own loads would hide its stores from loads that came earlier, and a model would
//! explore next to nothing.

use bedplate_core::id::Pid;
use bedplate_core::registry::{EpochRegistry, Handle, Owner};
use core::hash::{BuildHasherDefault, Hasher};
use core::num::NonZeroU32;
use core::sync::atomic::Ordering::Relaxed;
use loom_tests::subject::{Constant, Halves, Mix};
use loom_tests::{check, check_deeply, thread};

#[cfg(bedplate_loom)]
use loom::sync::{Arc, atomic::AtomicUsize};
#[cfg(not(bedplate_loom))]
use std::sync::{Arc, atomic::AtomicUsize};

type Names<H> = EpochRegistry<u8, u8, BuildHasherDefault<H>>;
type NamesHandle<H> = Handle<u8, u8, BuildHasherDefault<H>>;
type NamesOwner<H> = Owner<u8, u8, BuildHasherDefault<H>>;

fn names<H: Hasher + Default>() -> Names<H> {
    Names::with_hasher(BuildHasherDefault::default())
}

fn owner<H: Hasher + Default>(names: &Names<H>, slot: u32) -> NamesOwner<H> {
    names.owner(Pid::new(slot, NonZeroU32::MIN))
}

/// Registers a free key, with a value that tells which.
fn register<H: Hasher + Default>(owner: &mut NamesOwner<H>, handle: &NamesHandle<H>, key: u8) {
    let registered = owner.register(&handle.pin(), key, key + 100);
    registered.expect("free");
}

fn value<H: Hasher + Default>(handle: &NamesHandle<H>, key: u8) -> Option<u8> {
    handle.pin().lookup(&key).map(|entry| *entry.value())
}

/// [I1] Two need the same new step of memory at once: one makes it, and the other finds it made.
#[test]
fn a_step_for_two() {
    check(|| {
        let names = names::<Halves>();
        // The first steps have one slot each; they are left to these, and the index empty.
        let handle = names.handle();
        let mut before = [1, 2, 3, 4].map(|slot| owner(&names, slot));
        for owner in &mut before {
            assert!(owner.take_over(&handle.pin(), 1, 101).is_ok());
        }
        assert!(before[3].unregister(&handle.pin(), &1));
        let theirs = names.clone();
        let other = thread::spawn(move || {
            let mut owner = owner(&theirs, 5);
            register(&mut owner, &theirs.handle(), 2);
            owner
        });
        let mut mine = owner(&names, 6);
        register(&mut mine, &handle, 3);
        let other = other.join().expect("no panic");
        assert_eq!(
            (value(&handle, 2), value(&handle, 3)),
            (Some(102), Some(103))
        );
        drop((before, mine, other));
        assert!(names.is_empty());
    });
}

/// [I2] An entry that has just come, in memory that looks as if it held that key, is whole.
#[test]
fn an_entry_that_comes() {
    check_deeply(3, || {
        let names = names::<Halves>();
        let handle = names.handle();
        let mut holder = owner(&names, 1);
        let theirs = names.clone();
        let looking = thread::spawn(move || value(&theirs.handle(), 0));
        register(&mut holder, &handle, 0);
        let seen = looking.join().expect("no panic");
        assert!([None, Some(100)].contains(&seen), "{seen:?}");
        drop(holder);
        assert!(names.is_empty());
    });
}

/// [I2] An entry that has just taken another's place is whole, and the name is never missing.
#[test]
fn an_entry_that_takes_anothers_place() {
    check_deeply(3, || {
        let names = names::<Halves>();
        let handle = names.handle();
        let (mut first, mut second) = (owner(&names, 1), owner(&names, 2));
        register(&mut first, &handle, 0);
        let theirs = names.clone();
        let looking = thread::spawn(move || value(&theirs.handle(), 0));
        let took_over = second.take_over(&handle.pin(), 0, 200).is_ok();
        assert!(took_over);
        let seen = looking.join().expect("no panic");
        assert!([Some(100), Some(200)].contains(&seen), "{seen:?}");
        drop((first, second));
        assert!(names.is_empty());
    });
}

/// [I3] Whoever finds a name free sees what its holder did before.
#[test]
fn an_entry_that_goes() {
    check_deeply(3, || {
        let names = names::<Halves>();
        let handle = names.handle();
        let mut holder = owner(&names, 1);
        register(&mut holder, &handle, 1);
        let work = Arc::new(AtomicUsize::new(0));
        let (theirs, done) = (names.clone(), Arc::clone(&work));
        let looking = thread::spawn(move || {
            let handle = theirs.handle(); // whose end pins
            let is_free = value(&handle, 1).is_none();
            assert!(!is_free || done.load(Relaxed) == 1, "the name was free");
        });
        work.store(1, Relaxed);
        assert!(holder.unregister(&handle.pin(), &1));
        looking.join().expect("no panic");
        assert!(names.is_empty());
    });
}

/// [I4] Two want one key, in one bucket: one gets it.
#[test]
fn one_key_for_two() {
    check(|| {
        let names = names::<Constant>();
        // So that there is memory.
        register(&mut owner(&names, 3), &names.handle(), 9);
        let want = |names: &Names<Constant>, slot: u32| {
            let mut owner = owner(names, slot);
            let has = owner.register(&names.handle().pin(), 7, 107).is_ok();
            (owner, has)
        };
        let theirs = names.clone();
        let other = thread::spawn(move || want(&theirs, 2));
        let (mine, i_have) = want(&names, 1);
        let (other, they_have) = other.join().expect("no panic");
        assert!(i_have != they_have, "one of them has it");
        assert_eq!((names.len(), names.handle().pin().iter().count()), (1, 1));
        drop((mine, other));
        assert!(names.is_empty());
    });
}

/// [I6] Two need a place behind the same full bucket: who finds another's linked there finds its memory, too.
#[test]
fn an_overflow_bucket_for_two() {
    check(|| {
        let names = names::<Halves>();
        let handle = names.handle();
        // Two buckets, the second one with its two lanes taken; so there is none to be added for those who come.
        let mut before = owner(&names, 1);
        for key in [MOVES, 1, 2, 3] {
            register(&mut before, &handle, key);
        }
        for key in [1, 2, 3] {
            assert!(before.unregister(&handle.pin(), &key));
        }
        register(&mut before, &handle, MOVES + 1);
        // With memory for what they register.
        let [mut mine, mut theirs] = [2, 3].map(|slot| {
            let mut owner = owner(&names, slot);
            register(&mut owner, &handle, 1);
            assert!(owner.unregister(&handle.pin(), &1));
            owner
        });
        let same = names.clone();
        let other = thread::spawn(move || {
            register(&mut theirs, &same.handle(), MOVES + 2);
            theirs
        });
        register(&mut mine, &handle, MOVES + 3);
        let theirs = other.join().expect("no panic");
        for key in MOVES..MOVES + 4 {
            assert_eq!(value(&handle, key), Some(key + 100));
        }
        drop((before, mine, theirs));
        assert!(names.is_empty());
    });
}

/// [I3, I5] A bucket is split: who looks for what moves finds it.
#[test]
fn a_split_against_a_look_up() {
    check_deeply(3, || {
        let names = names::<Halves>();
        let handle = names.handle();
        let mut holder = owner(&names, 1);
        for key in [MOVES, 1, 2] {
            register(&mut holder, &handle, key);
        }
        let theirs = names.clone();
        let looking = thread::spawn(move || {
            let seen = value(&theirs.handle(), MOVES);
            assert_eq!(seen, Some(MOVES + 100), "it is always there");
        });
        let before = names.memory().index_bytes;
        register(&mut holder, &handle, 3);
        assert!(!cfg!(bedplate_loom) || names.memory().index_bytes > before);
        looking.join().expect("no panic");
        drop(holder);
        assert!(names.is_empty());
    });
}

/// [I8] A fourth bucket comes, for which the table has a cell that leads to the second one until then: whoever goes there before it
/// is counted finds its memory, and what is looked for.
#[test]
fn a_bucket_that_is_not_counted_yet() {
    // It goes to the fourth bucket when there is one.
    const MOVES_TWICE: u8 = MOVES + 3;
    check(|| {
        let names = names::<Halves>();
        let handle = names.handle();
        let mut holder = owner(&names, 1);
        register(&mut holder, &handle, MOVES_TWICE);
        for key in 1..7 {
            register(&mut holder, &handle, key);
        }
        let theirs = names.clone();
        let looking = thread::spawn(move || {
            let seen = value(&theirs.handle(), MOVES_TWICE);
            assert_eq!(seen, Some(MOVES_TWICE + 100), "it is always there");
        });
        let before = names.memory().index_bytes;
        register(&mut holder, &handle, 7);
        // That, and one behind a full one.
        assert!(!cfg!(bedplate_loom) || names.memory().index_bytes > before);
        looking.join().expect("no panic");
        drop(holder);
        assert!(names.is_empty());
    });
}

/// A key that goes to the second bucket when there is one, as do some after it; smaller ones stay in the first.
const MOVES: u8 = Halves::SECOND;

/// [I7] The flat table of buckets is replaced by a longer one: whoever looks finds what was in the old one.
#[test]
fn a_longer_table_against_a_look_up() {
    check(|| {
        let names = names::<Mix>();
        let handle = names.handle();
        let mut holder = owner(&names, 1);
        for key in 1..10 {
            register(&mut holder, &handle, key);
        }
        let theirs = names.clone();
        let looking = thread::spawn(move || {
            assert_eq!(value(&theirs.handle(), 1), Some(101));
        });
        let before = names.memory().index_bytes;
        register(&mut holder, &handle, 10);
        assert!(!cfg!(bedplate_loom) || names.memory().index_bytes > before);
        looking.join().expect("no panic");
        drop(holder);
        assert!(names.is_empty());
    });
}

/// [S1] A slot is written again, and its lane has the word it had before: of that only its sequence tells.
#[test]
fn a_slot_written_again_behind_the_same_word() {
    check_deeply(3, || {
        // One hash for all, so that the word of a lane says no more than the slot.
        let names = names::<Constant>();
        let handle = names.handle();
        let mut holder = owner(&names, 1);
        register(&mut holder, &handle, 7);
        register(&mut holder, &handle, 9); // in the other lane, so that there is one left
        let theirs = names.clone();
        let looking = thread::spawn(move || {
            let seen = value(&theirs.handle(), 7);
            assert!([None, Some(107)].contains(&seen), "{seen:?}");
        });
        assert!(holder.unregister(&handle.pin(), &7));
        register(&mut holder, &handle, 8);
        looking.join().expect("no panic");
        assert_eq!(value(&handle, 8), Some(108));
        drop(holder);
        assert!(names.is_empty());
    });
}

/// [S1] A name is given up and registered again, in the same slot: who saw the first registration does not take
/// the number of the second for its own.
#[test]
fn a_registration_that_is_over() {
    check_deeply(3, || {
        let names = names::<Halves>();
        let handle = names.handle();
        let mut holder = owner(&names, 1);
        register(&mut holder, &handle, 7);
        let theirs = names.clone();
        let looking = thread::spawn(move || {
            let handle = theirs.handle();
            let guard = handle.pin();
            let entry = guard.lookup(&7);
            entry.map(|entry| (*entry.value(), entry.registration()))
        });
        assert!(holder.unregister(&handle.pin(), &7));
        let second = holder.register(&handle.pin(), 7, 207).expect("free");
        if let Some((value, registration)) = looking.join().expect("no panic") {
            assert!(value == 207 || registration != second, "{value}");
        }
        drop(holder);
        assert!(names.is_empty());
    });
}

/// [S2] A slot that was another's counts on from where the other left it: who knew that one's name there does
/// not take the new holder for it.
#[test]
fn a_slot_that_was_anothers() {
    check(|| {
        let names = names::<Halves>();
        let handle = names.handle();
        let (mut mine, mut dying) = (owner(&names, 1), owner(&names, 2));
        register(&mut mine, &handle, 2); // in the other lane, so that both get the same
        let theirs = names.clone();
        let coming = thread::spawn(move || {
            let came = mine.register(&theirs.handle().pin(), 1, 101).is_ok();
            (mine, came)
        });
        let name = names.name_ref(1);
        let died = dying.register(&handle.pin(), 1, 101).is_ok();
        assert!(!died || name.whereis() == Some(dying.pid()));
        drop(dying);
        let (mine, came) = coming.join().expect("no panic");
        assert!(died || came);
        assert_eq!(name.whereis(), came.then_some(mine.pid()));
        drop(mine);
        assert!(names.is_empty());
    });
}
