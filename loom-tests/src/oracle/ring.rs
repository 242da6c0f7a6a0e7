//! A ring is a list of pushes, each of which has a number, and of slots that hold the latest few.

/// What happens to a push when the ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The oldest record is lost.
    Overwrite,
    /// The new record is refused.
    Reject,
    /// The new record is refused, unless it matters; then the oldest is lost.
    RejectUnlessItMatters,
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

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Nothing,
    /// The push with this number holds it.
    Held(u64),
    /// The push with this number left that record.
    Record(u64, u64),
}

/// The truth about a ring.
///
/// A push that nothing comes in between of is one step, [`push`](Self::push). One that is interrupted is
/// four: it [begins](Self::begin), which gives it its number, it may [claim](Self::claim) its slot, or not, it
/// [holds](Self::hold) the slot, it [ends](Self::end). It may also just stop.
#[derive(Clone, Debug)]
pub struct Ring {
    policy: Policy,
    slots: Vec<Slot>,
    /// Pushes that have a number.
    accepted: u64,
    /// The number the reader expects next.
    expected: u64,
    /// Pushes refused.
    pub rejected: u64,
    /// Records delivered.
    pub delivered: u64,
    /// Records reported as lost since others were pushed over them.
    pub overwritten: u64,
    /// Records reported as lost since they did not come.
    pub busy: u64,
}

impl Ring {
    /// Empty.
    #[must_use]
    pub fn new(capacity: usize, policy: Policy) -> Self {
        Self {
            policy,
            slots: vec![Slot::Nothing; capacity],
            accepted: 0,
            expected: 0,
            rejected: 0,
            delivered: 0,
            overwritten: 0,
            busy: 0,
        }
    }

    fn capacity(&self) -> u64 {
        self.slots.len() as u64
    }

    fn slot(&mut self, number: u64) -> &mut Slot {
        let index = number % self.capacity();
        &mut self.slots[usize::try_from(index).expect("a capacity fits")]
    }

    /// Offers a record; whether it was accepted.
    pub fn push(&mut self, record: u64, matters: bool) -> bool {
        let Some(number) = self.begin(matters) else {
            self.rejected += 1;
            return false;
        };
        if self.claim(number) {
            self.hold(number);
            self.end(number, record);
        }
        true
    }

    /// The number of a push that begins, if it is not refused.
    pub fn begin(&mut self, matters: bool) -> Option<u64> {
        let overwrites = match self.policy {
            Policy::Overwrite => true,
            Policy::Reject => false,
            Policy::RejectUnlessItMatters => matters,
        };
        (overwrites || self.waiting() < self.capacity()).then(|| {
            self.accepted += 1;
            self.accepted - 1
        })
    }

    /// Whether a push finds its slot free, and what is in it older.
    pub fn claim(&mut self, number: u64) -> bool {
        match *self.slot(number) {
            Slot::Nothing => true,
            Slot::Held(_) => false,
            Slot::Record(other, _) => other < number,
        }
    }

    /// A push has its slot from now on, whatever is in it.
    pub fn hold(&mut self, number: u64) {
        *self.slot(number) = Slot::Held(number);
    }

    /// A push leaves its record.
    pub fn end(&mut self, number: u64, record: u64) {
        *self.slot(number) = Slot::Record(number, record);
    }

    /// What the reader gets next.
    #[expect(clippy::should_implement_trait, reason = "as the ring's reader")]
    pub fn next(&mut self) -> Option<Received> {
        let (waiting, capacity) = (self.waiting(), self.capacity());
        if waiting == 0 {
            return None;
        }
        let number = self.expected;
        let slot = *self.slot(number);
        if let Slot::Record(other, record) = slot
            && other == number
        {
            self.expected += 1;
            self.delivered += 1;
            return Some(Received::Record(record));
        }
        if waiting > capacity {
            self.overwritten += waiting - capacity;
            return Some(self.lose(waiting - capacity));
        }
        let is_later = matches!(slot, Slot::Held(other) | Slot::Record(other, _) if other > number);
        if is_later {
            self.overwritten += 1;
            return Some(self.lose(1));
        }
        // It may still come; but not for ever.
        (waiting > capacity / 2).then(|| {
            self.busy += 1;
            self.lose(1)
        })
    }

    /// Up to so many records behind one another, and the gap before them.
    pub fn batch(&mut self, most: usize) -> (Option<Received>, Vec<u64>) {
        let peek = |ring: &Self| ring.clone().next();
        let mut records = Vec::new();
        let is_gap = |received| matches!(received, Some(Received::Lost { .. }));
        let lost = (most > 0 && is_gap(peek(self)))
            .then(|| self.next())
            .flatten();
        while records.len() < most
            && let Some(Received::Record(record)) = peek(self)
        {
            records.push(record);
            self.next();
        }
        (lost, records)
    }

    /// The reader does not wait any longer for what may still come.
    pub fn skip(&mut self) -> Option<Received> {
        let number = self.expected;
        let may_come = self.waiting() > 0
            && match *self.slot(number) {
                Slot::Nothing => true,
                Slot::Held(other) => other <= number,
                Slot::Record(other, _) => other < number,
            };
        may_come.then(|| {
            self.busy += 1;
            self.lose(1)
        })
    }

    fn lose(&mut self, count: u64) -> Received {
        let from = self.expected;
        self.expected += count;
        Received::Lost {
            from,
            to: self.expected,
        }
    }

    /// Records accepted and neither delivered nor reported lost.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.accepted - self.expected
    }
}
