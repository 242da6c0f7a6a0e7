//! A request that would wait for whoever makes it is answered, and never hangs. Each in a process of its own, for
//! what breaks this promise hangs. Case 70 of the project's list of failure cases.

mod alone;

use alone::alone;
use bedplate::supervisor::{
    ChildSpec, Incarnation, Ready, Restart, StartChildError, Stop, SupRef, Supervisor,
    TerminateError,
};
use core::time::Duration;
use std::sync::{Mutex, OnceLock, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

fn steady(id: &str) -> ChildSpec {
    ChildSpec::worker(id, obedient).stop(Stop::Forever)
}

#[test]
fn f70_for_its_own_end() {
    alone("f70_for_its_own_end", || {
        let (tell, told) = mpsc::channel();
        let child = ChildSpec::worker("child", move |me| {
            tell.send(me.supervisor().terminate("child")).unwrap();
            me.supervisor().request_stop();
            obedient(me);
        });
        let supervisor = Supervisor::builder("app")
            .child(child.stop(Stop::Forever))
            .start()
            .unwrap();
        assert_eq!(
            told.recv_timeout(PATIENCE).unwrap(),
            Err(TerminateError::WouldDeadlock)
        );
        let _reason = supervisor.wait();
    });
}

#[test]
fn f70_for_a_start_behind_its_own() {
    alone("f70_for_a_start_behind_its_own", || {
        let (tell, told) = mpsc::channel();
        let child = ChildSpec::worker("child", move |me| {
            let handle = me.supervisor();
            tell.send(handle.start_child(steady("other")).map(drop))
                .unwrap();
            me.ready();
            tell.send(handle.start_child(steady("other")).map(drop))
                .unwrap();
            obedient(me);
        });
        let child = child.ready(Ready::Signalled { within: PATIENCE });
        let supervisor = Supervisor::builder("app").child(child).start().unwrap();
        let error = told.recv_timeout(PATIENCE).unwrap().unwrap_err();
        assert!(matches!(
            &error,
            StartChildError::WouldDeadlock { spec: Some(_) }
        ));
        assert!(told.recv_timeout(PATIENCE).unwrap().is_ok());
        assert_eq!(supervisor.shutdown().clean, ["other", "child"]);
    });
}

#[test]
fn f70_for_each_other() {
    alone("f70_for_each_other", || {
        let (tell, told) = mpsc::channel();
        let child = |id: &'static str, other: &'static str| {
            let tell = tell.clone();
            let spec = ChildSpec::worker(id, move |me| {
                while me.supervisor().child(other).is_none() {
                    std::thread::yield_now();
                }
                tell.send(me.supervisor().terminate(other)).unwrap();
                obedient(me);
            });
            spec.stop(Stop::Forever)
        };
        let supervisor = Supervisor::builder("app")
            .child(child("a", "b"))
            .child(child("b", "a"))
            .start()
            .unwrap();
        let answers = [(); 2].map(|()| told.recv_timeout(PATIENCE).unwrap());
        assert!(answers.contains(&Err(TerminateError::WouldDeadlock)));
        let _report = supervisor.shutdown();
    });
}

#[test]
fn f70_while_its_supervisor_stops_it() {
    alone("f70_while_its_supervisor_stops_it", || {
        let (tell, told) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let slow = ChildSpec::worker("slow", move |_| {
            held.lock().unwrap().recv().unwrap_err();
        });
        let child = ChildSpec::worker("child", move |me| {
            tell.send(me.supervisor().terminate("slow")).unwrap();
        });
        // Those behind are stopped first: the one that waits is asked while it does.
        let supervisor = Supervisor::builder("app")
            .child(slow.stop(Stop::Forever))
            .child(child.stop(Stop::Forever))
            .start()
            .unwrap();
        let handle = supervisor.handle();
        while handle
            .children()
            .iter()
            .all(|child| child.state == bedplate::supervisor::ChildState::Running)
        {
            std::thread::yield_now();
        }
        handle.request_stop();
        assert_eq!(
            told.recv_timeout(PATIENCE).unwrap(),
            Err(TerminateError::WouldDeadlock)
        );
        drop(release);
        let _reason = supervisor.wait();
    });
}

static HANDLE: OnceLock<SupRef> = OnceLock::new();

#[test]
fn f70_in_what_the_supervisor_calls() {
    alone("f70_in_what_the_supervisor_calls", || {
        let (tell, told) = mpsc::channel();
        let (ready, is_ready) = mpsc::channel();
        let child = ChildSpec::worker("child", move |me| {
            let tell = tell.clone();
            let (called, is_called) = mpsc::channel();
            let _guard = me.stop().on_stop(move || {
                let handle = HANDLE.get().unwrap();
                tell.send(handle.terminate("other")).unwrap();
                called.send(()).unwrap();
            });
            ready.send(()).unwrap();
            obedient(me);
            // A guard that goes before takes the callback back.
            is_called.recv_timeout(PATIENCE).unwrap();
        });
        let supervisor = Supervisor::builder("app")
            .child(steady("other"))
            .child(child)
            .start()
            .unwrap();
        let handle = HANDLE.get_or_init(|| supervisor.handle());
        is_ready.recv_timeout(PATIENCE).unwrap();
        handle.terminate("child").unwrap();
        assert_eq!(
            told.recv_timeout(PATIENCE).unwrap(),
            Err(TerminateError::WouldDeadlock)
        );
        assert_eq!(supervisor.shutdown().clean, ["other"]);
    });
}

/// Asks for the end of its own child when it is dropped.
struct Asks(mpsc::Sender<Result<(), TerminateError>>);

impl Drop for Asks {
    fn drop(&mut self) {
        let handle = HANDLE.get().unwrap();
        self.0.send(handle.terminate("child")).unwrap();
    }
}

#[test]
fn f70_in_what_its_body_leaves() {
    alone("f70_in_what_its_body_leaves", || {
        let (tell, told) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let child = ChildSpec::worker("child", move |_| -> () {
            let _gone = wait.lock().unwrap().recv();
            std::panic::panic_any(Asks(tell.clone()));
        });
        let supervisor = Supervisor::builder("app")
            .quiet_panics(true)
            .child(child.restart(Restart::Temporary).stop(Stop::Forever))
            .start()
            .unwrap();
        let handle = HANDLE.get_or_init(|| supervisor.handle());
        drop(go);
        assert_eq!(
            told.recv_timeout(PATIENCE).unwrap(),
            Err(TerminateError::WouldDeadlock)
        );
        while handle.count().specs > 0 {
            std::thread::yield_now();
        }
    });
}
