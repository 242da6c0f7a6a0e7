//! How keys and values lie in a registry's entries.

use crate::id::Pid;
use crate::sync::{AtomicUsize, Ordering, zeroed::Zeroed};
use alloc::boxed::Box;
use core::hash::Hash;
use core::ptr;

/// What an [`EpochRegistry`](super::EpochRegistry) can hold as a value: plain words, text, or anything in
/// a `Box`.
///
/// Entries are read while they may be rewritten, so what they hold is either copied out, word by word, or
/// owned through a pointer and freed after everybody who may have seen it is gone.
///
/// | type | how | [`Borrowed`](Self::Borrowed) |
/// |---|---|---|
/// | integers, `bool`, `char`, `()`, [`Pid`] | copied | itself |
/// | `String`, `Box<str>`, `Arc<str>`, `&'static str` | up to 39 bytes copied, longer ones owned | `str` |
/// | `Box<T>` | owned | `T` |
///
/// What is copied is read without a pin, and is not reclaimed by epochs.
pub trait Stored: sealed::Stored<Seen = Self::Borrowed> {
    /// As what it is seen, and looked up.
    type Borrowed: ?Sized;
}

/// What an [`EpochRegistry`](super::EpochRegistry) can hold as a key: a [`Stored`] type that can be hashed
/// and compared. Keys of a type of your own go into a `Box`, and are looked up by reference.
pub trait Key: Stored<Borrowed: Hash + Eq> {}

impl<K: Stored<Borrowed: Hash + Eq>> Key for K {}

mod text;

pub(super) mod sealed {
    /// # Safety
    /// Of the words that [`into_words`](Self::into_words) returns, [`words_own`](Self::words_own) says whether they
    /// own something; if they do not, they may be copied and dropped at will.
    pub unsafe trait Stored: Sized {
        type Seen: ?Sized;
        /// The words in a slot.
        type Words: Words;

        /// Whether there are words that own something.
        const MAY_OWN: bool;

        fn as_seen(&self) -> &Self::Seen;
        /// The words of what is looked up, if they are all of it: equal words then mean equal things.
        fn inline_words(seen: &Self::Seen) -> Option<Self::Words>;
        /// Whether there are such.
        #[inline]
        fn is_inline(seen: &Self::Seen) -> bool {
            Self::inline_words(seen).is_some()
        }
        /// Whether there are such, and in these cells.
        #[inline]
        fn is_in(cells: &<Self::Words as Words>::Cells, seen: &Self::Seen) -> bool {
            Self::inline_words(seen).is_some_and(|words| cells.are(&words))
        }
        fn into_words(self) -> Self::Words;
        fn words_own(words: &Self::Words) -> bool;
        /// Whether words in cells do that nobody else writes to.
        #[inline]
        fn cells_own(cells: &<Self::Words as Words>::Cells) -> bool {
            Self::MAY_OWN && Self::words_own(&cells.load())
        }
        /// How many bytes they own, without what those own in turn.
        fn bytes_owned(words: &Self::Words) -> usize;

        /// Words of a clone.
        ///
        /// # Safety
        /// As for [`see`](Self::see).
        unsafe fn clone_words(words: &Self::Words) -> Self::Words
        where
            Self: Clone;

        /// # Safety
        /// The words come from [`into_words`](Self::into_words), and are not used afterwards if they own.
        unsafe fn from_words(words: Self::Words) -> Self;

        /// # Safety
        /// The words come from [`into_words`](Self::into_words), and what they own is neither dropped nor
        /// changed while it is seen.
        unsafe fn see(words: &Self::Words) -> &Self::Seen;
    }

    /// An array of words and its atomic twin.
    pub trait Words: Copy + Eq + Send + Sync + 'static {
        type Cells: Cells<Words = Self>;
    }

    pub trait Cells: Send + Sync + Sized {
        type Words;
        fn zeroed() -> Self;
        fn load(&self) -> Self::Words;
        fn store(&self, words: Self::Words);
        /// Whether these are the words.
        fn are(&self, words: &Self::Words) -> bool;
    }
}

use sealed::{Cells, Words};

/// Words in a slot; loads and stores are Relaxed, and ordered by the slot's sequence.
#[derive(Debug)]
#[repr(transparent)]
pub struct Array<const N: usize>([AtomicUsize; N]);

