//! Checkpoints: what an incarnation has saved is there for the next one, whole, and nobody who is over changes it. Numbers are
//! those of the failure cases of supervision.

use bedplate::checkpoint::{Checkpoint, CrashLimit, ForgetError, OpenError, Opened, SaveError};
use bedplate::clock;
use bedplate::monitor::Inbox;
use bedplate::process::ExitReason;
use bedplate::supervisor::{ChildSpec, Incarnation, Restart, Stop, Strategy, Supervisor};
use bedplate::telemetry::{EventName, OwnedEvent, OwnedValue, Pattern, Probe};
use core::error::Error;
use core::time::Duration;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, mpsc};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

type Body = Result<(), Box<dyn Error + Send + Sync>>;

/// A crash is soon, however slow the machine.
fn slow(crashes: u32) -> CrashLimit {
    CrashLimit::new(crashes, HOUR).unwrap()
}

fn wait_for_stop(me: &Incarnation) -> Body {
    while !me.stop().wait(HOUR) {}
    Ok(())
}

/// Starts a supervisor of one child called `id`, which may be restarted very often.
fn start(id: &str, body: impl Fn(&Incarnation) -> Body + Send + Sync + 'static) -> Supervisor {
    let child = ChildSpec::worker(id, body).stop(Stop::Within(PATIENCE));
    let supervisor = Supervisor::builder("app")
        .child(child)
        .limit(100, HOUR)
        .quiet_panics(true);
    supervisor.start().unwrap()
}

/// Does something in an incarnation of a child called `id`, and then ends it.
fn once<R: Send + 'static>(id: &str, act: impl Fn(&Incarnation) -> R + Send + Sync + 'static) -> R {
    let (tell, told) = mpsc::channel();
    let supervisor = start(id, move |me| {
        tell.send(act(me)).unwrap();
        wait_for_stop(me)
    });
    let result = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(supervisor.shutdown().clean, [id]);
    result
}

/// A checkpoint in which somebody has saved these.
fn with<T: Clone + Send + Sync + 'static>(limit: CrashLimit, values: &[T]) -> Checkpoint<T> {
    let checkpoint = Checkpoint::with_limit("tried", limit);
    let (saved, values) = (checkpoint.clone(), values.to_vec());
    once("saver", move |me| {
        let saved = saved.open(me).unwrap();
        for value in values.clone() {
            saved.save(value).unwrap();
        }
    });
    checkpoint
}

#[test]
fn f25_a_crash_in_the_middle_of_a_change_leaves_what_was_saved() {
    let orders = with(CrashLimit::USUAL, &[vec![1, 2]]);
    let (tell, told) = mpsc::channel();
    let saved = orders.clone();
    let supervisor = start("orders", move |me| {
        let saved = saved.open(me)?;
        let mut orders = saved.restore().unwrap_or_default();
        orders.push(3);
        assert!(me.number() > 1, "in the middle of a change");
        orders.push(4);
        tell.send(saved.save(orders.clone()).map(|_version| orders))?;
        wait_for_stop(me)
    });
    let told = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(told, Ok(vec![1, 2, 3, 4]));
    assert_eq!(orders.latest().as_deref(), Some(&vec![1, 2, 3, 4]));
    assert_eq!(supervisor.shutdown().clean, ["orders"]);
}

