//! Suppressing repetitions: within a window, an event passes once and is counted from then on.
//!
//! A window is fixed: it opens with the event that passes and closes its length later, however
//! often the event repeats in between, so a steady stream shows up once a window and not only at
//! its end. When a window closes over suppressed events, a [`Summary`] says how many there were and
//! when; closing is driven by time (`poll`), not by the next event.
//!
//! ```text
//! offers   A   A A      A  │            A   │
//! decision P   s s      s  │            P   │
//! window   ├───────────────┤            ├───────────────┤
//!                          summary: 3 suppressed
//! ```
//!
//! # Which one
//! | who offers | type | a suppressed event costs |
//! |---|---|---|
//! | one call site, any number of contexts | [`OncePer`], [`TokenBucket`], [`EveryNth`] in a `static` | a load (the last: an exchange) |
//! | one context, many keys | [`DedupWindow`] behind `&mut` | its entry, changed |
//! | threads, cores and interrupts, many keys | [`SharedDedupWindow`] | loads, and a store to one's own memory |
//! | the same, on a target without 64-bit atomics | [`LockedDedupWindow`] | a lock of your choice |
//!
//! [`key_of`] makes a key of a name when the program is compiled, [`key_with`] adds a number to it.
//!
//! # Memory
//! Keys live in sets of four places; a key can live in the four places of its set only, so a decision
//! looks at four entries. When all four hold open windows, the one opened longest ago is closed
//! early to make room. That is a *false pass* if its key repeats; it is counted, and its summary is
//! handed out, so no suppressed event ever goes uncounted. The reverse never happens: keys are
//! compared whole, so an event is only suppressed if the same 64-bit key passed in this window.
//! Where a caller makes keys by hashing, two different things get the same key with a probability
//! of at most (open windows) / 2⁶⁴ an offer.

mod key;
mod locked;
mod mode;
#[cfg(target_has_atomic = "64")]
mod shared;
#[cfg(target_has_atomic = "ptr")]
mod site;
mod window;

pub use key::{key_of, key_with};
pub use locked::LockedDedupWindow;
pub use mode::Mode;
pub(crate) use mode::next_random;
#[cfg(target_has_atomic = "64")]
pub use shared::{Passed, SharedCounts, SharedDedupWindow, Source, Verdict};
#[cfg(target_has_atomic = "ptr")]
pub use site::{EveryNth, OncePer, TokenBucket};
pub use window::{Counts, Decision, DedupWindow};

use crate::clock::Instant;

/// Entries a set has.
const WAYS: usize = 4;

/// What a closed window suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The key.
    pub key: u64,
    /// How many events were suppressed after the one that passed; at least one.
    pub suppressed: u64,
    /// When the event that opened the window came.
    pub first: Instant,
    /// When the last suppressed one came. From a shared window up to 2⁻²³ of the window's length too early, and of each
    /// source the one that it was told of last.
    pub last: Instant,
    /// Where the window lived.
    pub slot: usize,
    /// Why the window closed.
    pub cause: Cause,
}

/// Why a window closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Its time was over.
    Expired,
    /// Its place was needed for another key.
    Evicted,
    /// `flush`.
    Flushed,
}

/// Which of `sets` sets, a power of two, a key belongs to.
#[inline]
const fn set_of(key: u64, sets: usize) -> usize {
    // Fibonacci hashing: the high half of the product depends on every bit of the key, also
    // where callers number their keys consecutively.
    let mixed = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let mixed = mixed as usize;
    mixed & (sets - 1)
}
