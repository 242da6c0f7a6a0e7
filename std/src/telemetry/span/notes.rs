//! What is noted of a span while it is open: bounded, and with a count of what was left out.

use super::current::Ambient;
use crate::clock::{self, Instant};
use crate::context;
use crate::sync::Arc;
use crate::telemetry::{Measurement, OwnedValue, Value};
use bedplate_core::context::TraceParent;

/// The most attributes of a span.
pub const MAX_ATTRIBUTES: usize = 32;
/// The most measurements of a span.
pub const MAX_MEASUREMENTS: usize = 8;
/// The most events of a span.
pub const MAX_EVENTS: usize = 64;
/// The most links of a span.
pub const MAX_LINKS: usize = 16;

/// Something that happened in a span.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpanEvent {
    /// What.
    pub name: &'static str,
    /// When.
    pub time: Instant,
    /// What is known about it, at most [`MAX_ATTRIBUTES`].
    pub attributes: Vec<(&'static str, OwnedValue)>,
}

/// Another span that one has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Which.
    pub to: TraceParent,
    /// In which way.
    pub relation: &'static str,
}

/// How much was left out of a span, for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Attributes, of events too.
    pub attributes: u32,
    /// Measurements.
    pub measurements: u32,
    /// Events.
    pub events: u32,
    /// Links.
    pub links: u32,
}

/// What is noted of one span.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) attributes: Vec<(&'static str, OwnedValue)>,
    pub(super) measurements: Vec<(&'static str, Measurement)>,
    pub(super) events: Vec<SpanEvent>,
    pub(super) links: Vec<Link>,
    /// Why it has failed or panicked.
    pub(super) reason: Option<String>,
    /// Where it has panicked.
    pub(super) place: Option<String>,
    pub(super) dropped: Dropped,
    /// What its trace carries along.
    pub(super) tracestate: Option<Arc<str>>,
}

impl Notes {
    /// Of a span that begins here.
    pub(super) fn of_trace(ambient: Ambient) -> Self {
        Self {
            tracestate: context::tracestate_of(ambient),
            ..Self::default()
        }
    }

    pub(super) fn describe(&mut self, attributes: &[(&'static str, Value<'_>)]) {
        for &(key, value) in attributes {
            self.attribute(key, value.into());
        }
    }

    pub(super) fn attribute(&mut self, key: &'static str, value: OwnedValue) {
        put(
            &mut self.attributes,
            (key, value),
            MAX_ATTRIBUTES,
            &mut self.dropped.attributes,
        );
    }

    pub(super) fn measure(&mut self, key: &'static str, number: Measurement) {
        put(
            &mut self.measurements,
            (key, number),
            MAX_MEASUREMENTS,
            &mut self.dropped.measurements,
        );
    }

    pub(super) fn event(&mut self, mut event: SpanEvent) {
        let beyond = event.attributes.len().saturating_sub(MAX_ATTRIBUTES);
        event.attributes.truncate(MAX_ATTRIBUTES);
        if push(
            &mut self.events,
            event,
            MAX_EVENTS,
            &mut self.dropped.events,
        ) {
            let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
            self.dropped.attributes = self.dropped.attributes.saturating_add(beyond);
        }
    }

    pub(super) fn link(&mut self, link: Link) {
        push(&mut self.links, link, MAX_LINKS, &mut self.dropped.links);
    }
}

impl SpanEvent {
    /// One that happens now.
    pub(super) fn now(name: &'static str, attributes: &[(&'static str, Value<'_>)]) -> Self {
        let owned = attributes.iter().map(|&(key, value)| (key, value.into()));
        Self {
            name,
            time: clock::now(),
            attributes: owned.collect(),
        }
    }
}

/// Puts a value under its key.
fn put<T>(
    list: &mut Vec<(&'static str, T)>,
    entry: (&'static str, T),
    most: usize,
    dropped: &mut u32,
) {
    match list.iter_mut().find(|(key, _)| *key == entry.0) {
        Some(known) => *known = entry,
        None => {
            push(list, entry, most, dropped);
        }
    }
}

/// Whether there was room.
fn push<T>(list: &mut Vec<T>, entry: T, most: usize, dropped: &mut u32) -> bool {
    let has_room = list.len() < most;
    if has_room {
        list.push(entry);
    } else {
        *dropped = dropped.saturating_add(1);
    }
    has_room
}

impl<'v> From<&'v OwnedValue> for Value<'v> {
    fn from(value: &'v OwnedValue) -> Self {
        match value {
            OwnedValue::Nothing => Self::Nothing,
            OwnedValue::Bool(value) => Self::Bool(*value),
            OwnedValue::Unsigned(number) => Self::Unsigned(*number),
            OwnedValue::Signed(number) => Self::Signed(*number),
            OwnedValue::Float(number) => Self::Float(*number),
            OwnedValue::Text(text) => Self::Text(text),
            OwnedValue::Pid(pid) => Self::Pid(*pid),
        }
    }
}
