//! What it costs to say that something happened: to nobody, to somebody else, to one handler, and to be stored.

use super::{compare, contender};
use crate::harness::{Contender, Settings, Table};
use crate::pinned;
use bedplate::telemetry::{self, Event, EventName};
use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events of a thread in a sample.
const EVENTS: usize = 1 << 16;

const FLOOR: &str = "one load";
const TRACING: &str = "tracing, no subscriber";
const METRICS: &str = "metrics counter kept, no recorder";
const MACRO: &str = "metrics counter!, no recorder";

static WORD: AtomicU64 = AtomicU64::new(0);

/// Attached while it lives.
struct Attached(&'static str);

impl Attached {
    fn new(id: &'static str, name: &'static str) -> Self {
        static SEEN: AtomicU64 = AtomicU64::new(0);
        let handler = |event: &Event<'_>| {
            if let Some(telemetry::Measurement::Unsigned(count)) = event.measurement("count") {
                // Each on its own: what is measured is how it gets here.
                SEEN.store(count, Ordering::Relaxed);
            }
        };
        telemetry::attach(id, EventName::new(name), handler).expect("there is room");
        Self(id)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        telemetry::detach(self.0).expect("it is attached");
    }
}

fn sample(threads: usize, tell: impl Fn(u64) + Sync) -> io::Result<f64> {
    pinned::mean(threads, EVENTS, |_, gate| {
        (0..1_024).for_each(&tell);
        gate.time(|| (0..EVENTS as u64).for_each(|event| tell(black_box(event))))
    })
}

fn sample_of<'a>(name: &str, threads: usize, tell: impl Fn(u64) + Sync + 'a) -> Contender<'a> {
    contender(name, move || sample(threads, &tell))
}

fn floor(threads: usize) -> Contender<'static> {
    sample_of(FLOOR, threads, |event| {
        if WORD.load(Ordering::Relaxed) != 0 {
            black_box(event);
        }
    })
}

pub(super) fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    for threads in 1..=pinned::processors()?.min(2) {
        if settings.wants("telling nobody") {
            let counter = metrics::counter!("bench");
            let contenders = vec![
                sample_of("bedplate emit", threads, |event| {
                    telemetry::emit!("bench.nobody", { count: event }, { about: "nothing" });
                }),
                sample_of("bedplate record", threads, |event| {
                    telemetry::record!("bench.nobody.recorded", { count: event }, { about: 7_u64 });
                }),
                sample_of(TRACING, threads, |event| {
                    tracing::info!(count = event, about = "nothing", "bench");
                }),
                sample_of(METRICS, threads, move |event| counter.increment(event)),
                sample_of(MACRO, threads, |event| {
                    metrics::counter!("bench").increment(event)
                }),
                floor(threads),
            ];
            compare(
                ("telling nobody", threads, 0),
                settings,
                table,
                contenders,
                &[FLOOR, TRACING],
            )?;
        }
        if settings.wants("telling others") {
            // Somebody is attached, but not to this event.
            let _other = Attached::new("bench other", "bench.other");
            let contenders = vec![
                sample_of("bedplate emit", threads, |event| {
                    telemetry::emit!("bench.unwanted", { count: event }, { about: "nothing" });
                }),
                floor(threads),
            ];
            compare(
                ("telling others", threads, 1),
                settings,
                table,
                contenders,
                &[FLOOR],
            )?;
        }
        if settings.wants("telling one") {
            let _emitted = Attached::new("bench one", "bench.one");
            let _recorded = Attached::new("bench stored", "bench.stored");
            let contenders = vec![
                sample_of("bedplate emit", threads, |event| {
                    telemetry::emit!("bench.one", { count: event }, { about: "nothing" });
                }),
                sample_of("bedplate record", threads, |event| {
                    telemetry::record!("bench.stored", { count: event }, { about: 7_u64 });
                }),
                floor(threads),
            ];
            compare(
                ("telling one", threads, 1),
                settings,
                table,
                contenders,
                &[FLOOR],
            )?;
        }
    }
    Ok(())
}
