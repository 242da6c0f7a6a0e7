//! From a crash until it runs again: a body that counts and panics at once, until it has done so often enough.
//!
//! Nobody is asked to crash and nobody reports that it runs, so no other hand-over is in the figure. The clock is read
//! by the first body and by the one that no longer panics. Each death is told to somebody: a `Down` in an inbox, a
//! result of a join, a supervisor's event; the sample counts them. What else each of them does is told in METHOD.md.

use super::{BEDPLATE, RAW, check, tasks};
use crate::harness::{Contender, Row, Settings, Table, interleave};
use crate::machine::Machine;
use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Reuse, Supervisor};
use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

const SAME_THREAD: &str = "bedplate, on the same thread";

const SPARE: &str = "bedplate, on a spare thread";

/// See `benches/beam/supervisor.exs`.
const OTP: &str = "OTP's supervisor";

const NOT_JOINED: &str = "raw thread, started by the one that dies";

/// What the incarnations of a sample share.
pub(super) struct Lap {
    crashes: usize,
    lives: AtomicUsize,
    begun: OnceLock<Instant>,
    ended: mpsc::Sender<Instant>,
}

/// What the last one tells, and who is waiting for it.
pub(super) struct Finish(mpsc::Receiver<Instant>);

impl Lap {
    pub(super) fn new(crashes: usize) -> (Arc<Self>, Finish) {
        let (ended, finish) = mpsc::channel();
        let lap = Self {
            crashes,
            lives: AtomicUsize::new(0),
            begun: OnceLock::new(),
            ended,
        };
        (Arc::new(lap), Finish(finish))
    }

    /// The body's work: panics, unless it has been done often enough.
    pub(super) fn live(&self) {
        // Relaxed: a count, each of whose steps comes after the end of the one before.
        let before = self.lives.fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            self.begun.get_or_init(Instant::now);
        }
        if before < self.crashes {
            panic!("crash {before}");
        }
        // Nobody waits any more when the sample was given up.
        let _ = self.ended.send(Instant::now());
    }

    /// Nanoseconds for each crash, when all have happened and `told` of them were told.
    pub(super) fn result(&self, ended: Instant, told: usize) -> io::Result<f64> {
        check("deaths told", self.crashes, told)?;
        // Relaxed: the last one has told that it ended.
        let lives = self.lives.load(Ordering::Relaxed);
        check("lives", self.crashes + 1, lives)?;
        let begun = self.begun.get().expect("somebody has lived");
        Ok(ended.duration_since(*begun).as_nanos() as f64 / self.crashes as f64)
    }
}

impl Finish {
    pub(super) fn wait(&self) -> io::Result<Instant> {
        self.0.recv_timeout(PATIENCE).map_err(io::Error::other)
    }
}

pub(super) fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    eprintln!("restart");
    let crashes = settings.pick(200, 2_000);
    let machine = Machine::start("", "supervisor.exs", crashes)?.map(RefCell::new);
    let mut contenders: Vec<Contender<'_>> = Vec::new();
    let mut add = |name: &str, run: fn(usize) -> io::Result<f64>| {
        contenders.push(Contender {
            name: name.into(),
            run: Box::new(move || run(crashes)),
        });
    };
    add(BEDPLATE, |crashes| supervised(crashes, Reuse::Fresh));
    add(SAME_THREAD, |crashes| {
        supervised(crashes, Reuse::SameThread)
    });
    add(SPARE, |crashes| supervised(crashes, Reuse::Spare));
    add(RAW, joined);
    add(NOT_JOINED, not_joined);
    for (name, run) in tasks::RESTARTED {
        add(name, *run);
    }
    match &machine {
        Some(machine) => {
            eprintln!("{OTP}: {}", machine.borrow().versions());
            contenders.push(Contender {
                name: OTP.into(),
                run: Box::new(move || machine.borrow_mut().sample("restart")),
            });
        }
        None => eprintln!("no elixir in PATH: the comparison with OTP's supervisor is left out"),
    }
    let names: Vec<_> = contenders.iter().map(|it| it.name.clone()).collect();
    let measured = interleave(settings.pick(5, 15), &mut contenders)?;
    for name in &names {
        let row = || Row {
            group: "supervisor",
            case: "restart".into(),
            threads: 1,
            n: crashes as u64,
            contender: name.clone(),
            median: 0.0,
            min: 0.0,
            ratio: None,
            best: None,
            unit: None,
        };
        table.add(row().with(&measured, name, RAW, RAW));
        if name.starts_with(BEDPLATE) {
            for other in names.iter().filter(|it| *it != name && *it != RAW) {
                table.add(row().with(&measured, name, other, other));
            }
        }
    }
    Ok(())
}

/// Each body monitors itself before it works, so that each death is one `Down`.
fn supervised(crashes: usize, reuse: Reuse) -> io::Result<f64> {
    let (lap, finish) = Lap::new(crashes);
    let inbox = Arc::new(Inbox::new());
    let child = ChildSpec::worker("child", {
        let (lap, inbox) = (lap.clone(), inbox.clone());
        move |me| {
            let _monitor = inbox.monitor(me.me());
            lap.live();
            while !me.stop().wait(PATIENCE) {}
        }
    });
    let supervisor = Supervisor::builder("restart")
        .limit(128, Duration::from_nanos(1))
        .quiet_panics(true)
        .spares(usize::from(reuse == Reuse::Spare))
        .child(child.reuse(reuse))
        .start()
        .map_err(io::Error::other)?;
    // Received while they come, as whoever joins threads receives their results.
    let mut told = 0;
    while told < crashes {
        match inbox.recv_timeout(PATIENCE) {
            Some(down) if matches!(down.reason, ExitReason::Panicked(_)) => told += 1,
            other => return Err(io::Error::other(format!("a death was told as {other:?}"))),
        }
    }
    let ended = finish.wait()?;
    check("stopped", 1, supervisor.shutdown().clean.len())?;
    lap.result(ended, told)
}

/// A thread starts another one, joins it and looks at what it left, again and again.
fn joined(crashes: usize) -> io::Result<f64> {
    let (lap, finish) = Lap::new(crashes);
    let mut told = 0;
    loop {
        let lap = lap.clone();
        let child = thread::Builder::new().name("restart/child".into());
        match child.spawn(move || lap.live())?.join() {
            Ok(()) => break,
            Err(panic) => told += usize::from(panic.is::<String>()),
        }
    }
    lap.result(finish.wait()?, told)
}

/// The least that could be done: the thread that dies starts the next one, tells a queue, and nobody joins.
fn not_joined(crashes: usize) -> io::Result<f64> {
    fn start(lap: Arc<Lap>, deaths: mpsc::Sender<String>) -> io::Result<()> {
        let child = thread::Builder::new().name("restart/child".into());
        child.spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| lap.live()))
                && let Ok(message) = panic.downcast()
            {
                let _ = deaths.send(*message);
                // Whoever cannot start another ends the loop, and the sample fails.
                let _ = start(lap, deaths);
            }
        })?;
        Ok(())
    }
    let (lap, finish) = Lap::new(crashes);
    let (deaths, told) = mpsc::channel();
    start(lap.clone(), deaths)?;
    let told = told.iter().count();
    lap.result(finish.wait()?, told)
}
