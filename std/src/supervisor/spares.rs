//! Threads that wait until something is to be run on them.
//!
//! ```text
//!              park, admit              take                begin
//! (runs) ─────────────────► waits ────────────► taken out ───────────► (runs)
//!                            │  ▲                    │
//!                            │  ╰──── not needed ────┤
//!                            │ close                 │ not needed, and the pool is closed or full
//!                            ╰───────────────────────┴───────────────► over
//! ```
//!
//! Each thread that waits has a slot of its own, of which it has one end ([`Parked`]) and the pool the other one
//! ([`Call`]), together with what is kept for it. The pool is a list of calls under one lock, the slot a word under
//! another; neither is held while the other one is taken. A slot goes from *idle* to *begin* or to *over*, once, by whoever has
//! its call: by handing something over, or by dropping it. So a call cannot be lost: it is in the slot, whether the thread
//! sleeps already or not; and no thread can be forgotten: who is not called is told when its call is dropped, at the latest with
//! the pool.
//!
//! The thread that waits holds nothing but its slot, and so keeps neither the pool nor its owner alive. A thread
//! parks only when it has nothing else to do, so that whatever it is called for begins at once. Who waited for the shortest time is
//! called first: what is in the caches is its stack. What is handed over is moved, and what is kept is dropped, outside of both
//! locks.

use crate::sync::{Arc, Condvar, Mutex};

/// A pool of threads. For each that waits, `Kept` is kept here; what is to be run is an `Errand`.
pub(super) struct Spares<Kept, Errand> {
    most: usize,
    pool: Mutex<Pool<Kept, Errand>>,
}

struct Pool<Kept, Errand> {
    closed: bool,
    waiting: Vec<(Call<Errand>, Kept)>,
}

/// The end of a thread that is to wait.
pub(super) struct Parked<Errand>(Arc<Slot<Errand>>);

/// The other end. Dropped, it tells the thread that there is nothing more to do.
pub(super) struct Call<Errand>(Arc<Slot<Errand>>);

/// A thread that waits and was taken out of the pool. Dropped, it is put back.
#[must_use = "it is put back when dropped"]
pub(super) struct Spare<'a, Kept, Errand> {
    from: &'a Spares<Kept, Errand>,
    /// Missing when it has been called.
    waiting: Option<(Call<Errand>, Kept)>,
}

struct Slot<Errand> {
    next: Mutex<Next<Errand>>,
    /// Notified when that is not idle any more.
    changed: Condvar,
}

enum Next<Errand> {
    Idle,
    Begin(Errand),
    Over,
}

/// Both ends for a thread that is to wait.
pub(super) fn pair<Errand>() -> (Parked<Errand>, Call<Errand>) {
    let slot = Arc::new(Slot {
        next: Mutex::new(Next::Idle),
        changed: Condvar::new(),
    });
    (Parked(slot.clone()), Call(slot))
}

impl<Kept, Errand> Spares<Kept, Errand> {
    /// Room for `most`, and none waits.
    pub(super) const fn new(most: usize) -> Self {
        let pool = Pool {
            closed: false,
            waiting: Vec::new(),
        };
        Self {
            most,
            pool: Mutex::new(pool),
        }
    }

    /// Whether there may ever be any.
    pub(super) const fn is_wanted(&self) -> bool {
        self.most > 0
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.pool.lock().waiting.len()
    }

    /// Whether there is room for another one.
    pub(super) fn has_room(&self) -> bool {
        self.room(&self.pool.lock())
    }

    fn room(&self, pool: &Pool<Kept, Errand>) -> bool {
        !pool.closed && pool.waiting.len() < self.most
    }

    /// Has the calling thread wait here, if there is room and `keep` gives what is to be kept for it. It waits by
    /// [`Parked::wait`], and should do nothing else before.
    pub(super) fn park(&self, keep: impl FnOnce() -> Option<Kept>) -> Option<Parked<Errand>> {
        if !self.has_room() {
            return None;
        }
        let (parked, call) = pair();
        self.admit(call, keep()?).then_some(parked)
    }

    /// Has the thread with the other end wait here. Whether there is room; if not, it is told to end.
    pub(super) fn admit(&self, call: Call<Errand>, kept: Kept) -> bool {
        let mut pool = self.pool.lock();
        let admitted = self.room(&pool);
        if admitted {
            pool.waiting.push((call, kept));
        } else {
            drop(pool);
            drop((call, kept));
        }
        admitted
    }

    /// Takes one out, if any waits.
    pub(super) fn take(&self) -> Option<Spare<'_, Kept, Errand>> {
        let waiting = self.pool.lock().waiting.pop();
        waiting.map(|waiting| Spare {
            from: self,
            waiting: Some(waiting),
        })
    }

    /// Tells all that wait to end, and has nobody wait here again. Waits for none of them.
    pub(super) fn close(&self) {
        let all = {
            let mut pool = self.pool.lock();
            pool.closed = true;
            core::mem::take(&mut pool.waiting)
        };
        drop(all);
    }
}

impl<Kept, Errand> Spare<'_, Kept, Errand> {
    /// Hands over what is to be run, made of what was kept.
    pub(super) fn begin(mut self, errand: impl FnOnce(Kept) -> Errand) {
        if let Some((call, kept)) = self.waiting.take() {
            call.begin(errand(kept));
        }
    }
}

impl<Kept, Errand> Drop for Spare<'_, Kept, Errand> {
    fn drop(&mut self) {
        if let Some((call, kept)) = self.waiting.take() {
            let _or_it_ends = self.from.admit(call, kept);
        }
    }
}

impl<Errand> Parked<Errand> {
    /// Blocks until there is something to run, or nothing more to do.
    pub(super) fn wait(self) -> Option<Errand> {
        let next = self.0.next.lock();
        let is_idle = |next: &mut Next<Errand>| matches!(next, Next::Idle);
        let mut next = self.0.changed.wait_while(next, is_idle);
        match core::mem::replace(&mut *next, Next::Over) {
            Next::Begin(errand) => Some(errand),
            Next::Idle | Next::Over => None,
        }
    }
}

impl<Errand> Call<Errand> {
    fn begin(self, errand: Errand) {
        self.tell(Next::Begin(errand));
    }

    /// Says what is next, unless that was said.
    fn tell(&self, what: Next<Errand>) {
        let mut next = self.0.next.lock();
        if matches!(*next, Next::Idle) {
            *next = what;
            drop(next);
            self.0.changed.notify_all();
        }
    }
}

impl<Errand> Drop for Call<Errand> {
    fn drop(&mut self) {
        self.tell(Next::Over);
    }
}
