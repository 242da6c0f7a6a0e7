//! A tree that is simulated comes to be what the same tree is on threads.
//!
//! Scripts of ends, and of what is asked for by hand, are told to both: the simulation at once, a body through a channel. Then the children of the real
//! supervisor must become what the simulation says they are, or they never do.

use bedplate::process::ExitReason;
use bedplate::supervisor::simulation::Simulation;
use bedplate::supervisor::{
    ChildInfo, ChildSpec, Incarnation, Restart, Strategy, SupRef, Supervisor, SupervisorBuilder,
};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(120);
const HOUR: Duration = Duration::from_secs(3_600);
const STRATEGIES: [Strategy; 3] = [
    Strategy::OneForOne,
    Strategy::OneForAll,
    Strategy::RestForOne,
];
const RESTARTS: [Restart; 3] = [Restart::Permanent, Restart::Transient, Restart::Temporary];
const IDS: [&str; 3] = ["a", "b", "c"];

/// How a body is to end.
type End = Result<(), String>;

/// What the bodies of one tree are told.
struct Orders {
    senders: HashMap<&'static str, Sender<End>>,
    receivers: HashMap<&'static str, Mutex<Receiver<End>>>,
}

impl Orders {
    fn new() -> Arc<Self> {
        let channels = IDS.map(|id| (id, channel()));
        let mut orders = Self {
            senders: HashMap::new(),
            receivers: HashMap::new(),
        };
        for (id, (sender, receiver)) in channels {
            orders.senders.insert(id, sender);
            orders.receivers.insert(id, Mutex::new(receiver));
        }
        Arc::new(orders)
    }

    fn await_end(&self, id: &str, me: &Incarnation) -> End {
        loop {
            if me.stop().wait(Duration::from_millis(1)) {
                return Ok(());
            }
            if let Ok(end) = self.receivers[id].lock().unwrap().try_recv() {
                return end;
            }
        }
    }
}

/// The tree of this script, with a branch of its own for two of three children.
fn tree(random: &mut Random, orders: &Arc<Orders>) -> SupervisorBuilder {
    let strategies = [(); 2].map(|()| *random.pick(&STRATEGIES));
    let restarts = [(); 3].map(|()| *random.pick(&RESTARTS));
    let child = move |index: usize, orders: &Arc<Orders>| {
        let (id, orders) = (IDS[index], orders.clone());
        let child = ChildSpec::worker(id, move |me| orders.await_end(id, me));
        child.restart(restarts[index])
    };
    let orders_below = orders.clone();
    let below = ChildSpec::supervisor("below", move || {
        let below = Supervisor::builder("below").strategy(strategies[1]);
        let below = below.limit(1, HOUR).child(child(0, &orders_below));
        below.child(child(1, &orders_below))
    });
    let top = Supervisor::builder("top").strategy(strategies[0]);
    let top = top.limit(2, HOUR).child(below);
    top.child(child(2, orders))
}

fn path(id: &str) -> String {
    if id == "c" {
        id.to_owned()
    } else {
        format!("below/{id}")
    }
}

/// What must be the same of all children.
fn described(children: &[ChildInfo]) -> Vec<String> {
    let describe = |child: &ChildInfo| {
        let last_exit = child.last_exit.as_ref().map(ToString::to_string);
        let (id, state, incarnation) = (&child.id, child.state, child.incarnation);
        format!("{id} {state:?} {incarnation} {last_exit:?}")
    };
    children.iter().map(describe).collect()
}

fn real(top: &SupRef) -> Vec<String> {
    let below = top.supervisor("below");
    let below = below.map_or_else(Vec::new, |below| below.children());
    [described(&top.children()), described(&below)].concat()
}

fn simulated(simulation: &Simulation) -> Vec<String> {
    let below = simulation.children("below");
    [described(&simulation.children("")), described(&below)].concat()
}

fn agree(seed: u64) {
    let mut random = Random(seed);
    let orders = Orders::new();
    let mut simulation = Simulation::new(tree(&mut random, &orders)).unwrap();
    simulation.start();
    let supervisor = tree(&mut Random(seed), &orders).start().unwrap();
    let handle = supervisor.handle();
    let mut told = Vec::new();
    loop {
        let expected = simulated(&simulation);
        let begun = Instant::now();
        while real(&handle) != expected {
            let real = real(&handle);
            let late = begun.elapsed() > PATIENCE;
            assert!(!late, "{seed}, {told:?}: {real:?} is not {expected:?}");
            std::thread::yield_now();
        }
        if told.len() == 12 || simulation.ended().is_some() {
            break;
        }
        let id = *random.pick(&IDS);
        let what = random.below(7);
        told.push((id, what));
        match what {
            0..4 => {
                let end = match what {
                    0 => Ok(()),
                    number => Err(format!("error {number}")),
                };
                if simulation.ends(&path(id), end.clone()).is_ok() {
                    orders.senders[id].send(end).unwrap();
                }
            }
            by_hand => {
                let of = if id == "c" {
                    Some(handle.clone())
                } else {
                    handle.supervisor("below")
                };
                let simulated = match by_hand {
                    4 => simulation.terminate(&path(id)).is_ok(),
                    5 => simulation.restart(&path(id)).is_ok(),
                    _ => simulation.delete(&path(id)).is_ok(),
                };
                let real = of.is_some_and(|of| match by_hand {
                    4 => of.terminate(id).is_ok(),
                    5 => of.restart(id).is_ok(),
                    _ => of.delete(id).is_ok(),
                });
                assert_eq!(real, simulated, "{seed}, {told:?}");
            }
        }
    }
    let ended = simulation.ended().map(ToString::to_string);
    if let Some(ended) = ended {
        assert_eq!(supervisor.wait().to_string(), ended, "{seed}, {told:?}");
    } else {
        simulation.shutdown();
        assert!(matches!(simulation.ended(), Some(ExitReason::Shutdown)));
        assert!(supervisor.shutdown().abandoned.is_empty());
    }
}

#[test]
fn what_is_simulated_happens() {
    for seed in 0..60 {
        agree(seed);
    }
}

/// What is random must be the same for the same seed: `SplitMix64`.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        let index = self.below(from.len() as u64);
        &from[usize::try_from(index).unwrap()]
    }
}
