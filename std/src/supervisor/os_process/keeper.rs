//! Who ends the processes of a program that is gone.
//!
//! ```text
//! program ── "slot group" when a process has begun, "slot" before it is reaped ──▶ keeper: a shell that reads
//! program gone, however it ended: the stream is over ──▶ keeper kills the groups that are left, and ends
//! ```
//!
//! A program that was killed does nothing more, so somebody else must. Linux would send a signal to a child whose parent is
//! gone; but that takes unsafe code between `fork` and `exec`, is nowhere else to be had, counts the end of the *thread* that
//! started the child, and does not reach what the child started. A stream that ends tells of every kind of end on every
//! Unix.
//!
//! There is one keeper for the whole program, started with its first process. It is in a process group of its own and does not
//! heed the signals by which whole sessions are asked to stop, since it is there for what they leave. A number is withdrawn
//! while the process still has it: the system cannot have given it to anybody else.
//!
//! **Protocol.** Lines, each the number of a slot and the group that is in it from now on, or none. The lowest free slot is
//! taken first, so there are never more than there were groups at once. A shell has a variable for each: what it does for a
//! line does not depend on how many groups there are, and what it remembers does not grow with the lines. So it reads faster
//! than processes can be started, and many may end at once. What has no end of line, since the program was killed while it
//! wrote, is no line.
//!
//! **States.** *None*: no process has begun yet, or the last keeper was lost and there is no other. *Told*: it has been sent
//! all that is in `slots`. One that cannot be told (it is gone, or does not read) may have got half of a line; it is killed, and
//! another is told everything, as one piece, since each piece costs far more of a socket's room than its bytes. If there is no
//! other, it is *none*, which is told once, or with each process that begins; and whoever comes next, with a process that begins
//! or ends, tries again. Whoever tells a keeper waits for room no longer than [`PATIENCE`].

use crate::clock;
use crate::sync::{Mutex, MutexGuard};
use core::fmt::Write as _;
use core::time::Duration;
use rustix::process::Pid;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// What the keeper does. Nothing but what a shell has in itself, so that it can do it when nothing else can be started.
const SCRIPT: &str = "\
trap '' HUP INT QUIT TERM
slots=0
while read -r slot group; do
    eval \"group_$slot=$group\"
    [ \"$slot\" -lt \"$slots\" ] || slots=$((slot + 1))
done
while [ \"$slots\" -gt 0 ]; do
    slots=$((slots - 1))
    eval \"group=\\$group_$slots\"
    [ -z \"$group\" ] || kill -s KILL -- \"-$group\"
done
";

/// How long a keeper may not read before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sees to it that everybody in `group` is killed when this program is gone. Starts a keeper if there is none; without one,
/// whoever comes next tries again, for this group as well.
///
/// # Concurrency
/// Blocking: one at a time, and a keeper that has to be started takes as long as any process. One that does not read is waited
/// for, about a second.
pub(super) fn keep(group: Pid) -> io::Result<()> {
    let mut books = books();
    let slot = books.free_slot();
    books.slots[slot] = Some(group);
    let kept = books.tell(slot);
    // The caller tells of each.
    books.told |= kept.is_err();
    kept
}

/// The opposite, for a group whose first process is not reaped yet. An error is that there is no keeper any more, for nobody.
///
/// # Concurrency
/// As [`keep`].
pub(super) fn let_go(group: Pid) -> io::Result<()> {
    let mut books = books();
    let is_it = |slot: &Option<Pid>| *slot == Some(group);
    let Some(slot) = books.slots.iter().position(is_it) else {
        return Ok(());
    };
    books.slots[slot] = None;
    books.tell(slot)
}

/// Whether nobody was told yet that there is no keeper. Who asks tells.
pub(super) fn is_news() -> bool {
    let mut books = books();
    books.keeper.is_none() && !core::mem::replace(&mut books.told, true)
}

fn books() -> MutexGuard<'static, Books> {
    static BOOKS: Mutex<Books> = Mutex::new(Books {
        slots: Vec::new(),
        keeper: None,
        told: false,
    });
    BOOKS.lock()
}

struct Books {
    slots: Vec<Option<Pid>>,
    keeper: Option<Keeper>,
    /// Whether somebody was told that there is no keeper.
    told: bool,
}

struct Keeper {
    process: Child,
    stream: UnixStream,
}

impl Books {
    /// The lowest that is free.
    fn free_slot(&mut self) -> usize {
        let free = self.slots.iter().position(Option::is_none);
        free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    /// Tells the keeper what is in a slot, or a new one everything.
    fn tell(&mut self, slot: usize) -> io::Result<()> {
        if let Some(keeper) = &mut self.keeper {
            let mut line = String::new();
            describe(&mut line, slot, self.slots[slot]);
            if keeper.tell(line.as_bytes()).is_ok() {
                return Ok(());
            }
            self.dismiss();
        }
        let groups = self.slots.iter().flatten().count();
        if groups == 0 {
            return Ok(());
        }
        self.replace().map_err(|error| {
            let all = format!("none of {groups} processes has a keeper: {error}");
            io::Error::new(error.kind(), all)
        })
    }

    /// Starts a keeper and tells it everything.
    fn replace(&mut self) -> io::Result<()> {
        let mut all = String::new();
        for (slot, group) in self.slots.iter().enumerate() {
            if group.is_some() {
                describe(&mut all, slot, *group);
            }
        }
        let keeper = self.keeper.insert(Keeper::start()?);
        let told = keeper.tell(all.as_bytes());
        match told {
            Ok(()) => self.told = false,
            Err(_) => self.dismiss(),
        }
        told
    }

    /// Ends the keeper, who is not to take the end of the stream for that of the program.
    fn dismiss(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            let _ended = keeper.process.kill().and_then(|()| keeper.process.wait());
        }
    }
}

impl Keeper {
    fn start() -> io::Result<Self> {
        let (stream, its) = UnixStream::pair()?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let process = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "bedplate-keeper"])
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(OwnedFd::from(its))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { process, stream })
    }

    /// Writes all of it. After an error nobody knows how much was written.
    fn tell(&mut self, mut lines: &[u8]) -> io::Result<()> {
        // The stream's own limit is for each call, and one that reads a little now and then would be waited for again and again.
        let until = clock::now().saturating_add(PATIENCE);
        while !lines.is_empty() {
            match self.stream.write(lines) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => lines = &lines[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if !lines.is_empty() && clock::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

/// Adds the line that says what is in a slot.
fn describe(lines: &mut String, slot: usize, group: Option<Pid>) {
    // A string takes everything.
    let _written = match group {
        Some(group) => writeln!(lines, "{slot} {}", group.as_raw_nonzero()),
        None => writeln!(lines, "{slot}"),
    };
}
