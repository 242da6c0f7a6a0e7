//! The restart limit as Erlang/OTP keeps it: a list of times, pruned and counted at each restart.

/// At most `intensity` restarts in any closed window of `period` time units.
#[derive(Clone, Debug)]
pub struct Intensity {
    intensity: usize,
    period: u64,
    times: Vec<u64>,
}

impl Intensity {
    /// Nothing was restarted yet.
    #[must_use]
    pub const fn new(intensity: usize, period: u64) -> Self {
        Self {
            intensity,
            period,
            times: Vec::new(),
        }
    }

    /// Whether a restart at `now`, which never goes back, is allowed; only then it counts.
    pub fn admit(&mut self, now: u64) -> bool {
        self.times.retain(|time| now - time <= self.period);
        if self.times.len() == self.intensity {
            return false;
        }
        self.times.push(now);
        true
    }
}
