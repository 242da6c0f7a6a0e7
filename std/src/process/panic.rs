//! Panics of supervised threads, caught once and reported once.
//!
//! Only the panic hook learns where a panic happened, and only `catch_unwind` ends it. So one hook
//! is installed for the whole process, at the first start of a supervisor, in front of the one
//! that was there. On a thread that runs the body of a child it notes message and place; and it calls
//! its predecessor, as on every other thread, unless the supervisor was asked to be quiet because
//! somebody else reports the ends. So a panic is printed once, whether it ends the body or is caught
//! in it.
//!
//! Where a panic cannot be caught, it is printed in any case: nobody will be there to report it.
//!
//! A program that sets a hook of its own afterwards displaces this one; reports then have their
//! message, but no place.

use crate::sync::{Once, thread};
use core::any::Any;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::panic::AssertUnwindSafe;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{PanicHookInfo, catch_unwind, resume_unwind};

/// One panic of a supervised thread.
#[non_exhaustive]
pub struct PanicReport {
    /// What was said. `"non-text payload"` when it was not text.
    pub message: String,
    /// File, line and column; `None` when another panic hook displaced ours, or when a panic was
    /// resumed rather than raised.
    pub location: Option<String>,
    /// The name of the thread; of a child's body, the child's [path](crate::supervisor::ChildRef::path), also on a
    /// [spare](crate::supervisor::SupervisorBuilder::spares), which has another name.
    pub thread: String,
    backtrace: Option<Backtrace>,
}

impl PanicReport {
    /// Of a panic that a test tells of and that did not happen.
    pub(crate) fn told(message: &str, thread: &str) -> Self {
        Self {
            message: message.to_owned(),
            location: None,
            thread: thread.to_owned(),
            backtrace: None,
        }
    }

    /// Where the thread was, if the environment asked for it (`RUST_BACKTRACE`). Names are
    /// resolved when it is first printed, not when the thread panics.
    #[must_use]
    pub const fn backtrace(&self) -> Option<&Backtrace> {
        self.backtrace.as_ref()
    }
}

impl fmt::Debug for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PanicReport")
            .field("message", &self.message)
            .field("location", &self.location)
            .field("thread", &self.thread)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.location {
            Some(location) => write!(f, " at {location}"),
            None => Ok(()),
        }
    }
}

/// What the hook noted on this thread.
enum Note {
    /// No body of a child is running here.
    Unsupervised,
    Listening {
        quiet: bool,
    },
    Heard {
        quiet: bool,
        message: String,
        location: Option<String>,
        backtrace: Option<Backtrace>,
    },
}

thread_local! {
    /// Whether the code that runs is one whose panics are told; then they are noted in `HEARD`.
    static ATTEMPTED: Cell<bool> = const { Cell::new(false) };
    static HEARD: RefCell<Option<Note>> = const { RefCell::new(None) };
    static NOTE: RefCell<Note> = const { RefCell::new(Note::Unsupervised) };
}

/// Puts the hook in place; once for the process.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    // A thread that is panicking may not change the hook; somebody else will.
    if thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !take_note(info) {
                previous(info);
            }
        }));
    });
}

/// Notes a panic of a supervised thread. Whether it is not to be printed. Must not panic: that would
/// abort.
fn take_note(info: &PanicHookInfo<'_>) -> bool {
    if ATTEMPTED.get() {
        let _destroyed = HEARD.try_with(|heard| {
            if let Ok(mut heard) = heard.try_borrow_mut() {
                *heard = Some(heard_of(info, false));
            }
        });
        return false;
    }
    let noted = NOTE.try_with(|note| {
        let Ok(mut note) = note.try_borrow_mut() else {
            return false;
        };
        let quiet = match *note {
            Note::Unsupervised => return false,
            Note::Listening { quiet } | Note::Heard { quiet, .. } => quiet,
        };
        *note = heard_of(info, quiet);
        quiet
    });
    noted.unwrap_or(false) && cfg!(panic = "unwind")
}

/// What the hook can say of a panic.
fn heard_of(info: &PanicHookInfo<'_>, quiet: bool) -> Note {
    let backtrace = Backtrace::capture();
    let captured = backtrace.status() == BacktraceStatus::Captured;
    Note::Heard {
        quiet,
        message: text(info.payload()).to_owned(),
        location: info.location().map(ToString::to_string),
        backtrace: captured.then_some(backtrace),
    }
}

/// Runs the body of the child `path`. A panic ends here, printed unless `quiet`; its payload is dropped,
/// whatever its destructor does.
pub(crate) fn catch<R>(
    quiet: bool,
    path: &str,
    body: impl FnOnce() -> R,
) -> Result<R, PanicReport> {
    NOTE.with(|note| *note.borrow_mut() = Note::Listening { quiet });
    // The body's captures are shared by all incarnations; that they survive a panic in a sound
    // state is the business of whoever wrote them, as documented at `ChildSpec::worker`.
    let result = catch_unwind(AssertUnwindSafe(body));
    let note = NOTE.with(|note| note.replace(Note::Unsupervised));
    result.map_err(|payload| report(payload, Some(note), path))
}

/// Calls a user's code whose panic ends here, printed like any other, and is told besides. Costs next to nothing if
/// there is none.
pub(crate) fn attempt<R>(call: impl FnOnce() -> R) -> Result<R, PanicReport> {
    let before = ATTEMPTED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    ATTEMPTED.set(before);
    result.map_err(|payload| {
        let note = HEARD.try_with(|heard| heard.borrow_mut().take());
        let thread = thread::current();
        report(
            payload,
            note.ok().flatten(),
            thread.name().unwrap_or_default(),
        )
    })
}

/// Runs `body`. If it panics, `tell` is given the message, and the place if the hook noted it, and the panic goes
/// on.
pub(crate) fn observe<R>(body: impl FnOnce() -> R, tell: impl FnOnce(&str, Option<&str>)) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(payload) => {
            let message = text(&*payload);
            let place = NOTE.try_with(|note| match &*note.borrow() {
                Note::Heard {
                    message: heard,
                    location,
                    ..
                } if heard == message => location.clone(),
                _ => None,
            });
            tell(message, place.ok().flatten().as_deref());
            resume_unwind(payload)
        }
    }
}

/// What is known of a panic that was caught on a thread of this name.
fn report(payload: Box<dyn Any + Send>, note: Option<Note>, thread: &str) -> PanicReport {
    let message = text(&*payload).to_owned();
    discard(payload);
    let (location, backtrace) = match note {
        // An earlier panic, which was caught inside, is not the one that was caught here.
        Some(Note::Heard {
            message: heard,
            location,
            backtrace,
            ..
        }) if heard == message => (location, backtrace),
        _ => (None, None),
    };
    PanicReport {
        message,
        location,
        thread: thread.to_owned(),
        backtrace,
    }
}

/// Calls a user's code whose panic must not go further. The panic is printed, also on the thread of a
/// quiet child: nobody else would report it.
pub(crate) fn contain(call: impl FnOnce()) {
    let swap = |new| NOTE.try_with(|note| note.replace(new)).ok();
    let before = swap(Note::Unsupervised);
    let result = catch_unwind(AssertUnwindSafe(call));
    if let Some(before) = before {
        swap(before);
    }
    if let Err(payload) = result {
        // Its destructor may panic in turn, and so may that one's payload, without end.
        core::mem::forget(payload);
    }
}

/// Drops a user's value, whose destructor may panic.
pub(crate) fn discard<T>(value: T) {
    contain(|| drop(value));
}

fn text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "non-text payload"
    }
}
