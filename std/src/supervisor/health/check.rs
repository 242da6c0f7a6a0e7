//! Checks of what is outside: children that ask, and say how it was found.
//!
//! ```text
//! the check's thread:   begin ── the user's closure, however long it takes ── finish        no lock over it
//!                         ▼                                                     ▼
//!                       Checked: what was answered last, and since when it runs, under a lock of its own
//!                         ▲
//! whoever asks:         verdict, at once
//! ```
//!
//! When it is due, and what an answer is worth, is decided by [`bedplate_core::health::Check`].

use super::super::{ChildSpec, Incarnation, Stop};
use super::Answer;
use crate::clock;
use crate::process::ExitReason;
use crate::process::panic::attempt;
use crate::sync::Mutex;
use bedplate_core::clock::Instant;
use bedplate_core::health::Check;
use core::fmt::{self, Write as _};
use core::time::Duration;

/// So much is kept of what a check says, in bytes.
const MOST_WORDS: usize = 512;

/// How long it may take to stop at least: as long as any worker.
const TO_STOP: Duration = Duration::from_secs(5);

/// How often a check is made, and how long that may take.
#[derive(Clone, Copy)]
pub(in super::super) struct Times {
    every: Duration,
    limit: Duration,
}

/// How the check of one incarnation stands.
pub(in super::super) struct Checked(Mutex<Standing>);

struct Standing {
    check: Check,
    /// What it said when it failed last.
    why: String,
}

impl Checked {
    pub(in super::super) fn new(now: Instant, times: Times) -> Self {
        Self(Mutex::new(Standing {
            check: Check::new(now, times.every, times.limit),
            why: String::new(),
        }))
    }

    /// What is to be told of it.
    pub(in super::super) fn answer(&self, now: Instant) -> Answer {
        let standing = self.0.lock();
        Answer {
            verdict: standing.check.verdict(now),
            why: standing.why.clone(),
            age: standing.check.age(now).unwrap_or_default(),
            limit: standing.check.limit(),
        }
    }

    /// How long it is until it is due.
    fn pause(&self) -> Duration {
        let due = self.0.lock().check.due();
        due.map_or(Duration::ZERO, |due| {
            due.saturating_duration_since(clock::now())
        })
    }

    fn begin(&self) -> bool {
        self.0.lock().check.begin(clock::now())
    }

    fn finish(&self, found: Result<(), String>) {
        let mut standing = self.0.lock();
        standing.check.finish(clock::now(), found.is_ok());
        standing.why = found.err().unwrap_or_default();
    }
}

impl ChildSpec {
    /// A check of something outside: a thread that calls `ask` at once and then every `every`, and keeps what it answers, for
    /// whoever asks how [healthy](super::super::health) all is. Permanent, with as long to stop as a run may take, or five seconds if
    /// that is longer.
    ///
    /// It has passed if `ask` returns `Ok`, and failed if it returns an error, of which the first 512 bytes are told, or if it panics,
    /// which is no end of the child. If a run takes longer than `limit`, the check has timed out: from then on, as long as it
    /// hangs, and until a later run is in time. It is never called a second time while it runs, and keeps nobody but
    /// its own thread; a thread cannot be killed, so a check that hangs when it is asked to stop is abandoned. The interval
    /// counts from the end of a run to the beginning of the next, and is ten milliseconds at least. An answer that
    /// should have been replaced an interval and a limit ago is [stale](super::Problem::CheckStale).
    ///
    /// A check that has not passed makes the whole degraded, and one that is [critical](Self::critical) keeps it from being ready, until
    /// it has passed. What depends on what is checked should go on by itself when that is back. With
    /// [`Ready::Signalled`](super::super::Ready::Signalled) it counts as started when it has passed for the first time, so that
    /// the next child may rely on it. It cannot be [watched](Self::watch). Stopped by hand, it is not asked any more, and, unless it
    /// is critical, not missed.
    ///
    /// ```
    /// use bedplate::supervisor::ChildSpec;
    /// use std::net::{SocketAddr, TcpStream};
    /// use std::time::Duration;
    ///
    /// const SECOND: Duration = Duration::from_secs(1);
    /// let address = SocketAddr::from(([10, 0, 0, 5], 5432));
    /// let database = ChildSpec::check("database", 10 * SECOND, 3 * SECOND, move || {
    ///     TcpStream::connect_timeout(&address, 2 * SECOND).map(drop)
    /// });
    /// let database = database.critical(true);      // without it, no work can be done
    /// # drop(database);
    /// ```
    pub fn check<E: fmt::Display>(
        id: impl Into<String>,
        every: Duration,
        limit: Duration,
        ask: impl Fn() -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let ask = move || ask().map_err(words);
        let mut spec = Self::worker(id, move |me| make(me, &ask));
        spec.checks = Some(Times { every, limit });
        spec.stop(Stop::Within(limit.max(TO_STOP)))
    }
}

/// The body: one run after the other.
fn make(me: &Incarnation, ask: &dyn Fn() -> Result<(), String>) -> ExitReason {
    let Some(checked) = &me.checked else {
        return ExitReason::Gone;
    };
    let mut passed_before = false;
    while !me.stop().wait(checked.pause()) {
        if !checked.begin() {
            continue;
        }
        let found =
            attempt(ask).unwrap_or_else(|report| Err(words(format_args!("panicked: {report}"))));
        let passed = found.is_ok();
        checked.finish(found);
        if passed && !passed_before {
            me.ready();
        }
        passed_before |= passed;
    }
    ExitReason::Normal
}

/// The beginning of what it says.
fn words(error: impl fmt::Display) -> String {
    let mut words = Bounded(String::new());
    // It is full, or what it says cannot be said; what there is will do.
    let _cut = write!(words, "{error}");
    words.0
}

struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = MOST_WORDS - self.0.len();
        if more.len() <= room {
            self.0.push_str(more);
            return Ok(());
        }
        let end = (0..=room).rev().find(|&end| more.is_char_boundary(end));
        self.0.push_str(&more[..end.unwrap_or(0)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_check_says_is_bounded_and_stays_text() {
        assert_eq!(words("refused"), "refused");
        let long = "ä".repeat(MOST_WORDS);
        assert_eq!(words(&long), long[..MOST_WORDS]);
        let odd = format!("a{long}");
        assert_eq!(words(&odd), odd[..MOST_WORDS - 1]);
        assert_eq!(words(format_args!("{odd}{odd}")), odd[..MOST_WORDS - 1]);
    }
}
