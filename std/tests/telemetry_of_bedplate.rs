//! What bedplate tells of itself: registrations and what owners leave, the depth of contexts, restarts, ends, giving
//! up. `tracing` need not be there.

use bedplate::context::{self, Key};
use bedplate::registry::Registry;
use bedplate::supervisor::{ChildSpec, Restart, Supervisor};
use bedplate::telemetry::{self, EventName, OwnedEvent, OwnedValue, Pattern, Probe};
use core::time::Duration;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

fn probe(name: &'static str) -> Probe {
    Probe::of_all_threads(Pattern::under(EventName::new(name))).unwrap()
}

fn count(event: &OwnedEvent) -> f64 {
    event.measurement("count").unwrap().as_f64()
}

#[test]
fn a_registry_tells_what_comes_and_what_goes() {
    let probe = probe("bedplate.registry");
    let registry = Registry::<u64, u64>::open("telemetry/told").unwrap();
    let of_this = |event: &OwnedEvent| {
        event
            .get("registry")
            .is_some_and(|it| it == "telemetry/told")
    };
    let mut owner = registry.owner().unwrap();
    let pid = owner.pid();
    owner.register(1, 1).unwrap();
    owner.register(1, 1).unwrap_err();
    owner.register(2, 2).unwrap();
    drop(owner);
    let events: Vec<_> = probe.take().into_iter().filter(of_this).collect();
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.name.as_str(), count(event)))
        .collect();
    assert_eq!(
        told,
        [
            ("bedplate.registry.register", 1.0),
            ("bedplate.registry.register", 1.0),
            ("bedplate.registry.cleanup", 2.0),
        ]
    );
    assert!(
        events
            .iter()
            .all(|event| event.get("owner") == Some(&OwnedValue::Pid(pid)))
    );

    // What a thread leaves is told when its locals are gone, by another one.
    let theirs = registry.clone();
    std::thread::spawn(move || theirs.register(3, 3).unwrap())
        .join()
        .unwrap();
    let began = Instant::now();
    let mut cleaned = 0.0;
    while cleaned < 1.0 {
        assert!(began.elapsed() < PATIENCE);
        std::thread::yield_now();
        let events = probe.take().into_iter().filter(of_this);
        cleaned += events
            .filter(|it| it.name.ends_with("cleanup"))
            .map(|it| count(&it))
            .sum::<f64>();
    }
}

#[test]
fn a_context_tells_how_deep_it_is() {
    static ONE: Key<u64> = Key::new("one");
    static TWO: Key<u64> = Key::new("two");
    let probe = Probe::of_this_thread(EventName::new("bedplate.context.set")).unwrap();
    context::with(&ONE, 1, || {
        context::with(&TWO, 2, || ());
        context::set(&TWO, 3);
    });
    let depths: Vec<_> = probe
        .take()
        .iter()
        .map(|it| it.measurement("depth").unwrap().as_f64())
        .collect();
    assert_eq!(depths, [1.0, 2.0, 2.0]);
}

/// A handler that itself sets a context is not called for that.
#[test]
fn a_handler_of_everything_may_use_what_tells() {
    static ONE: Key<u64> = Key::new("one");
    let left_out = telemetry::stats().left_out;
    let thread = std::thread::current().id();
    telemetry::handler("everything")
        .to(Pattern::EVERYTHING)
        .filter(move |_| std::thread::current().id() == thread)
        .attach(|_: &telemetry::Event<'_>| context::with(&ONE, 1, || ()))
        .unwrap();
    telemetry::emit!("of.anything");
    telemetry::detach("everything").unwrap();
    assert!(telemetry::stats().left_out > left_out);
}

#[test]
fn a_supervisor_tells_of_ends_restarts_and_giving_up() {
    let probe = probe("bedplate.supervisor");
    let child = ChildSpec::worker("flaky", |_| Err::<(), _>("always"));
    let supervisor = Supervisor::builder("telemetry app")
        .child(child.restart(Restart::Permanent))
        .limit(2, Duration::from_secs(3_600))
        .start();
    if let Ok(supervisor) = supervisor {
        let _reason = supervisor.wait();
    }
    let began = Instant::now();
    let mut events = Vec::new();
    while !events
        .iter()
        .any(|event: &OwnedEvent| event.name.ends_with("gave_up"))
    {
        assert!(began.elapsed() < PATIENCE, "{events:?}");
        std::thread::yield_now();
        events.extend(probe.take());
    }
    events.retain(|event| {
        event
            .get("supervisor")
            .is_some_and(|it| it == "telemetry app")
    });
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            assert!(event.get("child").is_some_and(|it| it == "flaky"));
            let (_, first) = event.measurements[0];
            (event.name.rsplit('.').next().unwrap(), first.as_f64())
        })
        .collect();
    for expected in [
        ("ended", 1.0),
        ("restart", 2.0),
        ("ended", 2.0),
        ("restart", 3.0),
        ("ended", 3.0),
        ("gave_up", 2.0),
    ] {
        assert!(told.contains(&expected), "{told:?}");
    }
    assert_eq!(told.len(), 6);
}
