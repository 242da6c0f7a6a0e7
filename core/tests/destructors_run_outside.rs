//! Destructors of keys and values: where they run, and that one that panics breaks nothing.

use bedplate_core::id::Pid;
use bedplate_core::registry::{FixedRegistry, SpinLock};
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

fn pid(slot: u32) -> Pid {
    Pid::new(slot, NonZeroU32::MIN)
}

/// Panics when it is dropped, if it says so.
#[derive(Debug)]
struct Touchy(bool);

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(!self.0 || std::thread::panicking(), "dropped");
    }
}

/// A panic in the middle of a release once left released names in the table, as dangling ones.
#[test]
fn a_panicking_destructor_leaves_the_table_whole() {
    let registry = FixedRegistry::<String, Touchy, 8, SpinLock>::new();
    let mut other = registry.owner(pid(1));
    let mut dying = registry.owner(pid(2));
    for number in 0..3 {
        other
            .register(format!("other-{number}"), Touchy(false))
            .expect("room");
        dying
            .register(format!("dying-{number}"), Touchy(number == 1))
            .expect("room");
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(dying))).is_err());
    for number in 0..3 {
        assert_eq!(
            registry.whereis(format!("other-{number}").as_str()),
            Some(pid(1))
        );
        assert_eq!(registry.whereis(format!("dying-{number}").as_str()), None);
    }
    assert_eq!(registry.len(), 3);
    for number in 0..5 {
        other
            .register(format!("more-{number}"), Touchy(false))
            .expect("room");
    }
    assert_eq!(registry.len(), 8);
}

/// They once ran under the lock, where this one would wait for itself.
#[test]
fn a_destructor_may_come_back_to_the_registry() {
    static REGISTRY: FixedRegistry<u8, Curious, 8, SpinLock> = FixedRegistry::new();
    static SEEN: AtomicUsize = AtomicUsize::new(0);

    #[derive(Clone)]
    struct Curious;
    impl Drop for Curious {
        fn drop(&mut self) {
            let _ = REGISTRY.len();
            SEEN.fetch_add(1, Ordering::Relaxed);
        }
    }

    let mut owner = REGISTRY.owner(pid(1));
    for key in 0..4 {
        owner
            .register(key, Curious)
            .map_err(|error| error.to_string())
            .expect("room");
    }
    assert!(owner.register(0, Curious).is_err());
    assert!(owner.update(&0, |_| Curious).is_ok());
    assert!(
        owner
            .take_over(0, Curious)
            .is_ok_and(|before| before.is_some())
    );
    assert!(owner.get_or_register(0, Curious).is_ok());
    assert!(owner.unregister(&0));
    assert_eq!(owner.unregister_if(|&key, _| key == 1), 1);
    drop(owner);
    assert!(REGISTRY.is_empty());
    assert!(SEEN.load(Ordering::Relaxed) >= 8);
}

/// A release goes on behind a registration that it would have come to next, and that is another's
/// by then.
#[test]
fn a_destructor_may_take_over_what_is_being_released() {
    static REGISTRY: FixedRegistry<u8, Greedy, 8, SpinLock> = FixedRegistry::new();

    /// Takes over a key when it is dropped, for good.
    #[derive(Debug)]
    struct Greedy(Option<u8>);
    impl Drop for Greedy {
        fn drop(&mut self) {
            if let Some(key) = self.0 {
                let mut robber = REGISTRY.owner(pid(2));
                let before = robber.take_over(key, Greedy(None)).expect("room");
                assert_eq!(before.map(|(holder, _)| holder), Some(pid(1)));
                std::mem::forget(robber);
            }
        }
    }

    let mut owner = REGISTRY.owner(pid(1));
    for key in 0..5 {
        let takes = (key == 3).then_some(2);
        owner.register(key, Greedy(takes)).expect("room");
    }
    let mut shown = Vec::new();
    owner.for_each(|&key, _| shown.push(key));
    assert_eq!(shown, [4, 3, 2, 1, 0], "the newest first");
    let mut asked = Vec::new();
    let gone = owner.unregister_if(|&key, _| {
        asked.push(key);
        key != 1
    });
    assert_eq!((gone, asked), (3, vec![4, 3, 1, 0]));
    drop(owner);
    let mut left = Vec::new();
    REGISTRY.for_each(|&key, holder, _| left.push((key, holder)));
    assert_eq!(left, [(2, pid(2))]);
}

/// Capacities that another table's indices could not express.
#[test]
fn a_large_registry_finds_every_key() {
    const N: usize = 1 << 17;
    static REGISTRY: FixedRegistry<u32, u32, N, SpinLock> = FixedRegistry::new();
    let mut owner = REGISTRY.owner(pid(1));
    for key in 0..u32::try_from(N).expect("small") {
        owner.register(key, !key).expect("room");
    }
    assert!(owner.register(u32::MAX, 0).is_err());
    for key in (0..u32::try_from(N).expect("small")).step_by(97) {
        assert_eq!(REGISTRY.lookup(&key), Some((pid(1), !key)));
    }
}

/// A capacity of one, and one that is no power of two.
#[test]
fn odd_capacities_work() {
    let one = FixedRegistry::<u8, (), 1, SpinLock>::new();
    let mut owner = one.owner(pid(1));
    owner.register(7, ()).expect("room");
    assert!(owner.register(8, ()).is_err());
    assert_eq!(one.whereis(&7), Some(pid(1)));
    let seven = FixedRegistry::<u8, (), 7, SpinLock>::new();
    let mut owner = seven.owner(pid(1));
    assert_eq!(
        (0..20)
            .filter(|&key| owner.register(key, ()).is_ok())
            .count(),
        7
    );
}

/// What was retired is counted as freed even where its destructor panics.
#[cfg(feature = "alloc")]
#[test]
fn the_count_of_retired_entries_survives_a_panicking_destructor() {
    use bedplate_core::registry::EpochRegistry;
    use std::hash::RandomState;

    let registry = EpochRegistry::<u8, Box<Touchy>, _>::with_hasher(RandomState::new());
    let mut owner = registry.owner(pid(1));
    let handle = registry.handle();
    owner
        .register(&handle.pin(), 1, Box::new(Touchy(true)))
        .expect("free");
    assert!(owner.unregister(&handle.pin(), &1));
    let memory = registry.memory();
    assert_eq!((memory.retired, memory.retired_bytes), (1, 1));
    let mut panics = 0;
    for _ in 0..8 {
        panics += usize::from(catch_unwind(AssertUnwindSafe(|| handle.pin().flush())).is_err());
    }
    assert_eq!((panics, registry.memory().retired), (1, 0));
    assert_eq!(registry.memory().retired_bytes, 0);
}
