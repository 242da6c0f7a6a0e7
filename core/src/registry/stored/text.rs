//! Texts, short ones in place.

use super::sealed::{self, Cells};
use super::{Array, LONG, Stored, split};
use crate::sync::{Ordering, at_once};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::ptr;

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

        #[inline(always)]
        fn is_in(cells: &Array<WORDS>, seen: &str) -> bool {
            text_is_in(cells, seen)
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

            #[inline]
            fn cells_own(cells: &Array<WORDS>) -> bool {
                text_length_in(cells) == ELSEWHERE
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

/// Bytes of a text, and one for its length, within one slot:
///
/// ```text
/// inline      [ text …                    0 0 0 … length ]
/// elsewhere   [ address | length | 0 …               255 ]
/// ```
const TEXT: usize = 40;
/// In place of a length: the text is elsewhere.
const ELSEWHERE: u8 = u8::MAX;

const WORDS: usize = TEXT / size_of::<usize>();

type TextWords = [usize; WORDS];

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

/// The words of a short text. This is part of every registration, and of every look-up where nothing is compared at once, of texts
/// whose lengths nobody can predict: so there is no branch for a length, but for the shortest.
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

/// Whether a text is in these cells, if it is a short one.
#[inline(always)]
fn text_is_in(cells: &Array<WORDS>, text: &str) -> bool {
    if text.len() >= TEXT {
        return false;
    }
    // SAFETY: the cells are `TEXT` bytes, more than the text has.
    if let Some(begins) = unsafe { at_once::begin_with(&cells.0, text.as_bytes()) } {
        // The text and no more, since it is as long; the bytes behind it are zero.
        return begins & (usize::from(text_length_in(cells)) == text.len());
    }
    text_inline(text).is_some_and(|words| cells.are(&words))
}

/// As [`text_length`], in these cells.
#[inline]
fn text_length_in(cells: &Array<WORDS>) -> u8 {
    // Relaxed: as in `load`.
    last_byte(cells.0[WORDS - 1].load(Ordering::Relaxed))
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
    last_byte(words[WORDS - 1])
}

/// The last one in memory.
#[inline]
const fn last_byte(word: usize) -> u8 {
    word.to_ne_bytes()[size_of::<usize>() - 1]
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

#[cfg(test)]
mod tests {
    use super::super::tests::there_and_back;
    use super::sealed::{Stored as _, Words};
    use super::*;

    /// However many of their bytes are compared at a time, texts are the same only if their words are.
    #[test]
    fn a_text_is_in_its_cells_and_in_no_other_texts() {
        let all = "abcdefghijklmnopqrstuvwxyz".repeat(2);
        let is_in = |text: &str, other: &str| {
            let words = other.to_owned().into_words();
            let cells = <TextWords as Words>::Cells::zeroed();
            cells.store(words);
            let is_in = String::is_in(&cells, text);
            // SAFETY: just made, and taken back once.
            drop(unsafe { String::from_words(words) });
            is_in
        };
        for length in 0..TEXT + 3 {
            let text = &all[..length];
            assert_eq!(is_in(text, text), length < TEXT, "{length}");
            for other in (0..=TEXT + 3).filter(|&other| other != length) {
                assert!(!is_in(text, &all[..other]), "{length}, {other}");
            }
            for at in 0..length {
                let mut other = text.to_owned();
                other.replace_range(at..=at, "~");
                assert!(!is_in(text, &other), "{at} of {length}");
            }
        }
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
    }
}
