//! The `ctx` spans that are open on the calling thread, and when they go.
//!
//! They go when what they show is no longer so ([`context_changed`]), when the span in which they
//! were opened is exited ([`span_exited`]; staying, they would go on showing it), and when the thread
//! ends. To go is two steps: exit, which is always possible, and close. Closing releases the parent
//! span, which the registry does *through the thread's default dispatcher*, so that must be the one
//! the span belongs to; and it cannot be set while the default dispatcher is at work on an event
//! (some value's `Display` that itself uses the context). A span that is exited then is closed at
//! the next change.
//!
//! No borrow is held while a dispatcher is called: layers may log, and come here again. What they
//! log while they are told of a `ctx` span opens no further one ([`while_busy`]), so that a layer
//! which logs the closing of every span comes to an end.

use alloc::sync::Arc;
use core::{
    cell::{Cell, RefCell},
    panic::AssertUnwindSafe,
};
use std::panic;

use tracing_core::{
    dispatcher::{get_current, with_default},
    span::Id,
};

use super::{Bridge, Home};
use crate::context::{self, Context};

struct Opened {
    home: Arc<Home>,
    /// The span that was current when this one was opened.
    inside: Option<Id>,
    id: Id,
    shows: Context,
}

/// The answer to the last question whether the spans around an event show its context: in
/// `inside`, they show `context`. What is around a span never changes, so it holds until that span
/// is exited; and as it holds on to the context, no other can be taken for it.
struct Checked {
    home: Arc<Home>,
    inside: Id,
    context: Context,
}

/// Bounded without a limit of its own: each shows an entry that those around it do not, so there
/// are at most [`MAX_KEYS`](context::MAX_KEYS) for each span that the program has entered.
struct ThisThread {
    open: RefCell<Vec<Opened>>,
    exited: RefCell<Vec<Opened>>,
    checked: RefCell<Option<Checked>>,
    /// True while layers are told of a `ctx` span.
    busy: Cell<bool>,
}

thread_local! {
    static THIS_THREAD: ThisThread = const {
        ThisThread {
            open: RefCell::new(Vec::new()),
            exited: RefCell::new(Vec::new()),
            checked: RefCell::new(None),
            busy: Cell::new(false),
        }
    };
}

/// True if it is known already that the current context is shown around an event in `inside`.
pub(super) fn is_checked(home: &Arc<Home>, inside: &Id) -> bool {
    THIS_THREAD
        .try_with(|thread| {
            thread.checked.borrow().as_ref().is_some_and(|checked| {
                checked.inside == *inside
                    && Arc::ptr_eq(&checked.home, home)
                    && context::is_current(&checked.context)
            })
        })
        .unwrap_or(false)
}

/// Remembers that `context` is shown around an event in `inside`.
pub(super) fn checked(home: &Arc<Home>, inside: Id, context: Context) {
    let checked = Checked {
        home: Arc::clone(home),
        inside,
        context,
    };
    let _old = THIS_THREAD.try_with(|thread| thread.checked.replace(Some(checked)));
}

/// True if no `ctx` span may be opened now.
pub(super) fn is_busy() -> bool {
    THIS_THREAD
        .try_with(|thread| thread.busy.get())
        .unwrap_or(true)
}

/// Runs `tell`, which tells a dispatcher of a `ctx` span.
pub(super) fn while_busy<R>(tell: impl FnOnce() -> R) -> R {
    struct Restore(bool);

    impl Drop for Restore {
        fn drop(&mut self) {
            let _destroyed = THIS_THREAD.try_with(|thread| thread.busy.set(self.0));
        }
    }

    let was = THIS_THREAD.try_with(|thread| thread.busy.replace(true));
    let _restore = Restore(was.unwrap_or(true));
    tell()
}

/// Remembers that `id`, which shows `shows`, was opened and entered.
pub(super) fn entered(home: Arc<Home>, inside: Option<Id>, id: Id, shows: Context) {
    let opened = Opened {
        home,
        inside,
        id,
        shows,
    };
    // It cannot be destroyed: `is_busy` has just been asked.
    let _destroyed = THIS_THREAD.try_with(|thread| {
        thread.open.borrow_mut().push(opened);
        context::watch(true);
    });
}

