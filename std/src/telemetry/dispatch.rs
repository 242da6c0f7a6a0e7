//! How an event reaches its handlers, and what follows when one fails.
//!
//! ```text
//! emit ── is anybody attached? ── for each that wants it, in order ── filter ── handler ──┐
//!                                        ▲                                                │ panic, error
//!                                        └────────────────────────────────────────────────┤
//!                      behind the last one: `bedplate.telemetry.handler.failed` ◄── strike: detach?
//! ```
//!
//! Handlers are users' code: they run outside every lock, and what they break ends here. Telling of a failure may
//! fail, too; that is counted and not told, or it would never end.

use super::batch::Ending;
use super::handler::{Filter, Function};
use super::shard::quietly;
use super::thin::{Thinned, Thinning};
use super::{Event, FailurePolicy, Stats, own};
use crate::clock;
use crate::process::PanicReport;
use crate::process::panic::{attempt, discard};
use crate::sync::{Arc, AtomicU64, Mutex, OnceLock, Ordering};
use bedplate_core::handlers::{Called, Caller, Detaching, Editor, Handlers, Interest};
use bedplate_core::handlers::{Strikes, TooDeep, Verdict};
use core::any::Any;
use core::cell::{Cell, OnceCell};

/// Of this process.
pub(super) static HANDLERS: Handlers<Attached> = Handlers::new();

/// What is attached. Dropped by [`let_go`](Self::let_go).
pub(super) struct Attached {
    callback: Box<dyn Callback>,
    filter: Option<Filter>,
    /// If it is not given everything.
    thinning: Option<Box<Thinning>>,
    /// Locked only when it fails.
    strikes: Box<Mutex<Strikes>>,
    /// What becomes of what it collects, if it does.
    collecting: Option<Arc<Ending>>,
}

/// A user's function, whatever its type.
pub(super) trait Callback: Any + Send + Sync {
    fn call(&self, event: &Event<'_>) -> Result<(), String>;
}

impl Attached {
    pub(super) fn new(
        callback: Box<dyn Callback>,
        filter: Option<Filter>,
        thinning: Thinning,
        policy: FailurePolicy,
        collecting: Option<Arc<Ending>>,
    ) -> Self {
        Self {
            callback,
            filter,
            thinning: (!thinning.is_none()).then(|| Box::new(thinning)),
            strikes: Box::new(Mutex::new(Strikes::new(policy))),
            collecting,
        }
    }

    /// Drops it part by part: of two destructors that panic at once, the second would abort the process. What is left
    /// to wait for, if it collects.
    pub(super) fn let_go(self) -> Option<Arc<Ending>> {
        if let Some(thinning) = self.thinning {
            thinning.let_go();
        }
        discard(self.callback);
        discard(self.filter);
        self.collecting
    }

    /// What it was not given.
    pub(super) fn thinned(&self) -> Thinned {
        let thinning = self.thinning.as_ref();
        thinning.map_or_else(Thinned::default, |thinning| thinning.counts())
    }

    /// The function again.
    pub(super) fn into_function<F: 'static>(self) -> F {
        if let Some(thinning) = self.thinning {
            thinning.let_go();
        }
        discard(self.filter);
        let callback: Box<dyn Any> = self.callback;
        match callback.downcast::<Function<F>>() {
            Ok(function) => function.0,
            Err(_) => unreachable!("it was made from one of this type"),
        }
    }

    fn handle(&self, event: &Event<'_>) -> Result<(), String> {
        if self.filter.as_ref().is_some_and(|filter| !filter(event)) {
            return Ok(());
        }
        let Some(thinning) = &self.thinning else {
            return self.callback.call(event);
        };
        match thinning.admit(event) {
            Some(weight) => self.callback.call(&Event { weight, ..*event }),
            None => Ok(()),
        }
    }
}

/// The editor of [`HANDLERS`], for one thread at a time.
static EDITOR: OnceLock<Mutex<Editor<'static, Attached>>> = OnceLock::new();

/// What was detached while nobody could wait for it.
static LEFT_BEHIND: Mutex<Vec<Detaching<'static, Attached>>> = Mutex::new(Vec::new());

/// Edits what is attached, and drops what earlier edits left, outside the lock.
pub(super) fn edit<R>(change: impl FnOnce(&mut Editor<'static, Attached>) -> R) -> R {
    let (result, over) = quietly(|| {
        let (result, reaped) = {
            let mut editor = EDITOR
                .get_or_init(|| match HANDLERS.claim_editor() {
                    Some(editor) => Mutex::new(editor),
                    None => unreachable!("it is claimed here only, once"),
                })
                .lock();
            let result = change(&mut editor);
            (result, editor.reap())
        };
        let mut over: Vec<Attached> = reaped.collect();
        let mut left = LEFT_BEHIND.lock();
        let all = core::mem::take(&mut *left);
        for detaching in all {
            match detaching.finish() {
                Ok(attached) => over.push(attached),
                Err(running) => left.push(running),
            }
        }
        (result, over)
    });
    for attached in over {
        attached.let_go();
    }
    result
}

thread_local! {
    static CALLER: OnceCell<Option<Caller<'static, Attached>>> = const { OnceCell::new() };
    /// How many handlers the thread is in. Without a destructor, so that it is there to the end.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Whether a failure is being told of.
    static TELLS_OF_FAILURE: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread has left something behind.
    static HAS_LEFT: Cell<bool> = const { Cell::new(false) };
}

static LEFT_OUT: AtomicU64 = AtomicU64::new(0);
static TOO_DEEP: AtomicU64 = AtomicU64::new(0);
static NO_ROOM: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);
static FAILURES: AtomicU64 = AtomicU64::new(0);

