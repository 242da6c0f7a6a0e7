//! Where nothing is compared at once: other processors than those of `at_once.rs`, and models.

use super::AtomicUsize;

/// Whether the functions of this module may be called.
pub(crate) const AT_ONCE: bool = false;

/// # Safety
/// Not to be called.
pub(crate) unsafe fn first_with_half<const N: usize>(
    _: &[AtomicUsize; N],
    _: u32,
) -> Option<(usize, &AtomicUsize)> {
    unreachable!("only asked where it can be told at once")
}

/// # Safety
/// Not to be called.
pub(crate) unsafe fn tops_and_halves<const N: usize>(
    _: &[AtomicUsize; N],
    _: u32,
) -> (usize, usize) {
    unreachable!("only asked where it can be told at once")
}

/// # Safety
/// None.
pub(crate) const unsafe fn begin_with(_: &[AtomicUsize], _: &[u8]) -> Option<bool> {
    None
}
