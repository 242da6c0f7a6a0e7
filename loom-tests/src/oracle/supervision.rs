//! A supervisor as Erlang/OTP is one: it does one thing at a time, and waits for it.
//!
//! Starting and stopping are calls that return when they are done, so there is no state between
//! "runs" and "does not run". A child that does not stop makes the clock move to its deadline, and
//! one that does not become ready, too. What OTP does not have, the delay before a restart, lies
//! between two calls: a group is stopped at once, and started when the delay is over.

use super::intensity::Intensity;
use bedplate_core::supervision::{AutoShutdown, Exit, Restart, Strategy};

/// What can be seen of a supervisor: what happens to its children, named by their place in the
/// list it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A child runs.
    Started(usize),
    /// A child was to run and could not.
    StartFailed(usize),
    /// A child runs and does not become ready.
    Silent(usize),
    /// A child does not run any more.
    Ended(usize),
    /// A child was given up on while it was being stopped.
    Abandoned(usize),
}

/// Why a supervisor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was asked to.
    Shutdown,
    /// A child did not start.
    StartFailed(usize),
    /// A child had to be restarted too often.
    GaveUp(usize),
    /// A significant child ended.
    AutoShutdown(usize),
}

/// What somebody is answered who asks for something by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// The start failed.
    StartFailed,
    /// There is no such child.
    NotFound,
    /// It runs.
    Running,
    /// It is being restarted.
    Restarting,
    /// A child of this id runs.
    AlreadyStarted,
    /// A child of this id is there.
    AlreadyPresent,
    /// Not in a dynamic supervisor.
    Dynamic,
    /// There is no answer yet; if the supervisor has ended, that is it.
    Later,
}

/// A child and what the test has in mind for it.
#[derive(Clone, Debug)]
pub struct Child {
    /// When it is restarted.
    pub restart: Restart,
    /// Whether its end may end the supervisor.
    pub significant: bool,
    /// How long it may take to stop.
    pub limit: u64,
    /// Whether it ignores a request to stop.
    pub deaf: bool,
    /// How many of its next starts fail.
    pub fails: u32,
    /// How long it may take to become ready; 0 if it is when it runs.
    pub ready: u64,
    /// In how many of its next starts it does not.
    pub silent: u32,
    /// The first delay, the longest, and the uptime after which they begin over; doubled each time.
    pub backoff: Option<(u64, u64, u64)>,
}

impl Child {
    /// A permanent child that does as it is told.
    #[must_use]
    pub const fn new(restart: Restart) -> Self {
        Self {
            restart,
            significant: false,
            limit: 5_000,
            deaf: false,
            fails: 0,
            ready: 0,
            silent: 0,
            backoff: None,
        }
    }
}

/// What a supervisor is told about itself.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Which children go together.
    pub strategy: Strategy,
    /// What the ends of significant ones mean.
    pub auto_shutdown: AutoShutdown,
    /// The restart limit.
    pub intensity: u32,
    /// Its period.
    pub period: u64,
    /// For how long all may stop, when all do.
    pub budget: Option<u64>,
}

/// What a child is doing between two calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// It will, when the one before it does.
    Waiting,
    /// It will, at this time.
    Backoff(u64),
}

/// A child that the supervisor knows.
#[derive(Clone, Debug)]
struct Kid {
    child: usize,
    state: State,
    since: u64,
    /// How many restarts in a row.
    restarts: u32,
}

/// The truth about a supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor {
    setting: Setting,
    children: Vec<Child>,
    /// In start order.
    kids: Vec<Kid>,
    /// The child whose delay its group waits out.
    leader: Option<usize>,
    limit: Intensity,
    now: u64,
    seen: Vec<Seen>,
    ended: Option<Why>,
}

