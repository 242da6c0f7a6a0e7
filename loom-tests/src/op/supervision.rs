//! The supervision machine in two worlds.
//!
//! [`World`] does at once whatever the machine says, as Erlang/OTP does; there the machine must do
//! exactly what the oracle does ([`run`]), and what OTP itself was recorded doing. In the other one
//! ([`run_late`]) everything takes its time and news arrive in any order; there is no single truth
//! about the order, but there are promises.

use super::Bytes;
use crate::oracle::intensity::Intensity;
use crate::oracle::supervision::{Child, Seen, Supervisor as Oracle, Why};
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, ChildKey, ChildPlan, ChildState, End, Event, Exit, FixedChildren, IncarnationId,
    Machine, Phase, Restart, RestartIntensity, Stop, Strategy,
};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

/// The most children and restarts a sequence uses.
const MOST: usize = 16;

type Decisions = Machine<FixedChildren<MOST>, MOST>;

/// Something that happens to a supervisor.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// A child ends by itself.
    Exit(usize, Exit),
    /// The next starts of a child fail.
    FailNext(usize, u32),
    /// Time passes.
    Wait(u64),
    /// Everything is to stop.
    Shutdown,
}

impl Operation {
    /// The next operation on one of `children`, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>, children: u8) -> Option<Self> {
        bytes.more().then(|| match bytes.below(32) {
            0..=17 => Self::Exit(bytes.below(children).into(), exit(bytes)),
            18..=22 => Self::FailNext(bytes.below(children).into(), bytes.below(4).into()),
            23..=30 => Self::Wait(bytes.below(12).into()),
            _ => Self::Shutdown,
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

/// One to five children, and a restart limit.
fn setting(bytes: &mut Bytes<'_>) -> (Vec<Child>, u32, u64) {
    let children = 1 + bytes.below(5);
    let children = (0..children).map(|_| Child {
        restart: [Restart::Permanent, Restart::Transient, Restart::Temporary]
            [usize::from(bytes.below(3))],
        limit: 1 + u64::from(bytes.below(9)),
        deaf: bytes.below(8) == 0,
        fails: u32::from(bytes.below(24) == 0),
    });
    (
        children.collect(),
        u32::from(bytes.below(5)),
        1 + u64::from(bytes.below(20)),
    )
}

/// Runs the sequence in `bytes` against the machine and the oracle.
///
/// # Panics
/// If what they do differs, or the order in which they do it.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let (children, intensity, period) = setting(&mut bytes);
    let count = u8::try_from(children.len()).unwrap();
    let mut oracle = Oracle::new(
        children.clone(),
        Intensity::new(intensity.try_into().unwrap(), period),
    );
    let mut world = World::new(children, intensity, Duration::from_nanos(period));
    oracle.start();
    world.start();
    loop {
        assert_eq!(world.take_seen(), oracle.take_seen());
        assert_eq!(world.children(), oracle.children());
        assert_eq!(world.ended(), oracle.ended());
        if oracle.ended().is_some() {
            break;
        }
        match Operation::read(&mut bytes, count) {
            Some(Operation::Exit(child, exit)) => {
                oracle.exit(child, exit);
                world.exit(child, exit);
            }
            Some(Operation::FailNext(child, fails)) => {
                oracle.fail_next(child, fails);
                world.fail_next(child, fails);
            }
            Some(Operation::Wait(time)) => {
                oracle.wait(time);
                world.wait(time);
            }
            Some(Operation::Shutdown) | None => {
                oracle.shutdown();
                world.shutdown();
            }
        }
    }
}

/// The machine in a world where everything it orders is done at once.
#[derive(Clone, Debug)]
pub struct World {
    machine: Decisions,
    keys: Vec<ChildKey>,
    children: Vec<Child>,
    now: u64,
    seen: Vec<Seen>,
    ended: Option<Why>,
}

impl World {
    /// Not started.
    ///
    /// # Panics
    /// If there are more children or restarts than there is room for.
    #[must_use]
    pub fn new(children: Vec<Child>, intensity: u32, period: Duration) -> Self {
        let limit = RestartIntensity::new(intensity, period).unwrap();
        let mut machine = Machine::new(Strategy::OneForOne, limit, FixedChildren::new());
        let plans = children.iter().map(plan);
        let keys = plans.map(|plan| machine.add(plan).unwrap()).collect();
        Self {
            machine,
            keys,
            children,
            now: 0,
            seen: Vec::new(),
            ended: None,
        }
    }

    /// Starts the children.
    pub fn start(&mut self) {
        self.settle(Event::Start);
    }

    /// A child ends by itself; returns whether it was running.
    pub fn exit(&mut self, child: usize, exit: Exit) -> bool {
        let Some(present) = self.machine.child(self.keys[child]) else {
            return false;
        };
        if present.state() != ChildState::Running {
            return false;
        }
        let id = IncarnationId {
            child: present.key(),
            number: present.incarnation(),
        };
        self.seen.push(Seen::Ended(child));
        self.settle(Event::Exited(id, exit));
        true
    }

    /// The next `fails` starts of a child fail.
    pub fn fail_next(&mut self, child: usize, fails: u32) {
        self.children[child].fails = fails;
    }

    /// Time passes.
    pub fn wait(&mut self, time: u64) {
        self.now += time;
    }

    /// Stops everything.
    pub fn shutdown(&mut self) {
        self.settle(Event::Shutdown);
    }

    /// What has been seen since the last call.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        core::mem::take(&mut self.seen)
    }

    /// Each child that is not forgotten, and whether it runs.
    #[must_use]
    pub fn children(&self) -> Vec<(usize, bool)> {
        let kept = self.machine.children().iter();
        kept.map(|child| (self.place(child.key()), child.state().is_active()))
            .collect()
    }

    /// Why it ended, if it has.
    #[must_use]
    pub const fn ended(&self) -> Option<Why> {
        self.ended
    }

    fn place(&self, key: ChildKey) -> usize {
        self.keys.iter().position(|&other| other == key).unwrap()
    }

    /// Does what follows from `event`, and what follows from that, until nothing does.
    fn settle(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        loop {
            let event = match (events.pop_front(), self.machine.next_deadline()) {
                (Some(event), _) => event,
                (None, Some(deadline)) => {
                    self.now = deadline.as_nanos();
                    Event::Tick
                }
                (None, None) => return,
            };
            let actions = self.machine.step(Instant::from_nanos(self.now), event);
            for action in actions.expect("nothing is late here") {
                events.extend(self.act(action));
            }
        }
    }

    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Start(id) => {
                let place = self.place(id.child);
                let fails = &mut self.children[place].fails;
                if *fails > 0 {
                    *fails -= 1;
                    self.seen.push(Seen::StartFailed(place));
                    return Some(Event::StartFailed(id));
                }
                self.seen.push(Seen::Started(place));
                return Some(Event::Started(id));
            }
            Action::Stop(id) => {
                let place = self.place(id.child);
                if !self.children[place].deaf {
                    self.seen.push(Seen::Ended(place));
                    return Some(Event::Exited(id, Exit::Clean));
                }
            }
            Action::Abandon(id) => self.seen.push(Seen::Abandoned(self.place(id.child))),
            Action::End(end) => {
                assert_eq!(self.ended, None, "it ends once");
                self.ended = Some(match end {
                    End::Shutdown => Why::Shutdown,
                    End::StartFailed(key) => Why::StartFailed(self.place(key)),
                    End::GaveUp(key) => Why::GaveUp(self.place(key)),
                    _ => unreachable!("an end this driver does not know"),
                });
            }
            Action::Up | Action::Forget(_) => {}
            _ => unreachable!("an action this driver does not know"),
        }
        None
    }
}

