//! A global allocator that records what it gives: it comes back into the middle of bedplate, and meets no lock and no
//! borrow of its own thread.

use bedplate::telemetry::{self, Event, EventName, Measurement, Pattern};
use core::alloc::{GlobalAlloc, Layout};
use core::time::Duration;
use std::alloc::System;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

struct Recording;

static RECORDS: AtomicBool = AtomicBool::new(false);
static ASKED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: memory is the system's; what is recorded takes none of it.
unsafe impl GlobalAlloc for Recording {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if RECORDS.load(Ordering::Relaxed) {
            ASKED.fetch_add(1, Ordering::Relaxed);
            telemetry::record!("allocator.gave", { bytes: layout.size() });
            telemetry::record!("allocator.aligned", { bytes: layout.align() });
        }
        // SAFETY: as asked.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: from `alloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Recording = Recording;

/// Alone in its process: the first record starts the thread that tells, makes a ring and enlists a place, all of which
/// allocates.
#[test]
fn an_allocator_may_record() {
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    telemetry::attach(
        "allocations",
        Pattern::under(EventName::new("allocator")),
        |event: &Event<'_>| {
            let bytes = event.measurement("bytes").map_or(0.0, Measurement::as_f64);
            // In a handler it is told at once: not here again.
            drop(vec![0_u8; 100]);
            assert!(bytes >= 1.0);
            GIVEN.fetch_add(1, Ordering::Relaxed);
        },
    )
    .unwrap();
    let before = telemetry::recorded();
    RECORDS.store(true, Ordering::Relaxed);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                for size in 1..200 {
                    drop(vec![1_u8; size]);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    RECORDS.store(false, Ordering::Relaxed);
    telemetry::flush(Duration::from_secs(60)).unwrap();
    let now = telemetry::recorded();
    assert_eq!(
        now.pushed,
        now.delivered + now.overwritten + now.rejected + now.busy + now.waiting
    );
    assert!(now.pushed - before.pushed >= 800, "{now:?}");
    assert!(ASKED.load(Ordering::Relaxed) >= 800);
    assert!(GIVEN.load(Ordering::Relaxed) >= 1);
    telemetry::detach("allocations").unwrap();

    // What bedplate allocates with a lock held, in a handler: whoever handles that takes the lock, too.
    let looks = |_: &Event<'_>| assert!(!telemetry::list(None).is_empty());
    telemetry::attach("edits", EventName::new("allocator.edits"), looks).unwrap();
    let all = Pattern::under(EventName::new("allocator"));
    telemetry::attach("allocations", all, looks).unwrap();
    RECORDS.store(true, Ordering::Relaxed);
    telemetry::emit!("allocator.edits");
    RECORDS.store(false, Ordering::Relaxed);
    telemetry::flush(Duration::from_secs(60)).unwrap();

    // And where nobody else would wake whoever tells.
    let told = GIVEN.load(Ordering::Relaxed);
    telemetry::detach("allocations").unwrap();
    telemetry::attach(
        "allocations",
        EventName::new("allocator.gave"),
        |_: &Event<'_>| {
            GIVEN.fetch_add(1, Ordering::Relaxed);
        },
    )
    .unwrap();
    std::thread::sleep(Duration::from_millis(400));
    RECORDS.store(true, Ordering::Relaxed);
    assert!(!telemetry::list(None).is_empty());
    RECORDS.store(false, Ordering::Relaxed);
    let begun = std::time::Instant::now();
    while GIVEN.load(Ordering::Relaxed) == told {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nobody was woken"
        );
        std::thread::yield_now();
    }
    telemetry::detach("allocations").unwrap();
}
