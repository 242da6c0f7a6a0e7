//! One source and the worker that reads it, made so that the worker may crash.
//!
//! ```text
//!  Watched ─────────────────────────┐      survives every crash
//!  │ name, events                   │
//!  │ slot: Option<Box<State>> ──────┼──► lease ──► worker thread
//!  └────────────────────────────────┘      ▲            │ returns or unwinds
//!                                          └────────────┘
//! ```
//!
//! For every line the worker does three things:
//! 1. *peek*: the line is there, unfinished, and one more attempt at it is noted;
//! 2. *parse* and make a key: the risky part, which changes nothing;
//! 3. *commit*: decide, count, put a record into the batch; then the line is finished.
//!
//! A panic in 2 gives the lease back by unwinding, with the line unfinished. The next incarnation
//! finds everything as it was after the last finished line. A line at which two incarnations died is
//! rejected by the third.

use crate::lines::{LineReader, Peek};
use crate::output::{Batch, Sink};
use crate::shape::{self, Parsed};
use crate::source::{Source, SourceError, is_text};
use crate::template::Keys;
use crate::window::Repetitions;
use bedplate::clock;
use bedplate::context::{self, Key};
use bedplate::registry;
use bedplate::supervisor::Incarnation;
use bedplate_core::clock::Instant;
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::ring::{EventRing, Overwrite, Writer};
use core::time::Duration;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The interval was over, or the source; `key` is how far it was read in bytes, `value` how many
/// lines were finished.
pub(crate) const READ: EventKind = EventKind::new(Level::Info, 1);
/// A window closed; `value` is how many lines it had collapsed.
pub(crate) const WINDOW_CLOSED: EventKind = EventKind::new(Level::Info, 2);
/// An incarnation after the first began; `value` is how many restarts there were.
pub(crate) const RESTARTED: EventKind = EventKind::new(Level::Warn, 3);

/// How many events of a source wait for the display.
pub(crate) const EVENTS: usize = 256;

/// How many lines go by between two looks at the clock and the stop token.
const CHECK_EVERY: u32 = 64;

/// How many rejected lines of a source are reported one by one.
const REPORTED_REJECTIONS: u64 = 5;

/// At how many deaths of a worker a line is given up.
const DEADLY: u32 = 2;

static SOURCE: Key<Arc<str>> = Key::new("source");
static RESTARTS: Key<u64> = Key::new("restarts");
static LINE: Key<u64> = Key::new("line");

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) sink: Sink,
    pub(crate) most_names: AtomicUsize,
    pub(crate) interval: Duration,
    pub(crate) inject_crash: Option<memchr::memmem::Finder<'static>>,
}

impl Shared {
    fn is_to_crash_at(&self, text: &[u8]) -> bool {
        let pattern = self.inject_crash.as_ref();
        pattern.is_some_and(|pattern| pattern.find(text).is_some())
    }
}

/// A source with all that survives the crash of its worker.
pub(crate) struct Watched {
    pub(crate) name: Arc<str>,
    pub(crate) size: Option<u64>,
    pub(crate) events: EventRing<EVENTS>,
    slot: Mutex<Option<Box<State>>>,
}

/// What one incarnation leaves to the next.
pub(crate) struct State {
    reader: LineReader<Source>,
    is_known_as_text: bool,
    /// Incarnations that looked at the current line.
    attempts: u32,
    keys: Keys,
    ledger: Ledger,
    pub(crate) end: Option<End>,
}

/// Why a source is not read any more.
#[derive(Debug)]
pub(crate) enum End {
    Finished,
    Stopped,
    Failed(SourceError),
}

/// The part that changes only in a commit.
struct Ledger {
    repetitions: Repetitions,
    batch: Batch,
    totals: Totals,
}

/// At every moment, `read = passed + collapsed + rejected + lost`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) read: u64,
    pub(crate) passed: u64,
    pub(crate) collapsed: u64,
    pub(crate) rejected: u64,
    pub(crate) lost: u64,
    pub(crate) windows: u64,
    pub(crate) windows_lost: u64,
    pub(crate) windows_early: u64,
    pub(crate) restarts: u64,
    pub(crate) time: Duration,
}

