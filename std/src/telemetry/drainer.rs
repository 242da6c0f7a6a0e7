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
//!
//! # Who that is
//! To tell is a role. What belongs to it, a [`Teller`], is on the desk while nobody has it:
//!
//! ```text
//!            call, and nobody waits            somebody waits
//!   vacant ──────────────────────► on demand ──────────────────┐
//!    ▲ │                                                       │
//!    │ └── one who waits ────────► supervised ─────────────────┤
//!    │                                         stop, or panic  │
//!    └──────────── who leaves calls, if nobody waits ──────────┘
//! ```
//!
//! A supervised child ([`tell_until`]) waits for the role. Whoever was started on demand leaves it to one who waits; a
//! supervised child has it until it is asked to stop, and says before each look and each rest which of them it is, so that one
//! that hangs in a handler is found. Who leaves has finished a look. What is wanted is written on the desk and not
//! known to the holder alone, so flushes that are not answered, and calls that were not heard, are found by the next one, who
//! looks at once: nothing that was recorded waits for more than a vacancy, and nobody who records has to know who has the
//! role. Since who leaves calls, there is somebody from the first event on, as long as the system gives threads.
//!
//! A panic on this thread is a defect of bedplate's, for users' code is contained. A supervised child then leaves, and is
//! started again by its supervisor; one that was started on demand pauses and goes on. What was in its hands, a record or a
//! batch, may be lost.

use super::batch::{self, Batches};
use super::record::Known;
use super::shard::{self, Readers};
use super::{FlushError, dispatch, own, thin};
use crate::clock;
use crate::process::panic::contain;
use crate::stop::StopToken;
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, thread};
use bedplate_core::clock::Instant;
use bedplate_core::pace::{Pace, Rest};
use bedplate_core::ring::Received;
use bedplate_core::supervision::Activity;
use core::cell::{Cell, OnceCell};
use core::time::Duration;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long who was started on demand pauses when it has panicked, so that it does not do so without end.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the end of the main thread waits for what was recorded.
const PATIENCE_AT_EXIT: Duration = Duration::from_secs(2);

/// Whether who records need not wake the drainer.
static AWAKE: AtomicBool = AtomicBool::new(false);

/// Whether it was called, and has not come yet.
static CALL_IS_OUT: AtomicBool = AtomicBool::new(false);

static DESK: Mutex<Desk> = Mutex::new(Desk {
    is_taken: false,
    teller: None,
    waiting: 0,
    is_called: false,
    is_resting: false,
    asked: 0,
    answered: 0,
});
/// The drainer is called, or is to leave.
static CALLED: Condvar = Condvar::new();
/// The role is vacant.
static LEFT: Condvar = Condvar::new();
/// A flush is answered.
static ANSWERED: Condvar = Condvar::new();

struct Desk {
    /// Whether somebody has the role, or was started for it.
    is_taken: bool,
    /// What belongs to it, while nobody has it; nothing before the first has.
    teller: Option<Box<Teller>>,
    /// How many supervised children wait for it.
    waiting: usize,
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
    // Acquire: the tick is that of now, or a later one; pairs with Release in `be_awake`. Who sees an old value, after
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
    if !desk.is_taken && desk.waiting == 0 {
        let builder = thread::Builder::new().name("bedplate-telemetry".to_owned());
        desk.is_taken = builder.spawn(run_on_demand).is_ok();
    }
    let is_running = desk.is_taken || desk.waiting > 0;
    if is_running {
        // It may be asleep, and the time stands still since then.
        be_awake();
        // Relaxed: as in `hurry_once`.
        CALL_IS_OUT.store(true, Ordering::Relaxed);
        if desk.is_resting {
            CALLED.notify_all();
        }
    }
    is_running
}

/// From now on, who records need not wake anybody.
fn be_awake() {
    shard::set_tick(clock::now());
    // Release: the tick is set; pairs with Acquire in `is_awake`.
    AWAKE.store(true, Ordering::Release);
}

