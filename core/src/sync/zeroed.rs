//! Arrays of atomics that begin as zero and are shared from the start.

use alloc::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use core::alloc::Layout;
use core::ptr::NonNull;

/// A type whose value of zeros is ready for use.
///
/// # Safety
/// In an ordinary build memory that is all zero must be a valid value, the one
/// [`zeroed`](Self::zeroed) returns. (Under loom, where atomics are registered with the model, values
/// are made one by one.)
pub(crate) unsafe trait Zeroed: Sized {
    fn zeroed() -> Self;
}

// SAFETY: an atomic has the representation of its integer.
unsafe impl Zeroed for super::AtomicUsize {
    fn zeroed() -> Self {
        Self::new(0)
    }
}

// SAFETY: an atomic has the representation of its pointer, and the null pointer is all zero.
unsafe impl<T> Zeroed for super::AtomicPtr<T> {
    fn zeroed() -> Self {
        Self::new(core::ptr::null_mut())
    }
}

// SAFETY: an array is its elements one after the other.
unsafe impl<T: Zeroed, const N: usize> Zeroed for [T; N] {
    fn zeroed() -> Self {
        core::array::from_fn(|_| T::zeroed())
    }
}

/// Cache lines are not shared between two arrays, and a line-sized element lies in one line.
const LINE: usize = 64;

/// Memory that large is aligned for huge pages, where the system has them.
const HUGE: usize = 1 << 21;

const fn layout<T>(length: usize) -> Layout {
    assert!(size_of::<T>() > 0, "arrays of nothing are of no use");
    let Some(size) = size_of::<T>().checked_mul(length) else {
        panic!("an array larger than the address space")
    };
    let least = if size >= HUGE { HUGE } else { LINE };
    let align = if align_of::<T>() > least {
        align_of::<T>()
    } else {
        least
    };
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        Err(_) => panic!("an array larger than the address space"),
    }
}

/// An array of `length` zeros, to be given back to [`free`].
pub(crate) fn allocate<T: Zeroed>(length: usize) -> NonNull<T> {
    let layout = layout::<T>(length);
    assert!(length > 0, "arrays of nothing are of no use");
    // SAFETY: the layout is not of size zero: neither the type nor the length is.
    let memory = unsafe { alloc_zeroed(layout) };
    let Some(array) = NonNull::new(memory.cast::<T>()) else {
        handle_alloc_error(layout)
    };
    if cfg!(bedplate_loom) {
        for at in 0..length {
            // SAFETY: `at` is within the array just allocated.
            let element = unsafe { array.add(at) };
            // SAFETY: as above, and nobody else sees it yet.
            unsafe { element.write(T::zeroed()) };
        }
    }
    array
}

/// Gives back an array.
///
/// # Safety
/// It came from [`allocate`] with this length, is given back once, and nobody refers to it any more.
pub(crate) unsafe fn free<T: Zeroed>(array: NonNull<T>, length: usize) {
    let elements = core::ptr::slice_from_raw_parts_mut(array.as_ptr(), length);
    // SAFETY: all elements are initialised, and nobody refers to them (the caller's promise).
    unsafe { elements.drop_in_place() };
    // SAFETY: allocated with the same layout (the caller's promise).
    unsafe { dealloc(array.as_ptr().cast(), layout::<T>(length)) };
}
