//! The editing side.

use super::caller::address;
use super::list::{Entry, List, OwnedPattern};
use super::name::{EventName, Pattern};
use super::table::Handlers;
use crate::sync::{AtomicBool, Ordering, UnsafeCell, fence};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ptr;

/// The most handlers there are at a time.
pub const MAX_HANDLERS: usize = 1_024;

/// The most patterns a handler has.
pub const MAX_PATTERNS: usize = 64;

/// The longest id, in bytes.
pub const MAX_ID_LENGTH: usize = 128;

/// What is kept from edit to edit.
pub(super) struct Edits<H> {
    /// Of the last list.
    version: usize,
    /// Lists that were replaced, made by boxes. They are the editor's, but callers may read them.
    retired: Vec<*mut List<H>>,
}

impl<H> Edits<H> {
    pub(super) const fn new() -> Self {
        Self {
            version: 0,
            retired: Vec::new(),
        }
    }
}

impl<H> Drop for Edits<H> {
    fn drop(&mut self) {
        for list in self.retired.drain(..) {
            // SAFETY: made by a box, and nobody calls any more when the handlers are dropped.
            drop(unsafe { Box::from_raw(list) });
        }
    }
}

/// The right to attach and detach; there is one at a time.
///
/// No edit drops a value: they come out of [`Detaching::finish`] or with what is [reaped](Self::reap).
///
/// # Concurrency
/// Wait-free, apart from the allocator. Attaching and detaching take effect, for each caller, when the list is
/// exchanged; O(handlers).
pub struct Editor<'h, H> {
    handlers: &'h Handlers<H>,
}

// SAFETY: the claim can be given back by any context; what edits do is done to what `Handlers` shares.
unsafe impl<H: Send + Sync> Send for Editor<'_, H> {}

impl<'h, H> Editor<'h, H> {
    pub(super) fn claim(handlers: &'h Handlers<H>) -> Option<Self> {
        // Acquire: the last editor's edits; pairs with Release when it was dropped [H8].
        // Relaxed on failure: nothing is read through it.
        let claimed =
            handlers
                .editing
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        claimed.is_ok().then_some(Self { handlers })
    }

    /// Attaches `value` as `id`, behind all that are, to the events that any of the patterns matches. A call that
    /// has begun does not reach it.
    ///
    /// # Errors
    /// [`RefusedAttachment`] gives the value back and says why.
    pub fn attach(
        &mut self,
        id: &str,
        patterns: &[Pattern<'_>],
        value: H,
    ) -> Result<(), RefusedAttachment<H>> {
        let entries = self.current().map_or(&[][..], |list| &list.entries);
        let refusal = if id.is_empty() || id.len() > MAX_ID_LENGTH {
            Some(AttachError::BadId)
        } else if patterns.is_empty() {
            Some(AttachError::NoPattern)
        } else if patterns.len() > MAX_PATTERNS {
            Some(AttachError::TooManyPatterns)
        } else if entries.iter().any(|entry| &*entry.id == id) {
            Some(AttachError::AlreadyAttached)
        } else if entries.len() >= MAX_HANDLERS {
            Some(AttachError::Full)
        } else {
            None
        };
        if let Some(error) = refusal {
            return Err(RefusedAttachment { error, value });
        }
        let mut entries = entries.to_vec();
        entries.push(Arc::new(Entry {
            id: Box::from(id),
            patterns: patterns.iter().map(OwnedPattern::new).collect(),
            dead: AtomicBool::new(false),
            value: UnsafeCell::new(Some(value)),
        }));
        self.publish(entries);
        Ok(())
    }

    /// Detaches what is attached as `id`; `None` if nothing is. No call of it starts any more; one that has
    /// started may still run, until [`Detaching::finish`] gives the value.
    pub fn detach(&mut self, id: &str) -> Option<Detaching<'h, H>> {
        let entries = &self.current()?.entries;
        let at = entries.iter().position(|entry| &*entry.id == id)?;
        let mut entries = entries.to_vec();
        let entry = entries.remove(at);
        self.publish(entries);
        // Relaxed: ordered by the fence.
        entry.dead.store(true, Ordering::Relaxed);
        // SeqCst: a caller sees that it is dead, or we see it in its seat; pairs with the fence in `Caller::call`
        // [H3].
        fence(Ordering::SeqCst);
        Some(Detaching {
            handlers: self.handlers,
            entry,
        })
    }

