//! Tasks of a main loop under supervision, in fixed memory: the machine's clock is the timer interrupt's
//! ticks, and a task is called again and again until it says how it ended.
//!
//! Four facts are proved, each by one function:
//! 1. tasks start in order, each when the one before it is ready;
//! 2. when one fails, it and those after it are stopped in reverse and started in order;
//! 3. a task that does not stop is shut out at its limit, replaced, and recognised when it ends after all;
//! 4. a task that fails too often ends the supervisor, after all the others.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, ChildKey, ChildPlan, Config, End, Event, Exit, FixedChildren, IncarnationId, Machine,
    Phase, Ready, Restart, RestartIntensity, Stop, Strategy,
};
use bedplate_firmware::board::Timer;
use bedplate_firmware::{proof, report};
use core::time::Duration;
use portable_atomic::{AtomicU32, Ordering};

/// What the main loop runs.
const NAMES: [&str; 3] = ["sensor", "filter", "link"];
const SENSOR: usize = 0;
const LINK: usize = 2;
/// How many calls a task takes to become ready.
const WARM_UP: u32 = 3;
/// How many ticks a task may take to stop.
const LIMIT: u64 = 20;
/// How many restarts are allowed in a period longer than the proof.
const RESTARTS: u32 = 4;

type Decisions = Machine<FixedChildren<&'static str, 3>, 4>;

/// Only the handler writes it.
static TICKS: AtomicU32 = AtomicU32::new(0);

proof!(main: main, timer: on_timer);

fn on_timer() {
    // Relaxed: nothing is read through it.
    let ticks = TICKS.load(Ordering::Relaxed);
    TICKS.store(ticks + 1, Ordering::Relaxed);
}

/// One run of a task.
#[derive(Clone, Copy)]
struct Run {
    id: IncarnationId,
    calls: u32,
    asked_to_stop: bool,
}

/// The main loop: what runs, what hangs, and what it has been told.
struct Loop {
    machine: Decisions,
    keys: [ChildKey; 3],
    running: [Option<Run>; 3],
    /// The task that fails at its next call, and the one that ignores requests.
    fails: Option<usize>,
    deaf: Option<usize>,
    abandoned: Option<IncarnationId>,
    late: u32,
    /// The places of the tasks that were started and stopped, in order: stops counted from ten.
    log: [u8; 32],
    logged: usize,
    end: Option<End>,
}

fn main() {
    let timer = Timer::every(100_000);
    let mut main = Loop::new();
    report::say!(
        "a machine for three tasks: {} bytes",
        size_of::<Decisions>()
    );
    started_in_order(&mut main);
    restarted_with_those_after_it(&mut main);
    abandoned_and_replaced(&mut main);
    given_up(&mut main);
    timer.stop();
}

fn started_in_order(main: &mut Loop) {
    main.tell(Event::Start);
    while main.machine.phase() != Phase::Running {
        main.turn();
    }
    main.expect(&[0, 1, 2]);
    assert_eq!(main.machine.count().active, 3);
}

fn restarted_with_those_after_it(main: &mut Loop) {
    main.fails = Some(SENSOR);
    main.until_settled();
    main.expect(&[12, 11, 0, 1, 2]);
}

fn abandoned_and_replaced(main: &mut Loop) {
    main.deaf = Some(LINK);
    main.fails = Some(SENSOR);
    let begun = now();
    main.until_settled();
    main.expect(&[12, 11, 0, 1, 2]);
    assert!(
        now().saturating_duration_since(begun) >= Duration::from_nanos(LIMIT),
        "it was given its time"
    );
    let id = main.abandoned.take().expect("it was abandoned");
    assert_eq!(main.machine.count().abandoned, 1);
    main.tell(Event::Exited(id, Exit::Clean));
    assert_eq!((main.late, main.machine.count().abandoned), (1, 0));
}

fn given_up(main: &mut Loop) {
    for _ in 2..RESTARTS {
        main.fails = Some(LINK);
        main.until_settled();
    }
    main.expect(&[2, 2]);
    main.fails = Some(LINK);
    while main.end.is_none() {
        main.turn();
    }
    let mut right = [11, 10];
    if report::is_planted() {
        right.reverse();
    }
    main.expect(&right);
    assert_eq!(main.end, Some(End::GaveUp(main.keys[LINK])));
    assert_eq!(main.machine.count().active, 0);
}

