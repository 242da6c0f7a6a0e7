//! Rings under every policy against their oracle: here those of one writer, in `several` the others.

mod several;

use super::Bytes;
use crate::oracle::ring::{Policy as Truth, Received as Expected, Ring as Oracle};
use bedplate_core::event::{Level, Leveled, RECORD_WORDS, Record, Words};
use bedplate_core::ring::{
    EventRing, Full, Overwrite, Policy, Reader, Received, Reject, RejectBelow, Stats, Writer,
};

const CAPACITY: usize = 4;

/// The policy that lets every third number displace others.
pub type RejectMost = RejectBelow<{ Level::Warn as u8 }>;

/// Something asked of a ring.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Push the next number, so many times.
    Push(u8),
    /// Read, so many times.
    Read(u8),
    /// Read up to so many at once.
    Batch(u8),
    /// Do not wait for a record any longer.
    Skip,
    /// Give the reader back and claim it anew.
    NewReader,
    /// Give the writer back and claim it anew, where there is one.
    NewWriter,
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(16) {
            0..=6 => Self::Push(bytes.below(12)),
            7..=9 => Self::Read(bytes.below(6)),
            10..=12 => Self::Batch(bytes.below(8)),
            13 => Self::Skip,
            14 => Self::NewReader,
            _ => Self::NewWriter,
        })
    }
}

/// A record that fills every word of a slot from one number and notices if they do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number(pub u64);

impl Record for Number {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "every word takes what it can"
    )]
    fn encode(self) -> Words {
        core::array::from_fn(|index| (self.0 as usize).wrapping_mul(index + 1))
    }

    fn decode(words: Words) -> Self {
        for index in 0..RECORD_WORDS {
            assert_eq!(
                words[index],
                words[0].wrapping_mul(index + 1),
                "a torn record"
            );
        }
        Self(words[0] as u64)
    }
}

impl Leveled for Number {
    fn level(&self) -> Level {
        match self.0 % 3 {
            0 => Level::Error,
            _ => Level::Info,
        }
    }
}

/// A policy as the oracle calls it.
trait Judged: Policy<Number> {
    const TRUTH: Truth;
}

impl Judged for Overwrite {
    const TRUTH: Truth = Truth::Overwrite;
}

impl Judged for Reject {
    const TRUTH: Truth = Truth::Reject;
}

impl Judged for RejectMost {
    const TRUTH: Truth = Truth::RejectUnlessItMatters;
}

/// A policy as a writer of its own sees it.
trait Pushes: Judged + Sized {
    fn push<const N: usize>(
        writer: &mut Writer<'_, N, Self, Number>,
        number: Number,
    ) -> Result<(), Full<Number>>;
}

impl Pushes for Overwrite {
    fn push<const N: usize>(
        writer: &mut Writer<'_, N, Self, Number>,
        number: Number,
    ) -> Result<(), Full<Number>> {
        writer.push(number);
        Ok(())
    }
}

impl Pushes for Reject {
    fn push<const N: usize>(
        writer: &mut Writer<'_, N, Self, Number>,
        number: Number,
    ) -> Result<(), Full<Number>> {
        writer.push(number)
    }
}

impl Pushes for RejectMost {
    fn push<const N: usize>(
        writer: &mut Writer<'_, N, Self, Number>,
        number: Number,
    ) -> Result<(), Full<Number>> {
        writer.push(number)
    }
}

/// Runs the sequence in `bytes` against a ring of each kind and policy, and the oracle. The first byte
/// says how near the tickets start to their wrap-around.
///
/// # Panics
/// If they disagree.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let start = match bytes.below(4) {
        0 => 0,
        1 => usize::MAX - usize::from(bytes.byte()),
        2 => usize::MAX / 2 - usize::from(bytes.byte()),
        // Where a nested ring goes round.
        _ => (1 << 16) - usize::from(bytes.byte()),
    };
    run_one::<Overwrite>(bytes.clone(), start);
    run_one::<Reject>(bytes.clone(), start);
    run_one::<RejectMost>(bytes.clone(), start);
    several::run(&bytes, start);
}

