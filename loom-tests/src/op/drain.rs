//! A drain against its oracle, with a sink that fails as the bytes say.

use super::Bytes;
use crate::oracle::drain::{Batch as Expected, Closed as Cause, Drain as Oracle, Limits as Truth};
use bedplate_core::clock::Instant;
use bedplate_core::drain::{Batch, Closed, Drain, Item, Limits, Refused};
use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeMap;

const CAPACITY: usize = 12;

/// An item of a size of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sized {
    number: u64,
    bytes: usize,
}

impl Item for Sized {
    fn key(&self) -> u64 {
        self.number % 5
    }
    fn value(&self) -> u64 {
        self.number * 3
    }
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Something asked of a drain.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// So many items come, of this size.
    Add(u8, u8),
    /// Time passes.
    Wait(u8),
    /// What is due goes out, at most so much.
    Poll(u8),
    /// Items are taken from a source, at most so many, and what is due goes out.
    PollFrom(u8, u8),
    /// All is to go.
    Flush,
    /// All is to go, and no more comes.
    Shutdown,
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(16) {
            0..=5 => Self::Add(bytes.below(6), bytes.below(40)),
            6..=8 => Self::Wait(bytes.below(40)),
            9..=11 => Self::Poll(bytes.below(20)),
            12 => Self::PollFrom(bytes.below(20), bytes.below(20)),
            13..=14 => Self::Flush,
            _ if bytes.below(8) == 0 => Self::Shutdown,
            _ => Self::Flush,
        })
    }
}

fn cause(closed: Closed) -> Cause {
    match closed {
        Closed::Items => Cause::Items,
        Closed::Bytes => Cause::Bytes,
        Closed::Age => Cause::Age,
        Closed::Flush => Cause::Flush,
        Closed::Shutdown => Cause::Shutdown,
        other => panic!("{other:?} is new here"),
    }
}

/// Runs the sequence in `bytes` against a drain and the oracle. The first bytes are the limits, then comes what the
/// sink does.
///
/// # Panics
/// If they disagree, if an item is lost, doubled or out of order, or if an aggregate is wrong.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let truth = Truth {
        items: usize::from(bytes.below(6)) + 1,
        bytes: usize::from(bytes.byte()),
        age: u64::from(bytes.below(50)),
        attempts: u32::from(bytes.below(3)) + 1,
        retry_after: u64::from(bytes.below(20)),
    };
    let mut fails = bytes.byte();
    let mut drain = Drain::<Sized, CAPACITY>::new(Limits {
        items: truth.items,
        bytes: truth.bytes,
        age: Duration::from_nanos(truth.age),
        attempts: truth.attempts,
        retry_after: Duration::from_nanos(truth.retry_after),
    });
    let oracle = RefCell::new(Oracle::new(CAPACITY, truth));
    let (mut now, mut number, mut refused, mut shut) = (0, 0, 0, false);

    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Add(times, bytes) => {
                for _ in 0..times {
                    number += 1;
                    let item = Sized {
                        number,
                        bytes: bytes.into(),
                    };
                    let took = oracle.borrow_mut().add(now, number, item.bytes);
                    match drain.add(Instant::from_nanos(now), item) {
                        Ok(()) => assert!(took),
                        Err(back) => {
                            assert_eq!(matches!(back, Refused::ShutDown(_)), shut);
                            assert_eq!(back.into_inner(), item, "it comes back");
                            assert!(!took);
                            refused += 1;
                        }
                    }
                }
            }
            Operation::Wait(time) => now += u64::from(time),
            Operation::Poll(budget) => {
                poll(&mut drain, &oracle, now, budget.into(), &mut fails);
            }
            Operation::PollFrom(budget, there) => {
                let before = drain.stats();
                let mut left = there;
                let next = {
                    let source = || {
                        left = left.checked_sub(1)?;
                        number += 1;
                        assert!(
                            oracle.borrow_mut().add(now, number, 1),
                            "only what has room"
                        );
                        Some(Sized { number, bytes: 1 })
                    };
                    let sink = &mut |batch: &Batch<'_, Sized, CAPACITY>| {
                        check(batch, &mut oracle.borrow_mut(), now, &mut fails)
                    };
                    drain.poll_from(Instant::from_nanos(now), budget.into(), source, sink)
                };
                let added = drain.stats().added - before.added;
                assert!(added <= u64::from(budget) && drain.stats().refused == before.refused);
                assert_eq!(next.is_none(), oracle.borrow().waiting() == 0);
            }
            Operation::Flush => {
                drain.flush();
                oracle.borrow_mut().flush(false);
            }
            Operation::Shutdown => {
                drain.shutdown();
                oracle.borrow_mut().flush(true);
                shut = true;
            }
        }
        let (stats, oracle) = (drain.stats(), oracle.borrow());
        assert_eq!(stats.added + stats.refused, number);
        assert_eq!(stats.refused, refused);
        assert_eq!(stats.added, stats.delivered + stats.lost + stats.waiting);
        assert_eq!(stats.delivered, oracle.delivered.len() as u64);
        assert_eq!(stats.lost, oracle.lost.len() as u64);
        assert_eq!(stats.waiting, oracle.waiting() as u64);
    }
    // At the end all of it goes, or is given up.
    drain.shutdown();
    oracle.borrow_mut().flush(true);
    for _ in 0..200 {
        now += truth.retry_after + 1;
        if poll(&mut drain, &oracle, now, usize::MAX, &mut fails).is_none() {
            break;
        }
    }
    assert_eq!(drain.stats().waiting, 0);
    let oracle = oracle.into_inner();
    assert!(oracle.delivered.is_sorted() && oracle.lost.is_sorted());
}

