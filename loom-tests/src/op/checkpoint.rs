//! The versions of a checkpoint, and two places for values, against an oracle that has all that was ever saved.

use super::Bytes;
use crate::oracle::checkpoint::{Checkpoint as Oracle, Limit};
use bedplate_core::checkpoint::{CrashLimit, Ending, Kept, Opening, Versions};
use bedplate_core::clock::Instant;
use core::time::Duration;

/// Something asked of a checkpoint.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Time passes.
    Wait(u8),
    /// A run begins.
    Open,
    /// The run that began so many runs ago restores …
    Restore(u8),
    /// … saves a value …
    Save(u8, u8),
    /// … forgets everything …
    Forget(u8),
    /// … is over, by a crash or otherwise.
    Ended(u8, bool),
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        // Mostly the run that began last.
        fn ago(bytes: &mut Bytes<'_>) -> u8 {
            bytes.below(8).saturating_sub(5)
        }
        bytes.more().then(|| match bytes.below(16) {
            0 | 1 => Self::Wait(bytes.below(6)),
            2..=4 => Self::Open,
            5..=8 => Self::Restore(ago(bytes)),
            9 | 10 => Self::Save(ago(bytes), bytes.byte()),
            11 if bytes.below(4) == 0 => Self::Forget(ago(bytes)),
            12 => Self::Ended(ago(bytes), false),
            _ => Self::Ended(ago(bytes), true),
        })
    }
}

/// Runs the sequence in `bytes` against versions with two places and the oracle.
///
/// # Panics
/// If they disagree about what is restored, who may change it, or when a version is given up.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let crashes = bytes.below(4);
    let within = u64::from(bytes.below(6));
    let limit = CrashLimit::new(crashes.into(), Duration::from_nanos(within));
    let mut versions = Versions::new(limit.unwrap_or(CrashLimit::NEVER));
    let mut oracle = Oracle::new(Limit {
        crashes: (crashes > 0).then(|| crashes.into()),
        within,
    });
    let mut places = [0_u8; 2];
    let mut openings: Vec<Opening> = Vec::new();
    let mut now = 0;
    while let Some(operation) = Operation::read(&mut bytes) {
        let run = |ago: u8| {
            let run = openings.len().checked_sub(1 + usize::from(ago))?;
            Some((openings[run], u64::try_from(run).unwrap()))
        };
        let read = |kept: Kept| (kept.version, places[kept.place.index()]);
        match operation {
            Operation::Wait(time) => now += u64::from(time),
            Operation::Open => {
                oracle.open(openings.len().try_into().unwrap());
                openings.push(versions.open());
            }
            Operation::Restore(ago) => {
                if let Some((opening, run)) = run(ago) {
                    let restored = versions.restore(opening, Instant::from_nanos(now));
                    assert_eq!(restored.map(read), oracle.restore(run, now));
                }
            }
            Operation::Save(ago, value) => {
                if let Some((opening, run)) = run(ago) {
                    let saved = versions.save(opening);
                    assert_eq!(saved.is_ok(), oracle.save(run, value));
                    if let Ok(saved) = saved {
                        places[saved.place.index()] = value;
                    }
                }
            }
            Operation::Forget(ago) => {
                if let Some((opening, run)) = run(ago) {
                    assert_eq!(versions.forget(opening).is_ok(), oracle.forget(run));
                }
            }
            Operation::Ended(ago, crashed) => {
                if let Some((opening, run)) = run(ago) {
                    let how = if crashed {
                        Ending::Crashed
                    } else {
                        Ending::Otherwise
                    };
                    let fell = versions.ended(opening, how, Instant::from_nanos(now));
                    let given_up = oracle.ended(run, crashed, now);
                    assert_eq!(fell.map(|fell| fell.given_up.version), given_up);
                    assert!(fell.is_none_or(|fell| fell.to == versions.current()));
                }
            }
        }
        let read = |kept: Kept| (kept.version, places[kept.place.index()]);
        let kept = [versions.current(), versions.older()];
        let kept: Vec<_> = kept.into_iter().flatten().map(read).collect();
        assert_eq!(kept, oracle.kept(), "after {operation:?} at {now}");
    }
}
