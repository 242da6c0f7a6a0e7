//! Where recorded events wait: a ring for each thread, and one that is shared by those for whom there is none.
//!
//! # A global allocator may record
//! What allocates in here may come back in here, on the same thread. So what it may meet is never locked or borrowed
//! in its way: a ring that is in use is passed by for the shared one, and what takes a lock and allocates under it goes
//! through [`alone`], which whoever comes back does not enter.

use super::drainer;
use super::rings::{CAPACITY, OwnWriter, Rings};
use crate::clock;
use crate::sync::{AtomicU64, Ordering, thread};
use bedplate_core::clock::Instant;
use bedplate_core::ring::{Overwrite, Reader, Received, SharedRing, Stats};
use core::cell::{Cell, RefCell};
use core::time::Duration;

pub(super) use bedplate_core::event::Event as Stored;

/// Of the ring that is shared.
const SHARED_CAPACITY: usize = 1_024;

/// How long a push into the shared ring may be under way before it is no longer waited for.
const PATIENCE: Duration = Duration::from_millis(100);

/// A thread looks every so many events whether its ring is filling up.
const LOOK_EVERY: u32 = 64;

static RINGS: Rings<Stored> = Rings::new();
static SHARED: SharedRing<SHARED_CAPACITY, Overwrite, Stored> = SharedRing::new();

/// The time at which events were last told.
static TICK: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static SHARD: RefCell<Shard> = const { RefCell::new(Shard::Unknown) };
    /// Whether this thread is in [`alone`] or [`quietly`]. Without a destructor, so that it is there to the end.
    static IS_ALONE: Cell<bool> = const { Cell::new(false) };
    /// Whether the telling thread is to be woken when that is left.
    static WAKES: Cell<bool> = const { Cell::new(false) };
}

/// Runs what allocates with a lock held that recording takes, too; `None` if this thread is in the middle of that: then
/// a global allocator has come back, and must not wait for itself.
pub(super) fn alone<R>(f: impl FnOnce() -> R) -> Option<R> {
    if IS_ALONE.get() {
        return None;
    }
    Some(quietly(f))
}

/// Runs what allocates with another lock of ours held, under which no code of a user may run either: whoever comes back by
/// a global allocator meanwhile has what he records stored, and told later.
pub(super) fn quietly<R>(f: impl FnOnce() -> R) -> R {
    struct Leave(bool);
    impl Drop for Leave {
        fn drop(&mut self) {
            IS_ALONE.set(self.0);
            if !self.0 && WAKES.replace(false) {
                drainer::wake();
            }
        }
    }
    let _leave = Leave(IS_ALONE.replace(true));
    f()
}

/// Whether this thread is in the middle of that.
pub(super) fn is_quiet() -> bool {
    IS_ALONE.get()
}

/// Has the telling thread woken when this thread leaves.
pub(super) fn wake_when_left() {
    WAKES.set(true);
}

/// Where a thread's events go.
enum Shard {
    Unknown,
    Own {
        writer: OwnWriter<Stored>,
        pushed: u32,
    },
    Shared,
}

/// Stores an event, with its time.
pub(super) fn push(mut stored: Stored, exact: bool) {
    stored.time = if exact { clock::now() } else { recent() };
    let crowded = SHARD.try_with(|shard| match shard.try_borrow_mut() {
        Ok(mut shard) => shard.push(stored),
        Err(_) => push_shared(stored),
    });
    let crowded = crowded.unwrap_or_else(|_destroyed| push_shared(stored));
    // Behind the push: whoever is about to sleep looks once more after having said so.
    if !drainer::is_awake() {
        drainer::wake();
    } else if crowded {
        drainer::hurry_once();
    }
}

