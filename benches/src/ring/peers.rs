//! The contenders, and what is done with them.

use super::{BURST, SLOTS};
use crate::pinned;
use bedplate_core::event::{Record, Words};
use bedplate_core::ring::{EventRing, NestedRing, Overwrite, Received, Reject, SharedRing};
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use std::hint::black_box;
use std::io;

/// What is pushed into our rings: with the stamp, 64 bytes.
#[derive(Clone, Copy)]
pub struct Payload(Words);

impl Record for Payload {
    fn encode(self) -> Words {
        self.0
    }

    fn decode(words: Words) -> Self {
        Self(words)
    }
}

fn payload(number: usize) -> Payload {
    Payload(core::array::from_fn(|index| number ^ index))
}

/// What is pushed into the others.
pub type Event = [usize; 8];

fn event(number: usize) -> Event {
    core::array::from_fn(|index| number ^ index)
}

/// A ring with one writer and one reader.
pub trait Ring {
    fn new() -> Self;
    /// Pushes the numbers `from..to`, whatever becomes of them.
    fn push(&mut self, from: usize, to: usize);
    /// Reads so many, and returns how many there were, and a digest.
    fn pop(&mut self, count: usize) -> (usize, usize);
}

/// A ring that refuses a push when it is full.
pub trait Rejects: Ring {
    /// Pushes so often; how many were refused.
    fn push_refused(&mut self, count: usize) -> usize;
}

/// A ring of several writers.
pub trait Shared: Ring + Sync {
    fn push_shared(&self, from: usize, to: usize);
}

/// Threads that push, each into a ring of its own; nanoseconds for each push.
pub fn pushes<R: Ring>(
    threads: usize,
    operations: usize,
    new: impl Fn() -> R + Sync,
) -> io::Result<f64> {
    pinned::mean(threads, operations, |_, gate| {
        let mut ring = new();
        ring.push(0, 4 * SLOTS);
        let sample = gate.time(|| ring.push(0, operations));
        black_box(&mut ring);
        sample
    })
}

/// Pushes that are refused.
pub fn rejects<R: Rejects>(operations: usize) -> io::Result<f64> {
    pinned::mean(1, operations, |_, gate| {
        let mut ring = R::new();
        ring.push(0, SLOTS);
        ring.push_refused(SLOTS);
        let mut refused = 0;
        let sample = gate.time(|| refused = ring.push_refused(operations));
        assert_eq!(refused, operations);
        sample
    })
}

/// Bursts of pushes and as many reads; nanoseconds for a push and a read.
pub fn pairs<R: Ring>(operations: usize) -> io::Result<f64> {
    pinned::mean(1, operations, |_, gate| {
        let mut ring = R::new();
        let mut bursts = |count: usize| {
            let mut read = 0;
            for burst in 0..count {
                ring.push(burst * BURST, (burst + 1) * BURST);
                let (popped, digest) = ring.pop(BURST);
                black_box(digest);
                read += popped;
            }
            read
        };
        bursts(SLOTS / BURST * 2);
        let mut read = 0;
        let sample = gate.time(|| read = bursts(operations / BURST));
        assert_eq!(read, operations);
        sample
    })
}

/// Threads that push into one ring.
pub fn shared<R: Shared>(threads: usize, operations: usize) -> io::Result<f64> {
    let ring = R::new();
    pinned::mean(threads, operations, |_, gate| {
        ring.push_shared(0, 2 * SLOTS);
        gate.time(|| ring.push_shared(0, operations))
    })
}

/// Copies into a vector, and out of it; nobody else could see them.
pub struct Copies {
    slots: Vec<Event>,
    head: usize,
    tail: usize,
}

impl Ring for Copies {
    fn new() -> Self {
        Self {
            slots: vec![event(0); SLOTS],
            head: 0,
            tail: 0,
        }
    }

    fn push(&mut self, from: usize, to: usize) {
        for number in from..to {
            let slot = &mut self.slots[self.tail & (SLOTS - 1)];
            *slot = event(number);
            black_box(slot);
            self.tail += 1;
        }
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        let mut digest = 0;
        for _ in 0..count {
            let event = self.slots[self.head & (SLOTS - 1)];
            black_box(&event);
            digest ^= event[0] ^ event[7];
            self.head += 1;
        }
        (count, digest)
    }
}

