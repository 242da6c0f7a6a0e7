//! The world in which everything takes its time.
//!
//! Starts are confirmed late or not at all before the exit, exits arrive in any order, ticks come early and
//! late, old news is repeated, and people ask for this and that meanwhile. What must hold all the same is
//! asserted after every step.

use super::{Bytes, Decisions, MOST, config, exit, plan, setting};
use crate::oracle::intensity::Intensity;
use crate::oracle::supervision::{Child, Setting};
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, AutoShutdown, ChildKey, ChildState, Config, ControlError, Event, Exit, FixedChildren,
    IncarnationId, Machine, Phase, RestartIntensity, Strategy,
};
use core::time::Duration;
use std::collections::{HashMap, HashSet};

/// Runs the machine through the sequence in `bytes`.
///
/// # Panics
/// If a promise is broken: a child runs twice at a time, numbers do not ascend, children are started
/// before those before them, or stopped before those behind them, restarts exceed the intensity, old
/// news has an effect, somebody is abandoned too early, something is forgotten about, or the end does
/// not come once and after everything else.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let by_hand = bytes.below(2) == 0;
    let (setting, children) = setting(&mut bytes);
    let mut late = Late::new(setting, children);
    late.step(Event::Start);
    while bytes.more() {
        match bytes.below(24) {
            0..=4 => late.answer_a_start(&mut bytes),
            5..=9 => late.end_somebody(&mut bytes),
            10 | 11 => late.repeat_old_news(&mut bytes),
            12..=14 => late.now += u64::from(bytes.below(12)),
            15 | 16 => late.step(Event::Tick),
            17..=22 if by_hand => late.ask(&mut bytes),
            23 => match bytes.below(4) {
                0 => late.step(Event::Shutdown),
                2 | 3 => late.find_stuck(),
                _ => {}
            },
            _ => {}
        }
    }
    late.finish();
}

struct Late {
    machine: Decisions,
    setting: Setting,
    children: Vec<Child>,
    now: u64,
    limit: Intensity,
    /// Whose start was ordered and whose end the machine has not been told, and whether the start
    /// was answered.
    alive: Vec<(IncarnationId, bool)>,
    /// Who was abandoned, and whether its start had been answered.
    abandoned: Vec<(IncarnationId, bool)>,
    /// Who was found to be stuck.
    stuck: HashSet<IncarnationId>,
    old_news: Vec<Event>,
    last_number: HashMap<ChildKey, u64>,
    /// For whom something was asked that is not settled.
    asked: HashSet<ChildKey>,
    /// Whether somebody had a hand in it, so that children need not come and go in order.
    disturbed: bool,
    ended: bool,
}

impl Late {
    fn new(setting: Setting, children: Vec<Child>) -> Self {
        let mut machine = Machine::new(config(&setting), FixedChildren::new()).unwrap();
        let dynamic = setting.strategy == Strategy::Dynamic;
        for (place, child) in children.iter().enumerate() {
            let id = (!dynamic).then_some(place);
            machine.add(id, plan(child)).unwrap();
        }
        Self {
            machine,
            limit: Intensity::new(setting.intensity as usize, setting.period),
            setting,
            children,
            now: 0,
            alive: Vec::new(),
            abandoned: Vec::new(),
            stuck: HashSet::new(),
            old_news: Vec::new(),
            last_number: HashMap::new(),
            asked: HashSet::new(),
            disturbed: false,
            ended: false,
        }
    }

    const fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn is_dynamic(&self) -> bool {
        self.setting.strategy == Strategy::Dynamic
    }

    fn answer_a_start(&mut self, bytes: &mut Bytes<'_>) {
        let Some(&(id, answered)) = bytes.one_of(&self.alive) else {
            return;
        };
        match bytes.below(8) {
            // No byte decides that, so that inputs that were kept mean what they meant.
            0 if !answered && self.now % 2 == 1 => self.over(id, Event::Refused(id)),
            0 if !answered => self.over(id, Event::StartFailed(id)),
            1 if !answered => self.over(id, Event::Declined(id)),
            2..=4 => self.confirm(id, Event::Ready(id)),
            _ => self.confirm(id, Event::Started(id)),
        }
    }

