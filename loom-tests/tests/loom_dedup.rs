//! Models of the shared dedup window: one pass for each key and window, and one summary for each window.
//!
//! Sources are claimed before the threads start, and the key whose exchange is reordered is looked for by the
//! thread that is spawned: see the blind spots in `docs/ORDERINGS.md`. In models nobody waits for a door.

#[cfg(bedplate_loom)]
use loom::sync::Arc;
#[cfg(not(bedplate_loom))]
use std::sync::Arc;

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{OncePer, SharedDedupWindow, Source, Summary, Verdict};
use loom_tests::{Lent, check, thread};
use std::time::Duration;

type Window = SharedDedupWindow<1, 2>;

const LENGTH: u64 = 10;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn lent() -> Lent<Window> {
    Lent::new(Window::new(Duration::from_nanos(LENGTH)))
}

/// What somebody saw: how many of his events passed, and the summaries he was given.
#[derive(Default)]
struct Seen {
    passed: u64,
    summaries: Vec<Summary>,
}

impl Seen {
    fn offer(&mut self, source: &mut Source<'static, 1, 2>, key: u64, now: u64) -> bool {
        match source.offer(key, at(now)) {
            Verdict::Pass(pass) => {
                self.passed += 1;
                self.summaries.extend(pass.closed);
                true
            }
            Verdict::Repeat { .. } => panic!("not in this mode"),
            Verdict::Suppress => false,
        }
    }

    fn poll(&mut self, window: &Window, now: u64) {
        window.poll(at(now), |summary| self.summaries.push(summary));
    }

    fn add(&mut self, mut other: Self) {
        self.passed += other.passed;
        self.summaries.append(&mut other.summaries);
    }

    /// Closes all, and compares with the counts.
    fn end(mut self, window: &Window, offered: u64) -> Self {
        window.flush(|summary| self.summaries.push(summary));
        let counts = window.counts();
        assert_eq!(counts.passed, self.passed);
        assert_eq!(counts.passed + counts.suppressed, offered);
        let told: u64 = self
            .summaries
            .iter()
            .map(|summary| summary.suppressed)
            .sum();
        assert_eq!(counts.summarised, told);
        assert!(told <= counts.suppressed);
        self
    }

    fn told_of(&self, key: u64, first: u64) -> Vec<u64> {
        let of = |summary: &&Summary| summary.key == key && summary.first == at(first);
        let told = self.summaries.iter().filter(of);
        told.map(|summary| summary.suppressed).collect()
    }
}

/// A key that was never there: one of two passes, and the door is left open.
#[test]
fn a_new_key_for_two() {
    check(|| {
        let lent = lent();
        let window = lent.lend();
        let [mut one, mut other] = [(); 2].map(|()| window.claim_source().expect("two"));
        let offering = thread::spawn(move || {
            let mut seen = Seen::default();
            seen.offer(&mut other, 7, 5);
            seen
        });
        let mut seen = Seen::default();
        seen.offer(&mut one, 7, 5);
        seen.add(offering.join().expect("no panic"));
        assert_eq!(seen.passed, 1);
        assert!(!seen.offer(&mut one, 7, 6));
        let seen = seen.end(window, 3);
        assert!(seen.told_of(7, 5).iter().sum::<u64>() >= 1);
        assert_eq!(window.counts().crowded, 0);
    });
}

/// [D1, D2, D3] Two keys that were never there: each passes once, and neither takes the other's place.
#[test]
fn two_new_keys_of_a_set() {
    check(|| {
        let lent = lent();
        let window = lent.lend();
        let [mut one, mut other] = [(); 2].map(|()| window.claim_source().expect("two"));
        let offering = thread::spawn(move || {
            let mut seen = Seen::default();
            assert!(seen.offer(&mut other, 8, 5), "a new key passes");
            seen
        });
        let mut seen = Seen::default();
        assert!(seen.offer(&mut one, 7, 5), "a new key passes");
        seen.add(offering.join().expect("no panic"));
        let again = [7, 8].map(|key| seen.offer(&mut one, key, 6));
        let lost = again.into_iter().filter(|&passed| passed).count() as u64;
        let counts = window.counts();
        assert_eq!((lost, counts.evicted), (counts.crowded, 0));
        seen.end(window, 4);
    });
}

/// A window that is over: one of two opens the next, and what the last one suppressed is told once.
#[test]
fn the_next_window_for_two() {
    check(|| {
        let lent = lent();
        let window = lent.lend();
        let [mut one, mut other] = [(); 2].map(|()| window.claim_source().expect("two"));
        let mut seen = Seen::default();
        for now in [0, 3] {
            seen.offer(&mut one, 7, now);
        }
        let offering = thread::spawn(move || {
            let mut seen = Seen::default();
            seen.offer(&mut other, 7, 10);
            seen
        });
        seen.offer(&mut one, 7, 10);
        seen.add(offering.join().expect("no panic"));
        assert_eq!(seen.passed, 2);
        let seen = seen.end(window, 4);
        assert_eq!(
            (seen.told_of(7, 0), seen.told_of(7, 10)),
            (vec![1], vec![1])
        );
    });
}