impl<const N: usize> Words for [usize; N] {
    type Cells = Array<N>;
}

impl<const N: usize> Cells for Array<N> {
    type Words = [usize; N];

    fn zeroed() -> Self {
        Self(Zeroed::zeroed())
    }

    #[inline]
    fn load(&self) -> [usize; N] {
        // Relaxed: valid only if the slot's sequence did not change [S1].
        core::array::from_fn(|at| self.0[at].load(Ordering::Relaxed))
    }

    #[inline]
    fn store(&self, words: [usize; N]) {
        for (cell, word) in self.0.iter().zip(words) {
            // Relaxed: between the two stores of the slot's sequence [S1].
            cell.store(word, Ordering::Relaxed);
        }
    }

    #[inline]
    fn are(&self, words: &[usize; N]) -> bool {
        let mut different = 0;
        for (cell, word) in self.0.iter().zip(words) {
            // Relaxed: as in `load`.
            different |= cell.load(Ordering::Relaxed) ^ word;
        }
        different == 0
    }
}

/// As many words as 64 bits are.
pub(super) const LONG: usize = 64 / usize::BITS as usize;

#[expect(clippy::cast_possible_truncation, reason = "word by word")]
pub(super) const fn split(bits: u64) -> [usize; LONG] {
    let mut words = [0; LONG];
    // No loop, which a compiler that saves space would keep.
    words[0] = bits as usize;
    if LONG == 2 {
        words[LONG - 1] = (bits >> 32) as usize;
    }
    words
}

pub(super) const fn join(words: [usize; LONG]) -> u64 {
    let low = words[0] as u64;
    if LONG == 2 {
        low | (words[LONG - 1] as u64) << 32
    } else {
        low
    }
}

/// A value of plain data as it lies in words: at the beginning, the rest zero.
macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Stored for $type {
            type Borrowed = Self;
        }

        // SAFETY: words never own anything.
        unsafe impl sealed::Stored for $type {
            type Seen = Self;
            type Words = [usize; size_of::<$type>().div_ceil(size_of::<usize>())];
            const MAY_OWN: bool = false;

            fn as_seen(&self) -> &Self {
                self
            }

            #[inline]
            fn inline_words(seen: &Self) -> Option<Self::Words> {
                Some(seen.into_words())
            }

            #[inline]
            fn into_words(self) -> Self::Words {
                let mut words = [0; size_of::<$type>().div_ceil(size_of::<usize>())];
                // SAFETY: the words are at least as large as the type and aligned at least as `write_unaligned`
                // needs, which is not at all; the type has no padding.
                unsafe { ptr::from_mut(&mut words).cast::<Self>().write_unaligned(self) };
                words
            }

            fn words_own(_: &Self::Words) -> bool {
                false
            }

            fn bytes_owned(_: &Self::Words) -> usize {
                0
            }

            unsafe fn clone_words(words: &Self::Words) -> Self::Words {
                *words
            }

            #[inline]
            unsafe fn from_words(words: Self::Words) -> Self {
                // SAFETY: made by `into_words` (the caller's promise), which wrote a value there.
                unsafe { ptr::from_ref(&words).cast::<Self>().read_unaligned() }
            }

            #[inline]
            unsafe fn see(words: &Self::Words) -> &Self {
                const { assert!(align_of::<$type>() <= align_of::<usize>() || size_of::<$type>() == 0) };
                // SAFETY: made by `into_words` (the caller's promise), which wrote a value there; words are
                // aligned at least as the type is.
                unsafe { &*ptr::from_ref(words).cast::<Self>() }
            }
        }
    )*};
}

plain!(u8, u16, u32, usize, i8, i16, i32, isize, bool, char, ());
#[cfg(target_pointer_width = "64")]
plain!(u64, i64, Pid);

/// 64 bits on targets whose words may be aligned less.
#[cfg(not(target_pointer_width = "64"))]
mod narrow {
    use super::{Box, Pid, Stored, sealed};

