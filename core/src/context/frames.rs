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
    Frame(K, V),
    Base {
        base: B,
        /// Where the base below this one is.
        below: usize,
        /// Of the attachment that it belongs to; 0 if it belongs to none.
        serial: u64,
        closed: bool,
    },
}

/// Where the innermost scope and the current base are.
#[derive(Clone, Copy, Debug)]
struct Region {
    floor: usize,
    base: usize,
    /// How many entries there are when the current context is full.
    full: usize,
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
    region: Region,
    limit: usize,
    next_serial: u64,
    dropped: u32,
    entry: PhantomData<(K, V)>,
}

/// A scope that was entered, to be given to [`Frames::leave`].
#[derive(Debug)]
#[must_use = "what was entered must be left"]
pub struct Scope {
    index: usize,
    outside: Region,
}

/// A base that was attached, to be given to [`Frames::detach`].
#[derive(Clone, Copy, Debug)]
#[must_use = "what was attached must be detached"]
pub struct Attachment {
    index: usize,
    serial: u64,
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
            region: Region {
                floor: 0,
                base: 0,
                full: limit,
            },
            limit,
            next_serial: 1,
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
    /// If there is no room, `body` runs without the value and [`dropped`](Self::dropped) counts it.
    pub fn with<R>(&mut self, key: K, value: V, body: impl FnOnce(&mut Self) -> R) -> R {
        struct Leave<'a, K: PartialEq, V, B: Base, S: Store<Entry<K, V, B>>> {
            frames: &'a mut Frames<K, V, B, S>,
            scope: Option<Scope>,
        }

