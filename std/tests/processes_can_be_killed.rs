//! Children that are processes of the system: they are asked, and then killed, and with them whatever they have started.
//! Numbers are those of the project's list of failure cases.
#![cfg(all(unix, feature = "process"))]

mod until;

use bedplate::monitor::Inbox;
use bedplate::process::{CommandFailed, ExitReason};
use bedplate::supervisor::{
    ChildSpec, Restart, StartError, Stop, Strategy, Supervisor, SupervisorBuilder,
};
use bedplate::telemetry::{self, Event, EventName};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use core::time::Duration;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;
use tempfile::TempDir;
use until::{PATIENCE, until};

const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(50);

/// A process that runs this script of the shell.
fn shell(id: &str, script: impl Into<String>) -> ChildSpec {
    let script = script.into();
    ChildSpec::process(id, move || {
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::null());
        command
    })
}

fn app() -> SupervisorBuilder {
    Supervisor::builder("app").limit(0, HOUR)
}

/// A place for files, and what a script is to say to make one there.
fn place() -> (TempDir, impl Fn(&str) -> (PathBuf, String)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let file = move |name: &str| {
        let file = path.join(name);
        let said = quoted(&file);
        (file, said)
    };
    (folder, file)
}

/// A path as a script is to say it: whoever runs this says where temporary files are.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_str().unwrap().replace('\'', r"'\''"))
}

/// What `ps` says, with these columns, of the processes that are chosen: all of it, however wide whoever runs this says that
/// the screen is.
fn listed(columns: &str, chosen: [&str; 2]) -> String {
    let listed = Command::new("ps")
        .args(["-ww", "-o", columns])
        .args(chosen)
        .output()
        .expect("ps is there");
    String::from_utf8_lossy(&listed.stdout).into_owned()
}

/// The number in a file, when it is there.
fn number(file: &Path) -> u32 {
    let mut number = None;
    until(|| {
        let text = fs::read_to_string(file).unwrap_or_default();
        number = text.strip_suffix('\n').and_then(|text| text.parse().ok());
        number.is_some()
    });
    number.unwrap()
}

/// Whether a process of this number is there and is no corpse.
fn lives(process: u32) -> bool {
    let state = listed("stat=", ["-p", &process.to_string()]);
    let state = state.trim();
    !state.is_empty() && !state.starts_with('Z')
}

#[test]
fn one_that_obeys_has_ended_cleanly() {
    let supervisor = app().child(shell("sleep", "exec sleep 3600")).start();
    assert_eq!(supervisor.unwrap().shutdown().clean, ["sleep"]);
}

#[test]
fn its_status_is_how_it_ended() {
    let (_folder, file) = place();
    let (go, said) = file("go");
    let script = |status| format!("while [ ! -e {said} ]; do sleep 0.01; done; {status}");
    let supervisor = app()
        .child(shell("good", script("exit 0")).restart(Restart::Transient))
        .child(shell("bad", script("exit 3")).restart(Restart::Temporary))
        .child(shell("killed", script("kill -9 $$")).restart(Restart::Temporary))
        .start()
        .unwrap();
    let handle = supervisor.handle();
    let inbox = Inbox::new();
    let monitors = ["good", "bad", "killed"].map(|id| inbox.monitor(&handle.child(id).unwrap()));
    fs::write(&go, "").unwrap();
    let mut reasons = Vec::new();
    for _ in &monitors {
        let down = inbox.recv_timeout(PATIENCE).unwrap();
        reasons.push((down.child.id().to_owned(), down.reason));
    }
    reasons.sort_by(|(one, _), (other, _)| one.cmp(other));
    let [(_, bad), (_, good), (_, killed)] = &reasons[..] else {
        panic!("{reasons:?}")
    };
    assert!(matches!(good, ExitReason::Normal));
    assert!(matches!(killed, ExitReason::Signalled(9)), "{killed}");
    let ExitReason::Failed(error) = bad else {
        panic!("{bad}")
    };
    let failed = error.downcast_ref::<CommandFailed>().unwrap();
    assert_eq!(failed.code, 3);
    assert_eq!(bad.to_string(), "failed: the command ended with status 3");
    drop(supervisor);
}

