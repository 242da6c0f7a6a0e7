//! Panics in a user's code, wherever the registry calls it: what was begun is undone or finished,
//! and nothing is held by nobody.

#![cfg(feature = "alloc")]

use bedplate_core::id::Pid;
use bedplate_core::registry::{EpochRegistry, News, Reason};
use std::hash::RandomState;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

fn panics<T>(f: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(f()))).is_err()
}

/// Panics when it is cloned, while it is told to.
#[derive(Debug)]
struct Touchy(Arc<AtomicBool>);

impl Clone for Touchy {
    fn clone(&self) -> Self {
        assert!(!self.0.load(Ordering::Relaxed), "touched");
        Self(Arc::clone(&self.0))
    }
}

/// Such as one that takes a lock, which the first panic poisons.
#[test]
fn an_audit_that_always_panics_leaves_no_name_behind() {
    let told = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&told);
    let registry = EpochRegistry::<u64, u64, _>::builder(RandomState::new())
        .audit(move |change| {
            if change.reason == Reason::OwnerDied {
                counted.fetch_add(1, Ordering::Relaxed);
                panic!("always");
            }
        })
        .feed(16)
        .expect("not too large")
        .build();
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    for key in 0..4 {
        owner.register(&handle.pin(), key, key).expect("free");
    }
    let mut changes = handle.pin().changes().expect("there is a feed");
    assert!(panics(|| drop(owner)));
    assert!(registry.is_empty());
    assert_eq!(handle.pin().iter().count(), 0);
    assert_eq!(told.load(Ordering::Relaxed), 1, "it is left alone");
    let guard = handle.pin();
    let (mut ends, mut lost) = (0, 0);
    while let Some(news) = changes.next(&guard) {
        match news {
            News::Change(change) => ends += usize::from(change.reason.is_end()),
            News::Lost { from, to } => lost += 1 + to - from,
            news => panic!("{news:?}"),
        }
    }
    assert_eq!((ends, lost), (1, 3), "followers know of all of them");
}

#[test]
fn an_audit_that_panics_loses_no_slot() {
    let ends = AtomicUsize::new(0);
    let registry = EpochRegistry::<u64, u64, _>::builder(RandomState::new())
        .audit(move |change| {
            if change.reason == Reason::OwnerDied
                && ends.fetch_add(1, Ordering::Relaxed).is_multiple_of(7)
            {
                panic!("now and then");
            }
        })
        .build();
    let handle = registry.handle();
    let mut after_the_first = None;
    // More often than there are slots at first.
    for _ in 0..1_000 {
        let mut owner = registry.owner(pid(1));
        for key in 0..12 {
            owner.register(&handle.pin(), key, key).expect("free");
        }
        assert!(panics(|| drop(owner)));
        let bytes = registry.memory().entries_bytes;
        assert_eq!(*after_the_first.get_or_insert(bytes), bytes);
    }
}

#[test]
fn a_clone_that_panics_leaves_no_name_behind_when_its_owner_goes() {
    let touchy = Arc::new(AtomicBool::new(false));
    let registry = EpochRegistry::<u64, Box<Touchy>, _>::builder(RandomState::new())
        .feed(16)
        .expect("not too large")
        .build();
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    for key in 0..4 {
        let value = Box::new(Touchy(Arc::clone(&touchy)));
        owner.register(&handle.pin(), key, value).expect("free");
    }
    let mut changes = handle.pin().changes().expect("there is a feed");
    touchy.store(true, Ordering::Relaxed);
    assert!(panics(|| drop(owner)));
    assert_eq!((registry.len(), handle.pin().iter().count()), (0, 0));
    let guard = handle.pin();
    let mut lost = 0;
    while let Some(news) = changes.next(&guard) {
        match news {
            News::Lost { from, to } => lost += 1 + to - from,
            news => panic!("{news:?}"),
        }
    }
    assert_eq!(lost, 4, "followers know that something is gone");
}

