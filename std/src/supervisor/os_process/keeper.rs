//! Who ends the processes of a program that is gone.
//!
//! ```text
//! program ── "+ group" when a process has begun, "- group" before it is reaped ──▶ keeper: a shell that reads
//! program gone, however it ended: the stream is over ──▶ keeper kills the groups that are left, and ends
//! ```
//!
//! A program that was killed does nothing more, so somebody else must. Linux would send a signal to a child whose parent is
//! gone; but that takes unsafe code between `fork` and `exec`, is nowhere else to be had, counts the end of the *thread* that
//! started the child, and does not reach what the child started. A stream that ends tells of every kind of end on every
//! Unix.
//!
//! There is one keeper for the whole program, started with its first process. It is in a process group of its own and does not
//! heed the signals by which whole sessions are asked to stop, since it is there for what they leave. Groups are kept here,
//! too, so that another keeper can be told all if the first was killed. A number is withdrawn while the process still has
//! it: the system cannot have given it to anybody else.

use crate::sync::{Mutex, MutexGuard};
use rustix::process::Pid;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// What the keeper does. Nothing but what a shell has in itself, so that it can do it when nothing else can be started.
const SCRIPT: &str = "\
trap '' HUP INT QUIT TERM
groups=
while read -r sign group; do
    if [ \"$sign\" = + ]; then
        groups=\"$groups $group\"
    else
        rest=
        for other in $groups; do
            [ \"$other\" = \"$group\" ] || rest=\"$rest $other\"
        done
        groups=$rest
    fi
done
for group in $groups; do
    kill -s KILL -- \"-$group\"
done
";

/// Sees to it that everybody in `group` is killed when this program is gone. Starts a keeper if there is none; without one,
/// whoever comes next tries again, for this group as well.
///
/// # Concurrency
/// Blocking: one at a time, and a keeper that has to be started takes as long as any process.
pub(super) fn keep(group: Pid) -> io::Result<()> {
    let mut books = books();
    books.groups.push(group);
    books.tell('+', group)
}

/// The opposite, for a group whose first process is not reaped yet.
pub(super) fn let_go(group: Pid) {
    let mut books = books();
    books.groups.retain(|other| *other != group);
    if books.keeper.is_some() {
        // One that cannot be told is replaced by one that is not told of this group, or by nobody.
        let _unkept = books.tell('-', group);
    }
}

fn books() -> MutexGuard<'static, Books> {
    static BOOKS: Mutex<Books> = Mutex::new(Books {
        groups: Vec::new(),
        keeper: None,
    });
    BOOKS.lock()
}

struct Books {
    groups: Vec<Pid>,
    keeper: Option<Keeper>,
}

struct Keeper {
    process: Child,
    stream: UnixStream,
}

impl Books {
    /// Tells the keeper, or a new one everything.
    fn tell(&mut self, sign: char, group: Pid) -> io::Result<()> {
        if let Some(keeper) = &mut self.keeper {
            if keeper.tell(sign, group).is_ok() {
                return Ok(());
            }
            self.dismiss();
        }
        let mut keeper = Keeper::start()?;
        let told = self
            .groups
            .iter()
            .try_for_each(|group| keeper.tell('+', *group));
        self.keeper = Some(keeper);
        if told.is_err() {
            self.dismiss();
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
        // One that does not read is of no use, and nobody is to wait for it.
        stream.set_nonblocking(true)?;
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

    fn tell(&mut self, sign: char, group: Pid) -> io::Result<()> {
        let line = format!("{sign} {}\n", group.as_raw_nonzero());
        self.stream.write_all(line.as_bytes())
    }
}
