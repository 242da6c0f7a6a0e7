//! What each operation costs, to the instruction, and how much stack it takes. A run repeats to the
//! instruction, so that the costs can be bounded; the bounds are those of a Cortex-M3.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{DedupWindow, LockedDedupWindow};
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::id::{FixedPidAllocator, Pid};
use bedplate_core::registry::{CriticalSectionLock, FixedRegistry};
#[cfg(target_has_atomic = "ptr")]
use bedplate_core::ring::SharedRing;
use bedplate_core::ring::{EventRing, NestedRing};
use bedplate_core::supervision::{FixedChildren, Machine};
use bedplate_firmware::counter::Counter;
use bedplate_firmware::figure::{self, Figure, SAMPLES};
use bedplate_firmware::{proof, report};
use core::hint::black_box;
use core::time::Duration;

/// The most instructions an operation that is allowed in an interrupt may take.
const INTERRUPT_LIMIT: u32 = 400;

/// What was aimed at is 45: a key and times of 64 bits, and counts, are what takes most of the rest.
const DUPLICATE_LIMIT: u32 = 100;
/// What was aimed at is 80.
#[cfg(target_has_atomic = "ptr")]
const EPOCH_LIMIT: u32 = 220;

/// Names are pieces of this text, one from each of its first bytes on.
const TEXT: &str =
    "pump valve motor relay lamp fan heater door lock gate siren pager meter clock radio probe";
const NAME_LENGTH: usize = 12;

static NUMBERS: FixedRegistry<u32, u32, 64, CriticalSectionLock> = FixedRegistry::new();
static NAMES: FixedRegistry<&str, u32, 64, CriticalSectionLock> = FixedRegistry::new();
static FEW: FixedRegistry<u32, u32, 8, CriticalSectionLock> = FixedRegistry::new();

proof!(main: main);

fn main() {
    let counter = Counter::start();
    let mut pids = FixedPidAllocator::<4>::new();
    let [resident, visitor] = [(); 2].map(|()| pids.allocate().expect("there is room for two"));
    Figure::of(&counter, "nothing", (), |_, _| (), |_, ()| ());
    Figure::of(
        &counter,
        "enter and leave a critical section",
        (),
        |_, _| (),
        |_, ()| critical_section::with(|_| ()),
    );
    sizes();
    rings(&counter);
    shared_rings(&counter);
    windows(&counter);
    owners(&counter, resident, visitor);
    look_ups(&counter, resident);
    #[cfg(target_has_atomic = "ptr")]
    epoch::all(&counter, resident, visitor);
    figure::all_hold();
}

/// Bytes of the parts, in RAM.
fn sizes() {
    let of = |what: &str, bytes: usize| report::say!("bytes: {what} | {bytes}");
    of("EventRing<16>", size_of::<EventRing<16>>());
    of("EventRing<32>", size_of::<EventRing<32>>());
    of("NestedRing<16>", size_of::<NestedRing<16>>());
    #[cfg(target_has_atomic = "ptr")]
    of("SharedRing<16>", size_of::<SharedRing<16>>());
    of("DedupWindow<16>", size_of::<DedupWindow<16>>());
    of("DedupWindow<32>", size_of::<DedupWindow<32>>());
    of("FixedRegistry<u32, u32, 64>", size_of_val(&NUMBERS));
    of("FixedRegistry<u32, u32, 8>", size_of_val(&FEW));
    of("FixedRegistry<&str, u32, 64>", size_of_val(&NAMES));
    of(
        "Machine of 3 children, intensity up to 8",
        size_of::<Machine<FixedChildren<u8, 3>, 8>>(),
    );
    of(
        "Machine of 4 children, intensity up to 8",
        size_of::<Machine<FixedChildren<u8, 4>, 8>>(),
    );
}

fn event(key: u32) -> Event {
    Event {
        kind: EventKind::new(Level::Info, 1),
        time: at(key),
        key: u64::from(key),
        value: 7,
    }
}

