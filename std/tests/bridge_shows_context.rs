//! The real output of the stock layers with the bridge last, and what happens to its spans.
#![cfg(feature = "tracing")]

extern crate alloc;

use alloc::sync::Arc;
use core::{fmt, panic::AssertUnwindSafe};
use std::{
    io, panic,
    sync::{Mutex, PoisonError},
    thread,
};

use bedplate::{
    context::{self, Context, Key},
    tracing_bridge,
};
use tracing::{
    Level, Subscriber, debug, error, info, info_span,
    span::{Attributes, Id},
    subscriber::with_default,
    warn,
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{LevelFilter, Targets, dynamic_filter_fn},
    fmt::MakeWriter,
    layer,
    prelude::*,
    registry,
    registry::LookupSpan,
};

static REQUEST_ID: Key<u64> = Key::new("request_id");
static OPERATION: Key<&'static str> = Key::new("operation");

/// What a layer under test has written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> String {
        let bytes = core::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8(bytes).expect("text")
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn text<S>(written: &Written) -> impl Layer<S> + Send + Sync + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(written.clone())
}

/// Counts the `ctx` spans: opened, and not closed yet.
#[derive(Clone, Debug, Default)]
struct Count(Arc<Mutex<(usize, isize)>>);

impl Count {
    fn opened(&self) -> usize {
        self.0.lock().expect("not poisoned").0
    }

    fn still_open(&self) -> isize {
        self.0.lock().expect("not poisoned").1
    }
}

impl<S> Layer<S> for Count
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: layer::Context<'_, S>) {
        if attributes.metadata().target() == tracing_bridge::TARGET {
            let mut count = self.0.lock().expect("not poisoned");
            count.0 += 1;
            count.1 += 1;
        }
    }

    fn on_close(&self, id: Id, cx: layer::Context<'_, S>) {
        let metadata = cx.metadata(&id).expect("known until it is closed");
        if metadata.target() == tracing_bridge::TARGET {
            self.0.lock().expect("not poisoned").1 -= 1;
        }
    }
}

/// Existing code: it knows nothing of contexts but for the two scopes.
fn existing_code() {
    info!(agent_id = 0, "registered");
    context::with(&REQUEST_ID, 123, || {
        info!(agent_id = 1, "registered");
        info_span!("user", k = 1).in_scope(|| {
            context::with(&OPERATION, "validate", || {
                info!(agent_id = 2, "registered");
                info!(agent_id = 3, "registered");
                debug!(agent_id = 3, "not seen");
            });
            info!(agent_id = 4, "registered");
        });
        info!(agent_id = 5, "registered");
    });
    info!(agent_id = 6, "registered");
}

const EXPECTED_TEXT: &str = "\
\x20INFO registered agent_id=0
 INFO ctx{ctx=request_id=123}: registered agent_id=1
 INFO ctx{ctx=request_id=123}:user{k=1}:ctx{ctx=operation=validate}: registered agent_id=2
 INFO ctx{ctx=request_id=123}:user{k=1}:ctx{ctx=operation=validate}: registered agent_id=3
 INFO ctx{ctx=request_id=123}:user{k=1}: registered agent_id=4
 INFO ctx{ctx=request_id=123}: registered agent_id=5
 INFO registered agent_id=6
";

#[test]
fn stock_text() {
    let written = Written::default();
    let subscriber = Registry::default()
        .with(text(&written))
        .with(LevelFilter::INFO)
        .with(tracing_bridge::layer());
    with_default(subscriber, existing_code);
    assert_eq!(written.take(), EXPECTED_TEXT);
}

