//! The stack of frames, and who removes which.
//!
//! # Picture
//!
//! ```text
//!   entries   f  f  B  f  f  f  B  f          f: a frame, one key and its value
//!                         │     │             B: a base: hides all below it
//!                       floor  base
//! ```
//!
//! The current context is what lies above the last base, and then that base itself. Without one it is the
//! bottom. An entry belongs to whoever removes it:
//!
//! * A **scope** ([`enter`](Frames::enter), [`enter_base`](Frames::enter_base)) begins with an entry, and
//!   moves `floor` above that. [`leave`](Frames::leave) removes the entry and all above it.
//! * An **attachment** ([`attach`](Frames::attach)) is a base that may be removed in any order.
//!   [`detach`](Frames::detach) marks it as closed; closed bases go as soon as no open one, and no scope,
//!   lies above them, together with what lies on them. One that lies below `floor` stays until the scope is
//!   left.
//! * What is [`set`](Frames::set), and the base with which [`reset`](Frames::reset) replaces the context
//!   within a scope, goes with the innermost scope or attachment.
//!
//! # Invariants
//!
//! 1. `base` and `floor` are at most the number of entries, and `entries[base - 1]` is a base.
//! 2. Entries from `base` on are frames.
//! 3. A base that belongs to no attachment is the first entry of a scope, or lies directly on `floor`.

use super::Store;
use core::marker::PhantomData;
use core::num::NonZeroU64;

/// What frames lie on: a context that was made elsewhere.
pub trait Base: Default {
    /// How many entries it has, counted against the limit of [`Frames`].
    fn depth(&self) -> usize;
}

impl Base for () {
    fn depth(&self) -> usize {
        0
    }
}

/// One place of the stack. What is in it is nobody's business but [`Frames`]'s.
#[derive(Clone, Debug)]
pub struct Entry<K, V, B>(Inside<K, V, B>);

#[derive(Clone, Debug)]
enum Inside<K, V, B> {
    Frame {
        key: K,
        value: V,
        /// If a scope begins with it: the floor outside of that.
        outer: usize,
    },
    Base {
        base: B,
        /// If a scope begins with it: the floor outside of that.
        outer: usize,
        /// The `base` below this one …
        below: usize,
        /// Of the attachment that it belongs to, [`NO_ATTACHMENT`], or [`CLOSED`].
        serial: u64,
        /// … and the `full`.
        full_below: usize,
    },
}

/// In place of the floor outside, of an entry with which no scope begins.
const NO_SCOPE: usize = usize::MAX;

/// In place of a serial number, of a base that belongs to no attachment.
const NO_ATTACHMENT: u64 = 0;

/// In place of a serial number, of a base whose attachment is gone.
const CLOSED: u64 = u64::MAX;

impl<K, V, B> Entry<K, V, B> {
    #[inline]
    const fn outer(&self) -> usize {
        match &self.0 {
            Inside::Frame { outer, .. } | Inside::Base { outer, .. } => *outer,
        }
    }
}

/// Key-value frames that nest, one thread's or one task's. A plain value, without atomics.
///
/// `K` names an entry, `V` is its value, `B` is what frames can lie on, and `S` is where they are kept:
/// see [`FixedFrames`](super::FixedFrames) for those without allocator. A context has at most so many entries as
/// its limit says, hidden ones included.
///
/// ```
/// use bedplate_core::context::FixedFrames;
///
/// let mut frames = FixedFrames::<&str, u32, 8>::fixed();
/// let doubled = frames.with("job", 7, |frames| {
///     frames.with("job", 8, |frames| assert_eq!(frames.get(&"job"), Some(&8)));
///     frames.get(&"job").map(|job| job * 2)
/// });
/// assert_eq!(doubled, Some(14));
/// assert_eq!(frames.get(&"job"), None);
/// ```
///
/// # From interrupts
/// Yes, by the handler that owns it: nothing blocks, and nothing is allocated if `S` allocates nothing.
#[derive(Clone, Debug)]
pub struct Frames<K, V, B, S> {
    entries: S,
    bottom: B,
    /// Where the innermost scope begins to be what is in it.
    floor: usize,
    /// Where the frames of the current context begin.
    base: usize,
    /// How many entries there are when the current context is full.
    full: usize,
    /// Bases that are closed, and still here.
    closed: usize,
    /// Calls of `with` that found no room for an entry. As nothing could say what to restore, nothing can be
    /// changed while there are any.
    bare: usize,
    limit: usize,
    next_serial: NonZeroU64,
    dropped: u32,
    entry: PhantomData<(K, V)>,
}

