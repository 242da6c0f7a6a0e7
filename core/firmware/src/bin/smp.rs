//! Two cores at once, each with a timer interrupt of its own, on everything they can share: a ring, a dedup
//! window, a fixed registry, the epoch registry.
//!
//! Each core does half a million operations. Four facts are proved:
//! 1. every event arrives in the order in which its context pushed it, or is counted as lost;
//! 2. of each key one event passes a window, and the summaries tell of all others;
//! 3. a name has one holder, values found are whole, and each is dropped once;
//! 4. in the end nothing is registered, and all memory has been given back.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::boxed::Box;
use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Decision, LockedDedupWindow};
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::id::{FixedPidAllocator, Pid};
use bedplate_core::registry::{CriticalSectionLock, EpochRegistry, FixedRegistry, Handle};
use bedplate_core::ring::{Reader, Received, SharedRing};
use bedplate_firmware::board::{self, Timer};
use bedplate_firmware::hash::Hashing;
use bedplate_firmware::owned::Owned;
use bedplate_firmware::{heap, proof, report};
use core::time::Duration;
use portable_atomic::{AtomicU32, Ordering};

const CORES: usize = 2;
const ROUNDS: u32 = 125_000;
/// What a core does in a round, beside what its interrupts do.
const OPERATIONS: u32 = 4;
const NAMES: u32 = 16;
const KEYS: u64 = 5;

type Names = EpochRegistry<u32, Box<Checked>, Hashing>;

static RING: SharedRing<256> = SharedRing::new();
static WINDOW: LockedDedupWindow<16, CriticalSectionLock> =
    LockedDedupWindow::new(Duration::from_nanos(50));
static DIRECTORY: FixedRegistry<u32, u32, 8, CriticalSectionLock> = FixedRegistry::new();
static EPOCH: Owned<Option<Names>> = Owned::new(None);

/// The first core has made what both use; then how many cores have come so far. Release, for Acquire on the
/// other side.
static MADE: AtomicU32 = AtomicU32::new(0);
static READY: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicU32 = AtomicU32::new(0);
static GONE: AtomicU32 = AtomicU32::new(0);

/// By context: main and the interrupt of each core. Only that stores; Relaxed, as all counts here.
static PUSHED: [AtomicU32; 2 * CORES] = [const { AtomicU32::new(0) }; 2 * CORES];
static REFUSED: AtomicU32 = AtomicU32::new(0);
static PASSED: AtomicU32 = AtomicU32::new(0);
static SUPPRESSED: AtomicU32 = AtomicU32::new(0);
static LIVE: AtomicU32 = AtomicU32::new(0);
static TAKEN: AtomicU32 = AtomicU32::new(0);
/// The clock.
static NOW: AtomicU32 = AtomicU32::new(0);

proof!(main: first, timer: on_timer, software: board::unexpected, second: second);

fn on_timer() {
    NOW.fetch_add(1, Ordering::Relaxed);
    push(CORES + board::core_number());
}

/// Pushes the context's next event, and offers it.
fn push(context: usize) {
    let pushed = &PUSHED[context];
    let number = pushed.load(Ordering::Relaxed);
    let now = Instant::from_nanos(u64::from(NOW.load(Ordering::Relaxed)));
    let event = Event {
        kind: EventKind::new(Level::Info, context as u32),
        time: now,
        key: u64::from(number) % KEYS,
        value: u64::from(number),
    };
    if RING.push(event).is_err() {
        REFUSED.fetch_add(1, Ordering::Relaxed);
    }
    match WINDOW.offer(event.key, now) {
        Decision::Pass { closed, .. } => {
            PASSED.fetch_add(1, Ordering::Relaxed);
            let suppressed = closed.map_or(0, |summary| summary.suppressed as u32);
            SUPPRESSED.fetch_add(suppressed, Ordering::Relaxed);
        }
        Decision::Suppress { .. } => {}
        Decision::Repeat { .. } => panic!("this window lets no repetition pass"),
    }
    pushed.store(number + 1, Ordering::Relaxed);
}

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

fn pids() -> [Pid; CORES] {
    let mut pids = FixedPidAllocator::<CORES>::new();
    [(); CORES].map(|()| pids.allocate().expect("there is room for two"))
}

fn first() {
    heap::start();
    EPOCH.with(|names| *names = Some(Names::with_hasher(Hashing::default())));
    MADE.store(1, Ordering::Release);
    board::start_second_core();
    let mut log = Log::new();
    core(&mut |step| log.step(step));
    wait_for(&GONE, CORES);
    log.step(Step::End);
    EPOCH.with(|names| *names = None);
    everything_adds_up(&log);
}

fn second() {
    wait_for(&MADE, 1);
    core(&mut |_| ());
    loop {
        board::relax();
    }
}

fn wait_for(counter: &AtomicU32, cores: usize) {
    while (counter.load(Ordering::Acquire) as usize) < cores {
        board::relax();
    }
}

