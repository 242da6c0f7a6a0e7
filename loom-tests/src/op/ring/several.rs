//! The rings of several writers. A push is interrupted at a step that the bytes choose: by other pushes, which
//! may be interrupted in turn, by reads, or by its death.

use super::{
    Bytes, CAPACITY, Judged, Number, Operation, Oracle, Reading, RejectMost, agree_on_stats,
    matters,
};
use bedplate_core::ring::{
    NestedRing, Overwrite, Reader, Refused, Reject, SharedRing, Stats, Step,
};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};

/// How many pushes there are inside one another.
const DEPTH: u8 = 3;

/// A ring of several writers.
trait Several: Sized {
    type Policy: Judged;

    fn starting_at(ticket: usize) -> Self;
    fn push(&self, number: Number, interrupt: &mut dyn FnMut(Step)) -> Result<(), Refused<Number>>;
    fn claim_reader(&self) -> Option<Reader<'_, Number>>;
    fn stats(&self) -> Stats;
}

macro_rules! several {
    ($ring:ident) => {
        impl<P: Judged> Several for $ring<CAPACITY, P, Number> {
            type Policy = P;

            fn starting_at(ticket: usize) -> Self {
                Self::starting_at(ticket)
            }

            fn push(
                &self,
                number: Number,
                interrupt: &mut dyn FnMut(Step),
            ) -> Result<(), Refused<Number>> {
                self.push_interrupted(number, interrupt)
            }

            fn claim_reader(&self) -> Option<Reader<'_, Number>> {
                self.claim_reader()
            }

            fn stats(&self) -> Stats {
                self.stats()
            }
        }
    };
}

several!(NestedRing);
several!(SharedRing);

/// Runs the sequence against a ring of each kind and policy.
pub(super) fn run(bytes: &Bytes<'_>, start: usize) {
    run_one::<NestedRing<CAPACITY, Overwrite, Number>>(bytes.clone(), start);
    run_one::<NestedRing<CAPACITY, Reject, Number>>(bytes.clone(), start);
    run_one::<NestedRing<CAPACITY, RejectMost, Number>>(bytes.clone(), start);
    run_one::<SharedRing<CAPACITY, Overwrite, Number>>(bytes.clone(), start);
    run_one::<SharedRing<CAPACITY, Reject, Number>>(bytes.clone(), start);
    run_one::<SharedRing<CAPACITY, RejectMost, Number>>(bytes.clone(), start);
}

/// A push that is interrupted for good.
struct Died;

/// What a push meets, and where.
#[derive(Clone, Copy, Debug)]
struct Interrupt {
    /// How many steps it goes before.
    after: u8,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Pushes(u8),
    Reads(u8),
    Death,
}

struct Run<'r, 'b, S> {
    ring: &'r S,
    oracle: RefCell<Oracle>,
    reading: RefCell<Option<Reading<'r>>>,
    bytes: RefCell<Bytes<'b>>,
    number: Cell<u64>,
    /// Pushes that have taken a ticket, so that one that was interrupted knows whether others did.
    taken: Cell<u64>,
    /// Pushes that are interrupted while they take a ticket: the reader may not know of it yet.
    taking: Cell<u8>,
}

fn run_one<S: Several>(bytes: Bytes<'_>, start: usize) {
    let ring = S::starting_at(start);
    let reader = ring.claim_reader().expect("nobody else reads");
    let run = Run {
        ring: &ring,
        oracle: RefCell::new(Oracle::new(CAPACITY, S::Policy::TRUTH)),
        reading: RefCell::new(Some(Reading::new(reader))),
        bytes: RefCell::new(bytes),
        number: Cell::new(0),
        taken: Cell::new(0),
        taking: Cell::new(0),
    };
    loop {
        let next = Operation::read(&mut run.bytes.borrow_mut());
        let Some(operation) = next else { break };
        match operation {
            Operation::Push(times) => (0..times).for_each(|_| run.push(0)),
            Operation::NewReader => {
                assert!(ring.claim_reader().is_none(), "it is claimed");
                *run.reading.borrow_mut() = None;
                let reader = ring.claim_reader().expect("it was given back");
                let reading = Reading::again(reader, &run.oracle.borrow());
                *run.reading.borrow_mut() = Some(reading);
            }
            Operation::NewWriter => {}
            reads => run.read(reads),
        }
        agree_on_stats(&ring.stats(), start, &run.oracle.borrow());
    }
    let Run {
        oracle, reading, ..
    } = run;
    let mut oracle = oracle.into_inner();
    let mut reading = reading.into_inner().expect("it was claimed");
    while reading.agree(&mut oracle) || oracle.waiting() > 0 {
        reading.agree_on(Operation::Skip, &mut oracle);
    }
    agree_on_stats(&ring.stats(), start, &oracle);
}

impl<S: Several> Run<'_, '_, S> {
    fn read(&self, operation: Operation) {
        if let Some(reading) = &mut *self.reading.borrow_mut() {
            reading.agree_on(operation, &mut self.oracle.borrow_mut());
        }
    }