impl Watched {
    pub(crate) fn new(
        name: Arc<str>,
        source: Source,
        max_line: usize,
        keys: Keys,
        repetitions: Repetitions,
        batch: Batch,
    ) -> Self {
        let size = source.size;
        let state = State {
            reader: LineReader::new(source, max_line),
            is_known_as_text: false,
            attempts: 0,
            keys,
            ledger: Ledger {
                repetitions,
                batch,
                totals: Totals::default(),
            },
            end: None,
        };
        let slot = Mutex::new(Some(Box::new(state)));
        Self {
            name,
            size,
            events: EventRing::new(),
            slot,
        }
    }

    /// Takes the state out of the slot; `None` while somebody else has it.
    pub(crate) fn lease(&self) -> Option<Lease<'_>> {
        let state = self
            .slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        Some(Lease {
            slot: &self.slot,
            state: Some(state),
            begun: clock::now(),
        })
    }
}

/// A source's state, on loan. It goes back when this is dropped, by a crash as well.
pub(crate) struct Lease<'w> {
    slot: &'w Mutex<Option<Box<State>>>,
    state: Option<Box<State>>,
    begun: Instant,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(mut state) = self.state.take() {
            state.ledger.totals.time += clock::now().saturating_duration_since(self.begun);
            *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        }
    }
}

impl core::ops::Deref for Lease<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        self.state
            .as_deref()
            .expect("the state is here until the lease is dropped")
    }
}

impl core::ops::DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.state
            .as_deref_mut()
            .expect("the state is here until the lease is dropped")
    }
}

/// The body of a worker: reads until the source ends or a stop is asked for.
pub(crate) fn run(watched: &Watched, shared: &Shared, me: &Incarnation) -> Result<(), String> {
    context::with(&SOURCE, Arc::clone(&watched.name), || {
        if me.restarts() == 0 {
            return work(watched, shared, me);
        }
        context::with(&RESTARTS, me.restarts(), || work(watched, shared, me))
    })
}

fn work(watched: &Watched, shared: &Shared, me: &Incarnation) -> Result<(), String> {
    // Relaxed: a statistic.
    shared
        .most_names
        .fetch_max(registry::count(), Ordering::Relaxed);
    let mut lease = watched
        .lease()
        .ok_or("an abandoned worker still has the source")?;
    let mut events = watched
        .events
        .claim_writer()
        .ok_or("an abandoned worker still writes")?;

    let state = &mut *lease;
    state.ledger.totals.restarts = me.restarts();
    if let Some(reason) = me.last_exit().filter(|_| me.restarts() > 0) {
        let line = state.reader.line();
        context::with(&LINE, line, || {
            tracing::warn!("restarted: the worker before {reason}; going on with this line");
        });
        events.push(event(RESTARTED, line, me.restarts()));
    }
    state.end = Some(state.read(shared, me, &mut events));
    state.close(shared);
    events.push(event(READ, state.reader.offset(), state.totals().read));
    Ok(())
}

impl State {
    /// The counts so far; the time without that spent waiting for input.
    pub(crate) const fn totals(&self) -> Totals {
        let waited = self.reader.input().waited;
        Totals {
            time: self.ledger.totals.time.saturating_sub(waited),
            ..self.ledger.totals
        }
    }

    /// The first line that is not finished.
    pub(crate) const fn line(&self) -> u64 {
        self.reader.line()
    }

    /// Closes all windows and writes what is left.
    pub(crate) fn close(&mut self, shared: &Shared) {
        let Ledger {
            repetitions,
            batch,
            totals,
        } = &mut self.ledger;
        repetitions.flush(|summary, exemplar| {
            totals.windows += 1;
            batch.window(totals.restarts, summary, exemplar);
        });
        self.ledger.write(&shared.sink);
        self.ledger.totals.windows_early = self.ledger.repetitions.counts().evicted;
    }

