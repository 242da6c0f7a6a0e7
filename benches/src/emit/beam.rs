//! Events against a table of ETS that suppresses repetitions, and handlers that are found in another, in rounds that take
//! turns with a running virtual machine; see `benches/beam/events.exs`.

use super::{LONG, contender, tick};
use crate::harness::{Contender, Row, Settings, Table, interleave};
use crate::machine::Machine;
use crate::pinned;
use bedplate::telemetry::{self, Event, EventName, Measurement};
use bedplate_core::clock::Instant;
use bedplate_core::dedup::{SharedDedupWindow, key_of, key_with};
use std::cell::RefCell;
use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keys that repeat.
const KEYS: u64 = 16;
/// Events in a sample.
const EVENTS: usize = 1 << 16;

const NAME: u64 = key_of("bench.beam.event");
const ELIXIR: &str = "ETS and handlers";
const OURS: &str = "bedplate";

static SEEN: AtomicU64 = AtomicU64::new(0);

/// What a case is called here and by the script, and a sample of ours.
type Case = (&'static str, &'static str, fn() -> io::Result<f64>);

type Window = SharedDedupWindow<256, 1>;

/// Measures the cases, if there is an Elixir to measure them with.
pub(super) fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    let cases: [Case; 3] = [
        ("beam suppressed", "suppressed", suppressed),
        ("beam passing", "passing", passing),
        ("beam telling", "telling", telling),
    ];
    if !cases.iter().any(|(case, ..)| settings.wants(case)) {
        return Ok(());
    }
    let Some(machine) = Machine::start("", "events.exs", KEYS as usize)? else {
        eprintln!("no elixir in PATH: the comparison with ETS is left out");
        return Ok(());
    };
    eprintln!("{ELIXIR}: {}", machine.versions());
    let machine = RefCell::new(machine);
    let handler = |event: &Event<'_>| {
        if let Some(Measurement::Unsigned(count)) = event.measurement("count") {
            SEEN.fetch_add(count, Ordering::Relaxed);
        }
    };
    let attached = telemetry::attach("bench beam", EventName::new("bench.beam.event"), handler);
    attached.expect("there is room");
    for (case, called, ours) in cases {
        if !settings.wants(case) {
            continue;
        }
        eprintln!("{case}");
        let mut contenders: Vec<Contender<'_>> = vec![
            contender(OURS, ours),
            contender(ELIXIR, || machine.borrow_mut().sample(called)),
        ];
        let measured = interleave(settings.pick(5, 15), &mut contenders)?;
        for name in [OURS, ELIXIR] {
            let (median, min, ratio) = measured.figures(name, ELIXIR);
            table.add(Row {
                group: "emit",
                case: case.into(),
                threads: 1,
                n: KEYS,
                contender: name.into(),
                median,
                min,
                ratio: Some((ratio, ELIXIR.into())),
                best: None,
                unit: None,
            });
        }
    }
    telemetry::detach("bench beam").expect("it is attached");
    Ok(())
}

fn suppressed() -> io::Result<f64> {
    pinned::mean(1, EVENTS, |_, gate| {
        let window = Box::new(Window::new(LONG));
        let mut source = window.claim_source().expect("the only one");
        for key in 0..KEYS {
            assert!(source.offer(key_with(NAME, key), tick()).passes());
        }
        let mut suppressed = 0;
        let sample = gate.time(|| {
            for event in 0..EVENTS as u64 {
                let key = key_with(NAME, black_box(event % KEYS));
                suppressed += usize::from(!source.offer(key, tick()).passes());
            }
        });
        assert_eq!(suppressed, EVENTS);
        sample
    })
}

/// Each of a key that was never there.
fn passing() -> io::Result<f64> {
    pinned::mean(1, EVENTS, |_, gate| {
        let window = Box::new(Window::new(LONG));
        let mut source = window.claim_source().expect("the only one");
        let mut pass = |number: u64| {
            let now = Instant::from_nanos(number);
            if source.offer(key_with(NAME, number), now).passes() {
                telemetry::emit!("bench.beam.event", { count: 1_u64 }, { key: number });
            }
        };
        (0..1_024).for_each(&mut pass);
        let before = SEEN.load(Ordering::Relaxed);
        let sample = gate.time(|| {
            (1_024..1_024 + EVENTS as u64).for_each(|number| pass(black_box(number)));
        });
        assert_eq!(SEEN.load(Ordering::Relaxed) - before, EVENTS as u64);
        sample
    })
}

fn telling() -> io::Result<f64> {
    pinned::mean(1, EVENTS, |_, gate| {
        let tell =
            |number: u64| telemetry::emit!("bench.beam.event", { count: 1_u64 }, { key: number });
        (0..1_024).for_each(tell);
        gate.time(|| (0..EVENTS as u64).for_each(|number| tell(black_box(number))))
    })
}
