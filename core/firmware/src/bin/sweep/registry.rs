//! Scenarios of the epoch registry. The handler has an access of its own, registers, changes, takes over,
//! reads boxes, and frees: more than is advised, since a pin may take long, and all of it sound.

use super::Scenario;
use alloc::boxed::Box;
use bedplate_core::id::{FixedPidAllocator, Pid};
use bedplate_core::registry::{EpochRegistry, Handle, Owner};
use bedplate_firmware::hash::Hashing;
use bedplate_firmware::heap;
use bedplate_firmware::owned::{OnOneCore, Owned};
use portable_atomic::{AtomicU32, Ordering};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "epoch: register, while a handler registers the same name",
        prepare: || make_owners(0),
        operation: || MAIN.with(|side| side.register(3)),
        interrupt: || HANDLER.with(|side| side.register(3)),
        check: || one_holds(),
    },
    Scenario {
        name: "epoch: unregister, while a handler takes the name over",
        prepare: || make_owners(3),
        operation: || MAIN.with(|side| _ = side.unregister(1)),
        interrupt: || HANDLER.with(|side| side.take_over(1)),
        check: || taken_over_stays(),
    },
    Scenario {
        name: "epoch: look a box up, while a handler replaces and frees it",
        prepare: || make_owners(3),
        operation: || MAIN.with(|side| side.look(1)),
        interrupt: || {
            HANDLER.with(|side| {
                side.take_over(1);
                _ = side.unregister(1);
                side.free();
            });
        },
        check: || {},
    },
    Scenario {
        name: "epoch: replace a box, while a handler looks it up and frees",
        prepare: || make_owners(3),
        operation: || MAIN.with(|side| side.update(1)),
        interrupt: || {
            HANDLER.with(|side| {
                side.look(1);
                side.free();
                side.look(1);
            });
        },
        check: || MAIN.with(|side| side.holds(1, 51)),
    },
    Scenario {
        name: "epoch: end an owner, while a handler looks and takes its names over",
        prepare: || make_owners(3),
        operation: || MAIN.with(|side| side.owner = None),
        interrupt: || {
            HANDLER.with(|side| {
                side.take_over(1);
                side.register(2);
            });
        },
        check: || taken_over_stays(),
    },
    Scenario {
        name: "epoch: free, while a handler changes",
        prepare: || {
            make_owners(3);
            MAIN.with(|side| side.update(1));
        },
        operation: || MAIN.with(|side| side.free()),
        interrupt: || HANDLER.with(|side| side.take_over(1)),
        check: || taken_over_stays(),
    },
];

type Registry = EpochRegistry<u32, Box<Checked>, Hashing>;

static REGISTRY: Owned<Option<Registry>> = Owned::new(None);
static MAIN: Owned<Side> = Owned::new(Side::NOBODY);
static HANDLER: Owned<Side> = Owned::new(Side::NOBODY);
/// Values made and not dropped. Relaxed: a count that is whole whenever it is looked at.
static LIVE: AtomicU32 = AtomicU32::new(0);

/// A value that notices when it is read too late, or dropped twice.
struct Checked(u32, u32);

impl Checked {
    fn new(value: u32) -> Box<Self> {
        LIVE.fetch_add(1, Ordering::Relaxed);
        Box::new(Self(value, !value))
    }

    fn value(&self) -> u32 {
        assert_eq!(self.0, !self.1, "a value was read after its end");
        self.0
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        self.value();
        self.1 = self.0;
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a context has: its access, and an owner.
struct Side {
    handle: Option<OnOneCore<NamesHandle>>,
    owner: Option<OnOneCore<NamesOwner>>,
}

type NamesHandle = Handle<u32, Box<Checked>, Hashing>;
type NamesOwner = Owner<u32, Box<Checked>, Hashing>;

impl Side {
    const NOBODY: Self = Self {
        handle: None,
        owner: None,
    };

    fn parts(&mut self) -> (&NamesHandle, &mut NamesOwner) {
        match (&self.handle, &mut self.owner) {
            (Some(OnOneCore(handle)), Some(OnOneCore(owner))) => (handle, owner),
            _ => panic!("it was made"),
        }
    }

    fn register(&mut self, name: u32) {
        let (handle, owner) = self.parts();
        _ = owner.register(&handle.pin(), name, Checked::new(20 + name));
    }

    fn unregister(&mut self, name: u32) -> bool {
        let (handle, owner) = self.parts();
        owner.unregister(&handle.pin(), &name)
    }

    fn take_over(&mut self, name: u32) {
        let (handle, owner) = self.parts();
        owner
            .take_over(&handle.pin(), name, Checked::new(30 + name))
            .expect("there is room");
    }

    fn update(&mut self, name: u32) {
        let (handle, owner) = self.parts();
        owner
            .update(&handle.pin(), &name, |_| Checked::new(50 + name))
            .expect("it is held");
    }

    /// Whatever is found is whole, and stays so while it is looked at.
    fn look(&mut self, name: u32) {
        let (handle, _) = self.parts();
        let guard = handle.pin();
        if let Some(entry) = guard.lookup(&name) {
            let value = entry.value().value();
            assert_eq!(value % 10, name);
            assert_eq!(entry.value().value(), value);
        }
    }

    fn holds(&mut self, name: u32, value: u32) {
        let (handle, owner) = self.parts();
        let guard = handle.pin();
        let entry = guard.lookup(&name).expect("it is held");
        assert_eq!((entry.owner(), entry.value().value()), (owner.pid(), value));
    }

    fn free(&mut self) {
        let (handle, _) = self.parts();
        handle.pin().flush();
    }
}

fn pids() -> [Pid; 2] {
    let mut pids = FixedPidAllocator::<2>::new();
    [(); 2].map(|()| pids.allocate().expect("there is room for two"))
}

pub(super) fn start() {
    heap::start();
    REGISTRY.with(|registry| *registry = Some(Registry::with_hasher(Hashing::default())));
    for side in [&MAIN, &HANDLER] {
        let handle = REGISTRY.with(|registry| registry.as_ref().expect("just made").handle());
        side.with(|side| side.handle = Some(OnOneCore(handle)));
    }
}

/// Everything is given back.
pub(super) fn end() {
    make_owners(0);
    for side in [&MAIN, &HANDLER] {
        side.with(|side| *side = Side::NOBODY);
    }
    REGISTRY.with(|registry| *registry = None);
    assert_eq!(LIVE.load(Ordering::Relaxed), 0, "each value was dropped");
    assert_eq!(heap::used(), 0, "all memory was given back");
}

/// New owners, of which `main`'s holds the first so many names; and what is left over is freed.
fn make_owners(names: u32) {
    for (side, pid) in [&MAIN, &HANDLER].into_iter().zip(pids()) {
        let owner = REGISTRY.with(|registry| registry.as_ref().expect("it was made").owner(pid));
        side.with(|side| {
            side.owner = Some(OnOneCore(owner));
            side.free();
        });
    }
    REGISTRY.with(|registry| assert!(registry.as_ref().is_some_and(Registry::is_empty)));
    MAIN.with(|side| {
        for name in 0..names {
            side.register(name);
        }
    });
}

fn one_holds() {
    let held = [&MAIN, &HANDLER].map(|side| side.with(|side| side.unregister(3)));
    assert!(held[0] != held[1], "one of them holds it");
}

/// Whether it was there or not, who takes over has it, and nothing the other does reaches it.
fn taken_over_stays() {
    MAIN.with(|side| side.owner = None);
    HANDLER.with(|side| side.holds(1, 31));
}
