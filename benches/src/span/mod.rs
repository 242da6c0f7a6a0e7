//! Spans, begun and ended, against what else makes them.
//!
//! | case | figure |
//! |---|---|
//! | `span` | one is begun and ended in another, with nothing in it, and recorded |
//! | `root` | the same of one that begins a trace |
//! | `nested` | four, one in the other: for each |
//! | `field` | one with one field, or attribute, that is a number |
//! | `not kept` | one whose trace is not sampled |
//! | `noticed` | one that an exporter is given, which counts it |
//! | `beam span` | `span` against one that is sent to a GenServer, where Elixir is installed |
//!
//! All of one thread. The floor is what no span can do without: the clock read twice, by the standard library, and nothing
//! done with it. fastrace and the OpenTelemetry SDK are given a reporter, or exporter, that drops what it gets; fastrace
//! sends what it collected when a root ends, which is off the clock; ours stays in the thread's ring, and the
//! OpenTelemetry SDK has a processor that takes a span when it ends. `tracing` is over its registry with no layer, which
//! stores nothing of a span that has ended.
//!
//! Which spans are kept is decided for the process. Samples take turns on threads of their own, one at a time, so each
//! sets it for itself.

use crate::context::beam::{self, Beam};
use crate::harness::{Contender, Row, Settings, Table, interleave};
use crate::pinned::{self, Gate, Sample};
// The macro and the module of that name.
use bedplate::telemetry::span;
use bedplate::telemetry::span::{Finished, Sampling};
use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use opentelemetry::trace::{
    Span as _, SpanBuilder, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context as OtelContext, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanProcessor};
use std::hint::black_box;
use std::io;
use std::sync::Once;
use std::time::{Duration, Instant};

const BEDPLATE: &str = "bedplate";
const CLOSURE: &str = "bedplate, with a closure";
const FLOOR: &str = "the clock read twice";
const FASTRACE: &str = "fastrace";
const TRACING: &str = "tracing + registry";
const OTEL: &str = "OpenTelemetry SDK";
const REFERENCES: &[&str] = &[FLOOR, FASTRACE, TRACING, OTEL];

/// Operations of a sample.
const N: usize = 1 << 14;
/// As many as fastrace keeps under one root without dropping any.
const BATCH: usize = 1 << 10;

