//! What bedplate does where a panic ends the process (`panic = "abort"`): all that needs no catching of panics. Runs itself
//! again for what ends a process, and fails if anything is not as it is said to be.

use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Incarnation, StartError, Strategy, Supervisor};
use core::time::Duration;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::mpsc;

const HOUR: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(60);
const SIGABRT: i32 = 6;

fn obedient(me: &Incarnation) {
    while !me.stop().wait(HOUR) {}
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("panic") {
        panic_in_a_child();
    }
    errors_are_restarted();
    who_requires_unwinding_is_refused();
    a_panic_ends_the_process_and_is_printed();
    println!("all as promised");
}

/// Case 23 of the project's list.
fn errors_are_restarted() {
    let (tell, told) = mpsc::channel();
    let failing = ChildSpec::worker("failing", move |me| {
        tell.send(me.number()).unwrap();
        if me.number() <= 3 {
            return Err("not yet");
        }
        obedient(me);
        Ok(())
    });
    let supervisor = Supervisor::builder("app")
        .strategy(Strategy::OneForAll)
        .child(ChildSpec::worker("sibling", obedient))
        .child(failing)
        .start()
        .unwrap();
    for number in 1..=4 {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(number));
    }
    let inbox = Inbox::new();
    inbox.monitor(&supervisor.handle().child("failing").unwrap());
    let report = supervisor.shutdown();
    assert_eq!(report.clean, ["failing", "sibling"]);
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(down.reason, ExitReason::Shutdown));
}

fn who_requires_unwinding_is_refused() {
    let pool = || Supervisor::builder("pool").requires_unwinding();
    assert!(matches!(pool().start(), Err(StartError::NeedsUnwinding)));
    let nested = Supervisor::builder("app")
        .child(ChildSpec::supervisor("pool", pool))
        .start();
    let Err(StartError::Child { id, error }) = nested.map(drop) else {
        panic!("it was started")
    };
    assert_eq!(
        (id.as_str(), error.to_string().as_str()),
        (
            "pool",
            "a panic ends the process here, and cannot be caught"
        )
    );
}

/// Also if the supervisor was told to be quiet: there is nobody any more who would tell.
fn a_panic_ends_the_process_and_is_printed() {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("panic")
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(SIGABRT), "{}", output.status);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("said at last"), "{told}");
}

fn crash(_: &Incarnation) {
    panic!("said at last");
}

fn panic_in_a_child() -> ! {
    let child = ChildSpec::worker("child", crash);
    let supervisor = Supervisor::builder("app").quiet_panics(true).child(child);
    let ended = supervisor.start().map(Supervisor::wait);
    unreachable!("{ended:?}")
}
