//! Deduplication with unlimited memory: every key has its window, and none is ever evicted.
//!
//! A window of bounded memory may differ in one way only: where it evicted, it may let a repetition
//! pass. It may never suppress what this lets pass.

use std::collections::BTreeMap;

/// What is known of an open window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// When it was opened.
    pub first: u64,
    /// When the last event of it came.
    pub last: u64,
    /// How many were suppressed.
    pub suppressed: u64,
}

/// The truth about deduplication with windows of `window` time units.
#[derive(Clone, Debug)]
pub struct Dedup {
    window: u64,
    open: BTreeMap<u64, Open>,
}

impl Dedup {
    /// No window open.
    #[must_use]
    pub const fn new(window: u64) -> Self {
        Self {
            window,
            open: BTreeMap::new(),
        }
    }

    /// Whether `key` passes at `now`; if not, it is counted.
    pub fn offer(&mut self, key: u64, now: u64) -> bool {
        match self.open.get_mut(&key) {
            Some(open) if now < open.first.saturating_add(self.window) => {
                open.suppressed += 1;
                open.last = open.last.max(now);
                false
            }
            _ => {
                self.open(key, now);
                true
            }
        }
    }

    /// A window for `key` opens at `now`, whatever was before.
    pub fn open(&mut self, key: u64, now: u64) {
        self.open.insert(
            key,
            Open {
                first: now,
                last: now,
                suppressed: 0,
            },
        );
    }

    /// The window of `key`, open or over.
    #[must_use]
    pub fn window_of(&self, key: u64) -> Option<Open> {
        self.open.get(&key).copied()
    }

    /// Closes the window of `key`.
    pub fn close(&mut self, key: u64) -> Option<Open> {
        self.open.remove(&key)
    }

    /// The keys whose windows are over at `now`.
    #[must_use]
    pub fn over(&self, now: u64) -> Vec<u64> {
        let over = |open: &Open| now >= open.first.saturating_add(self.window);
        self.open
            .iter()
            .filter(|(_, open)| over(open))
            .map(|(&key, _)| key)
            .collect()
    }

    /// When the next window is over.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.open
            .values()
            .map(|open| open.first.saturating_add(self.window))
            .min()
    }
}
