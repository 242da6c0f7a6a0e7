//! Spans as plain values: who they are, which of them are open, and what is left of those that have ended.
//!
//! | type | what it is |
//! |---|---|
//! | [`SpanIds`] | the identities that one context gives out, from a seed |
//! | [`OpenSpan`], [`OpenSpans`] | a span that has begun; a table of them that one context writes and all may read |
//! | [`SpanRecord`] | a span that has ended, in the size of a ring's slot |
//! | [`SpanStatus`] | how it has ended |
//!
//! Which span is the parent of which, and when they begin and end, is for whoever has a clock and threads: in the
//! facade, `telemetry::span`. Whether one is kept is decided by a [sampler](crate::sample) when its trace begins.
//!
//! # The table
//! A slot has a stamp, which is odd while a span is open in it, and six words. Its writer is alone, so it takes no lock
//! and exchanges nothing:
//!
//! ```text
//! writer    fence(Release)   words …   stamp + 1 (open)     …     stamp + 1 (closed)
//! reader    stamp: odd?   words …   fence(Acquire)   the same stamp? ── yes: it was open ── no: it is not any more
//! ```
//!
//! A reader that finds another stamp looks no second time: the span it saw has been closed meanwhile. So both are
//! wait-free. A word of a later span under the stamp of an earlier one is excluded by the two fences: who has read such
//! a word sees that the earlier one was closed.

mod ids;
#[cfg(target_has_atomic = "64")]
mod open;
mod record;

pub use ids::SpanIds;
#[cfg(target_has_atomic = "64")]
pub use open::{OpenSpans, Opener, Place};
pub use record::{OpenSpan, SpanRecord, SpanStatus};
