//! The calling side.

use super::list::{Entry, List};
use super::name::EventName;
use super::seats::{Level, MAX_DEPTH, Seat, Seats, TooManyCallers};
use super::table::{Handlers, Interest};
use crate::sync::{AtomicBool, Cell, Ordering, fence};
use core::fmt;
use core::marker::PhantomData;

/// The right of one context to call handlers.
///
/// A handler may call on with the caller that called it. It is not called again itself meanwhile, by this
/// caller: that would be a recursion without end for a handler of everything.
pub struct Caller<'h, H> {
    handlers: &'h Handlers<H>,
    seat: &'h Seat,
    taken: &'h AtomicBool,
    /// How many levels of the seat are in use.
    depth: Cell<usize>,
    /// One context has it.
    bound: PhantomData<*mut ()>,
}

/// One that is called.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attached<'a, H> {
    /// Under which id it is attached.
    pub id: &'a str,
    /// What was attached.
    pub value: &'a H,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Called {
    /// How many handlers were called.
    pub called: usize,
    /// How many were left out, because this caller is in them.
    pub left_out: usize,
}

/// Handlers have called others, which called others: [`MAX_DEPTH`] deep already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooDeep;

impl<'h, H> Caller<'h, H> {
    pub(super) fn new(handlers: &'h Handlers<H>) -> Result<Self, TooManyCallers> {
        let (seat, taken) = handlers.seats.take()?;
        Ok(Self {
            handlers,
            seat,
            taken,
            depth: Cell::new(0),
            bound: PhantomData,
        })
    }

    /// Calls `f` for every handler that wants the event `name`, in the order in which they were attached. One
    /// that is detached meanwhile is left out if it was not reached; one that is attached meanwhile is not
    /// called.
    ///
    /// If `f` panics, the rest are not called, and the caller can go on to be used.
    ///
    /// # Errors
    /// [`TooDeep`] if handlers have called each other that often. Nobody is called.
    pub fn call(
        &self,
        name: &EventName<'_>,
        f: impl FnMut(Attached<'_, H>),
    ) -> Result<Called, TooDeep> {
        self.call_from(&Interest::unknown(), name, f)
    }

    /// As [`call`](Self::call), from a call site that remembers if there is nobody.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_from(
        &self,
        interest: &Interest,
        name: &EventName<'_>,
        mut f: impl FnMut(Attached<'_, H>),
    ) -> Result<Called, TooDeep> {
        let mut called = Called::default();
        let Some(entered) = self.enter()? else {
            return Ok(called);
        };
        let mut nobody = true;
        for entry in entered.list.matching(name) {
            nobody = false;
            let address = address(entry);
            if self.is_in(address, entered.depth) {
                called.left_out += 1;
                continue;
            }
            // Release: what the handler before did is done; pairs with Acquire in `Seats::any_runs` [H4].
            entered.level.running.store(address, Ordering::Release);
            // SeqCst: we see below that it is dead, or whoever made it so sees us in it; pairs with the fence in
            // `Editor::detach` [H3].
            fence(Ordering::SeqCst);
            // Relaxed: ordered by the fence.
            if entry.dead.load(Ordering::Relaxed) {
                continue;
            }
            // SAFETY: taken out only once it is dead and no seat notes it; this one has since before it was
            // seen alive.
            let value = unsafe { &*entry.value.get() };
            if let Some(value) = value {
                called.called += 1;
                f(Attached {
                    id: &entry.id,
                    value,
                });
            }
        }
        if nobody {
            // Relaxed: it is true of this version for ever.
            interest
                .nobody_in
                .store(entered.list.version, Ordering::Relaxed);
        }
        Ok(called)
    }

    /// Whether a handler that this caller called has not returned.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        self.depth.get() > 0
    }

    /// Notes the list, if there is one, in the next level of the seat.
    fn enter(&self) -> Result<Option<Entered<'_, H>>, TooDeep> {
        let depth = self.depth.get();
        let level = self.seat.levels.get(depth).ok_or(TooDeep)?;
        // Relaxed: only noted, until it is loaded again.
        let mut list = self.handlers.list.load(Ordering::Relaxed);
        while !list.is_null() {
            // Relaxed: ordered by the fence.
            level.list.store(list.addr(), Ordering::Relaxed);
            // SeqCst: we see below that it was replaced, or whoever replaced it sees our note; pairs with the
            // fence in `Editor::reap` [H2].
            fence(Ordering::SeqCst);
            // Acquire: it is initialised; pairs with Release in `Editor::publish` [H1].
            let now = self.handlers.list.load(Ordering::Acquire);
            if now == list {
                self.depth.set(depth + 1);
                return Ok(Some(Entered {
                    // SAFETY: initialised, and not freed while it is noted, which it was before it was seen to be
                    // the list.
                    list: unsafe { &*list },
                    level,
                    depth,
                    caller: &self.depth,
                }));
            }
            list = now;
        }
        // Release: nothing was read, but a note that was made is taken back as all are [H5].
        level.list.store(0, Ordering::Release);
        Ok(None)
    }

    /// Whether one of the levels below `depth` is in the entry at this address.
    fn is_in(&self, entry: usize, depth: usize) -> bool {
        self.seat.levels[..depth]
            .iter()
            // Relaxed: our own notes.
            .any(|level| level.running.load(Ordering::Relaxed) == entry)
    }
}

/// A level that is in use.
struct Entered<'c, H> {
    list: &'c List<H>,
    level: &'c Level,
    depth: usize,
    caller: &'c Cell<usize>,
}

impl<H> Drop for Entered<'_, H> {
    fn drop(&mut self) {
        // Release: what the handler did is done; pairs with Acquire in `Seats::any_runs` [H4].
        self.level.running.store(0, Ordering::Release);
        // Release: the list was read; pairs with Acquire in `Seats::noted_lists` [H5].
        self.level.list.store(0, Ordering::Release);
        self.caller.set(self.depth);
    }
}

impl<H> Drop for Caller<'_, H> {
    fn drop(&mut self) {
        Seats::give_back(self.taken);
    }
}

impl<H> fmt::Debug for Caller<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("depth", &self.depth.get())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for TooDeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handlers have called each other {MAX_DEPTH} deep")
    }
}

impl core::error::Error for TooDeep {}

/// Of an entry, for comparison.
pub(super) fn address<H>(entry: &Entry<H>) -> usize {
    core::ptr::from_ref(entry).addr()
}
