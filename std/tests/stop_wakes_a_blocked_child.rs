//! A request to stop reaches a child wherever it blocks.

use bedplate::supervisor::{ChildSpec, Stop, Supervisor};
use core::time::Duration;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(30);
const EVER: Duration = Duration::MAX;

#[test]
fn f65_in_accept_through_a_callback() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (ready, is_ready) = mpsc::channel();
    let server = ChildSpec::worker("server", move |me| -> io::Result<()> {
        let address = listener.local_addr()?;
        let _unblock = me.stop().on_stop(move || drop(TcpStream::connect(address)));
        ready.send(()).unwrap();
        while !me.stop().is_stopped() {
            listener.accept()?;
        }
        Ok(())
    });
    let supervisor = Supervisor::builder("app").child(server).start().unwrap();
    is_ready.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["server"]);
}

#[test]
fn f67_in_wait_whoever_eats_its_park_token() {
    let (ready, is_ready) = mpsc::channel();
    let sleeper = ChildSpec::worker("sleeper", move |me| {
        std::thread::current().unpark();
        std::thread::park();
        assert!(!me.stop().wait(Duration::ZERO));
        assert_eq!(me.stop().deadline(), None);
        ready.send(me.stop().clone()).unwrap();
        assert!(me.stop().wait(EVER));
        assert!(me.stop().wait(EVER), "it stays so");
    });
    let supervisor = Supervisor::builder("app").child(sleeper).start().unwrap();
    let token = is_ready.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["sleeper"]);
    assert!(token.is_stopped());
    assert!(token.deadline() > Some(bedplate::clock::now()));
}

#[test]
fn f69_callbacks_run_once_in_order_and_past_one_that_panics() {
    let (calls, seen) = mpsc::channel();
    let seen = Mutex::new(seen);
    let (ready, is_ready) = mpsc::channel();
    let child = ChildSpec::worker("child", move |me| -> Result<(), String> {
        let call = |what: &'static str| {
            let calls = calls.clone();
            move || calls.send(what).unwrap()
        };
        let _first = me.stop().on_stop(call("first"));
        let _panicking = me.stop().on_stop(|| panic!("a callback panics"));
        drop(me.stop().on_stop(call("taken back")));
        let _second = me.stop().on_stop(call("second"));
        ready.send(()).unwrap();

        let seen = seen.lock().unwrap();
        let called = [seen.recv_timeout(PATIENCE), seen.recv_timeout(PATIENCE)];
        assert_eq!(called, [Ok("first"), Ok("second")]);
        assert!(me.stop().is_stopped());
        let _late = me.stop().on_stop(call("late"));
        assert_eq!(
            seen.try_recv(),
            Ok("late"),
            "it is called at once, and here"
        );
        assert!(seen.try_recv().is_err());
        Ok(())
    })
    .stop(Stop::Forever); // printing a panic can take seconds under a sanitizer
    let supervisor = Supervisor::builder("app").child(child).start().unwrap();
    is_ready.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn a_callback_whose_turn_has_not_come_can_still_be_taken_back() {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let (ready, is_ready) = mpsc::channel();
    let (called, was_called) = mpsc::channel::<()>();
    let inside = Mutex::new(Some((begun, wait, called, has_begun, go_on)));
    let child = ChildSpec::worker("child", move |me| {
        let (begun, wait, called, has_begun, go_on) = inside.lock().unwrap().take().unwrap();
        let _slow = me.stop().on_stop(move || {
            begun.send(()).unwrap();
            wait.recv_timeout(PATIENCE).unwrap();
        });
        let next = me.stop().on_stop(move || called.send(()).unwrap());
        ready.send(()).unwrap();
        has_begun.recv_timeout(PATIENCE).unwrap();
        drop(next);
        go_on.send(()).unwrap();
    });
    let supervisor = Supervisor::builder("app").child(child).start().unwrap();
    is_ready.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["child"]);
    assert!(
        was_called.recv_timeout(PATIENCE).is_err(),
        "dropped without a call"
    );
}

#[test]
fn f66_f68_whatever_the_moment() {
    for _ in 0..300 {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let child = ChildSpec::worker("child", move |me| {
            let _going = wait.lock().unwrap().try_recv();
            while !me.stop().wait(EVER) {}
        });
        let supervisor = Supervisor::builder("app").child(child).start().unwrap();
        let _ = go.send(());
        assert_eq!(supervisor.shutdown().clean, ["child"]);
    }
}
