//! A supervisor with partitions: a storm in one uses up its own limit, keys find their partition through restarts, and there
//! may be fewer of them for a while. Numbers are those of the conformance cases.

use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::supervisor::simulation::Simulation;
use bedplate::supervisor::{
    ChildSpec, ChildState, Incarnation, Partitions, PartitionsError, Ready, ResizeError, Restart,
    RouteError, StartError, Stop, Strategy, SupRef, Supervisor, SupervisorBuilder, TerminateError,
};
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn obedient(me: &Incarnation) {
    while !me.stop().wait(PATIENCE) {}
}

fn steady(id: &str) -> ChildSpec {
    ChildSpec::worker(id, obedient)
}

fn partition_of_one(_number: usize) -> SupervisorBuilder {
    Supervisor::builder("unused").child(steady("worker"))
}

/// By which a worker is told to crash.
type Orders = Arc<Mutex<mpsc::Receiver<()>>>;

/// A partition whose worker crashes when it is told to, with a limit of three restarts.
fn crashing(orders: Orders) -> SupervisorBuilder {
    let worker = ChildSpec::worker("worker", move |me| {
        while !me.stop().wait(Duration::from_millis(1)) {
            if orders.lock().unwrap().try_recv().is_ok() {
                return Err("as planned");
            }
        }
        Ok(())
    });
    Supervisor::builder("unused").limit(3, HOUR).child(worker)
}

/// As many partitions as there are senders, which make their workers crash.
fn with_orders(count: usize) -> (Partitions, Vec<mpsc::Sender<()>>, SupervisorBuilder) {
    let (senders, orders): (Vec<_>, Vec<Orders>) = (0..count)
        .map(|_| {
            let (send, orders) = mpsc::channel();
            (send, Arc::new(Mutex::new(orders)))
        })
        .unzip();
    let partitions = Partitions::new(count).unwrap();
    let builder = Supervisor::builder("app")
        .limit(3, HOUR)
        .partitions(&partitions, move |number| crashing(orders[number].clone()));
    (partitions, senders, builder)
}

/// Has the worker crash, and waits until the next incarnation of it is there, in whatever incarnation of its partition.
fn crash(partitions: &Partitions, number: usize, order: &mpsc::Sender<()>) {
    let worker = worker_of(partitions, number);
    order.send(()).unwrap();
    while worker_of(partitions, number) == worker {
        std::thread::yield_now();
    }
}

