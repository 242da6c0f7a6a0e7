//! The supervision machine one step at a time, in words.
//!
//! A test says what happens and reads what is to be done: `start a1` is an order to start the first
//! incarnation of the child `a`, and so on with `stop`, `abandon` and `late`; `forget a` tells that it is
//! gone, `a Started` what came of a request, `up` and `end` what became of the supervisor.

use bedplate_core::clock::Instant;
use bedplate_core::supervision::{
    Action, ChildKey, ChildPlan, ChildState, Config, ControlError, Event, Exit, GrowingChildren,
    IncarnationId, Machine, Restart, RestartIntensity, Stale, Stop, Strategy,
};
use core::time::Duration;
use std::collections::BTreeMap;

/// The largest restart intensity of a script.
const MAX: usize = 1_024;

/// What a script calls a child.
type Name = &'static str;

/// A supervisor and the time.
#[derive(Clone, Debug)]
pub struct Script {
    machine: Machine<GrowingChildren<Name>, MAX>,
    dynamic: bool,
    names: BTreeMap<ChildKey, String>,
    now: Duration,
}

/// A supervisor of this strategy that allows so many restarts in five seconds, to be configured further.
///
/// # Panics
/// If there cannot be such a limit.
#[must_use]
pub const fn config(strategy: Strategy, intensity: u32) -> Config<MAX> {
    match RestartIntensity::new(intensity, Duration::from_secs(5)) {
        Ok(limit) => Config::new(strategy, limit),
        Err(_) => panic!("no such limit"),
    }
}

/// The plan of a permanent child.
#[must_use]
pub fn p() -> ChildPlan {
    ChildPlan::default()
}

/// The plan of a transient child.
#[must_use]
pub fn transient() -> ChildPlan {
    ChildPlan::new(Restart::Transient, Stop::default())
}

/// The plan of a temporary child.
#[must_use]
pub fn temporary() -> ChildPlan {
    ChildPlan::new(Restart::Temporary, Stop::default())
}

impl Script {
    /// A supervisor with these children, that has not started.
    ///
    /// # Panics
    /// If there cannot be one.
    #[must_use]
    pub fn new(config: Config<MAX>, children: &[(Name, ChildPlan)]) -> Self {
        let machine = Machine::new(config, GrowingChildren::new(100_000)).unwrap();
        let mut script = Self {
            dynamic: machine.strategy() == Strategy::Dynamic,
            machine,
            names: BTreeMap::new(),
            now: Duration::from_secs(1_000),
        };
        for &(name, plan) in children {
            script.add(name, plan).unwrap();
        }
        script
    }

    /// The same, with all children started and running.
    ///
    /// # Panics
    /// If they do not come up.
    #[must_use]
    pub fn up(config: Config<MAX>, children: &[(Name, ChildPlan)]) -> Self {
        let mut script = Self::new(config, children);
        script.start();
        for (name, _) in children {
            script.ready(name);
        }
        assert!(script.states().iter().all(|state| state.ends_with('+')));
        script
    }

    /// Adds a child before the start.
    ///
    /// # Errors
    /// What the machine says.
    pub fn add(&mut self, name: Name, plan: ChildPlan) -> Result<(), ControlError> {
        let id = (!self.dynamic).then_some(name);
        let key = self.machine.add(id, plan)?;
        self.names.insert(key, name.to_owned());
        Ok(())
    }

    /// The children are to be started.
    pub fn start(&mut self) -> String {
        self.tell(Event::Start)
    }

    /// The present incarnation runs.
    pub fn started(&mut self, name: &str) -> String {
        let id = self.present(name);
        self.tell(Event::Started(id))
    }

    /// The present incarnation runs and is ready.
    pub fn ready(&mut self, name: &str) -> String {
        let id = self.present(name);
        self.tell(Event::Ready(id))
    }

    /// The present incarnation did not come to run.
    pub fn fail(&mut self, name: &str) -> String {
        let id = self.present(name);
        self.tell(Event::StartFailed(id))
    }

    /// The present incarnation chose not to run.
    pub fn decline(&mut self, name: &str) -> String {
        let id = self.present(name);
        self.tell(Event::Declined(id))
    }

    /// The present incarnation is over, in an abnormal way.
    pub fn crash(&mut self, name: &str) -> String {
        self.exit(name, Exit::Abnormal)
    }

    /// The present incarnation is over, in a clean way.
    pub fn end(&mut self, name: &str) -> String {
        self.exit(name, Exit::Clean)
    }

    fn exit(&mut self, name: &str, exit: Exit) -> String {
        let id = self.present(name);
        self.tell(Event::Exited(id, exit))
    }

    /// All is to stop.
    pub fn shutdown(&mut self) -> String {
        self.tell(Event::Shutdown)
    }

    /// All is to stop, and to be over in so much time.
    pub fn shutdown_within(&mut self, time: Duration) -> String {
        let (now, by) = (at(self.now), at(self.now + time));
        let actions = self.machine.shutdown_by(now, by).collect();
        self.words(actions)
    }