/// What the sink does: looks whether the batch is the expected one, and takes it or not.
fn check(
    batch: &Batch<'_, Sized, CAPACITY>,
    oracle: &mut Oracle,
    now: u64,
    fails: &mut u8,
) -> Result<(), ()> {
    let (expected, due) = oracle.front().expect("something waits");
    assert!(due <= now, "{expected:?} is not due before {due}");
    let got = Expected {
        number: batch.number(),
        closed: cause(batch.closed()),
        attempt: batch.attempt(),
        items: batch.iter().map(|item| item.number).collect(),
    };
    assert_eq!(got, expected);
    assert_eq!(batch.len(), expected.items.len());

    let mut values = BTreeMap::<u64, Vec<u64>>::new();
    for item in batch.iter() {
        values.entry(item.key()).or_default().push(item.value());
    }
    let aggregates = batch.aggregates::<5>();
    assert_eq!(aggregates.left_out(), 0);
    assert_eq!(aggregates.iter().len(), values.len());
    for (of_key, (key, values)) in aggregates.iter().zip(&values) {
        assert_eq!((of_key.key, of_key.count), (*key, values.len() as u64));
        assert_eq!(of_key.sum, u128::from(values.iter().sum::<u64>()));
        assert_eq!(Some(of_key.min), values.iter().min().copied());
        assert_eq!(Some(of_key.max), values.iter().max().copied());
        assert_eq!(Some(of_key.last), values.last().copied());
    }

    *fails = fails.rotate_left(1);
    let taken = *fails & 1 == 0;
    oracle.offered(now, taken);
    if taken { Ok(()) } else { Err(()) }
}

/// Polls, and looks whether all went that was due and in the budget.
fn poll(
    drain: &mut Drain<Sized, CAPACITY>,
    oracle: &RefCell<Oracle>,
    now: u64,
    budget: usize,
    fails: &mut u8,
) -> Option<Instant> {
    let mut offered = 0;
    let next = drain.poll(Instant::from_nanos(now), budget, &mut |batch: &Batch<
        '_,
        Sized,
        CAPACITY,
    >| {
        offered += batch.len();
        check(batch, &mut oracle.borrow_mut(), now, fails)
    });
    match (next, oracle.borrow().front()) {
        (None, None) => {}
        (Some(next), Some((_, due))) if due > now => assert_eq!(next.as_nanos(), due),
        (Some(next), Some((batch, _))) => {
            assert_eq!(next.as_nanos(), now, "something is due");
            assert!(budget == 0 || (offered > 0 && offered + batch.items.len() > budget));
        }
        (next, expected) => panic!("{next:?} instead of {expected:?}"),
    }
    next
}
