//! The supervision machine in two worlds.
//!
//! [`World`] does at once whatever the machine says, as Erlang/OTP does; there the machine must do
//! exactly what the oracle does ([`run`]), and what OTP itself was recorded doing. In the other one
//! ([`late`]) everything takes its time and news arrive in any order; there is no single truth
//! about the order, but there are promises.

pub mod late;

use super::Bytes;
use crate::oracle::supervision::{Child, Reply, Seen, Setting, State, Supervisor as Oracle, Why};
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, AutoShutdown, Backoff, ChildKey, ChildPlan, ChildState, Config, ControlError, Counts,
    End, Event, Exit, FixedChildren, IncarnationId, Machine, Outcome, Ready, Restart,
    RestartIntensity, Stop, Strategy,
};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

/// The most children and restarts a sequence uses.
const MOST: usize = 16;

type Decisions = Machine<FixedChildren<usize, MOST>, MOST>;

/// Something that happens to a supervisor.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// A child ends by itself.
    Exit(usize, Exit),
    /// The next starts of a child fail.
    FailNext(usize, u32),
    /// In the next starts a child does not become ready.
    SilenceNext(usize, u32),
    /// Time passes.
    Wait(u64),
    /// A child is added.
    StartChild(usize),
    /// A child is stopped.
    Terminate(usize),
    /// A child is started by hand.
    Restart(usize),
    /// A child is forgotten.
    Delete(usize),
    /// Everything is to stop.
    Shutdown,
}

impl Operation {
    /// The next operation on one of `children`, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>, children: u8) -> Option<Self> {
        bytes.more().then(|| {
            let what = bytes.below(64);
            let child = || bytes.below(children).into();
            let mut child = child;
            match what {
                0..=23 => Self::Exit(child(), exit(bytes)),
                24..=29 => Self::FailNext(child(), bytes.below(4).into()),
                30..=32 => Self::SilenceNext(child(), bytes.below(3).into()),
                33..=44 => Self::Wait(bytes.below(12).into()),
                45..=49 => Self::StartChild(child()),
                50..=54 => Self::Terminate(child()),
                55..=59 => Self::Restart(child()),
                60..=62 => Self::Delete(child()),
                _ => Self::Shutdown,
            }
        })
    }
}

fn exit(bytes: &mut Bytes<'_>) -> Exit {
    if bytes.below(2) == 0 {
        Exit::Abnormal
    } else {
        Exit::Clean
    }
}

/// A supervisor, and one to five children. Either some of them keep the supervisor waiting, or it waits
/// before it restarts them: in a world where one thing is done at a time, both at once would have no
/// one order.
fn setting(bytes: &mut Bytes<'_>) -> (Setting, Vec<Child>) {
    let strategy = [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
        Strategy::Dynamic,
    ][usize::from(bytes.below(4))];
    let auto_shutdown = match bytes.below(4) {
        _ if strategy == Strategy::Dynamic => AutoShutdown::Never,
        0 | 1 => AutoShutdown::Never,
        2 => AutoShutdown::AnySignificant,
        _ => AutoShutdown::AllSignificant,
    };
    let patient = bytes.below(2) == 0;
    let children = (0..=bytes.below(5)).map(|_| child(bytes, auto_shutdown, patient));
    let children = children.collect();
    let setting = Setting {
        strategy,
        auto_shutdown,
        intensity: bytes.below(8).into(),
        period: 1 + u64::from(bytes.below(20)),
        budget: (bytes.below(4) == 0).then(|| bytes.below(12).into()),
    };
    (setting, children)
}

fn child(bytes: &mut Bytes<'_>, auto_shutdown: AutoShutdown, patient: bool) -> Child {
    let restart =
        [Restart::Permanent, Restart::Transient, Restart::Temporary][usize::from(bytes.below(3))];
    let significant = restart != Restart::Permanent
        && auto_shutdown != AutoShutdown::Never
        && bytes.below(2) == 0;
    let fails = u32::from(bytes.below(24) == 0);
    let mut child = Child {
        significant,
        fails,
        ..Child::new(restart)
    };
    if patient {
        child.limit = 1 + u64::from(bytes.below(9));
        child.deaf = bytes.below(8) == 0;
        child.ready = bytes.below(4).into();
    } else if bytes.below(3) > 0 {
        let first = 1 + u64::from(bytes.below(5));
        let longest = first + u64::from(bytes.below(9));
        child.backoff = Some((first, longest, bytes.below(20).into()));
    }
    child
}

