//! The path of an event, from the ring to the summary, and the fixed registry never allocate.

use bedplate_core::clock::Instant;
use bedplate_core::dedup::{DedupWindow, OncePer, SharedDedupWindow, TokenBucket};
use bedplate_core::drain::{Batch, Drain, Limits};
use bedplate_core::event::{Event, EventKind, Level};
use bedplate_core::id::FixedPidAllocator;
use bedplate_core::registry::{FixedRegistry, SpinLock};
use bedplate_core::ring::{EventRing, NestedRing, Reject, SharedRing};
use bedplate_core::sample::{Adaptive, Random, RateLimited, Ratio, Reservoir, Sampler};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

thread_local! {
    /// Allocations of this thread; the test harness allocates on others.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: forwards every call to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
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
fn rings_of_many_writers_and_samplers_allocate_nothing() {
    static NESTED: NestedRing<8> = NestedRing::new();
    static SHARED: SharedRing<8, Reject> = SharedRing::new();
    static ONCE: TokenBucket = TokenBucket::new(Duration::from_nanos(10), NonZeroU32::MIN);

    let count = allocations(|| {
        let second = Duration::from_secs(1);
        let ten = NonZeroU32::new(10).expect("not zero");
        let mut samplers: [&mut dyn Sampler; 4] = [
            &mut Ratio::new(0.5),
            &mut Random::new(0.5, 7),
            &mut RateLimited::new(ten, second),
            &mut Adaptive::new(ten, second, 7),
        ];
        let mut reservoir = Reservoir::<Event, 4>::new(7);
        let event = |time| Event {
            kind: EventKind::new(Level::Info, 1),
            time: Instant::from_nanos(time),
            key: time % 5,
            value: 1,
        };
        let mut batch = [event(0); 4];
        let mut kept = 0;
        let mut nested = NESTED.claim_reader().expect("free");
        let mut shared = SHARED.claim_reader().expect("free");
        for time in 0..100 {
            let event = event(time);
            for sampler in &mut samplers {
                kept += u64::from(sampler.sample(event.time, u128::from(time) << 60).is_kept());
            }
            reservoir.offer(event);
            let _ = ONCE.passes(event.time);
            let _ = NESTED.push(event);
            let _ = SHARED.push(event);
            if time % 13 == 0 {
                let _ = nested.read_batch(&mut batch);
                let _ = nested.skip();
                let _ = shared.next();
            }
        }
        assert!(kept > 0);
    });
    assert_eq!(count, 0);
}

#[test]
fn the_event_path_allocates_nothing() {
    static OVERWRITING: EventRing<8> = EventRing::new();
    static REJECTING: EventRing<8, Reject> = EventRing::new();
    static SHARED: SharedDedupWindow<4, 1> = SharedDedupWindow::new(Duration::from_nanos(10));
    static ONCE: OncePer = OncePer::new(Duration::from_nanos(10));
    static NAMES: FixedRegistry<u32, u32, 8, SpinLock> = FixedRegistry::new();

    let count = allocations(|| {
        let event = |time| Event {
            kind: EventKind::new(Level::Info, 1),
            time: Instant::from_nanos(time),
            key: time % 5,
            value: 1,
        };
        let mut overwriting = OVERWRITING.claim_writer().expect("free");
        let mut rejecting = REJECTING.claim_writer().expect("free");
        let mut window = DedupWindow::<16>::new(Duration::from_nanos(10));
        let mut source = SHARED.claim_source().expect("free");
        let mut batches = Drain::<Event, 8>::new(Limits::DEFAULT);
        let mut suppressed = 0;
        let mut batched = 0;
        for time in 0..100 {
            let event = event(time);
            let _ = ONCE.passes(event.time);
            if source.offer(event.key, event.time).passes() {
                let sink = &mut |batch: &Batch<'_, Event, 8>| {
                    batched += batch.aggregates::<8>().iter().len();
                    Ok::<(), ()>(())
                };
                batches.poll(event.time, 8, sink);
                let _ = batches.add(event.time, event);
            }
            SHARED.poll(event.time, |summary| suppressed += summary.suppressed);
            if window.offer(event.key, event.time).passes() {
                overwriting.push(event);
                let _ = rejecting.push(event);
            }
            window.poll(event.time, |summary| suppressed += summary.suppressed);
        }
        window.flush(|summary| suppressed += summary.suppressed);
        assert!(suppressed > 0 && batched > 0);
        OVERWRITING.claim_reader().expect("free").drain(100, |_| ());
        REJECTING.claim_reader().expect("free").drain(100, |_| ());

        let mut pids = FixedPidAllocator::<4>::new();
        let pid = pids.allocate().expect("free");
        let mut owner = NAMES.owner(pid);
        for key in 0..9 {
            let _ = owner.register(key, key);
        }
        assert_eq!(NAMES.lookup(&3), Some((pid, 3)));
        assert!(owner.unregister(&3));
        drop(owner);
        assert!(NAMES.is_empty());
    });
    assert_eq!(count, 0);
}
