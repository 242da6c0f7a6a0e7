//! The shared dedup window, used by several sources in turn, against the oracle that never forgets.

use super::Bytes;
use crate::oracle::dedup::Dedup as Oracle;
use bedplate_core::clock::Instant;
use bedplate_core::dedup::{Cause, Mode, SharedDedupWindow, Source, Summary, Verdict};
use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::BTreeMap;

const SETS: usize = 2;
const SOURCES: usize = 3;
const WINDOW: u64 = 50;

type Window = SharedDedupWindow<SETS, SOURCES>;

/// Something asked of a window.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// An event of this key comes to this source, so long before now.
    Offer(usize, u64, u8),
    /// Time passes.
    Wait(u8),
    /// Look for windows that are over.
    Poll,
    /// Close them all.
    Flush,
    /// A source is given back and claimed again.
    NewSource(usize),
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(32) {
            // More keys than there is room for; a few events are late.
            what @ 0..=20 => Self::Offer(
                usize::from(what) % SOURCES,
                u64::from(bytes.below(24)),
                if what == 20 { bytes.below(30) } else { 0 },
            ),
            21..=27 => Self::Wait(bytes.below(40)),
            28..=29 => Self::Poll,
            30 => Self::NewSource(usize::from(bytes.byte()) % SOURCES),
            _ => Self::Flush,
        })
    }
}

/// What is expected.
struct Truth {
    oracle: Oracle,
    /// When the last window of each key opened, also after it was closed for being over.
    opened: BTreeMap<u64, u64>,
    summarised: u64,
    /// Suppressed for a window that somebody with a later time had closed.
    late: u64,
    clock_went_back: bool,
}

impl Truth {
    fn settle(&mut self, summary: Summary) {
        let truth = self.oracle.close(summary.key);
        let truth = truth.expect("a summary is of a window that was open");
        assert_eq!(summary.suppressed, truth.suppressed);
        assert_eq!(summary.first.as_nanos(), truth.first);
        // Of a source whose clock went back, it is the one that was told last.
        let last = summary.last.as_nanos();
        assert!(last == truth.last || (self.clock_went_back && last < truth.last));
        assert!(summary.last >= summary.first);
        assert!(summary.suppressed > 0);
        self.summarised += summary.suppressed;
    }

    /// Forgets windows over which nothing was suppressed, of which nothing is told.
    fn close_silently(&mut self, keys: Vec<u64>) {
        for key in keys {
            let truth = self.oracle.close(key);
            assert!(
                truth.is_none_or(|open| open.suppressed == 0),
                "{key} is missing"
            );
        }
    }
}

