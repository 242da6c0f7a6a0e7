//! A registry tells of its changes whom it was made to tell; and what an owner does beside registering.

use bedplate::process::Pid;
use bedplate::registry::{
    GiveAwayError, LARGEST_FEED, News, Reason, RegisterError, Registry, UpdateError,
};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Only a defect waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

type Numbers = Registry<u64, u64>;
type Told = Arc<Mutex<Vec<(Reason, u64, u64, Pid)>>>;

/// A registry that notes what its audit is told.
fn audited() -> (Numbers, Told) {
    let told = Told::default();
    let noted = told.clone();
    let registry = Numbers::builder().audit(move |change| {
        let change = (change.reason, *change.key, *change.value, change.owner);
        noted.lock().unwrap().push(change);
    });
    (registry.build(), told)
}

#[test]
fn an_audit_is_told_of_every_change_and_of_every_end() {
    let (registry, told) = audited();
    let (mut one, mut other) = (registry.owner().unwrap(), registry.owner().unwrap());
    let (first, second) = (one.pid(), other.pid());
    one.register(1, 10).unwrap();
    assert_eq!(one.update(&1, |value| value + 1), Ok(()));
    assert_eq!(other.take_over(1, 12).unwrap(), Some(first));
    let given = other.give_away(&1, &mut one).unwrap();
    assert_eq!(given.owner(), first);
    assert!(one.unregister(&1));
    other.register(2, 20).unwrap();
    drop(other);
    let third = thread::scope(|scope| {
        let ends = scope.spawn(|| registry.register(3, 30).unwrap().owner());
        ends.join().unwrap()
    });
    let expected = [
        (Reason::Registered, 1, 10, first),
        (Reason::Updated, 1, 11, first),
        (Reason::TakenOver { from: first }, 1, 12, second),
        (Reason::GivenAway { from: second }, 1, 12, first),
        (Reason::Unregistered, 1, 12, first),
        (Reason::Registered, 2, 20, second),
        (Reason::OwnerDied, 2, 20, second),
        (Reason::Registered, 3, 30, third),
        (Reason::OwnerDied, 3, 30, third),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[test]
fn an_audit_that_panics_keeps_nobody_waiting_and_nothing_held() {
    let registry = Numbers::builder().audit(|_| resume_unwind(Box::new("audit")));
    let registry = registry.build();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| registry.wait_for(&1, PATIENCE, None, |entry| *entry.value()));
        while registry.health().waiting == 0 {
            thread::yield_now();
        }
        registry.register(1, 7).unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(7));
    });
    let mut owner = registry.owner().unwrap();
    owner.register(2, 8).unwrap();
    drop(owner);
    assert!(registry.unregister(&1) && registry.is_empty());
}

#[test]
fn an_audit_that_changes_what_its_thread_holds_is_refused() {
    let refusals = Arc::new(Mutex::new(Vec::new()));
    let noted = refusals.clone();
    let registry: Arc<Mutex<Option<Numbers>>> = Arc::default();
    let same = registry.clone();
    let made = Numbers::builder().audit(move |change| {
        let registry = same.lock().unwrap().clone();
        if let (1, Some(registry)) = (*change.key, registry) {
            noted.lock().unwrap().extend(registry.register(2, 2).err());
            registry.owner().unwrap().register(3, 3).unwrap(); // for a moment
        }
    });
    let made = made.build();
    *registry.lock().unwrap() = Some(made.clone());
    made.register(1, 1).unwrap();
    // The audit keeps what it belongs to no longer.
    registry.lock().unwrap().take();
    let refused = refusals.lock().unwrap().pop();
    assert!(matches!(
        refused,
        Some(RegisterError::Busy { key: 2, value: 2 })
    ));
    assert_eq!(made.len(), 1);
}