    macro_rules! boxed_when_seen {
        ($($type:ty),*) => {$(
            impl Stored for $type {
                type Borrowed = Self;
            }

            // SAFETY: words never own anything but through the box, which says so.
            unsafe impl sealed::Stored for $type {
                type Seen = Self;
                type Words = <Box<$type> as sealed::Stored>::Words;
                const MAY_OWN: bool = true;

                fn as_seen(&self) -> &Self {
                    self
                }

                fn inline_words(_: &Self) -> Option<Self::Words> {
                    None
                }

                fn into_words(self) -> Self::Words {
                    Box::new(self).into_words()
                }

                fn words_own(_: &Self::Words) -> bool {
                    true
                }

                fn bytes_owned(_: &Self::Words) -> usize {
                    size_of::<$type>()
                }

                unsafe fn clone_words(words: &Self::Words) -> Self::Words {
                    // SAFETY: the caller's promise is the same.
                    unsafe { Self::see(words) }.into_words()
                }

                unsafe fn from_words(words: Self::Words) -> Self {
                    // SAFETY: the caller's promise is the same.
                    *unsafe { <Box<$type> as sealed::Stored>::from_words(words) }
                }

                unsafe fn see(words: &Self::Words) -> &Self {
                    // SAFETY: the caller's promise is the same.
                    unsafe { <Box<$type> as sealed::Stored>::see(words) }
                }
            }
        )*};
    }
    boxed_when_seen!(u64, i64, Pid);
}

impl<T> Stored for Box<T> {
    type Borrowed = T;
}

// SAFETY: the words are the box's pointer, and own it.
unsafe impl<T> sealed::Stored for Box<T> {
    type Seen = T;
    type Words = [usize; 1];
    const MAY_OWN: bool = true;

    fn as_seen(&self) -> &T {
        self
    }

    fn inline_words(_: &T) -> Option<Self::Words> {
        None
    }

    fn into_words(self) -> Self::Words {
        [Self::into_raw(self).expose_provenance()]
    }

    fn words_own(_: &Self::Words) -> bool {
        true
    }

    fn bytes_owned(_: &Self::Words) -> usize {
        size_of::<T>()
    }

    unsafe fn clone_words(&[address]: &Self::Words) -> Self::Words
    where
        Self: Clone,
    {
        let pointer = ptr::with_exposed_provenance_mut::<T>(address);
        // SAFETY: a box is a pointer to what it owns, and this is one that was made from a box; it is alive
        // and unchanged (the caller's promise), and the box is neither moved nor dropped here.
        let this = unsafe { &*(&raw const pointer).cast::<Self>() };
        this.clone().into_words()
    }

    unsafe fn from_words([address]: Self::Words) -> Self {
        // SAFETY: made by `into_words`, and taken back once (the caller's promise).
        unsafe { Self::from_raw(ptr::with_exposed_provenance_mut(address)) }
    }

    unsafe fn see(&[address]: &Self::Words) -> &T {
        // SAFETY: made by `into_words`, and alive and unchanged (the caller's promise).
        unsafe { &*ptr::with_exposed_provenance(address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    pub(super) fn there_and_back<T: Stored + Clone>(
        value: T,
        check: impl Fn(&T::Borrowed) -> bool,
    ) {
        let words = value.into_words();
        // SAFETY: just made, and alive.
        assert!(check(unsafe { T::see(&words) }));
        // SAFETY: as above.
        let copy = unsafe { T::clone_words(&words) };
        // SAFETY: just made, and taken back once.
        let value = unsafe { T::from_words(words) };
        let words = value.into_words();
        // SAFETY: as above.
        assert!(check(unsafe { T::see(&words) }));
        // SAFETY: as above.
        assert!(check(unsafe { T::see(&copy) }));
        // SAFETY: as above.
        drop(unsafe { T::from_words(copy) });
        // SAFETY: as above.
        drop(unsafe { T::from_words(words) });
    }

    #[test]
    fn boxes() {
        there_and_back(Box::new(format!("boxed {}", 1)), |seen| seen == "boxed 1");
    }

    #[test]
    fn plain_words() {
        there_and_back(7_u8, |&seen| seen == 7);
        there_and_back(u64::MAX - 1, |&seen| seen == u64::MAX - 1);
        there_and_back('ß', |&seen| seen == 'ß');
        there_and_back((), |()| true);
        assert_eq!(join(split(0x0123_4567_89ab_cdef)), 0x0123_4567_89ab_cdef);
    }
}
