//! Children that crash at random leave nothing behind: each end that was watched is told once, and afterwards there is no
//! name, no monitor, no thread and no memory more than before. One test, for the allocator and the counts are the process's.
//!
//! `BEDPLATE_SOAK_SECONDS` says how long it goes on, `BEDPLATE_SOAK_CHILDREN` how many children there are, and
//! `BEDPLATE_SOAK_SEED` which choices they make.

use bedplate::monitor::{Inbox, MonitorRef};
use bedplate::process::{self, ExitReason};
use bedplate::registry;
use bedplate::supervisor::{ChildRef, ChildSpec, Incarnation, Reuse, Stop, Supervisor};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(120);
const HOUR: Duration = Duration::from_secs(3600);

/// What an incarnation lives at most before it ends by itself, in milliseconds.
const LIFE: u64 = 40;

/// The message of the panics that are meant; an assertion that fails in a child has another.
const MEANT: &str = "a crash that was meant";

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

#[test]
fn every_end_is_told_and_nothing_is_left() {
    let seconds = setting("BEDPLATE_SOAK_SECONDS", 2);
    let children = setting("BEDPLATE_SOAK_CHILDREN", 100_usize);
    let seed = setting("BEDPLATE_SOAK_SEED", 5);
    // Room for what keeps its capacity: the tables of identities, of names and of deadlines, whose size depends on how
    // many happened to be alive at once. It does not grow with the number of ends.
    let spare = (64 << 10) + 256 * children;

    let long = Duration::from_secs(seconds);
    // Starts what the process has once, and gives the tables their size.
    on_a_thread_of_its_own(|| soak(children, seed, long / 4));
    let (bytes, threads) = settled();
    let ends = on_a_thread_of_its_own(|| soak(children, seed.wrapping_add(1), long));
    // The last threads may not have let go.
    wait_until("the registry is tidy", registry_is_tidy);
    let what = format!("of {bytes} bytes and {spare} more");
    wait_until(&what, || registry_is_tidy() && in_use() <= bytes + spare);
    wait_until("threads end", || system_threads() <= threads);
    println!("{ends} ends; {bytes} bytes before and {} after", in_use());
}

/// Whoever uses the registry also frees what others have left that are gone: up to 64 things at a time, which he keeps until
/// nobody can see them any more, and for as long as he does not come back. How many those are depends on who had his turn when.
/// So he who is counted afterwards is not he who was there, and that one goes when all others have gone.
fn on_a_thread_of_its_own<R: Send>(soak: impl FnOnce() -> R + Send) -> R {
    let rested = || {
        let result = soak();
        settled();
        result
    };
    std::thread::scope(|scope| {
        let soaking = scope.spawn(rested).join();
        soaking.unwrap_or_else(|why| std::panic::resume_unwind(why))
    })
}