/// What the case above is to be compared with.
#[test]
fn f25_the_control_with_a_lock_trips_the_limit() {
    let orders = Mutex::new(vec![1, 2]);
    let child = ChildSpec::worker("orders", move |me| -> Body {
        let mut orders = orders.lock().unwrap();
        orders.push(3);
        assert!(me.number() > 1, "in the middle of a change");
        unreachable!("it is poisoned for everybody who follows");
    });
    let supervisor = Supervisor::builder("app")
        .child(child)
        .limit(3, HOUR)
        .quiet_panics(true);
    match supervisor.start().map(Supervisor::wait) {
        Ok(ExitReason::GaveUp(why)) => {
            assert_eq!(why.restarts, 3);
            assert!(why.last.to_string().contains("Poison"), "{}", why.last);
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => assert!(error.to_string().contains("Poison"), "{error}"),
    }
}

#[test]
fn f77_who_is_abandoned_changes_nothing_when_it_wakes_up() {
    let checkpoint = Checkpoint::<u64>::new("tried");
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (tell, told) = mpsc::channel();
    let (wake, woken) = mpsc::channel();
    let mine = checkpoint.clone();
    let deaf = ChildSpec::worker("deaf", move |me| -> Body {
        let saved = mine.open(me)?;
        tell.send((saved.restore(), saved.save(10 * me.number())))?;
        if me.number() > 1 {
            return wait_for_stop(me);
        }
        held.lock().unwrap().recv().unwrap_err();
        wake.send((
            saved.save(99),
            saved.forget(),
            mine.open(me).err(),
            saved.restore(),
        ))?;
        Ok(())
    });
    let deaf = deaf.stop(Stop::Within(Duration::from_millis(20)));
    let supervisor = Supervisor::builder("app").child(deaf).start().unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok((None, Ok(1))));

    let handle = supervisor.handle();
    let first = handle.child("deaf").unwrap();
    handle.terminate("deaf").unwrap();
    assert!(matches!(
        first.exit_reason(),
        Some(ExitReason::Abandoned { .. })
    ));
    assert_eq!(checkpoint.info().holder, None);
    let second = handle.restart("deaf").unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok((Some(10), Ok(2))));
    assert_eq!(checkpoint.info().holder, Some(second.pid()));

    drop(release);
    let (saved, forgotten, opened, shown) = woken.recv_timeout(PATIENCE).unwrap();
    assert_eq!(saved, Err(SaveError::Over { value: 99 }));
    assert_eq!(forgotten, Err(ForgetError::Over));
    assert!(matches!(
        opened,
        Some(OpenError::Over | OpenError::Replaced)
    ));
    assert_eq!(shown, Some(20));
    assert_eq!(checkpoint.latest().as_deref(), Some(&20));
    let info = checkpoint.info();
    assert_eq!((info.refused, info.version), (2, Some(2)));
    assert_eq!(info.holder, Some(second.pid()));
}

/// Also if it saves all the time while it is abandoned.
#[test]
fn f77_f90_whoever_is_told_of_an_abandonment_sees_no_save_after_it() {
    for _ in 0..20 {
        let checkpoint = Checkpoint::<u64>::new("tried");
        let (tell, told) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let mine = checkpoint.clone();
        let deaf = ChildSpec::worker("deaf", move |me| -> Body {
            let saved = mine.open(me)?;
            saved.save(0)?;
            tell.send(())?;
            let refused = (1..).find_map(|value| saved.save(value).err());
            let more = (0..100).all(|value| saved.save(value).is_err());
            done.send((refused.map(SaveError::into_value), more))?;
            Ok(())
        });
        let deaf = deaf.stop(Stop::Within(Duration::from_millis(1)));
        let supervisor = Supervisor::builder("app").child(deaf).start().unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        let inbox = Inbox::new();
        inbox.monitor(&supervisor.handle().child("deaf").unwrap());
        supervisor.handle().request_stop();
        inbox.recv_timeout(PATIENCE).unwrap();
        let last = checkpoint.info().version;
        let (refused, more) = is_done.recv_timeout(PATIENCE).unwrap();
        assert!(more, "refused once, refused for ever");
        assert_eq!(checkpoint.info().version, last);
        assert_eq!(last, refused, "that was the first one to be refused");
        drop(supervisor);
    }
}

#[test]
fn f90_whoever_is_told_of_an_end_restores_what_was_saved_last() {
    /// Saves when the body is unwound.
    struct Last(Opened<u64>, u64);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.save(self.1).unwrap();
        }
    }
    let checkpoint = Checkpoint::<u64>::new("tried");
    for round in 1..=200 {
        let (tell, told) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let mine = checkpoint.clone();
        let child = ChildSpec::worker("saver", move |me| -> Body {
            let _last = Last(mine.open(me).unwrap(), round);
            tell.send(()).unwrap();
            gone.lock().unwrap().recv().unwrap_err();
            panic!("on purpose");
        });
        let supervisor = Supervisor::builder("app").quiet_panics(true);
        let child = child.restart(Restart::Temporary);
        let supervisor = supervisor.child(child).start().unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        let inbox = Inbox::new();
        inbox.monitor(&supervisor.handle().child("saver").unwrap());
        drop(go);
        inbox.recv_timeout(PATIENCE).unwrap();
        assert_eq!(checkpoint.latest().as_deref(), Some(&round));
        assert_eq!(checkpoint.info().holder, None);
        if round % 20 == 0 {
            let mine = checkpoint.clone();
            let other = move |me: &Incarnation| mine.open(me).unwrap().restore();
            assert_eq!(once("other", other), Some(round));
        }
        drop(supervisor);
    }
}

