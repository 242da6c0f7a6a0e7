//! What the tests of Foundation's telemetry ask of sampled, de-duplicated and batched events, by case number; the
//! cases of handlers and spans are those of the facade.

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{DedupWindow, LockedDedupWindow, SharedDedupWindow, key_of};
use bedplate_core::drain::{Aggregates, Batch, Closed, Drain, Limits};
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::registry::SpinLock;
use bedplate_core::sample::{
    Adaptive, Always, Choice, Counted, Never, Random, RateLimited, Sampler,
};
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const KIND: EventKind = EventKind::new(Level::Info, 1);
const KEY: u64 = key_of("test.event");

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn event(millis: u64, key: u64, value: u64) -> Event {
    Event {
        kind: KIND,
        time: at(millis),
        key,
        value,
    }
}

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

/// Values that batches brought, and why each was closed.
type Brought = Vec<(Closed, Vec<u64>)>;

fn into<const N: usize>(
    brought: &mut Brought,
) -> impl FnMut(&Batch<'_, Event, N>) -> Result<(), Infallible> {
    |batch| {
        let values = batch.iter().map(|event| event.value).collect();
        brought.push((batch.closed(), values));
        Ok(())
    }
}

#[test]
fn e1_a_key_passes_once_a_window() {
    let mut plain = DedupWindow::<16>::new(SECOND);
    let locked = LockedDedupWindow::<16, SpinLock>::new(SECOND);
    let shared = SharedDedupWindow::<4, 1>::new(SECOND);
    let mut source = shared.claim_source().expect("one");
    for (now, passes) in [(0, true), (1, false), (1_100, true)] {
        assert_eq!(plain.offer(KEY, at(now)).passes(), passes);
        assert_eq!(locked.offer(KEY, at(now)).passes(), passes);
        assert_eq!(source.offer(KEY, at(now)).passes(), passes);
    }
}

#[test]
fn e2_the_events_that_pass_keep_their_own_measurements() {
    let window = SharedDedupWindow::<4, 1>::new(Duration::from_millis(500));
    let mut source = window.claim_source().expect("one");
    let mut seen = Vec::new();
    for event in [event(0, KEY, 1), event(10, KEY, 2), event(600, KEY, 3)] {
        if source.offer(event.key, event.time).passes() {
            seen.push(event.value);
        }
    }
    assert_eq!(seen, [1, 3]);
}

#[test]
fn e4_of_ten_threads_that_ask_for_a_key_at_once_exactly_one_passes() {
    const ROUNDS: u64 = if cfg!(miri) { 2 } else { 200 };
    let window = SharedDedupWindow::<4, 10>::new(SECOND);
    let passed = AtomicUsize::new(0);
    let barrier = Barrier::new(10);
    thread::scope(|scope| {
        for thread in 0..10 {
            let (window, passed, barrier) = (&window, &passed, &barrier);
            scope.spawn(move || {
                let mut source = window.claim_source().expect("ten");
                for round in 0..ROUNDS {
                    barrier.wait();
                    let passes = source.offer(KEY, at(round * 1_000)).passes();
                    passed.fetch_add(usize::from(passes), Ordering::Relaxed);
                    barrier.wait();
                    if thread == 0 {
                        assert_eq!(passed.swap(0, Ordering::Relaxed), 1, "round {round}");
                        if round % 3 == 0 {
                            window.flush(|_| ());
                        }
                    }
                }
            });
        }
    });
    let counts = window.counts();
    assert_eq!((counts.passed, counts.suppressed), (ROUNDS, 9 * ROUNDS));
}

#[test]
fn e5_what_was_added_is_there_until_it_is_processed() {
    let mut drain = Drain::<Event, 16>::new(Limits::DEFAULT);
    for value in 1..=3 {
        drain.add(at(0), event(0, KEY, value)).expect("room");
    }
    assert_eq!(drain.stats().waiting, 3);
    let mut brought = Brought::new();
    drain.flush();
    drain.poll(at(0), usize::MAX, &mut into(&mut brought));
    assert_eq!(brought, [(Closed::Flush, vec![1, 2, 3])]);
    assert_eq!(drain.stats().waiting, 0);
}

#[test]
fn e7_a_batch_goes_when_its_time_is_over_without_another_event() {
    let limits = Limits {
        items: 100,
        age: SECOND,
        ..Limits::DEFAULT
    };
    let mut drain = Drain::<Event, 128>::new(limits);
    let mut brought = Brought::new();
    drain.add(at(0), event(0, KEY, 1)).expect("room");
    let next = drain.poll(at(0), usize::MAX, &mut into(&mut brought));
    assert_eq!(next, Some(at(1_000)), "the timer is set by what waits");
    drain.poll(at(1_000), usize::MAX, &mut into(&mut brought));
    assert_eq!(brought, [(Closed::Age, vec![1])]);
    drain.add(at(1_100), event(1_100, KEY, 2)).expect("room");
    let next = drain.poll(at(1_100), usize::MAX, &mut into(&mut brought));
    assert_eq!((brought.len(), next), (1, Some(at(2_100))));
}

