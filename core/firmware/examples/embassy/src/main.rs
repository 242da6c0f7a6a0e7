//! Under embassy's executor: tasks push events and hold names, one of them drains, and a supervisor decides
//! what becomes of one that fails.
//!
//! A task is a future, and what it holds is released when it is dropped or ends: the owner of its names is a
//! local of it. The supervisor's decisions are a plain value; a task of its own asks it.

#![no_std]
#![no_main]

mod time;

use bedplate_core::clock::Instant;
use bedplate_core::dedup::DedupWindow;
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::id::FixedPidAllocator;
use bedplate_core::registry::{CriticalSectionLock, FixedRegistry};
use bedplate_core::ring::{EventRing, NestedRing, Overwrite, Received, Writer};
use bedplate_core::supervision::{
    Action, ChildPlan, Config, End, Event as Happened, Exit, FixedChildren, Machine, Restart,
    RestartIntensity, Stop, Strategy,
};
use core::panic::PanicInfo;
use core::time::Duration;
use cortex_m::Peripherals;
use embassy_executor::Spawner;
use embassy_time::{Ticker, Timer};
use semihosting::{println, process};

const SAMPLED: EventKind = EventKind::new(Level::Info, 1);
const RESTARTED: EventKind = EventKind::new(Level::Warn, 2);

/// The sampler's own shard.
static SAMPLES: EventRing<32> = EventRing::new();
/// What all tasks, and handlers, push into who have none.
static EVENTS: NestedRing<16> = NestedRing::new();
static TASKS: FixedRegistry<&str, u32, 4, CriticalSectionLock> = FixedRegistry::new();

fn now() -> Instant {
    Instant::from_nanos(embassy_time::Instant::now().as_millis() * 1_000_000)
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    time::start(Peripherals::take().expect("the first and only time").SYST);
    let writer = SAMPLES.claim_writer().expect("one writer");
    spawner.spawn(sample(writer).expect("one of them"));
    spawner.spawn(drain().expect("one of them"));
    spawner.spawn(supervise().expect("one of them"));
}

/// Measures every millisecond.
#[embassy_executor::task]
async fn sample(mut writer: Writer<'static, 32, Overwrite, Event>) {
    let mut ticker = Ticker::every(embassy_time::Duration::from_millis(1));
    for value in 0.. {
        writer.push(Event {
            kind: SAMPLED,
            time: now(),
            key: value % 3,
            value,
        });
        ticker.next().await;
    }
}

/// Shows what is new, every ten milliseconds; after three hundred it ends the program.
#[embassy_executor::task]
async fn drain() {
    let mut samples = SAMPLES.claim_reader().expect("one reader");
    let mut events = EVENTS.claim_reader().expect("one reader");
    let mut window = DedupWindow::<4>::new(Duration::from_millis(50));
    let (mut offered, mut passed, mut suppressed, mut restarts) = (0_u64, 0_u64, 0_u64, 0);
    for _ in 0..30 {
        while let Some(received) = samples.next() {
            let Received::Record(event) = received else {
                panic!("the ring is large enough");
            };
            offered += 1;
            passed += u64::from(window.offer(event.key, event.time).passes());
        }
        // Passes hand out what closed late; here windows are polled before they are opened again.
        while let Some(Received::Record(event)) = events.next() {
            println!("{:?}: incarnation {} starts", event.time, event.value);
            restarts += 1;
        }
        suppressed = window.counts().suppressed;
        window.poll(now(), |summary| {
            assert!(summary.suppressed < 51, "a window closes on time");
        });
        Timer::after_millis(10).await;
    }
    println!("{passed} of {offered} samples shown, {restarts} restarts");
    assert!(offered > 250 && offered == passed + suppressed);
    assert_eq!(restarts, 3);
    assert!(TASKS.is_empty(), "whoever gave up holds no name");
    process::exit(0)
}

/// Runs a task that fails, again and again, until the machine has had enough.
#[embassy_executor::task]
async fn supervise() {
    let limit = RestartIntensity::<4>::new(3, Duration::from_secs(1)).expect("there is room");
    let config = Config::new(Strategy::OneForOne, limit);
    let mut machine =
        Machine::new(config, FixedChildren::<&str, 1>::new()).expect("there is such a supervisor");
    let plan = ChildPlan::new(Restart::Permanent, Stop::default());
    let pump = machine.add(Some("pump"), plan).expect("there is room");
    let mut next = Some(Happened::Start);
    let mut pids = FixedPidAllocator::<1>::new();
    while let Some(event) = next.take() {
        let mut start = None;
        for action in machine.step(now(), event).expect("nothing is late") {
            match action {
                Action::Start(id) => start = Some(id),
                Action::Up => println!("all tasks are up"),
                Action::End(end) => {
                    assert_eq!(end, End::GaveUp(pump));
                    println!("gave up, as it should");
                }
                other => panic!("{other:?} was not expected"),
            }
        }
        if let Some(id) = start {
            for action in machine.step(now(), Happened::Started(id)).expect("it does") {
                assert_eq!(action, Action::Up);
            }
            if id.number > 1 {
                let event = Event {
                    kind: RESTARTED,
                    time: now(),
                    key: 0,
                    value: id.number,
                };
                EVENTS.push(event).expect("it is drained in time");
            }
            let pid = pids.allocate().expect("one at a time");
            let failed = fail(pid).await;
            assert!(pids.release(pid));
            next = Some(Happened::Exited(id, failed));
        }
    }
}

/// Works for a while under its name, and fails.
async fn fail(pid: bedplate_core::id::Pid) -> Exit {
    let mut owner = TASKS.owner(pid);
    owner
        .register("pump", 0)
        .expect("the last one's name is gone");
    Timer::after_millis(20).await;
    Exit::Abnormal
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("{info}");
    process::exit(1)
}
