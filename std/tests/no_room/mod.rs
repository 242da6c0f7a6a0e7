//! Tests of what happens when the address space has no room for another thread.

use super::alone::alone;
use std::process::Command;

/// Of every thread, in bytes: so much that half of it is enough for all else.
pub(crate) const STACK: u64 = 64 << 20;

/// Tells a process that it is the one in which that is so.
const MARK: &str = "BEDPLATE_TEST_NO_ROOM";

/// How much of the address space this process uses, in bytes.
pub(crate) fn used() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSize:"));
    let kibibytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kibibytes.parse::<u64>().unwrap() << 10
}

/// Runs `body`, the whole of the test `name`, in a process of its own, where a thread takes a [`STACK`] and next to nothing
/// more. Otherwise the allocator might reserve room for each thread as well: then how much is left when no other fits in
/// depends on the machine, and may be so little that the next allocation ends the process, as it does in any program.
pub(crate) fn with_large_stacks(name: &str, body: impl FnOnce()) {
    alone(name, || {
        if std::env::var_os(MARK).is_none() {
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.args([name, "--exact", "--nocapture", "--test-threads=1"]);
            again.env(MARK, "").env("RUST_MIN_STACK", STACK.to_string());
            again.env("MALLOC_ARENA_MAX", "1");
            assert!(again.status().unwrap().success());
        } else if used() > 1 << 40 {
            println!("left out: a sanitizer has reserved all there is");
        } else {
            body();
        }
    });
}
