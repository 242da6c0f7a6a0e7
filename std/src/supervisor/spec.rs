//! What is said about a child before it runs.

use super::health::Times;
use super::{Incarnation, Reuse, SupervisorBuilder};
use crate::context::{self, Context};
use crate::process::panic::discard;
use crate::process::{ExitReason, IntoExit, LastSpan};
use crate::registry;
use crate::sync::Arc;
use bedplate_core::supervision::{Backoff, ChildPlan, Overrun, Ready, Restart, Stop, Watch};
use core::fmt;
#[cfg(all(unix, feature = "process"))]
use std::process::Command;

#[cfg(all(unix, feature = "process"))]
use super::os_process::KILLING;

/// What a child does.
#[derive(Clone)]
pub(super) enum Work {
    /// It is a thread that runs this.
    Thread(Arc<dyn Fn(&Incarnation) -> ExitReason + Send + Sync>),
    /// It is a supervisor that is described by this.
    Supervisor(Arc<dyn Fn() -> SupervisorBuilder + Send + Sync>),
    /// It is a process that is run by this.
    #[cfg(all(unix, feature = "process"))]
    Process(Arc<dyn Fn() -> Command + Send + Sync>),
}

/// A child: its id, what it does, and what is to happen when it ends.
///
/// A clone is another child, of which the same is said and which does the same; what the closure captured is shared by
/// both.
#[derive(Clone)]
#[must_use = "a child does nothing until it is given to a supervisor"]
pub struct ChildSpec {
    pub(super) id: String,
    pub(super) plan: ChildPlan,
    pub(super) name: Option<String>,
    pub(super) stack_size: Option<usize>,
    pub(super) reuse: Reuse,
    pub(super) watch: Option<Watch>,
    pub(super) critical: bool,
    /// When it asks, if it is a check.
    pub(super) checks: Option<Times>,
    pub(super) context: Context,
    pub(super) last_span: LastSpan,
    pub(super) work: Work,
}

impl ChildSpec {
    /// A thread that runs `body`; permanent, with five seconds to stop.
    ///
    /// `body` is called once for each incarnation. It returns nothing, a `Result`, or an
    /// [`ExitReason`]; an error or a panic is an abnormal end. It should look at
    /// [`Incarnation::stop`] often enough to keep within its time to stop: a thread cannot be
    /// killed.
    ///
    /// Every incarnation starts in the [context](crate::context) in which this is called, whatever
    /// the one before it had set.
    ///
    /// What the closure captures is shared by all its incarnations and survives their crashes. A
    /// captured `Mutex` that one incarnation poisoned is poisoned for all later ones.
    pub fn worker<R: IntoExit>(
        id: impl Into<String>,
        body: impl Fn(&Incarnation) -> R + Send + Sync + 'static,
    ) -> Self {
        let work = Work::Thread(Arc::new(move |incarnation| body(incarnation).into_exit()));
        Self::new(id.into(), ChildPlan::default(), work)
    }

    /// A supervisor that is described anew for each incarnation; permanent, and with as long to stop as its
    /// children take.
    ///
    /// It has no thread of its own. It counts as started when all its children are; it stops them before it is
    /// over, and its end is how its last incarnation [ended](ExitReason): cleanly if it was asked to stop or shut itself
    /// down, and otherwise with the reason why it gave up, so that it is restarted, if it is not temporary, with
    /// all the children of the description and no others.
    ///
    /// It is called by `id`, under the path of its supervisor; the name that the builder was given is not used. If
    /// its time to stop is limited, by [`stop`](Self::stop) or the budget of its supervisor, so is its children's.
    /// `describe` is called on the thread that starts it, in the [context](crate::context) in which this is called. A
    /// panic in it is a start that has failed.
    ///
    /// ```
    /// use bedplate::supervisor::{ChildSpec, Strategy, Supervisor};
    ///
    /// let pool = ChildSpec::supervisor("pool", || {
    ///     Supervisor::builder("pool").strategy(Strategy::Dynamic).max_children(64)
    /// });
    /// let supervisor = Supervisor::builder("app").child(pool).start()?;
    /// let pool = supervisor.handle().supervisor("pool").expect("it has been started");
    /// assert_eq!(pool.count().specs, 0);
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    pub fn supervisor(
        id: impl Into<String>,
        describe: impl Fn() -> SupervisorBuilder + Send + Sync + 'static,
    ) -> Self {
        let work = Work::Supervisor(Arc::new(describe));
        Self::new(id.into(), ChildPlan::supervisor(), work)
    }

