//! An allocator that counts, when asked to.
//!
//! It is there in every measurement, and must not weigh on any but those of memory: unless switched
//! on, it costs one load of a word nobody writes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The system's allocator, with a count of what is in use.
pub struct Counting;

static SWITCHED_ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

/// Bytes in use since counting began, as [`footprint`] counts them.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    pub live: f64,
    pub peak: f64,
}

/// What `build` leaves in use when it returns, and the most there was meanwhile. The value it
/// returns is dropped afterwards. Only one thread may do this at a time.
pub fn count<T>(build: impl FnOnce() -> T) -> Use {
    // Relaxed, all of them: nothing else is told by these words, and threads that `build` starts it
    // also joins.
    LIVE.store(0, Ordering::Relaxed);
    PEAK.store(0, Ordering::Relaxed);
    SWITCHED_ON.store(true, Ordering::Relaxed);
    let built = build();
    SWITCHED_ON.store(false, Ordering::Relaxed);
    drop(built);
    let [live, peak] = [&LIVE, &PEAK].map(|count| count.load(Ordering::Relaxed) as f64);
    Use { live, peak }
}

/// What glibc takes from the system for an allocation: a header of eight bytes, in steps of 16, at
/// least 32, and whole pages for the largest.
const fn footprint(layout: Layout) -> i64 {
    let with_header = layout.size() + 8;
    let taken = if layout.size() >= 128 << 10 {
        with_header.next_multiple_of(4096)
    } else if with_header < 32 {
        32
    } else {
        with_header.next_multiple_of(16)
    };
    taken as i64
}

fn add(bytes: i64) {
    if SWITCHED_ON.load(Ordering::Relaxed) {
        let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(live, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(footprint(layout));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(footprint(layout));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        add(-footprint(layout));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_and_the_most_there_was() {
        // Much more than other tests allocate meanwhile; the pages are never touched.
        let counted = count(|| {
            drop(vec![0_u8; 8 << 30]);
            vec![0_u8; 1 << 30]
        });
        let gigabytes = [counted.live, counted.peak].map(|bytes| bytes / f64::from(1 << 30));
        assert!((0.8..1.2).contains(&gigabytes[0]), "{counted:?}");
        assert!((7.8..8.2).contains(&gigabytes[1]), "{counted:?}");
    }
}
