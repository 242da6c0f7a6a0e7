//! Windows that are shared, on real threads: one pass a window, and every event accounted for.

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{
    EveryNth, Mode, OncePer, SharedCounts, SharedDedupWindow, Summary, TokenBucket, Verdict,
};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

const WINDOWS: u64 = if cfg!(miri) { 3 } else { 300 };

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn index(round: u64) -> usize {
    usize::try_from(round).expect("few rounds")
}

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

/// Runs `body` on so many threads; each is told its number, and all begin every round together.
fn rounds(threads: usize, body: impl Fn(usize, u64) + Sync) {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        for thread in 0..threads {
            let (barrier, body) = (&barrier, &body);
            scope.spawn(move || {
                for round in 0..WINDOWS {
                    barrier.wait();
                    body(thread, round);
                }
            });
        }
    });
}

#[test]
fn of_many_at_a_call_site_one_passes_a_window() {
    let once = OncePer::new(Duration::from_nanos(10));
    let passed: Vec<AtomicUsize> = (0..WINDOWS).map(|_| AtomicUsize::new(0)).collect();
    rounds(4, |_, round| {
        let passes = once.passes(at(round * 10));
        passed[index(round)].fetch_add(usize::from(passes), Ordering::Relaxed);
    });
    assert!(passed.into_iter().all(|passed| passed.into_inner() == 1));
}

#[test]
fn a_bucket_and_every_nth_are_exact() {
    let bucket = TokenBucket::new(Duration::from_nanos(10), n(3));
    let every = EveryNth::new(n(7));
    let (full, nth) = (AtomicU64::new(0), AtomicU64::new(0));
    rounds(2, |_, round| {
        for _ in 0..7 {
            let passes = bucket.passes(at(round * 100));
            full.fetch_add(u64::from(passes), Ordering::Relaxed);
            nth.fetch_add(u64::from(every.passes()), Ordering::Relaxed);
        }
    });
    assert_eq!(full.into_inner(), 3 * WINDOWS);
    assert_eq!(nth.into_inner(), 2 * WINDOWS);
}

#[test]
fn one_key_passes_once_a_window_and_every_event_is_in_a_summary() {
    const THREADS: usize = 4;
    let window = SharedDedupWindow::<4, THREADS>::new(Duration::from_nanos(10));
    let passed: Vec<AtomicUsize> = (0..WINDOWS).map(|_| AtomicUsize::new(0)).collect();
    let summarised = AtomicU64::new(0);
    let barrier = Barrier::new(THREADS);
    let note = |summary: Summary| {
        assert_eq!(summary.key, 5);
        assert!(summary.last.as_nanos() <= summary.first.as_nanos() + 9);
        summarised.fetch_add(summary.suppressed, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (window, passed, barrier, note) = (&window, &passed, &barrier, &note);
            scope.spawn(move || {
                let mut source = window.claim_source().expect("one each");
                for round in 0..WINDOWS {
                    barrier.wait();
                    for _ in 0..50 {
                        match source.offer(5, at(round * 10 + 3)) {
                            Verdict::Pass(pass) => {
                                passed[index(round)].fetch_add(1, Ordering::Relaxed);
                                pass.closed.map(note);
                            }
                            Verdict::Repeat { .. } => panic!("not in this mode"),
                            Verdict::Suppress => {}
                        }
                    }
                    // In every other round one closes the windows, beside the others.
                    barrier.wait();
                    if thread == 0 && round % 2 == 0 {
                        window.poll(at(round * 10 + 13), note);
                    }
                }
            });
        }
    });
    assert!(passed.into_iter().all(|passed| passed.into_inner() == 1));
    window.flush(note);
    let counts = window.counts();
    assert_eq!(counts.passed, WINDOWS);
    assert_eq!(
        counts.passed + counts.suppressed,
        WINDOWS * THREADS as u64 * 50
    );
    assert_eq!((counts.evicted, counts.crowded), (0, 0));
    assert_eq!(counts.summarised, summarised.into_inner());
    // Those that came while the window was being opened could not be counted in it: as many as the others offer while
    // whoever opens it is suspended.
    assert!(counts.summarised <= counts.suppressed);
}

/// All contexts have the same time in a round: who is late would find windows closed that he is in.
#[test]
fn more_keys_than_room_beside_polls() {
    const OFFERING: usize = 3;
    const ROUND: u64 = 1_000;
    const OFFERS: u64 = 40;
    let window = SharedDedupWindow::<2, OFFERING>::new(Duration::from_nanos(4 * ROUND));
    let passes = Mutex::new(BTreeMap::<(u64, u64), u64>::new());
    let summarised = AtomicU64::new(0);
    let note = |summary: Summary| {
        assert!(summary.key < 24 && summary.suppressed > 0);
        assert!(summary.first <= summary.last);
        summarised.fetch_add(summary.suppressed, Ordering::Relaxed);
    };
    let sources: Vec<_> = (0..OFFERING)
        .map(|_| Mutex::new(window.claim_source().expect("one each")))
        .collect();
    rounds(OFFERING + 1, |thread, round| {
        let now = at(round * ROUND);
        let Some(source) = sources.get(thread) else {
            (0..5).for_each(|_| _ = window.poll(now, note));
            return;
        };
        let mut source = source.lock().expect("no panic");
        let mut state = thread as u64 + round * 77;
        for _ in 0..OFFERS {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let key = (state >> 40) % 24;
            if let Verdict::Pass(pass) = source.offer(key, now) {
                pass.closed.map(note);
                assert!(pass.opened >= now);
                let mut passes = passes.lock().expect("no panic");
                *passes.entry((key, round)).or_default() += 1;
            }
        }
    });
    window.flush(note);
    let counts = window.counts();
    assert_eq!(
        counts.passed + counts.suppressed,
        WINDOWS * OFFERS * OFFERING as u64
    );
    assert_eq!(counts.summarised, summarised.into_inner());
    assert!(counts.evicted > 0, "there was too little room");
    // Of two passes of one key that are nearer than a window, one is false.
    let passes = passes.into_inner().expect("no panic");
    let times: Vec<(u64, u64)> = passes.keys().copied().collect();
    let near = times
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0 && pair[1].1 - pair[0].1 < 4)
        .count() as u64;
    let twice: u64 = passes.values().map(|times| times - 1).sum();
    assert!(
        near + twice <= counts.evicted + counts.crowded,
        "{near} near and {twice} twice: {counts:?}"
    );
}

#[test]
fn a_mode_is_that_of_each_source() {
    let window = SharedDedupWindow::<4, 2>::with_mode(Duration::from_secs(1), Mode::EveryNth(n(5)));
    let weights = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut source = window.claim_source().expect("one each");
                for _ in 0..500 {
                    match source.offer(1, at(5)) {
                        Verdict::Repeat { weight } => {
                            weights.fetch_add(u64::from(weight.get()), Ordering::Relaxed);
                        }
                        Verdict::Pass(_) | Verdict::Suppress => {}
                    }
                }
            });
        }
    });
    let mut suppressed = 0;
    window.flush(|summary| suppressed = summary.suppressed);
    let SharedCounts {
        passed,
        suppressed: all,
        summarised,
        ..
    } = window.counts();
    assert_eq!(passed + all, 1_000);
    // What joined an opening is not in it: as much as came while who opened was interrupted.
    assert!(suppressed <= all);
    assert_eq!(summarised, suppressed);
    assert_eq!(weights.into_inner() / 5, passed - 1);
}