/// A window that is over, for one who closes it and one who opens the next.
#[test]
fn poll_against_the_next_window() {
    check(|| {
        let lent = lent();
        let window = lent.lend();
        let mut source = window.claim_source().expect("two");
        let mut seen = Seen::default();
        for now in [0, 3, 4] {
            seen.offer(&mut source, 7, now);
        }
        let polling = thread::spawn(move || {
            let mut seen = Seen::default();
            seen.poll(window, 10);
            seen
        });
        assert!(seen.offer(&mut source, 7, 10));
        seen.add(polling.join().expect("no panic"));
        assert!(!seen.offer(&mut source, 7, 11));
        let seen = seen.end(window, 5);
        assert_eq!(
            (seen.told_of(7, 0), seen.told_of(7, 10)),
            (vec![2], vec![1])
        );
    });
}

/// [D4, D5, D6] One who closes a window, and a source that goes on to the next one and counts in it.
#[test]
fn poll_against_a_source_that_goes_on() {
    check(|| {
        let lent = lent();
        let window = lent.lend();
        let mut source = window.claim_source().expect("two");
        let mut seen = Seen::default();
        // A count of a window before, which must not be taken for that of the next one.
        for now in [0, 1, 2, 3, 10] {
            seen.offer(&mut source, 7, now);
        }
        let polling = thread::spawn(move || {
            let mut seen = Seen::default();
            seen.poll(window, 20);
            seen
        });
        // The first is counted in the present window or, if that is closed just then, in none.
        for now in [13, 20, 21, 22] {
            seen.offer(&mut source, 7, now);
        }
        seen.add(polling.join().expect("no panic"));
        let seen = seen.end(window, 9);
        assert_eq!((seen.passed, seen.told_of(7, 0)), (3, vec![3]));
        let second: u64 = seen.told_of(7, 10).iter().sum();
        assert!(second <= 1, "{second} of one");
        assert_eq!(seen.told_of(7, 20), [2]);
    });
}

/// Fills the set of a window with keys whose windows open at these times; the first is the oldest.
fn fill(seen: &mut Seen, source: &mut Source<'static, 1, 2>, times: [u64; 4]) {
    for (key, now) in (1..).zip(times) {
        assert!(seen.offer(source, key, now));
    }
}

/// [D1, D2] A place is taken for another key while its own, whose window is over, is looked for: that passes, and is not
/// held up by the other key's window.
#[test]
fn a_place_that_is_taken_against_its_key() {
    check(|| {
        let lent = lent();
        let window = lent.lend();
        let [mut one, mut other] = [(); 2].map(|()| window.claim_source().expect("two"));
        let mut seen = Seen::default();
        fill(&mut seen, &mut one, [0, 5, 5, 5]);
        let looking = thread::spawn(move || {
            let mut seen = Seen::default();
            assert!(seen.offer(&mut other, 1, 10), "its window is over");
            seen
        });
        assert!(seen.offer(&mut one, 9, 10), "a new key passes");
        seen.add(looking.join().expect("no panic"));
        seen.end(window, 6);
    });
}

/// [D1, D2] A place is taken for another key that somebody else looks for: he is not counted in the window that the
/// place had before.
#[test]
fn a_place_that_is_taken_against_its_next_key() {
    check(|| {
        let lent = lent();
        let window = lent.lend();
        let [mut one, mut other] = [(); 2].map(|()| window.claim_source().expect("two"));
        let mut seen = Seen::default();
        fill(&mut seen, &mut one, [4, 5, 5, 5]);
        let looking = thread::spawn(move || {
            let mut seen = Seen::default();
            seen.offer(&mut other, 9, 6);
            seen
        });
        seen.offer(&mut one, 9, 6);
        seen.add(looking.join().expect("no panic"));
        assert_eq!(seen.passed, 5, "one of the two");
        let seen = seen.end(window, 6);
        assert_eq!(window.counts().evicted, 1);
        assert!(seen.summaries.iter().all(|summary| summary.key == 9));
    });
}

/// [D9] Two threads in turn hold one source; each goes on where the other stopped.
#[test]
fn a_source_is_handed_on() {
    check(|| {
        let window = Arc::new(SharedDedupWindow::<1, 1>::new(Duration::from_nanos(LENGTH)));
        let offer = |window: &SharedDedupWindow<1, 1>| match window.claim_source() {
            Some(mut source) => {
                _ = source.offer(7, at(5));
                _ = source.offer(7, at(6));
                2
            }
            None => 0,
        };
        let other = Arc::clone(&window);
        let offering = thread::spawn(move || offer(&other));
        let mut offered = offer(&window);
        offered += offering.join().expect("no panic");
        assert!(offered > 0, "somebody held it");
        let counts = window.counts();
        assert_eq!(counts.passed, 1);
        assert_eq!(counts.passed + counts.suppressed, offered);
        let mut told = 0;
        window.flush(|summary| told += summary.suppressed);
        assert_eq!(told, counts.suppressed);
    });
}

/// [D7] A call site, of whose time there are three words, as on a target without 64-bit atomics: one of two passes.
#[test]
fn a_call_site_for_two() {
    check(|| {
        let once = Arc::new(OncePer::new(Duration::from_nanos(LENGTH)));
        let other = Arc::clone(&once);
        let passing = thread::spawn(move || other.passes(at(5)));
        let own = once.passes(at(5));
        assert!(own != passing.join().expect("no panic"), "one of two");
        assert!(!once.passes(at(14)) && once.passes(at(15)));
    });
}