pub(super) fn flush(patience: Duration) -> Result<(), FlushError> {
    if dispatch::is_in_a_handler() || is_here() {
        return Err(FlushError::WithinHandler);
    }
    let asked = shard::alone(|| {
        let mut desk = DESK.lock();
        let was_never_needed = !desk.is_taken && desk.teller.is_none();
        if was_never_needed && shard::stats().waiting == 0 && !batch::are_new() {
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

/// The whole life of a thread that was started for it.
fn run_on_demand() {
    let mut role = Role::enter(DESK.lock());
    let is_to_leave = |desk: &Desk| desk.waiting > 0;
    let says_nothing = |_: Activity| {};
    let mut leaves = false;
    while !leaves {
        contain(|| {
            role.tell(is_to_leave, says_nothing);
            leaves = true;
        });
        if !leaves {
            let desk = DESK.lock();
            let desk = CALLED.wait_while_for(desk, PAUSE, |desk| !is_to_leave(desk));
            leaves = is_to_leave(&desk);
        }
    }
}

/// Has the role, from when it is to be had until a stop is asked for, and `says` what it does. For the body of a supervised
/// child.
pub(crate) fn tell_until(stop: &StopToken, says: impl Fn(Activity)) {
    let _wakes = stop.on_stop(|| {
        let _desk = DESK.lock();
        CALLED.notify_all();
        LEFT.notify_all();
    });
    says(Activity::Parked);
    let mut desk = DESK.lock();
    desk.waiting += 1;
    // Whoever was started on demand leaves.
    CALLED.notify_all();
    let mut desk = LEFT.wait_while(desk, |desk| desk.is_taken && !stop.is_stopped());
    desk.waiting -= 1;
    if desk.is_taken {
        return;
    }
    // Also if there was a stop: somebody may have called, relying on who waits.
    desk.is_taken = true;
    Role::enter(desk).tell(|_| stop.is_stopped(), says);
}

/// What is needed to tell, and goes from one who has the role to the next.
struct Teller {
    readers: Readers,
    known: Known,
    batches: Batches,
    pace: Pace,
}

/// This thread has the role.
struct Role {
    /// There until it is left.
    teller: Option<Box<Teller>>,
}

impl Role {
    /// The role is taken, in the name of this thread.
    fn enter(mut desk: MutexGuard<'_, Desk>) -> Self {
        IS_HERE.set(true);
        let teller = desk.teller.take();
        drop(desk);
        let mut role = Self { teller };
        let teller = role.teller.get_or_insert_with(|| {
            Box::new(Teller {
                readers: Readers::claim(),
                known: Known::default(),
                batches: Batches::default(),
                pace: Pace::new(INTERVAL),
            })
        });
        teller.pace.woken();
        be_awake();
        role
    }

    /// Tells until it is time to leave.
    fn tell(&mut self, is_to_leave: impl Fn(&Desk) -> bool, says: impl Fn(Activity)) {
        let Some(teller) = &mut self.teller else {
            return;
        };
        loop {
            let (asked, answered) = {
                let desk = DESK.lock();
                (desk.asked, desk.answered)
            };
            let now = clock::now();
            says(Activity::Working);
            let (found, due) = teller.look(now, asked > answered);
            says(Activity::Parked);
            let mut desk = DESK.lock();
            desk.answered = asked;
            ANSWERED.notify_all();
            let until = match teller.pace.looked(now, found) {
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
            desk = CALLED.wait_while_for(desk, wait, |desk| !desk.is_called && !is_to_leave(desk));
            desk.is_resting = false;
            if is_to_leave(&desk) {
                return;
            }
            // Relaxed: as in `hurry_once`.
            CALL_IS_OUT.store(false, Ordering::Relaxed);
            if core::mem::take(&mut desk.is_called) {
                teller.pace.woken();
            }
        }
    }
}

impl Teller {
    /// Tells what is there, of batches also what is not due if it is to be flushed. Whether anything was, and when
    /// somebody wants to be looked at next.
    fn look(&mut self, now: Instant, flush: bool) -> (bool, Option<Instant>) {
        #[cfg(test)]
        tests::may_crash();
        let Self {
            readers,
            known,
            batches,
            ..
        } = self;
        shard::set_tick(now);
        let told = readers.drain(flush, |received, number| match received {
            Received::Record(stored) => known.tell(&stored),
            Received::Lost(lost) => own::lost(lost.count(), number),
        });
        // Behind the records, which may be among what is collected.
        let (collected, due) = batches.poll(clock::now(), flush);
        // A sink may have detached itself.
        dispatch::tidy();
        let due = thin::poll(clock::now()).into_iter().chain(due).min();
        (told || collected, due)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let teller = self.teller.take();
        IS_HERE.set(false);
        shard::quietly(|| {
            let mut desk = DESK.lock();
            desk.teller = teller;
            desk.is_taken = false;
            LEFT.notify_all();
            // If there is nobody to be had, who records tries again.
            // Release: as in `tell`.
            AWAKE.store(false, Ordering::Release);
            // Relaxed: as in `hurry_once`.
            CALL_IS_OUT.store(false, Ordering::Relaxed);
            call(&mut desk);
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::{Application, Supervisor};
    use crate::sync::thread_number;
    use crate::telemetry::{self, Event, EventName, Measurement};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// There is one role, so the tests take turns.
    static TURN: Mutex<()> = Mutex::new(());

    /// Whether the next look panics.
    static CRASHES: AtomicBool = AtomicBool::new(false);

    pub(super) fn may_crash() {
        // Relaxed: a test waits for what comes of it.
        assert!(!CRASHES.swap(false, Ordering::Relaxed), "as planned");
    }

    /// Has the next look panic, and waits until it has.
    fn crash() {
        // Relaxed: as above.
        CRASHES.store(true, Ordering::Relaxed);
        while CRASHES.load(Ordering::Relaxed) {
            wake();
            thread::yield_now();
        }
    }

    /// The values that were told, and the thread that told the last one.
    #[derive(Default)]
    struct Told {
        values: Vec<Option<Measurement>>,
        by: String,
        number: u64,
    }

    static TOLD: Mutex<Option<Told>> = Mutex::new(None);

    /// What was recorded until now, and this.
    fn record_and_flush(value: u64) -> Told {
        telemetry::record!("drainer.test", { value: value });
        telemetry::flush(PATIENCE).expect("it is told");
        TOLD.lock().take().expect("the last one is told")
    }

    /// One that died was once missing until the end of the process.
    #[test]
    fn one_that_dies_is_replaced() {
        let _turn = TURN.lock();
        let name = EventName::new("drainer.test");
        telemetry::attach("drainer", name, |event: &Event<'_>| {
            let mut told = TOLD.lock();
            let told = told.get_or_insert_default();
            told.values.push(event.measurement("value"));
            thread::current()
                .name()
                .unwrap_or_default()
                .clone_into(&mut told.by);
            told.number = thread_number();
        })
        .expect("there is room");
        let values = |values: &[u64]| -> Vec<Option<Measurement>> {
            values.iter().map(|&value| Some(value.into())).collect()
        };

        // On demand, it goes on, and does not start another one that may panic at once.
        let first = record_and_flush(1);
        assert_eq!(first.by, "bedplate-telemetry");
        telemetry::record!("drainer.test", { value: 2_u64 });
        crash();
        let told = record_and_flush(3);
        assert_eq!(told.values.last(), values(&[3]).last());
        assert_eq!(told.number, first.number);

        // Supervised, it is started again.
        let main = Supervisor::builder("application");
        let application = Application::new(main).start().expect("it starts");
        let bedplate = application.handle().supervisor("bedplate").expect("first");
        while record_and_flush(4).by != "application/bedplate/telemetry" {}
        let before = bedplate.child("telemetry").expect("it runs");
        telemetry::record!("drainer.test", { value: 5_u64 });
        crash();
        while bedplate.child("telemetry").is_none_or(|it| it == before) {
            thread::yield_now();
        }
        // Not lost, and not told twice.
        assert_eq!(record_and_flush(6).values, values(&[5, 6]));
        assert_eq!(before.exit_reason().map(|it| it.is_clean()), Some(false));
        while record_and_flush(7).by != "application/bedplate/telemetry" {}

        // When there is no application any more, on demand again.
        telemetry::record!("drainer.test", { value: 8_u64 });
        let report = application.shutdown();
        assert_eq!(report.clean, ["main", "bedplate/telemetry", "bedplate"]);
        let told = record_and_flush(9);
        assert_eq!(told.values, values(&[8, 9]));
        assert_eq!(told.by, "bedplate-telemetry");
    }

    #[test]
    fn one_that_hangs_in_a_handler_is_found() {
        let _turn = TURN.lock();
        let main = Supervisor::builder("application");
        let application = Application::new(main).start().expect("it starts");
        let bedplate = application.handle().supervisor("bedplate").expect("first");
        let (tell, told) = std::sync::mpsc::channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let name = EventName::new("drainer.hangs");
        telemetry::attach("drainer hangs", name, move |event: &Event<'_>| {
            let is_child = thread::current().name() == Some("application/bedplate/telemetry");
            let hangs = is_child && event.measurement("value") == Some(1_u64.into());
            tell.send(hangs).expect("somebody waits");
            if hangs {
                let _gone = wait.lock().recv();
            }
        })
        .expect("there is room");
        let is_stuck = || bedplate.children().iter().any(|it| it.stuck);
        loop {
            telemetry::record!("drainer.hangs", { value: 1_u64 });
            if told.recv_timeout(PATIENCE).expect("it is told") {
                break;
            }
        }
        while !is_stuck() {
            thread::yield_now();
        }
        drop(go_on);
        while is_stuck() {
            thread::yield_now();
        }
        assert_eq!(bedplate.children()[0].restarts, 0, "it is told of, no more");
        assert_eq!(application.shutdown().clean.len(), 3);
        telemetry::detach("drainer hangs").expect("it is attached");
    }
}