/// Milliseconds.
fn at(time: u32) -> Instant {
    Instant::from_nanos(u64::from(time) * 1_000_000)
}

fn rings(counter: &Counter) {
    let small = ring::<8>(counter);
    let large = ring::<64>(counter);
    for (small, large) in small.into_iter().zip(large) {
        small.is_flat(large, 8);
    }
}

/// Push, read, and read in vain.
fn ring<const N: usize>(counter: &Counter) -> [Figure; 3] {
    // Twice the work exceeds the limit.
    let is_planted = black_box(report::is_planted());
    let mut ring = EventRing::<N>::new();
    let (mut writer, mut reader) = ring.split();
    let push = Figure::of(
        counter,
        format_args!("push an event, {N} slots"),
        &mut writer,
        |_, number| number,
        |writer, number| {
            writer.push(event(number));
            if is_planted {
                writer.push(event(number));
            }
        },
    );
    while reader.next().is_some() {}
    let read = Figure::of(
        counter,
        format_args!("read an event, {N} slots"),
        (&mut writer, &mut reader),
        |(writer, _), number| writer.push(event(number)),
        |(_, reader), ()| reader.next(),
    );
    let vain = Figure::of(
        counter,
        format_args!("read an empty ring, {N} slots"),
        &mut reader,
        |_, _| (),
        |reader, ()| reader.next(),
    );
    [
        push.is_at_most(60),
        read.is_at_most(INTERRUPT_LIMIT),
        vain.is_at_most(INTERRUPT_LIMIT),
    ]
}

/// Rings of several writers; and what they would cost a handler.
fn shared_rings(counter: &Counter) {
    let ring = NestedRing::<16>::new();
    let mut reader = ring.claim_reader().expect("nobody else reads");
    let push = Figure::of(
        counter,
        "push an event, nested ring",
        (),
        |_, number| number,
        |_, number| ring.push(event(number)),
    );
    push.is_at_most(INTERRUPT_LIMIT);
    while reader.next().is_some() {}
    Figure::of(
        counter,
        "read an event, nested ring",
        &mut reader,
        |_, number| _ = ring.push(event(number)),
        |reader, ()| reader.next(),
    )
    .is_at_most(INTERRUPT_LIMIT);
    #[cfg(target_has_atomic = "ptr")]
    {
        let ring = SharedRing::<16>::new();
        Figure::of(
            counter,
            "push an event, shared ring",
            (),
            |_, number| number,
            |_, number| ring.push(event(number)),
        )
        .is_at_most(INTERRUPT_LIMIT);
    }
}

fn windows(counter: &Counter) {
    let small = window::<8>(counter);
    let large = window::<64>(counter);
    for (small, large) in small.into_iter().zip(large) {
        small.is_flat(large, 8);
    }
}

/// A new key, a repeated one, and one for which another has to go.
fn window<const N: usize>(counter: &Counter) -> [Figure; 3] {
    let mut window = DedupWindow::<N>::new(Duration::from_secs(1));
    let new = Figure::of(
        counter,
        format_args!("offer a new key, {N} windows"),
        &mut window,
        |window, number| {
            window.flush(|_| ());
            (u64::from(number) << 32 | 5, at(number))
        },
        |window, (key, now)| window.offer(key, now),
    );
    window.flush(|_| ());
    assert!(window.offer(3, at(SAMPLES)).passes());
    let duplicate = Figure::of(
        counter,
        format_args!("offer a duplicate, {N} windows"),
        &mut window,
        |_, number| (3, at(SAMPLES + number)),
        |window, (key, now)| window.offer(key, now),
    );
    let evicting = Figure::of(
        counter,
        format_args!("offer a key in place of another, {N} windows"),
        &mut window,
        |window, number| {
            // Each key comes twice, so that whichever goes hands out a summary.
            let now = at(2 * SAMPLES + number);
            for before in 0..4 * N as u32 {
                let _ = window.offer(u64::from(before), now);
                let _ = window.offer(u64::from(before), now);
            }
            (u64::MAX - u64::from(number), now)
        },
        |window, (key, now)| window.offer(key, now),
    );
    let shared = LockedDedupWindow::<N, CriticalSectionLock>::new(Duration::from_secs(1));
    _ = shared.offer(3, at(0));
    Figure::of(
        counter,
        format_args!("offer a duplicate, {N} windows under a lock"),
        (),
        |_, number| (3, at(number)),
        |_, (key, now)| shared.offer(key, now),
    )
    .is_at_most(INTERRUPT_LIMIT);
    Figure::of(
        counter,
        format_args!("poll while nothing is over, {N} windows"),
        &mut window,
        |_, _| at(0),
        |window, now| window.poll(now, |_| ()),
    );
    assert!(window.counts().evicted > 0);
    [
        new.is_at_most(INTERRUPT_LIMIT),
        duplicate.is_at_most(DUPLICATE_LIMIT),
        evicting.is_at_most(INTERRUPT_LIMIT),
    ]
}

