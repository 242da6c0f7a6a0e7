//! Models of the table of open spans: its one writer against a reader.
//!
//! Every word of a span is made of one number, so a span that is read can be checked to be whole. The table is claimed
//! before the threads start, and it is the reader that is spawned; see the head of `loom_ring.rs`.

use bedplate_core::clock::Instant;
use bedplate_core::context::{SpanId, TraceFlags, TraceId, TraceParent};
use bedplate_core::span::{OpenSpan, OpenSpans};
use core::num::{NonZeroU64, NonZeroU128};
use loom_tests::{Lent, check, thread};

fn span(number: u64) -> OpenSpan {
    let id = NonZeroU64::new(number).expect("not zero");
    let twice = u128::from(number) << 64 | u128::from(number);
    OpenSpan {
        at: TraceParent {
            trace_id: TraceId(NonZeroU128::new(twice).expect("not zero")),
            parent_id: SpanId(id),
            flags: TraceFlags::SAMPLED,
        },
        parent_id: Some(SpanId(id)),
        started: Instant::from_nanos(number),
        site: u32::try_from(number).expect("small"),
    }
}

fn is_whole(read: OpenSpan) {
    assert_eq!(read, span(read.started.as_nanos()), "words of one span");
}

/// [O1, O2] Two spans, one after the other in the same place, while somebody looks.
#[test]
fn spans_of_one_place_against_a_reader() {
    check(|| {
        let lent = Lent::new(OpenSpans::<1>::new());
        let table = lent.lend();
        let mut opener = table.claim().expect("nobody else opens");
        let reader = thread::spawn(move || table.iter().for_each(is_whole));
        let place = opener.open(&span(1)).expect("there is room");
        opener.close(place);
        let place = opener.open(&span(2)).expect("there is room");
        reader.join().expect("the reader does not panic");
        assert_eq!(table.iter().collect::<Vec<_>>(), [span(2)]);
        opener.close(place);
        assert_eq!(table.iter().count(), 0);
    });
}

/// [O3] A table that is handed on: the next one who has it goes on with its stamps.
#[test]
fn a_table_is_handed_on() {
    check(|| {
        let lent = Lent::new(OpenSpans::<1>::new());
        let table = lent.lend();
        let mut first = table.claim().expect("nobody else opens");
        let next = thread::spawn(move || {
            let Some(mut opener) = table.claim() else {
                return;
            };
            opener.open(&span(2)).expect("what was open is closed");
            // Had it begun with an old stamp, this would be closed now.
            assert_eq!(table.iter().collect::<Vec<_>>(), [span(2)]);
        });
        first.open(&span(1)).expect("there is room");
        drop(first);
        next.join().expect("nothing fails");
        assert_eq!(table.iter().count(), 0);
        assert!(table.claim().is_some());
    });
}
