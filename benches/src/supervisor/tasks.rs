//! Supervisors of tasks: tokio's `JoinSet` by hand, ractor, kameo, task-supervisor.
//!
//! A task costs no thread, and cannot block. What crashes is a panic in all of them. Each has a runtime of its own with
//! two threads, which are started before the first body and stopped after the last.

use super::restart::Lap;
use ractor::SupervisionEvent;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// The name of one, and what takes a sample of so many crashes.
type Restarted = (&'static str, fn(usize) -> io::Result<f64>);

pub(super) const RESTARTED: &[Restarted] = &[
    ("tokio JoinSet", join_set),
    ("ractor", with_ractor),
    ("kameo", with_kameo),
    ("task-supervisor", with_task_supervisor),
];

pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
}

/// One task joins the others and starts them again.
fn join_set(crashes: usize) -> io::Result<f64> {
    let (lap, finish) = Lap::new(crashes);
    let told = runtime()?.block_on({
        let lap = lap.clone();
        async move {
            // Not the thread that blocks on the runtime, whose wake-ups are slower.
            tokio::spawn(async move {
                let (mut children, mut told) = (JoinSet::new(), 0);
                loop {
                    let lap = lap.clone();
                    children.spawn(async move { lap.live() });
                    match children.join_next().await {
                        Some(Err(death)) => told += usize::from(death.is_panic()),
                        _ => return told,
                    }
                }
            })
            .await
        }
    });
    lap.result(finish.wait()?, told.map_err(io::Error::other)?)
}

/// How many deaths were told, once as many were as are expected: a death may be told after the next life has begun.
fn settled(told: &AtomicUsize, expected: usize) -> usize {
    const PATIENCE: Duration = Duration::from_secs(10);

    let begun = Instant::now();
    loop {
        // Relaxed: a count.
        let now = told.load(Ordering::Relaxed);
        if now >= expected || begun.elapsed() > PATIENCE {
            return now;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct RactorChild(Arc<Lap>);

impl ractor::Actor for RactorChild {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ractor::ActorRef<()>,
        (): (),
    ) -> Result<(), ractor::ActorProcessingErr> {
        Ok(())
    }

    async fn post_start(
        &self,
        _: ractor::ActorRef<()>,
        (): &mut (),
    ) -> Result<(), ractor::ActorProcessingErr> {
        self.0.live();
        Ok(())
    }
}

struct RactorSupervisor {
    lap: Arc<Lap>,
    told: Arc<AtomicUsize>,
}

impl RactorSupervisor {
    async fn start_child(
        &self,
        myself: &ractor::ActorRef<()>,
    ) -> Result<(), ractor::ActorProcessingErr> {
        let child = RactorChild(self.lap.clone());
        ractor::Actor::spawn_linked(None, child, (), myself.get_cell()).await?;
        Ok(())
    }
}

impl ractor::Actor for RactorSupervisor {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ractor::ActorRef<()>,
        (): (),
    ) -> Result<(), ractor::ActorProcessingErr> {
        self.start_child(&myself).await
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ractor::ActorRef<()>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ractor::ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            // Relaxed: a count.
            self.told.fetch_add(1, Ordering::Relaxed);
            self.start_child(&myself).await?;
        }
        Ok(())
    }
}

fn with_ractor(crashes: usize) -> io::Result<f64> {
    let (lap, finish) = Lap::new(crashes);
    let told = Arc::new(AtomicUsize::new(0));
    let supervisor = RactorSupervisor {
        lap: lap.clone(),
        told: told.clone(),
    };
    let runtime = runtime()?;
    let (actor, over) = runtime
        .block_on(ractor::Actor::spawn(None, supervisor, ()))
        .map_err(io::Error::other)?;
    let ended = finish.wait()?;
    actor.stop(None);
    runtime.block_on(over).map_err(io::Error::other)?;
    lap.result(ended, settled(&told, crashes))
}

struct KameoSupervisor;

impl kameo::Actor for KameoSupervisor {
    type Args = ();
    type Error = kameo::error::Infallible;

    async fn on_start((): (), _: kameo::actor::ActorRef<Self>) -> Result<Self, Self::Error> {
        Ok(Self)
    }
}

#[derive(Clone)]
struct KameoChild {
    lap: Arc<Lap>,
    told: Arc<AtomicUsize>,
}

/// What a child sends to itself: a panic while it starts is no crash of a running actor.
struct Work;

impl kameo::Actor for KameoChild {
    type Args = Self;
    type Error = kameo::error::Infallible;

    async fn on_start(
        child: Self,
        myself: kameo::actor::ActorRef<Self>,
    ) -> Result<Self, Self::Error> {
        // The mailbox of an actor that is just born has room.
        let _ = myself.tell(Work).try_send();
        Ok(child)
    }

    async fn on_stop(
        &mut self,
        _: kameo::actor::WeakActorRef<Self>,
        reason: kameo::error::ActorStopReason,
    ) -> Result<(), Self::Error> {
        if matches!(reason, kameo::error::ActorStopReason::Panicked(_)) {
            // Relaxed: a count.
            self.told.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl kameo::message::Message<Work> for KameoChild {
    type Reply = ();

    async fn handle(&mut self, _: Work, _: &mut kameo::message::Context<Self, ()>) {
        self.lap.live();
    }
}

fn with_kameo(crashes: usize) -> io::Result<f64> {
    use kameo::actor::Spawn as _;

    let (lap, finish) = Lap::new(crashes);
    let told = Arc::new(AtomicUsize::new(0));
    let child = KameoChild {
        lap: lap.clone(),
        told: told.clone(),
    };
    let runtime = runtime()?;
    let _both = runtime.block_on(async {
        let supervisor = KameoSupervisor::spawn(());
        let child = KameoChild::supervise(&supervisor, child)
            .restart_limit(u32::MAX, Duration::from_nanos(1))
            .spawn()
            .await;
        (supervisor, child)
    });
    let ended = finish.wait()?;
    lap.result(ended, settled(&told, crashes))
}

#[derive(Clone)]
struct Task(Arc<Lap>);

impl task_supervisor::SupervisedTask for Task {
    async fn run(self, cancel: task_supervisor::CancellationToken) -> task_supervisor::TaskResult {
        self.0.live();
        cancel.cancelled().await;
        Ok(())
    }
}

fn with_task_supervisor(crashes: usize) -> io::Result<f64> {
    let (lap, finish) = Lap::new(crashes);
    let runtime = runtime()?;
    let handle = runtime.block_on(async {
        task_supervisor::SupervisorBuilder::new()
            .with_unlimited_restarts()
            .with_base_restart_delay(Duration::ZERO)
            .with_max_restart_delay(Duration::ZERO)
            .with_restart_jitter(0.0)
            .with_task("child", Task(lap.clone()))
            .spawn()
    });
    let ended = finish.wait()?;
    runtime
        .block_on(handle.shutdown())
        .map_err(io::Error::other)?;
    // It tells nobody of a death but a log, so there is nothing to count but its lives.
    lap.result(ended, crashes)
}
