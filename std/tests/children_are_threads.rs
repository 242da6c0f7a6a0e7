//! What comes of it that a child is a thread: it has a name, may die at once, and cannot be killed. Numbers are those of the
//! project's list of failure cases.

mod alone;

use alone::alone;
use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::registry;
use bedplate::supervisor::{Backoff, ChildSpec, Ready, Restart, Stop, Strategy, Supervisor};
use core::time::Duration;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_millis(20);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[cfg(target_os = "linux")]
#[test]
fn f11_a_long_path_is_whole_in_the_program_and_cut_by_the_system() {
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("receives-orders-from-the-counter", move |me| {
        let own = thread::current();
        let known = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        let names = (own.name().unwrap().to_owned(), known);
        tell.send(names).unwrap();
        while !me.stop().wait(PATIENCE) {}
    });
    let supervisor = Supervisor::builder("shop").child(child).start().unwrap();
    let (name, known) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(name, "shop/receives-orders-from-the-counter");
    // Which part of it the system keeps is the standard library's affair.
    assert!(known.trim_end().len() <= 15, "{known}");
    assert_eq!(supervisor.shutdown().clean.len(), 1);
}

#[test]
fn f91_who_dies_in_its_first_instruction_is_told_of_as_any_other() {
    let inbox = Inbox::new();
    for round in 0..200 {
        let child = ChildSpec::worker("short", |_| ()).restart(Restart::Temporary);
        let supervisor = Supervisor::builder("app").strategy(Strategy::Dynamic);
        let supervisor = supervisor.start().unwrap();
        let child = supervisor.handle().start_child(child).unwrap();
        inbox.monitor(&child);
        let down = inbox.recv_timeout(PATIENCE).unwrap();
        assert!(
            matches!(down.reason, ExitReason::Normal | ExitReason::Gone),
            "round {round}: {}",
            down.reason
        );
        // Its supervisor is told after its monitors.
        while supervisor.handle().count().active > 0 {
            thread::yield_now();
        }
    }
}

/// A child that takes an address, and another one whose crash takes it along. The first one does not stop, and keeps the
/// address until it is released.
#[test]
fn f80_who_takes_a_resource_along_is_waited_for_with_delays() {
    // The first one's, so that nobody else on the machine takes it meanwhile.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let first = Mutex::new(Some((listener, released)));
    let (tell, told) = mpsc::channel();
    let tries = Arc::new(AtomicUsize::new(0));
    let tried = tries.clone();
    let server = ChildSpec::worker("server", move |me| -> std::io::Result<()> {
        // Relaxed: a count.
        tried.fetch_add(1, Ordering::Relaxed);
        let first = first.lock().unwrap().take();
        let (listener, released) = match first {
            Some((listener, released)) => (listener, Some(released)),
            None => (TcpListener::bind(address)?, None),
        };
        me.ready();
        tell.send(me.number()).unwrap();
        match released {
            // Deaf.
            Some(released) => drop(released.recv()),
            None => while !me.stop().wait(PATIENCE) {},
        }
        drop(listener);
        Ok(())
    });
    let (crash, crashes) = mpsc::channel::<()>();
    let crashes = Mutex::new(Some(crashes));
    let sibling = ChildSpec::worker("sibling", move |me| {
        let first = crashes.lock().unwrap().take();
        if let Some(crashes) = first {
            crashes.recv().unwrap();
            return Err("as planned");
        }
        while !me.stop().wait(PATIENCE) {}
        Ok(())
    });
    let server = server
        .stop(Stop::Within(LIMIT))
        .ready(Ready::Signalled { within: PATIENCE })
        .backoff(Backoff::new(ms(20), ms(100)).unwrap());
    let supervisor = Supervisor::builder("app")
        .strategy(Strategy::OneForAll)
        .limit(128, Duration::from_secs(3_600))
        .child(server.clone())
        .child(sibling)
        .start()
        .unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(1));
    crash.send(()).unwrap();
    // It tries, and tries again.
    // Relaxed, here and below: a count.
    while tries.load(Ordering::Relaxed) < 4 {
        thread::yield_now();
    }
    assert!(told.try_recv().is_err(), "the address is taken");
    release.send(()).unwrap();
    assert!(told.recv_timeout(PATIENCE).unwrap() > 2);
    // Who obeys has time enough.
    let server = server.stop(Stop::Within(PATIENCE));
    supervisor.handle().change_child(server).unwrap();
    let report = supervisor.shutdown();
    assert_eq!(report.abandoned, ["server"]);
}

#[test]
fn f77_one_that_was_abandoned_may_hold_nothing_any_more() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(Some(released));
    let (tell, told) = mpsc::channel();
    let child = ChildSpec::worker("late", move |me| {
        let first = released.lock().unwrap().take();
        let Some(released) = first else {
            me.register("children.threads").unwrap();
            tell.send(None).unwrap();
            while !me.stop().wait(PATIENCE) {}
            return;
        };
        // Deaf.
        let _released = released.recv();
        tell.send(Some(me.register("children.threads").is_err()))
            .unwrap();
    });
    let supervisor = Supervisor::builder("app")
        .child(child.clone().stop(Stop::Within(LIMIT)))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    handle.terminate("late").unwrap();
    assert_eq!(handle.count().abandoned, 1);
    // Who obeys has time enough.
    let child = child.stop(Stop::Within(PATIENCE));
    handle.change_child(child).unwrap();
    handle.restart("late").unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(None));
    let owner = registry::whereis("children.threads").unwrap();
    release.send(()).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Some(true)), "it is refused");
    assert_eq!(registry::whereis("children.threads"), Some(owner));
    assert_eq!(supervisor.shutdown().clean, ["late"]);
}

#[test]
fn f82_a_program_ends_beside_those_that_were_abandoned() {
    alone(
        "f82_a_program_ends_beside_those_that_were_abandoned",
        || {
            let deaf = ChildSpec::worker("deaf", |_| -> () {
                loop {
                    thread::park();
                }
            });
            let supervisor = Supervisor::builder("app")
                .child(deaf.stop(Stop::Within(LIMIT)))
                .start()
                .unwrap();
            assert_eq!(supervisor.shutdown().abandoned, ["deaf"]);
        },
    );
}
