//! Where recorded events wait: a ring for each thread, and one that is shared by those for whom there is none.
//!
//! A ring is made when there is none that nobody writes to, and stays, for the next thread when its own has ended.
//! So their counts are those of the process.

use super::drainer;
use crate::clock;
use crate::sync::{AtomicU64, Mutex, Ordering};
use bedplate_core::clock::Instant;
use bedplate_core::ring::{EventRing, Overwrite, Reader, SharedRing, Stats, Writer};
use core::cell::RefCell;

pub(super) use bedplate_core::event::Event as Stored;

/// Events that wait for one thread: 16 KiB.
pub(super) const CAPACITY: usize = 256;

/// The most rings; threads beyond share one.
const MOST: usize = 128;

/// A thread looks every so many events whether its ring is filling up.
const LOOK_EVERY: u32 = 64;

type Ring = EventRing<CAPACITY, Overwrite, Stored>;

static RINGS: Mutex<Vec<&'static Ring>> = Mutex::new(Vec::new());
static SHARED: SharedRing<1_024, Overwrite, Stored> = SharedRing::new();

/// The time at which events were last told.
static TICK: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static SHARD: RefCell<Shard> = const { RefCell::new(Shard::Unknown) };
}

/// Where a thread's events go.
enum Shard {
    Unknown,
    Own {
        writer: Writer<'static, CAPACITY, Overwrite, Stored>,
        pushed: u32,
    },
    Shared,
}

/// Stores an event, with its time.
pub(super) fn push(mut stored: Stored, exact: bool) {
    stored.time = if exact || !drainer::is_awake() {
        clock::now()
    } else {
        tick()
    };
    let crowded = SHARD.try_with(|shard| shard.borrow_mut().push(stored));
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
            Self::Unknown => {
                *self = Self::claim();
                self.push(stored)
            }
        }
    }

    fn claim() -> Self {
        drainer::flush_at_exit_of_main();
        let mut rings = RINGS.lock();
        let free = rings.iter().find_map(|ring| ring.claim_writer());
        let writer = free.or_else(|| {
            if rings.len() >= MOST {
                return None;
            }
            let ring: &'static Ring = Box::leak(Box::new(Ring::new()));
            rings.push(ring);
            ring.claim_writer()
        });
        writer.map_or(Self::Shared, |writer| Self::Own { writer, pushed: 0 })
    }
}

/// The end of a thread: what it has left is told soon, and the ring is free for another.
impl Drop for Shard {
    fn drop(&mut self) {
        if let Self::Own { writer, .. } = self
            && writer.waiting() > 0
        {
            drainer::hurry();
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

/// Events are being told at this time.
pub(super) fn set_tick(now: Instant) {
    // Relaxed: as above.
    TICK.store(now.as_nanos(), Ordering::Relaxed);
}

/// The reading ends, for whoever tells.
pub(super) struct Readers {
    rings: Vec<Reader<'static, Stored>>,
    shared: Option<Reader<'static, Stored>>,
}

impl Readers {
    pub(super) fn claim() -> Self {
        Self {
            rings: Vec::new(),
            shared: SHARED.claim_reader(),
        }
    }

    /// All of them, with their numbers; the shared one has zero.
    pub(super) fn all(&mut self) -> impl Iterator<Item = (usize, &mut Reader<'static, Stored>)> {
        let rings = RINGS.lock();
        let new = rings.get(self.rings.len()..).unwrap_or_default();
        self.rings
            .extend(new.iter().filter_map(|ring| ring.claim_reader()));
        drop(rings);
        let own = (1..).zip(&mut self.rings);
        self.shared.iter_mut().map(|shared| (0, shared)).chain(own)
    }
}

/// The counts of all rings together.
pub(super) fn stats() -> Stats {
    let rings = RINGS.lock().clone();
    let each = rings.iter().map(|ring| ring.stats());
    each.fold(SHARED.stats(), |mut sum, stats| {
        sum.pushed = sum.pushed.wrapping_add(stats.pushed);
        sum.delivered = sum.delivered.wrapping_add(stats.delivered);
        sum.overwritten = sum.overwritten.wrapping_add(stats.overwritten);
        sum.rejected = sum.rejected.wrapping_add(stats.rejected);
        sum.busy = sum.busy.wrapping_add(stats.busy);
        sum.waiting = sum.waiting.wrapping_add(stats.waiting);
        sum
    })
}
