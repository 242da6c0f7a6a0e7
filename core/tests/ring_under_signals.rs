//! Pushes that are interrupted anywhere, by a signal that plays the interrupt: no torn record, and every push
//! accounted for.
//!
//! `BEDPLATE_INTERRUPTED_PUSHES` says how many pushes there are, in each of the tests that count them.
#![cfg(all(unix, not(miri)))]

use bedplate_core::event::{Record, Words};
use bedplate_core::ring::{NestedRing, Overwrite, Reader, Received, Reject, SharedRing};
use std::env;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Pushes where the environment does not say.
const PUSHES: u64 = 100_000;
/// Interrupts that there are at least.
const INTERRUPTS: u64 = 200;

fn pushes() -> u64 {
    match env::var("BEDPLATE_INTERRUPTED_PUSHES") {
        Ok(pushes) => pushes.parse().expect("a number of pushes"),
        Err(_) => PUSHES,
    }
}

/// Fills a slot with one number; a record put together from two shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number(u64);

impl Record for Number {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "every word takes what it can"
    )]
    fn encode(self) -> Words {
        core::array::from_fn(|index| (self.0 as usize).wrapping_mul(index + 1))
    }

    fn decode(words: Words) -> Self {
        for (index, word) in words.iter().enumerate() {
            assert_eq!(*word, words[0].wrapping_mul(index + 1), "a torn record");
        }
        Self(words[0] as u64)
    }
}

/// Lets a function of the C library be called with this handler's address.
fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: an all-zero `sigaction` is a valid one, without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: both pointers are valid for the call, or null where nothing is asked; the handler only uses
    // atomics.
    let result = unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) };
    assert_eq!(result, 0);
}

/// What a test has that is interrupted.
struct Scene {
    /// Pushes begun, by whomever.
    pushed: AtomicU64,
    /// Pushes that were given back because a slot was held, or the ring full.
    refused: AtomicU64,
    interrupts: AtomicU64,
    is_over: AtomicBool,
}

impl Scene {
    const fn new() -> Self {
        Self {
            pushed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            interrupts: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Pushes a number nobody has pushed.
    fn push(&self, push: impl FnOnce(Number) -> bool) {
        // Relaxed: counts of one thread, and of its handlers.
        let number = self.pushed.fetch_add(1, Ordering::Relaxed);
        if !push(Number(number)) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Called by the handler: as many pushes as have not been in a burst for long, up to two laps of a small
    /// ring. One that comes too late to be counted does nothing.
    fn interrupt(&self, push: impl Fn(Number) -> bool) {
        // Relaxed: stored by the thread that is interrupted.
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        // Relaxed: as above.
        let interrupts = self.interrupts.fetch_add(1, Ordering::Relaxed);
        (0..=interrupts % 33).for_each(|_| self.push(&push));
    }

    /// Pushes, is sent `signal` again and again, and reads meanwhile on another thread, until there were
    /// enough of both. Returns what was delivered and lost.
    fn play(
        &self,
        signal: libc::c_int,
        push: impl Fn(Number) -> bool,
        mut reader: Reader<'_, Number>,
    ) -> (u64, u64) {
        let most = pushes();
        // SAFETY: always safe to ask.
        let pusher = unsafe { libc::pthread_self() };
        thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let (mut delivered, mut lost) = (0, 0);
                let mut next = 0;
                let mut take = |received| match received {
                    Received::Record(Number(_)) => {
                        (delivered, next) = (delivered + 1, next + 1);
                    }
                    Received::Lost(gap) => {
                        assert_eq!(gap.from, next, "a gap is reported in its place");
                        (lost, next) = (lost + gap.count(), gap.to);
                    }
                };
                let mut rounds = 0_u32;
                // Acquire: the last push comes before; pairs with Release below.
                while !self.is_over.load(Ordering::Acquire) {
                    // SAFETY: the pusher is a thread of this process that goes on until `is_over`, and after
                    // it, until this thread has been joined.
                    let sent = unsafe { libc::pthread_kill(pusher, signal) };
                    assert_eq!(sent, 0);
                    rounds = rounds.wrapping_add(1);
                    reader.drain((rounds % 50) as usize, &mut take);
                }
                loop {
                    reader.drain(usize::MAX, &mut take);
                    match reader.skip() {
                        Some(gap) => take(Received::Lost(gap)),
                        None => break,
                    }
                }
                (delivered, lost)
            });
            // Relaxed: counts of this thread.
            while self.pushed.load(Ordering::Relaxed) < most
                || self.interrupts.load(Ordering::Relaxed) < INTERRUPTS
            {
                self.push(&push);
                if self.pushed.load(Ordering::Relaxed).is_multiple_of(1 << 14)
                    && reading.is_finished()
                {
                    break; // It has panicked.
                }
            }
            // Release: the last push comes before; pairs with Acquire above.
            self.is_over.store(true, Ordering::Release);
            reading.join().expect("no record is torn")
        })
    }
}

