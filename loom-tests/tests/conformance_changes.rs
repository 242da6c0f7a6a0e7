//! Listeners, followers and subscriptions of Elixir's Registry and gproc, as the feed of an
//! `EpochRegistry` has them: one stream of all changes, which a follower filters.
//!
//! R47 is about listeners of a registry with duplicate keys; its other half, that each change is told once,
//! is in R22. R94 and the *failover* of R95 are a supervisor's: here a standby is whoever registers next.

use bedplate_core::id::Pid;
use bedplate_core::registry::{Changes, EpochRegistry, Guard, News, Reason};
use core::hash::BuildHasherDefault;
use core::num::NonZeroU32;
use loom_tests::subject::{Event, Key, Mix, Value};

type Hash = BuildHasherDefault<Mix>;
type Names = EpochRegistry<Key, Value, Hash>;

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

fn names() -> Names {
    Names::builder(Hash::default())
        .feed(64)
        .expect("not too large")
        .build()
}

/// What happened to `key`, with which value and whose it is or was, since this was last asked.
fn heard(
    changes: &mut Changes<Key, Value, Hash>,
    guard: &Guard<'_, Key, Value, Hash>,
    key: Option<Key>,
) -> Vec<(Reason, Key, Value, Pid)> {
    let mut heard = Vec::new();
    while let Some(news) = changes.next(guard) {
        let News::Change(change) = news else {
            panic!("nothing was lost, and nobody is in the middle of a change: {news:?}");
        };
        let Event {
            reason,
            key: of,
            value,
            owner,
            ..
        } = Event::from(&change);
        if key.is_none_or(|key| key == of) {
            heard.push((reason, of, value, owner));
        }
    }
    heard
}

#[test]
fn r22_a_listener_is_told_of_each_change_once() {
    let registry = names();
    let handle = registry.handle();
    let guard = handle.pin();
    let mut changes = guard.changes().expect("there is a feed");
    let (mut me, mut other) = (registry.owner(pid(1)), registry.owner(pid(2)));
    other.register(&guard, 2, 20).expect("free");
    me.register(&guard, 1, 10).expect("free");
    assert!(me.register(&guard, 2, 11).is_err());
    assert!(me.unregister(&guard, &1));
    assert!(!me.unregister(&guard, &1));
    let expected = [
        (Reason::Registered, 2, 20, pid(2)),
        (Reason::Registered, 1, 10, pid(1)),
        (Reason::Unregistered, 1, 10, pid(1)),
    ];
    assert_eq!(heard(&mut changes, &guard, None), expected);
    assert_eq!(heard(&mut changes, &guard, None), []);
}

/// R95: following one name.
#[test]
fn r95_a_name_is_followed_from_holder_to_holder() {
    let registry = names();
    let handle = registry.handle();
    let guard = handle.pin();
    let mut changes = guard.changes().expect("there is a feed");
    assert_eq!(guard.whereis(&1), None, "it is free at first");
    let (mut first, mut standby) = (registry.owner(pid(1)), registry.owner(pid(2)));
    first.register(&guard, 1, 10).expect("free");
    first.register(&guard, 2, 20).expect("free");
    drop(first);
    standby.register(&guard, 1, 11).expect("free again");
    let expected = [
        (Reason::Registered, 1, 10, pid(1)),
        (Reason::OwnerDied, 1, 10, pid(1)),
        (Reason::Registered, 1, 11, pid(2)),
    ];
    assert_eq!(heard(&mut changes, &guard, Some(1)), expected);
}

#[test]
fn r97_one_of_two_followers_goes_and_the_other_is_told() {
    let registry = names();
    let handle = registry.handle();
    let guard = handle.pin();
    let gone = guard.changes().expect("there is a feed");
    let mut left = guard.changes().expect("there is a feed");
    drop(gone);
    let mut me = registry.owner(pid(1));
    me.register(&guard, 1, 10).expect("free");
    let expected = [(Reason::Registered, 1, 10, pid(1))];
    assert_eq!(heard(&mut left, &guard, None), expected);
}

/// R98: the initial state, then each change, in order.
#[test]
fn r98_a_lasting_subscription() {
    let registry = names();
    let handle = registry.handle();
    let guard = handle.pin();
    let [mut first, mut second, mut third] = [1, 2, 3].map(|slot| registry.owner(pid(slot)));
    first.register(&guard, 1, 10).expect("free");
    let mut changes = guard.changes().expect("there is a feed");
    let state: Vec<_> = guard
        .iter()
        .map(|entry| (*entry.key(), entry.owner()))
        .collect();
    assert_eq!(state, [(1, pid(1))]);
    first.give_away(&guard, &1, &mut second).expect("held");
    third.take_over(&guard, 1, 11).expect("no limit");
    third.update(&guard, &1, |value| value + 1).expect("held");
    drop(third);
    let expected = [
        (Reason::GivenAway { from: pid(1) }, 1, 10, pid(2)),
        (Reason::TakenOver { from: pid(2) }, 1, 11, pid(3)),
        (Reason::Updated, 1, 12, pid(3)),
        (Reason::OwnerDied, 1, 12, pid(3)),
    ];
    assert_eq!(heard(&mut changes, &guard, None), expected);
}

#[test]
fn a_registry_without_a_feed_has_no_followers() {
    let registry = Names::with_hasher(Hash::default());
    assert!(registry.handle().pin().changes().is_none());
    let audited = Names::builder(Hash::default()).audit(|_| {}).build();
    assert!(audited.handle().pin().changes().is_none());
}