#[test]
fn a_clone_that_panics_leaves_a_name_with_who_holds_it() {
    let touchy = Arc::new(AtomicBool::new(false));
    let registry = EpochRegistry::<u64, Box<Touchy>, _>::builder(RandomState::new())
        .feed(16)
        .expect("not too large")
        .build();
    let handle = registry.handle();
    let (mut one, mut other) = (registry.owner(pid(1)), registry.owner(pid(2)));
    let value = || Box::new(Touchy(Arc::clone(&touchy)));
    let registration = one.register(&handle.pin(), 1, value()).expect("free");
    let before = registry.memory().entries_bytes;
    // More often than there are slots at first.
    for _ in 0..1_000 {
        touchy.store(true, Ordering::Relaxed);
        assert!(panics(|| one.unregister(&handle.pin(), &1)));
        assert!(panics(|| one.release(&handle.pin(), registration)));
        assert!(panics(|| one.update(&handle.pin(), &1, |_| value())));
        assert!(panics(|| one.give_away(&handle.pin(), &1, &mut other)));
        assert!(panics(|| other
            .take_over(&handle.pin(), 1, value())
            .map(drop)));
        touchy.store(false, Ordering::Relaxed);
        assert_eq!(handle.pin().whereis(&1), Some(pid(1)));
        assert_eq!(one.entries(&handle.pin()).count(), 1);
    }
    assert_eq!(registry.memory().entries_bytes, before, "no slot is lost");
    assert!(one.unregister(&handle.pin(), &1));
    assert_eq!((registry.len(), handle.pin().iter().count()), (0, 0));
}

/// Destructors must not panic. One that does harms nobody's names.
struct Explosive(Arc<AtomicBool>);

impl Drop for Explosive {
    fn drop(&mut self) {
        if self.0.swap(false, Ordering::Relaxed) {
            panic!("dropped");
        }
    }
}

#[test]
fn a_destructor_that_panics_leaves_no_name_behind_when_an_owner_goes() {
    let explosive = Arc::new(AtomicBool::new(false));
    let value = || Box::new(Explosive(Arc::clone(&explosive)));
    let registry = EpochRegistry::<u64, Box<Explosive>, _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let mut panicked = 0;
    for _ in 0..100 {
        let (mut first, mut second) = (registry.owner(pid(1)), registry.owner(pid(2)));
        first.register(&handle.pin(), 100, value()).expect("free");
        for key in 0..4 {
            second.register(&handle.pin(), key, value()).expect("free");
        }
        // What it leaves is freed by whoever pins next.
        {
            let guard = handle.pin();
            let _pinned = guard.iter();
            drop(first);
        }
        handle.pin().flush();
        explosive.store(true, Ordering::Relaxed);
        panicked += usize::from(panics(|| drop(second)));
        explosive.store(false, Ordering::Relaxed);
        assert_eq!((registry.len(), handle.pin().iter().count()), (0, 0));
    }
    assert!(panicked > 0, "it never came to that");
}

/// What was to be freed together with the one that panics leaks, and is still counted: as many as never came to be
/// dropped, no more and no less.
#[test]
fn what_leaks_with_a_destructor_that_panics_counts_as_retired() {
    struct Counted(Arc<AtomicUsize>, bool);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
            assert!(!self.1, "dropped");
        }
    }

    let alive = Arc::new(AtomicUsize::new(0));
    let value = |panics| {
        alive.fetch_add(1, Ordering::Relaxed);
        Box::new(Counted(Arc::clone(&alive), panics))
    };
    let registry = EpochRegistry::<u64, Box<Counted>, _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    let mut panicked = 0;
    let mut flush = || panicked += usize::from(panics(|| handle.pin().flush()));
    for _ in 0..10 {
        // Freed together, as far as they are retired under one pin: with one in their midst that panics.
        let guard = handle.pin();
        for key in 0..20 {
            let registered = owner.register(&guard, key, value(key == 10));
            registered.expect("free");
        }
        assert_eq!(owner.unregister_if(&guard, |_| true), 20);
        drop(guard);
        for _ in 0..10 {
            flush();
        }
        let left = alive.load(Ordering::Relaxed);
        assert_eq!(registry.memory().retired, left);
    }
    assert!(panicked > 0, "it never came to that");
    assert!(alive.load(Ordering::Relaxed) > 0, "nothing leaked");
}

#[test]
fn a_destructor_that_panics_while_a_name_is_given_up_leaves_the_registry_whole() {
    let explosive = Arc::new(AtomicBool::new(false));
    let value = || Box::new(Explosive(Arc::clone(&explosive)));
    let registry =
        EpochRegistry::<String, Box<Explosive>, _>::with_limit_and_hasher(4, RandomState::new());
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    let mut panicked = 0;
    for _ in 0..2_000 {
        let key = || "key".to_owned();
        owner.register(&handle.pin(), key(), value()).expect("free");
        explosive.store(true, Ordering::Relaxed);
        if panics(|| owner.unregister(&handle.pin(), "key")) {
            panicked += 1;
        }
        explosive.store(false, Ordering::Relaxed);
        owner.unregister(&handle.pin(), "key");
        assert_eq!((registry.len(), handle.pin().iter().count()), (0, 0));
    }
    assert!(panicked > 0, "it never came to that");
}
