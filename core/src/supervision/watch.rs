//! Is somebody stuck?
//!
//! A child says what it is about to do *before* it does it: that it works, which may take a while, or that it is parked,
//! which ends when something comes that should come often. Each has a limit of its own, so that neither a long piece of work
//! nor a long wait is taken for the other. Who has said nothing for longer than that is stuck, and is told of once.
//!
//! ```text
//!            silent beyond its limit: Stuck, told once
//!   in time ───────────────────────────────────────────► stuck ──┐
//!      ▲                                                   │  ▲   │ the same beat: StillStuck
//!      └────────────── another beat: Recovered ────────────┘  └───┘
//! ```
//!
//! Who looks may be late itself, because all processors were busy or the machine was asleep. Then those it looks at had no
//! time either, and it is no time to judge them: a round that comes late is skipped, and whatever silence there was before
//! is forgotten, so that everybody has his whole limit again.
//!
//! ```text
//!   due       due       due                              due
//!    │ look    │ look    │ ……… nothing runs ……… │ late    │ look: silence counts from ┘ late
//! ```
//!
//! Nothing here reads a clock or sleeps: whoever has both asks [`Rounds::due`] when to come back.

use crate::clock::Instant;
use core::time::Duration;

/// What a child says that it is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activity {
    /// It works.
    #[default]
    Working,
    /// It waits for something to do.
    Parked,
}

/// What follows when a child is stuck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnStuck {
    /// It is told, and nothing else.
    #[default]
    Report,
    /// It is told, and the child is asked to stop; when it is over, or its time to stop is and it is abandoned, that is
    /// an abnormal end like any other: it is restarted if it is not temporary, and that counts.
    Restart,
    /// It is told, and the process ends: for whoever is of no use without this child, and started again from outside.
    AbortProcess,
}

/// How long a child may say nothing, and what follows if it does for longer.
///
/// ```
/// use bedplate_core::supervision::{OnStuck, Watch};
/// use core::time::Duration;
///
/// // An item takes up to five seconds; while there is none, it looks twice a second.
/// let watch = Watch::new(Duration::from_secs(5), Duration::from_millis(600)).on_stuck(OnStuck::Restart);
/// assert_eq!(watch.interval(), Duration::from_millis(150));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Watch {
    /// So long it may work without a word.
    pub working: Duration,
    /// So long it may be parked without a word. [`Duration::MAX`] if it may be for ever.
    pub parked: Duration,
    /// What follows if it is silent for longer.
    pub on_stuck: OnStuck,
}

impl Watch {
    /// With these limits; who is beyond is told of.
    #[must_use]
    pub const fn new(working: Duration, parked: Duration) -> Self {
        Self {
            working,
            parked,
            on_stuck: OnStuck::Report,
        }
    }

    /// With this consequence.
    #[must_use]
    pub const fn on_stuck(mut self, on_stuck: OnStuck) -> Self {
        self.on_stuck = on_stuck;
        self
    }

    /// How long it may do that without a word.
    #[must_use]
    pub const fn limit(&self, activity: Activity) -> Duration {
        match activity {
            Activity::Working => self.working,
            Activity::Parked => self.parked,
        }
    }

    /// How often it should be looked at: four times in the shorter of its limits, but not oftener than each ten
    /// milliseconds, and at least once a second. So who is stuck is found after a quarter more than the limit, or a second
    /// more, whichever is less.
    #[must_use]
    pub fn interval(&self) -> Duration {
        const LEAST: Duration = Duration::from_millis(10);
        const MOST: Duration = Duration::from_secs(1);
        (self.working.min(self.parked) / 4).clamp(LEAST, MOST)
    }
}

/// What a child said last, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// What it said.
    pub activity: Activity,
    /// When.
    pub at: Instant,
}

impl Beat {
    /// Always set, so that the word of a beat is never 0.
    const SAID: u64 = 0b10;
    const PARKED: u64 = 0b01;

    /// As one word, for whoever says it with one store: the time to four nanoseconds. Never 0.
    ///
    /// ```
    /// use bedplate_core::clock::Instant;
    /// use bedplate_core::supervision::{Activity, Beat};
    ///
    /// let beat = Beat { activity: Activity::Parked, at: Instant::from_nanos(1_000) };
    /// assert_eq!(Beat::from_word(beat.to_word()), Some(beat));
    /// assert_eq!(Beat::from_word(0), None);
    /// ```
    #[must_use]
    pub const fn to_word(self) -> u64 {
        let activity = match self.activity {
            Activity::Working => 0,
            Activity::Parked => Self::PARKED,
        };
        self.at.as_nanos() & !0b11 | Self::SAID | activity
    }

