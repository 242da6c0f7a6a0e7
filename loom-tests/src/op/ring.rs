//! The event ring under both policies against its oracle.

use super::Bytes;
use crate::oracle::ring::{Policy as Truth, Received as Expected, Ring as Oracle};
use bedplate_core::event::{RECORD_WORDS, Record, Words};
use bedplate_core::ring::{EventRing, Full, Overwrite, Policy, Reader, Received, Reject, Writer};

const CAPACITY: usize = 4;

/// Something asked of a ring.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Push the next number, so many times.
    Push(u8),
    /// Read, so many times.
    Read(u8),
    /// Give the reader back and claim it anew.
    NewReader,
    /// Give the writer back and claim it anew.
    NewWriter,
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(8) {
            0..=3 => Self::Push(bytes.below(12)),
            4..=5 => Self::Read(bytes.below(6)),
            6 => Self::NewReader,
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

/// A policy as the sequences see it.
trait Pushes: Policy<Number> + Sized {
    const TRUTH: Truth;
    fn push<const N: usize>(
        writer: &mut Writer<'_, N, Self, Number>,
        number: Number,
    ) -> Result<(), Full<Number>>;
}

impl Pushes for Overwrite {
    const TRUTH: Truth = Truth::Overwrite;
    fn push<const N: usize>(
        writer: &mut Writer<'_, N, Self, Number>,
        number: Number,
    ) -> Result<(), Full<Number>> {
        writer.push(number);
        Ok(())
    }
}

impl Pushes for Reject {
    const TRUTH: Truth = Truth::Reject;
    fn push<const N: usize>(
        writer: &mut Writer<'_, N, Self, Number>,
        number: Number,
    ) -> Result<(), Full<Number>> {
        writer.push(number)
    }
}

/// Runs the sequence in `bytes` against a ring of each policy and the oracle. The first byte says
/// how near the tickets start to their wrap-around.
///
/// # Panics
/// If they disagree.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let start = match bytes.below(3) {
        0 => 0,
        1 => usize::MAX - usize::from(bytes.byte()),
        _ => usize::MAX / 2 - usize::from(bytes.byte()),
    };
    run_one::<Overwrite>(bytes.clone(), start);
    run_one::<Reject>(bytes, start);
}

fn run_one<P: Pushes>(mut bytes: Bytes<'_>, start: usize) {
    let ring = EventRing::<CAPACITY, P, Number>::starting_at(start);
    let mut oracle = Oracle::new(CAPACITY, P::TRUTH);
    let mut writer = ring.claim_writer().expect("nobody else writes");
    let mut reader = ring.claim_reader().expect("nobody else reads");
    let mut claimed_at = 0;
    let mut number = 0;
    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Push(times) => {
                for _ in 0..times {
                    number += 1;
                    match P::push(&mut writer, Number(number)) {
                        Ok(()) => assert!(oracle.push(number)),
                        Err(Full(back)) => {
                            assert_eq!(back, Number(number), "the record comes back");
                            assert!(!oracle.push(number));
                        }
                    }
                }
            }
            Operation::Read(times) => {
                for _ in 0..times {
                    agree(&mut reader, &mut oracle, claimed_at);
                }
            }
            Operation::NewReader => {
                assert!(ring.claim_reader().is_none(), "it is claimed");
                drop(reader);
                reader = ring.claim_reader().expect("it was given back");
                claimed_at = oracle.delivered + oracle.overwritten;
            }
            Operation::NewWriter => {
                assert!(ring.claim_writer().is_none(), "it is claimed");
                drop(writer);
                writer = ring.claim_writer().expect("it was given back");
            }
        }
        let stats = ring.stats();
        // A ring whose tickets do not start at zero counts from there.
        let [pushed, delivered] = [stats.pushed, stats.delivered].map(|n| n.wrapping_sub(start));
        assert_eq!(
            (
                delivered as u64,
                stats.overwritten as u64,
                stats.rejected as u64
            ),
            (oracle.delivered, oracle.overwritten, oracle.rejected),
            "{operation:?}"
        );
        assert_eq!(stats.waiting as u64, oracle.waiting());
        assert_eq!(
            pushed,
            delivered + stats.overwritten + stats.rejected + stats.waiting
        );
    }
    while agree(&mut reader, &mut oracle, claimed_at) {}
}

fn agree(reader: &mut Reader<'_, Number>, oracle: &mut Oracle, claimed_at: u64) -> bool {
    let got = reader.next().map(|received| match received {
        Received::Record(Number(number)) => Expected::Record(number),
        Received::Lost(lost) => Expected::Lost {
            from: lost.from + claimed_at,
            to: lost.to + claimed_at,
        },
    });
    assert_eq!(got, oracle.next());
    got.is_some()
}
