//! What an `on_stop` callback captured is dropped before the `Down` of its child, and not where it
//! could block or break the supervisor, even if its guard outlives the body.

mod alone;

use alone::alone;
use bedplate::monitor::Inbox;
use bedplate::supervisor::{ChildSpec, Stop, SupRef, Supervisor};
use core::time::Duration;
use std::sync::{Arc, Mutex, OnceLock, mpsc};

const PATIENCE: Duration = Duration::from_secs(30);

/// Calls a function when dropped.
struct Last<F: FnMut()>(F);

impl<F: FnMut()> Drop for Last<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A child that fails to take its callback back the first time it runs: the guard is kept by what
/// all incarnations share. It ends once `go` is dropped.
fn forgetful(
    last_words: impl Fn() + Clone + Send + 'static,
) -> (ChildSpec, mpsc::Sender<()>, mpsc::Receiver<u64>) {
    let (go, wait) = mpsc::channel::<()>();
    let (runs, seen) = mpsc::channel();
    let last_words = Mutex::new(last_words);
    let (wait, kept) = (Mutex::new(wait), Mutex::new(Vec::new()));
    let spec = ChildSpec::worker("forgetful", move |me| {
        if me.number() == 1 {
            let last = Last(last_words.lock().unwrap().clone());
            let guard = me.stop().on_stop(move || {
                let _all_of_it = &last;
            });
            kept.lock().unwrap().push(guard);
            runs.send(1).unwrap();
            wait.lock().unwrap().recv().unwrap_err();
            return;
        }
        runs.send(me.number()).unwrap();
        while !me.stop().wait(PATIENCE) {}
    });
    (spec.stop(Stop::Forever), go, seen)
}

#[test]
fn and_may_ask_the_supervisor() {
    alone("and_may_ask_the_supervisor", || {
        let handle: Arc<OnceLock<SupRef>> = Arc::default();
        let (counted, counts) = mpsc::channel();
        let theirs = handle.clone();
        let (spec, go, runs) = forgetful(move || {
            counted.send(theirs.get().unwrap().count()).unwrap();
        });
        let supervisor = Supervisor::builder("app").child(spec).start().unwrap();
        handle.set(supervisor.handle()).unwrap();
        let inbox = Inbox::new();
        assert_eq!(runs.recv_timeout(PATIENCE), Ok(1));
        inbox.monitor(&supervisor.handle().child("forgetful").unwrap());
        drop(go);
        let down = inbox.recv_timeout(PATIENCE).unwrap();
        assert!(down.reason.is_clean());
        // Before the `Down`, not some time after it.
        assert_eq!(counts.try_recv().unwrap().specs, 1);
        assert_eq!(runs.recv_timeout(PATIENCE), Ok(2));
        assert_eq!(supervisor.shutdown().clean, ["forgetful"]);
    });
}

#[test]
fn and_may_panic() {
    alone("and_may_panic", || {
        let (spec, go, runs) = forgetful(|| panic!("destructor of a callback's capture"));
        let supervisor = Supervisor::builder("app").child(spec).start().unwrap();
        assert_eq!(runs.recv_timeout(PATIENCE), Ok(1));
        drop(go);
        assert_eq!(runs.recv_timeout(PATIENCE), Ok(2));
        assert_eq!(supervisor.handle().count().active, 1);
        assert_eq!(supervisor.shutdown().clean, ["forgetful"]);
    });
}