    /// What [`to_word`](Self::to_word) has made; nothing of 0, where nothing was said.
    #[must_use]
    pub const fn from_word(word: u64) -> Option<Self> {
        if word == 0 {
            return None;
        }
        let activity = if word & Self::PARKED == 0 {
            Activity::Working
        } else {
            Activity::Parked
        };
        Some(Self {
            activity,
            at: Instant::from_nanos(word & !0b11),
        })
    }
}

/// What a look at a child tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Look {
    /// It is in time.
    InTime,
    /// It is stuck, and was not when it was last looked at.
    Stuck {
        /// What it had said that it was about to do …
        activity: Activity,
        /// … and how long it has said nothing since.
        silent: Duration,
    },
    /// It is stuck, which was told.
    StillStuck {
        /// When.
        told: Instant,
    },
    /// It was stuck, and has said something since.
    Recovered {
        /// How long it had been silent, about.
        silent: Duration,
    },
}

/// One incarnation that is watched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watched {
    /// What it had said last when it was found to be stuck, and when that was.
    stuck: Option<(Beat, Instant)>,
}

impl Watched {
    /// One about which nothing is known.
    pub const NEW: Self = Self { stuck: None };

    /// Looks, at `now`, whether it is stuck whose last word was `beat`. Silence counts from `since` on, which is what
    /// [`Rounds::begin`] says. A beat that comes after `now` is in time. O(1).
    pub fn look(&mut self, watch: &Watch, beat: Beat, since: Instant, now: Instant) -> Look {
        let stuck = self.stuck.take();
        if let Some((silent_since, told)) = stuck
            && silent_since == beat
        {
            self.stuck = stuck;
            return Look::StillStuck { told };
        }
        let silent = now.saturating_duration_since(beat.at.max(since));
        if silent > watch.limit(beat.activity) {
            self.stuck = Some((beat, now));
            let activity = beat.activity;
            return Look::Stuck { activity, silent };
        }
        match stuck {
            Some((before, _)) => Look::Recovered {
                silent: beat.at.saturating_duration_since(before.at),
            },
            None => Look::InTime,
        }
    }

    /// Whether it was found to be stuck and has said nothing since, if its last word is `beat`.
    #[must_use]
    pub fn is_stuck(&self, beat: Beat) -> bool {
        self.stuck.is_some_and(|(said, _)| said == beat)
    }
}

/// What is to be done when somebody comes for a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Round {
    /// Nothing: the next round is not due.
    Early,
    /// Everybody is to be looked at.
    Look {
        /// From when on silence counts.
        since: Instant,
    },
    /// Nobody is to be looked at: whoever comes is late himself.
    Late,
}

/// When to look.
///
/// ```
/// use bedplate_core::clock::Instant;
/// use bedplate_core::supervision::{Round, Rounds};
/// use core::time::Duration;
///
/// let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
/// let mut rounds = Rounds::new(at(0), Duration::from_secs(1));
/// assert_eq!(rounds.begin(at(1)), Round::Look { since: at(0) });
/// assert_eq!(rounds.begin(at(22)), Round::Late);                  // the machine was asleep
/// assert_eq!(rounds.begin(at(23)), Round::Look { since: at(22) });
/// assert_eq!(rounds.skipped(), 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    every: Duration,
    due: Instant,
    since: Instant,
    skipped: u64,
}

impl Rounds {
    /// Rounds of which the first is due `every` after `now`.
    #[must_use]
    pub const fn new(now: Instant, every: Duration) -> Self {
        Self {
            every,
            due: now.saturating_add(every),
            since: now,
            skipped: 0,
        }
    }

    /// When the next one is due.
    #[must_use]
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// How long it is from one to the next.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.every
    }

    /// How many were skipped because they came too late.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// From now on at this interval. A round that is due earlier is not put off.
    pub fn set_interval(&mut self, now: Instant, every: Duration) {
        self.every = every;
        self.due = self.due.min(now.saturating_add(every));
    }

    /// Somebody comes for a round: what he is to do. If it was due, the next one is due an interval after `now`. It is late if that
    /// is more than an interval after it was due.
    pub fn begin(&mut self, now: Instant) -> Round {
        if now < self.due {
            return Round::Early;
        }
        let late = now.saturating_duration_since(self.due) > self.every;
        self.due = now.saturating_add(self.every);
        if late {
            self.skipped += 1;
            self.since = now;
            Round::Late
        } else {
            Round::Look { since: self.since }
        }
    }
}

#[cfg(test)]
mod tests;
