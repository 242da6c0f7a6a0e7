//! What a ring must do when something comes in between: a writer that is refused only if the ring was full, a record that
//! panics when it is decoded.

use bedplate_core::clock::Instant;
use bedplate_core::event::{Event, EventKind, Level, Record, Words};
use bedplate_core::ring::{EventRing, NestedRing, Overwrite, Received, Refused, Reject, Step};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn event(value: u64) -> Event {
    Event {
        kind: EventKind::new(Level::Info, 1),
        time: Instant::ZERO,
        key: 0,
        value,
    }
}

/// A push that is interrupted by others, and by a reader that takes all of them, once compared its old ticket with the
/// new head, and was refused by a ring that never held more than one record.
#[test]
fn a_nested_push_is_refused_only_if_the_ring_was_full() {
    for pushes in 1..=4 {
        let ring = NestedRing::<2, Reject>::new();
        let mut reader = ring.claim_reader().expect("nobody else reads");
        let mut looks = 0;
        let result = ring.push_interrupted(event(9), |step| {
            if step != Step::Looked {
                return;
            }
            looks += 1;
            if looks == 1 {
                for value in 0..pushes {
                    assert_eq!(ring.push(event(value)), Ok(()));
                    assert_eq!(reader.next(), Some(Received::Record(event(value))));
                }
            }
        });
        assert_eq!(result, Ok(()), "after {pushes}");
        assert_eq!(reader.next(), Some(Received::Record(event(9))));
        let stats = ring.stats();
        assert_eq!((stats.rejected, stats.waiting), (0, 0));
    }
}

/// The same of a push that interrupts one which is just taking its ticket.
#[test]
fn a_deeper_push_is_refused_only_if_the_ring_was_full() {
    let ring = NestedRing::<4, Reject>::new();
    let mut reader = ring.claim_reader().expect("nobody else reads");
    let (mut outer, mut inner) = (0, 0);
    let result = ring.push_interrupted(event(0), |step| {
        outer += u32::from(step == Step::Taking);
        if step != Step::Taking || outer > 1 {
            return;
        }
        let deeper = ring.push_interrupted(event(1), |step| {
            inner += u32::from(step == Step::Looked);
            if step == Step::Looked && inner == 1 {
                assert_eq!(ring.push(event(2)), Ok(()));
                // The first record is not there yet, and is given up.
                assert_eq!(reader.next(), None);
                assert!(reader.skip().is_some());
                assert_eq!(reader.next(), Some(Received::Record(event(2))));
            }
        });
        assert_eq!(deeper, Ok(()));
    });
    assert_eq!(result, Ok(()));
    assert_eq!(reader.next(), Some(Received::Record(event(1))));
    assert_eq!(reader.next(), None);
    let stats = ring.stats();
    assert_eq!((stats.rejected, stats.busy, stats.delivered), (0, 1, 2));
}

/// A full ring refuses all the same.
#[test]
fn a_nested_push_into_a_full_ring_is_refused_once() {
    let ring = NestedRing::<2, Reject>::new();
    assert_eq!(ring.push(event(0)), Ok(()));
    let mut first = true;
    let result = ring.push_interrupted(event(1), |step| {
        if core::mem::take(&mut first) {
            assert_eq!(step, Step::Looked);
            assert_eq!(ring.push(event(2)), Ok(()));
        }
    });
    assert_eq!(result, Err(Refused::Full(event(1))));
    assert_eq!(ring.stats().rejected, 1);
}

/// A number of which some cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fussy(usize);

const REFUSED: usize = 13;

impl Record for Fussy {
    fn encode(self) -> Words {
        let mut words = Words::default();
        words[0] = self.0;
        words
    }

    fn decode(words: Words) -> Self {
        assert_ne!(words[0], REFUSED, "cannot be decoded");
        Self(words[0])
    }
}

/// It once kept the records of its batch waiting for ever, and a single one came again and again.
#[test]
fn a_record_that_panics_is_delivered_once() {
    let mut ring = EventRing::<8, Overwrite, Fussy>::new();
    let (mut writer, mut reader) = ring.split();
    for number in [1, REFUSED, 2, 3, REFUSED, 4] {
        writer.push(Fussy(number));
    }
    let mut records = [Fussy(0); 8];
    let panicked = catch_unwind(AssertUnwindSafe(|| reader.read_batch(&mut records)));
    assert!(panicked.is_err());
    assert_eq!(records[0], Fussy(1));
    assert_eq!(writer.waiting(), 4);

    assert_eq!(reader.next(), Some(Received::Record(Fussy(2))));
    assert_eq!(reader.next(), Some(Received::Record(Fussy(3))));
    let panicked = catch_unwind(AssertUnwindSafe(|| reader.next()));
    assert!(panicked.is_err());
    assert_eq!(reader.read_batch(&mut records).records, 1);
    assert_eq!(records[0], Fussy(4));
    assert_eq!((reader.next(), writer.waiting()), (None, 0));

    drop((writer, reader));
    let stats = ring.stats();
    assert_eq!((stats.pushed, stats.delivered), (6, 6));
}

/// What a flush has to know: whether it is a push under way that keeps the reader from what is behind.
#[test]
fn a_reader_knows_what_holds_it_up() {
    let ring = NestedRing::<8, Overwrite>::new();
    let mut reader = ring.claim_reader().expect("nobody else reads");
    assert!(!reader.is_held_up());
    let mut first = true;
    let pushed = ring.push_interrupted(event(1), |step| {
        if step == Step::Held && core::mem::take(&mut first) {
            ring.push(event(2)).expect("there is room");
            assert_eq!(reader.next(), None);
            assert!(reader.is_held_up());
        }
    });
    assert_eq!(pushed, Ok(()));
    assert!(!reader.is_held_up());
    assert_eq!(reader.next(), Some(Received::Record(event(1))));
    assert_eq!(reader.skip(), None);
    assert_eq!(reader.next(), Some(Received::Record(event(2))));
    assert!(!reader.is_held_up());
}
