//! Which span is current, whatever order guards are dropped in; what is listed; and what has a limit.

mod alone;

use alone::alone;
use bedplate::clock;
use bedplate::context::{self, Context};
use bedplate::telemetry;
use bedplate::telemetry::span::{
    self, Finished, Open, SpanSite, SpanStatus, TraceParent, TraceState,
};
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, mpsc};
use std::thread;

fn open_called(name: &str) -> Vec<Open> {
    let mut open = span::open();
    open.retain(|span| span.name == name);
    open
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    let before = span::counts().misordered;
    let a = telemetry::span!("order.a");
    let b = telemetry::span!("order.b");
    let c = telemetry::span!("order.c");
    let current = c.traceparent();
    drop(a);
    assert_eq!(span::current(), current, "what is newer stays");
    drop(b);
    assert_eq!(span::current(), current);
    let d = telemetry::span!("order.d");
    assert_eq!(d.parent_id(), current.map(|it| it.parent_id));
    drop(c);
    drop(d);
    assert_eq!(span::current(), None, "what had ended is not restored");
    assert!(span::counts().misordered >= before + 3);
}

#[test]
fn spans_and_contexts_may_be_mixed_in_any_order() {
    let outer = telemetry::span!("mixed.outer");
    let captured = context::capture();
    let attached = Context::empty().attach();
    assert_eq!(span::current(), None, "a context replaces all");
    let root = telemetry::span!("mixed.root");
    assert_eq!(root.parent_id(), None);
    let again = captured.attach();
    assert_eq!(span::current(), outer.traceparent());
    drop(attached);
    drop(root);
    assert_eq!(span::current(), outer.traceparent());
    drop(again);
    assert_eq!(
        span::current(),
        outer.traceparent(),
        "all between has ended"
    );
    drop(outer);
    assert_eq!(span::current(), None);
}

#[test]
fn what_was_forgotten_in_a_closure_is_not_current_after_it() {
    let outer = telemetry::span!("closure.outer");
    telemetry::span!("closure.body", |_| core::mem::forget(telemetry::span!(
        "closure.lost"
    )));
    assert_eq!(span::current(), outer.traceparent());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        telemetry::span!("closure.body", |_| {
            core::mem::forget(telemetry::span!("closure.lost"));
            panic!("broken on purpose")
        })
    }));
    assert!(panic.is_err());
    assert_eq!(span::current(), outer.traceparent());
    drop(outer);
    Context::empty().run(|| core::mem::forget(telemetry::span!("closure.lost")));
    assert_eq!(span::current(), None);
    // A guard that outlives the closure it was made in ends its span, and changes nothing else.
    let escaped = Context::empty().run(|| telemetry::span!("closure.escaped"));
    let next = telemetry::span!("closure.next");
    drop(escaped);
    assert_eq!(span::current(), next.traceparent());
    drop(next);
    assert_eq!(span::current(), None);
    assert_eq!(open_called("closure.escaped"), []);
    assert_eq!(
        open_called("closure.lost").len(),
        3,
        "they are open until the thread ends"
    );
}

#[test]
fn a_capture_is_shared_until_the_span_changes() {
    let outer = telemetry::span!("capture.outer");
    let first = context::capture();
    assert_eq!(first.traceparent(), outer.traceparent());
    let inner = telemetry::span!("capture.inner");
    let second = context::capture();
    assert_eq!(second.traceparent(), inner.traceparent());
    assert_eq!(
        first.traceparent(),
        outer.traceparent(),
        "what was captured does not change"
    );
    drop(inner);
    assert_eq!(context::capture().traceparent(), outer.traceparent());
    drop(outer);
    assert_eq!(context::capture().traceparent(), None);
    assert_eq!(context::current().traceparent(), None);
}

#[test]
fn threads_that_are_started_in_a_span_are_in_it() {
    let outer = telemetry::span!("spawned.outer");
    let own = outer.traceparent();
    assert_eq!(context::spawn(span::current).unwrap().join().unwrap(), own);
    let scoped = context::scope(|scope| scope.spawn(span::current).map(|it| it.join().unwrap()));
    assert_eq!(scoped.unwrap(), own);
    assert_eq!(
        thread::spawn(context::in_context(span::current))
            .join()
            .unwrap(),
        own
    );
    let each = context::in_context_each(|()| span::current());
    thread::scope(|scope| {
        let seen = scope.spawn(|| [(); 2].map(&each));
        assert_eq!(seen.join().unwrap(), [own, own]);
    });
    // An error knows in which span it arose.
    use context::ResultExt as _;
    let error = "7x".parse::<u32>().in_context().unwrap_err();
    assert_eq!(error.context().traceparent(), own);
}

