//! A one-for-one supervisor as Erlang/OTP is one: it does one thing at a time, and waits for it.
//!
//! Starting and stopping are calls that return when they are done, so there is no state between
//! "runs" and "does not run". A child that does not stop makes the clock move to its deadline.

use super::intensity::Intensity;
use bedplate_core::supervision::{Exit, Restart};

/// What can be seen of a supervisor: what happens to its children, named by their place in the
/// list it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A child runs.
    Started(usize),
    /// A child was to run and could not.
    StartFailed(usize),
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
}

/// A child and what the test has in mind for it.
#[derive(Clone, Debug)]
pub struct Child {
    /// When it is restarted.
    pub restart: Restart,
    /// How long it may take to stop.
    pub limit: u64,
    /// Whether it ignores a request to stop.
    pub deaf: bool,
    /// How many of its next starts fail.
    pub fails: u32,
}

/// The truth about a supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor {
    children: Vec<Child>,
    running: Vec<bool>,
    forgotten: Vec<bool>,
    limit: Intensity,
    now: u64,
    seen: Vec<Seen>,
    ended: Option<Why>,
}

impl Supervisor {
    /// Not started.
    #[must_use]
    pub fn new(children: Vec<Child>, limit: Intensity) -> Self {
        let none = vec![false; children.len()];
        Self {
            running: none.clone(),
            forgotten: none,
            children,
            limit,
            now: 0,
            seen: Vec::new(),
            ended: None,
        }
    }

    /// Starts the children in order.
    pub fn start(&mut self) {
        for child in 0..self.children.len() {
            if !self.try_start(child) {
                return self.stop_all(Why::StartFailed(child));
            }
        }
    }

    /// A child ends by itself; without effect if it does not run.
    pub fn exit(&mut self, child: usize, exit: Exit) {
        if !self.running[child] {
            return;
        }
        self.running[child] = false;
        self.seen.push(Seen::Ended(child));
        match (self.children[child].restart, exit) {
            (Restart::Permanent, _) | (Restart::Transient, Exit::Abnormal) => loop {
                if !self.limit.admit(self.now) {
                    return self.stop_all(Why::GaveUp(child));
                }
                if self.try_start(child) {
                    return;
                }
            },
            (Restart::Transient, Exit::Clean) => {}
            (Restart::Temporary, _) => self.forgotten[child] = true,
        }
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
        if self.ended.is_none() {
            self.stop_all(Why::Shutdown);
        }
    }

    /// What has been seen since the last call.
    pub fn take_seen(&mut self) -> Vec<Seen> {
        core::mem::take(&mut self.seen)
    }

    /// Each child that is not forgotten, and whether it runs.
    #[must_use]
    pub fn children(&self) -> Vec<(usize, bool)> {
        let all = 0..self.children.len();
        let kept = all.filter(|&child| !self.forgotten[child]);
        kept.map(|child| (child, self.running[child])).collect()
    }

    /// Why it ended, if it has.
    #[must_use]
    pub const fn ended(&self) -> Option<Why> {
        self.ended
    }

    fn try_start(&mut self, child: usize) -> bool {
        if self.children[child].fails > 0 {
            self.children[child].fails -= 1;
            self.seen.push(Seen::StartFailed(child));
            return false;
        }
        self.running[child] = true;
        self.seen.push(Seen::Started(child));
        true
    }

    fn stop_all(&mut self, why: Why) {
        for child in (0..self.children.len()).rev() {
            if core::mem::take(&mut self.running[child]) {
                if self.children[child].deaf {
                    self.now += self.children[child].limit;
                    self.seen.push(Seen::Abandoned(child));
                } else {
                    self.seen.push(Seen::Ended(child));
                }
            }
        }
        self.ended = Some(why);
    }
}
