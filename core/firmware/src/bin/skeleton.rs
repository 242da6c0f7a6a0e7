//! The walking skeleton on every target: the timer interrupt pushes into its ring, `main` drains it.
//!
//! Four facts are proved, each by one function:
//! 1. while `main` keeps up, every event arrives, once and in order;
//! 2. when it falls behind, every event either arrives or lies in a reported gap, to the last one;
//! 3. dedup windows close by time alone, and what passed and what was suppressed adds up;
//! 4. a released owner's names are gone at once, and only its names.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Cause, Decision, DedupWindow, Summary};
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::id::FixedPidAllocator;
use bedplate_core::registry::{CriticalSectionLock, FixedRegistry, RegisterError};
use bedplate_core::ring::{EventRing, Overwrite, Reader, Received, Writer};
use bedplate_firmware::board::Timer;
use bedplate_firmware::owned::Owned;
use bedplate_firmware::{proof, report};
use core::hint::black_box;
use core::time::Duration;

const TICK: EventKind = EventKind::new(Level::Info, 1);
/// Nanoseconds the proof's clock counts per tick.
const NANOS_PER_TICK: u64 = 1_000;
const CAPACITY: usize = 16;
/// The handler's events have that many keys, in turn.
const KEYS: u64 = 5;
/// The names of processes that come and go.
const NAMES: [&str; 2] = ["pump", "valve"];
/// The name of a process that stays.
const CONSOLE: &str = "console";
/// How many such processes there are, one after the other.
const OWNERS: u32 = 1_000;
/// How many events of one key a dedup window spans: one passes, the others are suppressed.
const REPEATS: u64 = 4;

/// The shard of the timer interrupt: its handler writes, `main` reads.
static SHARD: EventRing<CAPACITY> = EventRing::new();

/// Who holds which name; the handler looks things up in it too, hence the kind of lock.
static DIRECTORY: FixedRegistry<&str, u32, 8, CriticalSectionLock> = FixedRegistry::new();

