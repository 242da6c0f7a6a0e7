//! Models of the groups, over the real crossbeam-epoch.
//!
//! Values are [`Tracked`], as in the models of the registry: they count themselves in and out, and hold one of
//! loom's cells, so that a read after one was freed, or before it was initialised, is seen.

#[cfg(bedplate_loom)]
use loom::{cell::UnsafeCell, sync::Arc, sync::atomic::AtomicUsize};
#[cfg(not(bedplate_loom))]
use std::sync::{Arc, atomic::AtomicUsize};

use bedplate_core::id::Pid;
use bedplate_core::registry::groups::{EpochGroups, Handle, Member};
use core::hash::BuildHasherDefault;
use core::num::NonZeroU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use loom_tests::subject::Halves;
use loom_tests::{check, check_deeply, thread, with_room};

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

type Topics<V> = EpochGroups<u8, V, BuildHasherDefault<Halves>>;
type TopicsHandle<V> = Handle<u8, V, BuildHasherDefault<Halves>>;
type TopicsMember<V> = Member<u8, V, BuildHasherDefault<Halves>>;

/// The topic of the models.
const TOPIC: u8 = 7;

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// Groups of plain numbers, for models of who is where.
#[derive(Clone)]
struct Plain {
    groups: Topics<u32>,
}

impl Plain {
    fn new() -> Self {
        let groups = with_room(|| Topics::with_hasher(BuildHasherDefault::default()));
        Self { groups }
    }

    fn handle(&self) -> TopicsHandle<u32> {
        self.groups.handle()
    }

    /// A member of the topic, with its own number as the value.
    fn joined(&self, handle: &TopicsHandle<u32>, slot: u32) -> TopicsMember<u32> {
        let mut member = self.groups.member(pid(slot));
        let joined = member.join(&handle.pin(), TOPIC, slot);
        joined.expect("there is room");
        member
    }

    /// A member that was in the topic and left it, so that it has what it needs to join again.
    fn idle(&self, handle: &TopicsHandle<u32>, slot: u32) -> TopicsMember<u32> {
        let mut member = self.joined(handle, slot);
        assert_eq!(member.leave_all(&handle.pin(), &TOPIC), 1);
        member
    }

    /// Who is in the topic, each with its own value, and as many as are counted.
    fn assert_members(&self, handle: &TopicsHandle<u32>, expected: &[u32]) {
        let guard = handle.pin();
        assert_eq!(listed(&guard.members(&TOPIC).collect::<Vec<_>>()), expected);
        assert_eq!(guard.count(&TOPIC), expected.len());
        assert_eq!(self.groups.len(), expected.len());
        let groups = guard.groups().count();
        assert_eq!(groups, usize::from(!expected.is_empty()));
    }

    /// The end of every model: nobody is anywhere, and there is no group.
    fn at_rest(self) {
        let handle = self.handle();
        self.assert_members(&handle, &[]);
    }
}

