//! Children that are processes of the operating system.
//!
//! ```text
//! Start ── run the command, in a process group of its own ── a thread waits for its end
//! Stop  ── SIGTERM to the group ── after its time, SIGKILL to the group ── the thread learns of the end
//! end   ── whatever is left of the group is killed ── the process is reaped ── the end of an incarnation, as of any thread
//! the program itself is gone, however ── its keeper kills what is left of all groups
//! ```
//!
//! A thread waits for each process. One for all would have to be woken by `SIGCHLD`, whose handler belongs to the
//! program, or by a descriptor that only Linux has; a thread that waits for one process costs what the thread of a
//! worker costs, counts in the same budget, and ends with it. While a process is being stopped there is one thread more, which
//! kills it if it must.
//!
//! A process group is addressed by a number that the system uses again when nobody has it any more. As long as its
//! first process is not reaped, that is not so; so whoever sends a signal holds the lock under which it is reaped.

mod keeper;

use super::life::{self, Launch};
use super::spec::Work;
use super::tree::{News, Tree};
use super::{ChildSpec, StartError, report, request};
use crate::clock;
use crate::process::panic::{attempt, discard};
use crate::process::{CommandFailed, ExitReason, ThreadPermit};
use crate::stop::StopToken;
use crate::sync::{Arc, Condvar, Mutex, thread};
use bedplate_core::clock::Instant;
use bedplate_core::supervision::{IncarnationId, Stop};
use core::time::Duration;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ExitStatus};

/// How much longer than its own time a process is waited for before it is abandoned: what the system may need to
/// end one that was killed.
pub(super) const KILLING: Duration = Duration::from_secs(5);

/// A process that has not been reaped, or had not when it was last looked at.
struct Running {
    /// Its group, until it is reaped.
    group: Mutex<Option<Pid>>,
    reaped: Condvar,
}

/// Runs the command of an incarnation and starts the thread that waits for it; says what came of it.
pub(super) fn launch(tree: &Arc<Tree>, id: IncarnationId, launch: Launch) -> News {
    let me = launch.me.clone();
    let news = match begin(tree.clone(), id, launch) {
        Ok(()) => News::Started(id),
        Err(error) => {
            let error = Arc::new(error);
            life::end(&me, ExitReason::NotStarted(error.clone()));
            News::StartFailed(id, error)
        }
    };
    discard(me);
    news
}

fn begin(tree: Arc<Tree>, id: IncarnationId, launch: Launch) -> Result<(), StartError> {
    let Launch { spec, me, stop, .. } = launch;
    let permit = ThreadPermit::claim().map_err(|none| StartError::ThreadBudget {
        live: none.live,
        limit: none.limit,
    })?;
    life::register(&tree, id, &spec, &me)?;
    let child = run(&spec)?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group
        && let Err(error) = keeper::keep(group)
    {
        report::unkept(&spec, me.path(), &error);
    }
    let running = Arc::new(Running {
        group: Mutex::new(group),
        reaped: Condvar::new(),
    });
    let process = Arc::new(Mutex::new(child));
    let builder = thread::Builder::new().name(me.path().to_owned());
    let waiting = {
        let (running, process) = (running.clone(), process.clone());
        move || {
            let limit = match spec.plan.stop {
                Stop::Within(limit) => limit,
                Stop::Forever => Duration::MAX,
            };
            request::set_body(Some((tree.clone(), id)));
            let (reason, kept) = running.see_through(&process, &stop, limit);
            stop.forget_callbacks();
            // The keeper was lost with this one's end, for all others.
            if let Err(error) = kept
                && keeper::is_news()
            {
                report::unkept(&spec, me.path(), &error);
            }
            ChildSpec::let_go(spec);
            life::tell_others(me, &reason);
            // Before the replacement asks for one.
            drop(permit);
            tree.drive(News::Exited(id, reason));
            discard(tree);
        }
    };
    builder.spawn(waiting).map(drop).map_err(|error| {
        running.signal(Signal::KILL);
        // If the keeper is lost, whoever comes next meets that, too, and tells.
        let _reaped = running.reap(&process);
        StartError::Spawn(error)
    })
}

/// The user's command, running in a process group of its own.
fn run(spec: &ChildSpec) -> Result<Child, StartError> {
    let Work::Process(describe) = &spec.work else {
        return Err(StartError::Exited(ExitReason::Gone));
    };
    let described = attempt(|| spec.context.clone().run(|| describe()));
    let mut command =
        described.map_err(|report| StartError::Exited(ExitReason::Panicked(Arc::new(report))))?;
    let mut child = command
        .process_group(0)
        .spawn()
        .map_err(StartError::Command)?;
    // Nobody would read from them, nor write to them.
    drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
    Ok(child)
}