/// Ends a call of [`Frames::with`], however it ends.
struct Leave<'a, K: PartialEq, V, B: Base, S: Store<Entry<K, V, B>>> {
    frames: &'a mut Frames<K, V, B, S>,
    index: usize,
    outer: usize,
    is_bare: bool,
}

impl<K: PartialEq, V, B: Base, S: Store<Entry<K, V, B>>> Drop for Leave<'_, K, V, B, S> {
    fn drop(&mut self) {
        self.frames.bare -= usize::from(self.is_bare);
        self.frames.cut(self.index, self.outer);
    }
}

/// A scope that was entered, to be given to [`Frames::leave`].
#[derive(Debug)]
#[must_use = "what was entered must be left"]
pub struct Scope {
    index: usize,
}

/// A base that was attached, to be given to [`Frames::detach`].
#[derive(Clone, Copy, Debug)]
#[must_use = "what was attached must be detached"]
pub struct Attachment {
    index: usize,
    serial: NonZeroU64,
}

/// There is no room for an entry, which comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Full<K, V> {
    /// The key of the entry that did not fit.
    pub key: K,
    /// Its value.
    pub value: V,
}

impl<K, V> core::fmt::Display for Full<K, V> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the context has as many entries as it can hold")
    }
}

impl<K: core::fmt::Debug, V: core::fmt::Debug> core::error::Error for Full<K, V> {}

impl<K, V, B, S> Frames<K, V, B, S> {
    /// Frames in `entries`, which is empty, on `bottom`, which is an empty base. A context has at most
    /// `limit` entries.
    #[must_use]
    pub const fn new(entries: S, bottom: B, limit: usize) -> Self {
        Self {
            entries,
            bottom,
            floor: 0,
            base: 0,
            full: limit,
            closed: 0,
            bare: 0,
            limit,
            next_serial: NonZeroU64::MIN,
            dropped: 0,
            entry: PhantomData,
        }
    }

    /// How many values [`with`](Self::with) left out because there was no room.
    #[must_use]
    pub const fn dropped(&self) -> u32 {
        self.dropped
    }
}

