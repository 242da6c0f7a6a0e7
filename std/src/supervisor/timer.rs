//! The one thread that watches deadlines, for all supervisors of the process.
//!
//! It is started with the first supervisor, so that a process without supervisors has no thread
//! more, and a supervisor whose deadlines nobody would watch does not start. It calls nothing of a
//! user's. It is told only of deadlines that are really set, which is when a child is asked to stop,
//! waits out a delay, has to become ready, or is to be looked at whether it is stuck; and told again
//! when they no longer matter: there is an entry for each supervisor that waits for one. (Two threads
//! that tell it in the wrong order may leave one more, which is gone when it is due.)

use super::tree::{Tree, elsewhere};
use crate::clock;
use crate::sync::{Arc, Condvar, Mutex, Weak, thread};
use alloc::collections::BTreeMap;
use bedplate_core::clock::Instant;
use core::time::Duration;
use std::io;

struct Timer {
    running: bool,
    /// By time, then by the address of the tree, which is its own as long as the entry is there.
    deadlines: BTreeMap<(Instant, usize), Weak<Tree>>,
    /// How often an entry was added.
    added: u64,
}

static TIMER: Mutex<Timer> = Mutex::new(Timer {
    running: false,
    deadlines: BTreeMap::new(),
    added: 0,
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
    timer.added += 1;
    timer
        .deadlines
        .insert((deadline, tree.as_ptr().addr()), tree);
    drop(timer);
    CHANGED.notify_all();
}

/// Takes that back.
pub(super) fn unschedule(deadline: Instant, tree: &Arc<Tree>) {
    let key = (deadline, Arc::as_ptr(tree).addr());
    let unused = TIMER.lock().deadlines.remove(&key);
    drop(unused);
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
        let seen = timer.added;
        match timer.deadlines.first_entry() {
            Some(first) if first.key().0 <= now => return first.remove(),
            first => {
                let wait = first.map_or(Duration::MAX, |first| {
                    first.key().0.saturating_duration_since(now)
                });
                timer = CHANGED.wait_while_for(timer, wait, |timer| timer.added == seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::{ChildSpec, Stop, Supervisor};

    #[test]
    fn a_stop_that_was_in_time_leaves_no_deadline_behind() {
        const HOUR: Duration = Duration::from_secs(3_600);
        for _ in 0..100 {
            let child = ChildSpec::worker("child", |me| while !me.stop().wait(HOUR) {});
            let child = child.stop(Stop::Within(HOUR));
            let supervisor = Supervisor::builder("app").child(child).start().unwrap();
            assert_eq!(supervisor.shutdown().clean, ["child"]);
        }
        let soon = clock::now().saturating_add(HOUR / 2);
        let timer = TIMER.lock();
        assert_eq!(timer.deadlines.range((soon, 0)..).count(), 0);
    }
}
