//! The proof's result, as the emulator's exit status.

use core::panic::PanicInfo;
use semihosting::experimental::env;
use semihosting::process;

/// Prints to the host.
pub use semihosting::println as say;

/// The argument that makes a proof get one fact wrong, to see that the runner notices.
const PLANTED: &str = "planted-failure";

/// Whether this run is to get a fact wrong.
///
/// # Panics
/// When the host gives no arguments.
#[must_use]
pub fn is_planted() -> bool {
    let arguments = env::args::<128>().expect("the host passes arguments on");
    (&arguments).any(|argument| argument == Ok(PLANTED))
}

/// Ends the emulator with status 0.
pub fn passed(proof: &str) -> ! {
    say!("{proof}: passed");
    process::exit(0)
}

/// Ends the emulator with the status of a panic.
pub fn failed() -> ! {
    process::exit(1)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("{info}");
    failed()
}
