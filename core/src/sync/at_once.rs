//! Several words compared at once, by their upper halves or with a text, where the processor can.
//!
//! ```text
//! words                    ┌── upper half ──┬── lower half ──┐      six of them
//! upper halves             [0][1][2][3]  [4][5][4][5]               compared with the one that is looked for
//! two bits for each         ▪▪ ▪▪ ▪▪ ▪▪   ▪▪ ▪▪ ▪▪ ▪▪
//! ```
//!
//! Whoever looks something up waits for one thing after another, and how many such chains a processor has under way depends
//! on how many instructions wait in it: six comparisons and choices are thirty of them, these are ten, in another queue.
//!
//! It is written in assembly since a vector that is loaded in Rust is not loaded atomically. What is read here is read as
//! the processor reads any word: a half is what it was at some moment, after whatever was loaded before, and before
//! whatever is loaded later, as with Acquire. The compiler moves nothing across, since it has to assume that memory is
//! written to. A processor may read a vector in parts; that halves of words are not torn is all that is needed.
//!
//! What does not execute it, but observes or translates it, may know less: see `bedplate_one_by_one` in `docs/ORDERINGS.md`.

use super::AtomicUsize;
use core::arch::asm;
use core::num::NonZeroU32;

/// An instruction of the kind that the rest of the program is compiled to: to change kinds costs some processors much.
#[cfg(target_feature = "avx")]
macro_rules! instruction {
    ($name:literal, $operands:literal) => {
        concat!("v", $name, " ", $operands)
    };
    // With what it changes.
    ($name:literal, $changed:literal, $operands:literal) => {
        concat!("v", $name, " ", $changed, ", ", $changed, ", ", $operands)
    };
}
#[cfg(not(target_feature = "avx"))]
macro_rules! instruction {
    ($name:literal, $operands:literal) => {
        concat!($name, " ", $operands)
    };
    ($name:literal, $changed:literal, $operands:literal) => {
        concat!($name, " ", $changed, ", ", $operands)
    };
}

/// Loads the words and compares their upper halves; and what else is to be done between, and afterwards.
macro_rules! compare {
    (
        $words:ident, $half:ident,
        loaded: [$($loaded:expr),*], compared: [$($compared:expr),*],
        $($name:ident = $out:ident),*
    ) => {
        asm!(
            instruction!("movd", "{wanted}, {half:e}"),
            instruction!("pshufd", "{wanted}, {wanted}, 0"),
            instruction!("movaps", "{first}, [{words}]"),
            instruction!("shufps", "{first}", "[{words} + 16], 0xdd"),
            instruction!("pshufd", "{last}, [{words} + 32], 0xdd"),
            $($loaded,)*
            instruction!("pcmpeqd", "{first}", "{wanted}"),
            instruction!("pcmpeqd", "{last}", "{wanted}"),
            $($compared,)*
            words = in(reg) $words.as_ptr(),
            half = in(reg) $half,
            wanted = out(xmm_reg) _,
            first = out(xmm_reg) _,
            last = out(xmm_reg) _,
            // Written to when the words have been loaded.
            $($name = lateout(reg) $out,)*
            options(nostack, preserves_flags),
        )
    };
}

/// Compares what begins at `$words` with what begins at `$bytes`: what this instruction loads from the beginning, from `$second`
/// bytes on and from `$last` bytes on.
macro_rules! same {
    ($load:literal, $words:ident, $bytes:ident, $second:ident, $last:ident) => {{
        let mask: u32;
        asm!(
            instruction!($load, "{first}, [{words}]"),
            instruction!($load, "{other}, [{bytes}]"),
            instruction!("pcmpeqb", "{first}", "{other}"),
            instruction!($load, "{next}, [{words} + {second}]"),
            instruction!($load, "{other}, [{bytes} + {second}]"),
            instruction!("pcmpeqb", "{next}", "{other}"),
            instruction!("pand", "{first}", "{next}"),
            instruction!($load, "{next}, [{words} + {last}]"),
            instruction!($load, "{other}, [{bytes} + {last}]"),
            instruction!("pcmpeqb", "{next}", "{other}"),
            instruction!("pand", "{first}", "{next}"),
            instruction!("pmovmskb", "{mask:e}, {first}"),
            words = in(reg) $words,
            bytes = in(reg) $bytes,
            second = in(reg) $second,
            last = in(reg) $last,
            first = out(xmm_reg) _,
            next = out(xmm_reg) _,
            other = out(xmm_reg) _,
            mask = lateout(reg) mask,
            options(nostack, preserves_flags),
        );
        mask == 0xffff
    }};
}

