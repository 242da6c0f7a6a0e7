//! Code of a user that must not run where it came up: on the timer's thread, or in the middle of something.

use super::request;
use crate::process::panic::contain;
use crate::sync::{Arc, Mutex, thread};

/// Something that calls or drops what belongs to a user.
pub(super) type UsersCode = Box<dyn FnOnce() + Send>;

/// Runs `code` on a thread of its own; here only if there is none to be had.
pub(super) fn elsewhere(code: UsersCode) {
    let shared = Arc::new(Mutex::new(Some(code)));
    let theirs = shared.clone();
    let run = |shared: &Mutex<Option<UsersCode>>| {
        let code = shared.lock().take();
        if let Some(code) = code {
            contain(|| request::working(code));
        }
    };
    let helper = thread::Builder::new().name("bedplate-stop".to_owned());
    if helper.spawn(move || run(&theirs)).is_err() {
        run(&shared);
    }
}