#[test]
fn stock_json() {
    let written = Written::default();
    let json = tracing_subscriber::fmt::layer()
        .json()
        .without_time()
        .with_target(false)
        .with_current_span(false)
        .with_writer(written.clone());
    let subscriber = Registry::default()
        .with(json)
        .with(LevelFilter::INFO)
        .with(tracing_bridge::layer());
    with_default(subscriber, existing_code);
    let spans = [
        r"",
        r#","spans":[{"ctx":"request_id=123","name":"ctx"}]"#,
        r#","spans":[{"ctx":"request_id=123","name":"ctx"},{"k":1,"name":"user"},{"ctx":"operation=validate","name":"ctx"}]"#,
        r#","spans":[{"ctx":"request_id=123","name":"ctx"},{"k":1,"name":"user"},{"ctx":"operation=validate","name":"ctx"}]"#,
        r#","spans":[{"ctx":"request_id=123","name":"ctx"},{"k":1,"name":"user"}]"#,
        r#","spans":[{"ctx":"request_id=123","name":"ctx"}]"#,
        r"",
    ];
    let expected: String = spans
        .iter()
        .enumerate()
        .map(|(id, spans)| {
            format!(
                "{{\"level\":\"INFO\",\"fields\":{{\"message\":\"registered\",\"agent_id\":{id}}}{spans}}}\n"
            )
        })
        .collect();
    assert_eq!(written.take(), expected);
}

/// A filter that names only the program's own targets does not hide the context.
#[test]
fn env_filter() {
    for directives in [
        "info",
        "bridge_shows_context=info",
        "off,bridge_shows_context=info",
    ] {
        let written = Written::default();
        let subscriber = Registry::default()
            .with(EnvFilter::new(directives))
            .with(text(&written))
            .with(tracing_bridge::layer());
        with_default(subscriber, existing_code);
        assert_eq!(written.take(), EXPECTED_TEXT, "{directives}");
    }
}

#[test]
fn env_filter_as_per_layer_filter() {
    let written = Written::default();
    let subscriber = Registry::default()
        .with(text(&written).with_filter(EnvFilter::new("warn,bridge_shows_context=info")))
        .with(tracing_bridge::layer());
    with_default(subscriber, existing_code);
    assert_eq!(written.take(), EXPECTED_TEXT);
}

/// The first trap: a span opened while verdicts are pending makes a filtered layer print what it
/// had refused.
#[test]
fn trap_1_two_layers_keep_their_own_filters() {
    let (all, warnings, targeted) = (Written::default(), Written::default(), Written::default());
    let own_target = Targets::new().with_target("bridge_shows_context", LevelFilter::INFO);
    let subscriber = Registry::default()
        .with(text(&warnings).with_filter(LevelFilter::WARN))
        .with(text(&all).with_filter(dynamic_filter_fn(|metadata, _| {
            *metadata.level() <= Level::INFO
        })))
        .with(text(&targeted).with_filter(own_target))
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        existing_code();
        context::with(&REQUEST_ID, 7, || {
            info!("only an info");
            warn!("a warning");
        });
    });
    let more =
        " INFO ctx{ctx=request_id=7}: only an info\n WARN ctx{ctx=request_id=7}: a warning\n";
    assert_eq!(all.take(), format!("{EXPECTED_TEXT}{more}"));
    assert_eq!(targeted.take(), format!("{EXPECTED_TEXT}{more}"));
    assert_eq!(warnings.take(), " WARN ctx{ctx=request_id=7}: a warning\n");
}

/// A question that no event follows leaves verdicts behind; the `ctx` span must not take them on.
#[test]
fn trap_1_left_over_verdicts_do_not_hide_the_context() {
    let (written, warnings) = (Written::default(), Written::default());
    let subscriber = Registry::default()
        .with(text(&written))
        .with(text(&warnings).with_filter(LevelFilter::WARN))
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        tracing::dispatcher::get_default(|dispatch| {
            assert!(dispatch.enabled(&PROBE));
        });
        context::with(&REQUEST_ID, 7, || {
            warn!("seen by both");
        });
    });
    let expected = " WARN ctx{ctx=request_id=7}: seen by both\n";
    assert_eq!(written.take(), expected);
    assert_eq!(warnings.take(), expected);
}

