//! Whatever several children wait for at a time, and whoever tells the timer first: nobody is forgotten.

use bedplate::supervisor::{
    Backoff, ChildSpec, ChildState, OnStuck, Stop, Strategy, Supervisor, SupervisorBuilder, Watch,
};
use bedplate::telemetry::{self, Event, EventName, Pattern};
use core::time::Duration;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn unlimited() -> SupervisorBuilder {
    Supervisor::builder("app")
        .limit(128, Duration::from_nanos(1))
        .quiet_panics(true)
}

/// Does not hear that it is asked to stop.
fn deaf(id: &str) -> ChildSpec {
    ChildSpec::worker(id, |_| -> () {
        loop {
            thread::park();
        }
    })
}

/// A child that fails when it is told to, and what tells it.
fn fails_on_order(id: &str) -> (ChildSpec, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let (order, lives) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (ordered, lived) = (order.clone(), lives.clone());
    let child = ChildSpec::worker(id, move |me| {
        // Relaxed, as all here: a count, and an order that nothing depends on.
        lived.fetch_add(1, Ordering::Relaxed);
        while !me.stop().is_stopped() {
            // Relaxed: see above.
            if ordered.swap(false, Ordering::Relaxed) {
                return Err("as ordered");
            }
            thread::yield_now();
        }
        Ok(())
    });
    (child, order, lives)
}

/// One waits out its delay. Another one with a shorter delay crashes and is terminated at once, so that two threads tell the
/// timer two things, in this order or the other.
fn one_waits_while_another_comes_and_goes() {
    let (one, crash_one, lives) = fails_on_order("one");
    let (other, crash_other, _) = fails_on_order("other");
    let supervisor = unlimited()
        .child(one.backoff(Backoff::new(ms(30), ms(30)).unwrap()))
        .child(other.backoff(Backoff::new(ms(6), ms(6)).unwrap()))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    for round in 0..60 {
        // Relaxed, here and below: see `fails_on_order`.
        let before = lives.load(Ordering::Relaxed);
        let is_back = || lives.load(Ordering::Relaxed) > before;
        let waits =
            |which: usize| matches!(handle.children()[which].state, ChildState::Backoff { .. });
        let incarnation = handle.children()[1].incarnation;
        crash_one.store(true, Ordering::Relaxed);
        while !waits(0) && !is_back() {
            thread::yield_now();
        }
        crash_other.store(true, Ordering::Relaxed);
        while !waits(1) && handle.children()[1].incarnation == incarnation {
            core::hint::spin_loop();
        }
        handle.terminate("other").unwrap();
        let began = Instant::now();
        while !is_back() {
            assert!(
                began.elapsed() < PATIENCE,
                "forgotten in round {round}: {:?}",
                handle.children()[0]
            );
            thread::sleep(ms(1));
        }
        crash_other.store(false, Ordering::Relaxed);
        let _it_may_run = handle.restart("other");
    }
}

#[test]
fn of_a_delay_beside_one_that_is_taken_back() {
    let side_by_side = [(); 3].map(|()| thread::spawn(one_waits_while_another_comes_and_goes));
    side_by_side.into_iter().for_each(|it| it.join().unwrap());
}

#[test]
fn of_all_who_are_late_at_the_same_time() {
    let supervisor = unlimited()
        .shutdown_budget(ms(200))
        .child(deaf("a"))
        .child(deaf("b"))
        .child(deaf("c"))
        .start()
        .unwrap();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(supervisor.shutdown().abandoned));
    let mut abandoned = told.recv_timeout(PATIENCE).expect("it ends");
    // Each is shut out by a thread of its own.
    abandoned.sort_unstable();
    assert_eq!(abandoned, ["a", "b", "c"]);
}

#[test]
fn of_dynamic_children_that_are_late_together() {
    let (tell, told) = mpsc::channel();
    let pool = ChildSpec::supervisor("pool", move || {
        tell.send(()).unwrap();
        Supervisor::builder("pool")
            .strategy(Strategy::Dynamic)
            .limit(0, ms(1))
    });
    let supervisor = Supervisor::builder("app").child(pool).start().unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    let pool = supervisor.handle().supervisor("pool").unwrap();
    for _ in 0..2 {
        let late = deaf("deaf").stop(Stop::Within(ms(100)));
        pool.start_child(late).unwrap();
    }
    let crashes = ChildSpec::worker("crashes", |_| Err::<(), _>("at once"));
    let _it_may_be_over = pool.start_child(crashes);
    told.recv_timeout(PATIENCE)
        .expect("what gave up is started anew");
    assert!(supervisor.shutdown().failed.is_empty());
}

#[test]
fn a_name_is_free_for_the_one_after_an_abandoned_one() {
    let incarnations = Pattern::under(EventName::new("bedplate.supervisor.incarnation"));
    let slowly = |event: &Event<'_>| {
        if !event.name().to_string().ends_with(".start") {
            thread::sleep(ms(100));
        }
    };
    telemetry::attach("slow", incarnations, slowly).unwrap();
    let (tell, told) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let child = ChildSpec::worker("child", move |me| {
        tell.send(me.number()).unwrap();
        if me.number() == 1 {
            me.parked();
            // Until the test is over.
            let _over = released.lock().unwrap().recv();
            return;
        }
        while !me.stop().wait(PATIENCE) {}
    });
    let watch = Watch::new(Duration::MAX, ms(50)).on_stuck(OnStuck::Restart);
    let child = child.register("deadlines.name").stop(Stop::Within(ms(5)));
    let supervisor = Supervisor::builder("app")
        .limit(1, PATIENCE)
        .child(child.watch(watch))
        .start()
        .unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    assert_eq!(told.recv_timeout(PATIENCE), Ok(2), "its name was free");
    assert_eq!(supervisor.handle().child("child").unwrap().incarnation(), 2);
    drop(release);
}
