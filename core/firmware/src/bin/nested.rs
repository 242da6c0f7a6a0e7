//! Interrupts that interrupt one another push into one ring, and offer to one dedup window: the timer's comes
//! upon the software's, and that upon `main`.
//!
//! Three facts are proved:
//! 1. every event arrives in the order in which its context pushed it, or lies in a reported gap, to the last;
//! 2. of each key exactly one event passes a window, whoever offers, and the summaries tell of all others;
//! 3. handlers were interrupted within a push, so that all this was put to the test.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Decision, LockedDedupWindow};
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::registry::CriticalSectionLock;
use bedplate_core::ring::{NestedRing, Reader, Received};
use bedplate_firmware::board::{self, Timer};
use bedplate_firmware::{proof, report};
use core::time::Duration;
use portable_atomic::{AtomicBool, AtomicU32, Ordering};

const CAPACITY: usize = 16;
const TICKS: u32 = 3_000;
const KEYS: u32 = 3;
const NANOS_PER_TICK: u64 = 1_000;
/// The length of a window.
const LENGTH: Duration = Duration::from_nanos(7 * NANOS_PER_TICK);

const MAIN: usize = 0;
const SOFTWARE: usize = 1;
const TIMER: usize = 2;

static RING: NestedRing<CAPACITY> = NestedRing::new();
static WINDOW: LockedDedupWindow<16, CriticalSectionLock> = LockedDedupWindow::new(LENGTH);

/// What each context did; only it stores here. All Relaxed: there is one core.
static DONE: [Done; 3] = [const { Done::new() }; 3];

/// The clock: the timer counts it.
static CLOCK: AtomicU32 = AtomicU32::new(0);
static IN_SOFTWARE: AtomicBool = AtomicBool::new(false);
/// How often the timer came upon the other handler.
static NESTED: AtomicU32 = AtomicU32::new(0);

struct Done {
    pushed: AtomicU32,
    refused: AtomicU32,
    passed: AtomicU32,
    /// What summaries told of that were handed out by an offer.
    suppressed: AtomicU32,
}

impl Done {
    const fn new() -> Self {
        Self {
            pushed: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            passed: AtomicU32::new(0),
            suppressed: AtomicU32::new(0),
        }
    }
}

proof!(main: main, timer: on_timer, software: on_software);

fn on_timer() {
    add(&CLOCK, 1);
    if IN_SOFTWARE.load(Ordering::Relaxed) {
        add(&NESTED, 1);
    }
    work(TIMER);
}

fn on_software() {
    IN_SOFTWARE.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        work(SOFTWARE);
    }
    IN_SOFTWARE.store(false, Ordering::Relaxed);
}

/// Pushes the context's next event, and offers it.
fn work(context: usize) {
    let done = &DONE[context];
    let number = done.pushed.load(Ordering::Relaxed);
    let event = Event {
        kind: EventKind::new(Level::Info, context as u32),
        time: now(),
        key: u64::from(number % KEYS),
        value: u64::from(number),
    };
    if RING.push(event).is_err() {
        add(&done.refused, 1);
    }
    if let Decision::Pass { closed, .. } = WINDOW.offer(event.key, event.time) {
        add(&done.passed, 1);
        add(
            &done.suppressed,
            closed.map_or(0, |summary| summary.suppressed as u32),
        );
    }
    add(&done.pushed, 1);
}

fn main() {
    let mut log = Log::new(RING.claim_reader().expect("nobody else reads"));
    let mut windows = Windows::default();
    let mut timer = Timer::every(60_000);
    let mut round = 0_u32;
    while CLOCK.load(Ordering::Relaxed) < TICKS {
        round += 1;
        // Ever other distances, so that it comes at other instructions.
        timer.set_period(20_000 + round % 97 * 120);
        work(MAIN);
        board::request_software_interrupt();
        work(MAIN);
        // At times there is more than fits.
        if round % 64 > 8 {
            log.drain();
        }
        windows.poll();
    }
    timer.stop();
    log.drain();
    WINDOW.flush(|summary| windows.suppressed += summary.suppressed);

    let sum = |of: fn(&Done) -> &AtomicU32| -> u32 {
        DONE.iter()
            .map(|done| of(done).load(Ordering::Relaxed))
            .sum()
    };
    let (pushed, refused, passed) = (
        sum(|done| &done.pushed),
        sum(|done| &done.refused),
        sum(|done| &done.passed),
    );
    windows.suppressed += u64::from(sum(|done| &done.suppressed));
    if report::is_planted() {
        log.delivered -= 1;
    }
    let stats = RING.stats();
    report::say!("ring: {stats:?}, {refused} refused");
    report::say!(
        "dedup: {passed} passed, {} suppressed; nested {} times",
        windows.suppressed,
        NESTED.load(Ordering::Relaxed)
    );
    assert_eq!(stats.pushed, pushed as usize);
    assert_eq!((stats.rejected, stats.waiting), (0, 0));
    assert_eq!(stats.delivered, log.delivered);
    assert_eq!(stats.overwritten + stats.busy, log.lost);
    assert!(log.lost > 0 && stats.busy >= refused as usize);
    assert_eq!(u64::from(pushed), u64::from(passed) + windows.suppressed);
    assert_eq!(WINDOW.counts().passed, u64::from(passed));
    assert!(NESTED.load(Ordering::Relaxed) > 100);
}

/// What `main` has seen of the windows.
#[derive(Default)]
struct Windows {
    suppressed: u64,
}

impl Windows {
    fn poll(&mut self) {
        let now = now();
        WINDOW.poll(now, |summary| {
            let open = summary.last.saturating_duration_since(summary.first);
            assert!(open < LENGTH, "a window closes on time");
            self.suppressed += summary.suppressed;
        });
    }
}

/// What `main` has seen of the ring.
struct Log {
    reader: Reader<'static, Event>,
    /// The number that is due of each context, or a later one.
    due: [u64; 3],
    delivered: usize,
    lost: usize,
}

impl Log {
    const fn new(reader: Reader<'static, Event>) -> Self {
        Self {
            reader,
            due: [0; 3],
            delivered: 0,
            lost: 0,
        }
    }

    fn drain(&mut self) {
        while let Some(received) = self.reader.next() {
            match received {
                Received::Record(event) => {
                    let due = &mut self.due[event.kind.code() as usize];
                    assert!(event.value >= *due, "events of a context are in order");
                    assert_eq!(event.key, event.value % u64::from(KEYS), "and whole");
                    *due = event.value + 1;
                    self.delivered += 1;
                }
                Received::Lost(lost) => self.lost += lost.count() as usize,
            }
        }
    }
}

fn now() -> Instant {
    Instant::from_nanos(u64::from(CLOCK.load(Ordering::Relaxed)) * NANOS_PER_TICK)
}

/// Adds to what only this context stores.
fn add(counter: &AtomicU32, many: u32) {
    counter.store(counter.load(Ordering::Relaxed) + many, Ordering::Relaxed);
}
