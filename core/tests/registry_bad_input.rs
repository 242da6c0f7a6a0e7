//! What nobody should ask for, and somebody will: each is refused or works, and nothing is left behind.

#![cfg(feature = "alloc")]

use bedplate_core::id::Pid;
use bedplate_core::registry::groups::{EpochGroups, JoinError};
use bedplate_core::registry::{
    EpochRegistry, FixedRegistry, Handle, LARGEST_FEED, News, Owner, RegisterError, SpinLock,
};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasherDefault, Hash, Hasher, RandomState};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

fn panics<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(f()))).is_err()
}

#[test]
fn a_registry_for_no_entries_refuses_all() {
    let registry = EpochRegistry::<String, String, _>::builder(RandomState::new())
        .limit(0)
        .feed(8)
        .expect("not too large")
        .build();
    let handle = registry.handle();
    let guard = handle.pin();
    let mut changes = guard.changes().expect("there is a feed");
    let mut owner = registry.owner(pid(1));
    let texts = || ("key".repeat(20), "value".repeat(20));
    for attempt in 0..3 {
        let (key, value) = texts();
        let refused = match attempt {
            0 => owner.register(&guard, key, value).map(drop),
            1 => owner.take_over(&guard, key, value).map(drop),
            _ => owner.get_or_register(&guard, key, value).map(drop),
        };
        let Err(RegisterError::Full { limit, key, value }) = refused else {
            panic!("there is no room");
        };
        assert_eq!((limit, (key, value)), (0, texts()));
    }
    assert!(registry.is_empty() && changes.next(&guard).is_none());
}

#[test]
fn groups_for_no_members_refuse_all() {
    let groups = EpochGroups::<String, u8, _>::with_limit_and_hasher(0, RandomState::new());
    let handle = groups.handle();
    let guard = handle.pin();
    let mut member = groups.member(pid(1));
    match member.join(&guard, "topic".to_owned(), 1) {
        Err(JoinError::Full { limit, key, value }) => {
            assert_eq!((limit, key.as_str(), value), (0, "topic", 1));
        }
        other => panic!("there is no room: {other:?}"),
    }
    assert_eq!((groups.len(), guard.groups().count()), (0, 0));
}

/// It has room for one.
#[test]
fn a_feed_for_no_changes_tells_the_last_one() {
    let registry = EpochRegistry::<u8, u8, _>::builder(RandomState::new())
        .feed(0)
        .expect("not too large")
        .build();
    let handle = registry.handle();
    let guard = handle.pin();
    let mut changes = guard.changes().expect("there is a feed");
    let mut owner = registry.owner(pid(1));
    for key in 0..3 {
        owner.register(&guard, key, key).expect("free");
    }
    let lost = changes.next(&guard);
    assert!(
        matches!(lost, Some(News::Lost { from: 1, to: 2 })),
        "{lost:?}"
    );
    let last = changes.next(&guard);
    assert!(
        matches!(last, Some(News::Change(change)) if *change.key == 2),
        "{last:?}"
    );
    assert!(changes.next(&guard).is_none());
}

/// It once became one that had room for none, where numbers do not overflow but wrap around; panicked; or aborted
/// the process, where memory could not hold what numbers could count.
#[test]
fn a_feed_for_more_than_there_can_be_is_refused_at_once() {
    let too_large = [
        usize::MAX,
        usize::MAX / 2 + 2,
        usize::MAX / 2,
        1 << (usize::BITS - 24),
        LARGEST_FEED + 1,
    ];
    for capacity in too_large {
        let builder = EpochRegistry::<u8, u8, _>::builder(RandomState::new());
        let refused = builder.feed(capacity).map(drop);
        assert_eq!(
            refused.map_err(|refused| refused.limit),
            Err(LARGEST_FEED),
            "{capacity}"
        );
    }
}

#[derive(Default)]
struct Constant;

impl Hasher for Constant {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}

type Hashed = BuildHasherDefault<Constant>;