#[test]
fn a_feed_is_followed_and_has_a_limit() {
    let too_large = Numbers::builder().feed(LARGEST_FEED + 1);
    assert_eq!(too_large.unwrap_err().limit, LARGEST_FEED);
    assert!(Numbers::new().changes().is_none());
    let registry = Numbers::builder().limit(1).feed(2).unwrap().build();
    assert_eq!(registry.health().limit, Some(1));
    let mut changes = registry.changes().expect("there is a feed");
    let mut next = || {
        registry.with(|guard| match changes.next(guard)? {
            News::Change(change) => Some((change.reason, *change.key, *change.value)),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(next(), None);
    registry.register(1, 10).unwrap();
    let full = registry.register(2, 20).unwrap_err();
    assert!(matches!(full, RegisterError::Full { limit: 1, .. }));
    assert_eq!(next(), Some((Reason::Registered, 1, 10)));
    assert!(registry.unregister(&1));
    assert_eq!(next(), Some((Reason::Unregistered, 1, 10)));
    assert_eq!(next(), None);
}

#[test]
fn a_named_registry_is_found_as_it_was_made() {
    let name = "registry_changes/named";
    let made = Numbers::builder().limit(1).open(name).unwrap();
    let (noted, told) = audited();
    drop(noted);
    let found = Numbers::builder()
        .audit(move |_| told.lock().unwrap().clear())
        .limit(7)
        .open(name)
        .unwrap();
    assert_eq!((found.health().limit, found.name()), (Some(1), Some(name)));
    made.register(1, 1).unwrap();
    assert_eq!(found.len(), 1);
}

#[test]
fn an_owner_gets_or_registers_and_wakes_who_waits() {
    let registry = Numbers::new();
    let (mut one, mut other) = (registry.owner().unwrap(), registry.owner().unwrap());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| registry.wait_for(&1, PATIENCE, None, |entry| *entry.value()));
        while registry.health().waiting == 0 {
            thread::yield_now();
        }
        let got = one.get_or_register(1, 10, |entry| (entry.owner(), *entry.value()));
        assert_eq!(got, Ok((one.pid(), 10)));
        assert_eq!(waiting.join().unwrap(), Ok(10));
    });
    let there = other.get_or_register(1, 11, |entry| (entry.owner(), *entry.value()));
    assert_eq!(there, Ok((one.pid(), 10)));
    assert_eq!(one.get_or_register(1, 12, |entry| *entry.value()), Ok(10));
    let limited = Numbers::with_limit(0);
    let mut owner = limited.owner().unwrap();
    let full = owner.get_or_register(1, 1, |_| unreachable!("there is none"));
    assert_eq!(
        full.unwrap_err(),
        RegisterError::Full {
            limit: 0,
            key: 1,
            value: 1
        }
    );
}

#[test]
fn an_owner_takes_over_if_it_may() {
    let registry = Numbers::new();
    let (mut one, mut other) = (registry.owner().unwrap(), registry.owner().unwrap());
    let taken = one.take_over_if(1, 10, |_| unreachable!("there is none"));
    assert_eq!(taken, Ok(None));
    let refused = other.take_over_if(1, 20, |entry| *entry.value() > 10);
    let holder = one.pid();
    assert_eq!(
        refused,
        Err(RegisterError::AlreadyRegistered {
            holder,
            key: 1,
            value: 20
        })
    );
    assert_eq!(other.take_over_if(1, 20, |_| true), Ok(Some(holder)));
    assert_eq!(
        one.update(&1, |_| 0),
        Err(UpdateError::NotHeld { value: None })
    );
    assert_eq!(registry.whereis(&1), Some(other.pid()));
}

#[test]
fn an_owner_gives_away_what_it_holds_and_nothing_else() {
    let registry = Numbers::new();
    let (mut one, mut other) = (registry.owner().unwrap(), registry.owner().unwrap());
    one.register(1, 10).unwrap();
    let not_held = other.give_away(&1, &mut one);
    assert_eq!(not_held, Err(GiveAwayError::NotHeld));
    let given = one.give_away(&1, &mut other).unwrap();
    assert_eq!(given.owner(), other.pid());
    drop(one);
    assert_eq!(
        registry.lookup(&1, |entry| (entry.owner(), *entry.value())),
        Some((other.pid(), 10))
    );
    drop(other);
    assert!(registry.is_empty());
}