macro_rules! interrupted {
    ($name:ident, $ring:ty, $signal:expr) => {
        #[test]
        fn $name() {
            static RING: $ring = <$ring>::new();
            static SCENE: Scene = Scene::new();

            fn push(number: Number) -> bool {
                RING.push(number).is_ok()
            }

            extern "C" fn handler(_: libc::c_int) {
                SCENE.interrupt(push);
            }

            handle($signal, handler);
            let reader = RING.claim_reader().expect("nobody else reads");
            let (delivered, lost) = SCENE.play($signal, push, reader);
            // Relaxed: the threads were joined.
            let pushed = SCENE.pushed.load(Ordering::Relaxed);
            let refused = SCENE.refused.load(Ordering::Relaxed);
            let stats = RING.stats();
            assert_eq!(stats.pushed as u64, pushed);
            assert_eq!(stats.delivered as u64, delivered);
            assert_eq!((stats.overwritten + stats.busy) as u64, lost);
            assert_eq!(stats.waiting, 0);
            assert_eq!(delivered + lost + stats.rejected as u64, pushed);
            assert!(refused >= (stats.rejected as u64), "a refusal is told");
        }
    };
}

interrupted!(
    a_nested_push_is_interrupted,
    NestedRing<16, Overwrite, Number>,
    libc::SIGUSR1
);
interrupted!(
    a_nested_push_that_may_be_refused_is_interrupted,
    NestedRing<16, Reject, Number>,
    libc::SIGUSR2
);
interrupted!(
    a_shared_push_is_interrupted,
    SharedRing<16, Overwrite, Number>,
    libc::SIGURG
);

