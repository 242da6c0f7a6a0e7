//! What all share: the list, its version, and the seats.

use super::caller::Caller;
use super::editor::{Editor, Edits};
use super::list::List;
use super::seats::{Seats, TooManyCallers};
use crate::sync::{
    AtomicBool, AtomicPtr, AtomicUsize, Ordering, UnsafeCell, const_fn, exclusively,
};
use alloc::boxed::Box;
use core::fmt;
use core::ptr;

/// Values of `H`, each attached under an id of its own to the events that its patterns match.
///
/// Whoever calls takes a [`Caller`], one for each context; whoever attaches and detaches, the [`Editor`], of
/// which there is one at a time. See the [module](super) for the protocol.
///
/// # Concurrency
/// Calling is lock-free: it looks for the list again only if that was edited meanwhile. It writes to the caller's
/// own cache line and to nothing that is shared. Edits are wait-free; what waits, if anything, is whoever wants
/// to know that a detached handler is silent.
///
/// # From interrupts
/// No: taking a [`Caller`] and editing allocate. A handler that has a caller may call.
///
/// ```
/// use bedplate_core::handlers::{EventName, Handlers, Pattern};
///
/// static HANDLERS: Handlers<fn(u64) -> u64> = Handlers::new();
/// const PLACED: EventName = EventName::new("order.placed");
///
/// let mut editor = HANDLERS.claim_editor().expect("nobody else edits");
/// editor.attach("double", &[Pattern::exactly(PLACED)], |n| 2 * n)?;
/// editor.attach("negate", &[Pattern::EVERYTHING], |n| n.wrapping_neg())?;
///
/// let caller = HANDLERS.caller()?;
/// let mut seen = Vec::new();
/// caller.call(&PLACED, |handler| seen.push((handler.id.to_owned(), (handler.value)(21))))?;
/// assert_eq!(seen[0], ("double".to_owned(), 42));
/// assert_eq!(seen[1].0, "negate");
///
/// let detaching = editor.detach("double").expect("it was attached");
/// assert!(detaching.finish().is_ok());                     // nobody is in it
/// assert_eq!(caller.call(&PLACED, |_| ())?.called, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Handlers<H> {
    /// Zero if nobody is attached.
    pub(super) version: AtomicUsize,
    /// Null if nobody is attached.
    pub(super) list: AtomicPtr<List<H>>,
    pub(super) seats: Seats,
    pub(super) editing: AtomicBool,
    /// Whoever has `editing` has this.
    pub(super) edits: UnsafeCell<Edits<H>>,
}

// SAFETY: values are handed out by reference to any context that calls, and are dropped by any that edits.
unsafe impl<H: Send + Sync> Sync for Handlers<H> {}
// SAFETY: the raw pointers are owned, and what they point to may go along with the values.
unsafe impl<H: Send + Sync> Send for Handlers<H> {}

impl<H> Handlers<H> {
    const_fn! {
        /// Nobody is attached.
        #[must_use]
        pub fn new() -> Self {
            Self {
                version: AtomicUsize::new(0),
                list: AtomicPtr::new(ptr::null_mut()),
                seats: Seats::new(),
                editing: AtomicBool::new(false),
                edits: UnsafeCell::new(Edits::new()),
            }
        }
    }

    /// Whether anybody may want to be told of the event of a call site, as far as the site knows. If the answer
    /// is no, nobody was attached to it at a moment within the call. One load if nobody is attached to
    /// anything, else two.
    #[inline]
    pub fn may_want(&self, interest: &Interest) -> bool {
        // Relaxed: whoever was told of an attachment sees its version, or a later one, since the version only
        // changes with the list; nothing is read through it.
        let version = self.version.load(Ordering::Relaxed);
        // Relaxed: what the site knows about this version does not change any more.
        version != 0 && interest.nobody_in.load(Ordering::Relaxed) != version
    }

    /// A caller, with a seat of its own. O(callers).
    ///
    /// # Errors
    /// [`TooManyCallers`] if there are [`MAX_CALLERS`](super::MAX_CALLERS).
    pub fn caller(&self) -> Result<Caller<'_, H>, TooManyCallers> {
        Caller::new(self)
    }

    /// The right to edit, or `None` while somebody has it. It is given back when dropped.
    pub fn claim_editor(&self) -> Option<Editor<'_, H>> {
        Editor::claim(self)
    }
}

impl<H> Default for Handlers<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> Drop for Handlers<H> {
    fn drop(&mut self) {
        let list = exclusively(&mut self.list);
        if !list.is_null() {
            // SAFETY: made by a box when it was published, and nobody calls or edits any more.
            drop(unsafe { Box::from_raw(list) });
        }
    }
}

impl<H> fmt::Debug for Handlers<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: only shown.
        let version = self.version.load(Ordering::Relaxed);
        f.debug_struct("Handlers")
            .field("version", &version)
            .finish_non_exhaustive()
    }
}

/// What a call site knows of those attached: in which version of the list nobody wanted its event.
///
/// One for each event name: it must not be used for two.
#[derive(Debug)]
pub struct Interest {
    pub(super) nobody_in: AtomicUsize,
}

impl Interest {
    const_fn! {
        /// Nothing is known.
        #[must_use]
        pub fn unknown() -> Self {
            Self { nobody_in: AtomicUsize::new(0) }
        }
    }
}

impl Default for Interest {
    fn default() -> Self {
        Self::unknown()
    }
}
