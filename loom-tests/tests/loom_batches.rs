//! Models of names that are registered together: all or none, also for whoever looks meanwhile.
//!
//! Keys and values are plain words, so that nobody who reads pins: a pin is a fence. Who reads is spawned: see
//! `loom_registry_edges.rs`. Two batches that call each other off have more interleavings than can be explored; threads
//! try them in `core/tests/registry_batches_under_threads.rs`.

use bedplate_core::id::Pid;
use bedplate_core::registry::{
    EpochRegistry, Handle, Owner, RegisterError, RegisterManyError, Registration,
};
use core::hash::{BuildHasherDefault, Hasher};
use core::num::NonZeroU32;
use loom_tests::subject::{Constant, Halves};
use loom_tests::{check, check_lightly, thread};

type Names<H> = EpochRegistry<u8, u8, BuildHasherDefault<H>>;
type NamesHandle<H> = Handle<u8, u8, BuildHasherDefault<H>>;
type NamesOwner<H> = Owner<u8, u8, BuildHasherDefault<H>>;

fn names<H: Hasher + Default>() -> Names<H> {
    Names::with_hasher(BuildHasherDefault::default())
}

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// Registers these keys together, each with a value that tells which and whose.
fn register_all<H: Hasher + Default>(
    owner: &mut NamesOwner<H>,
    handle: &NamesHandle<H>,
    keys: impl IntoIterator<Item = u8>,
) -> Result<Vec<Registration>, RegisterManyError<Vec<(u8, u8)>>> {
    let pairs = pairs(owner, keys);
    owner.register_many(&handle.pin(), pairs)
}

fn pairs<H: Hasher + Default>(
    owner: &NamesOwner<H>,
    keys: impl IntoIterator<Item = u8>,
) -> Vec<(u8, u8)> {
    let whose = u8::try_from(owner.pid().slot()).expect("small");
    let pair = |key| (key, 10 * whose + key);
    keys.into_iter().map(pair).collect()
}

fn value<H: Hasher + Default>(handle: &NamesHandle<H>, key: u8) -> Option<u8> {
    handle.pin().lookup(&key).map(|entry| *entry.value())
}

/// An owner that has been at work before: there is memory for this many registrations.
fn owner<H: Hasher + Default>(
    names: &Names<H>,
    handle: &NamesHandle<H>,
    slot: u32,
    slots: u8,
) -> NamesOwner<H> {
    let mut owner = names.owner(pid(slot));
    let guard = handle.pin();
    for key in 0..slots {
        assert!(owner.register(&guard, 100 + key, 0).is_ok());
    }
    assert_eq!(owner.unregister_if(&guard, |_| true), usize::from(slots));
    drop(guard);
    owner
}

/// Who looks for the members in this order, while they are registered, finds all from the first one on that it
/// finds.
fn all_after_the_first<H: Hasher + Default + Send + Sync + 'static>(order: [u8; 2]) {
    let names = names::<H>();
    let handle = names.handle();
    let mut owner = owner(&names, &handle, 1, 2);
    // Who asks these needs no handle, which would be more to explore.
    let asked = order.map(|key| names.name_ref(key));
    let looking = thread::spawn(move || {
        let seen = asked.each_ref().map(|name| name.whereis());
        assert!(
            seen[0].is_none() || seen[1].is_some(),
            "one is there and the other is missing: {seen:?}"
        );
        asked
    });
    assert!(register_all(&mut owner, &handle, [1, 2]).is_ok());
    let asked = looking.join().expect("no panic");
    assert_eq!((value(&handle, 1), value(&handle, 2)), (Some(11), Some(12)));
    assert!(asked.iter().all(|name| name.whereis() == Some(pid(1))));
    drop((owner, asked));
    assert!(names.is_empty());
}

/// [B1] The leader is seen, and then the other member, which still names it.
#[test]
fn the_leader_is_seen_and_then_the_other() {
    check(|| all_after_the_first::<Halves>([1, 2]));
}

/// [B1, B2] The other member is seen, pending or not, and then the leader.
#[test]
fn the_other_is_seen_and_then_the_leader() {
    check(|| all_after_the_first::<Halves>([2, 1]));
}

/// [B1, B2] The same, where all keys have one hash, so that a look-up comes by the other member as well.
#[test]
fn members_with_one_hash_are_seen_together() {
    check_lightly(1, || all_after_the_first::<Constant>([2, 1]));
}

/// [B1] A batch that is refused has been in the index by then, and its slots are used for something else: nobody
/// finds any of it.
#[test]
fn a_batch_that_was_refused_is_never_seen() {
    check(|| {
        let names = names::<Halves>();
        let handle = names.handle();
        let (mut first, mut owner) = (owner(&names, &handle, 1, 1), owner(&names, &handle, 2, 3));
        assert!(first.register(&handle.pin(), 3, 13).is_ok());
        let asked = names.name_ref(2);
        let looking = thread::spawn(move || assert_eq!(asked.whereis(), None, "it was refused"));
        let guard = handle.pin();
        let refused = owner.register_many(&guard, vec![(1, 21), (2, 22), (3, 23)]);
        let refused = refused.expect_err("one of them is held");
        assert!(
            matches!(refused, RegisterManyError::AlreadyRegistered { at: 2, holder, .. } if holder == pid(1)),
            "{refused}"
        );
        assert_eq!(refused.into_inner(), [(1, 21), (2, 22), (3, 23)]);
        // In the slot of its leader: the slot used last is used first.
        assert!(owner.register(&guard, 4, 24).is_ok());
        drop(guard);
        looking.join().expect("no panic");
        assert_eq!(names.len(), 2);
        drop((first, owner));
        assert!(names.is_empty());
    });
}