    /// What is attached as `id`.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&H> {
        let mut entries = self.current()?.entries.iter();
        let entry = entries.find(|entry| &*entry.id == id)?;
        // SAFETY: a value is taken out once its entry is dead, and those of the list are not; an editor kills
        // them, which is borrowed.
        let value = unsafe { &*entry.value.get() };
        value.as_ref()
    }

    /// Calls `f` with the id and the pattern of everything that is attached and lies under `prefix`, or of
    /// everything: handlers in the order of attachment, the patterns of each as they were given. A pattern for
    /// everything lies under no prefix.
    pub fn list(&self, prefix: Option<&EventName<'_>>, mut f: impl FnMut(&str, Pattern<'_>)) {
        for entry in self.current().iter().flat_map(|list| &list.entries) {
            for pattern in entry.patterns.iter().map(OwnedPattern::get) {
                let lies_under = match (prefix, &pattern.name) {
                    (None, _) => true,
                    (Some(prefix), Some(name)) => name.is_under(prefix),
                    (Some(_), None) => false,
                };
                if lies_under {
                    f(&entry.id, pattern);
                }
            }
        }
    }

    /// How many are attached.
    #[must_use]
    pub fn count(&self) -> usize {
        self.current().map_or(0, |list| list.entries.len())
    }

    /// Takes out what earlier edits left behind and nobody reads any more: to be dropped, where values may be
    /// dropped. O(callers + what was left behind).
    #[must_use = "what is dropped here are users' values"]
    pub fn reap(&mut self) -> Reaped<H> {
        if self.edits().retired.is_empty() {
            return Reaped(Vec::new());
        }
        // SeqCst: a caller sees that the list was replaced, or we see its note; pairs with the fence in
        // `Caller::enter` [H2].
        fence(Ordering::SeqCst);
        let noted = self.handlers.seats.noted_lists();
        let retired = &mut self.edits().retired;
        let free = retired.extract_if(.., |list| !noted.contains(&list.addr()));
        // SAFETY: made by a box and retired once; nobody notes it, and nobody will, as it is not the list.
        let free = free.map(|list| unsafe { Box::from_raw(list) });
        Reaped(free.collect())
    }

    /// The list, if anybody is attached.
    fn current(&self) -> Option<&'h List<H>> {
        // Relaxed: only editors store it, and the claim ordered those before us [H8].
        let list = self.handlers.list.load(Ordering::Relaxed);
        // SAFETY: made by a box; an editor frees it, which is us, and not while it is the list. The reference
        // is not kept beyond the next `reap`.
        unsafe { list.as_ref() }
    }

    /// Puts a list of these entries in the place of the one there is, which is retired.
    fn publish(&mut self, entries: Vec<Arc<Entry<H>>>) {
        let edits = self.edits();
        // Zero stands for nobody.
        edits.version = edits.version.checked_add(1).unwrap_or(1);
        let (list, version) = if entries.is_empty() {
            (ptr::null_mut(), 0)
        } else {
            let list = List::new(edits.version, entries);
            (Box::into_raw(Box::new(list)), edits.version)
        };
        // Relaxed: only editors store it, and the claim ordered those before us [H8].
        let before = self.handlers.list.load(Ordering::Relaxed);
        // Release: the list is initialised; pairs with Acquire in `Caller::enter` [H1].
        self.handlers.list.store(list, Ordering::Release);
        // Relaxed: a hint that comes after the list; see `Handlers::may_want`.
        self.handlers.version.store(version, Ordering::Relaxed);
        if !before.is_null() {
            self.edits().retired.push(before);
        }
    }

    fn edits(&mut self) -> &mut Edits<H> {
        // SAFETY: ours alone, as is the claim.
        unsafe { &mut *self.handlers.edits.get() }
    }
}

