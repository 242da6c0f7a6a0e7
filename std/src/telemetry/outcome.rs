//! What a handler returns.

use core::fmt;

/// What a handler may return: nothing, or a `Result` of nothing, whose error is a failure.
pub trait Outcome {
    /// Nothing, or what went wrong.
    ///
    /// # Errors
    /// If it did.
    fn into_result(self) -> Result<(), String>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}
