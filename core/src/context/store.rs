//! Where frames are kept: in an array, or in memory that grows.

/// A stack of entries in one piece of memory.
///
/// For `heapless::Vec`, whose room is fixed, and, with `alloc`, for `Vec`, which grows.
pub trait Store<T> {
    /// All entries, oldest first.
    fn entries(&self) -> &[T];

    /// The same, to be changed.
    fn entries_mut(&mut self) -> &mut [T];

    /// Adds an entry at the end.
    ///
    /// # Errors
    /// The entry, if there is no room for it.
    fn push(&mut self, entry: T) -> Result<(), T>;

    /// Drops the entries from `len` on, where they are; the last one first, or all in order.
    fn truncate(&mut self, len: usize);

    /// Takes out the entry at `index`, which is there; later ones move down. O(entries after it).
    fn remove(&mut self, index: usize) -> T;
}

impl<T, const N: usize> Store<T> for heapless::Vec<T, N> {
    fn entries(&self) -> &[T] {
        self
    }

    fn entries_mut(&mut self) -> &mut [T] {
        self
    }

    fn push(&mut self, entry: T) -> Result<(), T> {
        Self::push(self, entry)
    }

    fn truncate(&mut self, len: usize) {
        Self::truncate(self, len);
    }

    fn remove(&mut self, index: usize) -> T {
        Self::remove(self, index)
    }
}

#[cfg(feature = "alloc")]
impl<T> Store<T> for alloc::vec::Vec<T> {
    #[inline]
    fn entries(&self) -> &[T] {
        self
    }

    #[inline]
    fn entries_mut(&mut self) -> &mut [T] {
        self
    }

    #[inline]
    fn push(&mut self, entry: T) -> Result<(), T> {
        // What grows may unwind, and so would have the entry made in memory, and copied from there, where it never is.
        if self.len() == self.capacity() {
            grow(self, entry);
        } else {
            Self::push(self, entry);
        }
        Ok(())
    }

    #[inline]
    fn truncate(&mut self, len: usize) {
        Self::truncate(self, len);
    }

    fn remove(&mut self, index: usize) -> T {
        Self::remove(self, index)
    }
}

#[cfg(feature = "alloc")]
#[cold]
fn grow<T>(entries: &mut alloc::vec::Vec<T>, entry: T) {
    entries.push(entry);
}
