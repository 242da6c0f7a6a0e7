//! A ring is a queue with room for `capacity` records, and a policy for the next one.

use std::collections::VecDeque;

/// What happens to a push when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The oldest record is lost.
    Overwrite,
    /// The new record is refused.
    Reject,
}

/// What a reader gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// This record.
    Record(u64),
    /// The news that records with these numbers are gone.
    Lost {
        /// The first.
        from: u64,
        /// The first after them.
        to: u64,
    },
}

/// The truth about a ring.
#[derive(Clone, Debug)]
pub struct Ring {
    capacity: usize,
    policy: Policy,
    /// The accepted pushes and their records, oldest first.
    waiting: VecDeque<(u64, u64)>,
    accepted: u64,
    /// The number the reader expects next.
    expected: u64,
    /// Pushes refused.
    pub rejected: u64,
    /// Records delivered.
    pub delivered: u64,
    /// Records reported as lost.
    pub overwritten: u64,
}

impl Ring {
    /// Empty.
    #[must_use]
    pub const fn new(capacity: usize, policy: Policy) -> Self {
        Self {
            capacity,
            policy,
            waiting: VecDeque::new(),
            accepted: 0,
            expected: 0,
            rejected: 0,
            delivered: 0,
            overwritten: 0,
        }
    }

    /// Offers a record; whether it was accepted.
    pub fn push(&mut self, record: u64) -> bool {
        if self.waiting.len() == self.capacity {
            match self.policy {
                Policy::Overwrite => drop(self.waiting.pop_front()),
                Policy::Reject => {
                    self.rejected += 1;
                    return false;
                }
            }
        }
        self.waiting.push_back((self.accepted, record));
        self.accepted += 1;
        true
    }

    /// What the reader gets next.
    #[expect(clippy::should_implement_trait, reason = "as the ring's reader")]
    pub fn next(&mut self) -> Option<Received> {
        let &(number, record) = self.waiting.front()?;
        if number > self.expected {
            let from = std::mem::replace(&mut self.expected, number);
            self.overwritten += number - from;
            return Some(Received::Lost { from, to: number });
        }
        self.waiting.pop_front();
        self.expected += 1;
        self.delivered += 1;
        Some(Received::Record(record))
    }

    /// Records accepted and not yet delivered or reported lost.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.accepted - self.expected
    }
}
