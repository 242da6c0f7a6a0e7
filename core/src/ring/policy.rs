//! What a ring does with a push when it is full.

use crate::event::{Level, Leveled, Record};

/// What a ring does with a push when `N` records are waiting: [`Overwrite`], [`Reject`] or
/// [`RejectBelow`].
pub trait Policy<R: Record>: sealed::Overwrites<R> {}

/// The newest record takes the place of the oldest, which is counted and reported as
/// [`Lost`](super::Lost).
#[derive(Debug)]
pub enum Overwrite {}

/// The newest record is given back and counted.
#[derive(Debug)]
pub enum Reject {}

/// A record below a level is given back and counted, as under [`Reject`]; one at or above it takes the
/// place of the oldest, as under [`Overwrite`].
///
/// So a flood of little things displaces nothing, and what matters is always taken. The level is
/// written as a number, since a type has no other parameters: `RejectBelow<{ Level::Warn as u8 }>`.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::event::{Event, EventKind, Level};
/// use bedplate_core::ring::{EventRing, Full, Received, RejectBelow};
///
/// static RING: EventRing<2, RejectBelow<{ Level::Warn as u8 }>> = EventRing::new();
/// let event = |level, value| Event {
///     kind: EventKind::new(level, 1), time: Instant::from_nanos(0), key: 0, value,
/// };
/// let mut writer = RING.claim_writer().expect("nobody else writes");
/// for value in 0..2 {
///     writer.push(event(Level::Info, value)).expect("there is room");
/// }
/// assert!(matches!(writer.push(event(Level::Info, 2)), Err(Full(_))));
/// writer.push(event(Level::Error, 3)).expect("it matters");
///
/// let mut reader = RING.claim_reader().expect("nobody else reads");
/// assert!(matches!(reader.next(), Some(Received::Lost(lost)) if lost.count() == 1));
/// assert!(matches!(reader.next(), Some(Received::Record(event)) if event.value == 1));
/// assert!(matches!(reader.next(), Some(Received::Record(event)) if event.value == 3));
/// ```
#[derive(Debug)]
pub enum RejectBelow<const LEVEL: u8> {}

impl<R: Record> Policy<R> for Overwrite {}
impl<R: Record> Policy<R> for Reject {}
impl<const LEVEL: u8, R: Leveled> Policy<R> for RejectBelow<LEVEL> {}

impl<const LEVEL: u8> RejectBelow<LEVEL> {
    /// Refuses a number that is no level, when a ring is compiled.
    const LEVEL_IS_VALID: () = assert!(LEVEL <= Level::Error as u8, "there is no such level");
}

pub(super) mod sealed {
    /// What makes a policy.
    pub trait Overwrites<R> {
        /// Whether this record takes the place of the oldest one, if there is no other.
        fn overwrites(record: &R) -> bool;
    }
}

impl<R> sealed::Overwrites<R> for Overwrite {
    #[inline]
    fn overwrites(_: &R) -> bool {
        true
    }
}

impl<R> sealed::Overwrites<R> for Reject {
    #[inline]
    fn overwrites(_: &R) -> bool {
        false
    }
}

impl<const LEVEL: u8, R: Leveled> sealed::Overwrites<R> for RejectBelow<LEVEL> {
    #[inline]
    fn overwrites(record: &R) -> bool {
        () = Self::LEVEL_IS_VALID;
        record.level() as u8 >= LEVEL
    }
}