    fn interrupt(&self, depth: u8) -> Option<Interrupt> {
        let mut bytes = self.bytes.borrow_mut();
        (depth < DEPTH && bytes.below(4) == 1).then(|| Interrupt {
            after: bytes.below(24),
            what: match bytes.below(8) {
                0..=4 => What::Pushes(bytes.below(7)),
                5..=6 => What::Reads(bytes.below(7)),
                _ => What::Death,
            },
        })
    }

    fn push(&self, depth: u8) {
        let interrupt = self.interrupt(depth);
        self.number.set(self.number.get() + 1);
        let record = Number(self.number.get());
        let mut push = Push {
            run: self,
            depth,
            record,
            interrupt,
            seen: None,
            ticket: None,
            claimed: None,
            is_held: false,
            is_refused: false,
        };
        let mut on_step = |step| push.on_step(step);
        let pushing = AssertUnwindSafe(|| self.ring.push(record, &mut on_step));
        match panic::catch_unwind(pushing) {
            Ok(result) => push.end(result),
            Err(reason) if reason.is::<Died>() => {}
            Err(reason) => panic::resume_unwind(reason),
        }
    }
}

/// A push under way, as far as the oracle knows of it.
struct Push<'p, 'r, 'b, S> {
    run: &'p Run<'r, 'b, S>,
    depth: u8,
    record: Number,
    interrupt: Option<Interrupt>,
    /// How many had a ticket when it looked which is next.
    seen: Option<u64>,
    ticket: Option<u64>,
    /// Whether the slot was free when it looked.
    claimed: Option<bool>,
    is_held: bool,
    is_refused: bool,
}

impl<S: Several> Push<'_, '_, '_, S> {
    fn on_step(&mut self, step: Step) {
        self.follow(step);
        let Some(Interrupt { after, what }) = &mut self.interrupt else {
            return;
        };
        if *after > 0 {
            *after -= 1;
            return;
        }
        let what = *what;
        // Whether a push that dies while it counts has counted is for the tests of the ring to say.
        if matches!(what, What::Death) && matches!(step, Step::Taking | Step::Refused) {
            return;
        }
        let taking = self.run.taking.get();
        let is_taking = step == Step::Taking;
        if matches!(what, What::Reads(_)) && (is_taking || taking > 0) {
            return;
        }
        self.interrupt = None;
        match what {
            What::Pushes(times) => {
                self.run.taking.set(taking + u8::from(is_taking));
                (0..times).for_each(|_| self.run.push(self.depth + 1));
                self.run.taking.set(taking);
            }
            What::Reads(times) => self.run.read(Operation::Read(times)),
            What::Death => panic::resume_unwind(Box::new(Died)),
        }
    }

    /// Tells the oracle what this step says has happened.
    fn follow(&mut self, step: Step) {
        match step {
            Step::Looked => drop(self.seen.get_or_insert(self.run.taken.get())),
            Step::Taking | Step::Taken if self.ticket.is_some() => {}
            // Another was quicker: it will look again.
            Step::Taking
                if self
                    .seen
                    .take()
                    .is_some_and(|seen| seen != self.run.taken.get()) => {}
            Step::Taking | Step::Taken => self.begin(),
            Step::Claimed => self.claim(),
            Step::Held => self.hold(),
            Step::Refused if self.is_refused => {}
            Step::Refused => self.refuse(),
        }
    }

    fn begin(&mut self) {
        let ticket = self.run.oracle.borrow_mut().begin(matters(self.record));
        assert!(ticket.is_some(), "a full ring accepted {:?}", self.record);
        self.ticket = ticket;
        self.run.taken.set(self.run.taken.get() + 1);
    }

    fn claim(&mut self) {
        let ticket = self.ticket.expect("it has one");
        let is_free = self.run.oracle.borrow_mut().claim(ticket);
        self.claimed = Some(is_free);
    }

    fn hold(&mut self) {
        if self.is_held {
            return;
        }
        if self.claimed.is_none() {
            self.claim();
        }
        assert_eq!(self.claimed, Some(true), "a slot that is not free is held");
        let ticket = self.ticket.expect("it has one");
        self.run.oracle.borrow_mut().hold(ticket);
        self.is_held = true;
    }

    fn refuse(&mut self) {
        self.is_refused = true;
        let mut oracle = self.run.oracle.borrow_mut();
        assert_eq!(oracle.begin(matters(self.record)), None, "there is room");
        oracle.rejected += 1;
    }

    fn end(mut self, result: Result<(), Refused<Number>>) {
        match result {
            Ok(()) => {
                assert!(self.is_held);
                let ticket = self.ticket.expect("it has one");
                self.run.oracle.borrow_mut().end(ticket, self.record.0);
            }
            Err(Refused::Full(back)) => {
                assert_eq!(back, self.record, "the record comes back");
                if !self.is_refused {
                    self.refuse();
                }
            }
            Err(Refused::Busy(back)) => {
                assert_eq!(back, self.record, "the record comes back");
                if self.claimed.is_none() {
                    self.claim();
                }
                assert_eq!(self.claimed, Some(false), "its slot was free");
            }
            Err(other) => panic!("{other}"),
        }
    }
}
