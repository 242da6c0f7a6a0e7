//! The proof's result, as the emulator's exit status.

use core::panic::PanicInfo;
use cortex_m_rt::{ExceptionFrame, exception};
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hprintln;

/// Prints to the host.
pub use cortex_m_semihosting::hprintln as say;

/// Ends the emulator with status 0.
pub fn passed(proof: &str) -> ! {
    hprintln!("{proof}: passed");
    end(EXIT_SUCCESS)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hprintln!("{info}");
    end(EXIT_FAILURE)
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    hprintln!("hard fault: {frame:?}");
    end(EXIT_FAILURE)
}

fn end(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    // Only without a debugger, where the request to end is ignored.
    loop {
        cortex_m::asm::wfi();
    }
}