/// Counts and digests what one of our readers gives.
fn pop_ours(reader: &mut bedplate_core::ring::Reader<'_, Payload>, count: usize) -> (usize, usize) {
    let (mut popped, mut digest) = (0, 0);
    for _ in 0..count {
        if let Some(Received::Record(Payload(words))) = reader.next() {
            black_box(&words);
            digest ^= words[0] ^ words[6];
            popped += 1;
        }
    }
    (popped, digest)
}

/// Our ring of one writer.
pub struct Ours(Box<EventRing<SLOTS, Overwrite, Payload>>);

impl Ring for Ours {
    fn new() -> Self {
        Self(Box::new(EventRing::new()))
    }

    fn push(&mut self, from: usize, to: usize) {
        let mut writer = self.0.claim_writer().expect("nobody else writes");
        (from..to).for_each(|number| writer.push(payload(number)));
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        pop_ours(
            &mut self.0.claim_reader().expect("nobody else reads"),
            count,
        )
    }
}

/// The same, read by whole slices.
pub struct OursInBatches(Ours);

impl Ring for OursInBatches {
    fn new() -> Self {
        Self(Ours::new())
    }

    fn push(&mut self, from: usize, to: usize) {
        self.0.push(from, to);
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        let mut reader = self.0.0.claim_reader().expect("nobody else reads");
        let mut records = [payload(0); BURST];
        let (mut popped, mut digest) = (0, 0);
        while popped < count {
            let batch = reader.read_batch(&mut records);
            for Payload(words) in black_box(&records[..batch.records]) {
                digest ^= words[0] ^ words[6];
            }
            popped += batch.records;
        }
        (popped, digest)
    }
}

/// Our ring of one writer that refuses.
pub struct OursRejecting(Box<EventRing<SLOTS, Reject, Payload>>);

impl Ring for OursRejecting {
    fn new() -> Self {
        Self(Box::new(EventRing::new()))
    }

    fn push(&mut self, from: usize, to: usize) {
        let mut writer = self.0.claim_writer().expect("nobody else writes");
        (from..to).for_each(|number| {
            let _ = writer.push(payload(number));
        });
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        pop_ours(
            &mut self.0.claim_reader().expect("nobody else reads"),
            count,
        )
    }
}

impl Rejects for OursRejecting {
    fn push_refused(&mut self, count: usize) -> usize {
        let mut writer = self.0.claim_writer().expect("nobody else writes");
        let refused = |number: &usize| black_box(writer.push(payload(*number)).is_err());
        (0..count).filter(refused).count()
    }
}

/// Our ring for interrupts.
pub struct OursNested(Box<NestedRing<SLOTS, Overwrite, Payload>>);

impl Ring for OursNested {
    fn new() -> Self {
        Self(Box::new(NestedRing::new()))
    }

    fn push(&mut self, from: usize, to: usize) {
        for number in from..to {
            let _ = self.0.push(payload(number));
        }
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        pop_ours(
            &mut self.0.claim_reader().expect("nobody else reads"),
            count,
        )
    }
}

/// Our ring for all.
pub struct OursShared(Box<SharedRing<SLOTS, Overwrite, Payload>>);

impl Ring for OursShared {
    fn new() -> Self {
        Self(Box::new(SharedRing::new()))
    }

    fn push(&mut self, from: usize, to: usize) {
        self.push_shared(from, to);
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        pop_ours(
            &mut self.0.claim_reader().expect("nobody else reads"),
            count,
        )
    }
}

impl Shared for OursShared {
    fn push_shared(&self, from: usize, to: usize) {
        for number in from..to {
            let _ = self.0.push(payload(number));
        }
    }
}

/// Pops as a closure does, and digests.
fn pop_each(count: usize, mut pop: impl FnMut() -> Option<Event>) -> (usize, usize) {
    let (mut popped, mut digest) = (0, 0);
    for _ in 0..count {
        if let Some(event) = pop() {
            black_box(&event);
            digest ^= event[0] ^ event[7];
            popped += 1;
        }
    }
    (popped, digest)
}

