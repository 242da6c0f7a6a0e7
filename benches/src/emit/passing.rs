//! Events that pass and are stored: 64 bytes into a ring that overwrites the oldest.

use super::{compare, contender, counter};
use crate::harness::{Settings, Table};
use crate::pinned;
use bedplate_core::clock::Instant;
use bedplate_core::dedup::{DedupWindow, OncePer, SharedDedupWindow, key_of, key_with};
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::ring::EventRing;
use crossbeam_queue::ArrayQueue;
use dashmap::DashMap;
use std::collections::HashMap;
use std::hint::black_box;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

/// Events in a sample.
const EVENTS: usize = 1 << 16;

/// Events a ring holds.
const RING: usize = 1_024;

const KIND: EventKind = EventKind::new(Level::Info, 1);
const NAME: u64 = key_of("bench.emit.passing");

/// The window, in ticks of the case: an event a tick.
const WINDOW: u64 = 512;

const MAPS: &str = "HashMap + ArrayQueue";

/// What a case is called without a time stamp in the event, and with one.
const CASES: [(&str, bool); 2] = [("passing", false), ("passing with stamp", true)];

type Source = bedplate_core::dedup::Source<'static, 256, 1>;

pub(super) fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    for (case, stamped) in CASES {
        if !settings.wants(case) {
            continue;
        }
        let of_keys = || {
            // One for each sample, which is few kilobytes: nothing else can lend for as long as a thread runs.
            let window = SharedDedupWindow::<256, 1>::new(Duration::from_nanos(WINDOW));
            let window: &'static _ = Box::leak(Box::new(window));
            window.claim_source().expect("the only one")
        };
        let contenders = vec![
            contender("ring alone", move || stored(stamped, || (), |(), _| true)),
            contender("bedplate, call site", move || {
                let once = || OncePer::new(Duration::from_nanos(1));
                stored(stamped, once, |once, now| once.passes(at(now)))
            }),
            contender("bedplate, next window", move || {
                // Sixteen keys, each again when its window has long been over.
                let passes = |source: &mut Source, now: u64| {
                    source
                        .offer(key_with(NAME, now % 16), at(now * WINDOW))
                        .passes()
                };
                stored(stamped, of_keys, passes)
            }),
            contender("bedplate, new key", move || {
                let passes = |source: &mut Source, now: u64| {
                    source.offer(key_with(NAME, now), at(now)).passes()
                };
                stored(stamped, of_keys, passes)
            }),
            contender("bedplate, new key, of one context", move || {
                let window = || Box::new(DedupWindow::<1_024>::new(Duration::from_nanos(WINDOW)));
                stored(stamped, window, |window, now| {
                    window.offer(key_with(NAME, now), at(now)).passes()
                })
            }),
            contender(MAPS, || {
                let map = Mutex::new(HashMap::new());
                queued(|key| {
                    let mut map = map.lock().expect("no panic");
                    if map.len() == 2 * RING {
                        map.clear();
                    }
                    map.insert(key, std::time::Instant::now()).is_none()
                })
            }),
            contender("DashMap + ArrayQueue", || {
                let map = DashMap::new();
                queued(|key| {
                    map.remove(&key.wrapping_sub(2 * RING as u64));
                    map.insert(key, std::time::Instant::now()).is_none()
                })
            }),
        ];
        let references = [MAPS, "ring alone"];
        compare((case, 1, EVENTS), settings, table, contenders, &references)?;
    }
    Ok(())
}

fn at(tick: u64) -> Instant {
    Instant::from_nanos(tick)
}

/// Lets all events pass, an event a tick, and stores them in a ring.
fn stored<T>(
    stamped: bool,
    make: impl Fn() -> T + Sync,
    passes: impl Fn(&mut T, u64) -> bool + Sync,
) -> io::Result<f64> {
    pinned::mean(1, EVENTS, |_, gate| {
        let ring = Box::new(EventRing::<RING>::new());
        let mut writer = ring.claim_writer().expect("the only one");
        let mut own = make();
        let mut emit = |tick: u64| {
            let passes = passes(&mut own, tick);
            if passes {
                let time = at(if stamped { counter() } else { tick });
                writer.push(Event {
                    kind: KIND,
                    time,
                    key: tick,
                    value: tick,
                });
            }
            passes
        };
        let warm = 1..4 * RING as u64;
        assert!(warm.clone().all(&mut emit), "they pass");
        let mut passed = 0;
        let sample = gate.time(|| {
            for tick in warm.end..warm.end + EVENTS as u64 {
                passed += usize::from(emit(black_box(tick)));
            }
        });
        assert_eq!(passed, EVENTS, "all pass");
        sample
    })
}

/// The same into a queue of as many events of as many bytes.
fn queued(passes: impl Fn(u64) -> bool + Sync) -> io::Result<f64> {
    let queue = ArrayQueue::<[u64; 8]>::new(RING);
    pinned::mean(1, EVENTS, |_, gate| {
        let emit = |key: u64| {
            let passes = passes(key);
            if passes {
                queue.force_push([key; 8]);
            }
            passes
        };
        let warm = 1..4 * RING as u64;
        // A sample that is taken again finds the keys of the last one: only its own events count.
        warm.clone().for_each(|key| _ = emit(key));
        let mut passed = 0;
        let sample = gate.time(|| {
            for key in warm.end..warm.end + EVENTS as u64 {
                passed += usize::from(emit(black_box(key)));
            }
        });
        black_box(passed);
        sample
    })
}
