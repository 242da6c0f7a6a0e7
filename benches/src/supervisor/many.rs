//! Many children, and many monitors.
//!
//! - *start and stop*: children that wait are started one after the other, and when all run they are asked to stop, in
//!   reverse and each when the one after it has ended, as a supervisor does it. Threads by hand do the same. Of tasks
//!   no order is asked for: they are spawned, aborted and joined.
//! - *children*: the whole listing, by a thread that does nothing else, while one more child crashes whenever it runs. The
//!   clock is read around each listing; a sample is their median.
//! - *monitors*: all by one inbox, of one child. From telling it to end until the last `Down` has been received. A
//!   queue that gets as many messages from another thread is the floor.

use super::{AtSize, BEDPLATE, RAW, check, compare_sizes, tasks};
use crate::harness::{Contender, Row, Settings, Table, interleave, median};
use bedplate::monitor::Inbox;
use bedplate::supervisor::{ChildSpec, Restart, Supervisor, SupervisorBuilder};
use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);

const JOIN_SET: &str = "tokio JoinSet";
const QUEUE: &str = "std mpsc";

/// Listings of a sample.
const LISTINGS: usize = 21;

pub(super) fn run(settings: &Settings, table: &mut Table) -> io::Result<()> {
    if settings.wants("start and stop") {
        let sizes: &[usize] = settings.pick(&[250, 1_000], &[1_000, 4_000, 10_000]);
        let mut contenders: Vec<AtSize<'_>> = Vec::new();
        for &n in sizes {
            contenders.push((BEDPLATE, n, Box::new(move || start_and_stop(n))));
            contenders.push((RAW, n, Box::new(move || raw_start_and_stop(n))));
            contenders.push((JOIN_SET, n, Box::new(move || join_set_start_and_stop(n))));
        }
        let rounds = settings.pick(3, 7);
        compare_sizes("start and stop", rounds, table, contenders, RAW)?;
    }
    if settings.wants("children") {
        children(settings, table)?;
    }
    if settings.wants("monitors") {
        let sizes: &[usize] = settings.pick(&[1_000, 10_000], &[1_000, 10_000, 100_000]);
        let mut contenders: Vec<AtSize<'_>> = Vec::new();
        for &n in sizes {
            contenders.push((BEDPLATE, n, Box::new(move || monitors(n))));
            contenders.push((QUEUE, n, Box::new(move || queue(n))));
        }
        let rounds = settings.pick(5, 15);
        compare_sizes("monitors", rounds, table, contenders, QUEUE)?;
    }
    Ok(())
}

/// A supervisor of so many children that wait to be asked to stop, and one more.
fn described(n: usize) -> SupervisorBuilder {
    let mut builder = Supervisor::builder("many").max_children(n + 1);
    for index in 0..n {
        builder = builder.child(ChildSpec::worker(index.to_string(), |me| {
            while !me.stop().wait(PATIENCE) {}
        }));
    }
    builder
}

pub(super) fn waiting(n: usize) -> io::Result<Supervisor> {
    described(n).start().map_err(io::Error::other)
}

/// A thread that waits until its sender goes.
type Waiting = (mpsc::Sender<()>, thread::JoinHandle<()>);

/// So many threads that wait until their senders go.
pub(super) fn raw_waiting(n: usize) -> io::Result<Vec<Waiting>> {
    (0..n)
        .map(|index| {
            let (stop, wait) = mpsc::channel::<()>();
            let child = thread::Builder::new().name(format!("many/{index}"));
            let child = child.spawn(move || assert!(wait.recv().is_err()))?;
            Ok((stop, child))
        })
        .collect()
}

fn per(begun: Instant, n: usize) -> f64 {
    begun.elapsed().as_nanos() as f64 / n as f64
}

fn start_and_stop(n: usize) -> io::Result<f64> {
    let begun = Instant::now();
    let supervisor = waiting(n)?;
    let active = supervisor.handle().count().active;
    let report = supervisor.shutdown();
    let taken = per(begun, n);
    check("children that ran", n, active)?;
    check("children that stopped", n, report.clean.len())?;
    Ok(taken)
}

fn raw_start_and_stop(n: usize) -> io::Result<f64> {
    let begun = Instant::now();
    let mut stopped = 0;
    for (stop, child) in raw_waiting(n)?.into_iter().rev() {
        drop(stop);
        stopped += usize::from(child.join().is_ok());
    }
    let taken = per(begun, n);
    check("threads that stopped", n, stopped)?;
    Ok(taken)
}

