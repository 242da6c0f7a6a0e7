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

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod builder;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod epoch;
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
use core::fmt;

#[cfg(feature = "critical-section")]
pub use crate::sync::lock::CriticalSectionLock;
pub use crate::sync::lock::RawLock;
#[cfg(target_has_atomic = "ptr")]
pub use crate::sync::lock::SpinLock;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use builder::Builder;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use epoch::{Entry, EpochRegistry, Guard, Handle, Iter, Memory};
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

/// Proof of one registration: who made it and which one it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registration {
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

/// The owner does not hold the key: somebody else does, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotHeld;

impl fmt::Display for NotHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key is not held by this owner")
    }
}

impl core::error::Error for NotHeld {}

impl Registration {
    /// The process that registered.
    #[must_use]
    pub const fn owner(self) -> Pid {
        self.owner
    }
}

/// Why a registration was refused; the key and the value come back.
///
/// What to do about it differs: a key that is held may be taken over, a registry that is full has room when
/// something is given up, and too many collisions ask for a better hasher.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError<K, V> {
    /// Somebody holds the key.
    AlreadyRegistered {
        /// Who, at the moment of the refusal.
        holder: Pid,
        /// The refused key.
        key: K,
        /// The refused value.
        value: V,
    },
    /// The registry holds as many entries as it may.
    Full {
        /// How many those are.
        limit: usize,
        /// The refused key.
        key: K,
        /// The refused value.
        value: V,
    },
    /// Too many keys have the same hash as this one, or nearly so, however many entries there are: some 65,000,
    /// on a 32-bit target some 250; fewer, if such crowds have come and gone all over the registry. With a hasher
    /// that spreads the keys it does not happen. A [`FixedRegistry`] never says so.
    TooManyCollisions {
        /// The refused key.
        key: K,
        /// The refused value.
        value: V,
    },
}

impl<K, V> RegisterError<K, V> {
    /// The refused key and value.
    #[must_use]
    pub fn into_inner(self) -> (K, V) {
        match self {
            Self::AlreadyRegistered { key, value, .. }
            | Self::Full { key, value, .. }
            | Self::TooManyCollisions { key, value } => (key, value),
        }
    }
}

impl<K, V> fmt::Display for RegisterError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRegistered { holder, .. } => {
                write!(f, "the key is already registered by {holder}")
            }
            Self::Full { limit, .. } => write!(f, "the registry is full: {limit} entries"),
            Self::TooManyCollisions { .. } => f.write_str(TOO_MANY_COLLISIONS),
        }
    }
}

const TOO_MANY_COLLISIONS: &str = "too many keys have the same hash";

impl<K, V> fmt::Debug for RegisterError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K, V> core::error::Error for RegisterError<K, V> {}