    fn confirm(&mut self, id: IncarnationId, event: Event) {
        for (other, answered) in &mut self.alive {
            *answered |= *other == id;
        }
        let running = self.state(id.child) == Some(ChildState::Running);
        if running {
            // It was confirmed before, in one way or the other.
            self.refuse(event);
        } else {
            self.step(event);
        }
    }

    fn end_somebody(&mut self, bytes: &mut Bytes<'_>) {
        let exit = exit(bytes);
        if bytes.below(4) == 0
            && let Some(&(id, answered)) = bytes.one_of(&self.abandoned)
        {
            self.abandoned.retain(|&(other, _)| other != id);
            self.end_late(id, answered, exit);
        } else if let Some(&(id, _)) = bytes.one_of(&self.alive) {
            self.over(id, Event::Exited(id, exit));
        }
    }

    /// One that was abandoned ends; or fails to start, if nobody said that it runs: the time decides, and no byte either.
    fn end_late(&mut self, id: IncarnationId, answered: bool, exit: Exit) {
        let event = match self.now % 4 {
            0 if !answered => Event::StartFailed(id),
            1 if !answered => Event::Refused(id),
            2 if !answered => Event::Declined(id),
            _ => Event::Exited(id, exit),
        };
        let (before, count) = (self.states(), self.machine.count().abandoned);
        let actions = self.machine.step(self.at(), event);
        let actions: Vec<_> = actions.expect("it is the first time").collect();
        assert_eq!(actions, [Action::LateExit(id)]);
        assert_eq!(self.states(), before);
        assert_eq!(self.machine.count().abandoned, count - 1);
        self.old_news.extend([
            event,
            Event::Exited(id, exit),
            Event::StartFailed(id),
            Event::Declined(id),
        ]);
    }

    fn over(&mut self, id: IncarnationId, event: Event) {
        self.alive.retain(|&(other, _)| other != id);
        self.step(event);
        self.old_news.extend([
            event,
            Event::Started(id),
            Event::StartFailed(id),
            Event::Refused(id),
            Event::Ready(id),
            Event::Stuck(id),
        ]);
    }

    /// One of those alive is found to be stuck: the time decides which, and no byte either.
    fn find_stuck(&mut self) {
        let count = u64::try_from(self.alive.len()).unwrap();
        let Some(which) = self.now.checked_rem(count) else {
            return;
        };
        let (id, _) = self.alive[usize::try_from(which).unwrap()];
        if self.state(id.child) == Some(ChildState::Running) {
            self.step(Event::Stuck(id));
            self.stuck.insert(id);
        } else {
            self.refuse(Event::Stuck(id));
        }
    }

    fn repeat_old_news(&mut self, bytes: &mut Bytes<'_>) {
        if let Some(&event) = bytes.one_of(&self.old_news) {
            self.refuse(event);
        }
    }

    fn refuse(&mut self, event: Event) {
        let before = (
            self.machine.phase(),
            self.machine.next_deadline(),
            self.states(),
        );
        assert!(self.machine.step(self.at(), event).is_err(), "{event:?}");
        let after = (
            self.machine.phase(),
            self.machine.next_deadline(),
            self.states(),
        );
        assert_eq!(after, before);
    }

    /// Something is asked for by hand.
    fn ask(&mut self, bytes: &mut Bytes<'_>) {
        let known: Vec<_> = self.machine.children().map(|child| child.key()).collect();
        let now = self.at();
        let what = bytes.below(8);
        let place = bytes.below(u8::try_from(self.children.len()).unwrap());
        let place = usize::from(place);
        if what < 2 {
            let id = (!self.is_dynamic()).then_some(place);
            let started = self
                .machine
                .start_child(now, id, plan(&self.children[place]));
            let started = started.map(|(key, actions)| (key, actions.collect()));
            self.disturbed = true;
            match started {
                Ok((key, actions)) => {
                    self.asked.insert(key);
                    self.act(actions);
                }
                Err(ControlError::Full { limit }) => assert_eq!(limit, MOST),
                Err(ControlError::AlreadyStarted(_) | ControlError::AlreadyPresent(_)) => {
                    assert!(!self.is_dynamic());
                }
                Err(error) => self.is_right_to_refuse(error),
            }
            return;
        }
        if what == 7 {
            return self.reconfigure(bytes);
        }
        let Some(&key) = bytes.one_of(&known) else {
            return;
        };
        let state = self.state(key);
        let answer = match what {
            2 | 3 => self.machine.terminate(now, key).map(Iterator::collect),
            4 | 5 => self.machine.restart(now, key).map(Iterator::collect),
            _ => self.machine.delete(key).map(|()| Vec::new()),
        };
        match answer {
            Ok(actions) => {
                self.disturbed = true;
                if what < 6 {
                    self.asked.insert(key);
                } else {
                    assert_eq!(state, Some(ChildState::Stopped));
                    assert_eq!(self.state(key), None);
                }
                self.act(actions);
            }
            Err(ControlError::Running) => {
                let runs = [ChildState::Running, ChildState::Starting];
                assert!(runs.contains(&state.unwrap()));
            }
            Err(ControlError::Restarting) => assert_ne!(state, Some(ChildState::Running)),
            Err(ControlError::Stopping) => {
                assert!(matches!(state, Some(ChildState::Stopping { .. })));
            }
            Err(ControlError::Dynamic) => assert!(self.is_dynamic()),
            Err(error) => self.is_right_to_refuse(error),
        }
    }