fn join_set_start_and_stop(n: usize) -> io::Result<f64> {
    let runtime = tasks::runtime()?;
    let begun = Instant::now();
    let stopped = runtime.block_on(async {
        let mut children = JoinSet::new();
        for _ in 0..n {
            children.spawn(std::future::pending::<()>());
        }
        children.abort_all();
        let mut stopped = 0;
        while let Some(end) = children.join_next().await {
            stopped += usize::from(end.is_err_and(|end| end.is_cancelled()));
        }
        stopped
    });
    let taken = per(begun, n);
    check("tasks that stopped", n, stopped)?;
    Ok(taken)
}

/// One supervisor for all rounds: ten thousand children are not started fifteen times.
fn children(settings: &Settings, table: &mut Table) -> io::Result<()> {
    eprintln!("children");
    let n = settings.pick(1_000, 10_000);
    let lives = Arc::new(AtomicUsize::new(0));
    let restless = ChildSpec::worker("restless", {
        let lives = lives.clone();
        move |me| {
            // Relaxed, and below: a count.
            lives.fetch_add(1, Ordering::Relaxed);
            // As an error, for a crash that takes least: more of them.
            if me.stop().is_stopped() {
                Ok(())
            } else {
                Err(io::Error::other("restless"))
            }
        }
    });
    let supervisor = described(n - 1)
        .limit(128, Duration::from_nanos(1))
        .child(restless)
        .start()
        .map_err(io::Error::other)?;
    let handle = supervisor.handle();
    let sample = || {
        let (started, before) = (Instant::now(), lives.load(Ordering::Relaxed));
        let mut listings = Vec::with_capacity(LISTINGS);
        // On a busy machine the other threads may not have been let run.
        while listings.len() < LISTINGS
            || (lives.load(Ordering::Relaxed) == before && started.elapsed() < PATIENCE)
        {
            let begun = Instant::now();
            let listed = black_box(handle.children());
            listings.push(per(begun, 1));
            check("children listed", n, listed.len())?;
        }
        if lives.load(Ordering::Relaxed) == before {
            return Err(io::Error::other("nobody was restarted meanwhile"));
        }
        Ok(median(listings))
    };
    let mut contenders = [Contender {
        name: BEDPLATE.into(),
        run: Box::new(sample),
    }];
    let measured = interleave(settings.pick(5, 15), &mut contenders)?;
    drop(contenders);
    let (median, min, _) = measured.figures(BEDPLATE, BEDPLATE);
    table.add(Row {
        group: "supervisor",
        case: "children".into(),
        threads: 1,
        n: n as u64,
        contender: BEDPLATE.into(),
        median,
        min,
        ratio: None,
        best: None,
        unit: None,
    });
    let report = supervisor.shutdown();
    check("children that were abandoned", 0, report.abandoned.len())
}

fn monitors(n: usize) -> io::Result<f64> {
    let (end, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let target = ChildSpec::worker("target", move |_| {
        let _gone = wait.lock().map(|wait| wait.recv());
    });
    let supervisor = Supervisor::builder("monitors")
        .child(target.restart(Restart::Temporary))
        .start()
        .map_err(io::Error::other)?;
    let target = supervisor.handle().child("target");
    let target = target.ok_or_else(|| io::Error::other("the target has ended early"))?;
    let inbox = Inbox::new();
    for _ in 0..n {
        inbox.monitor(&target);
    }
    let begun = Instant::now();
    drop(end);
    let mut told = 0;
    while told < n && inbox.recv_timeout(PATIENCE).is_some() {
        told += 1;
    }
    let taken = per(begun, n);
    check("monitors answered", n, told)?;
    check("more than that", 0, usize::from(inbox.try_recv().is_some()))?;
    Ok(taken)
}

fn queue(n: usize) -> io::Result<f64> {
    let (send, receive) = mpsc::channel();
    let (end, wait) = mpsc::channel::<()>();
    let sender = thread::spawn(move || {
        let _gone = wait.recv();
        (0..n).all(|number| send.send(number).is_ok())
    });
    let begun = Instant::now();
    drop(end);
    let told = receive.iter().map(black_box).count();
    let taken = per(begun, n);
    check("messages", n, told)?;
    check("senders", 1, usize::from(sender.join().is_ok()))?;
    Ok(taken)
}
