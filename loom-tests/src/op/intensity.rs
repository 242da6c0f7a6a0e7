//! The restart intensity against its oracle, the pruned list.

use super::Bytes;
use crate::oracle::intensity::Intensity as Oracle;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::RestartIntensity;
use core::time::Duration;

/// The largest intensity there is room for.
const MOST: usize = 5;

/// Something asked of a restart limit.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Time passes.
    Wait(u8),
    /// The clock goes back.
    Back(u8),
    /// A child is to be restarted.
    Restart,
    /// The limit becomes another one, which may be impossible.
    Change(u8, u8),
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(16) {
            0..=5 => Self::Wait(bytes.below(8)),
            6 => Self::Back(bytes.below(4)),
            7 => Self::Change(bytes.below(8), bytes.below(17)),
            _ => Self::Restart,
        })
    }
}

/// Runs the sequence in `bytes` against a limit and the oracle.
///
/// # Panics
/// If one allows a restart that the other refuses, or an impossible limit is accepted.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let intensity = bytes.below(6);
    let period = 1 + u64::from(bytes.below(16));
    let mut limit =
        RestartIntensity::<MOST>::new(u32::from(intensity), Duration::from_nanos(period)).unwrap();
    let mut oracle = Oracle::new(usize::from(intensity), period);
    let mut now = 0_u64;
    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Wait(time) => now += u64::from(time),
            Operation::Back(time) => now = now.saturating_sub(time.into()),
            Operation::Restart => {
                let admitted = limit.admit(Instant::from_nanos(now)).is_ok();
                assert_eq!(admitted, oracle.admit(now), "at {now}");
            }
            Operation::Change(intensity, period) => {
                let nanos = Duration::from_nanos(period.into());
                let changed = limit.change(intensity.into(), nanos);
                let possible = usize::from(intensity) <= MOST && period > 0;
                assert_eq!(changed.is_ok(), possible);
                if possible {
                    oracle.change(intensity.into(), period.into());
                }
            }
        }
    }
}
