//! The one thread that tells handlers what was recorded, for the whole process.
//!
//! It is started with the first event that is recorded, so that a process which records nothing has no thread
//! more. It looks every ten milliseconds, as [`Pace`] says, so that nobody who records has to wake it, except when it
//! has gone to sleep because there was nothing, when a ring is half full, and when a thread ends that leaves
//! something.
//!
//! It calls users' code, outside every lock. A handler that does not return stops it: then rings fill up, and what
//! is lost is counted. Whoever waits for it has a limit, and code of users that runs on it, a handler or a destructor,
//! does not wait for it at all.

use super::batch::{self, Batches};
use super::record::Known;
use super::shard::{self, Readers};
use super::{FlushError, dispatch, own, thin};
use crate::clock;
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, thread};
use bedplate_core::clock::Instant;
use bedplate_core::pace::{Pace, Rest};
use bedplate_core::ring::Received;
use core::cell::{Cell, OnceCell};
use core::time::Duration;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long the end of the main thread waits for what was recorded.
const PATIENCE_AT_EXIT: Duration = Duration::from_secs(2);

/// Whether who records need not wake the drainer.
static AWAKE: AtomicBool = AtomicBool::new(false);

/// Whether it was called, and has not come yet.
static CALL_IS_OUT: AtomicBool = AtomicBool::new(false);

static DESK: Mutex<Desk> = Mutex::new(Desk {
    is_running: false,
    is_called: false,
    is_resting: false,
    asked: 0,
    answered: 0,
});
/// The drainer is called.
static CALLED: Condvar = Condvar::new();
/// A flush is answered.
static ANSWERED: Condvar = Condvar::new();

struct Desk {
    is_running: bool,
    /// Whether it is to look now.
    is_called: bool,
    /// Whether it has to be woken for that.
    is_resting: bool,
    /// How many flushes were asked for …
    asked: u64,
    /// … and how many of them are done.
    answered: u64,
}

/// Whether it will look by itself.
#[inline]
pub(super) fn is_awake() -> bool {
    // Acquire: the tick is that of now, or a later one; pairs with Release in `call`. Who sees an old value, after
    // having pushed, is seen by the look that comes an interval after it changed; see `Pace`.
    AWAKE.load(Ordering::Acquire)
}

/// Whether this is its thread.
pub(super) fn is_here() -> bool {
    IS_HERE.get()
}

/// Has the drainer look soon, unless it is about to.
pub(super) fn hurry_once() {
    // Relaxed: a hint; the drainer looks by itself.
    if !CALL_IS_OUT.load(Ordering::Relaxed) {
        wake();
    }
}

/// Has the drainer look by itself again; starts it if need be.
#[cold]
pub(super) fn wake() {
    let _is_running = hurry();
}

/// Has the drainer look now. If it cannot be started, what was recorded waits for the next one who tries. Whether it
/// runs.
pub(super) fn hurry() -> bool {
    // Whoever comes back from there is heard when that is left.
    shard::alone(|| call(&mut DESK.lock())).unwrap_or_else(|| {
        shard::wake_when_left();
        true
    })
}

/// Whether it runs.
fn call(desk: &mut MutexGuard<'_, Desk>) -> bool {
    desk.is_called = true;
    if !desk.is_running {
        let builder = thread::Builder::new().name("bedplate-telemetry".to_owned());
        desk.is_running = builder.spawn(run).is_ok();
    }
    if desk.is_running {
        // It may be asleep, and the time stands still since then.
        shard::set_tick(clock::now());
        // Release: the tick is set; pairs with Acquire in `is_awake`.
        AWAKE.store(true, Ordering::Release);
        // Relaxed: as in `hurry_once`.
        CALL_IS_OUT.store(true, Ordering::Relaxed);
        if desk.is_resting {
            CALLED.notify_all();
        }
    }
    desk.is_running
}

pub(super) fn flush(patience: Duration) -> Result<(), FlushError> {
    if dispatch::is_in_a_handler() || is_here() {
        return Err(FlushError::WithinHandler);
    }
    let asked = shard::alone(|| {
        let mut desk = DESK.lock();
        if !desk.is_running && shard::stats().waiting == 0 && !batch::are_new() {
            return Ok(None);
        }
        desk.asked += 1;
        let mine = desk.asked;
        if call(&mut desk) {
            Ok(Some(mine))
        } else {
            Err(FlushError::NoThread)
        }
    });
    // Not from an allocator, in the middle of that.
    let Some(mine) = asked.unwrap_or(Err(FlushError::WithinHandler))? else {
        return Ok(());
    };
    let desk = DESK.lock();
    let desk = ANSWERED.wait_while_for(desk, patience, |desk| desk.answered < mine);
    if desk.answered < mine {
        return Err(FlushError::TimedOut);
    }
    Ok(())
}

/// The whole life of the thread.
fn run() {
    IS_HERE.set(true);
    let mut readers = Readers::claim();
    let mut known = Known::default();
    let mut batches = Batches::default();
    let mut pace = Pace::new(INTERVAL);
    loop {
        let (asked, answered) = {
            let desk = DESK.lock();
            (desk.asked, desk.answered)
        };
        let now = clock::now();
        shard::set_tick(now);
        let told = readers.drain(asked > answered, |received, number| match received {
            Received::Record(stored) => known.tell(&stored),
            Received::Lost(lost) => own::lost(lost.count(), number),
        });
        // Behind the records, which may be among what is collected.
        let (collected, due) = batches.poll(clock::now(), asked > answered);
        // A sink may have detached itself.
        dispatch::tidy();
        let due = thin::poll(clock::now()).into_iter().chain(due).min();
        let mut desk = DESK.lock();
        desk.answered = asked;
        ANSWERED.notify_all();
        let until = match pace.looked(now, told || collected) {
            Rest::Until(next) => next,
            Rest::TellThenUntil(next) => {
                // Release: it may be called already, which has set the tick; pairs with Acquire in `is_awake`.
                AWAKE.store(desk.is_called, Ordering::Release);
                next
            }
            Rest::UntilWoken => Instant::MAX,
        };
        let until = due.map_or(until, |due| due.min(until));
        let wait = until.saturating_duration_since(clock::now());
        desk.is_resting = true;
        desk = CALLED.wait_while_for(desk, wait, |desk| !desk.is_called);
        desk.is_resting = false;
        // Relaxed: as in `hurry_once`.
        CALL_IS_OUT.store(false, Ordering::Relaxed);
        if core::mem::take(&mut desk.is_called) {
            pace.woken();
        }
    }
}

thread_local! {
    /// Without a destructor, so that it is there to the end.
    static IS_HERE: Cell<bool> = const { Cell::new(false) };
    static AT_EXIT: OnceCell<AtExit> = const { OnceCell::new() };
}

/// Of the main thread, whose locals are destroyed when the process ends, where the platform does that.
struct AtExit;

impl Drop for AtExit {
    fn drop(&mut self) {
        // If it takes longer, it is lost with the process.
        let _result = flush(PATIENCE_AT_EXIT);
    }
}

/// Has what was recorded told when the process ends, if this is its main thread.
pub(super) fn flush_at_exit_of_main() {
    if thread::current().name() == Some("main") {
        let _destroyed = AT_EXIT.try_with(|at_exit| {
            at_exit.get_or_init(|| AtExit);
        });
    }
}