#[test]
fn f24_one_that_crashes_is_run_again() {
    let (_folder, file) = place();
    let (count, said) = file("count");
    let script = format!("echo x >> {said}; exec sleep 3600");
    let supervisor = Supervisor::builder("app")
        .child(shell("child", script))
        .start()
        .unwrap();
    let runs = || {
        fs::read_to_string(&count)
            .unwrap_or_default()
            .lines()
            .count()
    };
    until(|| runs() == 1);
    let handle = supervisor.handle();
    let first = handle.child("child").unwrap();
    handle.terminate("child").unwrap();
    assert!(matches!(first.exit_reason(), Some(ExitReason::Shutdown)));
    assert_eq!(handle.restart("child").unwrap().incarnation(), 2);
    until(|| runs() == 2);
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn f121_one_that_does_not_obey_is_killed_and_its_descendants_with_it() {
    let (_folder, file) = place();
    let (grandchild, said) = file("grandchild");
    // Both ignore it: what is ignored is inherited.
    let script = format!(
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > \"$0\"; while :; do sleep 1; done' {said} & \
         while :; do sleep 1; done"
    );
    let child = shell("deaf", script).stop(Stop::Within(SOON));
    let supervisor = app().child(child).start().unwrap();
    let grandchild = number(&grandchild);
    assert!(lives(grandchild));
    let report = supervisor.shutdown();
    assert_eq!(report.failed.len(), 1, "{report}");
    assert!(matches!(
        &report.failed[0],
        (id, ExitReason::Signalled(9)) if id == "deaf"
    ));
    until(|| !lives(grandchild));
}

#[test]
fn f121_whatever_it_leaves_behind_is_killed() {
    let (_folder, file) = place();
    let (grandchild, said) = file("grandchild");
    let script = format!("sleep 3600 & echo $! > {said}; exit 0");
    let child = shell("brief", script).restart(Restart::Transient);
    let supervisor = app().child(child).start().unwrap();
    let grandchild = number(&grandchild);
    until(|| !lives(grandchild));
    drop(supervisor);
}

#[test]
fn one_without_any_time_is_killed_at_once() {
    let script = "trap '' TERM; while :; do sleep 1; done";
    let child = shell("deaf", script).stop(Stop::Within(Duration::ZERO));
    let supervisor = app().child(child).start().unwrap();
    let handle = supervisor.handle();
    let child = handle.child("deaf").unwrap();
    handle.terminate("deaf").unwrap();
    // It may have been killed, or told to end, before it could ignore that.
    let reason = child.exit_reason().unwrap();
    assert!(
        matches!(reason, ExitReason::Signalled(9) | ExitReason::Shutdown),
        "{reason}"
    );
    drop(supervisor);
}

#[test]
fn a_budget_above_leaves_the_time_to_kill_it() {
    let (_folder, file) = place();
    let (ready, said) = file("ready");
    let script = format!("trap '' TERM; echo 1 > {said}; while :; do sleep 1; done");
    let supervisor = app()
        .shutdown_budget(Duration::from_secs(8))
        .child(shell("deaf", script).stop(Stop::Forever))
        .start()
        .unwrap();
    assert_eq!(number(&ready), 1);
    let report = supervisor.shutdown();
    assert!(report.abandoned.is_empty(), "{report}");
    assert!(matches!(report.failed[0].1, ExitReason::Signalled(9)));
}

#[test]
fn a_command_that_is_not_there_is_a_start_that_failed() {
    let absent = ChildSpec::process("absent", || Command::new("bedplate-no-such-command"));
    let error = app().child(absent).start().map(drop).unwrap_err();
    let StartError::Child { id, error } = error else {
        panic!("{error}")
    };
    assert_eq!(id, "absent");
    assert!(matches!(*error, StartError::Command(_)), "{error}");

    let panics = ChildSpec::process("panics", || panic!("no command"));
    let error = app().child(panics).start().map(drop).unwrap_err();
    assert!(
        error.to_string().contains("panicked: no command"),
        "{error}"
    );
}

#[test]
fn f76_one_that_is_abandoned_before_there_is_a_process_counts_until_its_start_has_failed() {
    let (describing, is_described) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let missing = ChildSpec::process("missing", move || {
        describing.send(()).unwrap();
        held.lock().unwrap().recv().unwrap_err();
        Command::new("/nowhere/to/be/found")
    });
    let missing = missing.stop(Stop::Within(SOON)).critical(true);
    let supervisor = app().start().unwrap();
    let handle = supervisor.handle();
    let own = handle.clone();
    let starter = std::thread::spawn(move || own.start_child(missing).map(drop));
    is_described.recv_timeout(PATIENCE).unwrap();
    // For five seconds more than its own time.
    handle.terminate("missing").unwrap();
    handle.delete("missing").unwrap();
    assert_eq!(handle.count().abandoned, 1);
    assert!(!handle.health().live);
    drop(release);
    assert!(starter.join().unwrap().is_err());
    until(|| handle.count().abandoned == 0);
    assert!(handle.health().degraded.is_empty());
}

#[test]
fn f122_it_outlives_the_thread_that_started_it() {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let child = shell("child", "exec sleep 3600");
        tell.send(app().child(child).start().unwrap()).unwrap();
    })
    .join()
    .unwrap();
    let supervisor = told.recv().unwrap();
    std::thread::sleep(SOON);
    assert!(supervisor.handle().child("child").unwrap().is_alive());
    assert_eq!(supervisor.shutdown().clean, ["child"]);
}

