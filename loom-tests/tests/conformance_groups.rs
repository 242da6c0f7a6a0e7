//! Behaviour taken from the test suite of Elixir's Registry with duplicate keys, shown by the groups. The
//! numbers are those of the project's list of conformance cases.
//!
//! Where ours differs on purpose, the test says so. Cases of pattern matching are closures here. Not here, for
//! want of what they are about: listeners (R47). Parallel dispatch (R37) is tested where there are threads:
//! `std/tests/dispatch_in_parallel.rs`; its serial half is here.

use bedplate_core::id::Pid;
use bedplate_core::registry::groups::{EpochGroups, Guard, Handle, Member};
use core::num::NonZeroU32;
use loom_tests::subject::Mix;
use std::hash::BuildHasherDefault;
use std::thread;

type Hashing = BuildHasherDefault<Mix>;
type Topics = EpochGroups<&'static str, u32, Hashing>;

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

fn topics() -> (Topics, Handle<&'static str, u32, Hashing>) {
    let topics = Topics::with_hasher(Hashing::default());
    let handle = topics.handle();
    (topics, handle)
}

fn join(
    handle: &Handle<&'static str, u32, Hashing>,
    member: &mut Member<&'static str, u32, Hashing>,
    key: &'static str,
    value: u32,
) {
    member
        .join(&handle.pin(), key, value)
        .expect("there is room");
}

fn members(guard: &Guard<'_, &'static str, u32, Hashing>, key: &str) -> Vec<(Pid, u32)> {
    let members = guard
        .members(key)
        .map(|entry| (entry.owner(), *entry.value()));
    let mut members: Vec<_> = members.collect();
    members.sort_unstable();
    members
}

fn own(
    handle: &Handle<&'static str, u32, Hashing>,
    member: &Member<&'static str, u32, Hashing>,
) -> Vec<(String, u32)> {
    let guard = handle.pin();
    let own = member
        .entries(&guard)
        .map(|entry| (entry.key().to_owned(), *entry.value()));
    let mut own: Vec<_> = own.collect();
    own.sort();
    own
}

#[test]
fn r19_dispatch_calls_back_with_exactly_the_one_entry() {
    let (topics, handle) = topics();
    let mut me = topics.member(pid(1));
    join(&handle, &mut me, "hello", 10);
    let mut calls = Vec::new();
    let many = handle.pin().dispatch("hello", |entry| {
        calls.push((entry.key().to_owned(), entry.owner(), *entry.value()));
    });
    assert_eq!(many, 1);
    assert_eq!(calls, [("hello".to_owned(), pid(1), 10)]);
}

#[test]
fn r34_two_owners_under_one_key_each_see_only_their_own() {
    let (topics, handle) = topics();
    let (mut me, mut other) = (topics.member(pid(1)), topics.member(pid(2)));
    join(&handle, &mut me, "hello", 10);
    join(&handle, &mut other, "hello", 20);
    assert_eq!(own(&handle, &me), [("hello".to_owned(), 10)]);
    assert_eq!(own(&handle, &other), [("hello".to_owned(), 20)]);
    assert_eq!(
        members(&handle.pin(), "hello"),
        [(pid(1), 10), (pid(2), 20)]
    );
}

#[test]
fn r35_count_counts_entries_and_not_keys() {
    let (topics, handle) = topics();
    let (mut me, mut other) = (topics.member(pid(1)), topics.member(pid(2)));
    assert_eq!(topics.len(), 0);
    join(&handle, &mut me, "hello", 10);
    join(&handle, &mut me, "hello", 11);
    join(&handle, &mut other, "world", 20);
    assert_eq!(topics.len(), 3);
    assert_eq!(handle.pin().groups().count(), 2);
}

/// The half of R37 that needs no threads: serial dispatch runs in the caller, and never for an empty key.
#[test]
fn r37_serial_dispatch_runs_in_the_caller_and_not_for_an_empty_key() {
    let (topics, handle) = topics();
    let mut me = topics.member(pid(1));
    let guard = handle.pin();
    assert_eq!(guard.dispatch("hello", |_| panic!("nobody is there")), 0);
    join(&handle, &mut me, "hello", 10);
    let here = thread::current().id();
    let many = guard.dispatch("hello", |_| assert_eq!(thread::current().id(), here));
    assert_eq!(many, 1);
    assert_eq!(me.leave_all(&guard, "hello"), 1);
    assert_eq!(guard.dispatch("hello", |_| panic!("nobody is there")), 0);
}

#[test]
fn r38_leaving_a_key_ends_all_own_memberships_of_it() {
    let (topics, handle) = topics();
    let (mut me, mut other) = (topics.member(pid(1)), topics.member(pid(2)));
    join(&handle, &mut me, "a", 1);
    join(&handle, &mut me, "a", 2);
    join(&handle, &mut me, "b", 3);
    join(&handle, &mut other, "a", 4);
    assert_eq!(me.leave_all(&handle.pin(), "a"), 2);
    assert_eq!(own(&handle, &me), [("b".to_owned(), 3)]);
    assert_eq!(members(&handle.pin(), "a"), [(pid(2), 4)]);
    assert_eq!(me.leave_all(&handle.pin(), "a"), 0);
    // And one of several, which Elixir cannot say.
    let one = me.join(&handle.pin(), "b", 5).expect("there is room");
    assert!(me.leave(&handle.pin(), one));
    assert_eq!(own(&handle, &me), [("b".to_owned(), 3)]);
}