const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn what_a_trace_carries_goes_with_it() {
    let carried = || span::tracestate().as_deref().map(str::to_owned);
    let (parent, state) = (
        HEADER.parse().unwrap(),
        TraceState::parse("a=1, b=2").unwrap(),
    );
    // Without a trace there is nothing it belongs to.
    assert_eq!(Context::empty().with_tracestate(&state).tracestate(), None);
    let context = Context::empty()
        .with_traceparent(parent)
        .with_tracestate(&state);
    let text = Some("a=1,b=2".to_owned());
    assert_eq!(context.tracestate(), text.as_deref());
    assert_eq!(carried(), None);
    context.clone().run(|| {
        assert_eq!(carried(), text);
        let work = telemetry::span!("carried.work");
        assert_eq!(carried(), text, "in a span of its own, too");
        let captured = context::capture();
        assert_eq!(captured.tracestate(), text.as_deref());
        assert_eq!(context::spawn(carried).unwrap().join().unwrap(), text);
        // In another trace there is nothing of it, and behind that it is there again.
        Context::empty().run(|| {
            let _root = telemetry::span!("carried.root");
            assert_eq!(carried(), None);
        });
        drop(work);
        assert_eq!(carried(), text);
        // A capture notes which span it was made in, also one of another trace.
        static OTHER: SpanSite = SpanSite::new(
            "carried.other",
            "carried.other.start",
            "carried.other.stop",
            "carried.other.exception",
        );
        let elsewhere = Context::empty().run(|| OTHER.start_owned(|_| ()));
        let captured = elsewhere.run(context::capture);
        assert_eq!(captured.tracestate(), None);
        assert_eq!(carried(), text);
        assert_eq!(context::capture().tracestate(), text.as_deref());
    });
    let other = TraceParent {
        trace_id: span::TraceId(core::num::NonZeroU128::MIN),
        ..parent
    };
    assert_eq!(context.clone().with_traceparent(other).tracestate(), None);
    let next = TraceParent {
        parent_id: span::SpanId(core::num::NonZeroU64::MIN),
        ..parent
    };
    assert_eq!(
        context.clone().with_traceparent(next).tracestate(),
        text.as_deref(),
        "another span of the same trace"
    );
    let nothing = context.with_tracestate(&TraceState::new());
    assert_eq!(nothing.tracestate(), None);
}

#[test]
fn a_parent_from_a_header_is_remote() {
    let (send, sent) = mpsc::channel();
    let _exporting = span::export(move |finished: &Finished| {
        if finished.name.starts_with("remote.") {
            let carried = finished.tracestate.is_some();
            send.send((finished.name, finished.parent_is_remote, carried))
                .ok();
        }
    })
    .unwrap();
    static OWNED: SpanSite = SpanSite::new(
        "remote.owned",
        "remote.owned.start",
        "remote.owned.stop",
        "remote.owned.exception",
    );
    let state = TraceState::parse("a=1").unwrap();
    let context = Context::empty().with_traceparent(HEADER.parse().unwrap());
    context.with_tracestate(&state).run(|| {
        telemetry::span!("remote.child", |_| telemetry::span!(
            "remote.grandchild",
            |_| ()
        ));
        OWNED.start_owned(|_| ()).end();
    });
    telemetry::span!("remote.root", |_| {
        context::capture().run(|| telemetry::span!("remote.captured", |_| ()));
    });
    let seen: Vec<_> = sent.try_iter().collect();
    assert_eq!(
        seen,
        [
            ("remote.grandchild", false, true),
            ("remote.child", true, true),
            ("remote.owned", true, true),
            ("remote.captured", false, false),
            ("remote.root", false, false),
        ]
    );
}

