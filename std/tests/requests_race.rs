//! Whatever is asked for at the same time, by whomever, while children crash and groups restart: every request is
//! answered, no child runs twice at a time, and nothing is left at the end. In processes of their own, for what breaks this hangs.

mod alone;

use alone::alone;
use bedplate::process;
use bedplate::supervisor::{
    Backoff, ChildSpec, Ready, Restart, Stop, Strategy, SupRef, Supervisor,
};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const THREADS: u64 = 6;
const ROUNDS: usize = 400;
const PATIENCE: Duration = Duration::from_secs(120);
const HOUR: Duration = Duration::from_secs(3_600);

/// Chance from a seed: a congruential generator is good enough to mix requests.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// How many incarnations of each child run.
type Running = Arc<[AtomicUsize; 6]>;

/// How many found another incarnation of theirs running.
static TWICE: AtomicUsize = AtomicUsize::new(0);

/// A child that crashes now and then, says that it is ready if it has to, and ends soon when it is asked.
fn child(number: usize, kind: u64, running: &Running) -> ChildSpec {
    let running = running.clone();
    let spec = ChildSpec::worker(number.to_string(), move |me| {
        // AcqRel: whoever comes sees who went.
        let before = running[number].fetch_add(1, Ordering::AcqRel);
        TWICE.fetch_add(before, Ordering::AcqRel);
        me.ready();
        let crashes = me.number() % 3 == 0;
        let stopped = me.stop().wait(if crashes {
            Duration::from_millis(2)
        } else {
            PATIENCE
        });
        running[number].fetch_sub(1, Ordering::AcqRel);
        if stopped { Ok(()) } else { Err("as planned") }
    });
    let spec = match kind % 3 {
        0 => spec,
        1 => spec.restart(Restart::Transient),
        _ => {
            spec.backoff(Backoff::new(Duration::from_millis(1), Duration::from_millis(3)).unwrap())
        }
    };
    let spec = spec.stop(Stop::Within(PATIENCE));
    if kind.is_multiple_of(2) {
        spec.ready(Ready::Signalled { within: PATIENCE })
    } else {
        spec
    }
}

/// Asks for this and that; what the answers are is nobody's business here.
fn ask(handle: &SupRef, running: &Running, seed: u64) {
    let mut chance = Chance(seed);
    for _ in 0..ROUNDS {
        let number = usize::try_from(chance.below(6)).unwrap();
        let id = number.to_string();
        match chance.below(7) {
            0 => {
                let spec = child(number, chance.below(6), running);
                drop(handle.start_child(spec));
            }
            1 | 2 => {
                let _answer = handle.terminate(&id);
            }
            3 | 4 => drop(handle.restart(&id)),
            5 => {
                let _answer = handle.delete(&id);
            }
            _ => {
                let _seen = (handle.children(), handle.count(), handle.tree());
            }
        }
    }
}

fn race(strategy: Strategy) {
    let running = Running::default();
    let mut builder = Supervisor::builder("race")
        .strategy(strategy)
        .limit(128, Duration::from_nanos(1));
    for number in 0..6 {
        builder = builder.child(child(number, number as u64, &running));
    }
    let supervisor = builder.start().unwrap();
    let handle = supervisor.handle();
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (handle, running) = (&handle, &running);
            scope.spawn(move || ask(handle, running, seed));
        }
    });
    let report = supervisor.shutdown();
    assert!(report.abandoned.is_empty(), "{report}");
    assert!(running.iter().all(|one| one.load(Ordering::Acquire) == 0));
    assert_eq!(TWICE.load(Ordering::Acquire), 0);
}

#[test]
fn and_all_are_answered() {
    alone("and_all_are_answered", || {
        for strategy in [
            Strategy::OneForOne,
            Strategy::OneForAll,
            Strategy::RestForOne,
        ] {
            race(strategy);
        }
    });
}

#[test]
fn also_of_a_supervisor_that_ends_meanwhile_in_another_one() {
    alone(
        "also_of_a_supervisor_that_ends_meanwhile_in_another_one",
        nested,
    );
}

fn nested() {
    let running = Running::default();
    let inner = {
        let running = running.clone();
        move || {
            let builder = Supervisor::builder("inner").limit(3, HOUR);
            builder
                .child(child(0, 0, &running))
                .child(child(1, 1, &running))
        }
    };
    let supervisor = Supervisor::builder("outer")
        .limit(128, Duration::from_nanos(1))
        .child(ChildSpec::supervisor("inner", inner))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (handle, running) = (&handle, &running);
            scope.spawn(move || {
                for part in 0..10 {
                    if let Some(inner) = handle.supervisor("inner") {
                        ask(&inner, running, seed * 100 + part);
                        if seed == 0 {
                            inner.request_stop();
                        }
                    }
                    if seed == 1 {
                        let _answer = handle.terminate("inner");
                        drop(handle.restart("inner"));
                    }
                }
            });
        }
    });
    let report = supervisor.shutdown();
    assert!(report.abandoned.is_empty(), "{report}");
    assert!(running.iter().all(|one| one.load(Ordering::Acquire) == 0));
    assert_eq!(TWICE.load(Ordering::Acquire), 0);
    let begun = std::time::Instant::now();
    while process::threads() > 0 {
        assert!(begun.elapsed() < PATIENCE, "a thread is left");
        std::thread::yield_now();
    }
}
