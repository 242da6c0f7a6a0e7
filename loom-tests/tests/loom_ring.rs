//! Models of the event rings: their writers against their one reader.
//!
//! `Number` fills every word of a slot and panics when decoded from words that do not belong
//! together, so each model also checks that no torn record is ever delivered.
//!
//! Both ends are claimed before the threads start. Loom remembers only the last access to an atomic
//! when it looks for accesses to reorder, so a writer that first *loads* the tail would hide its
//! stores from the reader's earlier loads, and the model would pass having explored nothing. A shared
//! writer exchanges where it takes a slot, so there the readers are the threads that are spawned.

#[cfg(bedplate_loom)]
use loom::sync::Arc;
#[cfg(not(bedplate_loom))]
use std::sync::Arc;

use bedplate_core::ring::{
    EventRing, NestedRing, Overwrite, Reader, Received, Reject, SharedRing, Step,
};
use loom_tests::op::ring::Number;
use loom_tests::{Lent, check, thread};

/// What a reader has seen, checked as it comes: in order, and nothing twice.
#[derive(Default)]
struct Seen {
    next: u64,
    delivered: u64,
    lost: u64,
}

impl Seen {
    fn take(&mut self, received: Received<Number>) {
        match received {
            Received::Record(Number(number)) => {
                assert_eq!(number, self.next, "in order");
                self.next += 1;
                self.delivered += 1;
            }
            Received::Lost(lost) => {
                assert_eq!(lost.from, self.next, "a gap is reported in its place");
                self.next = lost.to;
                self.lost += lost.count();
            }
        }
    }
}

/// [E1, E2] A reader beside a writer that laps it.
#[test]
fn overwriting_writer_against_reader() {
    check(|| {
        let lent = Lent::new(EventRing::<2, Overwrite, Number>::new());
        let ring = lent.lend();
        let mut writer = ring.claim_writer().expect("nobody else writes");
        let mut reader = ring.claim_reader().expect("nobody else reads");
        let writer = thread::spawn(move || {
            for number in 0..3 {
                writer.push(Number(number));
            }
        });
        let mut seen = Seen::default();
        for _ in 0..2 {
            if let Some(received) = reader.next() {
                seen.take(received);
            }
        }
        writer.join().expect("the writer does not panic");
        while let Some(received) = reader.next() {
            seen.take(received);
        }
        assert_eq!(seen.delivered + seen.lost, 3);
        drop(reader);
        let stats = ring.stats();
        assert_eq!(stats.pushed, 3);
        assert_eq!(
            (stats.delivered as u64, stats.overwritten as u64),
            (seen.delivered, seen.lost)
        );
        assert_eq!((stats.rejected, stats.waiting), (0, 0));
    });
}

/// [E1, E3] A writer that may not overwrite, against a reader that makes room: nothing is lost.
#[test]
fn rejecting_writer_against_reader() {
    check(|| {
        let lent = Lent::new(EventRing::<2, Reject, Number>::new());
        let ring = lent.lend();
        let mut writer = ring.claim_writer().expect("nobody else writes");
        let mut reader = ring.claim_reader().expect("nobody else reads");
        let writer = thread::spawn(move || {
            let mut accepted = 0;
            for _ in 0..3 {
                if writer.push(Number(accepted)).is_ok() {
                    accepted += 1;
                }
            }
            accepted
        });
        let mut seen = Seen::default();
        for _ in 0..2 {
            if let Some(received) = reader.next() {
                seen.take(received);
            }
        }
        let accepted = writer.join().expect("the writer does not panic");
        while let Some(received) = reader.next() {
            seen.take(received);
        }
        assert_eq!((seen.delivered, seen.lost), (accepted, 0));
        let stats = ring.stats();
        assert_eq!(stats.rejected as u64, 3 - accepted);
        assert_eq!((stats.pushed, stats.waiting), (3, 0));
    });
}

/// [E4] Two threads in turn hold the writing end; each goes on where the other stopped.
#[test]
fn the_writing_end_is_handed_on() {
    check(|| {
        let ring = Arc::new(EventRing::<4, Overwrite, Number>::new());
        let push_next = |ring: &EventRing<4, Overwrite, Number>| match ring.claim_writer() {
            Some(mut writer) => {
                // Only the holder pushes, so what was pushed is the next number.
                writer.push(Number(ring.stats().pushed as u64));
                1
            }
            None => 0,
        };
        let other = Arc::clone(&ring);
        let pushing = thread::spawn(move || push_next(&other));
        let mut pushed = push_next(&ring);
        pushed += pushing.join().expect("no panic");
        assert!(pushed > 0, "somebody held the end");

        let mut reader = ring.claim_reader().expect("nobody else reads");
        let mut seen = Seen::default();
        while let Some(received) = reader.next() {
            seen.take(received);
        }
        assert_eq!((seen.delivered, seen.lost), (pushed, 0));
        assert!(ring.claim_writer().is_some(), "given back");
    });
}