/// Runs the sequence in `bytes` against the machine and the oracle.
///
/// # Panics
/// If what they do differs, or the order in which they do it, or what they answer.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let (setting, children) = setting(&mut bytes);
    let count = u8::try_from(children.len()).unwrap();
    let dynamic = setting.strategy == Strategy::Dynamic;
    let mut oracle = Oracle::new(setting.clone(), children.clone());
    let mut world = World::new(&setting, children);
    oracle.start();
    world.start();
    loop {
        assert_eq!(world.take_seen(), oracle.take_seen());
        assert_eq!(world.ended(), oracle.ended());
        assert_eq!(world.now(), oracle.now());
        if oracle.ended().is_some() {
            break;
        }
        assert_eq!(world.children(), oracle.children());
        world.check_counts();
        let replies = match Operation::read(&mut bytes, count) {
            Some(Operation::Exit(child, exit)) => {
                oracle.exit(child, exit);
                world.exit(child, exit);
                None
            }
            Some(Operation::FailNext(child, fails)) => {
                oracle.fail_next(child, fails);
                world.fail_next(child, fails);
                None
            }
            Some(Operation::SilenceNext(child, starts)) => {
                oracle.silence_next(child, starts);
                world.silence_next(child, starts);
                None
            }
            Some(Operation::Wait(time)) => {
                oracle.wait(time);
                world.wait(time);
                None
            }
            // Which of several would be meant afterwards?
            Some(Operation::StartChild(child)) if dynamic && world.knows(child) => None,
            Some(Operation::StartChild(child)) => {
                Some((oracle.start_child(child), world.start_child(child)))
            }
            Some(Operation::Terminate(child)) => {
                Some((oracle.terminate(child), world.terminate(child)))
            }
            Some(Operation::Restart(child)) => Some((oracle.restart(child), world.restart(child))),
            Some(Operation::Delete(child)) => Some((oracle.delete(child), world.delete(child))),
            Some(Operation::Shutdown) | None => {
                oracle.shutdown();
                world.shutdown();
                None
            }
        };
        if let Some((right, answered)) = replies {
            assert_eq!(answered, right);
        }
    }
}

/// The machine in a world where everything it orders is done at once.
#[derive(Clone, Debug)]
pub struct World {
    machine: Decisions,
    places: HashMap<ChildKey, usize>,
    children: Vec<Child>,
    dynamic: bool,
    now: u64,
    seen: Vec<Seen>,
    settled: Vec<(ChildKey, Outcome)>,
    ended: Option<Why>,
}

impl World {
    /// Not started.
    ///
    /// # Panics
    /// If there are more children or restarts than there is room for, or one of them cannot be.
    #[must_use]
    pub fn new(setting: &Setting, children: Vec<Child>) -> Self {
        let machine = Machine::new(config(setting), FixedChildren::new()).unwrap();
        let mut world = Self {
            machine,
            places: HashMap::new(),
            dynamic: setting.strategy == Strategy::Dynamic,
            children: Vec::new(),
            now: 0,
            seen: Vec::new(),
            settled: Vec::new(),
            ended: None,
        };
        for (place, child) in children.iter().enumerate() {
            let id = (!world.dynamic).then_some(place);
            let key = world.machine.add(id, plan(child)).unwrap();
            world.places.insert(key, place);
        }
        world.children = children;
        world
    }

    /// Starts the children.
    pub fn start(&mut self) {
        self.happen(Event::Start);
    }

    /// A child ends by itself; returns whether it was running.
    ///
    /// # Panics
    /// If the machine does not know the child it lists.
    pub fn exit(&mut self, child: usize, exit: Exit) -> bool {
        let Some(key) = self.key(child) else {
            return false;
        };
        let present = self.machine.child(key).unwrap();
        if present.state() != ChildState::Running {
            return false;
        }
        let id = IncarnationId {
            child: key,
            number: present.incarnation(),
        };
        self.seen.push(Seen::Ended(child));
        self.happen(Event::Exited(id, exit));
        true
    }

    /// The next `fails` starts of a child fail.
    pub fn fail_next(&mut self, child: usize, fails: u32) {
        self.children[child].fails = fails;
    }

    /// In the next `starts` a child does not become ready.
    pub fn silence_next(&mut self, child: usize, starts: u32) {
        self.children[child].silent = starts;
    }

    /// Time passes.
    pub fn wait(&mut self, time: u64) {
        let then = self.now + time;
        while let Some(due) = self.due().filter(|&due| due <= then) {
            self.now = self.now.max(due);
            self.happen(Event::Tick);
        }
        self.now = self.now.max(then);
    }

