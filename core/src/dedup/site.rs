//! State in the call site: for one event each, in a `static` beside the code that reports it.

use super::mode::Bucket;
use crate::clock::{Instant, saturating_nanos};
use crate::sync::stamp::{Read, Stamp};
use crate::sync::{AtomicUsize, Ordering, const_fn};
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

/// One pass a window, for one call site, whoever comes by: threads, cores, interrupts.
///
/// It counts nothing: a suppressed event is one load and one comparison, and writes nowhere. Whoever needs to
/// know how many there were uses a [`SharedDedupWindow`](super::SharedDedupWindow), or counts by himself.
///
/// # Concurrency
/// Suppressing is wait-free, passing lock-free: an exchange is repeated when another one passed meanwhile,
/// with a `now` that is more than a window earlier. Exactly one of those who come at once passes. On a target
/// without 64-bit atomics an event that interrupts the very exchange of another one is suppressed, whatever its
/// time: they come at once.
///
/// # From interrupts
/// Yes. Exists where the target has a native compare-and-swap.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::dedup::OncePer;
/// use core::time::Duration;
///
/// fn report(now: Instant) -> bool {
///     static OVERHEATED: OncePer = OncePer::new(Duration::from_secs(1));
///     OVERHEATED.passes(now)
/// }
/// let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
/// assert!(report(at(5)));
/// assert!(!report(at(1_004)));
/// assert!(report(at(1_005)));
/// ```
pub struct OncePer {
    /// When the window is over.
    until: Stamp,
    window: u64,
}

impl OncePer {
    const_fn! {
        /// No window open; each will last for `window`. With a window of zero everything passes.
        #[must_use]
        pub fn new(window: Duration) -> Self {
            Self {
                until: Stamp::new(),
                window: saturating_nanos(window),
            }
        }
    }

    /// Whether an event at `now` passes.
    ///
    /// A clock that goes back stands still. A window that would end later than [`Instant::MAX`] never ends.
    #[inline]
    pub fn passes(&self, now: Instant) -> bool {
        match self.until.read() {
            Read::At(until, _) if now.as_nanos() < until => false,
            _ => self.pass(now),
        }
    }

    #[cold]
    fn pass(&self, now: Instant) -> bool {
        loop {
            // Whoever moves it has found the window to be over: it passes, in the window that this event is in.
            let Read::At(until, proof) = self.until.read() else {
                return false;
            };
            if now.as_nanos() < until || until == u64::MAX {
                return false;
            }
            let next = now.as_nanos().saturating_add(self.window);
            if self.until.advance(until, proof, next) {
                return true;
            }
        }
    }

    /// Closes the window: the next event passes.
    pub fn reset(&self) {
        while let Read::At(until, proof) = self.until.read() {
            if self.until.advance(until, proof, 0) {
                return;
            }
        }
    }
}

impl fmt::Debug for OncePer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OncePer")
            .field("window", &Duration::from_nanos(self.window))
            .finish_non_exhaustive()
    }
}

/// As many passes at once as a bucket holds, and one more for every period, for one call site.
///
/// # Concurrency
/// Refusing is wait-free and a load; passing is lock-free: an exchange is repeated when another event passed
/// meanwhile. Never more pass than the bucket allows. On a target without 64-bit atomics an event that
/// interrupts the very exchange of another one is refused.
///
/// # From interrupts
/// Yes. Exists where the target has a native compare-and-swap.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::dedup::TokenBucket;
/// use core::num::NonZeroU32;
/// use core::time::Duration;
///
/// static RETRIES: TokenBucket =
///     TokenBucket::new(Duration::from_millis(100), NonZeroU32::new(3).unwrap());
///
/// let at = |millis: u64| Instant::from_nanos(millis * 1_000_000);
/// let passed = (0..10).filter(|_| RETRIES.passes(at(0))).count();
/// assert_eq!(passed, 3);
/// assert!(!RETRIES.passes(at(99)));
/// assert!(RETRIES.passes(at(100)));
/// ```
pub struct TokenBucket {
    /// When the bucket is full again.
    full_at: Stamp,
    bucket: Bucket,
}