impl Loop {
    fn new() -> Self {
        let limit = RestartIntensity::new(RESTARTS, Duration::from_secs(3_600));
        let config = Config::new(Strategy::RestForOne, limit.expect("there is room"));
        let machine = Machine::new(config, FixedChildren::new());
        let mut machine = machine.expect("there can be one");
        let stop = Stop::Within(Duration::from_nanos(LIMIT));
        let plan = ChildPlan::new(Restart::Permanent, stop).ready(Ready::Signalled {
            within: Duration::from_nanos(1_000),
        });
        let keys = NAMES.map(|name| machine.add(Some(name), plan).expect("there is room"));
        assert!(machine.add(Some("one more"), plan).is_err());
        Self {
            machine,
            keys,
            running: [None; 3],
            fails: None,
            deaf: None,
            abandoned: None,
            late: 0,
            log: [0; 32],
            logged: 0,
            end: None,
        }
    }

    /// Calls every task once, and looks at the clock.
    fn turn(&mut self) {
        if self.machine.next_deadline().is_some_and(|due| due <= now()) {
            self.tell(Event::Tick);
        }
        for place in 0..NAMES.len() {
            let Some(run) = &mut self.running[place] else {
                continue;
            };
            run.calls += 1;
            let (id, calls, asked) = (run.id, run.calls, run.asked_to_stop);
            let ended = if asked && self.deaf != Some(place) {
                Some(Exit::Clean)
            } else if self.fails == Some(place) && calls > WARM_UP {
                self.fails = None;
                Some(Exit::Abnormal)
            } else {
                None
            };
            if let Some(exit) = ended {
                self.running[place] = None;
                self.tell(Event::Exited(id, exit));
            } else if calls == WARM_UP && !asked {
                self.tell(Event::Ready(id));
            }
        }
    }

    /// Until a failure has happened, and all tasks run again.
    fn until_settled(&mut self) {
        while self.fails.is_some()
            || self.machine.count().active < NAMES.len()
            || self.is_stopping()
        {
            self.turn();
        }
    }

    fn is_stopping(&self) -> bool {
        let mut runs = self.running.iter().flatten();
        runs.any(|run| run.asked_to_stop)
    }

    fn tell(&mut self, event: Event) {
        let actions = self.machine.step(now(), event).expect("it is not late");
        // Three tasks, one after the other: never more than a few.
        let mut taken = [None; 8];
        for (count, action) in actions.enumerate() {
            taken[count] = Some(action);
        }
        for action in taken.into_iter().flatten() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Start(id) => {
                let place = self.place(id.child);
                assert!(self.running[place].is_none(), "a task runs once at a time");
                self.running[place] = Some(Run {
                    id,
                    calls: 0,
                    asked_to_stop: false,
                });
                self.note(place);
            }
            Action::Stop(id) => {
                let place = self.place(id.child);
                let run = self.running[place].as_mut().expect("it runs");
                run.asked_to_stop = true;
                self.note(10 + place);
            }
            Action::Abandon(id) => {
                let place = self.place(id.child);
                self.running[place] = None;
                self.deaf = None;
                self.abandoned = Some(id);
            }
            Action::LateExit(_) => self.late += 1,
            Action::End(end) => self.end = Some(end),
            _ => {}
        }
    }

    fn place(&self, key: ChildKey) -> usize {
        let mut keys = self.keys.iter();
        keys.position(|&other| other == key)
            .expect("it is one of them")
    }

    fn note(&mut self, what: usize) {
        self.log[self.logged] = u8::try_from(what).expect("a small number");
        self.logged += 1;
    }

    fn expect(&mut self, right: &[u8]) {
        assert_eq!(&self.log[..self.logged], right);
        self.logged = 0;
    }
}

/// A tick is a nanosecond of the machine's clock.
fn now() -> Instant {
    Instant::from_nanos(TICKS.load(Ordering::Relaxed).into())
}