fn worker_of(partitions: &Partitions, number: usize) -> bedplate::supervisor::ChildRef {
    loop {
        let partition = partitions.partition(number);
        if let Some(worker) = partition.ok().and_then(|it| it.child("worker")) {
            return worker;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_storm_uses_up_the_limit_of_its_own_partition() {
    let (partitions, orders, builder) = with_orders(3);
    let supervisor = builder.start().unwrap();
    let handle = supervisor.handle();
    let untouched = worker_of(&partitions, 2);
    // As many crashes as the limit of one allows, in two of them, one after the other.
    for _ in 0..3 {
        crash(&partitions, 0, &orders[0]);
        crash(&partitions, 1, &orders[1]);
    }
    assert!(
        handle.children().iter().all(|child| child.restarts == 0),
        "no partition has given up"
    );
    // One more in one of them is the end of that partition, and of nothing else.
    let inbox = Inbox::new();
    inbox.monitor(&handle.child("0").unwrap());
    crash(&partitions, 0, &orders[0]);
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(down.reason, ExitReason::GaveUp(_)));
    let restarts: Vec<u64> = handle.children().iter().map(|it| it.restarts).collect();
    assert_eq!(restarts, [1, 0, 0]);
    assert_eq!(worker_of(&partitions, 1).incarnation(), 4);
    assert!(untouched.is_alive());
    assert_eq!(worker_of(&partitions, 2), untouched);
    // Its new incarnation has its whole limit again.
    for _ in 0..3 {
        crash(&partitions, 0, &orders[0]);
    }
    assert_eq!(handle.children()[0].restarts, 1);
    let report = supervisor.shutdown();
    assert_eq!(
        report.clean,
        ["2/worker", "2", "1/worker", "1", "0/worker", "0"]
    );
}

/// The same without threads: it is nothing but supervisors.
#[test]
fn a_simulated_storm_uses_up_the_limit_of_its_own_partition() {
    let (_partitions, _orders, builder) = with_orders(2);
    let mut app = Simulation::new(builder).unwrap();
    app.start();
    for _ in 0..3 {
        app.fails("0/worker", "as planned").unwrap();
        app.fails("1/worker", "as planned").unwrap();
    }
    let restarts = |app: &Simulation| -> Vec<u64> {
        let children = app.children("");
        children.iter().map(|child| child.restarts).collect()
    };
    assert_eq!(restarts(&app), [0, 0]);
    app.fails("0/worker", "as planned").unwrap();
    assert_eq!(restarts(&app), [1, 0]);
    assert_eq!(app.child("1/worker").unwrap().incarnation, 4);
    assert!(app.ended().is_none());
}

#[test]
fn partitions_that_give_up_too_often_end_their_supervisor() {
    let (partitions, orders, builder) = with_orders(2);
    let supervisor = builder.start().unwrap();
    let other = partitions.partition(1).unwrap().child("worker").unwrap();
    for _ in 0..16 {
        // The last one is for an incarnation that may not come.
        orders[0].send(()).unwrap();
    }
    let reason = supervisor.wait();
    let ExitReason::GaveUp(why) = reason else {
        panic!("{reason}")
    };
    assert_eq!(why.child, "0");
    assert!(matches!(why.last, ExitReason::GaveUp(_)));
    assert!(!other.is_alive());
    assert_eq!(
        partitions.route("key").unwrap_err(),
        RouteError::NotRunning {
            partition: partitions.index("key").unwrap()
        }
    );
}

#[test]
fn s86_fewer_and_more_in_any_order() {
    let partitions = Partitions::new(8).unwrap();
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, partition_of_one)
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let first = partitions.partition(0).unwrap().child("worker").unwrap();
    for count in [8, 7, 3, 5, 1, 8, 2, 2, 0, 8, 0, 4, 8] {
        partitions.resize(count).unwrap();
        assert_eq!(partitions.in_service(), count);
        let counts = handle.count();
        assert_eq!((counts.specs, counts.active), (8, count), "of {count}");
        let reached: BTreeSet<usize> = (0..1_000)
            .filter_map(|key: u32| {
                let partition = partitions.route(&key).ok()?;
                assert!(partition.child("worker").is_some());
                partitions.index(&key)
            })
            .collect();
        assert_eq!(reached, (0..count).collect(), "of {count}");
        let running = (0..8).filter(|&number| partitions.partition(number).is_ok());
        assert_eq!(running.collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
        if count > 0 && handle.children()[0].incarnation == 1 {
            assert!(first.is_alive(), "what stays is not touched");
        }
    }
    partitions.resize(0).unwrap();
    assert_eq!(
        partitions.route("key").unwrap_err(),
        RouteError::NoneInService
    );
    assert_eq!(partitions.index("key"), None);
    assert_eq!(partitions.index_of_number(3), None);
    assert!(supervisor.shutdown().clean.is_empty(), "nothing ran");
}

#[test]
fn s88_not_above_the_number_there_are() {
    let partitions = Partitions::new(2).unwrap();
    assert!(matches!(partitions.resize(1), Err(ResizeError::NotRunning)));
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, partition_of_one)
        .start()
        .unwrap();
    assert!(matches!(
        partitions.resize(3),
        Err(ResizeError::TooMany { most: 2 })
    ));
    assert_eq!(partitions.in_service(), 2);
    assert_eq!(supervisor.handle().count().active, 2);
    drop(supervisor);
}

/// One crash would start those again that are out of service.
#[test]
fn only_one_for_one_can_there_be_fewer() {
    for (strategy, word) in [
        (Strategy::OneForAll, "one for all"),
        (Strategy::RestForOne, "rest for one"),
        (Strategy::Dynamic, "dynamic"),
    ] {
        let partitions = Partitions::new(3).unwrap();
        let supervisor = Supervisor::builder("app")
            .strategy(strategy)
            .partitions(&partitions, partition_of_one)
            .start()
            .unwrap();
        for count in [1, 3] {
            let error = partitions.resize(count).unwrap_err();
            assert!(
                matches!(error, ResizeError::Strategy { strategy: its } if its == strategy),
                "{error}"
            );
            assert_eq!(
                error.to_string(),
                format!("the supervisor of the partitions is {word}, and not one for one")
            );
        }
        assert_eq!(partitions.in_service(), 3);
        assert_eq!(supervisor.handle().count().active, 3);
        drop(supervisor);
    }
}

#[test]
fn s89_each_has_its_number_and_keys_find_it() {
    let (tell, told) = mpsc::channel();
    let partitions = Partitions::new(4).unwrap();
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, move |number| {
            let tell = tell.clone();
            Supervisor::builder("unused").child(ChildSpec::worker("worker", move |me| {
                tell.send((number, me.me().path().to_owned())).unwrap();
                obedient(me);
            }))
        })
        .start()
        .unwrap();
    let mut begun: Vec<_> = (0..4)
        .map(|_| told.recv_timeout(PATIENCE).unwrap())
        .collect();
    begun.sort();
    for (index, (number, path)) in begun.into_iter().enumerate() {
        assert_eq!(number, index);
        assert_eq!(path, format!("app/{index}/worker"));
    }

    let absolute_modulo = [0, 1, 5, -1, -3, -4, 11, i64::MAX, i64::MIN]
        .map(|number| partitions.index_of_number(number).unwrap());
    assert_eq!(absolute_modulo, [0, 1, 1, 1, 3, 0, 3, 3, 0]);

    let other = Partitions::new(4).unwrap();
    for key in ["", "a", "Ada", "a longer key than a word of the machine"] {
        assert_eq!(partitions.index(key), partitions.index(key));
        assert_eq!(partitions.index(key), other.index(key));
        assert_eq!(partitions.index(key), partitions.index(&key.to_owned()));
        let partition = partitions.route(key).unwrap();
        let worker = partition.child("worker").unwrap();
        let number = partitions.index(key).unwrap();
        assert_eq!(worker.path(), format!("app/{number}/worker"));
    }
    drop(supervisor);
}

