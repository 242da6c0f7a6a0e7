//! What handlers are given.

use super::EventName;
use crate::clock::{self, Instant};
use crate::process::Pid;
use core::fmt;
use core::time::Duration;

/// Something that happened, as handlers are told of it: a name, numbers that were measured, and what is known
/// about them. Everything is borrowed for the time of the call.
#[derive(Clone, Copy)]
pub struct Event<'e> {
    pub(super) name: &'e EventName<'e>,
    pub(super) measurements: &'e [(&'static str, Measurement)],
    pub(super) metadata: &'e [(&'static str, Value<'e>)],
    /// When it was recorded; `None` if it happens now.
    pub(super) time: Option<Instant>,
    pub(super) weight: f32,
}

impl<'e> Event<'e> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'e EventName<'e> {
        self.name
    }

    /// What was measured, in the order in which it was given.
    #[must_use]
    pub const fn measurements(&self) -> &'e [(&'static str, Measurement)] {
        self.measurements
    }

    /// What is known about it, in the order in which it was given.
    #[must_use]
    pub const fn metadata(&self) -> &'e [(&'static str, Value<'e>)] {
        self.metadata
    }

    /// The measurement called `key`. O(measurements).
    #[must_use]
    pub fn measurement(&self, key: &str) -> Option<Measurement> {
        let mut found = self.measurements.iter();
        found
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// What is known as `key`. O(metadata).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'e>> {
        let mut found = self.metadata.iter();
        found
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// When it happened: when it was recorded, or else now. The clock is read only for the latter.
    #[must_use]
    pub fn time(&self) -> Instant {
        self.time.unwrap_or_else(clock::now)
    }

    /// For how many events it stands: 1, but for a handler that is given [samples](super::HandlerBuilder::sampled).
    #[must_use]
    pub const fn weight(&self) -> f32 {
        self.weight
    }
}

/// As in `order.placed count=1 customer="Ada"`.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        for (key, value) in self.measurements {
            write!(f, " {key}={value}")?;
        }
        for (key, value) in self.metadata {
            write!(f, " {key}={value:?}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({self})")
    }
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Measurement {
    /// A count, a size.
    Unsigned(u64),
    /// A difference.
    Signed(i64),
    /// A share, a reading.
    Float(f64),
    /// How long something took.
    Duration(Duration),
}

impl Measurement {
    /// As a floating-point number, durations in seconds. Integers beyond 2⁵³ are rounded.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "as documented")]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Unsigned(number) => number as f64,
            Self::Signed(number) => number as f64,
            Self::Float(number) => number,
            Self::Duration(duration) => duration.as_secs_f64(),
        }
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Duration(duration) => write!(f, "{duration:?}"),
        }
    }
}

/// Something that is known about an event, borrowed.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Value<'v> {
    /// It is known that there is none.
    Nothing,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Unsigned(u64),
    /// A number.
    Signed(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(&'v str),
    /// The identity of an incarnation, or of another owner.
    Pid(Pid),
    /// What can be shown; it is formatted only if a handler does so.
    Shown(&'v dyn fmt::Display),
    /// What can be shown to a developer; it is formatted only if a handler does so.
    Debugged(&'v dyn fmt::Debug),
}

impl<'v> Value<'v> {
    /// What can be shown.
    #[must_use]
    pub const fn shown(value: &'v dyn fmt::Display) -> Self {
        Self::Shown(value)
    }

    /// What can be shown to a developer.
    #[must_use]
    pub const fn debugged(value: &'v dyn fmt::Debug) -> Self {
        Self::Debugged(value)
    }

    /// The text, if it is one.
    #[must_use]
    pub const fn as_str(self) -> Option<&'v str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one that is not negative.
    #[must_use]
    pub const fn as_u64(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) if number >= 0 => Some(number.unsigned_abs()),
            _ => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("none"),
            Self::Bool(value) => value.fmt(f),
            Self::Unsigned(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Pid(pid) => pid.fmt(f),
            Self::Shown(value) => value.fmt(f),
            Self::Debugged(value) => value.fmt(f),
        }
    }
}

/// As it is displayed, with texts quoted.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => fmt::Debug::fmt(text, f),
            other => fmt::Display::fmt(other, f),
        }
    }
}