/// As many words are compared.
pub(crate) const WORDS: usize = 6;

/// Whether the functions of this module may be called.
pub(crate) const AT_ONCE: bool = true;

/// The first of the words with this upper half, and its number.
///
/// # Safety
/// The address of the words is a multiple of 16.
#[inline(always)]
pub(crate) unsafe fn first_with_half(
    words: &[AtomicUsize; WORDS],
    half: u32,
) -> Option<(usize, &AtomicUsize)> {
    debug_assert!(words.as_ptr().addr().is_multiple_of(16));
    let mask: u32;
    // SAFETY: it reads the words, which are borrowed, and lie as the instructions need it (the caller's promise); as the
    // module's head says; and it changes the registers that are named.
    unsafe {
        compare!(
            words, half,
            loaded: [],
            compared: [
                instruction!("packssdw", "{first}", "{last}"),
                instruction!("pmovmskb", "{mask:e}, {first}")
            ],
            mask = mask
        );
    }
    let bit = NonZeroU32::new(mask)?.trailing_zeros() as usize;
    // SAFETY: two bits for each of the words, the last two of which are compared twice, and come first: it is one of
    // the six, and half a word lies before it for each bit before its own.
    let word = unsafe {
        words
            .as_ptr()
            .byte_add(bit * (size_of::<AtomicUsize>() / 2))
    };
    // SAFETY: as above, and borrowed as long as the words are.
    Some((bit / 2, unsafe { &*word }))
}

/// A bit for each word, the lowest for the first: whether its uppermost bit is set; and whether its upper half is this one.
///
/// # Safety
/// The address of the words is a multiple of 16.
#[inline(always)]
pub(crate) unsafe fn tops_and_halves(words: &[AtomicUsize; WORDS], half: u32) -> (usize, usize) {
    debug_assert!(words.as_ptr().addr().is_multiple_of(16));
    let [tops, last_tops, equal, last_equal]: [u32; 4];
    // SAFETY: as in `first_with_half`.
    unsafe {
        compare!(
            words, half,
            loaded: [
                instruction!("movmskps", "{tops:e}, {first}"),
                instruction!("movmskps", "{last_tops:e}, {last}")
            ],
            compared: [
                instruction!("movmskps", "{equal:e}, {first}"),
                instruction!("movmskps", "{last_equal:e}, {last}")
            ],
            tops = tops, last_tops = last_tops, equal = equal, last_equal = last_equal
        );
    }
    let all = (1 << WORDS) - 1;
    let together = |first: u32, last: u32| (first | last << 4) as usize & all;
    (together(tops, last_tops), together(equal, last_equal))
}

/// Whether the first bytes of the words are these; `None` if they are too few or too many for that to be told here. Each byte of
/// the words is what it was at some moment, and the bytes of one word not of the same.
///
/// # Safety
/// There are at least as many bytes of words.
#[inline(always)]
pub(crate) unsafe fn begin_with(words: &[AtomicUsize], bytes: &[u8]) -> Option<bool> {
    debug_assert!(bytes.len() <= size_of_val(words));
    let (words, length, bytes) = (words.as_ptr(), bytes.len(), bytes.as_ptr());
    // As many as are loaded at a time, or three times as many at most: those from the beginning, from the end, and between.
    match length {
        16..=48 => {
            let last = length - 16;
            let second = last.min(16);
            // SAFETY: it reads as many bytes as the borrowed slice has, and of the words, which have no fewer (the caller's
            // promise): 16 from places that are 16 before the end at most. It changes the registers that are named.
            Some(unsafe { same!("movdqu", words, bytes, second, last) })
        }
        8..16 => {
            let last = length - 8;
            // SAFETY: as above, eight at a time. The registers' other halves are zero.
            Some(unsafe { same!("movq", words, bytes, last, last) })
        }
        _ => None,
    }
}