#[test]
fn e8_nothing_is_lost_or_doubled_that_ten_threads_add_while_another_processes() {
    const EACH: u64 = if cfg!(miri) { 5 } else { 500 };
    let limits = Limits {
        items: 7,
        age: Duration::ZERO,
        ..Limits::DEFAULT
    };
    let drain = Mutex::new(Drain::<Event, 64>::new(limits));
    let done = AtomicBool::new(false);
    let brought = thread::scope(|scope| {
        let processor = scope.spawn(|| {
            let mut brought = Brought::new();
            loop {
                let last = done.load(Ordering::Acquire);
                let mut drain = drain.lock().expect("no panic");
                drain.flush();
                drain.poll(at(0), usize::MAX, &mut into(&mut brought));
                if last && drain.stats().waiting == 0 {
                    return brought;
                }
            }
        });
        let adding: Vec<_> = (0..10)
            .map(|thread| {
                let drain = &drain;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let value = thread * EACH + number;
                        while drain
                            .lock()
                            .expect("no panic")
                            .add(at(0), event(0, thread, value))
                            .is_err()
                        {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        for thread in adding {
            thread.join().expect("no panic");
        }
        done.store(true, Ordering::Release);
        processor.join().expect("no panic")
    });
    let values: Vec<u64> = brought.into_iter().flat_map(|(_, values)| values).collect();
    for thread in 0..10 {
        let of_thread = values
            .iter()
            .copied()
            .filter(|value| value / EACH == thread);
        assert!(
            of_thread.eq(thread * EACH..(thread + 1) * EACH),
            "in order, each once"
        );
    }
    assert_eq!(values.len() as u64, 10 * EACH);
}

#[test]
fn e10_a_summary_has_what_there_was_and_none_of_nothing() {
    let mut aggregates = Aggregates::<4>::new();
    assert_eq!(aggregates.iter().len(), 0);
    for (key, value) in [(1, 5), (2, 1), (1, 3)] {
        assert!(aggregates.add(key, value));
    }
    let of_one = aggregates.get(1).expect("two");
    assert_eq!((of_one.count, of_one.sum), (2, 8));
    assert_eq!((of_one.min, of_one.max, of_one.last), (3, 5, 3));

    let mut nothing = Drain::<Event, 4>::new(Limits::DEFAULT);
    nothing.flush();
    let next = nothing.poll(
        at(5_000),
        usize::MAX,
        &mut |_: &Batch<'_, Event, 4>| -> Result<(), Infallible> { panic!("an empty batch") },
    );
    assert_eq!(next, None);
}

#[test]
fn e16_a_random_half_is_about_half_and_the_same_for_a_seed() {
    let choices = |seed| {
        let mut half = Random::new(0.5, seed);
        (0..1_000)
            .map(|_| half.sample(at(0), 0).is_kept())
            .collect::<Vec<_>>()
    };
    for seed in 0..50 {
        let kept = choices(seed).into_iter().filter(|&kept| kept).count();
        assert!((400..=600).contains(&kept), "{kept} with {seed}");
        assert_eq!(choices(seed), choices(seed));
    }
    assert_ne!(choices(1), choices(2));
}

#[test]
fn e17_ten_a_second_are_ten_and_then_ten_again() {
    let mut ten = RateLimited::new(n(10), SECOND);
    let mut kept = |now| (0..20).filter(|_| ten.sample(at(now), 0).is_kept()).count();
    assert_eq!([0, 999, 1_000, 5_000].map(&mut kept), [10, 0, 10, 10]);
}

#[test]
fn e19_a_burst_lowers_the_rate_and_quiet_raises_it_again() {
    let mut fifty = Adaptive::new(n(50), SECOND, 1);
    for number in 0..200 {
        fifty.sample(at(number), 0);
    }
    let burst = fifty.part();
    assert!(burst < 0.5, "{burst}");
    for second in 1..10 {
        fifty.sample(at(second * 1_000), 0);
    }
    assert_eq!(fifty.part(), 1.0);
}

#[test]
fn e20_only_what_is_sampled_is_seen_with_its_weight_and_both_are_counted() {
    let mut sampler = Counted::new(Random::new(0.25, 9));
    let seen: Vec<Choice> = (0..1_000)
        .map(|_| sampler.sample(at(0), 0))
        .filter(|choice| choice.is_kept())
        .collect();
    assert!(seen.iter().all(|choice| choice.weight() == 4.0));
    let counts = sampler.counts();
    assert_eq!(
        (counts.kept, counts.left),
        (seen.len() as u64, 1_000 - seen.len() as u64)
    );
    sampler.reset();
    assert_eq!((sampler.counts().kept, sampler.counts().left), (0, 0));
    assert!(Always.sample(at(0), 0).is_kept() && !Never.sample(at(0), 0).is_kept());
}
