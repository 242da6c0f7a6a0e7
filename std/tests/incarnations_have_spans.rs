//! Each incarnation has a span of its own, which follows from the one before and says why there was a restart.

use bedplate::supervisor::{ChildSpec, Restart, Stop, Supervisor};
use bedplate::telemetry;
use bedplate::telemetry::OwnedValue;
use bedplate::telemetry::span::{self, Finished, SpanStatus};
use core::time::Duration;
use std::sync::mpsc::{self, Receiver};

const PATIENCE: Duration = Duration::from_secs(60);

/// The incarnations of one child that are over, as they end.
fn incarnations(child: &'static str) -> (span::Exporting, Receiver<Finished>) {
    let (send, sent) = mpsc::channel();
    let exporting = span::export(move |finished: &Finished| {
        let of = ("child", OwnedValue::Text(child.to_owned()));
        if finished.name == "bedplate.supervisor.incarnation" && finished.attributes[0] == of {
            send.send(finished.clone()).ok();
        }
    });
    (exporting.unwrap(), sent)
}

#[test]
fn what_is_done_in_an_incarnation_is_done_in_its_span() {
    let (_exporting, over) = incarnations("spans/flaky");
    let (send, seen) = mpsc::channel();
    let outer = telemetry::span!("outer");
    let flaky = ChildSpec::worker("flaky", move |incarnation| -> Result<(), std::fmt::Error> {
        send.send(span::current().unwrap()).unwrap();
        match incarnation.number() {
            1 => Err(std::fmt::Error),
            2 => panic!("broken on purpose"),
            _ => Ok(()),
        }
    })
    .restart(Restart::Transient);
    let own = outer.traceparent().unwrap();
    let supervisor = Supervisor::builder("spans").child(flaky).start().unwrap();
    let spans = [(); 3].map(|()| over.recv_timeout(PATIENCE).unwrap());
    let current = [(); 3].map(|()| seen.recv_timeout(PATIENCE).unwrap());
    assert_eq!(spans.each_ref().map(|span| span.traceparent), current);

    // Where the specification was made there was a span, which is their parent.
    assert!(
        spans
            .iter()
            .all(|span| span.parent_id == Some(own.parent_id))
    );
    let status = spans.each_ref().map(|span| span.status);
    assert_eq!(
        status,
        [SpanStatus::Failed, SpanStatus::Failed, SpanStatus::Ended]
    );
    assert_eq!(spans[0].links, []);
    for (index, reason) in [
        (1, "an error occurred when formatting"),
        (2, "broken on purpose"),
    ] {
        let link = spans[index].links[0];
        assert_eq!(
            (link.to, link.relation),
            (spans[index - 1].traceparent, "follows_from")
        );
        let (key, value) = &spans[index].attributes[2];
        assert_eq!(*key, "restart_reason");
        assert!(value.to_string().contains(reason), "{value}");
        assert!(spans[index - 1].reason.as_ref().unwrap().contains(reason));
        assert_eq!(
            spans[index].attributes[1].1,
            OwnedValue::Unsigned(index as u64 + 1)
        );
    }
    drop(outer);
    let _report = supervisor.shutdown();
}

#[test]
fn the_span_of_an_incarnation_that_is_shut_out_is_abandoned_once() {
    let (_exporting, over) = incarnations("hangs/deaf");
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (begun, begins) = mpsc::channel();
    let deaf = ChildSpec::worker("deaf", move |_| {
        begun.send(()).unwrap();
        // Until the test is over, whatever it is asked.
        released.lock().unwrap().recv().ok();
    });
    let deaf = deaf.stop(Stop::Within(Duration::from_millis(1)));
    let supervisor = Supervisor::builder("hangs").child(deaf).start().unwrap();
    begins.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().abandoned, ["deaf"]);
    let span = over.recv_timeout(PATIENCE).unwrap();
    assert_eq!((span.status, span.parent_id), (SpanStatus::Abandoned, None));
    let of_it = |open: &span::Open| open.traceparent == span.traceparent;
    assert!(!span::open().iter().any(of_it));
    drop(release);
    // Its thread ends now, and has nothing more to say of it.
    assert!(over.recv_timeout(Duration::from_millis(200)).is_err());
}
