//! Values that are put somewhere, found, and handed over.

use super::Case;
use super::beam::Beam;
use crate::pinned::{Gate, Sample};
use bedplate::context::{self, Context, Key, ResultExt as _};
use opentelemetry::Context as OtelContext;
use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use tracing::{Level, Subscriber};
use tracing_subscriber::prelude::*;

const BEDPLATE: &str = "bedplate";
const FLOOR: &str = "a thread's cell";
const OTEL: &str = "OpenTelemetry Context";
const MDC: &str = "log-mdc";
const SPAN: &str = "tracing span";
const METADATA: &str = "Logger's metadata";
const ARC: &str = "one Arc cloned and dropped";
const BOXED: &str = "the error, boxed";
const SPAN_TRACE: &str = "tracing-error";
const ANYHOW: &str = "anyhow context of text";

/// Operations of a sample.
const N: usize = 1 << 16;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "with",
        n: N,
        contenders: &[
            (BEDPLATE, ours_with),
            (FLOOR, |gate| each(gate, cell)),
            (OTEL, |gate| {
                in_otel(|| {
                    each(gate, || {
                        let next = OtelContext::current_with_value(Operation("validate"));
                        let _attached = next.attach();
                        body();
                    })
                })
            }),
            (MDC, |gate| {
                in_mdc(|| {
                    each(gate, || {
                        let _scope = log_mdc::insert_scoped("operation", "validate");
                        body();
                    })
                })
            }),
            (SPAN, |gate| {
                in_spans(|| {
                    each(gate, || {
                        let _span = tracing::info_span!("call", operation = "validate").entered();
                        body();
                    })
                })
            }),
        ],
        references: &[OTEL, MDC, SPAN, FLOOR],
    },
    Case {
        name: "get",
        n: N,
        contenders: &[
            (BEDPLATE, ours_get),
            (FLOOR, |gate| {
                each(gate, || {
                    black_box(CELL.get());
                })
            }),
            (OTEL, |gate| {
                in_otel(|| {
                    let _a = OtelContext::current_with_value(Operation("validate")).attach();
                    let _b = OtelContext::current_with_value(Attempt(1)).attach();
                    each(gate, || {
                        black_box(OtelContext::map_current(|cx| {
                            cx.get::<RequestId>().copied()
                        }));
                    })
                })
            }),
            (MDC, |gate| {
                in_mdc(|| {
                    log_mdc::insert("operation", "validate");
                    log_mdc::insert("attempt", "1");
                    each(gate, || {
                        log_mdc::get("request_id", |text| {
                            black_box(text);
                        })
                    })
                })
            }),
        ],
        references: &[OTEL, MDC, FLOOR],
    },
    Case {
        name: "set",
        n: N,
        contenders: &[
            (BEDPLATE, |gate| {
                Context::empty().run(|| {
                    each(gate, || {
                        context::set(&REQUEST_ID, black_box(123));
                        context::set(&JOB, black_box(7));
                    })
                })
            }),
            (OTEL, |gate| {
                each(gate, || {
                    let _a = OtelContext::current_with_value(RequestId(black_box(123))).attach();
                    let _b = OtelContext::current_with_value(Job(black_box(7))).attach();
                })
            }),
            (MDC, |gate| {
                each(gate, || {
                    log_mdc::insert("request_id", black_box("123"));
                    log_mdc::insert("job", black_box("7"));
                })
            }),
            (SPAN, |gate| {
                in_spans(|| {
                    each(gate, || {
                        let _span = tracing::info_span!(
                            "set",
                            request_id = black_box(123),
                            job = black_box(7)
                        )
                        .entered();
                    })
                })
            }),
        ],
        references: &[OTEL, MDC, SPAN],
    },
    Case {
        name: "hand over",
        n: N,
        contenders: &[
            (BEDPLATE, |gate| {
                four_deep(|| {
                    each(gate, || {
                        let captured = context::capture();
                        let _attached = captured.attach();
                        body();
                    })
                })
            }),
            (ARC, |gate| {
                let shared = Arc::new(7_u64);
                each(gate, move || {
                    black_box(Arc::clone(&shared));
                })
            }),
            (OTEL, |gate| {
                in_otel(|| {
                    let _a = OtelContext::current_with_value(Operation("validate")).attach();
                    let _b = OtelContext::current_with_value(Attempt(1)).attach();
                    each(gate, || {
                        let captured = OtelContext::current();
                        let _attached = captured.attach();
                        body();
                    })
                })
            }),
            (SPAN, |gate| {
                in_spans(|| {
                    let _span =
                        tracing::info_span!("call", operation = "validate", attempt = 1).entered();
                    each(gate, || {
                        let captured = tracing::Span::current();
                        let _entered = captured.enter();
                        body();
                    })
                })
            }),
        ],
        references: &[OTEL, SPAN, ARC],
    },
    Case {
        name: "hand over first",
        n: N,
        contenders: &[
            (BEDPLATE, |gate| {
                in_context(|| {
                    each(gate, || {
                        context::with(&OPERATION, "validate", || context::capture().run(body));
                    })
                })
            }),
            (OTEL, |gate| {
                in_otel(|| {
                    each(gate, || {
                        let _with = OtelContext::current_with_value(Operation("validate")).attach();
                        let _attached = OtelContext::current().attach();
                        body();
                    })
                })
            }),
            (SPAN, |gate| {
                in_spans(|| {
                    each(gate, || {
                        let _span = tracing::info_span!("call", operation = "validate").entered();
                        let captured = tracing::Span::current();
                        let _entered = captured.enter();
                        body();
                    })
                })
            }),
        ],
        references: &[OTEL, SPAN],
    },
    Case {
        name: "error",
        n: N,
        contenders: &[
            ("bedplate unboxed", |gate| {
                in_context(|| {
                    each(gate, || {
                        black_box(fail().in_context().err());
                    })
                })
            }),
            ("bedplate boxed", |gate| {
                in_context(|| {
                    each(gate, || {
                        let error = fail()
                            .in_context()
                            .map_err(Box::<dyn std::error::Error>::from);
                        black_box(error.err());
                    })
                })
            }),
            (BOXED, |gate| {
                each(gate, || {
                    black_box(fail().map_err(Box::<dyn std::error::Error>::from).err());
                })
            }),
            (SPAN_TRACE, |gate| {
                in_traced_spans(|| {
                    each(gate, || {
                        use tracing_error::InstrumentResult as _;
                        black_box(fail().in_current_span().err());
                    })
                })
            }),
            (ANYHOW, |gate| {
                each(gate, || {
                    use anyhow::Context as _;
                    black_box(
                        fail()
                            .with_context(|| format!("request_id={} job={}", black_box(123), 7))
                            .err(),
                    );
                })
            }),
        ],
        references: &[BOXED, SPAN_TRACE, ANYHOW],
    },
];

