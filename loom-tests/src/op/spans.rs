//! The table of open spans against a list.

use super::Bytes;
use crate::oracle::spans::Spans;
use bedplate_core::clock::Instant;
use bedplate_core::context::{SpanId, TraceFlags, TraceId, TraceParent};
use bedplate_core::span::{OpenSpan, OpenSpans, Opener, Place};
use core::num::{NonZeroU64, NonZeroU128};

/// Something asked of a table, or of who opens spans in it.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Open a span with words of such bits.
    Open(u8),
    /// Close this place, whatever is there, and whether or not there is such a place.
    Close(u8),
    /// Close one that is open.
    CloseOpen(u8),
    /// Give the right to open up, and claim it again.
    HandOn,
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        if !bytes.more() {
            return None;
        }
        Some(match bytes.below(16) {
            0..=7 => Self::Open(bytes.byte()),
            8 | 9 => Self::Close(bytes.byte()),
            10..=14 => Self::CloseOpen(bytes.byte()),
            _ => Self::HandOn,
        })
    }
}

/// Runs the sequence in `bytes` against tables of one span, of three and of as many as there may be.
///
/// # Panics
/// If what is open is not what the oracle says.
pub fn run(bytes: &[u8]) {
    with(bytes, &OpenSpans::<1>::new());
    with(bytes, &OpenSpans::<3>::new());
    with(bytes, &OpenSpans::<64>::new());
}

fn with<const N: usize>(bytes: &[u8], table: &OpenSpans<N>) {
    let mut bytes = Bytes::new(bytes);
    let mut oracle = Spans::new(N);
    let mut number = 0;
    let mut opener = table.claim().expect("nobody has it");
    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Open(bits) => {
                number += 1;
                let span = span(number, bits);
                let place = opener.open(&span).map(Place::index);
                assert_eq!(place, oracle.open(span));
            }
            Operation::Close(place) => {
                opener.close(Place::from_index(place));
                oracle.close(place.into());
            }
            Operation::CloseOpen(which) => {
                let open = oracle.all();
                let one = Bytes::new(&[which]).one_of(&open).copied();
                if let Some((place, _)) = one {
                    opener.close(Place::from_index(u8::try_from(place).expect("a place")));
                    oracle.close(place);
                }
            }
            Operation::HandOn => {
                assert!(table.claim().is_none(), "it is had once");
                drop(opener);
                oracle.close_all();
                assert_eq!(table.iter().count(), 0, "what was open is closed");
                opener = table.claim().expect("it was given back");
            }
        }
        compare(table, &opener, &oracle);
    }
}

fn compare<const N: usize>(table: &OpenSpans<N>, opener: &Opener<'_, N>, oracle: &Spans<OpenSpan>) {
    let sorted = |mut spans: Vec<(usize, OpenSpan)>| {
        spans.sort_by_key(|(place, _)| *place);
        spans
    };
    let expected = oracle.all();
    let own = opener.iter().map(|(place, span)| (place.index(), span));
    assert_eq!(sorted(own.collect()), expected);
    // Who reads is not told of places.
    let mut read: Vec<_> = table.iter().collect();
    read.sort_by_key(|span| span.started);
    let mut open: Vec<_> = expected.iter().map(|(_, span)| *span).collect();
    open.sort_by_key(|span| span.started);
    assert_eq!(read, open);
    assert_eq!(
        (opener.len(), opener.is_empty()),
        (open.len(), open.is_empty())
    );
}

/// A span that no other is, with many bits set or few.
fn span(number: u64, bits: u8) -> OpenSpan {
    let wide = u64::from(bits).wrapping_mul(0x0101_0101_0101_0101);
    let id = NonZeroU64::new(wide ^ number).unwrap_or(NonZeroU64::MIN);
    let trace = u128::from(wide) << 64 | u128::from(number);
    OpenSpan {
        at: TraceParent {
            trace_id: TraceId(NonZeroU128::new(trace).unwrap_or(NonZeroU128::MIN)),
            parent_id: SpanId(id),
            flags: TraceFlags::from_byte(bits),
        },
        parent_id: NonZeroU64::new(wide).map(SpanId),
        started: Instant::from_nanos(number),
        site: u32::from(bits) << 24 | 7,
    }
}
