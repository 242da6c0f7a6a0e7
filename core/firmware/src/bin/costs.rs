//! What the registry costs an interrupt handler on a Cortex-M3, to the instruction.
//!
//! The handler does it all: it fills registries to the last of their 64 places and looks every key
//! up, and lets an owner come and go, without and beside the owner of all other entries. A run
//! repeats to the instruction, so that the costs can be bounded.

#![no_std]
#![no_main]

use bedplate_core::id::{FixedPidAllocator, Pid};
use bedplate_core::registry::{CriticalSectionLock, FixedRegistry};
use bedplate_firmware::counter::Counter;
use bedplate_firmware::report;
use core::sync::atomic::{AtomicBool, Ordering};
use cortex_m::peripheral::SCB;
use cortex_m_rt::{entry, exception};

const ENTRIES: u32 = 64;

/// The most instructions that looking a number up may take, whichever it is.
const NUMBER_LIMIT: u32 = 110;
/// The same for names, on average.
const NAME_LIMIT: u32 = 230;
/// How many more instructions an owner may take to come and go beside 63 entries of another one.
const CROWD_LIMIT: u32 = 60;

/// Names are pieces of this text, one from each of its first bytes on.
const TEXT: &str =
    "pump valve motor relay lamp fan heater door lock gate siren pager meter clock radio probe";
const NAME_LENGTH: usize = 12;

static NUMBERS: FixedRegistry<u32, u32, 64, CriticalSectionLock> = FixedRegistry::new();
static NAMES: FixedRegistry<&str, u32, 64, CriticalSectionLock> = FixedRegistry::new();

/// Whether the handler came to its end.
static HANDLED: AtomicBool = AtomicBool::new(false);

#[entry]
fn main() -> ! {
    SCB::set_pendsv();
    cortex_m::asm::isb();
    assert!(HANDLED.load(Ordering::Relaxed), "the handler was called");
    report::passed("costs")
}

#[exception]
fn PendSV() {
    let mut counter = Counter::start();
    let mut pids = FixedPidAllocator::<2>::new();
    let [resident, visitor] = [(); 2].map(|()| pids.allocate().expect("there is room for two"));
    owners_cost_what_they_hold(&mut counter, resident, visitor);
    look_ups_are_cheap(&mut counter, resident);
    HANDLED.store(true, Ordering::Relaxed);
}

fn owners_cost_what_they_hold(counter: &mut Counter, resident: Pid, visitor: Pid) {
    let alone = counter.instructions(visitor, come_and_go);
    let mut owner = NUMBERS.owner(resident);
    for value in 1..ENTRIES {
        owner.register(number(value), value).expect("a new key");
    }
    let crowded = counter.instructions(visitor, come_and_go);
    report::say!(
        "an owner of one number comes and goes: {alone} instructions, {crowded} beside 63"
    );
    assert!(crowded <= alone + CROWD_LIMIT);
}

fn look_ups_are_cheap(counter: &mut Counter, resident: Pid) {
    let (mut numbers, mut names) = (NUMBERS.owner(resident), NAMES.owner(resident));
    for value in 0..ENTRIES {
        numbers.register(number(value), value).expect("a new key");
        names.register(name(value), value).expect("a new key");
    }
    let there = Costs::of(|value| {
        assert_eq!(look_up_number(&number(value)), Some((resident, value)));
        counter.instructions(&number(value), look_up_number)
    });
    there.report("a number among 64");
    let absent = Costs::of(|value| {
        assert_eq!(look_up_number(&!number(value)), None);
        counter.instructions(&!number(value), look_up_number)
    });
    absent.report("a number that is not there");
    let named = Costs::of(|value| {
        assert_eq!(look_up_name(name(value)), Some((resident, value)));
        counter.instructions(name(value), look_up_name)
    });
    named.report("a name of 12 bytes among 64");
    assert!(there.most <= NUMBER_LIMIT && absent.most <= NUMBER_LIMIT);
    assert!(named.average() <= NAME_LIMIT);
}

/// Addresses, as devices have them.
const fn number(value: u32) -> u32 {
    0x4000_0000 + value * 0x400
}

fn name(value: u32) -> &'static str {
    &TEXT[value as usize..][..NAME_LENGTH]
}

#[inline(never)]
fn look_up_number(key: &u32) -> Option<(Pid, u32)> {
    if cfg!(feature = "planted-failure") {
        // Looking twice exceeds the limit.
        core::hint::black_box(NUMBERS.lookup(key));
    }
    NUMBERS.lookup(key)
}

#[inline(never)]
fn look_up_name(key: &str) -> Option<(Pid, u32)> {
    NAMES.lookup(key)
}

#[inline(never)]
fn come_and_go(pid: Pid) -> bool {
    NUMBERS.owner(pid).register(number(0), 0).is_ok()
}

/// Instructions a look-up takes, over all keys.
struct Costs {
    sum: u32,
    least: u32,
    most: u32,
}

impl Costs {
    fn of(mut cost: impl FnMut(u32) -> u32) -> Self {
        let mut costs = Self {
            sum: 0,
            least: u32::MAX,
            most: 0,
        };
        for cost in (0..ENTRIES).map(&mut cost) {
            costs.sum += cost;
            costs.least = costs.least.min(cost);
            costs.most = costs.most.max(cost);
        }
        costs
    }

    const fn average(&self) -> u32 {
        self.sum.div_ceil(ENTRIES)
    }

    fn report(&self, what: &str) {
        let average = self.average();
        report::say!(
            "{what}: {average} instructions, {} to {}",
            self.least,
            self.most
        );
    }
}