/// Reads a few times while others write, then, when they are through, to the end. Returns which numbers were
/// delivered, in their order, and how many were lost.
struct Records {
    numbers: Vec<u64>,
    lost: u64,
    next: u64,
}

impl Records {
    fn read(reader: &mut Reader<'_, Number>, times: usize) -> Self {
        let mut records = Self {
            numbers: Vec::new(),
            lost: 0,
            next: 0,
        };
        for _ in 0..times {
            if let Some(received) = reader.next() {
                records.take(received);
            }
        }
        records
    }

    fn take(&mut self, received: Received<Number>) {
        match received {
            Received::Record(Number(number)) => {
                self.numbers.push(number);
                self.next += 1;
            }
            Received::Lost(lost) => {
                assert_eq!(lost.from, self.next, "a gap is reported in its place");
                self.next = lost.to;
                self.lost += lost.count();
            }
        }
    }

    /// What is left when nobody writes any more.
    fn and_the_rest(mut self, reader: &mut Reader<'_, Number>) -> Self {
        loop {
            if let Some(received) = reader.next() {
                self.take(received);
            } else if let Some(lost) = reader.skip() {
                self.take(Received::Lost(lost));
            } else {
                return self;
            }
        }
    }

    fn all_differ(&self) -> bool {
        let mut numbers = self.numbers.clone();
        numbers.sort_unstable();
        numbers.is_sorted_by(|a, b| a < b)
    }
}

/// [E2, E5] A reader beside a shared writer that laps it.
#[test]
fn shared_writer_against_reader() {
    check(|| {
        let lent = Lent::new(SharedRing::<2, Overwrite, Number>::new());
        let ring = lent.lend();
        let mut reader = ring.claim_reader().expect("nobody else reads");
        let reading = thread::spawn(move || (Records::read(&mut reader, 2), reader));
        for number in 1..4 {
            ring.push(Number(number)).expect("nobody holds a slot");
        }
        let (records, mut reader) = reading.join().expect("no panic");
        let records = records.and_the_rest(&mut reader);
        assert_eq!(records.numbers.len() as u64 + records.lost, 3);
        assert!(records.numbers.is_sorted() && records.all_differ());
        assert_eq!(records.numbers.last(), Some(&3), "the last is always there");
        let stats = ring.stats();
        assert_eq!((stats.pushed, stats.rejected, stats.waiting), (3, 0, 0));
        assert_eq!((stats.overwritten + stats.busy) as u64, records.lost);
    });
}

/// [E5] Two shared writers for the same slots, and a reader when they are through: what it finds there was
/// written by one of them.
#[test]
fn shared_writers_against_each_other() {
    check(|| {
        let lent = Lent::new(SharedRing::<2, Overwrite, Number>::new());
        let ring = lent.lend();
        let mut reader = ring.claim_reader().expect("nobody else reads");
        let other = thread::spawn(move || {
            let accepted = [1, 2].map(|number| ring.push(Number(number)).is_ok());
            accepted.into_iter().filter(|accepted| *accepted).count()
        });
        let accepted = [11, 12].map(|number| ring.push(Number(number)).is_ok());
        let accepted = accepted.into_iter().filter(|accepted| *accepted).count()
            + other.join().expect("no panic");
        let records = Records::read(&mut reader, 0).and_the_rest(&mut reader);
        assert_eq!(records.numbers.len() as u64 + records.lost, 4);
        assert!(records.all_differ() && records.numbers.len() <= accepted);
        let stats = ring.stats();
        assert_eq!((stats.pushed, stats.rejected, stats.waiting), (4, 0, 0));
    });
}