/// A hash that is not spread would send all keys the same way.
#[test]
fn keys_are_spread() {
    let partitions = Partitions::new(8).unwrap();
    let mut counts = [0_u32; 8];
    for key in 0..8_000_u64 {
        counts[partitions.index(&(key << 32)).unwrap()] += 1;
    }
    assert!(
        counts.iter().all(|count| (800..1_200).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn a_wrong_number_is_refused() {
    assert_eq!(Partitions::new(0).unwrap_err(), PartitionsError::None);
    assert_eq!(
        Partitions::new(Partitions::MOST + 1).unwrap_err(),
        PartitionsError::TooMany {
            most: Partitions::MOST
        }
    );
    let partitions = Partitions::new(Partitions::MOST).unwrap();
    assert_eq!(partitions.count(), Partitions::MOST);
    assert_eq!(
        partitions.partition(Partitions::MOST).unwrap_err(),
        RouteError::NotRunning {
            partition: Partitions::MOST
        }
    );
    let too_few = Supervisor::builder("app").max_children(2);
    let error = too_few.partitions(&Partitions::new(3).unwrap(), partition_of_one);
    assert!(matches!(
        error.start().unwrap_err(),
        StartError::TooManyChildren { limit: 2 }
    ));
}

/// While it is stopped, a key leads to it all the same, and to no other one.
#[test]
fn a_partition_that_is_being_restarted_does_not_run() {
    let partitions = Partitions::new(2).unwrap();
    let (entered, enters) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let (crash, crashes) = mpsc::channel::<()>();
    let crashes = Arc::new(Mutex::new(crashes));
    let described = Mutex::new([0_u32; 2]);
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, move |number| {
            let times = {
                let described = &mut described.lock().unwrap()[number];
                *described += 1;
                *described
            };
            if (number, times) == (1, 2) {
                entered.send(()).unwrap();
                let _go_on = wait.lock().unwrap().recv();
            }
            let crashes = crashes.clone();
            Supervisor::builder("unused")
                .limit(0, HOUR)
                .child(ChildSpec::worker("worker", move |me| {
                    if number == 0 {
                        obedient(me);
                        return Ok(());
                    }
                    match crashes.lock().unwrap().recv() {
                        Ok(()) => Err("as planned"),
                        Err(_gone) => Ok(()),
                    }
                }))
        })
        .start()
        .unwrap();
    crash.send(()).unwrap();
    enters.recv_timeout(PATIENCE).unwrap();
    assert_eq!(partitions.in_service(), 2);
    assert_eq!(partitions.index_of_number(1), Some(1));
    assert_eq!(
        partitions.partition(1).unwrap_err(),
        RouteError::NotRunning { partition: 1 }
    );
    assert!(partitions.partition(0).is_ok());
    let (answer, answered) = mpsc::channel();
    let (waiting, key) = (partitions.clone(), key_of(&partitions, 1));
    std::thread::spawn(move || answer.send(waiting.route_within(&key, HOUR)));
    // By then it most likely waits; else this shows less.
    std::thread::sleep(Duration::from_millis(20));
    go_on.send(()).unwrap();
    let second = answered.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(second.children()[0].incarnation, 1);
    assert_eq!(supervisor.handle().child("1").unwrap().incarnation(), 2);
    drop(crash);
    drop(supervisor);
}

/// A key of the partition `number`.
fn key_of(partitions: &Partitions, number: usize) -> u64 {
    let mut keys = 0..;
    keys.find(|key| partitions.index(key) == Some(number))
        .unwrap()
}

/// The second incarnation of a partition does not start, and the third one does.
#[test]
fn who_waits_for_a_partition_has_the_one_that_starts() {
    let partitions = Partitions::new(2).unwrap();
    let (crash, crashes) = mpsc::channel::<()>();
    let crashes = Arc::new(Mutex::new(crashes));
    let described = Mutex::new(0);
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, move |number| {
            let mut described = described.lock().unwrap();
            *described += u64::from(number == 1);
            let (times, crashes) = (*described, crashes.clone());
            let worker = ChildSpec::worker("worker", move |me| {
                if number == 1 && times < 3 {
                    if times == 1 {
                        me.ready();
                    }
                    let _crashes = crashes.lock().unwrap().recv();
                    return Err("as planned");
                }
                me.ready();
                obedient(me);
                Ok(())
            });
            let worker = worker.ready(Ready::Signalled { within: PATIENCE });
            Supervisor::builder("unused").limit(0, HOUR).child(worker)
        })
        .start()
        .unwrap();
    let key = key_of(&partitions, 1);
    let first = partitions.route_within(&key, PATIENCE).unwrap();
    let worker = first.child("worker").unwrap();
    assert_eq!(worker.path(), "app/1/worker");
    crash.send(()).unwrap();
    while worker.is_alive() {
        std::thread::yield_now();
    }
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let partitions = partitions.clone();
            std::thread::spawn(move || partitions.route_within(&key, PATIENCE))
        })
        .collect();
    crash.send(()).unwrap();
    for waiting in waiting {
        let third = waiting.join().unwrap().unwrap();
        assert!(third.child("worker").unwrap().is_alive());
    }
    assert_eq!(supervisor.handle().child("1").unwrap().incarnation(), 3);
    drop(supervisor);
}

