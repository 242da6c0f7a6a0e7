//! The SysTick timer: an interrupt that can hit between any two instructions of `main`.
//!
//! The proof defines the handler (`#[exception] fn SysTick()`).

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

/// The running timer.
pub struct Timer {
    systick: SYST,
}

impl Timer {
    /// Lets the handler run every `cycles` processor cycles.
    ///
    /// # Panics
    /// When started twice, or when `cycles` is zero or more than 24 bits.
    #[must_use]
    pub fn start(cycles: u32) -> Self {
        let peripherals = Peripherals::take().expect("the timer is started once");
        let mut timer = Self {
            systick: peripherals.SYST,
        };
        timer.systick.set_clock_source(SystClkSource::Core);
        timer.set_period(cycles);
        timer.systick.clear_current();
        timer.systick.enable_counter();
        timer.systick.enable_interrupt();
        timer
    }

    /// Changes the period, from the next interrupt on.
    ///
    /// # Panics
    /// When `cycles` is zero or more than 24 bits.
    pub fn set_period(&mut self, cycles: u32) {
        assert!((1..1 << 24).contains(&cycles), "SysTick counts 24 bits");
        self.systick.set_reload(cycles - 1);
    }

    /// Stops the timer; when this returns, the handler does not run any more.
    pub fn stop(mut self) {
        self.systick.disable_interrupt();
        self.systick.disable_counter();
        // The pipeline may hold one interrupt that was already taken.
        cortex_m::asm::dsb();
        cortex_m::asm::isb();
    }
}