    /// A process of the operating system (with the feature `process`, on Unix), which can really be killed; permanent, with
    /// five seconds to stop.
    ///
    /// `command` is called on the thread that starts it, once for each incarnation, in the
    /// [context](crate::context) in which this is called. The process is the first of a process group of its own. When it is
    /// asked to stop, the group is sent `SIGTERM`, and when its [time](Self::stop) is over `SIGKILL`; if it is gone only five
    /// seconds after that, or never, it is abandoned like a thread. Under a supervisor's budget it is killed early enough
    /// for that, at the latest after half of its time. Whatever is left of the group when the process itself has ended
    /// is killed.
    ///
    /// It has ended cleanly if its status is 0, or if it died of the `SIGTERM` when it was asked to stop; any other status
    /// is a [`CommandFailed`](crate::process::CommandFailed), any other signal is
    /// [`Signalled`](ExitReason::Signalled). A command that cannot be run is a start that has failed. It counts as started
    /// when it runs, and cannot say that it is [ready](Self::ready).
    ///
    /// Its streams should be inherited, files or sockets: a pipe is closed on this side, since nobody would
    /// read from it.
    ///
    /// When this program is gone, however it ended, its processes and whatever is left of their groups are killed, by a keeper:
    /// a shell that is started with the first of them, in a process group of its own, and waits for that. It takes one
    /// descriptor here, and does for thousands of processes. One that is lost is replaced when the next process begins or
    /// ends; one that does not read holds that up for about a second. Only a program that is killed in the very moment in which
    /// it starts a process leaves that behind; and so does one whose keeper could not be started or replaced (there is no
    /// `/bin/sh`, or no room for it), which is [told](super#what-is-told-and-where), harms nothing else, and is tried again with
    /// the next beginning or end. Who leaves the group of a process leaves its keeper.
    ///
    /// ```
    /// use bedplate::supervisor::{ChildSpec, Supervisor};
    /// use std::process::Command;
    ///
    /// let sleep = ChildSpec::process("sleep", || {
    ///     let mut command = Command::new("sleep");
    ///     command.arg("3600");
    ///     command
    /// });
    /// let supervisor = Supervisor::builder("app").child(sleep).start()?;
    /// assert_eq!(supervisor.shutdown().clean, ["sleep"]);
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    #[cfg(all(unix, feature = "process"))]
    pub fn process(
        id: impl Into<String>,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Self {
        let work = Work::Process(Arc::new(command));
        Self::new(id.into(), ChildPlan::default(), work)
    }

    /// What the machine is told of it.
    pub(super) fn machine_plan(&self) -> ChildPlan {
        let plan = self.plan;
        #[cfg(all(unix, feature = "process"))]
        if let (Work::Process(_), Stop::Within(limit)) = (&self.work, plan.stop) {
            let mut plan = plan;
            plan.stop = Stop::Within(limit.saturating_add(KILLING));
            return plan;
        }
        plan
    }

    fn new(id: String, plan: ChildPlan, work: Work) -> Self {
        Self {
            id,
            plan,
            name: None,
            stack_size: None,
            reuse: Reuse::Fresh,
            watch: None,
            critical: false,
            checks: None,
            context: context::capture(),
            last_span: LastSpan::default(),
            work,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// After which ends it is started again; [`Restart::Permanent`] unless set.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.plan.restart = restart;
        self
    }

    /// How long it may take to stop before it is abandoned; five seconds unless set.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.plan.stop = stop;
        self
    }

    /// What follows if it does not stop in time and is abandoned; [`Overrun::Abandon`] unless set, and the
    /// supervisor goes on.
    pub fn overrun(mut self, overrun: Overrun) -> Self {
        self.plan.overrun = overrun;
        self
    }

    /// When it counts as started, so that the next child may be; [`Ready::OnStart`] unless set, when it has its
    /// thread. With [`Ready::Signalled`] its body calls [`Incarnation::ready`]; if that does not come in time,
    /// the incarnation is asked to stop, and its start has failed. So it has if the body ends before,
    /// however cleanly; unless it returns [`ExitReason::Declined`], which says that there is nothing for it to do (Erlang/OTP's
    /// `ignore`): nothing has failed, nothing counts, the next child is started, and this one stays stopped until it is
    /// [restarted by hand](super::SupRef::restart) or with its group. A temporary child that declines is forgotten. From a body that
    /// is ready, or need not say so, `Declined` is a clean end like any other.
    ///
    /// ```
    /// use bedplate::supervisor::{ChildSpec, Ready, Supervisor};
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    ///
    /// const HOUR: Duration = Duration::from_secs(3_600);
    /// let (loaded, table) = mpsc::channel();
    /// let cache = ChildSpec::worker("cache", move |incarnation| {
    ///     loaded.send(vec![1, 2, 3]).ok();         // … whatever takes its time …
    ///     incarnation.ready();
    ///     while !incarnation.stop().wait(HOUR) {}
    /// });
    /// let cache = cache.ready(Ready::Signalled { within: Duration::from_secs(60) });
    ///
    /// let supervisor = Supervisor::builder("app").child(cache).start()?;
    /// assert_eq!(table.try_recv(), Ok(vec![1, 2, 3]));  // it is there when `start` returns
    /// assert_eq!(supervisor.shutdown().clean, ["cache"]);
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    pub fn ready(mut self, ready: Ready) -> Self {
        self.plan.ready = ready;
        self
    }

    /// How long to wait before it is restarted; [`Backoff::NONE`] unless set.
    ///
    /// A delay is cut short by a stop, but not by anything else; siblings are served meanwhile. Whatever is set, a restart for
    /// which no thread was to be had is tried again after ten milliseconds at the earliest.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.plan.backoff = backoff;
        self
    }