/// The context has changed: leaves the spans that show what is no longer so.
pub(crate) fn context_changed() {
    let current = context::current();
    leave_where(|opened| !opened.is_true_of(&current));
}

/// A span was exited on this thread: leaves the spans that were opened inside it.
pub(super) fn span_exited(home: &Arc<Home>, id: &Id) {
    let _old = THIS_THREAD.try_with(|thread| {
        let mut checked = thread.checked.borrow_mut();
        checked.take_if(|checked| checked.inside == *id)
    });
    leave_where(|opened| opened.inside.as_ref() == Some(id) && Arc::ptr_eq(&opened.home, home));
}

fn leave_where(must_go: impl Fn(&Opened) -> bool) {
    let _destroyed = THIS_THREAD.try_with(|thread| thread.leave_where(must_go));
}

impl ThisThread {
    fn leave_where(&self, must_go: impl Fn(&Opened) -> bool) {
        if self.has_nothing() {
            return;
        }
        self.close_exited();
        // Newest first: a span goes before the one around it.
        while let Some(opened) = self.take_last(&must_go) {
            opened.exit();
            if let Err(not_now) = opened.close() {
                self.exited.borrow_mut().push(not_now);
            }
        }
        if self.has_nothing() {
            context::watch(false);
        }
    }

    fn has_nothing(&self) -> bool {
        self.open.borrow().is_empty() && self.exited.borrow().is_empty()
    }

    fn take_last(&self, must_go: impl Fn(&Opened) -> bool) -> Option<Opened> {
        let mut open = self.open.borrow_mut();
        let last = open.iter().rposition(must_go)?;
        Some(open.remove(last))
    }

    fn close_exited(&self) {
        for opened in self.exited.take() {
            if let Err(not_now) = opened.close() {
                self.exited.borrow_mut().push(not_now);
            }
        }
    }
}

impl Drop for ThisThread {
    fn drop(&mut self) {
        let exited = self.exited.take();
        let open = self.open.take();
        // Other thread-locals may be gone, the subscriber's among them; a panic in a destructor of
        // a thread-local would abort the process.
        let _lost = panic::catch_unwind(AssertUnwindSafe(|| {
            for opened in open.into_iter().rev() {
                opened.exit();
                opened.close_now();
            }
            for opened in exited {
                opened.close_now();
            }
        }));
    }
}

impl Opened {
    /// True if everything that it shows is in `current` as well.
    fn is_true_of(&self, current: &Context) -> bool {
        let shows = &self.shows;
        if shows.is_same(current) {
            return true;
        }
        let mut entries = shows.entries();
        (shows.dropped() == 0 || shows.dropped() == current.dropped())
            && entries.all(|(key, value)| {
                current
                    .value_of(key)
                    .is_some_and(|newest| newest.is_same(value))
            })
    }

    fn exit(&self) {
        if let Some(dispatch) = self.home.dispatch() {
            while_busy(|| dispatch.exit(&self.id));
        }
    }

    /// Closes it, or gives it back if the default dispatcher is at work.
    fn close(self) -> Result<(), Self> {
        let is_default = get_current(|dispatch| {
            dispatch
                .downcast_ref::<Bridge>()
                .is_some_and(|bridge| Arc::ptr_eq(&bridge.0, &self.home))
        });
        let Some(is_default) = is_default else {
            return Err(self);
        };
        let Some(dispatch) = self.home.dispatch() else {
            return Ok(());
        };
        // A scoped default slows the dispatch of all threads while it lasts: only where needed.
        while_busy(|| {
            if is_default {
                dispatch.try_close(self.id);
            } else {
                with_default(&dispatch, || dispatch.try_close(self.id));
            }
        });
        Ok(())
    }

    /// Closes it where there is no later: at the end of the thread.
    fn close_now(self) {
        if let Err(opened) = self.close()
            && let Some(dispatch) = opened.home.dispatch()
        {
            dispatch.try_close(opened.id);
        }
    }
}