    /// Time passes, and whatever is due meanwhile is done, at its time.
    pub fn wait(&mut self, time: Duration) -> String {
        let then = self.now + time;
        let mut said = Vec::new();
        while let Some(due) = self.due().filter(|&due| due <= then) {
            self.now = self.now.max(due);
            said.push(self.tell(Event::Tick));
        }
        self.now = then;
        said.retain(|said| !said.is_empty());
        said.join(", ")
    }

    /// Adds a child and starts it.
    ///
    /// # Errors
    /// What the machine says.
    pub fn start_child(&mut self, name: Name, plan: ChildPlan) -> Result<String, ControlError> {
        let id = (!self.dynamic).then_some(name);
        let (key, actions) = self.machine.start_child(at(self.now), id, plan)?;
        let actions = actions.collect();
        self.names.insert(key, name.to_owned());
        Ok(self.words(actions))
    }

    /// Stops a child.
    ///
    /// # Errors
    /// What the machine says.
    pub fn terminate(&mut self, name: &str) -> Result<String, ControlError> {
        let key = self.key(name).ok_or(ControlError::NotFound)?;
        let actions = self.machine.terminate(at(self.now), key)?.collect();
        Ok(self.words(actions))
    }

    /// Starts a child by hand.
    ///
    /// # Errors
    /// What the machine says.
    pub fn restart(&mut self, name: &str) -> Result<String, ControlError> {
        let key = self.key(name).ok_or(ControlError::NotFound)?;
        let actions = self.machine.restart(at(self.now), key)?.collect();
        Ok(self.words(actions))
    }

    /// Forgets a child.
    ///
    /// # Errors
    /// What the machine says.
    pub fn delete(&mut self, name: &str) -> Result<(), ControlError> {
        let key = self.key(name).ok_or(ControlError::NotFound)?;
        self.machine.delete(key)
    }

    /// Says something else about a child.
    ///
    /// # Errors
    /// What the machine says.
    pub fn change(&mut self, name: &str, plan: ChildPlan) -> Result<(), ControlError> {
        let key = self.key(name).ok_or(ControlError::NotFound)?;
        self.machine.change(key, plan)
    }

    /// The machine itself.
    pub const fn machine(&mut self) -> &mut Machine<GrowingChildren<Name>, MAX> {
        &mut self.machine
    }

    /// Tells the machine something.
    ///
    /// # Panics
    /// If it comes too late.
    pub fn tell(&mut self, event: Event) -> String {
        self.try_tell(event).expect("it is not late")
    }

    /// Tells the machine something.
    ///
    /// # Errors
    /// [`Stale`] if it comes too late.
    pub fn try_tell(&mut self, event: Event) -> Result<String, Stale> {
        let actions = self.machine.step(at(self.now), event)?.collect();
        Ok(self.words(actions))
    }

    /// The present, or last, incarnation of a child.
    ///
    /// # Panics
    /// If there is no such child.
    #[must_use]
    pub fn present(&self, name: &str) -> IncarnationId {
        let child = self.key(name).expect("there is such a child");
        let number = self.machine.child(child).unwrap().incarnation();
        IncarnationId { child, number }
    }

    /// What a child is doing; nothing if it is gone.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<ChildState> {
        let key = self.key(name)?;
        self.machine.child(key).map(|child| child.state())
    }

    /// What all children are doing, in start order: `+` runs, `^` starts, `v` stops, `~` waits out its delay,
    /// `?` waits for its turn, `.` does not run.
    #[must_use]
    pub fn states(&self) -> Vec<String> {
        let sign = |state| match state {
            ChildState::Running => '+',
            ChildState::Starting => '^',
            ChildState::Stopping { .. } => 'v',
            ChildState::Backoff { .. } => '~',
            ChildState::Waiting => '?',
            ChildState::Stopped => '.',
            _ => '!',
        };
        let children = self.machine.children();
        let word =
            children.map(|child| format!("{}{}", self.names[&child.key()], sign(child.state())));
        word.collect()
    }

    fn due(&self) -> Option<Duration> {
        let due = self.machine.next_deadline()?;
        Some(Duration::from_nanos(due.as_nanos()))
    }

    fn key(&self, name: &str) -> Option<ChildKey> {
        let mut keys = self.machine.children().map(|child| child.key());
        keys.find(|key| self.names[key] == name)
    }

    fn words(&self, actions: Vec<Action>) -> String {
        let run = |id: IncarnationId| format!("{}{}", self.names[&id.child], id.number);
        let words = actions.into_iter().map(|action| match action {
            Action::Start(id) => format!("start {}", run(id)),
            Action::Stop(id) => format!("stop {}", run(id)),
            Action::Shorten(id) => format!("shorten {}", run(id)),
            Action::Abandon(id) => format!("abandon {}", run(id)),
            Action::LateExit(id) => format!("late {}", run(id)),
            Action::Forget(key) => format!("forget {}", self.names[&key]),
            Action::Settled(key, outcome) => format!("{} {outcome:?}", self.names[&key]),
            Action::Up => "up".to_owned(),
            Action::End(end) => {
                let end = format!("{end:?}");
                format!("end {}", end.split('(').next().unwrap())
            }
            other => panic!("{other:?}"),
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

fn at(time: Duration) -> Instant {
    Instant::ZERO.saturating_add(time)
}
