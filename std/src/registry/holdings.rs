//! What one holder, an incarnation or a thread that is none, holds in all registries.
//!
//! For each registry in which it holds something there is a seat:
//!
//! ```text
//!              borrow, new            release
//!     (none) ──────────────► Busy ◄──────────────┐
//!        ▲                   │  ▲                │
//!        │  returned, empty  │  │ borrow         │
//!        ├───────────────────┤  │                │
//!        │                   ▼  │                │
//!        │                   Idle ───────────────┘
//!        └── returned when all is over: released by who returns it
//! ```
//!
//! An owner in core is changed by one at a time, and a change may call a user's code (a key's `Hash` and
//! `Eq`), so it is *borrowed*: taken out under the lock, used without, and put back. Who finds it borrowed by
//! its own thread is being called by such code, and is refused. Another thread waits; there is one only if an
//! incarnation's names are registered from several threads, which calls no code of a user, and when the
//! incarnation is released.
//!
//! [`Holdings::release`] is for good. It takes the idle seats, drops them without the lock in the reverse of
//! the order in which they were taken, and waits until what is borrowed has been returned, and until
//! whoever else is releasing is done. That wait has a limit, since what it waits for may be a user's `Eq`
//! that never returns: an incarnation that is abandoned in the middle of that keeps what it holds in this one
//! registry until it comes back. What the releasing thread has borrowed itself it does not wait for: it ends the
//! process, out of the middle of a change.

use super::owner::Held;
use super::report;
use super::shared::{Inner, Key, Registry, Value};
use crate::process::panic::discard;
use crate::process::{Lease, Pid};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, thread_number};
use alloc::rc::Rc;
use core::any::Any;
use core::cell::RefCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

/// So long a change may be under way that is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Holdings {
    pid: Pid,
    state: Mutex<State>,
    /// Notified when something was returned or released and somebody waits.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// In the order in which they were taken.
    seats: Vec<Seat>,
    over: bool,
    /// How many threads are releasing.
    releasing: usize,
    waiting: usize,
}

struct Seat {
    registry: u64,
    held: Place,
}

enum Place {
    /// A [`Held`] of the registry's type.
    Idle(Box<dyn Any + Send>),
    /// Of the thread with this number.
    Busy(u64),
}

/// Why nothing can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Over,
    Busy,
    /// There is no identity left, of so many.
    TooManyOwners(u32),
}

impl Holdings {
    pub(crate) fn new(pid: Pid) -> Self {
        Self {
            pid,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub(super) const fn pid(&self) -> Pid {
        self.pid
    }

    /// Makes the calling thread, which holds nothing, register in the name of this incarnation from now on.
    pub(crate) fn belong_to_this_thread(self: &Arc<Self>) {
        let mine = Rc::new(Mine {
            holdings: self.clone(),
            identity: None,
        });
        let _destroyed = HOLDER.try_with(|holder| holder.0.replace(Some(mine)));
    }

    /// Borrows what is held in a registry, nothing if need be.
    pub(super) fn borrow<K: Key, V: Value>(
        &self,
        registry: &Registry<K, V>,
    ) -> Result<Borrowed<'_, K, V>, Refusal> {
        if let Some(borrowed) = self.take(&registry.0, true)? {
            return Ok(borrowed);
        }
        Ok(Borrowed {
            holder: self,
            registry: registry.0.id,
            held: Some(Box::new(Held::new(registry, self.pid))),
            added: false,
        })
    }

    /// Borrows what is held in a registry, if that is anything.
    pub(super) fn borrow_if_any<K: Key, V: Value>(
        &self,
        inner: &Inner<K, V>,
    ) -> Result<Option<Borrowed<'_, K, V>>, Refusal> {
        self.take(inner, false)
    }

