//! Models of threads that wait for something to run: `std/src/supervisor/spares.rs`.

use crate::model;
use crate::spares::{self, Spares};
use core::sync::atomic::Ordering::Relaxed;
use loom_tests::thread;

#[cfg(bedplate_loom)]
use loom::sync::{Arc, atomic::AtomicUsize};
#[cfg(not(bedplate_loom))]
use std::sync::{Arc, atomic::AtomicUsize};

/// What is kept is counted as long as it is there, and so is what is run.
type Pool = Spares<Kept, usize>;

struct Kept(Arc<AtomicUsize>);

impl Kept {
    fn new(there: &Arc<AtomicUsize>) -> Self {
        there.fetch_add(1, Relaxed);
        Self(Arc::clone(there))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A thread that has nothing to do: it waits, and says what it was called for.
fn wait_in(pool: &Pool, there: &Arc<AtomicUsize>) -> Option<usize> {
    let parked = pool.park(|| Some(Kept::new(there)))?;
    parked.wait()
}

/// Somebody takes whoever waits and has it run something. Whether somebody waited.
fn call(pool: &Pool, what: usize) -> bool {
    let Some(spare) = pool.take() else {
        return false;
    };
    spare.begin(|_kept| what);
    true
}

/// It goes to sleep while it is called, and the pool is closed: it runs what it was called for, or ends.
#[test]
fn a_call_against_a_wait_and_an_end() {
    model(|| {
        let pool = Arc::new(Pool::new(1));
        let there = Arc::new(AtomicUsize::new(0));
        let (waits, its) = (Arc::clone(&pool), Arc::clone(&there));
        let spare = thread::spawn(move || wait_in(&waits, &its));
        let closes = Arc::clone(&pool);
        let end = thread::spawn(move || closes.close());
        let called = call(&pool, 7);
        end.join().expect("no panic");
        assert_eq!(spare.join().expect("no panic"), called.then_some(7));
        assert_eq!(pool.count(), 0);
        assert_eq!(there.load(Relaxed), 0, "what was kept is gone");
    });
}

/// Two crash at once and one waits: it is called once, and each of the two takes its place if there is room.
#[test]
fn two_calls_for_one() {
    model(|| {
        let pool = Arc::new(Pool::new(1));
        let there = Arc::new(AtomicUsize::new(0));
        let (parked, line) = spares::pair();
        assert!(pool.admit(line, Kept::new(&there)));
        let crashes = {
            let (pool, there) = (Arc::clone(&pool), Arc::clone(&there));
            move |what| {
                let called = call(&pool, what);
                let waits = pool.park(|| Some(Kept::new(&there)));
                (called, waits)
            }
        };
        let other = thread::spawn({
            let crashes = crashes.clone();
            move || crashes(1)
        });
        let (first, own) = crashes(2);
        let (second, others) = other.join().expect("no panic");
        let run = parked.wait();
        assert!(first || second);
        let waiting = [own, others];
        let waiting = waiting.into_iter().flatten();
        // Who was called twice was there twice.
        let there_were = 1 + waiting.count();
        assert_eq!(
            usize::from(first) + usize::from(second) + pool.count(),
            there_were
        );
        assert!(run.is_some());
        assert!(pool.count() <= 1);
        assert_eq!(there.load(Relaxed), pool.count());
        pool.close();
        assert_eq!(there.load(Relaxed), 0);
    });
}

/// One is taken and not needed while the pool is closed: it ends, whoever comes first.
#[test]
fn one_that_is_put_back_against_an_end() {
    model(|| {
        let pool = Arc::new(Pool::new(1));
        let there = Arc::new(AtomicUsize::new(0));
        let (waits, its) = (Arc::clone(&pool), Arc::clone(&there));
        let spare = thread::spawn(move || wait_in(&waits, &its));
        let takes = Arc::clone(&pool);
        let taking = thread::spawn(move || drop(takes.take()));
        pool.close();
        taking.join().expect("no panic");
        assert_eq!(spare.join().expect("no panic"), None);
        assert_eq!(pool.count(), 0);
        assert_eq!(there.load(Relaxed), 0);
    });
}