    fn is_right_to_refuse(&self, error: ControlError) {
        match error {
            ControlError::ShuttingDown => {
                assert!(matches!(
                    self.machine.phase(),
                    Phase::Stopping(_) | Phase::Ended(_)
                ));
            }
            ControlError::BadPlan(_) => {}
            other => unreachable!("{other:?}"),
        }
    }

    fn reconfigure(&mut self, bytes: &mut Bytes<'_>) {
        let all = [
            Strategy::OneForOne,
            Strategy::OneForAll,
            Strategy::RestForOne,
        ];
        let strategy = all[usize::from(bytes.below(3))];
        let auto = [
            AutoShutdown::Never,
            AutoShutdown::AnySignificant,
            AutoShutdown::AllSignificant,
        ][usize::from(bytes.below(3))];
        let period = Duration::from_nanos(self.setting.period);
        let limit = RestartIntensity::new(self.setting.intensity, period).unwrap();
        let config = Config::new(strategy, limit).auto_shutdown(auto);
        let changed = self.machine.reconfigure(&config);
        let empty = self.machine.children().next().is_none();
        assert_eq!(changed.is_ok(), !self.is_dynamic() || empty);
        if changed.is_ok() {
            self.setting.strategy = strategy;
            self.disturbed = true;
        }
    }

    fn state(&self, key: ChildKey) -> Option<ChildState> {
        self.machine.child(key).map(|child| child.state())
    }

    fn states(&self) -> Vec<(ChildKey, ChildState, u64)> {
        let all = self.machine.children();
        all.map(|child| (child.key(), child.state(), child.incarnation()))
            .collect()
    }