    /// Gives up all that is held, for good.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock();
        state.over = true;
        state.releasing += 1;
        let mut idle = Vec::new();
        for seat in core::mem::take(&mut state.seats) {
            match seat.held {
                Place::Idle(held) => idle.push(held),
                Place::Busy(_) => state.seats.push(seat),
            }
        }
        drop(state);
        idle.into_iter().rev().for_each(discard);
        let mut state = self.state.lock();
        state.releasing -= 1;
        self.notify(&state);
        let me = thread_number();
        let of_others = |seat: &Seat| !matches!(seat.held, Place::Busy(by) if by == me);
        let unfinished = |state: &State| state.releasing > 0 || state.seats.iter().any(of_others);
        drop(self.wait_while(state, unfinished));
    }

    /// Takes what is held in a registry out of its seat. If there is no seat, and there is to be one, that is
    /// taken, and the caller has to put something there.
    fn take<K: Key, V: Value>(
        &self,
        inner: &Inner<K, V>,
        anew: bool,
    ) -> Result<Option<Borrowed<'_, K, V>>, Refusal> {
        let me = thread_number();
        let elsewhere = |state: &State| match state.place(inner.id) {
            Some(Place::Busy(by)) => *by != me,
            _ => false,
        };
        let mut state = self.wait_while(self.state.lock(), elsewhere);
        if state.over {
            return Err(Refusal::Over);
        }
        let seat = state
            .seats
            .iter_mut()
            .find(|seat| seat.registry == inner.id);
        let Some(seat) = seat else {
            if anew {
                state.seats.push(Seat {
                    registry: inner.id,
                    held: Place::Busy(me),
                });
            }
            return Ok(None);
        };
        if let Place::Busy(_) = seat.held {
            return Err(Refusal::Busy);
        }
        let Place::Idle(any) = core::mem::replace(&mut seat.held, Place::Busy(me)) else {
            unreachable!("it is not busy");
        };
        drop(state);
        let Ok(held) = any.downcast() else {
            unreachable!("a registry has its number alone");
        };
        Ok(Some(Borrowed {
            holder: self,
            registry: inner.id,
            held: Some(held),
            added: false,
        }))
    }

    fn give_back<K: Key, V: Value>(&self, registry: u64, held: Box<Held<K, V>>, added: bool) {
        let empty = !added && held.is_empty();
        let mut state = self.state.lock();
        if !empty && !state.over {
            if let Some(seat) = state.seat(registry) {
                seat.held = Place::Idle(held);
            }
        } else {
            drop(state);
            discard(held);
            state = self.state.lock();
            state.seats.retain(|seat| seat.registry != registry);
        }
        self.notify(&state);
    }

    fn wait_while<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        mut condition: impl FnMut(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        if condition(&state) {
            state.waiting += 1;
            state = self
                .changed
                .wait_while_for(state, PATIENCE, |state| condition(state));
            state.waiting -= 1;
        }
        state
    }

    fn notify(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }
}

impl State {
    fn seat(&mut self, registry: u64) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.registry == registry)
    }

    fn place(&self, registry: u64) -> Option<&Place> {
        let seat = self.seats.iter().find(|seat| seat.registry == registry);
        seat.map(|seat| &seat.held)
    }
}

impl fmt::Debug for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Holdings").field(&self.pid).finish()
    }
}

/// What is held in one registry, out of its seat for a change; dropping this puts it back.
pub(super) struct Borrowed<'h, K: Key, V: Value> {
    holder: &'h Holdings,
    registry: u64,
    /// There until the drop.
    held: Option<Box<Held<K, V>>>,
    /// Whether something was added, so that this is not empty.
    pub(super) added: bool,
}

impl<K: Key, V: Value> Deref for Borrowed<'_, K, V> {
    type Target = Held<K, V>;

    fn deref(&self) -> &Held<K, V> {
        match &self.held {
            Some(held) => held,
            None => unreachable!("taken by the drop only"),
        }
    }
}

impl<K: Key, V: Value> DerefMut for Borrowed<'_, K, V> {
    fn deref_mut(&mut self) -> &mut Held<K, V> {
        match &mut self.held {
            Some(held) => held,
            None => unreachable!("taken by the drop only"),
        }
    }
}

impl<K: Key, V: Value> Drop for Borrowed<'_, K, V> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.holder.give_back(self.registry, held, self.added);
        }
    }
}

thread_local! {
    static HOLDER: Holder = const { Holder(RefCell::new(None)) };
}

/// In whose name this thread registers; decided when it first does, unless it is an incarnation's.
struct Holder(RefCell<Option<Rc<Mine>>>);

/// Counted by the thread alone, so that using it costs little.
pub(super) struct Mine {
    holdings: Arc<Holdings>,
    /// The thread's own identity; `None` if it runs an incarnation, which ends by itself.
    identity: Option<Lease>,
}

impl Deref for Mine {
    type Target = Holdings;

    fn deref(&self) -> &Holdings {
        &self.holdings
    }
}

/// In whose name the calling thread registers.
pub(super) fn mine() -> Result<Rc<Mine>, Refusal> {
    let mine = HOLDER.try_with(|holder| {
        if let Some(mine) = &*holder.0.borrow() {
            return Ok(mine.clone());
        }
        let identity = Lease::claim().map_err(|full| Refusal::TooManyOwners(full.limit))?;
        let mine = Rc::new(Mine {
            holdings: Arc::new(Holdings::new(identity.pid())),
            identity: Some(identity),
        });
        // There was nothing, so this drops nothing.
        holder.0.replace(Some(mine.clone()));
        Ok(mine)
    });
    mine.unwrap_or(Err(Refusal::Over))
}

/// In whose name the calling thread has registered, if it has.
pub(super) fn mine_if_any() -> Option<Rc<Mine>> {
    let mine = |holder: &Holder| holder.0.borrow().clone();
    HOLDER.try_with(mine).ok().flatten()
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(mine) = self.0.take()
            && mine.identity.is_some()
        {
            report::thread_ends();
            mine.holdings.release();
        }
    }
}
