//! Models of the event ring: its one writer against its one reader.
//!
//! `Number` fills every word of a slot and panics when decoded from words that do not belong
//! together, so each model also checks that no torn record is ever delivered.
//!
//! Both ends are claimed before the threads start. Loom remembers only the last access to an atomic
//! when it looks for accesses to reorder, so a writer that first *loads* the tail would hide its
//! stores from the reader's earlier loads, and the model would pass having explored nothing.

#[cfg(bedplate_loom)]
use loom::sync::Arc;
#[cfg(not(bedplate_loom))]
use std::sync::Arc;

use bedplate_core::ring::{EventRing, Overwrite, Received, Reject};
use loom_tests::op::ring::Number;
use loom_tests::{check, thread};

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

/// A ring for all threads of one run of a model, freed at the end of the run: a model declares it
/// first and joins its threads.
struct Lent<T: 'static>(*mut T);

impl<T> Lent<T> {
    fn new(value: T) -> Self {
        Self(Box::into_raw(Box::new(value)))
    }

    fn borrow(&self) -> &'static T {
        // SAFETY: made from a box in `new`, and freed only when the run is over.
        unsafe { &*self.0 }
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        // SAFETY: made from a box in `new`; the run is over, so nobody borrows it any more.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// [E1, E2] A reader beside a writer that laps it.
#[test]
fn overwriting_writer_against_reader() {
    check(|| {
        let lent = Lent::new(EventRing::<2, Overwrite, Number>::new());
        let ring = lent.borrow();
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
        let ring = lent.borrow();
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