/// [S4, B1] Somebody registers the key of a batch by itself, wherever the batch is: one of the two has it, and what one
/// has is not taken away by the other, late. One key, whose slot leads itself: more take too many steps.
#[test]
fn a_batch_against_registering_a_member() {
    check_lightly(1, || {
        let names = names::<Halves>();
        let handle = names.handle();
        let (mut owner, mut other) = (owner(&names, &handle, 1, 1), owner(&names, &handle, 2, 1));
        let theirs = names.clone();
        let registering = thread::spawn(move || {
            let handle = theirs.handle();
            let refused = other.register(&handle.pin(), 2, 22).err();
            (other, refused)
        });
        let mine = owner.register_many(&handle.pin(), vec![(2, 12)]);
        let (other, theirs) = registering.join().expect("no panic");
        match (mine, theirs) {
            (Ok(_), Some(RegisterError::AlreadyRegistered { holder, key, value })) => {
                assert_eq!((holder, key, value), (pid(1), 2, 22));
            }
            (Err(RegisterManyError::AlreadyRegistered { at, holder, pairs }), None) => {
                assert_eq!((at, holder), (0, pid(2)));
                assert_eq!(pairs, [(2, 12)]);
            }
            results => panic!("exactly one has it: {results:?}"),
        }
        let holds = |owner: &NamesOwner<Halves>| owner.entries(&handle.pin()).count() == 1;
        let holder = [&owner, &other].into_iter().find(|owner| holds(owner));
        let expected =
            holder.map(|owner| 10 * u8::try_from(owner.pid().slot()).expect("small") + 2);
        assert!(expected.is_some());
        assert_eq!(value(&handle, 2), expected);
        assert_eq!(names.len(), 1);
        drop((owner, other));
        assert!(names.is_empty());
    });
}

/// [S4, B1] Somebody takes the key of a batch over, wherever the batch is: it has the key in the end.
#[test]
fn a_batch_against_taking_a_member_over() {
    check_lightly(1, || {
        let names = names::<Halves>();
        let handle = names.handle();
        let (mut owner, mut other) = (owner(&names, &handle, 1, 1), owner(&names, &handle, 2, 1));
        let theirs = names.clone();
        let taking = thread::spawn(move || {
            let handle = theirs.handle();
            let guard = handle.pin();
            let before = other.take_over(&guard, 2, 22).expect("no limit");
            let before = before.map(|entry| *entry.value());
            drop(guard);
            (other, before)
        });
        let mine = owner.register_many(&handle.pin(), vec![(2, 12)]);
        let (other, before) = taking.join().expect("no panic");
        assert_eq!(before, mine.is_ok().then_some(12));
        assert_eq!(value(&handle, 2), Some(22));
        assert_eq!(names.len(), 1);
        drop((owner, other));
        assert!(names.is_empty());
    });
}

/// A key that goes to the second bucket when there is one; smaller ones stay in the first.
const MOVES: u8 = Halves::SECOND;

/// [I3, B1] A bucket is split, and a pending entry moves: nothing is lost, and who looks sees all or none.
#[test]
fn a_batch_against_a_split() {
    check_lightly(1, || {
        let names = names::<Halves>();
        let handle = names.handle();
        let (mut growing, mut owner) = (names.owner(pid(3)), owner(&names, &handle, 1, 2));
        assert!(growing.register(&handle.pin(), 2, 32).is_ok());
        let theirs = names.clone();
        let before = names.memory().index_bytes;
        let other = thread::spawn(move || {
            let handle = theirs.handle();
            assert!(growing.register(&handle.pin(), 3, 33).is_ok());
            growing
        });
        assert!(register_all(&mut owner, &handle, [1, MOVES]).is_ok());
        let other = other.join().expect("no panic");
        assert!(!cfg!(bedplate_loom) || names.memory().index_bytes > before);
        let seen = [1, 2, 3, MOVES].map(|key| value(&handle, key));
        assert_eq!(seen, [11, 32, 33, 10 + MOVES].map(Some));
        assert_eq!(names.len(), 4);
        drop((owner, other));
        assert!(names.is_empty());
    });
}

/// [B1, S1] An owner goes right after its batch, and another registers one of the keys, in the slot of the
/// leader or another: what is seen is one registration or the other, and never goes back.
#[test]
fn a_batch_whose_owner_goes() {
    check_lightly(1, || {
        let names = names::<Halves>();
        let handle = names.handle();
        let mut owner = names.owner(pid(1));
        let theirs = names.clone();
        let looking = thread::spawn(move || {
            let handle = theirs.handle();
            let seen = [value(&handle, 2), value(&handle, 2)];
            assert!(
                seen.iter()
                    .all(|seen| [None, Some(12), Some(22)].contains(seen)),
                "{seen:?}"
            );
            assert!(seen[0] != Some(22) || seen[1] == Some(22), "{seen:?}");
        });
        assert!(register_all(&mut owner, &handle, [1, 2]).is_ok());
        drop(owner);
        let mut second = names.owner(pid(2));
        assert!(second.register(&handle.pin(), 2, 22).is_ok());
        looking.join().expect("no panic");
        assert_eq!((value(&handle, 1), value(&handle, 2)), (None, Some(22)));
        drop(second);
        assert!(names.is_empty());
    });
}
