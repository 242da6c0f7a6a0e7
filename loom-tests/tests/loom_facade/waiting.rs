//! Models of waiting for a key: `std/src/registry/wait.rs`. That it is registered is a flag, set and read as core does it,
//! with Release and Acquire.
//!
//! Who waits is the thread that is spawned: its last look is what loom moves before the registration.

use crate::HOUR;
use crate::model;
use crate::registry::{WaitError, Waits};
use crate::stop::StopToken;
use crate::sync::{Condvar, Mutex};
use core::pin::pin;
use core::sync::atomic::Ordering::{Acquire, Release};
use core::task::{Context, Poll, Waker};
use loom_tests::thread;
use std::sync::Arc;
use std::task::Wake;

#[cfg(bedplate_loom)]
use loom::sync::atomic::AtomicBool;
#[cfg(not(bedplate_loom))]
use std::sync::atomic::AtomicBool;

/// A key, and who waits for it.
#[derive(Default)]
struct Scene {
    waits: Waits,
    registered: AtomicBool,
}

impl Scene {
    fn register(&self) {
        self.waits
            .register("key", || self.registered.store(true, Release));
    }

    fn is_registered(&self) -> bool {
        self.registered.load(Acquire)
    }
}

/// [W1] A key is registered while somebody begins to wait for it: he finds it, or is woken.
#[test]
fn a_registration_against_a_wait() {
    model(|| {
        let scene = Arc::new(Scene::default());
        let theirs = scene.clone();
        let waiting =
            thread::spawn(move || theirs.waits.wait("key", None, || theirs.is_registered()));
        scene.register();
        assert_eq!(waiting.join().expect("no panic"), Ok(()));
        assert_eq!(scene.waits.count(), 0);
    });
}

/// Wakes a thread that polls.
#[derive(Default)]
struct Alarm {
    rings: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    fn wait(&self) {
        let rings = self.rings.lock();
        let mut rings = self.changed.wait_while_for(rings, HOUR, |rings| !*rings);
        *rings = false;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.rings.lock() = true;
        self.changed.notify_all();
    }
}

/// [W1] The same, and who waits is a task.
#[test]
fn a_registration_against_a_task() {
    model(|| {
        let scene = Arc::new(Scene::default());
        let theirs = scene.clone();
        let waiting = thread::spawn(move || {
            let alarm = Arc::new(Alarm::default());
            let waker = Waker::from(alarm.clone());
            let mut context = Context::from_waker(&waker);
            let wait = theirs.waits.wait_as_task("key", || theirs.is_registered());
            let mut wait = pin!(wait);
            while wait.as_mut().poll(&mut context) == Poll::Pending {
                alarm.wait();
            }
        });
        scene.register();
        waiting.join().expect("no panic");
        assert_eq!(scene.waits.count(), 0);
    });
}

/// Whoever waits is asked to stop: he stops waiting.
#[test]
fn a_request_to_stop_against_a_wait() {
    model(|| {
        let scene = Arc::new(Scene::default());
        let stop = StopToken::new();
        let (theirs, asked) = (scene.clone(), stop.clone());
        let waiting = thread::spawn(move || {
            theirs
                .waits
                .wait("key", Some(&asked), || theirs.is_registered())
        });
        if stop.request(None) {
            stop.call_back();
        }
        assert_eq!(waiting.join().expect("no panic"), Err(WaitError::Stopped));
        assert_eq!(scene.waits.count(), 0);
    });
}