struct ProbeCallsite;
static PROBE_CALLSITE: ProbeCallsite = ProbeCallsite;
static PROBE: tracing::Metadata<'static> = tracing::metadata! {
    name: "probe",
    target: "bridge_shows_context",
    level: Level::INFO,
    fields: &[],
    callsite: &PROBE_CALLSITE,
    kind: tracing::metadata::Kind::EVENT,
};

impl tracing::callsite::Callsite for ProbeCallsite {
    fn set_interest(&self, _: tracing::subscriber::Interest) {}

    fn metadata(&self) -> &tracing::Metadata<'_> {
        &PROBE
    }
}

/// The second trap, a call site kept awake, has a file of its own:
/// `bridge_leaves_disabled_call_sites.rs`. This is the other half of it.
#[test]
fn trap_2_the_level_hint_of_the_other_layers_is_kept() {
    let hint = |filtered: LevelFilter| {
        Registry::default()
            .with(tracing_subscriber::fmt::layer::<Registry>().with_filter(filtered))
            .with(tracing_bridge::layer())
            .max_level_hint()
    };
    assert_eq!(hint(LevelFilter::WARN), Some(LevelFilter::WARN));
    assert_eq!(hint(LevelFilter::DEBUG), Some(LevelFilter::DEBUG));
    let unfiltered = Registry::default()
        .with(tracing_subscriber::fmt::layer::<Registry>())
        .with(tracing_bridge::layer());
    assert_eq!(unfiltered.max_level_hint(), None);
    let global = Registry::default()
        .with(tracing_subscriber::fmt::layer::<Registry>())
        .with(LevelFilter::INFO)
        .with(tracing_bridge::layer());
    assert_eq!(global.max_level_hint(), Some(LevelFilter::INFO));
}

/// The third trap: while an event is dispatched, no dispatcher is to be found. Here the value that
/// is being printed uses the context itself, and even shadows what is shown.
#[test]
fn trap_3_the_context_is_used_while_an_event_is_printed() {
    struct UsesContext;

    impl fmt::Display for UsesContext {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let request = context::with(&REQUEST_ID, 2, || {
                info!("swallowed by the dispatcher");
                context::get(&REQUEST_ID)
            });
            write!(f, "{request:?}")
        }
    }

    let (written, count) = (Written::default(), Count::default());
    let subscriber = Registry::default()
        .with(text(&written))
        .with(count.clone())
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        context::with(&REQUEST_ID, 1, || {
            context::with(&OPERATION, "outer", || {
                info!(value = %UsesContext, "first");
                info!("second");
            });
        });
        info!("third");
        assert_eq!(count.still_open(), 0);
    });
    let shown = "ctx{ctx=operation=outer request_id=1}";
    assert_eq!(
        written.take(),
        format!(" INFO {shown}: first value=Some(2)\n INFO {shown}: second\n INFO third\n")
    );
}

/// The fourth trap: an inner scope repeats what the outer one shows, or shows it out of date.
#[test]
fn trap_4_nothing_is_shown_twice_or_out_of_date() {
    let (written, count) = (Written::default(), Count::default());
    let subscriber = Registry::default()
        .with(text(&written))
        .with(count.clone())
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        context::with(&REQUEST_ID, 1, || {
            info!("outer");
            context::with(&OPERATION, "a", || {
                info!("inner");
                context::with(&OPERATION, "b", || info!("shadowed"));
                info!("inner again");
            });
            Context::empty().run(|| info!("nothing"));
            Context::empty()
                .with_value(&OPERATION, "c")
                .run(|| info!("another"));
            for id in 2..5 {
                context::set(&REQUEST_ID, id);
                info!("set");
            }
            context::clear();
            info!("cleared");
        });
        assert_eq!(count.still_open(), 0);
    });
    assert_eq!(
        written.take(),
        "\
\x20INFO ctx{ctx=request_id=1}: outer
 INFO ctx{ctx=request_id=1}:ctx{ctx=operation=a}: inner
 INFO ctx{ctx=request_id=1}:ctx{ctx=operation=b}: shadowed
 INFO ctx{ctx=request_id=1}:ctx{ctx=operation=a}: inner again
 INFO nothing
 INFO ctx{ctx=operation=c}: another
 INFO ctx{ctx=request_id=2}: set
 INFO ctx{ctx=request_id=3}: set
 INFO ctx{ctx=request_id=4}: set
 INFO cleared
"
    );
}

