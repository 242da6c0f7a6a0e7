//! Models of a stop token: `std/src/stop.rs`.

use crate::stop::StopToken;
use crate::{HOUR, model};
use bedplate_core::clock::Instant;
use core::sync::atomic::Ordering::Relaxed;
use loom_tests::thread;

#[cfg(bedplate_loom)]
use loom::sync::{Arc, atomic::AtomicUsize};
#[cfg(not(bedplate_loom))]
use std::sync::{Arc, atomic::AtomicUsize};

/// Asks to stop, as the driver does.
fn ask(token: &StopToken, deadline: Option<Instant>) {
    if token.request(deadline) {
        token.call_back();
    }
}

/// A thread goes to sleep while it is asked to stop: it wakes.
#[test]
fn a_request_against_a_wait() {
    model(|| {
        let token = StopToken::new();
        let asking = token.clone();
        let request = thread::spawn(move || ask(&asking, None));
        assert!(token.wait(HOUR));
        request.join().expect("no panic");
    });
}

/// Two sleep and are asked to stop: both wake.
#[test]
fn a_request_against_two_waits() {
    model(|| {
        let token = StopToken::new();
        let other = token.clone();
        let sleeper = thread::spawn(move || assert!(other.wait(HOUR)));
        let asking = token.clone();
        let request = thread::spawn(move || ask(&asking, None));
        assert!(token.wait(HOUR));
        sleeper.join().expect("no panic");
        request.join().expect("no panic");
    });
}

/// [T1] Whoever sees a request sees what the one who asks did before.
#[test]
fn a_request_that_is_seen() {
    model(|| {
        let token = StopToken::new();
        let done = Arc::new(AtomicUsize::new(0));
        let (looking, seen) = (token.clone(), Arc::clone(&done));
        let child = thread::spawn(move || {
            if looking.is_stopped() {
                assert_eq!(seen.load(Relaxed), 1);
            }
        });
        done.store(1, Relaxed);
        ask(&token, None);
        child.join().expect("no panic");
    });
}

/// A callback is registered while a stop is asked for: it is called once, whoever calls it.
#[test]
fn a_callback_that_comes_against_a_request() {
    model(|| {
        let token = StopToken::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let asking = token.clone();
        let request = thread::spawn(move || ask(&asking, None));
        let counted = Arc::clone(&calls);
        let guard = token.on_stop(move || {
            counted.fetch_add(1, Relaxed);
        });
        request.join().expect("no panic");
        assert_eq!(calls.load(Relaxed), 1);
        drop(guard);
    });
}

/// A callback is taken back while two ask for a stop, each with a deadline: it is called once at most, what it has captured is
/// dropped, and the earlier deadline stands.
#[test]
fn a_callback_that_goes_against_two_requests() {
    model(|| {
        let token = StopToken::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let guard = token.on_stop(move || {
            counted.fetch_add(1, Relaxed);
        });
        let [early, late] = [1, 2].map(Instant::from_nanos);
        let asking = [late, early].map(|deadline| {
            let token = token.clone();
            thread::spawn(move || ask(&token, Some(deadline)))
        });
        drop(guard);
        for asking in asking {
            asking.join().expect("no panic");
        }
        assert!(calls.load(Relaxed) <= 1);
        assert_eq!(Arc::strong_count(&calls), 1);
        assert_eq!(token.deadline(), Some(early));
    });
}
