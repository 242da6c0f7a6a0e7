//! Names and who holds them.
//!
//! A registry maps unique keys to the process that registered them and to a value. What sets it
//! apart from a map is the [`Owner`]: the right to hold registrations. An owner's registrations
//! can be changed by nobody else, and when the owner goes, they go with it, so that no name ever
//! outlives its process.
//!
//! Two registries share these words:
//!
//! | | [`EpochRegistry`] | [`FixedRegistry`] |
//! |---|---|---|
//! | needs | an allocator and compare-and-swap (feature `alloc`) | neither |
//! | size | grows | `N` entries |
//! | readers | never wait and never hold anybody up | take the lock |
//! | from interrupts | no | with [`CriticalSectionLock`] |
//!
//! Keys that many share, as topics are, have a registry of their own kind: [`groups`].
//!
//! # Semantics
//! * A name that is taken is refused, and the refused key and value are given back. Taking it over is
//!   another operation, by name.
//! * Register, unregister and look-up are linearizable for each key. Listing is weakly consistent:
//!   an entry that was there throughout is listed exactly once, one that came or went may be.
//! * When dropping an [`Owner`] returns, none of its registrations can be found. Whoever makes the
//!   death of a process known afterwards therefore leaves no window in which its names are stale.
//! * Every registration is numbered. A [`Registration`] that is gone never stands for a later one
//!   of the same key.
//!
//! # Under a sanitizer
//! On x86-64, an [`EpochRegistry`] compares several words at once, of which ThreadSanitizer sees nothing: it would call a race
//! what is none. Build what it is to look at with `RUSTFLAGS="--cfg bedplate_one_by_one"`, which compares one by one;
//! likewise what is to run on an emulator that reorders loads of vectors. Miri has that by itself.
//!
// What is not there cannot be linked to.
#![cfg_attr(
    not(all(feature = "alloc", target_has_atomic = "ptr")),
    doc = "[`EpochRegistry`]: self",
    doc = "[`Owner`]: FixedOwner",
    doc = "[`groups`]: self"
)]
#![cfg_attr(
    not(feature = "critical-section"),
    doc = "[`CriticalSectionLock`]: self"
)]

mod batch;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod builder;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod epoch;
mod error;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod feed;
mod fixed;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub mod groups;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod index;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod look;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod many;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod name_ref;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod offer;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod owner;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod reader;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod slab;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod stored;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod tally;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod watch;

use crate::id::Pid;

#[cfg(feature = "critical-section")]
pub use crate::sync::lock::CriticalSectionLock;
pub use crate::sync::lock::RawLock;
#[cfg(target_has_atomic = "ptr")]
pub use crate::sync::lock::SpinLock;
pub use batch::RegisterManyError;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use builder::{Builder, FeedTooLarge, LARGEST_FEED};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use epoch::{Entry, EpochRegistry, Guard, Handle, Iter, Memory};
pub use error::{GiveAwayError, NotHeld, RegisterError, UpdateError};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use feed::{Changes, News};
pub use fixed::{FixedOwner, FixedRegistry};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use many::LookupMany;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use name_ref::NameRef;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use owner::Owner;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use reader::Reader;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use stored::{Key, Stored};
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use watch::{Change, Reason};

/// Proof of one registration: who made it and which one it was, of one registry.
///
/// Registries are told apart by where they are in memory. To another than its own it is the proof of nothing; but
/// it knows nothing of one that came to lie in the place of its own when that was gone, or moved away.
///
/// No two registrations of a registry have the same number; but on a 32-bit target those of an
/// `EpochRegistry` begin again after four thousand million. One that has been over for so long may be taken for a
/// later one, if that has the same number, the same owner, and a key of the same hash or nearly so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registration {
    /// Where the registry is.
    registry: usize,
    owner: Pid,
    serial: Serial,
    /// Where its key is in an [`EpochRegistry`]; unused in a [`FixedRegistry`].
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
    place: index::Place,
}

/// Which registration of a registry: no two share a serial, whatever their keys and processes.
/// An [`EpochRegistry`] numbers all of them through, and does not tell owners apart by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Serial {
    /// Which owner of the registry.
    owner: u64,
    /// Which registration of that owner.
    number: u64,
}

impl Registration {
    /// The process that registered.
    #[must_use]
    pub const fn owner(self) -> Pid {
        self.owner
    }
}
