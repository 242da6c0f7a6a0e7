//! A writer and a reader at full speed: no torn record, and every push accounted for.

use bedplate_core::event::{Record, Words};
use bedplate_core::ring::{EventRing, Overwrite, Received, Reject};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const PUSHES: u64 = 400_000;

/// Fills a slot with one number; a record put together from two shows.
#[derive(Clone, Copy)]
struct Number(u64);

impl Record for Number {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "every word takes what it can"
    )]
    fn encode(self) -> Words {
        core::array::from_fn(|index| (self.0 as usize).wrapping_mul(index + 1))
    }

    fn decode(words: Words) -> Self {
        for (index, word) in words.iter().enumerate() {
            assert_eq!(*word, words[0].wrapping_mul(index + 1), "a torn record");
        }
        Self(words[0] as u64)
    }
}

#[test]
fn an_overwriting_writer_loses_nothing_silently() {
    static RING: EventRing<64, Overwrite, Number> = EventRing::new();
    let done = AtomicBool::new(false);
    let (mut delivered, mut lost, mut next) = (0_u64, 0_u64, 0_u64);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = RING.claim_writer().expect("nobody else writes");
            for number in 0..PUSHES {
                writer.push(Number(number));
            }
            // Release: the last push comes before; pairs with Acquire below.
            done.store(true, Ordering::Release);
        });
        let mut reader = RING.claim_reader().expect("nobody else reads");
        let mut last_round = false;
        loop {
            while let Some(received) = reader.next() {
                match received {
                    Received::Record(Number(number)) => {
                        assert_eq!(number, next, "in order");
                        (next, delivered) = (next + 1, delivered + 1);
                    }
                    Received::Lost(gap) => {
                        assert_eq!(gap.from, next, "a gap is reported in its place");
                        (next, lost) = (gap.to, lost + gap.count());
                    }
                }
            }
            if last_round {
                break;
            }
            // Acquire: pairs with Release above.
            last_round = done.load(Ordering::Acquire);
        }
    });
    assert_eq!(delivered + lost, PUSHES);
    let stats = RING.stats();
    assert_eq!(
        (
            stats.pushed as u64,
            stats.delivered as u64,
            stats.overwritten as u64
        ),
        (PUSHES, delivered, lost)
    );
    assert_eq!((stats.rejected, stats.waiting), (0, 0));
}

#[test]
fn a_rejecting_writer_delivers_what_it_accepts() {
    /// So often the writer lets the reader catch up: each time, all others on a busy machine have a turn as well.
    const PAUSES: u64 = 200;
    static RING: EventRing<16, Reject, Number> = EventRing::new();
    let done = AtomicBool::new(false);
    let mut next = 0;
    let accepted = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut writer = RING.claim_writer().expect("nobody else writes");
            let mut accepted = 0;
            for tried in 0..PUSHES {
                if writer.push(Number(accepted)).is_ok() {
                    accepted += 1;
                } else if tried - accepted < PAUSES {
                    thread::yield_now();
                }
            }
            // Release: the last push comes before; pairs with Acquire below.
            done.store(true, Ordering::Release);
            accepted
        });
        let mut reader = RING.claim_reader().expect("nobody else reads");
        let mut last_round = false;
        loop {
            while let Some(received) = reader.next() {
                let Received::Record(Number(number)) = received else {
                    panic!("nothing is lost under Reject: {:?}", RING.stats());
                };
                assert_eq!(number, next);
                next += 1;
            }
            if last_round {
                break;
            }
            thread::yield_now();
            // Acquire: pairs with Release above.
            last_round = done.load(Ordering::Acquire);
        }
        writing.join().expect("no panic")
    });
    assert_eq!(next, accepted);
    let stats = RING.stats();
    assert_eq!(stats.pushed as u64, PUSHES);
    assert_eq!(stats.rejected as u64, PUSHES - accepted);
    assert_eq!((stats.overwritten, stats.waiting), (0, 0));
}

/// Statistics taken while both ends are at work: no number ever goes back or beyond the end.
#[test]
fn statistics_never_go_back() {
    static RING: EventRing<8, Overwrite, Number> = EventRing::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut writer = RING.claim_writer().expect("nobody else writes");
            (0..PUSHES).for_each(|number| writer.push(Number(number)));
        });
        let reading = scope.spawn(|| {
            let mut reader = RING.claim_reader().expect("nobody else reads");
            // Acquire: pairs with Release below.
            while !done.load(Ordering::Acquire) || reader.next().is_some() {
                reader.drain(100, |_| ());
            }
        });
        let mut last = RING.stats();
        while !writing.is_finished() {
            let stats = RING.stats();
            assert!(stats.pushed >= last.pushed && stats.pushed as u64 <= PUSHES);
            assert!(stats.delivered >= last.delivered && stats.delivered as u64 <= PUSHES);
            assert!(stats.overwritten >= last.overwritten && stats.overwritten as u64 <= PUSHES);
            assert!(stats.waiting as u64 <= PUSHES, "{stats:?}");
            last = stats;
        }
        writing.join().expect("no panic");
        // Release: all was pushed; pairs with Acquire in the reader.
        done.store(true, Ordering::Release);
        reading.join().expect("no panic");
    });
    let stats = RING.stats();
    assert_eq!(stats.pushed, stats.delivered + stats.overwritten);
    assert_eq!(stats.waiting, 0);
}
