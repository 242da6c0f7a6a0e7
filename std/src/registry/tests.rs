//! Waiting for a key, without a registry. Not beside the code, which the models of `loom-tests` include.

use super::reserved;
use super::wait::Waiting;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, thread};
use core::cell::Cell;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::task::Wake;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn what_is_registered_before_the_queue_is_entered_is_seen() {
    let waiting = Waiting::default();
    let looks = Cell::new(0);
    let found = waiting.wait("a", PATIENCE, None, || {
        looks.set(looks.get() + 1);
        if looks.get() == 1 {
            // Somebody registers it just after this look.
            waiting.after(waiting.before("a"));
        }
        (looks.get() > 1).then_some(())
    });
    assert_eq!((found, looks.get(), waiting.count()), (Ok(()), 2, 0));
}

#[test]
fn who_comes_while_a_key_is_being_registered_is_woken() {
    let waiting = Arc::new(Waiting::default());
    let registered = Arc::new(Mutex::new(false));
    // When nobody waits, so that the key has no hash.
    let notice = waiting.before("a");
    let (theirs, is_registered) = (waiting.clone(), registered.clone());
    let waiter = thread::spawn(move || {
        let look = || is_registered.lock().then_some(());
        theirs.wait("a", PATIENCE, None, look)
    });
    while waiting.count() == 0 {
        thread::yield_now();
    }
    *registered.lock() = true;
    waiting.after(notice);
    assert_eq!(waiter.join().unwrap(), Ok(()));
    assert_eq!(waiting.count(), 0);
}

#[derive(Default)]
struct Counting(AtomicUsize);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        // Relaxed: one thread.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn nobody_is_woken_for_another_key() {
    let waiting = Waiting::default();
    let wakes = Arc::new(Counting::default());
    // Relaxed: one thread.
    let woken = || wakes.0.load(Ordering::Relaxed);
    let waker = Waker::from(wakes.clone());
    let mut context = Context::from_waker(&waker);
    let mut wait = pin!(waiting.wait_as_task("b", || None::<()>));
    assert_eq!(wait.as_mut().poll(&mut context), Poll::Pending);
    waiting.after(waiting.before("a"));
    assert_eq!(woken(), 0);
    waiting.after(waiting.before("b"));
    assert_eq!(woken(), 1);
}

/// A child that does not start leaves no reservation, nor does one that was given another name.
#[test]
fn names_are_kept_only_for_those_who_come_back() {
    use crate::supervisor::{ChildSpec, Incarnation, Ready, Supervisor};

    let obedient = |me: &Incarnation| while !me.stop().wait(PATIENCE) {};
    let supervisor = Supervisor::builder("reserving").start().expect("it can");
    let handle = supervisor.handle();
    let ends_early =
        ChildSpec::worker("child", |_| ()).ready(Ready::Signalled { within: PATIENCE });
    let refused = handle.start_child(ends_early.register("reserved/refused"));
    assert!(!reserved::is("reserved/refused"), "{refused:?}");

    let named = |name: &str| ChildSpec::worker("child", obedient).register(name);
    handle
        .start_child(named("reserved/old"))
        .expect("it starts");
    assert!(reserved::is("reserved/old"));
    handle
        .change_child(named("reserved/new"))
        .expect("it is there");
    handle.terminate("child").expect("it runs");
    handle.restart("child").expect("it rests");
    assert!(reserved::is("reserved/new") && !reserved::is("reserved/old"));
    let _report = supervisor.shutdown();
    assert!(!reserved::is("reserved/new"));
}
