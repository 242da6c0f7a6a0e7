//! Limits that nobody reaches by registering one by one.

use crate::id::Pid;
use crate::registry::groups::{EpochGroups, JoinError};
use crate::registry::{EpochRegistry, RegisterError};
use alloc::boxed::Box;
use alloc::string::ToString;
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
    // What is there can be changed all the same, and gives room when it goes.
    let mut other = registry.owner(OTHER);
    assert!(matches!(
        other.take_over(&guard, 0, Box::new(1)),
        Ok(Some(_))
    ));
    assert_eq!(owner.update(&guard, &1, |_| Box::new(1)), Ok(()));
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
