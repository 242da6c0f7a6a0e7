//! What the context costs a log line, and an event that becomes none.
//!
//! Each sample has a dispatcher of its own, and there is never more than one: `tracing` remembers for each call
//! site what all dispatchers together want.

use super::Case;
use crate::pinned::{Gate, Sample};
use bedplate::context::{self, Key};
use std::hint::black_box;
use std::io;
use tracing::Subscriber;
use tracing::subscriber::with_default;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

const BEDPLATE: &str = "bedplate";
const FORMATTER: &str = "bedplate's formatter";
const WITHOUT: &str = "without context";
const BY_HAND: &str = "a span by hand";
const TWO_BY_HAND: &str = "two spans by hand";

/// Lines of a sample, and disabled events.
const LINES: usize = 1 << 14;
const EVENTS: usize = 1 << 18;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "disabled",
        n: EVENTS,
        contenders: &[
            (BEDPLATE, |gate| {
                with_default(bridged(), || in_context(|| events(gate)))
            }),
            ("without the bridge", |gate| {
                with_default(plain(), || in_context(|| events(gate)))
            }),
        ],
        references: &["without the bridge"],
    },
    Case {
        name: "line",
        n: LINES,
        contenders: &[
            (BEDPLATE, |gate| {
                with_default(bridged(), || in_context(|| lines(gate, line)))
            }),
            (FORMATTER, |gate| {
                with_default(formatted(), || in_context(|| lines(gate, line)))
            }),
            (WITHOUT, |gate| with_default(plain(), || lines(gate, line))),
            ("bedplate's bridge without context", |gate| {
                with_default(bridged(), || lines(gate, line))
            }),
            (BY_HAND, |gate| {
                with_default(plain(), || in_span(|| lines(gate, line)))
            }),
            (TWO_BY_HAND, |gate| {
                with_default(plain(), || in_spans(|| lines(gate, line)))
            }),
        ],
        references: &[WITHOUT, BY_HAND, TWO_BY_HAND],
    },
    Case {
        name: "line in its scope",
        n: LINES,
        contenders: &[
            (BEDPLATE, |gate| {
                with_default(bridged(), || {
                    lines(gate, |number| in_context(|| line(number)))
                })
            }),
            (FORMATTER, |gate| {
                with_default(formatted(), || {
                    lines(gate, |number| in_context(|| line(number)))
                })
            }),
            (WITHOUT, |gate| with_default(plain(), || lines(gate, line))),
            (BY_HAND, |gate| {
                with_default(plain(), || lines(gate, |number| in_span(|| line(number))))
            }),
            (TWO_BY_HAND, |gate| {
                with_default(plain(), || lines(gate, |number| in_spans(|| line(number))))
            }),
        ],
        references: &[WITHOUT, BY_HAND, TWO_BY_HAND],
    },
];

static REQUEST_ID: Key<u64> = Key::new("request_id");
static OPERATION: Key<&'static str> = Key::new("operation");

fn plain() -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(formatter())
}

fn bridged() -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry()
        .with(formatter())
        .with(bedplate::tracing_bridge::layer())
}

fn formatted() -> impl Subscriber + Send + Sync {
    let format = bedplate::tracing_bridge::format(fmt::format().with_ansi(false));
    tracing_subscriber::registry().with(
        fmt::layer()
            .with_writer(io::sink)
            .with_ansi(false)
            .event_format(format)
            .with_filter(LevelFilter::INFO),
    )
}

fn formatter<S>() -> impl tracing_subscriber::Layer<S>
where
    S: Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    fmt::layer()
        .with_writer(io::sink)
        .with_ansi(false)
        .with_filter(LevelFilter::INFO)
}

fn in_context<R>(run: impl FnOnce() -> R) -> R {
    context::with(&REQUEST_ID, 123, || {
        context::with(&OPERATION, "validate", run)
    })
}

/// One span with both values.
fn in_span<R>(run: impl FnOnce() -> R) -> R {
    let _span = tracing::info_span!("ctx", operation = "validate", request_id = 123).entered();
    run()
}

/// As two functions would do it that do not know of each other.
fn in_spans<R>(run: impl FnOnce() -> R) -> R {
    let _outer = tracing::info_span!("request", request_id = 123).entered();
    let _inner = tracing::info_span!("call", operation = "validate").entered();
    run()
}

#[inline(never)]
fn line(number: usize) {
    tracing::info!(agent_id = number, "registered");
}

fn lines(gate: &Gate, mut line: impl FnMut(usize)) -> Sample {
    (0..LINES / 8).for_each(&mut line);
    gate.time(|| (0..LINES).for_each(&mut line))
}

fn events(gate: &Gate) -> Sample {
    let event = |number: usize| tracing::debug!(agent_id = black_box(number), "registered");
    (0..EVENTS / 8).for_each(event);
    gate.time(|| (0..EVENTS).for_each(event))
}
