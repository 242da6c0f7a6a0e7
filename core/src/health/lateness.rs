//! Whether somebody who has to be in time is late, or whether nobody was: the program was paused, and goes on.
//!
//! ```text
//!            behind by more than the limit            … and still so, a grace after that was first seen
//!   in time ───────────────────────────────► doubted ──────────────────────────────────────────────────► late
//!      ▲                                        │                                                          │
//!      ╰──────────────── seen to be behind by no more than the limit ───────────────────────────────────────╯
//! ```
//!
//! A program that was stopped by a signal, frozen, or paused with its machine finds everything long due when it goes on, and whoever
//! asks first finds it so before he who is behind had a chance to do anything. So one look is never enough.

use crate::clock::Instant;
use core::time::Duration;

/// Whether somebody is late, found by looking at what he has left undone. No look is waited for.
///
/// He is late if he is behind by more than a limit, and was so at every look since one that was longer ago than a grace. So
/// somebody who never does anything again is late from the first look on that comes a grace after another one, beyond the limit;
/// and a pause of the whole program, however long, is no lateness of his, if he has caught up within the grace after it. He may
/// look himself, when he comes round, which makes it known that he has caught up even if nobody else looks.
///
/// A program that is paused a second time, between a look and whatever he would have done next, is taken for late at the look
/// after that: whoever would draw a conclusion from it does well to look again a little later.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::health::Lateness;
/// use core::time::Duration;
///
/// let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
/// let mut lateness = Lateness::new(Duration::from_secs(5), Duration::from_secs(1));
/// assert!(!lateness.look(at(104), Some(at(100))));
/// assert!(!lateness.look(at(163), Some(at(100))));     // a pause, perhaps
/// assert!(!lateness.look(at(164), Some(at(100))));
/// assert!(lateness.look(at(165), Some(at(100))));      // he had time enough since
/// assert!(!lateness.look(at(166), Some(at(162))));     // he has caught up
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    limit: Duration,
    grace: Duration,
    doubted: Option<Instant>,
}

impl Lateness {
    /// Of somebody who may be behind by `limit`, that included, and has a `grace` to catch up from the look on that finds him
    /// further behind, that included, too.
    #[must_use]
    pub const fn new(limit: Duration, grace: Duration) -> Self {
        Self {
            limit,
            grace,
            doubted: None,
        }
    }

    /// Somebody looks at `now`: whether he is late, if the oldest that he has left undone was due at `undone`. `None` if there is
    /// nothing. O(1).
    pub fn look(&mut self, now: Instant, undone: Option<Instant>) -> bool {
        if undone.is_none_or(|due| now.saturating_duration_since(due) <= self.limit) {
            self.doubted = None;
            return false;
        }
        let doubted = *self.doubted.get_or_insert(now);
        now.saturating_duration_since(doubted) > self.grace
    }
}