impl Supervisor {
    /// Not started.
    #[must_use]
    pub fn new(setting: Setting, children: Vec<Child>) -> Self {
        let limit = Intensity::new(setting.intensity as usize, setting.period);
        let kids = (0..children.len()).map(Kid::new).collect();
        Self {
            setting,
            children,
            kids,
            leader: None,
            limit,
            now: 0,
            seen: Vec::new(),
            ended: None,
        }
    }

    /// Starts the children in order.
    pub fn start(&mut self) {
        for place in 0..self.kids.len() {
            if !self.try_start(place) {
                self.kids[place].state = State::Stopped;
                return self.stop_all(Why::StartFailed(self.kids[place].child));
            }
        }
    }

    /// A child ends by itself; without effect if it does not run.
    pub fn exit(&mut self, child: usize, exit: Exit) {
        let Some(place) = self.place(child) else {
            return;
        };
        if self.kids[place].state != State::Running {
            return;
        }
        self.seen.push(Seen::Ended(child));
        if self.children[child].restart.restarts_after(exit) {
            return self.restart_by_itself(place);
        }
        self.rest(place);
        let significant = self.children[child].significant;
        let others = self
            .kids
            .iter()
            .any(|kid| self.children[kid.child].significant && kid.state != State::Stopped);
        match self.setting.auto_shutdown {
            AutoShutdown::AnySignificant if significant => self.stop_all(Why::AutoShutdown(child)),
            AutoShutdown::AllSignificant if significant && !others => {
                self.stop_all(Why::AutoShutdown(child));
            }
            _ => {}
        }
    }

    /// The next `fails` starts of a child fail.
    pub fn fail_next(&mut self, child: usize, fails: u32) {
        self.children[child].fails = fails;
    }

    /// In the next `starts` a child does not become ready.
    pub fn silence_next(&mut self, child: usize, starts: u32) {
        self.children[child].silent = starts;
    }

    /// Adds a child behind the others and starts it.
    pub fn start_child(&mut self, child: usize) -> Reply {
        let dynamic = self.setting.strategy == Strategy::Dynamic;
        if let Some(place) = self.place(child).filter(|_| !dynamic) {
            return match self.kids[place].state {
                State::Running => Reply::AlreadyStarted,
                _ => Reply::AlreadyPresent,
            };
        }
        let place = self.kids.len();
        self.kids.push(Kid::new(child));
        if self.try_start(place) {
            return Reply::Done;
        }
        self.kids.remove(place);
        Reply::StartFailed
    }

    /// Stops a child.
    pub fn terminate(&mut self, child: usize) -> Reply {
        let Some(place) = self.place(child) else {
            return Reply::NotFound;
        };
        if self.kids[place].state == State::Running {
            self.stop(place, u64::MAX);
        }
        self.rest(place);
        if self.leader == Some(child) {
            self.go_on();
        }
        Reply::Done
    }

    /// Starts a child that is stopped, or waits out its delay.
    pub fn restart(&mut self, child: usize) -> Reply {
        if self.setting.strategy == Strategy::Dynamic {
            return Reply::Dynamic;
        }
        let Some(place) = self.place(child) else {
            return Reply::NotFound;
        };
        match self.kids[place].state {
            State::Running => return Reply::Running,
            State::Waiting => return Reply::Restarting,
            State::Stopped => {
                if !self.try_start(place) {
                    self.rest(place);
                    return Reply::StartFailed;
                }
            }
            State::Backoff(_) => {
                let started = self.seen.len();
                self.fire(place);
                let seen = &self.seen[started..];
                let mine = |seen: &&Seen| matches!(seen, Seen::Started(c) | Seen::StartFailed(c) | Seen::Silent(c) if *c == child);
                match seen.iter().find(mine) {
                    Some(Seen::Started(_)) => {}
                    Some(_) => return Reply::StartFailed,
                    None => return Reply::Later,
                }
            }
        }
        Reply::Done
    }