/// The fifth: each dispatcher gets spans of its own, and each is closed on its own.
#[test]
fn trap_5_two_dispatchers_in_one_scope() {
    let make = || {
        let (written, count) = (Written::default(), Count::default());
        let subscriber = Registry::default()
            .with(text(&written))
            .with(count.clone())
            .with(tracing_bridge::layer());
        (tracing::Dispatch::new(subscriber), written, count)
    };
    let (first, first_written, first_count) = make();
    let (second, second_written, second_count) = make();
    let on = |dispatch: &tracing::Dispatch, body: &dyn Fn()| {
        tracing::dispatcher::with_default(dispatch, body);
    };

    on(&first, &|| info!("plain"));
    context::with(&REQUEST_ID, 1, || {
        on(&first, &|| {
            info!("outer");
            context::with(&OPERATION, "a", || {
                info!("inner");
                on(&second, &|| info!("elsewhere"));
                info!("inner");
            });
            context::with(&OPERATION, "b", || {
                info!("inner");
                on(&second, &|| {
                    // Both spans of the first dispatcher go while the second is the default.
                    context::with(&REQUEST_ID, 2, || info!("elsewhere"));
                });
            });
            info!("outer");
        });
        // These two spans go when there is no default any more.
        context::with(&OPERATION, "c", || on(&first, &|| info!("inner")));
    });
    on(&first, &|| info!("plain"));
    assert_eq!(
        (first_count.still_open(), second_count.still_open()),
        (0, 0)
    );
    assert_eq!(
        first_written.take(),
        "\
\x20INFO plain
 INFO ctx{ctx=request_id=1}: outer
 INFO ctx{ctx=request_id=1}:ctx{ctx=operation=a}: inner
 INFO ctx{ctx=request_id=1}:ctx{ctx=operation=a}: inner
 INFO ctx{ctx=request_id=1}:ctx{ctx=operation=b}: inner
 INFO ctx{ctx=request_id=1}: outer
 INFO ctx{ctx=request_id=1}:ctx{ctx=operation=c}: inner
 INFO plain
"
    );
    assert_eq!(
        second_written.take(),
        "\
\x20INFO ctx{ctx=operation=a request_id=1}: elsewhere
 INFO ctx{ctx=request_id=2 operation=b}: elsewhere
"
    );
}

/// A `ctx` span that was opened inside another span goes with it: else the lines after it would
/// still show that span.
#[test]
fn a_span_that_is_exited_is_shown_no_more() {
    let (written, count) = (Written::default(), Count::default());
    let subscriber = Registry::default()
        .with(text(&written))
        .with(count.clone())
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        context::with(&REQUEST_ID, 1, || {
            info_span!("user").in_scope(|| info!("inside"));
            info!("after");
            // A root span shows nothing of what is around it, but the context it does show.
            info_span!(parent: None, "root").in_scope(|| info!("in the root"));
            info!("after");
        });
        assert_eq!(count.still_open(), 0);
    });
    assert_eq!(
        written.take(),
        "\
\x20INFO user:ctx{ctx=request_id=1}: inside
 INFO ctx{ctx=request_id=1}: after
 INFO root:ctx{ctx=request_id=1}: in the root
 INFO ctx{ctx=request_id=1}: after
"
    );
}

#[test]
fn a_panic_leaves_no_span_entered() {
    let (written, count) = (Written::default(), Count::default());
    let subscriber = Registry::default()
        .with(text(&written))
        .with(count.clone())
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        let caught = panic::catch_unwind(AssertUnwindSafe(|| {
            context::with(&REQUEST_ID, 1, || {
                let _attached = context::current().with_value(&OPERATION, "fail").attach();
                error!("about to fail");
                panic::resume_unwind(Box::new("on purpose"));
            });
        }));
        assert!(caught.is_err());
        assert_eq!(count.still_open(), 0);
        info!("after");
    });
    assert_eq!(
        written.take(),
        "ERROR ctx{ctx=operation=fail request_id=1}: about to fail\n INFO after\n"
    );
}

