//! The seats of those who call: where each notes what it is looking at.
//!
//! Seats lie in chunks that are made when they are first needed and stay, so that whoever looks at all seats
//! never meets one that is gone. A chunk is put in front of those before it.

use crate::sync::{
    AtomicBool, AtomicPtr, AtomicUsize, CALLER_LEVELS, CHUNK_SEATS, Ordering, Watched, array,
    const_fn, exclusively,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ptr;

/// How deep handlers may call others, which call others.
pub const MAX_DEPTH: usize = CALLER_LEVELS;

/// The most callers there are at a time.
pub const MAX_CALLERS: usize = 1 << 16;

/// Addresses, for comparison only; zero for none.
pub(super) struct Level {
    pub(super) list: AtomicUsize,
    pub(super) running: AtomicUsize,
}

/// As large as a cache line, which it does not share.
#[cfg_attr(target_pointer_width = "64", repr(align(64)))]
pub(super) struct Seat {
    pub(super) levels: [Level; CALLER_LEVELS],
}

pub(super) struct Chunk {
    taken: [AtomicBool; CHUNK_SEATS],
    seats: [Seat; CHUNK_SEATS],
    /// Counted from one.
    number: usize,
    before: *const Chunk,
    watched: Watched,
}

impl Chunk {
    fn number(&self) -> usize {
        self.watched.read();
        self.number
    }
}

/// All seats.
pub(super) struct Seats {
    last: AtomicPtr<Chunk>,
}

impl Seats {
    const_fn! {
        pub(super) fn new() -> Self {
            Self { last: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// A seat that nobody has.
    pub(super) fn take(&self) -> Result<(&Seat, &AtomicBool), TooManyCallers> {
        loop {
            let mut free = self.chunks().flat_map(|chunk| {
                let seats = chunk.seats.iter().zip(&chunk.taken);
                // Relaxed: a hint; the exchange decides.
                seats.filter(|(_, taken)| !taken.load(Ordering::Relaxed))
            });
            // Acquire: its last holder's notes come before ours; pairs with Release in `give_back` [H6].
            // Relaxed on failure: nothing is read through it.
            let taken = free.find(|(_, taken)| {
                taken
                    .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            });
            if let Some(seat) = taken {
                return Ok(seat);
            }
            self.grow()?;
        }
    }

    /// Gives a seat back in which nothing is noted.
    pub(super) fn give_back(taken: &AtomicBool) {
        // Release: the last notes are taken back before; pairs with Acquire in `take` [H6].
        taken.store(false, Ordering::Release);
    }

    fn grow(&self) -> Result<(), TooManyCallers> {
        // Acquire: its number; pairs with Release below [H7].
        let before = self.last.load(Ordering::Acquire);
        // SAFETY: a chunk that was linked is initialised, and freed with the seats.
        let number = unsafe { before.as_ref() }.map_or(0, Chunk::number) + 1;
        if number > MAX_CALLERS / CHUNK_SEATS {
            return Err(TooManyCallers);
        }
        let chunk = Box::into_raw(Box::new(Chunk {
            taken: array![AtomicBool::new(false); CHUNK_SEATS],
            seats: core::array::from_fn(|_| Seat::new()),
            number,
            before,
            watched: Watched::new(),
        }));
        // Release: the chunk is initialised; pairs with Acquire in `chunks` and above [H7].
        // Relaxed on failure: nothing is read through it.
        let linked =
            self.last
                .compare_exchange(before, chunk, Ordering::Release, Ordering::Relaxed);
        if linked.is_err() {
            // Somebody else was faster, and there are seats.
            // SAFETY: made above, and seen by nobody else.
            drop(unsafe { Box::from_raw(chunk) });
        }
        Ok(())
    }

    /// Whether any caller has noted this entry. The caller of this has made the entry dead, and a fence since
    /// then.
    pub(super) fn any_runs(&self, entry: usize) -> bool {
        // Acquire: what its handler did is done; pairs with Release in `Caller::call` [H4].
        self.levels()
            .any(|level| level.running.load(Ordering::Acquire) == entry)
    }

    /// The lists that callers have noted. The caller of this has replaced the list, and made a fence since then.
    pub(super) fn noted_lists(&self) -> Vec<usize> {
        // Acquire: a list that is no longer noted was read; pairs with Release in `Caller::call` [H5].
        let noted = self
            .levels()
            .map(|level| level.list.load(Ordering::Acquire));
        noted.filter(|&list| list != 0).collect()
    }

    fn levels(&self) -> impl Iterator<Item = &Level> {
        self.chunks()
            .flat_map(|chunk| &chunk.seats)
            .flat_map(|seat| &seat.levels)
    }

    fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        // Acquire: it is initialised; pairs with Release in `grow` [H7].
        let mut next: *const Chunk = self.last.load(Ordering::Acquire);
        core::iter::from_fn(move || {
            // SAFETY: a chunk that was linked is initialised, and freed with the seats.
            let chunk = unsafe { next.as_ref() }?;
            chunk.watched.read();
            next = chunk.before;
            Some(chunk)
        })
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        let mut next = exclusively(&mut self.last);
        while !next.is_null() {
            // SAFETY: made by a box in `grow`, linked once, and nobody looks any more.
            let chunk = unsafe { Box::from_raw(next) };
            next = chunk.before.cast_mut();
        }
    }
}

impl Seat {
    fn new() -> Self {
        let level = |_| Level {
            list: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
        };
        Self {
            levels: core::array::from_fn(level),
        }
    }
}

/// There are [`MAX_CALLERS`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooManyCallers;

impl fmt::Display for TooManyCallers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {MAX_CALLERS} callers of handlers already")
    }
}

impl core::error::Error for TooManyCallers {}