fn plan(child: &Child) -> ChildPlan {
    ChildPlan::new(
        child.restart,
        Stop::Within(Duration::from_nanos(child.limit)),
    )
}

/// Runs the machine while starts are confirmed late or not at all before the exit, exits arrive in
/// any order, ticks come early and late, and old news is repeated.
///
/// # Panics
/// If a child runs twice at a time, children are not started one by one in order, numbers do not ascend, children are not stopped one by one from
/// the last to the first, restarts exceed the intensity, old news has an effect, or the end does not
/// come once and after everything else.
pub fn run_late(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let (children, intensity, period) = setting(&mut bytes);
    let mut late = Late::new(&children, intensity, period);
    late.step(Event::Start);
    while bytes.more() {
        match bytes.below(16) {
            0..=3 => late.answer_a_start(&mut bytes),
            4..=8 => late.end_somebody(&mut bytes),
            9 | 10 => late.repeat_old_news(&mut bytes),
            11..=13 => late.now += u64::from(bytes.below(12)),
            14 => late.step(Event::Tick),
            _ if bytes.below(4) == 0 => late.step(Event::Shutdown),
            _ => {}
        }
    }
    late.step(Event::Shutdown);
    while let Some(&(id, _)) = late.alive.last() {
        late.over(id, Event::Exited(id, Exit::Clean));
    }
    late.assert_at_rest();
}

struct Late {
    machine: Decisions,
    now: u64,
    limit: Intensity,
    /// Whose start was ordered and whose end the machine has not been told, and whether the start
    /// was answered.
    alive: Vec<(IncarnationId, bool)>,
    /// Who is being stopped, and until when it may take.
    asked: Option<(IncarnationId, u64)>,
    old_news: Vec<Event>,
    last_number: HashMap<ChildKey, u64>,
    /// How long each child may take to stop.
    limits: HashMap<ChildKey, u64>,
    ended: bool,
}

impl Late {
    fn new(children: &[Child], intensity: u32, period: u64) -> Self {
        let limit = RestartIntensity::new(intensity, Duration::from_nanos(period)).unwrap();
        let mut machine = Machine::new(Strategy::OneForOne, limit, FixedChildren::new());
        let added = children
            .iter()
            .map(|child| (machine.add(plan(child)).unwrap(), child));
        let (last_number, limits) = added
            .map(|(key, child)| ((key, 0), (key, child.limit)))
            .unzip();
        Self {
            machine,
            now: 0,
            limit: Intensity::new(intensity.try_into().unwrap(), period),
            alive: Vec::new(),
            asked: None,
            old_news: Vec::new(),
            last_number,
            limits,
            ended: false,
        }
    }