#[test]
fn nobody_waits_for_a_partition_longer_than_he_wants() {
    let partitions = Partitions::new(2).unwrap();
    let not_running = |partition| RouteError::NotRunning { partition };
    let key = key_of(&partitions, 1);
    let wait = |millis| {
        let answer = partitions.route_within(&key, Duration::from_millis(millis));
        answer.map(drop)
    };
    assert_eq!(wait(1), Err(not_running(1)), "it has not started");
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, partition_of_one)
        .start()
        .unwrap();
    assert_eq!(wait(0), Ok(()));
    supervisor.handle().terminate("1").unwrap();
    assert_eq!(wait(1), Err(not_running(1)), "it was stopped");
    partitions.resize(0).unwrap();
    assert_eq!(wait(1), Err(RouteError::NoneInService));
    partitions.resize(2).unwrap();
    assert_eq!(wait(0), Ok(()));
    drop(supervisor);
}

/// Asks for the partition of `key` on a thread of its own, which most likely waits when this returns; else what follows shows
/// less.
fn ask_and_wait(partitions: &Partitions, key: u64) -> mpsc::Receiver<Result<SupRef, RouteError>> {
    let (answer, answered) = mpsc::channel();
    let waiting = partitions.clone();
    std::thread::spawn(move || answer.send(waiting.route_within(&key, Duration::MAX)));
    std::thread::sleep(Duration::from_millis(20));
    answered
}