fn run_one<P: Pushes>(mut bytes: Bytes<'_>, start: usize) {
    let ring = EventRing::<CAPACITY, P, Number>::starting_at(start);
    let mut oracle = Oracle::new(CAPACITY, P::TRUTH);
    let mut writer = ring.claim_writer().expect("nobody else writes");
    let mut reading = Reading::new(ring.claim_reader().expect("nobody else reads"));
    let mut number = 0;
    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Push(times) => {
                for _ in 0..times {
                    number += 1;
                    let record = Number(number);
                    let accepted = oracle.push(number, matters(record));
                    match P::push(&mut writer, record) {
                        Ok(()) => assert!(accepted),
                        Err(Full(back)) => {
                            assert_eq!(back, record, "the record comes back");
                            assert!(!accepted);
                        }
                    }
                    assert_eq!(writer.waiting() as u64, oracle.waiting());
                }
            }
            Operation::NewReader => {
                assert!(ring.claim_reader().is_none(), "it is claimed");
                drop(reading);
                let reader = ring.claim_reader().expect("it was given back");
                reading = Reading::again(reader, &oracle);
            }
            Operation::NewWriter => {
                assert!(ring.claim_writer().is_none(), "it is claimed");
                drop(writer);
                writer = ring.claim_writer().expect("it was given back");
            }
            reads => reading.agree_on(reads, &mut oracle),
        }
        agree_on_stats(&ring.stats(), start, &oracle);
    }
    while reading.agree(&mut oracle) {}
}

/// Whether a record may displace others where not all may.
fn matters(record: Number) -> bool {
    record.level() >= Level::Warn
}

/// What the ring counts is what the oracle does.
fn agree_on_stats(stats: &Stats, start: usize, oracle: &Oracle) {
    // A ring whose tickets do not start at zero counts from there.
    let [pushed, delivered] =
        [stats.pushed, stats.delivered].map(|count| count.wrapping_sub(start));
    let counted = [
        delivered,
        stats.overwritten,
        stats.rejected,
        stats.busy,
        stats.waiting,
    ];
    let truth = [
        oracle.delivered,
        oracle.overwritten,
        oracle.rejected,
        oracle.busy,
        oracle.waiting(),
    ];
    assert_eq!(counted.map(|count| count as u64), truth);
    assert_eq!(pushed, counted.iter().sum());
}

/// A reader, and where in the oracle's numbers it began.
struct Reading<'r> {
    reader: Reader<'r, Number>,
    claimed_at: u64,
}

impl<'r> Reading<'r> {
    fn new(reader: Reader<'r, Number>) -> Self {
        Self {
            reader,
            claimed_at: 0,
        }
    }

    fn again(reader: Reader<'r, Number>, oracle: &Oracle) -> Self {
        Self {
            reader,
            claimed_at: oracle.delivered + oracle.overwritten + oracle.busy,
        }
    }

    /// One of the operations that read.
    fn agree_on(&mut self, operation: Operation, oracle: &mut Oracle) {
        match operation {
            Operation::Read(times) => {
                for _ in 0..times {
                    self.agree(oracle);
                }
            }
            Operation::Batch(most) => {
                let mut records = [Number(u64::MAX); 8];
                let batch = self.reader.read_batch(&mut records[..usize::from(most)]);
                let lost = batch.lost.map(|lost| self.expected(Received::Lost(lost)));
                let records = &records[..batch.records];
                let got = (lost, records.iter().map(|number| number.0).collect());
                assert_eq!(got, oracle.batch(most.into()));
            }
            Operation::Skip => {
                let lost = self.reader.skip();
                let got = lost.map(|lost| self.expected(Received::Lost(lost)));
                assert_eq!(got, oracle.skip());
            }
            Operation::Push(_) | Operation::NewReader | Operation::NewWriter => {}
        }
    }

    /// Reads once; whether there was something.
    fn agree(&mut self, oracle: &mut Oracle) -> bool {
        let received = self.reader.next();
        let got = received.map(|received| self.expected(received));
        assert_eq!(got, oracle.next());
        got.is_some()
    }

    fn expected(&self, received: Received<Number>) -> Expected {
        match received {
            Received::Record(Number(number)) => Expected::Record(number),
            Received::Lost(lost) => Expected::Lost {
                from: lost.from + self.claimed_at,
                to: lost.to + self.claimed_at,
            },
        }
    }
}
