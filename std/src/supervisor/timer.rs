//! The one thread that watches deadlines, for all supervisors of the process.
//!
//! It is started with the first supervisor, so that a process without supervisors has no thread
//! more, and a supervisor whose deadlines nobody would watch does not start. It calls nothing of a
//! user's. It is told only of deadlines that are really set, which is when a child is asked to stop;
//! an entry stays until it is due even if the child ends before, so there are as many entries as
//! stops were ordered within the longest limit.

use super::tree::{Tree, elsewhere};
use crate::clock;
use crate::sync::{Arc, Condvar, Mutex, Weak, thread};
use alloc::collections::BTreeMap;
use bedplate_core::clock::Instant;
use core::time::Duration;
use std::io;

struct Timer {
    running: bool,
    /// By time, then by a number that makes entries of one instant distinct.
    deadlines: BTreeMap<(Instant, u64), Weak<Tree>>,
    next: u64,
}

static TIMER: Mutex<Timer> = Mutex::new(Timer {
    running: false,
    deadlines: BTreeMap::new(),
    next: 0,
});
static CHANGED: Condvar = Condvar::new();

/// Starts the thread, unless it runs.
pub(super) fn ensure_running() -> io::Result<()> {
    let mut timer = TIMER.lock();
    if !timer.running {
        thread::Builder::new()
            .name("bedplate-timer".to_owned())
            .spawn(run)?;
        timer.running = true;
    }
    Ok(())
}

/// Has `tree` told when `deadline` has come.
pub(super) fn schedule(deadline: Instant, tree: Weak<Tree>) {
    let mut timer = TIMER.lock();
    let number = timer.next;
    timer.next += 1;
    timer.deadlines.insert((deadline, number), tree);
    drop(timer);
    CHANGED.notify_all();
}

fn run() {
    loop {
        let due = next_due();
        if let Some(tree) = due.upgrade() {
            tree.deadline_passed();
            // It may be the last to hold the exit reasons of a supervisor that is over.
            if let Some(last) = Arc::into_inner(tree) {
                elsewhere(Box::new(move || drop(last)));
            }
        }
    }
}

/// Waits until an entry is due and takes it out.
fn next_due() -> Weak<Tree> {
    let mut timer = TIMER.lock();
    loop {
        let now = clock::now();
        let seen = timer.next;
        match timer.deadlines.first_entry() {
            Some(first) if first.key().0 <= now => return first.remove(),
            first => {
                let wait = first.map_or(Duration::MAX, |first| {
                    first.key().0.saturating_duration_since(now)
                });
                timer = CHANGED.wait_while_for(timer, wait, |timer| timer.next == seen);
            }
        }
    }
}
