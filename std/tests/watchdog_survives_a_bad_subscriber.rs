//! A subscriber that panics when it is told that a watchdog is not fed any more, or is again: the watchdog goes on, and feeds
//! again when it may. One test, for the subscriber is the process's.
#![cfg(feature = "tracing")]

use bedplate::supervisor::{ChildSpec, Incarnation, Supervisor, Watch};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tracing::subscriber::Subscriber;
use tracing::{Event, Metadata, span};

const MOMENT: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(120);

static TOLD: AtomicUsize = AtomicUsize::new(0);
static FED: AtomicUsize = AtomicUsize::new(0);

struct Bad;

impl Subscriber for Bad {
    fn enabled(&self, event: &Metadata<'_>) -> bool {
        event.target() == "bedplate::supervisor"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {
        TOLD.fetch_add(1, Ordering::Relaxed);
        panic!("a bad subscriber");
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_subscriber_that_panics_when_told_harms_no_watchdog() {
    tracing::subscriber::set_global_default(Bad).expect("the only one");
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let stuck = move |me: &Incarnation| {
        me.working();
        held.lock().unwrap().recv().unwrap_err();
        while !me.stop().wait(MOMENT) {
            me.working();
        }
    };
    // The one limit is passed in any case; the other one never.
    let limit = Watch::new(5 * MOMENT, PATIENCE);
    let stuck = ChildSpec::worker("stuck", stuck)
        .critical(true)
        .watch(limit);
    let watchdog = ChildSpec::watchdog("watchdog", MOMENT, || {
        FED.fetch_add(1, Ordering::Relaxed);
    });
    let supervisor = Supervisor::builder("app")
        .child(watchdog)
        .child(stuck)
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let feeding = handle.child("watchdog").unwrap();

    // That the child is stuck, and that nobody is fed.
    until(|| TOLD.load(Ordering::Relaxed) >= 2);
    let before = FED.load(Ordering::Relaxed);
    drop(release);
    until(|| FED.load(Ordering::Relaxed) > before + 3);
    assert!(feeding.is_alive(), "the same incarnation");
    assert_eq!(feeding.incarnation(), 1);
    drop(supervisor);
}