impl Shard {
    /// Whether the ring is half full, as far as this was looked for.
    fn push(&mut self, stored: Stored) -> bool {
        match self {
            Self::Own { writer, pushed } => {
                writer.push(stored);
                *pushed = pushed.wrapping_add(1);
                *pushed % LOOK_EVERY == 0 && writer.waiting() > CAPACITY / 2
            }
            Self::Shared => push_shared(stored),
            Self::Unknown => match alone(Self::claim) {
                Some(shard) => {
                    *self = shard;
                    self.push(stored)
                }
                None => push_shared(stored),
            },
        }
    }

    fn claim() -> Self {
        drainer::flush_at_exit_of_main();
        let writer = RINGS.claim();
        writer.map_or(Self::Shared, |writer| Self::Own { writer, pushed: 0 })
    }
}

/// The end of a thread: what it has left is told soon, and the ring is free for another.
impl Drop for Shard {
    fn drop(&mut self) {
        if let Self::Own { writer, .. } = self
            && writer.waiting() > 0
        {
            drainer::wake();
        }
    }
}

fn push_shared(stored: Stored) -> bool {
    // What is refused is counted by the ring.
    SHARED.push(stored).is_err()
}

/// The time at which events were last told.
fn tick() -> Instant {
    // Relaxed: a time, through which nothing is read.
    Instant::from_nanos(TICK.load(Ordering::Relaxed))
}

/// Events are being told at this time. It does not go back, whoever comes late.
pub(super) fn set_tick(now: Instant) {
    // Relaxed: as above.
    TICK.fetch_max(now.as_nanos(), Ordering::Relaxed);
}

/// The time at which events were last told, if somebody sets it time and again.
pub(crate) fn recent() -> Instant {
    if drainer::is_awake() {
        tick()
    } else {
        clock::now()
    }
}

/// The reading ends, for whoever tells.
pub(super) struct Readers {
    rings: Vec<Reader<'static, Stored>>,
    shared: Option<SharedReader<'static>>,
}

impl Readers {
    pub(super) fn claim() -> Self {
        Self {
            rings: Vec::new(),
            shared: SHARED.claim_reader().map(SharedReader::new),
        }
    }

    /// Gives `sink` what is there now, and the number of its ring; the shared one has zero. Whether there was anything,
    /// or is about to be.
    ///
    /// `thoroughly`, what lies behind a push that is under way is waited for.
    pub(super) fn drain(
        &mut self,
        thoroughly: bool,
        mut sink: impl FnMut(Received<Stored>, usize),
    ) -> bool {
        let mut found = false;
        if let Some(shared) = &mut self.shared {
            let until = shared.passed + shared.reader.waiting() as u64;
            let mut sink = |received| sink(received, 0);
            found = shared.drain(clock::now(), &mut sink);
            while thoroughly && shared.passed < until {
                thread::sleep(PATIENCE / 100);
                shared.drain(clock::now(), &mut sink);
            }
        }
        alone(|| RINGS.claim_new(&mut self.rings));
        for (number, reader) in (1..).zip(&mut self.rings) {
            // As many as can be there, and a gap before them: an endless stream in one does not keep it from the
            // others.
            if reader.drain(CAPACITY + 1, |received| sink(received, number)) > 0 {
                found = true;
                // Handlers may have taken their time.
                set_tick(clock::now());
            }
        }
        found
    }
}

/// The reading end of a ring of several writers, one of which may be suspended, or dead, in the middle of a push.
struct SharedReader<'r> {
    reader: Reader<'r, Stored>,
    /// How many pushes have been told, or passed over.
    passed: u64,
    /// Since when it waits for the same push.
    held_up_since: Option<Instant>,
}

impl<'r> SharedReader<'r> {
    const fn new(reader: Reader<'r, Stored>) -> Self {
        Self {
            reader,
            passed: 0,
            held_up_since: None,
        }
    }