    fn read(
        &mut self,
        shared: &Shared,
        me: &Incarnation,
        events: &mut Writer<'_, EVENTS, Overwrite, Event>,
    ) -> End {
        let mut now = clock::now();
        let mut next_write = now.saturating_add(shared.interval);
        let mut until_check = CHECK_EVERY;
        loop {
            until_check -= 1;
            if until_check == 0 {
                until_check = CHECK_EVERY;
                now = clock::now();
                if me.stop().is_stopped() || shared.sink.is_closed() || shared.sink.has_failed() {
                    return End::Stopped;
                }
                if now >= next_write {
                    next_write = now.saturating_add(shared.interval);
                    self.ledger.write(&shared.sink);
                    events.push(event(READ, self.reader.offset(), self.ledger.totals.read));
                }
            }
            if !self.is_known_as_text {
                match self.reader.first_block() {
                    Ok(block) if !is_text(block) => return End::Failed(SourceError::Binary),
                    Ok(block) => self.is_known_as_text = !block.is_empty(),
                    Err(error) => return End::Failed(SourceError::Io(error)),
                }
            }
            let line = self.reader.line();
            match self.reader.peek() {
                Ok(Peek::Line(text)) => {
                    self.attempts += 1;
                    if self.attempts > DEADLY {
                        self.ledger
                            .reject(line, "workers died at it", text.len() as u64);
                    } else {
                        if self.attempts == 1 && shared.is_to_crash_at(text) {
                            panic!("crash injected at line {line}");
                        }
                        let parsed = shape::parse(text);
                        let key = self.keys.key(parsed.severity, parsed.code, parsed.message);
                        self.ledger.commit(key, line, text, &parsed, now, events);
                    }
                }
                Ok(Peek::TooLong(length)) => self.ledger.reject(line, "too long", length),
                Ok(Peek::Partial) => {
                    until_check = 1;
                    continue;
                }
                Ok(Peek::Idle) => {
                    now = clock::now();
                    self.ledger.idle(now, events);
                    self.ledger.write(&shared.sink);
                    until_check = 1;
                    continue;
                }
                Ok(Peek::End) => return End::Finished,
                Err(error) => return End::Failed(SourceError::Io(error)),
            }
            self.reader.finish();
            self.attempts = 0;
            if self.reader.is_drained() {
                // A source that trickles gets its records out in time, too.
                until_check = 1;
            }
            if self.ledger.batch.is_full() {
                self.ledger.write(&shared.sink);
            }
        }
    }
}

impl Ledger {
    #[inline]
    fn commit(
        &mut self,
        key: u64,
        line: u64,
        text: &[u8],
        parsed: &Parsed<'_>,
        now: Instant,
        events: &mut Writer<'_, EVENTS, Overwrite, Event>,
    ) {
        let Self {
            repetitions,
            batch,
            totals,
        } = self;
        let passes = repetitions.offer(key, line, text, parsed, now, |summary, exemplar| {
            totals.windows += 1;
            batch.window(totals.restarts, summary, exemplar);
            events.push(event(WINDOW_CLOSED, exemplar.line, summary.suppressed));
        });
        totals.read += 1;
        if passes {
            totals.passed += 1;
            batch.line(line, totals.restarts, text, parsed);
        } else {
            totals.collapsed += 1;
        }
    }

    #[cold]
    fn reject(&mut self, line: u64, why: &str, length: u64) {
        self.totals.read += 1;
        self.totals.rejected += 1;
        context::with(&LINE, line, || {
            if self.totals.rejected <= REPORTED_REJECTIONS {
                tracing::warn!(length, "line rejected: {why}");
            }
            if self.totals.rejected == REPORTED_REJECTIONS {
                tracing::warn!("further rejected lines are only counted");
            }
        });
    }

    fn idle(&mut self, now: Instant, events: &mut Writer<'_, EVENTS, Overwrite, Event>) {
        let Self {
            repetitions,
            batch,
            totals,
        } = self;
        repetitions.idle(now, |summary, exemplar| {
            totals.windows += 1;
            batch.window(totals.restarts, summary, exemplar);
            events.push(event(WINDOW_CLOSED, exemplar.line, summary.suppressed));
        });
    }

