//! Hands out [`Pid`]s: which slot, which generation, is it still alive?
//!
//! A pure table without atomics; the facade puts it behind its lock, firmware owns it in `main`.
//! Free slots form a list through the table, used last-in first-out, so that a small system keeps
//! touching the same few slots.
//!
//! ```text
//! free ──► slot 4 ──► slot 1 ──► none       slots 0, 2, 3 are occupied
//! ```

use super::Pid;
use core::fmt;
use core::num::NonZeroU32;

/// No slot is free: as many processes are alive as the table's limit allows (slots whose
/// generations are used up count as occupied).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyProcesses {
    /// The table's limit.
    pub limit: u32,
}

impl fmt::Display for TooManyProcesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} process slots are occupied", self.limit)
    }
}

impl core::error::Error for TooManyProcesses {}

/// One place of the table.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Generation of the present or, when vacant, of the last occupant; 0 before the first.
    generation: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Occupied,
    /// Vacant, and the next vacant slot of the list.
    Vacant {
        next: Option<u32>,
    },
    /// Every generation was used; never occupied again.
    Retired,
}

impl Slot {
    const NEW: Self = Self {
        generation: 0,
        state: State::Vacant { next: None },
    };
}

/// The bookkeeping both tables share; the slots themselves live beside it.
#[derive(Clone, Copy, Debug)]
struct Free {
    head: Option<u32>,
    /// Slots from here on were never used and are in no list.
    untouched: u32,
    alive: u32,
}

impl Free {
    const NEW: Self = Self {
        head: None,
        untouched: 0,
        alive: 0,
    };

    /// Occupies a vacant slot among `slots`, or `None` when there is none.
    fn claim(&mut self, slots: &mut [Slot]) -> Option<Pid> {
        let index = match self.head {
            Some(index) => {
                if let State::Vacant { next } = slots[index as usize].state {
                    self.head = next;
                }
                index
            }
            None if (self.untouched as usize) < slots.len() => {
                self.untouched += 1;
                self.untouched - 1
            }
            None => return None,
        };
        let slot = &mut slots[index as usize];
        // A slot is retired when its last generation ends, so this cannot wrap.
        slot.generation += 1;
        slot.state = State::Occupied;
        self.alive += 1;
        NonZeroU32::new(slot.generation).map(|generation| Pid::new(index, generation))
    }

    /// Vacates the slot of `pid`; `false` if `pid` is not alive.
    fn release(&mut self, slots: &mut [Slot], pid: Pid) -> bool {
        if !is_alive(slots, pid) {
            return false;
        }
        let slot = &mut slots[pid.slot() as usize];
        self.alive -= 1;
        if slot.generation == u32::MAX {
            slot.state = State::Retired;
        } else {
            slot.state = State::Vacant { next: self.head };
            self.head = Some(pid.slot());
        }
        true
    }
}

fn is_alive(slots: &[Slot], pid: Pid) -> bool {
    slots.get(pid.slot() as usize).is_some_and(|slot| {
        slot.state == State::Occupied && slot.generation == pid.generation().get()
    })
}

/// A table of at most `N` live processes, without an allocator.
///
/// All operations are O(1); nothing here is shared, so an interrupt handler may use a table only
/// if nobody else does.
///
/// ```
/// use bedplate_core::id::FixedPidAllocator;
///
/// let mut pids = FixedPidAllocator::<2>::new();
/// let a = pids.allocate()?;
/// let b = pids.allocate()?;
/// assert!(pids.allocate().is_err());           // full: an error, never a wait
/// assert!(pids.release(a));
/// let c = pids.allocate()?;
/// assert_eq!(c.slot(), a.slot());              // the place is used again …
/// assert!(!pids.is_alive(a));                  // … by somebody else
/// assert!(!pids.release(a));                   // and the late release hits nobody
/// # assert!(pids.is_alive(b));
/// # Ok::<(), bedplate_core::id::TooManyProcesses>(())
/// ```
#[derive(Debug)]
pub struct FixedPidAllocator<const N: usize> {
    free: Free,
    slots: [Slot; N],
}

