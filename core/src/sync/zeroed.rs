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

// SAFETY: as above.
unsafe impl Zeroed for super::AtomicU32 {
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

/// From this size on, alignment is made here. Allocators have zeroed memory at hand as long as nobody asks for
/// an unusual alignment; otherwise they zero it on the spot, and whoever lets a registry grow waits for that.
const LARGE: usize = 1 << 15;

/// How an array lies in what the allocator gives.
///
/// ```text
/// small   │ elements …            aligned by the allocator
/// large   │ ░░░ │ start │ elements …            the allocator's block, and where it starts
/// ```
struct Placement {
    block: Layout,
    /// For a large array, how it is aligned within its block.
    within: Option<usize>,
}

const fn placement<T>(length: usize) -> Placement {
    assert!(size_of::<T>() > 0, "arrays of nothing are of no use");
    let Some(size) = size_of::<T>().checked_mul(length) else {
        panic!("an array larger than the address space")
    };
    let align = if align_of::<T>() > LINE {
        align_of::<T>()
    } else {
        LINE
    };
    let (block, within) = if size < LARGE {
        (Layout::from_size_align(size, align), None)
    } else {
        let Some(size) = size.checked_add(align) else {
            panic!("an array larger than the address space")
        };
        let word = align_of::<NonNull<u8>>();
        (Layout::from_size_align(size, word), Some(align))
    };
    match block {
        Ok(block) => Placement { block, within },
        Err(_) => panic!("an array larger than the address space"),
    }
}

/// Where the block of a large array starts is noted in front of its elements.
const fn start_of<T>(array: NonNull<T>) -> *mut NonNull<u8> {
    array.as_ptr().cast::<NonNull<u8>>().wrapping_sub(1)
}

/// An array of `length` zeros, to be given back to [`free`].
pub(crate) fn allocate<T: Zeroed>(length: usize) -> NonNull<T> {
    let Placement { block, within } = placement::<T>(length);
    assert!(length > 0, "arrays of nothing are of no use");
    // SAFETY: the layout is not of size zero: neither the type nor the length is.
    let memory = unsafe { alloc_zeroed(block) };
    let Some(start) = NonNull::new(memory) else {
        handle_alloc_error(block)
    };
    let array = match within {
        None => start.cast::<T>(),
        Some(align) => {
            // The block starts at a multiple of a word, and so does this: at least one word lies between.
            let gap = align - start.addr().get() % align;
            // SAFETY: within the block, which is longer than the array by `align`.
            let array = unsafe { start.add(gap) }.cast::<T>();
            // SAFETY: the word in front of the array lies in the gap, and nobody else sees it.
            unsafe { start_of(array).write(start) };
            array
        }
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
    let Placement { block, within } = placement::<T>(length);
    let start = match within {
        None => array.cast::<u8>(),
        // SAFETY: noted there when it was allocated, with the same length (the caller's promise).
        Some(_) => unsafe { start_of(array).read() },
    };
    // SAFETY: allocated with the same layout (the caller's promise).
    unsafe { dealloc(start.as_ptr(), block) };
}

#[cfg(all(test, not(bedplate_loom)))]
mod tests {
    use super::*;
    use crate::sync::{AtomicUsize, Ordering};

    #[test]
    fn arrays_of_every_size_are_zero_and_aligned() {
        for length in [
            1,
            7,
            LARGE / size_of::<usize>() - 1,
            LARGE / size_of::<usize>(),
            1 << 20,
        ] {
            let array = allocate::<AtomicUsize>(length);
            assert_eq!(array.addr().get() % LINE, 0, "{length}");
            for at in 0..length {
                // SAFETY: within the array.
                let element = unsafe { array.add(at) };
                // SAFETY: as above; it is initialised.
                let element = unsafe { element.as_ref() };
                assert_eq!(element.swap(usize::MAX, Ordering::Relaxed), 0, "{length}");
            }
            // SAFETY: allocated with this length, and nobody refers to it any more.
            unsafe { free(array, length) };
        }
    }
}
