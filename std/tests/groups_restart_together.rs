//! Threads under `one_for_all` and `rest_for_one`: a crash takes its group along, in reverse order, and
//! the group comes back in order.

use bedplate::supervisor::{ChildSpec, Strategy, Supervisor};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// So long that only a defect reaches it.
const LONG: Duration = Duration::from_secs(60);

/// A child that tells when an incarnation of it begins and is asked to end.
fn child(id: &'static str, tell: &Sender<String>) -> ChildSpec {
    let tell = tell.clone();
    ChildSpec::worker(id, move |me| {
        let _ = tell.send(format!("{id}{} begins", me.number()));
        while !me.stop().wait(LONG) {}
        let _ = tell.send(format!("{id}{} ends", me.number()));
    })
}

/// A child whose first incarnation crashes when it is told to.
fn crashing(id: &'static str, tell: &Sender<String>, crash: &Arc<AtomicBool>) -> ChildSpec {
    let (tell, crash) = (tell.clone(), crash.clone());
    ChildSpec::worker(id, move |me| {
        let _ = tell.send(format!("{id}{} begins", me.number()));
        while !me.stop().wait(Duration::from_millis(1)) {
            let crashes = crash.load(Ordering::Acquire) && me.restarts() == 0;
            assert!(!crashes, "as planned");
        }
    })
}

/// What is told under `strategy` when the second of three crashes, until it and the third are back.
fn story(strategy: Strategy) -> Vec<String> {
    let (tell, told) = channel();
    let crash = Arc::new(AtomicBool::new(false));
    let supervisor = Supervisor::builder("app")
        .strategy(strategy)
        .quiet_panics(true)
        .child(child("a", &tell))
        .child(crashing("b", &tell, &crash))
        .child(child("c", &tell))
        .start()
        .unwrap();
    let mut story: Vec<String> = Vec::new();
    // Threads begin in any order; from then on one thing follows from the other.
    while story.len() < 3 {
        story.push(told.recv_timeout(LONG).expect("they begin"));
    }
    story.clear();
    crash.store(true, Ordering::Release);
    let back = |story: &[String]| {
        ["b2 begins", "c2 begins"]
            .iter()
            .all(|what| story.iter().any(|told| told == what))
    };
    while !back(&story) {
        story.push(told.recv_timeout(LONG).expect("they come back"));
    }
    assert_eq!(supervisor.shutdown().clean, ["c", "b", "a"]);
    story
}

/// Asserts that these are told, in this order; that threads begin at their own pace may put others between.
fn assert_order(story: &[String], order: &[&str]) {
    let place = |what| story.iter().position(|told| told == what);
    let places: Option<Vec<usize>> = order.iter().map(|&what| place(what)).collect();
    assert!(places.is_some_and(|places| places.is_sorted()), "{story:?}");
}

#[test]
fn one_for_all_takes_all_along() {
    let story = story(Strategy::OneForAll);
    assert_order(&story, &["c1 ends", "a1 ends", "b2 begins"]);
    assert_order(&story, &["a1 ends", "c2 begins"]);
}

#[test]
fn rest_for_one_takes_along_who_came_later() {
    let story = story(Strategy::RestForOne);
    assert_order(&story, &["c1 ends", "b2 begins"]);
    assert!(!story.iter().any(|told| told.starts_with('a')), "{story:?}");
}

/// Four threads deliver their ends at once, again and again: whatever the order in which the supervisor hears of them, no child runs
/// twice, and all are there in the end.
#[test]
fn f60_f61_children_that_crash_at_once_never_run_twice() {
    const CHILDREN: usize = 4;
    const ROUNDS: u64 = 25;
    for strategy in [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ] {
        let running: Arc<[AtomicUsize; CHILDREN]> = Arc::default();
        let round = Arc::new(AtomicU64::new(0));
        let mut builder = Supervisor::builder("app")
            .strategy(strategy)
            .limit(128, Duration::from_millis(1))
            .quiet_panics(true);
        for number in 0..CHILDREN {
            let (running, round) = (running.clone(), round.clone());
            builder = builder.child(ChildSpec::worker(format!("{number}"), move |me| {
                let _runs = Runs::begin(&running[number]);
                let begun = round.load(Ordering::Acquire);
                while !me.stop().is_stopped() {
                    assert_eq!(round.load(Ordering::Acquire), begun, "as planned");
                    std::thread::yield_now();
                }
            }));
        }
        let supervisor = builder.start().unwrap();
        let all_run = || {
            let mut running = running.iter().map(|it| it.load(Ordering::Acquire));
            running.all(|it| it == 1)
        };
        let began = Instant::now();
        for _ in 0..ROUNDS {
            while !all_run() {
                assert!(began.elapsed() < LONG, "they do not come back: {running:?}");
                std::thread::yield_now();
            }
            round.fetch_add(1, Ordering::AcqRel);
        }
        let report = supervisor.shutdown();
        assert!(report.abandoned.is_empty(), "{report:?}");
        assert!(running.iter().all(|it| it.load(Ordering::Acquire) == 0));
    }
}

/// One of a child's incarnations, while its body runs.
struct Runs<'a>(&'a AtomicUsize);

impl<'a> Runs<'a> {
    fn begin(running: &'a AtomicUsize) -> Self {
        assert_eq!(running.fetch_add(1, Ordering::AcqRel), 0, "it runs twice");
        Self(running)
    }
}

impl Drop for Runs<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
