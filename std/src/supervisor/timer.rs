//! The one thread that watches deadlines, for all supervisors of the process.
//!
//! It is started with the first supervisor, so that a process without supervisors has no thread
//! more, and a supervisor whose deadlines nobody would watch does not start. It calls nothing of a
//! user's. It is told only of deadlines that are really set, which is when a child is asked to stop,
//! waits out a delay, has to become ready, or is to be looked at whether it is stuck; and told again
//! when they no longer matter: there is an entry for each supervisor that waits for one.
//!
//! A supervisor decides under its lock, and tells the timer outside of it; so two threads may tell it in the wrong order.
//! Therefore each wish has a number, and one that comes late is not heard: the last decision is what
//! the timer knows in the end. Whether it keeps up is read from what is due and whom it is telling ([`is_late`]): a thread
//! that hangs need not say anything for that. One look is not enough, though, since a program that was paused finds everything due when it
//! goes on, perhaps before this thread had a chance to run ([`Lateness`]); so it looks itself, too, whenever it comes round. An entry that
//! was due is taken out, and its supervisor says afresh what it waits for.

use super::elsewhere::elsewhere;
use super::tree::Tree;
use crate::clock;
use crate::sync::{Arc, Condvar, Mutex, Weak, thread};
use alloc::collections::BTreeMap;
use bedplate_core::clock::Instant;
use bedplate_core::health::Lateness;
use core::time::Duration;
use std::io;

/// Who is behind by more is late: not for want of a processor, but because it hangs, or the whole machine does …
const LATE: Duration = Duration::from_secs(5);
/// … unless the program was paused, after which so much is more than enough to catch up, however busy the machine is.
const GRACE: Duration = Duration::from_secs(1);

struct Timer {
    running: bool,
    /// By time, then by the address of the tree, which is its own as long as the entry is there.
    deadlines: BTreeMap<(Instant, usize), Weak<Tree>>,
    /// How often an entry was added.
    added: u64,
    /// Since when a supervisor is told.
    telling: Option<Instant>,
    lateness: Lateness,
}

static TIMER: Mutex<Timer> = Mutex::new(Timer {
    running: false,
    deadlines: BTreeMap::new(),
    added: 0,
    telling: None,
    lateness: Lateness::new(LATE, GRACE),
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

/// Whether it does not keep up: something was due so long ago, or a supervisor is told of it for so long, and that was seen a while
/// ago already.
pub(super) fn is_late() -> bool {
    let mut timer = TIMER.lock();
    timer.is_late(clock::now())
}

impl Timer {
    fn is_late(&mut self, now: Instant) -> bool {
        let due = self.deadlines.keys().next().map(|(due, _)| *due);
        let undone = [due, self.telling].into_iter().flatten().min();
        self.lateness.look(now, undone)
    }
}

/// What a supervisor has last said to the timer; kept with it.
#[derive(Debug, Default)]
pub(super) struct Wish {
    number: u64,
    deadline: Option<Instant>,
}

/// Has `tree` told when `deadline` has come, and at no other time, unless it has wished something else since: the wishes of
/// one are numbered from one on.
pub(super) fn set(tree: &Arc<Tree>, number: u64, deadline: Option<Instant>) {
    let mut wish = tree.timed().lock();
    if number <= wish.number {
        return;
    }
    let before = core::mem::replace(&mut *wish, Wish { number, deadline });
    let address = Arc::as_ptr(tree).addr();
    let mut timer = TIMER.lock();
    let unused = before
        .deadline
        .and_then(|before| timer.deadlines.remove(&(before, address)));
    if let Some(deadline) = deadline {
        timer.added += 1;
        let tree = Arc::downgrade(tree);
        timer.deadlines.insert((deadline, address), tree);
    }
    drop(timer);
    drop(wish);
    drop(unused);
    if deadline.is_some() {
        CHANGED.notify_all();
    }
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
    timer.telling = None;
    loop {
        let now = clock::now();
        // Who has caught up is doubted no longer.
        timer.is_late(now);
        let seen = timer.added;
        match timer.deadlines.first_entry() {
            Some(first) if first.key().0 <= now => {
                let due = first.remove();
                timer.telling = Some(now);
                return due;
            }
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
    fn the_last_decision_holds_whoever_tells_it_first() {
        const DAY: Duration = Duration::from_secs(86_400);
        let supervisor = Supervisor::builder("app").start().unwrap();
        let tree = supervisor.handle().tree.upgrade().unwrap();
        let address = Arc::as_ptr(&tree).addr();
        let in_days = |days| clock::now().saturating_add(days * DAY);
        let known = || {
            let timer = TIMER.lock();
            let all = timer.deadlines.keys();
            let own = all.filter(|(_, of)| *of == address);
            own.map(|&(deadline, _)| deadline).collect::<Vec<_>>()
        };
        let (one, two) = (in_days(1), in_days(2));
        // Its own wishes are numbered from one on; there are none of these.
        set(&tree, 1_001, Some(two));
        set(&tree, 1_000, Some(one));
        assert_eq!(known(), [two], "what comes late is not heard");
        set(&tree, 1_003, None);
        set(&tree, 1_002, Some(one));
        assert_eq!(known(), []);
        set(&tree, 1_004, Some(one));
        assert_eq!(known(), [one]);
        set(&tree, 1_005, Some(two));
        assert_eq!(known(), [two], "one at a time");
        set(&tree, 1_006, None);
        assert_eq!(known(), []);
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    fn idle() -> Timer {
        Timer {
            running: true,
            deadlines: BTreeMap::new(),
            added: 0,
            telling: None,
            lateness: Lateness::new(LATE, GRACE),
        }
    }

    #[test]
    fn it_is_late_when_it_is_behind_or_does_not_come_back() {
        let mut timer = idle();
        assert!(!timer.is_late(at(1_000)), "nobody waits for it");
        timer.deadlines.insert((at(1_000), 0), Weak::new());
        for now in 1_005..=1_007 {
            assert!(!timer.is_late(at(now)));
        }
        assert!(timer.is_late(at(1_008)));
        timer.deadlines.clear();
        timer.telling = Some(at(2_000));
        for now in 2_005..=2_007 {
            assert!(!timer.is_late(at(now)));
        }
        assert!(timer.is_late(at(2_008)));
    }

    #[test]
    fn it_is_not_late_because_the_program_was_paused() {
        let mut timer = idle();
        let paused = |timer: &mut Timer, from: u64| {
            timer.deadlines.insert((at(from), 0), Weak::new());
            // Whoever comes first when it goes on is faster than the timer's own thread.
            assert!(!timer.is_late(at(from + 3_600)));
            assert!(!timer.is_late(at(from + 3_600)));
            timer.deadlines.clear();
            assert!(!timer.is_late(at(from + 3_600)), "it comes round");
        };
        paused(&mut timer, 1_000);
        paused(&mut timer, 10_000);
    }

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