fn owners(counter: &Counter, resident: Pid, visitor: Pid) {
    let alone = owner_of_one(counter, "in an empty registry", visitor);
    let mut owner = NUMBERS.owner(resident);
    for value in 1..SAMPLES - 1 {
        owner.register(number(value), value).expect("a new key");
    }
    let crowded = owner_of_one(counter, "beside 62 others", visitor);
    for (alone, crowded) in alone.into_iter().zip(crowded) {
        // A key may share its bucket with others.
        alone.is_flat(crowded, 60);
    }
}

/// An owner's beginning, its registering, its giving that up, and its end while it holds one.
fn owner_of_one(counter: &Counter, place: &str, visitor: Pid) -> [Figure; 4] {
    let make = Figure::of(
        counter,
        format_args!("make an owner, {place}"),
        (),
        |_, _| visitor,
        |_, pid| NUMBERS.owner(pid),
    );
    let mut owner = NUMBERS.owner(visitor);
    let register = Figure::of(
        counter,
        format_args!("register a number, {place}"),
        &mut owner,
        |owner, _| _ = owner.unregister(&number(0)),
        |owner, ()| owner.register(number(0), 0),
    );
    let unregister = Figure::of(
        counter,
        format_args!("unregister a number, {place}"),
        &mut owner,
        |owner, _| _ = owner.register(number(0), 0),
        |owner, ()| owner.unregister(&number(0)),
    );
    drop(owner);
    let end = Figure::of(
        counter,
        format_args!("end an owner of one, {place}"),
        (),
        |_, _| {
            let mut owner = NUMBERS.owner(visitor);
            owner.register(number(0), 0).expect("it is free");
            owner
        },
        |_, owner| drop(owner),
    );
    [make, register, unregister, end].map(|figure| figure.is_at_most(INTERRUPT_LIMIT))
}

fn look_ups(counter: &Counter, resident: Pid) {
    let (mut numbers, mut names) = (NUMBERS.owner(resident), NAMES.owner(resident));
    let mut few = FEW.owner(resident);
    for value in 0..SAMPLES {
        numbers.register(number(value), value).expect("a new key");
        names.register(name(value), value).expect("a new key");
        let _ = few.register(number(value), value);
        assert_eq!(NUMBERS.lookup(&number(value)), Some((resident, value)));
        assert_eq!(NAMES.lookup(name(value)), Some((resident, value)));
    }
    let find = |counter, what, which: fn(u32) -> u32| {
        Figure::of(
            counter,
            what,
            (),
            |_, value| number(which(value)),
            |_, key| NUMBERS.lookup(&key),
        )
    };
    let in_many = find(counter, "look up a number among 64", |value| value).is_on_average(110);
    find(
        counter,
        "look up a number that is not there among 64",
        |value| value + SAMPLES,
    )
    .is_on_average(110);
    let in_few = Figure::of(
        counter,
        "look up a number among 8",
        (),
        |_, value| number(value % 8),
        |_, key| FEW.lookup(&key),
    );
    in_few.is_flat(in_many, 20);
    Figure::of(
        counter,
        "look up a name of 12 bytes among 64",
        (),
        |_, value| name(value),
        |_, key| NAMES.lookup(key),
    )
    .is_at_most(INTERRUPT_LIMIT)
    .is_on_average(230);
}