/// What the handler keeps: how often it ran, and its end of the ring.
static EVERY_TICK: Owned<(u64, Option<Writer<'static, CAPACITY, Overwrite, Event>>)> =
    Owned::new((0, None));

proof!(main: main, timer: on_timer);

/// Pushes one event a tick, and looks whether a released owner's names go in one step: of the two
/// names, which are registered in this order and released together, the second is never alone.
fn on_timer() {
    EVERY_TICK.with(|(ticks, writer)| {
        // The claim is taken in the first interrupt and kept for good.
        let writer =
            writer.get_or_insert_with(|| SHARD.claim_writer().expect("nobody else writes"));
        writer.push(Event {
            kind: TICK,
            time: at_tick(*ticks),
            key: *ticks % KEYS,
            value: *ticks,
        });
        *ticks += 1;
    });

    let [first, second] = NAMES.map(|name| DIRECTORY.whereis(name));
    assert!(
        second.is_none() || first == second,
        "half an owner's names are gone"
    );
}

fn main() {
    let mut log = Log::new(SHARD.claim_reader().expect("nobody else reads"));
    let mut timer = Timer::every(320_000);
    keeping_up(&mut log);
    windows_close_by_time(&mut log);
    falling_behind(&mut log, &mut timer);
    names_vanish_with_their_owner(&mut timer);
    timer.stop();
    every_event_is_accounted_for(&mut log);
}

fn keeping_up(log: &mut Log) {
    while log.delivered < 2_000 {
        log.drain(|_| ());
    }
    assert_eq!(log.lost, 0, "a reader that keeps up loses nothing");
}

/// Offers every event to a dedup window, then stops offering and lets time close the rest.
fn windows_close_by_time(log: &mut Log) {
    let length = Duration::from_nanos(REPEATS * KEYS * NANOS_PER_TICK);
    let mut window = DedupWindow::<8>::new(length);
    let mut suppressed = 0;
    let mut full_windows = 0;
    let mut count = |summary: Summary| {
        assert_eq!(summary.cause, Cause::Expired);
        assert!(summary.suppressed < REPEATS, "a window closes on time");
        suppressed += summary.suppressed;
        full_windows += u64::from(summary.suppressed == REPEATS - 1);
    };

    let mut offered = 0;
    let mut deadline = None;
    while offered < 1_000 {
        // First the time, then the events: none of a window's events can come after its end.
        let now = at_tick(ticks() as u64);
        log.drain(|event| {
            offered += 1;
            if let Decision::Pass { closed, .. } = window.offer(event.key, event.time) {
                closed.map(&mut count);
            }
        });
        deadline = window.poll(now, &mut count).or(deadline);
    }
    assert_eq!(log.lost, 0, "otherwise the windows would be incomplete");
    while let Some(open_until) = deadline {
        log.drain(|_| ());
        let now = at_tick(ticks() as u64);
        deadline = window.poll(now, &mut count);
        assert!(now < open_until || deadline.is_none_or(|next| next > open_until));
    }

    let counts = window.counts();
    report::say!(
        "dedup: {offered} offered, {} passed, {suppressed} suppressed",
        counts.passed
    );
    assert_eq!((counts.suppressed, counts.evicted), (suppressed, 0));
    assert_eq!(counts.passed + suppressed, offered);
    // All but the last window of each key ran its full time.
    assert!(full_windows >= counts.passed - KEYS && full_windows > 0);
}

/// Sleeps through ever more interrupts before it drains, at ever other distances between them, so
/// that they hit the drain at different instructions.
fn falling_behind(log: &mut Log, timer: &mut Timer) {
    for round in 0..200_u32 {
        timer.set_period(56_000 + round * 560 % 48_880);
        let wake = ticks() + CAPACITY / 2 + round as usize % (2 * CAPACITY);
        while ticks() < wake {
            black_box(());
        }
        log.drain(|_| ());
    }
    assert!(
        log.lost > 0,
        "a reader that sleeps through the ring's capacity loses events"
    );
    assert!(log.gaps > 1, "it did so more than once");
}

/// A process comes and goes, under the eyes of the interrupt; another one stays.
fn names_vanish_with_their_owner(timer: &mut Timer) {
    let mut pids = FixedPidAllocator::<4>::new();
    let resident = pids.allocate().expect("the table is empty");
    let mut console = DIRECTORY.owner(resident);
    console
        .register(CONSOLE, 0)
        .expect("the directory is empty");

    timer.set_period(56_080);
    let ticks_before = ticks();
    for round in 0..OWNERS {
        let pid = pids.allocate().expect("one process is alive");
        let mut owner = DIRECTORY.owner(pid);
        for name in NAMES {
            owner
                .register(name, round)
                .expect("the last holder is gone, and so are its names");
            assert_eq!(DIRECTORY.lookup(name), Some((pid, round)));
        }
        let Err(RegisterError::AlreadyRegistered { holder, .. }) = owner.register(CONSOLE, round)
        else {
            panic!("a name that is taken was given away");
        };
        assert_eq!(holder, resident);
        drop(owner);
        assert_eq!(NAMES.map(|name| DIRECTORY.whereis(name)), [None; 2]);
        assert_eq!(DIRECTORY.lookup(CONSOLE), Some((resident, 0)));
        assert!(pids.release(pid));
    }
    let watched = ticks() - ticks_before;
    assert!(
        watched > 300,
        "the interrupt looked on {watched} times only"
    );
    drop(console);
    assert!(DIRECTORY.is_empty());
    report::say!("registry: {OWNERS} owners released, looked at {watched} times meanwhile");
}

/// With the interrupt off the books must balance exactly, on both sides of the ring.
fn every_event_is_accounted_for(log: &mut Log) {
    log.drain(|_| ());
    if report::is_planted() {
        log.lost += 1;
    }
    let stats = SHARD.stats();
    report::say!(
        "ring: {} pushed, {} delivered, {} lost in {} gaps",
        stats.pushed,
        log.delivered,
        log.lost,
        log.gaps
    );
    assert_eq!(stats.pushed as u64, log.delivered + log.lost);
    assert_eq!(stats.delivered as u64, log.delivered);
    assert_eq!(stats.overwritten as u64, log.lost);
    assert_eq!((stats.rejected, stats.waiting), (0, 0));
}

/// What `main` has seen of the shard.
struct Log {
    reader: Reader<'static, Event>,
    delivered: u64,
    lost: u64,
    gaps: u64,
}

impl Log {
    fn new(reader: Reader<'static, Event>) -> Self {
        Self {
            reader,
            delivered: 0,
            lost: 0,
            gaps: 0,
        }
    }

    /// Reads what is waiting; every event must be the one whose turn it is.
    fn drain(&mut self, mut sink: impl FnMut(Event)) {
        while let Some(received) = self.reader.next() {
            let turn = self.delivered + self.lost;
            match received {
                Received::Record(event) => {
                    assert_eq!(
                        (event.kind, event.value, event.time),
                        (TICK, turn, at_tick(turn))
                    );
                    self.delivered += 1;
                    sink(event);
                }
                Received::Lost(lost) => {
                    assert_eq!(lost.from, turn, "a gap begins where the last event ended");
                    self.lost += lost.count();
                    self.gaps += 1;
                }
            }
        }
    }
}

/// How often the timer has ticked: each tick is one push.
fn ticks() -> usize {
    SHARD.stats().pushed
}

const fn at_tick(tick: u64) -> Instant {
    Instant::from_nanos(tick * NANOS_PER_TICK)
}