#[test]
fn who_is_open_since_when() {
    let name = "open.work";
    let open = thread::Builder::new()
        .name("worker 7".to_owned())
        .spawn(move || {
            let early = clock::now();
            let outer = telemetry::span!("open.work");
            let inner = telemetry::span!("open.work");
            let late = clock::now();
            // Somebody else asks.
            let [first, second] = thread::spawn(move || open_called(name))
                .join()
                .unwrap()
                .try_into()
                .expect("two are open");
            let [first, second]: [Open; 2] = [first, second];
            assert_eq!(Some(first.traceparent), outer.traceparent());
            assert_eq!(Some(second.traceparent), inner.traceparent());
            assert_eq!(second.parent_id, Some(first.traceparent.parent_id));
            assert_eq!(
                (first.thread.as_deref(), first.parent_id),
                (Some("worker 7"), None)
            );
            assert!(
                early <= first.started && first.started <= second.started && second.started <= late
            );

            let stuck = |limit, now| {
                let mut open = span::open_longer_than(limit, now);
                open.retain(|span| span.name == name);
                open.len()
            };
            let limit = Duration::from_secs(10);
            assert_eq!(
                stuck(limit, first.started.saturating_add(limit)),
                0,
                "not longer"
            );
            let after = second
                .started
                .saturating_add(limit)
                .saturating_add(Duration::from_nanos(1));
            assert_eq!(stuck(limit, after), 2);
            drop(inner);
            assert_eq!(open_called(name).len(), 1);
            drop(outer);
        });
    open.unwrap().join().unwrap();
    assert_eq!(open_called(name), []);
}