/// [E2, E5] Two shared writers and a reader at once.
#[test]
fn shared_writers_against_reader() {
    check(|| {
        let lent = Lent::new(SharedRing::<2, Overwrite, Number>::new());
        let ring = lent.lend();
        let mut reader = ring.claim_reader().expect("nobody else reads");
        let reading = thread::spawn(move || (Records::read(&mut reader, 1), reader));
        let other = thread::spawn(move || ring.push(Number(1)).is_ok());
        for number in 11..13 {
            let _ = ring.push(Number(number));
        }
        other.join().expect("no panic");
        let (records, mut reader) = reading.join().expect("no panic");
        let records = records.and_the_rest(&mut reader);
        assert_eq!(records.numbers.len() as u64 + records.lost, 3);
        assert!(records.all_differ());
        let stats = ring.stats();
        assert_eq!((stats.pushed, stats.rejected, stats.waiting), (3, 0, 0));
    });
}

/// [E3, E5] Two shared writers that may not overwrite take the last place once; what was accepted comes.
#[test]
fn shared_writers_that_may_be_refused() {
    check(|| {
        let lent = Lent::new(SharedRing::<2, Reject, Number>::new());
        let ring = lent.lend();
        let mut reader = ring.claim_reader().expect("nobody else reads");
        ring.push(Number(1)).expect("there is room");
        let other = thread::spawn(move || u64::from(ring.push(Number(2)).is_ok()));
        let accepted = 1 + u64::from(ring.push(Number(3)).is_ok());
        let accepted = accepted + other.join().expect("no panic");
        assert_eq!(accepted, 2, "the last place is taken once");
        let records = Records::read(&mut reader, 0).and_the_rest(&mut reader);
        assert_eq!((records.numbers.len() as u64, records.lost), (2, 0));
        let stats = ring.stats();
        assert_eq!((stats.pushed, stats.rejected, stats.waiting), (3, 1, 0));
    });
}

/// [E3] Two pushes into a ring of four, one of which is read at once: neither is refused. One of them once compared the
/// ticket that it had seen with a head that was later.
#[test]
fn a_shared_writer_is_refused_only_if_the_ring_was_full() {
    check(|| {
        let lent = Lent::new(SharedRing::<4, Reject, Number>::new());
        let ring = lent.lend();
        let mut reader = ring.claim_reader().expect("nobody else reads");
        let other = thread::spawn(move || ring.push(Number(2)).expect("there is room"));
        ring.push(Number(1)).expect("there is room");
        let received = reader.next();
        other.join().expect("no panic");
        let rest = core::iter::from_fn(|| reader.next());
        let numbers: u64 = received
            .into_iter()
            .chain(rest)
            .map(|received| match received {
                Received::Record(Number(number)) => number,
                Received::Lost(lost) => panic!("{lost:?}"),
            })
            .sum();
        assert_eq!(numbers, 3);
        assert_eq!(ring.stats().rejected, 0);
    });
}

/// [E2, E5] A nested push, interrupted at one step by others, against a reader on another core.
fn nested_writer_against_reader_interrupted_at(step: Step, pushes: u64) {
    check(move || {
        let lent = Lent::new(NestedRing::<2, Overwrite, Number>::new());
        let ring = lent.lend();
        let mut reader = ring.claim_reader().expect("nobody else reads");
        let reading = thread::spawn(move || (Records::read(&mut reader, 1), reader));
        let mut is_interrupted = false;
        let _ = ring.push_interrupted(Number(1), |at| {
            if at == step && !is_interrupted {
                is_interrupted = true;
                for number in 0..pushes {
                    let _ = ring.push(Number(11 + number));
                }
            }
        });
        assert!(is_interrupted, "there is such a step");
        let (records, mut reader) = reading.join().expect("no panic");
        let records = records.and_the_rest(&mut reader);
        assert_eq!(records.numbers.len() as u64 + records.lost, 1 + pushes);
        assert!(records.all_differ());
        let stats = ring.stats();
        assert_eq!(
            (stats.pushed as u64, stats.rejected, stats.waiting),
            (1 + pushes, 0, 0)
        );
        assert_eq!((stats.overwritten + stats.busy) as u64, records.lost);
    });
}

#[test]
fn nested_writer_interrupted_before_its_ticket() {
    nested_writer_against_reader_interrupted_at(Step::Looked, 1);
    nested_writer_against_reader_interrupted_at(Step::Taking, 1);
}

#[test]
fn nested_writer_interrupted_before_its_slot() {
    nested_writer_against_reader_interrupted_at(Step::Taken, 2);
    nested_writer_against_reader_interrupted_at(Step::Claimed, 2);
}

#[test]
fn nested_writer_interrupted_in_its_slot() {
    nested_writer_against_reader_interrupted_at(Step::Held, 2);
}