/// Panics when it is cloned, or dropped, if it is to.
#[derive(Debug, PartialEq, Eq)]
struct Touchy {
    value: u64,
    clones: bool,
    drops: bool,
}

impl Touchy {
    fn calm(value: u64) -> Self {
        Self {
            value,
            clones: true,
            drops: true,
        }
    }
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        assert!(self.clones, "a clone");
        Self { ..*self }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(self.drops, "a destructor");
    }
}

#[test]
fn f101_a_panic_in_a_clone_or_a_destructor_leaves_the_version_before() {
    let checkpoint = with(CrashLimit::USUAL, &[Touchy::calm(1)]);
    let (tell, told) = mpsc::channel();
    let mine = checkpoint.clone();
    let supervisor = start("touchy", move |me| {
        let saved = mine.open(me)?;
        tell.send(saved.restore())?;
        match me.number() {
            1 => {
                let bad = Touchy {
                    clones: false,
                    ..Touchy::calm(2)
                };
                saved.save(bad.clone())?;
            }
            2 => {
                for value in 3..=6 {
                    let drops = value != 4;
                    let value = Touchy::calm(value);
                    saved.save(Touchy {
                        drops,
                        ..value.clone()
                    })?;
                    core::mem::forget(value);
                }
                return Err("on purpose".into());
            }
            _ => {}
        }
        wait_for_stop(me)
    });
    let restored = || told.recv_timeout(PATIENCE).unwrap().map(|it| it.value);
    assert_eq!(restored(), Some(1));
    assert_eq!(restored(), Some(1), "the clone of 2 had panicked");
    assert_eq!(restored(), Some(6), "and the destructor of 4");
    assert_eq!(checkpoint.info().version, Some(5));
    assert_eq!(supervisor.shutdown().clean, ["touchy"]);
}

#[test]
fn f102_a_state_that_crashes_is_given_up_for_the_older_one_and_then_for_none() {
    let probe = Probe::of_all_threads(Pattern::under(EventName::new("bedplate.checkpoint")));
    let probe = probe.unwrap();
    let checkpoint = Checkpoint::with_limit("f102", slow(3));
    let (tell, told) = mpsc::channel();
    let mine = checkpoint.clone();
    let supervisor = start("fragile", move |me| {
        let saved = mine.open(me)?;
        if me.number() == 1 {
            saved.save("older")?;
            saved.save("current")?;
            panic!("having restored nothing");
        }
        let restored = saved.restore();
        tell.send(restored)?;
        match restored {
            Some(_) if me.number() % 2 == 0 => panic!("by a panic"),
            Some(_) => Err("by an error".into()),
            None => wait_for_stop(me),
        }
    });
    let restored = [(); 7].map(|()| told.recv_timeout(PATIENCE).unwrap());
    let (current, older) = (Some("current"), Some("older"));
    let expected = [current, current, current, older, older, older, None];
    assert_eq!(restored, expected);
    let info = checkpoint.info();
    assert_eq!((info.version, info.older, info.fallbacks), (None, None, 2));
    assert_eq!(checkpoint.latest(), None);

    let of_this = |event: &OwnedEvent| event.get("checkpoint").is_some_and(|it| it == "f102");
    let events: Vec<_> = probe.take().into_iter().filter(of_this).collect();
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            assert!(event.get("child").is_some_and(|it| it == "app/fragile"));
            let measured = |key| event.measurement(key).unwrap().as_f64();
            let to = event.get("to").cloned().unwrap();
            (measured("version"), measured("crashes"), to)
        })
        .collect();
    let (one, none) = (OwnedValue::Unsigned(1), OwnedValue::Nothing);
    assert_eq!(told, [(2.0, 3.0, one), (1.0, 3.0, none)]);
    assert_eq!(supervisor.shutdown().clean, ["fragile"]);
}