/// An [`Event`] that owns what it says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OwnedEvent {
    /// Its name.
    pub name: String,
    /// What was measured.
    pub measurements: Vec<(&'static str, Measurement)>,
    /// What is known about it.
    pub metadata: Vec<(&'static str, OwnedValue)>,
    /// When it happened.
    pub time: Instant,
    /// For how many events it stands; see [`Event::weight`].
    pub weight: f32,
}

impl OwnedEvent {
    /// The measurement called `key`. O(measurements).
    #[must_use]
    pub fn measurement(&self, key: &str) -> Option<Measurement> {
        let mut found = self.measurements.iter();
        found
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// What is known as `key`. O(metadata).
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&OwnedValue> {
        let mut found = self.metadata.iter();
        found.find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

/// A copy that owns what it says; values that are only to be shown are texts in it.
impl From<&Event<'_>> for OwnedEvent {
    fn from(event: &Event<'_>) -> Self {
        let owned = |&(key, value): &(&'static str, Value<'_>)| (key, value.into());
        Self {
            name: event.name.as_str().to_owned(),
            measurements: event.measurements.to_vec(),
            metadata: event.metadata.iter().map(owned).collect(),
            time: event.time(),
            weight: event.weight,
        }
    }
}

/// A [`Value`] that owns what it says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OwnedValue {
    /// It is known that there is none.
    Nothing,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Unsigned(u64),
    /// A number.
    Signed(i64),
    /// A number.
    Float(f64),
    /// A text, or what was shown.
    Text(String),
    /// The identity of an incarnation, or of another owner.
    Pid(Pid),
}

impl fmt::Display for OwnedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("none"),
            Self::Bool(value) => value.fmt(f),
            Self::Unsigned(number) => number.fmt(f),
            Self::Signed(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Pid(pid) => pid.fmt(f),
        }
    }
}

/// What is only to be shown becomes a text.
impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Nothing => Self::Nothing,
            Value::Bool(value) => Self::Bool(value),
            Value::Unsigned(number) => Self::Unsigned(number),
            Value::Signed(number) => Self::Signed(number),
            Value::Float(number) => Self::Float(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Pid(pid) => Self::Pid(pid),
            Value::Shown(value) => Self::Text(value.to_string()),
            Value::Debugged(value) => Self::Text(format!("{value:?}")),
        }
    }
}

/// A text equals a value that is one.
impl PartialEq<str> for OwnedValue {
    fn eq(&self, other: &str) -> bool {
        matches!(self, Self::Text(text) if text == other)
    }
}

macro_rules! from_numbers {
    ($($from:ty => $variant:ident as $number:ty),* $(,)?) => {$(
        impl From<$from> for Measurement {
            fn from(number: $from) -> Self {
                Self::$variant(number as $number)
            }
        }

        impl From<$from> for Value<'_> {
            fn from(number: $from) -> Self {
                Self::$variant(number as $number)
            }
        }
    )*};
}

// None of these is larger than what it becomes.
from_numbers! {
    u8 => Unsigned as u64, u16 => Unsigned as u64, u32 => Unsigned as u64, u64 => Unsigned as u64,
    usize => Unsigned as u64,
    i8 => Signed as i64, i16 => Signed as i64, i32 => Signed as i64, i64 => Signed as i64, isize => Signed as i64,
    f32 => Float as f64, f64 => Float as f64,
}

impl From<Duration> for Measurement {
    fn from(duration: Duration) -> Self {
        Self::Duration(duration)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(text: &'v str) -> Self {
        Self::Text(text)
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        Self::Text(text)
    }
}

impl From<Pid> for Value<'_> {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl<'v, T: Into<Value<'v>>> From<Option<T>> for Value<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}