/// What is taken out of service meanwhile does not come, but its keys lead somewhere.
#[test]
fn who_waits_follows_his_key() {
    let partitions = Partitions::new(4).unwrap();
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, partition_of_one)
        .start()
        .unwrap();
    let key = key_of(&partitions, 3);
    supervisor.handle().terminate("3").unwrap();
    let answered = ask_and_wait(&partitions, key);
    partitions.resize(3).unwrap();
    let partition = answered.recv_timeout(PATIENCE).unwrap().unwrap();
    let worker = partition.child("worker").unwrap();
    let number = partitions.index(&key).unwrap();
    assert_eq!(worker.path(), format!("app/{number}/worker"));

    supervisor.handle().terminate(&number.to_string()).unwrap();
    let answered = ask_and_wait(&partitions, key);
    partitions.resize(0).unwrap();
    let answer = answered.recv_timeout(PATIENCE).unwrap();
    assert_eq!(answer.unwrap_err(), RouteError::NoneInService);
    drop(supervisor);
}

/// Nor does he wait until the partition that is taken out of service has stopped.
#[test]
fn who_waits_does_not_wait_for_a_partition_to_stop() {
    let partitions = Partitions::new(2).unwrap();
    let (begin, begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let times = Mutex::new(0);
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, move |number| {
            *times.lock().unwrap() += number;
            let restarted = *times.lock().unwrap() == 2;
            let (begin, wait) = (begin.clone(), wait.clone());
            let worker = ChildSpec::worker("worker", move |me| {
                if number == 1 && restarted {
                    begin.send(()).unwrap();
                    let _go_on = wait.lock().unwrap().recv();
                    return;
                }
                me.ready();
                obedient(me);
            });
            let worker = worker.ready(Ready::Signalled { within: HOUR });
            Supervisor::builder("unused").child(worker.stop(Stop::Within(PATIENCE)))
        })
        .start()
        .unwrap();
    let key = key_of(&partitions, 1);
    let handle = supervisor.handle();
    handle.terminate("1").unwrap();
    let restarting = std::thread::spawn(move || handle.restart("1").map(drop));
    begun.recv_timeout(PATIENCE).unwrap();
    let answered = ask_and_wait(&partitions, key);
    let resizing = {
        let partitions = partitions.clone();
        std::thread::spawn(move || partitions.resize(1))
    };
    let partition = answered.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(partition.child("worker").unwrap().path(), "app/0/worker");
    assert!(!resizing.is_finished(), "it has yet to stop");
    drop(go_on);
    resizing.join().unwrap().unwrap();
    assert!(restarting.join().unwrap().is_err());
    drop(supervisor);
}

