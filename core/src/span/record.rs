//! What is known of a span, in words.

use crate::clock::Instant;
use crate::context::{SpanId, TraceId, TraceParent};
#[cfg(target_pointer_width = "64")]
use crate::event::{RECORD_WORDS, Record, Words};
use crate::sample::Choice;
use core::fmt;
#[cfg(target_pointer_width = "64")]
use core::num::{NonZeroU64, NonZeroU128};

/// How a span has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum SpanStatus {
    /// It came to its end.
    #[default]
    Ended = 0,
    /// It came to its end, and somebody said that it has failed.
    Failed = 1,
    /// Its work panicked.
    Panicked = 2,
    /// It did not end: whoever should have ended it is gone.
    Abandoned = 3,
}

impl SpanStatus {
    #[cfg(target_pointer_width = "64")]
    const fn from_bits(bits: u8) -> Self {
        match bits {
            1 => Self::Failed,
            2 => Self::Panicked,
            3 => Self::Abandoned,
            _ => Self::Ended,
        }
    }

    /// In a word: `ended`, `failed`, `panicked`, `abandoned`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for SpanStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A span that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSpan {
    /// Its trace, its own identity (as the parent of what is begun in it), and the trace's flags.
    pub at: TraceParent,
    /// In which span it was begun; `None` if its trace begins with it.
    pub parent_id: Option<SpanId>,
    /// When.
    pub started: Instant,
    /// The number that the application gives the place where it was begun.
    pub site: u32,
}

/// A span that has ended: seven words of 64 bits, which is what a ring's slot holds on a target of that width. Only
/// there it is a [`Record`](crate::event::Record).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpanRecord {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its own identity.
    pub span_id: SpanId,
    /// In which span it was begun; `None` if its trace begins with it.
    pub parent_id: Option<SpanId>,
    /// When it was begun.
    pub started: Instant,
    /// When it ended.
    pub ended: Instant,
    /// The number that the application gives the place where it was begun: at most [`SpanRecord::MAX_SITE`].
    pub site: u32,
    /// How it ended.
    pub status: SpanStatus,
    /// Why it was kept, and for how many it stands.
    pub choice: Choice,
}

impl SpanRecord {
    /// The largest number of a place: 24 bits are stored.
    pub const MAX_SITE: u32 = (1 << 24) - 1;
}

#[cfg(target_pointer_width = "64")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "words have 64 bits here, and fields are put together from what they were divided into"
)]
impl Record for SpanRecord {
    #[inline]
    fn encode(self) -> Words {
        let trace = self.trace_id.0.get();
        let parent = self.parent_id.map_or(0, |id| id.0.get());
        let rest = u64::from(self.choice.to_bits()) << 32
            | u64::from(self.site & Self::MAX_SITE) << 8
            | self.status as u64;
        let own = [
            (trace >> 64) as u64,
            trace as u64,
            self.span_id.0.get(),
            parent,
            self.started.as_nanos(),
            self.ended.as_nanos(),
            rest,
        ];
        // Models have shorter slots; no record is read from one.
        let mut words = [0; RECORD_WORDS];
        for (place, word) in words.iter_mut().zip(own) {
            *place = word as usize;
        }
        words
    }

    #[inline]
    fn decode(words: Words) -> Self {
        let mut own = [0; 7];
        for (place, word) in own.iter_mut().zip(words) {
            *place = word as u64;
        }
        let [high, low, span, parent, started, ended, rest] = own;
        let trace = u128::from(high) << 64 | u128::from(low);
        // None of them was zero when it was encoded.
        let trace_id = TraceId(NonZeroU128::new(trace).unwrap_or(NonZeroU128::MIN));
        let span_id = SpanId(NonZeroU64::new(span).unwrap_or(NonZeroU64::MIN));
        Self {
            trace_id,
            span_id,
            parent_id: NonZeroU64::new(parent).map(SpanId),
            started: Instant::from_nanos(started),
            ended: Instant::from_nanos(ended),
            site: (rest >> 8) as u32 & Self::MAX_SITE,
            status: SpanStatus::from_bits(rest as u8),
            choice: Choice::from_bits((rest >> 32) as u32),
        }
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_survives_its_words(
            trace in 1..=u128::MAX, span in 1..=u64::MAX, parent: u64, started: u64, ended: u64,
            site in 0..=SpanRecord::MAX_SITE, status in 0..4_u8, weight: f32,
        ) {
            let record = SpanRecord {
                trace_id: TraceId(NonZeroU128::new(trace).unwrap()),
                span_id: SpanId(NonZeroU64::new(span).unwrap()),
                parent_id: NonZeroU64::new(parent).map(SpanId),
                started: Instant::from_nanos(started),
                ended: Instant::from_nanos(ended),
                site,
                status: SpanStatus::from_bits(status),
                choice: Choice::keep(weight),
            };
            prop_assert_eq!(record.status as u8, status);
            prop_assert_eq!(SpanRecord::decode(record.encode()), record);
        }
    }
}
