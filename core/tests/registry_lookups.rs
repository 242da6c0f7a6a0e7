//! Looking names up by what is known of them: many at once, and again and again.
#![cfg(feature = "alloc")]

use bedplate_core::id::Pid;
use bedplate_core::registry::{EpochRegistry, NameRef};
use std::hash::RandomState;
use std::num::NonZeroU32;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

type Registry<K> = EpochRegistry<K, Box<u64>, RandomState>;

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// Every sort of key: copied; text that is copied, or too long for that; owned.
fn keys() -> [String; 4] {
    ["", "short", &"x".repeat(39), &"long ".repeat(20)].map(str::to_owned)
}

#[test]
fn a_name_ref_follows_its_name() {
    for key in keys() {
        let registry = Registry::with_hasher(RandomState::new());
        let handle = registry.handle();
        let name = registry.name_ref(key.clone());
        assert_eq!(name.key(), key);
        assert_eq!(name.whereis(), None);
        let mut first = registry.owner(pid(1));
        let registered = first.register(&handle.pin(), key.clone(), Box::new(1));
        assert!(registered.is_ok());
        for _ in 0..3 {
            assert_eq!(name.whereis(), Some(pid(1)));
        }
        // Another value is no other holder.
        let updated = first.update(&handle.pin(), &key, |value| Box::new(value + 1));
        assert!(updated.is_ok());
        assert_eq!(name.whereis(), Some(pid(1)));
        let mut second = registry.owner(pid(2));
        let guard = handle.pin();
        let taken = second.take_over(&guard, key.clone(), Box::new(3));
        assert!(taken.is_ok_and(|before| before.is_some()));
        let copy = name.clone();
        assert_eq!(
            (name.whereis(), copy.whereis()),
            (Some(pid(2)), Some(pid(2)))
        );
        drop(second);
        assert_eq!((name.whereis(), copy.whereis()), (None, None));
        // The former holder has the slot that the name was found in, and uses it for another name.
        for other in 0..100 {
            let registered = first.register(&handle.pin(), format!("{other}"), Box::new(other));
            assert!(registered.is_ok());
            assert_eq!(name.whereis(), None);
        }
        let registered = first.register(&handle.pin(), key.clone(), Box::new(1));
        assert!(registered.is_ok());
        assert_eq!(name.whereis(), Some(pid(1)));
    }
}

#[test]
fn a_name_ref_survives_growth_and_its_registry() {
    let registry = EpochRegistry::<u64, u64, _>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    let names: Vec<NameRef<u64, u64, _>> = (0..100).map(|key| registry.name_ref(key)).collect();
    for key in 0..10_000 {
        assert!(owner.register(&handle.pin(), key, key).is_ok());
        let name = &names[usize::try_from(key % 100).unwrap()];
        assert_eq!(name.whereis(), Some(pid(1)));
    }
    drop((owner, handle, registry));
    assert!(names.iter().all(|name| name.whereis().is_none()));
}

#[test]
fn a_name_ref_never_goes_back() {
    // Each holder takes over from the one before; whoever asks sees them in that order.
    const TURNS: u32 = if cfg!(miri) { 20 } else { 20_000 };
    let registry = EpochRegistry::<&str, u32, _>::with_hasher(RandomState::new());
    let (start, seen) = (Barrier::new(2), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let name = registry.name_ref("leader");
        let (start, seen) = (&start, &seen);
        let reader = scope.spawn(move || {
            start.wait();
            let mut last = 0;
            while last < TURNS {
                let now = name.whereis().map_or(0, Pid::slot);
                assert!(now >= last, "{now} after {last}");
                if now > last {
                    seen.fetch_add(1, Ordering::Relaxed);
                }
                last = now;
            }
        });
        let handle = registry.handle();
        let mut holders = [registry.owner(pid(0)), registry.owner(pid(0))];
        start.wait();
        for turn in 1..=TURNS {
            let mut next = registry.owner(pid(turn));
            assert!(next.take_over(&handle.pin(), "leader", turn).is_ok());
            holders.rotate_left(1);
            holders[1] = next;
        }
        // The last one holds it until it has been seen.
        assert!(reader.join().is_ok());
        drop(holders);
    });
    assert!(seen.load(Ordering::Relaxed) > 0);
}

#[test]
fn many_are_looked_up_as_each_would_be() {
    let registry = Registry::<String>::with_hasher(RandomState::new());
    let handle = registry.handle();
    let mut owner = registry.owner(pid(1));
    let key = |number: usize| format!("{number:0>width$}", width = number % 60);
    let there = |number: &usize| [1, 2].contains(&(number % 3));
    for number in (0..1000).filter(there) {
        let value = Box::new(number as u64);
        assert!(owner.register(&handle.pin(), key(number), value).is_ok());
    }
    let guard = handle.pin();
    for count in [0, 1, 2, 15, 16, 17, 32, 33, 1000] {
        let keys: Vec<String> = (0..count).map(key).collect();
        let mut many = guard.lookup_many(keys.iter().map(String::as_str));
        assert_eq!(many.size_hint(), (count, Some(count)));
        for number in 0..count {
            let entry = many.next().expect("an answer for each key");
            let found = entry.map(|entry| (entry.key().to_owned(), *entry.value(), entry.owner()));
            let expected = there(&number).then(|| (key(number), number as u64, pid(1)));
            assert_eq!(found, expected);
            let left = count - number - 1;
            assert_eq!(many.size_hint(), (left, Some(left)));
        }
        assert!(many.next().is_none());
        assert!(many.next().is_none());
    }
}