    fn write(&mut self, sink: &Sink) {
        let lost = self.batch.write_to(sink);
        self.totals.passed -= lost.lines;
        self.totals.lost += lost.lines;
        self.totals.windows_lost += lost.windows;
    }
}

fn event(kind: EventKind, key: u64, value: u64) -> Event {
    Event {
        kind,
        time: clock::now(),
        key,
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, epoch};
    use bedplate::supervisor::{ChildSpec, ChildState, Restart, Supervisor};
    use std::io::Write as _;

    fn shared(inject_crash: Option<&str>) -> Arc<Shared> {
        let finder = inject_crash.map(|text| memchr::memmem::Finder::new(text).into_owned());
        Arc::new(Shared {
            sink: Sink::new(std::io::sink()),
            most_names: AtomicUsize::new(0),
            interval: Duration::from_secs(3600),
            inject_crash: finder,
        })
    }

    fn watched(text: &str) -> Arc<Watched> {
        let mut file = tempfile::NamedTempFile::new().expect("a file can be made");
        file.write_all(text.as_bytes()).expect("and written");
        let source = Source::open(file.path()).expect("and opened");
        let format = Format {
            json: false,
            source: "test".to_owned(),
            epoch: epoch(),
        };
        let repetitions = Repetitions::new(256, Duration::from_secs(60), clock::now());
        let batch = Batch::new(format);
        Arc::new(Watched::new(
            "test".into(),
            source,
            1024,
            Keys::new(0),
            repetitions,
            batch,
        ))
    }

    /// Lets a supervised worker read the source to its end.
    fn read(watched: &Arc<Watched>, shared: &Arc<Shared>) -> Totals {
        let (state, all) = (Arc::clone(watched), Arc::clone(shared));
        let worker = ChildSpec::worker("reader", move |me| run(&state, &all, me));
        let supervisor = Supervisor::builder("test")
            .limit(100, Duration::from_secs(60))
            .child(worker.restart(Restart::Transient))
            .start()
            .expect("it starts");
        let is_over = || {
            let children = supervisor.handle().children();
            children
                .iter()
                .all(|child| child.state == ChildState::Stopped)
        };
        while !is_over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(supervisor.shutdown());
        let totals = watched
            .lease()
            .expect("the worker has given it back")
            .totals();
        assert_eq!(
            totals.read,
            totals.passed + totals.collapsed + totals.rejected + totals.lost
        );
        totals
    }

    const TEXT: &str = "one 1\ntwo 1\none 2\nthree\ntwo 2\n";

    #[test]
    fn crashes_change_nothing_but_the_restarts() {
        let calm = read(&watched(TEXT), &shared(None));
        assert_eq!(
            (calm.read, calm.passed, calm.collapsed, calm.restarts),
            (5, 3, 2, 0)
        );
        let stormy = read(&watched(TEXT), &shared(Some("two")));
        assert_eq!((stormy.read, stormy.passed, stormy.collapsed), (5, 3, 2));
        assert_eq!(
            (stormy.rejected, stormy.windows, stormy.restarts),
            (0, 2, 2)
        );
    }

    #[test]
    fn a_line_at_which_two_workers_died_is_rejected_by_the_third() {
        let watched = watched(TEXT);
        watched.lease().expect("nobody has it").attempts = DEADLY;
        let totals = read(&watched, &shared(None));
        assert_eq!((totals.read, totals.rejected, totals.passed), (5, 1, 3));
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_counted() {
        struct Broken;
        impl std::io::Write for Broken {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let broken = Shared {
            sink: Sink::new(Broken),
            most_names: AtomicUsize::new(0),
            interval: Duration::ZERO,
            inject_crash: None,
        };
        let totals = read(&watched(TEXT), &Arc::new(broken));
        assert_eq!((totals.passed, totals.collapsed, totals.lost), (0, 2, 3));
        assert_eq!(totals.windows_lost, 2);
    }
}
