//! Why names that belong together were refused.

use crate::id::Pid;
use core::fmt;

/// Why none of several registrations was made; the pairs of keys and values come back, in their order.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterManyError<P> {
    /// Somebody holds one of the keys.
    AlreadyRegistered {
        /// Which pair's: the first one of which the key is held, unless that changed meanwhile.
        at: usize,
        /// Who, at the moment of the refusal.
        holder: Pid,
        /// The refused keys and values.
        pairs: P,
    },
    /// One of the keys is that of an earlier pair.
    Repeated {
        /// Which pair's: the first one that repeats a key.
        at: usize,
        /// The refused keys and values.
        pairs: P,
    },
    /// The registry would hold more entries than it may.
    Full {
        /// How many it may.
        limit: usize,
        /// The refused keys and values.
        pairs: P,
    },
    /// Too many keys have the same hash as one of these: see
    /// [`RegisterError::TooManyCollisions`](super::RegisterError::TooManyCollisions).
    TooManyCollisions {
        /// Which pair's.
        at: usize,
        /// The refused keys and values.
        pairs: P,
    },
    /// Others registered some of the keys again and again, and gave them up, while this was tried; or
    /// registered keys with the same hashes. It may succeed when it is tried once more.
    Contended {
        /// The refused keys and values.
        pairs: P,
    },
}

impl<P> RegisterManyError<P> {
    /// The refused keys and values.
    #[must_use]
    pub fn into_inner(self) -> P {
        match self {
            Self::AlreadyRegistered { pairs, .. }
            | Self::Repeated { pairs, .. }
            | Self::Full { pairs, .. }
            | Self::TooManyCollisions { pairs, .. }
            | Self::Contended { pairs } => pairs,
        }
    }
}

impl<P> fmt::Display for RegisterManyError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRegistered { at, holder, .. } => {
                write!(f, "key {at} of the batch is already registered by {holder}")
            }
            Self::Repeated { at, .. } => {
                write!(f, "key {at} of the batch is that of an earlier pair")
            }
            Self::Full { limit, .. } => {
                write!(f, "the registry has no room for the batch: {limit} entries")
            }
            Self::TooManyCollisions { at, .. } => {
                write!(f, "too many keys have the hash of key {at} of the batch")
            }
            Self::Contended { .. } => f.write_str("others kept the keys of the batch busy"),
        }
    }
}

impl<P> fmt::Debug for RegisterManyError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<P> core::error::Error for RegisterManyError<P> {}
