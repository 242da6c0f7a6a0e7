//! Why a change of a registry was refused.

use crate::id::Pid;
use core::fmt;

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
    /// that spreads the keys it does not happen. A [`FixedRegistry`](super::FixedRegistry) never says so.
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

pub(super) const TOO_MANY_COLLISIONS: &str = "too many keys have the same hash";

impl<K, V> fmt::Debug for RegisterError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K, V> core::error::Error for RegisterError<K, V> {}

/// Why a value was not updated. What was to be the new one comes back, if it was made.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateError<V> {
    /// The owner does not hold the key: somebody else does, or nobody.
    NotHeld {
        /// The new value, if the key was taken over only after this was made.
        value: Option<V>,
    },
    /// The key is held, but a new value takes a place of its own, and there are as many of those as there may
    /// be. The old one stays.
    Full {
        /// How many those are.
        limit: usize,
        /// The new value.
        value: V,
    },
}

impl<V> UpdateError<V> {
    /// The new value, if it was made.
    #[must_use]
    pub fn into_inner(self) -> Option<V> {
        match self {
            Self::NotHeld { value } => value,
            Self::Full { value, .. } => Some(value),
        }
    }
}

impl<V> fmt::Display for UpdateError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHeld { .. } => NotHeld.fmt(f),
            Self::Full { limit, .. } => write!(f, "no room for a new value: {limit} places"),
        }
    }
}

impl<V> fmt::Debug for UpdateError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<V> core::error::Error for UpdateError<V> {}

/// Why a registration was not given away. It stays where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GiveAwayError {
    /// The owner does not hold the key: somebody else does, or nobody.
    NotHeld,
    /// The new registration takes a place of its own, and there are as many of those as there may be.
    Full {
        /// How many those are.
        limit: usize,
    },
}

impl fmt::Display for GiveAwayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHeld => NotHeld.fmt(f),
            Self::Full { limit } => write!(f, "no room for the registration: {limit} places"),
        }
    }
}

impl core::error::Error for GiveAwayError {}