        impl<K: PartialEq, V, B: Base, S: Store<Entry<K, V, B>>> Drop for Leave<'_, K, V, B, S> {
            fn drop(&mut self) {
                if let Some(scope) = self.scope.take() {
                    self.frames.leave(scope);
                }
            }
        }

        let scope = self.enter(key, value).ok();
        if scope.is_none() {
            self.dropped = self.dropped.saturating_add(1);
        }
        let leave = Leave {
            frames: self,
            scope,
        };
        body(&mut *leave.frames)
    }

    /// Begins a scope in which `value` stands under `key`. O(1).
    ///
    /// # Errors
    /// [`Full`] if the context or the store is; nothing was entered.
    #[inline]
    pub fn enter(&mut self, key: K, value: V) -> Result<Scope, Full<K, V>> {
        let outside = self.region;
        let index = self.len();
        if index >= outside.full {
            return Err(Full { key, value });
        }
        self.push_frame(key, value)?;
        self.region.floor = index + 1;
        Ok(Scope { index, outside })
    }

    /// Begins a scope in which the context is `base`, and nothing else. O(1).
    ///
    /// # Errors
    /// The base, if the store is full; nothing was entered.
    pub fn enter_base(&mut self, base: B) -> Result<Scope, B> {
        let outside = self.region;
        let index = self.len();
        self.push_base(base, 0)?;
        self.region.floor = index + 1;
        Ok(Scope { index, outside })
    }

    /// Ends a scope: the context is what it was before, whatever happened in the scope. O(entries that go).
    ///
    /// Scopes are left in the reverse order of their beginning. Leaving one whose outer scope has been left already
    /// does nothing, unless another has begun in its place since, which it then ends.
    #[inline]
    pub fn leave(&mut self, scope: Scope) {
        let Scope { index, outside } = scope;
        let len = self.len();
        if index >= len {
            return;
        }
        // First: should a destructor panic, all is consistent but for entries above the scope.
        self.region = outside;
        if len == index + 1 {
            drop(self.entries.pop());
        } else {
            self.truncate(index);
        }
        if outside.base > outside.floor {
            self.settle();
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
        self.push_base(base, serial)?;
        self.next_serial += 1;
        Ok(Attachment { index, serial })
    }

    /// Restores what was the context before, or, if something newer is in force, sees to it that it is
    /// restored when that goes. Does nothing if the scope in which it was attached has ended. O(1) and the entries
    /// that go.
    #[inline]
    pub fn detach(&mut self, attachment: Attachment) {
        if let Some(Entry(Inside::Base { serial, closed, .. })) =
            self.entries.entries_mut().get_mut(attachment.index)
            && *serial == attachment.serial
        {
            *closed = true;
            self.settle();
        }
    }

    /// Puts `value` under `key` until the innermost scope or attachment ends. Says whether an entry that was
    /// set there under the same key had to go. O(depth).
    ///
    /// # Errors
    /// [`Full`] if the context or the store is; nothing has changed.
    pub fn set(&mut self, key: K, value: V) -> Result<bool, Full<K, V>> {
        let region = self.region;
        let start = region.floor.max(region.base);
        let entries = self.entries.entries();
        let own = entries.get(start..).unwrap_or_default();
        let same =
            |entry: &Entry<K, V, B>| matches!(&entry.0, Inside::Frame(other, _) if *other == key);
        if let Some(place) = own.iter().rposition(same) {
            drop(self.entries.remove(start + place));
            self.push_frame(key, value)?;
            return Ok(true);
        }
        if entries.len() >= region.full {
            return Err(Full { key, value });
        }
        self.push_frame(key, value)?;
        Ok(false)
    }

    /// Makes `base` the context, and nothing else, until the innermost scope or attachment ends. O(entries
    /// that go).
    ///
    /// # Errors
    /// The base, if the store is full; then all that was set in the scope is gone, and what is around it is in force.
    pub fn reset(&mut self, base: B) -> Result<(), B> {
        let Region {
            floor, base: at, ..
        } = self.region;
        if at < floor {
            self.truncate(floor);
            return self.push_base(base, 0);
        }
        self.truncate(at);
        *self.base_mut() = base;
        self.region.full = self.full_at(at);
        Ok(())
    }

    /// The newest value of `key` among the frames, or else the base on which they lie, where it may be.
    ///
    /// # Errors
    /// The base.
    #[inline]
    pub fn find(&self, key: &K) -> Result<&V, &B> {
        for entry in self.current().iter().rev() {
            if let Entry(Inside::Frame(other, value)) = entry
                && other == key
            {
                return Ok(value);
            }
        }
        Err(self.base())
    }

    /// The frames above the current base, newest first, hidden ones too.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.current().iter().rev().filter_map(|entry| match entry {
            Entry(Inside::Frame(key, value)) => Some((key, value)),
            Entry(Inside::Base { .. }) => None,
        })
    }

    /// The same, with values that can be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> {
        let base = self.region.base;
        let current = self
            .entries
            .entries_mut()
            .get_mut(base..)
            .unwrap_or_default();
        current.iter_mut().rev().filter_map(|entry| match entry {
            Entry(Inside::Frame(key, value)) => Some((&*key, value)),
            Entry(Inside::Base { .. }) => None,
        })
    }

    /// What the current frames lie on.
    #[inline]
    #[must_use]
    pub fn base(&self) -> &B {
        let place = self.region.base.checked_sub(1);
        match place.and_then(|place| self.entries.entries().get(place)) {
            Some(Entry(Inside::Base { base, .. })) => base,
            _ => &self.bottom,
        }
    }

    /// The same, to be changed. Its [depth](Base::depth) must stay.
    pub fn base_mut(&mut self) -> &mut B {
        let place = self.region.base.checked_sub(1);
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

    fn len(&self) -> usize {
        self.entries.entries().len()
    }

    fn current(&self) -> &[Entry<K, V, B>] {
        let entries = self.entries.entries();
        entries.get(self.region.base..).unwrap_or_default()
    }

    fn push_frame(&mut self, key: K, value: V) -> Result<(), Full<K, V>> {
        match self.entries.push(Entry(Inside::Frame(key, value))) {
            Ok(()) => Ok(()),
            Err(Entry(Inside::Frame(key, value))) => Err(Full { key, value }),
            Err(_) => unreachable!("a store gives back what it was given"),
        }
    }

    fn push_base(&mut self, base: B, serial: u64) -> Result<(), B> {
        let entry = Inside::Base {
            base,
            below: self.region.base,
            serial,
            closed: false,
        };
        match self.entries.push(Entry(entry)) {
            Ok(()) => {
                self.region.base = self.len();
                self.region.full = self.full_at(self.region.base);
                Ok(())
            }
            Err(Entry(Inside::Base { base, .. })) => Err(base),
            Err(_) => unreachable!("a store gives back what it was given"),
        }
    }

    /// How many entries make a context full whose frames begin at `start`.
    fn full_at(&self, start: usize) -> usize {
        start + self.limit.saturating_sub(self.base().depth())
    }

    /// Removes the closed bases that nothing holds in force any more.
    fn settle(&mut self) {
        while self.region.base > self.region.floor {
            let place = self.region.base - 1;
            let Some(&Entry(Inside::Base {
                below,
                closed: true,
                ..
            })) = self.entries.entries().get(place)
            else {
                return;
            };
            self.region.base = below;
            self.region.full = self.full_at(below);
            self.truncate(place);
        }
    }

    fn truncate(&mut self, len: usize) {
        while self.len() > len {
            drop(self.entries.pop());
        }
    }
}