impl TokenBucket {
    const_fn! {
        /// A full bucket that holds `holds` and gets one more every `period`. With a period of zero everything
        /// passes.
        #[must_use]
        pub fn new(period: Duration, holds: NonZeroU32) -> Self {
            Self {
                full_at: Stamp::new(),
                bucket: Bucket::new(period, holds),
            }
        }
    }

    /// Whether an event at `now` passes.
    #[inline]
    pub fn passes(&self, now: Instant) -> bool {
        loop {
            let Read::At(full_at, proof) = self.full_at.read() else {
                return false;
            };
            if self.bucket.refuses(full_at, now) {
                return false;
            }
            let next = self.bucket.after_one(full_at, now);
            if self.full_at.advance(full_at, proof, next) {
                return true;
            }
        }
    }
}

impl fmt::Debug for TokenBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBucket")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// The first event and every `n`-th after it, for one call site, whoever comes by.
///
/// # Concurrency
/// Lock-free. Every event changes the count: where many threads come by at once this is the slow one, and the
/// exact one.
///
/// # From interrupts
/// Yes. Exists where the target has a native compare-and-swap.
///
/// ```
/// use bedplate_core::dedup::EveryNth;
/// use core::num::NonZeroU32;
///
/// static FRAMES: EveryNth = EveryNth::new(NonZeroU32::new(3).unwrap());
/// let passed: Vec<bool> = (0..7).map(|_| FRAMES.passes()).collect();
/// assert_eq!(passed, [true, false, false, true, false, false, true]);
/// ```
pub struct EveryNth {
    /// Events since the last that passed, that one included; below `n`.
    count: AtomicUsize,
    n: usize,
}

impl EveryNth {
    const_fn! {
        /// One of `n`; the next one passes.
        #[must_use]
        pub fn new(n: NonZeroU32) -> Self {
            Self {
                count: AtomicUsize::new(0),
                n: n.get() as usize,
            }
        }
    }

    /// Whether this event passes; if so, it stands for `n`.
    #[inline]
    pub fn passes(&self) -> bool {
        // Relaxed, all: the count is all there is.
        let mut count = self.count.load(Ordering::Relaxed);
        loop {
            let next = if count + 1 == self.n { 0 } else { count + 1 };
            match self.count.compare_exchange_weak(
                count,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return count == 0,
                Err(changed) => count = changed,
            }
        }
    }
}

impl fmt::Debug for EveryNth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EveryNth")
            .field("n", &self.n)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn windows_at_both_ends_of_time() {
        let once = OncePer::new(Duration::from_nanos(10));
        assert!(once.passes(at(0)) && !once.passes(at(9)) && once.passes(at(10)));
        let last = u64::MAX - 1;
        assert!(once.passes(at(last - 5)));
        assert!(!once.passes(at(last)), "its end is beyond the last instant");
        let for_ever = OncePer::new(Duration::MAX);
        assert!(for_ever.passes(at(3)) && !for_ever.passes(at(last)));
        for_ever.reset();
        assert!(for_ever.passes(at(4)));
        let none = OncePer::new(Duration::ZERO);
        assert!(none.passes(at(3)) && none.passes(at(3)));
    }

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let once = OncePer::new(Duration::from_nanos(10));
        assert!(once.passes(at(100)) && !once.passes(at(50)));
    }

    #[test]
    fn a_bucket_never_allows_more_than_it_holds_and_gets() {
        let bucket = TokenBucket::new(Duration::from_nanos(10), NonZeroU32::new(3).expect("3"));
        let passed = (0..1_000).filter(|&now| bucket.passes(at(now))).count();
        assert_eq!(passed, 3 + 99);
        assert_eq!((0..9).filter(|_| bucket.passes(at(5_000))).count(), 3);
    }
}