impl Running {
    /// Waits for the end of the process, which is asked to stop when its incarnation is. How it ended, and
    /// whether the others still have a keeper.
    fn see_through(
        self: &Arc<Self>,
        process: &Mutex<Child>,
        stop: &StopToken,
        limit: Duration,
    ) -> (ExitReason, io::Result<()>) {
        let on_stop = {
            let (running, token) = (self.clone(), stop.clone());
            stop.on_stop(move || running.stop(token, limit))
        };
        let (status, kept) = self.reap(process);
        drop(on_stop);
        let reason = match status {
            Ok(status) => reason_of(status, stop.is_stopped()),
            Err(error) => ExitReason::Failed(Arc::new(error)),
        };
        (reason, kept)
    }

    /// Asks the process to end, and sees to it that it does.
    fn stop(self: Arc<Self>, token: StopToken, limit: Duration) {
        let asked = clock::now();
        self.signal(Signal::TERM);
        let running = self.clone();
        let killer = thread::Builder::new().name("bedplate-kill".to_owned());
        let kill = move || {
            if running.outlives(|| token.deadline().map(|by| killed_at(asked, by, limit))) {
                running.signal(Signal::KILL);
            }
        };
        if killer.spawn(kill).is_err() {
            // Rather too early than never.
            self.signal(Signal::KILL);
        }
    }

    /// Waits until the process is reaped. Whether it is not when its time is over, which may become shorter meanwhile.
    fn outlives(&self, until: impl Fn() -> Option<Instant>) -> bool {
        /// How often that is looked at.
        const LOOK: Duration = Duration::from_millis(100);

        let mut group = self.group.lock();
        while group.is_some() {
            let now = clock::now();
            let left = until().map_or(LOOK, |until| until.saturating_duration_since(now));
            if left.is_zero() {
                return true;
            }
            let reaped = &self.reaped;
            group = reaped.wait_while_for(group, left.min(LOOK), |group| group.is_some());
        }
        false
    }

    /// Sends a signal to the whole group, if it is still there.
    fn signal(&self, signal: Signal) {
        if let Some(group) = *self.group.lock() {
            // That nobody is left is what it is for.
            let _gone = kill_process_group(group, signal);
        }
    }

    /// Waits until the process has ended, kills whatever is left of its group, and reaps it. Its status, and whether the
    /// others still have a keeper.
    fn reap(&self, process: &Mutex<Child>) -> (io::Result<ExitStatus>, io::Result<()>) {
        let group = *self.group.lock();
        if let Some(first) = group {
            let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // Interrupted by a handler, or it is somebody else who reaps, which `wait` will tell.
            while matches!(waitid(WaitId::Pid(first), how), Err(error) if error == rustix::io::Errno::INTR)
            {
            }
        }
        let mut group = self.group.lock();
        let kept = group.map_or(Ok(()), |group| {
            let _gone = kill_process_group(group, Signal::KILL);
            keeper::let_go(group)
        });
        let status = process.lock().wait();
        *group = None;
        drop(group);
        self.reaped.notify_all();
        (status, kept)
    }
}

/// When a process is killed that was asked then, will be abandoned `by` then, and has so long to end: in time for it
/// to be over before; if there is less time than it should have, after half of that.
fn killed_at(asked: Instant, by: Instant, limit: Duration) -> Instant {
    let left = by.saturating_duration_since(asked);
    let latest = left.saturating_sub(KILLING).max(left / 2);
    asked.saturating_add(limit.min(latest))
}

fn reason_of(status: ExitStatus, asked: bool) -> ExitReason {
    match (status.code(), status.signal()) {
        (Some(0), _) if asked => ExitReason::Shutdown,
        (Some(0), _) => ExitReason::Normal,
        (Some(code), _) => ExitReason::Failed(Arc::new(CommandFailed { code })),
        // It was told to end like this.
        (None, Some(signal)) if asked && signal == Signal::TERM.as_raw() => ExitReason::Shutdown,
        (None, Some(signal)) => ExitReason::Signalled(signal),
        (None, None) => ExitReason::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_killed_in_time_for_it_not_to_be_abandoned() {
        let at = |seconds: u64| Instant::from_nanos(seconds * 1_000_000_000);
        let killed = |left: u64, limit| {
            let killed = killed_at(at(100), at(100 + left), Duration::from_secs(limit));
            killed.saturating_duration_since(at(100)).as_secs()
        };
        assert_eq!(killed(10, 5), 5);
        assert_eq!(killed(65, 60), 60);
        assert_eq!(killed(5, 0), 0);
        // A budget leaves less.
        assert_eq!(killed(20, 60), 15);
        assert_eq!(killed(4, 60), 2);
        assert_eq!(killed(0, 60), 0);
        let forever = killed_at(at(100), at(108), Duration::MAX);
        assert_eq!(forever, at(104));
    }
}