    fn step(&mut self, event: Event) {
        let before = match event {
            Event::Exited(id, _) | Event::StartFailed(id) | Event::Refused(id) => {
                self.state(id.child)
            }
            _ => None,
        };
        let actions = self.machine.step(self.at(), event);
        let actions: Vec<_> = actions.expect("it is not late").collect();
        // In a group, others may be the reason.
        let alone = matches!(
            self.setting.strategy,
            Strategy::OneForOne | Strategy::Dynamic
        );
        if alone
            && let Event::Exited(id, _) | Event::StartFailed(id) | Event::Refused(id) = event
            && (matches!(before, Some(ChildState::Running | ChildState::Starting))
                || self.stuck.contains(&id))
            && matches!(
                self.state(id.child),
                Some(ChildState::Starting | ChildState::Backoff { .. })
            )
            && !self.disturbed
        {
            assert!(self.limit.admit(self.now), "more restarts than allowed");
        }
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            let after_the_end = matches!(action, Action::LateExit(_)) || !self.ended;
            assert!(after_the_end, "{action:?}");
            match action {
                Action::Start(id) => self.started(id),
                Action::Stop(id) => self.asked_to_stop(id),
                Action::Shorten(id) => {
                    assert!(self.alive.iter().any(|&(other, _)| other == id));
                }
                Action::Abandon(id) => {
                    let place = self.alive.iter().position(|&(other, _)| other == id);
                    let late = self.alive.remove(place.expect("who is over is not late"));
                    if self.machine.count().abandoned > self.abandoned.len() {
                        self.abandoned.push(late);
                    }
                }
                Action::Forget(key) => {
                    assert_eq!(self.state(key), None);
                    let alive = self.alive.iter().any(|(id, _)| id.child == key);
                    assert!(!alive, "who runs is not forgotten");
                }
                Action::Settled(key, _) => {
                    assert!(self.asked.remove(&key), "nobody asked");
                }
                Action::Up => assert_eq!(self.machine.phase(), Phase::Running),
                Action::LateExit(_) => {}
                Action::End(_) => {
                    assert!(self.alive.is_empty(), "it ends after everybody else");
                    self.ended = true;
                }
                other => unreachable!("{other:?}"),
            }
        }
        self.check();
    }

    fn started(&mut self, id: IncarnationId) {
        let mut others = self.alive.iter();
        let twin = others.any(|&(other, _)| other.child == id.child);
        assert!(!twin, "a child runs once at a time");
        let last = self.last_number.entry(id.child).or_default();
        assert_eq!(id.number, *last + 1);
        *last = id.number;
        if !self.disturbed {
            let grouped = !matches!(
                self.setting.strategy,
                Strategy::OneForOne | Strategy::Dynamic
            );
            let mut behind = self.alive.iter();
            let behind = behind.any(|&(other, _)| other.child > id.child);
            assert!(
                !behind || (!grouped && id.number > 1),
                "one after the other"
            );
        }
        self.alive.push((id, false));
    }

    fn asked_to_stop(&self, id: IncarnationId) {
        assert!(self.alive.iter().any(|&(other, _)| other == id));
        let ending = matches!(self.machine.phase(), Phase::Stopping(_));
        if ending && !self.is_dynamic() {
            let last = self.alive.iter().map(|(other, _)| other.child).max();
            assert_eq!(last, Some(id.child), "from the last to the first");
        }
    }

    /// What holds between any two steps.
    fn check(&self) {
        let states = self.states();
        let count = self.machine.count();
        let with =
            |is: fn(ChildState) -> bool| states.iter().filter(|&&(_, state, _)| is(state)).count();
        assert_eq!(count.specs, states.len());
        assert!(states.is_sorted_by_key(|&(key, ..)| key));
        let alive = with(ChildState::is_active);
        assert_eq!(alive, self.alive.len(), "{states:?} {:?}", self.alive);
        for (id, _) in &self.alive {
            let child = self.machine.child(id.child).expect("it runs");
            assert_eq!(child.incarnation(), id.number);
        }
        assert_eq!(
            count.active,
            alive - with(|state| state == ChildState::Starting)
        );
        assert_eq!(count.workers + count.supervisors, count.specs);
        assert!(count.abandoned >= self.abandoned.len());

        let deadlines = states.iter().filter_map(|&(_, state, _)| match state {
            ChildState::Stopping { deadline } if deadline != Instant::MAX => Some(deadline),
            ChildState::Backoff { until } => Some(until),
            _ => None,
        });
        if let Some(first) = deadlines.min() {
            assert!(
                self.machine
                    .next_deadline()
                    .is_some_and(|next| next <= first)
            );
        }
        let waiting = with(|state| state == ChildState::Waiting) > 0;
        let moving = with(|state| {
            !matches!(
                state,
                ChildState::Running | ChildState::Waiting | ChildState::Stopped
            )
        }) > 0;
        match self.machine.phase() {
            Phase::Starting => assert!(moving, "the start is stuck"),
            Phase::Running => assert!(!waiting || moving, "somebody waits for ever"),
            Phase::Stopping(_) => assert!(alive > 0, "the end is stuck"),
            Phase::Ended(_) => assert!(self.ended && self.alive.is_empty()),
            _ => {}
        }
    }

    /// Stops everything, and sees that nothing is left.
    fn finish(&mut self) {
        self.step(Event::Shutdown);
        while let Some(&(id, _)) = self.alive.last() {
            self.over(id, Event::Exited(id, Exit::Clean));
        }
        assert!(self.ended);
        assert_eq!(self.machine.next_deadline(), None);
        for (_, state, _) in self.states() {
            assert_eq!(state, ChildState::Stopped);
        }
        while let Some((id, answered)) = self.abandoned.pop() {
            self.end_late(id, answered, Exit::Abnormal);
        }
        self.step(Event::Shutdown);
        self.step(Event::Tick);
        assert!(self.machine.step(self.at(), Event::Start).is_err());
    }
}
