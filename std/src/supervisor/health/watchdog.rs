//! Who feeds a watchdog outside of the process.

use super::super::{ChildSpec, Incarnation, report};
use crate::process::{ExitReason, IntoExit};
use bedplate_core::health::LEAST_INTERVAL;
use core::time::Duration;

/// So much later it looks again before it ceases to feed: more than a thread needs to get its turn.
const AGAIN: Duration = Duration::from_millis(100);

impl ChildSpec {
    /// A thread that calls `feed` at once and then every `every`, ten milliseconds at least, as long as all is
    /// [live](super::Health::live): everything below the outermost supervisor, wherever in the tree this child is. So whoever waits to
    /// be fed, and ends the program or the machine if it is not, does so when a [critical](Self::critical) child is stuck or was
    /// abandoned, when the process is not run any more, and when this child is away. Permanent, with five seconds to stop. Before it
    /// ceases to feed, it looks again a tenth of a second later, so that a program that was paused and goes on is not taken for one that hangs.
    ///
    /// A supervisor that the body of a child has [started](super::super::SupervisorBuilder::start) by itself is part of no other one, so a
    /// watchdog below it asks that one only, and not the supervisors of the child whose body it was. Of the program as a whole only
    /// a watchdog in the program's own tree can speak.
    ///
    /// A critical child that is not [watched](Self::watch) cannot be found stuck. Who is found stuck has been so for its limit and a
    /// little more; and with [`OnStuck::Restart`](super::super::OnStuck::Restart) it is stopped and started again, during which
    /// nobody is fed either. So the outer watchdog should have more patience than `every` and the longest time to stop of a critical child
    /// together.
    ///
    /// If `feed` returns an error or panics, that is the end of this incarnation, like any other. As the first child of the first supervisor
    /// it is stopped last and feeds as long as others stop. When it ceases to feed, and when it goes on, that is told of (as
    /// [`bedplate.supervisor.unfed`](crate::telemetry) and `fed`, and to `tracing`).
    ///
    /// systemd's waits for a datagram (`WatchdogSec=30`; with `NotifyAccess=main`, which it is unless set):
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// use bedplate::supervisor::{ChildSpec, Supervisor};
    /// use std::os::unix::net::UnixDatagram;
    /// use std::time::Duration;
    ///
    /// fn notify(what: &str) -> std::io::Result<()> {
    ///     let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
    ///         return Ok(());      // not started by systemd
    ///     };
    ///     UnixDatagram::unbound()?.send_to(what.as_bytes(), socket)?;
    ///     Ok(())
    /// }
    ///
    /// let watchdog = ChildSpec::watchdog("watchdog", Duration::from_secs(10), || notify("WATCHDOG=1"));
    /// let supervisor = Supervisor::builder("app").child(watchdog).start()?;
    /// # drop(supervisor);
    /// # }
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    pub fn watchdog<R: IntoExit>(
        id: impl Into<String>,
        every: Duration,
        feed: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        let every = every.max(LEAST_INTERVAL);
        Self::worker(id, move |me| keep_fed(me, every, || feed().into_exit()))
    }
}

fn keep_fed(me: &Incarnation, every: Duration, feed: impl Fn() -> ExitReason) -> ExitReason {
    let mut fed = true;
    loop {
        let mut health = me.health_of_all();
        if fed && !health.live {
            // The program may have been paused, and others need a moment to find out that they are late, and catch up.
            if me.stop().wait(AGAIN) {
                return ExitReason::Normal;
            }
            health = me.health_of_all();
        }
        if health.live {
            let how = feed();
            if !how.is_clean() {
                return how;
            }
        }
        if health.live != fed {
            fed = health.live;
            report::fed(me.me().path(), &health);
        }
        if me.stop().wait(every) {
            return ExitReason::Normal;
        }
    }
}
