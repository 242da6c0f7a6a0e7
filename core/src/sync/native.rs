//! The real thing.

#[cfg(target_has_atomic = "64")]
pub(crate) use portable_atomic::AtomicU64;
pub(crate) use portable_atomic::{AtomicBool, AtomicUsize, Ordering, fence};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) use portable_atomic::{AtomicPtr, AtomicU32};

/// Reads a pointer that nobody else can reach.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) fn exclusively<T>(pointer: &mut AtomicPtr<T>) -> *mut T {
    *pointer.get_mut()
}

/// Stores, behind every read-modify-write that came before, as every store does.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
#[inline]
pub(crate) fn overwrite(word: &AtomicUsize, value: usize, ordering: Ordering) {
    word.store(value, ordering);
}

/// What comes before does so also in the eyes of an interrupt on the same core, which sees the order of the
/// program as the compiler left it.
#[inline]
pub(crate) fn in_order() {
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// Words of payload in a ring slot.
pub(crate) const SLOT_WORDS: usize = 7;

/// Pushes that may be interrupted at once while they take their tickets of a nested ring.
pub(crate) const NEST_LEVELS: usize = 8;

/// Lanes of a bucket of the registry's index: with two words more, a cache line.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const BUCKET_LANES: usize = 6;

/// Elements in the first step of an array that grows.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
/// Memory is dearer than steps on a 32-bit target.
pub(crate) const FIRST_STEP: usize = if usize::BITS == 64 { 256 } else { 32 };

/// Bits of the place within a step of such an array. Longer steps are not made longer still.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const OFFSET_BITS: u32 = if usize::BITS == 64 { 21 } else { 10 };

/// How many steps such an array can have.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const STEPS: usize = if usize::BITS == 64 { 128 } else { 64 };

/// Counters among which entries are counted.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
/// On a 32-bit target there are few cores.
pub(crate) const COUNTERS: usize = if usize::BITS == 64 { 16 } else { 2 };

/// Lanes in the roster of a group itself: with four words more, as large as a cache line.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const ROSTER_LANES: usize = 4;

/// How deep a caller of handlers may be: two words for each level, a cache line.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const CALLER_LEVELS: usize = 4;

/// Seats for callers of handlers that are made at a time.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) const CHUNK_SEATS: usize = 16;

/// Part of a value in plain memory that several read and one frees: under loom it sees whoever reads too early
/// or too late. Nothing in an ordinary build.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) struct Watched;

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
impl Watched {
    pub(crate) const fn new() -> Self {
        Self
    }

    /// The value is being read.
    #[inline]
    pub(crate) const fn read(&self) {}
}

/// How often a shared dedup window looks again whether a set's door is open.
#[cfg(target_has_atomic = "64")]
pub(crate) const DEDUP_PATIENCE: usize = 64;
