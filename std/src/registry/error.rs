//! Why something was refused.

use crate::process::Pid;
use core::error::Error;
use core::fmt;

/// Why a name was not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The name cannot be used: it is empty, longer than 255 bytes, or contains a NUL byte.
    BadName,
    /// Somebody holds it.
    Taken {
        /// Who, at that moment.
        holder: Pid,
    },
    /// It is the name of a child that is being restarted, or is about to be, and is kept for that.
    Reserved {
        /// Its last incarnation.
        last: Pid,
    },
    /// There are as many names as there may be.
    Full {
        /// How many those are.
        limit: usize,
    },
    /// Too many names have the same hash as this one.
    TooManyCollisions,
    /// The incarnation is over, or was abandoned: it can hold nothing any more.
    Over,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName => f.write_str(BAD_NAME),
            Self::Taken { holder } => write!(f, "the name is held by {holder}"),
            Self::Reserved { last } => {
                write!(
                    f,
                    "the name is kept for the child of {last}, which is being restarted"
                )
            }
            Self::Full { limit } => write!(f, "all {limit} names are taken"),
            Self::TooManyCollisions => f.write_str("too many names have the same hash"),
            Self::Over => f.write_str("an incarnation that is over holds no names"),
        }
    }
}

impl Error for NameError {}

const BAD_NAME: &str = "a name has 1 to 255 bytes, none of them NUL";

/// Why a registry of that name was not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// The name cannot be used: it is empty, longer than 255 bytes, or contains a NUL byte.
    BadName,
    /// There is one of this name, with other keys or values.
    OtherType {
        /// The type of that one.
        there: &'static str,
    },
    /// There are as many named registries as there may be.
    Full {
        /// How many those are.
        limit: usize,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName => f.write_str(BAD_NAME),
            Self::OtherType { there } => write!(f, "the registry of that name is a {there}"),
            Self::Full { limit } => write!(f, "there are {limit} named registries"),
        }
    }
}

impl Error for OpenError {}

/// There are as many owners and incarnations in this process as there are identities for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyOwners {
    /// How many those are.
    pub limit: u32,
}

impl fmt::Display for TooManyOwners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} identities are in use", self.limit)
    }
}

impl Error for TooManyOwners {}

/// Why a registration was refused; the key and the value come back.
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
    /// Too many keys have the same hash as this one. The hasher is seeded at random, so that nobody can choose
    /// keys for it.
    TooManyCollisions {
        /// The refused key.
        key: K,
        /// The refused value.
        value: V,
    },
    /// The incarnation is over or was abandoned, or the thread is so near its end that its thread-locals
    /// are gone: it can hold nothing any more.
    Over {
        /// The refused key.
        key: K,
        /// The refused value.
        value: V,
    },
    /// The thread holds nothing as yet, and there is no identity left for it.
    TooManyOwners {
        /// How many there are.
        limit: u32,
        /// The refused key.
        key: K,
        /// The refused value.
        value: V,
    },
    /// What the thread holds in this registry is being changed at this moment: this was called by code that
    /// a change calls, as a key's `Eq`.
    Busy {
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
            | Self::TooManyCollisions { key, value }
            | Self::Over { key, value }
            | Self::TooManyOwners { key, value, .. }
            | Self::Busy { key, value } => (key, value),
        }
    }
}

impl<K, V> From<bedplate_core::registry::RegisterError<K, V>> for RegisterError<K, V> {
    fn from(refused: bedplate_core::registry::RegisterError<K, V>) -> Self {
        use bedplate_core::registry::RegisterError as Core;

        match refused {
            Core::AlreadyRegistered { holder, key, value } => {
                Self::AlreadyRegistered { holder, key, value }
            }
            Core::Full { limit, key, value } => Self::Full { limit, key, value },
            Core::TooManyCollisions { key, value } => Self::TooManyCollisions { key, value },
            // Core has no other reason as yet.
            other => {
                let (key, value) = other.into_inner();
                Self::Busy { key, value }
            }
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
            Self::TooManyCollisions { .. } => f.write_str("too many keys have the same hash"),
            Self::Over { .. } => f.write_str("who is over holds nothing any more"),
            Self::TooManyOwners { limit, .. } => TooManyOwners { limit: *limit }.fmt(f),
            Self::Busy { .. } => f.write_str("registered by code that another change calls"),
        }
    }
}

impl<K, V> fmt::Debug for RegisterError<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K, V> Error for RegisterError<K, V> {}

/// Why a value was not updated. What was to be the new one comes back, if it was made.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateError<V> {
    /// The key is not held by who wants to change it: somebody else holds it, or nobody.
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
    /// What the thread holds in this registry is being changed at this moment: this was called by code that
    /// a change calls, as a key's `Eq`.
    Busy {
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
            Self::Full { value, .. } | Self::Busy { value } => Some(value),
        }
    }
}

impl<V> From<bedplate_core::registry::UpdateError<V>> for UpdateError<V> {
    fn from(refused: bedplate_core::registry::UpdateError<V>) -> Self {
        use bedplate_core::registry::UpdateError as Core;

        match refused {
            Core::Full { limit, value } => Self::Full { limit, value },
            // Core has no other reason as yet.
            other => Self::NotHeld {
                value: other.into_inner(),
            },
        }
    }
}

impl<V> fmt::Display for UpdateError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHeld { .. } => f.write_str("the key is not held by who wants to change it"),
            Self::Full { limit, .. } => write!(f, "no room for a new value: {limit} places"),
            Self::Busy { .. } => f.write_str("updated by code that another change calls"),
        }
    }
}

impl<V> fmt::Debug for UpdateError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<V> Error for UpdateError<V> {}

/// Why a wait for a key ended without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// Nobody held it in time.
    Timeout,
    /// Who waited was asked to stop.
    Stopped,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "nobody registered the key in time",
            Self::Stopped => "asked to stop while waiting for the key",
        })
    }
}

impl Error for WaitError {}

/// Why a key was not locked; it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError<K> {
    /// Others had it all the time.
    Timeout {
        /// The key.
        key: K,
    },
    /// Who waited was asked to stop.
    Stopped {
        /// The key.
        key: K,
    },
    /// This thread has it: waiting would last for ever.
    HeldByThisThread {
        /// The key.
        key: K,
    },
}

impl<K> LockError<K> {
    /// The key.
    #[must_use]
    pub fn into_inner(self) -> K {
        match self {
            Self::Timeout { key } | Self::Stopped { key } | Self::HeldByThisThread { key } => key,
        }
    }
}

impl<K> fmt::Display for LockError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout { .. } => "the key was locked all the time",
            Self::Stopped { .. } => "asked to stop while waiting for the lock of the key",
            Self::HeldByThisThread { .. } => "this thread has locked the key",
        })
    }
}

impl<K> fmt::Debug for LockError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Error for LockError<K> {}

/// Why something was not noted about a registry; it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataError<T> {
    /// The key cannot be used: it is empty, longer than 255 bytes, or contains a NUL byte.
    BadKey {
        /// The refused value.
        value: T,
    },
    /// As much is noted as may be.
    Full {
        /// How many values those are.
        limit: usize,
        /// The refused value.
        value: T,
    },
}

impl<T> MetadataError<T> {
    /// The refused value.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self {
            Self::BadKey { value } | Self::Full { value, .. } => value,
        }
    }
}

impl<T> fmt::Display for MetadataError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadKey { .. } => f.write_str(BAD_NAME),
            Self::Full { limit, .. } => write!(f, "{limit} values are noted about the registry"),
        }
    }
}

impl<T> fmt::Debug for MetadataError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> Error for MetadataError<T> {}
