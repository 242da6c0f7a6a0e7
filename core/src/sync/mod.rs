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
pub(crate) use self::loom::{AtomicBool, AtomicUsize, Ordering, SLOT_WORDS, fence};
#[cfg(not(bedplate_loom))]
pub(crate) use self::native::{AtomicBool, AtomicUsize, Ordering, SLOT_WORDS, fence};

#[cfg(all(feature = "alloc", target_has_atomic = "ptr", bedplate_loom))]
pub(crate) use self::loom::{
    AtomicPtr, BUCKET_LANES, COUNTERS, FIRST_STEP, ROSTER_LANES, exclusively, overwrite,
};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr", not(bedplate_loom)))]
pub(crate) use self::native::{
    AtomicPtr, BUCKET_LANES, COUNTERS, FIRST_STEP, ROSTER_LANES, exclusively, overwrite,
};

/// For one thread only, so the same under loom.
pub(crate) use core::cell::Cell;

/// Here where the target has what crossbeam-epoch needs.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub(crate) mod epoch;
pub(crate) mod lock;
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
