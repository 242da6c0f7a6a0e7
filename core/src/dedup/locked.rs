//! The window of many contexts where there is no wide enough atomic: the plain one under a lock.

use super::window::earlier;
use super::{Counts, Decision, DedupWindow, Mode, Summary};
use crate::clock::Instant;
use crate::registry::RawLock;
use crate::sync::lock::Locked;
use core::fmt;
use core::time::Duration;

/// How many entries are looked at while the lock is held once.
const AT_ONCE: usize = 16;

/// A [`DedupWindow`] that threads, cores and interrupts share, under a lock of your choice: a
/// `CriticalSectionLock` where interrupts offer, a
/// [`SpinLock`](crate::registry::SpinLock) where only threads or cores do.
///
/// Every target has it. Decisions, capacity, counts and modes are those of [`DedupWindow`]; exactly one event
/// passes a window, whoever offers. Where the target has 64-bit atomics,
/// [`SharedDedupWindow`](super::SharedDedupWindow) suppresses without a lock.
///
/// # Concurrency
/// Blocking, by the lock. An offer holds it for four entries, `poll` and `flush` for sixteen at a time, and
/// never while a sink runs.
///
/// # From interrupts
/// As the lock allows.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::dedup::LockedDedupWindow;
/// use bedplate_core::registry::SpinLock;
/// use core::time::Duration;
///
/// static WINDOW: LockedDedupWindow<64, SpinLock> = LockedDedupWindow::new(Duration::from_secs(1));
///
/// let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
/// assert!(WINDOW.offer(7, at(0)).passes());
/// assert!(!WINDOW.offer(7, at(10)).passes());
/// let mut suppressed = 0;
/// WINDOW.poll(at(1_000), |summary| suppressed += summary.suppressed);
/// assert_eq!(suppressed, 1);
/// ```
pub struct LockedDedupWindow<const N: usize, L: RawLock> {
    window: Locked<L, DedupWindow<N>>,
}

impl<const N: usize, L: RawLock> LockedDedupWindow<N, L> {
    /// No window open; each will last for `window`, and say at its end what it suppressed.
    #[must_use]
    pub const fn new(window: Duration) -> Self {
        Self::with_mode(window, Mode::Summarise)
    }

    /// The same with another answer to repetitions.
    #[must_use]
    pub const fn with_mode(window: Duration, mode: Mode) -> Self {
        Self {
            window: Locked::new(DedupWindow::with_mode(window, mode)),
        }
    }

    /// As [`DedupWindow::offer`].
    pub fn offer(&self, key: u64, now: Instant) -> Decision {
        self.window.with(|window| window.offer(key, now))
    }

    /// As [`DedupWindow::poll`]. Windows that others open meanwhile may be missing from the deadline: those
    /// are over a window's length from now at the earliest.
    pub fn poll(&self, now: Instant, mut sink: impl FnMut(Summary)) -> Option<Instant> {
        let (mut slot, mut next) = (0, None);
        while slot < N {
            let summary = self.window.with(|window| {
                for _ in 0..AT_ONCE.min(N - slot) {
                    let (summary, deadline) = window.poll_at(slot, now);
                    slot += 1;
                    next = earlier(next, deadline);
                    if summary.is_some() {
                        return summary;
                    }
                }
                None
            });
            summary.map(&mut sink);
        }
        next
    }

    /// As [`DedupWindow::flush`], for the windows that were open when it began.
    pub fn flush(&self, mut sink: impl FnMut(Summary)) {
        for slot in 0..N {
            let summary = self.window.with(|window| window.flush_at(slot));
            summary.map(&mut sink);
        }
    }

    /// The decisions so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.window.with(|window| window.counts())
    }
}

impl<const N: usize, L: RawLock> fmt::Debug for LockedDedupWindow<N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedDedupWindow")
            .field("capacity", &N)
            .field("counts", &self.counts())
            .finish()
    }
}
