//! Supervisors of threads, by the numbers of the conformance cases. What a machine without threads decides is tested by the
//! same numbers in `loom-tests/tests/conformance_supervision*.rs`; here it is seen to happen.

use bedplate::monitor::Inbox;
use bedplate::process::{ExitReason, IntoExit as _};
use bedplate::supervisor::{
    AutoShutdown, ChildSpec, ChildState, Incarnation, Kind, Ready, ReconfigureError, Restart,
    StartError, Stop, Strategy, Supervisor, SupervisorBuilder,
};
use core::time::Duration;
use std::sync::{Arc, Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(20);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

fn steady(id: &str) -> ChildSpec {
    ChildSpec::worker(id, obedient)
}

/// What the next incarnation that looks is to do.
#[derive(Clone, Copy)]
enum Order {
    Finish,
    Shutdown,
    Fail,
    Panic,
}

/// A child that ends as it is told to, whatever incarnation it is, and tells when each begins and ends.
struct Puppet {
    id: &'static str,
    orders: Arc<Mutex<mpsc::Receiver<Order>>>,
    strings: mpsc::Sender<Order>,
}

impl Puppet {
    fn new(id: &'static str) -> Self {
        let (strings, orders) = mpsc::channel();
        Self {
            id,
            orders: Arc::new(Mutex::new(orders)),
            strings,
        }
    }

    fn spec(&self, tell: &mpsc::Sender<String>) -> ChildSpec {
        let (id, orders, tell) = (self.id, self.orders.clone(), tell.clone());
        let spec = ChildSpec::worker(id, move |me| -> ExitReason {
            tell.send(format!("{id}{} begins", me.number())).unwrap();
            me.ready();
            let reason = loop {
                let order = orders.lock().unwrap().try_recv().ok();
                match order {
                    Some(Order::Finish) => break ExitReason::Normal,
                    Some(Order::Shutdown) => break ExitReason::Shutdown,
                    Some(Order::Fail) => break Err::<(), _>("told to").into_exit(),
                    Some(Order::Panic) => panic!("told to"),
                    None if me.stop().wait(Duration::from_millis(1)) => break ExitReason::Normal,
                    None => {}
                }
            };
            tell.send(format!("{id}{} ends", me.number())).unwrap();
            reason
        });
        spec.ready(Ready::Signalled { within: PATIENCE })
    }

    fn order(&self, order: Order) {
        self.strings.send(order).unwrap();
    }
}

fn quiet(intensity: u32) -> SupervisorBuilder {
    Supervisor::builder("app")
        .limit(intensity, HOUR)
        .quiet_panics(true)
}

/// What is told until all of that is.
fn until(told: &mpsc::Receiver<String>, all: &[&str]) -> Vec<String> {
    let mut story: Vec<String> = Vec::new();
    while !all.iter().all(|what| story.iter().any(|told| told == what)) {
        let next = told.recv_timeout(PATIENCE);
        story.push(next.unwrap_or_else(|_| panic!("{all:?}, but only {story:?}")));
    }
    story
}

#[test]
fn s8_what_is_not_said_is_as_in_otp() {
    let inner = || Supervisor::builder("inner");
    let supervisor = Supervisor::builder("app")
        .child(steady("worker"))
        .child(ChildSpec::supervisor("supervisor", inner))
        .start()
        .unwrap();
    let children = supervisor.handle().children();
    assert_eq!(
        [children[0].kind, children[1].kind],
        [Kind::Worker, Kind::Supervisor]
    );
    let said = format!("{:?}", steady("worker"));
    for default in ["Permanent", "Within(5s)", "OnStart", "significant: false"] {
        assert!(said.contains(default), "{default} in {said}");
    }
    let said = format!("{:?}", ChildSpec::supervisor("supervisor", inner));
    assert!(
        said.contains("Permanent") && said.contains("Forever"),
        "{said}"
    );
}

#[test]
fn s16_five_children_start_in_list_order() {
    let (tell, told) = mpsc::channel();
    let puppets = ["a", "b", "c", "d", "e"].map(Puppet::new);
    let mut builder = quiet(0);
    for puppet in &puppets {
        builder = builder.child(puppet.spec(&tell));
    }
    let supervisor = builder.start().unwrap();
    let begun: Vec<String> = told.try_iter().collect();
    assert_eq!(
        begun,
        [
            "a1 begins",
            "b1 begins",
            "c1 begins",
            "d1 begins",
            "e1 begins"
        ]
    );
    assert_eq!(supervisor.shutdown().clean, ["e", "d", "c", "b", "a"]);
}

#[test]
fn s5_s17_a_child_that_panics_at_its_start_is_named_with_the_root_cause() {
    let panics = ChildSpec::worker("panics", |_| -> () { panic!("no socket") });
    let inner = Mutex::new(Some(panics));
    let describe = move || {
        let panics = inner.lock().unwrap().take().unwrap();
        let panics = panics.ready(Ready::Signalled { within: PATIENCE });
        Supervisor::builder("inner")
            .quiet_panics(true)
            .child(panics)
    };
    let error = quiet(0)
        .child(ChildSpec::supervisor("inner", describe))
        .start()
        .map(drop)
        .unwrap_err();
    let StartError::Child { id, error } = &error else {
        panic!("{error}")
    };
    assert_eq!(id, "inner");
    let StartError::Child { id, error } = &**error else {
        panic!("{error}")
    };
    assert_eq!(id, "panics");
    let StartError::Exited(ExitReason::Panicked(report)) = &**error else {
        panic!("{error}")
    };
    assert_eq!(report.message, "no socket");
}

#[test]
fn s32_s34_s35_who_is_restarted_after_what() {
    let orders = [Order::Finish, Order::Shutdown, Order::Fail, Order::Panic];
    for (index, order) in orders.into_iter().enumerate() {
        let (tell, told) = mpsc::channel();
        let puppets = ["permanent", "transient", "temporary"].map(Puppet::new);
        let [permanent, transient, temporary] = &puppets;
        let supervisor = quiet(10)
            .child(permanent.spec(&tell))
            .child(transient.spec(&tell).restart(Restart::Transient))
            .child(temporary.spec(&tell).restart(Restart::Temporary))
            .start()
            .unwrap();
        for puppet in &puppets {
            puppet.order(order);
        }
        let abnormal = index >= 2;
        let mut back = vec!["permanent2 begins"];
        if abnormal {
            back.push("transient2 begins");
        }
        until(&told, &back);
        let handle = supervisor.handle();
        while handle.count().specs > 2
            || handle.children()[1].state
                != if abnormal {
                    ChildState::Running
                } else {
                    ChildState::Stopped
                }
        {
            std::thread::yield_now();
        }
    }
}

#[test]
fn s37_s38_one_for_one_up_to_its_intensity() {
    let (tell, told) = mpsc::channel();
    let puppet = Puppet::new("puppet");
    let supervisor = quiet(2)
        .child(steady("sibling"))
        .child(puppet.spec(&tell))
        .start()
        .unwrap();
    let sibling = supervisor.handle().child("sibling").unwrap();
    for number in 2..=3 {
        puppet.order(Order::Panic);
        until(&told, &[&format!("puppet{number} begins")]);
        assert_eq!(supervisor.handle().child("sibling"), Some(sibling.clone()));
    }
    puppet.order(Order::Panic);
    assert!(matches!(supervisor.wait(), ExitReason::GaveUp(_)));
    assert!(!sibling.is_alive());
}

#[test]
fn s40_s46_s56_a_restart_that_always_fails_uses_the_intensity_up() {
    for strategy in [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ] {
        let (tell, told) = mpsc::channel::<u64>();
        let (crash, crashes) = mpsc::channel::<()>();
        let crashes = Mutex::new(crashes);
        let once = ChildSpec::worker("once", move |me| {
            let _counted = tell.send(me.number());
            if me.number() == 1 {
                me.ready();
                let _gone = crashes.lock().unwrap().recv();
            }
            Err::<(), _>("never again")
        });
        let supervisor = quiet(4)
            .strategy(strategy)
            .child(steady("sibling"))
            .child(once.ready(Ready::Signalled { within: PATIENCE }))
            .start()
            .unwrap();
        drop(crash);
        let ExitReason::GaveUp(why) = supervisor.wait() else {
            panic!("it did not give up")
        };
        assert_eq!(why.child, "once");
        assert_eq!(told.iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn s41_s44_s47_groups() {
    let crash = |strategy, all: &[&'static str], which: usize, back: &[&str]| {
        let (tell, told) = mpsc::channel();
        let puppets: Vec<Puppet> = all.iter().map(|&id| Puppet::new(id)).collect();
        let mut builder = quiet(1).strategy(strategy);
        for puppet in &puppets {
            builder = builder.child(puppet.spec(&tell));
        }
        let supervisor = builder.start().unwrap();
        let _begun: Vec<String> = told.try_iter().collect();
        puppets[which].order(Order::Fail);
        let story = until(&told, back);
        drop(supervisor);
        story
    };
    assert_eq!(
        crash(Strategy::OneForAll, &["a", "b", "c"], 1, &["c2 begins"]),
        [
            "b1 ends",
            "c1 ends",
            "a1 ends",
            "a2 begins",
            "b2 begins",
            "c2 begins"
        ]
    );
    assert_eq!(
        crash(Strategy::RestForOne, &["a", "b", "c"], 1, &["c2 begins"]),
        ["b1 ends", "c1 ends", "b2 begins", "c2 begins"]
    );
    assert_eq!(
        crash(
            Strategy::RestForOne,
            &["a", "b", "c", "d", "e"],
            2,
            &["e2 begins"]
        ),
        [
            "c1 ends",
            "e1 ends",
            "d1 ends",
            "c2 begins",
            "d2 begins",
            "e2 begins"
        ]
    );
}

#[test]
fn s64_s65_s71_each_is_waited_for_as_long_as_it_has() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let deaf = |id: &str| {
        let held = held.clone();
        ChildSpec::worker(id, move |_| {
            let _released = held.lock().unwrap().recv();
        })
    };
    for strategy in [Strategy::OneForOne, Strategy::Dynamic] {
        let supervisor = quiet(0)
            .strategy(strategy)
            .child(steady("idle"))
            .child(deaf("busy").stop(Stop::Within(SOON)))
            .child(deaf("killed").stop(Stop::Within(Duration::ZERO)))
            .child(steady("patient").stop(Stop::Forever))
            .start()
            .unwrap();
        let mut report = supervisor.shutdown();
        report.clean.sort();
        report.abandoned.sort();
        assert_eq!(report.clean, ["idle", "patient"]);
        assert_eq!(report.abandoned, ["busy", "killed"]);
        assert!(report.took >= SOON);
    }
    drop(release);
}

#[test]
fn s68_s70_how_a_child_ends_that_was_asked_to_is_its_own_affair_and_is_told() {
    let failing = ChildSpec::worker("failing", |me| {
        obedient(me);
        Err::<(), _>("could not save")
    });
    let supervisor = quiet(0)
        .child(failing)
        .child(steady("permanent"))
        .start()
        .unwrap();
    let inbox = Inbox::new();
    for child in supervisor.handle().children() {
        inbox.monitor(&child.child.unwrap());
    }
    let report = supervisor.shutdown();
    assert_eq!(report.clean, ["permanent"]);
    let mut reasons = [(); 2].map(|()| {
        let down = inbox.recv_timeout(PATIENCE).unwrap();
        format!("{} {}", down.child.id(), down.reason)
    });
    reasons.sort();
    assert_eq!(
        reasons,
        [
            "failing failed: could not save",
            "permanent stopped when asked to"
        ]
    );
}

#[test]
fn s80_significant_children_that_go_with_others_end_nobody() {
    for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
        let (tell, told) = mpsc::channel();
        let (puppet, bystander) = (Puppet::new("puppet"), Puppet::new("bystander"));
        let significant = bystander.spec(&tell).restart(Restart::Transient);
        let supervisor = quiet(1)
            .strategy(strategy)
            .auto_shutdown(AutoShutdown::AnySignificant)
            .child(puppet.spec(&tell))
            .child(significant.significant(true))
            .start()
            .unwrap();
        puppet.order(Order::Fail);
        until(&told, &["puppet2 begins", "bystander2 begins"]);
        assert_eq!(supervisor.shutdown().clean, ["bystander", "puppet"]);
    }
}

#[test]
fn s82_s79_auto_shutdown_and_all_else_can_change_while_it_runs() {
    let (tell, told) = mpsc::channel();
    let (first, second) = (Puppet::new("first"), Puppet::new("second"));
    let significant = |puppet: &Puppet| {
        let spec = puppet.spec(&tell).restart(Restart::Transient);
        spec.significant(true)
    };
    let supervisor = quiet(0)
        .auto_shutdown(AutoShutdown::AnySignificant)
        .child(significant(&first))
        .child(significant(&second))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    handle
        .reconfigure(quiet(1).auto_shutdown(AutoShutdown::AllSignificant))
        .unwrap();
    // The limit is another one …
    second.order(Order::Fail);
    until(&told, &["second2 begins"]);
    // … and one is not all.
    first.order(Order::Finish);
    while handle.child("first").is_some() {
        std::thread::yield_now();
    }
    assert!(handle.child("second").is_some());

    let refused = handle.reconfigure(quiet(1).strategy(Strategy::Dynamic));
    assert!(matches!(refused, Err(ReconfigureError::BadConfig(_))));
    let refused = handle.reconfigure(quiet(129));
    assert!(matches!(refused, Err(ReconfigureError::BadLimit(_))));
    let refused = handle.reconfigure(quiet(1).child(steady("other")));
    assert!(matches!(refused, Err(ReconfigureError::HasChildren { .. })));
    second.order(Order::Finish);
    assert!(matches!(supervisor.wait(), ExitReason::Shutdown));
    let refused = handle.reconfigure(quiet(1));
    assert!(matches!(refused, Err(ReconfigureError::ShuttingDown)));
}