/// Runs the sequence in `bytes` against a window and the oracle. The first byte says when the clock starts: at zero,
/// or before one of the times at which a part of a word is used up.
///
/// # Panics
/// If an event is suppressed that should pass, if more pass that should not than were evicted, or if a suppressed event
/// is missing from the summaries.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let before = u64::from(bytes.byte());
    let mut now = match bytes.below(4) {
        0 => 0,
        1 => (1 << 32) - before,
        2 => (1 << 48) - before,
        _ => (u64::MAX >> 3) - 4_000 - before,
    };
    let window = Window::with_mode(Duration::from_nanos(WINDOW), Mode::Summarise);
    let mut sources: Vec<_> = (0..SOURCES).map(|_| window.claim_source()).collect();
    let mut truth = Truth {
        oracle: Oracle::new(WINDOW),
        opened: BTreeMap::new(),
        summarised: 0,
        late: 0,
        clock_went_back: false,
    };
    let (mut offered, mut false_passes) = (0_u64, 0_u64);

    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Offer(source, key, late) => {
                offered += 1;
                let (clock, now) = (now, now.saturating_sub(late.into()));
                truth.clock_went_back |= now < clock;
                let source: &mut Source<'_, SETS, SOURCES> =
                    sources[source].as_mut().expect("claimed");
                match source.offer(key, Instant::from_nanos(now)) {
                    Verdict::Suppress => {
                        let opened = truth.opened.get(&key);
                        let opened = *opened.expect("it never passed: a false suppression");
                        assert!(now.saturating_sub(opened) < WINDOW, "a false suppression");
                        if truth.oracle.window_of(key).is_some() {
                            assert!(!truth.oracle.offer(key, now));
                        } else {
                            truth.late += 1;
                        }
                    }
                    Verdict::Pass(pass) => {
                        if let Some(summary) = pass.closed {
                            truth.settle(summary);
                        }
                        let near = |opened: &u64| now.saturating_sub(*opened) < WINDOW;
                        let near = truth.opened.get(&key).is_some_and(near);
                        // For who is late, a window may have been closed, and its place given to another key.
                        false_passes += u64::from(near && now == clock);
                        let opened = pass.opened.as_nanos();
                        // Who is late begins where the place's last window began.
                        assert!(opened >= now && opened <= clock + offered);
                        // Its last window, if that is still known, suppressed nothing: else it had a summary.
                        truth.close_silently(vec![key]);
                        truth.oracle.open(key, opened);
                        truth.opened.insert(key, opened);
                    }
                    Verdict::Repeat { .. } => panic!("no repetition passes in this mode"),
                }
            }
            Operation::Wait(time) => now += u64::from(time),
            Operation::Poll => {
                let next = window.poll(Instant::from_nanos(now), |summary| {
                    assert_eq!(summary.cause, Cause::Expired);
                    assert!(now >= summary.first.as_nanos() + WINDOW);
                    truth.settle(summary);
                });
                let over = truth.oracle.over(now);
                truth.close_silently(over);
                let expected = truth.oracle.next_deadline();
                if window.counts().evicted == 0 {
                    assert_eq!(next.map(Instant::as_nanos), expected);
                }
                assert!(next.is_none_or(|next| Some(next.as_nanos()) >= expected));
            }
            Operation::Flush => {
                window.flush(|summary| {
                    assert_eq!(summary.cause, Cause::Flushed);
                    truth.opened.remove(&summary.key);
                    truth.settle(summary);
                });
                // Those that were closed for being over stay what they were, for who is late.
                let oracle = core::mem::replace(&mut truth.oracle, Oracle::new(WINDOW));
                truth
                    .opened
                    .retain(|&key, _| oracle.window_of(key).is_none());
            }
            Operation::NewSource(source) => {
                assert!(window.claim_source().is_none(), "all are claimed");
                sources[source] = None;
                sources[source] = window.claim_source();
            }
        }
        let counts = window.counts();
        assert_eq!(counts.passed + counts.suppressed, offered);
        assert_eq!(counts.summarised, truth.summarised);
        assert!(false_passes <= counts.evicted && counts.crowded == 0);
    }
    window.flush(|summary| truth.settle(summary));
    let counts = window.counts();
    assert_eq!(counts.suppressed, counts.summarised + truth.late);
}

/// The same with a mode that lets some repetitions pass: everything is counted, and weights stand for all.
///
/// # Panics
/// If something is missing.
pub fn run_every_nth(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let n = NonZeroU32::MIN.saturating_add(u32::from(bytes.below(5)));
    let window = Window::with_mode(Duration::from_nanos(WINDOW), Mode::EveryNth(n));
    let mut sources: Vec<_> = (0..SOURCES).filter_map(|_| window.claim_source()).collect();
    let (mut now, mut offered, mut summarised) = (0, 0_u64, 0_u64);
    // Repetitions since the last that passed, of each source and key, in its present window.
    let mut repeated = BTreeMap::<(u64, usize), u32>::new();
    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Offer(source, key, _) => {
                offered += 1;
                match sources[source].offer(key, Instant::from_nanos(now)) {
                    Verdict::Pass(pass) => {
                        summarised += pass.closed.map_or(0, |summary| summary.suppressed);
                        repeated.retain(|(of, _), _| *of != key);
                    }
                    verdict => {
                        let repeated = repeated.entry((key, source)).or_default();
                        *repeated += 1;
                        let expected = if *repeated == n.get() {
                            *repeated = 0;
                            Verdict::Repeat { weight: n }
                        } else {
                            Verdict::Suppress
                        };
                        assert_eq!(verdict, expected);
                    }
                }
            }
            Operation::Wait(time) => now += u64::from(time),
            Operation::Poll => {
                window.poll(Instant::from_nanos(now), |summary| {
                    summarised += summary.suppressed;
                });
            }
            Operation::Flush | Operation::NewSource(_) => {}
        }
    }
    window.flush(|summary| summarised += summary.suppressed);
    let counts = window.counts();
    assert_eq!(counts.passed + counts.suppressed, offered);
    assert_eq!(
        (counts.suppressed, counts.summarised),
        (summarised, summarised)
    );
}