fn listed(entries: &[bedplate_core::registry::groups::Entry<'_, u8, u32>]) -> Vec<u32> {
    let mut numbers: Vec<_> = entries
        .iter()
        .map(|entry| {
            assert_eq!(
                entry.owner(),
                pid(*entry.value()),
                "nobody has another's value"
            );
            *entry.value()
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// [I2, G1, G2] Two join a topic nobody is in: there is one group, and both are in it.
#[test]
fn join_against_join() {
    check_deeply(3, || {
        let scene = Plain::new();
        let handle = scene.handle();
        let (mut mine, mut their) = (scene.idle(&handle, 0), scene.idle(&handle, 1));
        let theirs = scene.clone();
        let other = thread::spawn(move || {
            let joined = their.join(&theirs.handle().pin(), TOPIC, 1);
            joined.expect("there is room");
            their
        });
        mine.join(&handle.pin(), TOPIC, 0).expect("there is room");
        let their = other.join().expect("no panic");
        scene.assert_members(&handle, &[0, 1]);
        drop(mine);
        scene.assert_members(&handle, &[1]);
        drop((their, handle));
        scene.at_rest();
    });
}

/// [G1, G4] Two join a group that has no lane left: one makes lanes, both get one.
#[test]
fn joins_that_need_lanes() {
    check(|| {
        let scene = Plain::new();
        let handle = scene.handle();
        let first = scene.joined(&handle, 2);
        let theirs = scene.clone();
        let other = thread::spawn(move || theirs.joined(&theirs.handle(), 1));
        let mine = scene.joined(&handle, 0);
        let their = other.join().expect("no panic");
        scene.assert_members(&handle, &[0, 1, 2]);
        drop((first, mine, their, handle));
        scene.at_rest();
    });
}

/// [G1, G3] The last member leaves while somebody joins: that one is in the old group or in a new one, and
/// is found.
#[test]
fn join_against_the_last_leave() {
    check_deeply(3, || {
        let scene = Plain::new();
        let handle = scene.handle();
        let last = scene.joined(&handle, 1);
        let leaving = thread::spawn(move || drop(last));
        let mine = scene.joined(&handle, 0);
        assert_eq!(
            *handle
                .pin()
                .members(&TOPIC)
                .find(|entry| entry.owner() == pid(0))
                .expect("it is there")
                .value(),
            0
        );
        leaving.join().expect("no panic");
        scene.assert_members(&handle, &[0]);
        drop((mine, handle));
        scene.at_rest();
    });
}

/// [G1, G3] Two leave a group at once: exactly one finds itself the last.
#[test]
fn leave_against_leave() {
    check_deeply(4, || {
        let scene = Plain::new();
        let handle = scene.handle();
        let (one, other) = (scene.joined(&handle, 0), scene.joined(&handle, 1));
        let leaving = thread::spawn(move || drop(other));
        drop(one);
        leaving.join().expect("no panic");
        scene.assert_members(&handle, &[]);
        // The group's slot is used again.
        drop(scene.joined(&handle, 2));
        drop(handle);
        scene.at_rest();
    });
}

/// [G3] Two take vacant lanes while a third vacates one: each has a lane of its own.
#[test]
fn vacant_lanes_are_taken_once() {
    check(|| {
        let scene = Plain::new();
        let handle = scene.handle();
        let stays = scene.joined(&handle, 5);
        let (one, two) = (scene.joined(&handle, 3), scene.joined(&handle, 4));
        drop(one); // its lane is vacant
        let theirs = scene.clone();
        let other = thread::spawn(move || {
            let handle = theirs.handle();
            drop(two);
            theirs.joined(&handle, 1)
        });
        let mine = scene.joined(&handle, 0);
        let again = scene.joined(&handle, 2);
        let their = other.join().expect("no panic");
        scene.assert_members(&handle, &[0, 1, 2, 5]);
        drop((stays, mine, again, their, handle));
        scene.at_rest();
    });
}

/// [G3] A lane that was the first of two vacant ones is so again, but the other is taken, when somebody who saw both
/// vacant takes it: nobody gets the other one.
#[test]
fn a_vacant_lane_that_came_back() {
    check(|| {
        let scene = Plain::new();
        let handle = scene.handle();
        let stays = scene.joined(&handle, 0);
        let (mut one, mut two) = (scene.joined(&handle, 1), scene.joined(&handle, 2));
        let mut mine = scene.joined(&handle, 3);
        {
            let guard = handle.pin();
            for member in [&mut one, &mut two, &mut mine] {
                assert_eq!(member.leave_all(&guard, &TOPIC), 1);
            }
        }
        let theirs = scene.clone();
        let other = thread::spawn(move || {
            let handle = theirs.handle();
            let guard = handle.pin();
            one.join(&guard, TOPIC, 1).expect("there is room");
            two.join(&guard, TOPIC, 2).expect("there is room");
            assert_eq!(one.leave_all(&guard, &TOPIC), 1);
            (one, two)
        });
        mine.join(&handle.pin(), TOPIC, 3).expect("there is room");
        let again = scene.joined(&handle, 4);
        let (one, two) = other.join().expect("no panic");
        scene.assert_members(&handle, &[0, 2, 3, 4]);
        drop((stays, mine, again, one, two, handle));
        scene.at_rest();
    });
}

/// [G2, S1] Members come and go while somebody lists: who stays is listed once, and nobody twice, or with
/// another's value, or from another group.
#[test]
fn listing_against_leave_and_join() {
    check_deeply(3, || {
        let scene = Plain::new();
        let handle = scene.handle();
        let stays = scene.joined(&handle, 0);
        let mut moves = scene.joined(&handle, 1);
        let theirs = scene.clone();
        let other = thread::spawn(move || {
            let handle = theirs.handle();
            let guard = handle.pin();
            // Through the same lane and the same slot, and by another group.
            assert_eq!(moves.leave_all(&guard, &TOPIC), 1);
            moves.join(&guard, TOPIC + 1, 99).expect("there is room");
            assert_eq!(moves.leave_all(&guard, &(TOPIC + 1)), 1);
            moves.join(&guard, TOPIC, 1).expect("there is room");
            moves
        });
        {
            let guard = handle.pin();
            let seen = listed(&guard.members(&TOPIC).collect::<Vec<_>>());
            assert!(seen == [0] || seen == [0, 1], "{seen:?}");
        }
        let moved = other.join().expect("no panic");
        scene.assert_members(&handle, &[0, 1]);
        drop((stays, moved, handle));
        scene.at_rest();
    });
}

/// [G1] Whoever learns that a member is gone finds it in no group.
#[test]
fn gone_before_it_is_known() {
    check_deeply(4, || {
        let scene = Plain::new();
        let handle = scene.handle();
        let stays = scene.joined(&handle, 0);
        let goes = scene.joined(&handle, 1);
        let known = Arc::new(AtomicUsize::new(0));
        let telling = Arc::clone(&known);
        let other = thread::spawn(move || {
            drop(goes);
            telling.store(1, Release);
        });
        let guard = handle.pin();
        let is_gone = known.load(Acquire) == 1;
        let seen = listed(&guard.members(&TOPIC).collect::<Vec<_>>());
        assert!(seen == [0] || !is_gone && seen == [0, 1], "{seen:?}");
        drop(guard);
        other.join().expect("no panic");
        drop((stays, handle));
        scene.at_rest();
    });
}

/// [G1, G2] What is read of a group stays readable: neither values nor rosters are freed under a guard, and
/// all are freed at the end.
#[test]
fn reclamation_against_reading() {
    check_deeply(3, || {
        let groups =
            with_room(|| Topics::<Box<Tracked>>::with_hasher(BuildHasherDefault::default()));
        let alive = Arc::new(AtomicUsize::new(0));
        let handle = groups.handle();
        let mut member = groups.member(pid(1));
        let value = Box::new(Tracked::new(1, &alive));
        member
            .join(&handle.pin(), TOPIC, value)
            .expect("there is room");
        let other = thread::spawn(move || drop(member));
        {
            let guard = handle.pin();
            for entry in guard.members(&TOPIC) {
                assert_eq!(entry.value().number(), 1);
            }
        }
        other.join().expect("no panic");
        assert!(groups.is_empty());
        assert_eq!(handle.pin().count(&TOPIC), 0);
        drop((handle, groups));
        assert_eq!(
            alive.load(Relaxed),
            0,
            "no value is left, and none was freed twice"
        );
    });
}
