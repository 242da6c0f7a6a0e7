//! Limits that nobody reaches by registering one by one.

use crate::id::Pid;
use crate::registry::groups::{EpochGroups, JoinError};
use crate::registry::{
    EpochRegistry, GiveAwayError, RegisterError, RegisterManyError, UpdateError,
};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::hash::{BuildHasherDefault, Hasher};
use core::num::NonZeroU32;

#[derive(Default)]
struct Constant;

impl Hasher for Constant {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}

type OneHash = BuildHasherDefault<Constant>;

const ONE: Pid = Pid::new(1, NonZeroU32::MIN);
const OTHER: Pid = Pid::new(2, NonZeroU32::MIN);

#[test]
fn too_many_keys_of_one_hash_are_refused_as_such() {
    let registry = EpochRegistry::<u32, Box<u32>, _>::with_hasher(OneHash::default());
    registry.shared.index.leave_overflow(1);
    let (handle, mut owner) = (registry.handle(), registry.owner(ONE));
    let guard = handle.pin();
    let refused = (0..)
        .find_map(|key| owner.register(&guard, key, Box::new(key)).err())
        .expect("there is a limit");
    assert_eq!(refused.to_string(), "too many keys have the same hash");
    let RegisterError::TooManyCollisions { key, value } = refused else {
        panic!("{refused}");
    };
    assert_eq!((registry.len(), *value), (key as usize, key));
    for attempt in 0..3 {
        let refused = match attempt {
            0 => owner.take_over(&guard, key, Box::new(1)).map(drop),
            1 => {
                let taken = owner.take_over_if(&guard, key, Box::new(1), |_| true);
                taken.map(drop)
            }
            _ => owner.get_or_register(&guard, key, Box::new(1)).map(drop),
        };
        let (key_back, value) = refused.expect_err("no room").into_inner();
        assert_eq!((key_back, *value), (key, 1));
    }
    let pairs = alloc::vec![(key + 1, Box::new(1)), (key + 2, Box::new(2))];
    let refused = owner.register_many(&guard, pairs).expect_err("no room");
    assert!(matches!(
        refused,
        RegisterManyError::TooManyCollisions { at: 0, .. }
    ));
    assert_eq!(refused.into_inner().len(), 2);
    assert_eq!(registry.len(), key as usize);
    // What is there can be changed all the same, and gives room when it goes.
    let mut other = registry.owner(OTHER);
    assert!(matches!(
        other.take_over(&guard, 0, Box::new(1)),
        Ok(Some(_))
    ));
    assert!(owner.update(&guard, &1, |_| Box::new(1)).is_ok());
    assert!(other.unregister(&guard, &0));
    assert!(owner.register(&guard, key, Box::new(1)).is_ok());
}

#[test]
fn too_many_groups_of_one_hash_are_refused_as_such() {
    let groups = EpochGroups::<u32, u32, _>::with_hasher(OneHash::default());
    groups.leave_overflow(1);
    let (handle, mut member) = (groups.handle(), groups.member(ONE));
    let guard = handle.pin();
    let refused = (0..)
        .find_map(|key| member.join(&guard, key, key).err())
        .expect("there is a limit");
    let JoinError::TooManyCollisions { key, value } = refused else {
        panic!("{refused}");
    };
    assert_eq!((groups.len(), value), (key as usize, key));
    assert!(member.join(&guard, 0, 1).is_ok(), "there is a group");
    assert_eq!(member.leave_all(&guard, &0), 2);
    assert!(member.join(&guard, key, key).is_ok());
}

