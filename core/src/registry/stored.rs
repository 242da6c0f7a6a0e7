//! How keys and values lie in a registry's entries.

use crate::id::Pid;
use crate::sync::{AtomicUsize, Ordering, zeroed::Zeroed};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
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
        fn into_words(self) -> Self::Words;
        fn words_own(words: &Self::Words) -> bool;
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

/// Bytes of a text, and one for its length, within one slot:
///
/// ```text
/// inline      [ text …                    0 0 0 … length ]
/// elsewhere   [ address | length | 0 …               255 ]
/// ```
const TEXT: usize = 40;
/// In place of a length: the text is elsewhere.
const ELSEWHERE: u8 = u8::MAX;

type TextWords = [usize; TEXT / size_of::<usize>()];

/// For so many whole parts: all ones for each of them, and for one before. A table, since from a comparison the
/// compiler would make branches.
const WHOLE: [[u64; TEXT / 8 + 1]; TEXT / 8] = {
    let mut table = [[0; TEXT / 8 + 1]; TEXT / 8];
    let mut whole = 0;
    while whole < table.len() {
        let mut at = 0;
        while at <= whole {
            table[whole][at] = u64::MAX;
            at += 1;
        }
        whole += 1;
    }
    table
};

/// The words of a short text. This is part of every look-up, of texts whose lengths nobody can predict: so
/// there is no branch for a length, but for the shortest.
#[inline]
fn text_inline(text: &str) -> Option<TextWords> {
    let text = text.as_bytes();
    let length = text.len();
    if length >= TEXT {
        return None;
    }
    let mut parts = [0; TEXT / 8];
    if length >= 8 {
        let eight_from = |from: usize| {
            // SAFETY: `from` is at most `length - 8`.
            let first = unsafe { text.as_ptr().add(from) };
            // SAFETY: so there are eight bytes.
            u64::from_le_bytes(unsafe { first.cast::<[u8; 8]>().read() })
        };
        let (whole, rest) = (length / 8, length % 8);
        // The last bytes, if fewer than eight; in two steps, since it may be all of them that go.
        let tail = eight_from(length - 8) >> 1 >> (63 - 8 * rest);
        let is_whole = &WHOLE[whole];
        for (at, part) in parts.iter_mut().enumerate() {
            let eight = eight_from((8 * at).min(length - 8));
            *part = eight & is_whole[at + 1] | tail & (is_whole[at] ^ is_whole[at + 1]);
        }
    } else {
        parts[0] = short(text);
    }
    parts[TEXT / 8 - 1] |= (length as u64) << 56;
    let mut words = TextWords::default();
    for (words, part) in words.chunks_exact_mut(LONG).zip(parts) {
        for (word, bits) in words.iter_mut().zip(split(part)) {
            *word = bits.to_le();
        }
    }
    Some(words)
}

/// Fewer than eight bytes, the first one lowest.
#[inline]
fn short(text: &[u8]) -> u64 {
    let at = |at: usize| u64::from(text[at]) << (8 * at);
    match (text.first_chunk(), text.last_chunk(), text.len()) {
        (Some(&first), Some(&last), length) => {
            let last = u64::from(u32::from_le_bytes(last));
            u64::from(u32::from_le_bytes(first)) | last << (8 * (length - 4))
        }
        (.., 0) => 0,
        (.., length) => at(0) | at(length / 2) | at(length - 1),
    }
}

fn text_words_elsewhere(first: *mut u8, length: usize) -> TextWords {
    let mut words = TextWords::default();
    words[0] = first.expose_provenance();
    words[1] = length;
    words[TextWords::default().len() - 1] = usize::from_ne_bytes([ELSEWHERE; size_of::<usize>()]);
    words
}

/// The length of an inline text.
#[inline]
const fn text_length(words: &TextWords) -> u8 {
    let last = words[words.len() - 1].to_ne_bytes();
    last[last.len() - 1]
}

const fn text_is_elsewhere(words: &TextWords) -> bool {
    text_length(words) == ELSEWHERE
}

/// # Safety
/// As for `see` and `from_words`; and the text is elsewhere.
unsafe fn text_elsewhere(words: &TextWords) -> *mut str {
    let first = ptr::with_exposed_provenance_mut::<u8>(words[0]);
    ptr::slice_from_raw_parts_mut(first, words[1]) as *mut str
}

/// # Safety
/// As for `see`.
#[inline]
unsafe fn text_see(words: &TextWords) -> &str {
    if text_is_elsewhere(words) {
        // SAFETY: the caller's promise.
        let text = unsafe { text_elsewhere(words) };
        // SAFETY: a box's text, alive and unchanged (the caller's promise).
        return unsafe { &*text };
    }
    let first = ptr::from_ref(words).cast::<u8>();
    // SAFETY: the words are `TEXT` initialised bytes.
    let bytes: &[u8; TEXT] = unsafe { &*first.cast() };
    let text = &bytes[..usize::from(text_length(words))];
    // SAFETY: the bytes of a `str`, copied by `text_inline` (the caller's promise).
    unsafe { core::str::from_utf8_unchecked(text) }
}

