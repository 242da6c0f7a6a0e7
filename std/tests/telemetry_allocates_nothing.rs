//! Saying that something happened allocates nothing, once a thread has done so: told at once, recorded for later, sampled,
//! and suppressed.

use bedplate::telemetry::{self, Event, EventName, Random};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::time::Duration;
use std::alloc::System;

thread_local! {
    /// Allocations of this thread.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: forwards every call to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _destroyed = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise about `layout` is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise about `pointer` and `layout` is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(f: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn events_allocate_nothing() {
    let nothing = |_: &Event<'_>| {};
    telemetry::attach("plain", EventName::new("none.plain"), nothing).unwrap();
    telemetry::attach("stored", EventName::new("none.stored"), nothing).unwrap();
    telemetry::handler("sampled")
        .to(EventName::new("none.sampled"))
        .sampled(Random::new(0.5, 7))
        .attach(nothing)
        .unwrap();
    telemetry::handler("once")
        .to(EventName::new("none.once"))
        .once_per(Duration::from_secs(1_000_000))
        .attach(nothing)
        .unwrap();
    let say = |n: u64| {
        telemetry::emit!("none.unwanted", { n: n });
        telemetry::emit!("none.plain", { n: n }, { about: "nothing" });
        telemetry::emit!("none.sampled", { n: n });
        telemetry::emit!("none.once", { n: n });
        telemetry::record!("none.stored", { n: n }, { key: 7_u32 });
    };
    say(0);
    let mut most = 0;
    for round in 0..100 {
        most = most.max(allocations(|| (0..100).for_each(|n| say(round * 100 + n))));
    }
    assert_eq!(most, 0);
    for id in ["plain", "stored", "sampled", "once"] {
        telemetry::detach(id).unwrap();
    }
}