    /// Whether its end may be the end of its supervisor, as
    /// [`auto_shutdown`](super::SupervisorBuilder::auto_shutdown) says; `false` unless set. Such a child cannot be permanent.
    pub fn significant(mut self, significant: bool) -> Self {
        self.plan.significant = significant;
        self
    }

    /// Whether the whole is of no use without it; `false` unless set. Then [health](super::health) says that the whole is not ready
    /// while it does not run, and not live while it is [stuck](Self::watch), or while an incarnation goes on that was abandoned. One that is
    /// not watched is never stuck. Of a [check](Self::check), that nothing is ready until it has passed; for
    /// whether it is live, a check never counts. Who will be done one day, as a transient child may, or declines to run, is missed then like any other.
    pub fn critical(mut self, critical: bool) -> Self {
        self.critical = critical;
        self
    }

    /// Registers every incarnation under `name` in the [registry](crate::registry), from before its
    /// body starts until it ends. If the name is taken, the incarnation does not start, which counts
    /// as a restart.
    ///
    /// While the child is being restarted nobody is found under the name, and nobody else can
    /// [take](super::Incarnation::register) it ([`NameError::Reserved`](registry::NameError::Reserved)): not from
    /// the end of an incarnation to the beginning of the next one, be that after an hour. It is free when the child has come to
    /// rest: it is not restarted, was terminated, or its supervisor stops. A child that gives the name up while it runs gives it
    /// up to anybody. If its supervisor is itself restarted, its names are free meanwhile.
    pub fn register(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The size of its stack in bytes; the standard library's unless set. Without effect where there is no
    /// thread.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// On which thread it is restarted; [`Reuse::Fresh`] unless set. Without effect where there is no thread.
    ///
    /// ```
    /// use bedplate::supervisor::{ChildSpec, Reuse, Supervisor};
    /// use std::sync::mpsc;
    /// use std::thread;
    ///
    /// let (tell, told) = mpsc::channel();
    /// let child = ChildSpec::worker("child", move |me| -> Result<(), &str> {
    ///     tell.send(thread::current().id()).ok();
    ///     if me.number() == 1 {
    ///         return Err("once");
    ///     }
    ///     while !me.stop().wait(std::time::Duration::from_secs(1)) {}
    ///     Ok(())
    /// });
    /// let child = child.reuse(Reuse::SameThread);
    /// let supervisor = Supervisor::builder("app").child(child).start()?;
    /// assert_eq!(told.recv(), told.recv());
    /// # drop(supervisor);
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// How long its body may say nothing about itself, and what follows if it does for longer; it need not say anything unless this is
    /// set. Without effect where there is no thread.
    ///
    /// From its beginning on it [works](Incarnation::working), until it says something else. It is looked at in
    /// [intervals](Watch::interval), by the thread that watches all deadlines; while that is late itself, because the machine
    /// was asleep or had no processor left for it, nobody is judged, and everybody has his whole limit again. Only who
    /// [runs](super::ChildState::Running) is looked at: to start and to stop have limits of their own.
    ///
    /// Who is stuck is told of [once](super#what-is-told-and-where), and is [so called](super::ChildInfo::stuck) until it says
    /// something. A thread cannot be killed, so also with [`OnStuck::Restart`](super::OnStuck::Restart) it is asked to stop,
    /// and abandoned if it does not. With [`OnStuck::AbortProcess`](super::OnStuck::AbortProcess) the process ends
    /// when that has been told, or if that hangs, too, when it is stuck for more than a second longer.
    ///
    /// ```
    /// use bedplate::supervisor::{ChildSpec, OnStuck, Supervisor, Watch};
    /// use std::sync::{Mutex, mpsc};
    /// use std::time::Duration;
    ///
    /// let (orders, queue) = mpsc::channel::<u64>();
    /// let queue = Mutex::new(queue);
    /// let child = ChildSpec::worker("orders", move |me| {
    ///     while !me.stop().is_stopped() {
    ///         me.parked();
    ///         let order = queue.lock().unwrap().recv_timeout(Duration::from_millis(50));
    ///         me.working();
    ///         if let Ok(_order) = order { /* … up to a minute … */ }
    ///     }
    /// });
    /// let child = child.watch(
    ///     Watch::new(Duration::from_secs(60), Duration::from_secs(1)).on_stuck(OnStuck::Restart),
    /// );
    /// let supervisor = Supervisor::builder("app").child(child).start()?;
    /// orders.send(1).ok();
    /// assert_eq!(supervisor.shutdown().clean, ["orders"]);
    /// # Ok::<(), bedplate::supervisor::StartError>(())
    /// ```
    pub fn watch(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// Whether it counts for whether all is live, which what is outside never does.
    pub(super) const fn is_critical_within(&self) -> bool {
        self.critical && self.checks.is_none()
    }

    /// What it is to be looked at for.
    pub(super) const fn watched(&self) -> Option<Watch> {
        match self.work {
            Work::Thread(_) if self.checks.is_none() => self.watch,
            _ => None,
        }
    }

    /// Whether nothing of a user's is called when it is started.
    pub(super) const fn is_plain(&self) -> bool {
        self.name.is_none() && matches!(self.work, Work::Thread(_))
    }

    /// Ends one use of it. The last one drops the user's values, each alone.
    pub(super) fn let_go(this: Arc<Self>) {
        if let Some(Self {
            context,
            work,
            name,
            ..
        }) = Arc::into_inner(this)
        {
            if let Some(name) = name {
                registry::reconsider(&name);
            }
            discard(work);
            discard(context);
        }
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
