//! Who is alive: the process-wide table of identities.

use super::Pid;
use super::child::ChildRef;
use crate::sync::{Arc, Mutex};
use bedplate_core::id::{PidAllocator, TooManyProcesses};

/// More than the thread budget should ever allow.
const LIMIT: u32 = 1 << 16;

struct Table {
    pids: PidAllocator,
    /// By slot; `None` where nobody is alive.
    children: Vec<Option<ChildRef>>,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    pids: PidAllocator::new(LIMIT),
    children: Vec::new(),
});

/// The incarnation whose identity is `pid`, while it is alive. O(1).
#[must_use]
pub fn find(pid: Pid) -> Option<ChildRef> {
    let table = TABLE.lock();
    if !table.pids.is_alive(pid) {
        return None;
    }
    table.children.get(slot(pid))?.clone()
}

/// How many incarnations are alive in this process, at most 65,536.
#[must_use]
pub fn alive() -> u32 {
    TABLE.lock().pids.alive()
}

/// Gives a new incarnation its identity.
pub(crate) fn enter(path: Arc<str>, incarnation: u64) -> Result<ChildRef, TooManyProcesses> {
    let mut table = TABLE.lock();
    let pid = table.pids.allocate()?;
    let child = ChildRef::new(path, pid, incarnation);
    if table.children.len() <= slot(pid) {
        table.children.resize(slot(pid) + 1, None);
    }
    table.children[slot(pid)] = Some(child.clone());
    Ok(child)
}

/// Takes an incarnation out of the table. Its exit reason has been published.
pub(crate) fn leave(pid: Pid) {
    let gone = {
        let mut table = TABLE.lock();
        if !table.pids.release(pid) {
            return;
        }
        table.children[slot(pid)].take()
    };
    // Outside the lock: the reason inside may be a user's value with a destructor.
    drop(gone);
}

const fn slot(pid: Pid) -> usize {
    pid.slot() as usize
}
