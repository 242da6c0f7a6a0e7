//! Models of the epoch registry's feed: whoever follows it and lists after every loss has a true copy in
//! the end, and hears the changes of each key in the order in which they were made.
//!
//! Values count themselves in and out and hold one of loom's cells, so that a change that is read after it
//! was freed, or before it was written, is seen.

#[cfg(bedplate_loom)]
use loom::{cell::UnsafeCell, sync::Arc, sync::atomic::AtomicUsize};
#[cfg(not(bedplate_loom))]
use std::sync::{Arc, atomic::AtomicUsize};

use bedplate_core::id::Pid;
use bedplate_core::registry::{Changes, EpochRegistry, Guard, Handle, News, Owner, Reason};
use core::hash::BuildHasherDefault;
use core::num::NonZeroU32;
use core::sync::atomic::Ordering::Relaxed;
use loom_tests::subject::Halves;
use loom_tests::{check, thread};
use std::collections::BTreeMap;

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

impl Clone for Tracked {
    fn clone(&self) -> Self {
        Self::new(self.number(), &self.alive)
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

type Hash = BuildHasherDefault<Halves>;
type Names = EpochRegistry<u8, Box<Tracked>, Hash>;
type NamesOwner = Owner<u8, Box<Tracked>, Hash>;
type NamesHandle = Handle<u8, Box<Tracked>, Hash>;
type NamesGuard<'h> = Guard<'h, u8, Box<Tracked>, Hash>;

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

#[derive(Clone)]
struct Scene {
    registry: Names,
    alive: Arc<AtomicUsize>,
}

impl Scene {
    fn new(capacity: usize) -> Self {
        let registry = Names::builder(Hash::default())
            .feed(capacity)
            .expect("not too large")
            .build();
        let alive = Arc::new(AtomicUsize::new(0));
        Self { registry, alive }
    }

    fn value(&self, number: u32) -> Box<Tracked> {
        Box::new(Tracked::new(number, &self.alive))
    }

    /// An owner that has registered the free `key`, with its own number as the value.
    fn holder(&self, handle: &NamesHandle, slot: u32, key: u8) -> NamesOwner {
        let mut owner = self.registry.owner(pid(slot));
        let registered = owner.register(&handle.pin(), key, self.value(slot));
        registered.expect("free");
        owner
    }

    /// Adds ten to the value of a key of the owner's.
    fn update(&self, owner: &mut NamesOwner, key: u8) {
        let handle = self.registry.handle();
        let updated = owner.update(&handle.pin(), &key, |old| self.value(old.number() + 10));
        updated.expect("held");
    }

    fn at_rest(self) {
        assert!(self.registry.is_empty(), "no entry is left");
        drop(self.registry);
        let alive = self.alive.load(Relaxed);
        assert_eq!(alive, 0, "no value is left, and none was freed twice");
    }
}

type Copied = BTreeMap<u8, (Pid, u32)>;

fn list(guard: &NamesGuard<'_>) -> Copied {
    guard
        .iter()
        .map(|entry| (*entry.key(), (entry.owner(), entry.value().number())))
        .collect()
}

/// A copy that is kept by following the feed.
struct Follower {
    changes: Changes<u8, Box<Tracked>, Hash>,
    copy: Copied,
    heard: Vec<(u64, Reason, u8, u32)>,
    losses: usize,
}

impl Follower {
    fn new(guard: &NamesGuard<'_>) -> Self {
        let changes = guard.changes().expect("there is a feed");
        Self {
            changes,
            copy: list(guard),
            heard: Vec::new(),
            losses: 0,
        }
    }

    /// Listens to what there is; whether that was all.
    fn follow(&mut self, guard: &NamesGuard<'_>) -> bool {
        while let Some(news) = self.changes.next(guard) {
            match news {
                News::Change(change) => {
                    let (key, number) = (*change.key, change.value.number());
                    self.heard.push((change.number, change.reason, key, number));
                    if change.reason.is_end() {
                        self.copy.remove(&key);
                    } else {
                        self.copy.insert(key, (change.owner, number));
                    }
                }
                News::Lost { from, to } => {
                    assert!(0 < from && from <= to);
                    self.losses += 1;
                    self.changes.skip(guard);
                    self.copy = list(guard);
                }
                _ => return false,
            }
        }
        true
    }

    /// Nobody changes anything any more: the copy is true.
    fn at_rest(&mut self, guard: &NamesGuard<'_>) {
        assert!(self.follow(guard), "nobody is in the middle of a change");
        assert_eq!(self.copy, list(guard), "{:?}", self.heard);
    }
}

/// [F1] A name is updated by its owner and taken over by another, while somebody follows: it hears of both,
/// or of one that prevented the other, in the order in which they were made.
#[test]
fn changes_of_one_key_are_heard_in_order() {
    check(|| {
        let scene = Scene::new(4);
        let handle = scene.registry.handle();
        let mut first = scene.holder(&handle, 1, 7);
        let mut follower = Follower::new(&handle.pin());
        let theirs = scene.clone();
        let taking = thread::spawn(move || {
            let handle = theirs.registry.handle();
            let mut second = theirs.registry.owner(pid(2));
            let guard = handle.pin();
            let before = second.take_over(&guard, 7, theirs.value(2));
            let before = before
                .expect("no limit")
                .map(|entry| entry.value().number());
            drop(guard);
            (second, before)
        });
        let updated = first
            .update(&handle.pin(), &7, |old| scene.value(old.number() + 10))
            .is_ok();
        follower.follow(&handle.pin());
        let (second, before) = taking.join().expect("no panic");
        assert_eq!(before, Some(if updated { 11 } else { 1 }));
        follower.at_rest(&handle.pin());
        let heard: Vec<_> = follower
            .heard
            .iter()
            .map(|&(_, reason, _, value)| (reason, value))
            .collect();
        let taken = (Reason::TakenOver { from: pid(1) }, 2);
        let expected = [(Reason::Updated, 11), taken];
        assert_eq!(heard, expected[usize::from(!updated)..]);
        assert_eq!(follower.losses, 0);
        drop((first, second));
        follower.at_rest(&handle.pin());
        assert!(follower.copy.is_empty());
        drop((follower, handle));
        scene.at_rest();
    });
}

/// [F1, S4] A name is given up and registered again by its owner, in the same slot, while another takes it
/// over and a follower listens: what is heard is a history that a name can have.
#[test]
fn registering_again_against_take_over() {
    check(|| {
        let scene = Scene::new(8);
        let handle = scene.registry.handle();
        let mut first = scene.holder(&handle, 1, 7);
        // In the only other lane, so that the name comes back to the one it had.
        let neighbour = scene.holder(&handle, 3, 3);
        let mut follower = Follower::new(&handle.pin());
        let theirs = scene.clone();
        let again = thread::spawn(move || {
            let handle = theirs.registry.handle();
            first.unregister(&handle.pin(), &7);
            let _ = first.register(&handle.pin(), 7, theirs.value(11));
            first
        });
        let mut second = scene.registry.owner(pid(2));
        let taken = second.take_over(&handle.pin(), 7, scene.value(2)).is_ok();
        assert!(taken);
        let first = again.join().expect("no panic");
        follower.at_rest(&handle.pin());
        assert_eq!(follower.losses, 0);
        let mut holder = Some(pid(1));
        for &(number, reason, _, value) in &follower.heard {
            let is_possible = match reason {
                Reason::Registered => holder.is_none(),
                Reason::Unregistered => holder == Some(pid(1)),
                Reason::TakenOver { from } => holder == Some(from),
                _ => false,
            };
            assert!(is_possible, "{number} in {:?}", follower.heard);
            holder = match (reason, value) {
                (Reason::Unregistered, _) => None,
                (_, 2) => Some(pid(2)),
                _ => Some(pid(1)),
            };
        }
        assert_eq!(holder, Some(pid(2)));
        drop((first, second, neighbour, follower, handle));
        scene.at_rest();
    });
}

/// [F1] The ring has one slot, and two update a name each, one of whom follows: whoever comes too late says
/// so, and who lists after every loss misses nothing.
#[test]
fn a_writer_that_is_lapped_says_so() {
    check(|| {
        let scene = Scene::new(1);
        let handle = scene.registry.handle();
        let mut first = scene.holder(&handle, 1, 1);
        let mut second = scene.holder(&handle, 2, 2);
        let mut follower = Follower::new(&handle.pin());
        let theirs = scene.clone();
        let other = thread::spawn(move || {
            theirs.update(&mut first, 1);
            first
        });
        scene.update(&mut second, 2);
        follower.follow(&handle.pin());
        let first = other.join().expect("no panic");
        follower.at_rest(&handle.pin());
        let expected = [(1, (pid(1), 11)), (2, (pid(2), 12))];
        assert_eq!(follower.copy, Copied::from(expected));
        drop((first, second, follower, handle));
        scene.at_rest();
    });
}

/// [F1, F2] The same with a follower of its own, so that two numbers may be pending at once.
#[test]
#[cfg_attr(
    bedplate_loom,
    ignore = "three threads: more interleavings than can be explored in minutes"
)]
fn lapped_and_suspended_writers_are_lost_and_told() {
    check(|| {
        let scene = Scene::new(1);
        let handle = scene.registry.handle();
        let mut first = scene.holder(&handle, 1, 1);
        let mut second = scene.holder(&handle, 2, 2);
        let mut follower = Follower::new(&handle.pin());
        let theirs = scene.clone();
        let other = thread::spawn(move || {
            theirs.update(&mut first, 1);
            first
        });
        let theirs = scene.clone();
        let another = thread::spawn(move || {
            theirs.update(&mut second, 2);
            second
        });
        follower.follow(&handle.pin());
        let owners = (
            other.join().expect("no panic"),
            another.join().expect("no panic"),
        );
        follower.at_rest(&handle.pin());
        let expected = [(1, (pid(1), 11)), (2, (pid(2), 12))];
        assert_eq!(follower.copy, Copied::from(expected));
        drop((owners, follower, handle));
        scene.at_rest();
    });
}
