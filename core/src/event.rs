//! Events as plain words.
//!
//! A ring slot is a line of words, not a place for arbitrary Rust values: its words are read while
//! they may be overwritten, and only word-sized atomic accesses are defined behaviour there. A
//! [`Record`] is a value that knows its words; both directions are safe code, and a record is only
//! ever decoded from words that were encoded together.

use crate::clock::Instant;
use crate::sync::SLOT_WORDS;

/// How many machine words a record has: seven. With the stamp, a ring slot is eight words, which is
/// one cache line on a 64-bit target and 32 bytes on a 32-bit one.
pub const RECORD_WORDS: usize = SLOT_WORDS;

/// A record in the form in which a ring stores it.
pub type Words = [usize; RECORD_WORDS];

/// A value that fits a ring slot.
///
/// `decode` is only called with words that one `encode` call returned.
///
/// ```
/// use bedplate_core::event::{RECORD_WORDS, Record, Words};
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// struct Sample { channel: u8, reading: u16 }
///
/// impl Record for Sample {
///     fn encode(self) -> Words {
///         let mut words = [0; RECORD_WORDS];
///         words[0] = usize::from(self.channel);
///         words[1] = usize::from(self.reading);
///         words
///     }
///     fn decode(words: Words) -> Self {
///         Sample { channel: words[0] as u8, reading: words[1] as u16 }
///     }
/// }
///
/// let sample = Sample { channel: 3, reading: 4096 };
/// assert_eq!(Sample::decode(sample.encode()), sample);
/// ```
pub trait Record: Copy {
    /// The value's words; unused ones are zero.
    fn encode(self) -> Words;
    /// The value whose words these are.
    fn decode(words: Words) -> Self;
}

/// How much an event matters. The order is that of severity: `Trace < Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// Of interest only to whoever follows the program step by step.
    Trace,
    /// Of interest when looking for a fault.
    Debug,
    /// Part of a normal run.
    Info,
    /// Unexpected, but handled.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    const fn from_bits(bits: u32) -> Self {
        match bits {
            0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            _ => Self::Error,
        }
    }
}

/// A record that knows how much it matters; what [`RejectBelow`](crate::ring::RejectBelow) asks for.
pub trait Leveled: Record {
    /// How much it matters.
    fn level(&self) -> Level;
}

/// What happened: a [`Level`] and a number the application gives the event, in one 32-bit word.
///
/// ```
/// use bedplate_core::event::{EventKind, Level};
///
/// const OVERHEATED: EventKind = EventKind::new(Level::Warn, 17);
/// assert_eq!(OVERHEATED.level(), Level::Warn);
/// assert_eq!(OVERHEATED.code(), 17);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventKind(u32);

impl EventKind {
    /// The largest code.
    pub const MAX_CODE: u32 = (1 << 24) - 1;

    /// The kind with this level and code.
    ///
    /// # Panics
    /// If `code` is larger than [`EventKind::MAX_CODE`]; at compile time where the kind is a
    /// constant, as kinds should be.
    #[must_use]
    pub const fn new(level: Level, code: u32) -> Self {
        assert!(code <= Self::MAX_CODE, "an event code has 24 bits");
        Self(((level as u32) << 24) | code)
    }

    /// The kind's level.
    #[must_use]
    pub const fn level(self) -> Level {
        Level::from_bits(self.0 >> 24)
    }

    /// The number the application gave it.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.0 & Self::MAX_CODE
    }
}

/// What happened, when, to what, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When, on the application's clock.
    pub time: Instant,
    /// To what: a [`Pid`](crate::id::Pid)'s bits, a hash, a channel number.
    pub key: u64,
    /// How much: a count, a duration, a reading.
    pub value: u64,
}

impl Record for Event {
    #[inline]
    fn encode(self) -> Words {
        let mut words = [0; RECORD_WORDS];
        words[0] = self.kind.0 as usize;
        put(&mut words, 0, self.time.as_nanos());
        put(&mut words, 1, self.key);
        put(&mut words, 2, self.value);
        words
    }

    #[inline]
    fn decode(words: Words) -> Self {
        Self {
            #[expect(clippy::cast_possible_truncation, reason = "encoded from 32 bits")]
            kind: EventKind(words[0] as u32),
            time: Instant::from_nanos(get(&words, 0)),
            key: get(&words, 1),
            value: get(&words, 2),
        }
    }
}

impl Leveled for Event {
    #[inline]
    fn level(&self) -> Level {
        self.kind.level()
    }
}

/// How many words a 64-bit number takes here.
const WORDS_PER_U64: usize = (u64::BITS / usize::BITS) as usize;

/// Stores `value` as the `index`-th 64-bit number after the first word.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the number is split into words"
)]
#[inline]
fn put(words: &mut Words, index: usize, value: u64) {
    let at = 1 + index * WORDS_PER_U64;
    words[at] = value as usize;
    if WORDS_PER_U64 == 2 {
        words[at + 1] = (value >> 32) as usize;
    }
}

/// The `index`-th 64-bit number after the first word.
#[inline]
fn get(words: &Words, index: usize) -> u64 {
    let at = 1 + index * WORDS_PER_U64;
    let low = words[at] as u64;
    if WORDS_PER_U64 == 2 {
        low | ((words[at + 1] as u64) << 32)
    } else {
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_event_survives_its_words(
            level in 0u32..5, code in 0..=EventKind::MAX_CODE, time: u64, key: u64, value: u64,
        ) {
            let kind = EventKind::new(Level::from_bits(level), code);
            let event = Event { kind, time: Instant::from_nanos(time), key, value };
            prop_assert_eq!(Event::decode(event.encode()), event);
            prop_assert_eq!((kind.level() as u32, kind.code()), (level, code));
        }
    }
}
