//! The dedup window against its oracle, which never forgets.

use super::Bytes;
use crate::oracle::dedup::Dedup as Oracle;
use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Cause, Decision, DedupWindow, Summary};
use core::time::Duration;

const CAPACITY: usize = 8;
const WINDOW: u64 = 50;

/// Something asked of a window.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// An event of this key comes.
    Offer(u64),
    /// Time passes.
    Wait(u8),
    /// Look for windows that are over.
    Poll,
    /// Close them all.
    Flush,
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(16) {
            // More keys than there is room for.
            0..=9 => Self::Offer(u64::from(bytes.below(24))),
            10..=13 => Self::Wait(bytes.below(40)),
            14 => Self::Poll,
            _ => Self::Flush,
        })
    }
}

/// Runs the sequence in `bytes` against a window and the oracle.
///
/// # Panics
/// If an event is suppressed that should pass, if one passes that should not without an eviction
/// to explain it, or if a suppressed event is missing from the summaries.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let mut window = DedupWindow::<CAPACITY>::new(Duration::from_nanos(WINDOW));
    let mut oracle = Oracle::new(WINDOW);
    let (mut now, mut offered, mut summarised) = (0, 0_u64, 0_u64);
    let mut slots = [None; CAPACITY];

    let settle = |summary: Summary, oracle: &mut Oracle| {
        let truth = oracle
            .close(summary.key)
            .expect("a summary is of a window that was open");
        assert_eq!(summary.suppressed, truth.suppressed);
        assert_eq!(summary.first.as_nanos(), truth.first);
        assert_eq!(summary.last.as_nanos(), truth.last);
        assert!(summary.suppressed > 0);
        summary.suppressed
    };
    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Offer(key) => {
                offered += 1;
                let evicted_before = window.counts().evicted;
                match window.offer(key, Instant::from_nanos(now)) {
                    Decision::Suppress { slot } => {
                        assert!(!oracle.offer(key, now), "never a false suppression");
                        assert_eq!(slots[slot], Some(key), "in the slot in which it passed");
                    }
                    Decision::Repeat { .. } => panic!("no repetition passes in this mode"),
                    Decision::Pass { slot, closed } => {
                        if let Some(summary) = closed {
                            assert_eq!(summary.slot, slot, "it made room");
                            assert_eq!(slots[slot], Some(summary.key));
                            summarised += settle(summary, &mut oracle);
                            let evicted = summary.cause == Cause::Evicted;
                            assert_eq!(window.counts().evicted > evicted_before, evicted);
                        } else if let Some(displaced) = slots[slot] {
                            // Still listed here, so it was open until now.
                            // Without a summary: it had suppressed nothing.
                            let truth = oracle.close(displaced);
                            assert!(truth.is_none_or(|open| open.suppressed == 0));
                        }
                        // A pass the oracle would not have granted is one of an evicted key.
                        if oracle
                            .window_of(key)
                            .is_some_and(|open| now < open.first + WINDOW)
                        {
                            panic!("a repetition passed though its window was not evicted");
                        }
                        oracle.open(key, now);
                        slots[slot] = Some(key);
                    }
                }
            }
            Operation::Wait(time) => now += u64::from(time),
            Operation::Poll => {
                let next = window.poll(Instant::from_nanos(now), |summary| {
                    assert_eq!(summary.cause, Cause::Expired);
                    assert!(now >= summary.first.as_nanos() + WINDOW);
                    summarised += settle(summary, &mut oracle);
                    slots[summary.slot] = None;
                });
                for key in oracle.over(now) {
                    let truth = oracle.close(key);
                    let place = slots.iter().position(|&slot| slot == Some(key));
                    slots[place.expect("an open window has a slot")] = None;
                    assert!(
                        truth.is_none_or(|open| open.suppressed == 0),
                        "{key} is missing"
                    );
                }
                assert_eq!(next.map(Instant::as_nanos), oracle.next_deadline());
            }
            Operation::Flush => {
                window.flush(|summary| summarised += settle(summary, &mut oracle));
                oracle = Oracle::new(WINDOW);
                slots = [None; CAPACITY];
            }
        }
    }
    window.flush(|summary| summarised += settle(summary, &mut oracle));
    let counts = window.counts();
    assert_eq!(counts.passed + counts.suppressed, offered);
    assert_eq!(
        counts.suppressed, summarised,
        "every suppressed event is in one summary"
    );
}