impl<K, V, B, S> Frames<K, V, B, S>
where
    K: PartialEq,
    B: Base,
    S: Store<Entry<K, V, B>>,
{
    /// Runs `body` with `value` under `key`, and restores the context when it returns or panics, whatever was
    /// done in it.
    ///
    /// If there is no room, `body` runs without the value, [`dropped`](Self::dropped) counts it, and until it ends there
    /// is no room for anything else either.
    pub fn with<R>(&mut self, key: K, value: V, body: impl FnOnce(&mut Self) -> R) -> R {
        let (index, outer) = (self.len(), self.floor);
        let is_bare = self.enter(key, value).is_err();
        if is_bare {
            self.dropped = self.dropped.saturating_add(1);
            self.bare += 1;
            self.floor = index;
        }
        let leave = Leave {
            frames: self,
            index,
            outer,
            is_bare,
        };
        body(&mut *leave.frames)
    }

    /// For how many more entries there is room in the current context, as far as its limit is concerned.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        self.full.saturating_sub(self.len())
    }

    /// Begins a scope in which `value` stands under `key`. O(1).
    ///
    /// # Errors
    /// [`Full`] if the context or the store is; nothing was entered.
    #[inline]
    pub fn enter(&mut self, key: K, value: V) -> Result<Scope, Full<K, V>> {
        let index = self.len();
        if index >= self.full || self.bare > 0 {
            return Err(Full { key, value });
        }
        self.push_frame(key, value, self.floor)?;
        self.floor = index + 1;
        Ok(Scope { index })
    }

    /// Begins a scope in which the context is `base`, and nothing else. O(1).
    ///
    /// # Errors
    /// The base, if the store is full; nothing was entered.
    #[inline]
    pub fn enter_base(&mut self, base: B) -> Result<Scope, B> {
        let index = self.len();
        self.push_base(base, self.floor, NO_ATTACHMENT)?;
        self.floor = index + 1;
        Ok(Scope { index })
    }

    /// Ends a scope: the context is what it was before, whatever happened in the scope. O(entries that go).
    ///
    /// Scopes are left in the reverse order of their beginning. Leaving one whose outer scope has been left already
    /// does nothing, unless another has begun in its place since, which it then ends.
    #[inline]
    pub fn leave(&mut self, scope: Scope) {
        let Scope { index } = scope;
        let outer = self
            .entries
            .entries()
            .get(index)
            .map_or(NO_SCOPE, Entry::outer);
        if outer != NO_SCOPE {
            self.cut(index, outer);
        }
    }

    /// [Leaves](Self::leave) the innermost scope that was entered, if there is one. Not for what [`with`](Self::with)
    /// has begun.
    #[inline]
    pub fn leave_innermost(&mut self) {
        if let Some(index) = self.floor.checked_sub(1) {
            self.leave(Scope { index });
        }
    }

    /// Makes `base` the context, and nothing else, until it is [detached](Self::detach), the scope ends, or
    /// another takes its place. O(1).
    ///
    /// # Errors
    /// The base, if the store is full; nothing was attached.
    #[inline]
    pub fn attach(&mut self, base: B) -> Result<Attachment, B> {
        let serial = self.next_serial;
        let index = self.len();
        self.push_base(base, NO_SCOPE, serial.get())?;
        self.next_serial = serial.saturating_add(1);
        Ok(Attachment { index, serial })
    }

    /// Restores what was the context before, or, if something newer is in force, sees to it that it is
    /// restored when that goes. Does nothing if the scope in which it was attached has ended. O(1) and the entries
    /// that go.
    #[inline]
    pub fn detach(&mut self, attachment: Attachment) {
        let Attachment { index, serial: own } = attachment;
        let entry = self.entries.entries_mut().get_mut(index);
        if let Some(Entry(Inside::Base { serial, .. })) = entry
            && *serial == own.get()
        {
            *serial = CLOSED;
            self.closed += 1;
            self.settle();
        }
    }

    /// Puts `value` under `key` until the innermost scope or attachment ends. Says whether an entry that was
    /// set there under the same key had to go. O(depth).
    ///
    /// # Errors
    /// [`Full`] if the context or the store is; nothing has changed.
    pub fn set(&mut self, key: K, value: V) -> Result<bool, Full<K, V>> {
        let start = self.floor.max(self.base);
        let entries = self.entries.entries();
        let own = entries.get(start..).unwrap_or_default();
        let same = |Entry(inside): &Entry<K, V, B>| matches!(inside, Inside::Frame { key: other, .. } if *other == key);
        if let Some(place) = own.iter().rposition(same) {
            drop(self.entries.remove(start + place));
            self.push_frame(key, value, NO_SCOPE)?;
            return Ok(true);
        }
        if self.room() == 0 || self.bare > 0 {
            return Err(Full { key, value });
        }
        self.push_frame(key, value, NO_SCOPE)?;
        Ok(false)
    }

    /// Makes `base` the context, and nothing else, until the innermost scope or attachment ends. O(entries
    /// that go).
    ///
    /// # Errors
    /// The base, if the store is full; nothing has changed.
    pub fn reset(&mut self, base: B) -> Result<(), B> {
        if self.bare > 0 {
            return Err(base);
        }
        if self.base < self.floor {
            // If this removes anything there is room afterwards, so nothing is lost in a refusal.
            self.truncate(self.floor);
            return self.push_base(base, NO_SCOPE, NO_ATTACHMENT);
        }
        self.truncate(self.base);
        self.full = self.full_on(&base);
        *self.base_mut() = base;
        Ok(())
    }

    /// The newest value of `key` among the frames, or else the base on which they lie, where it may be.
    ///
    /// # Errors
    /// The base.
    #[inline]
    pub fn find(&self, key: &K) -> Result<&V, &B> {
        for Entry(inside) in self.current().iter().rev() {
            if let Inside::Frame {
                key: other, value, ..
            } = inside
                && other == key
            {
                return Ok(value);
            }
        }
        Err(self.base())
    }

    /// The newest frame, if one lies on the base.
    #[inline]
    pub fn newest(&self) -> Option<(&K, &V)> {
        match self.current().last()? {
            Entry(Inside::Frame { key, value, .. }) => Some((key, value)),
            Entry(Inside::Base { .. }) => None,
        }
    }

    /// The frames above the current base, newest first, hidden ones too.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.current().iter().rev().filter_map(|entry| match entry {
            Entry(Inside::Frame { key, value, .. }) => Some((key, value)),
            Entry(Inside::Base { .. }) => None,
        })
    }

    /// The same, with values that can be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> {
        let base = self.base;
        let entries = self.entries.entries_mut();
        let current = entries.get_mut(base..).unwrap_or_default();
        current.iter_mut().rev().filter_map(|entry| match entry {
            Entry(Inside::Frame { key, value, .. }) => Some((&*key, value)),
            Entry(Inside::Base { .. }) => None,
        })
    }

    /// What the current frames lie on.
    #[inline]
    #[must_use]
    pub fn base(&self) -> &B {
        let place = self.base.checked_sub(1);
        match place.and_then(|place| self.entries.entries().get(place)) {
            Some(Entry(Inside::Base { base, .. })) => base,
            _ => &self.bottom,
        }
    }

    /// The same, to be changed. Its [depth](Base::depth) must stay.
    pub fn base_mut(&mut self) -> &mut B {
        let place = self.base.checked_sub(1);
        match place.and_then(|place| self.entries.entries_mut().get_mut(place)) {
            Some(Entry(Inside::Base { base, .. })) => base,
            _ => &mut self.bottom,
        }
    }

    /// How many entries the current context has, hidden ones and those of its base included.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.current().len() + self.base().depth()
    }

    #[inline]
    fn len(&self) -> usize {
        self.entries.entries().len()
    }

    #[inline]
    fn current(&self) -> &[Entry<K, V, B>] {
        let entries = self.entries.entries();
        entries.get(self.base..).unwrap_or_default()
    }

    #[inline]
    fn push_frame(&mut self, key: K, value: V, outer: usize) -> Result<(), Full<K, V>> {
        match self
            .entries
            .push(Entry(Inside::Frame { key, value, outer }))
        {
            Ok(()) => Ok(()),
            Err(Entry(Inside::Frame { key, value, .. })) => Err(Full { key, value }),
            Err(_) => unreachable!("a store gives back what it was given"),
        }
    }

    #[inline]
    fn push_base(&mut self, base: B, outer: usize, serial: u64) -> Result<(), B> {
        if self.bare > 0 {
            return Err(base);
        }
        let start = self.len() + 1;
        let full = start + self.full_on(&base) - self.base;
        let entry = Inside::Base {
            base,
            outer,
            below: self.base,
            serial,
            full_below: self.full,
        };
        match self.entries.push(Entry(entry)) {
            Ok(()) => {
                self.base = start;
                self.full = full;
                Ok(())
            }
            Err(Entry(Inside::Base { base, .. })) => Err(base),
            Err(_) => unreachable!("a store gives back what it was given"),
        }
    }

    /// How many entries make a context full whose frames begin at the present base, and lie on this one.
    #[inline]
    fn full_on(&self, base: &B) -> usize {
        self.base + self.limit.saturating_sub(base.depth())
    }

    /// Removes the closed bases that nothing holds in force any more.
    #[inline]
    fn settle(&mut self) {
        while self.base > self.floor {
            let place = self.base - 1;
            let entry = self.entries.entries().get(place);
            let Some(Entry(Inside::Base { serial: CLOSED, .. })) = entry else {
                return;
            };
            self.truncate(place);
        }
    }

    /// Ends a scope, which began at `index`.
    #[inline]
    fn cut(&mut self, index: usize, outer: usize) {
        // First: should a destructor panic, all is consistent but for entries above the scope.
        self.floor = outer;
        self.truncate(index);
        if self.closed > 0 {
            self.settle();
        }
    }

    /// Removes the entries from `len` on, and restores what bases among them have changed.
    #[inline]
    fn truncate(&mut self, len: usize) {
        while self.base > len {
            let entry = self.entries.entries().get(self.base - 1);
            let Some(Entry(Inside::Base {
                below,
                serial,
                full_below,
                ..
            })) = entry
            else {
                break;
            };
            // Not one after the other, or they would be loaded as one, which waits for the two stores of a moment ago.
            self.full = *full_below;
            self.closed -= usize::from(*serial == CLOSED);
            self.base = *below;
        }
        self.entries.truncate(len);
    }
}