#[test]
fn f124_one_that_floods_its_pipe_blocks_nobody() {
    let flooding = ChildSpec::process("flooding", || {
        let mut command = Command::new("sh");
        command
            .args(["-c", "while :; do echo flood; done"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    });
    // Nobody reads: the system tells it, and the shell ends for it.
    let flooding = flooding.restart(Restart::Temporary);
    let supervisor = app().child(flooding).start().unwrap();
    let handle = supervisor.handle();
    if handle.child("flooding").is_some() {
        until(|| handle.count().specs == 0);
    }
    let steady = shell("steady", "exec sleep 3600");
    handle.start_child(steady).unwrap();
    assert_eq!(supervisor.shutdown().clean, ["steady"]);
}

#[test]
fn its_names_and_monitors_are_those_of_any_child() {
    let child = shell("child", "exec sleep 3600").register("processes_can_be_killed");
    let supervisor = app().child(child).start().unwrap();
    let handle = supervisor.handle();
    let found = bedplate::registry::whereis("processes_can_be_killed");
    assert_eq!(found, handle.child("child"));
    let inbox = Inbox::new();
    inbox.monitor(&handle.child("child").unwrap());
    handle.request_stop();
    let down = inbox.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(down.reason, ExitReason::Shutdown));
    assert_eq!(bedplate::registry::whereis("processes_can_be_killed"), None);
}

/// What a program that is run by a test finds in its environment.
const PROGRAM: &str = "BEDPLATE_TEST_PROGRAM";

/// The test `name` again, as a program that does something else there. It gets the `folder`.
fn program(name: &str, folder: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(PROGRAM, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Leaves the mark that a program has come so far, with its own number.
fn mark(folder: &Path, name: &str) {
    fs::write(folder.join(name), format!("{}\n", std::process::id())).unwrap();
}

/// Where such a program is to leave its marks, if this is one.
fn as_program() -> Option<PathBuf> {
    std::env::var_os(PROGRAM).map(PathBuf::from)
}

/// A process with one of its own, whose numbers it leaves in `folder`.
fn family(id: &str, folder: &Path) -> ChildSpec {
    let child = quoted(&folder.join(id));
    let grandchild = quoted(&folder.join(format!("{id}-grandchild")));
    shell(
        id,
        format!("sleep 3600 & echo $! > {grandchild}; echo $$ > {child}; wait"),
    )
}

/// What is in the command line of every keeper.
const KEEPER: &str = "bedplate-keeper";

/// The children of a program that are no corpses and have this in their command line.
fn children(program: u32, called: &str) -> Vec<u32> {
    let listed = listed("pid=,args=", ["--ppid", &program.to_string()]);
    let called = listed.lines().filter(|line| line.contains(called));
    let called = called.filter(|line| !line.contains("<defunct>"));
    let number = |line: &str| line.split_whitespace().next().unwrap().parse().unwrap();
    called.map(number).collect()
}

fn send(process: u32, signal: Signal) {
    let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, signal).unwrap();
}

/// Blocks until this program is killed, or its input is closed.
fn until_told() {
    let _closed = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
}

#[test]
fn f123_a_program_that_is_killed_leaves_no_process() {
    const NAME: &str = "f123_a_program_that_is_killed_leaves_no_process";
    if let Some(folder) = as_program() {
        let ended = shell("ended", "exit 0").restart(Restart::Temporary);
        let mut supervisor = app().child(ended);
        for id in ["first", "second"] {
            supervisor = supervisor.child(family(id, &folder));
        }
        let _supervisor = supervisor.start().unwrap();
        // The processes may have left their numbers before the keeper was told of them.
        mark(&folder, "kept");
        until_told();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut program = program(NAME, folder.path());
    let family = ["first", "first-grandchild", "second", "second-grandchild"];
    let family = family.map(|name| number(&folder.path().join(name)));
    assert_eq!(number(&folder.path().join("kept")), program.id());
    assert!(family.into_iter().all(lives));
    program.kill().unwrap();
    program.wait().unwrap();
    until(|| !family.into_iter().any(lives));
}

#[test]
fn f123_also_one_that_just_returns() {
    const NAME: &str = "f123_also_one_that_just_returns";
    if let Some(folder) = as_program() {
        let supervisor = app().child(family("child", &folder)).start().unwrap();
        until_told();
        // Nobody asks anybody to stop.
        core::mem::forget(supervisor);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut program = program(NAME, folder.path());
    let family = ["child", "child-grandchild"].map(|name| number(&folder.path().join(name)));
    assert!(family.into_iter().all(lives));
    drop(program.stdin.take());
    assert!(program.wait().unwrap().success());
    until(|| !family.into_iter().any(lives));
}

#[test]
fn f123_a_keeper_that_was_killed_is_replaced() {
    const NAME: &str = "f123_a_keeper_that_was_killed_is_replaced";
    if let Some(folder) = as_program() {
        let supervisor = app().child(family("before", &folder)).start().unwrap();
        mark(&folder, "kept");
        until(|| folder.join("killed").exists());
        let after = family("after", &folder);
        supervisor.handle().start_child(after).unwrap();
        mark(&folder, "kept-again");
        until_told();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut program = program(NAME, folder.path());
    let before = ["before", "before-grandchild"].map(|name| number(&folder.path().join(name)));
    assert_eq!(number(&folder.path().join("kept")), program.id());
    let keepers = || children(program.id(), KEEPER);
    let [keeper] = keepers()[..] else {
        panic!("not one keeper: {:?}", keepers())
    };
    send(keeper, Signal::KILL);
    until(|| keepers().is_empty());
    fs::write(folder.path().join("killed"), "").unwrap();
    let after = ["after", "after-grandchild"].map(|name| number(&folder.path().join(name)));
    assert_eq!(number(&folder.path().join("kept-again")), program.id());
    assert_eq!(keepers().len(), 1);
    assert!(before.into_iter().chain(after).all(lives));
    program.kill().unwrap();
    program.wait().unwrap();
    until(|| !before.into_iter().chain(after).any(lives));
}

/// A process that does nothing, and is cheap.
fn sleeper() -> ChildSpec {
    let command = || {
        let mut command = Command::new("sleep");
        command.arg("3600").stdin(Stdio::null());
        command
    };
    ChildSpec::process("sleeper", command).restart(Restart::Temporary)
}

/// A program with so many of them, which starts one more when there is a file `more` in its folder.
fn crowd_as_program(size: usize, folder: &Path) {
    let pool = Supervisor::builder("pool").strategy(Strategy::Dynamic);
    let pool = pool.start().unwrap();
    for _ in 0..size {
        pool.handle().start_child(sleeper()).unwrap();
    }
    mark(folder, "all");
    until(|| folder.join("more").exists());
    pool.handle().start_child(sleeper()).unwrap();
    mark(folder, "kept-again");
    until_told();
}

/// One crowd at a time: a system may not let all have so many processes and threads.
static TURN: Mutex<()> = Mutex::new(());

/// Such a program as its test sees it.
struct Crowd {
    _turn: MutexGuard<'static, ()>,
    folder: TempDir,
    program: std::process::Child,
    sleepers: Vec<u32>,
}

impl Crowd {
    fn start(name: &str, size: usize) -> Self {
        // Also after one that has failed.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let mut program = program(name, folder.path());
        until(|| {
            assert_eq!(program.try_wait().unwrap(), None, "has not come so far");
            folder.path().join("all").exists()
        });
        let mut sleepers = Vec::new();
        // The last may be on its way from `fork` to `exec`.
        until(|| {
            sleepers = children(program.id(), "sleep 3600");
            sleepers.len() == size
        });
        Self {
            _turn: turn,
            folder,
            program,
            sleepers,
        }
    }

    fn keeper(&self) -> u32 {
        let keepers = children(self.program.id(), KEEPER);
        let [keeper] = keepers[..] else {
            panic!("not one keeper: {keepers:?}")
        };
        keeper
    }

    /// Ends so many of the processes at once, and waits until the program has reaped all of them: it tells the keeper before.
    fn end(&mut self, many: usize) {
        let ended: Vec<u32> = self.sleepers.drain(..many).collect();
        for sleeper in &ended {
            send(*sleeper, Signal::KILL);
        }
        until(|| with_states(&ended).is_empty());
    }

    /// Kills the program: all of its processes end.
    fn kill(mut self) {
        self.program.kill().unwrap();
        self.program.wait().unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let left = living(&self.sleepers);
            if left.is_empty() {
                return;
            }
            if Instant::now() > until {
                left.iter().for_each(|left| send(*left, Signal::KILL));
                panic!("{} processes were left", left.len());
            }
            std::thread::sleep(SOON);
        }
    }
}

impl Drop for Crowd {
    /// Also if the test has failed.
    fn drop(&mut self) {
        let _gone = self.program.kill();
    }
}

/// Those of the processes that are not reaped, and the state of each.
fn with_states(processes: &[u32]) -> Vec<(u32, String)> {
    let chosen: Vec<String> = processes.iter().map(u32::to_string).collect();
    let listed = listed("pid=,stat=", ["-p", &chosen.join(",")]);
    let both = |line: &str| {
        let (process, state) = line.trim().split_once(' ').unwrap();
        (process.parse().unwrap(), state.to_owned())
    };
    listed.lines().map(both).collect()
}

/// Those of the processes that are there and are no corpses.
fn living(processes: &[u32]) -> Vec<u32> {
    let all = with_states(processes).into_iter();
    let living = all.filter(|(_, state)| !state.contains('Z'));
    living.map(|(process, _)| process).collect()
}

#[test]
fn f123_many_processes_of_which_half_end_at_once() {
    const NAME: &str = "f123_many_processes_of_which_half_end_at_once";
    const SIZE: usize = 400;
    if let Some(folder) = as_program() {
        return crowd_as_program(SIZE, &folder);
    }
    let mut crowd = Crowd::start(NAME, SIZE);
    crowd.end(SIZE / 2);
    crowd.kill();
}

#[test]
fn f123_a_keeper_of_many_that_was_killed_is_replaced() {
    const NAME: &str = "f123_a_keeper_of_many_that_was_killed_is_replaced";
    const SIZE: usize = 400;
    if let Some(folder) = as_program() {
        return crowd_as_program(SIZE, &folder);
    }
    let mut crowd = Crowd::start(NAME, SIZE);
    let keeper = crowd.keeper();
    send(keeper, Signal::KILL);
    until(|| children(crowd.program.id(), KEEPER).is_empty());
    fs::write(crowd.folder.path().join("more"), "").unwrap();
    number(&crowd.folder.path().join("kept-again"));
    assert_ne!(crowd.keeper(), keeper);
    until(|| {
        crowd.sleepers = children(crowd.program.id(), "sleep 3600");
        crowd.sleepers.len() == SIZE + 1
    });
    crowd.kill();
}

#[test]
fn f123_a_keeper_of_many_that_does_not_read_is_replaced() {
    const NAME: &str = "f123_a_keeper_of_many_that_does_not_read_is_replaced";
    // Both halves are more lines than a socket has room for, each for itself.
    const SIZE: usize = 620;
    if let Some(folder) = as_program() {
        return crowd_as_program(SIZE, &folder);
    }
    let mut crowd = Crowd::start(NAME, SIZE);
    let keeper = crowd.keeper();
    send(keeper, Signal::STOP);
    crowd.end(SIZE / 2);
    if crowd.keeper() == keeper {
        // There was more room than that.
        send(keeper, Signal::CONT);
    }
    crowd.kill();
}

#[test]
fn f123_a_keeper_that_cannot_be_replaced_is_told_of_once_and_tried_again() {
    const NAME: &str = "f123_a_keeper_that_cannot_be_replaced_is_told_of_once_and_tried_again";
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    if let Some(folder) = as_program() {
        let unkept = EventName::new("bedplate.supervisor.unkept");
        let count = |_: &Event<'_>| {
            TOLD.fetch_add(1, Relaxed);
        };
        telemetry::attach("told", unkept, count).unwrap();
        let pool = Supervisor::builder("pool").strategy(Strategy::Dynamic);
        let pool = pool.start().unwrap();
        let handle = pool.handle();
        for _ in 0..5 {
            handle.start_child(sleeper()).unwrap();
        }
        let me = std::process::id();
        let mut sleepers = Vec::new();
        until(|| {
            sleepers = children(me, "sleep 3600");
            sleepers.len() == 5
        });
        for keeper in children(me, KEEPER) {
            send(keeper, Signal::KILL);
        }
        until(|| children(me, KEEPER).is_empty());
        let limit = rustix::process::getrlimit(Resource::Nofile);
        let nothing = Rlimit {
            current: Some(0),
            ..limit
        };
        // There is no descriptor to tell a keeper with.
        rustix::process::setrlimit(Resource::Nofile, nothing).unwrap();
        for (left, sleeper) in [4, 3].into_iter().zip(&sleepers) {
            send(*sleeper, Signal::KILL);
            until(|| handle.count().active == left);
        }
        rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
        let told = TOLD.load(Relaxed);
        send(sleepers[2], Signal::KILL);
        until(|| handle.count().active == 2);
        let keepers = children(me, KEEPER).len();
        let seen = format!("told {told}, keepers {keepers}");
        fs::write(folder.join("seen"), seen).unwrap();
        let left = format!("{}\n", sleepers[4]);
        fs::write(folder.join("left"), left).unwrap();
        return until_told();
    }
    let folder = tempfile::tempdir().unwrap();
    let mut program = program(NAME, folder.path());
    let left = number(&folder.path().join("left"));
    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    assert_eq!(seen, "told 1, keepers 1");
    assert!(lives(left));
    program.kill().unwrap();
    program.wait().unwrap();
    until(|| !lives(left));
}
