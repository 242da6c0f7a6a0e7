//! The epoch registry on bare metal: `main` changes it while the timer interrupt looks on.
//!
//! Three facts are proved:
//! 1. what a handler finds is whole: key, value and owner belong together, and a released owner's names are
//!    never found again;
//! 2. each value is dropped exactly once, and removed ones do not pile up;
//! 3. in the end all memory has been given back.
//!
//! The handler looks words up, which never pins: that is bounded. (Boxes would be reclaimed by a pin, which
//! may then take long.)

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use bedplate_core::id::{FixedPidAllocator, Pid};
use bedplate_core::registry::{EpochRegistry, Handle, RegisterError};
use bedplate_firmware::board::Timer;
use bedplate_firmware::hash::Hashing;
use bedplate_firmware::owned::{OnOneCore, Owned};
use bedplate_firmware::{heap, proof, report};
use portable_atomic::{AtomicU32, Ordering};

const ROUNDS: u32 = 2_000;
/// Names an owner has.
const NAMES: u32 = 4;
/// The most bytes that wait to be freed at any time: some garbage of some epochs.
const MOST_RETIRED: usize = 4_096;

type Words = EpochRegistry<u32, u32, Hashing>;

/// What the handler has: its own access, and how often it found something.
static LOOKER: Owned<Option<OnOneCore<Handle<u32, u32, Hashing>>>> = Owned::new(None);
static LOOKS: AtomicU32 = AtomicU32::new(0);
static FOUND: AtomicU32 = AtomicU32::new(0);
/// The first round whose owner is not released: of those before, nothing is found. All Relaxed, and stored by
/// one context each: there is one core.
static ALIVE: AtomicU32 = AtomicU32::new(0);
/// Values made and not dropped.
static LIVE: AtomicU32 = AtomicU32::new(0);

proof!(main: main, timer: on_timer);

fn on_timer() {
    LOOKER.with(|looker| {
        let Some(OnOneCore(handle)) = looker else {
            return;
        };
        let looks = LOOKS.load(Ordering::Relaxed);
        let guard = handle.pin();
        if let Some(entry) = guard.lookup(&(looks % NAMES)) {
            let round = *entry.value() / NAMES;
            assert_eq!(*entry.value() % NAMES, looks % NAMES, "a value of its key");
            assert!(
                round >= ALIVE.load(Ordering::Relaxed),
                "a released owner's name was found"
            );
            FOUND.store(FOUND.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
        LOOKS.store(looks + 1, Ordering::Relaxed);
    });
}

/// A value that is counted, and knows when it was dropped.
struct Counted(u32, u32);

impl Counted {
    fn new(value: u32) -> Self {
        LIVE.store(LIVE.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Self(value, !value)
    }

    fn check(&self) -> u32 {
        assert_eq!(self.0, !self.1, "a value was read after its end");
        self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.check();
        self.1 = self.0;
        LIVE.store(LIVE.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }
}

fn main() {
    heap::start();
    let before = heap::used();
    let most = churn();
    if report::is_planted() {
        core::mem::forget(Box::new(Counted::new(0)));
    }
    report::say!(
        "{} looks, {} found; {most} bytes of heap at most",
        LOOKS.load(Ordering::Relaxed),
        FOUND.load(Ordering::Relaxed)
    );
    assert!(FOUND.load(Ordering::Relaxed) > ROUNDS / 4);
    assert_eq!(LIVE.load(Ordering::Relaxed), 0, "each value was dropped");
    assert_eq!(heap::used(), before, "all memory was given back");
}

/// Owners come and go; the most heap there was.
fn churn() -> usize {
    let words = Words::with_hasher(Hashing::default());
    let boxes = EpochRegistry::<u32, Box<Counted>, _>::with_hasher(Hashing::default());
    let (word_handle, box_handle) = (words.handle(), boxes.handle());
    LOOKER.with(|looker| *looker = Some(OnOneCore(words.handle())));
    let mut pids = FixedPidAllocator::<2>::new();
    let resident = pids.allocate().expect("the table is empty");
    let mut stays = words.owner(resident);
    stays
        .register(&word_handle.pin(), NAMES, 7)
        .expect("the registry is empty");

    let mut most = 0;
    let mut timer = Timer::every(40_000);
    for round in 0..ROUNDS {
        timer.set_period(20_000 + round % 101 * 200);
        let pid = pids.allocate().expect("one process is alive");
        let mut owner = words.owner(pid);
        let mut box_owner = boxes.owner(pid);
        for name in 0..NAMES {
            let value = round * NAMES + name;
            owner
                .register(&word_handle.pin(), name, value)
                .expect("the last holder is gone");
            box_owner
                .register(&box_handle.pin(), name, Box::new(Counted::new(value)))
                .expect("the last holder is gone");
            found(&words, &word_handle, name, (pid, value));
            let guard = box_handle.pin();
            let seen = guard.lookup(&name).map(|entry| entry.value().check());
            assert_eq!(seen, Some(value));
        }
        let Err(RegisterError::AlreadyRegistered { holder, .. }) =
            owner.register(&word_handle.pin(), NAMES, round)
        else {
            panic!("a name that is taken was given away");
        };
        assert_eq!(holder, resident);
        most = most.max(heap::used());
        drop(box_owner);
        drop(owner);
        ALIVE.store(round + 1, Ordering::Relaxed);
        assert!(word_handle.pin().lookup(&0).is_none());
        assert!(box_handle.pin().lookup(&0).is_none());
        assert!(boxes.memory().retired_bytes <= MOST_RETIRED);
        assert!(pids.release(pid));
        box_handle.pin().flush();
    }
    timer.stop();
    LOOKER.with(|looker| *looker = None);
    found(&words, &word_handle, NAMES, (resident, 7));
    most
}

fn found(words: &Words, handle: &Handle<u32, u32, Hashing>, name: u32, expected: (Pid, u32)) {
    assert!(!words.is_empty());
    let guard = handle.pin();
    let entry = guard.lookup(&name).expect("it was just registered");
    assert_eq!((entry.owner(), *entry.value()), expected);
}