    /// Stops everything.
    pub fn shutdown(&mut self) {
        self.happen(Event::Shutdown);
    }

    /// Adds a child behind the others and starts it.
    pub fn start_child(&mut self, child: usize) -> Reply {
        let id = (!self.dynamic).then_some(child);
        let plan = plan(&self.children[child]);
        let started = self.machine.start_child(self.at(), id, plan);
        let started = started.map(|(key, actions)| (key, actions.collect()));
        let key = started.as_ref().ok().map(|&(key, _)| key);
        self.places.extend(key.map(|key| (key, child)));
        self.answer(key, started.map(|(_, actions)| actions))
    }

    /// Stops a child.
    pub fn terminate(&mut self, child: usize) -> Reply {
        let Some(key) = self.key(child) else {
            return Reply::NotFound;
        };
        let actions = self.machine.terminate(self.at(), key);
        let actions = actions.map(Iterator::collect);
        self.answer(Some(key), actions)
    }

    /// Starts a child that is stopped, or waits out its delay.
    pub fn restart(&mut self, child: usize) -> Reply {
        let Some(key) = self.key(child) else {
            return if self.dynamic {
                Reply::Dynamic
            } else {
                Reply::NotFound
            };
        };
        let actions = self.machine.restart(self.at(), key);
        let actions = actions.map(Iterator::collect);
        self.answer(Some(key), actions)
    }

    /// Forgets a child that is stopped.
    pub fn delete(&mut self, child: usize) -> Reply {
        match self.key(child) {
            _ if self.dynamic => Reply::Dynamic,
            None => Reply::NotFound,
            Some(key) => match self.machine.delete(key) {
                Ok(()) => Reply::Done,
                Err(error) => refusal(error),
            },
        }
    }

