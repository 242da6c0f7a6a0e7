//! Runs a test in a process of its own: for a promise that, when broken, would abort or hang the
//! process.

use core::time::Duration;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Only a failure takes so long.
const LIMIT: Duration = Duration::from_secs(300);

const MARK: &str = "BEDPLATE_TEST_ALONE";
pub(crate) const DONE: &str = "the body has returned";

/// Runs `body`, the whole of the test `name`, in a process of its own. Fails if that fails, aborts
/// or does not end. Returns what it printed to standard error (in that process itself, nothing).
pub(crate) fn alone(name: &str, body: impl FnOnce()) -> String {
    if std::env::var_os(MARK).is_some() {
        body();
        println!("{DONE}");
        return String::new();
    }
    let mut printed = tempfile::tempfile().unwrap();
    let mut told = tempfile::tempfile().unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, "")
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(printed.try_clone().unwrap())
        .stderr(told.try_clone().unwrap())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break Some(status);
        }
        if begun.elapsed() > LIMIT {
            process.kill().unwrap();
            let _killed = process.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let [stdout, stderr] = [&mut printed, &mut told].map(|file| {
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    match status {
        None => panic!("it hangs:\n{stdout}{stderr}"),
        Some(status) => assert!(
            status.success() && stdout.contains(DONE),
            "{status}:\n{stdout}{stderr}"
        ),
    }
    stderr
}
