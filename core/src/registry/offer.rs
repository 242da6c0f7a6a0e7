//! A key or a value on its way into an entry, from which it comes back if it is refused.

use super::stored::sealed::Stored;
use core::mem::ManuallyDrop;

pub(super) struct Offer<T: Stored> {
    words: T::Words,
    /// What the words are a copy of; without it, they are the thing itself.
    original: Option<T>,
}

impl<T: Stored> Offer<T> {
    pub(super) fn new(thing: T) -> Self {
        match T::inline_words(thing.as_seen()) {
            Some(words) => Self {
                words,
                original: Some(thing),
            },
            None => Self {
                words: thing.into_words(),
                original: None,
            },
        }
    }

    pub(super) const fn words(&self) -> &T::Words {
        &self.words
    }

    /// Whether the words are all of it.
    pub(super) const fn is_inline(&self) -> bool {
        self.original.is_some()
    }

    pub(super) fn seen(&self) -> &T::Seen {
        // SAFETY: the words were made in `new`, and the offer keeps what they own.
        unsafe { T::see(&self.words) }
    }

    /// It was refused.
    pub(super) fn take_back(self) -> T {
        let mut this = ManuallyDrop::new(self);
        match this.original.take() {
            Some(original) => original,
            // SAFETY: the words were made in `new` and are the thing itself; `this` is not dropped.
            None => unsafe { T::from_words(this.words) },
        }
    }

    /// It was accepted: the entry has it now.
    pub(super) fn accepted(mut self) {
        let original = self.original.take();
        let _ = ManuallyDrop::new(self);
        drop(original);
    }
}

impl<T: Stored> Drop for Offer<T> {
    fn drop(&mut self) {
        if self.original.is_none() {
            // SAFETY: the words were made in `new` and are the thing itself; dropped once.
            drop(unsafe { T::from_words(self.words) });
        }
    }
}