impl<const N: usize> FixedPidAllocator<N> {
    /// A table in which nothing is alive.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            free: Free::NEW,
            slots: [Slot::NEW; N],
        }
    }

    /// A new identity, alive until it is released.
    ///
    /// # Errors
    /// [`TooManyProcesses`] when `N` processes are alive.
    pub fn allocate(&mut self) -> Result<Pid, TooManyProcesses> {
        self.free.claim(&mut self.slots).ok_or(TooManyProcesses {
            limit: u32::try_from(N).unwrap_or(u32::MAX),
        })
    }

    /// Ends `pid`. Returns whether it was alive; a stale identity changes nothing.
    pub fn release(&mut self, pid: Pid) -> bool {
        self.free.release(&mut self.slots, pid)
    }

    /// Whether `pid` was allocated here and not yet released.
    #[must_use]
    pub fn is_alive(&self, pid: Pid) -> bool {
        is_alive(&self.slots, pid)
    }

    /// How many processes are alive.
    #[must_use]
    pub const fn alive(&self) -> u32 {
        self.free.alive
    }
}

impl<const N: usize> Default for FixedPidAllocator<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A table that grows on demand up to a limit.
///
/// Same behaviour as [`FixedPidAllocator`]; `allocate` may allocate memory, amortised O(1).
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct PidAllocator {
    free: Free,
    slots: alloc::vec::Vec<Slot>,
    limit: u32,
}

#[cfg(feature = "alloc")]
impl PidAllocator {
    /// A table in which nothing is alive, for at most `limit` processes at a time.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self {
            free: Free::NEW,
            slots: alloc::vec::Vec::new(),
            limit,
        }
    }

    /// A new identity, alive until it is released.
    ///
    /// # Errors
    /// [`TooManyProcesses`] when `limit` processes are alive.
    pub fn allocate(&mut self) -> Result<Pid, TooManyProcesses> {
        if self.free.head.is_none()
            && self.free.untouched as usize == self.slots.len()
            && self.free.untouched < self.limit
        {
            self.slots.push(Slot::NEW);
        }
        self.free
            .claim(&mut self.slots)
            .ok_or(TooManyProcesses { limit: self.limit })
    }

    /// Ends `pid`. Returns whether it was alive; a stale identity changes nothing.
    pub fn release(&mut self, pid: Pid) -> bool {
        self.free.release(&mut self.slots, pid)
    }

    /// Whether `pid` was allocated here and not yet released.
    #[must_use]
    pub fn is_alive(&self, pid: Pid) -> bool {
        is_alive(&self.slots, pid)
    }

    /// How many processes are alive.
    #[must_use]
    pub const fn alive(&self) -> u32 {
        self.free.alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_retired_after_its_last_generation() {
        let mut pids = FixedPidAllocator::<1>::new();
        pids.slots[0].generation = u32::MAX - 1;
        let last = pids.allocate().unwrap();
        assert_eq!(last.generation(), NonZeroU32::MAX);
        assert!(pids.release(last));
        assert_eq!(pids.allocate(), Err(TooManyProcesses { limit: 1 }));
        assert!(!pids.is_alive(last));
    }

    #[test]
    fn no_slots_is_full_at_once() {
        assert_eq!(
            FixedPidAllocator::<0>::new().allocate(),
            Err(TooManyProcesses { limit: 0 })
        );
    }

    #[cfg(feature = "alloc")]
    proptest::proptest! {
        /// Both tables answer alike, and the oracle (a list of who is alive) agrees.
        #[test]
        fn tables_agree_with_the_oracle(steps in proptest::collection::vec(0u8..4, 0..200)) {
            let mut fixed = FixedPidAllocator::<3>::new();
            let mut growing = PidAllocator::new(3);
            let mut alive = alloc::vec::Vec::<Pid>::new();
            let mut dead = alloc::vec::Vec::<Pid>::new();
            for step in steps {
                if step == 3 || usize::from(step) >= alive.len() {
                    let pid = fixed.allocate();
                    assert_eq!(pid, growing.allocate());
                    assert_eq!(pid.is_ok(), alive.len() < 3);
                    if let Ok(pid) = pid {
                        assert!(!alive.contains(&pid) && !dead.contains(&pid));
                        alive.push(pid);
                    }
                } else {
                    let pid = alive.remove(usize::from(step));
                    assert!(fixed.release(pid) && growing.release(pid));
                    dead.push(pid);
                }
                assert_eq!(fixed.alive() as usize, alive.len());
                assert!(alive.iter().all(|&pid| fixed.is_alive(pid) && growing.is_alive(pid)));
                for &pid in &dead {
                    assert!(!fixed.is_alive(pid) && !fixed.release(pid) && !growing.release(pid));
                }
            }
        }
    }
}