#[test]
fn a_span_that_belongs_to_no_thread() {
    static JOB: SpanSite = SpanSite::new(
        "owned.job",
        "owned.job.start",
        "owned.job.stop",
        "owned.job.exception",
    );
    let (send, sent) = mpsc::channel();
    let _exporting = span::export(move |finished: &Finished| {
        if finished.name == "owned.job" {
            send.send(finished.clone()).ok();
        }
    })
    .unwrap();
    let outer = telemetry::span!("owned.outer");
    let mut job = JOB.start_owned(|describe| describe(&[("kind", "nightly".into())]));
    assert_eq!(
        span::current(),
        outer.traceparent(),
        "it is current nowhere"
    );
    assert_eq!(job.parent_id(), outer.traceparent().map(|it| it.parent_id));
    assert_eq!(open_called("owned.job")[0].thread, None);
    let parent: Option<TraceParent> = job.traceparent();
    context::capture()
        .with_span(&job)
        .run(|| assert_eq!(span::current(), parent));
    thread::spawn(move || {
        job.run(|| assert_eq!(span::current(), parent));
        assert_eq!(span::current(), None);
        job.event("turned", &[]);
        job.measure("pages", 3_u64);
        job.fail("out of paper");
    })
    .join()
    .unwrap();
    let finished = sent.try_recv().unwrap();
    assert_eq!(
        (finished.status, finished.reason.as_deref()),
        (SpanStatus::Failed, Some("out of paper"))
    );
    assert_eq!(
        (
            finished.attributes.len(),
            finished.events.len(),
            finished.measurements.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(open_called("owned.job"), []);

    JOB.start_owned(|_| ()).abandon();
    assert_eq!(sent.try_recv().unwrap().status, SpanStatus::Abandoned);
    let job = JOB.start_owned(|_| ());
    let panic = catch_unwind(AssertUnwindSafe(move || {
        job.run(|| panic!("broken on purpose"));
        drop(job);
    }));
    assert!(panic.is_err());
    assert_eq!(sent.try_recv().unwrap().status, SpanStatus::Panicked);
    assert_eq!(span::current(), outer.traceparent());
    assert!(sent.try_recv().is_err(), "each ended once");
}

#[test]
fn more_than_is_listed_is_recorded_all_the_same() {
    alone("more_than_is_listed_is_recorded_all_the_same", || {
        let before = span::counts().untracked;
        let root = telemetry::span!("many.root");
        let own = root.traceparent().unwrap().trace_id;
        let spans: Vec<_> = (0..span::MAX_OPEN)
            .map(|_| telemetry::span!("many.work"))
            .collect();
        assert!(span::counts().untracked > before);
        assert_eq!(open_called("many.work").len(), span::MAX_OPEN - 1);
        drop(spans);
        drop(root);
        let mut taken = span::take_ended();
        taken.spans.retain(|span| span.trace_id == own);
        assert_eq!(taken.spans.len(), span::MAX_OPEN + 1);
    });
}

/// In a process of its own: what others end counts among the newest.
#[test]
fn the_newest_that_have_ended_are_kept_and_the_others_counted() {
    const KEPT: usize = 256;
    alone(
        "the_newest_that_have_ended_are_kept_and_the_others_counted",
        || {
            let root = telemetry::span!("ended.root");
            for _ in 0..1_000 {
                telemetry::span!("ended.work").end();
            }
            drop(root);
            let taken = span::take_ended();
            assert_eq!(taken.spans.len(), KEPT);
            assert_eq!(taken.lost, 1_001 - KEPT as u64);
            let (root, work) = taken.spans.split_last().unwrap();
            assert_eq!(
                (root.name, root.parent_id, root.status),
                ("ended.root", None, SpanStatus::Ended)
            );
            assert!(work.iter().all(|span| span.parent_id == Some(root.span_id)));
            let both = taken.spans.windows(2);
            assert!(both.into_iter().all(|pair| pair[0].ended <= pair[1].ended));
        },
    );
}

#[test]
fn notes_beyond_the_limits_are_counted() {
    let (send, sent) = mpsc::channel();
    let _exporting = span::export(move |finished: &Finished| {
        if finished.name == "limits.work" {
            send.send(finished.clone()).ok();
        }
    })
    .unwrap();
    // Keys are constants, so they are counted out here, and kept.
    static KEYS: LazyLock<Vec<String>> =
        LazyLock::new(|| (0..100).map(|number| format!("key{number}")).collect());
    let keys = || KEYS.iter().map(String::as_str);
    telemetry::span!("limits.work", |span| {
        let to = span.traceparent().unwrap();
        for key in keys() {
            span.attribute(key, 1);
            span.measure(key, 1);
            span.event(key, &[]);
            span.link(to, key);
        }
        span.attribute("key0", 2);
    });
    let finished = sent.try_recv().unwrap();
    assert_eq!(finished.attributes.len(), span::MAX_ATTRIBUTES);
    assert_eq!(
        finished.attributes[0].1,
        telemetry::OwnedValue::Signed(2),
        "the same key again"
    );
    assert_eq!(finished.measurements.len(), span::MAX_MEASUREMENTS);
    assert_eq!(finished.events.len(), span::MAX_EVENTS);
    assert_eq!(finished.links.len(), span::MAX_LINKS);
    let dropped = finished.dropped;
    let counted = [
        dropped.attributes,
        dropped.measurements,
        dropped.events,
        dropped.links,
    ];
    assert_eq!(counted, [68, 92, 36, 84]);
}

#[test]
fn attributes_that_panic_leave_nothing_open() {
    let _exporting = span::export(|_: &Finished| ()).unwrap();
    fn broken() -> u64 {
        panic!("broken on purpose")
    }
    let guard = catch_unwind(|| telemetry::span!("broken.guard", { number: broken() }).end());
    let closure = catch_unwind(|| telemetry::span!("broken.closure", { number: broken() }, |_| ()));
    static OWNED: SpanSite = SpanSite::new(
        "broken.owned",
        "broken.owned.start",
        "broken.owned.stop",
        "broken.owned.exception",
    );
    let owned = catch_unwind(|| {
        OWNED
            .start_owned(|describe| describe(&[("number", broken().into())]))
            .end()
    });
    assert!(guard.is_err() && closure.is_err() && owned.is_err());
    assert_eq!(span::current(), None);
    for name in ["broken.guard", "broken.closure", "broken.owned"] {
        assert_eq!(open_called(name), []);
    }
}

#[test]
fn a_guard_in_a_thread_local_ends_nothing_twice() {
    thread_local! {
        static LEFT: core::cell::RefCell<Option<span::Span>> = const { core::cell::RefCell::new(None) };
    }
    let (send, sent) = mpsc::channel();
    let _exporting = span::export(move |finished: &Finished| {
        if finished.name == "local.work" {
            send.send(finished.status).ok();
        }
    })
    .unwrap();
    thread::spawn(|| {
        // Made first, so that it is destroyed last.
        LEFT.with(|_| ());
        let span = telemetry::span!("local.work");
        LEFT.with(|left| *left.borrow_mut() = Some(span));
    })
    .join()
    .unwrap();
    let ended: Vec<_> = sent.try_iter().collect();
    assert_eq!(ended.len(), 1, "{ended:?}");
}

#[test]
fn a_seed_gives_the_same_identities_again() {
    let two = || {
        span::seed_ids(0xBED);
        let outer = telemetry::span!("seeded.outer");
        [
            outer.traceparent(),
            telemetry::span!("seeded.inner").traceparent(),
        ]
    };
    assert_eq!(two(), thread::spawn(two).join().unwrap());
    assert_ne!(
        two(),
        two().map(|_| telemetry::span!("seeded.other").traceparent())
    );
}