/// Below another supervisor, so that it is restarted, until that one ends.
#[test]
fn who_waits_is_told_when_all_is_over() {
    let partitions = Partitions::new(1).unwrap();
    let described = partitions.clone();
    let shards = ChildSpec::supervisor("shards", move || {
        Supervisor::builder("unused").partitions(&described, partition_of_one)
    });
    let supervisor = Supervisor::builder("app").child(shards).start().unwrap();
    let handle = supervisor.handle();
    handle.terminate("shards").unwrap();
    let answered = ask_and_wait(&partitions, 0);
    assert!(answered.try_recv().is_err(), "it may be started again");
    handle.restart("shards").unwrap();
    let partition = answered.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(
        partition.child("worker").unwrap().path(),
        "app/shards/0/worker"
    );
    handle.terminate("shards").unwrap();
    let answered = ask_and_wait(&partitions, 0);
    drop(supervisor);
    let over = RouteError::NotRunning { partition: 0 };
    let answer = answered.recv_timeout(PATIENCE).unwrap();
    assert_eq!(answer.unwrap_err(), over);
    let late = ask_and_wait(&partitions, 0);
    assert_eq!(late.recv_timeout(PATIENCE).unwrap().unwrap_err(), over);

    // Whoever builds it anew is found.
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, partition_of_one)
        .start()
        .unwrap();
    assert!(partitions.route_within("key", PATIENCE).is_ok());
    supervisor.handle().terminate("0").unwrap();
    let answered = ask_and_wait(&partitions, 0);
    drop(supervisor);
    let answer = answered.recv_timeout(PATIENCE).unwrap();
    assert_eq!(answer.unwrap_err(), over, "it was the outermost itself");
}

/// It would wait for what its own thread does next.
#[test]
fn a_stop_callback_does_not_wait_for_a_partition() {
    let partitions = Partitions::new(1).unwrap();
    let described = partitions.clone();
    let (tell, told) = mpsc::channel();
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, move |_| {
            let (partitions, tell) = (described.clone(), tell.clone());
            Supervisor::builder("unused").child(ChildSpec::worker("worker", move |me| {
                let (waiting, tell) = (partitions.clone(), tell.clone());
                let ready = tell.clone();
                let (called, is_called) = mpsc::channel();
                let _asks = me.stop().on_stop(move || {
                    let answer = waiting.route_within("key", HOUR);
                    tell.send(Some(answer.map(drop))).unwrap();
                    called.send(()).unwrap();
                });
                ready.send(None).unwrap();
                obedient(me);
                // With the body its callbacks would be taken back.
                is_called.recv_timeout(PATIENCE).unwrap();
            }))
        })
        .start()
        .unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), None);
    let stopping = std::thread::spawn(move || supervisor.shutdown());
    assert_eq!(
        told.recv_timeout(PATIENCE).unwrap(),
        Some(Err(RouteError::NotRunning { partition: 0 }))
    );
    assert_eq!(stopping.join().unwrap().clean, ["0/worker", "0"]);
}