fn count(counter: &AtomicU64, more: usize) {
    // Relaxed: a count.
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

/// An event reaches nobody, as there is a limit.
pub(super) fn no_room() {
    count(&NO_ROOM, 1);
}

/// An event reaches no batch.
pub(super) fn refused() {
    count(&REFUSED, 1);
}

/// A sink said it itself.
pub(super) fn left_out() {
    count(&LEFT_OUT, 1);
}

/// Calls a user's code as that of a handler.
pub(super) fn inside<R>(call: impl FnOnce() -> R) -> R {
    let _entered = Entered::new();
    call()
}

pub(super) fn stats() -> Stats {
    // Relaxed: counts.
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Stats {
        failures: read(&FAILURES),
        left_out: read(&LEFT_OUT),
        too_deep: read(&TOO_DEEP),
        no_room: read(&NO_ROOM),
        refused: read(&REFUSED),
    }
}

/// Whether this thread is in a handler.
pub(super) fn is_in_a_handler() -> bool {
    DEPTH.get() > 0
}

/// Nobody waits for what was detached: it is dropped when it can be.
pub(super) fn leave_behind(detaching: Detaching<'static, Attached>) {
    quietly(|| LEFT_BEHIND.lock().push(detaching));
    HAS_LEFT.set(true);
}

/// Tells those who want the event.
pub(super) fn tell(interest: &Interest, event: &Event<'_>) {
    let mut failures = Vec::new();
    let called = with_caller(|caller| {
        caller.call_from(interest, event.name, |attached| {
            let result = inside(|| attempt(|| attached.value.handle(event)));
            let failed = match result {
                Ok(Ok(())) => return,
                Ok(Err(reason)) => How::Error(reason),
                Err(report) => How::Panic(report),
            };
            failures.extend(strike(attached.id, attached.value, failed));
        })
    });
    match called {
        Some(Ok(Called { left_out: 0, .. })) => {}
        Some(Ok(called)) => count(&LEFT_OUT, called.left_out),
        Some(Err(TooDeep { .. })) => count(&TOO_DEEP, 1),
        None => count(&NO_ROOM, 1),
    }
    for failure in failures {
        failure.tell(event);
    }
    tidy();
}

/// Drops what this thread has left behind, if it is in no handler any more.
pub(super) fn tidy() {
    if HAS_LEFT.get() && !is_in_a_handler() {
        HAS_LEFT.set(false);
        edit(|_| ());
    }
}

/// Calls `f` with the thread's caller, or with one for this call where the thread's locals are gone.
fn with_caller<R>(f: impl FnOnce(&Caller<'static, Attached>) -> R) -> Option<R> {
    let mut f = Some(f);
    let called = CALLER.try_with(|caller| {
        let caller = caller.get_or_init(|| HANDLERS.caller().ok()).as_ref()?;
        Some(f.take()?(caller))
    });
    match called {
        Ok(called) => called,
        // Its notes are of this call only: a handler that emits would find itself again.
        Err(_) if is_in_a_handler() => None,
        Err(_) => Some(f?(&HANDLERS.caller().ok()?)),
    }
}

/// This thread is in a handler.
struct Entered;

impl Entered {
    fn new() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// A handler has failed.
struct Failure {
    id: String,
    how: How,
    failures: u64,
    detached: bool,
}

enum How {
    Error(String),
    Panic(PanicReport),
}

/// Counts a failure and detaches the handler if that is its policy. Returns what is to be told.
fn strike(id: &str, attached: &Attached, how: How) -> Option<Failure> {
    count(&FAILURES, 1);
    let (verdict, failures) = {
        let mut strikes = attached.strikes.lock();
        (strikes.failed(clock::now()), strikes.failures())
    };
    // Whoever was struck out by another thread meanwhile is not attached any more, and one that came to be
    // attached under its id is not meant.
    let detached = verdict == Verdict::Detach && {
        let detaching = edit(|editor| {
            let current = editor.get(id)?;
            core::ptr::eq(current, attached).then(|| editor.detach(id))?
        });
        detaching.map(leave_behind).is_some()
    };
    (!TELLS_OF_FAILURE.get()).then(|| Failure {
        id: id.to_owned(),
        how,
        failures,
        detached,
    })
}

impl Failure {
    fn tell(self, event: &Event<'_>) {
        TELLS_OF_FAILURE.set(true);
        let (kind, reason, place) = match &self.how {
            How::Error(reason) => ("error", reason, None),
            How::Panic(report) => ("panic", &report.message, report.location.as_deref()),
        };
        let backtrace = match &self.how {
            How::Panic(report) => report.backtrace(),
            How::Error(_) => None,
        };
        own::handler_failed(&own::HandlerFailure {
            handler: &self.id,
            event: event.name.as_str(),
            kind,
            reason,
            place,
            backtrace,
            failures: self.failures,
            detached: self.detached,
        });
        TELLS_OF_FAILURE.set(false);
        discard(self.how);
    }
}