#[test]
fn r40_leaving_by_condition_ends_only_what_it_holds_for() {
    let (topics, handle) = topics();
    let (mut me, mut other) = (topics.member(pid(1)), topics.member(pid(2)));
    join(&handle, &mut me, "hello", 1);
    join(&handle, &mut me, "hello", 2);
    join(&handle, &mut other, "hello", 2);
    let left = me.leave_if(&handle.pin(), |entry| {
        entry.key() == "hello" && *entry.value() == 2
    });
    assert_eq!(left, 1);
    assert_eq!(members(&handle.pin(), "hello"), [(pid(1), 1), (pid(2), 2)]);
    join(&handle, &mut me, "hello", 2);
    assert_eq!(
        me.leave_if(&handle.pin(), |entry| entry.key() == "hello"),
        2
    );
    assert_eq!(own(&handle, &me), []);
    assert_eq!(members(&handle.pin(), "hello"), [(pid(2), 2)], "another's");
}

/// R41: keys are compared, never matched: one that looks like a pattern in Elixir is only itself.
#[test]
fn r41_every_key_is_only_itself() {
    #[derive(PartialEq, Eq, Hash)]
    struct Topic {
        scope: &'static str,
        name: &'static str,
        options: Vec<(&'static str, u8)>,
    }
    let topic = |scope, options: &[(&'static str, u8)]| Topic {
        scope,
        name: "topic",
        options: options.to_vec(),
    };
    let groups = EpochGroups::<Box<Topic>, u32, _>::with_hasher(Hashing::default());
    let handle = groups.handle();
    let mut me = groups.member(pid(1));
    let keys = [
        topic("_", &[]),
        topic("other", &[]),
        topic("_", &[("a", 1)]),
        topic("_", &[("a", 1), ("b", 2)]),
    ];
    for (value, key) in (0..).zip(&keys) {
        let key = topic(key.scope, &key.options);
        me.join(&handle.pin(), Box::new(key), value)
            .expect("there is room");
    }
    let guard = handle.pin();
    for (value, key) in (0..).zip(&keys) {
        let found: Vec<u32> = guard.members(key).map(|entry| *entry.value()).collect();
        assert_eq!((found, guard.count(key)), (vec![value], 1), "{}", key.name);
    }
    assert_eq!(me.leave_all(&guard, &keys[0]), 1);
    assert_eq!(groups.len(), 3);
}

/// R43: Elixir refuses to update a value under duplicate keys. Here there is no operation to refuse: a value
/// stays what it was joined with, and another value is another membership.
#[test]
fn r43_a_value_stays_what_it_was_joined_with() {
    let (topics, handle) = topics();
    let mut me = topics.member(pid(1));
    let first = me.join(&handle.pin(), "hello", 1).expect("there is room");
    join(&handle, &mut me, "hello", 2);
    assert_eq!(members(&handle.pin(), "hello"), [(pid(1), 1), (pid(1), 2)]);
    assert!(me.leave(&handle.pin(), first));
    assert_eq!(members(&handle.pin(), "hello"), [(pid(1), 2)]);
}

/// R44: Elixir raises where a duplicate registry is used to address one process by name. Here a group cannot be
/// asked *who it is*: it has no `whereis` and is no [`EpochRegistry`](bedplate_core::registry::EpochRegistry),
/// so the mistake does not compile. What it answers is a set, also when that has one element.
#[test]
fn r44_a_group_is_never_one_process() {
    let (topics, handle) = topics();
    let mut me = topics.member(pid(1));
    join(&handle, &mut me, "hello", 1);
    let guard = handle.pin();
    let group = guard.group("hello").expect("somebody is in it");
    assert_eq!(group.count(), 1);
    assert_eq!(
        group
            .members()
            .map(|entry| entry.owner())
            .collect::<Vec<_>>(),
        [pid(1)]
    );
}

/// R46: selection is Rust's own, so no key is a wildcard.
#[test]
fn r46_selecting_by_a_key_that_looks_like_a_wildcard() {
    let (topics, handle) = topics();
    let (mut me, mut other) = (topics.member(pid(1)), topics.member(pid(2)));
    join(&handle, &mut me, "_", 1);
    join(&handle, &mut other, "_", 2);
    join(&handle, &mut me, "a", 3);
    let guard = handle.pin();
    let selected = guard.iter().filter(|entry| entry.key() == "_");
    let mut values: Vec<_> = selected.map(|entry| *entry.value()).collect();
    values.sort_unstable();
    assert_eq!(values, [1, 2]);
    assert_eq!(guard.count("_"), 2, "counting agrees");
}
