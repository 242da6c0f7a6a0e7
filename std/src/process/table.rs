//! Who is alive: the process-wide table of identities.

use super::Pid;
use super::child::ChildRef;
use crate::sync::{Arc, Mutex};
use bedplate_core::id::{PidAllocator, TooManyProcesses};

/// More than the thread budget should ever allow, and an owner of registrations for each connection.
const LIMIT: u32 = 1 << 20;

struct Table {
    pids: PidAllocator,
    /// By slot; `None` where nobody is alive.
    children: Vec<Option<ChildRef>>,
    /// How many of the identities belong to incarnations.
    incarnations: u32,
    /// How many incarnations there have ever been.
    births: u64,
    /// How many lineages.
    lineages: u64,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    pids: PidAllocator::new(LIMIT),
    children: Vec::new(),
    incarnations: 0,
    births: 0,
    lineages: 0,
});

/// What tells children apart that have one path: within a lineage each path is that of one child, whose incarnations come one after the
/// other. Each supervisor that is part of no other is one; those below it, and whoever they are restarted as, belong to that, but each
/// child of a dynamic supervisor begins one of its own, since others may have its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lineage(u64);

impl Lineage {
    /// That of none.
    pub(crate) const NONE: Self = Self(0);

    /// One that is no other.
    pub(crate) fn begin() -> Self {
        let mut table = TABLE.lock();
        table.lineages += 1;
        Self(table.lineages)
    }
}

/// The incarnation whose identity is `pid`, while it is alive. O(1). Owners of registrations that are no
/// incarnations have identities, too; they are not found here.
#[must_use]
pub fn find(pid: Pid) -> Option<ChildRef> {
    let table = TABLE.lock();
    if !table.pids.is_alive(pid) {
        return None;
    }
    table.children.get(slot(pid))?.clone()
}

/// How many incarnations are alive in this process. There are 1,048,576 identities for them and for the
/// [owners](crate::registry::Owner) of registrations together.
#[must_use]
pub fn alive() -> u32 {
    TABLE.lock().incarnations
}

/// Gives a new incarnation its identity.
pub(crate) fn enter(
    path: Arc<str>,
    lineage: Lineage,
    incarnation: u64,
) -> Result<ChildRef, TooManyProcesses> {
    let mut table = TABLE.lock();
    let pid = table.pids.allocate()?;
    table.births += 1;
    let child = ChildRef::new((path, lineage), pid, incarnation, table.births);
    if table.children.len() <= slot(pid) {
        table.children.resize(slot(pid) + 1, None);
    }
    table.children[slot(pid)] = Some(child.clone());
    table.incarnations += 1;
    Ok(child)
}

/// Takes an incarnation out of the table. Its exit reason has been published.
pub(crate) fn leave(pid: Pid) {
    let gone = {
        let mut table = TABLE.lock();
        if !table.pids.release(pid) {
            return;
        }
        table.incarnations -= 1;
        table.children[slot(pid)].take()
    };
    // Outside the lock: the reason inside may be a user's value with a destructor.
    drop(gone);
}

/// The identity of somebody who holds registrations and is no incarnation; given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease(Pid);

impl Lease {
    pub(crate) fn claim() -> Result<Self, TooManyProcesses> {
        TABLE.lock().pids.allocate().map(Self)
    }

    pub(crate) const fn pid(&self) -> Pid {
        self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        TABLE.lock().pids.release(self.0);
    }
}

const fn slot(pid: Pid) -> usize {
    pid.slot() as usize
}