/// How many pushes a closure refuses.
fn count_refused(count: usize, mut push: impl FnMut(Event) -> bool) -> usize {
    (0..count)
        .filter(|number| !black_box(push(event(*number))))
        .count()
}

pub struct Rtrb(rtrb::Producer<Event>, rtrb::Consumer<Event>);

impl Ring for Rtrb {
    fn new() -> Self {
        let (producer, consumer) = rtrb::RingBuffer::new(SLOTS);
        Self(producer, consumer)
    }

    fn push(&mut self, from: usize, to: usize) {
        for number in from..to {
            let _ = self.0.push(event(number));
        }
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        pop_each(count, || self.1.pop().ok())
    }
}

impl Rejects for Rtrb {
    fn push_refused(&mut self, count: usize) -> usize {
        count_refused(count, |event| self.0.push(event).is_ok())
    }
}

/// One slot of a heapless queue stays empty.
pub struct Spsc(Box<heapless::spsc::Queue<Event, SLOTS>>);

impl Ring for Spsc {
    fn new() -> Self {
        Self(Box::new(heapless::spsc::Queue::new()))
    }

    fn push(&mut self, from: usize, to: usize) {
        let (mut producer, _) = self.0.split();
        for number in from..to {
            let _ = producer.enqueue(event(number));
        }
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        let (_, mut consumer) = self.0.split();
        pop_each(count, || consumer.dequeue())
    }
}

impl Rejects for Spsc {
    fn push_refused(&mut self, count: usize) -> usize {
        let (mut producer, _) = self.0.split();
        count_refused(count, |event| producer.enqueue(event).is_ok())
    }
}

pub struct RingBuf(ringbuf::HeapProd<Event>, ringbuf::HeapCons<Event>);

impl Ring for RingBuf {
    fn new() -> Self {
        let (producer, consumer) = ringbuf::HeapRb::new(SLOTS).split();
        Self(producer, consumer)
    }

    fn push(&mut self, from: usize, to: usize) {
        for number in from..to {
            let _ = self.0.try_push(event(number));
        }
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        pop_each(count, || self.1.try_pop())
    }
}

impl Rejects for RingBuf {
    fn push_refused(&mut self, count: usize) -> usize {
        count_refused(count, |event| self.0.try_push(event).is_ok())
    }
}

/// crossbeam's bounded queue.
pub struct Array(crossbeam_queue::ArrayQueue<Event>);

impl Ring for Array {
    fn new() -> Self {
        Self(crossbeam_queue::ArrayQueue::new(SLOTS))
    }

    fn push(&mut self, from: usize, to: usize) {
        self.push_shared(from, to);
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        pop_each(count, || self.0.pop())
    }
}

impl Rejects for Array {
    fn push_refused(&mut self, count: usize) -> usize {
        count_refused(count, |event| self.0.push(event).is_ok())
    }
}

impl Shared for Array {
    fn push_shared(&self, from: usize, to: usize) {
        for number in from..to {
            black_box(self.0.force_push(event(number)));
        }
    }
}

pub struct Concurrent(concurrent_queue::ConcurrentQueue<Event>);

impl Ring for Concurrent {
    fn new() -> Self {
        Self(concurrent_queue::ConcurrentQueue::bounded(SLOTS))
    }

    fn push(&mut self, from: usize, to: usize) {
        self.push_shared(from, to);
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        pop_each(count, || self.0.pop().ok())
    }
}

impl Shared for Concurrent {
    fn push_shared(&self, from: usize, to: usize) {
        for number in from..to {
            let _ = black_box(self.0.force_push(event(number)));
        }
    }
}

pub struct Thing(thingbuf::ThingBuf<Event>);

impl Ring for Thing {
    fn new() -> Self {
        Self(thingbuf::ThingBuf::new(SLOTS))
    }

    fn push(&mut self, from: usize, to: usize) {
        for number in from..to {
            let _ = self.0.push(event(number));
        }
    }

    fn pop(&mut self, count: usize) -> (usize, usize) {
        pop_each(count, || self.0.pop())
    }
}

impl Rejects for Thing {
    fn push_refused(&mut self, count: usize) -> usize {
        count_refused(count, |event| self.0.push(event).is_ok())
    }
}