    /// What has been seen since the last call.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        core::mem::take(&mut self.seen)
    }

    /// Each child that is not forgotten, and what it is doing.
    #[must_use]
    pub fn children(&self) -> Vec<(usize, State)> {
        let state = |state| match state {
            ChildState::Running => State::Running,
            ChildState::Stopped => State::Stopped,
            ChildState::Waiting => State::Waiting,
            ChildState::Backoff { until } => State::Backoff(until.as_nanos()),
            other => unreachable!("{other:?} is over when a call is"),
        };
        let kept = self.machine.children();
        kept.map(|child| (self.places[&child.key()], state(child.state())))
            .collect()
    }

    /// How many children there are.
    #[must_use]
    pub fn count(&self) -> Counts {
        self.machine.count()
    }

    /// Why it ended, if it has.
    #[must_use]
    pub const fn ended(&self) -> Option<Why> {
        self.ended
    }

    /// What time it is.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Whether there is such a child.
    #[must_use]
    pub fn knows(&self, child: usize) -> bool {
        self.key(child).is_some()
    }

    fn check_counts(&self) {
        let children = self.children();
        let count = self.count();
        let running = |&&(_, state): &&(usize, State)| state == State::Running;
        assert_eq!(count.specs, children.len());
        assert_eq!(count.active, children.iter().filter(running).count());
        assert_eq!((count.workers, count.supervisors), (children.len(), 0));
    }

    fn key(&self, child: usize) -> Option<ChildKey> {
        let mut keys = self.machine.children().map(|child| child.key());
        let key = keys.find(|key| self.places[key] == child);
        if !self.dynamic {
            assert_eq!(self.machine.find(&child).map(|child| child.key()), key);
        }
        key
    }

    const fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn due(&self) -> Option<u64> {
        self.machine.next_deadline().map(Instant::as_nanos)
    }

    fn happen(&mut self, event: Event) {
        let actions = self.machine.step(self.at(), event);
        let actions = actions.expect("nothing is late here").collect();
        self.settle(actions);
    }

    fn answer(
        &mut self,
        key: Option<ChildKey>,
        actions: Result<Vec<Action>, ControlError>,
    ) -> Reply {
        self.settled.clear();
        match actions {
            Ok(actions) => self.settle(actions),
            Err(error) => return refusal(error),
        }
        let mut settled = self.settled.iter();
        match settled.find(|&&(child, _)| Some(child) == key) {
            Some((_, Outcome::Started | Outcome::Stopped)) => Reply::Done,
            Some((_, Outcome::StartFailed)) => Reply::StartFailed,
            Some(other) => unreachable!("{other:?}"),
            None => Reply::Later,
        }
    }

    /// Does what is to be done, and what follows from that, until nothing does; where somebody has to be waited
    /// for, time passes.
    fn settle(&mut self, actions: Vec<Action>) {
        let mut events = VecDeque::new();
        self.act_all(actions, &mut events);
        loop {
            let busy = self.machine.children().any(|child| {
                matches!(
                    child.state(),
                    ChildState::Starting | ChildState::Stopping { .. }
                )
            });
            let event = match (events.pop_front(), self.due()) {
                (Some(event), _) => event,
                (None, Some(due)) if busy || due <= self.now => {
                    self.now = self.now.max(due);
                    Event::Tick
                }
                (None, _) => return,
            };
            let actions = self.machine.step(self.at(), event);
            let actions = actions.expect("nothing is late here").collect();
            self.act_all(actions, &mut events);
        }
    }

    fn act_all(&mut self, actions: Vec<Action>, events: &mut VecDeque<Event>) {
        for action in actions {
            self.act(action, events);
        }
    }

    fn act(&mut self, action: Action, events: &mut VecDeque<Event>) {
        let in_time = self.ended.is_none() || matches!(action, Action::LateExit(_));
        assert!(in_time, "{action:?} after the end");
        match action {
            Action::Start(id) => self.start_one(id, events),
            Action::Stop(id) => {
                let place = self.places[&id.child];
                if !self.children[place].deaf {
                    self.seen.push(Seen::Ended(place));
                    events.push_back(Event::Exited(id, Exit::Clean));
                }
            }
            Action::Abandon(id) => {
                let place = self.places[&id.child];
                self.seen.push(Seen::Abandoned(place));
                // It is of no more use to anybody: that it ends now keeps the number of them low.
                events.push_back(Event::Exited(id, Exit::Clean));
            }
            Action::LateExit(_) | Action::Up | Action::Shorten(_) => {}
            Action::Forget(key) => assert!(self.machine.child(key).is_none()),
            Action::Settled(key, outcome) => self.settled.push((key, outcome)),
            Action::End(end) => {
                let place = |key| self.places[&key];
                self.ended = Some(match end {
                    End::Shutdown => Why::Shutdown,
                    End::StartFailed(key) => Why::StartFailed(place(key)),
                    End::GaveUp(key) => Why::GaveUp(place(key)),
                    End::AutoShutdown(key) => Why::AutoShutdown(place(key)),
                    other => unreachable!("{other:?}"),
                });
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn start_one(&mut self, id: IncarnationId, events: &mut VecDeque<Event>) {
        let place = self.places[&id.child];
        let child = &mut self.children[place];
        if child.fails > 0 {
            child.fails -= 1;
            self.seen.push(Seen::StartFailed(place));
            events.push_back(Event::StartFailed(id));
        } else if child.ready > 0 && child.silent > 0 {
            child.silent -= 1;
            self.seen.push(Seen::Silent(place));
            events.push_back(Event::Started(id));
        } else {
            self.seen.push(Seen::Started(place));
            events.push_back(Event::Started(id));
            if child.ready > 0 {
                events.push_back(Event::Ready(id));
            }
        }
    }
}

fn refusal(error: ControlError) -> Reply {
    match error {
        ControlError::NotFound => Reply::NotFound,
        ControlError::Running => Reply::Running,
        ControlError::Restarting => Reply::Restarting,
        ControlError::AlreadyStarted(_) => Reply::AlreadyStarted,
        ControlError::AlreadyPresent(_) => Reply::AlreadyPresent,
        ControlError::Dynamic => Reply::Dynamic,
        other => unreachable!("{other:?}"),
    }
}

/// The setting as the machine takes it.
fn config(setting: &Setting) -> Config<MOST> {
    let period = Duration::from_nanos(setting.period);
    let limit = RestartIntensity::new(setting.intensity, period).unwrap();
    let config = Config::new(setting.strategy, limit).auto_shutdown(setting.auto_shutdown);
    match setting.budget {
        Some(total) => config.shutdown_budget(Duration::from_nanos(total)),
        None => config,
    }
}

/// The child as the machine takes it.
fn plan(child: &Child) -> ChildPlan {
    let nanos = Duration::from_nanos;
    let mut plan = ChildPlan::new(child.restart, Stop::Within(nanos(child.limit)))
        .significant(child.significant);
    if child.ready > 0 {
        plan = plan.ready(Ready::Signalled {
            within: nanos(child.ready),
        });
    }
    if let Some((first, longest, reset)) = child.backoff {
        let backoff = Backoff::new(nanos(first), nanos(longest)).unwrap();
        plan = plan.backoff(backoff.reset_after(nanos(reset)));
    }
    plan
}