/// What was written.
#[cfg(feature = "tracing")]
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

#[cfg(feature = "tracing")]
impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "tracing")]
#[test]
fn f102_is_told_to_tracing() {
    let (written, mine) = (Written::default(), with(slow(1), &["older", "bad"]));
    let (tell, told) = mpsc::channel();
    let writer = written.clone();
    let supervisor = start("fragile", move |me| {
        let writer = writer.clone();
        let printing = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        let _here = tracing::subscriber::set_default(printing);
        let saved = mine.open(me)?;
        if saved.restore() == Some("bad") {
            return Err("on purpose".into());
        }
        tell.send(())?;
        wait_for_stop(me)
    });
    told.recv_timeout(PATIENCE).unwrap();
    let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let told: Vec<_> = written
        .lines()
        .filter(|line| line.contains("bedplate::checkpoint"))
        .map(str::trim)
        .collect();
    let expected = "WARN bedplate::checkpoint: version given up checkpoint=\"tried\" \
        child=\"app/fragile\" version=2 crashes=1 to=1";
    assert_eq!(told, [expected]);
    assert_eq!(supervisor.shutdown().clean, ["fragile"]);
}

/// The supervisor gives up before the version is; the one above starts it again.
#[test]
fn f102_also_beyond_a_supervisor_that_gave_up() {
    let checkpoint = Checkpoint::with_limit("tried", slow(3));
    let (tell, told) = mpsc::channel();
    let run = Arc::new(AtomicUsize::new(0));
    let inner = ChildSpec::supervisor("inner", move || {
        let (mine, tell, run) = (checkpoint.clone(), tell.clone(), run.clone());
        let child = ChildSpec::worker("fragile", move |me| -> Body {
            let saved = mine.open(me)?;
            if run.fetch_add(1, Ordering::Relaxed) == 0 {
                saved.save("older")?;
                saved.save("current")?;
                return Err("having restored nothing".into());
            }
            let restored = saved.restore();
            tell.send((restored, me.number()))?;
            match restored {
                Some(_) => Err("on purpose".into()),
                None => wait_for_stop(me),
            }
        });
        Supervisor::builder("inner").child(child).limit(3, HOUR)
    });
    let outer = Supervisor::builder("outer").child(inner).limit(1, HOUR);
    let outer = outer.start().unwrap();
    let restored = [(); 7].map(|()| told.recv_timeout(PATIENCE).unwrap());
    let (current, older) = (Some("current"), Some("older"));
    let expected = [
        (current, 2),
        (current, 3),
        (current, 4),
        (older, 1),
        (older, 2),
        (older, 3),
        (None, 4),
    ];
    assert_eq!(restored, expected);
    assert_eq!(outer.shutdown().clean, ["inner/fragile", "inner"]);
}

#[test]
fn f102_also_if_it_is_the_clone_that_panics() {
    let bad = || Touchy {
        clones: false,
        ..Touchy::calm(2)
    };
    let checkpoint = Checkpoint::with_limit("tried", slow(3));
    let mine = checkpoint.clone();
    let (tell, told) = mpsc::channel();
    let supervisor = start("touchy", move |me| {
        let saved = mine.open(me)?;
        if me.number() == 1 {
            saved.save(Touchy::calm(1))?;
            saved.save(bad())?;
            panic!("on purpose");
        }
        let restored = saved.restore();
        tell.send((me.number(), restored.map(|it| it.value)))?;
        wait_for_stop(me)
    });
    assert_eq!(told.recv_timeout(PATIENCE), Ok((5, Some(1))));
    assert_eq!(supervisor.shutdown().clean, ["touchy"]);
}

