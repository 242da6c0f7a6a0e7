//! Supervision in a super-loop: three tasks, of which one crashes ever again.
//!
//! The loop polls its tasks, tells the machine what became of them, and does what it says; time comes from
//! the timer interrupt. Three facts are proved:
//! 1. a crash takes those along that the strategy says, and they come back in order, neither before nor much
//!    after their delay;
//! 2. one crash more than the intensity allows ends the supervisor, and its tasks stop in reverse order;
//! 3. a task's name is gone as long as it does not run, and there again when it does.

#![no_std]
#![no_main]

use bedplate_core::clock::Instant;
use bedplate_core::id::FixedPidAllocator;
use bedplate_core::registry::{CriticalSectionLock, FixedOwner, FixedRegistry};
use bedplate_core::supervision::{
    Action, Backoff, ChildKey, ChildPlan, Config, End, Event, Exit, FixedChildren, IncarnationId,
    Machine, Restart, RestartIntensity, Stop, Strategy,
};
use bedplate_firmware::board::Timer;
use bedplate_firmware::{proof, report};
use core::time::Duration;
use portable_atomic::{AtomicU32, Ordering};

const NAMES: [&str; 3] = ["sensor", "filter", "radio"];
/// Which of them crashes.
const BAD: usize = 1;
/// So often it is started again.
const INTENSITY: u32 = 4;
const NANOS_PER_TICK: u64 = 1_000_000;
/// How long it is not started again, in ticks.
const DELAY: u64 = 20;
/// How many ticks the loop may take for one round.
const ROUND: u64 = 2;

static DIRECTORY: FixedRegistry<&str, usize, 4, CriticalSectionLock> = FixedRegistry::new();
/// The clock. Relaxed throughout: there is one core.
static TICKS: AtomicU32 = AtomicU32::new(0);

proof!(main: main, timer: on_timer);