    /// Gives `sink` what is there now. A push that has been under way for too long is passed over, as lost. Whether
    /// there was anything, or is about to be.
    fn drain(&mut self, now: Instant, sink: &mut impl FnMut(Received<Stored>)) -> bool {
        let mut left = SHARED_CAPACITY + 1;
        loop {
            let passed = &mut self.passed;
            let count = self.reader.drain(left, |received| {
                *passed += match &received {
                    Received::Record(_) => 1,
                    Received::Lost(lost) => lost.count(),
                };
                sink(received);
            });
            left -= count;
            if count > 0 {
                self.held_up_since = None;
            }
            if left == 0 {
                return true;
            }
            if !self.reader.is_held_up() {
                self.held_up_since = None;
                return left < SHARED_CAPACITY + 1;
            }
            let since = *self.held_up_since.get_or_insert(now);
            if now.saturating_duration_since(since) < PATIENCE {
                return true;
            }
            if let Some(lost) = self.reader.skip() {
                self.passed += lost.count();
                sink(Received::Lost(lost));
                left -= 1;
            }
            self.held_up_since = None;
            if left == 0 {
                return true;
            }
        }
    }
}

/// The counts of all rings together.
pub(super) fn stats() -> Stats {
    RINGS.add_stats(SHARED.stats())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bedplate_core::event::{EventKind, Level};
    use bedplate_core::ring::Step;

    fn stored(value: u64) -> Stored {
        Stored {
            kind: EventKind::new(Level::Info, 1),
            time: Instant::ZERO,
            key: 0,
            value,
        }
    }

    fn drained(reader: &mut SharedReader<'_>, now: u64) -> (Vec<u64>, u64, bool) {
        let (mut values, mut lost) = (Vec::new(), 0);
        let found =
            reader.drain(
                Instant::from_nanos(now * 1_000_000),
                &mut |received| match received {
                    Received::Record(stored) => values.push(stored.value),
                    Received::Lost(gap) => lost += gap.count(),
                },
            );
        (values, lost, found)
    }

    /// Whoever died in the middle of a push once kept what came behind it from being told, until half a ring was there.
    #[test]
    fn a_push_that_never_ends_is_passed_over() {
        let ring = SharedRing::<8, Overwrite, Stored>::new();
        let mut reader = SharedReader::new(ring.claim_reader().expect("nobody else reads"));
        let pushed = ring.push_interrupted(stored(1), |step| {
            if step != Step::Taken {
                return;
            }
            ring.push(stored(2)).expect("there is room");
            assert_eq!(drained(&mut reader, 5), (vec![], 0, true), "it may come");
            assert_eq!(drained(&mut reader, 104), (vec![], 0, true));
            assert_eq!(drained(&mut reader, 105), (vec![2], 1, true));
            assert_eq!(drained(&mut reader, 106), (vec![], 0, false));
        });
        assert_eq!(pushed, Ok(()));
        let stats = ring.stats();
        assert_eq!((stats.delivered, stats.busy, stats.waiting), (1, 1, 0));
    }

    /// Each push has its own time.
    #[test]
    fn a_push_that_ends_is_told() {
        let ring = SharedRing::<8, Overwrite, Stored>::new();
        let mut reader = SharedReader::new(ring.claim_reader().expect("nobody else reads"));
        let pushed = ring.push_interrupted(stored(1), |step| {
            if step == Step::Taken {
                assert_eq!(drained(&mut reader, 5), (vec![], 0, true));
            }
        });
        assert_eq!(pushed, Ok(()));
        assert_eq!(drained(&mut reader, 90), (vec![1], 0, true));
        let pushed = ring.push_interrupted(stored(2), |step| {
            if step == Step::Taken {
                assert_eq!(drained(&mut reader, 110), (vec![], 0, true), "a new one");
            }
        });
        assert_eq!(pushed, Ok(()));
        assert_eq!(drained(&mut reader, 300), (vec![2], 0, true));
        assert_eq!(drained(&mut reader, 301), (vec![], 0, false));
    }

    #[test]
    fn who_comes_back_is_not_let_in() {
        let inner = alone(|| alone(|| ()).is_none());
        assert_eq!(inner, Some(true));
        assert_eq!(alone(|| 7), Some(7));
    }
}
