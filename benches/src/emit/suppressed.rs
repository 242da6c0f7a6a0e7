//! Events that repeat within their window.

use super::{LONG, compare, contender, tick};
use crate::harness::{Contender, Settings, Table};
use crate::{memory, pinned};
use bedplate_core::dedup::{DedupWindow, OncePer, SharedDedupWindow, key_of, key_with};
use dashmap::DashMap;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::hint::black_box;
use std::io;
use std::num::NonZeroU32;
use std::time::Instant;

/// Events of a thread in a sample.
const EVENTS: usize = 1 << 17;

/// How many keys they have, one after the other.
const KEYS: u64 = 16;

/// The name of them all, hashed when this is compiled.
const NAME: u64 = key_of("bench.emit.suppressed");

const GOVERNOR: &str = "governor keyed";
const MOKA: &str = "moka contains_key";
const DASHMAP: &str = "DashMap entry";
const FLOOR: &str = "one load";

/// Suppresses `EVENTS` on each thread by `suppress`, which says of how many it was asked to.
fn sample(threads: usize, suppress: impl Fn(usize, u64) -> bool + Sync) -> io::Result<f64> {
    pinned::mean(threads, EVENTS, |thread, gate| {
        let warm = (0..1_024).filter(|&event| suppress(thread, event % KEYS));
        assert!(warm.count() >= 1_000, "they repeat");
        let mut suppressed = 0;
        let sample = gate.time(|| {
            for event in 0..EVENTS as u64 {
                suppressed += usize::from(suppress(thread, black_box(event % KEYS)));
            }
        });
        assert_eq!(suppressed, EVENTS, "all repeat");
        sample
    })
}

fn limiter() -> DefaultKeyedRateLimiter<u64> {
    let quota = Quota::with_period(LONG).expect("not zero");
    RateLimiter::keyed(quota.allow_burst(NonZeroU32::MIN))
}

fn cache(capacity: u64) -> moka::sync::Cache<u64, ()> {
    moka::sync::Cache::builder()
        .max_capacity(capacity)
        .time_to_live(LONG)
        .build()
}

/// Whether the last event of this key was within the window; else it is this one.
fn repeats(map: &DashMap<u64, Instant>, key: u64) -> bool {
    let now = Instant::now();
    let mut first = false;
    let mut last = map.entry(key).or_insert_with(|| {
        first = true;
        now
    });
    if first {
        return false;
    }
    let repeats = now.duration_since(*last) < LONG;
    if !repeats {
        *last = now;
    }
    repeats
}

/// As [`sample`], for an event that has no key: nothing but the decision is in the loop.
fn sample_static(threads: usize, suppress: impl Fn() -> bool + Sync) -> io::Result<f64> {
    pinned::mean(threads, EVENTS, |_, gate| {
        assert!(
            (0..1_024).filter(|_| suppress()).count() >= 1_000,
            "they repeat"
        );
        let mut suppressed = 0;
        let sample = gate.time(|| {
            for _ in 0..EVENTS {
                suppressed += usize::from(suppress());
            }
        });
        assert_eq!(suppressed, EVENTS, "all repeat");
        sample
    })
}

pub(super) fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    for threads in 1..=pinned::processors()?.min(2) {
        if settings.wants("suppressed static") {
            let once = OncePer::new(LONG);
            let limiter = RateLimiter::direct(Quota::with_period(LONG).expect("not zero"));
            let contenders = vec![
                contender(FLOOR, || {
                    sample_static(threads, || tick().as_nanos() < u64::MAX)
                }),
                contender("bedplate OncePer", || {
                    sample_static(threads, || !once.passes(tick()))
                }),
                contender("governor direct", || {
                    sample_static(threads, || limiter.check().is_err())
                }),
            ];
            let case = ("suppressed static", threads, 1);
            compare(case, settings, table, contenders, &[FLOOR])?;
        }
        if settings.wants("suppressed keyed") {
            keyed(settings, table, threads)?;
        }
    }
    Ok(())
}

fn sample_of<'a>(
    name: &str,
    threads: usize,
    suppress: impl Fn(usize, u64) -> bool + Sync + 'a,
) -> Contender<'a> {
    contender(name, move || sample(threads, &suppress))
}

fn keyed(settings: &Settings, table: &mut Table, threads: usize) -> io::Result<()> {
    let window = Box::new(SharedDedupWindow::<256, 4>::new(LONG));
    let uncounted = Box::new(SharedDedupWindow::<256, 0>::new(LONG));
    let limiter = limiter();
    let cache = cache(1_024);
    let map = DashMap::new();
    let mut contenders = vec![
        contender("bedplate, a name", || {
            with_own(
                threads,
                || window.claim_source().expect("one of four"),
                |source, _| !source.offer(NAME, tick()).passes(),
            )
        }),
        contender("bedplate, a name and a number", || {
            with_own(
                threads,
                || window.claim_source().expect("one of four"),
                |source, key| !source.offer(key_with(NAME, key), tick()).passes(),
            )
        }),
        sample_of("bedplate, uncounted", threads, |_, key| {
            !uncounted
                .offer_uncounted(key_with(NAME, key), tick())
                .passes()
        }),
        sample_of(GOVERNOR, threads, |_, key| limiter.check_key(&key).is_err()),
        sample_of(MOKA, threads, |_, key| {
            let known = cache.contains_key(&key);
            if !known {
                cache.insert(key, ());
            }
            known
        }),
        sample_of(DASHMAP, threads, |_, key| repeats(&map, key)),
    ];
    if threads == 1 {
        contenders.push(contender("bedplate, of one context", || {
            with_own(
                threads,
                || Box::new(DedupWindow::<1_024>::new(LONG)),
                |window, key| !window.offer(key_with(NAME, key), tick()).passes(),
            )
        }));
    }
    let case = ("suppressed keyed", threads, KEYS as usize);
    let references = [GOVERNOR, MOKA, DASHMAP];
    compare(case, settings, table, contenders, &references)
}

/// As [`sample`], with something that each thread has for itself.
fn with_own<T>(
    threads: usize,
    make: impl Fn() -> T + Sync,
    suppress: impl Fn(&mut T, u64) -> bool + Sync,
) -> io::Result<f64> {
    pinned::mean(threads, EVENTS, |_, gate| {
        let mut own = make();
        let warm = (0..1_024).filter(|&event| suppress(&mut own, event % KEYS));
        assert!(warm.count() >= 1_000, "they repeat");
        let mut suppressed = 0;
        let sample = gate.time(|| {
            for event in 0..EVENTS as u64 {
                suppressed += usize::from(suppress(&mut own, black_box(event % KEYS)));
            }
        });
        assert_eq!(suppressed, EVENTS, "all repeat");
        sample
    })
}

/// What the peers take for so many keys.
pub(super) fn footprints(keys: usize) -> [(&'static str, f64); 3] {
    let keys = 0..keys as u64;
    let governor = memory::count(|| {
        let limiter = limiter();
        keys.clone().for_each(|key| _ = limiter.check_key(&key));
        limiter
    });
    let moka = memory::count(|| {
        let cache = cache(1_024);
        keys.clone().for_each(|key| cache.insert(key, ()));
        cache.run_pending_tasks();
        cache
    });
    let dashmap = memory::count(|| {
        let map = DashMap::new();
        keys.clone().for_each(|key| _ = repeats(&map, key));
        map
    });
    [
        (GOVERNOR, governor.live),
        (MOKA, moka.live),
        (DASHMAP, dashmap.live),
    ]
}
