//! The restart intensity against its oracle, the pruned list.

use super::Bytes;
use crate::oracle::intensity::Intensity as Oracle;
use bedplate_core::clock::Instant;
use bedplate_core::supervision::RestartIntensity;
use core::time::Duration;

/// Something asked of a restart limit.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// Time passes.
    Wait(u8),
    /// A child is to be restarted.
    Restart,
}

impl Operation {
    /// The next operation, or `None` at the end.
    pub fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.more().then(|| match bytes.below(2) {
            0 => Self::Wait(bytes.below(8)),
            _ => Self::Restart,
        })
    }
}

/// Runs the sequence in `bytes` against a limit and the oracle.
///
/// # Panics
/// If one allows a restart that the other refuses.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let intensity = bytes.below(6);
    let period = 1 + u64::from(bytes.below(16));
    let mut limit =
        RestartIntensity::<5>::new(u32::from(intensity), Duration::from_nanos(period)).unwrap();
    let mut oracle = Oracle::new(usize::from(intensity), period);
    let mut now = 0;
    while let Some(operation) = Operation::read(&mut bytes) {
        match operation {
            Operation::Wait(time) => now += u64::from(time),
            Operation::Restart => {
                let admitted = limit.admit(Instant::from_nanos(now)).is_ok();
                assert_eq!(admitted, oracle.admit(now), "at {now}");
            }
        }
    }
}