/// What one core does; `service` is called in between.
fn core(service: &mut impl FnMut(Step)) {
    let number = board::core_number();
    // One core at a time.
    let names = critical_section::with(|_| {
        EPOCH.with(|names| names.as_ref().expect("it was made").clone())
    });
    let handle = names.handle();
    let pid = pids()[number];
    READY.fetch_add(1, Ordering::AcqRel);
    wait_for(&READY, CORES);

    let timer = Timer::every(50_000 + 7_000 * number as u32);
    let mut random = 77 + number as u32;
    let mut owner = names.owner(pid);
    for round in 0..ROUNDS {
        push(number);
        let name = next(&mut random) % NAMES;
        change(&handle, &mut owner, name, next(&mut random));
        look(&handle, next(&mut random) % NAMES);
        in_directory(pid, name % 4);
        if round % 64 == 0 {
            // Names go, whatever the other core does.
            owner = names.owner(pid);
            handle.pin().flush();
        }
        service(Step::Round);
    }
    drop(owner);
    DONE.fetch_add(1, Ordering::AcqRel);
    while (DONE.load(Ordering::Acquire) as usize) < CORES {
        service(Step::Round);
        board::relax();
    }
    timer.stop();
    assert!(names.is_empty(), "all owners are gone");
    drop(handle);
    drop(names);
    GONE.fetch_add(1, Ordering::AcqRel);
}

type Owner = bedplate_core::registry::Owner<u32, Box<Checked>, Hashing>;

fn change(handle: &Handle<u32, Box<Checked>, Hashing>, owner: &mut Owner, name: u32, how: u32) {
    let guard = handle.pin();
    match how >> 29 {
        0..=2 => _ = owner.register(&guard, name, Checked::new(name)),
        3 => {
            let taken = owner.take_over(&guard, name, Checked::new(name));
            assert!(taken.is_ok(), "there is room");
            TAKEN.fetch_add(1, Ordering::Relaxed);
        }
        4 => _ = owner.update(&guard, &name, |_| Checked::new(name)),
        _ => _ = owner.unregister(&guard, &name),
    }
}

/// Whatever is found is whole, and stays so while it is looked at.
fn look(handle: &Handle<u32, Box<Checked>, Hashing>, name: u32) {
    let guard = handle.pin();
    if let Some(entry) = guard.lookup(&name) {
        assert_eq!(entry.value().value(), name);
        assert!(pids().contains(&entry.owner()));
        assert_eq!(entry.value().value(), name);
    }
}

/// Whoever registers a name has it until it gives it up.
fn in_directory(pid: Pid, name: u32) {
    let mut owner = DIRECTORY.owner(pid);
    if owner.register(name, name).is_ok() {
        assert_eq!(DIRECTORY.lookup(&name), Some((pid, name)));
    }
}

fn next(random: &mut u32) -> u32 {
    *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *random ^ *random >> 15
}

enum Step {
    Round,
    End,
}

/// What the first core has seen of the ring.
struct Log {
    reader: Reader<'static, Event>,
    due: [u64; 2 * CORES],
    delivered: usize,
    lost: usize,
}

impl Log {
    fn new() -> Self {
        Self {
            reader: RING.claim_reader().expect("nobody else reads"),
            due: [0; 2 * CORES],
            delivered: 0,
            lost: 0,
        }
    }

    fn step(&mut self, step: Step) {
        let now = Instant::from_nanos(u64::from(NOW.load(Ordering::Relaxed)));
        let count = |suppressed| _ = SUPPRESSED.fetch_add(suppressed as u32, Ordering::Relaxed);
        match step {
            Step::Round => _ = WINDOW.poll(now, |summary| count(summary.suppressed)),
            Step::End => WINDOW.flush(|summary| count(summary.suppressed)),
        }
        while let Some(received) = self.reader.next() {
            match received {
                Received::Record(event) => {
                    let due = &mut self.due[event.kind.code() as usize];
                    assert!(event.value >= *due, "events of a context are in order");
                    assert_eq!(event.key, event.value % KEYS, "and whole");
                    *due = event.value + 1;
                    self.delivered += 1;
                }
                Received::Lost(lost) => self.lost += lost.count() as usize,
            }
        }
    }
}

fn everything_adds_up(log: &Log) {
    let pushed: u32 = PUSHED
        .iter()
        .map(|pushed| pushed.load(Ordering::Relaxed))
        .sum();
    let planted = u32::from(report::is_planted());
    let [passed, suppressed, refused] =
        [&PASSED, &SUPPRESSED, &REFUSED].map(|count| count.load(Ordering::Relaxed));
    let stats = RING.stats();
    report::say!(
        "{} operations and {} interrupts",
        2 * ROUNDS * OPERATIONS,
        NOW.load(Ordering::Relaxed)
    );
    report::say!("ring: {stats:?}, {refused} refused");
    report::say!("dedup: {passed} passed, {suppressed} suppressed");
    report::say!(
        "epoch: {} taken over; heap {}",
        TAKEN.load(Ordering::Relaxed),
        heap::used()
    );
    assert_eq!(stats.pushed, pushed as usize);
    assert_eq!((stats.rejected, stats.waiting), (0, 0));
    assert_eq!(stats.delivered, log.delivered);
    assert_eq!(stats.overwritten + stats.busy, log.lost);
    assert_eq!(passed + suppressed + planted, pushed);
    assert!(DIRECTORY.is_empty());
    assert_eq!(LIVE.load(Ordering::Relaxed), 0, "each value was dropped");
    assert_eq!(heap::used(), 0, "all memory was given back");
}