#[test]
fn who_ends_as_it_should_or_is_asked_to_stop_does_not_count() {
    let checkpoint = with(slow(1), &[7]);
    let (tell, told) = mpsc::channel();
    let mine = checkpoint.clone();
    let supervisor = start("ends", move |me| {
        let saved = mine.open(me)?;
        tell.send(saved.restore())?;
        match me.number() {
            ..5 => Ok(()),
            _ => {
                wait_for_stop(me)?;
                assert!(me.number() % 2 == 0, "when it was asked to stop");
                Err("when it was asked to stop".into())
            }
        }
    });
    let handle = supervisor.handle();
    for number in 1..10 {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(Some(7)), "in {number}");
        if number >= 5 {
            handle.terminate("ends").unwrap();
            handle.restart("ends").unwrap();
        }
    }
    let info = checkpoint.info();
    assert_eq!((info.crashes, info.fallbacks), (0, 0));
    assert_eq!(supervisor.shutdown().failed.len(), 1);
}

#[test]
fn what_was_restored_for_long_enough_is_not_given_up() {
    let limit = CrashLimit::new(1, Duration::ZERO).unwrap();
    let checkpoint = with(limit, &[7]);
    let mine = checkpoint.clone();
    let (tell, told) = mpsc::channel();
    let supervisor = start("lasts", move |me| {
        let saved = mine.open(me)?;
        tell.send(saved.restore())?;
        let restored = clock::now();
        while clock::now() <= restored {}
        if me.number() < 10 {
            panic!("later than at once");
        }
        wait_for_stop(me)
    });
    for _ in 0..10 {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(Some(7)));
    }
    assert_eq!(supervisor.shutdown().clean, ["lasts"]);
}

#[test]
fn another_child_is_refused_until_the_holder_is_over() {
    let checkpoint = Checkpoint::<u64>::new("tried");
    let (tell, told) = mpsc::channel();
    let mine = checkpoint.clone();
    let holder = start("holder", move |me| {
        let saved = mine.open(me)?;
        let again = mine.open(me)?;
        tell.send((saved.save(1), again.save(2)))?;
        wait_for_stop(me)
    });
    assert_eq!(told.recv_timeout(PATIENCE), Ok((Ok(1), Ok(2))));
    let pid = holder.handle().child("holder").unwrap().pid();

    let mine = checkpoint.clone();
    let open = move |me: &Incarnation| {
        let saved = mine.open(me)?;
        Ok((saved.restore(), saved.save(3)))
    };
    let refused = once("other", open.clone());
    assert_eq!(refused, Err(OpenError::Held { holder: pid }));
    assert_eq!(checkpoint.info().holder, Some(pid));
    assert_eq!(holder.shutdown().clean, ["holder"]);
    assert_eq!(once("other", open), Ok((Some(2), Ok(3))));
}

/// Children of one dynamic supervisor may have one id, and supervisors one name: they are different children all the same.
#[test]
fn another_child_of_the_same_path_is_refused_as_well() {
    let checkpoint = Checkpoint::<u64>::new("tried");
    let (tell, told) = mpsc::channel();
    let spec = |value: u64| {
        let (mine, tell) = (checkpoint.clone(), tell.clone());
        let body = move |me: &Incarnation| {
            let opened = mine.open(me);
            let saved = opened.map(|saved| saved.save(value).is_ok());
            tell.send((saved, me.me().pid())).unwrap();
            wait_for_stop(me)
        };
        ChildSpec::worker("connection", body).stop(Stop::Within(PATIENCE))
    };
    let next = || told.recv_timeout(PATIENCE).unwrap();
    let pool = || Supervisor::builder("pool").strategy(Strategy::Dynamic);
    let supervisor = pool().start().unwrap();
    let start = |value| supervisor.handle().start_child(spec(value)).unwrap();

    let elder = start(1);
    let holder = elder.pid();
    assert_eq!(next(), (Ok(true), holder));
    let younger = start(2);
    assert_eq!(next(), (Err(OpenError::Held { holder }), younger.pid()));
    let other = pool().child(spec(3)).child(spec(4)).start().unwrap();
    for _ in 0..2 {
        assert_eq!(next().0, Err(OpenError::Held { holder }));
    }
    assert_eq!(checkpoint.latest().as_deref(), Some(&1));
    assert_eq!(checkpoint.info().holder, Some(holder));

    supervisor.handle().terminate_child(&elder).unwrap();
    let last = start(5);
    assert_eq!(next(), (Ok(true), last.pid()));
    assert_eq!(supervisor.shutdown().clean.len(), 2);
    assert_eq!(other.shutdown().clean.len(), 2);
}

