//! The same names, instrumented.

#[cfg(target_has_atomic = "64")]
pub(crate) use ::loom::sync::atomic::AtomicU64;
pub(crate) use ::loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) use ::loom::sync::atomic::{AtomicPtr, AtomicU32};

/// Reads a pointer that nobody else can reach.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) fn exclusively<T>(pointer: &mut AtomicPtr<T>) -> *mut T {
    pointer.with_mut(|pointer| *pointer)
}

/// Stores, behind every read-modify-write that came before. A plain store need not be, in loom: an exchange
/// that it was too late for may be ordered after it.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) fn overwrite(word: &AtomicUsize, value: usize, ordering: Ordering) {
    word.swap(value, ordering);
}

/// Here an interrupt is a call, and what calls is in the order of the program.
pub(crate) fn in_order() {}

/// Words of payload in a ring slot: as few as can be torn. Models use records of their own, an
/// [`Event`](crate::event::Event) does not fit.
pub(crate) const SLOT_WORDS: usize = 2;

/// Pushes that may be interrupted at once while they take their tickets of a nested ring.
pub(crate) const NEST_LEVELS: usize = 2;

/// Lanes of a bucket: as few as can be full and half full.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const BUCKET_LANES: usize = 2;

/// Elements in the first step of an array that grows.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const FIRST_STEP: usize = 4;

/// Bits of the place within a step of such an array.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const OFFSET_BITS: u32 = 4;

/// How many steps such an array can have. Few: each is an atomic, and loom looks at all there are at each fence.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const STEPS: usize = 32;

/// Counters among which entries are counted.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const COUNTERS: usize = 1;

/// Lanes in the roster of a group itself: as few as there can be.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const ROSTER_LANES: usize = 1;

/// How deep a caller of handlers may be: as little as one handler that calls another.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const CALLER_LEVELS: usize = 2;

/// Seats for callers of handlers that are made at a time.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const CHUNK_SEATS: usize = 1;

/// Part of a value in plain memory that several read and one frees: it sees whoever reads too early or too late.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) struct Watched(::loom::cell::UnsafeCell<()>);

// SAFETY: there is nothing in the cell.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
unsafe impl Sync for Watched {}

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
impl Watched {
    pub(crate) fn new() -> Self {
        Self(::loom::cell::UnsafeCell::new(()))
    }

    /// The value is being read.
    pub(crate) fn read(&self) {
        self.0.with(|_| ());
    }
}

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
impl Drop for Watched {
    fn drop(&mut self) {
        self.0.with_mut(|_| ());
    }
}

/// How often a shared dedup window looks again whether a set's door is open: not at all, so that models see
/// what happens when patience ends.
#[cfg(target_has_atomic = "64")]
pub(crate) const DEDUP_PATIENCE: usize = 0;