/// One push into a nested ring, executed instruction by instruction, with an interrupt between two of them
/// that are chosen, and then between the next two, to its end.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod at_every_instruction {
    use super::{NestedRing, Number, Overwrite, Received, Reject, handle};
    use std::arch::asm;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    const CAPACITY: usize = 4;
    /// Instructions that are stepped through in all, about.
    const BUDGET: usize = 150_000;
    /// How many pushes the interrupt makes.
    const BURSTS: [usize; 5] = [1, 2, CAPACITY - 1, CAPACITY + 1, 2 * CAPACITY + 1];

    static OVERWRITING: NestedRing<CAPACITY, Overwrite, Number> = NestedRing::new();
    static REJECTING: NestedRing<CAPACITY, Reject, Number> = NestedRing::new();

    /// One test at a time.
    static TURN: Mutex<()> = Mutex::new(());
    /// Instructions stepped through.
    static STEPS: AtomicUsize = AtomicUsize::new(0);
    /// Before which of them the interrupt comes.
    static AT: AtomicUsize = AtomicUsize::new(usize::MAX);
    static BURST: AtomicUsize = AtomicUsize::new(0);
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    static REJECTS: AtomicUsize = AtomicUsize::new(0);

    /// Pushes the next number; every other one is interrupted wherever the ring lets it be.
    fn push() {
        // Relaxed: one thread and its handler.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let rejects = REJECTS.load(Ordering::Relaxed) != 0;
        let is_ok = if rejects {
            REJECTING.push(Number(number)).is_ok()
        } else {
            OVERWRITING.push(Number(number)).is_ok()
        };
        REFUSED.fetch_add(u64::from(!is_ok), Ordering::Relaxed);
    }

    extern "C" fn on_step(_: libc::c_int) {
        // Relaxed: one thread and its handler.
        if STEPS.fetch_add(1, Ordering::Relaxed) == AT.load(Ordering::Relaxed) {
            (0..BURST.load(Ordering::Relaxed)).for_each(|_| push());
        }
    }

    /// Pushes step by step; how many there were.
    #[inline(never)]
    fn push_in_steps(at: usize, burst: usize) -> usize {
        // Relaxed: one thread and its handler.
        STEPS.store(0, Ordering::Relaxed);
        AT.store(at, Ordering::Relaxed);
        BURST.store(burst, Ordering::Relaxed);
        // SAFETY: sets the trap flag, and nothing else; the handler of the signal that follows each
        // instruction from here on is installed.
        unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
        push();
        // SAFETY: clears the trap flag, and nothing else.
        unsafe { asm!("pushfq", "and qword ptr [rsp], ~0x100", "popfq") };
        STEPS.load(Ordering::Relaxed)
    }

    fn sweep(rejects: bool, mut drain: impl FnMut(&mut dyn FnMut(Received<Number>))) {
        let steps = push_in_steps(usize::MAX, 0);
        assert!(steps > 20, "it was stepped through");
        drain(&mut |_| ());
        let stride = (steps * steps * BURSTS.len()).div_ceil(BUDGET);
        for (phase, burst) in BURSTS.into_iter().enumerate() {
            let mut at = phase % stride;
            loop {
                let first = NUMBER.load(Ordering::Relaxed);
                let refused = REFUSED.load(Ordering::Relaxed);
                let steps = push_in_steps(at, burst);
                let last = NUMBER.load(Ordering::Relaxed);
                let refused = REFUSED.load(Ordering::Relaxed) - refused;
                let (mut delivered, mut lost) = (Vec::new(), 0);
                drain(&mut |received| match received {
                    Received::Record(Number(number)) => delivered.push(number),
                    Received::Lost(gap) => lost += gap.count(),
                });
                let context = format!("{burst} pushes before instruction {at}: {delivered:?}");
                let count = delivered.len() as u64;
                if rejects {
                    assert_eq!((count + refused, lost), (last - first, 0), "{context}");
                } else {
                    assert_eq!(count + lost, last - first, "{context}");
                }
                delivered.sort_unstable();
                assert!(delivered.is_sorted_by(|a, b| a < b), "{context}");
                assert!(
                    delivered.iter().all(|it| (first..last).contains(it)),
                    "{context}"
                );
                assert!(!delivered.is_empty(), "{context}");
                if at >= steps {
                    break;
                }
                at += stride;
            }
        }
    }

    #[test]
    fn of_a_nested_push() {
        let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        handle(libc::SIGTRAP, on_step);
        // Relaxed: one thread and its handler.
        REJECTS.store(0, Ordering::Relaxed);
        let mut reader = OVERWRITING.claim_reader().expect("nobody else reads");
        sweep(false, |take| {
            loop {
                reader.drain(usize::MAX, &mut *take);
                match reader.skip() {
                    Some(gap) => take(Received::Lost(gap)),
                    None => break,
                }
            }
        });
    }

    #[test]
    fn of_a_nested_push_that_may_be_refused() {
        let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        handle(libc::SIGTRAP, on_step);
        // Relaxed: one thread and its handler.
        REJECTS.store(1, Ordering::Relaxed);
        let mut reader = REJECTING.claim_reader().expect("nobody else reads");
        sweep(true, |take| {
            reader.drain(usize::MAX, take);
        });
    }
}