/// A helper of the incarnation may save, but not for longer than that lives.
#[test]
fn what_is_opened_can_be_kept_but_saves_nothing_afterwards() {
    let checkpoint = Checkpoint::<String>::new("tried");
    let mine = checkpoint.clone();
    let opened = once("parent", move |me| {
        let saved = mine.open(me).unwrap();
        let helped = std::thread::scope(|scope| {
            let helper = scope.spawn(|| saved.save("by a helper".to_owned()));
            helper.join().unwrap()
        });
        assert_eq!(helped, Ok(1));
        saved
    });
    let refused = opened.save("too late".to_owned()).unwrap_err();
    assert_eq!(refused.into_value(), "too late");
    assert_eq!(opened.forget(), Err(ForgetError::Over));
    assert_eq!(opened.restore().as_deref(), Some("by a helper"));
    assert_eq!(opened.checkpoint().info().refused, 2);
}

#[test]
fn two_values_are_kept_and_all_are_dropped() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    struct Counted;
    impl Counted {
        fn new() -> Self {
            ALIVE.fetch_add(1, Ordering::Relaxed);
            Self
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let checkpoint = Checkpoint::<Counted>::new("tried");
    let mine = checkpoint.clone();
    let alive = once("saver", move |me| {
        let saved = mine.open(me).unwrap();
        let mut alive = Vec::new();
        let mut save = |times: usize| {
            for _ in 0..times {
                saved.save(Counted::new()).unwrap();
            }
            alive.push(ALIVE.load(Ordering::Relaxed));
        };
        save(1);
        save(5);
        saved.forget().unwrap();
        save(0);
        save(3);
        alive
    });
    assert_eq!(alive, [1, 2, 0, 2]);
    let latest = checkpoint.latest();
    drop(checkpoint);
    assert_eq!(
        ALIVE.load(Ordering::Relaxed),
        1,
        "somebody still looks at it"
    );
    drop(latest);
    assert_eq!(ALIVE.load(Ordering::Relaxed), 0);
}

#[test]
fn values_that_panic_when_they_are_dropped_do_so_one_by_one() {
    let bad = |value| Touchy {
        drops: false,
        ..Touchy::calm(value)
    };
    let checkpoint = Checkpoint::<Touchy>::new("tried");
    let mine = checkpoint.clone();
    once("touchy", move |me| {
        let saved = mine.open(me).unwrap();
        for value in 0..4 {
            saved.save(bad(value)).unwrap();
        }
        saved.forget().unwrap();
        for value in 0..2 {
            saved.save(bad(value)).unwrap();
        }
    });
    drop(checkpoint);
}

/// If they were cloned or dropped under a lock of the checkpoint, this would not end.
#[test]
fn values_may_use_their_checkpoint_when_they_are_cloned_and_dropped() {
    static CURIOUS: LazyLock<Checkpoint<Curious>> = LazyLock::new(|| Checkpoint::new("curious"));
    static DROPPED: AtomicBool = AtomicBool::new(false);
    struct Curious;
    impl Clone for Curious {
        fn clone(&self) -> Self {
            assert!(CURIOUS.latest().is_some());
            Self
        }
    }
    impl Drop for Curious {
        fn drop(&mut self) {
            assert!(CURIOUS.info().refused == 0);
            DROPPED.store(true, Ordering::Relaxed);
        }
    }
    once("curious", |me| {
        let saved = CURIOUS.open(me).unwrap();
        for _ in 0..4 {
            saved.save(Curious).unwrap();
        }
        assert!(saved.restore().is_some());
        saved.forget().unwrap();
    });
    assert!(DROPPED.load(Ordering::Relaxed));
}

#[test]
fn it_is_sent_and_shared() {
    fn needs<T: Send + Sync + 'static>(_: &T) {}
    let checkpoint = Arc::new(Checkpoint::<Vec<u8>>::new("tried"));
    needs(&checkpoint);
    let shown = format!("{checkpoint:?}");
    assert!(shown.starts_with("Checkpoint { name: \"tried\""), "{shown}");
}
