//! Whether a trace is kept is decided once, where it begins, and everything in it goes with that. One test, since it is
//! the process that samples.

use bedplate::context::{self, Context};
use bedplate::telemetry::span::{self, Finished, Sampling, TraceFlags, TraceParent};
use bedplate::telemetry::{self, EventName, Pattern, Probe};
use bedplate_core::sample::{RateLimited, Ratio};
use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::mpsc;
use std::thread;

#[test]
fn a_trace_is_kept_or_left_as_a_whole() {
    let (send, sent) = mpsc::channel();
    let _exporting = span::export(move |finished: &Finished| {
        send.send((finished.name, finished.weight)).ok();
    })
    .unwrap();
    let probe = Probe::of_this_thread(Pattern::under(EventName::new("sampled"))).unwrap();

    span::set_sampling(Sampling::Never);
    let outer = telemetry::span!("sampled.outer", { never: unreachable() });
    // Changed meanwhile, which changes nothing for what is in a trace that has begun …
    span::set_sampling(Sampling::Always);
    let inner = telemetry::span!("sampled.inner");
    let (sent_on, parent) = (inner.traceparent().unwrap(), outer.traceparent().unwrap());
    // … that still has its identities, with the flag unset.
    assert_eq!(sent_on.trace_id, parent.trace_id);
    assert_eq!(inner.parent_id(), Some(parent.parent_id));
    assert!(!sent_on.flags.has(TraceFlags::SAMPLED) && sent_on.flags.has(TraceFlags::RANDOM));
    assert_eq!(span::current(), Some(sent_on));
    inner.attribute("noted", false);
    inner.fail("nobody will know");
    // Elsewhere, too.
    let captured = context::capture();
    thread::spawn(move || captured.run(|| assert!(!telemetry::span!("sampled.there").is_kept())))
        .join()
        .unwrap();
    assert_eq!(span::open(), []);
    drop((inner, outer));
    assert_eq!(span::current(), None);
    assert!(probe.take().is_empty() && sent.try_recv().is_err());
    assert_eq!(span::take_ended(), span::Taken::default());

    // And the other way round: start and end of one span have one decision.
    let outer = telemetry::span!("sampled.outer");
    span::set_sampling(Sampling::Never);
    telemetry::span!("sampled.inner", |inner| assert!(inner.is_kept()));
    assert!(outer.traceparent().unwrap().flags.has(TraceFlags::SAMPLED));
    drop(outer);
    let names: Vec<_> = probe.take().into_iter().map(|event| event.name).collect();
    assert_eq!(
        names,
        [
            "sampled.outer.start",
            "sampled.inner.start",
            "sampled.inner.stop",
            "sampled.outer.stop"
        ]
    );
    let ended: Vec<_> = span::take_ended()
        .spans
        .iter()
        .map(|span| span.name)
        .collect();
    assert_eq!(ended, ["sampled.inner", "sampled.outer"]);
    assert_eq!(sent.try_iter().count(), 2);

    // What comes from elsewhere was decided there.
    span::set_sampling(Sampling::Never);
    for (flags, kept) in [("01", true), ("00", false)] {
        let header = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        let parent: TraceParent = header.parse().unwrap();
        Context::empty().with_traceparent(parent).run(|| {
            let request = telemetry::span!("sampled.request");
            assert_eq!(request.is_kept(), kept);
            assert_eq!(request.parent_id(), Some(parent.parent_id));
            assert_eq!(span::current().unwrap().flags, parent.flags);
        });
    }
    assert_eq!(sent.try_iter().count(), 1);

    // By the trace's identity, as core's sampler decides it, and with its weight, which the children share.
    span::set_sampling(Sampling::Ratio(0.25));
    let mut kept = 0;
    for _ in 0..400 {
        let root = telemetry::span!("sampled.root");
        let choice = Ratio::new(0.25).choose(root.traceparent().unwrap().trace_id.0.get());
        assert_eq!(root.is_kept(), choice.is_kept());
        kept += usize::from(root.is_kept());
        telemetry::span!("sampled.child", |child| assert_eq!(
            child.is_kept(),
            root.is_kept()
        ));
    }
    assert!((50..150).contains(&kept), "{kept} of 400");
    let exported: Vec<_> = sent.try_iter().collect();
    assert_eq!(exported.len(), 2 * kept);
    assert!(
        exported
            .iter()
            .all(|(_, weight)| (*weight - 4.0).abs() < f32::EPSILON)
    );

    // A sampler with a state.
    let two = RateLimited::new(NonZeroU32::new(2).unwrap(), Duration::MAX);
    span::set_sampling(Sampling::RateLimited(two));
    let kept: Vec<_> = (0..4)
        .map(|_| telemetry::span!("sampled.limited").is_kept())
        .collect();
    assert_eq!(kept, [true, true, false, false]);
    span::set_sampling(Sampling::Ratio(f64::NAN));
    assert!(!telemetry::span!("sampled.never").is_kept());
    span::set_sampling(Sampling::Always);
    assert!(telemetry::span!("sampled.always").is_kept());
}

fn unreachable() -> u64 {
    panic!("attributes of what nobody sees are not evaluated")
}
