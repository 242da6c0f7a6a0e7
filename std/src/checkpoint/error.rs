//! Why something was refused.

use crate::process::Pid;
use core::error::Error;
use core::fmt;

/// Why a checkpoint was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// Another child has it, and is alive; it may have the same path. Each child needs a checkpoint of its own.
    Held {
        /// Which incarnation has it.
        holder: Pid,
    },
    /// A later incarnation of the same child has it: this one was replaced.
    Replaced,
    /// This incarnation is over, or was abandoned.
    Over,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { holder } => write!(f, "the checkpoint is held by {holder}, another child"),
            Self::Replaced => f.write_str(REPLACED),
            Self::Over => f.write_str(OVER),
        }
    }
}

impl Error for OpenError {}

const REPLACED: &str = "a later incarnation has opened the checkpoint";
const OVER: &str = "an incarnation that is over changes no checkpoint";

/// Why a value was not saved; it comes back. What was saved before stands.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaveError<T> {
    /// A later incarnation has opened the checkpoint.
    Replaced {
        /// The refused value.
        value: T,
    },
    /// The incarnation is over, or was abandoned.
    Over {
        /// The refused value.
        value: T,
    },
}

impl<T> SaveError<T> {
    /// The value that was not saved.
    pub fn into_value(self) -> T {
        match self {
            Self::Replaced { value } | Self::Over { value } => value,
        }
    }

    const fn said(&self) -> &'static str {
        match self {
            Self::Replaced { .. } => REPLACED,
            Self::Over { .. } => OVER,
        }
    }
}

impl<T> fmt::Debug for SaveError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replaced { .. } => "Replaced",
            Self::Over { .. } => "Over",
        })
    }
}

impl<T> fmt::Display for SaveError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.said())
    }
}

impl<T> Error for SaveError<T> {}

/// Why nothing was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForgetError {
    /// A later incarnation has opened the checkpoint.
    Replaced,
    /// The incarnation is over, or was abandoned.
    Over,
}

impl fmt::Display for ForgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replaced => REPLACED,
            Self::Over => OVER,
        })
    }
}

impl Error for ForgetError {}