/// # Safety
/// As for `from_words`.
unsafe fn text_from_words(words: TextWords) -> Box<str> {
    if text_is_elsewhere(&words) {
        // SAFETY: the caller's promise.
        let text = unsafe { text_elsewhere(&words) };
        // SAFETY: it was a box, and is taken back once (the caller's promise).
        return unsafe { Box::from_raw(text) };
    }
    // SAFETY: the caller's promise.
    let text = unsafe { text_see(&words) };
    text.to_owned().into_boxed_str()
}

/// What all texts have in common: how they are seen.
macro_rules! seen_as_text {
    () => {
        type Seen = str;
        type Words = TextWords;

        fn as_seen(&self) -> &str {
            self
        }

        #[inline]
        fn inline_words(seen: &str) -> Option<TextWords> {
            text_inline(seen)
        }

        #[inline]
        fn is_inline(seen: &str) -> bool {
            seen.len() < TEXT
        }

        #[inline]
        unsafe fn see(words: &TextWords) -> &str {
            // SAFETY: the caller's promise is the same.
            unsafe { text_see(words) }
        }
    };
}

/// Texts that own theirs, and how one becomes a box.
macro_rules! owned_text {
    ($($type:ty: $boxed:expr),*) => {$(
        impl Stored for $type {
            type Borrowed = str;
        }

        // SAFETY: words own a boxed text exactly if it is elsewhere.
        unsafe impl sealed::Stored for $type {
            seen_as_text!();

            const MAY_OWN: bool = true;

            fn into_words(self) -> TextWords {
                text_inline(&self).unwrap_or_else(|| {
                    let text: Box<str> = $boxed(self);
                    let length = text.len();
                    text_words_elsewhere(Box::into_raw(text).cast(), length)
                })
            }

            fn words_own(words: &TextWords) -> bool {
                text_is_elsewhere(words)
            }

            fn bytes_owned(words: &TextWords) -> usize {
                if text_is_elsewhere(words) { words[1] } else { 0 }
            }

            unsafe fn clone_words(words: &TextWords) -> TextWords {
                // SAFETY: the caller's promise is the same.
                Self::from(unsafe { text_see(words) }).into_words()
            }

            unsafe fn from_words(words: TextWords) -> Self {
                // SAFETY: the caller's promise is the same.
                unsafe { text_from_words(words) }.into()
            }
        }
    )*};
}

owned_text!(
    String: Self::into_boxed_str,
    Box<str>: core::convert::identity,
    Arc<str>: |text: Self| Box::from(&*text)
);

impl Stored for &'static str {
    type Borrowed = str;
}

// SAFETY: words never own anything: a text elsewhere is static.
unsafe impl sealed::Stored for &'static str {
    seen_as_text!();

    const MAY_OWN: bool = false;

    fn into_words(self) -> TextWords {
        text_inline(self)
            .unwrap_or_else(|| text_words_elsewhere(self.as_ptr().cast_mut(), self.len()))
    }

    fn words_own(_: &TextWords) -> bool {
        false
    }

    fn bytes_owned(_: &TextWords) -> usize {
        0
    }

    unsafe fn clone_words(words: &TextWords) -> TextWords {
        *words
    }

    unsafe fn from_words(words: TextWords) -> Self {
        if text_is_elsewhere(&words) {
            // SAFETY: made from a static text by `into_words` (the caller's promise).
            let text = unsafe { text_elsewhere(&words) };
            // SAFETY: as above: it lives for ever and nobody changes it.
            return unsafe { &*text };
        }
        // A short one was copied, and whoever refuses it has the original.
        unreachable!("a static text is never taken back out of its words")
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Stored as _;
    use super::*;
    use alloc::format;

    fn there_and_back<T: Stored + Clone>(value: T, check: impl Fn(&T::Borrowed) -> bool) {
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
    fn plain_words() {
        there_and_back(7_u8, |&seen| seen == 7);
        there_and_back(u64::MAX - 1, |&seen| seen == u64::MAX - 1);
        there_and_back('ß', |&seen| seen == 'ß');
        there_and_back((), |()| true);
        assert_eq!(join(split(0x0123_4567_89ab_cdef)), 0x0123_4567_89ab_cdef);
    }

    #[test]
    fn texts_of_every_length() {
        let all = "abcdefghijklmnopqrstuvwxyz".repeat(12);
        for length in 0..300 {
            let text = &all[..length];
            there_and_back(text.to_owned(), |seen| seen == text);
            there_and_back(Arc::<str>::from(text), |seen| seen == text);
            let words = text.to_owned().into_words();
            assert_eq!(String::words_own(&words), length >= TEXT, "{length}");
            assert_eq!(
                String::inline_words(text).is_some(),
                length < TEXT,
                "{length}"
            );
            if let Some(inline) = String::inline_words(text) {
                assert_eq!(inline, words);
                let cells: <TextWords as Words>::Cells = Cells::zeroed();
                cells.store(words);
                assert!(cells.are(&inline));
                for other in (0..length).map(|other| &all[..other]) {
                    let other = String::inline_words(other);
                    assert!(!cells.are(&other.expect("shorter")), "{length}");
                }
            }
            // SAFETY: just made, and taken back once.
            assert_eq!(unsafe { String::from_words(words) }, text);
        }
        there_and_back(Box::new(format!("boxed {}", 1)), |seen| seen == "boxed 1");
    }
}