    fn pick(&self, bytes: &mut Bytes<'_>) -> Option<(IncarnationId, bool)> {
        let count = u8::try_from(self.alive.len()).unwrap();
        (count > 0).then(|| self.alive[usize::from(bytes.below(count))])
    }

    fn answer_a_start(&mut self, bytes: &mut Bytes<'_>) {
        match self.pick(bytes) {
            Some((id, false)) if bytes.below(4) == 0 => self.over(id, Event::StartFailed(id)),
            Some((id, false)) => {
                let place = self
                    .alive
                    .iter()
                    .position(|&(other, _)| other == id)
                    .unwrap();
                self.alive[place].1 = true;
                self.step(Event::Started(id));
                self.old_news.push(Event::Started(id));
            }
            _ => {}
        }
    }

    fn end_somebody(&mut self, bytes: &mut Bytes<'_>) {
        if let Some((id, _)) = self.pick(bytes) {
            self.over(id, Event::Exited(id, exit(bytes)));
        }
    }

    fn over(&mut self, id: IncarnationId, event: Event) {
        self.alive.retain(|&(other, _)| other != id);
        self.asked = self.asked.filter(|&(asked, _)| asked != id);
        self.step(event);
        self.old_news
            .extend([event, Event::Started(id), Event::StartFailed(id)]);
    }

    fn repeat_old_news(&mut self, bytes: &mut Bytes<'_>) {
        let count = self.old_news.len().min(200);
        if count == 0 {
            return;
        }
        let place = usize::from(bytes.below(u8::try_from(count).unwrap()));
        let event = self.old_news[place];
        if let Event::Started(id) = event
            && self.alive.iter().any(|&(other, _)| other == id)
        {
            return;
        }
        let before = self.machine.clone();
        assert!(
            self.machine
                .step(Instant::from_nanos(self.now), event)
                .is_err()
        );
        assert_eq!(self.machine.phase(), before.phase());
        assert_eq!(self.machine.next_deadline(), before.next_deadline());
    }

    fn step(&mut self, event: Event) {
        let actions = self.machine.step(Instant::from_nanos(self.now), event);
        for action in actions.expect("it is not late") {
            assert!(!self.ended, "{action:?} after the end");
            match action {
                Action::Start(id) => self.started(id),
                Action::Stop(id) => {
                    assert_eq!(self.asked, None, "one at a time");
                    let last = self.alive.iter().map(|&(other, _)| other.child).max();
                    assert_eq!(last, Some(id.child), "from the last to the first");
                    let limit = self.limits[&id.child];
                    self.asked = Some((id, self.now + limit));
                }
                Action::Abandon(id) => {
                    let (asked, deadline) = self.asked.take().expect("somebody was asked");
                    assert_eq!(asked, id, "who was not asked is not late");
                    assert!(self.now >= deadline, "it still has time");
                    self.alive.retain(|&(other, _)| other != id);
                    self.old_news.push(Event::Exited(id, Exit::Clean));
                }
                Action::Forget(key) => assert!(self.machine.child(key).is_none()),
                Action::Up => assert_eq!(self.machine.phase(), Phase::Running),
                Action::End(_) => {
                    assert!(self.alive.is_empty(), "it ends after everybody else");
                    self.ended = true;
                }
                _ => unreachable!("an action this driver does not know"),
            }
        }
        // First starts come one after the other, and as long as there are some to come, one is
        // under way.
        let mut first_starts = self.alive.iter().filter(|(id, _)| id.number == 1);
        let under_way = first_starts.any(|&(_, answered)| !answered);
        match self.machine.phase() {
            Phase::Starting => assert!(under_way, "the start is stuck"),
            Phase::Running => assert!(!under_way),
            _ => {}
        }
    }

    fn started(&mut self, id: IncarnationId) {
        let twin = self.alive.iter().any(|&(other, _)| other.child == id.child);
        assert!(!twin, "a child runs once at a time");
        let last = self.last_number.get_mut(&id.child).unwrap();
        assert_eq!(id.number, *last + 1);
        *last = id.number;
        if id.number == 1 {
            let mut others = self.alive.iter();
            let in_order = others
                .all(|(other, answered)| other.number > 1 || (*answered && other.child < id.child));
            assert!(in_order, "first starts come one after the other");
        } else {
            assert!(self.limit.admit(self.now), "more restarts than allowed");
        }
        self.alive.push((id, false));
    }

    fn assert_at_rest(&mut self) {
        assert!(self.ended && self.asked.is_none() && self.alive.is_empty());
        assert!(matches!(self.machine.phase(), Phase::Ended(_)));
        assert_eq!(self.machine.next_deadline(), None);
        assert!(
            self.machine
                .children()
                .iter()
                .all(|child| !child.state().is_active())
        );
        self.step(Event::Shutdown);
        self.step(Event::Tick);
    }
}
