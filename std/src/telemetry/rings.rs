//! Rings of which each thread has one.
//!
//! A ring is made when there is none that nobody writes to, and stays, for the next thread when its own has ended.
//! So their counts are those of the process.

use crate::sync::Mutex;
use bedplate_core::event::Record;
use bedplate_core::ring::{EventRing, Overwrite, Reader, Stats, Writer};

/// Records that wait for one thread: 16 KiB.
pub(super) const CAPACITY: usize = 256;

/// The most rings of a kind; threads beyond share one.
const MOST: usize = 128;

type Ring<R> = EventRing<CAPACITY, Overwrite, R>;

/// Its end for a thread.
pub(super) type OwnWriter<R> = Writer<'static, CAPACITY, Overwrite, R>;

/// All rings of a kind.
pub(super) struct Rings<R: Record + 'static>(Mutex<Vec<&'static Ring<R>>>);

impl<R: Record> Rings<R> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// A ring for the calling thread; `None` if there are as many as there may be. Allocates under the lock.
    #[cold]
    pub(super) fn claim(&self) -> Option<OwnWriter<R>> {
        let mut rings = self.0.lock();
        let free = rings.iter().find_map(|ring| ring.claim_writer());
        free.or_else(|| {
            if rings.len() >= MOST {
                return None;
            }
            let ring: &'static Ring<R> = Box::leak(Box::new(Ring::new()));
            rings.push(ring);
            ring.claim_writer()
        })
    }

    /// Adds the reading ends of those rings that were made since the last time. Allocates under the lock.
    pub(super) fn claim_new(&self, readers: &mut Vec<Reader<'static, R>>) {
        let rings = self.0.lock();
        let new = rings.get(readers.len()..).unwrap_or_default();
        readers.extend(new.iter().filter_map(|ring| ring.claim_reader()));
    }

    /// The counts of all of them, added to these.
    pub(super) fn add_stats(&self, to: Stats) -> Stats {
        self.0.lock().iter().fold(to, |mut sum, ring| {
            let stats = ring.stats();
            sum.pushed = sum.pushed.wrapping_add(stats.pushed);
            sum.delivered = sum.delivered.wrapping_add(stats.delivered);
            sum.overwritten = sum.overwritten.wrapping_add(stats.overwritten);
            sum.rejected = sum.rejected.wrapping_add(stats.rejected);
            sum.busy = sum.busy.wrapping_add(stats.busy);
            sum.waiting = sum.waiting.wrapping_add(stats.waiting);
            sum
        })
    }
}