#[test]
fn guards_out_of_order_leave_no_span_entered() {
    let (written, count) = (Written::default(), Count::default());
    let subscriber = Registry::default()
        .with(text(&written))
        .with(count.clone())
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        let older = Context::empty().with_value(&REQUEST_ID, 1).attach();
        info!("older");
        let newer = context::current().with_value(&OPERATION, "a").attach();
        info!("newer");
        drop(older);
        info!("newer still");
        drop(newer);
        info!("none");
        assert_eq!(count.still_open(), 0);
    });
    assert_eq!(
        written.take(),
        "\
\x20INFO ctx{ctx=request_id=1}: older
 INFO ctx{ctx=request_id=1}:ctx{ctx=operation=a}: newer
 INFO ctx{ctx=request_id=1}:ctx{ctx=operation=a}: newer still
 INFO none
"
    );
}

/// What is set at the outermost level lasts until the thread ends, and its span no longer.
#[test]
fn the_end_of_a_thread_closes_its_spans() {
    let (written, count) = (Written::default(), Count::default());
    let dispatch = tracing::Dispatch::new(
        Registry::default()
            .with(text(&written))
            .with(count.clone())
            .with(tracing_bridge::layer()),
    );
    let captured = Context::empty().with_value(&REQUEST_ID, 1);
    thread::scope(|scope| {
        for _ in 0..2 {
            let worker = scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    captured.clone().run(|| info!("captured"));
                    context::set(&OPERATION, "for ever");
                    info!("set");
                });
            });
            worker.join().expect("no panic");
            assert_eq!(count.still_open(), 0);
        }
    });
    let lines =
        " INFO ctx{ctx=request_id=1}: captured\n INFO ctx{ctx=operation=\"for ever\"}: set\n";
    // `ctx` is recorded as it prints, so the quotes are the context's own.
    assert_eq!(written.take(), lines.repeat(2));
}

/// In a scope in which nothing is logged no span is opened; in the others, one per scope.
#[test]
fn one_span_for_each_scope_that_logs() {
    let (written, count) = (Written::default(), Count::default());
    let subscriber = Registry::default()
        .with(text(&written))
        .with(count.clone())
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        context::with(&REQUEST_ID, 1, || {
            for _ in 0..10 {
                context::with(&OPERATION, "silent", || ());
                info!("line");
            }
        });
    });
    assert_eq!(count.opened(), 1);
    assert_eq!(count.still_open(), 0);
    assert_eq!(
        written.take(),
        " INFO ctx{ctx=request_id=1}: line\n".repeat(10)
    );
}

/// A layer that logs when spans close comes back into the bridge.
#[test]
fn a_layer_may_log_when_a_span_closes() {
    struct LogsOnClose;

    impl<S> Layer<S> for LogsOnClose
    where
        S: Subscriber + for<'span> registry::LookupSpan<'span>,
    {
        fn on_close(&self, _: Id, _: layer::Context<'_, S>) {
            context::with(&OPERATION, "closing", || info!("closed"));
        }
    }

    let written = Written::default();
    // It would log for ever about the closing of the spans it causes itself, but for the target.
    let only_users = dynamic_filter_fn(|metadata, _| metadata.target() != tracing_bridge::TARGET);
    let subscriber = Registry::default()
        .with(text(&written))
        .with(LogsOnClose.with_filter(only_users))
        .with(tracing_bridge::layer());
    with_default(subscriber, || {
        context::with(&REQUEST_ID, 1, || {
            info_span!("user").in_scope(|| info!("inside"));
        });
        info!("after");
    });
    let output = written.take();
    assert!(
        output.starts_with(" INFO user:ctx{ctx=request_id=1}: inside\n"),
        "{output}"
    );
    assert!(output.ends_with(" INFO after\n"), "{output}");
}
