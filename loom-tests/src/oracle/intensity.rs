//! The restart limit as Erlang/OTP keeps it: a list of times, counted at each restart.

/// At most `intensity` restarts in any closed window of `period` time units.
#[derive(Clone, Debug)]
pub struct Intensity {
    intensity: usize,
    period: u64,
    /// All of them: another limit may look further back.
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

    /// Whether a restart at `now` is allowed; only then it counts. A time that goes back is the latest
    /// one again.
    pub fn admit(&mut self, now: u64) -> bool {
        let now = self.times.last().map_or(now, |&latest| now.max(latest));
        let within = |&&time: &&u64| now - time <= self.period;
        if self.times.iter().filter(within).count() >= self.intensity {
            return false;
        }
        self.times.push(now);
        true
    }

    /// Another limit; what was restarted counts under it.
    pub const fn change(&mut self, intensity: usize, period: u64) {
        self.intensity = intensity;
        self.period = period;
    }
}