/// Addresses, as devices have them.
const fn number(value: u32) -> u32 {
    0x4000_0000 + value * 0x400
}

fn name(value: u32) -> &'static str {
    &TEXT[value as usize..][..NAME_LENGTH]
}

/// The registry for targets with an allocator and compare-and-swap.
#[cfg(target_has_atomic = "ptr")]
mod epoch {
    use super::*;
    use bedplate_core::registry::EpochRegistry;
    use bedplate_firmware::hash::Hashing;
    use bedplate_firmware::heap;

    extern crate alloc;
    use alloc::boxed::Box;

    pub(super) fn all(counter: &Counter, resident: Pid, visitor: Pid) {
        heap::start();
        let empty = heap::used();
        words(counter, resident, visitor);
        boxes(counter, resident);
        assert_eq!(heap::used(), empty, "all memory was given back");
    }

    fn words(counter: &Counter, resident: Pid, visitor: Pid) {
        let before = heap::used();
        let registry = EpochRegistry::<u32, u32, _>::with_hasher(Hashing::default());
        let made = heap::used();
        let handle = registry.handle();
        let with_handle = heap::used();
        let mut owner = registry.owner(resident);
        for value in 0..SAMPLES {
            owner
                .register(&handle.pin(), number(value), value)
                .expect("a new key");
        }
        report::say!(
            "heap: {} bytes an empty epoch registry, {} a handle, {} 64 entries",
            made - before,
            with_handle - made,
            heap::used() - with_handle
        );
        Figure::of(
            counter,
            "epoch: look up a number among 64",
            (),
            |_, value| number(value),
            |_, key| handle.pin().lookup(&key).map(|entry| *entry.value()),
        )
        .is_on_average(EPOCH_LIMIT);
        Figure::of(
            counter,
            "epoch: who has a number among 64",
            (),
            |_, value| number(value),
            |_, key| handle.pin().whereis(&key),
        );
        let mut owner = registry.owner(visitor);
        Figure::of(
            counter,
            "epoch: register a number",
            &mut owner,
            |owner, _| _ = owner.unregister(&handle.pin(), &number(SAMPLES)),
            |owner, ()| owner.register(&handle.pin(), number(SAMPLES), 1),
        );
        Figure::of(
            counter,
            "epoch: unregister a number",
            &mut owner,
            |owner, _| _ = owner.register(&handle.pin(), number(SAMPLES), 1),
            |owner, ()| owner.unregister(&handle.pin(), &number(SAMPLES)),
        );
        drop(owner);
        Figure::of(
            counter,
            "epoch: end an owner of one",
            (),
            |_, _| {
                let mut owner = registry.owner(visitor);
                owner
                    .register(&handle.pin(), number(SAMPLES), 1)
                    .expect("it is free");
                owner
            },
            |_, owner| drop(owner),
        );
    }

    /// Values that are owned through a pointer, so that reading them pins.
    fn boxes(counter: &Counter, resident: Pid) {
        let registry = EpochRegistry::<u32, Box<u32>, _>::with_hasher(Hashing::default());
        let handle = registry.handle();
        let mut owner = registry.owner(resident);
        for value in 0..SAMPLES {
            owner
                .register(&handle.pin(), number(value), Box::new(value))
                .expect("a new key");
        }
        let read = Figure::of(
            counter,
            "epoch: look up a box among 64, pinned",
            (),
            |_, value| number(value),
            |_, key| handle.pin().lookup(&key).map(|entry| *entry.value()),
        );
        report::say!("a pin collects now and then: {} at most", read.most);
        Figure::of(
            counter,
            "epoch: replace a box",
            &mut owner,
            |_, value| (number(value), Box::new(value)),
            |owner, (key, value)| owner.update(&handle.pin(), &key, |_| value),
        );
    }
}
