//! A supervised thread's panic is in its exit reason, and goes to the hook that was there before as any
//! other thread's does, unless the supervisor is asked to be quiet. One test, for hooks are the
//! process's.

use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Restart, StartError, Supervisor};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

static PRINTED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn f20_f21_f22_by_the_supervisor_or_by_the_previous_hook() {
    std::panic::set_hook(Box::new(|_| {
        // Relaxed: a counter that is read after the panicking threads were joined.
        PRINTED.fetch_add(1, Ordering::Relaxed);
    }));
    let printed = || PRINTED.load(Ordering::Relaxed);

    eight_children_panic_twice(true);
    assert_eq!(printed(), 0);
    eight_children_panic_twice(false);
    assert_eq!(printed(), 16); // also those that the bodies caught themselves
    let printed = || PRINTED.load(Ordering::Relaxed) - 16;

    let _payload = std::thread::spawn(|| panic!("unsupervised"))
        .join()
        .unwrap_err();
    assert_eq!(printed(), 1);

    // A hook set later displaces ours: the message is still known, the place is not.
    std::panic::set_hook(Box::new(|_| {}));
    let spec = ChildSpec::worker("late", |_| -> () { panic!("late") });
    let why = match Supervisor::builder("app")
        .limit(0, PATIENCE)
        .child(spec)
        .start()
    {
        Ok(supervisor) => match supervisor.wait() {
            ExitReason::GaveUp(why) => why,
            other => panic!("{other}"),
        },
        // It may end before the start is complete.
        Err(StartError::GaveUp(why)) => why,
        Err(error) => panic!("{error}"),
    };
    let ExitReason::Panicked(report) = &why.last else {
        panic!("{}", why.last)
    };
    assert_eq!((&*report.message, &report.location), ("late", &None));
}

fn eight_children_panic_twice(quiet: bool) {
    let mut builder = Supervisor::builder("app").quiet_panics(quiet);
    for number in 0..8 {
        let spec = ChildSpec::worker(format!("child-{number}"), move |me| -> () {
            while !me.stop().wait(PATIENCE) {}
            // What the body catches itself is not what ends it.
            let caught = std::panic::catch_unwind(|| panic!("caught"));
            assert!(caught.is_err());
            panic!("number {number}");
        });
        builder = builder.child(spec.restart(Restart::Temporary));
    }
    let supervisor = builder.start().unwrap();
    let inbox = Inbox::new();
    for child in supervisor.handle().children() {
        inbox.monitor(&child.child.unwrap());
    }
    let report = supervisor.shutdown();
    assert_eq!(report.failed.len(), 8);
    for _ in 0..8 {
        let down = inbox.recv_timeout(PATIENCE).unwrap();
        if let ExitReason::Panicked(report) = down.reason {
            let number = down.child.id().trim_start_matches("child-");
            assert_eq!(report.message, format!("number {number}"));
            assert!(
                report
                    .location
                    .as_ref()
                    .unwrap()
                    .contains("panics_are_reported_once")
            );
            assert_eq!(report.thread, down.child.path());
        }
    }
}