pub(super) const BEAM: &[Beam] = &[
    Beam {
        group: "context",
        case: "beam with",
        called: "with",
        peer: METADATA,
        n: N,
        ours: ours_with,
    },
    Beam {
        group: "context",
        case: "beam get",
        called: "get",
        peer: METADATA,
        n: N,
        ours: ours_get,
    },
];

fn ours_with(gate: &Gate) -> Sample {
    in_context(|| each(gate, || context::with(&OPERATION, "validate", body)))
}

fn ours_get(gate: &Gate) -> Sample {
    four_deep(|| {
        each(gate, || {
            black_box(context::get(&REQUEST_ID));
        })
    })
}

static REQUEST_ID: Key<u64> = Key::new("request_id");
static JOB: Key<u64> = Key::new("job");
static OPERATION: Key<&'static str> = Key::new("operation");
static ATTEMPT: Key<u32> = Key::new("attempt");

thread_local! {
    static CELL: Cell<u64> = const { Cell::new(0) };
}

// OpenTelemetry knows values by their types.
#[derive(Clone, Copy)]
struct RequestId(#[expect(dead_code, reason = "carried along")] u64);
struct Job(#[expect(dead_code, reason = "carried along")] u64);
struct Operation(#[expect(dead_code, reason = "carried along")] &'static str);
struct Attempt(#[expect(dead_code, reason = "carried along")] u32);

#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failed {}

#[inline(never)]
fn fail() -> Result<(), Failed> {
    black_box(Err(Failed))
}

/// What is called in a scope: nothing that the compiler could see through.
#[inline(always)]
fn body() {
    black_box(());
}

fn cell() {
    let before = CELL.replace(black_box(7));
    body();
    CELL.set(before);
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

fn in_context<R>(run: impl FnOnce() -> R) -> R {
    context::with(&REQUEST_ID, 123, || context::with(&JOB, 7, run))
}

fn four_deep<R>(run: impl FnOnce() -> R) -> R {
    in_context(|| context::with(&OPERATION, "validate", || context::with(&ATTEMPT, 1, run)))
}

fn in_otel<R>(run: impl FnOnce() -> R) -> R {
    let _a = OtelContext::current_with_value(RequestId(123)).attach();
    let _b = OtelContext::current_with_value(Job(7)).attach();
    run()
}

fn in_mdc<R>(run: impl FnOnce() -> R) -> R {
    log_mdc::insert("request_id", "123");
    log_mdc::insert("job", "7");
    let result = run();
    log_mdc::clear();
    result
}

fn in_spans<R>(run: impl FnOnce() -> R) -> R {
    in_span_of(tracing_subscriber::registry(), run)
}

fn in_traced_spans<R>(run: impl FnOnce() -> R) -> R {
    let subscriber = tracing_subscriber::registry().with(tracing_error::ErrorLayer::default());
    in_span_of(subscriber, run)
}

fn in_span_of<R>(subscriber: impl Subscriber + Send + Sync, run: impl FnOnce() -> R) -> R {
    tracing::subscriber::with_default(subscriber, || {
        let _span = tracing::span!(Level::INFO, "outer", request_id = 123, job = 7).entered();
        run()
    })
}