impl<H> Drop for Editor<'_, H> {
    fn drop(&mut self) {
        // Release: our edits; pairs with Acquire in `claim` [H8].
        self.handlers.editing.store(false, Ordering::Release);
    }
}

impl<H> fmt::Debug for Editor<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Editor")
            .field("attached", &self.count())
            .finish_non_exhaustive()
    }
}

/// A handler that is detached, and may still be running.
///
/// Dropped, it leaves the handler detached; its value is then among what is reaped later.
#[must_use = "it is over when `finish` gives the value"]
pub struct Detaching<'h, H> {
    handlers: &'h Handlers<H>,
    entry: Arc<Entry<H>>,
}

// SAFETY: it may take the value out, which may be sent, and compares addresses otherwise.
unsafe impl<H: Send + Sync> Send for Detaching<'_, H> {}

impl<H> Detaching<'_, H> {
    /// The value, if no caller is in the handler: then none ever will be, and what the handler did is done.
    /// O(callers).
    ///
    /// # Errors
    /// Itself, while a call is running. A handler that asks for its own end is running.
    pub fn finish(self) -> Result<H, Self> {
        if self.handlers.seats.any_runs(address(&self.entry)) {
            return Err(self);
        }
        // SAFETY: it is dead since before the seats were looked at, and no seat notes it, so nobody reads the
        // value, or ever will; and of what may take it there is this one.
        let value = unsafe { &mut *self.entry.value.get() };
        match value.take() {
            Some(value) => Ok(value),
            None => unreachable!("a handler is detached once"),
        }
    }
}

impl<H> fmt::Debug for Detaching<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detaching")
            .field("id", &self.entry.id)
            .finish_non_exhaustive()
    }
}

/// What nobody reads any more: as an iterator, the values that were attached last in it, for who drops users' values
/// one by one. Those that are not asked for are dropped with it.
pub struct Reaped<H>(#[expect(clippy::vec_box, reason = "as they were made")] Vec<Box<List<H>>>);

// SAFETY: nobody else reads the lists; values that are dropped with them may be sent.
unsafe impl<H: Send + Sync> Send for Reaped<H> {}

impl<H> Iterator for Reaped<H> {
    type Item = H;

    fn next(&mut self) -> Option<H> {
        while let Some(list) = self.0.last_mut() {
            match list.entries.pop().map(Arc::into_inner) {
                Some(Some(entry)) => {
                    // Unless whoever detached it has the value.
                    if let Some(value) = entry.value.into_inner() {
                        return Some(value);
                    }
                }
                // Another list has it, or a `Detaching`.
                Some(None) => {}
                None => drop(self.0.pop()),
            }
        }
        None
    }
}

impl<H> fmt::Debug for Reaped<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reaped").field(&self.0.len()).finish()
    }
}

/// Why something was not attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttachError {
    /// There is one of this id, and it stays.
    AlreadyAttached,
    /// There are [`MAX_HANDLERS`].
    Full,
    /// It would never be called.
    NoPattern,
    /// It has more than [`MAX_PATTERNS`].
    TooManyPatterns,
    /// The id is empty, or longer than [`MAX_ID_LENGTH`].
    BadId,
}

/// Something was not attached; here it is again.
pub struct RefusedAttachment<H> {
    /// Why.
    pub error: AttachError,
    /// What was to be attached.
    pub value: H,
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyAttached => f.write_str("a handler of this id is attached"),
            Self::Full => write!(f, "{MAX_HANDLERS} handlers are attached already"),
            Self::NoPattern => f.write_str("a handler of no events would never be called"),
            Self::TooManyPatterns => write!(f, "a handler has at most {MAX_PATTERNS} patterns"),
            Self::BadId => write!(f, "the id of a handler has 1 to {MAX_ID_LENGTH} bytes"),
        }
    }
}

impl core::error::Error for AttachError {}

impl<H> fmt::Debug for RefusedAttachment<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusedAttachment")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<H> fmt::Display for RefusedAttachment<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<H> core::error::Error for RefusedAttachment<H> {}
