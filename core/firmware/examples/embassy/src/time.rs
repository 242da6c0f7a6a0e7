//! Time for embassy from SysTick, once a millisecond; on a real board its own crate does this.

use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::Waker;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

struct Ticks {
    millis: AtomicU32,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static TICKS: Ticks = Ticks {
    millis: AtomicU32::new(0),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Driver for Ticks {
    fn now(&self) -> u64 {
        u64::from(self.millis.load(Ordering::Relaxed))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // Every tick looks whose time has come.
        critical_section::with(|cs| self.queue.borrow(cs).borrow_mut().schedule_wake(at, waker));
    }
}

/// Starts the clock; the processor has 25 MHz.
pub fn start(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(25_000 - 1);
    timer.clear_current();
    timer.enable_counter();
    timer.enable_interrupt();
}

#[exception]
fn SysTick() {
    let millis = TICKS.millis.load(Ordering::Relaxed) + 1;
    TICKS.millis.store(millis, Ordering::Relaxed);
    critical_section::with(|cs| {
        let mut queue = TICKS.queue.borrow(cs).borrow_mut();
        queue.next_expiration(u64::from(millis));
    });
}
