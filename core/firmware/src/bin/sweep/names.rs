//! Scenarios of the fixed registry.

use super::Scenario;
use bedplate_core::id::{FixedPidAllocator, Pid};
use bedplate_core::registry::{CriticalSectionLock, FixedOwner, FixedRegistry};
use bedplate_firmware::owned::Owned;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "register, while a handler registers the same name",
        prepare: || make_owners(0),
        operation: || register(&MAINS, 3),
        interrupt: || register(&HANDLERS, 3),
        check: || one_holds(),
    },
    Scenario {
        name: "end an owner, while a handler looks and takes its names",
        prepare: || make_owners(3),
        operation: || MAINS.with(|owner| *owner = None),
        interrupt: || look_and_take(),
        check: || handler_has_what_it_took(),
    },
    Scenario {
        name: "unregister, while a handler takes the name over",
        prepare: || make_owners(3),
        operation: || MAINS.with(|owner| _ = owner.as_mut().map(|owner| owner.unregister(&1))),
        interrupt: || take_over(),
        check: || taken_over_stays(),
    },
    Scenario {
        name: "look up, while a handler registers and takes over",
        prepare: || make_owners(2),
        operation: || look(),
        interrupt: || {
            register(&HANDLERS, 3);
            take_over();
        },
        check: || taken_over_stays(),
    },
];

type Owner = FixedOwner<'static, u32, u32, 8, CriticalSectionLock>;

static REGISTRY: FixedRegistry<u32, u32, 8, CriticalSectionLock> = FixedRegistry::new();
static MAINS: Owned<Option<Owner>> = Owned::new(None);
static HANDLERS: Owned<Option<Owner>> = Owned::new(None);

fn pids() -> [Pid; 2] {
    let mut pids = FixedPidAllocator::<2>::new();
    [(); 2].map(|()| pids.allocate().expect("there is room for two"))
}

/// New owners, of which `main`'s holds the first so many names.
fn make_owners(names: u32) {
    let [main, handler] = pids();
    MAINS.with(|owner| *owner = None);
    HANDLERS.with(|owner| *owner = None);
    assert!(REGISTRY.is_empty());
    MAINS.with(|owner| {
        let owner = owner.insert(REGISTRY.owner(main));
        for name in 0..names {
            owner.register(name, 10 + name).expect("it is free");
        }
    });
    HANDLERS.with(|owner| *owner = Some(REGISTRY.owner(handler)));
}

fn register(owner: &Owned<Option<Owner>>, name: u32) {
    owner.with(|owner| _ = owner.as_mut().map(|owner| owner.register(name, 20 + name)));
}

fn one_holds() {
    assert_eq!(REGISTRY.len(), 1);
    let holder = REGISTRY.whereis(&3).expect("one of them has registered it");
    for (owner, pid) in [&MAINS, &HANDLERS].into_iter().zip(pids()) {
        owner.with(|owner| {
            let held = owner.as_mut().is_some_and(|owner| owner.unregister(&3));
            assert_eq!(held, holder == pid, "it is the holder who holds it");
        });
    }
    assert!(REGISTRY.is_empty());
}

/// Names go one by one, the newest first.
fn look_and_take() {
    let [first, second, third] = [0, 1, 2].map(|name| REGISTRY.whereis(&name).is_some());
    assert!(first >= second && second >= third);
    if !third {
        register(&HANDLERS, 2);
        assert!(REGISTRY.whereis(&2) == Some(pids()[1]), "it was free");
    }
}

fn handler_has_what_it_took() {
    assert!(REGISTRY.whereis(&0).is_none() && REGISTRY.whereis(&1).is_none());
    let taken = REGISTRY.whereis(&2);
    assert!(taken.is_none_or(|holder| holder == pids()[1]));
}

fn take_over() {
    HANDLERS.with(|owner| {
        let owner = owner.as_mut().expect("it was made");
        owner.take_over(1, 31).expect("there is room");
    });
}

/// Whether it was there or not, who takes over has it, and nothing the other does reaches it.
fn taken_over_stays() {
    MAINS.with(|owner| *owner = None);
    assert_eq!(REGISTRY.lookup(&1), Some((pids()[1], 31)));
}

fn look() {
    let found = REGISTRY.lookup(&1).expect("it is there throughout");
    let [main, handler] = pids();
    assert!(found == (main, 11) || found == (handler, 31));
}
