//! When should somebody who looks for work at intervals look next, and when may he go to sleep?

use crate::clock::Instant;
use core::time::Duration;

/// Looks that find nothing, one after the other, before he who looks says that he is going to sleep.
const PATIENCE: u32 = 16;

/// The pace of somebody who looks for what others leave, so that leaving it costs them no wake-up.
///
/// ```text
///  awake ──(nothing, 16 times)──► leaving: tell everybody to wake him from now on ──(nothing)──► asleep
///    ▲                                │                                                           │
///    └────────(found something)───────┘◄──────────────────(woken)─────────────────────────────────┘
/// ```
///
/// Between telling and sleeping lies one more look, an interval later: what somebody left who had not heard yet
/// is found by then, though neither side made a fence.
///
/// A plain state machine: it reads no clock and wakes nobody.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::pace::{Pace, Rest};
/// use core::time::Duration;
///
/// let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
/// let mut pace = Pace::new(Duration::from_millis(10));
/// assert_eq!(pace.looked(at(0), true), Rest::Until(at(10)));
/// for look in 1..16 {
///     assert_eq!(pace.looked(at(10 * look), false), Rest::Until(at(10 * look + 10)));
/// }
/// assert_eq!(pace.looked(at(160), false), Rest::TellThenUntil(at(170)));
/// assert_eq!(pace.looked(at(170), false), Rest::UntilWoken);
/// pace.woken();
/// assert_eq!(pace.looked(at(500), true), Rest::Until(at(510)));
/// ```
#[derive(Clone, Debug)]
pub struct Pace {
    interval: Duration,
    /// Looks that found nothing since the last that did.
    in_vain: u32,
    /// Before then, nobody who has told may sleep.
    told_until: Instant,
}

/// What to do until the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Rest until then.
    Until(Instant),
    /// Let everybody know that one has to be woken from now on, and rest until then.
    TellThenUntil(Instant),
    /// Rest until woken.
    UntilWoken,
}

impl Pace {
    /// Awake, with so much time between two looks.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            in_vain: 0,
            told_until: Instant::ZERO,
        }
    }

    /// He has looked, and found something or not. He may look earlier than he was told to, if there is something else
    /// to do: before he sleeps, the interval since he told everybody is over all the same.
    pub fn looked(&mut self, now: Instant, found: bool) -> Rest {
        self.in_vain = if found {
            0
        } else {
            self.in_vain.saturating_add(1)
        };
        let next = now.saturating_add(self.interval);
        if self.in_vain < PATIENCE {
            Rest::Until(next)
        } else if self.in_vain == PATIENCE {
            self.told_until = next;
            Rest::TellThenUntil(next)
        } else if now < self.told_until {
            Rest::Until(self.told_until)
        } else {
            Rest::UntilWoken
        }
    }

    /// Somebody has woken him.
    pub const fn woken(&mut self) {
        self.in_vain = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_early_does_not_sleep_early() {
        let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
        let mut pace = Pace::new(Duration::from_millis(10));
        for look in 1..PATIENCE {
            let _rest = pace.looked(at(u64::from(look)), false);
        }
        assert_eq!(pace.looked(at(20), false), Rest::TellThenUntil(at(30)));
        assert_eq!(pace.looked(at(22), false), Rest::Until(at(30)));
        assert_eq!(pace.looked(at(29), false), Rest::Until(at(30)));
        assert_eq!(pace.looked(at(30), false), Rest::UntilWoken);
        // Who found something has to tell anew.
        assert_eq!(pace.looked(at(31), true), Rest::Until(at(41)));
        assert_eq!(pace.looked(at(41), false), Rest::Until(at(51)));
    }
}
