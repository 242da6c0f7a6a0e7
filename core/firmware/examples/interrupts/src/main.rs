//! Interrupts and a main loop, as with RTIC or without: each handler owns what it uses, and `main` does the
//! slow work.
//!
//! A timer measures a temperature, and a fault line may interrupt it. Both push events: the timer into a
//! shard of its own, which costs least, and both into one that handlers share that interrupt one another. `main`
//! drains both, shows what is new, and says now and then how often something was repeated. Handlers find out
//! from the registry which devices there are.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Decision, DedupWindow, Summary};
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::id::FixedPidAllocator;
use bedplate_core::registry::{CriticalSectionLock, FixedRegistry};
use bedplate_core::ring::{EventRing, NestedRing, Overwrite, Received, Writer};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use cortex_m::Peripherals;
use cortex_m::peripheral::SCB;
use cortex_m::peripheral::scb::SystemHandler;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{entry, exception};
use semihosting::{println, process};

const MEASURED: EventKind = EventKind::new(Level::Info, 1);
const OVERHEATED: EventKind = EventKind::new(Level::Warn, 2);
const FAULT: EventKind = EventKind::new(Level::Error, 3);

/// The timer's shard: one writer, the timer's handler.
static MEASUREMENTS: EventRing<32> = EventRing::new();
/// What handlers of any priority push into.
static ALARMS: NestedRing<16> = NestedRing::new();
/// Which devices there are, by name, with their number.
static DEVICES: FixedRegistry<&str, u32, 8, CriticalSectionLock> = FixedRegistry::new();

/// Milliseconds since the beginning: the timer counts them.
static MILLIS: AtomicU32 = AtomicU32::new(0);

fn now() -> Instant {
    Instant::from_nanos(u64::from(MILLIS.load(Ordering::Relaxed)) * 1_000_000)
}

/// Every millisecond.
#[exception]
fn SysTick() {
    // cortex-m-rt makes this the handler's own.
    static mut WRITER: Option<Writer<'static, 32, Overwrite, Event>> = None;

    let millis = MILLIS.load(Ordering::Relaxed) + 1;
    MILLIS.store(millis, Ordering::Relaxed);
    let Some((_, sensor)) = DEVICES.lookup("thermometer") else {
        return;
    };
    let writer = WRITER.get_or_insert_with(|| MEASUREMENTS.claim_writer().expect("one writer"));
    let degrees = 20 + u64::from(millis % 100);
    let (time, key) = (now(), u64::from(sensor));
    writer.push(Event {
        kind: MEASURED,
        time,
        key,
        value: degrees,
    });
    if degrees > 80 {
        let event = Event {
            kind: OVERHEATED,
            time,
            key,
            value: degrees,
        };
        ALARMS.push(event).expect("`main` drains in time");
    }
    if millis.is_multiple_of(50) {
        SCB::set_pendsv();
    }
}

/// A fault line, of the highest priority: it may come upon the timer's handler, in the middle of a push.
#[exception]
fn PendSV() {
    let event = Event {
        kind: FAULT,
        time: now(),
        key: 9,
        value: 0,
    };
    ALARMS.push(event).expect("`main` drains in time");
}

#[entry]
fn main() -> ! {
    let mut peripherals = Peripherals::take().expect("the first and only time");
    // SAFETY: nothing relies on priorities yet.
    unsafe { peripherals.SCB.set_priority(SystemHandler::SysTick, 0x40) };
    let timer = &mut peripherals.SYST;
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(25_000 - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();

    let mut pids = FixedPidAllocator::<4>::new();
    let mut board = DEVICES.owner(pids.allocate().expect("the first"));
    board.register("thermometer", 7).expect("its name is free");

    let mut measurements = MEASUREMENTS.claim_reader().expect("one reader");
    let mut alarms = ALARMS.claim_reader().expect("one reader");
    let mut window = DedupWindow::<8>::new(Duration::from_millis(100));
    let (mut measured, mut lost, mut offered, mut shown, mut told) = (0, 0, 0, 0, 0);
    let mut tell = |summary: Summary| {
        println!("… {} more of {:#x}", summary.suppressed, summary.key);
        told += summary.suppressed;
    };
    while MILLIS.load(Ordering::Relaxed) < 500 {
        while let Some(received) = measurements.next() {
            match received {
                Received::Record(_) => measured += 1,
                Received::Lost(gap) => lost += gap.count(),
            }
        }
        while let Some(received) = alarms.next() {
            let Received::Record(event) = received else {
                panic!("the ring is large enough");
            };
            offered += 1;
            let key = u64::from(event.kind.code()) << 32 | event.key;
            if let Decision::Pass { closed, .. } = window.offer(key, event.time) {
                println!("{:?} {:?} {}", event.time, event.kind, event.value);
                shown += 1;
                closed.map(&mut tell);
            }
        }
        window.poll(now(), &mut tell);
        cortex_m::asm::wfi();
    }
    peripherals.SYST.disable_counter();
    // The device goes, and its name with it.
    drop(board);
    assert!(DEVICES.whereis("thermometer").is_none());
    window.flush(&mut tell);
    println!("{measured} measurements and {lost} lost; {shown} of {offered} alarms shown");
    assert!(measured > 480 && lost == 0);
    assert_eq!(offered, shown + told);
    assert_eq!(ALARMS.stats().delivered as u64, offered);
    process::exit(0)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("{info}");
    process::exit(1)
}