/// The table outlives an incarnation of the whole, and all partitions are in service again.
#[test]
fn the_next_incarnation_of_all_is_found() {
    let partitions = Partitions::new(3).unwrap();
    let described = partitions.clone();
    let shards = ChildSpec::supervisor("shards", move || {
        Supervisor::builder("unused").partitions(&described, partition_of_one)
    });
    let supervisor = Supervisor::builder("app").child(shards).start().unwrap();
    let handle = supervisor.handle();
    partitions.resize(1).unwrap();
    let old = partitions.partition(0).unwrap();
    handle.terminate("shards").unwrap();
    assert!(partitions.partition(0).is_err());
    assert!(matches!(
        partitions.resize(2),
        Err(ResizeError::NotRunning | ResizeError::NotStopped { .. })
    ));
    handle.restart("shards").unwrap();
    assert_eq!(partitions.in_service(), 3);
    for number in 0..3 {
        let worker = partitions.partition(number).unwrap().child("worker");
        assert_eq!(
            worker.unwrap().path(),
            format!("app/shards/{number}/worker")
        );
    }
    assert_eq!(old.count().specs, 0, "a handle is of one incarnation");
    let expected = "\
app (one for one)
└─ shards (one for one): running, incarnation 2; before, stopped when asked to
   ├─ 0 (one for one): running
   │  └─ worker: running
   ├─ 1 (one for one): running
   │  └─ worker: running
   └─ 2 (one for one): running
      └─ worker: running
";
    assert_eq!(handle.tree().unwrap().to_string(), expected);
    drop(supervisor);
}

/// Its thread may tell of it when somebody drops it.
struct TellsItsEnd(mpsc::Sender<()>);

impl Drop for TellsItsEnd {
    fn drop(&mut self) {
        let _nobody_asks = self.0.send(());
    }
}

/// The layer is abandoned while a partition of it is being described, and its successor has all partitions up when that is
/// done.
#[test]
fn a_late_description_does_not_take_the_place_of_its_successor() {
    let partitions = Partitions::new(1).unwrap();
    let (crash_worker, worker_crashes) = mpsc::channel::<()>();
    let (crash_sibling, sibling_crashes) = mpsc::channel::<()>();
    let crashing = |crashes: mpsc::Receiver<()>| {
        let crashes = Mutex::new(crashes);
        move |me: &Incarnation| {
            while !me.stop().wait(Duration::from_millis(1)) {
                if crashes.lock().unwrap().try_recv().is_ok() {
                    return Err("as planned");
                }
            }
            Ok(())
        }
    };
    let work = Arc::new(crashing(worker_crashes));
    let (described, is_described) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let (drops, dropped) = mpsc::channel();
    let second = Arc::new(Mutex::new((0, Some((wait, TellsItsEnd(drops))))));
    let table = partitions.clone();
    let layer = ChildSpec::supervisor("layer", move || {
        let (work, described, second) = (work.clone(), described.clone(), second.clone());
        Supervisor::builder("unused").partitions(&table, move |_| {
            let late = {
                let (times, late) = &mut *second.lock().unwrap();
                *times += 1;
                described.send(*times).unwrap();
                late.take_if(|_| *times == 2)
            };
            let late = late.map(|(wait, tells)| {
                let _go_on = wait.recv();
                tells
            });
            let work = work.clone();
            let worker = ChildSpec::worker("worker", move |me| {
                let _late = &late;
                work(me)
            });
            Supervisor::builder("unused").limit(0, HOUR).child(worker)
        })
    });
    let app = Supervisor::builder("app")
        .strategy(Strategy::OneForAll)
        .child(layer.stop(Stop::Within(Duration::from_millis(1))))
        .child(ChildSpec::worker("sibling", crashing(sibling_crashes)))
        .start()
        .unwrap();
    assert_eq!(is_described.recv_timeout(PATIENCE), Ok(1));
    crash_worker.send(()).unwrap();
    assert_eq!(is_described.recv_timeout(PATIENCE), Ok(2));
    crash_sibling.send(()).unwrap();
    assert_eq!(is_described.recv_timeout(PATIENCE), Ok(3));
    partitions.route_within("key", PATIENCE).unwrap();
    go_on.send(()).unwrap();
    // What was described so late has been dropped by now, whatever had been done with it.
    dropped.recv_timeout(PATIENCE).unwrap();
    let partition = partitions.route("key").unwrap();
    let worker = partition.child("worker").unwrap();
    assert_eq!(worker.path(), "app/layer/0/worker");
    drop(app);
}

