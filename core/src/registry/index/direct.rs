//! For who wants to be quicker than a look-up: a lane kept for later, and memory fetched ahead.

use super::{Bucket, Index, Lane, Place, Spot, load};
use crate::sync::{AtomicUsize, Ordering};
use core::ptr::NonNull;

/// A lane of an index, which is there as long as the index is.
#[derive(Clone, Copy)]
pub(in crate::registry) struct LaneRef(NonNull<AtomicUsize>);

impl LaneRef {
    /// Whether there is this in the lane. What is loaded afterwards is at least as new as that.
    ///
    /// # Safety
    /// The index it is a lane of is still there.
    #[inline]
    pub(in crate::registry) unsafe fn is(self, word: Lane) -> bool {
        // SAFETY: made from a reference into the index, which neither moves nor frees its lanes while it is
        // there (the caller's promise).
        let lane = unsafe { self.0.as_ref() };
        load(lane) == word
    }
}

impl Index {
    /// The lane in which an entry is, if it still is.
    pub(in crate::registry) fn lane_of(&self, entry: Lane) -> Option<LaneRef> {
        let head = self.bucket(entry.place().bucket(self.size()));
        let (_, lane) = self.position(head, entry)?;
        (load(lane) == entry).then(|| LaneRef(NonNull::from(lane)))
    }

    /// The bucket of a place, fetched.
    #[inline]
    pub(in crate::registry) fn fetch(&self, place: Place) -> Fetched<'_> {
        let head = self.bucket(place.bucket(self.size()));
        // Relaxed: only to have the memory at hand.
        fetch(head, |head| head.meta.load(Ordering::Relaxed));
        Fetched { head, place }
    }
}

/// A bucket that has been fetched, for a place.
#[derive(Clone, Copy)]
pub(in crate::registry) struct Fetched<'i> {
    head: &'i Bucket,
    pub(in crate::registry) place: Place,
}

impl Fetched<'_> {
    /// The slot to which it leads first; others may be right.
    #[inline]
    pub(in crate::registry) fn slot(self) -> Option<Spot> {
        let (_, lane) = self.head.lane_at(self.place)?;
        let word = load(lane);
        word.is_at(self.place).then(|| word.slot())
    }
}

/// Has memory fetched, without waiting for it if the target can; otherwise by loading a word of it.
#[inline(always)]
pub(in crate::registry) fn fetch<T>(memory: &T, load: impl FnOnce(&T) -> usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let _ = load;
        // SAFETY: it reads nothing, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(memory).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    core::hint::black_box(load(memory));
}
