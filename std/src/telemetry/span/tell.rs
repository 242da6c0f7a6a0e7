//! A span that has begun, and who is told of it.

use super::SpanSite;
use super::current::Ambient;
use super::export::{self, Finished};
use super::notes::{MAX_MEASUREMENTS, Notes};
use super::thread::Identity;
use crate::clock::{self, Instant};
use crate::telemetry::{Measurement, Value};
use bedplate_core::context::SpanId;
use bedplate_core::sample::Choice;
use bedplate_core::span::{OpenSpan, SpanRecord, SpanStatus};
use core::time::Duration;

/// A span that is kept.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    pub(super) site: &'static SpanSite,
    pub(super) ambient: Ambient,
    pub(super) parent_id: Option<SpanId>,
    pub(super) parent_is_remote: bool,
    pub(super) started: Instant,
    /// Whether handlers are told of its end, as they were of its beginning.
    pub(super) told: bool,
}

impl Begun {
    #[inline]
    pub(super) fn now(site: &'static SpanSite, identity: Identity, told: bool) -> Self {
        Self {
            site,
            ambient: identity.ambient,
            parent_id: identity.parent_id,
            parent_is_remote: identity.parent_is_remote,
            started: clock::now(),
            told,
        }
    }

    /// What is known of it from the table.
    pub(super) fn of(
        site: &'static SpanSite,
        span: &OpenSpan,
        (choice, told): (Choice, bool),
    ) -> Self {
        Self {
            site,
            ambient: Ambient {
                trace_id: span.at.trace_id,
                span_id: span.at.parent_id,
                choice,
                flags: span.at.flags,
                is_remote: false,
            },
            parent_id: span.parent_id,
            // That is not in the table.
            parent_is_remote: false,
            started: span.started,
            told,
        }
    }

    #[inline]
    pub(super) fn as_open(&self) -> OpenSpan {
        OpenSpan {
            at: self.ambient.traceparent(),
            parent_id: self.parent_id,
            started: self.started,
            site: self.site.index(),
        }
    }

    #[inline]
    pub(super) fn record(&self, ended: Instant, status: SpanStatus) -> SpanRecord {
        SpanRecord {
            trace_id: self.ambient.trace_id,
            span_id: self.ambient.span_id,
            parent_id: self.parent_id,
            started: self.started,
            ended,
            site: self.site.index(),
            status,
            choice: self.ambient.choice,
        }
    }

    /// Tells handlers that it has begun.
    pub(super) fn has_begun(&self, notes: &Notes) {
        if self.told && self.site.start.is_wanted() {
            let measurements = [("monotonic_time", monotonic(self.started))];
            self.with_identity(notes, &[], |metadata| {
                self.site.start.emit(&measurements, metadata);
            });
        }
    }

    /// Tells handlers and exporters that it is over, outside every lock.
    #[inline]
    pub(super) fn is_over(&self, ended: Instant, status: SpanStatus, notes: Option<Box<Notes>>) {
        // Both were asked when it began, and notes were taken if one of them said yes.
        if self.told || notes.is_some() {
            self.tell(ended, status, *notes.unwrap_or_default());
        }
    }

    #[cold]
    fn tell(&self, ended: Instant, status: SpanStatus, notes: Notes) {
        if self.told {
            self.tell_handlers(ended, status, &notes);
        }
        export::hand_on(|| Finished::of(self, ended, status, notes));
    }

    fn tell_handlers(&self, ended: Instant, status: SpanStatus, notes: &Notes) {
        let duration = ended.saturating_duration_since(self.started);
        let reason = notes.reason.as_deref();
        let mut measurements = [("", Measurement::Unsigned(0)); MAX_MEASUREMENTS + 2];
        measurements[..2].copy_from_slice(&[
            ("duration", duration.into()),
            ("monotonic_time", monotonic(ended)),
        ]);
        if status == SpanStatus::Panicked {
            let more = [
                ("kind", "panic".into()),
                ("reason", reason.into()),
                ("place", notes.place.as_deref().into()),
                ("status", status.as_str().into()),
            ];
            self.with_identity(notes, &more, |metadata| {
                self.site.exception.emit(&measurements[..2], metadata);
            });
            return;
        }
        let all = notes.measurements.len() + 2;
        measurements[2..all].copy_from_slice(&notes.measurements);
        let more = [
            ("status", status.as_str().into()),
            ("reason", reason.into()),
        ];
        let more = &more[..1 + usize::from(reason.is_some())];
        self.with_identity(notes, more, |metadata| {
            self.site.stop.emit(&measurements[..all], metadata);
        });
    }

    /// Calls `tell` with the metadata of an event.
    fn with_identity(
        &self,
        notes: &Notes,
        more: &[(&'static str, Value<'_>)],
        tell: impl FnOnce(&[(&'static str, Value<'_>)]),
    ) {
        let parent_id = self.parent_id;
        let attributes = notes.attributes.iter();
        let mut metadata: Vec<(&'static str, Value<'_>)> = attributes
            .map(|(key, value)| (*key, Value::from(value)))
            .collect();
        metadata.extend_from_slice(more);
        metadata.extend([
            ("trace_id", Value::shown(&self.ambient.trace_id)),
            ("span_id", Value::shown(&self.ambient.span_id)),
            (
                "parent_id",
                parent_id
                    .as_ref()
                    .map_or(Value::Nothing, |id| Value::shown(id)),
            ),
        ]);
        tell(&metadata);
    }
}

fn monotonic(at: Instant) -> Measurement {
    Measurement::Duration(Duration::from_nanos(at.as_nanos()))
}
