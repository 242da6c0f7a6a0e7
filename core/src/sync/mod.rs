//! The one door to shared memory.
//!
//! Nothing else in this crate names an atomic, a cell, a lock or loom; what is behind the door is
//! chosen here and only here. In an ordinary build that is `portable-atomic` (which is
//! `core::sync::atomic` wherever the target has what is needed); under `--cfg bedplate_loom` it is
//! loom's instrumented twin, so that the models of `loom-tests` check the very code that ships.
//! `docs/ORDERINGS.md` lists what loom cannot see.

#[cfg(bedplate_loom)]
mod loom;
#[cfg(not(bedplate_loom))]
mod native;

#[cfg(bedplate_loom)]
pub(crate) use self::loom::{
    AtomicBool, AtomicUsize, NEST_LEVELS, Ordering, SLOT_WORDS, fence, in_order,
};
#[cfg(not(bedplate_loom))]
pub(crate) use self::native::{
    AtomicBool, AtomicUsize, NEST_LEVELS, Ordering, SLOT_WORDS, fence, in_order,
};

/// Here where the target has 64-bit atomics of its own: what `portable-atomic` would put in their place
/// is a lock, which an interrupt cannot take.
#[cfg(all(target_has_atomic = "64", bedplate_loom))]
pub(crate) use self::loom::{AtomicU64, DEDUP_PATIENCE};
#[cfg(all(target_has_atomic = "64", not(bedplate_loom)))]
pub(crate) use self::native::{AtomicU64, DEDUP_PATIENCE};

#[cfg(all(feature = "alloc", target_has_atomic = "ptr", bedplate_loom))]
pub(crate) use self::loom::{
    AtomicPtr, AtomicU32, BUCKET_LANES, CALLER_LEVELS, CHUNK_SEATS, COUNTERS, FIRST_STEP,
    OFFSET_BITS, ROSTER_LANES, STEPS, Watched, exclusively, overwrite,
};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr", not(bedplate_loom)))]
pub(crate) use self::native::{
    AtomicPtr, AtomicU32, BUCKET_LANES, CALLER_LEVELS, CHUNK_SEATS, COUNTERS, FIRST_STEP,
    OFFSET_BITS, ROSTER_LANES, STEPS, Watched, exclusively, overwrite,
};

/// For one thread only, so the same under loom.
pub(crate) use core::cell::Cell;

/// The plain one, also under loom: it holds users' values, and those of models watch themselves.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) use core::cell::UnsafeCell;

/// Several words compared at once, where that can be done. `--cfg bedplate_one_by_one` is for whatever observes memory and does
/// not see that: ThreadSanitizer, and emulators that reorder loads of vectors.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
#[cfg_attr(
    all(
        target_arch = "x86_64",
        target_pointer_width = "64",
        target_feature = "sse2",
        not(any(bedplate_loom, bedplate_one_by_one, miri))
    ),
    path = "at_once.rs"
)]
#[cfg_attr(
    not(all(
        target_arch = "x86_64",
        target_pointer_width = "64",
        target_feature = "sse2",
        not(any(bedplate_loom, bedplate_one_by_one, miri))
    )),
    path = "one_by_one.rs"
)]
pub(crate) mod at_once;

/// Here where the target has what crossbeam-epoch needs.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) mod epoch;
pub(crate) mod lock;
#[cfg(target_has_atomic = "ptr")]
pub(crate) mod stamp;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) mod zeroed;

/// Defines a constructor that is `const` in ordinary builds, so that a type can live in a
/// `static`, and an ordinary function under loom, whose types cannot be made in a constant.
macro_rules! const_fn {
    ($(#[$attribute:meta])* $visibility:vis fn $($rest:tt)*) => {
        $(#[$attribute])*
        #[cfg(not(bedplate_loom))]
        $visibility const fn $($rest)*

        $(#[$attribute])*
        #[cfg(bedplate_loom)]
        $visibility fn $($rest)*
    };
}
pub(crate) use const_fn;

/// An array of `$count` values of the expression: a constant in ordinary builds, made element by
/// element under loom.
#[cfg(not(bedplate_loom))]
macro_rules! array {
    ($value:expr; $count:expr) => {
        [const { $value }; $count]
    };
}
#[cfg(bedplate_loom)]
macro_rules! array {
    ($value:expr; $count:expr) => {
        core::array::from_fn::<_, { $count }, _>(|_| $value)
    };
}
pub(crate) use array;

/// Does something for the number of each word of a ring slot, in order: written out in ordinary builds, since a
/// compiler that saves space would make a loop of it, which takes twice as long.
#[cfg(not(bedplate_loom))]
macro_rules! each_word {
    (|$at:ident| $body:block) => {{
        const { assert!(crate::sync::SLOT_WORDS == 7) };
        each_word!(@ $at $body, 0 1 2 3 4 5 6);
    }};
    (@ $at:ident $body:block, $($number:literal)*) => {
        $({
            let $at: usize = $number;
            $body
        })*
    };
}
#[cfg(bedplate_loom)]
macro_rules! each_word {
    (|$at:ident| $body:block) => {
        for $at in 0..crate::sync::SLOT_WORDS {
            $body
        }
    };
}
pub(crate) use each_word;
