//! What a task is doing, as entries that nest; and the headers that carry it to other machines.
//!
//! [`Frames`] is the machine: entries that are put on top of one another, hide each other, and go when the scope
//! ends to which they belong. It decides what is in force and what is restored, for one task and without
//! atomics, so that it can be run against an oracle. The facade's `context` keeps one for each thread;
//! firmware owns a [`FixedFrames`] for each task.
//!
//! [`TraceParent`], [`TraceState`] and [`Baggage`] are the three headers of the W3C, read and written without an
//! allocator.

mod baggage;
mod calls;
mod frames;
mod snapshot;
mod store;
mod traceparent;
mod tracestate;

pub use baggage::{Baggage, BaggageError, BaggageMember, BaggageValue, BaggageWriter};
pub use calls::CallFrames;
pub use frames::{Attachment, Base, Entry, Frames, Full, Scope};
pub use snapshot::{FixedFrames, Snapshot};
pub use store::Store;
pub use traceparent::{SpanId, TraceFlags, TraceId, TraceParent, TraceParentError};
pub use tracestate::{TraceState, TraceStateError};
