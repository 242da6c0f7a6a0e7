//! The actions of one step, one after the other.

use super::super::storage::ChildStorage;
use super::Machine;
use super::news::Action;
use crate::clock::Instant;

/// The most actions that one happening leads to: abandoned, gone, an answer, and what comes next.
const MOST: usize = 6;

/// Actions that are decided and not yet taken.
#[derive(Debug)]
pub(super) struct Decided(heapless::Deque<Action, MOST>);

impl Decided {
    pub(super) const fn new() -> Self {
        Self(heapless::Deque::new())
    }

    pub(super) fn push(&mut self, action: Action) {
        let pushed = self.0.push_back(action);
        debug_assert!(pushed.is_ok(), "nothing leads to more than {MOST} actions");
    }
}

/// What one event leads to, in the order in which it is to be done.
///
/// All have to be taken. Where there may be many, because a dynamic supervisor asks all its children
/// to stop at once, they are worked out as they are taken, so that no memory is kept for them.
#[derive(Debug)]
#[must_use = "what is not done will never be confirmed"]
pub struct Actions<'m, C: ChildStorage, const MAX: usize> {
    pub(super) machine: &'m mut Machine<C, MAX>,
    pub(super) decided: Decided,
    pub(super) now: Instant,
}

impl<C: ChildStorage, const MAX: usize> Iterator for Actions<'_, C, MAX> {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.decided.0.pop_front() {
                return Some(action);
            }
            if !self.machine.sweep(self.now, &mut self.decided) {
                return None;
            }
        }
    }
}