/// Lets children crash for `long`, and until there were twice as many ends as children. Says how many ends there were.
fn soak(children: usize, seed: u64, long: Duration) -> usize {
    let watch = Arc::new(Watch::default());
    // A window so short that they never crash too often.
    let mut builder = Supervisor::builder("soak")
        .limit(128, Duration::from_nanos(1))
        .quiet_panics(true);
    for index in 0..children {
        let watch = watch.clone();
        let child = ChildSpec::worker(index.to_string(), move |me| {
            let random = Random::new(seed ^ ((index as u64) << 40) ^ me.number());
            live(&watch, index, random, me)
        });
        let reuse = [Reuse::Fresh, Reuse::SameThread, Reuse::FreshAfterJoin][index % 3];
        let child = child.register(name(index)).stop(Stop::Within(HOUR));
        builder = builder.child(child.reuse(reuse));
    }
    let supervisor = builder.start().expect("every child can be started");

    let prowling = &AtomicBool::new(true);
    let mut ends = std::thread::scope(|scope| {
        let end_of_prowling = ClearedWhenDropped(prowling);
        scope.spawn(move || prowl(children, Random::new(seed), prowling));
        let begun = Instant::now();
        let mut ends = 0;
        while begun.elapsed() < long || ends < 2 * children {
            let down = watch.inbox.recv_timeout(PATIENCE);
            let down = down.expect("somebody crashes");
            // Nobody has asked for that.
            let is_over = matches!(down.reason, ExitReason::Shutdown);
            assert!(!is_over, "{:?} was stopped, {:?}", down.child, supervisor);
            watch.account_for(&down);
            ends += 1;
        }
        drop(end_of_prowling);
        ends
    });

    // Relaxed: those whom it concerns have been asked to stop under a lock since.
    watch.stopping.store(true, Ordering::Relaxed);
    let report = supervisor.shutdown();
    assert!(report.abandoned.is_empty(), "{report}");
    for (id, reason) in &report.failed {
        assert!(is_meant(reason), "{id} {reason}");
    }
    wait_until("threads end", || process::threads() == 0);
    assert_eq!(process::alive(), 0);
    // Nobody is left who could deliver, so what is to come is here.
    while let Some(down) = watch.inbox.try_recv() {
        watch.account_for(&down);
        ends += 1;
    }
    assert_at_rest(&watch.inbox);
    let missing = watch.expected.lock().unwrap().len();
    assert_eq!(missing, 0, "of {ends} ends so many were not told");
    // Relaxed: the threads that counted are gone, and were counted out under a lock.
    assert_eq!(ends, watch.lives.load(Ordering::Relaxed));
    assert!(registry::registered().is_empty());
    assert_eq!(registry::count(), 0);
    ends
}

/// What the incarnations of a round, and who accounts for their ends, have in common.
#[derive(Default)]
struct Watch {
    inbox: Inbox,
    /// Who is monitored, and how it means to end.
    expected: Mutex<HashMap<MonitorRef, (ChildRef, Ending)>>,
    /// Incarnations whose body was entered.
    lives: AtomicUsize,
    /// Whether some may have been asked to stop.
    stopping: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Panic,
    Error,
    Return,
}

#[derive(Debug)]
struct Crash;

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MEANT)
    }
}

impl core::error::Error for Crash {}

/// One incarnation.
fn live(watch: &Watch, index: usize, mut random: Random, me: &Incarnation) -> Result<(), Crash> {
    // Relaxed: a statistic until the thread has ended.
    watch.lives.fetch_add(1, Ordering::Relaxed);
    let ending = match random.below(3) {
        0 => Ending::Panic,
        1 => Ending::Error,
        _ => Ending::Return,
    };
    {
        let mut expected = watch.expected.lock().unwrap();
        let monitor = watch.inbox.monitor(me.me());
        expected.insert(monitor, (me.me().clone(), ending));
    }
    let name = name(index);
    assert_eq!(registry::whereis(&name).as_ref(), Some(me.me()));
    if random.below(2) == 0 {
        let another = format!("{name}/another");
        assert_eq!(me.register(&another), Ok(()), "its last holder is gone");
        if random.below(2) == 0 {
            assert!(me.unregister(&another));
        }
    }
    if me.stop().wait(Duration::from_millis(random.below(LIFE))) {
        return Ok(());
    }
    match ending {
        Ending::Panic => panic!("{MEANT}"),
        Ending::Error => Err(Crash),
        Ending::Return => Ok(()),
    }
}

impl Watch {
    /// Each end is expected, is told once, and is the one that was meant.
    fn account_for(&self, down: &bedplate::monitor::Down) {
        let expected = self.expected.lock().unwrap().remove(&down.monitor);
        let (child, ending) = expected.expect("an end is told once");
        assert_eq!(down.child, child);
        let as_meant = match &down.reason {
            ExitReason::Normal => matches!(ending, Ending::Return),
            // Relaxed: it was set before the stop that this answers was asked for.
            ExitReason::Shutdown => self.stopping.load(Ordering::Relaxed),
            ExitReason::Failed(_) => matches!(ending, Ending::Error),
            ExitReason::Panicked(_) => matches!(ending, Ending::Panic) && is_meant(&down.reason),
            _ => false,
        };
        assert!(as_meant, "{:?} {}, meant {ending:?}", child, down.reason);
        assert!(!child.is_alive());
    }
}

