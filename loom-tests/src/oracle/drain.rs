//! Batching, thought through from the beginning at every step.

use std::collections::VecDeque;

/// Why a batch was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It had enough items.
    Items,
    /// It had enough bytes.
    Bytes,
    /// It had waited long enough.
    Age,
    /// Everything before it was flushed.
    Flush,
    /// The drain was shut down.
    Shutdown,
}

/// What a sink is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many were before it.
    pub number: u64,
    /// Why it was closed.
    pub closed: Closed,
    /// How often it was offered, this time included.
    pub attempt: u32,
    /// What is in it.
    pub items: Vec<u64>,
}

/// When batches are closed and given up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most items.
    pub items: usize,
    /// The most bytes.
    pub bytes: usize,
    /// The longest wait.
    pub age: u64,
    /// The most offers.
    pub attempts: u32,
    /// The wait after one that failed.
    pub retry_after: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    item: u64,
    bytes: usize,
    added: u64,
    /// By what it was told to go.
    told: Option<Closed>,
}

/// The truth about a drain.
#[derive(Clone, Debug)]
pub struct Drain {
    capacity: usize,
    limits: Limits,
    waiting: VecDeque<Waiting>,
    /// The batch that was offered and not taken, and when it is offered again.
    kept: Option<(Batch, u64)>,
    shut: bool,
    number: u64,
    /// Items that were taken.
    pub delivered: Vec<u64>,
    /// Items that were given up.
    pub lost: Vec<u64>,
}

impl Drain {
    /// Nothing collected.
    #[must_use]
    pub const fn new(capacity: usize, limits: Limits) -> Self {
        Self {
            capacity,
            limits,
            waiting: VecDeque::new(),
            kept: None,
            shut: false,
            number: 0,
            delivered: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Whether an item is taken.
    pub fn add(&mut self, now: u64, item: u64, bytes: usize) -> bool {
        let room = !self.shut && self.waiting.len() < self.capacity;
        if room {
            let (added, told) = (now, None);
            self.waiting.push_back(Waiting {
                item,
                bytes,
                added,
                told,
            });
        }
        room
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// All that wait are to go.
    pub fn flush(&mut self, shutdown: bool) {
        let by = if shutdown {
            Closed::Shutdown
        } else {
            Closed::Flush
        };
        self.shut |= shutdown;
        for waiting in &mut self.waiting {
            waiting.told = Some(by);
        }
    }

    /// The batch at the front, and when it is due.
    #[must_use]
    pub fn front(&self) -> Option<(Batch, u64)> {
        if let Some((batch, again)) = &self.kept {
            let attempt = batch.attempt + 1;
            return Some((
                Batch {
                    attempt,
                    ..batch.clone()
                },
                *again,
            ));
        }
        let first = self.waiting.front()?;
        let mut taken: Vec<&Waiting> = Vec::new();
        let mut bytes = 0;
        let mut full = None;
        for next in &self.waiting {
            if !taken.is_empty() && bytes + next.bytes > self.limits.bytes {
                full = Some(Closed::Bytes);
                break;
            }
            bytes += next.bytes;
            taken.push(next);
            if taken.len() == self.limits.items {
                full = Some(Closed::Items);
                break;
            }
            if bytes >= self.limits.bytes {
                full = Some(Closed::Bytes);
                break;
            }
        }
        // What was told to go does not wait for, nor take along, what came later.
        let told = taken
            .iter()
            .filter(|waiting| waiting.told.is_some())
            .count();
        let all_told = self
            .waiting
            .iter()
            .filter(|waiting| waiting.told.is_some())
            .count();
        if told > 0 && told == all_told {
            taken.truncate(told);
            full = first.told;
        }
        let due = if full.is_some() || told > 0 {
            0
        } else {
            first.added.saturating_add(self.limits.age)
        };
        let batch = Batch {
            number: self.number,
            closed: full.or(first.told).unwrap_or(Closed::Age),
            attempt: 1,
            items: taken.iter().map(|waiting| waiting.item).collect(),
        };
        Some((batch, due))
    }

    /// The front batch was offered at `now`, and taken or not.
    ///
    /// # Panics
    /// If there is none.
    pub fn offered(&mut self, now: u64, taken: bool) {
        let (batch, _) = self.front().expect("something was offered");
        if !taken && batch.attempt < self.limits.attempts {
            self.kept = Some((batch, now.saturating_add(self.limits.retry_after)));
            return;
        }
        self.kept = None;
        self.number += 1;
        let gone = self.waiting.drain(..batch.items.len());
        let gone: Vec<u64> = gone.map(|waiting| waiting.item).collect();
        assert_eq!(gone, batch.items);
        if taken {
            self.delivered.extend(gone);
        } else {
            self.lost.extend(gone);
        }
    }
}
