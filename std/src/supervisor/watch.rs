//! What a body says that it does, for whoever looks whether it is stuck.
//!
//! ```text
//! body:   working ── … ── parked ── … ── working ── …          one word, stored before each
//!                                │
//! timer:  ─── look ─────── look ─┴──── look ─────── look ───   at intervals, under the supervisor's lock: tree/rounds.rs
//! ```
//!
//! What a look tells is decided by [`Watched`]. A body that says nothing does not wait for anybody, and nobody for it.

use crate::clock;
use crate::sync::{Arc, AtomicU64, Ordering};
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{Activity, Beat, Look, Watch, Watched};

/// What one incarnation has said last.
#[derive(Default)]
pub(super) struct Beats(AtomicU64);

impl Beats {
    pub(super) fn say(&self, activity: Activity) {
        let at = clock::now();
        let word = Beat { activity, at }.to_word();
        // Relaxed: the word is all that is said; it publishes nothing and has no partner.
        self.0.store(word, Ordering::Relaxed);
    }

    fn last(&self) -> Option<Beat> {
        // Relaxed: as above; a look that comes a moment too early sees the word before.
        Beat::from_word(self.0.load(Ordering::Relaxed))
    }
}

/// An incarnation that is looked at.
pub(super) struct Observed {
    pub(super) watch: Watch,
    pub(super) beats: Arc<Beats>,
    known: Watched,
    /// Since when there is this incarnation: so long it has worked if it has said nothing.
    since: Instant,
}

impl Observed {
    pub(super) fn new(watch: Watch, since: Instant) -> Self {
        Self {
            watch,
            beats: Arc::default(),
            known: Watched::NEW,
            since,
        }
    }

    /// Looks at it; silence counts from `since` on.
    pub(super) fn look(&mut self, since: Instant, now: Instant) -> Look {
        let beat = self.beat();
        self.known.look(&self.watch, beat, since, now)
    }

    /// Whether it was found to be stuck and has said nothing since.
    pub(super) fn is_stuck(&self) -> bool {
        self.known.is_stuck(self.beat())
    }

    fn beat(&self) -> Beat {
        self.beats.last().unwrap_or(Beat {
            activity: Activity::Working,
            at: self.since,
        })
    }
}
