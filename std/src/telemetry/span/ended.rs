//! What has ended, in outline: the newest of each thread, until somebody asks.

use super::site_of;
use crate::clock::Instant;
use crate::sync::Mutex;
use bedplate_core::context::{SpanId, TraceId};
use bedplate_core::span::{SpanRecord, SpanStatus};

pub(super) use self::rings::Seat;

/// A span that has ended, in outline: without what was noted of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ended {
    /// Its name.
    pub name: &'static str,
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
    /// How.
    pub status: SpanStatus,
    /// For how many it stands, as its trace was sampled.
    pub weight: f32,
}

/// What [`take_ended`] found.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Taken {
    /// Spans, in the order in which they ended.
    pub spans: Vec<Ended>,
    /// How many more have ended since the last time, and were replaced by newer ones.
    pub lost: u64,
}

/// The spans that have ended since this was asked the last time, by anybody: of each thread the newest 256, also of
/// threads that have ended. So a program has a record of its last moments at any time.
///
/// # Concurrency
/// Locks out others who ask, and nobody else; threads go on writing meanwhile.
///
/// ```
/// use bedplate::telemetry::{self, span};
///
/// drop(telemetry::span!("work"));
/// let taken = span::take_ended();
/// assert_eq!((taken.spans[0].name, taken.lost), ("work", 0));
/// assert_eq!(span::take_ended().spans, []);
/// ```
#[must_use]
pub fn take_ended() -> Taken {
    let (mut records, lost) = rings::take();
    records.sort_by_key(|record| record.ended);
    Taken {
        spans: records.into_iter().map(Ended::from).collect(),
        lost,
    }
}

impl From<SpanRecord> for Ended {
    fn from(record: SpanRecord) -> Self {
        Self {
            name: site_of(record.site).name(),
            trace_id: record.trace_id,
            span_id: record.span_id,
            parent_id: record.parent_id,
            started: record.started,
            ended: record.ended,
            status: record.status,
            weight: record.choice.weight(),
        }
    }
}

/// A ring for each thread, and one for those for whom there is none.
#[cfg(target_pointer_width = "64")]
mod rings {
    use super::{Mutex, SpanRecord};
    use crate::telemetry::rings::{CAPACITY, OwnWriter, Rings};
    use bedplate_core::ring::{Overwrite, Reader, Received, SharedRing};

    static RINGS: Rings<SpanRecord> = Rings::new();
    static SHARED: SharedRing<CAPACITY, Overwrite, SpanRecord> = SharedRing::new();

    /// Whoever asks.
    static READERS: Mutex<Readers> = Mutex::new(Readers {
        own: Vec::new(),
        shared: None,
    });

    struct Readers {
        own: Vec<Reader<'static, SpanRecord>>,
        shared: Option<Reader<'static, SpanRecord>>,
    }

    /// Where a thread's spans go.
    pub(in super::super) enum Seat {
        /// None of its own has ended as yet.
        Unclaimed,
        Own(OwnWriter<SpanRecord>),
        Shared,
    }

    impl Seat {
        pub(in super::super) const fn new() -> Self {
            Self::Unclaimed
        }

        #[inline]
        pub(in super::super) fn push(&mut self, record: SpanRecord) {
            match self {
                Self::Own(writer) => writer.push(record),
                _ => self.push_slowly(record),
            }
        }

        #[cold]
        fn push_slowly(&mut self, record: SpanRecord) {
            if matches!(self, Self::Unclaimed) {
                *self = RINGS.claim().map_or(Self::Shared, Self::Own);
            }
            self.push_owned(record);
        }

        /// One that belongs to no thread, for which none is claimed.
        pub(in super::super) fn push_owned(&mut self, record: SpanRecord) {
            match self {
                Self::Own(writer) => writer.push(record),
                Self::Shared | Self::Unclaimed => push_shared(record),
            }
        }
    }

    fn push_shared(record: SpanRecord) {
        // What is refused is counted by the ring.
        let _refused = SHARED.push(record);
    }

    /// What is there, and how many were lost.
    pub(super) fn take() -> (Vec<SpanRecord>, u64) {
        let mut readers = READERS.lock();
        let readers = &mut *readers;
        RINGS.claim_new(&mut readers.own);
        if readers.shared.is_none() {
            readers.shared = SHARED.claim_reader();
        }
        let (mut records, mut lost) = (Vec::new(), 0);
        for reader in readers.own.iter_mut().chain(&mut readers.shared) {
            // As many as can be there, and a gap: who goes on writing does not keep us.
            reader.drain(CAPACITY + 1, |received| match received {
                Received::Record(record) => records.push(record),
                Received::Lost(gap) => lost += gap.count(),
            });
        }
        (records, lost)
    }
}

/// Where a ring's slot is too small for a span: one queue for all threads.
#[cfg(not(target_pointer_width = "64"))]
mod rings {
    use super::{Mutex, SpanRecord};
    use alloc::collections::VecDeque;

    const CAPACITY: usize = 1_024;

    static QUEUE: Mutex<(VecDeque<SpanRecord>, u64)> = Mutex::new((VecDeque::new(), 0));

    pub(in super::super) struct Seat;

    impl Seat {
        pub(in super::super) const fn new() -> Self {
            Self
        }

        pub(in super::super) fn push_owned(&mut self, record: SpanRecord) {
            self.push(record);
        }

        pub(in super::super) fn push(&mut self, record: SpanRecord) {
            let (queue, lost) = &mut *QUEUE.lock();
            if queue.len() == CAPACITY {
                queue.pop_front();
                *lost += 1;
            }
            queue.push_back(record);
        }
    }

    /// What is there, and how many were lost.
    pub(super) fn take() -> (Vec<SpanRecord>, u64) {
        let (queue, lost) = core::mem::take(&mut *QUEUE.lock());
        (queue.into(), lost)
    }
}