/// Two tables in each other: every one of the first is divided itself.
#[test]
fn partitions_of_partitions() {
    let outer = Partitions::new(2).unwrap();
    let inner = [Partitions::new(2).unwrap(), Partitions::new(3).unwrap()];
    let described = inner.clone();
    let supervisor = Supervisor::builder("app")
        .partitions(&outer, move |number| {
            Supervisor::builder("unused").partitions(&described[number], partition_of_one)
        })
        .start()
        .unwrap();
    let count = |handle: &SupRef| handle.count().active;
    assert_eq!(count(&outer.partition(1).unwrap()), 3);
    let worker = inner[1].partition(2).unwrap().child("worker").unwrap();
    assert_eq!(worker.path(), "app/1/2/worker");
    assert_eq!(
        inner[0]
            .partition(1)
            .unwrap()
            .child("worker")
            .unwrap()
            .path(),
        "app/0/1/worker"
    );
    drop(supervisor);
}

#[test]
fn one_resize_at_a_time() {
    let partitions = Partitions::new(2).unwrap();
    let (asked, is_asked) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, move |number| {
            let (asked, wait) = (asked.clone(), wait.clone());
            Supervisor::builder("unused").child(ChildSpec::worker("worker", move |me| {
                obedient(me);
                if number == 1 {
                    asked.send(()).unwrap();
                    let _go_on = wait.lock().unwrap().recv();
                }
            }))
        })
        .start()
        .unwrap();
    let resizing = {
        let partitions = partitions.clone();
        std::thread::spawn(move || partitions.resize(1))
    };
    is_asked.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(partitions.resize(2), Err(ResizeError::UnderWay)));
    assert_eq!(partitions.in_service(), 1, "before it has stopped");
    assert!(partitions.partition(1).is_err(), "it is stopping");
    drop(go_on);
    resizing.join().unwrap().unwrap();
    partitions.resize(2).unwrap();
    assert!(partitions.partition(1).is_ok());
    drop(supervisor);
}

/// Whoever is in the partition that would be stopped is told so, and not left waiting; what was said is not taken back.
#[test]
fn a_partition_does_not_wait_for_its_own_end() {
    let partitions = Partitions::new(2).unwrap();
    let described = partitions.clone();
    let (tell, told) = mpsc::channel();
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, move |number| {
            let (partitions, tell) = (described.clone(), tell.clone());
            Supervisor::builder("unused").child(ChildSpec::worker("worker", move |me| {
                if number == 1 {
                    while partitions.partition(1).is_err() {
                        std::thread::yield_now();
                    }
                    tell.send(partitions.resize(1)).unwrap();
                }
                obedient(me);
            }))
        })
        .start()
        .unwrap();
    let answer = told.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(
        answer,
        Err(ResizeError::NotStopped {
            partition: 1,
            error: TerminateError::WouldDeadlock
        })
    ));
    assert_eq!(partitions.in_service(), 1);
    partitions.resize(1).unwrap();
    assert_eq!(supervisor.handle().count().active, 1);
    partitions.resize(2).unwrap();
    drop(supervisor);
}

/// What is started in a partition is in it.
#[test]
fn children_are_started_where_their_key_leads() {
    let partitions = Partitions::new(4).unwrap();
    let supervisor = Supervisor::builder("app")
        .partitions(&partitions, |_number| {
            Supervisor::builder("unused").strategy(Strategy::Dynamic)
        })
        .start()
        .unwrap();
    let keys: Vec<String> = (0..40).map(|key| format!("key{key}")).collect();
    for key in &keys {
        let child = steady(key).restart(Restart::Temporary);
        partitions.route(key).unwrap().start_child(child).unwrap();
    }
    let total: usize = (0..4)
        .map(|number| {
            let partition = partitions.partition(number).unwrap();
            let children = partition.children();
            for child in &children {
                assert_eq!(partitions.index(&child.id), Some(number));
                assert_eq!(child.state, ChildState::Running);
            }
            children.len()
        })
        .sum();
    assert_eq!(total, keys.len());
    assert_eq!(supervisor.shutdown().clean.len(), 44);
}