    /// Forgets a child that is stopped.
    pub fn delete(&mut self, child: usize) -> Reply {
        if self.setting.strategy == Strategy::Dynamic {
            return Reply::Dynamic;
        }
        let Some(place) = self.place(child) else {
            return Reply::NotFound;
        };
        match self.kids[place].state {
            State::Running => Reply::Running,
            State::Waiting | State::Backoff(_) => Reply::Restarting,
            State::Stopped => {
                self.kids.remove(place);
                Reply::Done
            }
        }
    }

    /// Time passes.
    pub fn wait(&mut self, time: u64) {
        let then = self.now + time;
        while let Some((until, place)) = self.next_due().filter(|&(until, _)| until <= then) {
            self.now = self.now.max(until);
            self.fire(place);
            if self.ended.is_some() {
                break;
            }
        }
        self.now = self.now.max(then);
    }

    /// Stops everything.
    pub fn shutdown(&mut self) {
        if self.ended.is_none() {
            self.stop_all(Why::Shutdown);
        }
    }

    /// What has been seen since the last call.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        core::mem::take(&mut self.seen)
    }

    /// Each child that is not forgotten, and what it is doing.
    #[must_use]
    pub fn children(&self) -> Vec<(usize, State)> {
        let kids = self.kids.iter();
        kids.map(|kid| (kid.child, kid.state)).collect()
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

    fn place(&self, child: usize) -> Option<usize> {
        self.kids.iter().position(|kid| kid.child == child)
    }

    fn next_due(&self) -> Option<(u64, usize)> {
        let due = self.kids.iter().enumerate();
        due.filter_map(|(place, kid)| match kid.state {
            State::Backoff(until) => Some((until, place)),
            _ => None,
        })
        .min()
    }

    /// It is over for good.
    fn rest(&mut self, place: usize) {
        let temporary = self.children[self.kids[place].child].restart == Restart::Temporary;
        if temporary || self.setting.strategy == Strategy::Dynamic {
            self.kids.remove(place);
        } else {
            self.kids[place].state = State::Stopped;
        }
    }

    fn try_start(&mut self, place: usize) -> bool {
        let child = self.kids[place].child;
        let plan = &mut self.children[child];
        if plan.fails > 0 {
            plan.fails -= 1;
            self.seen.push(Seen::StartFailed(child));
            return false;
        }
        if plan.ready > 0 && plan.silent > 0 {
            plan.silent -= 1;
            self.now += plan.ready;
            self.seen.push(Seen::Silent(child));
            self.stop(place, u64::MAX);
            return false;
        }
        self.kids[place].state = State::Running;
        self.kids[place].since = self.now;
        self.seen.push(Seen::Started(child));
        true
    }

    /// Asks a child to stop, and waits until it has, or its time or everybody's is over.
    fn stop(&mut self, place: usize, stop_by: u64) {
        let child = self.kids[place].child;
        if self.children[child].deaf {
            let deadline = stop_by.min(self.now + self.children[child].limit);
            self.now = self.now.max(deadline);
            self.seen.push(Seen::Abandoned(child));
        } else {
            self.seen.push(Seen::Ended(child));
        }
    }

    fn delay(&mut self, place: usize) -> u64 {
        let kid = &mut self.kids[place];
        let Some((first, longest, reset)) = self.children[kid.child].backoff else {
            return 0;
        };
        if kid.state == State::Running && self.now - kid.since >= reset {
            kid.restarts = 0;
        }
        kid.restarts += 1;
        match kid.restarts {
            1 => 0,
            2 => first,
            n => (3..=n).fold(first, |delay, _| (2 * delay).min(longest)),
        }
    }

    /// The child at `place` is over, and is to run again.
    fn restart_by_itself(&mut self, mut place: usize) {
        loop {
            let child = self.kids[place].child;
            if !self.limit.admit(self.now) {
                self.kids[place].state = State::Stopped;
                return self.stop_all(Why::GaveUp(child));
            }
            let delay = self.delay(place);
            self.kids[place].state = match delay {
                0 => State::Waiting,
                delay => State::Backoff(self.now + delay),
            };
            let alone = matches!(
                self.setting.strategy,
                Strategy::OneForOne | Strategy::Dynamic
            );
            if alone {
                if delay > 0 || self.try_start(place) {
                    return;
                }
                continue;
            }
            let from = self.group_of(place);
            if let Some(leader) = self.leader.and_then(|leader| self.place(leader)) {
                let earlier = self.group_of(leader);
                if earlier < from {
                    // One before it is waited for already.
                    self.kids[place].state = State::Waiting;
                    self.stop_group(earlier, true);
                    return;
                }
                if leader != place {
                    self.kids[leader].state = State::Waiting;
                }
            }
            self.leader = Some(child);
            self.stop_group(from, true);
            if delay > 0 {
                return;
            }
            match self.start_group() {
                None => return,
                Some(failed) => place = failed,
            }
        }
    }

    /// Where the group of the child at `place` begins.
    const fn group_of(&self, place: usize) -> usize {
        match self.setting.strategy {
            Strategy::OneForAll => 0,
            _ => place,
        }
    }

    /// The delay of the child at `place` is over.
    fn fire(&mut self, place: usize) {
        self.kids[place].state = State::Waiting;
        if self.leader.is_some() {
            self.go_on();
        } else if !self.try_start(place) {
            self.restart_by_itself(place);
        }
    }

    /// The group is waited for no longer.
    fn go_on(&mut self) {
        let leader = self.leader.and_then(|leader| self.place(leader));
        self.stop_group(self.group_of(leader.unwrap_or(0)), false);
        if let Some(failed) = self.start_group() {
            self.restart_by_itself(failed);
        }
    }

    fn stop_group(&mut self, from: usize, stopped_too: bool) {
        for place in (from..self.kids.len()).rev() {
            match self.kids[place].state {
                State::Running => {
                    self.stop(place, u64::MAX);
                    if self.children[self.kids[place].child].restart == Restart::Temporary {
                        self.kids.remove(place);
                    } else {
                        self.kids[place].state = State::Waiting;
                    }
                }
                State::Stopped if stopped_too => self.kids[place].state = State::Waiting,
                _ => {}
            }
        }
    }

    /// Starts those that wait; says at whom that failed.
    fn start_group(&mut self) -> Option<usize> {
        self.leader = None;
        let waiting = |kid: &Kid| kid.state == State::Waiting;
        while let Some(place) = self.kids.iter().position(waiting) {
            if !self.try_start(place) {
                return Some(place);
            }
        }
        None
    }

    fn stop_all(&mut self, why: Why) {
        let stop_by = self
            .setting
            .budget
            .map_or(u64::MAX, |total| self.now + total);
        if self.setting.strategy == Strategy::Dynamic {
            self.stop_all_at_once(stop_by);
        } else {
            for place in (0..self.kids.len()).rev() {
                if self.kids[place].state == State::Running {
                    self.stop(place, stop_by);
                }
                self.kids[place].state = State::Stopped;
            }
        }
        self.ended = Some(why);
    }

    fn stop_all_at_once(&mut self, stop_by: u64) {
        let begun = self.now;
        let mut deaf = Vec::new();
        for (place, kid) in self.kids.iter_mut().enumerate() {
            if kid.state == State::Running {
                let child = &self.children[kid.child];
                if child.deaf {
                    deaf.push((stop_by.min(begun + child.limit), place, kid.child));
                } else {
                    self.seen.push(Seen::Ended(kid.child));
                }
            }
            kid.state = State::Stopped;
        }
        deaf.sort_unstable();
        for (deadline, _, child) in deaf {
            self.now = deadline;
            self.seen.push(Seen::Abandoned(child));
        }
    }
}

impl Kid {
    const fn new(child: usize) -> Self {
        Self {
            child,
            state: State::Waiting,
            since: 0,
            restarts: 0,
        }
    }
}
