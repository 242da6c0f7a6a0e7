//! What every incarnation of a child starts from, taken where its specification was written.

/// Captured once, entered by every incarnation; never what a crashed incarnation left behind.
pub(super) struct StartPoint {}

impl StartPoint {
    /// Where the calling thread is.
    pub(super) fn here() -> Self {
        Self {}
    }

    /// Runs `body` from here.
    pub(super) fn enter<R>(&self, body: impl FnOnce() -> R) -> R {
        body()
    }
}