/// A contender's name, and what times its operations once.
type Sampled = (&'static str, fn(&Gate) -> Sample);

struct Case {
    name: &'static str,
    contenders: &'static [Sampled],
    references: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "span",
        contenders: &[
            (BEDPLATE, |gate| ours(Sampling::Always, gate, guard)),
            (CLOSURE, |gate| {
                ours(Sampling::Always, gate, || {
                    span!("call", |_| black_box(()));
                })
            }),
            (FLOOR, |gate| each(gate, clock)),
            (FASTRACE, |gate| in_fastrace(gate, fast_guard)),
            (TRACING, |gate| in_tracing(gate, traced)),
            (OTEL, |gate| {
                in_otel(Sampler::AlwaysOn, gate, |tracer| otel_child(tracer, "call"))
            }),
        ],
        references: REFERENCES,
    },
    Case {
        name: "root",
        contenders: &[
            (BEDPLATE, |gate| {
                span::set_sampling(Sampling::Always);
                each(gate, guard)
            }),
            (FLOOR, |gate| each(gate, clock)),
            (FASTRACE, |gate| {
                report_nothing();
                each(gate, || {
                    let root = fastrace::Span::root("call", SpanContext::random());
                    let _entered = root.set_local_parent();
                    black_box(());
                })
            }),
            (TRACING, |gate| {
                tracing::subscriber::with_default(tracing_subscriber::registry(), || {
                    each(gate, traced)
                })
            }),
            (OTEL, |gate| {
                let provider = provider(Sampler::AlwaysOn);
                let tracer = provider.tracer("bench");
                each(gate, || {
                    let mut span = tracer.start("call");
                    black_box(());
                    span.end();
                })
            }),
        ],
        references: REFERENCES,
    },
    Case {
        name: "nested",
        contenders: &[
            (BEDPLATE, |gate| {
                span::set_sampling(Sampling::Always);
                every_fourth(gate, || {
                    let _a = span!("a");
                    let _b = span!("b");
                    let _c = span!("c");
                    let _d = span!("d");
                    black_box(());
                })
            }),
            (FLOOR, |gate| each(gate, clock)),
            (FASTRACE, |gate| {
                report_nothing();
                every_fourth_fast(gate, || {
                    let _a = fastrace::local::LocalSpan::enter_with_local_parent("a");
                    let _b = fastrace::local::LocalSpan::enter_with_local_parent("b");
                    let _c = fastrace::local::LocalSpan::enter_with_local_parent("c");
                    let _d = fastrace::local::LocalSpan::enter_with_local_parent("d");
                    black_box(());
                })
            }),
            (TRACING, |gate| {
                tracing::subscriber::with_default(tracing_subscriber::registry(), || {
                    every_fourth(gate, || {
                        let _a = tracing::info_span!("a").entered();
                        let _b = tracing::info_span!("b").entered();
                        let _c = tracing::info_span!("c").entered();
                        let _d = tracing::info_span!("d").entered();
                        black_box(());
                    })
                })
            }),
        ],
        references: &[FLOOR, FASTRACE, TRACING],
    },
    Case {
        name: "field",
        contenders: &[
            (BEDPLATE, |gate| {
                ours(Sampling::Always, gate, || {
                    let _span = span!("call", { rows: black_box(7_u64) });
                    black_box(());
                })
            }),
            (FLOOR, |gate| each(gate, clock)),
            (FASTRACE, |gate| {
                in_fastrace(gate, || {
                    let _span = fastrace::local::LocalSpan::enter_with_local_parent("call")
                        .with_property(|| ("rows", black_box(7_u64).to_string()));
                    black_box(());
                })
            }),
            (TRACING, |gate| {
                in_tracing(gate, || {
                    let _span = tracing::info_span!("call", rows = black_box(7_u64)).entered();
                    black_box(());
                })
            }),
            (OTEL, |gate| {
                in_otel(Sampler::AlwaysOn, gate, |tracer| {
                    let parent = OtelContext::current();
                    let mut span = tracer.start_with_context("call", &parent);
                    span.set_attribute(KeyValue::new("rows", black_box(7_i64)));
                    span.end();
                })
            }),
        ],
        references: REFERENCES,
    },
    Case {
        name: "not kept",
        contenders: &[
            (BEDPLATE, |gate| ours(Sampling::Never, gate, guard)),
            (FLOOR, |gate| each(gate, clock)),
            ("fastrace, no parent", |gate| each(gate, fast_guard)),
            ("tracing, no subscriber", |gate| each(gate, traced)),
            (OTEL, |gate| {
                in_otel(Sampler::AlwaysOff, gate, |tracer| {
                    otel_child(tracer, "call")
                })
            }),
        ],
        references: &[FLOOR, OTEL],
    },
    Case {
        name: "noticed",
        contenders: &[
            (BEDPLATE, |gate| {
                let exporting = span::export(|finished: &Finished| {
                    black_box(finished);
                });
                let exporting = exporting.expect("there is room");
                let sample = ours(Sampling::Always, gate, guard);
                drop(exporting);
                sample
            }),
            (FLOOR, |gate| each(gate, clock)),
            (FASTRACE, |gate| in_fastrace(gate, fast_guard)),
            (OTEL, |gate| {
                in_otel(Sampler::AlwaysOn, gate, |tracer| otel_child(tracer, "call"))
            }),
        ],
        references: &[FLOOR, FASTRACE, OTEL],
    },
];