fn on_timer() {
    TICKS.store(TICKS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

fn main() {
    let timer = Timer::every(200_000);
    // The crashing one alone; it and who was started after it; all.
    for (strategy, starts) in [
        (Strategy::OneForOne, [1, INTENSITY + 1, 1]),
        (Strategy::RestForOne, [1, INTENSITY + 1, INTENSITY + 1]),
        (Strategy::OneForAll, [INTENSITY + 1; 3]),
    ] {
        let mut system = System::new(strategy);
        let end = system.run();
        let planted = u32::from(report::is_planted());
        report::say!("{strategy:?}: started {:?}", system.starts);
        assert_eq!(end, End::GaveUp(system.keys[BAD]));
        assert_eq!(system.starts.map(|starts| starts + planted), starts);
        assert_eq!(system.crashes, INTENSITY + 1);
        assert_eq!(system.starts, system.ends, "each came to its end");
        assert!(DIRECTORY.is_empty());
    }
    timer.stop();
}

/// A task that runs.
struct Task {
    id: IncarnationId,
    polls: u32,
    is_asked_to_stop: bool,
    /// Its name goes with it.
    _name: FixedOwner<'static, &'static str, usize, 4, CriticalSectionLock>,
}

struct System {
    machine: Machine<FixedChildren<usize, 3>, 8>,
    keys: [ChildKey; 3],
    tasks: [Option<Task>; 3],
    pids: FixedPidAllocator<3>,
    starts: [u32; 3],
    ends: [u32; 3],
    crashes: u32,
    /// When the bad one crashed.
    crashed: Instant,
    /// Who stopped last, while all are stopped at the end.
    last_stopped: usize,
}

impl System {
    fn new(strategy: Strategy) -> Self {
        let period = Duration::from_nanos(10_000 * NANOS_PER_TICK);
        let limit = RestartIntensity::new(INTENSITY, period).expect("there is room for so many");
        let config = Config::new(strategy, limit);
        let mut machine =
            Machine::new(config, FixedChildren::new()).expect("there is such a supervisor");
        let delay = Duration::from_nanos(DELAY * NANOS_PER_TICK);
        let backoff = Backoff::new(delay, delay).expect("one is not above the other");
        let plan = ChildPlan::new(Restart::Permanent, Stop::default()).backoff(backoff);
        let keys = [0, 1, 2].map(|which| machine.add(Some(which), plan).expect("there is room"));
        Self {
            machine,
            keys,
            tasks: [const { None }; 3],
            pids: FixedPidAllocator::new(),
            starts: [0; 3],
            ends: [0; 3],
            crashes: 0,
            crashed: Instant::ZERO,
            last_stopped: usize::MAX,
        }
    }

    /// The super-loop, until the supervisor ends.
    fn run(&mut self) -> End {
        let mut end = self.happened(Event::Start);
        while end.is_none() {
            for which in 0..self.tasks.len() {
                if let Some(event) = self.poll(which) {
                    end = end.or(self.happened(event));
                }
            }
            if self.machine.next_deadline().is_some_and(|due| due <= now()) {
                end = end.or(self.happened(Event::Tick));
            }
            for (name, task) in NAMES.iter().zip(&self.tasks) {
                let number = DIRECTORY.lookup(name).map(|(_, number)| number);
                assert_eq!(number, task.as_ref().map(|task| task.id.number as usize));
            }
        }
        end.expect("the loop ended")
    }

    /// Lets a task run a little; says what it came to.
    fn poll(&mut self, which: usize) -> Option<Event> {
        let task = self.tasks[which].as_mut()?;
        task.polls += 1;
        let (id, has_crashed) = (task.id, which == BAD && task.polls == 5);
        if !has_crashed && !task.is_asked_to_stop {
            return None;
        }
        // What it held is released before anybody is told.
        self.tasks[which] = None;
        self.ends[which] += 1;
        if has_crashed {
            self.crashes += 1;
            self.crashed = now();
            return Some(Event::Exited(id, Exit::Abnormal));
        }
        Some(Event::Exited(id, Exit::Clean))
    }

    /// Tells the machine, and does what it says, with all that comes of it.
    fn happened(&mut self, event: Event) -> Option<End> {
        let mut next = Some(event);
        let mut end = None;
        while let Some(event) = next.take() {
            let (mut actions, mut many) = ([None; 8], 0);
            for action in self.machine.step(now(), event).expect("nothing is late") {
                actions[many] = Some(action);
                many += 1;
            }
            for action in actions.into_iter().flatten() {
                match action {
                    Action::Start(id) => {
                        assert!(next.is_none(), "one start at a time");
                        next = Some(self.start(id));
                    }
                    Action::Stop(id) => self.stop(id),
                    Action::Up => report::say!("up at {}", TICKS.load(Ordering::Relaxed)),
                    Action::End(why) => end = Some(why),
                    other => panic!("{other:?} was not expected"),
                }
            }
        }
        end
    }

    fn start(&mut self, id: IncarnationId) -> Event {
        let which = self.which(id);
        if which == BAD && id.number > 1 {
            let waited = now().saturating_duration_since(self.crashed);
            let ticks = waited.as_nanos() as u64 / NANOS_PER_TICK;
            // The first restart is made at once.
            let delay = if id.number == 2 { 0 } else { DELAY };
            assert!(
                (delay..=delay + ROUND).contains(&ticks),
                "started again after {ticks} ticks"
            );
        }
        let pid = self.pids.allocate().expect("three tasks at most");
        let mut name = DIRECTORY.owner(pid);
        name.register(NAMES[which], id.number as usize)
            .expect("the last incarnation's name is gone");
        let task = Task {
            id,
            polls: 0,
            is_asked_to_stop: false,
            _name: name,
        };
        assert!(self.tasks[which].replace(task).is_none());
        assert!(self.pids.release(pid), "its slot may be used again");
        self.starts[which] += 1;
        Event::Started(id)
    }

    fn stop(&mut self, id: IncarnationId) {
        let which = self.which(id);
        if self.crashes == INTENSITY + 1 {
            assert!(which < self.last_stopped, "the last started stops first");
            self.last_stopped = which;
        }
        let task = self.tasks[which].as_mut().expect("it runs");
        assert_eq!(task.id, id);
        task.is_asked_to_stop = true;
    }

    fn which(&self, id: IncarnationId) -> usize {
        let child = self.machine.child(id.child).expect("a child of ours");
        *child.id().expect("all have one")
    }
}

fn now() -> Instant {
    Instant::from_nanos(u64::from(TICKS.load(Ordering::Relaxed)) * NANOS_PER_TICK)
}