/// With one hash for all, everything works, slowly, up to some 65,000 keys; then another is refused, until one is
/// given up. In debug builds this is asked of the first 2,000, and how it ends only where it is optimized.
#[test]
fn one_hash_for_all_keys_is_slow_and_right() {
    let registry = EpochRegistry::<u32, u32, Hashed>::with_hasher(Hashed::default());
    let handle = registry.handle();
    let guard = handle.pin();
    let mut owner = registry.owner(pid(1));
    let most = if cfg!(debug_assertions) {
        2_000
    } else {
        70_000
    };
    let mut count = 0;
    for key in 0..most {
        match owner.register(&guard, key, key) {
            Ok(_) => count += 1,
            Err(RegisterError::TooManyCollisions {
                key: refused,
                value,
            }) => {
                assert_eq!((refused, value), (key, key));
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(cfg!(debug_assertions) || (65_000..65_536).contains(&count));
    assert_eq!(registry.len(), count as usize);
    for key in (0..count).step_by(count as usize / 50) {
        assert_eq!(guard.lookup(&key).map(|entry| *entry.value()), Some(key));
        owner.update(&guard, &key, |value| value + 1).expect("held");
        assert!(owner.unregister(&guard, &key));
        assert_eq!(guard.whereis(&key), None);
        owner.register(&guard, key, key).expect("there is room");
    }
    let mut listed: Vec<_> = guard.iter().map(|entry| *entry.key()).collect();
    listed.sort_unstable();
    assert!(listed.into_iter().eq(0..count), "each once");
    drop(owner);
    assert!(registry.is_empty() && guard.iter().next().is_none());
}

/// Ten million; in debug builds, 200,000. Memory is what one of them needs.
#[test]
fn owners_come_and_go_without_a_trace() {
    const OWNERS: u32 = if cfg!(debug_assertions) {
        200_000
    } else {
        10_000_000
    };
    let registry = EpochRegistry::<u32, Box<u32>, _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let begin = |number: u32| {
        let mut owner = registry.owner(pid(number % 1_000));
        if number.is_multiple_of(10) {
            let registered = owner.register(&handle.pin(), number, Box::new(number));
            registered.expect("free");
        }
        owner
    };
    drop(begin(0));
    let before = registry.memory();
    for number in 1..OWNERS {
        drop(begin(number));
    }
    let after = registry.memory();
    assert!(registry.is_empty());
    assert_eq!(
        (before.entries_bytes, before.index_bytes),
        (after.entries_bytes, after.index_bytes)
    );
    assert!(after.retired < 10_000, "{after:?}");
}

thread_local! {
    static PANICS: Cell<bool> = const { Cell::new(false) };
}

/// A key whose `Eq` panics, while it is told to.
#[derive(Debug, Clone)]
struct Touchy(u32);

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        assert!(!PANICS.get(), "touched");
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn keys_that_panic_when_compared_change_nothing() {
    let registry = EpochRegistry::<Box<Touchy>, u32, Hashed>::builder(Hashed::default())
        .limit(3)
        .feed(64)
        .expect("not too large")
        .build();
    let handle = registry.handle();
    let (mut one, mut other) = (registry.owner(pid(1)), registry.owner(pid(2)));
    let key = || Box::new(Touchy(1));
    one.register(&handle.pin(), key(), 1).expect("free");
    let before = registry.memory().entries_bytes;
    for _ in 0..1_000 {
        let guard = handle.pin();
        PANICS.set(true);
        assert!(panics(|| guard.whereis(&key()).is_some()));
        assert!(panics(|| other.register(&guard, key(), 2).map(drop)));
        assert!(panics(|| other.take_over(&guard, key(), 2).map(drop)));
        assert!(panics(|| one.update(&guard, &key(), |value| value + 1)));
        assert!(panics(|| one.give_away(&guard, &key(), &mut other)));
        assert!(panics(|| one.unregister(&guard, &key())));
        PANICS.set(false);
        let found = guard.lookup(&key()).map(|entry| *entry.value());
        assert_eq!((found, registry.len()), (Some(1), 1));
    }
    assert_eq!(registry.memory().entries_bytes, before);
    for number in 2..4 {
        let registered = one.register(&handle.pin(), Box::new(Touchy(number)), 1);
        registered.expect("there is room");
    }
    drop((one, other));
    assert!(registry.is_empty());
}

#[test]
fn keys_that_panic_when_compared_join_and_leave_nothing() {
    let groups =
        EpochGroups::<Box<Touchy>, u32, Hashed>::with_limit_and_hasher(3, Hashed::default());
    let handle = groups.handle();
    let (mut one, mut other) = (groups.member(pid(1)), groups.member(pid(2)));
    let key = || Box::new(Touchy(1));
    one.join(&handle.pin(), key(), 1).expect("room");
    let before = (groups.memory().entries_bytes, groups.memory().groups_bytes);
    for _ in 0..1_000 {
        let guard = handle.pin();
        PANICS.set(true);
        assert!(panics(|| guard.count(&key())));
        assert!(panics(|| other.join(&guard, key(), 2).map(drop)));
        assert!(panics(|| other
            .join(&guard, Box::new(Touchy(2)), 2)
            .map(drop)));
        assert!(panics(|| one.leave_all(&guard, &key())));
        assert!(panics(|| one.leave_if(&guard, |_| panic!("condition"))));
        PANICS.set(false);
        assert!(panics(|| guard.dispatch(&key(), |_| panic!("dispatch"))));
        assert_eq!((guard.count(&key()), groups.len()), (1, 1));
    }
    let after = (groups.memory().entries_bytes, groups.memory().groups_bytes);
    assert_eq!(after, before);
    drop((one, other));
    assert!(groups.is_empty());
}

type Again = EpochRegistry<u32, Box<Restless>, RandomState>;

type Agents = (
    Handle<u32, Box<Restless>, RandomState>,
    Owner<u32, Box<Restless>, RandomState>,
);

thread_local! {
    static AGAIN: RefCell<Option<Agents>> = const { RefCell::new(None) };
}

/// A value that registers another one when it is dropped.
struct Restless(u32);

impl Drop for Restless {
    fn drop(&mut self) {
        AGAIN.with(|again| {
            // Not while that is dropped, or registers.
            if let Ok(mut again) = again.try_borrow_mut()
                && let Some((handle, owner)) = &mut *again
                && self.0 > 0
            {
                let _ = owner.register(&handle.pin(), self.0, Box::new(Restless(self.0 - 1)));
            }
        });
    }
}

#[test]
fn a_value_may_register_when_it_is_dropped() {
    let registry = Again::with_hasher(RandomState::new());
    AGAIN.set(Some((registry.handle(), registry.owner(pid(9)))));
    let handle = registry.handle();
    for _ in 0..100 {
        let mut owner = registry.owner(pid(1));
        for key in 100..110 {
            let registered = owner.register(&handle.pin(), key, Box::new(Restless(key - 90)));
            registered.expect("free");
        }
        drop(owner);
        handle.pin().flush();
    }
    assert!(!registry.is_empty(), "some have registered");
    let again = AGAIN.take();
    drop(again);
    assert!(registry.is_empty());
}

#[test]
fn texts_of_any_kind_are_different_keys() {
    let registry = EpochRegistry::<String, usize, _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let guard = handle.pin();
    let mut owner = registry.owner(pid(1));
    let mut keys: Vec<String> = ["", "\0", "\0\0", "a", "a\0", "\0a", "ä", "🦀", "\u{ff}"]
        .map(str::to_owned)
        .to_vec();
    for length in [7, 8, 9, 38, 39, 40, 41, 254, 255, 256, 1 << 20] {
        keys.push("x".repeat(length));
        keys.push("\0".repeat(length));
        keys.push(format!("{}y", "x".repeat(length - 1)));
    }
    for (number, key) in keys.iter().enumerate() {
        owner.register(&guard, key.clone(), number).expect("free");
    }
    for (number, key) in keys.iter().enumerate() {
        let found = guard.lookup(key.as_str()).expect("registered");
        assert_eq!((found.key(), *found.value()), (key.as_str(), number));
        assert!(owner.register(&guard, key.clone(), 0).is_err());
    }
    assert_eq!(guard.iter().count(), keys.len());
    for key in &keys {
        assert!(owner.unregister(&guard, key));
    }
    assert!(registry.is_empty());
}

/// Keys from an iterator that goes on after its end, or panics on the way.
#[test]
fn many_keys_end_where_the_first_ends() {
    let registry = EpochRegistry::<u32, u32, _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    let keys: Vec<u32> = (0..40).collect();
    for &key in &keys {
        owner.register(&handle.pin(), key, key).expect("free");
    }
    let guard = handle.pin();
    let mut asked = 0;
    let interrupted = core::iter::from_fn(|| {
        asked += 1;
        (asked != 4).then(|| &keys[asked - 1])
    });
    assert_eq!(guard.lookup_many(interrupted).count(), 3);
    assert_eq!(asked, 4, "nobody asks on");

    let mut found = Vec::new();
    let mut many = guard.lookup_many(keys.iter().inspect(|key| assert_ne!(**key, 20)));
    while let Ok(Some(entry)) = catch_unwind(AssertUnwindSafe(|| many.next())) {
        found.push(entry.map(|entry| *entry.value()));
    }
    let rest: Vec<_> = many
        .map(|entry| entry.map(|entry| *entry.value()))
        .collect();
    found.extend(rest);
    let mut once = found.clone();
    once.dedup();
    assert_eq!(found, once, "none is answered twice");
    assert_eq!(found[..16], (0..16).map(Some).collect::<Vec<_>>()[..]);
}

#[test]
fn guards_of_others_are_refused() {
    let new = || {
        EpochRegistry::<u8, u8, _>::builder(RandomState::new())
            .feed(4)
            .expect("not too large")
            .build()
    };
    let (one, other) = (new(), new());
    let (mine, theirs) = (one.handle(), other.handle());
    let mut owner = one.owner(pid(1));
    let registration = owner.register(&mine.pin(), 1, 1).expect("free");
    let mut changes = mine.pin().changes().expect("there is a feed");
    let guard = theirs.pin();
    assert!(panics(|| owner.register(&guard, 2, 2).map(drop)));
    assert!(panics(|| owner.take_over(&guard, 1, 2).map(drop)));
    assert!(panics(|| owner.update(&guard, &1, |_| 2)));
    assert!(panics(|| owner.unregister(&guard, &1)));
    assert!(panics(|| owner.release(&guard, registration)));
    assert!(panics(|| owner.unregister_if(&guard, |_| true)));
    assert!(panics(|| owner.entries(&guard).count()));
    assert!(panics(|| changes.next(&guard).is_some()));
    assert!(panics(|| changes.skip(&guard)));
    let mut stranger = other.owner(pid(2));
    assert!(panics(|| owner.give_away(&mine.pin(), &1, &mut stranger)));
    assert_eq!((one.len(), other.len()), (1, 0));
    assert_eq!(mine.pin().whereis(&1), Some(pid(1)));
}

/// The same hasher, process, key, and number in each: with nothing but those, one would stand for the other.
#[test]
fn a_registration_in_another_registry_is_the_proof_of_nothing() {
    let new = || EpochRegistry::<u32, u32, Hashed>::with_hasher(Hashed::default());
    let (one, other) = (new(), new());
    let (mine, theirs) = (one.handle(), other.handle());
    let (mut owner, mut stranger) = (one.owner(pid(1)), other.owner(pid(1)));
    let registration = owner.register(&mine.pin(), 1, 1).expect("free");
    let theirs_alike = stranger.register(&theirs.pin(), 1, 1).expect("free");
    assert_ne!(registration, theirs_alike);
    let guard = mine.pin();
    let seen = guard.lookup(&1).map(|entry| entry.registration());
    assert_eq!(seen, Some(registration));
    assert!(!stranger.release(&theirs.pin(), registration));
    assert!(!owner.release(&guard, theirs_alike));
    assert_eq!((one.len(), other.len()), (1, 1));
    assert!(owner.release(&guard, registration) && stranger.release(&theirs.pin(), theirs_alike));
}

#[test]
fn a_registration_in_another_fixed_registry_is_the_proof_of_nothing() {
    let new = FixedRegistry::<u32, u32, 4, SpinLock>::new;
    let (one, other) = (new(), new());
    let (mut owner, mut stranger) = (one.owner(pid(1)), other.owner(pid(1)));
    let registration = owner.register(1, 1).expect("free");
    let theirs_alike = stranger.register(1, 1).expect("free");
    assert_ne!(registration, theirs_alike);
    assert!(!stranger.release(registration) && !owner.release(theirs_alike));
    assert_eq!((one.len(), other.len()), (1, 1));
    assert!(owner.release(registration) && stranger.release(theirs_alike));
}

#[test]
fn a_membership_of_other_groups_is_the_proof_of_nothing() {
    let new = || EpochGroups::<u32, u32, Hashed>::with_hasher(Hashed::default());
    let (one, other) = (new(), new());
    let (mine, theirs) = (one.handle(), other.handle());
    let (mut member, mut stranger) = (one.member(pid(1)), other.member(pid(1)));
    let membership = member.join(&mine.pin(), 1, 1).expect("there is room");
    let theirs_alike = stranger.join(&theirs.pin(), 1, 1).expect("there is room");
    assert_ne!(membership, theirs_alike);
    let guard = mine.pin();
    let seen = guard.members(&1).next().map(|entry| entry.membership());
    assert_eq!(seen, Some(membership));
    assert!(!stranger.leave(&theirs.pin(), membership));
    assert!(!member.leave(&guard, theirs_alike));
    assert_eq!((one.len(), other.len()), (1, 1));
    assert!(member.leave(&guard, membership) && stranger.leave(&theirs.pin(), theirs_alike));
}