/// Measures the group's cases.
pub fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    for case in CASES.iter().filter(|case| settings.wants(case.name)) {
        let rounds = settings.pick(7, 25);
        let mut contenders: Vec<_> = case
            .contenders
            .iter()
            .map(|&(name, run)| Contender {
                name: name.to_owned(),
                run: Box::new(move || pinned::mean(1, N, |_, gate| run(gate))),
            })
            .collect();
        let measured = interleave(rounds, &mut contenders)?;
        for &(contender, _) in case.contenders {
            let references = if contender.starts_with("bedplate") {
                case.references
            } else {
                &case.references[..1]
            };
            for &reference in references {
                let (median, min, ratio) = measured.figures(contender, reference);
                table.add(Row {
                    group: "span",
                    case: case.name.into(),
                    threads: 1,
                    n: N as u64,
                    contender: contender.into(),
                    median,
                    min,
                    ratio: Some((ratio, reference.into())),
                    best: None,
                    unit: None,
                });
            }
        }
    }
    beam::run(BEAM, settings, table)
}

const BEAM: &[Beam] = &[Beam {
    group: "span",
    case: "beam span",
    called: "span",
    peer: "a GenServer's span",
    n: N,
    ours: |gate| ours(Sampling::Always, gate, guard),
}];

fn clock() {
    black_box((Instant::now(), Instant::now()));
}

fn guard() {
    let _span = span!("call");
    black_box(());
}

fn fast_guard() {
    let _span = fastrace::local::LocalSpan::enter_with_local_parent("call");
    black_box(());
}

fn traced() {
    let _span = tracing::info_span!("call").entered();
    black_box(());
}

fn otel_child(tracer: &SdkTracer, name: &'static str) {
    let parent = OtelContext::current();
    let mut span = tracer.build_with_context(SpanBuilder::from_name(name), &parent);
    black_box(());
    span.end();
}

/// Calls `operation`, over and over.
fn each(gate: &Gate, mut operation: impl FnMut()) -> Sample {
    for _ in 0..N / 8 {
        operation();
    }
    gate.time(|| {
        for _ in 0..N {
            operation();
        }
    })
}

/// Calls what makes four spans.
fn every_fourth(gate: &Gate, mut four: impl FnMut()) -> Sample {
    for _ in 0..N / 32 {
        four();
    }
    gate.time(|| {
        for _ in 0..N / 4 {
            four();
        }
    })
}

/// In a span of ours.
fn ours(sampling: Sampling, gate: &Gate, operation: impl FnMut()) -> Sample {
    span::set_sampling(sampling);
    let root = span!("root");
    let sample = each(gate, operation);
    drop(root);
    span::set_sampling(Sampling::Always);
    sample
}

struct Nothing;

impl Reporter for Nothing {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        black_box(spans);
    }
}

fn report_nothing() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let config = Config::default().report_interval(Duration::from_millis(50));
        fastrace::set_reporter(Nothing, config);
    });
}

/// Under roots of so many spans, which it drops beyond.
fn in_fastrace(gate: &Gate, operation: impl FnMut()) -> Sample {
    report_nothing();
    rooted(gate, BATCH, operation)
}

fn every_fourth_fast(gate: &Gate, four: impl FnMut()) -> Sample {
    rooted(gate, BATCH / 4, four)
}

/// Calls `operation` so often under one root after the other; roots are a small part.
fn rooted(gate: &Gate, batch: usize, mut operation: impl FnMut()) -> Sample {
    let mut round = || {
        let root = fastrace::Span::root("root", SpanContext::random());
        let _entered = root.set_local_parent();
        for _ in 0..batch {
            operation();
        }
    };
    round();
    gate.time(|| {
        for _ in 0..N / BATCH {
            round();
        }
    })
}

fn in_tracing(gate: &Gate, operation: impl FnMut()) -> Sample {
    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        let _root = tracing::info_span!("root").entered();
        each(gate, operation)
    })
}

#[derive(Debug)]
struct Taken;

impl SpanProcessor for Taken {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &OtelContext) {}

    fn on_end(&self, span: SpanData) {
        black_box(span);
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

fn provider(sampler: Sampler) -> SdkTracerProvider {
    SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_span_processor(Taken)
        .build()
}

fn in_otel(sampler: Sampler, gate: &Gate, operation: impl Fn(&SdkTracer)) -> Sample {
    let provider = provider(sampler);
    let tracer = provider.tracer("bench");
    let root = tracer.start("root");
    let _attached = OtelContext::current_with_span(root).attach();
    each(gate, || operation(&tracer))
}