/// Whether this is an end which children bring about on purpose.
fn is_meant(reason: &ExitReason) -> bool {
    match reason {
        ExitReason::Failed(error) => error.is::<Crash>(),
        ExitReason::Panicked(report) => report.message == MEANT,
        _ => false,
    }
}

/// Monitors whoever has a name at the moment, and takes half of these monitors back, while they crash.
fn prowl(children: usize, mut random: Random, prowling: &AtomicBool) {
    let inbox = Inbox::new();
    let mut watched = HashMap::new();
    let told = |down: bedplate::monitor::Down, watched: &mut HashMap<_, _>| {
        assert_eq!(watched.remove(&down.monitor), Some(down.child));
    };
    // Relaxed: it only says when it is enough.
    while prowling.load(Ordering::Relaxed) {
        let index = usize::try_from(random.below(children as u64)).unwrap();
        if let Some(child) = registry::whereis(&name(index)) {
            let monitor = inbox.monitor(&child);
            if random.below(2) == 0 {
                assert!(inbox.demonitor(monitor), "nobody has received in between");
            } else {
                watched.insert(monitor, child);
            }
        }
        if let Some(down) = inbox.recv_timeout(Duration::from_millis(1)) {
            told(down, &mut watched);
        }
    }
    // They all crash sooner or later.
    while !watched.is_empty() {
        let down = inbox.recv_timeout(PATIENCE);
        told(down.expect("every watched one ends"), &mut watched);
    }
    assert!(inbox.try_recv().is_none());
    assert_at_rest(&inbox);
}

/// No monitor is left.
fn assert_at_rest(inbox: &Inbox) {
    let at_rest = "Inbox { watching: 0, queued: 0 }";
    assert_eq!(format!("{inbox:?}"), at_rest);
}

struct ClearedWhenDropped<'a>(&'a AtomicBool);

impl Drop for ClearedWhenDropped<'_> {
    fn drop(&mut self) {
        // Relaxed: it only says that it is enough.
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What is random must be the same for the same seed: `SplitMix64`.
struct Random(u64);

impl Random {
    const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn name(index: usize) -> String {
    format!("soak/{index}")
}

/// A number of the environment.
fn setting<N: core::str::FromStr>(variable: &str, otherwise: N) -> N {
    match std::env::var(variable) {
        Ok(text) => text.parse().ok().expect("a number"),
        Err(_) => otherwise,
    }
}

fn in_use() -> usize {
    // Relaxed: a statistic.
    IN_USE.load(Ordering::Relaxed)
}

/// How many threads the process has, as the system counts; where it does not tell, none.
fn system_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task");
    tasks.map_or(0, Iterator::count)
}

/// Whether the registry has freed what was taken out of it. Whoever uses it does a part of that, so when nobody does any
/// more, it waits.
fn registry_is_tidy() -> bool {
    for _ in 0..1_000 {
        assert_eq!(registry::whereis("soak/nobody"), None);
    }
    registry::health().memory.retired == 0
}

/// Bytes in use and threads, when they have not changed for a while.
fn settled() -> (usize, usize) {
    const LONG_ENOUGH: usize = 50;

    let mut last = (0, 0);
    let mut same = 0;
    wait_until("the process is at rest", || {
        let is_tidy = registry_is_tidy();
        let threads = system_threads();
        let now = (in_use(), threads);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        is_tidy && same >= LONG_ENOUGH
    });
    last
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: not yet; {} bytes, {} threads",
            in_use(),
            system_threads()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