/// An update, and giving away, needs a place beside that of the entry. It was once told as if the key were not
/// held.
#[test]
fn a_value_that_finds_no_place_comes_back() {
    let registry = EpochRegistry::<u32, Box<u32>, _>::with_hasher(OneHash::default());
    let (handle, mut owner) = (registry.handle(), registry.owner(ONE));
    let (guard, mut other) = (handle.pin(), registry.owner(OTHER));
    owner.register(&guard, 0, Box::new(0)).expect("free");
    owner.register(&guard, 1, Box::new(1)).expect("free");
    registry.shared.slab.use_up();
    // The owner may have kept some.
    let refused = (2..)
        .find_map(|key| owner.register(&guard, key, Box::new(key)).err())
        .expect("there is a limit");
    let RegisterError::Full { limit, key, value } = refused else {
        panic!("{refused}");
    };
    assert_eq!(*value, key);
    let refused = owner.update(&guard, &0, |value| Box::new(value + 7));
    let Err(UpdateError::Full { limit: same, value }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((same, *value), (limit, 7));
    assert_eq!(
        owner.give_away(&guard, &0, &mut other),
        Err(GiveAwayError::Full { limit })
    );
    assert_eq!(guard.lookup(&0).map(|entry| *entry.value()), Some(0));
    let not_held = other.update(&guard, &0, |_| unreachable!("another's"));
    assert_eq!(not_held, Err(UpdateError::NotHeld { value: None }));
    // One gives room for one.
    assert!(owner.unregister(&guard, &1));
    assert!(
        owner
            .update(&guard, &0, |value| Box::new(value + 7))
            .is_ok()
    );
    let held: Vec<_> = owner.entries(&guard).map(|entry| *entry.value()).collect();
    assert_eq!((held.len(), held[0]), (key as usize - 1, 7));
}

/// Whoever loses the key to another while its new value is made gets that back.
#[test]
fn a_value_for_a_key_that_was_taken_over_comes_back() {
    let registry = EpochRegistry::<u32, Box<u32>, _>::with_hasher(OneHash::default());
    let (handle, mut owner) = (registry.handle(), registry.owner(ONE));
    let (guard, mut other) = (handle.pin(), registry.owner(OTHER));
    owner.register(&guard, 0, Box::new(0)).expect("free");
    let refused = owner.update(&guard, &0, |_| {
        let taken = other.take_over(&guard, 0, Box::new(1));
        assert!(matches!(taken, Ok(Some(_))));
        Box::new(2)
    });
    let value = Some(Box::new(2));
    assert_eq!(refused, Err(UpdateError::NotHeld { value }));
    assert_eq!(guard.lookup(&0).map(|entry| *entry.value()), Some(1));
}

/// What others have taken over is forgotten a part at a time, and in time.
#[test]
fn a_name_that_is_fought_over_costs_a_large_owner_no_more_than_its_list_again() {
    const OWN: u32 = 1_000;
    let registry =
        EpochRegistry::<u32, u32, _>::with_hasher(BuildHasherDefault::<Identity>::default());
    let handle = registry.handle();
    let (mut large, mut small) = (registry.owner(ONE), registry.owner(OTHER));
    let guard = handle.pin();
    for key in 1..=OWN {
        large.register(&guard, key, key).expect("free");
    }
    let mut longest = (0, 0);
    for round in 0..20_000 {
        large.take_over(&guard, 0, round).expect("there is room");
        small.take_over(&guard, 0, round).expect("there is room");
        longest = (
            longest.0.max(large.held.len()),
            longest.1.max(small.held.len()),
        );
    }
    assert!(longest.0 <= 2 * OWN as usize + 64, "{longest:?}");
    assert!(longest.1 <= 8, "{longest:?}");
    // It has no more room for what is not its own because it had more names once.
    for key in OWN + 1..=10 * OWN {
        small.register(&guard, key, key).expect("free");
    }
    for key in OWN + 1..=10 * OWN {
        small.unregister(&guard, &key);
    }
    for round in 0..20_000 {
        large.take_over(&guard, 0, round).expect("there is room");
        small.take_over(&guard, 0, round).expect("there is room");
        assert!(small.held.len() <= 1_100, "{}", small.held.len());
    }
    assert_eq!(
        (registry.len(), large.entries(&guard).count()),
        (OWN as usize + 1, OWN as usize)
    );
}

#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u32(&mut self, value: u32) {
        self.0 = value.into();
    }
}
