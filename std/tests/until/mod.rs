//! Waiting in a test, for what only a defect keeps from coming.

use core::time::Duration;
use std::thread;
use std::time::Instant;

/// So long that only a defect reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for it.
pub(crate) fn until(mut it_is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !it_is_so() {
        assert!(began.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(1));
    }
}
