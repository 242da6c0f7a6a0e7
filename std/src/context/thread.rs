//! The calling thread's current context and what its open scopes will restore.
//!
//! ```text
//!   saved:   [ attach ][ attach ] │ [ attach ]          each entry: the context to restore,
//!                                 │                     and whether its guard is gone already
//!                                floor
//! ```
//!
//! A guard of [`attach`] owns one entry of `saved`, named by its index and a serial number that is
//! never used again. A [`Scope`] (a call of `with` or `run`) keeps its context on the caller's stack
//! and moves `floor` up to the end of `saved`. Dropping a guard
//!
//! * whose entry is the last one above the floor restores it, and the entries below it whose guards
//!   went earlier;
//! * whose entry lies deeper marks it as closed: something newer is in force;
//! * whose entry is gone (its scope ended first) does nothing.
//!
//! The end of a scope cuts `saved` back to the floor, restores its own context, and then does as for
//! a guard with the closed entries it uncovers.
//!
//! `saved` grows by one entry for each guard that is held (or was forgotten at the outermost level),
//! so it is as long as what the caller holds.
//!
//! No code but this module's runs while a cell is borrowed: a replaced context is handed out and
//! dropped, and the tracing bridge is told, after the borrow has ended.

use core::{
    cell::{Cell, RefCell},
    fmt,
    marker::PhantomData,
};

use super::Context;

struct Thread {
    current: RefCell<Context>,
    saved: RefCell<Vec<Saved>>,
    floor: Cell<usize>,
    next_serial: Cell<u64>,
    /// True while the tracing bridge has something open that depends on the current context.
    #[cfg(feature = "tracing")]
    watched: Cell<bool>,
}

struct Saved {
    serial: u64,
    previous: Context,
    closed: bool,
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            current: RefCell::new(Context::empty()),
            saved: RefCell::new(Vec::new()),
            floor: Cell::new(0),
            next_serial: Cell::new(0),
            #[cfg(feature = "tracing")]
            watched: Cell::new(false),
        }
    };
}

impl Thread {
    /// Replaces the current context; the old one is returned so that it is dropped outside.
    fn swap(&self, next: Context) -> Context {
        self.current.replace(next)
    }

    fn derive(&self, next: impl FnOnce(&Context) -> Context) -> Context {
        let current = self.current.borrow();
        next(&current)
    }

    /// Removes the closed entries that end `saved`; the context that the last of them restores.
    fn uncover(&self, saved: &mut Vec<Saved>, mut restored: Context) -> Context {
        while saved.len() > self.floor.get() && saved.last().is_some_and(|entry| entry.closed) {
            if let Some(entry) = saved.pop() {
                restored = entry.previous;
            }
        }
        restored
    }
}

/// Calls `look` with the current context; `None` if the thread's state is destroyed.
pub(super) fn peek<R>(look: impl FnOnce(&Context) -> R) -> Option<R> {
    THREAD
        .try_with(|thread| look(&thread.current.borrow()))
        .ok()
}

/// True if there is no context to show.
#[cfg(feature = "tracing")]
pub(crate) fn is_empty() -> bool {
    peek(Context::is_empty).unwrap_or(true)
}

/// True if `context` is the very chain that is current.
#[cfg(feature = "tracing")]
pub(crate) fn is_current(context: &Context) -> bool {
    peek(|current| current.is_same(context)).unwrap_or(false)
}

/// Says whether the tracing bridge wants to hear of changes.
#[cfg(feature = "tracing")]
pub(crate) fn watch(wanted: bool) {
    let _destroyed = THREAD.try_with(|thread| thread.watched.set(wanted));
}

pub(super) fn replace(next: impl FnOnce(&Context) -> Context) {
    let _old = THREAD.try_with(|thread| thread.swap(thread.derive(next)));
    tell_bridge();
}

pub(super) fn attach(context: Context) -> Attached {
    let entry = THREAD
        .try_with(|thread| {
            let serial = thread.next_serial.get();
            thread.next_serial.set(serial + 1);
            let previous = thread.swap(context);
            let mut saved = thread.saved.borrow_mut();
            saved.push(Saved {
                serial,
                previous,
                closed: false,
            });
            Entry {
                index: saved.len() - 1,
                serial,
            }
        })
        .ok();
    tell_bridge();
    Attached {
        entry,
        not_send: PhantomData,
    }
}

fn detach(entry: Entry) {
    let _old = THREAD.try_with(|thread| {
        let mut saved = thread.saved.borrow_mut();
        let is_last = entry.index + 1 == saved.len() && entry.index >= thread.floor.get();
        let found = saved
            .get_mut(entry.index)
            .filter(|found| found.serial == entry.serial)?;
        found.closed = true;
        if !is_last {
            return None;
        }
        let restored = thread.uncover(&mut saved, Context::empty());
        drop(saved);
        Some(thread.swap(restored))
    });
    tell_bridge();
}

#[cfg(feature = "tracing")]
fn tell_bridge() {
    let watched = THREAD
        .try_with(|thread| thread.watched.get())
        .unwrap_or(false);
    if watched {
        crate::tracing_bridge::context_changed();
    }
}

#[cfg(not(feature = "tracing"))]
fn tell_bridge() {}

/// The context is in force while this is held; made by [`Context::attach`].
///
/// Dropping it restores what was current before, or, if something newer is in force, sees to it
/// that the newer scope restores that in the end. It stays on its thread.
///
/// ```compile_fail
/// fn needs_send<T: Send>(_: T) {}
/// needs_send(bedplate::context::Context::empty().attach());
/// ```
pub struct Attached {
    /// `None` if the thread's state was already destroyed.
    entry: Option<Entry>,
    not_send: PhantomData<*const ()>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    index: usize,
    serial: u64,
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            detach(entry);
        }
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attached").finish_non_exhaustive()
    }
}

/// A scope of the program's text. Its drop restores, so it must not leave this crate.
pub(super) struct Scope {
    /// `None` if the thread's state was already destroyed.
    outside: Option<Outside>,
}

struct Outside {
    context: Context,
    floor: usize,
}

impl Scope {
    pub(super) fn enter(next: impl FnOnce(&Context) -> Context) -> Self {
        let outside = THREAD
            .try_with(|thread| Outside {
                context: thread.swap(thread.derive(next)),
                floor: thread.floor.replace(thread.saved.borrow().len()),
            })
            .ok();
        tell_bridge();
        Self { outside }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let Some(outside) = self.outside.take() else {
            return;
        };
        let _old = THREAD.try_with(|thread| {
            let mut saved = thread.saved.borrow_mut();
            let base = thread.floor.replace(outside.floor);
            saved.truncate(base);
            let restored = thread.uncover(&mut saved, outside.context);
            drop(saved);
            thread.swap(restored)
        });
        tell_bridge();
    }
}
