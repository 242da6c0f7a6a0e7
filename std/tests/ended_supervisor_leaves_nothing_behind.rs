//! A supervisor that is over takes no memory, however long its children might have taken to stop.
//! One test, for the allocator is the process's.

use bedplate::supervisor::{ChildSpec, Stop, Supervisor};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

/// The system's allocator, counting the bytes in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it is the system's allocator, unchanged; `realloc` is the provided one, made of these.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Relaxed: a statistic.
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on as it is.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // Relaxed: a statistic.
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the block comes from `alloc` above, thus from the system with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn rounds(number: usize) {
    for _ in 0..number {
        let child = ChildSpec::worker("child", |me| while !me.stop().wait(PATIENCE) {});
        let supervisor = Supervisor::builder("app")
            .child(child.stop(Stop::Within(HOUR)))
            .start()
            .unwrap();
        assert_eq!(supervisor.shutdown().clean, ["child"]);
    }
}

#[test]
fn not_even_a_deadline() {
    const ROUNDS: usize = 1_000;

    // Relaxed: a statistic.
    let in_use = || IN_USE.load(Ordering::Relaxed);
    rounds(100);
    let before = in_use();
    rounds(ROUNDS);
    let begun = Instant::now();
    // The last thread may not have let go.
    while in_use() > before + 64 * ROUNDS {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} bytes for each",
            (in_use() - before) / ROUNDS
        );
        std::thread::yield_now();
    }
}
